package tiles_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitboss/features/tiles"
)

const graceMicros = int64(tiles.Grace / time.Microsecond)

// seedAndRounds gives the seed of a random test, which it prints, and how many rounds to run.
func seedAndRounds(t *testing.T, rounds int) (uint64, int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("PITBOSS_SEED"); text != "" {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("PITBOSS_SEED %q: %v", text, err)
		}
		seed = v
	}
	if text := os.Getenv("PITBOSS_ROUNDS"); text != "" {
		v, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("PITBOSS_ROUNDS %q: %v", text, err)
		}
		rounds = v
	}
	t.Logf("run again with PITBOSS_SEED=%d PITBOSS_ROUNDS=%d", seed, rounds)
	return seed, rounds
}

// world is one random set of contributions of one group, with what else its entity saw.
type world struct {
	layout *tiles.Layout
	spec   tiles.Spec
	set    []tiles.Contribution
	void   map[key]bool // those of set that are taken back
	lost   []int64
	other  int64 // the newest event of the entity's other groups
	huge   int   // one value of so many is too large to be added up, 0 for none
}

func randomWorld(t *testing.T, rng *rand.Rand) *world {
	t.Helper()
	spec := tiles.Spec{
		Windows:   tiles.WindowSet(rng.IntN(64)),
		Sums:      rng.IntN(3),
		Distincts: rng.IntN(3),
		Last:      rng.IntN(3) > 0,
		Raw:       []int{0, 2, 3, 5, 40}[rng.IntN(5)],
	}
	if rng.IntN(3) == 0 {
		spec.Values = spec.Sums + rng.IntN(3)
		spec.RawValues = tiles.ValueSet(rng.IntN(1 << spec.Values))
	}
	if spec.Windows != 0 && rng.IntN(3) == 0 {
		spec.Exact, spec.Recent = rng.IntN(3) > 0, []int{1, 2, 7, 50, 256}[rng.IntN(5)]
	}
	if spec.Windows == 0 {
		spec.Sums, spec.Distincts, spec.Last = 0, 0, true
	}
	spec.Squares = tiles.ValueSet(rng.IntN(1 << spec.Sums))
	if spec.Windows != 0 {
		unsummed := spec.RawValues &^ (1<<spec.Sums - 1)
		spec.Lows, spec.Highs = unsummed&tiles.ValueSet(rng.Uint32()), unsummed&tiles.ValueSet(rng.Uint32())
	}
	if spec.Windows != 0 {
		for range []int{0, 0, 1, 2, 5}[rng.IntN(5)] {
			spec.Counts = append(spec.Counts, 1+rng.IntN(6))
		}
		if rng.IntN(3) == 0 {
			spec.Hours = spec.Windows & tiles.Windows(tiles.W7d, tiles.W30d) & tiles.WindowSet(rng.IntN(64))
		}
		spec.Larges = max(0, rng.IntN(4)-2)
		for len(spec.Counts)+spec.Larges > 0 && spec.CountWindows == 0 {
			spec.CountWindows = spec.Windows & tiles.WindowSet(rng.IntN(64))
		}
		for _, w := range spec.Windows.List() {
			span := tiles.Span{Window: w, Shift: []time.Duration{time.Hour, 3*24*time.Hour + 5*time.Second, 7 * 24 * time.Hour}[rng.IntN(3)]}
			if rng.IntN(3) == 0 && span.Check() == nil {
				spec.Shifts = append(spec.Shifts, span)
			}
		}
	}
	layout, err := tiles.NewLayout(spec)
	if err != nil {
		t.Fatalf("NewLayout(%+v): %v", spec, err)
	}
	w := &world{layout: layout, spec: layout.Spec()}
	n := 1 + rng.IntN(60)
	if rng.IntN(8) == 0 {
		n = 300 + rng.IntN(500)
	}
	newest := int64(1_767_225_600_000_000) + rng.Int64N(40*86400e6)
	kinds := 1 + rng.IntN(12)
	if n > 300 && rng.IntN(2) == 0 {
		kinds = 200 + rng.IntN(300)
	}
	if rng.IntN(3) == 0 {
		w.huge = 1 + rng.IntN(12)
	}
	taken := map[[2]int64]bool{}
	for len(w.set) < n {
		c := w.contribution(rng, newest, kinds)
		if key := [2]int64{c.At, int64(c.ID)}; !taken[key] {
			taken[key] = true
			w.set = append(w.set, c)
		}
	}
	w.void = map[key]bool{}
	if share := []float64{0, 0, 0.05, 0.4}[rng.IntN(4)]; share > 0 {
		for i := range w.set {
			if rng.Float64() < share {
				w.void[keyOf(&w.set[i])] = true
			}
		}
		for range rng.IntN(3) * rng.IntN(2) {
			w.lost = append(w.lost, w.set[rng.IntN(len(w.set))].At)
		}
	}
	w.other = newest - rng.Int64N(40*86400e6)
	if rng.IntN(4) == 0 {
		w.other = newest + rng.Int64N(200e6)
	}
	return w
}

// contribution makes one: times fall on each other, in the grace, in each window and beyond the last one.
func (w *world) contribution(rng *rand.Rand, newest int64, kinds int) tiles.Contribution {
	spans := [...]int64{3e6, 70e6, 400e6, 4000e6, 100_000e6, 700_000e6, 2_700_000e6, 4_000_000e6}
	at := newest - rng.Int64N(spans[rng.IntN(len(spans))])
	if rng.IntN(3) == 0 {
		at -= at % 500_000 // ties
	}
	c := tiles.Contribution{At: at, ID: uint32(rng.IntN(1 << 20))}
	if rng.IntN(2) == 0 {
		c.ID = rng.Uint32()
	}
	for range w.spec.Values {
		v := rng.Int64N(20_000) - 2_000
		if w.huge > 0 && rng.IntN(w.huge) == 0 {
			v = []int64{math.MaxInt64, math.MinInt64, math.MaxInt64 - 3, -7, 0, v}[rng.IntN(6)]
		}
		if value := len(c.Values); (w.spec.Lows | w.spec.Highs).Has(value) {
			switch rng.IntN(4) {
			case 0:
				v = tiles.NoValue
			case 1:
				v %= 10 // ties
			}
		}
		c.Values = append(c.Values, v)
	}
	for range w.spec.Distincts + w.spec.Larges {
		hash := uint64(rng.IntN(kinds))
		if hash != 0 {
			hash *= 0x9e3779b97f4a7c15
		}
		c.Categories = append(c.Categories, hash)
	}
	for _, slots := range w.spec.Counts {
		c.Slots = append(c.Slots, int32(rng.IntN(slots+1))-1)
	}
	return c
}

// arrive adds the contributions and takes those back that are void, in a random order, and at random compacts, encodes
// and decodes, and reads. It gives the state and the horizon.
func (w *world) arrive(t *testing.T, rng *rand.Rand, set []tiles.Contribution) (*tiles.State, int64) {
	t.Helper()
	s := &tiles.State{}
	newest := int64(0)
	otherAt := rng.IntN(len(set) + 1)
	compacts, codecs := rng.IntN(3), rng.IntN(3)
	var r tiles.Reading
	added, taken := map[key]bool{}, map[key]bool{}
	for i, what := range w.history(rng, set) {
		if i == otherAt {
			newest = max(newest, w.other)
		}
		c := what.c
		switch {
		case what.lost != 0:
			newest = max(newest, what.lost) // the correction itself came no earlier
			s.Miss(what.lost, newest-graceMicros)
			continue
		case what.void && !added[keyOf(c)]:
			taken[keyOf(c)] = true // before its original: the owner remembers it
			continue
		case what.void:
			s.Void(w.layout, c, newest-graceMicros)
			continue
		}
		added[keyOf(c)] = true
		before := newest
		newest = max(newest, c.At)
		horizon := newest
		if rng.IntN(2) == 0 {
			horizon = before
		}
		if taken[keyOf(c)] {
			s.AddVoid(w.layout, c, horizon-graceMicros)
		} else {
			s.Add(w.layout, c, horizon-graceMicros)
		}
		if compacts > 0 && rng.IntN(10*compacts) == 0 {
			s.Compact(w.layout, newest-graceMicros)
		}
		if codecs > 0 && rng.IntN(20*codecs) == 0 {
			s = w.roundTrip(t, s)
		}
		if rng.IntN(20) == 0 {
			s.Read(w.layout, c.At, newest-graceMicros, nil, c, &r)
		}
	}
	newest = max(newest, w.other)
	return s, newest - graceMicros
}

// happening is one step of a history: an addition, the taking back of one, or a correction that is lost.
type happening struct {
	c    *tiles.Contribution
	void bool
	lost int64
}

// history gives everything that happens to a set, in a random order.
func (w *world) history(rng *rand.Rand, set []tiles.Contribution) []happening {
	var all []happening
	for i := range set {
		all = append(all, happening{c: &set[i]})
		if w.void[keyOf(&set[i])] {
			all = append(all, happening{c: &set[i], void: true})
		}
	}
	for _, at := range w.lost {
		all = append(all, happening{lost: at})
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func (w *world) roundTrip(t *testing.T, s *tiles.State) *tiles.State {
	t.Helper()
	data := s.AppendBinary(w.layout, []byte("prefix"))[len("prefix"):]
	back := &tiles.State{}
	if err := back.DecodeBinary(w.layout, data); err != nil {
		t.Fatalf("DecodeBinary(%x): %v", data, err)
	}
	if again := back.AppendBinary(w.layout, nil); !bytes.Equal(data, again) {
		t.Fatalf("encoded\n%x, decoded and encoded\n%x", data, again)
	}
	return back
}

// times gives evaluation times: at events, around the horizon, after everything, and older ones.
func (w *world) times(rng *rand.Rand, horizon int64) []int64 {
	newest := horizon + graceMicros
	ts := []int64{
		newest, horizon, newest + rng.Int64N(5e6), newest + rng.Int64N(40*86400e6), horizon + rng.Int64N(graceMicros),
		horizon + rng.Int64N(graceMicros), horizon - rng.Int64N(100e6), horizon - rng.Int64N(100_000e6),
		horizon - rng.Int64N(40*86400e6),
	}
	for range 4 {
		ts = append(ts, w.set[rng.IntN(len(w.set))].At)
	}
	return ts
}

// TestPropertyReadingIsAFunctionOfTheSet holds the invariant: whatever the order, whenever it is compacted, however often it is
// written and read back, a state gives what the reference gives from all contributions, bit for bit, and in the end has
// the same bytes.
func TestPropertyReadingIsAFunctionOfTheSet(t *testing.T) {
	seed, rounds := seedAndRounds(t, 500)
	var met cases
	for round := range rounds {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		w := randomWorld(t, rng)
		ref := &reference{spec: w.spec, set: w.set, void: w.void, lost: w.lost}
		var states []*tiles.State
		var horizon int64
		for range 3 {
			s, h := w.arrive(t, rng, w.set)
			states, horizon = append(states, s), h
		}
		ref.horizon = sec(horizon)
		for _, at := range w.times(rng, horizon) {
			plus, minus := w.currents(rng, at)
			want := ref.contract(at, plus, minus)
			met.note(w.spec, want, minus, len(w.void) > 0)
			for i, s := range states {
				where := fmt.Sprintf("seed %d round %d order %d at %d plus %v minus %v", seed, round, i, at, plus, minus)
				w.check(t, where, ref, s, at, horizon, plus, minus, want)
			}
		}
		w.checkBytes(t, fmt.Sprintf("seed %d round %d", seed, round), states, horizon)
	}
	if rounds >= 200 && (met.late == 0 || met.capped == 0 || met.missed == 0 || met.exact == 0 || met.left == 0 || met.void == 0 ||
		met.covered == 0 || met.uncovered == 0 || met.lateCovered == 0 || met.rested == 0) {
		t.Errorf("some case never came up: %+v", met)
	}
	t.Logf("readings: %+v", met)
}

// cases counts what kinds of readings were compared.
type cases struct{ exact, late, capped, missed, left, void, covered, uncovered, lateCovered, rested int }

func (c *cases) note(spec tiles.Spec, res result, minus *tiles.Contribution, void bool) {
	flags := res.flags()
	covered, uncovered, rested := false, false, false
	for _, wr := range res.Windows {
		rested = rested || len(wr.Hours) > 1 && wr.Hours[1] < 24
		covered, uncovered = covered || wr.Exact, uncovered || spec.Exact && !wr.Exact
	}
	for _, is := range []struct {
		so bool
		n  *int
	}{
		{res.Late, &c.late}, {flags&tiles.Capped != 0, &c.capped}, {flags&tiles.CorrectionMissed != 0, &c.missed},
		{covered, &c.covered}, {uncovered, &c.uncovered}, {covered && res.Late, &c.lateCovered}, {rested, &c.rested},
		{!res.Late && flags == 0, &c.exact}, {!res.Late && flags == 0 && minus != nil, &c.left},
		{!res.Late && flags == 0 && void, &c.void},
	} {
		if is.so {
			*is.n++
		}
	}
}

// currents gives at random an event that is not inside, or one that is.
func (w *world) currents(rng *rand.Rand, at int64) (plus, minus *tiles.Contribution) {
	switch rng.IntN(4) {
	case 3: // both: a correction
		c := w.contribution(rng, min(at, w.set[0].At), 6)
		return &c, w.counted(&w.set[rng.IntN(len(w.set))])
	case 0:
		c := w.contribution(rng, at, 6)
		if rng.IntN(2) == 0 {
			c.At = at
		}
		if rng.IntN(6) == 0 {
			c.At = at + rng.Int64N(100e6) // it comes after, and must not count
		}
		return &c, nil
	case 1:
		c := w.set[rng.IntN(len(w.set))]
		for range 8 { // most often one that matters
			if c.At <= at && at-c.At < 100e6 {
				break
			}
			c = w.set[rng.IntN(len(w.set))]
		}
		return nil, w.counted(&c)
	}
	return nil, nil
}

// counted gives a contribution that can be left out: one that is not void.
func (w *world) counted(c *tiles.Contribution) *tiles.Contribution {
	if w.void[keyOf(c)] {
		return nil
	}
	return c
}

func (w *world) check(t *testing.T, where string, ref *reference, s *tiles.State, at, horizon int64,
	plus, minus *tiles.Contribution, want result) {
	t.Helper()
	var r tiles.Reading
	s.Read(w.layout, at, horizon, plus, minus, &r)
	got := resultOf(w.spec, &r)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: spec %+v: reading differs (-want +got):\n%s", where, w.spec, diff)
	}
	if got.Late {
		return
	}
	// What carries no flag is the ideal itself.
	ideal := ref.ideal(at, plus, minus)
	ref.exact(&ideal, at, plus, minus)
	for i := range got.Windows {
		ideal.Windows[i].Missed = got.Windows[i].Missed
		ideal.Windows[i].Newest = got.Windows[i].Newest // the contract has said all
		takeFlagged(ideal.Windows[i].Distinct, got.Windows[i].Distinct)
		takeFlagged(ideal.Windows[i].Extremes, got.Windows[i].Extremes)
		takeFlagged(ideal.Windows[i].Large, got.Windows[i].Large)
	}
	for i := range got.Shifted {
		ideal.Shifted[i].Missed = got.Shifted[i].Missed
	}
	if got.Last.Flags != 0 {
		ideal.Last = got.Last
	}
	if got.First.Flags != 0 {
		ideal.First = got.First
	}
	if diff := cmp.Diff(ideal, got); diff != "" {
		t.Fatalf("%s: spec %+v: not flagged, but not ideal (-want +got):\n%s", where, w.spec, diff)
	}
	if minus != nil {
		if _, folded, known := ref.split(at, plus, minus); known && len(w.lost) == 0 && !ref.anyVoid(folded, func(tiles.Contribution) bool { return true }) {
			w.checkNotMissed(t, where, got)
		}
	}
}

// takeFlagged replaces what is wanted where got says that it may be wrong.
func takeFlagged(want, got []countResult) {
	for i := range got {
		if got[i].Flags != 0 {
			want[i] = got[i]
		}
	}
}

// checkNotMissed holds the promise that any of the newest raw contributions can be left out.
func (w *world) checkNotMissed(t *testing.T, where string, got result) {
	t.Helper()
	if got.flags()&tiles.CorrectionMissed != 0 {
		t.Fatalf("%s: a raw contribution could not be left out: %+v", where, got)
	}
}

// checkBytes compacts all states and compares what they are written as.
func (w *world) checkBytes(t *testing.T, where string, states []*tiles.State, horizon int64) {
	t.Helper()
	var first []byte
	for i, s := range states {
		s.Compact(w.layout, horizon)
		data := s.AppendBinary(w.layout, nil)
		w.roundTrip(t, s)
		s.Compact(w.layout, horizon)
		if again := s.AppendBinary(w.layout, nil); !bytes.Equal(data, again) {
			t.Fatalf("%s: compacted twice, %x became %x", where, data, again)
		}
		if got, most := s.MemBytes(), w.layout.MaxBytes(); got > most && w.huge == 0 {
			t.Fatalf("%s: spec %+v: %d bytes in memory, want at most %d", where, w.spec, got, most)
		}
		if i == 0 {
			first = data
		} else if !bytes.Equal(first, data) {
			t.Fatalf("%s: spec %+v: order 0 is\n%x, order %d is\n%x", where, w.spec, first, i, data)
		}
	}
}

// TestPropertyPlusIsAsAdded compares an event that takes part on the fly with the same event added, and one that is left out
// with a state that never had it.
func TestPropertyPlusIsAsAdded(t *testing.T) {
	seed, rounds := seedAndRounds(t, 500)
	for round := range rounds {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		w := randomWorld(t, rng)
		last := w.set[len(w.set)-1]
		delete(w.void, keyOf(&last))
		if len(w.set) < 2 {
			continue
		}
		if rng.IntN(2) == 0 {
			last.At = max(last.At, w.other+rng.Int64N(5e6))
		}
		s, horizon := w.arrive(t, rng, w.set[:len(w.set)-1])
		after := max(horizon, last.At-graceMicros)
		at := max(last.At, after) + rng.Int64N(3e6)
		if rng.IntN(2) == 0 {
			at = last.At // like a decision's, which may be late
		}
		where := fmt.Sprintf("seed %d round %d spec %+v", seed, round, w.spec)
		var r tiles.Reading
		s.Read(w.layout, at, horizon, nil, nil, &r)
		without := resultOf(w.spec, &r)
		s.Read(w.layout, at, horizon, &last, nil, &r)
		flown := resultOf(w.spec, &r)
		s.Add(w.layout, &last, horizon)
		s.Read(w.layout, at, after, nil, nil, &r)
		if diff := cmp.Diff(resultOf(w.spec, &r), flown); diff != "" {
			t.Fatalf("%s: on the fly differs from added (-added +on the fly):\n%s", where, diff)
		}
		s.Read(w.layout, at, after, nil, &last, &r)
		left := resultOf(w.spec, &r)
		if diff := cmp.Diff(without, ignoreFlagged(without, left)); diff != "" {
			t.Fatalf("%s: left out differs from never added (-never +left out):\n%s", where, diff)
		}
	}
}

// ignoreFlagged gives got with want's values where got says that they may be wrong.
func ignoreFlagged(want, got result) result {
	for i := range got.Windows {
		got.Windows[i].Missed = want.Windows[i].Missed
		for col := range got.Windows[i].Distinct {
			if got.Windows[i].Distinct[col].Flags != 0 {
				got.Windows[i].Distinct[col] = want.Windows[i].Distinct[col]
			}
		}
		for col := range got.Windows[i].Large {
			if got.Windows[i].Large[col].Flags != 0 {
				got.Windows[i].Large[col] = want.Windows[i].Large[col]
			}
		}
		for col := range got.Windows[i].Extremes {
			if got.Windows[i].Extremes[col].Flags != 0 {
				got.Windows[i].Extremes[col] = want.Windows[i].Extremes[col]
			}
		}
	}
	for i := range got.Shifted {
		got.Shifted[i].Missed = want.Shifted[i].Missed
	}
	if got.Last.Flags != 0 {
		got.Last = want.Last
	}
	if got.First.Flags != 0 {
		got.First = want.First
	}
	return got
}

// TestMemoryIsBounded adds events of a month at a rate that no entity has, each with a category of its own.
func TestMemoryIsBounded(t *testing.T) {
	l := mustLayout(t, tiles.Spec{Windows: tiles.Windows(tiles.AllWindows()...), Sums: 1, Distincts: 1, Last: true})
	var s tiles.State
	rng := rand.New(rand.NewPCG(1, 2))
	const start = 1_767_225_600_000_000
	most := 0
	for at := int64(start); at < start+33*86400e6; at += rng.Int64N(20e6) {
		if at > start+32*86400e6 && at < start+(33*86400-300)*1e6 {
			at += 5e6
		}
		c := tiles.Contribution{At: at, ID: rng.Uint32(), Values: []int64{1}, Categories: []uint64{rng.Uint64()}}
		s.Add(l, &c, at-graceMicros)
		most = max(most, s.MemBytes())
	}
	if most > l.MaxBytes() {
		t.Errorf("%d bytes, want at most %d", most, l.MaxBytes())
	}
	t.Logf("at most %d bytes of %d", most, l.MaxBytes())
}

// TestDecodedRawIsAsSmall decodes raw contributions of a size that no size class of the allocator has.
func TestDecodedRawIsAsSmall(t *testing.T) {
	l := mustLayout(t, tiles.Spec{Values: 3, Last: true, Raw: 2, RawValues: 7})
	s, _ := played(l, slotPlayer(1, 1)[:1])
	var back tiles.State
	if err := back.DecodeBinary(l, s.AppendBinary(l, nil)); err != nil {
		t.Fatal(err)
	}
	if got, most := back.MemBytes(), l.MaxBytes(); got > most {
		t.Errorf("%d bytes in memory, want at most %d", got, most)
	}
}

// TestNothingIsLeftOfWidth takes back the one contribution that made the tiles wide: the bytes are those of an empty state.
func TestNothingIsLeftOfWidth(t *testing.T) {
	l := mustLayout(t, tiles.Spec{Windows: tiles.Windows(tiles.W1h), Sums: 1, Squares: 1})
	const at = 1_767_225_600_000_000
	var s, empty tiles.State
	c := tiles.Contribution{At: at, Values: []int64{1 << 40}}
	s.Add(l, &c, at-graceMicros)
	s.Void(l, &c, at-graceMicros)
	s.Compact(l, at-graceMicros)
	empty.Compact(l, at-graceMicros)
	if got, want := s.AppendBinary(l, nil), empty.AppendBinary(l, nil); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestReadAllocatesNothing holds for every way to read but with plus and minus at once.
func TestReadAllocatesNothing(t *testing.T) {
	for name, spec := range specs() {
		l := mustLayout(t, spec)
		set := slotPlayer(7, 10)
		s, newest := played(l, set)
		plus, minus := set[0], set[len(set)-1]
		plus.At = newest
		var r tiles.Reading
		s.Read(l, newest, newest-graceMicros, nil, nil, &r)
		if n := testing.AllocsPerRun(100, func() {
			s.Read(l, newest, newest-graceMicros, nil, nil, &r)
			s.Read(l, newest, newest-graceMicros, &plus, nil, &r)
			s.Read(l, newest, newest-graceMicros, nil, &minus, &r)
			readLazily(spec, &r)
			s.Read(l, newest-2*graceMicros, newest-graceMicros, nil, nil, &r)
		}); n != 0 {
			t.Errorf("%s: %v allocations a reading, want 0", name, n)
		}
	}
}

// TestHorizonNeverFalls holds that what was merged stays so: a reading under a lower horizon than that of Compact says that
// it is late, instead of being wrong.
func TestHorizonNeverFalls(t *testing.T) {
	l := mustLayout(t, tiles.Spec{Windows: tiles.Windows(tiles.W1m, tiles.W24h), Sums: 1})
	const at = 1_767_225_600_000_000
	var s tiles.State
	for i := range int64(10) {
		s.Add(l, &tiles.Contribution{At: at + i*60e6, Values: []int64{1}}, at+i*60e6-graceMicros)
	}
	s.Compact(l, at+3600e6)
	s.Add(l, &tiles.Contribution{At: at + 5e6, Values: []int64{1}}, at) // and it is not lowered by what comes late
	s.Compact(l, at)
	var r tiles.Reading
	s.Read(l, at+60e6, at, nil, nil, &r)
	if r.Flags != tiles.Late || r.Count(tiles.W24h) != 0 {
		t.Errorf("got flags %v count %d, want a late reading of nothing", r.Flags, r.Count(tiles.W24h))
	}
}

// TestPropertyRestoreUndoesVoid takes contributions back on a copy and gives them again: everything that is not flagged is
// as it was.
func TestPropertyRestoreUndoesVoid(t *testing.T) {
	seed, rounds := seedAndRounds(t, 300)
	for round := range rounds {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		w := randomWorld(t, rng)
		s, horizon := w.arrive(t, rng, w.set)
		at := horizon + rng.Int64N(2*graceMicros)
		var r tiles.Reading
		s.Read(w.layout, at, horizon, nil, nil, &r)
		before := resultOf(w.spec, &r)
		c := s.Clone()
		for range 1 + rng.IntN(4) {
			if i := rng.IntN(len(w.set)); !w.void[keyOf(&w.set[i])] {
				c.Void(w.layout, &w.set[i], horizon)
				c.Restore(w.layout, &w.set[i], horizon)
			}
		}
		c.Read(w.layout, at, horizon, nil, nil, &r)
		got := resultOf(w.spec, &r)
		if diff := cmp.Diff(before, ignoreFlagged(before, got)); diff != "" {
			t.Fatalf("seed %d round %d spec %+v: after Void and Restore (-before +after):\n%s", seed, round, w.spec, diff)
		}
	}
}

// TestMissAhead takes note of corrections that lie further ahead of the entity's newest event than the grace: compacting
// meanwhile forgets none of them.
func TestMissAhead(t *testing.T) {
	l := mustLayout(t, tiles.Spec{Windows: tiles.Windows(tiles.W5m)})
	const at = 1_767_225_600_000_000
	var s tiles.State
	s.Add(l, &tiles.Contribution{At: at}, at-graceMicros)
	s.Miss(at+250e6, at-graceMicros)
	s.Miss(at+30e6, at-graceMicros)
	s.Compact(l, at-graceMicros)
	var r tiles.Reading
	s.Read(l, at+200e6, at+200e6, nil, nil, &r)
	if got := r.WindowFlags(tiles.W5m); got != tiles.CorrectionMissed {
		t.Errorf("flags %v, want those of a missed correction", got)
	}
}
