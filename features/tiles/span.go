package tiles

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Span is a window, or one that ends earlier: [floor((t-Shift-Length)/Hop)*Hop, floor((t-Shift)/Hop)*Hop). A shifted one
// is as long as its window, and nothing in it is newer than t-Shift.
type Span struct {
	Window Window
	// Shift is how long before the evaluation time the window ends, in whole seconds. 0 is the window itself.
	Shift time.Duration
}

// The bounds of a shifted window: within maxShift, and in no more tiles than maxShiftedTiles.
const (
	maxShift        = 60 * 24 * time.Hour
	maxShiftedTiles = 1024
)

// Check refuses what would take too many tiles, and says what can be had.
func (s Span) Check() error {
	if s.Shift < 0 || s.Shift > maxShift || s.Shift%time.Second != 0 {
		return fmt.Errorf("a window can be shifted by up to %s, in whole seconds", DurationText(maxShift))
	}
	if s.Shift == 0 || s.tiles() <= maxShiftedTiles {
		return nil
	}
	for _, w := range AllWindows() {
		if longer := (Span{w, s.Shift}); w > s.Window && longer.tiles() <= maxShiftedTiles {
			return fmt.Errorf("the %s window is kept in steps of %s, of which %s would take %d, and at most %d are kept: take %s, the next window that can be shifted so far",
				s.Window, DurationText(s.Window.Hop()), DurationText(s.Shift+s.Window.Length()), s.tiles(), maxShiftedTiles, w)
		}
	}
	return fmt.Errorf("no window can be shifted by %s: it would take more than %d steps", DurationText(s.Shift), maxShiftedTiles)
}

func (s Span) tiles() int { return int((s.Shift + s.Window.Length()) / s.Window.Hop()) }

// String gives what the span covers as one sentence.
func (s Span) String() string {
	if s.Shift == 0 {
		return s.Window.Contract().String()
	}
	w := s.Window
	return fmt.Sprintf("%s, shifted by %s: the %s that end at t-%s, rounded down to a multiple of %s; what is up to %s older than that end may be left out, and nothing newer counts",
		w, DurationText(s.Shift), w, DurationText(s.Shift), DurationText(w.Hop()), DurationText(w.Hop()))
}

// stretch is the seconds [from, to).
type stretch struct{ from, to int64 }

// stretch gives the seconds of a span at the query's time.
func (q *query) stretch(s Span) stretch {
	r := s.Window.rung()
	if s.Shift == 0 {
		return stretch{edge(q.sec, r.length, r.hop), q.sec + 1}
	}
	from := edge(q.sec-int64(s.Shift/time.Second), r.length, r.hop)
	return stretch{from, from + r.length}
}

// ladder is levels and what they hold at a query's horizon.
type ladder struct {
	levels []level
	edges  [maxLevels]int64
}

// oldest gives the oldest second that any level holds.
func (l *ladder) oldest() int64 { return l.edges[len(l.levels)-1] }

// ladder gives levels as they are at the state's horizon.
func (s *State) ladder(levels []level) ladder {
	return ladder{levels, edgesOf(levels, int64(s.horizon))}
}

// ladder gives levels as they are at the query's horizon.
func (r *Reading) ladder(levels []level) *ladder {
	return &ladder{levels, edgesOf(levels, r.query.horizon)}
}

// counts says whether something of a second counts in a stretch. At a time before the horizon that is so where the whole
// tile lies inside that it is merged into.
func (q *query) counts(l *ladder, sec int64, in stretch) bool {
	if q.sec >= q.horizon {
		return sec >= in.from && sec < in.to
	}
	begin, end := l.tile(sec)
	return begin >= in.from && end <= in.to && begin < end
}

// tile gives the stretch of the tile that a second is merged into at the horizon, an empty one where it is too old.
func (l *ladder) tile(sec int64) (begin, end int64) {
	for i, lv := range l.levels {
		if sec < l.edges[i] {
			continue
		}
		begin = sec - sec%lv.hop
		end = begin + lv.hop
		if i > 0 {
			end = min(end, l.edges[i-1])
		}
		return begin, end
	}
	return 0, 0
}

// CountIn is Count of a span.
func (r *Reading) CountIn(s Span) int64 {
	if s.Shift == 0 {
		return r.Count(s.Window)
	}
	n := int64(0)
	r.eachTile(s, func(tile []uint64) { n += r.state.tileCount(tile) })
	for _, c := range r.currents(s) {
		n += c.sign
	}
	return n
}

// SumIn is Sum of a span.
func (r *Reading) SumIn(s Span, column int) Int128 {
	if s.Shift == 0 {
		return r.Sum(s.Window, column)
	}
	return r.columnIn(s, column)
}

// SquaresIn is Squares of a span.
func (r *Reading) SquaresIn(s Span, column int) Int128 {
	if s.Shift == 0 {
		return r.Squares(s.Window, column)
	}
	return r.columnIn(s, r.layout.spec.Sums+slices.Index(r.layout.squares, column))
}

// SpanFlags is WindowFlags of a span.
func (r *Reading) SpanFlags(s Span) Flags {
	if r.lost != 0 && r.lost >= max(r.query.stretch(s).from, r.query.oldest(r.layout)) {
		return r.Flags | CorrectionMissed
	}
	return r.Flags
}

func (r *Reading) columnIn(s Span, column int) (sum Int128) {
	r.eachTile(s, func(tile []uint64) { sum = sum.Add(r.state.tileSum(tile, column)) })
	for _, c := range r.currents(s) {
		v := r.layout.column(c.Values, column)
		if c.sign < 0 {
			v = v.Neg()
		}
		sum = sum.Add(v)
	}
	return sum
}

// eachTile visits the tiles that count in a span.
func (r *Reading) eachTile(s Span, visit func(tile []uint64)) {
	q, in, stride := &r.query, r.query.stretch(s), r.state.stride(r.layout)
	levels := q.ladder(r.layout)
	tiles := r.state.tiles
	if q.sec >= q.horizon {
		for i, to := r.state.tilesFrom(stride, in.from), r.state.tilesFrom(stride, in.to); i < to; i += stride {
			visit(tiles[i : i+stride])
		}
		return
	}
	for i := 0; i < len(tiles); i += stride {
		if q.counts(levels, int64(start(tiles[i])), in) {
			visit(tiles[i : i+stride])
		}
	}
}

// tilesFrom gives where the tiles of a second and later begin.
func (s *State) tilesFrom(stride int, sec int64) int {
	if sec > math.MaxUint32 {
		return len(s.tiles)
	}
	at, _ := s.findTile(stride, uint32(max(sec, 0)))
	return at
}

// current is an event that takes part on the fly, or is left out.
type current struct {
	*Contribution
	sec, sign int64
}

// currents gives those that count in the tiles of a span.
func (r *Reading) currents(s Span) []current {
	return r.currentsIn(r.query.stretch(s), r.query.ladder(r.layout))
}

// ladder gives the levels of tiles.
func (q *query) ladder(l *Layout) *ladder {
	if q.known.levels == nil {
		q.known = ladder{l.levels, l.levelEdges(q.horizon)}
	}
	return &q.known
}

// oldest gives the oldest second that any window can still have.
func (q *query) oldest(l *Layout) int64 { return l.oldest(q.horizon) }

func (r *Reading) currentsIn(in stretch, l *ladder) []current {
	q, n := &r.query, 0
	for _, c := range [...]current{{q.plus, q.plusSec, 1}, {q.minus, q.minusSec, -1}} {
		if c.sec != 0 && q.counts(l, c.sec, in) {
			r.taking[n] = c
			n++
		}
	}
	return r.taking[:n]
}
