package features

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"

	"pitboss/features/tiles"
)

// aggregateRule says which keys a feature of an aggregate has.
type aggregateRule struct {
	agg aggregate
	// needs must be there, takes may be; name, aggregate and default are in each.
	needs, takes []string
	// exclude is what current is when it is not given.
	exclude bool
}

func aggregateRules() []aggregateRule {
	return []aggregateRule{
		{agg: aggCount, needs: []string{"group", "window"}, takes: []string{"current", "shift"}},
		{agg: aggSum, needs: []string{"group", "window", "value"}, takes: []string{"current", "scale", "shift"}},
		{agg: aggMean, needs: []string{"group", "window", "value"}, takes: []string{"current", "scale", "shift"}},
		{agg: aggStd, needs: []string{"group", "window", "value"}, takes: []string{"current", "scale", "shift"}},
		{agg: aggCV, needs: []string{"group", "window", "value"}, takes: []string{"current", "scale", "shift"}},
		{agg: aggMin, needs: []string{"group", "window", "value"}, takes: []string{"current", "scale"}},
		{agg: aggMax, needs: []string{"group", "window", "value"}, takes: []string{"current", "scale"}},
		{agg: aggRange, needs: []string{"group", "window", "value"}, takes: []string{"current", "scale"}},
		{agg: aggTopShare, needs: []string{"group", "window", "value"}, takes: []string{"current", "categories", "slots", "shift"}},
		{agg: aggEntropy, needs: []string{"group", "window", "value"}, takes: []string{"current", "categories", "slots", "shift"}},
		{agg: aggQuantile, needs: []string{"group", "window", "value", "q"}, takes: []string{"current", "scale", "min", "max", "shift"}},
		{agg: aggDecayedCount, needs: []string{"group", "window", "half_life"}, takes: []string{"current"}},
		{agg: aggDecayedSum, needs: []string{"group", "window", "half_life", "value"}, takes: []string{"current", "scale"}},
		{agg: aggDistinct, needs: []string{"group", "window", "value"}, takes: []string{"current"}},
		{agg: aggDistinctLarge, needs: []string{"group", "window", "value"}, takes: []string{"current"}},
		{agg: aggActiveHours, needs: []string{"group", "window"}, takes: []string{"current"}},
		{agg: aggQuietGap, needs: []string{"group", "window"}, takes: []string{"current"}},
		{agg: aggSameSlotShare, needs: []string{"group", "other", "window"}, takes: []string{"current"}},
		{agg: aggTimeSince, needs: []string{"group"}, takes: []string{"current"}, exclude: true},
		{agg: aggFirstSeen, needs: []string{"group"}, takes: []string{"current"}},
		{agg: aggLastValue, needs: []string{"group", "window", "value"}, takes: []string{"current", "scale", "nth"}},
		{agg: aggGapMean, needs: []string{"group", "window", "last"}, takes: []string{"current"}},
		{agg: aggGapCV, needs: []string{"group", "window", "last"}, takes: []string{"current"}},
		{agg: aggGapMAD, needs: []string{"group", "window", "last"}, takes: []string{"current"}},
		{agg: aggGapEntropy, needs: []string{"group", "window", "last"}, takes: []string{"current"}},
		{agg: aggGapAutocorrelation, needs: []string{"group", "window", "last"}, takes: []string{"current"}},
		{agg: aggGapShareUnder, needs: []string{"group", "window", "last", "floor"}, takes: []string{"current"}},
		{agg: aggMetronome, needs: []string{"group", "window", "last", "periods"}, takes: []string{"current"}},
		{agg: aggNgramCount, needs: []string{"group", "window", "last", "value", "ngram"}, takes: []string{"current"}},
		{agg: aggRatio, needs: []string{"numerator", "denominator"}},
		{agg: aggZScore, needs: []string{"group", "window", "value"}, takes: []string{"of", "min_count", "current", "scale", "shift"}, exclude: true},
		{agg: aggCEL, needs: []string{"expr"}},
		{agg: aggValue, needs: []string{"value"}},
	}
}

// The values that aggregate: value makes of the evaluation time, in UTC.
const (
	hourOfDay = "hour_of_day" // 0 to 23
	dayOfWeek = "day_of_week" // 0 is Monday, 6 Sunday
)

func (c *compiler) compileFeatures(root yamlMap, limit int) {
	n, ok := root.get("features")
	if !ok {
		c.refusef(root.at, "the feature set must have features")
		return
	}
	list, ok := c.sequence(n, "features")
	if !ok {
		return
	}
	if len(list) == 0 {
		c.refusef(n.GetToken(), "the feature set must have at least one feature")
	}
	if len(list) > limit {
		c.refusef(root.keyAt("features"), "the set has %d features, more than %d: a vector then takes longer than its budget; say max_features: %d if that is meant",
			len(list), limit, len(list))
		return
	}
	for _, n := range list {
		m, ok := c.mapping(n, "a feature")
		if ok {
			c.compileFeature(m)
		}
	}
}

func (c *compiler) compileFeature(m yamlMap) {
	name, ok := c.text(m, "name", "a feature")
	if !ok {
		return
	}
	if !setName.MatchString(name) {
		c.refusef(m.keyAt("name"), "feature name %q must match %s", name, setName)
		return
	}
	if _, ok := c.featureIndex[name]; ok {
		c.refusef(m.keyAt("name"), "feature %s is declared twice", name)
		return
	}
	f := feature{name: name, def: nan(), scale: 1, on: c.on}
	c.featureIndex[name] = len(c.set.plans)
	if v, ok := c.number(m, "default", "feature "+name); ok {
		f.def = v
	}
	c.compilePolicy(m, "feature "+name, &f.on, m.has("default"))
	c.set.plans = append(c.set.plans, f)
	if _, ok := m.get("source"); ok {
		c.compileSource(m, name)
		return
	}
	c.compileAggregate(m, name)
}

func (c *compiler) compileSource(m yamlMap, name string) {
	what := "feature " + name
	if source, _ := c.text(m, "source", what); source == pushSource {
		c.compilePush(m, what, name)
		return
	}
	c.only(m, what, "name", "source", "key", "default", "on")
	sourceName, ok1 := c.text(m, "source", what)
	key, ok2 := c.text(m, "key", what)
	if !ok1 || !ok2 {
		return
	}
	var names []string
	for _, s := range c.opt.Sources {
		names = append(names, s.Name())
	}
	i := slices.Index(names, sourceName)
	if i < 0 {
		c.refusef(m.keyAt("source"), "%s: no source %q is configured%s: there are %s", what, sourceName, meant(sourceName, names), listOr(names, "none"))
		return
	}
	if err := c.opt.Sources[i].Check(key); err != nil {
		c.refusef(m.keyAt("key"), "%s: source %s has no value %q: %v", what, sourceName, key, err)
		return
	}
	f := &c.set.plans[len(c.set.plans)-1]
	f.agg, f.source, f.key = aggSource, c.opt.Sources[i], key
}

func listOr(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

func (c *compiler) compileAggregate(m yamlMap, name string) {
	what := "feature " + name
	text, ok := c.text(m, "aggregate", what)
	if !ok {
		return
	}
	var names []string
	for _, rule := range aggregateRules() {
		if rule.agg.String() == text {
			c.compileRule(m, what, rule)
			return
		}
		names = append(names, rule.agg.String())
	}
	c.refusef(m.keyAt("aggregate"), "%s: unknown aggregate %q%s: there are %s, or give a source", what, text, meant(text, names), strings.Join(names, ", "))
}

func (c *compiler) compileRule(m yamlMap, what string, rule aggregateRule) {
	before := len(c.errs)
	keys := slices.Concat([]string{"name", "aggregate"}, rule.needs, rule.takes, []string{"default", "on"})
	for _, e := range m.entries {
		if !slices.Contains(keys, e.key) && !c.refuseShift(e, what, rule.agg) {
			c.refusef(e.at, "%s: %s takes no %q%s: its keys are %s", what, rule.agg, e.key, meant(e.key, keys), strings.Join(keys, ", "))
		}
	}
	for _, key := range rule.needs {
		if _, ok := m.get(key); !ok {
			c.refusef(m.at, "%s: %s needs %s", what, rule.agg, key)
		}
	}
	if len(c.errs) > before {
		return
	}
	i := len(c.set.plans) - 1
	f := &c.set.plans[i]
	f.agg, f.exclude = rule.agg, rule.exclude
	switch rule.agg {
	case aggRatio:
		c.compileRatio(m, what, i)
	case aggCEL:
		c.compileCEL(m, what, i)
	case aggValue:
		c.compileValue(m, what, f)
	default:
		c.compileWindowed(m, what, i)
	}
}

func (c *compiler) compileValue(m yamlMap, what string, f *feature) {
	name, ok := c.text(m, "value", what)
	if !ok {
		return
	}
	f.field = name
	if name == hourOfDay || name == dayOfWeek {
		return
	}
	at := m.keyAt("value")
	use, ok := c.field(what, name, at, nil)
	if !ok {
		return
	}
	switch {
	case use.typ == FieldText:
		c.refusef(at, "%s: %s is text, and a vector holds numbers: count it with a match, or use distinct", what, name)
	case use.mixed:
		c.refusef(at, "%s: %s is a number in some event types and text or an amount in others: name an attribute instead", what, name)
	case use.money:
		c.refusef(at, "%s: %s mixes currencies: use %s_base", what, name, name)
	}
}

func (c *compiler) compileWindowed(m yamlMap, what string, i int) {
	f := &c.set.plans[i]
	var ok bool
	if f.group, ok = c.groupNamed(m, "group", what); !ok {
		return
	}
	g := c.set.groups[f.group]
	c.compileCurrent(m, what, f)
	if f.agg == aggFirstSeen && g.ttl > 0 {
		c.refusef(m.keyAt("aggregate"), "%s: the entities of group %s are forgotten (ttl %v), and with them when they were first seen: name a group of the same events without a ttl", what, g.name, g.ttl)
		return
	}
	if !f.windowed() {
		g.last = true
		return
	}
	window, ok := c.text(m, "window", what)
	if !ok {
		return
	}
	w, err := tiles.ParseWindow(window)
	if err != nil {
		c.refusef(m.keyAt("window"), "%s: %v", what, err)
		return
	}
	if g.ttl > 0 && w.Length() > g.ttl {
		c.refusef(m.keyAt("window"), "%s: window %s is longer than the entities of group %s live (ttl %v): take a shorter window or a longer ttl", what, w, g.name, g.ttl)
		return
	}
	f.window = w
	g.windows |= tiles.Windows(w)
	if f.agg.ofNewest() {
		c.compileNewest(m, what, i, g)
		return
	}
	c.compileShift(m, what, f, g)
	switch f.agg {
	case aggSum, aggMean, aggStd, aggCV, aggMin, aggMax, aggRange:
		c.compileAmount(m, what, i, g)
	case aggZScore:
		c.compileZScore(m, what, i, g)
	case aggDecayedCount:
		c.compileHalfLife(m, what, f)
	case aggDecayedSum:
		c.compileHalfLife(m, what, f)
		c.compileAmount(m, what, i, g)
	case aggDistinctLarge:
		c.compileLarge(m, what, i, g)
	case aggActiveHours, aggQuietGap:
		c.compileHours(m, what, f, g)
	case aggSameSlotShare:
		c.compileSlots(m, what, f, g)
	case aggTopShare, aggEntropy:
		c.compileTable(m, what, i, g)
	case aggQuantile:
		c.compileQuantile(m, what, i, g)
	case aggDistinct:
		c.compileDistinct(m, what, i, g)
	default: // a count takes no value
	}
}

// groupNamed finds the group that a key names.
func (c *compiler) groupNamed(m yamlMap, key, what string) (int, bool) {
	name, ok := c.text(m, key, what)
	if !ok {
		return 0, false
	}
	if at, ok := c.groupIndex[name]; ok {
		return at, true
	}
	var names []string
	for _, g := range c.set.groups {
		names = append(names, g.name)
	}
	c.refusef(m.keyAt(key), "%s: there is no group %q%s: there are %s", what, name, meant(name, names), listOr(names, "none"))
	return 0, false
}

func (c *compiler) compileCurrent(m yamlMap, what string, f *feature) {
	current, ok := c.text(m, "current", what)
	switch {
	case !ok || current == "":
	case current == "include":
		f.exclude = false
	case current == "exclude":
		f.exclude = true
	default:
		c.refusef(m.keyAt("current"), "%s: current is include or exclude, not %q", what, current)
	}
}

// compileAmount reads what is summed, or whose smallest or largest is wanted: a number, which is an integer inside.
func (c *compiler) compileAmount(m yamlMap, what string, i int, g *group) {
	if name, ok := c.amount(m, what, i, g); ok {
		f := &c.set.plans[i]
		c.wishAmount(f, i, sumColumn{field: name, scale: f.scale})
	}
}

// amount reads a number's field, and its scale into the feature.
func (c *compiler) amount(m yamlMap, what string, i int, g *group) (string, bool) {
	name, ok := c.text(m, "value", what)
	if !ok {
		return "", false
	}
	at := m.keyAt("value")
	use, ok := c.field(what, name, at, g)
	if !ok {
		return "", false
	}
	scale, scaled := c.integer(m, "scale", what, 1, maxScale)
	f := &c.set.plans[i]
	switch {
	case use.typ == FieldText:
		c.refusef(at, "%s: %s is text: use count with a match, or distinct", what, name)
		return "", false
	case use.mixed:
		c.refusef(at, "%s: %s is not the same kind of value in all event types of group %s: match the types that are meant", what, name, g.name)
		return "", false
	case use.money && !fixesCurrency(g, use.currency):
		c.refusef(at, "%s: %s mixes currencies: use %s_base, or give group %s one currency (match: {%s: EUR})", what, name, name, g.name, use.currency)
		return "", false
	case !scaled && m.has("scale"):
		return "", false // refused already
	case !scaled && needsScale(name, use):
		c.refusef(at, "%s: %s may have digits after the point, and sums are exact: say scale: 100 to keep two of them, or scale: 1 for integers", what, name)
		return "", false
	}
	if scaled {
		f.scale = scale
	}
	return name, true
}

// wishAmount asks for the columns that an aggregate of a number needs.
func (c *compiler) wishAmount(f *feature, i int, sum sumColumn) {
	wish := func(w columnWish) {
		w.feature = i
		c.columns = append(c.columns, w)
	}
	switch f.agg {
	case aggLastValue:
		wish(columnWish{kept: keptColumn{field: sum.field, scale: sum.scale}})
		return
	case aggMin, aggMax, aggRange:
		wish(columnWish{kept: keptColumn{field: sum.field, scale: sum.scale, low: f.agg != aggMax, high: f.agg != aggMin}})
		return
	case aggStd, aggCV, aggZScore:
		wish(columnWish{square: sum})
	default: // a sum alone, or with what a mean divides by
	}
	wish(columnWish{sum: sum})
	if f.agg != aggSum && f.agg != aggDecayedSum {
		wish(columnWish{sum: sumColumn{field: sum.field, scale: sum.scale, presence: true}})
	}
}

func fixesCurrency(g *group, field string) bool {
	return slices.ContainsFunc(g.match, func(c condition) bool { return c.field == field && len(c.texts) == 1 })
}

// needsScale says whether a value may be no integer. An attribute can be anything, but for money in the base currency.
func needsScale(name string, use fieldUse) bool {
	return use.typ == FieldNumber || strings.HasPrefix(name, attrPrefix) && !strings.HasSuffix(name, "_base")
}

func (c *compiler) compileDistinct(m yamlMap, what string, i int, g *group) {
	if column, ok := c.category(m, what, g); ok {
		c.columns = append(c.columns, columnWish{feature: i, distinct: column})
	}
}

// distinctField is field, with a message that names the kinds too.
func (c *compiler) distinctField(what, name string, at *token.Token, g *group) (fieldUse, bool) {
	if _, ok := c.opt.Kinds.tables.types[name]; !ok && !attrName.MatchString(name) {
		names := c.kindNames()
		c.refusef(at, "%s: %q is neither an entity kind%s nor a field of an event", what, name, meant(name, names))
		return fieldUse{}, false
	}
	return c.field(what, name, at, g)
}
