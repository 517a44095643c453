package tiles_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitboss/features/tiles"
)

// TestPropertyTilesAddUp holds that the tiles and kept contributions that a reading lists are a function of the set, and that
// counts and sums are theirs: those of windows from tiles add up, those of exact windows have as many kept ones.
func TestPropertyTilesAddUp(t *testing.T) {
	seed, rounds := seedAndRounds(t, 200)
	added, exact, late := 0, 0, 0
	for round := range rounds {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		w := randomWorld(t, rng)
		var states []*tiles.State
		var horizon int64
		for range 3 {
			s, h := w.arrive(t, rng, w.set)
			states, horizon = append(states, s), h
		}
		for _, at := range w.times(rng, horizon) {
			for _, span := range append(spansOf(w.spec.Windows), w.spec.Shifts...) {
				var first string
				for i, s := range states {
					where := fmt.Sprintf("seed %d round %d order %d at %d %v", seed, round, i, at, span)
					var r tiles.Reading
					s.Read(w.layout, at, horizon, nil, nil, &r)
					from, to := r.Edges(span)
					list, kept := r.Tiles(span), r.Kept(from*1e6, to*1e6)
					got := fmt.Sprint(list, kept)
					if i == 0 {
						first = got
					} else if diff := cmp.Diff(first, got); diff != "" {
						t.Fatalf("%s (-first order +this one):\n%s", where, diff)
					}
					if r.Flags != 0 {
						late++
					}
					if span.Shift == 0 && r.Exact(span.Window) {
						exact++
						counts(t, where, &r, span, r.Kept(at-span.Window.Length().Microseconds()+1, at+1))
						continue
					}
					added++
					addsUp(t, where, &r, span, list, w.spec.Sums)
				}
			}
		}
	}
	if rounds >= 200 && (added == 0 || exact == 0 || late == 0) {
		t.Errorf("some case never came up: %d from tiles, %d exact, %d late", added, exact, late)
	}
	t.Logf("%d from tiles, %d exact, %d late", added, exact, late)
}

func spansOf(windows tiles.WindowSet) (spans []tiles.Span) {
	for _, w := range windows.List() {
		spans = append(spans, tiles.Span{Window: w})
	}
	return spans
}

func counts(t *testing.T, where string, r *tiles.Reading, span tiles.Span, kept []tiles.Kept) {
	t.Helper()
	n := int64(0)
	for _, k := range kept {
		if !k.Void {
			n++
		}
	}
	if got := r.CountIn(span); got != n {
		t.Fatalf("%s: %d are kept and the exact count is %d", where, n, got)
	}
}

func addsUp(t *testing.T, where string, r *tiles.Reading, span tiles.Span, list []tiles.Tile, columns int) {
	t.Helper()
	n, sums := int64(0), make([]tiles.Int128, columns)
	for i, tile := range list {
		n += tile.Count
		for column := range sums {
			sums[column] = sums[column].Add(tile.Sums[column])
		}
		if tile.From >= tile.To || i > 0 && tile.From < list[i-1].To {
			t.Fatalf("%s: tile %d is [%d, %d), after one to %d", where, i, tile.From, tile.To, list[max(0, i-1)].To)
		}
	}
	if got := r.CountIn(span); got != n {
		t.Fatalf("%s: the tiles have %d and the count is %d", where, n, got)
	}
	for column := range sums {
		if got := r.SumIn(span, column); got != sums[column] {
			t.Fatalf("%s: column %d of the tiles is %v and the sum %v", where, column, sums[column], got)
		}
	}
}
