// Package decide makes one decision: is what this event says fraud, what should follow, and why.
//
// [Decider.Decide] is the whole way, in one function: admission, the vector, the model's score and exact
// contributions, policy, the record, the reply. What cannot finish in the caller's time is skipped, named in the
// answer, and a default takes its place: there is always an answer. [Judge] is the pure half of it, shared with replay:
// outcome, reasons, reactions and hashes are a function of what the record pins.
//
// It has no transport (server has), computes no features and no scores itself (features and models do), and keeps
// nothing but counters: the record goes into the journal through the engine, event and decision in one frame.
//
// Start reading at [Decider.Decide] in this file, then judge.go; pace.go splits the deadline.
package decide

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pitboss/features"
	"pitboss/models"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// DefaultBudget is the time for a decision whose caller names none.
const DefaultBudget = 30 * time.Millisecond

// Config is what a Decider stands on.
type Config struct {
	// Engine keeps events and reads vectors. Needed.
	Engine *features.Engine
	// Registry has the active bundle. Needed.
	Registry *registry.Registry
	// Budget is the time for a decision whose caller names no deadline. Default DefaultBudget.
	Budget time.Duration
	// Build names the program in records. It is evidence, and no part of the decision.
	Build string
	// Observe is called after each answer, before it leaves, for metrics; it must be quick, keep nothing and change
	// nothing. Default: nobody looks.
	Observe func(*features.Event, *pb.Decision)
}

// Options are a caller's wishes for one decision.
type Options struct {
	// Deadline is when the caller stops waiting. Zero: Config.Budget from the call on. A sooner deadline of the
	// context holds as well.
	Deadline time.Time
	// Unhurried takes the deadline away, for passes over history: nothing is skipped for lack of time.
	Unhurried bool
	// DryRun decides and keeps nothing.
	DryRun bool
	// Explain is how much of the explanation the answer carries.
	Explain pb.Explain
	// Language is the language of the texts, such as de or pt-BR; see registry.Bundle.Language for what stands in for
	// one that the bundle does not have.
	Language string
}

// Decider makes decisions. It may be used by any number of goroutines at once.
type Decider struct {
	cfg   Config
	pace  pace
	stats counters
	pool  sync.Pool // of *decision
}

// New makes a Decider.
func New(cfg Config) (*Decider, error) {
	switch {
	case cfg.Engine == nil:
		return nil, errors.New("cannot make a decider: Config.Engine is needed")
	case cfg.Registry == nil:
		return nil, errors.New("cannot make a decider: Config.Registry is needed")
	case cfg.Budget < 0:
		return nil, fmt.Errorf("cannot make a decider: Config.Budget is %v", cfg.Budget)
	case cfg.Budget == 0:
		cfg.Budget = DefaultBudget
	}
	return &Decider{cfg: cfg}, nil
}

// Decide decides about one accepted event, records the decision and then answers. The same event again gives the
// decision that is recorded; other content under its id is features.ErrConflict, another event with its transaction
// features.ErrDuplicateTransaction. Apart from these and an ended context there is always an answer: see
// pb.Decision.Degraded for what it had to do without.
func (d *Decider) Decide(ctx context.Context, ev *features.Event, opt Options) (answer *pb.Decision, err error) {
	w, ok := d.pool.Get().(*decision)
	if !ok {
		w = &decision{d: d}
	}
	defer d.pool.Put(w)
	ctx, cancel := w.begin(ctx, ev, opt)
	defer cancel()
	defer func() { d.observe(ev, answer, err) }()

	// One slot per event: whoever asks for the same event meanwhile waits here for the first one's answer.
	slot, err := d.cfg.Engine.Admit(ctx, ev)
	if err != nil {
		return w.notAdmitted(ctx, err)
	}
	defer slot.Release()
	known, _ := slot.Known()
	w.lap(&w.timings.Admission)
	if !known.Decision.IsZero() && !opt.DryRun {
		slot.NoteDuplicate()
		return w.again(ctx)
	}

	// Lists were read at the edge, with the raw values, and their hits are part of the event: policy weighs them.
	w.open(d.cfg.Registry.Active())
	w.readVector(ctx, slot)
	w.lap(&w.timings.Features)

	// Rules come here; there are none yet.
	w.scoreVector()
	w.lap(&w.timings.Model)
	w.explainScore()
	w.lap(&w.timings.Explain)

	record := w.record()
	w.lap(&w.timings.Policy)

	// Event and decision are one frame: there is no moment at which one of them is there alone.
	if !opt.DryRun {
		if err := w.commit(ctx, slot, record); err != nil {
			return w.notRecorded(ctx, err)
		}
	}
	w.lap(&w.timings.Record)
	return w.answer(record), nil
}

// decision is one call of Decide and its working memory.
type decision struct {
	d        *Decider
	judgment judgment
	vector   features.Vector

	ev       *features.Event
	opt      Options
	started  time.Time
	lapped   time.Time
	deadline time.Time // zero: none
	timings  pb.Timings
}

// begin takes the deadline from the options, the context and the configuration, whichever is first.
func (w *decision) begin(ctx context.Context, ev *features.Event, opt Options) (context.Context, context.CancelFunc) {
	now := time.Now()
	w.ev, w.opt, w.started, w.lapped, w.deadline = ev, opt, now, now, time.Time{}
	w.vector.Watermark, w.vector.Lag, w.vector.Pins = 0, features.NoLag, w.vector.Pins[:0] // where no vector is read
	w.timings.Reset()
	if opt.Unhurried {
		return ctx, func() {}
	}
	w.deadline = opt.Deadline
	if w.deadline.IsZero() {
		w.deadline = now.Add(w.d.cfg.Budget)
	}
	if at, ok := ctx.Deadline(); ok && at.Before(w.deadline) {
		w.deadline = at
	}
	return context.WithDeadline(ctx, w.deadline)
}

// lap writes down the time since the last lap, in microseconds.
func (w *decision) lap(us *int64) {
	now := time.Now()
	*us = now.Sub(w.lapped).Microseconds()
	w.lapped = now
}

// skip notes that a stage is missing, and why.
func (w *decision) skip(stage, cause string) {
	v := w.judgment.verdicts
	v.Skipped = append(v.Skipped, &pb.Degraded{Stage: stage, Cause: cause})
}

// skipScore notes that there will be no score, nor therefore an explanation of one.
func (w *decision) skipScore(cause string) {
	w.skip(StageModel, cause)
	if w.judgment.wantsReasons() {
		w.skip(StageExplain, cause)
	}
}

// open pins what the decision is made by.
func (w *decision) open(b *registry.Bundle) {
	explain := pb.Explain_EXPLAIN_TOP // how much of it the answer shows is no part of the record
	if w.opt.Explain == pb.Explain_EXPLAIN_NONE {
		explain = pb.Explain_EXPLAIN_NONE
	}
	fallback := w.d.cfg.Registry.Fallback()
	language := registry.DefaultLanguage
	in := &pb.Inputs{
		EvaluatedAtUs: w.ev.OccurredAt,
		RatesVersion:  w.ev.Msg.GetEnrichment().GetRatesVersion(),
		AliasKeyId:    w.ev.Msg.GetEnrichment().GetAliasKeyId(),
		PolicyHash:    fallback.Hash[:],
	}
	if b != nil {
		model := b.Model.Info()
		in.FeatureSetHash, in.BundleHash, in.ModelHash = b.Set.Hash[:], b.Hash[:], model.Hash[:]
		in.CalibrationHash, in.PolicyHash = b.CalibrationHash[:], b.Policy.Hash[:]
		language = b.Language(w.opt.Language)
	}
	w.judgment.open(&Case{
		Version: LogicVersion, Event: w.ev, Inputs: in, Verdicts: &pb.Verdicts{Explain: explain, Language: language},
		Bundle: b, Fallback: fallback,
	})
}

// readVector reads the features of all the event's entities, leaving time to write the record.
func (w *decision) readVector(ctx context.Context, slot *features.Slot) {
	b := w.judgment.bundle
	if b == nil {
		w.skipScore(CauseUnavailable)
		return
	}
	err := w.d.cfg.Engine.Vector(ctx, slot, b.Set, &w.vector)
	if err == nil {
		pinVector(w.judgment.in, &w.vector, b.Set)
		return
	}
	cause := CauseError
	if errors.Is(err, context.DeadlineExceeded) {
		cause = CauseDeadline
	}
	w.d.stats.featureErrors.Add(1)
	w.skip(StageFeatures, cause)
	w.skipScore(cause)
}

// scoreVector runs the model, if there is time to.
func (w *decision) scoreVector() {
	j := &w.judgment
	if j.isSkipped(StageModel) {
		return
	}
	if !w.d.pace.fits(paceModel, w.left(), j.bundle.Model.Info().Cost) {
		w.skipScore(CauseDeadline)
		return
	}
	if err := j.score(); err != nil {
		w.failed(err)
		w.skipScore(CauseError)
		return
	}
	w.d.pace.took(paceModel, time.Since(w.lapped))
}

// explainScore computes the contributions, if they are wanted and there is time to.
func (w *decision) explainScore() {
	j := &w.judgment
	if !j.wantsReasons() || j.isSkipped(StageExplain) {
		return
	}
	if !w.d.pace.fits(paceExplain, w.left(), j.bundle.Model.Info().Cost) {
		w.skip(StageExplain, CauseDeadline)
		return
	}
	if err := j.explain(); err != nil {
		w.failed(err)
		w.skip(StageExplain, CauseError)
		return
	}
	w.d.pace.took(paceExplain, time.Since(w.lapped))
}

// left is the time until the deadline; very long where there is none.
func (w *decision) left() time.Duration {
	if w.deadline.IsZero() {
		return time.Hour
	}
	return w.deadline.Sub(w.lapped)
}

// failed counts what a model must never do.
func (w *decision) failed(err error) {
	switch {
	case errors.Is(err, errPanic):
		w.d.stats.panics.Add(1)
	case errors.Is(err, models.ErrAdditivity):
		w.d.stats.additivity.Add(1)
	default:
		w.d.stats.modelErrors.Add(1)
	}
}
