package features

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pitboss/features/tiles"
)

// Set is a compiled feature set: what a vector consists of, and which groups of events it needs. It is immutable.
type Set struct {
	// Name and Version are as the file says; Hash is SHA-256 of the canonical content, which leaves out both.
	Name, Version string
	Hash          [32]byte
	// Features are in the order of the file, which is the vector's.
	Features []FeatureInfo
	// Groups are in the order of the file.
	Groups []GroupInfo

	plans  []feature
	groups []*group
	// reads are the features that come from each of groups.
	reads []groupReads
	// own are the features of the event itself, sourced those of sources, derived those over others, each after what it
	// needs.
	own, sourced, derived []int
	// settled are those but derived ones whose value may be replaced by what the set wants instead.
	settled []int
	// baselines is how many z-scores there are, pairs how many compare the slots of two entities.
	baselines, pairs int
	// pushed are those whose values are pushed.
	pushed []int
}

// FeatureInfo describes one feature.
type FeatureInfo struct {
	// Name is the feature's.
	Name string
	// Kind is the entity kind whose windows it reads; empty for the event's own values, derived ones and sources.
	Kind string
	// Group names its group, where it has one.
	Group string
	// Aggregate is count, sum, mean, std, cv, min, max, range, top_share, entropy, quantile, decayed_count, decayed_sum,
	// distinct, distinct_large, active_hours, quiet_gap, same_slot_share, time_since, first_seen, last_value, gap_mean, gap_cv, gap_mad, gap_entropy,
	// gap_autocorrelation, gap_share_under, metronome, ngram_count, ratio, zscore, cel, value or source.
	Aggregate string
	// Window is as the ladder names it (1h), where it has one.
	Window string
	// Class says what the aggregate promises (DESIGN.md): integer, semilattice, read_time, value or source.
	Class string
	// ExcludesCurrent says that the event being decided is left out.
	ExcludesCurrent bool
	// Expression is what a derived feature was declared with, and Unlowered what of it runs in cel-go instead of closures: it
	// takes microseconds then, and allocates.
	Expression, Unlowered string
	// Policy says what stands in the vector for values of some statuses, where it is not the value: "late: missing".
	Policy string
	// Exact is how many of its group's events may be newer than t-W for the window to be exact: (t-W, t] to the microsecond.
	// With more, the value is from_tiles. 0 is never.
	Exact int
	// Newest is how many of the newest events of (t-W, t] it looks at; 0 is all that the window covers.
	Newest int
	// Contract says in a sentence what the value is of, and its largest error.
	Contract string
}

// GroupInfo describes one group.
type GroupInfo struct {
	// Name is what the set calls it, Kind the entity kind whose events it counts.
	Name, Kind string
	// Hash is SHA-256 of its canonical content: groups of two sets with one hash share their state.
	Hash [32]byte
	// Windows are those that are kept, shortest first.
	Windows []string
	// WorstBytes bounds what it comes to in the state of one entity, in bytes.
	WorstBytes int
}

// aggregate is how a feature's value is made.
type aggregate uint8

const (
	aggCount aggregate = iota + 1
	aggSum
	aggMean
	aggStd
	aggCV
	aggMin
	aggMax
	aggRange
	aggTopShare
	aggEntropy
	aggQuantile
	aggDecayedCount
	aggDecayedSum
	aggDistinct
	aggDistinctLarge
	aggActiveHours
	aggQuietGap
	aggSameSlotShare
	aggTimeSince
	aggFirstSeen
	// Those of the newest events of a window: aggregate.ofNewest knows the first and the last.
	aggLastValue
	aggGapMean
	aggGapCV
	aggGapMAD
	aggGapEntropy
	aggGapAutocorrelation
	aggGapShareUnder
	aggMetronome
	aggNgramCount

	aggRatio
	aggZScore
	aggCEL
	aggValue
	aggSource
	aggPush
)

func (a aggregate) String() string {
	return aggregateNames[a].name
}

// class is the row of DESIGN.md's class table.
func (a aggregate) class() string { return aggregateNames[a].class }

var aggregateNames = [...]struct{ name, class string }{
	aggCount:              {"count", "integer"},
	aggSum:                {"sum", "integer"},
	aggMean:               {"mean", "integer"},
	aggStd:                {"std", "integer"},
	aggCV:                 {"cv", "integer"},
	aggMin:                {"min", "semilattice"},
	aggMax:                {"max", "semilattice"},
	aggRange:              {"range", "semilattice"},
	aggTopShare:           {"top_share", "integer"},
	aggEntropy:            {"entropy", "integer"},
	aggQuantile:           {"quantile", "integer"},
	aggDecayedCount:       {"decayed_count", "read_time"},
	aggDecayedSum:         {"decayed_sum", "read_time"},
	aggDistinct:           {"distinct", "semilattice"},
	aggDistinctLarge:      {"distinct_large", "semilattice"},
	aggActiveHours:        {"active_hours", "integer"},
	aggQuietGap:           {"quiet_gap", "integer"},
	aggSameSlotShare:      {"same_slot_share", "read_time"},
	aggTimeSince:          {"time_since", "semilattice"},
	aggFirstSeen:          {"first_seen", "semilattice"},
	aggLastValue:          {"last_value", "semilattice"},
	aggGapMean:            {"gap_mean", "semilattice"},
	aggGapCV:              {"gap_cv", "semilattice"},
	aggGapMAD:             {"gap_mad", "semilattice"},
	aggGapEntropy:         {"gap_entropy", "semilattice"},
	aggGapAutocorrelation: {"gap_autocorrelation", "semilattice"},
	aggGapShareUnder:      {"gap_share_under", "semilattice"},
	aggMetronome:          {"metronome", "semilattice"},
	aggNgramCount:         {"ngram_count", "semilattice"},
	aggRatio:              {"ratio", "read_time"},
	aggZScore:             {"zscore", "read_time"},
	aggCEL:                {"cel", "read_time"},
	aggValue:              {"value", "value"},
	aggSource:             {"source", "source"},
	aggPush:               {"push", "source"},
}

// feature is the compiled form of one feature.
type feature struct {
	name    string
	agg     aggregate
	group   int // into Set.groups
	other   int // the same: whose slots are compared with
	window  tiles.Window
	column  int // sum or distinct column, value that is kept, or table
	present int // the column that says how many events have the value: a mean divides by it
	scale   int64
	exclude bool
	// shift is how much earlier the window ends, halfLife a decayed value's, millionths which quantile.
	shift      time.Duration
	halfLife   time.Duration
	millionths uint64
	newest     newest // of the aggregates of the newest events

	field string  // value
	def   float64 // stands for a missing value, NaN without
	on    treatments
	derivation

	source Source
	key    string // source and push

	// push: whose value it is, how it is typed, and how long it lives, in microseconds.
	kind Kind
	typ  FieldType
	ttl  int64
}

// windowed says whether the feature has a window; else it is a time.
func (f *feature) windowed() bool { return f.agg != aggTimeSince && f.agg != aggFirstSeen }

// span is what the feature's window covers.
func (f *feature) span() tiles.Span { return tiles.Span{Window: f.window, Shift: f.shift} }

// groupReads are a group's features, by whether they count the event being decided.
type groupReads struct {
	include, exclude []featureRead
}

// featureRead is what nearly every reading needs of a feature, close together: all of it is several times as large.
type featureRead struct {
	f       *feature
	span    tiles.Span
	scale   float64
	feature int32 // into Set.plans
	column  int32
	present int32
	agg     aggregate
}

func (r *groupReads) add(f *feature, i int) {
	fr := featureRead{
		f: f, span: f.span(), scale: float64(f.scale), feature: int32(i), column: int32(f.column), present: int32(f.present), agg: f.agg,
	}
	if f.exclude {
		r.exclude = append(r.exclude, fr)
	} else {
		r.include = append(r.include, fr)
	}
}

// Sources are the names of the sources that the set reads, sorted.
func (s *Set) Sources() []string {
	var names []string
	for _, i := range s.sourced {
		names = append(names, s.plans[i].source.Name())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// finish computes what follows from the plans: descriptions, the order of reading, the hash.
func (s *Set) finish() {
	s.reads = make([]groupReads, len(s.groups))
	for i := range s.plans {
		f := &s.plans[i]
		if !f.derived() && f.replaced() {
			s.settled = append(s.settled, i)
		}
		info := FeatureInfo{Policy: f.on.String(), Name: f.name, Aggregate: f.agg.String(), Class: f.agg.class(), ExcludesCurrent: f.exclude}
		switch f.agg {
		case aggRatio:
			s.derived = append(s.derived, i)
			info.Expression = s.plans[f.needs[0]].name + " / " + s.plans[f.needs[1]].name
			info.Contract = "missing, or the default, where the latter is 0"
		case aggCEL:
			s.derived = append(s.derived, i)
			info.Expression, info.Unlowered = f.expr, f.program.Unlowered
		case aggValue:
			s.own = append(s.own, i)
			info.Contract = "the event's own " + f.field
		case aggSource:
			s.sourced = append(s.sourced, i)
			info.Contract = fmt.Sprintf("%s of source %s when it is asked; the record keeps the value and the source's version", f.key, f.source.Name())
		case aggPush:
			s.pushed = append(s.pushed, i)
			info.Kind = f.kind.Name
			info.Contract = fmt.Sprintf("the value that was pushed last for this time or before, at most %v old", time.Duration(f.ttl)*time.Microsecond)
		default:
			g := s.groups[f.group]
			info.Kind, info.Group = g.kind.Name, g.name
			info.Contract = f.contract(g)
			if f.windowed() {
				info.Window, info.Newest = f.window.String(), f.newest.last
				switch {
				case f.agg.ofNewest():
				case !f.ofTiles():
					info.Exact = g.exact
				case g.exact > 0:
					info.Contract += "; from_tiles always: " + f.agg.String() + " has no exact form"
				}
			}
			if f.agg == aggZScore {
				f.place, s.baselines = s.baselines, s.baselines+1
				s.derived = append(s.derived, i)
			}
			s.reads[f.group].add(f, i)
			if f.agg == aggSameSlotShare {
				f.place, s.pairs = s.pairs, s.pairs+1
				info.Contract += f.contractOfSlots(g, s.groups[f.other])
				s.reads[f.other].add(f, i)
			}
		}
		s.Features = append(s.Features, info)
	}
	for _, g := range s.groups {
		info := GroupInfo{Name: g.name, Kind: g.kind.Name, Hash: g.hash, WorstBytes: g.worstBytes()}
		for _, w := range g.windows.List() {
			info.Windows = append(info.Windows, w.String())
		}
		s.Groups = append(s.Groups, info)
	}
	s.sortDerived()
	s.Hash = sha256.Sum256([]byte(s.content()))
}

// contract says what the window covers and what else bounds the value.
func (f *feature) contract(g *group) string {
	switch {
	case f.agg.ofNewest():
		return f.newestContract()
	case f.agg == aggTimeSince:
		return "seconds since the newest event by the end of t's second" + g.ttlContract()
	case f.agg == aggFirstSeen:
		return "seconds since the oldest event ever"
	}
	window := f.window.Contract()
	if !f.ofTiles() {
		window.Recent = g.exact
	}
	text := window.String()
	if f.shift > 0 {
		text = f.span().String()
	}
	switch f.agg {
	case aggTopShare, aggEntropy, aggQuantile:
		return text + f.contractOfTable(&g.tables[f.column])
	case aggDecayedCount, aggDecayedSum:
		exact := ""
		if g.exact > 0 {
			exact = ", and where the window is exact by less than 0.04 %, each by its own age"
		}
		return text + fmt.Sprintf("; weighs 2^(-age/%s) by the middle of the step of %s: one event's weight is off by up to %.0f %%%s",
			tiles.DurationText(f.halfLife), tiles.DurationText(f.window.Hop()), float64(100*tiles.DecayError(f.window, f.halfLife)), exact)
	case aggStd, aggCV:
		return text + fmt.Sprintf("; of the population, exact; a value beyond %d times 1/%d counts as absent", int64(maxSquared), f.scale)
	case aggZScore:
		return text + fmt.Sprintf("; in standard deviations from the mean, both exact; missing with fewer than %d values or without any spread", f.minCount)
	case aggDistinctLarge:
		return text + fmt.Sprintf("; an estimate, with a standard error of %.1f %%; leaving an event out is exact among the newest %d", 100*tiles.LargeError, g.layout.Spec().Raw)
	case aggActiveHours:
		return text + "; the hours of UTC with an event in the UTC day that has most of them, 0 to 24"
	case aggQuietGap:
		return text + "; the longest pause in the day of least rest, in seconds of whole hours, at most 24h: a pause is whole hours of UTC without an event, and of all " +
			"24 hours in a row inside the window those count that touch no longer pause; t's own hour is not over and in no pause; a real pause is up to 2h longer"
	case aggMin, aggMax, aggRange:
		return text + fmt.Sprintf("; leaving an event out is exact among the newest %d", g.layout.Spec().Raw)
	default:
		return text
	}
}

func (g *group) ttlContract() string {
	if g.ttl == 0 {
		return ""
	}
	return "; missing once the entity has been silent for " + tiles.DurationText(g.ttl)
}

// content is the canonical text of a set: two files with the same content give the same vectors.
func (s *Set) content() string {
	var b strings.Builder
	b.WriteString("pitboss feature set 1\n")
	for i := range s.plans {
		f := &s.plans[i]
		fmt.Fprintf(&b, "%q %s", f.name, f.agg)
		switch f.agg {
		case aggRatio:
			fmt.Fprintf(&b, " %d %d", f.needs[0], f.needs[1])
		case aggCEL:
			fmt.Fprintf(&b, " %q %d", f.expr, f.needs)
		case aggValue:
			fmt.Fprintf(&b, " %q", f.field)
		case aggSource:
			fmt.Fprintf(&b, " %q %q", f.source.Name(), f.key)
		case aggPush:
			fmt.Fprintf(&b, " %d %q %q type %d ttl %d", f.kind.ID, f.kind.Name, f.key, f.typ, f.ttl)
		default:
			g := s.groups[f.group]
			fmt.Fprintf(&b, " group %x exclude %v", g.hash, f.exclude)
			if f.windowed() {
				fmt.Fprintf(&b, " window %s", f.window)
			}
			if f.agg == aggSameSlotShare {
				fmt.Fprintf(&b, " other %x", s.groups[f.other].hash)
			}
			if f.shift > 0 {
				fmt.Fprintf(&b, " shift %d", int64(f.shift.Seconds()))
			}
			if f.halfLife > 0 {
				fmt.Fprintf(&b, " half %d", int64(f.halfLife.Seconds()))
			}
			switch f.agg {
			case aggTopShare, aggEntropy, aggQuantile:
				fmt.Fprintf(&b, " %s millionths %d", g.tables[f.column].content(), f.millionths)
			case aggZScore:
				fmt.Fprintf(&b, " %q scale %d min %d of %d", g.sums[f.column].field, f.scale, f.minCount, f.needs)
			case aggSum, aggMean, aggStd, aggCV, aggDecayedSum:
				fmt.Fprintf(&b, " %q scale %d", g.sums[f.column].field, f.scale)
			case aggMin, aggMax, aggRange:
				fmt.Fprintf(&b, " %q scale %d", g.kept[f.column-len(g.sums)].field, f.scale)
			case aggDistinct:
				fmt.Fprintf(&b, " %q", g.distincts[f.column].name)
			case aggDistinctLarge:
				fmt.Fprintf(&b, " %q", g.larges[f.column].name)
			default: // a count or a time has no column
			}
			if f.agg.ofNewest() {
				fmt.Fprintf(&b, " last %d", f.newest.last)
			}
			switch f.agg {
			case aggLastValue:
				fmt.Fprintf(&b, " %q scale %d", g.kept[f.column-len(g.sums)].field, f.scale)
			case aggGapShareUnder:
				fmt.Fprintf(&b, " floor %d", f.newest.floor.Microseconds())
			case aggMetronome:
				fmt.Fprintf(&b, " periods %d %d %d", f.newest.from.Microseconds(), f.newest.to.Microseconds(), f.newest.steps)
			case aggNgramCount:
				fmt.Fprintf(&b, " %q ngram %d", g.kept[f.column-len(g.sums)].field, f.newest.ngram)
			default: // a gap has no more
			}
		}
		fmt.Fprintf(&b, " default %x", math.Float64bits(f.def))
		if policy := f.on.String(); policy != "" {
			fmt.Fprintf(&b, " on %s", policy)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// GroupsOf names the set's groups that an event is in, in the order of the file: those whose windows it changes.
func (s *Set) GroupsOf(ev *Event) []string {
	var names []string
	for _, g := range s.groups {
		if _, named := ev.Entity(g.kind.Name); named && g.matches(ev) {
			names = append(names, g.name)
		}
	}
	return names
}
