package features

import (
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/goccy/go-yaml/ast"

	"pitboss/features/rhythm"
	"pitboss/features/tiles"
)

// maxNgram bounds the values of an n-gram.
const maxNgram = 8

// newest are what an aggregate of a window's newest events asks for.
type newest struct {
	// last is how many events are looked at; of last_value, which one, 1 the newest.
	last int
	// floor is what gaps are compared with.
	floor time.Duration
	// from, to, steps and metronome are a grid of periods.
	from, to  time.Duration
	steps     int
	metronome *rhythm.Metronome
	// ngram are the categories that follow each other.
	ngram []int64
}

// compileNewest reads an aggregate of the newest events.
func (c *compiler) compileNewest(m yamlMap, what string, i int, g *group) {
	f := &c.set.plans[i]
	key := "last"
	if f.agg == aggLastValue {
		key, f.newest.last = "nth", 1
	}
	if n, ok := c.integer(m, key, what, 1, tiles.MaxRaw); ok {
		f.newest.last = int(n)
	}
	g.newest = max(g.newest, f.newest.last)
	switch f.agg {
	case aggLastValue:
		c.compileAmount(m, what, i, g)
	case aggGapShareUnder:
		f.newest.floor, _ = c.duration(m, "floor", what, time.Millisecond, 24*time.Hour)
	case aggMetronome:
		c.compileMetronome(m, what, f)
	case aggNgramCount:
		c.compileNgram(m, what, i, g)
	default: // gaps alone
	}
}

// duration reads a duration between bounds; ok is false where it is missing or refused.
func (c *compiler) duration(m yamlMap, key, what string, low, high time.Duration) (time.Duration, bool) {
	text, ok := c.text(m, key, what)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < low || d > high || d%time.Microsecond != 0 {
		c.refusef(m.keyAt(key), "%s: %s must be a duration from %s to %s, such as 250ms or 2s", what, key, low, high)
		return 0, false
	}
	return d, true
}

func (c *compiler) compileMetronome(m yamlMap, what string, f *feature) {
	n, _ := m.get("periods")
	what += ": periods"
	grid, ok := c.mapping(n, what)
	if !ok {
		return
	}
	c.only(grid, what, "from", "to", "steps")
	for _, key := range []string{"from", "to", "steps"} {
		if !grid.has(key) {
			c.refusef(grid.at, "%s need from, to and steps: {from: 300ms, to: 10s, steps: 64}", what)
			return
		}
	}
	from, ok1 := c.duration(grid, "from", what, rhythm.MinPeriod, rhythm.MaxPeriod)
	to, ok2 := c.duration(grid, "to", what, rhythm.MinPeriod, rhythm.MaxPeriod)
	steps, ok3 := c.integer(grid, "steps", what, 1, rhythm.MaxPeriods)
	if !ok1 || !ok2 || !ok3 {
		return
	}
	if work := f.newest.last * int(steps); work > rhythm.MaxWork {
		c.refusef(grid.keyAt("steps"), "%s: %d steps for %d events are more than the 20 us of a metronome: at most %d steps fit, or fewer events (last)",
			what, steps, f.newest.last, rhythm.MaxWork/f.newest.last)
		return
	}
	metronome, err := rhythm.NewMetronome(from, to, int(steps))
	if err != nil {
		c.refusef(grid.keyAt("from"), "%s: %v", what, err)
		return
	}
	f.newest.from, f.newest.to, f.newest.steps, f.newest.metronome = from, to, int(steps), metronome
}

func (c *compiler) compileNgram(m yamlMap, what string, i int, g *group) {
	name, ok := c.text(m, "value", what)
	if !ok {
		return
	}
	use, ok := c.field(what, name, m.keyAt("value"), g)
	if !ok {
		return
	}
	if use.typ == FieldNumber || use.mixed || use.money {
		c.refusef(m.keyAt("value"), "%s: n-grams are of texts, integers and flags, and %s is no such field: use an attribute", what, name)
		return
	}
	n, _ := m.get("ngram")
	list, ok := c.sequence(n, what+": ngram")
	if !ok {
		return
	}
	if len(list) < 2 || len(list) > maxNgram {
		c.refusef(m.keyAt("ngram"), "%s: an n-gram has 2 to %d values, such as [bet, bonus]", what, maxNgram)
		return
	}
	cond := condition{field: name}
	for _, v := range list {
		before := len(cond.texts) + len(cond.ints)
		c.matchValue(what, name, use, v, &cond)
		if len(cond.texts)+len(cond.ints) > before {
			c.set.plans[i].newest.ngram = append(c.set.plans[i].newest.ngram, categoryOf(v, &cond))
		}
	}
	c.columns = append(c.columns, columnWish{feature: i, kept: keptColumn{field: name, scale: 1, category: true}})
}

// categoryOf gives the category of a condition's newest value.
func categoryOf(n ast.Node, cond *condition) int64 {
	if _, ok := n.(*ast.StringNode); ok {
		return textCategory(cond.texts[len(cond.texts)-1])
	}
	return integerCategory(cond.ints[len(cond.ints)-1])
}

// The categories of texts and integers, as raw contributions keep them. They are in stored state: they never change.
func textCategory(text string) int64    { return keepable(xxhash.Sum64String(text)) }
func integerCategory(value int64) int64 { return keepable(mix64(uint64(value))) }

// keepable keeps a category apart from no value.
func keepable(hash uint64) int64 { return max(int64(hash), tiles.NoValue+1) }

// value gives the column's integer of an event; false where it has none.
func (c keptColumn) value(ev *Event) (int64, bool) {
	if !c.category {
		return scaled(ev, c.field, c.scale)
	}
	f, ok := ev.Field(c.field)
	switch {
	case !ok:
		return 0, false
	case f.Type == FieldText:
		return textCategory(f.Text), true
	case f.Type == FieldNumber:
		v := int64(f.Number)
		return integerCategory(v), float64(v) == f.Number // as a match holds: an integer, however it is written
	}
	return integerCategory(f.Int), true
}

// ofNewest says whether an aggregate is one of the newest events of a window.
func (a aggregate) ofNewest() bool {
	return a >= aggLastValue && a <= aggNgramCount
}

// newestContract says which events an aggregate of the newest ones looks at.
func (f *feature) newestContract() string {
	w := f.window
	switch f.agg {
	case aggLastValue:
		return fmt.Sprintf("%s: event %d of (t-%s, t], counted from the newest", w, f.newest.last, w)
	case aggMetronome:
		return fmt.Sprintf("%s: the newest %d events of (t-%s, t], capped with more; %d periods from %s to %s of which they span eight", w,
			f.newest.last, w, f.newest.steps, f.newest.from, f.newest.to)
	default:
		return fmt.Sprintf("%s: the newest %d events of (t-%s, t], capped with more", w, f.newest.last, w)
	}
}
