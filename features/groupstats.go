package features

import (
	"cmp"
	"slices"
	"sync/atomic"

	"pitboss/features/tiles"
)

// groupCounters count what came to a group, of all entities, and how old it was when vectors were read.
type groupCounters struct {
	events, late, duplicates atomic.Uint64
	// ages counts sampled readings by the age of the group's newest event, none those that had none, and milliseconds adds
	// the ages up.
	ages               [len(ageEdges{}) + 1]atomic.Uint64
	none, milliseconds atomic.Uint64
}

// ageEdges are where the buckets of ages end, in seconds: from one bet to the next, to the longest window.
type ageEdges [8]float64

func groupAgeEdges() ageEdges {
	return ageEdges{1, 10, 60, 600, 3600, 86400, 7 * 86400, 30 * 86400}
}

// note counts the age of a group's newest event, microseconds; tiles.NoTime where it has none.
func (c *groupCounters) note(at, newest int64) {
	if newest == tiles.NoTime {
		c.none.Add(1)
		return
	}
	age := max(0, at-newest)
	edges := groupAgeEdges()
	bucket := 0
	for bucket < len(edges) && age > int64(edges[bucket]*microsPerSecond) {
		bucket++
	}
	c.ages[bucket].Add(1)
	c.milliseconds.Add(uint64(age / 1000))
}

// GroupStats are what came to a group, and how fresh it was.
type GroupStats struct {
	// Kind is the entity kind; Group the name and the beginning of the hash.
	Kind, Group string
	// Events counts events that were applied to an entity's group, Late those of them that were more than the grace of 60 s
	// older than the entity's newest event: what was read meanwhile did not know of them. Duplicates counts events that were
	// there already.
	Events, Late, Duplicates uint64
	// Ages counts readings by the age of the group's newest event: in seconds at most the key, each bucket with all before it.
	// Aged is how many there are in all, AgeSeconds their sum. NoEvent counts readings of groups without any event.
	// All of every sixteenth vector.
	Ages       map[float64]uint64
	Aged       uint64
	AgeSeconds float64
	NoEvent    uint64
}

// GroupStats reads the figures of all groups, by kind and group.
func (e *Engine) GroupStats() []GroupStats {
	var list []GroupStats
	for _, k := range e.plan().kinds {
		for _, g := range k.groups {
			c := &g.counts
			s := GroupStats{
				Kind: k.kind.Name, Group: g.short(), Events: c.events.Load(), Late: c.late.Load(), Duplicates: c.duplicates.Load(),
				Ages: map[float64]uint64{}, AgeSeconds: float64(c.milliseconds.Load()) / 1000, NoEvent: c.none.Load(),
			}
			for i, edge := range groupAgeEdges() {
				s.Aged += c.ages[i].Load()
				s.Ages[edge] = s.Aged
			}
			s.Aged += c.ages[len(c.ages)-1].Load()
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b GroupStats) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Group, b.Group)) })
	return list
}

// NoteDuplicate counts the slot's event as one that came again. Whoever finds it known, and does not decide on it now, says so.
func (s *Slot) NoteDuplicate() {
	s.engine.stats.duplicates.Add(1)
	p := s.prepared
	for i := range p.entities[:p.own] {
		pe := &p.entities[i]
		for g := pe.from; g < pe.to; g++ {
			pe.kind.groups[p.groups[g].slot].counts.duplicates.Add(1)
		}
	}
}
