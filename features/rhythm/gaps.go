package rhythm

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"pitboss/floats"
)

// Gaps are the distances in time between events that follow each other. The zero value has none; reused, it costs no
// allocation. Each statistic says false where there are too few gaps for it, or it does not exist.
type Gaps struct {
	gaps []int64
	logs []float64 // of the gaps, where logged
	sort []int64   // scratch

	logged bool
}

// binsPerE is how many bins of Entropy there are to a factor of e: bins of a fifth of a natural logarithm.
const binsPerE = 5

// Set makes them of times in microseconds, which are sorted.
func (g *Gaps) Set(times []int64) {
	g.gaps, g.logged = g.gaps[:0], false
	for i := 1; i < len(times); i++ {
		g.gaps = append(g.gaps, times[i]-times[i-1])
	}
}

// Len is how many there are.
func (g *Gaps) Len() int { return len(g.gaps) }

// Mean is the mean gap in seconds.
func (g *Gaps) Mean() (float64, bool) {
	if len(g.gaps) == 0 {
		return 0, false
	}
	return float64(g.sum()) / float64(len(g.gaps)) / 1e6, true
}

func (g *Gaps) sum() (sum int64) {
	for _, d := range g.gaps {
		sum += d
	}
	return sum
}

// CV is the standard deviation (of the population) by the mean. It takes two gaps, not all 0.
func (g *Gaps) CV() (float64, bool) {
	sum := uint64(g.sum())
	if len(g.gaps) < 2 || sum == 0 {
		return 0, false
	}
	// n times the sum of squares, less the square of the sum, in 128 bits: gaps add up to at most 30 days, so that their
	// squares do to less than 2^83.
	var hi, lo uint64
	for _, d := range g.gaps {
		h, l := bits.Mul64(uint64(d), uint64(d))
		var carry uint64
		lo, carry = bits.Add64(lo, l, 0)
		hi += h + carry
	}
	n := uint64(len(g.gaps))
	h, l := bits.Mul64(lo, n)
	h += hi * n
	sumHi, sumLo := bits.Mul64(sum, sum)
	l, borrow := bits.Sub64(l, sumLo, 0)
	h -= sumHi + borrow
	return math.Sqrt(float64(float64(h)*0x1p64)+float64(l)) / float64(sum), true
}

// MAD is the median distance from the median gap, by the median gap. It takes two gaps and a median that is not 0.
func (g *Gaps) MAD() (float64, bool) {
	n := len(g.gaps)
	if n < 2 {
		return 0, false
	}
	g.sort = append(g.sort[:0], g.gaps...)
	slices.Sort(g.sort)
	twice := g.sort[(n-1)/2] + g.sort[n/2] // twice the median
	if twice == 0 {
		return 0, false
	}
	for i, d := range g.sort {
		g.sort[i] = max(2*d-twice, twice-2*d)
	}
	// What lies below the median falls towards it and what lies above rises from it: nearly sorted, in two runs.
	slices.Sort(g.sort)
	return float64(g.sort[(n-1)/2]+g.sort[n/2]) / float64(2*twice), true
}

// Entropy is that of the gaps over bins of a fifth of a natural logarithm, in bits; a gap of 0 is one of a microsecond.
func (g *Gaps) Entropy() (float64, bool) {
	n := len(g.gaps)
	if n < 2 {
		return 0, false
	}
	var bins [binsPerE * 45]uint16 // no int64 has a larger logarithm than 44
	for _, log := range g.log() {
		bins[int(float64(binsPerE*log))]++
	}
	sum := 0.0
	for _, c := range bins {
		if c > 1 {
			sum += float64(float64(c) * floats.Log(float64(c)))
		}
	}
	return max(0, (floats.Log(float64(n))-sum/float64(n))/math.Ln2), true
}

// Autocorrelation is the correlation of each gap's logarithm with that of the next one. It takes four gaps that are not
// all the same.
func (g *Gaps) Autocorrelation() (float64, bool) {
	n := len(g.gaps) - 1
	if n < 3 {
		return 0, false
	}
	a, b := g.log()[:n], g.log()[1:]
	meanA, meanB := mean(a), mean(b)
	var ab, aa, bb float64
	for i := range a {
		x, y := a[i]-meanA, b[i]-meanB
		ab += float64(x * y)
		aa += float64(x * x)
		bb += float64(y * y)
	}
	if same(a) || same(b) {
		return 0, false
	}
	return max(-1, min(1, ab/math.Sqrt(float64(aa*bb)))), true
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// same says whether all are: what is left of them beside their mean is then rounding.
func same(x []float64) bool {
	return !slices.ContainsFunc(x, func(v float64) bool { return v != x[0] })
}

// ShareUnder is the part of the gaps that are shorter than a floor.
func (g *Gaps) ShareUnder(floor time.Duration) (float64, bool) {
	if len(g.gaps) == 0 {
		return 0, false
	}
	under := 0
	for _, d := range g.gaps {
		if d < floor.Microseconds() {
			under++
		}
	}
	return float64(under) / float64(len(g.gaps)), true
}

func (g *Gaps) log() []float64 {
	if g.logged {
		return g.logs
	}
	g.logs, g.logged = g.logs[:0], true
	for _, d := range g.gaps {
		g.logs = append(g.logs, floats.Log(float64(max(d, 1))))
	}
	return g.logs
}
