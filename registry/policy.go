package registry

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"slices"
	"sort"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// Policy says what follows from a score, from a list hit, and from having no score: thresholds.yaml, checked and
// compiled. It never changes and is a pure function of the event and the score, so live, shadow and replay agree.
type Policy struct {
	// Hash is the SHA-256 of thresholds.yaml, Version its first 12 hex digits.
	Hash    [32]byte
	Version string
	// Base is what happens without a score where Types does not name the event's type.
	Base Fallback
	// Types is by event type.
	Types map[string]Fallback
	// Phrases are the words for a decision without a bundle; those of a bundle are with its reasons.
	Phrases Phrases

	segments []Segment
	lists    []List // sorted by name
}

// Segment is one part of the events, with thresholds of its own.
type Segment struct {
	// Name is unique in the policy; the last segment is "default" and matches every event.
	Name string

	match      []condition
	thresholds levels // by outcome
	risks      levels // medium, high, severe at 1, 2, 3
	reviewFrom threshold
	reactions  [pb.Outcome_OUTCOME_BLOCK + 1][]Reaction
}

// Reaction is what the policy asks of the game under an outcome.
type Reaction struct {
	// Type is one of the wire's reaction types, Scope the entity kind it holds for.
	Type, Scope string
	// TTL is in seconds; 0 for a reaction that is done once.
	TTL uint32
	// Reversible says whether lifting it undoes it.
	Reversible bool
}

// Fallback is what to recommend when there is no score: fail-secure, little is let through and flagged, much is held.
type Fallback struct {
	// LargeFrom is the first large amount, in minor units of the tenant's base currency.
	LargeFrom int64
	// Small also serves events without an amount.
	Small, Large Default
}

// Default is one outcome without a score.
type Default struct {
	Outcome pb.Outcome
	Review  bool
}

// List says what a hit of a list decides.
type List struct {
	Name string
	// Allow lets the event through whatever the score says; otherwise the list blocks.
	Allow bool
	// Overridable says that an allow list outranks this block.
	Overridable bool
	// Code is the reason's. Text, for the analyst, may name {list}, {version} and {kind}; Player, which may be shown to a
	// player, nothing.
	Code         string
	Text, Player Texts
}

type threshold struct {
	at  float64
	set bool
}

type levels [pb.Outcome_OUTCOME_BLOCK + 1]threshold

// highest gives the highest index whose threshold the score reaches, or otherwise below.
func (l *levels) highest(score float64, below int) int {
	for i := len(l) - 1; i > below; i-- {
		if l[i].set && score >= l[i].at {
			return i
		}
	}
	return below
}

// condition holds when the event's field has one of the values.
type condition struct {
	field  string
	texts  []string
	ints   []int64
	truths []bool
}

func (c *condition) holds(ev *features.Event) bool {
	f, ok := ev.Field(c.field)
	if !ok {
		return false
	}
	switch f.Type {
	case features.FieldText:
		return slices.Contains(c.texts, f.Text)
	case features.FieldInt:
		return slices.Contains(c.ints, f.Int)
	case features.FieldBool:
		return slices.Contains(c.truths, f.Int != 0)
	case features.FieldNumber:
		return slices.ContainsFunc(c.ints, func(i int64) bool { return float64(i) == f.Number })
	}
	return false
}

// Segment gives the first segment that matches the event.
func (p *Policy) Segment(ev *features.Event) *Segment {
	for i := range p.segments[:len(p.segments)-1] {
		if p.segments[i].matches(ev) {
			return &p.segments[i]
		}
	}
	return &p.segments[len(p.segments)-1]
}

// Segments gives the names of the segments in their order.
func (p *Policy) Segments() []string {
	names := make([]string, len(p.segments))
	for i := range p.segments {
		names[i] = p.segments[i].Name
	}
	return names
}

// Default gives what to recommend for the event when there is no score. An amount that is not known in the base
// currency counts as large.
func (p *Policy) Default(ev *features.Event) Default {
	f, ok := p.Types[ev.Type]
	if !ok {
		f = p.Base
	}
	base, known := ev.Field("amount_base")
	if _, given := ev.Field("amount"); !given && !known {
		return f.Small
	}
	if known && base.Type == features.FieldInt && base.Int < f.LargeFrom {
		return f.Small
	}
	return f.Large
}

// List gives what a hit of the named list decides; nil where the policy gives that list no say.
func (p *Policy) List(name string) *List {
	i := sort.Search(len(p.lists), func(i int) bool { return p.lists[i].Name >= name })
	if i < len(p.lists) && p.lists[i].Name == name {
		return &p.lists[i]
	}
	return nil
}

func (s *Segment) matches(ev *features.Event) bool {
	for i := range s.match {
		if !s.match[i].holds(ev) {
			return false
		}
	}
	return true
}

// Outcome gives the most severe outcome whose threshold the score reaches, allow below all of them.
func (s *Segment) Outcome(score float64) pb.Outcome {
	return pb.Outcome(s.thresholds.highest(score, int(pb.Outcome_OUTCOME_ALLOW)))
}

// Risk names the level of the score: low, medium, high or severe.
func (s *Segment) Risk(score float64) string {
	return [...]string{"low", "medium", "high", "severe"}[s.risks.highest(score, 0)]
}

// Review says whether the score alone asks for an investigation.
func (s *Segment) Review(score float64) bool { return s.reviewFrom.set && score >= s.reviewFrom.at }

// Reactions gives what the segment asks of the game under an outcome. The slice is shared and must not be changed.
func (s *Segment) Reactions(o pb.Outcome) []Reaction {
	if o < 0 || int(o) >= len(s.reactions) {
		return nil
	}
	return s.reactions[o]
}

//go:embed fallback.yaml
var fallbackYAML []byte

// FallbackPolicy is the policy of a process that has no bundle: no model, so no score, so every decision is a default
// one. It is part of the program, and its hash is in the records made by it.
func FallbackPolicy() *Policy {
	p, err := parsePolicy("fallback.yaml", fallbackYAML, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	p.Phrases = DefaultPhrases()
	return p
}

func policyHash(data []byte) (hash [32]byte, version string) {
	hash = sha256.Sum256(data)
	return hash, hex.EncodeToString(hash[:6])
}
