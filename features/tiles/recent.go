package tiles

import "math/bits"

// The newest Spec.Recent contributions are promised as they came. The state keeps two more: one shows that there are
// more than promised, and one stands in for a contribution that is left out. So what is promised is a function of the
// contributions that count, whether one of them is inside already or takes part on the fly.

// spareRaw is how many more raw contributions are kept than promised.
const spareRaw = 2

// recent are the newest contributions that count in a query, oldest first, in the words of raw.go: those promised, and
// before them one more where there is one. A void one takes its place and is left out.
type recent struct {
	words  []uint64
	stride int
	// more says that there are more than promised, and beyond is the time of the first of them: whatever is not in words
	// is not newer.
	more   bool
	beyond int64
}

// len is how many contributions there are.
func (r *recent) len() int { return len(r.words) / r.stride }

// at gives the words of one, 0 the oldest.
func (r *recent) at(i int) []uint64 { return r.words[i*r.stride : (i+1)*r.stride] }

// cover says whether all contributions after a time are among the recent: that no more than Spec.Recent are newer.
func (r *recent) cover(from int64) bool { return !r.more || r.beyond <= from }

// after gives where among words those after a time begin.
func (r *recent) after(at int64) int {
	low, high := 0, r.len()
	for low < high {
		if mid := int(uint(low+high) / 2); int64(r.at(mid)[0]) <= at {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low * r.stride
}

// readRecent copies the newest contributions that count.
func (s *State) readRecent(l *Layout, q *query, r *recent) {
	r.stride = l.rawStride
	most := (l.spec.Recent + 1) * r.stride
	if cap(r.words) < most {
		r.words = make([]uint64, most)
	}
	words := r.words[:most]
	var plusWords rawWords
	var plus []uint64
	if q.plusSec != 0 {
		plus = l.record(q.plus, &plusWords)
	}
	to, from := most, len(s.raw)
	minus := q.minus != nil
	for to > 0 && (from > 0 || plus != nil) {
		switch {
		case plus != nil && (from == 0 || compareRaw(plus, s.raw[from-r.stride:from]) >= 0):
			to -= copy(words[to-r.stride:], plus)
			plus = nil
		case plus == nil && (!minus || int64(s.raw[from-r.stride]) < q.minus.At):
			n := min(to, from)
			copy(words[to-n:to], s.raw[from-n:from])
			to, from = to-n, from-n
		default:
			from -= r.stride
			if rec := s.raw[from : from+r.stride]; !q.isMinus(rec) {
				to -= copy(words[to-r.stride:to], rec)
			}
		}
	}
	r.words, r.more = words[to:], to == 0
	if r.more {
		r.beyond = int64(words[0])
	}
	r.dropVoid()
}

// dropVoid takes the void contributions out.
func (r *recent) dropVoid() {
	out := 0
	for i := 0; i < len(r.words); i += r.stride {
		if r.words[i+1]&voidMark != 0 {
			continue
		}
		if out < i {
			copy(r.words[out:], r.words[i:i+r.stride])
		}
		out += r.stride
	}
	r.words = r.words[:out]
}

// exactEdges gives the times after which the windows that the recent contributions cover begin: the n shortest windows.
func (r *Reading) exactEdges(l *Layout) (from [windowCount]int64, n int) {
	for n < len(l.windows) {
		from[n] = r.query.at - l.windows[n].length*1e6
		if !r.recent.cover(from[n]) {
			break
		}
		n++
	}
	return from, n
}

// readExact reads the windows that the recent contributions cover over (t-W, t], each from the shorter one and the
// contributions down to its own edge.
func (r *Reading) readExact(l *Layout) {
	edges, n := r.exactEdges(l)
	end := r.recent.after(r.query.at)
	to := end
	for w := range n {
		r.counts[w] = 0
		row := r.sums[w*l.linear : (w+1)*l.linear]
		clear(row)
		if w > 0 {
			r.counts[w] = r.counts[w-1]
			copy(row, r.sums[(w-1)*l.linear:])
		}
		from := r.recent.after(edges[w])
		r.addRecords(l, w, r.recent.words[from:to])
		to = from
	}
	for col := range l.spec.Distincts {
		r.countExact(l, col, edges[:n], r.recent.words[to:end])
	}
}

// addRecords counts contributions in the partials of a window.
func (r *Reading) addRecords(l *Layout, w int, words []uint64) {
	stride := l.rawStride
	r.counts[w] += int64(len(words) / stride)
	row := r.sums[w*l.linear : (w+1)*l.linear]
	values := 2 + l.spec.categories() // in exact mode every sum's value is there, and before all others
	for column := range l.spec.Sums {
		var sum halves
		sum.add(words, values+column, stride)
		row[column] = row[column].Add(sum.whole())
	}
	for i, column := range l.squares {
		sum := &row[l.spec.Sums+i]
		for at := values + column; at < len(words); at += stride {
			*sum = sum.Add(square128(int64(words[at])))
		}
	}
}

// exactWords are the contributions of a window that is read exactly.
func (r *Reading) exactWords(w Window) []uint64 {
	return r.recent.words[r.recent.after(r.query.at-w.rung().length*1e6):r.recent.after(r.query.at)]
}

// tallyExact counts a table's slots in a window that is read exactly. There may be as many slots as contributions: a bit
// for each says whether it occurs, and which counts are of this time.
func (r *Reading) tallyExact(y *tally) {
	words, stride := r.exactWords(y.span.Window), r.recent.stride
	word, shift := r.layout.slotPlace(y.table)
	var occurs [MaxSlots / 64]uint64
	if r.slotted == nil {
		r.slotted = make([]uint16, MaxSlots)
	}
	counts := r.slotted
	for ; len(words) > 0; words = words[stride:] {
		slot := rawSlot(words, word, shift)
		if slot == NoSlot {
			continue
		}
		if bit := uint64(1) << (slot % 64); occurs[slot/64]&bit == 0 {
			occurs[slot/64] |= bit
			counts[slot] = 0
		}
		counts[slot]++
	}
	for i, some := range occurs[:(r.layout.spec.Counts[y.table]+63)/64] {
		for ; some != 0; some &= some - 1 {
			slot := int32(i*64 + bits.TrailingZeros64(some))
			y.slots = append(y.slots, slotCount{slot, int64(counts[slot])})
		}
	}
}

// topExact gives the largest word of a smallest or largest value in an exact window.
func (r *Reading) topExact(l *Layout, w int, e extreme) (top uint64) {
	words := r.exactWords(l.windows[w].id)
	for at := e.word; at < len(words); at += r.recent.stride {
		top = max(top, e.rank(int64(words[at])))
	}
	return top
}

// countExact counts the categories of a column by the shortest window that has them.
func (r *Reading) countExact(l *Layout, col int, edges []int64, words []uint64) {
	row := r.distinct[col*len(l.windows):][:len(edges)]
	clear(row)
	stride := l.rawStride
	r.known.reset(len(words) / stride)
	w := 0
	for i := len(words) - stride; i >= 0; i -= stride {
		for int64(words[i]) <= edges[w] {
			w++
		}
		if hash := words[i+2+col]; hash != 0 && r.known.add(hash) {
			row[w].n++
		}
	}
	for w := 1; w < len(row); w++ {
		row[w].n += row[w-1].n
	}
}

// Newest are a window's newest contributions as they came, oldest first. They are valid until the next Read.
type Newest struct {
	words  []uint64
	layout *Layout
}

// Newest gives the n newest contributions of a window, which is (t-W, t] to the microsecond; n is at most Spec.Recent. With
// Capped the window has more. A late reading may know fewer of them then: those that are among the newest of all.
func (r *Reading) Newest(w Window, n int) (Newest, Flags) {
	l := r.layout
	if n > l.spec.Recent {
		panic("BUG: tiles: more contributions are asked for than the layout promises")
	}
	edge := r.query.at - l.windows[r.slot(w)].length*1e6
	words := r.recent.words[r.recent.after(edge):r.recent.after(r.query.at)]
	flags := Flags(0)
	if r.slot(w) >= r.lostFrom {
		flags = CorrectionMissed
	}
	if !r.recent.cover(edge) {
		flags |= r.Flags | Capped
	}
	if most := n * r.recent.stride; len(words) > most {
		words, flags = words[len(words)-most:], flags|Capped
	}
	return Newest{words, l}, flags
}

// Len is how many there are.
func (n Newest) Len() int { return len(n.words) / n.layout.rawStride }

// At is the time of one, 0 the oldest.
func (n Newest) At(i int) int64 { return int64(n.words[i*n.layout.rawStride]) }

// Value is one of the values that Spec.RawValues names.
func (n Newest) Value(i, value int) int64 {
	before := n.layout.spec.RawValues & (1<<value - 1)
	return int64(n.words[i*n.layout.rawStride+2+n.layout.spec.categories()+before.Len()])
}
