package features

import (
	"math"

	"pitboss/features/derived"
	"pitboss/features/tiles"
)

// derivation is what a feature has that is made of others. A z-score is one: of the event's own value, where it needs no other.
type derivation struct {
	// needs are the features that it reads: a ratio's numerator and denominator, an expression's inputs.
	needs []int
	// expr is an expression and program what came of it; inputs say for each of the program's which feature it is, or
	// ofEvent.
	expr    string
	program *derived.Program
	inputs  []int
	// minCount is how many values a z-score's baseline needs, place where Vector.means has its mean, or Vector.pairs the slots
	// of two entities.
	minCount int64
	place    int
}

// ofEvent stands for a feature's number where an input is a field of the event.
const ofEvent = -1

// derived says that the value is made of other features, after they are there.
func (f *feature) derived() bool { return f.agg == aggRatio || f.agg == aggZScore || f.agg == aggCEL }

// sortDerived puts each derived feature after those that it reads; the compiler has refused cycles.
func (s *Set) sortDerived() {
	var order []int
	done := map[int]bool{}
	var visit func(i int)
	visit = func(i int) {
		f := &s.plans[i]
		if !f.derived() || done[i] {
			return
		}
		done[i] = true
		for _, n := range f.needs {
			visit(n)
		}
		order = append(order, i)
	}
	for _, i := range s.derived {
		visit(i)
	}
	s.derived = order
}

// finish makes the values that depend on others, each after what it reads, with the defaults of both.
func (v *Vector) finish(set *Set, ev *Event) {
	for _, i := range set.settled {
		v.settle(i, &set.plans[i])
	}
	for _, i := range set.derived {
		f := &set.plans[i]
		switch f.agg {
		case aggRatio:
			v.Values[i], v.Status[i] = v.ratio(f.needs[0], f.needs[1])
		case aggZScore:
			v.Values[i], v.Status[i] = v.zscore(i, f, set.groups[f.group], ev)
		default:
			v.Values[i], v.Status[i] = v.expression(f, ev)
		}
		if math.IsNaN(v.Values[i]) || math.IsInf(v.Values[i], 0) {
			v.Values[i] = math.NaN()
			v.Status[i] = worst(v.Status[i], Missing)
		}
		v.settle(i, f)
	}
}

func (v *Vector) ratio(num, den int) (float64, Status) {
	status := worst(v.Status[num], v.Status[den])
	value := v.Values[num] / v.Values[den]
	if v.Values[den] == 0 || math.IsInf(value, 0) { // two huge ends of the range: no number to learn from
		value = math.NaN()
	}
	return value, status
}

// baseline gives the standard deviation that a z-score is in, and notes the mean.
func (v *Vector) baseline(f *feature, r *tiles.Reading) (float64, Status) {
	std, status := f.spread(r)
	n, _ := r.SumIn(f.span(), f.present).Int64()
	if n < f.minCount || !(std > 0) {
		return math.NaN(), Missing
	}
	v.means[f.place] = r.SumIn(f.span(), f.column).Float64() / float64(n) / float64(f.scale)
	return std, status
}

// zscore gives how far a value is from the mean of its baseline: another feature's, or the event's own where the event is
// one of those that the baseline is made of. Where the value stands is the baseline's standard deviation until then.
func (v *Vector) zscore(i int, f *feature, g *group, ev *Event) (float64, Status) {
	value, status := math.NaN(), v.Status[i]
	if len(f.needs) > 0 {
		value, status = v.Values[f.needs[0]], worst(status, v.Status[f.needs[0]])
	} else if g.matches(ev) {
		if own, ok := scaled(ev, g.sums[f.column].field, f.scale); ok {
			value = float64(own) / float64(f.scale)
		}
	}
	return (value - v.means[f.place]) / v.Values[i], status
}

// expression gives the value of a CEL expression, and the worst status of what it reads.
func (v *Vector) expression(f *feature, ev *Event) (float64, Status) {
	status := Present
	for i, at := range f.inputs {
		if at != ofEvent {
			v.inputs.Numbers[i] = v.Values[at]
			status = worst(status, v.Status[at])
			continue
		}
		v.inputs.Numbers[i], v.inputs.Texts[i] = ev.input(f.program.Inputs[i].Name[len(derived.Event):])
	}
	return f.program.Eval(v.inputs), status
}

// input gives a field's value to an expression; NaN and nothing where the event has none.
func (ev *Event) input(name string) (float64, string) {
	field, ok := ev.Field(name)
	if !ok {
		return math.NaN(), ""
	}
	switch field.Type {
	case FieldText:
		return math.NaN(), field.Text
	case FieldNumber:
		return field.Number, ""
	default:
		return float64(field.Int), ""
	}
}
