package features

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"pitboss/features/tiles"
)

// The bounds of a histogram's values, after the scale: 0 to a good thousand billion unless the feature says otherwise.
const defaultHigh, maxHigh = 1 << 40, 1 << 53

// compileTable reads top_share and entropy: of which categories, declared or hashed.
func (c *compiler) compileTable(m yamlMap, what string, i int, g *group) {
	column, ok := c.category(m, what, g)
	if !ok {
		return
	}
	table := tableColumn{name: column.name, kind: column.kind}
	agg := c.set.plans[i].agg
	switch {
	case m.has("categories") == m.has("slots"):
		c.refusef(m.at, "%s: %s needs categories, a list of the values that are told apart (all others are one more), or slots: %d or %d, which they are hashed to",
			what, agg, fewSlots, manySlots)
		return
	case m.has("slots"):
		n, ok := c.integer(m, "slots", what, fewSlots, manySlots)
		if ok && n != fewSlots && n != manySlots {
			c.refusef(m.keyAt("slots"), "%s: slots is %d or %d, not %d", what, fewSlots, manySlots, n)
		}
		table.hashed = int(n)
	case column.kind:
		c.refusef(m.keyAt("categories"), "%s: of a %s only its hash is known: say slots: %d instead of categories", what, column.name, fewSlots)
		return
	default:
		c.categories(m, what, g, &table)
	}
	c.columns = append(c.columns, columnWish{feature: i, table: &table})
}

// categories reads the declared values.
func (c *compiler) categories(m yamlMap, what string, g *group, table *tableColumn) {
	n, _ := m.get("categories")
	values, ok := c.sequence(n, what+": categories")
	if !ok {
		return
	}
	if len(values) == 0 || len(values) > maxCategories {
		c.refusef(m.keyAt("categories"), "%s: categories needs 1 to %d values", what, maxCategories)
		return
	}
	use, ok := c.field(what, table.name, m.keyAt("value"), g)
	if !ok {
		return
	}
	cond := condition{field: table.name}
	for _, v := range values {
		c.matchValue(what, table.name, use, v, &cond)
	}
	slices.Sort(cond.texts)
	slices.Sort(cond.ints)
	table.texts, table.ints = cond.texts, cond.ints
	if len(slices.Compact(slices.Clone(cond.texts)))+len(slices.Compact(slices.Clone(cond.ints))) != len(cond.texts)+len(cond.ints) {
		c.refusef(m.keyAt("categories"), "%s: categories has a value twice", what)
	}
}

// compileLarge reads what is counted by registers.
func (c *compiler) compileLarge(m yamlMap, what string, i int, g *group) {
	if w := c.set.plans[i].window; w.Length() < time.Hour {
		c.refusef(m.keyAt("window"), "%s: an estimate is for many values: over %s take distinct, which is exact up to %d, or a window of 1h or more", what, w, tiles.DistinctCap)
		return
	}
	if column, ok := c.category(m, what, g); ok {
		c.columns = append(c.columns, columnWish{feature: i, large: column})
	}
}

// compileHours asks for the hours of a window of days.
func (c *compiler) compileHours(m yamlMap, what string, f *feature, g *group) {
	if f.window != tiles.W7d && f.window != tiles.W30d {
		c.refusef(m.keyAt("window"), "%s: %s is of the hours of whole days: take a window of 7d or 30d, not %s", what, f.agg, f.window)
		return
	}
	g.hours |= tiles.Windows(f.window)
}

// compileQuantile reads which quantile, and the bounds of the values.
func (c *compiler) compileQuantile(m yamlMap, what string, i int, g *group) {
	f := &c.set.plans[i]
	q, ok := c.number(m, "q", what)
	if !ok {
		return
	}
	f.millionths = uint64(math.RoundToEven(float64(q * 1e6)))
	if !(q > 0 && q < 1) || f.millionths < 1 || f.millionths >= 1e6 {
		c.refusef(m.keyAt("q"), "%s: q is a share between 0 and 1, like 0.95", what)
		return
	}
	if f.window.Length() < time.Hour {
		c.refusef(m.keyAt("window"), "%s: a histogram of the last %s would be one of single events: take a window of 1h or more", what, f.window)
		return
	}
	name, ok := c.amount(m, what, i, g)
	if !ok {
		return
	}
	low, _ := c.integer(m, "min", what, -maxHigh/f.scale, maxHigh/f.scale)
	high, bounded := c.integer(m, "max", what, -maxHigh/f.scale, maxHigh/f.scale)
	table := tableColumn{name: name, scale: f.scale, buckets: tiles.Buckets{Low: low * f.scale, High: high * f.scale}}
	if !bounded {
		table.buckets.High = defaultHigh
	}
	if table.buckets.Low >= table.buckets.High {
		c.refusef(m.at, "%s: min must be less than max", what)
		return
	}
	c.columns = append(c.columns, columnWish{feature: i, table: &table})
}

var spanText = regexp.MustCompile(`^([1-9]\d{0,6})([smhd])$`)

// span reads a duration under a key.
func (c *compiler) span(m yamlMap, key, what string) (time.Duration, bool) {
	text, ok := c.text(m, key, what)
	if !ok {
		return 0, false
	}
	parts := spanText.FindStringSubmatch(text)
	if parts == nil {
		c.refusef(m.keyAt(key), "%s: %s is a number and its unit, s, m, h or d: %s", what, key, "90s, 15m, 6h, 7d")
		return 0, false
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		c.refusef(m.keyAt(key), "%s: %s: %v", what, key, err)
		return 0, false
	}
	return time.Duration(n) * map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[parts[2]], true
}

// compileShift reads how much earlier the window ends.
func (c *compiler) compileShift(m yamlMap, what string, f *feature, g *group) {
	if !m.has("shift") {
		return
	}
	shift, ok := c.span(m, "shift", what)
	if !ok {
		return
	}
	f.shift = shift
	if err := f.span().Check(); err != nil {
		c.refusef(m.keyAt("shift"), "%s: %v", what, err)
		return
	}
	if !slices.Contains(g.shifts, f.span()) {
		g.shifts = append(g.shifts, f.span())
	}
}

// compileHalfLife reads how fast what is older weighs less.
func (c *compiler) compileHalfLife(m yamlMap, what string, f *feature) {
	life, ok := c.span(m, "half_life", what)
	if !ok {
		return
	}
	if least, most := f.window.Hop(), f.window.Length()/2; life < least || life > most {
		c.refusef(m.keyAt("half_life"), "%s: over %s, in steps of %s, a half-life can be %s to %s: take another, or another window", what, f.window, tiles.DurationText(least), tiles.DurationText(least), tiles.DurationText(most))
		return
	}
	f.halfLife = life
}

// notShifted says why an aggregate cannot have a window that ends earlier.
func notShifted(a aggregate) string {
	switch a {
	case aggDistinct, aggDistinctLarge:
		return "of a category only its newest times are kept, and they say nothing of a window that ended before"
	case aggActiveHours, aggQuietGap:
		return "its hours are kept for as long as its own window"
	case aggSameSlotShare:
		return "it is of what happens at the same time as the event"
	case aggTimeSince, aggFirstSeen:
		return "it is a time and has no window"
	case aggMin, aggMax, aggRange:
		return "what is corrected days later cannot be taken out of an extreme"
	case aggDecayedCount, aggDecayedSum:
		return "its weights begin at the evaluation time"
	default:
		return ""
	}
}

// refuseShift says why, and what can be shifted.
func (c *compiler) refuseShift(e yamlEntry, what string, a aggregate) bool {
	why := notShifted(a)
	if e.key != "shift" || why == "" {
		return false
	}
	c.refusef(e.at, "%s: %s cannot be shifted: %s; count, sum, mean, std, cv, top_share, entropy and quantile can", what, a, why)
	return true
}

// category reads an entity kind or a field whose values are told apart.
func (c *compiler) category(m yamlMap, what string, g *group) (distinctColumn, bool) {
	name, ok := c.text(m, "value", what)
	if !ok {
		return distinctColumn{}, false
	}
	column := distinctColumn{name: name}
	if _, column.kind = c.opt.Kinds.Get(name); column.kind {
		return column, true
	}
	at := m.keyAt("value")
	use, ok := c.distinctField(what, name, at, g)
	if !ok {
		return distinctColumn{}, false
	}
	if use.typ != FieldText && !attrName.MatchString(name) {
		c.refusef(at, "%s: %s counts entities of a kind, texts or attributes; %s is neither", what, c.set.plans[len(c.set.plans)-1].agg, name)
		return distinctColumn{}, false
	}
	return column, true
}

// contractOfTable says what bounds a value that is made of a table.
func (f *feature) contractOfTable(c *tableColumn) string {
	switch {
	case f.agg == aggQuantile:
		return fmt.Sprintf("; within %.1f %% of the value; one below %v or above %v counts as that", 100*tiles.BucketError,
			float64(c.buckets.Low)/float64(c.scale), float64(c.buckets.High)/float64(c.scale))
	case c.hashed > 0:
		return fmt.Sprintf("; of %d slots that values are hashed to: different ones can share a slot", c.hashed)
	}
	return fmt.Sprintf("; of %d declared values and all others as one more", c.slots()-1)
}
