package features

import (
	"math"

	"pitboss/features/rhythm"
	"pitboss/features/tiles"
)

// newestScratch is what the features of one reading share: the gaps of the same events are worked out once.
type newestScratch struct {
	times  []int64
	gaps   rhythm.Gaps
	window tiles.Window
	last   int // of times and gaps, 0 for none
}

// takeNewest makes a value out of the newest events of a window.
func (v *Vector) takeNewest(i int, f *feature, g *planGroup, r *tiles.Reading, s *newestScratch) {
	newest, flags := r.Newest(f.window, f.newest.last)
	value, ok := 0.0, false
	switch f.agg {
	case aggLastValue:
		if at := newest.Len() - f.newest.last; at >= 0 {
			if n := newest.Value(at, f.column); n != tiles.NoValue {
				value, ok = float64(n)/float64(f.scale), true
			}
			flags &^= tiles.Capped | tiles.Late // that there are older ones is no matter
		}
	case aggNgramCount:
		value, ok = float64(f.countNgrams(newest)), true
	default:
		s.set(f, newest)
		value, ok = f.rhythm(s)
	}
	status := Present
	if !ok {
		value, status = math.NaN(), Missing
	}
	v.Values[i], v.Status[i] = value, g.status(f, v.At, status, true, flags)
}

// set makes the gaps of the events, unless it has them.
func (s *newestScratch) set(f *feature, newest tiles.Newest) {
	if s.last == f.newest.last && s.window == f.window {
		return
	}
	s.window, s.last = f.window, f.newest.last
	s.times = s.times[:0]
	for i := range newest.Len() {
		s.times = append(s.times, newest.At(i))
	}
	s.gaps.Set(s.times)
}

func (f *feature) rhythm(s *newestScratch) (float64, bool) {
	switch f.agg {
	case aggGapMean:
		return s.gaps.Mean()
	case aggGapCV:
		return s.gaps.CV()
	case aggGapMAD:
		return s.gaps.MAD()
	case aggGapEntropy:
		return s.gaps.Entropy()
	case aggGapAutocorrelation:
		return s.gaps.Autocorrelation()
	case aggGapShareUnder:
		return s.gaps.ShareUnder(f.newest.floor)
	case aggMetronome:
		return f.newest.metronome.Strength(s.times)
	default:
		panic("BUG: " + f.agg.String() + " is no rhythm")
	}
}

// countNgrams counts where the categories follow each other, an event after the other. They may overlap.
func (f *feature) countNgrams(newest tiles.Newest) (n int) {
	for from := 0; from+len(f.newest.ngram) <= newest.Len(); from++ {
		same := true
		for i, category := range f.newest.ngram {
			same = same && newest.Value(from+i, f.column) == category
		}
		if same {
			n++
		}
	}
	return n
}
