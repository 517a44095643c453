package rhythm

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// The bounds of a metronome. One reading takes about as long as events times periods says: MaxWork keeps it within 20 us.
const (
	MaxPeriods = 256
	MaxWork    = 8192
	// MinPeriod is the shortest period. The gaps of people's clicks go down to 80 ms.
	MinPeriod = 10 * time.Millisecond
	// MaxPeriod is the longest.
	MaxPeriod = 24 * time.Hour
	// beats is how many of its beats the events must span for a period to count: a few events always fit a long one.
	beats = 8
)

// Metronome is a grid of periods: so many steps of the same frequency from one period to another. It never changes.
type Metronome struct {
	freqs []uint64 // turns per microsecond, in units of 2^-64
	wave  [waveSize + waveSize/4]int32
}

// wave is one turn of a cosine and a quarter more, in units of 2^-waveBits.
const (
	waveSize = 1 << 10
	waveBits = 15
)

// NewMetronome makes the grid.
func NewMetronome(from, to time.Duration, steps int) (*Metronome, error) {
	switch {
	case from < MinPeriod || to > MaxPeriod || from > to:
		return nil, fmt.Errorf("periods go from at least %s to at most %s, not from %s to %s", MinPeriod, MaxPeriod, from, to)
	case steps < 1 || steps > MaxPeriods:
		return nil, fmt.Errorf("there are 1 to %d periods, not %d", MaxPeriods, steps)
	}
	m := &Metronome{}
	high, low := frequency(from), frequency(to)
	for i := range uint64(steps) {
		f := high
		if i > 0 { // never with steps-1 of 0
			f = high - (high-low)/uint64(steps-1)*i
		}
		m.freqs = append(m.freqs, f)
	}
	m.makeWave()
	return m, nil
}

// frequency gives the turns per microsecond of a period, in units of 2^-64.
func frequency(period time.Duration) uint64 {
	f, _ := bits.Div64(1, 0, uint64(period.Microseconds()))
	return f
}

// makeWave turns a vector of length 2^62 step by step, in integers: no machine has another cosine.
func (m *Metronome) makeWave() {
	const (
		one    = 1 << 62
		cosine = 4611599204741358747 // cos(2 pi / waveSize) * 2^62
		sine   = 28296773447188932   // sin(2 pi / waveSize) * 2^62
	)
	x, y := int64(one), int64(0)
	for i := range m.wave {
		m.wave[i] = int32((x + 1<<(61-waveBits)) >> (62 - waveBits))
		x, y = mulShift(x, cosine)-mulShift(y, sine), mulShift(x, sine)+mulShift(y, cosine)
	}
}

// mulShift gives a*b/2^62, rounded down, for b not negative.
func mulShift(a, b int64) int64 {
	neg := a < 0
	if neg {
		a = -a
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	v := int64(hi<<2 | lo>>62)
	if neg {
		return -v
	}
	return v
}

// Periods is how many periods the grid has.
func (m *Metronome) Periods() int { return len(m.freqs) }

// Strength says how well times in microseconds, which are sorted, fall on one beat: the length of the mean of their phases,
// for the period of the grid where that is largest. 1 is a perfect metronome; n events at random give about the square
// root of log(periods)/n. False where they do not span eight beats of any period.
func (m *Metronome) Strength(times []int64) (float64, bool) {
	if len(times) < 2 {
		return 0, false
	}
	span := uint64(times[len(times)-1] - times[0])
	best, ok := int64(0), false
	for _, f := range m.freqs {
		if turns, _ := bits.Mul64(span+1, f); turns < beats { // f is rounded down
			continue
		}
		ok = true
		var x, y int64
		for _, t := range times {
			phase := uint64(t-times[0]) * f >> (64 - 10) // whole turns fall off at the top
			x += int64(m.wave[phase])
			y += int64(m.wave[phase+waveSize/4]) // a quarter on is the sine, but for its sign
		}
		best = max(best, x*x+y*y)
	}
	if !ok {
		return 0, false
	}
	return min(1, math.Sqrt(float64(best))/float64(len(times)<<waveBits)), true
}
