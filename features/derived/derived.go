// Package derived makes numbers out of numbers by a CEL expression: the features that are declared over other features.
// cel-go parses and type-checks an expression once; Eval runs closures that allocate nothing, and cel-go itself only what
// they do not cover. It knows names, numbers and texts, not what an event or a window is. Start reading at Compile.
package derived

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// The bounds of an expression: what an analyst can still read, and what evaluating it may cost.
const (
	// MaxText is how many characters it may have.
	MaxText = 1000
	// MaxInputs is how many different names it may read.
	MaxInputs = 32
)

// Event starts the names of the event's own fields: event.amount_base.
const Event = "event."

// Kind is the type of an input.
type Kind uint8

// The types of inputs.
const (
	Number Kind = iota + 1
	Flag
	Text
)

// Input is a name that an expression reads.
type Input struct {
	Name string
	Kind Kind
}

// Values are an expression's inputs, by their place in Program.Inputs. A number that is missing is NaN, a text that is
// missing is empty; a flag is 0 or 1.
type Values struct {
	Numbers [MaxInputs]float64
	Texts   [MaxInputs]string
}

// Program is a compiled expression. It is immutable.
type Program struct {
	// Inputs are what it reads, in the order in which they come first.
	Inputs []Input
	// Unlowered says what is run by cel-go instead of closures; empty where nothing is.
	Unlowered string

	number func(*Values) float64
	slow   cel.Program
}

// Compile parses and type-checks an expression whose result is a number or a flag. resolve gives the kind of a name, or an
// error that says what there is instead.
func Compile(text string, resolve func(name string) (Kind, error)) (*Program, error) {
	base, err := cel.NewEnv(slices.Concat([]cel.EnvOption{cel.ClearMacros(), cel.ParserRecursionLimit(40)}, functionOptions())...)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare cel-go: %w", err)
	}
	if len(text) > MaxText {
		return nil, fmt.Errorf("it has %d characters, at most %d are read: split it into several features", len(text), MaxText)
	}
	parsed, issues := base.Parse(text)
	if issues.Err() != nil {
		return nil, explain(issues)
	}
	p := &Program{}
	for _, name := range names(parsed.NativeRep().Expr()) {
		kind, unknown := resolve(name)
		if unknown != nil {
			return nil, unknown
		}
		p.Inputs = append(p.Inputs, Input{name, kind})
	}
	if len(p.Inputs) > MaxInputs {
		return nil, fmt.Errorf("it reads %d names, at most %d fit: split it into several features", len(p.Inputs), MaxInputs)
	}
	env, err := base.Extend(p.variables()...)
	if err != nil {
		return nil, fmt.Errorf("cannot declare its names: %w", err)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, explain(issues)
	}
	switch checked.OutputType().Kind() {
	case types.DoubleKind, types.IntKind, types.BoolKind:
	default:
		return nil, fmt.Errorf("its result is of type %s: a feature is a number or true or false", checked.OutputType())
	}
	if p.slow, err = env.Program(checked, cel.CustomDecorator(finite)); err != nil {
		return nil, fmt.Errorf("cannot plan it: %w", err)
	}
	l := lowering{p: p, ast: checked.NativeRep()}
	if p.number, err = l.result(); err != nil {
		p.Unlowered = err.Error()
	}
	return p, nil
}

// Eval gives the number, or NaN: where an input is missing, and where a number on the way is none, or has no bounds (what
// is divided by zero). A flag is 0 or 1.
func (p *Program) Eval(in *Values) float64 {
	for i := range p.Inputs {
		if p.Inputs[i].Kind == Text && in.Texts[i] == "" || p.Inputs[i].Kind != Text && !isFinite(in.Numbers[i]) {
			return math.NaN()
		}
	}
	if p.number == nil {
		return p.byCEL(in)
	}
	return p.number(in)
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// explain says what cel-go found first, and the way out that its own words do not give.
func explain(issues *cel.Issues) error {
	first := issues.Errors()[0]
	text := strings.ReplaceAll(first.Message, "\n", " ")
	if strings.Contains(text, "no matching overload") && strings.Contains(text, "int") {
		text += ": features are doubles, so write 60.0 and not 60"
	}
	return fmt.Errorf("at %d:%d of the expression: %s", first.Location.Line(), first.Location.Column()+1, text)
}

// names are what an expression reads, each once.
func names(e ast.Expr) []string {
	var list []string
	add := func(name string) {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind:
			if s := e.AsSelect(); s.Operand().Kind() == ast.IdentKind && s.Operand().AsIdent()+"." == Event {
				add(Event + s.FieldName())
			}
		case ast.IdentKind:
			if e.AsIdent()+"." != Event {
				add(e.AsIdent())
			}
		default: // has no name of its own
		}
	}))
	return list
}

// variables declares the inputs.
func (p *Program) variables() []cel.EnvOption {
	var list []cel.EnvOption
	for _, in := range p.Inputs {
		typ := cel.DoubleType
		switch in.Kind {
		case Flag:
			typ = cel.BoolType
		case Text:
			typ = cel.StringType
		default:
		}
		list = append(list, cel.Variable(in.Name, typ))
	}
	return list
}

// input gives the place of a name.
func (p *Program) input(name string) int {
	return slices.IndexFunc(p.Inputs, func(in Input) bool { return in.Name == name })
}

// errNotLowered is what the lowering of a part says.
func errNotLowered(what string) error { return errors.New(what) }
