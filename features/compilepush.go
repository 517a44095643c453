package features

import (
	"slices"
	"strings"
	"time"
)

// maxPushTTL bounds how long a pushed value lives: longer than that, it is no value that somebody computes again.
const maxPushTTL = 400 * 24 * time.Hour

// compilePush reads a feature whose value is pushed: source: push, entity, type, ttl, and key where it is not the name.
func (c *compiler) compilePush(m yamlMap, what, name string) {
	c.only(m, what, "name", "source", "entity", "key", "type", "ttl", "default", "on")
	f := &c.set.plans[len(c.set.plans)-1]
	f.agg, f.key = aggPush, name
	if key, ok := c.text(m, "key", what); ok && key != "" {
		if f.key = key; !setName.MatchString(key) {
			c.refusef(m.keyAt("key"), "%s: key %q must match %s", what, key, setName)
		}
	}
	entity, ok := c.text(m, "entity", what)
	switch {
	case ok && entity == "":
		c.refusef(m.at, "%s: a pushed value needs an entity: the kind that it is of", what)
	case ok:
		if f.kind, ok = c.opt.Kinds.Get(entity); !ok {
			c.refusef(m.keyAt("entity"), "%s: %q is not an entity kind%s: the kinds are %s", what, entity, meant(entity, c.kindNames()), strings.Join(c.kindNames(), ", "))
		}
	}
	types := []string{"number", "integer", "flag"}
	typ, ok := c.text(m, "type", what)
	if ok {
		i := slices.Index(types, typ)
		if i < 0 {
			c.refusef(m.keyAt("type"), "%s: type is %s, not %q", what, strings.Join(types, ", "), typ)
		} else {
			f.typ = [...]FieldType{FieldNumber, FieldInt, FieldBool}[i]
		}
	}
	text, ok := c.text(m, "ttl", what)
	if !ok {
		return
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl < time.Second || ttl > maxPushTTL {
		c.refusef(m.keyAt("ttl"), "%s: ttl must be how long a value lives, from 1s to %dh, not %q", what, int(maxPushTTL.Hours()), text)
	}
	f.ttl = ttl.Microseconds()
	for i := range c.set.plans[:len(c.set.plans)-1] {
		if have := &c.set.plans[i]; have.agg == aggPush && have.kind.ID == f.kind.ID && have.key == f.key && have.typ != f.typ {
			c.refusef(m.keyAt("type"), "%s: feature %s has the same pushed value by another type", what, have.name)
		}
	}
}
