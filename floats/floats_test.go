package floats_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pitboss/floats"
)

// bigExp returns e**x to 200 bits: Taylor's series of x/2**12, squared 12 times.
func bigExp(x float64) *big.Float {
	z := newBig(x)
	z.SetMantExp(z, -12)
	sum, term := newBig(1), newBig(1)
	for i := 1; i < 60; i++ {
		term.Mul(term, z)
		term.Quo(term, newBig(float64(i)))
		sum.Add(sum, term)
	}
	for range 12 {
		sum.Mul(sum, sum)
	}
	return sum
}

// bigLog returns ln(x) to about 200 bits: two Newton steps on bigExp from math's answer.
func bigLog(x *big.Float) *big.Float {
	f, _ := x.Float64()
	y := newBig(math.Log(f))
	for range 2 {
		f, _ := y.Float64()
		e := bigExp(f) // e**y = e**f * e**(y-f), the second to second order
		d := new(big.Float).Sub(y, newBig(f))
		q := new(big.Float).Add(newBig(1), d)
		q.Add(q, new(big.Float).Quo(new(big.Float).Mul(d, d), newBig(2)))
		e.Mul(e, q)
		r := new(big.Float).Quo(new(big.Float).Sub(x, e), e)
		y.Add(y, r)
	}
	return y
}

func newBig(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }

// ulpsOff returns |got-want| in units of got's last place.
func ulpsOff(got float64, want *big.Float) float64 {
	d := new(big.Float).Sub(newBig(got), want)
	ulp := math.Nextafter(math.Abs(got), math.Inf(1)) - math.Abs(got)
	f, _ := d.Quo(d, newBig(ulp)).Float64()
	return math.Abs(f)
}

func TestElementaryFunctionsAreWithinOneULP(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	f := func(name string, x, got float64, want *big.Float) {
		t.Helper()
		if off := ulpsOff(got, want); !(off < 1) {
			t.Errorf("%s(%v) = %v, %.3f ulp off", name, x, got, off)
		}
	}
	for i := range 3000 {
		x := (rng.Float64() - 0.5) * []float64{2, 30, 1400}[i%3]
		y := bigExpFloat((rng.Float64() - 0.5) * []float64{0.5, 60, 600}[i%3])
		f("exp", x, floats.Exp(x), bigExp(x))
		f("log", y, floats.Log(y), bigLog(newBig(y)))
		if y < 1e-30 { // 1+y needs more than the reference's 200 bits
			y = 1e-30 / y
		}
		f("log1p", y, floats.Log1p(y), bigLog(new(big.Float).Add(newBig(1), newBig(y))))
	}
}

func bigExpFloat(x float64) float64 {
	f, _ := bigExp(x).Float64()
	return f
}

func TestElementaryFunctionsAtTheirEdges(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	f := func(name string, got, want float64) {
		t.Helper()
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	f("exp(0)", floats.Exp(0), 1)
	f("exp(-0)", floats.Exp(math.Copysign(0, -1)), 1)
	f("exp(2^-29)", floats.Exp(0x1p-29), 1+0x1p-29)
	f("exp(709.7)", floats.Exp(709.7), 1.6549840276802644e308) // math's assembly says +Inf from 709.44 on
	f("exp(709.79)", floats.Exp(709.79), inf)
	f("exp(-745.1)", floats.Exp(-745.1), math.SmallestNonzeroFloat64)
	f("exp(-745.14)", floats.Exp(-745.14), 0)
	f("exp(+Inf)", floats.Exp(inf), inf)
	f("exp(-Inf)", floats.Exp(-inf), 0)
	f("exp(NaN)", floats.Exp(nan), nan)
	f("log(1)", floats.Log(1), 0)
	f("log(0)", floats.Log(0), -inf)
	f("log(-1)", floats.Log(-1), nan)
	f("log(+Inf)", floats.Log(inf), inf)
	f("log(NaN)", floats.Log(nan), nan)
	f("log(5e-324)", floats.Log(math.SmallestNonzeroFloat64), -744.4400719213812) // math's assembly: -709.09
	f("log1p(0)", floats.Log1p(0), 0)
	f("log1p(2^-60)", floats.Log1p(0x1p-60), 0x1p-60)
	f("log1p(1e300)", floats.Log1p(1e300), floats.Log(1e300))
	f("log1p(+Inf)", floats.Log1p(inf), inf)
	f("log1p(NaN)", floats.Log1p(nan), nan)
}
