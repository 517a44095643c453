package features

import (
	"context"

	"pitboss/features/tiles"
)

// Explanation is what a feature's value was made of.
type Explanation struct {
	// Feature is its place in the set; the value and its status are the vector's.
	Feature int
	// From and To are the window's edges, microseconds: [From, To), or where Exact (From, To]. Both 0 without a window.
	From, To int64
	Exact    bool
	// SumOf is the field that the tiles' sums are of, empty where the feature sums nothing.
	SumOf string
	// Tiles are the window's, oldest first. Exact windows, and those of the newest events, are not made of them.
	Tiles []ExplainedTile
	// Events are the window's events that are kept as they came, oldest first: how many, the group says.
	Events []ExplainedEvent
}

// ExplainedTile is the seconds [From, To), and what of the group's events is in them.
type ExplainedTile struct {
	From, To int64
	Count    int64
	// Sum is that of the feature's values, of WithValue events that have one.
	Sum       float64
	WithValue int64
}

// ExplainedEvent is an event that is kept as it came.
type ExplainedEvent struct {
	// At is its time, microseconds, and Key how its EventKey begins, which is its decision's id.
	At  int64
	Key [4]byte
	// Void says that it was taken back: it counts nowhere and keeps its place.
	Void bool
}

// Explain is Features, and what each value from the entity's windows was made of, in the set's order. It is for people: it
// holds the entity's lock for as long as it copies.
func (e *Engine) Explain(ctx context.Context, ref EntityRef, at int64, set *Set, dst *Vector) ([]Explanation, error) {
	x := &explainer{of: make(map[int]Explanation)}
	if err := e.featuresOf(ctx, []EntityRef{ref}, at, set, dst, x); err != nil {
		return nil, err
	}
	list := make([]Explanation, 0, len(x.of))
	for i := range set.Features {
		if one, ok := x.of[i]; ok {
			list = append(list, one)
		}
	}
	return list, nil
}

// explainer notes what values are made of while they are read.
type explainer struct{ of map[int]Explanation }

// note notes one feature, from the reading of its group.
func (x *explainer) note(i int, f *feature, g *planGroup, at int64, r *tiles.Reading) {
	one := Explanation{Feature: i, SumOf: f.sumOf(g)}
	from, to := int64(0), at+microsPerSecond-floorMod(at, microsPerSecond) // the times heed the whole second
	switch {
	case !f.windowed():
	case f.agg.ofNewest() || !f.ofTiles() && r.Exact(f.window):
		from, to = at-f.window.Length().Microseconds()+1, at+1
		one.Exact, one.From, one.To = true, from-1, at
	default:
		first, end := r.Edges(f.span())
		from, to = first*microsPerSecond, end*microsPerSecond
		one.From, one.To = from, to
		one.Tiles = f.explainTiles(r.Tiles(f.span()))
	}
	for _, k := range r.Kept(from, to) {
		one.Events = append(one.Events, ExplainedEvent{
			At: k.At, Key: [4]byte{byte(k.ID), byte(k.ID >> 8), byte(k.ID >> 16), byte(k.ID >> 24)}, Void: k.Void,
		})
	}
	if f.agg.ofNewest() {
		one.Events = newestOf(one.Events, f.newest.last)
	}
	x.of[i] = one
}

// newestOf gives the newest n events, and void ones between them.
func newestOf(events []ExplainedEvent, n int) []ExplainedEvent {
	from := len(events)
	for from > 0 && (n > 0 || events[from-1].Void) {
		from--
		if !events[from].Void {
			n--
		}
	}
	return events[from:]
}

// sumOf is the field that the feature sums, empty for none.
func (f *feature) sumOf(g *planGroup) string {
	switch f.agg {
	case aggSum, aggMean, aggStd, aggCV, aggZScore, aggDecayedSum:
		return g.sums[f.column].field
	default:
		return ""
	}
}

// explainTiles reads the feature's own columns.
func (f *feature) explainTiles(list []tiles.Tile) []ExplainedTile {
	out := make([]ExplainedTile, len(list))
	for i, t := range list {
		out[i] = ExplainedTile{From: t.From, To: t.To, Count: t.Count, WithValue: t.Count}
		switch f.agg {
		case aggMean, aggStd, aggCV, aggZScore:
			out[i].WithValue, _ = t.Sums[f.present].Int64()
			fallthrough
		case aggSum, aggDecayedSum:
			out[i].Sum = t.Sums[f.column].Float64() / float64(f.scale)
		default: // counts and categories
		}
	}
	return out
}
