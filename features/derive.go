package features

import (
	"math"

	"pitboss/features/derived"
)

// derivation is what a feature has that is made of others.
type derivation struct {
	// needs are the features that it reads: a ratio's numerator and denominator, an expression's inputs.
	needs []int
	// expr is an expression and program what came of it; inputs say for each of the program's which feature it is, or
	// ofEvent.
	expr    string
	program *derived.Program
	inputs  []int
}

// ofEvent stands for a feature's number where an input is a field of the event.
const ofEvent = -1

// derived says that the value is made of other features, after they are there.
func (f *feature) derived() bool { return f.agg == aggRatio || f.agg == aggCEL }

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
	for i := range set.plans {
		if f := &set.plans[i]; !f.derived() {
			v.replaceMissing(i, f)
		}
	}
	for _, i := range set.derived {
		f := &set.plans[i]
		if f.agg == aggRatio {
			v.Values[i], v.Status[i] = v.ratio(f.needs[0], f.needs[1])
		} else {
			v.Values[i], v.Status[i] = v.expression(f, ev)
		}
		if math.IsNaN(v.Values[i]) {
			v.Status[i] = worst(v.Status[i], Missing)
		}
		v.replaceMissing(i, f)
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
