package features

import pb "pitboss/proto/pitboss/v1"

// Set is a compiled feature set. It is immutable.
type Set struct {
	// Name and Version are as the file says; Hash is SHA-256 of the canonical content, which leaves out both.
	Name, Version string
	Hash          [32]byte
	// Features are in the order of the file, which is the vector's.
	Features []FeatureInfo
}

// FeatureInfo describes one feature.
type FeatureInfo struct {
	// Name is the feature's.
	Name string
	// Kind is the entity kind whose windows it reads; empty for the event's own values, ratios and sources.
	Kind string
	// Group names its group, where it has one.
	Group string
	// Aggregate is count, sum, mean, distinct, time_since, ratio, value or source.
	Aggregate string
	// Window is as written (1h), where it has one.
	Window string
	// Class is the class of aggregate (DESIGN.md): integer, semilattice, read_time, value or source.
	Class string
}

// CompileOptions is what a feature set may refer to.
type CompileOptions struct {
	// Kinds are the entity kinds; needed.
	Kinds *Kinds
	// Sources give values from elsewhere, found by Name.
	Sources []Source
}

// CompileSet reads a feature set. file names it in errors, which have line and column.
func CompileSet(yaml []byte, file string, opt CompileOptions) (*Set, error) {
	return nil, errNotBuilt
}

// Decode makes the one form of an event out of its stored message.
func Decode(kinds *Kinds, msg *pb.Event, dst *Event) error { return errNotBuilt }
