package tiles_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pitboss/features/tiles"
)

// TestLargeIsWithinItsError counts categories of simulated streams, few and many, and compares the root of the mean square
// of the errors with what is promised. A day of them takes no more memory than the bound, and usually far less.
func TestLargeIsWithinItsError(t *testing.T) {
	l := mustLayout(t, tiles.Spec{Windows: tiles.Windows(tiles.W24h), Larges: 1, CountWindows: tiles.Windows(tiles.W24h), Raw: 2})
	const newest, runs = 1_768_910_400_000_000, 30
	f := func(n int, most float64) {
		t.Helper()
		rng := rand.New(rand.NewPCG(7, uint64(n)))
		var r tiles.Reading
		var square float64
		var bytes int
		for range runs {
			var s tiles.State
			for i := range n {
				at := newest - int64(n-i)*(80_000e6/int64(n))
				c := tiles.Contribution{At: at, Categories: []uint64{rng.Uint64() | 1}}
				s.Add(l, &c, at-graceMicros)
			}
			s.Read(l, newest, newest-graceMicros, nil, nil, &r)
			got, flags := r.Large(tiles.W24h, 0)
			if flags != 0 {
				t.Fatalf("%d categories: flags %v", n, flags)
			}
			square += math.Pow(float64(got)/float64(n)-1, 2)
			bytes = max(bytes, s.MemBytes())
		}
		off := math.Sqrt(square / runs)
		if off > most || bytes > l.MaxBytes() {
			t.Errorf("%d categories: off by %.3f, want at most %.3f; %d bytes of %d", n, off, most, bytes, l.MaxBytes())
		}
		t.Logf("%6d categories: off by %.4f, %d bytes", n, off, bytes)
	}
	f(1, 0)
	f(10, tiles.LargeError) // two of ten fall into one register about every eleventh time
	f(100, tiles.LargeError)
	f(1000, 1.3*tiles.LargeError)
	f(10_000, 1.3*tiles.LargeError)
}
