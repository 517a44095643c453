package features

import (
	"encoding/hex"
	"math"
	"slices"
	"sync/atomic"

	"pitboss/features/tiles"
)

// sampleEvery is of how many vectors one is counted feature by feature: counting all would cost a tenth of a vector.
const sampleEvery = 16

// valueCounters count what the values of one set's features were worth.
type valueCounters struct {
	vectors  atomic.Uint64
	features []featureCounters
}

// featureCounters are those of one feature.
type featureCounters struct {
	statuses [statusCount]atomic.Uint64
	nulls    atomic.Uint64
	// aged counts values by whether anything is behind them, and milliseconds adds up how old the newest of it was.
	aged, none, milliseconds atomic.Uint64
}

func newValueCounters(set *Set) *valueCounters {
	return &valueCounters{features: make([]featureCounters, len(set.Features))}
}

// turn says whether the next vector is one to be counted.
func (c *valueCounters) turn() bool { return c.vectors.Add(1)%sampleEvery == 1 }

// note counts a vector.
func (c *valueCounters) note(v *Vector, set *Set) {
	v.derivedNewest(set)
	for i, s := range v.Status {
		f := &c.features[i]
		f.statuses[s].Add(1)
		if math.IsNaN(v.Values[i]) {
			f.nulls.Add(1)
		}
		switch at := v.newest[i]; {
		case at != tiles.NoTime:
			f.aged.Add(1)
			f.milliseconds.Add(uint64(max(0, v.At-at) / 1000))
		case set.plans[i].hasAge():
			f.none.Add(1)
		}
	}
}

// hasAge says whether it is known how old what is behind a feature's value is: of windows that reach to now, pushes, and what is
// made of such features. A shifted window is of the past by its definition.
func (f *feature) hasAge() bool {
	return f.agg != aggValue && f.agg != aggSource && f.shift == 0
}

// forgetNewest begins a vector of which it is noted how old what is behind its values is.
func (v *Vector) forgetNewest() {
	v.newest = slices.Grow(v.newest[:0], len(v.Values))[:len(v.Values)]
	for i := range v.newest {
		v.newest[i] = tiles.NoTime
	}
}

// freshen notes the newest contribution behind the features of a group that was just read.
func (v *Vector) freshen(list []featureRead, newest int64, r *tiles.Reading) {
	if newest == tiles.NoTime {
		return
	}
	for i := range list {
		fr := &list[i]
		if fr.f.windowed() {
			if from, _ := r.Edges(fr.span); newest < from*microsPerSecond {
				continue
			}
		}
		if fr.f.hasAge() {
			v.newest[fr.feature] = max(v.newest[fr.feature], newest)
		}
	}
}

// derivedNewest gives features that are made of others the newest of what is behind those.
func (v *Vector) derivedNewest(set *Set) {
	for _, i := range set.derived {
		for _, need := range set.plans[i].needs {
			v.newest[i] = max(v.newest[i], v.newest[need])
		}
	}
}

// ValueStats are what the values of one feature were worth, in every sixteenth vector.
type ValueStats struct {
	// Set and Feature name it.
	Set, Feature string
	// Statuses counts by status; those that did not come are left out.
	Statuses map[string]uint64
	// Nulls counts the values that were missing to the model, whatever their status.
	Nulls uint64
	// Aged counts values with something behind them: the newest event of their group in their window, a pushed value's as_of, or
	// the newest of the features that they are made of; the event that the vector is of left out. AgeSeconds adds up how old it
	// was. NoEvent counts those with nothing. Values of the event itself, of other sources and of shifted windows are in neither.
	Aged, NoEvent uint64
	AgeSeconds    float64
	// Groups are those that it is made of, as GroupStats names them.
	Groups []FeatureGroup
}

// FeatureGroup names a group that a feature is made of.
type FeatureGroup struct {
	Kind, Group string
}

// ValueStats reads the figures of all sets' features, by the set's name and the beginning of its hash.
func (e *Engine) ValueStats() []ValueStats {
	var list []ValueStats
	for _, b := range e.plan().bindings {
		groups := b.groupsOf()
		for i, f := range b.set.Features {
			c := &b.values.features[i]
			s := ValueStats{
				Set: b.set.Name + " " + hex.EncodeToString(b.set.Hash[:4]), Feature: f.Name, Statuses: map[string]uint64{}, Nulls: c.nulls.Load(),
				Aged: c.aged.Load(), NoEvent: c.none.Load(), AgeSeconds: float64(c.milliseconds.Load()) / 1000, Groups: groups[i],
			}
			for status := range c.statuses {
				if n := c.statuses[status].Load(); n > 0 {
					s.Statuses[Status(status).String()] = n
				}
			}
			list = append(list, s)
		}
	}
	return list
}

// groupsOf gives the groups that each feature of the set is made of.
func (b *binding) groupsOf() [][]FeatureGroup {
	groups := make([][]FeatureGroup, len(b.set.Features))
	add := func(i int, g FeatureGroup) {
		if !slices.Contains(groups[i], g) {
			groups[i] = append(groups[i], g)
		}
	}
	for _, kb := range b.kinds {
		for _, gb := range kb.groups {
			for _, fr := range slices.Concat(gb.reads.include, gb.reads.exclude) {
				add(int(fr.feature), FeatureGroup{kb.kind.kind.Name, gb.group.short()})
			}
		}
	}
	for _, i := range b.set.derived {
		for _, need := range b.set.plans[i].needs {
			for _, g := range groups[need] {
				add(i, g)
			}
		}
	}
	return groups
}
