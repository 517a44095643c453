package tiles

import (
	"math"
	"time"

	"pitboss/floats"
)

// A decayed count or sum weighs what is older less: 2^(-age/half-life). It is made at the evaluation time out of what the
// window's steps hold, each with the weight of its middle, from the newest step to the oldest: a function of the set of
// contributions and the time, like the window itself.

// halvingSteps is how many weights there are from one half to the next: a weight is off by at most 1 in 2,900 from them.
const halvingSteps = 1024

// halvings are 2^(-i/halvingSteps).
var halvings = func() (table [halvingSteps]float64) {
	for i := range table {
		table[i] = floats.Exp(float64(-math.Ln2 / halvingSteps * float64(i)))
	}
	return table
}()

// maxSteps is how many steps of its own hop a window can touch.
const maxSteps = 62

// Decayed is the sum of a column's values in a window, or with column -1 their count, each times 2^(-age/halfLife). The
// half-life is at least the window's hop.
func (r *Reading) Decayed(w Window, column int, halfLife time.Duration) float64 {
	if r.Exact(w) {
		return r.decayedExact(w, column, halfLife)
	}
	q, l, s := &r.query, r.layout, r.state
	span := Span{Window: w}
	in, hop := q.stretch(span), w.rung().hop
	var steps [maxSteps]Int128
	levels := q.ladder(l)
	note := func(sec int64, v Int128) {
		if q.sec < q.horizon {
			sec, _ = levels.tile(sec)
		}
		step := &steps[(sec-in.from)/hop]
		*step = step.Add(v)
	}
	r.eachTile(span, func(tile []uint64) {
		v := MakeInt128(s.tileCount(tile))
		if column >= 0 {
			v = s.tileSum(tile, column)
		}
		note(int64(start(tile[0])), v)
	})
	for _, c := range r.currents(span) {
		v := MakeInt128(1)
		if column >= 0 {
			v = l.column(c.Values, column)
		}
		if c.sign < 0 {
			v = v.Neg()
		}
		note(c.sec, v)
	}
	total := 0.0
	for i := (in.to - 1 - in.from) / hop; i >= 0; i-- {
		begin := in.from + i*hop
		if v := steps[i]; v != (Int128{}) {
			total += float64(halving(2*q.sec+1-begin-min(begin+hop, in.to), halfLife) * v.Float64())
		}
	}
	return total
}

// decayedExact weighs each contribution of a window that is read exactly by its own age, the newest first.
func (r *Reading) decayedExact(w Window, column int, halfLife time.Duration) float64 {
	words, stride := r.exactWords(w), r.recent.stride
	value := 2 + r.layout.spec.categories() + column // every sum's value is there, and before all others
	total := 0.0
	for i := len(words) - stride; i >= 0; i -= stride {
		v := 1.0
		if column >= 0 {
			v = float64(int64(words[i+value]))
		}
		total += float64(weight((r.query.at-int64(words[i]))*halvingSteps, halfLife.Microseconds()) * v)
	}
	return total
}

// halving gives the weight at an age in half seconds.
func halving(age int64, halfLife time.Duration) float64 {
	return weight(age*halvingSteps/2, int64(halfLife/time.Second))
}

// weight is 2^(-age/life), where age is in the halvingSteps-th part of life's unit.
func weight(age, life int64) float64 {
	n := (age + life/2) / life
	return math.Ldexp(halvings[n%halvingSteps], -int(n/halvingSteps))
}

// DecayError is how much the weight of one contribution can be off 2^(-age/halfLife) by its place in a step, as a share.
func DecayError(w Window, halfLife time.Duration) float64 {
	return floats.Exp(float64(math.Ln2/2*w.Hop().Seconds()/halfLife.Seconds())) - 1
}
