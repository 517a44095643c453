package derived

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// resolve knows the numbers a to d, the flag event.f and the text event.t.
func resolve(name string) (Kind, error) {
	switch name {
	case "a", "b", "c", "d":
		return Number, nil
	case "event.f":
		return Flag, nil
	case "event.t":
		return Text, nil
	}
	return 0, errors.New("there is no " + name)
}

// values fills in what an expression reads: a 6, b 3, c 0, d missing, event.f true, event.t "x".
func values(p *Program) *Values {
	v := &Values{}
	for i, in := range p.Inputs {
		v.Numbers[i] = map[string]float64{"a": 6, "b": 3, "d": math.NaN(), "event.f": 1}[in.Name]
		if in.Kind == Text {
			v.Texts[i] = "x"
		}
	}
	return v
}

// TestEval holds what expressions mean, by closures and by cel-go.
func TestEval(t *testing.T) {
	nan := math.NaN()
	f := func(text string, want float64) {
		t.Helper()
		p, err := Compile(text, resolve)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if got := p.Eval(values(p)); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s is %v, want %v (lowered: %q)", text, got, want, p.Unlowered)
		}
	}
	f("a / b", 2)
	f("a - b * 2.0", 0)
	f("-a + sqrt(9.0)", -3)
	f("a / c", nan)
	f("c / c", nan)
	f("1e308 * 10.0", nan)
	f("a / c > 3.0 ? 1.0 : 0.0", nan) // not even on the way
	f("a / c > 3.0 || a > b", 1)      // one side decides alone
	f("c > 0.0 && a / c > 3.0", 0)
	f("c > 0.0 || a / c > 3.0", nan)
	f("!(a > b)", 0)
	f("a > b && event.f", 1)
	f("event.f ? 7 : 8", 7)
	f("event.t == 'x' ? a : b", 6)
	f("event.t != 'x' ? a : b", 3)
	f("d > 0.0 || true", nan) // what is missing makes all missing
	f("log1p(c) + least(a, b) + greatest(a, b) + abs(-1.0) + floor(1.5) + ceil(1.5)", 13)
	f("log(c)", nan)
	f("event.f ? c : a / c", 0)
	// What is not lowered means the same.
	f("event.t.startsWith('x') ? a / b : 0.0", 2)
	f("event.t.startsWith('x') && a / c > 1.0", nan)
	f("a in [6.0, 7.0]", 1)
	f("(event.f ? 1 : 2) + 3", 4)
}

// TestCompileRefuses holds what is said of expressions that are none.
func TestCompileRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := Compile(text, resolve)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", text, err, want)
		}
	}
	f("a +", "at 1:4 of the expression: Syntax error")
	f("a / 60", "write 60.0 and not 60")
	f("x / a", "there is no x")
	f("event.x / a", "there is no event.x")
	f("event.t", "its result is of type string")
	f("a ? 1.0 : 2.0", "at 1:3")
	f("[a].exists(x, x > 1.0)", "there is no x") // no loops
	f(strings.Repeat("a + ", 300)+"a", "at most 1000")
	f("", "Syntax error")
}

// maker writes random expressions of the lowered kind.
type maker struct{ r *rand.Rand }

func (m maker) number(depth int) string {
	if depth == 0 || m.r.IntN(5) == 0 {
		return []string{"a", "b", "c", "d", "0.0", "2.5", "1e300"}[m.r.IntN(7)]
	}
	switch m.r.IntN(9) {
	case 0:
		return "(" + m.flag(depth-1) + " ? " + m.number(depth-1) + " : " + m.number(depth-1) + ")"
	case 1:
		return []string{"abs", "sqrt", "floor", "ceil", "exp", "log", "log1p"}[m.r.IntN(7)] + "(" + m.number(depth-1) + ")"
	case 2:
		return []string{"least", "greatest"}[m.r.IntN(2)] + "(" + m.number(depth-1) + ", " + m.number(depth-1) + ")"
	case 3:
		return "(-" + m.number(depth-1) + ")"
	default:
		return "(" + m.number(depth-1) + " " + string("+-*/"[m.r.IntN(4)]) + " " + m.number(depth-1) + ")"
	}
}

func (m maker) flag(depth int) string {
	if depth == 0 {
		return []string{"event.f", "event.t == 'x'", "'y' != event.t", "true", "false"}[m.r.IntN(5)]
	}
	switch m.r.IntN(5) {
	case 0:
		return "(" + m.flag(depth-1) + " && " + m.flag(depth-1) + ")"
	case 1:
		return "(" + m.flag(depth-1) + " || " + m.flag(depth-1) + ")"
	case 2:
		return "!" + m.flag(depth-1)
	default:
		return "(" + m.number(depth-1) + " " + []string{"<", "<=", ">", ">=", "==", "!="}[m.r.IntN(6)] + " " + m.number(depth-1) + ")"
	}
}

// TestClosuresEqualCEL compares the closures with cel-go, bit for bit, on random expressions and values.
func TestClosuresEqualCEL(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	m := maker{rand.New(rand.NewPCG(seed, 1))}
	odd := []float64{0, math.Copysign(0, -1), 1, -1, 3, 1e308, -1e308, 5e-324, math.NaN(), math.Inf(1)}
	numbers := 0
	for range 400 {
		text := m.number(4)
		if m.r.IntN(3) == 0 {
			text = m.flag(4)
		}
		p, err := Compile(text, resolve)
		if err != nil {
			continue // too long, or deeper than the parser goes
		}
		if p.Unlowered != "" {
			t.Fatalf("seed %d: %s is not lowered: %s", seed, text, p.Unlowered)
		}
		for range 20 {
			v := &Values{}
			for i := range p.Inputs {
				v.Numbers[i], v.Texts[i] = m.r.NormFloat64()*10, []string{"x", "y", "z", ""}[m.r.IntN(4)]
				if m.r.IntN(4) == 0 {
					v.Numbers[i] = odd[m.r.IntN(len(odd))]
				}
				if p.Inputs[i].Kind == Flag {
					v.Numbers[i] = float64(m.r.IntN(2))
				}
			}
			got := p.Eval(v)
			slow := *p
			slow.number = nil
			want := slow.Eval(v)
			if math.IsInf(got, 0) || math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want)) {
				t.Fatalf("seed %d: %s of %v is %v, by cel-go %v", seed, text, v.Numbers[:len(p.Inputs)], got, want)
			}
			if !math.IsNaN(got) {
				numbers++
			}
		}
	}
	if numbers < 400 {
		t.Errorf("seed %d: only %d values were numbers", seed, numbers)
	}
}

// TestEvalAllocates nothing where all is lowered.
func TestEvalAllocates(t *testing.T) {
	p, err := Compile("a > b && event.t == 'x' ? log1p(a * b) / (a - b) : 0.0", resolve)
	if err != nil || p.Unlowered != "" {
		t.Fatalf("%v %q", err, p.Unlowered)
	}
	v := values(p)
	if n := testing.AllocsPerRun(100, func() { p.Eval(v) }); n != 0 {
		t.Errorf("Eval allocates %v times", n)
	}
}

func BenchmarkEval(b *testing.B) {
	p, err := Compile("a > b && event.t == 'x' ? log1p(a * b) / (a - b) : 0.0", resolve)
	if err != nil {
		b.Fatal(err)
	}
	v := values(p)
	slow := *p
	slow.number = nil
	for name, p := range map[string]*Program{"closures": p, "cel-go": &slow} {
		b.Run(fmt.Sprintf("by=%s", name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Eval(v)
			}
		})
	}
}
