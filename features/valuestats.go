package features

import (
	"encoding/hex"
	"math"
	"sync/atomic"
)

// sampleEvery is of how many vectors one is counted feature by feature: counting all would cost a tenth of a vector.
const sampleEvery = 16

// valueCounters count what the values of one set's features were worth.
type valueCounters struct {
	vectors  atomic.Uint64
	statuses [][statusCount]atomic.Uint64 // by feature
	nulls    []atomic.Uint64
}

func newValueCounters(set *Set) *valueCounters {
	n := len(set.Features)
	return &valueCounters{statuses: make([][statusCount]atomic.Uint64, n), nulls: make([]atomic.Uint64, n)}
}

// turn says whether the next vector is one to be counted.
func (c *valueCounters) turn() bool { return c.vectors.Add(1)%sampleEvery == 1 }

// note counts a vector.
func (c *valueCounters) note(v *Vector) {
	for i, s := range v.Status {
		c.statuses[i][s].Add(1)
		if math.IsNaN(v.Values[i]) {
			c.nulls[i].Add(1)
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
}

// ValueStats reads the figures of all sets' features, by the set's name and the beginning of its hash.
func (e *Engine) ValueStats() []ValueStats {
	var list []ValueStats
	for _, b := range e.plan().bindings {
		for i, f := range b.set.Features {
			s := ValueStats{Set: b.set.Name + " " + hex.EncodeToString(b.set.Hash[:4]), Feature: f.Name, Statuses: map[string]uint64{}, Nulls: b.values.nulls[i].Load()}
			for status := range b.values.statuses[i] {
				if n := b.values.statuses[i][status].Load(); n > 0 {
					s.Statuses[Status(status).String()] = n
				}
			}
			list = append(list, s)
		}
	}
	return list
}
