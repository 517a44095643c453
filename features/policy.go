package features

import (
	"fmt"
	"math"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// treatment is what a vector has where a value has a status.
type treatment uint8

const (
	asValue   treatment = iota // the value, whatever it is worth
	asMissing                  // NaN, as if there were none
	asDefault                  // the feature's default
)

func (t treatment) String() string { return [...]string{"value", "missing", "default"}[t] }

// statusCount is how many statuses there are.
const statusCount = int(FromTiles) + 1

// treatments are what a feature's values become, by their status: what a model sees of what is worth less than it seems. The
// status itself stays, and says why.
type treatments [statusCount]treatment

// governed are the statuses that a set may say something about. Missing is missing, or its default.
func governed() []Status {
	return []Status{WarmingUp, Stale, Late, Capped, CorrectionMissed, FromTiles}
}

// String gives what is not the value itself, as the set's file says it; empty where everything is.
func (t *treatments) String() string {
	var parts []string
	for _, s := range governed() {
		if t[s] != asValue {
			parts = append(parts, fmt.Sprintf("%s: %s", s, t[s]))
		}
	}
	return strings.Join(parts, ", ")
}

// settle replaces a value by what the set wants instead.
func (v *Vector) settle(i int, f *feature) {
	switch f.on[v.Status[i]] {
	case asMissing:
		v.Values[i] = math.NaN()
	case asDefault:
		v.Values[i] = f.def
	default:
		v.replaceMissing(i, f)
	}
}

// replaced says whether settle may ever replace the feature's value.
func (f *feature) replaced() bool { return !math.IsNaN(f.def) || f.on != treatments{} }

func (v *Vector) replaceMissing(i int, f *feature) {
	if !math.IsNaN(v.Values[i]) || math.IsNaN(f.def) {
		return
	}
	v.Values[i] = f.def
	if v.Status[i] == Missing {
		v.Status[i] = Default
	}
}

// compilePolicy reads on: of the set, or of a feature, into t.
func (c *compiler) compilePolicy(m yamlMap, what string, t *treatments, hasDefault bool) {
	n, ok := m.get("on")
	if !ok {
		return
	}
	on, ok := c.mapping(n, what+": on")
	if !ok {
		return
	}
	var names []string
	for _, s := range governed() {
		names = append(names, s.String())
	}
	for _, e := range on.entries {
		at := -1
		for i, name := range names {
			if name == e.key {
				at = i
			}
		}
		if at < 0 {
			c.refusef(e.at, "%s: on: %q is no status that can be told apart%s: there are %s (what is missing has default)", what, e.key,
				meant(e.key, names), strings.Join(names, ", "))
			continue
		}
		c.treatment(e, what, &t[governed()[at]], hasDefault)
	}
}

func (c *compiler) treatment(e yamlEntry, what string, t *treatment, hasDefault bool) {
	word := ""
	if s, ok := e.value.(*ast.StringNode); ok {
		word = s.Value
	}
	switch {
	case word == "value":
		*t = asValue
	case word == "missing":
		*t = asMissing
	case word == "default" && hasDefault:
		*t = asDefault
	case word == "default":
		c.refusef(e.value.GetToken(), "%s: on: %s: default needs a default of the feature: give it one, or say missing", what, e.key)
	default:
		c.refusef(e.value.GetToken(), "%s: on: %s is value, missing or default, not %q", what, e.key, e.value.String())
	}
}
