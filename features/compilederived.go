package features

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"

	"pitboss/features/derived"
)

// link is a feature that is made of others, with what its keys name: they can stand after it in the file.
type link struct {
	feature int
	names   []linkName
	// exprAt is where a CEL expression stands.
	exprAt *token.Token
}

type linkName struct {
	role, name string
	at         *token.Token
}

func (c *compiler) compileRatio(m yamlMap, what string, i int) {
	num, ok1 := c.text(m, "numerator", what)
	den, ok2 := c.text(m, "denominator", what)
	if ok1 && ok2 {
		c.links = append(c.links, link{feature: i, names: []linkName{
			{"numerator", num, m.keyAt("numerator")}, {"denominator", den, m.keyAt("denominator")},
		}})
	}
}

func (c *compiler) compileCEL(m yamlMap, what string, i int) {
	expr, ok := c.text(m, "expr", what)
	if !ok {
		return
	}
	c.set.plans[i].expr = expr
	c.links = append(c.links, link{feature: i, exprAt: m.keyAt("expr")})
}

// How many values a z-score's baseline needs: of fewer, a standard deviation says little.
const defaultMinCount, maxMinCount = 5, 1_000_000

// compileZScore reads a baseline, and which feature is compared with it, if it is not the event's own value.
func (c *compiler) compileZScore(m yamlMap, what string, i int, g *group) {
	c.compileAmount(m, what, i, g)
	c.set.plans[i].minCount = defaultMinCount
	if n, ok := c.integer(m, "min_count", what, 2, maxMinCount); ok {
		c.set.plans[i].minCount = n
	}
	if of, ok := c.text(m, "of", what); ok && of != "" {
		c.links = append(c.links, link{feature: i, names: []linkName{{"of", of, m.keyAt("of")}}})
	}
}

// linkDerived finds what features that are made of others refer to, and refuses cycles.
func (c *compiler) linkDerived() {
	for _, l := range c.links {
		f := &c.set.plans[l.feature]
		for _, n := range l.names {
			f.needs = append(f.needs, c.linked(f.name, n))
		}
		if l.exprAt != nil {
			c.linkExpression(l)
		}
	}
	if len(c.errs) > 0 {
		return
	}
	const visiting, done = 1, 2
	state := map[int]int{}
	var visit func(i int, at *token.Token, trail []string)
	visit = func(i int, at *token.Token, trail []string) {
		f := &c.set.plans[i]
		if state[i] == done || len(c.errs) > 0 {
			return
		}
		trail = append(trail, f.name)
		if state[i] == visiting {
			c.refusef(at, "feature %s: features go round: %s", f.name, strings.Join(trail, " -> "))
			return
		}
		state[i] = visiting
		for _, n := range f.needs {
			visit(n, at, trail)
		}
		state[i] = done
	}
	for _, l := range c.links {
		visit(l.feature, l.at(), nil)
	}
}

// at is where the first of a feature's references stands.
func (l *link) at() *token.Token {
	if l.exprAt != nil {
		return l.exprAt
	}
	return l.names[0].at
}

func (c *compiler) linked(name string, l linkName) int {
	i, ok := c.featureIndex[l.name]
	if !ok {
		c.refusef(l.at, "feature %s: %s %q is no feature of this set%s", name, l.role, l.name, meant(l.name, slices.Sorted(maps.Keys(c.featureIndex))))
		return 0
	}
	return i
}

// linkExpression parses and type-checks an expression, now that all features are known.
func (c *compiler) linkExpression(l link) {
	f := &c.set.plans[l.feature]
	program, err := derived.Compile(f.expr, c.resolveInput)
	if err != nil {
		c.refusef(l.exprAt, "feature %s: expr: %v", f.name, err)
		return
	}
	f.program = program
	for _, in := range program.Inputs {
		at, ok := c.featureIndex[in.Name]
		if !ok {
			at = ofEvent
		} else {
			f.needs = append(f.needs, at)
		}
		f.inputs = append(f.inputs, at)
	}
	if len(f.needs) == 0 {
		c.refusef(l.exprAt, "feature %s: expr reads no feature: take aggregate: value for what is the event's own", f.name)
	}
}

// resolveInput says what a name in an expression is: a feature, or event.FIELD.
func (c *compiler) resolveInput(name string) (derived.Kind, error) {
	field, own := strings.CutPrefix(name, derived.Event)
	if !own {
		if _, ok := c.featureIndex[name]; ok {
			return derived.Number, nil
		}
		return 0, fmt.Errorf("%q is no feature of this set%s: the event's own values are event.FIELD, and there are no variables",
			name, meant(name, slices.Sorted(maps.Keys(c.featureIndex))))
	}
	if attrName.MatchString(field) {
		return derived.Number, nil
	}
	use, ok := c.opt.Kinds.tables.resolve(field, nil)
	switch {
	case !ok:
		return 0, fmt.Errorf("%q is no field of an event%s", field, meant(field, slices.Sorted(maps.Keys(c.opt.Kinds.tables.types))))
	case use.mixed:
		return 0, fmt.Errorf("event.%s is not the same kind of value in all event types: name an attribute instead", field)
	case use.money:
		return 0, fmt.Errorf("event.%s mixes currencies: use event.%s_base", field, field)
	}
	switch use.typ {
	case FieldText:
		return derived.Text, nil
	case FieldBool:
		return derived.Flag, nil
	case FieldInt, FieldNumber:
		return derived.Number, nil
	}
	return 0, errors.New("BUG: a field without a type")
}
