package features

import (
	"fmt"
	"regexp"
)

// Kind is a sort of entity: player, device, ip.
type Kind struct {
	// ID is fixed for built-in kinds; configured kinds get theirs by their place in the configuration, from 128 on.
	ID KindID
	// Name is how events and feature sets name it.
	Name string
	// Personal kinds have their raw values replaced by aliases; the others keep them.
	Personal bool
}

// KindConfig declares a kind beyond the built-in gaming set.
type KindConfig struct {
	// Name is [a-z][a-z0-9_]{0,31}.
	Name string `yaml:"name"`
	// Personal is whether raw values are replaced by aliases. Default true: leave it so unless the value says nothing of
	// a person (a terminal, a product).
	Personal *bool `yaml:"personal"`
}

// Kinds are the entity kinds of one configuration.
type Kinds struct {
	byName map[string]Kind
	list   []Kind
	tables *decodeTables
}

const firstConfiguredKind = 128

var kindName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// builtinKinds is the gaming set. The numbers are on disk: never change one, only add.
func builtinKinds() []Kind {
	return []Kind{
		{1, "tenant", false}, {2, "brand", false}, {3, "player", true}, {4, "account", true}, {5, "session", true},
		{6, "device", true}, {7, "ip", true}, {8, "ip24", true}, {9, "asn", false}, {10, "instrument", true},
		{11, "round", false}, {12, "game", false}, {13, "table", false}, {14, "provider", false}, {15, "studio", false},
		{16, "affiliate", false}, {17, "campaign", false}, {18, "bonus", false}, {19, "tournament", false},
		{20, "jackpot", false},
		// The other player of a transfer, who people say they are and how they are reached, who sent them, and who works here.
		{21, "counterparty", true}, {22, "email", true}, {23, "phone", true}, {24, "person", true}, {25, "postal", true},
		{26, "document", true}, {27, "click", true}, {28, "staff", true}, {29, "case", false},
	}
}

// NewKinds gives the built-in gaming set and the configured kinds. A configured kind must keep its place in the
// configuration, since its number is on disk; add new ones at the end.
func NewKinds(extra []KindConfig) (*Kinds, error) {
	k := &Kinds{byName: map[string]Kind{}, list: builtinKinds(), tables: newDecodeTables()}
	for i, c := range extra {
		if !kindName.MatchString(c.Name) {
			return nil, fmt.Errorf("entity kind %d: name %q must match %s", i, c.Name, kindName)
		}
		if i >= 256-firstConfiguredKind {
			return nil, fmt.Errorf("entity kind %q: at most %d kinds can be configured", c.Name, 256-firstConfiguredKind)
		}
		personal := c.Personal == nil || *c.Personal
		k.list = append(k.list, Kind{ID: KindID(firstConfiguredKind + i), Name: c.Name, Personal: personal})
	}
	for _, kind := range k.list {
		if _, ok := k.byName[kind.Name]; ok {
			return nil, fmt.Errorf("entity kind %q is declared twice", kind.Name)
		}
		k.byName[kind.Name] = kind
	}
	return k, nil
}

// Get gives the kind of a name.
func (k *Kinds) Get(name string) (Kind, bool) {
	kind, ok := k.byName[name]
	return kind, ok
}

// All gives every kind, built-in ones first.
func (k *Kinds) All() []Kind { return append([]Kind(nil), k.list...) }
