package tiles_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"time"

	"pitboss/features/tiles"
	"pitboss/floats"
)

// result is a reading in a form that can be compared and printed.
type result struct {
	Late    bool
	Windows []windowResult
	Shifted []windowResult
	Last    timeResult
	First   timeResult
}

type windowResult struct {
	Window   string
	Exact    bool
	Count    int64
	Missed   bool
	Sums     []string
	Squares  []string
	Distinct []countResult
	Extremes []countResult // the lows, then the highs
	Large    []countResult
	Tables   []tableResult
	Hours    []int    // of the fullest day, then of the longest pause in the day of least rest
	Decayed  []uint64 // the bits of the count's, then of each sum's
	Slots    []int64  // each step of the window that has contributions, and how many
	Newest   []newestResult
}

// tableResult is what is made of one table.
type tableResult struct {
	Top, All  int64
	Entropy   uint64 // its bits
	Quantiles []int32
}

// quantiles are those that are read, in millionths, and halfLife is that of decayed values.
var quantiles = []uint64{1, 250_000, 500_000, 999_999}

func halfLife(w tiles.Window) time.Duration { return w.Length() / 5 }

func tablesOf(spec tiles.Spec, r *tiles.Reading, span tiles.Span) (tables []tableResult) {
	if !spec.CountWindows.Has(span.Window) {
		return nil
	}
	for i := range spec.Counts {
		t := tableResult{Entropy: math.Float64bits(r.Entropy(span, i))}
		t.Top, t.All = r.Top(span, i)
		for _, q := range quantiles {
			t.Quantiles = append(t.Quantiles, r.Quantile(span, i, q))
		}
		tables = append(tables, t)
	}
	return tables
}

func shiftedOf(spec tiles.Spec, r *tiles.Reading, span tiles.Span) windowResult {
	wr := windowResult{
		Window: fmt.Sprint(span.Window, " shifted by ", span.Shift), Count: r.CountIn(span),
		Missed: r.SpanFlags(span)&tiles.CorrectionMissed != 0, Tables: tablesOf(spec, r, span),
	}
	for i := range spec.Sums {
		wr.Sums = append(wr.Sums, bigOf(r.SumIn(span, i)).String())
		if spec.Squares.Has(i) {
			wr.Squares = append(wr.Squares, bigOf(r.SquaresIn(span, i)).String())
		}
	}
	return wr
}

type countResult struct {
	N     int64
	Flags tiles.Flags
}

// newestResult are the newest contributions of a window, each as its time and values.
type newestResult struct {
	Flags tiles.Flags
	Of    [][]int64
}

// newestCounts are how many of the newest are asked for.
func newestCounts(spec tiles.Spec) []int {
	if spec.Recent == 0 {
		return nil
	}
	return []int{spec.Recent, spec.Recent/2 + 1}
}

func newestOf(spec tiles.Spec, r *tiles.Reading, w tiles.Window, n int) newestResult {
	newest, flags := r.Newest(w, n)
	res := newestResult{Flags: flags}
	for i := range newest.Len() {
		of := []int64{newest.At(i)}
		for value := range spec.Values {
			if spec.RawValues.Has(value) {
				of = append(of, newest.Value(i, value))
			}
		}
		res.Of = append(res.Of, of)
	}
	return res
}

func slotsOf(r *tiles.Reading, w tiles.Window) (of []int64) {
	var slots tiles.Slots
	r.Slots(w, &slots)
	for i, n := range slots {
		if n != 0 {
			of = append(of, int64(i), n)
		}
	}
	return of
}

type timeResult struct {
	At    int64
	Flags tiles.Flags
}

// flags are all flags of single values.
func (res *result) flags() tiles.Flags {
	flags := res.Last.Flags | res.First.Flags
	for _, wr := range res.Windows {
		for _, d := range slices.Concat(wr.Distinct, wr.Extremes, wr.Large) {
			flags |= d.Flags
		}
	}
	return flags
}

func resultOf(spec tiles.Spec, r *tiles.Reading) result {
	res := result{Late: r.Flags&tiles.Late != 0}
	for _, w := range spec.Windows.List() {
		wr := windowResult{
			Window: w.String(), Exact: r.Exact(w), Count: r.Count(w), Missed: r.WindowFlags(w)&tiles.CorrectionMissed != 0,
		}
		for i := range spec.Sums {
			wr.Sums = append(wr.Sums, bigOf(r.Sum(w, i)).String())
		}
		for i := range spec.Distincts {
			n, flags := r.Distinct(w, i)
			wr.Distinct = append(wr.Distinct, countResult{n, flags &^ tiles.Late})
		}
		for i := range spec.Sums {
			if spec.Squares.Has(i) {
				wr.Squares = append(wr.Squares, bigOf(r.Squares(w, i)).String())
			}
		}
		for _, e := range extremesOf(spec) {
			read := r.High
			if e.low {
				read = r.Low
			}
			v, flags := read(w, e.value)
			wr.Extremes = append(wr.Extremes, countResult{v, flags &^ tiles.Late})
		}
		wr.Tables = tablesOf(spec, r, tiles.Span{Window: w})
		for i := 0; i < spec.Larges && spec.CountWindows.Has(w); i++ {
			n, flags := r.Large(w, i)
			wr.Large = append(wr.Large, countResult{n, flags &^ tiles.Late})
		}
		wr.Slots = slotsOf(r, w)
		if spec.Hours.Has(w) {
			wr.Hours = []int{r.ActiveHours(w)}
			if quiet, ok := r.QuietHours(w); ok {
				wr.Hours = append(wr.Hours, quiet)
			}
		}
		for i := -1; i < spec.Sums; i++ {
			wr.Decayed = append(wr.Decayed, math.Float64bits(r.Decayed(w, i, halfLife(w))))
		}
		for _, n := range newestCounts(spec) {
			wr.Newest = append(wr.Newest, newestOf(spec, r, w, n))
		}
		res.Windows = append(res.Windows, wr)
	}
	for _, span := range spec.Shifts {
		res.Shifted = append(res.Shifted, shiftedOf(spec, r, span))
	}
	at, flags := r.Last()
	res.Last = timeResult{at, flags &^ tiles.Late}
	at, flags = r.First()
	res.First = timeResult{at, flags &^ tiles.Late}
	return res
}

// extremeOf is one smallest or largest value of a window.
type extremeOf struct {
	value int
	low   bool
}

func extremesOf(spec tiles.Spec) (all []extremeOf) {
	for _, low := range []bool{true, false} {
		for value := range spec.Values {
			if low && spec.Lows.Has(value) || !low && spec.Highs.Has(value) {
				all = append(all, extremeOf{value, low})
			}
		}
	}
	return all
}

// better says whether a value is the smaller or the larger one, as it is wanted.
func (e extremeOf) better(v, than int64) bool {
	switch {
	case v == tiles.NoValue:
		return false
	case than == tiles.NoValue:
		return true
	case e.low:
		return v < than
	}
	return v > than
}

func (e extremeOf) of(set []tiles.Contribution) int64 {
	best := tiles.NoValue
	for _, c := range set {
		if e.better(c.Values[e.value], best) {
			best = c.Values[e.value]
		}
	}
	return best
}

func bigOf(v tiles.Int128) *big.Int {
	b := new(big.Int).Lsh(big.NewInt(v.Hi), 64)
	return b.Add(b, new(big.Int).SetUint64(v.Lo))
}

// The ladder once more, by hand: the reference shares nothing with what it checks.
var ladder = map[string]struct{ length, hop int64 }{
	"1m": {60, 1}, "5m": {300, 5}, "1h": {3600, 60}, "24h": {86400, 1800}, "7d": {604800, 14400}, "30d": {2592000, 43200},
}

func sec(at int64) int64 { return at / 1_000_000 } // all times of the tests are after 1970

func edgeOf(second int64, name string) int64 {
	w := ladder[name]
	return (second - w.length) / w.hop * w.hop
}

// reference answers from all contributions, kept as they came.
type reference struct {
	spec    tiles.Spec // with its defaults filled in
	set     []tiles.Contribution
	void    map[key]bool // those of set that were taken back
	lost    []int64      // times of corrections whose originals nobody knows
	horizon int64        // its second
}

// key tells contributions apart.
type key struct {
	at int64
	id uint32
}

func keyOf(c *tiles.Contribution) key { return key{c.At, c.ID} }

// newest are the newest contributions as the state promises them: those after t-W and not after t among the newest of all.
func (m *reference) newest(res *result, t int64, plus, minus *tiles.Contribution) {
	all := m.with(plus, minus)
	slices.SortFunc(all, m.compare)
	known := all[max(0, len(all)-m.spec.Recent-1):]
	for i, w := range m.spec.Windows.List() {
		edge := t - w.Length().Microseconds()
		covered := len(all) <= m.spec.Recent || known[0].At <= edge
		in := slices.DeleteFunc(slices.Clone(known), func(c tiles.Contribution) bool {
			return c.At <= edge || c.At > t || m.void[keyOf(&c)]
		})
		for _, n := range newestCounts(m.spec) {
			nr := newestResult{}
			if res.Windows[i].Missed {
				nr.Flags |= tiles.CorrectionMissed
			}
			if !covered {
				nr.Flags |= tiles.Capped
				if res.Late {
					nr.Flags |= tiles.Late
				}
			}
			if len(in) > n {
				nr.Flags |= tiles.Capped
			}
			for _, c := range in[max(0, len(in)-n):] {
				of := []int64{c.At}
				for value := range m.spec.Values {
					if m.spec.RawValues.Has(value) {
						of = append(of, c.Values[value])
					}
				}
				nr.Of = append(nr.Of, of)
			}
			res.Windows[i].Newest = append(res.Windows[i].Newest, nr)
		}
	}
}

// with gives the set with plus and without minus.
func (m *reference) with(plus, minus *tiles.Contribution) []tiles.Contribution {
	set := slices.Clone(m.set)
	if plus != nil {
		set = append(set, *plus)
	}
	if minus == nil {
		return set
	}
	return slices.DeleteFunc(set, func(c tiles.Contribution) bool { return c.At == minus.At && c.ID == minus.ID })
}

// ideal applies the contract literally: what is in [floor((t-W)/h)*h, end of t's second).
func (m *reference) ideal(t int64, plus, minus *tiles.Contribution) result {
	set := slices.DeleteFunc(m.with(plus, minus), func(c tiles.Contribution) bool { return sec(c.At) > sec(t) || m.void[keyOf(&c)] })
	res := result{Last: timeResult{At: tiles.NoTime}, First: timeResult{At: tiles.NoTime}}
	for _, w := range m.spec.Windows.List() {
		in := slices.DeleteFunc(slices.Clone(set), func(c tiles.Contribution) bool {
			return sec(c.At) < edgeOf(sec(t), w.String())
		})
		res.Windows = append(res.Windows, m.count(w, in, t))
	}
	for _, span := range m.spec.Shifts {
		res.Shifted = append(res.Shifted, m.shifted(span, slices.DeleteFunc(slices.Clone(set), func(c tiles.Contribution) bool {
			from, to := stretchOf(t, span)
			return sec(c.At) < from || sec(c.At) >= to
		})))
	}
	if m.spec.Last && len(set) > 0 {
		byTime := func(a, b tiles.Contribution) int { return cmp.Compare(a.At, b.At) }
		res.Last.At, res.First.At = slices.MaxFunc(set, byTime).At, slices.MinFunc(set, byTime).At
	}
	return res
}

// stretchOf gives the seconds of a shifted window: as many as its length, up to a multiple of its hop.
func stretchOf(t int64, span tiles.Span) (from, to int64) {
	w := ladder[span.Window.String()]
	to = (sec(t) - int64(span.Shift/time.Second)) / w.hop * w.hop
	return to - w.length, to
}

func (m *reference) shifted(span tiles.Span, in []tiles.Contribution) windowResult {
	wr := m.count(span.Window, in, 0)
	wr.Window = fmt.Sprint(span.Window, " shifted by ", span.Shift)
	wr.Distinct, wr.Extremes, wr.Large, wr.Decayed, wr.Hours, wr.Slots = nil, nil, nil, nil, nil, nil
	return wr
}

// tables are those of a window that they are read over.
func (m *reference) tables(w tiles.Window, in []tiles.Contribution) (tables []tableResult) {
	for i := range m.spec.Counts {
		if m.spec.CountWindows.Has(w) {
			tables = append(tables, m.table(in, i))
		}
	}
	return tables
}

// lateTables are those of what lies wholly inside a stretch, in the tiles that counts are kept by.
func (m *reference) lateTables(w tiles.Window, set []tiles.Contribution, from, to int64) []tableResult {
	counting := *m
	counting.spec.Windows = m.spec.CountWindows
	return m.tables(w, slices.DeleteFunc(slices.Clone(set), func(c tiles.Contribution) bool {
		begin, end, ok := counting.tile(c)
		return !ok || begin < from || end > to || m.void[keyOf(&c)]
	}))
}

// table counts one table's slots and does with them what their names say.
func (m *reference) table(in []tiles.Contribution, table int) tableResult {
	counts := make([]int64, m.spec.Counts[table])
	res := tableResult{}
	var slots []int32
	for _, c := range in {
		if slot := c.Slots[table]; slot != tiles.NoSlot {
			counts[slot]++
			res.Top, res.All = max(res.Top, counts[slot]), res.All+1
			slots = append(slots, slot)
		}
	}
	slices.Sort(slots)
	for _, q := range quantiles {
		at := tiles.NoSlot
		if rank := (uint64(len(slots))*q + 999_999) / 1_000_000; len(slots) > 0 {
			at = slots[rank-1]
		}
		res.Quantiles = append(res.Quantiles, at)
	}
	entropy, n := math.NaN(), float64(res.All)
	if n > 0 {
		entropy = 0
		for _, c := range counts {
			if c > 0 {
				entropy += float64(float64(c) / n * floats.Log(n/float64(c)))
			}
		}
	}
	res.Entropy = math.Float64bits(entropy / math.Ln2)
	return res
}

// decayed weighs the steps of a window, the newest first; value -1 counts.
func (m *reference) decayed(w tiles.Window, in []tiles.Contribution, t int64, value int) float64 {
	steps, hop := map[int64]*big.Int{}, ladder[w.String()].hop
	for _, c := range in {
		at := sec(c.At)
		if sec(t) < m.horizon {
			at, _, _ = m.tile(c)
		}
		if steps[at/hop] == nil {
			steps[at/hop] = new(big.Int)
		}
		v := big.NewInt(1)
		if value >= 0 {
			v = big.NewInt(c.Values[value])
		}
		steps[at/hop].Add(steps[at/hop], v)
	}
	total := 0.0
	for _, step := range slices.Backward(slices.Sorted(maps.Keys(steps))) {
		begin, end := step*hop, min(step*hop+hop, sec(t)+1)
		age, life := 2*sec(t)+1-begin-end, int64(halfLife(w)/time.Second)
		n := (age*512 + life/2) / life
		weight := floats.Exp(float64(-math.Ln2 / 1024 * float64(n%1024)))
		v, _ := new(big.Float).SetInt(steps[step]).Float64()
		total += float64(math.Ldexp(weight, -int(n/1024)) * v)
	}
	return total
}

// decayedExact weighs each by its own age, to the microsecond.
func (m *reference) decayedExact(w tiles.Window, in []tiles.Contribution, t int64) (all []uint64) {
	in = slices.Clone(in)
	slices.SortFunc(in, m.compare)
	for value := -1; value < m.spec.Sums; value++ {
		total := 0.0
		for _, c := range slices.Backward(in) {
			v := 1.0
			if value >= 0 {
				v = float64(c.Values[value])
			}
			life := halfLife(w).Microseconds()
			n := (2*(t-c.At)*1024 + life) / (2 * life)
			weight := floats.Exp(float64(-math.Ln2 / 1024 * float64(n%1024)))
			total += float64(math.Ldexp(weight, -int(n/1024)) * v)
		}
		all = append(all, math.Float64bits(total))
	}
	return all
}

func (m *reference) count(w tiles.Window, in []tiles.Contribution, t int64) windowResult {
	wr := windowResult{Window: w.String(), Count: int64(len(in))}
	for i := range m.spec.Sums {
		sum := new(big.Int)
		for _, c := range in {
			sum.Add(sum, big.NewInt(c.Values[i]))
		}
		wr.Sums = append(wr.Sums, sum.String())
		if m.spec.Squares.Has(i) {
			wr.Squares = append(wr.Squares, squares(in, i).String())
		}
	}
	for _, e := range extremesOf(m.spec) {
		wr.Extremes = append(wr.Extremes, countResult{N: e.of(in)})
	}
	wr.Tables = m.tables(w, in)
	for i := 0; i < m.spec.Larges && m.spec.CountWindows.Has(w); i++ {
		top := map[uint64]int{}
		for _, c := range in {
			m.note(top, c, i)
		}
		wr.Large = append(wr.Large, countResult{N: estimate(top)})
	}
	wr.Hours, wr.Slots = m.hours(w, in, t), m.slots(w, in, t)
	for i := -1; i < m.spec.Sums; i++ {
		wr.Decayed = append(wr.Decayed, math.Float64bits(m.decayed(w, in, t, i)))
	}
	for i := range m.spec.Distincts {
		seen := map[uint64]bool{}
		for _, c := range in {
			if c.Categories[i] != 0 {
				seen[c.Categories[i]] = true
			}
		}
		wr.Distinct = append(wr.Distinct, countResult{N: int64(len(seen))})
	}
	return wr
}

// hours counts the hours of each day of a window, and looks at each 24 hours in a row in it: how long are the pauses that
// they touch?
func (m *reference) hours(w tiles.Window, in []tiles.Contribution, t int64) []int {
	if !m.spec.Hours.Has(w) {
		return nil
	}
	active, perDay, most := map[int64]bool{}, map[int64]int{}, 0
	for _, c := range in {
		hour := sec(c.At) / 3600
		if !active[hour] {
			active[hour] = true
			perDay[hour/24]++
			most = max(most, perDay[hour/24])
		}
	}
	if len(in) == 0 {
		return []int{0}
	}
	first, now := edgeOf(sec(t), w.String())/3600, sec(t)/3600
	pause := make([]int, now+1-first) // how long a pause each hour is part of
	for from := first; from < now; from++ {
		to := from
		for to < now && !active[to] {
			to++
		}
		for hour := from; hour < to; hour++ {
			pause[hour-first] = int(to - from)
		}
		from = to
	}
	least := 24
	for day := 0; day+24 <= len(pause); day++ {
		least = min(least, slices.Max(pause[day:day+24]))
	}
	return []int{most, least}
}

// slots counts by steps of the window's hop, from the window's edge on.
func (m *reference) slots(w tiles.Window, in []tiles.Contribution, t int64) (of []int64) {
	steps := map[int64]int64{}
	for _, c := range in {
		steps[(sec(c.At)-edgeOf(sec(t), w.String()))/ladder[w.String()].hop]++
	}
	for _, step := range slices.Sorted(maps.Keys(steps)) {
		of = append(of, step, steps[step])
	}
	return of
}

// lateHours are those of what lies wholly inside a window, in the tiles that hours are: one second from the horizon on.
func (m *reference) lateHours(w tiles.Window, set []tiles.Contribution, t int64) []int {
	longest := tiles.W7d
	if m.spec.Hours.Has(tiles.W30d) {
		longest = tiles.W30d
	}
	return m.hours(w, slices.DeleteFunc(slices.Clone(set), func(c tiles.Contribution) bool {
		begin, end := sec(c.At), sec(c.At)+1
		if begin < m.horizon {
			begin = begin / 3600 * 3600
			end = min(begin+3600, m.horizon)
		}
		return sec(c.At) < edgeOf(m.horizon, longest.String()) || begin < edgeOf(sec(t), w.String()) || end > sec(t)+1 || m.void[keyOf(&c)]
	}), t)
}

// squares adds up modulo 2^128, from -2^127 on.
func squares(in []tiles.Contribution, value int) *big.Int {
	sum := new(big.Int)
	for _, c := range in {
		v := big.NewInt(c.Values[value])
		sum.Add(sum, v.Mul(v, v))
	}
	half := new(big.Int).Lsh(big.NewInt(1), 127)
	sum.Add(sum, half)
	return sum.Sub(sum.And(sum, new(big.Int).Sub(new(big.Int).Lsh(half, 1), big.NewInt(1))), half)
}

// contract is the whole contract with its bounds: what is late, the newest raw contributions, the cap of categories.
func (m *reference) contract(t int64, plus, minus *tiles.Contribution) result {
	res := m.ideal(t, plus, minus)
	if sec(t) < m.horizon {
		res.Late = true
		set := m.with(plus, minus)
		for i, w := range m.spec.Windows.List() {
			in := slices.DeleteFunc(slices.Clone(set), func(c tiles.Contribution) bool { return !m.inside(c, w, t) || m.void[keyOf(&c)] })
			res.Windows[i] = m.count(w, in, t)
			res.Windows[i].Tables = m.lateTables(w, set, edgeOf(sec(t), w.String()), sec(t)+1)
			res.Windows[i].Hours = m.lateHours(w, set, t)
			res.Windows[i].Slots = m.slots(w, slices.DeleteFunc(in, func(c tiles.Contribution) bool {
				begin, end, _ := m.tile(c)
				hop := ladder[w.String()].hop
				return begin/hop != (end-1)/hop
			}), t)
		}
		for i, span := range m.spec.Shifts {
			from, to := stretchOf(t, span)
			res.Shifted[i] = m.shifted(span, slices.DeleteFunc(slices.Clone(set), func(c tiles.Contribution) bool {
				begin, end, ok := m.tile(c)
				return !ok || begin < from || end > to || m.void[keyOf(&c)]
			}))
			res.Shifted[i].Tables = m.lateTables(span.Window, set, from, to)
		}
	}
	m.exact(&res, t, plus, minus)
	raw, folded, known := m.split(t, plus, minus)
	for col := range m.spec.Distincts {
		m.distinct(&res, col, t, raw, folded, minus, known)
	}
	m.extremes(&res, t, raw, folded, minus, known)
	m.large(&res, t, raw, folded, minus, known)
	if m.spec.Last {
		m.times(&res, t, raw, folded, minus, known)
	}
	m.missed(&res, t, folded)
	m.newest(&res, t, plus, minus)
	return res
}

// newestOf gives the newest second of some times that a reading at t knows of: before the horizon, of those that lie
// before it, the newest alone.
func (m *reference) newestOf(t int64, times []int64) (newest int64) {
	for _, at := range times {
		if sec(at) <= sec(t) || sec(t) < m.horizon && sec(at) < m.horizon {
			newest = max(newest, sec(at))
		}
	}
	if newest > sec(t) {
		return 0
	}
	return newest
}

// voids gives the times of the void contributions among some.
func (m *reference) voids(among []tiles.Contribution) (times []int64) {
	for _, c := range among {
		if m.void[keyOf(&c)] {
			times = append(times, c.At)
		}
	}
	return times
}

// missed says what corrections could not be made: of folded contributions for what cannot be inverted, and lost ones for
// everything.
func (m *reference) missed(res *result, t int64, folded []tiles.Contribution) {
	newest, lost := m.newestOf(t, m.voids(folded)), m.newestOf(t, m.lost)
	for i, w := range m.spec.Windows.List() {
		oldest := m.oldest()
		edge := max(edgeOf(sec(t), w.String()), oldest)
		res.Windows[i].Missed = lost != 0 && lost >= edge
		for col := range res.Windows[i].Distinct {
			if newest != 0 && newest >= edge && !res.Windows[i].Exact || res.Windows[i].Missed {
				res.Windows[i].Distinct[col].Flags |= tiles.CorrectionMissed
			}
		}
		for col := range res.Windows[i].Large {
			if newest != 0 && newest >= edge || res.Windows[i].Missed {
				res.Windows[i].Large[col].Flags |= tiles.CorrectionMissed
			}
		}
		for col := range res.Windows[i].Extremes {
			if res.Windows[i].Missed {
				res.Windows[i].Extremes[col].Flags |= tiles.CorrectionMissed
			}
		}
	}
	for i, span := range m.spec.Shifts {
		from, _ := stretchOf(t, span)
		res.Shifted[i].Missed = lost != 0 && lost >= max(from, m.oldest())
	}
	if lost != 0 && res.Last.At != tiles.NoTime && sec(res.Last.At) <= lost {
		res.Last.Flags |= tiles.CorrectionMissed
	}
	if lost != 0 && res.First.At != tiles.NoTime {
		res.First.Flags |= tiles.CorrectionMissed
	}
}

// exact replaces the windows that the newest contributions cover: no more than promised, void ones counted, are newer
// than t-W.
func (m *reference) exact(res *result, t int64, plus, minus *tiles.Contribution) {
	if !m.spec.Exact {
		return
	}
	for i, w := range m.spec.Windows.List() {
		newer := slices.DeleteFunc(m.with(plus, minus), func(c tiles.Contribution) bool { return c.At <= t-w.Length().Microseconds() })
		if len(newer) > m.spec.Recent {
			continue
		}
		in := slices.DeleteFunc(newer, func(c tiles.Contribution) bool { return c.At > t || m.void[keyOf(&c)] })
		was := res.Windows[i]
		res.Windows[i] = m.count(w, in, t)
		res.Windows[i].Exact, res.Windows[i].Decayed = true, m.decayedExact(w, in, t)
		res.Windows[i].Large, res.Windows[i].Hours, res.Windows[i].Slots = was.Large, was.Hours, was.Slots // those are of tiles always
	}
}

// levelEdge gives how far the level of a window reaches back: as far as the window and its shifts, and the finer ones.
func (m *reference) levelEdge(window int) int64 {
	windows, longest := m.spec.Windows.List(), int64(0)
	for _, w := range windows[:window+1] {
		longest = max(longest, ladder[w.String()].length)
		for _, span := range m.spec.Shifts {
			if span.Window == w {
				longest = max(longest, ladder[w.String()].length+int64(span.Shift/time.Second))
			}
		}
	}
	hop := ladder[windows[window].String()].hop
	return (m.horizon - longest) / hop * hop
}

func (m *reference) oldest() int64 { return m.levelEdge(len(m.spec.Windows.List()) - 1) }

// tile gives the stretch that a contribution has been merged into at the horizon.
func (m *reference) tile(c tiles.Contribution) (from, to int64, ok bool) {
	if oldest := m.horizon; !m.spec.Windows.Has(tiles.W1m) && sec(c.At) >= oldest {
		return sec(c.At), sec(c.At) + 1, true
	}
	finer := m.horizon
	for i, w := range m.spec.Windows.List() {
		edge := m.levelEdge(i)
		if sec(c.At) >= edge {
			hop := ladder[w.String()].hop
			from, to = sec(c.At)/hop*hop, sec(c.At)/hop*hop+hop
			if w != tiles.W1m {
				to = min(to, finer)
			}
			return from, to, true
		}
		finer = edge
	}
	return 0, 0, false
}

// inside says whether a contribution's tile lies wholly inside a window.
func (m *reference) inside(c tiles.Contribution, w tiles.Window, t int64) bool {
	from, to, ok := m.tile(c)
	return ok && from >= edgeOf(sec(t), w.String()) && to <= sec(t)+1
}

// split gives the newest raw contributions, minus left out, and the older ones. known says that minus was raw. A late
// reading has one less of the raw ones, as many as there are with and without minus.
func (m *reference) split(t int64, plus, minus *tiles.Contribution) (raw, folded []tiles.Contribution, known bool) {
	all := m.with(plus, nil)
	slices.SortFunc(all, m.compare)
	at := max(len(all)-m.spec.Raw, 0)
	isMinus := func(c tiles.Contribution) bool { return minus != nil && c.At == minus.At && c.ID == minus.ID }
	if sec(t) < m.horizon && len(all) >= m.spec.Raw && m.spec.Raw > 0 && !slices.ContainsFunc(all[at:], isMinus) {
		at++
	}
	folded = all[:at]
	for _, c := range all[at:] {
		if isMinus(c) {
			known = true
			continue
		}
		if !m.void[keyOf(&c)] {
			raw = append(raw, c)
		}
	}
	return raw, folded, known
}

// compare is the order of raw contributions.
func (m *reference) compare(a, b tiles.Contribution) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID), slices.Compare(a.Categories, b.Categories),
		slices.Compare(m.rawValues(a), m.rawValues(b)), m.compareSlots(a, b))
}

// compareSlots is the last word of that order, where slots are kept.
func (m *reference) compareSlots(a, b tiles.Contribution) int {
	if !m.spec.Exact {
		return 0
	}
	return slices.Compare(a.Slots, b.Slots)
}

// rawValues gives the values of a contribution that are kept while it is raw, as the words that they are compared by.
func (m *reference) rawValues(c tiles.Contribution) (words []uint64) {
	for i, v := range c.Values {
		if m.spec.RawValues.Has(i) {
			words = append(words, uint64(v))
		}
	}
	return words
}

// extremes are those of the folded contributions, as their tiles count, and of the raw ones by their seconds.
func (m *reference) extremes(res *result, t int64, raw, folded []tiles.Contribution, minus *tiles.Contribution, known bool) {
	windows := m.spec.Windows.List()
	newest := m.newestOf(t, m.voids(folded))
	for i, w := range windows {
		oldest := m.oldest()
		counts := func(c tiles.Contribution) bool {
			if sec(t) < m.horizon {
				return m.inside(c, w, t)
			}
			return sec(c.At) >= edgeOf(sec(t), w.String()) && sec(c.At) <= sec(t)
		}
		var inFolded, inRaw []tiles.Contribution
		for _, c := range folded {
			if counts(c) {
				inFolded = append(inFolded, c)
			}
		}
		for _, c := range raw {
			if sec(c.At) >= edgeOf(sec(t), w.String()) && sec(c.At) <= sec(t) {
				inRaw = append(inRaw, c)
			}
		}
		for col, e := range extremesOf(m.spec) {
			if res.Windows[i].Exact {
				break
			}
			cell := countResult{N: e.of(inFolded)}
			best := e.of(inRaw)
			switch missed := minus != nil && !known && counts(*minus) && minus.Values[e.value] == cell.N; {
			case cell.N == best || e.better(best, cell.N):
				cell.N = best
			case missed || newest != 0 && newest >= max(edgeOf(sec(t), w.String()), oldest):
				cell.Flags = tiles.CorrectionMissed
			}
			res.Windows[i].Extremes[col] = cell
		}
	}
}

// large are HyperLogLog's registers over what counts: of the folded contributions, before the horizon, those alone that no
// newer one of before it stands in for.
func (m *reference) large(res *result, t int64, raw, folded []tiles.Contribution, minus *tiles.Contribution, known bool) {
	counting := *m
	counting.spec.Windows = m.spec.CountWindows
	for i, w := range m.spec.Windows.List() {
		from := edgeOf(sec(t), w.String())
		for col := range res.Windows[i].Large {
			counts := func(c tiles.Contribution) bool {
				if sec(t) >= m.horizon {
					return sec(c.At) >= from && sec(c.At) <= sec(t)
				}
				begin, end, ok := counting.tile(c)
				return ok && begin >= from && end <= sec(t)+1 && !counting.outshone(c, folded, col)
			}
			top, inRaw := map[uint64]int{}, map[uint64]int{}
			for _, c := range folded {
				if counts(c) {
					m.note(top, c, col)
				}
			}
			for _, c := range raw {
				if sec(c.At) >= from && sec(c.At) <= sec(t) {
					m.note(inRaw, c, col)
				}
			}
			cell := countResult{}
			if minus != nil && !known && minus.Categories[m.spec.Distincts+col] != 0 {
				register, rank := m.registerOf(*minus, col)
				begin, end, ok := counting.tile(*minus)
				inside := ok && begin >= from && end <= sec(t)+1
				if sec(t) >= m.horizon {
					inside = sec(minus.At) >= from && sec(minus.At) <= sec(t)
				}
				standsIn := sec(t) < m.horizon && top[register] <= rank
				if (inside && top[register] == rank || standsIn) && inRaw[register] < rank {
					cell.Flags = tiles.CorrectionMissed
				}
			}
			for register, rank := range inRaw {
				top[register] = max(top[register], rank)
			}
			cell.N = estimate(top)
			res.Windows[i].Large[col] = cell
		}
	}
}

// registerOf gives the register and the rank of a contribution's category of a large column.
func (m *reference) registerOf(c tiles.Contribution, col int) (register uint64, rank int) {
	hash := c.Categories[m.spec.Distincts+col]
	rank = 1
	for rest := hash << 9; rank < 56 && rest>>63 == 0; rest <<= 1 {
		rank++
	}
	return hash >> 55, rank
}

func (m *reference) note(top map[uint64]int, c tiles.Contribution, col int) {
	if c.Categories[m.spec.Distincts+col] != 0 {
		register, rank := m.registerOf(c, col)
		top[register] = max(top[register], rank)
	}
}

// outshone says whether another of before the horizon, in a newer tile, has the same register and no smaller rank.
func (m *reference) outshone(c tiles.Contribution, among []tiles.Contribution, col int) bool {
	begin, _, _ := m.tile(c)
	register, rank := m.registerOf(c, col)
	return slices.ContainsFunc(among, func(o tiles.Contribution) bool {
		newer, _, ok := m.tile(o)
		own, reaches := m.registerOf(o, col)
		return ok && o.Categories[m.spec.Distincts+col] != 0 && newer > begin && newer < m.horizon && own == register && reaches >= rank
	})
}

// estimate is Ertl's estimator by its definition (equation 26 of the paper): of how many registers have which rank.
func estimate(top map[uint64]int) int64 {
	counts := map[int]float64{0: 512}
	for _, rank := range top {
		counts[rank]++
		counts[0]--
	}
	z, x, y := counts[0]/512, counts[0]/512, 1.0
	if x == 1 {
		return 0
	}
	for before := -1.0; z != before; y += y {
		before, x = z, float64(x*x)
		z += float64(x * y)
	}
	sum := 0.0 // no test fills a register to its last rank, of which tau would be made
	for rank := 55; rank >= 1; rank-- {
		sum = float64(0.5 * (sum + counts[rank]))
	}
	return int64(math.RoundToEven(float64(512/(2*math.Ln2)) * 512 / (sum + float64(512*z))))
}

type seenAt struct {
	sec  int64
	hash uint64
}

func (m *reference) distinct(res *result, col int, t int64, raw, folded []tiles.Contribution, minus *tiles.Contribution, known bool) {
	windows := m.spec.Windows.List()
	oldest := m.oldest()
	newest, before := map[uint64]int64{}, map[uint64]int64{}
	mark, full := m.mark(col, oldest, folded)
	for _, c := range folded {
		hash, at := c.Categories[col], sec(c.At)
		if hash == 0 || at < oldest || full && (at < mark.sec || at == mark.sec && hash < mark.hash) || at > sec(t) {
			continue
		}
		if sec(t) < m.horizon && m.newestBefore(col, hash, m.horizon, folded) > at {
			continue // before the horizon only the newest is known
		}
		if at > newest[hash] {
			newest[hash], before[hash] = at, newest[hash]
		} else if at < newest[hash] {
			before[hash] = max(before[hash], at)
		}
	}
	for hash, at := range newest {
		if at < m.horizon {
			before[hash] = 0 // the same
		} else if b := before[hash]; b < m.horizon && b != 0 {
			before[hash] = m.newestBefore(col, hash, m.horizon, folded)
		}
	}
	alone := map[uint64]bool{}
	for hash := range newest {
		alone[hash] = true
	}
	for _, c := range raw {
		hash, at := c.Categories[col], sec(c.At)
		if hash == 0 || at > sec(t) {
			continue
		}
		alone[hash] = false
		if at >= oldest {
			newest[hash] = max(newest[hash], at)
		}
	}
	for i, w := range windows {
		if res.Windows[i].Exact {
			continue
		}
		edge := edgeOf(sec(t), w.String())
		cell := countResult{}
		for hash, at := range newest {
			if at < edge {
				continue
			}
			cell.N++
			if minus != nil && !known && minus.Categories[col] == hash && sec(minus.At) == at && alone[hash] && before[hash] < edge {
				cell.Flags |= tiles.CorrectionMissed
			}
		}
		if full && mark.sec >= edge {
			cell.Flags |= tiles.Capped
		}
		res.Windows[i].Distinct[col] = cell
	}
}

func (m *reference) newestBefore(col int, hash uint64, horizon int64, folded []tiles.Contribution) (newest int64) {
	for _, c := range folded {
		if c.Categories[col] == hash && sec(c.At) < horizon {
			newest = max(newest, sec(c.At))
		}
	}
	return newest
}

// mark gives the oldest of the newest categories of the folded contributions, where there are as many as can be kept.
func (m *reference) mark(col int, oldest int64, folded []tiles.Contribution) (seenAt, bool) {
	last := map[uint64]int64{}
	for _, c := range folded {
		if hash := c.Categories[col]; hash != 0 && sec(c.At) >= oldest {
			last[hash] = max(last[hash], sec(c.At))
		}
	}
	if len(last) < tiles.DistinctCap {
		return seenAt{}, false
	}
	var all []seenAt
	for hash, at := range last {
		all = append(all, seenAt{at, hash})
	}
	slices.SortFunc(all, func(a, b seenAt) int { return cmp.Or(cmp.Compare(b.sec, a.sec), cmp.Compare(b.hash, a.hash)) })
	return all[tiles.DistinctCap-1], true
}

func (m *reference) times(res *result, t int64, raw, folded []tiles.Contribution, minus *tiles.Contribution, known bool) {
	res.Last, res.First = timeResult{At: tiles.NoTime}, timeResult{At: tiles.NoTime}
	for _, c := range raw {
		if sec(c.At) <= sec(t) {
			res.Last.At = max(res.Last.At, c.At)
			if res.First.At == tiles.NoTime || c.At < res.First.At {
				res.First.At = c.At
			}
		}
	}
	if len(folded) == 0 {
		return
	}
	if first := folded[0].At; sec(first) <= sec(t) {
		res.First.At = first
		if minus != nil && !known && minus.At == first || m.anyVoid(folded, func(c tiles.Contribution) bool { return c.At == first }) {
			res.First.Flags = tiles.CorrectionMissed
		}
	}
	if res.Last.At != tiles.NoTime {
		return
	}
	newest := folded[len(folded)-1].At
	if sec(newest) <= sec(t) {
		res.Last.At = newest
	} else {
		at := int64(0)
		for _, c := range folded {
			if sec(c.At) <= sec(t) || sec(t) < m.horizon && sec(c.At) < m.horizon {
				at = max(at, sec(c.At))
			}
		}
		if at == 0 || at > sec(t) {
			return
		}
		res.Last = timeResult{At: at * 1_000_000, Flags: tiles.Capped}
	}
	same := func(c tiles.Contribution) bool { return sec(c.At) == sec(res.Last.At) }
	if minus != nil && !known && same(*minus) || m.anyVoid(folded, same) {
		res.Last.Flags |= tiles.CorrectionMissed
	}
}

func (m *reference) anyVoid(among []tiles.Contribution, is func(tiles.Contribution) bool) bool {
	return slices.ContainsFunc(among, func(c tiles.Contribution) bool { return m.void[keyOf(&c)] && is(c) })
}
