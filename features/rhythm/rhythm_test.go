package rhythm_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pitboss/features/rhythm"
)

// steps gives times that begin somewhere and go on by gaps.
func steps(gaps ...int64) []int64 {
	times := []int64{1_767_225_600_000_000}
	for _, d := range gaps {
		times = append(times, times[len(times)-1]+d)
	}
	return times
}

// random gives the times of n events whose gaps are made by a function.
func random(seed uint64, n int, gap func(*rand.Rand) int64) []int64 {
	rng := rand.New(rand.NewPCG(seed, 5))
	gaps := make([]int64, n-1)
	for i := range gaps {
		gaps[i] = gap(rng)
	}
	return steps(gaps...)
}

func human(rng *rand.Rand) int64 { return int64(math.Exp(rng.NormFloat64()*0.8) * 3e6) }

func bot(rng *rand.Rand) int64 { return 2_500_000 + rng.Int64N(40_000) - 20_000 }

// TestGaps compares with values worked out by hand.
func TestGaps(t *testing.T) {
	const second = 1_000_000
	f := func(what string, times []int64, of func(*rhythm.Gaps) (float64, bool), want float64) {
		t.Helper()
		var g rhythm.Gaps
		g.Set(times)
		got, ok := of(&g)
		if ok == math.IsNaN(want) || ok && math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: got %v, %v, want %v", what, got, ok, want)
		}
	}
	none := math.NaN()
	var nothing []int64
	one, two := steps(), steps(3*second)
	threes := steps(second, 2*second, 6*second)
	f("mean of none", nothing, (*rhythm.Gaps).Mean, none)
	f("mean of one event", one, (*rhythm.Gaps).Mean, none)
	f("mean", two, (*rhythm.Gaps).Mean, 3)
	f("mean", threes, (*rhythm.Gaps).Mean, 3)
	f("cv of one gap", two, (*rhythm.Gaps).CV, none)
	f("cv of the same time", steps(0, 0, 0), (*rhythm.Gaps).CV, none)
	f("cv of a metronome", steps(second, second, second), (*rhythm.Gaps).CV, 0)
	f("cv", threes, (*rhythm.Gaps).CV, math.Sqrt(14.0/3)/3)
	f("cv of a month", steps(15*86400*second, 15*86400*second-1), (*rhythm.Gaps).CV, 0.5/(15*86400*second-0.5))
	f("mad", threes, (*rhythm.Gaps).MAD, 0.5)
	f("mad of an even number", steps(second, 2*second, 6*second, 4*second), (*rhythm.Gaps).MAD, 0.5)
	f("mad of one gap", two, (*rhythm.Gaps).MAD, none)
	f("mad where most are at one time", steps(0, 0, second), (*rhythm.Gaps).MAD, none)
	f("entropy of one gap", two, (*rhythm.Gaps).Entropy, none)
	f("entropy of a metronome", steps(second, second, second), (*rhythm.Gaps).Entropy, 0)
	f("entropy", steps(second, 2*second, second, 2*second), (*rhythm.Gaps).Entropy, 1)
	f("entropy of no time", steps(0, 1, 1, 0), (*rhythm.Gaps).Entropy, 0)
	f("entropy of a bin", steps(1_000_000, 1_050_000, 2_000_000, 4_000_000), (*rhythm.Gaps).Entropy, 1.5)
	f("autocorrelation of three gaps", threes, (*rhythm.Gaps).Autocorrelation, none)
	f("autocorrelation of a metronome", steps(7, 7, 7, 7, 7), (*rhythm.Gaps).Autocorrelation, none)
	f("autocorrelation of turns", steps(5, 9, 5, 9, 5), (*rhythm.Gaps).Autocorrelation, -1)
	f("autocorrelation of a rise", steps(2, 4, 8, 16, 32), (*rhythm.Gaps).Autocorrelation, 1)
	share := func(g *rhythm.Gaps) (float64, bool) { return g.ShareUnder(2 * time.Second) }
	f("share", threes, share, 1.0/3)
	f("share of none", one, share, none)
}

// TestGapsBits holds the bits of values that are in records.
func TestGapsBits(t *testing.T) {
	var g rhythm.Gaps
	m, err := rhythm.NewMetronome(300*time.Millisecond, 10*time.Second, 32)
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, got float64, ok bool, want uint64) {
		t.Helper()
		if !ok || math.Float64bits(got) != want {
			t.Errorf("%s: got %#x (%v), want %#x (%v)", what, math.Float64bits(got), got, want, math.Float64frombits(want))
		}
	}
	fixed := []int64{0, 3, 1_000_000, 1_700_000, 4_100_009, 9_000_000, 9_000_001, 30_000_000, 31_000_000, 99_000_000}
	g.Set(fixed)
	v, ok := g.Entropy()
	f("entropy", v, ok, wantEntropy)
	v, ok = g.Autocorrelation()
	f("autocorrelation", v, ok, wantAutocorrelation)
	v, ok = m.Strength(fixed)
	f("strength", v, ok, wantStrength)
}

// TestMetronome compares with the definition, and tells a simulated bot from a simulated person.
func TestMetronome(t *testing.T) {
	const from, to, n = 300 * time.Millisecond, 10 * time.Second, 64
	m, err := rhythm.NewMetronome(from, to, n)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(40) {
		for name, gap := range map[string]func(*rand.Rand) int64{"human": human, "bot": bot} {
			times := random(seed, 128, gap)
			want := 0.0
			for i := range n {
				f := 1/from.Seconds() - (1/from.Seconds()-1/to.Seconds())*float64(i)/(n-1)
				var x, y float64
				for _, at := range times {
					phase := 2 * math.Pi * math.Mod(float64(at-times[0])/1e6*f, 1)
					x, y = x+math.Cos(phase), y+math.Sin(phase)
				}
				want = max(want, math.Hypot(x, y)/float64(len(times)))
			}
			got, ok := m.Strength(times)
			if !ok || math.Abs(got-want) > 0.003 {
				t.Errorf("seed %d: %s: got %v, %v, want %v", seed, name, got, ok, want)
			}
		}
	}
	// A perfect clock of a period of the grid, also after a month.
	times := random(1, 64, func(*rand.Rand) int64 { return 300_000 * 40_000 })
	if got, ok := m.Strength(times); !ok || got < 0.9999 {
		t.Errorf("a perfect metronome is %v, %v", got, ok)
	}
	for _, few := range [][]int64{nil, {5}, steps(1_000_000, 1_000_000)} {
		if got, ok := m.Strength(few); ok {
			t.Errorf("%d events are %v, want too few", len(few), got)
		}
	}
}

func TestMetronomeRefuses(t *testing.T) {
	f := func(from, to time.Duration, steps int, ok bool) {
		t.Helper()
		if _, err := rhythm.NewMetronome(from, to, steps); (err == nil) != ok {
			t.Errorf("from %v to %v in %d: %v", from, to, steps, err)
		}
	}
	f(time.Second, time.Second, 1, true)
	f(rhythm.MinPeriod, rhythm.MaxPeriod, rhythm.MaxPeriods, true)
	f(time.Second, time.Second-1, 1, false)
	f(rhythm.MinPeriod-1, time.Second, 2, false)
	f(time.Second, rhythm.MaxPeriod+1, 2, false)
	f(time.Second, time.Minute, 0, false)
	f(time.Second, time.Minute, rhythm.MaxPeriods+1, false)
}

// TestNothingAllocates once the scratch has grown.
func TestNothingAllocates(t *testing.T) {
	times := random(3, 256, human)
	m, err := rhythm.NewMetronome(time.Second, time.Minute, 32)
	if err != nil {
		t.Fatal(err)
	}
	var g rhythm.Gaps
	read := func() {
		g.Set(times)
		_, _ = g.Mean()
		_, _ = g.CV()
		_, _ = g.MAD()
		_, _ = g.Entropy()
		_, _ = g.Autocorrelation()
		_, _ = m.Strength(times)
	}
	read()
	if n := testing.AllocsPerRun(50, read); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// BenchmarkMetronome is a reading of as much work as is allowed: 256 events and 32 periods. Its budget is 20 us.
func BenchmarkMetronome(b *testing.B) {
	times := random(1, 256, bot)
	m, err := rhythm.NewMetronome(300*time.Millisecond, 10*time.Second, rhythm.MaxWork/len(times))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = m.Strength(times)
	}
}

// BenchmarkGaps is each statistic of 255 gaps, alone.
func BenchmarkGaps(b *testing.B) {
	times := random(1, 256, human)
	for name, of := range map[string]func(*rhythm.Gaps) (float64, bool){
		"set": func(*rhythm.Gaps) (float64, bool) { return 0, true },
		"cv":  (*rhythm.Gaps).CV, "mad": (*rhythm.Gaps).MAD, "entropy": (*rhythm.Gaps).Entropy, "autocorrelation": (*rhythm.Gaps).Autocorrelation,
	} {
		b.Run(name, func(b *testing.B) {
			var g rhythm.Gaps
			b.ReportAllocs()
			for b.Loop() {
				g.Set(times)
				_, _ = of(&g)
			}
		})
	}
}

// What the statistics of TestGapsBits were when they were first written.
const wantEntropy, wantAutocorrelation, wantStrength = 0x400794e531d8a0f8, 0xbfd26fab0f9c3c8a, 0x3fe69df68a23772d
