package sim

import (
	"math"
	"testing"
)

func TestOwnFloatsAreAccurate(t *testing.T) {
	rng := newStream(7)
	for range 20_000 {
		x := rng.between(-30, 30)
		if got, want := exp(x), math.Exp(x); math.Abs(got/want-1) > 1e-13 {
			t.Fatalf("exp(%v): got %v, want %v", x, got, want)
		}
		y := math.Exp(rng.between(-36, 20))
		if got, want := logarithm(y), math.Log(y); math.Abs(got-want) > 1e-13*math.Max(1, math.Abs(want)) {
			t.Fatalf("logarithm(%v): got %v, want %v", y, got, want)
		}
		p := rng.open()
		if rng.chance(0.3) {
			p = math.Exp(-rng.between(1, 36)) // the tail
		}
		if got, want := normalQuantile(p), math.Sqrt2*math.Erfinv(2*p-1); p > 1e-9 && math.Abs(got-want) > 1e-7 {
			t.Fatalf("normalQuantile(%v): got %v, want %v", p, got, want)
		}
		// Erfinv loses the tail's digits: there the distribution function itself is the judge.
		if got := math.Erfc(-normalQuantile(p)/math.Sqrt2) / 2; math.Abs(got/p-1) > 1e-11 {
			t.Fatalf("normalQuantile(%v) gives %v back", p, got)
		}
	}
}

func TestStreamsAreEvenAndApart(t *testing.T) {
	a, b := newStream(1, purposePlayer, 1), newStream(1, purposePlayer, 2)
	var sum, product float64
	const n = 100_000
	for range n {
		x, y := a.normal(), b.normal()
		sum += x
		product += x * y
	}
	if math.Abs(sum/n) > 0.015 || math.Abs(product/n) > 0.015 {
		t.Errorf("mean %v, correlation of two players %v: want about 0", sum/n, product/n)
	}
	seen := map[int32]bool{}
	for _, i := range a.shuffle(1000) {
		seen[i] = true
	}
	if len(seen) != 1000 {
		t.Errorf("shuffle gave %d different numbers of 1000", len(seen))
	}
}
