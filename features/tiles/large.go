package tiles

import (
	"math"
	"math/bits"
	"slices"
)

// A large distinct count is HyperLogLog's (Flajolet et al. 2007): a category falls into one of 512 registers by its hash,
// and has a rank, the place of the first one in the rest of it; what counts is each register's largest rank. Kept with the
// time, that works over a window (sliding HyperLogLog, Chabchoub and Hébrail 2010): a register remembers the ranks that no
// newer one reaches. A newer one stands in for an older only once no evaluation time can come before it, so what is kept
// does not depend on the order of arrival. A register then has a handful of ranks, however many tiles and categories
// there are. Raw contributions are looked at one by one, like those of a distinct count.

const (
	registerBits = 9
	registers    = 1 << registerBits
	maxRank      = 64 - registerBits + 1
)

// LargeError is the standard error of a large distinct count, as a share of it: 1.04 by the root of the registers.
const LargeError = 0.046

// A peak is one word: register (of all columns), beginning of the tile, rank. They are sorted.
func makePeak(register int, begin uint32, rank uint8) uint64 {
	return uint64(register)<<40 | uint64(begin)<<8 | uint64(rank)
}

func peakRegister(m uint64) int  { return int(m >> 40) }
func peakBegin(m uint64) uint32  { return uint32(m >> 8) }
func peakRank(m uint64) uint8    { return uint8(m) }
func sameTile(a, b uint64) bool  { return a>>8 == b>>8 }
func sameOwner(a, b uint64) bool { return a>>40 == b>>40 }

// registerOf gives a category's register of a column, and its rank there.
func registerOf(column int, hash uint64) (register int, rank uint8) {
	return column*registers + int(hash>>(64-registerBits)), uint8(min(bits.LeadingZeros64(hash<<registerBits), maxRank-1) + 1)
}

// addPeak notes a folded category of a column at a second.
func (s *State) addPeak(l *Layout, column int, hash uint64, sec int64) {
	begin, ok := s.binBegin(l.counting, sec)
	if !ok {
		return
	}
	register, rank := registerOf(column, hash)
	m := makePeak(register, begin, rank)
	if len(s.peaks) == cap(s.peaks) {
		s.compactPeaks(l)
		if len(s.peaks) > cap(s.peaks)-cap(s.peaks)/8-1 {
			s.peaks = room(slices.Clip(s.peaks), 1)
		}
	}
	at, found := slices.BinarySearch(s.peaks, m)
	if found {
		return
	}
	if at < len(s.peaks) && sameTile(s.peaks[at], m) {
		return // with a larger rank
	}
	if at > 0 && sameTile(s.peaks[at-1], m) {
		s.peaks[at-1] = m
		return
	}
	s.peaks = slices.Insert(s.peaks, at, m)
}

// compactPeaks brings peaks to the levels that they have at the horizon and drops those that newer ones stand in for.
// They are gone through from the newest of each register; the kept ones gather at the end.
func (s *State) compactPeaks(l *Layout) {
	if len(s.peaks) == 0 {
		return
	}
	levels := s.ladder(l.counting)
	oldest := levels.oldest()
	out := len(s.peaks)
	best := uint8(0)
	for i, m := range slices.Backward(s.peaks) {
		if i+1 < len(s.peaks) && !sameOwner(m, s.peaks[i+1]) {
			best = 0
		}
		begin, _ := levels.tile(int64(peakBegin(m)))
		if int64(peakBegin(m)) < oldest {
			continue
		}
		m = makePeak(peakRegister(m), uint32(begin), peakRank(m))
		if begin < int64(s.horizon) {
			if peakRank(m) <= best {
				continue
			}
			best = peakRank(m)
		}
		if out < len(s.peaks) && sameTile(s.peaks[out], m) {
			s.peaks[out] = max(s.peaks[out], m)
			continue
		}
		out--
		s.peaks[out] = m
	}
	s.peaks = s.peaks[:copy(s.peaks, s.peaks[out:])]
}

// Large is about how many categories of a large column the window has.
func (r *Reading) Large(w Window, column int) (int64, Flags) {
	l, s, q := r.layout, r.state, &r.query
	if column >= l.spec.Larges || !l.spec.CountWindows.Has(w) {
		panic("BUG: tiles: no such large distinct count in the layout")
	}
	in := q.stretch(Span{Window: w})
	var top [registers]uint8
	s.foldedTops(l, q, in, column, &top)
	missed := q.raw.missedSec != 0 && q.raw.missedSec >= max(in.from, q.oldest(l))
	category := l.spec.Distincts + column
	if q.minusSec != 0 && !q.raw.minus && q.minus.Categories[category] != 0 {
		register, rank := registerOf(0, q.minus.Categories[category])
		// It may be the largest rank, or, in a late reading, what stands in for it.
		reached := top[register] == rank && q.counts(r.ladder(r.layout.counting), q.minusSec, in) || q.sec < q.horizon && top[register] <= rank
		missed = missed || reached && !r.rawReaches(in, category, register, rank)
	}
	r.eachRaw(in, category, func(hash uint64) {
		register, rank := registerOf(0, hash)
		top[register] = max(top[register], rank)
	})
	flags := r.WindowFlags(w) | r.Flags
	if missed {
		flags |= CorrectionMissed
	}
	return estimate(&top), flags
}

// foldedTops gives each register's largest rank among the folded contributions.
func (s *State) foldedTops(l *Layout, q *query, in stretch, column int, top *[registers]uint8) {
	from, _ := slices.BinarySearch(s.peaks, makePeak(column*registers, 0, 0))
	to, _ := slices.BinarySearch(s.peaks, makePeak((column+1)*registers, 0, 0))
	peaks := s.peaks[from:to]
	if q.sec >= q.horizon {
		for _, m := range peaks {
			if begin := int64(peakBegin(m)); begin >= in.from && begin < in.to {
				register := peakRegister(m) % registers
				top[register] = max(top[register], peakRank(m))
			}
		}
	} else {
		// As if they had been compacted: what newer ones of before the horizon stand in for is not known.
		late := State{horizon: uint32(q.horizon), peaks: slices.Clone(peaks)}
		late.compactPeaks(l)
		levels := late.ladder(l.counting)
		for _, m := range late.peaks {
			if begin, end := levels.tile(int64(peakBegin(m))); begin >= in.from && end <= in.to {
				register := peakRegister(m) % registers
				top[register] = max(top[register], peakRank(m))
			}
		}
	}
	if fold := q.raw.fold; fold != nil && fold[1]&voidMark != 0 && q.raw.foldSec >= in.from && q.raw.foldSec < in.to {
		if hash := fold[2+l.spec.Distincts+column]; hash != 0 {
			register, rank := registerOf(0, hash)
			top[register] = max(top[register], rank)
		}
	}
}

// eachRaw visits a category of the raw contributions that take part in a stretch, and of the event on the fly.
func (r *Reading) eachRaw(in stretch, category int, visit func(hash uint64)) {
	q, stride := &r.query, r.layout.rawStride
	for i := 0; i < len(q.raw.words); i += stride {
		rec := q.raw.words[i : i+stride]
		if hash := rec[2+category]; hash != 0 && q.takesPart(rec) && floorSecond(int64(rec[0])) >= in.from {
			visit(hash)
		}
	}
	if q.plusSec >= in.from && q.plusSec < in.to && q.plusSec != 0 && q.plus.Categories[category] != 0 {
		visit(q.plus.Categories[category])
	}
}

func (r *Reading) rawReaches(in stretch, category, register int, rank uint8) (reaches bool) {
	r.eachRaw(in, category, func(hash uint64) {
		own, reached := registerOf(0, hash)
		reaches = reaches || own == register && reached >= rank
	})
	return reaches
}

// estimate gives the number of categories that leaves the registers like this: Ertl's improved raw estimator (2017,
// "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6), which needs no special cases for few.
func estimate(top *[registers]uint8) int64 {
	var counts [maxRank + 1]int32
	for _, rank := range top {
		if rank != 0 {
			counts[rank]++
			counts[0]++
		}
	}
	const m = registers
	z := float64(m * tau(1-float64(counts[maxRank])/m))
	for rank := maxRank - 1; rank >= 1; rank-- {
		z = float64(0.5 * (z + float64(counts[rank])))
	}
	z += float64(m * sigma(1-float64(counts[0])/m))
	return int64(math.RoundToEven(float64(m/(2*math.Ln2)) * m / z))
}

// sigma is x + the sum over k of x^(2^k) * 2^(k-1), infinite at 1.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	z, y := x, 1.0
	for {
		before := z
		x = float64(x * x)
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}

// tau is (1 - x - the sum over k of (1-x^(2^-k))^2 * 2^-k) / 3.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	z, y := 1-x, 1.0
	for {
		before := z
		x = math.Sqrt(x)
		y = float64(0.5 * y)
		z -= float64(float64((1-x)*(1-x)) * y)
		if z == before {
			return z / 3
		}
	}
}

func (s *State) appendPeaks(dst []byte) []byte {
	return s.appendRuns(dst, len(s.peaks), func(i int) (owner int, begin uint32) {
		return peakRegister(s.peaks[i]), peakBegin(s.peaks[i])
	}, func(dst []byte, i int) []byte {
		return append(dst, peakRank(s.peaks[i]))
	})
}

func (s *State) decodePeaks(l *Layout, d *decoder) {
	s.decodeRuns(d, l.spec.Larges*registers, func(n int) {
		if cap(s.peaks) < n {
			s.peaks = make([]uint64, 0, n)
		}
	}, func(owner int, begin uint32) {
		rank := d.byte()
		if rank == 0 || rank > maxRank {
			d.fail("bad rank")
		}
		s.peaks = append(s.peaks, makePeak(owner, begin, rank))
	})
}
