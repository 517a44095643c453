package decide

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pitboss/models"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// What the search for counterfactuals may take. It is bounded in steps, not by a clock, so that the same decision has the
// same ones whenever it is asked for: a sweep visits each node of the model at most once. reserveCounterfactual is the
// time that must be left of a deadline for it to begin.
const (
	maxSweepNodes         = 60_000
	maxExactScores        = 32
	reserveCounterfactual = 2 * time.Millisecond
)

// The values of counterfactual_status.
const (
	counterfactualFound         = "found"
	counterfactualNone          = "none"
	counterfactualNotApplicable = "not_applicable"
	counterfactualUnavailable   = "unavailable"
	counterfactualSkipped       = "skipped"
)

// addCounterfactuals adds them to an answer that is given now, if there is the time.
func (w *decision) addCounterfactuals(a *pb.Decision) {
	if w.left() < reserveCounterfactual {
		a.CounterfactualStatus = counterfactualSkipped
		return
	}
	w.judgment.addCounterfactuals(a)
}

// addCounterfactuals finds the smallest changes of one feature that would have moved the outcome: to a milder one, and to
// allow where that is another; of an event that is allowed, to a more severe one. They are exact: found on the model's own
// thresholds, through calibration and the segment's thresholds. A change is the smaller the fewer points of the reference
// profile's percentile lie between, and without a profile (or for equal points) the fewer thresholds of the model. A
// feature without a value is not changed, for it has no rank, nor made to have none; nor is one that the model takes
// for a category.
func (j *judgment) addCounterfactuals(a *pb.Decision) {
	if j.version < firstWorded {
		return // made before there were any
	}
	a.CounterfactualStatus = counterfactualNotApplicable
	if j.bundle == nil || j.isSkipped(StageRecord) || !j.scored || j.listed().rank != rankNone {
		return
	}
	s := search{j: j, segment: j.policy.Segment(j.ev)}
	s.own = s.segment.Outcome(j.probable)
	if err := s.run(); err != nil {
		a.CounterfactualStatus = counterfactualUnavailable
		return
	}
	a.CounterfactualStatus = counterfactualNone
	for _, c := range s.best() {
		if err := s.finish(c); err != nil {
			a.Counterfactuals, a.CounterfactualStatus = nil, counterfactualUnavailable
			return
		}
		a.Counterfactuals = append(a.Counterfactuals, s.word(c))
		a.CounterfactualStatus = counterfactualFound
	}
}

// change is one counterfactual: a column's values from a cell on, away from its own, that have one outcome.
type change struct {
	outcome    pb.Outcome
	column     int
	cell       int
	low, high  float64
	near       float64 // the value that is nearest to the row's own
	points     float64 // 0 without a profile
	ranked     bool
	thresholds int
	score      float64
}

// closer orders changes by how far they go.
func closer(a, b *change) int {
	return cmp.Or(cmp.Compare(a.points, b.points), cmp.Compare(a.thresholds, b.thresholds))
}

// search looks through the features of one decision.
type search struct {
	j       *judgment
	segment *registry.Segment
	own     pb.Outcome
	// reached has the least margin that gives an outcome or a more severe one, +Inf where none does.
	reached [pb.Outcome_OUTCOME_BLOCK + 1]float64
	slack   float64
	exact   int // margins that had to be scored exactly
	moved   *change
	allowed *change
}

// run fills moved, the closest change that moves the outcome, and allowed, the closest that allows.
func (s *search) run() error {
	b := s.j.bundle
	model, ok := b.Model.(models.Explorer)
	if !ok || b.Model.Info().Nodes > maxSweepNodes {
		return fmt.Errorf("the model has no sweep, or more than %d nodes", maxSweepNodes)
	}
	if err := model.Sweep(s.j.row, 0, &s.j.scratch, &s.j.sweep); err != nil {
		return fmt.Errorf("cannot search: %w", err)
	}
	s.slack = s.j.sweep.Slack
	for o := pb.Outcome_OUTCOME_CHALLENGE; o <= pb.Outcome_OUTCOME_BLOCK; o++ {
		var err error
		if s.reached[o], err = s.leastMargin(o); err != nil {
			return err
		}
	}
	for column, feature := range b.Columns {
		reason := b.Reasons.Of(feature)
		if reason == nil || reason.Immutable {
			continue
		}
		steps, ok := s.j.sweep.Steps(column)
		if !ok {
			continue
		}
		for _, direction := range [2]int{-1, 1} {
			if err := s.scan(column, steps, direction); err != nil {
				return err
			}
		}
	}
	return nil
}

// leastMargin bisects the margins for the least one with an outcome at least as severe: the score never falls with the
// margin.
func (s *search) leastMargin(o pb.Outcome) (float64, error) {
	least := func(key uint64) (bool, error) {
		score, err := s.j.bundle.Score(fromKey(key), s.j.work[:])
		if err != nil {
			return false, fmt.Errorf("cannot search: %w", err)
		}
		return s.segment.Outcome(score) >= o, nil
	}
	low, high := toKey(-math.MaxFloat64), toKey(math.MaxFloat64)
	if yes, err := least(high); err != nil || !yes {
		return math.Inf(1), err
	}
	if yes, err := least(low); err != nil || yes {
		return math.Inf(-1), err
	}
	for low+1 < high { // least(low) is false, least(high) true
		middle := low + (high-low)/2
		yes, err := least(middle)
		if err != nil {
			return 0, err
		}
		if yes {
			high = middle
		} else {
			low = middle
		}
	}
	return fromKey(high), nil
}

// toKey maps floats to integers in the same order, fromKey back.
func toKey(x float64) uint64 {
	b := math.Float64bits(x)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

func fromKey(k uint64) float64 {
	if k>>63 != 0 {
		return math.Float64frombits(k &^ (1 << 63))
	}
	return math.Float64frombits(^k)
}

// scan walks from the value's own cell in one direction and keeps the first change of each kind.
func (s *search) scan(column int, steps models.Steps, direction int) error {
	moved, allowed := false, s.own == pb.Outcome_OUTCOME_ALLOW
	for cell := steps.At + direction; cell >= 0 && cell < len(steps.Margins) && (!moved || !allowed); cell += direction {
		o, err := s.outcome(column, steps, cell)
		if err != nil {
			return err
		}
		if !s.moves(o) {
			continue
		}
		c := s.change(column, steps, cell, direction, o)
		if !moved {
			moved = true
			s.moved = nearest(s.moved, c)
		}
		if !allowed && o == pb.Outcome_OUTCOME_ALLOW {
			allowed = true
			s.allowed = nearest(s.allowed, c)
		}
	}
	return nil
}

// moves says whether an outcome is one to look for: a milder one, or after allow a more severe one.
func (s *search) moves(o pb.Outcome) bool {
	if s.own == pb.Outcome_OUTCOME_ALLOW {
		return o > s.own
	}
	return o != pb.Outcome_OUTCOME_UNSPECIFIED && o < s.own
}

// nearest keeps the first of two that are equally far.
func nearest(a, b *change) *change {
	if a == nil || closer(b, a) < 0 {
		return b
	}
	return a
}

// outcome gives that of a cell; none of a cell that holds no finite value. A margin so near to where the outcome changes that
// rounding decides is scored as a decision would be.
func (s *search) outcome(column int, steps models.Steps, cell int) (pb.Outcome, error) {
	low, high := s.j.sweep.Bounds(column, cell)
	if low > high || math.IsInf(low, 1) || math.IsInf(high, -1) {
		return pb.Outcome_OUTCOME_UNSPECIFIED, nil
	}
	margin, o := steps.Margins[cell], pb.Outcome_OUTCOME_ALLOW
	for next := pb.Outcome_OUTCOME_CHALLENGE; next <= pb.Outcome_OUTCOME_BLOCK; next++ {
		least := s.reached[next]
		if math.Abs(margin-least) <= s.slack+float64(additivityTolerance*max(1, math.Abs(margin))) {
			if s.exact++; s.exact > maxExactScores {
				return 0, fmt.Errorf("more than %d margins lie where rounding decides", maxExactScores)
			}
			value := high
			if math.IsInf(value, 1) {
				value = low
			}
			score, err := s.score(column, value)
			return s.segment.Outcome(score), err
		}
		if margin >= least {
			o = next
		}
	}
	return o, nil
}

// score makes the score of the row with another value, as a decision would.
func (s *search) score(column int, value float64) (float64, error) {
	own := s.j.row[column]
	s.j.row[column] = value
	err := s.j.bundle.Model.Predict(s.j.row, &s.j.scratch, s.j.one[:])
	s.j.row[column] = own
	if err != nil {
		return 0, fmt.Errorf("cannot score a change: %w", err)
	}
	score, err := s.j.bundle.Score(s.j.one[0], s.j.work[:])
	if err != nil {
		return 0, fmt.Errorf("cannot score a change: %w", err)
	}
	return score, nil
}

// change makes the counterfactual that begins at a cell.
func (s *search) change(column int, steps models.Steps, cell, direction int, o pb.Outcome) *change {
	c := &change{outcome: o, column: column, cell: cell, thresholds: direction * (cell - steps.At)}
	c.low, c.high = s.j.sweep.Bounds(column, cell)
	c.near = c.high
	if direction > 0 {
		c.near = c.low
	}
	feature := s.j.bundle.Columns[column]
	from, known := s.j.bundle.Percentile(feature, s.j.row[column])
	to, _ := s.j.bundle.Percentile(feature, c.near)
	if known {
		c.points, c.ranked = math.Abs(to-from), true
	}
	return c
}

// finish scores a change, and widens it by the cells beyond that have the same outcome.
func (s *search) finish(c *change) error {
	var err error
	if c.score, err = s.score(c.column, c.near); err != nil {
		return err
	}
	if o := s.segment.Outcome(c.score); o != c.outcome {
		return fmt.Errorf("BUG: the sweep has %v where the model has %v", c.outcome, o)
	}
	steps, _ := s.j.sweep.Steps(c.column)
	direction := cmp.Compare(c.cell, steps.At)
	for next := c.cell + direction; next >= 0 && next < len(steps.Margins); next += direction {
		o, err := s.outcome(c.column, steps, next)
		if err != nil {
			return err
		}
		if o != c.outcome && o != pb.Outcome_OUTCOME_UNSPECIFIED {
			break
		}
		low, high := s.j.sweep.Bounds(c.column, next)
		c.low, c.high = min(c.low, low), max(c.high, high)
	}
	return nil
}

// best lists what was found: the change that moves the outcome, and the one that allows where that is another.
func (s *search) best() []*change {
	list := []*change{s.moved}
	if s.allowed != nil && (s.moved == nil || s.moved.outcome != pb.Outcome_OUTCOME_ALLOW) {
		list = append(list, s.allowed)
	}
	return slices.DeleteFunc(list, func(c *change) bool { return c == nil })
}

// word puts a change into words.
func (s *search) word(c *change) *pb.Counterfactual {
	b := s.j.bundle
	feature := b.Columns[c.column]
	out := &pb.Counterfactual{
		Outcome: c.outcome, Feature: b.Set.Features[feature].Name, Code: b.Reasons.Of(feature).Code,
		Value: s.j.row[c.column], Score: c.score, Thresholds: uint32(c.thresholds),
	}
	if !math.IsInf(c.low, -1) {
		out.AtLeast = &c.low
	}
	if !math.IsInf(c.high, 1) {
		out.AtMost = &c.high
	}
	if c.ranked {
		out.PercentilePoints = &c.points
	}
	p := s.j.phrases()
	var texts registry.Texts
	low, high := inward(c.low, c.high)
	bound := high
	switch {
	case out.AtLeast == nil:
		texts = p.AtMost
	case out.AtMost == nil:
		texts, bound = p.AtLeast, low
	default:
		texts = p.Between
	}
	out.Text = texts.In(s.j.language()).Execute(func(placeholder string) string {
		switch placeholder {
		case "outcome":
			return strings.ToLower(strings.TrimPrefix(c.outcome.String(), "OUTCOME_"))
		case "feature":
			return out.GetFeature()
		case "low":
			return formatExact(low)
		case "high":
			return formatExact(high)
		default:
			return formatExact(bound)
		}
	})
	return out
}

// inward rounds two bounds to four digits, so that what a text says still lies between them; where they are too near for
// that, it leaves them.
func inward(low, high float64) (lower, upper float64) {
	lower, upper = rounded(low, 1), rounded(high, -1)
	if lower > upper {
		return low, high
	}
	return lower, upper
}

// rounded gives the nearest number with four digits that is not below v, or for a negative way not above.
func rounded(v float64, way int) float64 {
	const digits = 4
	text := strconv.FormatFloat(v, 'e', digits-1, 64)
	mantissa, exponent, ok := strings.Cut(strings.Replace(text, ".", "", 1), "e")
	m, err1 := strconv.Atoi(mantissa)
	e, err2 := strconv.Atoi(exponent)
	if !ok || err1 != nil || err2 != nil {
		return v // infinite
	}
	near := func(m int) float64 {
		x, err := strconv.ParseFloat(fmt.Sprintf("%de%d", m, e-digits+1), 64)
		if err != nil {
			return v
		}
		return x
	}
	r := near(m)
	if way > 0 && r < v || way < 0 && r > v {
		r = near(m + way)
	}
	return r
}

// formatExact writes a bound with all of its digits.
func formatExact(v float64) string {
	if math.Abs(v) >= 1e-4 && math.Abs(v) < 1e15 || v == 0 {
		return strconv.FormatFloat(v+0, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
