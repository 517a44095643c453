package models

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// A row is binned once: each value becomes the number of its feature's cuts (the distinct thresholds
// of the whole ensemble) below it. From then on every split of every tree is one comparison
// of 16-bit integers, bins[slot] <= bin, whatever its way with missing values: a feature has one slot for
// each way that its splits have, and a categorical split has a slot that holds 0 if the category is in
// its set and 1 if not.

// slotCount is the number of slots that a node's 16 bits can name; an array of this size needs no bounds checks.
const slotCount = 1 << 16

// maxCuts is how many thresholds a feature may have: bins run from 0 to maxCuts+1.
const maxCuts = slotCount - 2

// binTable is the binned form of one row.
type binTable [slotCount]uint16

// slotRule says how a numerical slot gets its bin from its feature's.
type slotRule struct {
	add     uint16 // 1 if missing goes left: bins move up to make room for missing at 0
	missing uint16 // the bin of a missing value: below or above all others
	zero    bool   // zero is missing
	nan     bool   // NaN is missing, not zero
}

// setRule is a categorical slot.
type setRule struct {
	words       []uint32
	defaultLeft bool
}

// column is what one feature needs for binning.
type column struct {
	feature     int32
	zero        uint16 // bin of 0
	levels      uint8  // of its search tree
	odd         bool   // more than the search tree is to be asked, whatever the value
	first       uint32 // its first slot; the numerical come before the categorical
	cut, cutEnd uint32
	tree        uint32 // where its search tree begins
	rules       []slotRule
	sets        []setRule
}

// binner bins rows. Features that no split tests have no column.
type binner struct {
	columns    []column
	cuts       []uint64 // orderedKey of the thresholds, ascending per feature
	trees      []uint64 // the same as search trees: the root is element 1, and the children of i are 2i and 2i+1
	slots      int
	tinyIsZero bool
	single     bool // values are rounded to float32, and no negative one is a category
	exactSets  bool // sets hold the values themselves (exactSet), not bits of categories
}

// orderedKey maps float64 to integers in the same order, with both zeros the same.
func orderedKey(x float64) uint64 {
	b := math.Float64bits(x + 0) // -0+0 is +0
	return b ^ (uint64(int64(b)>>63) | 1<<63)
}

// bytes is the memory that thresholds take.
func (b *binner) bytes() int { return 8 * (len(b.cuts) + len(b.trees)) }

// fill bins a row, whose values are finite or NaN.
func (b *binner) fill(row []float64, bins *binTable) {
	for i := range b.columns {
		c := &b.columns[i]
		x := row[c.feature]
		if b.single {
			x = float64(float32(x))
		}
		if c.odd || x != x {
			b.fillOdd(c, x, bins)
			continue
		}
		bin, slot := b.bin(c, x), c.first
		for j := range c.rules {
			bins[uint16(slot)] = bin + c.rules[j].add
			slot++
		}
	}
	if b.slots < narrowSlots { // which leaves name as well: walkTable
		clear(bins[b.slots:narrowSlots])
	}
}

// fillOdd fills the slots of a column for a value that may be missing or a category.
func (b *binner) fillOdd(c *column, x float64, bins *binTable) {
	zero := x >= -zeroThreshold && x <= zeroThreshold
	if zero && b.tinyIsZero {
		x = 0
	}
	nan := x != x
	slot := c.first
	if len(c.rules) > 0 {
		bin := c.zero
		if !nan {
			bin = b.bin(c, x)
		}
		for _, r := range c.rules {
			v := bin + r.add
			if nan && (r.nan || r.zero) || zero && r.zero {
				v = r.missing
			}
			bins[uint16(slot)] = v
			slot++
		}
	}
	if len(c.sets) > 0 {
		b.fillSets(c, x, bins[slot:])
	}
}

// fillSets fills the categorical slots of a column.
func (b *binner) fillSets(c *column, x float64, bins []uint16) {
	if b.exactSets {
		for j := range c.sets {
			bins[j] = c.sets[j].exactBin(x)
		}
		return
	}
	if b.single && x < 0 {
		x = -1
	}
	for j := range c.sets {
		bins[j] = c.sets[j].bin(x)
	}
}

// bin returns how many cuts of the column are below x. Each level of the tree is a comparison and an addition of what
// it carries: no branch to mispredict, and every way down ends at its own number.
func (b *binner) bin(c *column, x float64) uint16 {
	tree := b.trees[c.tree:]
	key := orderedKey(x)
	at := uint64(1)
	for range c.levels {
		_, below := bits.Sub64(tree[at], key, 0)
		at, _ = bits.Add64(at, at, below)
	}
	return uint16(at - 1<<c.levels)
}

// bin returns 0 if x is in the set and 1 if not. Values are truncated towards zero, as a C cast to int does;
// negative ones (but not those above -1) and those beyond int32 are in no set.
func (s *setRule) bin(x float64) uint16 {
	in := s.defaultLeft
	if x == x {
		in = false
		if x > -1 && x < 1<<31 {
			k := uint32(x)
			if w := k >> 5; w < uint32(len(s.words)) {
				in = s.words[w]>>(k&31)&1 != 0
			}
		}
	}
	if in {
		return 0
	}
	return 1
}

// test is where a split finds its bin: it goes left if bins[slot] <= bin.
type test struct{ slot, bin uint16 }

// slotKey tells apart the numerical slots of a feature.
type slotKey struct {
	feature     int32
	missing     missing
	defaultLeft bool
}

// binBuilder collects the splits of a forest and hands out their tests.
type binBuilder struct {
	binner
	byFeature []int32            // feature -> column, or -1
	rule      map[slotKey]uint32 // -> slot, counted from its column's first
	set       map[setKey]uint32
	cutsOf    [][]uint64 // by column
	mostBins  int        // the largest bin that a numerical slot may hold
}

// setKey identifies a categorical slot. It has the hash of the words, not a copy: sets are long in files that were
// made to be.
type setKey struct {
	feature     int32
	words       [sha256.Size]byte
	defaultLeft bool
}

// newBinBuilder lays out the slots and cuts of all splits of a forest.
func newBinBuilder(f *forest) (*binBuilder, error) {
	b := &binBuilder{binner: binner{tinyIsZero: f.tinyIsZero, single: f.single, exactSets: f.exactSets}, byFeature: make([]int32, len(f.info.Features)),
		rule: map[slotKey]uint32{}, set: map[setKey]uint32{}}
	for i := range b.byFeature {
		b.byFeature[i] = -1
	}
	for i := range f.trees {
		for j := range f.trees[i].splits {
			b.collect(&f.trees[i], &f.trees[i].splits[j])
		}
	}
	b.sortColumns()
	for i := range b.columns {
		c := &b.columns[i]
		c.first = uint32(b.slots)
		b.slots += len(c.rules) + len(c.sets)
		cuts := b.cutsOf[i]
		if len(cuts) > maxCuts {
			return nil, fmt.Errorf("feature %q has %d thresholds, at most %d: %w", f.info.Features[c.feature].Name, len(cuts), maxCuts, ErrLimit)
		}
		c.cut = uint32(len(b.cuts))
		b.cuts = append(b.cuts, cuts...)
		c.cutEnd = uint32(len(b.cuts))
		b.addTree(c)
		b.mostBins = max(b.mostBins, len(cuts)+1)
		c.zero = b.bin(c, 0)
		c.odd = len(c.sets) > 0
		for j := range c.rules {
			c.odd = c.odd || c.rules[j].zero
			if c.rules[j].add == 0 {
				c.rules[j].missing = uint16(len(cuts))
			}
		}
	}
	b.cutsOf = nil
	if b.slots > slotCount {
		return nil, fmt.Errorf("%d different category sets and ways with missing values, at most %d: %w", b.slots, slotCount, ErrLimit)
	}
	return b, nil
}

// sortColumns brings each column's cuts into order, and puts columns whose trees have as many levels side by side: the
// processor then foresees where a search ends.
func (b *binBuilder) sortColumns() {
	order := make([]int, len(b.columns))
	for i, cuts := range b.cutsOf {
		slices.Sort(cuts)
		b.cutsOf[i] = slices.Compact(cuts)
		b.columns[i].levels = uint8(bits.Len(uint(len(b.cutsOf[i]))))
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return int(b.columns[i].levels) - int(b.columns[j].levels) })
	columns, cutsOf := make([]column, len(order)), make([][]uint64, len(order))
	for at, i := range order {
		columns[at], cutsOf[at] = b.columns[i], b.cutsOf[i]
		b.byFeature[columns[at].feature] = int32(at)
	}
	b.columns, b.cutsOf = columns, cutsOf
}

// addTree makes the search tree of a column: all cuts in order, and behind them what is above every key.
func (b *binBuilder) addTree(c *column) {
	cuts := b.cuts[c.cut:c.cutEnd]
	c.tree = uint32(len(b.trees))
	size := 1 << c.levels
	b.trees = append(b.trees, make([]uint64, size)...)
	tree := b.trees[c.tree:]
	for level := range int(c.levels) {
		for i := range 1 << level {
			at := (2*i+1)<<(int(c.levels)-level-1) - 1 // in order: the middle of what is below this element
			tree[1<<level+i] = math.MaxUint64
			if at < len(cuts) {
				tree[1<<level+i] = b.snap(cuts[at])
			}
		}
	}
}

// snap moves a threshold that is as near to zero as what is taken for zero to the end of that range: a search finds the
// same for all of it.
func (b *binner) snap(key uint64) uint64 {
	least, zero, most := orderedKey(-zeroThreshold), orderedKey(0), orderedKey(zeroThreshold)
	switch {
	case !b.tinyIsZero || key < least || key > most:
		return key
	case key < zero:
		return least - 1
	default:
		return most
	}
}

// collect notes what one split needs.
func (b *binBuilder) collect(t *tree, s *split) {
	at := b.byFeature[s.feature]
	if at < 0 {
		at = int32(len(b.columns))
		b.byFeature[s.feature] = at
		b.columns = append(b.columns, column{feature: s.feature})
		b.cutsOf = append(b.cutsOf, nil)
	}
	c := &b.columns[at]
	if s.set >= 0 {
		k := b.setKeyOf(t, s)
		if _, ok := b.set[k]; !ok {
			b.set[k] = uint32(len(c.sets))
			c.sets = append(c.sets, setRule{words: t.sets[s.set], defaultLeft: s.defaultLeft})
		}
		return
	}
	b.cutsOf[at] = append(b.cutsOf[at], orderedKey(s.threshold))
	k := ruleKeyOf(s)
	if _, ok := b.rule[k]; !ok {
		b.rule[k] = uint32(len(c.rules))
		r := slotRule{zero: s.missing == missingZero, nan: s.missing == missingNaN}
		if k.defaultLeft {
			r.add = 1
		}
		c.rules = append(c.rules, r)
	}
}

func ruleKeyOf(s *split) slotKey {
	return slotKey{feature: s.feature, missing: s.missing, defaultLeft: s.defaultLeft && s.missing != missingNone}
}

func (b *binBuilder) setKeyOf(t *tree, s *split) setKey {
	h := sha256.New()
	var text [4 << 10]byte
	for words := range slices.Chunk(t.sets[s.set], len(text)/wordBytes) {
		for i, w := range words {
			binary.LittleEndian.PutUint32(text[wordBytes*i:], w)
		}
		h.Write(text[:wordBytes*len(words)])
	}
	k := setKey{feature: s.feature, defaultLeft: s.defaultLeft}
	h.Sum(k.words[:0])
	return k
}

// test returns where a collected split finds its bin.
func (b *binBuilder) test(t *tree, s *split) test {
	c := &b.columns[b.byFeature[s.feature]]
	if s.set >= 0 {
		return test{slot: uint16(c.first + uint32(len(c.rules)) + b.set[b.setKeyOf(t, s)])}
	}
	k := ruleKeyOf(s)
	cuts := b.cuts[c.cut:c.cutEnd]
	i, _ := slices.BinarySearch(cuts, orderedKey(s.threshold))
	at := b.rule[k]
	return test{slot: uint16(c.first + at), bin: uint16(i) + c.rules[at].add}
}
