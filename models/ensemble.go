package models

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"sync"
	"unsafe"
)

// maxSingle is the largest float64 that is rounded to a finite float32.
const maxSingle = 0x1.fffffefffffffp127

// additivityTolerance bounds |base + contributions - margin|, relative to the largest of 1, the
// margin and the contributions.
const additivityTolerance = 1e-9

// ensemble is the one compiled form of all tree models, whatever file they came from.
type ensemble struct {
	info   Info
	link   link
	start  []float64 // by output: what its sum begins with
	bins   binner
	walk   *walkTable
	shap   *shapTable         // nil when unexplainable
	lanes  int                // of the instructions of KernelAuto
	forks  *forks             // for the slower questions; nil when some leaves are linear models
	blocks func() *blockTable // the same for KernelBlocks, made when it is first asked for
	linear []*linearLeaves    // by tree; nil when no tree has any
	own    *ownMargins        // nil unless the library puts leaves together in a way of its own
}

var _ Model = (*ensemble)(nil)

// compile lays out a forest for scoring. data is the file it came from.
func compile(f *forest, data []byte, limits Limits) (*ensemble, error) {
	w := newWalker(len(f.info.Features))
	shapes := make([]shape, len(f.trees))
	m := &ensemble{info: f.info, link: f.link, start: f.start, own: f.own}
	if m.start == nil {
		m.start = make([]float64, f.info.Outputs)
	}
	m.info.Features = slices.Clone(f.info.Features) // what measure adds is this model's own
	m.info.Hash = sha256.Sum256(data)
	depths := make([]int, len(f.trees))
	for i := range f.trees {
		shapes[i] = w.preorder(&f.trees[i], func(int32) {})
		depths[i] = shapes[i].depth
		m.measure(&f.trees[i], &shapes[i])
	}
	if err := checkRange(f); err != nil {
		return nil, err
	}
	if m.info.Unexplainable = f.unexplainable; m.info.Unexplainable == "" {
		m.info.Unexplainable = unexplainable(f, m.info.MaxPathFeatures)
	}
	m.info.Bytes = m.estimate(f, shapes)
	if most := m.info.Bytes + m.mostForWalk(); most > limits.MaxBytes {
		return nil, fmt.Errorf("the compiled model takes %d bytes, MaxBytes is %d: %w", most, limits.MaxBytes, ErrLimit)
	}
	b, err := newBinBuilder(f)
	if err != nil {
		return nil, err
	}
	m.walk = newWalkTable(f, b, depths)
	m.addLinear(f)
	if m.info.Unexplainable == "" {
		m.shap = newShapTable(f, b, w, shapes)
		m.lanes = m.shap.fastestLanes(m.info.Outputs * len(m.info.Features))
		m.forks = newForks(f, b)
		m.blocks = sync.OnceValue(func() *blockTable { return newBlockTable(m.forks, m.info.Outputs) })
		m.info.Base = m.shap.base
	}
	m.bins = b.binner
	m.info.Bytes += m.walk.bytes() + m.bins.bytes()
	m.info.Cost = m.cost()
	return m, nil
}

// checkRange makes sure that no row can drive a sum of leaves out of its type.
func checkRange(f *forest) error {
	sum := 0.0
	for i := range f.trees {
		largest := 0.0
		for _, v := range f.trees[i].leaves {
			largest = max(largest, math.Abs(v))
		}
		sum += largest
	}
	most := math.MaxFloat64 / 4
	if f.single {
		most = math.MaxFloat32 / 4
	}
	for _, x := range f.start {
		sum += math.Abs(x)
	}
	if sum > most {
		return fmt.Errorf("the leaves add up to as much as %g: %w", sum, ErrLimit)
	}
	return nil
}

// measure counts what Info says of a tree.
func (m *ensemble) measure(t *tree, s *shape) {
	m.info.Nodes += len(t.splits)
	m.info.Leaves += len(t.leaves)
	m.info.MaxDepth = max(m.info.MaxDepth, s.depth)
	m.info.MaxPathFeatures = max(m.info.MaxPathFeatures, s.features)
	for i := range t.splits {
		f := &m.info.Features[t.splits[i].feature]
		f.Splits++
		f.Gain += valueOr(t.gain, i, math.NaN())
		f.Cover += valueOr(t.splitCover, i, math.NaN())
		f.Categorical = f.Categorical || t.splits[i].set >= 0
	}
}

// valueOr returns values[i], or other where there are none.
func valueOr(values []float64, i int, other float64) float64 {
	if values == nil {
		return other
	}
	return values[i]
}

// mostForWalk is what walkTable and binner take at most: nodes of 64 bits, and a cut for each split.
func (m *ensemble) mostForWalk() int { return 36*m.info.Nodes + 20*m.info.Leaves }

// estimate returns the memory of the rest of the compiled model in bytes, within a few per cent.
func (m *ensemble) estimate(f *forest, shapes []shape) int {
	bytes := int(unsafe.Sizeof(column{})) * len(m.info.Features)
	for i := range f.trees {
		bytes += f.trees[i].extraBytes()
	}
	if f.own != nil {
		bytes += 8 * len(f.own.raw)
	}
	if m.info.Unexplainable != "" {
		return bytes
	}
	bytes += (int(unsafe.Sizeof(fork{}))+8)*m.info.Nodes + 8*m.info.Leaves + int(unsafe.Sizeof(cells{}))*len(m.info.Features)
	for i := range shapes {
		bytes += shapes[i].work * int(unsafe.Sizeof(step{}))
		bytes += shapes[i].repeats * (int(unsafe.Sizeof(repeat{})) + (pointsFor(shapes[i].features)+maxWidth-1)/maxWidth*int(unsafe.Sizeof(factor{})))
	}
	return bytes
}

// cost predicts the price of a row from the shape alone: nanoseconds per thing done, by the scalar kernel, fitted to
// medians over different rows of models from 6 x 7 to 500 x 63 (EPYC of 2024, about 4.4 GHz; within 25 % of all). The vector
// kernel takes 0.5 to 0.65 of what the explanation adds; the price does not know it, so that it is the same everywhere.
func (m *ensemble) cost() Cost {
	const (
		perColumn, perStep, perTree = 10.0, 6.3, 2.0
		perNode, perNodePoint       = 2.5, 1.15
	)
	var c Cost
	columns, steps, trees := float64(len(m.bins.columns)), float64(m.walk.steps), float64(m.info.Trees)
	c.PredictMicros = (float64(perColumn*columns) + float64(perStep*steps) + float64(perTree*trees)) / 1000
	if m.shap != nil {
		nodes, work := float64(m.info.Nodes), float64(m.shap.work)
		c.ExplainMicros = c.PredictMicros + (float64(perNode*nodes)+float64(perNodePoint*work))/1000
	}
	return c
}

// Info implements Model.
func (m *ensemble) Info() *Info { return &m.info }

// Predict implements Model.
func (m *ensemble) Predict(row []float64, s *Scratch, margins []float64) error {
	if err := m.checkSizes(margins, nil, false); err != nil {
		return err
	}
	if err := m.checkRow(row); err != nil {
		return err
	}
	leaves := m.find(row, s)
	if m.own != nil {
		return m.own.margins(m.walk.values, leaves, margins)
	}
	if m.bins.single {
		m.sumSingle(leaves, margins)
		return nil
	}
	m.sum(row, leaves, margins)
	if m.linear == nil {
		return nil // the sums of constant leaves are finite: checkRange
	}
	for k, x := range margins {
		if x-x != 0 {
			return fmt.Errorf("%w: its linear leaves add up to %v in output %d", ErrRow, x, k)
		}
	}
	return nil
}

// find returns the leaf that each tree comes to.
func (m *ensemble) find(row []float64, s *Scratch) []uint32 {
	s.grow(m)
	m.bins.fill(row, s.bins)
	leaves := s.leaves[:m.info.Trees]
	m.walk.find(s.bins, leaves)
	return leaves
}

// sumSingle sums the leaves in float32, as XGBoost does.
func (m *ensemble) sumSingle(leaves []uint32, margins []float64) {
	values := m.walk.values
	for k := range margins {
		sum := float32(m.start[k])
		for i := k; i < len(leaves); i += len(margins) {
			sum += float32(values[leaves[i]])
		}
		margins[k] = float64(sum)
	}
}

// sum sums the leaves tree by tree in the file's order, in float64.
func (m *ensemble) sum(row []float64, leaves []uint32, margins []float64) {
	if m.linear != nil {
		m.sumLinear(row, leaves, margins)
		return
	}
	values := m.walk.values
	if len(margins) == 1 {
		sum := m.start[0]
		for _, l := range leaves {
			sum += values[l]
		}
		margins[0] = sum
		return
	}
	copy(margins, m.start)
	k := 0
	for _, l := range leaves {
		margins[k] += values[l]
		if k++; k == len(margins) {
			k = 0
		}
	}
}

// Explain implements Model.
func (m *ensemble) Explain(row []float64, s *Scratch, margins, contributions []float64) error {
	if m.shap == nil {
		return fmt.Errorf("%w: %s", ErrUnexplainable, m.info.Unexplainable)
	}
	if err := m.checkSizes(margins, contributions, true); err != nil {
		return err
	}
	if err := m.checkRow(row); err != nil {
		return err
	}
	lanes, err := m.lanesFor(s.Kernel)
	if err != nil {
		return err
	}
	m.sum(row, m.find(row, s), margins)
	clear(contributions)
	n := len(m.info.Features)
	if s.Kernel == KernelBlocks {
		blocks := m.blocks()
		s.states = grow(s.states, blocks.largest)
		blocks.explain(s.bins, s.states, contributions, n)
	} else {
		s.shap.grow(m.shap)
		m.shap.explain(s.bins, &s.shap, contributions, lanes)
	}
	for k, margin := range margins {
		if err := checkAdditivity(m.shap.base[k], margin, contributions[k*n:][:n]); err != nil {
			return fmt.Errorf("model %x, output %d: %w", m.info.Hash[:8], k, err)
		}
	}
	return nil
}

// Score implements Model.
func (m *ensemble) Score(margins, scores []float64) error {
	if len(margins) != m.info.Outputs || len(scores) != m.info.Outputs {
		return fmt.Errorf("cannot score %d margins into %d scores, the model has %d outputs", len(margins), len(scores), m.info.Outputs)
	}
	m.link.apply(margins, scores)
	if m.link.kind != linkGraph {
		return nil
	}
	for k, x := range scores {
		if x-x != 0 {
			return fmt.Errorf("the score of output %d is %v: there is none for such a margin", k, x)
		}
	}
	return nil
}

// checkSizes refuses results of the wrong length.
func (m *ensemble) checkSizes(margins, contributions []float64, explain bool) error {
	if len(margins) != m.info.Outputs {
		return fmt.Errorf("cannot write %d margins, the model has %d outputs", len(margins), m.info.Outputs)
	}
	if want := m.info.Outputs * len(m.info.Features); explain && len(contributions) != want {
		return fmt.Errorf("cannot write %d contributions, the model has %d", len(contributions), want)
	}
	return nil
}

// checkRow refuses rows of the wrong length or with values that are infinite where the model computes.
func (m *ensemble) checkRow(row []float64) error {
	if len(row) != len(m.info.Features) {
		return fmt.Errorf("%w: %d values, want %d", ErrRow, len(row), len(m.info.Features))
	}
	most, why := math.MaxFloat64, ""
	if m.bins.single {
		most, why = maxSingle, ", more than float32 holds, in which the model computes"
	}
	for i, x := range row {
		if x > most || x < -most {
			return fmt.Errorf("%w: feature %q is %v%s", ErrRow, m.info.Features[i].Name, x, why)
		}
	}
	return nil
}

// checkAdditivity compares base + contributions with the margin.
func checkAdditivity(base, margin float64, contributions []float64) error {
	sum, scale := base, max(1, math.Abs(margin))
	for _, c := range contributions {
		sum += c
		scale = max(scale, math.Abs(c))
	}
	if off := math.Abs(sum - margin); !(off <= additivityTolerance*scale) {
		return fmt.Errorf("%w: base %v + contributions = %v, margin %v, off by %.3g with %.3g allowed",
			ErrAdditivity, base, sum, margin, off, float64(additivityTolerance*scale))
	}
	return nil
}
