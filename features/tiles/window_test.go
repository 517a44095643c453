package tiles_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"pitboss/features/tiles"
)

func TestParseWindow(t *testing.T) {
	f := func(text string, want tiles.Window, wantErr string) {
		t.Helper()
		got, err := tiles.ParseWindow(text)
		if got != want || fmt.Sprint(err) != wantErr {
			t.Errorf("ParseWindow(%q): got %v, %v; want %v, %s", text, got, err, want, wantErr)
		}
	}
	for _, w := range tiles.AllWindows() {
		f(w.String(), w, "<nil>")
	}
	f("1d", tiles.W24h, "<nil>")
	f("2h", 0, `unknown window "2h": the windows are 1m, 5m, 1h, 24h, 7d, 30d`)
	f("", 0, `unknown window "": the windows are 1m, 5m, 1h, 24h, 7d, 30d`)
}

// TestContractIsWhatIsRead moves one event past each edge and compares what Contract says with what Read does.
func TestContractIsWhatIsRead(t *testing.T) {
	seed, rounds := seedAndRounds(t, 300)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, w := range tiles.AllWindows() {
		l, err := tiles.NewLayout(tiles.Spec{Windows: tiles.Windows(w)})
		if err != nil {
			t.Fatal(err)
		}
		contract := w.Contract()
		counts := func(at, now int64) bool {
			var s tiles.State
			var r tiles.Reading
			s.Add(l, &tiles.Contribution{At: at}, now-graceMicros)
			s.Read(l, now, now-graceMicros, nil, nil, &r)
			return r.Count(w) == 1
		}
		longest, shortest := time.Duration(0), time.Duration(math.MaxInt64)
		for range rounds {
			now := 1_768_910_400_000_000 + rng.Int64N(86400e6)
			end := now - now%1e6 + 1e6
			if !counts(end-1, now) || counts(end, now) {
				t.Errorf("%s at %d: the window does not end at %d", w, now, end)
			}
			// The old edge lies on a second, by the contract between SpanMin and SpanMax before the end.
			low, high := end-contract.SpanMax.Microseconds(), end-contract.SpanMin.Microseconds()
			if !counts(high, now) || counts(low-1, now) {
				t.Errorf("%s at %d: the window does not begin between %d and %d", w, now, low, high)
			}
			for low < high {
				if mid := low + (high-low)/2; counts(mid, now) {
					high = mid
				} else {
					low = mid + 1
				}
			}
			if early := time.Duration(now-low)*time.Microsecond - w.Length(); early < 0 || early >= contract.EdgeError {
				t.Errorf("%s at %d: begins %v before t-%s, want less than %v", w, now, early, w, contract.EdgeError)
			}
			span := time.Duration(end-low) * time.Microsecond
			longest, shortest = max(longest, span), min(shortest, span)
		}
		if shortest < contract.SpanMin || longest > contract.SpanMax {
			t.Errorf("%s spans %v to %v, the contract says %v to %v", w, shortest, longest, contract.SpanMin, contract.SpanMax)
		}
	}
}

func TestInt128Float64IsNearest(t *testing.T) {
	seed, rounds := seedAndRounds(t, 20000)
	rng := rand.New(rand.NewPCG(seed, 0))
	values := []tiles.Int128{
		{}, {Lo: 1}, {Hi: -1, Lo: math.MaxUint64}, {Lo: math.MaxUint64}, {Hi: -1}, {Hi: math.MaxInt64, Lo: math.MaxUint64},
		{Hi: math.MinInt64}, {Hi: 1}, {Lo: 1<<53 + 1}, {Lo: 1<<54 + 2}, {Hi: 1 << 62, Lo: 1}, {Hi: 1<<53 + 1, Lo: 1},
		{Hi: 1, Lo: 1 << 11}, {Hi: 1, Lo: 1<<11 + 1}, {Hi: 1, Lo: 3 << 11}, {Hi: 1, Lo: 1<<11 - 1},
	}
	for range rounds {
		v := tiles.Int128{Hi: int64(rng.Uint64()) >> rng.IntN(64), Lo: rng.Uint64() >> rng.IntN(64)}
		if rng.IntN(2) == 0 {
			v.Lo = v.Lo >> 40 << rng.IntN(41) // near ties
		}
		values = append(values, v)
	}
	for _, v := range values {
		want, _ := new(big.Float).SetPrec(200).SetInt(bigOf(v)).Float64()
		if got := v.Float64(); math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s: got %v, want %v", bigOf(v), got, want)
		}
		sum := bigOf(v.Add(v.Neg()))
		if sum.Sign() != 0 {
			t.Errorf("%s: v-v is %s", bigOf(v), sum)
		}
	}
}
