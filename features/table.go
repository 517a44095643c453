package features

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"pitboss/features/tiles"
)

// tableColumn is one slot per event: a declared category, a category's hash, or a bucket of a value. It is one of three.
type tableColumn struct {
	name string
	kind bool // name is an entity kind, else a field

	// texts and ints are declared categories, sorted; all others share the slot after them.
	texts []string
	ints  []int64
	// hashed is how many slots categories are hashed to, 0 where they are declared.
	hashed int
	// scale makes the value an integer, and buckets bound it; 0 where categories are counted.
	scale   int64
	buckets tiles.Buckets
}

// The slots that categories can be hashed to. More would be a distinct count.
const fewSlots, manySlots = 16, 32

// maxCategories bounds the categories that a table declares.
const maxCategories = 64

// slots is how many slots the column has.
func (c *tableColumn) slots() int {
	switch {
	case c.scale > 0:
		return c.buckets.Slots()
	case c.hashed > 0:
		return c.hashed
	}
	return len(c.texts) + len(c.ints) + 1
}

// slot gives the event's slot. What is stored depends on it: it never changes.
func (c *tableColumn) slot(ev *Event) int32 {
	switch {
	case c.scale > 0:
		v, ok := scaled(ev, c.name, c.scale)
		if !ok {
			return tiles.NoSlot
		}
		return c.buckets.Slot(v)
	case c.hashed > 0:
		column := distinctColumn{name: c.name, kind: c.kind}
		hash := column.category(ev)
		if hash == 0 {
			return tiles.NoSlot
		}
		return int32(hash % uint64(c.hashed))
	}
	f, ok := ev.Field(c.name)
	if !ok {
		return tiles.NoSlot
	}
	var at int
	switch f.Type {
	case FieldText:
		at = slices.Index(c.texts, f.Text)
	case FieldInt, FieldBool:
		at = c.intAt(func(v int64) bool { return v == f.Int })
	default:
		at = c.intAt(func(v int64) bool { return float64(v) == f.Number })
	}
	if at < 0 {
		at = len(c.texts) + len(c.ints)
	}
	return int32(at)
}

// intAt gives the slot of a declared integer, -1 without.
func (c *tableColumn) intAt(is func(int64) bool) int {
	at := slices.IndexFunc(c.ints, is)
	if at < 0 {
		return -1
	}
	return len(c.texts) + at
}

// content is the column's canonical text.
func (c *tableColumn) content() string {
	switch {
	case c.scale > 0:
		return fmt.Sprintf("histogram %q %d %d %d", c.name, c.scale, c.buckets.Low, c.buckets.High)
	case c.hashed > 0:
		return fmt.Sprintf("slots %q %v %d", c.name, c.kind, c.hashed)
	}
	return fmt.Sprintf("categories %q %q %d", c.name, c.texts, c.ints)
}

// indexTable gives the place of a column among others, -1 without.
func indexTable(among []tableColumn, c *tableColumn) int {
	return slices.IndexFunc(among, func(o tableColumn) bool { return o.content() == c.content() })
}

func compareTables(a, b tableColumn) int { return strings.Compare(a.content(), b.content()) }

// share is the most frequent category's share of the events that have one, or how even they are: entropy in bits.
func (f *feature) share(r *tiles.Reading) (float64, Status) {
	top, all := r.Top(f.span(), f.column)
	if all <= 0 {
		return math.NaN(), Missing
	}
	if f.agg == aggEntropy {
		return r.Entropy(f.span(), f.column), Present
	}
	return float64(top) / float64(all), Present
}

// quantile is the middle of the bucket that the quantile lies in.
func (f *feature) quantile(g *group, r *tiles.Reading) (float64, Status) {
	slot := r.Quantile(f.span(), f.column, f.millionths)
	if slot == tiles.NoSlot {
		return math.NaN(), Missing
	}
	return g.tables[f.column].buckets.Value(slot) / float64(f.scale), Present
}
