package tiles

// Tile is what one stretch of seconds, [From, To), holds.
type Tile struct {
	From, To int64
	Count    int64
	// Sums has the sum of each of Spec.Sums.
	Sums []Int128
}

// Kept is a contribution that is kept as it came.
type Kept struct {
	// At is its time, microseconds, and ID what Contribution.ID was.
	At int64
	ID uint32
	// Void says that it was taken back: it counts nowhere and keeps its place.
	Void bool
}

// Edges gives the seconds [from, to) of a span, as they are where the window is not exact.
func (r *Reading) Edges(s Span) (from, to int64) {
	in := r.query.stretch(s)
	return in.from, in.to
}

// Tiles lists what counts in a span, oldest first, each as long as it is once it is merged at the horizon: when Compact ran
// makes no difference. What took part on the fly is not in them, and what was left out is. It is for tools, and allocates.
func (r *Reading) Tiles(s Span) (list []Tile) {
	levels := r.query.ladder(r.layout)
	r.eachTile(s, func(words []uint64) {
		from, to := levels.tile(int64(start(words[0])))
		if n := len(list); n == 0 || list[n-1].From != from {
			list = append(list, Tile{From: from, To: to, Sums: make([]Int128, r.layout.spec.Sums)})
		}
		tile := &list[len(list)-1]
		tile.Count += r.state.tileCount(words)
		for column := range tile.Sums {
			tile.Sums[column] = tile.Sums[column].Add(r.state.tileSum(words, column))
		}
	})
	return list
}

// Kept lists the contributions of [from, to), microseconds, that are kept as they came, oldest first; none where the layout
// keeps none. It is for tools, and allocates.
func (r *Reading) Kept(from, to int64) (list []Kept) {
	stride := r.layout.rawStride
	for i := 0; i < len(r.state.raw); i += stride {
		if at := int64(r.state.raw[i]); at >= from && at < to {
			id := r.state.raw[i+1]
			list = append(list, Kept{At: at, ID: uint32(id), Void: id&voidMark != 0})
		}
	}
	return list
}
