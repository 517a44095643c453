package derived

import (
	"math"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"pitboss/floats"
)

// lowering turns a checked expression into closures over Values. A closure of a number gives NaN for an error, which no
// number on the way can otherwise be; one of a flag has three values.
type lowering struct {
	p   *Program
	ast *ast.AST
}

type (
	numberOf func(*Values) float64
	flagOf   func(*Values) truth
	textOf   func(*Values) string
)

// truth is a flag, or that it is not known because of an error.
type truth uint8

const (
	no truth = iota
	yes
	failed
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// flag is a flag as a number.
func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// unaries and binaries are the functions that expressions have beside CEL's operators.
func unaries() map[string]func(float64) float64 {
	return map[string]func(float64) float64{
		"abs": math.Abs, "sqrt": math.Sqrt, "floor": math.Floor, "ceil": math.Ceil,
		"exp": floats.Exp, "log": floats.Log, "log1p": floats.Log1p,
	}
}

func binaries() map[string]func(a, b float64) float64 {
	return map[string]func(a, b float64) float64{"least": math.Min, "greatest": math.Max}
}

// result lowers the whole expression.
func (l *lowering) result() (func(*Values) float64, error) {
	root := l.ast.Expr()
	if l.ast.GetType(root.ID()).Kind() != types.BoolKind {
		return l.number(root)
	}
	f, err := l.flag(root)
	if err != nil {
		return nil, err
	}
	return func(v *Values) float64 {
		switch f(v) {
		case yes:
			return 1
		case no:
			return 0
		default:
			return math.NaN()
		}
	}, nil
}

// number lowers a double, or an integer that is written out: integers are not calculated with.
func (l *lowering) number(e ast.Expr) (numberOf, error) {
	switch e.Kind() {
	case ast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.Double:
			return func(*Values) float64 { return float64(v) }, nil
		case types.Int:
			return func(*Values) float64 { return float64(v) }, nil
		}
	case ast.IdentKind:
		if i := l.p.input(e.AsIdent()); i >= 0 && l.p.Inputs[i].Kind == Number {
			return func(v *Values) float64 { return v.Numbers[i] }, nil
		}
	case ast.CallKind:
		return l.numberCall(e)
	default:
	}
	return nil, errNotLowered("a value of type " + l.ast.GetType(e.ID()).String())
}

func (l *lowering) numberCall(e ast.Expr) (numberOf, error) {
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	switch {
	case name == operators.Conditional:
		return l.choice(args)
	case l.ast.GetType(e.ID()).Kind() != types.DoubleKind:
		return nil, errNotLowered("integer arithmetic")
	case call.IsMemberFunction() || !l.doubles(args):
		return nil, errNotLowered("the function " + name)
	case len(args) == 1:
		x, err := l.number(args[0])
		if err != nil {
			return nil, err
		}
		if name == operators.Negate {
			return func(v *Values) float64 { return -x(v) }, nil
		}
		if f, ok := unaries()[name]; ok {
			return func(v *Values) float64 { return bounded(f(x(v))) }, nil
		}
	case len(args) == 2:
		return l.arithmetic(name, args)
	}
	return nil, errNotLowered("the function " + name)
}

// bounded makes an error of a number without bounds.
func bounded(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// pair lowers two numbers.
func (l *lowering) pair(args []ast.Expr) (x, y numberOf, err error) {
	if x, err = l.number(args[0]); err != nil {
		return nil, nil, err
	}
	y, err = l.number(args[1])
	return x, y, err
}

func (l *lowering) arithmetic(name string, args []ast.Expr) (numberOf, error) {
	x, y, err := l.pair(args)
	if err != nil {
		return nil, err
	}
	switch name {
	case operators.Add:
		return func(v *Values) float64 { return bounded(x(v) + y(v)) }, nil
	case operators.Subtract:
		return func(v *Values) float64 { return bounded(x(v) - y(v)) }, nil
	case operators.Multiply:
		return func(v *Values) float64 { return bounded(float64(x(v) * y(v))) }, nil
	case operators.Divide:
		return func(v *Values) float64 { return bounded(x(v) / y(v)) }, nil
	}
	if f, ok := binaries()[name]; ok {
		// Both sides first: the least of a number and an error is an error.
		return func(v *Values) float64 {
			a, b := x(v), y(v)
			if math.IsNaN(a) || math.IsNaN(b) {
				return math.NaN()
			}
			return f(a, b)
		}, nil
	}
	return nil, errNotLowered("the function " + name)
}

func (l *lowering) choice(args []ast.Expr) (numberOf, error) {
	cond, err := l.flag(args[0])
	if err != nil {
		return nil, err
	}
	then, err := l.number(args[1])
	if err != nil {
		return nil, err
	}
	otherwise, err := l.number(args[2])
	if err != nil {
		return nil, err
	}
	return func(v *Values) float64 {
		switch cond(v) {
		case yes:
			return then(v)
		case no:
			return otherwise(v)
		default:
			return math.NaN()
		}
	}, nil
}

// doubles says whether all are of type double.
func (l *lowering) doubles(args []ast.Expr) bool { return l.all(args, types.DoubleKind) }

func (l *lowering) all(args []ast.Expr, kind types.Kind) bool {
	for _, a := range args {
		if l.ast.GetType(a.ID()).Kind() != kind {
			return false
		}
	}
	return true
}

// flag lowers what is true or false.
func (l *lowering) flag(e ast.Expr) (flagOf, error) {
	switch e.Kind() {
	case ast.LiteralKind:
		if b, ok := e.AsLiteral().(types.Bool); ok {
			t := truthOf(bool(b))
			return func(*Values) truth { return t }, nil
		}
	case ast.IdentKind:
		if i := l.p.input(e.AsIdent()); i >= 0 && l.p.Inputs[i].Kind == Flag {
			return func(v *Values) truth { return truthOf(v.Numbers[i] != 0) }, nil
		}
	case ast.CallKind:
		return l.flagCall(e)
	default:
	}
	return nil, errNotLowered("a value of type " + l.ast.GetType(e.ID()).String())
}

func (l *lowering) flagCall(e ast.Expr) (flagOf, error) {
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	switch name {
	case operators.LogicalNot, operators.LogicalAnd, operators.LogicalOr, operators.Conditional:
		return l.logic(name, args)
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		if l.doubles(args) {
			return l.comparison(name, args)
		}
		if l.all(args, types.StringKind) && (name == operators.Equals || name == operators.NotEquals) {
			return l.sameText(name == operators.Equals, args)
		}
	}
	return nil, errNotLowered("the function " + name)
}

// logic lowers what combines flags. As CEL has it, an error on one side of && and || does not matter where the other side
// decides alone.
func (l *lowering) logic(name string, args []ast.Expr) (flagOf, error) {
	fs := make([]flagOf, len(args))
	for i, a := range args {
		f, err := l.flag(a)
		if err != nil {
			return nil, err
		}
		fs[i] = f
	}
	switch name {
	case operators.LogicalNot:
		not := [...]truth{no: yes, yes: no, failed: failed}
		return func(v *Values) truth { return not[fs[0](v)] }, nil
	case operators.LogicalAnd:
		return decide(fs, no, yes), nil
	case operators.LogicalOr:
		return decide(fs, yes, no), nil
	default:
		return func(v *Values) truth {
			switch fs[0](v) {
			case yes:
				return fs[1](v)
			case no:
				return fs[2](v)
			default:
				return failed
			}
		}, nil
	}
}

// decide is alone where one of fs is, else failed where one is, else other.
func decide(fs []flagOf, alone, other truth) flagOf {
	return func(v *Values) truth {
		out := other
		for _, f := range fs {
			switch f(v) {
			case alone:
				return alone
			case failed:
				out = failed
			default:
			}
		}
		return out
	}
}

func (l *lowering) comparison(name string, args []ast.Expr) (flagOf, error) {
	x, y, err := l.pair(args)
	if err != nil {
		return nil, err
	}
	holds := map[string]func(a, b float64) bool{
		operators.Equals:        func(a, b float64) bool { return a == b },
		operators.NotEquals:     func(a, b float64) bool { return a != b },
		operators.Less:          func(a, b float64) bool { return a < b },
		operators.LessEquals:    func(a, b float64) bool { return a <= b },
		operators.Greater:       func(a, b float64) bool { return a > b },
		operators.GreaterEquals: func(a, b float64) bool { return a >= b },
	}[name]
	return func(v *Values) truth {
		a, b := x(v), y(v)
		if math.IsNaN(a) || math.IsNaN(b) {
			return failed
		}
		return truthOf(holds(a, b))
	}, nil
}

func (l *lowering) sameText(equal bool, args []ast.Expr) (flagOf, error) {
	x, err := l.text(args[0])
	if err != nil {
		return nil, err
	}
	y, err := l.text(args[1])
	if err != nil {
		return nil, err
	}
	return func(v *Values) truth { return truthOf((x(v) == y(v)) == equal) }, nil
}

// text lowers a name or a text that is written out.
func (l *lowering) text(e ast.Expr) (textOf, error) {
	switch e.Kind() {
	case ast.LiteralKind:
		if s, ok := e.AsLiteral().(types.String); ok {
			return func(*Values) string { return string(s) }, nil
		}
	case ast.IdentKind:
		if i := l.p.input(e.AsIdent()); i >= 0 && l.p.Inputs[i].Kind == Text {
			return func(v *Values) string { return v.Texts[i] }, nil
		}
	default:
	}
	return nil, errNotLowered("a text that is made")
}
