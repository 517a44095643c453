package tiles

// readTimes gives the first and the last time by the query's second.
func (s *State) readTimes(l *Layout, q *query, r *Reading) {
	stride := l.rawStride
	raw := q.raw.words
	if q.raw.fold != nil {
		raw = raw[stride:] // it is read with the folded ones, below
	}
	for i := len(raw) - stride; i >= 0; i -= stride {
		if q.takesPart(raw[i:]) {
			r.last.at = int64(raw[i])
			break
		}
	}
	for i := 0; i < len(raw); i += stride {
		if q.takesPart(raw[i:]) {
			r.first.at = int64(raw[i])
			break
		}
	}
	if q.raw.plus && q.plusSec <= q.sec {
		r.last.at = max(r.last.at, q.plus.At)
		r.first.at = older(r.first.at, q.plus.At)
	}
	first, last, times := s.first, s.last, s.times
	if q.raw.foldSec != 0 {
		at := q.raw.foldAt
		if times.last == 0 {
			first, last = at, at
		}
		first, last = min(first, at), max(last, at)
		times.add(uint32(q.raw.foldSec))
	}
	if times.last == 0 {
		return
	}
	// A minus that is not raw was folded, and cannot be told from the others of its time.
	folded := q.minusSec != 0 && !q.raw.minus
	if floorSecond(first) <= q.sec {
		r.first.at = older(r.first.at, first)
		if folded && q.minus.At == first || q.raw.missedFirst == first {
			r.first.flags = CorrectionMissed
		}
	}
	if r.last.at == NoTime {
		r.last = q.foldedLast(last, &times, folded)
	}
}

// foldedLast gives the newest folded time by the query's second; where there are newer ones, to the second.
func (q *query) foldedLast(last int64, times *seen, folded bool) (m moment) {
	sec := int64(times.newestAt(q.sec, q.horizon))
	switch {
	case sec == 0:
		return moment{at: NoTime}
	case sec == floorSecond(last):
		m = moment{at: last}
	default:
		m = moment{at: sec * 1e6, flags: Capped}
	}
	if folded && q.minusSec == sec || q.raw.missedSec == sec {
		m.flags |= CorrectionMissed
	}
	return m
}

// older gives the older of two times, of which a may be NoTime.
func older(a, b int64) int64 {
	if a == NoTime {
		return b
	}
	return min(a, b)
}
