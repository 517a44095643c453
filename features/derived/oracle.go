package derived

import (
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// byCEL evaluates by cel-go. It is also what the closures are tested against.
func (p *Program) byCEL(in *Values) float64 {
	out, _, err := p.slow.Eval(&activation{p, in})
	if err != nil {
		return math.NaN() // no number, or one without bounds, on the way
	}
	switch v := out.(type) {
	case types.Double:
		if isFinite(float64(v)) {
			return float64(v)
		}
	case types.Int:
		return float64(v)
	case types.Bool:
		return flag(bool(v))
	}
	return math.NaN()
}

// activation gives an expression's inputs to cel-go.
type activation struct {
	p  *Program
	in *Values
}

var _ interpreter.Activation = (*activation)(nil)

// ResolveName gives an input.
func (a *activation) ResolveName(name string) (any, bool) {
	i := a.p.input(name)
	if i < 0 {
		return nil, false
	}
	switch a.p.Inputs[i].Kind {
	case Flag:
		return a.in.Numbers[i] != 0, true
	case Text:
		return a.in.Texts[i], true
	default:
		return a.in.Numbers[i], true
	}
}

// Parent is nil: there is no other.
func (a *activation) Parent() interpreter.Activation { return nil }

// finite makes an error of every call's result that is no number or has no bounds. CEL itself goes on with them, and
// 1.0 / 0.0 > 3.0 would be true.
func finite(i interpreter.Interpretable) (interpreter.Interpretable, error) {
	if call, ok := i.(interpreter.InterpretableCall); ok {
		return finiteCall{call}, nil
	}
	return i, nil
}

type finiteCall struct{ interpreter.InterpretableCall }

// Eval is the call's, or an error.
func (c finiteCall) Eval(vars interpreter.Activation) ref.Val {
	return boundedOr(c.InterpretableCall.Eval(vars))
}

// Exec is Eval in the form that cel-go's planner calls.
func (c finiteCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return boundedOr(c.InterpretableCall.Exec(frame))
}

func boundedOr(v ref.Val) ref.Val {
	if d, ok := v.(types.Double); ok && !isFinite(float64(d)) {
		return types.NewErr("no number")
	}
	return v
}

// functionOptions declares the functions that CEL has not.
func functionOptions() []cel.EnvOption {
	var list []cel.EnvOption
	for name, f := range unaries() {
		list = append(list, cel.Function(name, cel.Overload(name+"_double", []*cel.Type{cel.DoubleType}, cel.DoubleType,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				if d, ok := v.(types.Double); ok {
					return types.Double(f(float64(d)))
				}
				return types.MaybeNoSuchOverloadErr(v)
			}))))
	}
	for name, f := range binaries() {
		list = append(list, cel.Function(name, cel.Overload(name+"_double_double", []*cel.Type{cel.DoubleType, cel.DoubleType}, cel.DoubleType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				x, ok1 := a.(types.Double)
				y, ok2 := b.(types.Double)
				if !ok1 || !ok2 {
					return types.NewErr("no such overload")
				}
				return types.Double(f(float64(x), float64(y)))
			}))))
	}
	return list
}
