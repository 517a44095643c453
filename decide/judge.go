package decide

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"pitboss/features"
	"pitboss/models"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// LogicVersion names the rules by which outputs follow from inputs, verdicts, bundle and event. A change that would
// alter the outputs of an old record raises it, and keeps the old rules for the old records.
//
//   - 1: contributions summed tree by tree, in blocks of 4 points (models.KernelBlocks).
//   - 2: in the order of models.KernelAuto, with other last bits; the margin that the contributions add up to, percentile and
//     baseline of reasons, and the language of the texts, which the hash of the inputs covers.
const LogicVersion = 2

// firstWorded is the logic version from which on records have what version 2 added.
const firstWorded = 2

// ErrLogicVersion says that a record was made by rules that this program does not have.
var ErrLogicVersion = errors.New("unknown logic version")

// ErrModel says that the model failed on a row: it returned an error, gave no finite number, or panicked.
var ErrModel = errors.New("model failed")

// The stages that can be missing from a decision, and why: the values of pb.Degraded.
const (
	StageFeatures = "features"
	StageRules    = "rules"
	StageModel    = "model"
	StageExplain  = "explain"
	StageRecord   = "record"

	CauseDeadline    = "deadline"
	CauseError       = "error"
	CauseUnavailable = "unavailable"
	CauseNotWritten  = "not_written"
)

// additivityTolerance is how far base + contributions may be from the margin, relative to the largest of 1, the
// margin and the contributions. Package models holds its own leaf sum to the same.
const additivityTolerance = 1e-9

// float32Tolerance is how far the float64 sum of the leaves may be from a margin that its library summed in float32, relative
// to the same: a thousand trees are rounded a thousand times, by up to 2^-24 of the sum so far.
const float32Tolerance = 1e-4

// Case is all that a decision's outputs follow from.
type Case struct {
	// Version is the logic version.
	Version uint32
	// Event is what was decided about; Inputs and Verdicts are what its record pins.
	Event    *features.Event
	Inputs   *pb.Inputs
	Verdicts *pb.Verdicts
	// Margin, of a record, stands in the place of the one that the bundle's model gives now, where the model's margins are not
	// the same on every machine and the two are no farther apart than its tolerance. Nil: the model's own.
	Margin *float64
	// Bundle is what decided; nil for a decision made without one, which follows Fallback.
	Bundle   *registry.Bundle
	Fallback *registry.Policy
}

// Scratch is working memory of one goroutine. The zero value is ready.
type Scratch struct {
	j judgment
}

// Judge makes a decision's outputs: a pure function of the case. Live decisions are made by the same steps, so a record
// that gives other bytes here was changed, or its maker was. It reads no clock and draws no random numbers.
func Judge(c *Case, s *Scratch) (*pb.Outputs, error) {
	if c.Version < 1 || c.Version > LogicVersion {
		return nil, fmt.Errorf("cannot judge by logic version %d (this program has 1 to %d): %w", c.Version, LogicVersion, ErrLogicVersion)
	}
	j := &s.j
	j.open(c)
	if err := j.check(); err != nil {
		return nil, err
	}
	if !j.isSkipped(StageModel) {
		if err := j.score(); err != nil {
			return nil, fmt.Errorf("cannot score again: %w", err)
		}
	}
	if !j.isSkipped(StageExplain) && j.wantsReasons() {
		if err := j.explain(); err != nil {
			return nil, fmt.Errorf("cannot explain again: %w", err)
		}
	}
	return j.outputs(), nil
}

// judgment is one decision in the making, and the working memory for it. Stages that were skipped are in the verdicts;
// the others are run by score and explain, and outputs puts the result together.
type judgment struct {
	version  uint32
	ev       *features.Event
	in       *pb.Inputs
	verdicts *pb.Verdicts
	bundle   *registry.Bundle
	policy   *registry.Policy
	recorded *float64 // Case.Margin

	scored    bool
	margin    float64
	probable  float64 // the score
	explained bool
	base      float64
	sum       float64   // the margin that base and contributions add up to
	bySet     []float64 // contributions in the feature set's order; 0 where the model does not use the feature

	row           []float64
	one, work     [1]float64 // a margin, and memory for the steps around it
	contributions []float64  // in the model's order
	groups        []group
	sweep         models.Sweep
	scratch       models.Scratch
	buf           []byte
}

// open starts a decision. Working memory is kept.
func (j *judgment) open(c *Case) {
	j.version, j.ev, j.in, j.verdicts, j.bundle, j.policy = c.Version, c.Event, c.Inputs, c.Verdicts, c.Bundle, c.Fallback
	if c.Bundle != nil {
		j.policy = c.Bundle.Policy
	}
	j.recorded, j.scored, j.explained = c.Margin, false, false
	j.scratch.Kernel = models.KernelAuto
	if c.Version == 1 {
		j.scratch.Kernel = models.KernelBlocks
	}
}

// check holds a record's inputs against its bundle, before rows are read from them.
func (j *judgment) check() error {
	if j.in == nil || j.verdicts == nil {
		return errors.New("cannot judge: the record has no inputs or no verdicts")
	}
	if j.version < firstWorded && j.verdicts.GetLanguage() != "" {
		return fmt.Errorf("cannot judge: a record of logic version %d has no language", j.version)
	}
	if j.bundle == nil {
		if !j.isSkipped(StageModel) || !j.isSkipped(StageExplain) && j.wantsReasons() {
			return fmt.Errorf("cannot judge: the record names no bundle, and yet the model was not skipped")
		}
		return nil
	}
	if j.in.EvaluatedAtUs != j.ev.OccurredAt {
		return fmt.Errorf("cannot judge: the vector was evaluated at %d, and the event is of %d", j.in.EvaluatedAtUs, j.ev.OccurredAt)
	}
	n := len(j.bundle.Set.Features)
	if j.isSkipped(StageFeatures) && len(j.in.Vector) == 0 && j.isSkipped(StageModel) {
		return nil
	}
	if len(j.in.Vector) != n || len(j.in.Statuses) != n {
		return fmt.Errorf("cannot judge: the vector has %d values and %d statuses; the feature set has %d features",
			len(j.in.Vector), len(j.in.Statuses), n)
	}
	return nil
}

// isSkipped says whether the verdicts name the stage.
func (j *judgment) isSkipped(stage string) bool {
	return slices.ContainsFunc(j.verdicts.Skipped, func(d *pb.Degraded) bool { return d.Stage == stage })
}

// language is the one that texts are in. Records of version 1 do not say: they are in the only one that there was.
func (j *judgment) language() string {
	if j.version < firstWorded {
		return registry.DefaultLanguage
	}
	return j.verdicts.GetLanguage()
}

func (j *judgment) wantsReasons() bool { return j.verdicts.Explain != pb.Explain_EXPLAIN_NONE }

// score runs the model. A model that panics is a model that failed: a decision must come out all the same.
func (j *judgment) score() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: panic: %v: %w", ErrModel, r, errPanic)
		}
	}()
	j.row = resize(j.row, len(j.bundle.Columns))
	j.bundle.Row(j.in.Vector, j.row)
	if err = j.bundle.Model.Predict(j.row, &j.scratch, j.one[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrModel, err)
	}
	margin := j.one[0]
	if r := j.recorded; r != nil && math.Abs(margin-*r) <= float64(j.bundle.Model.Info().Tolerance*math.Max(1, math.Abs(*r))) {
		margin = *r
	}
	score, err := j.bundle.Score(margin, j.work[:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrModel, err)
	}
	if math.IsNaN(margin) || math.IsInf(margin, 0) || !(score >= 0 && score <= 1) {
		return fmt.Errorf("%w: margin %v, score %v", ErrModel, margin, score)
	}
	j.margin, j.probable, j.scored = margin, score, true
	return nil
}

// errPanic marks what was recovered, so that it is counted apart.
var errPanic = errors.New("recovered")

// explain computes the exact contributions to the margin that score found. A model that has none is no error: then
// explained stays false.
func (j *judgment) explain() (err error) {
	if !j.scored || j.bundle.Model.Info().Unexplainable != "" {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: panic: %v: %w", ErrModel, r, errPanic)
		}
	}()
	j.contributions = resize(j.contributions, len(j.bundle.Columns))
	if err := j.bundle.Model.Explain(j.row, &j.scratch, j.work[:], j.contributions); err != nil {
		return fmt.Errorf("%w: %w", ErrModel, err)
	}
	// XGBoost's margin is a sum in float32: contributions explain the sum of the same leaves in float64.
	explained := j.work[0]
	j.base, j.sum = j.bundle.Model.Info().Base[0], explained
	sum, largest := j.base, math.Max(1, math.Abs(explained))
	for _, c := range j.contributions {
		sum += c
		largest = math.Max(largest, math.Abs(c))
	}
	rounding := additivityTolerance
	if j.bundle.Model.Info().Format == models.FormatXGBoost {
		rounding = float32Tolerance
	}
	if !(math.Abs(explained-j.margin) <= rounding*largest) {
		return fmt.Errorf("%w: model %x: the contributions are of a margin of %v, and the score is of %v: %w",
			ErrModel, j.bundle.Model.Info().Hash, explained, j.margin, models.ErrAdditivity)
	}
	if !(math.Abs(sum-explained) <= additivityTolerance*largest) {
		return fmt.Errorf("%w: model %x: base and contributions make %v of a margin of %v: %w",
			ErrModel, j.bundle.Model.Info().Hash, sum, explained, models.ErrAdditivity)
	}
	j.bySet = resize(j.bySet, len(j.bundle.Set.Features))
	clear(j.bySet)
	for i, at := range j.bundle.Columns {
		j.bySet[at] = j.contributions[i]
	}
	j.explained = true
	return nil
}

// outputs puts the decision together.
func (j *judgment) outputs() *pb.Outputs {
	// What was not recorded must not say more than the default: the caller may ask again, and gets another answer.
	recorded := !j.isSkipped(StageRecord)
	scored := j.scored && recorded
	explained := j.explained && recorded
	segment := j.policy.Segment(j.ev)
	listed := j.listed()
	whole := &result{margin: j.margin, score: j.probable, base: j.base, sum: j.sum}
	out := &whole.outputs
	out.Segment, out.Review, out.ReasonsStatus = segment.Name, len(j.verdicts.Skipped) > 0, j.reasonsStatus(explained)
	switch {
	case listed.rank == rankAllow:
		out.Outcome = pb.Outcome_OUTCOME_ALLOW
	case listed.rank != rankNone:
		out.Outcome = pb.Outcome_OUTCOME_BLOCK
	case scored:
		out.Outcome = segment.Outcome(j.probable)
	default:
		d := j.policy.Default(j.ev)
		out.Outcome, out.Review = d.Outcome, out.Review || d.Review
	}
	if scored {
		out.Margin, out.Score = &whole.margin, &whole.score
		out.RiskLevel = segment.Risk(j.probable)
		out.Review = out.Review || segment.Review(j.probable)
	}
	out.Reasons = j.reasons(&listed, scored, explained)
	if explained {
		out.BaseValue = &whole.base
		if j.version >= firstWorded {
			out.ExplainedMargin = &whole.sum
		}
		whole.contributions = j.contributionsHash()
		out.ContributionsHash = whole.contributions[:]
	}
	if recorded {
		j.addReactions(out, segment)
	}
	whole.inputs = j.inputsHash()
	out.InputsHash = whole.inputs[:]
	return out
}

// result is outputs and what their fields point to, in one piece of memory.
type result struct {
	outputs               pb.Outputs
	margin, score         float64
	base, sum             float64
	contributions, inputs [32]byte
}

func (j *judgment) reasonsStatus(explained bool) string {
	if explained {
		return "available"
	}
	if !j.wantsReasons() {
		return "skipped"
	}
	for _, d := range j.verdicts.Skipped {
		if (d.Stage == StageExplain || d.Stage == StageRecord) && d.Cause == CauseDeadline {
			return "skipped"
		}
	}
	return "unavailable"
}

// addReactions adds what the segment asks for under the outcome, for the entities that the event names.
func (j *judgment) addReactions(out *pb.Outputs, segment *registry.Segment) {
	longest := uint32(0)
	for _, r := range segment.Reactions(out.Outcome) {
		if !slices.ContainsFunc(j.ev.Entities, func(e features.EntityRef) bool { return e.Kind == r.Scope }) {
			continue
		}
		longest = max(longest, r.TTL)
		out.Reactions = append(out.Reactions, &pb.Reaction{
			ReactionId: reactionID(j.ev.Key, r.Type, r.Scope),
			Type:       r.Type, Scope: r.Scope, TtlS: r.TTL, Reversible: r.Reversible,
		})
	}
	if longest > 0 {
		out.ExpiresAtUs = j.in.EvaluatedAtUs + int64(longest)*1_000_000
	}
}

func resize(s []float64, n int) []float64 {
	if cap(s) < n {
		return make([]float64, n)
	}
	return s[:n]
}
