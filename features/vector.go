package features

import (
	"pitboss/features/derived"
	"pitboss/journal"
)

// Status says what a value of a vector is worth. The numbers are in records: never change one, only add.
type Status uint8

// The statuses. Missing is NaN to a model, never zero.
const (
	// Present is a value as its contract says.
	Present Status = iota
	// Missing has no value: the event does not name the entity, or there is nothing to divide by.
	Missing
	// Default stands for a missing value where the feature set declares one.
	Default
	// WarmingUp is a group that has not seen a whole window yet.
	WarmingUp
	// Stale comes from a source that lags.
	Stale
	// Late was read at a time older than what is kept exactly.
	Late
	// Capped hit a bound on memory: the true value is at least this.
	Capped
	// CorrectionMissed still holds a contribution that was taken back.
	CorrectionMissed
	// FromTiles is of a group in exact mode that had more events in the window than it keeps as they came: the window's
	// old edge is rounded by its hop, as without exact mode.
	FromTiles
)

// String gives the status as answers and exports write it.
func (s Status) String() string {
	names := [...]string{"present", "missing", "default", "warming_up", "stale", "late", "capped", "correction_missed", "from_tiles"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Vector is what a model sees: one value and status per feature of the set, in its order.
type Vector struct {
	// Values has one float64 per feature; NaN where missing.
	Values []float64
	// Status has one status per feature.
	Status []Status
	// At is the evaluation time, microseconds.
	At int64
	// Watermark is how far event time had come (Engine.Watermark) when the vector was read. It is no input of any value.
	Watermark int64
	// Lag is how many records the engine's feed had not read (Engine.Lag) when the vector was read, NoLag where nobody knew. It
	// is no input of any value.
	Lag int64
	// Inside says that the event was part of its entities' state when the vector was read.
	Inside bool
	// WarmingSince is the event time since which all groups that are warming up have seen everything; 0 where none is.
	WarmingSince int64
	// Pins has the position of each of the event's entities that was read.
	Pins []Pin
	// Sourced are the values that came from elsewhere, as they were read.
	Sourced []SourcedValue

	// sampled says that what its values are worth is counted; newest are then the times of the newest contributions behind them,
	// tiles.NoTime where there is none, microseconds.
	sampled bool
	newest  []int64
	// inputs are used again, by each expression.
	inputs *derived.Values
	// means are those of the baselines that z-scores compare with.
	means []float64
	// pairs are the slots of two entities that are compared.
	pairs []slotPair
}

// Pin is the state of one entity that a vector was read from: the last frame applied to it.
type Pin struct {
	// Entity is an index into Event.Entities.
	Entity int
	// Pos is zero where the entity was unknown.
	Pos journal.Pos
	// Newest is the time of the newest event inside, microseconds; 0 without.
	Newest int64
}

// SourcedValue is a value from a Source with the version that it was read at.
type SourcedValue struct {
	Source  string
	Version string
	Feature int
	Value   float64
	Status  Status
	// AsOf is what a pushed value was computed for, microseconds; 0 for other sources.
	AsOf int64
}

// Source gives values that do not come from the event's windows: links, lists, pushes. What it gives is pinned in the
// record and never rebuilt, so it may change at any time.
type Source interface {
	// Name is how a feature set names the source.
	Name() string
	// Check says whether the source has values by this key; it is asked when a set is compiled.
	Check(key string) error
	// Value gives the value of key for the event, NaN and Missing if there is none, and the version of what it was read
	// from. It must not block.
	Value(ev *Event, key string) (value float64, status Status, version string)
}
