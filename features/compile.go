package features

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"pitboss/features/tiles"
)

// The bounds of a feature set.
const (
	// DefaultMaxFeatures is what a set may declare unless its max_features says more: the vector's budget is made for it.
	DefaultMaxFeatures = 64
	// MaxFeatures and MaxGroups bound what max_features can allow.
	MaxFeatures, MaxGroups = 1024, 64
	maxMatchValues         = 256
	maxScale               = 1_000_000_000
)

var (
	setName   = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	attrName  = regexp.MustCompile(`^attr_[a-z0-9_]{1,80}$`)
	typeName  = regexp.MustCompile(`^custom\.[a-z0-9_.]{1,64}$`)
	versionOK = regexp.MustCompile(`^[A-Za-z0-9._+-]{1,64}$`)
)

// CompileOptions is what a feature set may refer to.
type CompileOptions struct {
	// Kinds are the entity kinds; needed.
	Kinds *Kinds
	// Sources give values from elsewhere, found by Name.
	Sources []Source
}

// CompileSet reads a feature set in format 1. file names it in errors. What is wrong with it is a join of *SetError, one
// for each thing, with line, column and the way out.
func CompileSet(source []byte, file string, opt CompileOptions) (*Set, error) {
	if opt.Kinds == nil {
		return nil, errors.New("cannot compile a feature set without entity kinds")
	}
	c := &compiler{setReader: setReader{file: file}, opt: opt, set: &Set{}, groupIndex: map[string]int{}, featureIndex: map[string]int{}}
	if root, ok := c.root(source); ok {
		c.compile(root)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	return c.set, nil
}

type compiler struct {
	setReader
	opt          CompileOptions
	set          *Set
	groupIndex   map[string]int
	featureIndex map[string]int
	groupAt      []*token.Token
	on           treatments // of the set
	// columns are asked for by feature and placed when all are known, so that their order does not depend on the file's.
	columns []columnWish
	// links are the features that are made of others.
	links []link
}

type columnWish struct {
	feature  int
	sum      sumColumn
	square   sumColumn
	kept     keptColumn
	distinct distinctColumn
	large    distinctColumn
	table    *tableColumn
}

func (c *compiler) compile(root yamlMap) {
	c.only(root, "the feature set", "format", "name", "version", "max_features", "on", "groups", "features")
	if n, ok := root.get("format"); !ok {
		c.refusef(root.at, "the file must say format: 1")
	} else if v, ok := integerOf(n); !ok || v != 1 {
		c.refusef(n.GetToken(), "format must be 1: this build reads no other")
	}
	c.set.Name = c.word(root, "name", setName)
	c.set.Version = c.word(root, "version", versionOK)
	limit := int64(DefaultMaxFeatures)
	if n, ok := c.integer(root, "max_features", "the feature set", 1, MaxFeatures); ok {
		limit = n
	}
	c.compilePolicy(root, "the feature set", &c.on, false)
	c.compileGroups(root)
	c.compileFeatures(root, int(limit))
	if len(c.errs) > 0 {
		return
	}
	c.placeColumns()
	if len(c.errs) == 0 {
		c.boundEntities()
	}
	c.linkDerived()
	if len(c.errs) == 0 {
		c.set.finish()
	}
}

// word reads a needed text of a form.
func (c *compiler) word(m yamlMap, key string, form *regexp.Regexp) string {
	if _, ok := m.get(key); !ok {
		c.refusef(m.at, "the feature set must have a %s", key)
		return ""
	}
	v, ok := c.text(m, key, "the feature set")
	if ok && !form.MatchString(v) {
		c.refusef(m.keyAt(key), "%s %q must match %s", key, v, form)
	}
	return v
}

func (c *compiler) compileGroups(root yamlMap) {
	n, ok := root.get("groups")
	if !ok {
		return // a set of the event's own values needs none
	}
	m, ok := c.mapping(n, "groups")
	if !ok {
		return
	}
	if len(m.entries) > MaxGroups {
		c.refusef(m.at, "the set has %d groups, at most %d can be kept for an entity", len(m.entries), MaxGroups)
		return
	}
	for _, e := range m.entries {
		g := &group{name: e.key}
		if !setName.MatchString(e.key) {
			c.refusef(e.at, "group name %q must match %s", e.key, setName)
		}
		c.groupIndex[e.key] = len(c.set.groups)
		c.set.groups, c.groupAt = append(c.set.groups, g), append(c.groupAt, e.at)
		c.compileGroup(e, g)
	}
}

func (c *compiler) compileGroup(e yamlEntry, g *group) {
	what := "group " + e.key
	m, ok := c.mapping(e.value, what)
	if !ok {
		return
	}
	c.only(m, what, "entity", "match", "exact", "count", "ttl")
	if n, given := c.integer(m, "exact", what, 1, tiles.MaxRaw); given {
		g.exact = int(n)
	}
	c.compileCount(m, what, g)
	c.compileTTL(m, what, g)
	entity, ok := c.text(m, "entity", what)
	switch {
	case ok && entity == "":
		c.refusef(e.at, "%s needs an entity: the kind whose events it counts: %s", what, strings.Join(c.kindNames(), ", "))
	case ok:
		if g.kind, ok = c.opt.Kinds.Get(entity); !ok {
			c.refusef(m.keyAt("entity"), "%s: %q is not an entity kind%s: the kinds are %s", what, entity,
				meant(entity, c.kindNames()), strings.Join(c.kindNames(), ", "))
		}
	}
	n, ok := m.get("match")
	if !ok {
		return
	}
	match, ok := c.mapping(n, what+": match")
	if !ok {
		return
	}
	// The types come first: which fields there are depends on them.
	for _, types := range []bool{true, false} {
		for _, entry := range match.entries {
			if (entry.key == "type") == types {
				c.compileCondition(what, entry, g)
			}
		}
	}
}

// compileCount reads whether events count that were taken back or blocked.
func (c *compiler) compileCount(m yamlMap, what string, g *group) {
	count, ok := c.text(m, "count", what)
	switch {
	case !ok || count == "" || count == "placed":
	case count == "attempted":
		g.attempted = true
	default:
		c.refusef(m.keyAt("count"), "%s: count is placed (without what was rolled back, cancelled or blocked) or attempted (with it), not %q", what, count)
	}
}

// minTTL and maxTTL bound how long an entity may be said to live: beyond the longest window there is nothing to bound.
const minTTL, maxTTL = time.Minute, 30 * 24 * time.Hour

func (c *compiler) compileTTL(m yamlMap, what string, g *group) {
	text, ok := c.text(m, "ttl", what)
	if !ok || text == "" {
		return
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl < minTTL || ttl > maxTTL || ttl%time.Second != 0 {
		c.refusef(m.keyAt("ttl"), "%s: ttl %q must be a time from 1m to 720h in whole seconds, such as 24h: how long an entity lives after its newest event", what, text)
		return
	}
	g.ttl = ttl
}

func (c *compiler) kindNames() []string {
	var names []string
	for _, k := range c.opt.Kinds.All() {
		names = append(names, k.Name)
	}
	return names
}

func (c *compiler) compileCondition(what string, e yamlEntry, g *group) {
	use, ok := c.field(what+": match", e.key, e.at, g)
	if !ok {
		return
	}
	values := []ast.Node{e.value}
	if s, ok := e.value.(*ast.SequenceNode); ok {
		values = s.Values
	}
	if len(values) == 0 || len(values) > maxMatchValues {
		c.refusef(e.at, "%s: match %s needs 1 to %d values", what, e.key, maxMatchValues)
		return
	}
	cond := condition{field: e.key}
	for _, v := range values {
		c.matchValue(what, e.key, use, v, &cond)
	}
	g.match = append(g.match, cond)
}

// matchValue appends one value of a condition, if the field can have it.
func (c *compiler) matchValue(what, field string, use fieldUse, n ast.Node, cond *condition) {
	isText := use.typ == FieldText || use.typ == 0
	isInt := use.typ != FieldText
	switch v := n.(type) {
	case *ast.StringNode:
		if isText {
			c.knownValue(what, field, v.Value, n.GetToken())
			cond.texts = append(cond.texts, v.Value)
			return
		}
	case *ast.BoolNode:
		if use.typ == FieldBool || use.typ == 0 {
			cond.ints = append(cond.ints, boolInt(v.Value))
			return
		}
	case *ast.IntegerNode:
		if i, ok := integerOf(n); ok && isInt && use.typ != FieldBool {
			cond.ints = append(cond.ints, i)
			return
		}
	}
	names := map[FieldType]string{FieldText: "text", FieldInt: "an integer", FieldNumber: "an integer", FieldBool: "true or false", 0: "text, an integer, true or false"}
	c.refusef(n.GetToken(), "%s: match %s must be %s, not %s", what, field, names[use.typ], describeNode(n))
}

// knownValue refuses what no event can have.
func (c *compiler) knownValue(what, field, value string, at *token.Token) {
	switch field {
	case "type":
		types := c.opt.Kinds.tables.typeNames()
		if !slices.Contains(types, value) && !typeName.MatchString(value) {
			c.refusef(at, "%s: %q is no event type%s: see event.proto, or name a custom.* type", what, value, meant(value, types))
		}
	case "trust":
		if value != "server" && value != "client" {
			c.refusef(at, "%s: trust is server or client, not %q", what, value)
		}
	case "address_class", "asn_class":
		classes := []string{"tor", "vpn", "datacenter", "mobile", "eyeball", "unknown"} // of edge.AddressList
		if !slices.Contains(classes, value) {
			c.refusef(at, "%s: %s is one of %s, not %q%s", what, field, strings.Join(classes, ", "), value, meant(value, classes))
		}
	}
}

// field resolves a field's name among the types that a group can match.
func (c *compiler) field(what, name string, at *token.Token, g *group) (fieldUse, bool) {
	if attrName.MatchString(name) {
		return fieldUse{}, true
	}
	tables := c.opt.Kinds.tables
	var types []string
	if g != nil {
		types = g.types()
	}
	use, ok := tables.resolve(name, types)
	if ok {
		return use, true
	}
	if _, elsewhere := tables.types[name]; elsewhere {
		c.refusef(at, "%s: no event of type %s has the field %q", what, strings.Join(types, ", "), name)
		return fieldUse{}, false
	}
	known := slices.Sorted(maps.Keys(tables.types))
	c.refusef(at, "%s: %q is no field of an event%s: use a payload's field (event.proto), type, trust, brand, jurisdiction, "+
		"address_class, country, or attr_NAME for an attribute", what, name, meant(name, known))
	return fieldUse{}, false
}

// placeColumns gives every column its place, in an order that depends on the content alone, and finishes the groups.
func (c *compiler) placeColumns() {
	s := c.set
	for _, w := range c.columns {
		g := s.groups[s.plans[w.feature].group]
		if w.sum.field != "" && !slices.Contains(g.sums, w.sum) {
			g.sums = append(g.sums, w.sum)
		}
		if w.square.field != "" && !slices.Contains(g.squares, w.square) {
			g.squares = append(g.squares, w.square)
		}
		g.keep(w.kept)
		if w.table != nil && indexTable(g.tables, w.table) < 0 {
			g.tables = append(g.tables, *w.table)
		}
		if w.large.name != "" && !slices.Contains(g.larges, w.large) {
			g.larges = append(g.larges, w.large)
		}
		if w.table != nil || w.large.name != "" {
			g.tableWindows |= tiles.Windows(s.plans[w.feature].window)
		}
		if w.distinct.name != "" && !slices.Contains(g.distincts, w.distinct) {
			g.distincts = append(g.distincts, w.distinct)
		}
	}
	for i, g := range s.groups {
		slices.SortFunc(g.sums, compareSums)
		slices.SortFunc(g.squares, compareSums)
		slices.SortFunc(g.kept, func(a, b keptColumn) int {
			return cmp.Or(strings.Compare(a.field, b.field), cmp.Compare(a.scale, b.scale), cmp.Compare(boolInt(a.category), boolInt(b.category)))
		})
		slices.SortFunc(g.distincts, func(a, b distinctColumn) int { return strings.Compare(a.name, b.name) })
		slices.SortFunc(g.larges, func(a, b distinctColumn) int { return strings.Compare(a.name, b.name) })
		slices.SortFunc(g.tables, compareTables)
		slices.SortFunc(g.shifts, func(a, b tiles.Span) int {
			return cmp.Or(cmp.Compare(a.Window, b.Window), cmp.Compare(a.Shift, b.Shift))
		})
		switch {
		case g.windows == 0 && !g.last:
			c.refusef(c.groupAt[i], "group %s is used by no feature: remove it, or give it one", g.name)
			continue
		case g.windows == 0 && g.exact > 0:
			c.refusef(c.groupAt[i], "group %s is exact, which is said of windows, and no feature of it has one: remove exact", g.name)
			continue
		case g.exact > 0 && g.newest > g.exact:
			c.refusef(c.groupAt[i], "group %s keeps its newest %d events, and a feature looks at %d: say exact: %d", g.name, g.exact, g.newest, g.newest)
			continue
		case len(g.sums) > tiles.MaxSums:
			c.refusef(c.groupAt[i], "group %s sums %d values (a mean, std or cv needs two), at most %d fit: split the group", g.name, len(g.sums), tiles.MaxSums)
			continue
		case g.values() > tiles.MaxValues:
			c.refusef(c.groupAt[i], "group %s keeps %d values of an event, at most %d fit: split the group", g.name, g.values(), tiles.MaxValues)
			continue
		case g.categories() > tiles.MaxDistincts:
			c.refusef(c.groupAt[i], "group %s counts %d distinct values, at most %d fit: split the group", g.name, g.categories(), tiles.MaxDistincts)
			continue
		}
		if err := g.finish(); err != nil {
			c.refusef(c.groupAt[i], "group %s: %v", g.name, err)
		}
	}
	for _, w := range c.columns {
		f := &s.plans[w.feature]
		g := s.groups[f.group]
		switch {
		case w.sum.presence:
			f.present = slices.Index(g.sums, w.sum)
		case w.sum.field != "":
			f.column = slices.Index(g.sums, w.sum)
		case w.square.field != "": // found by its sum
		case w.large.name != "":
			f.column = slices.Index(g.larges, w.large)
		case w.table != nil:
			f.column = indexTable(g.tables, w.table)
		case w.kept.field != "":
			f.column = len(g.sums) + slices.IndexFunc(g.kept, w.kept.same)
		default:
			f.column = slices.Index(g.distincts, w.distinct)
		}
	}
}

// boundEntities refuses the group with which what is kept of one entity would not fit its blob. What plan.go refuses beyond is
// of several sets together.
func (c *compiler) boundEntities() {
	total := map[KindID]int{}
	for i := range c.set.plans {
		if f := &c.set.plans[i]; f.agg == aggPush {
			total[f.kind.ID] += pushBytes
		}
	}
	counted := map[[32]byte]bool{}
	for i, g := range c.set.groups {
		if counted[g.hash] {
			continue // two names for one state
		}
		counted[g.hash] = true
		total[g.kind.ID] += g.worstBytes()
		if n := total[g.kind.ID]; n > maxStateBytes {
			c.refusef(c.groupAt[i], "group %s: it keeps up to %d KB of a %s, which makes %d KB with the groups before it, and at most %d KB fit: %s",
				g.name, g.worstBytes()/1000, g.kind.Name, n/1000, maxStateBytes/1000, fewerBytes)
		}
	}
}

// fewerBytes is what makes a group smaller.
const fewerBytes = "give its groups fewer sums and windows, and its tables fewer slots (a lower max, where it is a quantile's)"

// keep adds a column, or to one that is there what more is wanted of it.
func (g *group) keep(c keptColumn) {
	if c.field == "" {
		return
	}
	if i := slices.IndexFunc(g.kept, c.same); i >= 0 {
		g.kept[i].low, g.kept[i].high = g.kept[i].low || c.low, g.kept[i].high || c.high
		return
	}
	g.kept = append(g.kept, c)
}

func (c keptColumn) same(o keptColumn) bool {
	return c.field == o.field && c.scale == o.scale && c.category == o.category
}

func compareSums(a, b sumColumn) int {
	if n := strings.Compare(a.field, b.field); n != 0 {
		return n
	}
	if a.presence != b.presence {
		return int(boolInt(a.presence) - boolInt(b.presence))
	}
	return int(max(-1, min(1, a.scale-b.scale)))
}

// nan is the default of a feature that has none.
func nan() float64 { return math.NaN() }
