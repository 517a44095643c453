package features

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"pitboss/features/tiles"
)

// group is the events that aggregates of one entity kind count, and what is kept of them. Its identity is its content:
// two sets that declare the same group share its state, and a changed one starts anew.
type group struct {
	// name is what the set calls it.
	name string
	hash [32]byte
	kind Kind
	// match has the conditions that an event must meet, by field.
	match []condition
	// attempted says that events count that were taken back or blocked.
	attempted bool
	// sums are the integer columns, squares those of them whose squares are summed too, kept the integers that are not
	// summed, distincts the category columns.
	sums      []sumColumn
	squares   []sumColumn
	kept      []keptColumn
	distincts []distinctColumn
	// larges are the category columns that are counted by registers.
	larges []distinctColumn
	// tables are the columns that are counted by slot, shifts the windows that end earlier.
	tables       []tableColumn
	tableWindows tiles.WindowSet // over which tables and larges are read
	shifts       []tiles.Span
	hours        tiles.WindowSet // whose hours are told apart
	last         bool
	windows      tiles.WindowSet
	// exact is how many of its newest events are kept as they came, for exact windows; 0 for none.
	exact int
	// newest is how many of its newest events some feature looks at.
	newest int
	// ttl is how long an entity lives after its newest event, 0 for as long as there are windows: an event that comes later
	// than that after it happened is not in the group, and times since are no older.
	ttl    time.Duration
	layout *tiles.Layout
}

// condition holds where the event has the field and its value is one of these.
type condition struct {
	field string
	texts []string
	ints  []int64
}

// sumColumn is one integer per event: a field times scale, or 1 where the event has the field (what a mean divides by).
type sumColumn struct {
	field    string
	scale    int64
	presence bool
}

// maxSquared bounds the values of a column whose squares are summed, so that the sum of a lifetime fits: what a float64
// holds exactly, nine times the largest amount of money. A value beyond it counts as absent.
const maxSquared = 1 << 53

// keptColumn is one integer per event that is not summed, but kept while the event is one of the newest: a field times scale,
// whose smallest or largest may be wanted too, or the category of its value.
type keptColumn struct {
	field     string
	scale     int64
	low, high bool
	category  bool
}

// distinctColumn is one category per event: its entity of a kind, or its value of a field.
type distinctColumn struct {
	name string
	kind bool
}

// types gives the event types that can be in the group, nil for any.
func (g *group) types() []string {
	for i := range g.match {
		if g.match[i].field == "type" {
			return g.match[i].texts
		}
	}
	return nil
}

// matches says whether an event is in the group.
func (g *group) matches(ev *Event) bool {
	if g.expired(ev) {
		return false
	}
	for i := range g.match {
		if !g.match[i].holds(ev) {
			return false
		}
	}
	return true
}

// expired says whether an event came in so late that the entities of the group are no more: whether they are still
// stored must not matter. It is a function of the event.
func (g *group) expired(ev *Event) bool {
	return g.ttl > 0 && ev.ReceivedAt-ev.OccurredAt > g.ttl.Microseconds()
}

func (c *condition) holds(ev *Event) bool {
	f, ok := ev.Field(c.field)
	if !ok {
		return false
	}
	switch f.Type {
	case FieldText:
		return slices.Contains(c.texts, f.Text)
	case FieldInt, FieldBool:
		return slices.Contains(c.ints, f.Int)
	default:
		return slices.ContainsFunc(c.ints, func(v int64) bool { return float64(v) == f.Number })
	}
}

// fill makes the event's contribution to the group. dst's slices have room for every column.
func (g *group) fill(ev *Event, dst *tiles.Contribution) {
	dst.At = ev.OccurredAt
	dst.ID = binary.LittleEndian.Uint32(ev.Key[:])
	dst.Values, dst.Categories, dst.Slots = dst.Values[:0], dst.Categories[:0], dst.Slots[:0]
	for i := range g.sums {
		c := &g.sums[i]
		v, ok := scaled(ev, c.field, c.scale)
		if ok && (v > maxSquared || v < -maxSquared) && g.squared(c) {
			v, ok = 0, false
		}
		if c.presence {
			v = boolInt(ok)
		}
		dst.Values = append(dst.Values, v)
	}
	for i := range g.kept {
		v, ok := g.kept[i].value(ev)
		if !ok {
			v = tiles.NoValue
		}
		dst.Values = append(dst.Values, v)
	}
	for _, c := range g.distincts {
		dst.Categories = append(dst.Categories, c.category(ev))
	}
	for _, c := range g.larges {
		dst.Categories = append(dst.Categories, c.category(ev))
	}
	for i := range g.tables {
		dst.Slots = append(dst.Slots, g.tables[i].slot(ev))
	}
}

// categories is how many categories an event contributes.
func (g *group) categories() int { return len(g.distincts) + len(g.larges) }

// values is how many integers an event contributes.
func (g *group) values() int { return len(g.sums) + len(g.kept) }

// squared says whether the squares of a column, or of the one whose presence it is, are summed.
func (g *group) squared(c *sumColumn) bool {
	return slices.ContainsFunc(g.squares, func(s sumColumn) bool { return s.field == c.field && s.scale == c.scale })
}

// scaled gives a field times scale as an integer; false where the event has none, or one that no integer holds.
func scaled(ev *Event, field string, scale int64) (int64, bool) {
	f, ok := ev.Field(field)
	if !ok {
		return 0, false
	}
	switch f.Type {
	case FieldInt, FieldBool:
		if f.Int > math.MaxInt64/scale || f.Int < -(math.MaxInt64/scale) {
			return 0, false
		}
		return f.Int * scale, true
	case FieldNumber:
		v := math.RoundToEven(f.Number * float64(scale))
		if !(v >= -1<<62 && v <= 1<<62) {
			return 0, false
		}
		return int64(v), true
	default:
		return 0, false
	}
}

// category gives the hash that stands for the event's value; 0 where it has none. The hash is in stored state: it never
// changes.
func (c *distinctColumn) category(ev *Event) uint64 {
	if c.kind {
		ref, ok := ev.Entity(c.name)
		if !ok {
			return 0
		}
		return max(binary.LittleEndian.Uint64(ref.Key.ID[:]), 1)
	}
	f, ok := ev.Field(c.name)
	if !ok {
		return 0
	}
	var h uint64
	switch f.Type {
	case FieldText:
		h = xxhash.Sum64String(f.Text)
	case FieldInt, FieldBool:
		h = mix64(uint64(f.Int))
	default:
		h = mix64(math.Float64bits(f.Number) ^ 0x9e3779b97f4a7c15)
	}
	return max(h, 1)
}

// mix64 spreads an integer over 64 bits (the finalizer of MurmurHash3).
func mix64(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// finish computes what follows from the group's content.
func (g *group) finish() error {
	slices.SortFunc(g.match, func(a, b condition) int { return strings.Compare(a.field, b.field) })
	for i := range g.match {
		slices.Sort(g.match[i].texts)
		slices.Sort(g.match[i].ints)
	}
	layout, err := tiles.NewLayout(g.spec())
	if err != nil {
		return fmt.Errorf("cannot keep its windows: %w", err)
	}
	g.layout = layout
	g.hash = sha256.Sum256([]byte(g.content()))
	return nil
}

// spec is what the group keeps of each entity.
func (g *group) spec() tiles.Spec {
	spec := tiles.Spec{
		Windows: g.windows, Values: g.values(), Sums: len(g.sums), Distincts: len(g.distincts), Last: g.last,
		Recent: max(g.exact, g.newest), Exact: g.exact > 0, Shifts: g.shifts, Larges: len(g.larges), CountWindows: g.tableWindows,
		Hours: g.hours,
	}
	for i := range g.tables {
		spec.Counts = append(spec.Counts, g.tables[i].slots())
	}
	for i := range g.sums {
		if slices.Contains(g.squares, g.sums[i]) {
			spec.Squares |= 1 << i
		}
	}
	for i, c := range g.kept {
		value := tiles.ValueSet(1) << (len(g.sums) + i)
		spec.RawValues |= value
		if c.low {
			spec.Lows |= value
		}
		if c.high {
			spec.Highs |= value
		}
	}
	return spec
}

// content is the canonical text of a group. It leaves the name out. What came later is said only where it is used, so that
// older groups keep their hashes.
func (g *group) content() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pitboss group 1\nentity %d %q\n", g.kind.ID, g.kind.Name)
	for _, c := range g.match {
		fmt.Fprintf(&b, "match %q %q %d\n", c.field, c.texts, c.ints)
	}
	for _, c := range g.sums {
		fmt.Fprintf(&b, "sum %q %d %v\n", c.field, c.scale, c.presence)
	}
	for _, c := range g.distincts {
		fmt.Fprintf(&b, "distinct %q %v\n", c.name, c.kind)
	}
	fmt.Fprintf(&b, "last %v windows %d raw %d\n", g.last, g.windows, g.layout.Spec().Raw)
	for _, c := range g.squares {
		fmt.Fprintf(&b, "square %q %d\n", c.field, c.scale)
	}
	for _, c := range g.kept {
		fmt.Fprintf(&b, "kept %q %d low %v high %v\n", c.field, c.scale, c.low, c.high)
		if c.category {
			b.WriteString("category\n")
		}
	}
	for _, c := range g.larges {
		fmt.Fprintf(&b, "large %q %v windows %d\n", c.name, c.kind, g.tableWindows)
	}
	for i := range g.tables {
		fmt.Fprintf(&b, "%s windows %d\n", g.tables[i].content(), g.tableWindows)
	}
	for _, s := range g.shifts {
		fmt.Fprintf(&b, "shift %s %d\n", s.Window, int64(s.Shift.Seconds()))
	}
	if g.hours != 0 {
		fmt.Fprintf(&b, "hours windows %d\n", g.hours)
	}
	if g.exact > 0 {
		fmt.Fprintf(&b, "exact %d\n", g.exact)
		if len(g.tables) > 0 {
			b.WriteString("exact tables\n") // their slots are kept of each event; before, they were always read from tiles
		}
	}
	if g.newest > 0 {
		fmt.Fprintf(&b, "newest %d\n", g.newest)
	}
	if g.attempted {
		b.WriteString("count attempted\n")
	}
	if g.ttl > 0 {
		fmt.Fprintf(&b, "ttl %d\n", g.ttl.Microseconds())
	}
	return b.String()
}

// short names a group in messages.
func (g *group) short() string { return g.name + " " + hex.EncodeToString(g.hash[:4]) }
