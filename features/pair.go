package features

import (
	"fmt"
	"math"
	"slices"

	"pitboss/features/tiles"
)

// slotPair is what is known of two entities' slots while a vector is read: each is read under its own lock, in the order
// of the plan's kinds, which is no part of the value.
type slotPair struct {
	own, other tiles.Slots
	// half says that one of the two is there, with its status and since when it warms up.
	half   bool
	status Status
	since  int64
}

// takeSlots notes the slots of one of the two entities, and makes the value when both are there.
func (v *Vector) takeSlots(i int, f *feature, set *Set, g *planGroup, r *tiles.Reading) {
	pair := &v.pairs[f.place]
	if !pair.half {
		pair.status, pair.since = Present, 0
	}
	slots := &pair.other
	if g.kind.ID == set.groups[f.group].kind.ID {
		slots = &pair.own
	}
	r.Slots(f.window, slots)
	status := g.status(f, v.At, Present, false, r.SpanFlags(f.span()))
	if status == WarmingUp {
		pair.since = max(pair.since, g.since)
	}
	pair.status = worst(pair.status, status)
	if !pair.half {
		pair.half = true
		return
	}
	beside, all := pair.own.Beside(&pair.other)
	if all <= 0 {
		v.Values[i], v.Status[i] = math.NaN(), worst(pair.status, Missing)
	} else {
		v.Values[i], v.Status[i] = float64(beside)/float64(all), pair.status
	}
	if v.Status[i] == WarmingUp {
		v.WarmingSince = max(v.WarmingSince, pair.since)
	}
}

// compileSlots reads whose slots are compared with.
func (c *compiler) compileSlots(m yamlMap, what string, f *feature, g *group) {
	var ok bool
	if f.other, ok = c.groupNamed(m, "other", what); !ok {
		return
	}
	other := c.set.groups[f.other]
	switch {
	case g.kind == other.kind:
		c.refusef(m.keyAt("other"), "%s: groups %s and %s are both of a %s: an event names one of a kind, and other is of another kind, such as its device or ip",
			what, g.name, other.name, g.kind.Name)
	case !g.sameEvents(other):
		c.refusef(m.keyAt("other"), "%s: groups %s and %s do not count the same events: give them the same match, count and ttl, or what only one of them counts would be taken for another's",
			what, g.name, other.name)
	case f.window > tiles.W24h:
		c.refusef(m.keyAt("window"), "%s: over %s a slot would be %s, in which all meet: take a window up to 24h (slots of 1m: 1s, 5m: 5s, 1h: 1m, 24h: 30m)",
			what, f.window, tiles.DurationText(f.window.Hop()))
	default:
		other.windows |= tiles.Windows(f.window)
	}
}

// sameEvents says whether two groups count the same events, each of its own entities.
func (g *group) sameEvents(o *group) bool {
	same := func(a, b condition) bool {
		return a.field == b.field && sameValues(a.texts, b.texts) && sameValues(a.ints, b.ints)
	}
	return g.attempted == o.attempted && g.ttl == o.ttl && len(g.match) == len(o.match) && !slices.ContainsFunc(g.match, func(a condition) bool {
		return !slices.ContainsFunc(o.match, func(b condition) bool { return same(a, b) })
	})
}

func sameValues[T string | int64](a, b []T) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// contractOfSlots says what is compared.
func (f *feature) contractOfSlots(g, other *group) string {
	return fmt.Sprintf("; the share of the %[1]s's events in slots of %[2]s in which the %[3]s has more events than the %[1]s: at least one of them is another's; exact where "+
		"the %[1]s's events in a slot are all of this %[3]s, a lower bound where not", g.kind.Name, tiles.DurationText(f.window.Hop()), other.kind.Name)
}
