package decide

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// pinVector copies a vector into the inputs. Every missing value has the same NaN, whatever made it.
func pinVector(in *pb.Inputs, v *features.Vector, set *features.Set) {
	in.EvaluatedAtUs, in.EventInside = v.At, v.Inside
	in.Vector = make([]float64, len(v.Values))
	for i, x := range v.Values {
		if math.IsNaN(x) {
			x = math.NaN()
		}
		in.Vector[i] = x
	}
	in.Statuses = make([]byte, len(v.Status))
	for i, s := range v.Status {
		in.Statuses[i] = byte(s)
	}
	pins := make([]pb.Pin, len(v.Pins))
	in.Pins = make([]*pb.Pin, len(v.Pins))
	for i, p := range v.Pins {
		pins[i].Entity = uint32(p.Entity)
		if !p.Pos.IsZero() {
			pins[i].Position = position(p.Pos)
		}
		in.Pins[i] = &pins[i]
	}
	for _, s := range v.Sourced {
		sv := &pb.SourceValue{Source: s.Source, Version: s.Version, Feature: set.Features[s.Feature].Name}
		if value := s.Value; !math.IsNaN(value) {
			sv.Value = &value
		}
		in.Sources = append(in.Sources, sv)
	}
}

func position(p journal.Pos) *pb.Position {
	return &pb.Position{Partition: p.Partition, Offset: p.Offset}
}

// record puts the decision into the form in which it is kept.
func (w *decision) record() *pb.DecisionRecord {
	j := &w.judgment
	r := &pb.DecisionRecord{
		DecisionId: w.ev.Key.String(), LogicVersion: LogicVersion,
		Inputs: j.in, Verdicts: j.verdicts, Outputs: j.outputs(),
		PolicyVersion: j.policy.Version, Observations: w.observations(),
	}
	if j.bundle != nil {
		r.Model = j.bundle.Ref
	}
	return r
}

// observations are what replay cannot make again: how fresh what the vector was read from was, among others.
func (w *decision) observations() *pb.Observations {
	v := &w.vector
	o := &pb.Observations{Build: w.d.cfg.Build, DecidedAt: timestamppb.New(w.started), WatermarkUs: v.Watermark}
	if lag := v.Lag; lag != features.NoLag {
		o.ConsumerLag = &lag
	}
	o.EntityAgesUs = make([]int64, len(v.Pins))
	for i, pin := range v.Pins {
		o.EntityAgesUs[i] = v.At - pin.Newest
	}
	return o
}

// commit writes event and decision as one frame: the engine adds the event. One that is in the journal already keeps
// its place there, and the frame only adds the decision.
func (w *decision) commit(ctx context.Context, slot *features.Slot, record *pb.DecisionRecord) error {
	record.Observations.TimingsUs = proto.CloneOf(&w.timings)
	if _, err := w.d.cfg.Engine.Commit(ctx, slot, &pb.EventFrame{Decision: record}); err != nil {
		return fmt.Errorf("cannot record the decision: %w", err)
	}
	w.d.pace.took(paceRecord, time.Since(w.lapped))
	return nil
}

// notAdmitted answers an event that did not get its slot. What the producer got wrong is its error; that there was no
// time, or nothing can be written now, is ours and has the default as its answer.
func (w *decision) notAdmitted(ctx context.Context, err error) (*pb.Decision, error) {
	if errors.Is(err, features.ErrConflict) || errors.Is(err, features.ErrDuplicateTransaction) {
		return nil, err
	}
	return w.unavailable(ctx, err)
}

// unavailable answers when the engine can do nothing for the event now.
func (w *decision) unavailable(ctx context.Context, err error) (*pb.Decision, error) {
	w.open(nil)
	cause := CauseUnavailable
	if errors.Is(err, context.DeadlineExceeded) {
		cause = CauseDeadline
	}
	w.skipScore(cause)
	return w.notRecorded(ctx, err)
}

// notRecorded answers when the decision could not be written: nothing of it is applied, so nothing of it is said. The
// default outcome takes its place, and the caller may ask again.
func (w *decision) notRecorded(ctx context.Context, err error) (*pb.Decision, error) {
	cause := CauseNotWritten
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return nil, fmt.Errorf("cannot decide on event %q: %w", w.ev.ID, err) // nobody waits for the answer
	case errors.Is(err, context.DeadlineExceeded):
		cause = CauseDeadline
	}
	w.skip(StageRecord, cause)
	w.lap(&w.timings.Record)
	return w.answer(w.record()), nil
}

// again answers with the decision that is recorded.
func (w *decision) again(ctx context.Context) (*pb.Decision, error) {
	frame, err := w.d.cfg.Engine.Record(ctx, w.ev.Tenant, w.ev.Key.String())
	if err != nil {
		if errors.Is(err, features.ErrRecordErased) {
			return nil, fmt.Errorf("cannot give decision %s again: %w", w.ev.Key, err)
		}
		return w.unavailable(ctx, err)
	}
	answer := Answer(frame)
	answer.Status = pb.Status_STATUS_DUPLICATE
	if w.opt.Explain == pb.Explain_EXPLAIN_FULL {
		if err := AddFeatures(answer, w.ev, frame.Decision, w.d.cfg.Registry); err != nil {
			return nil, err
		}
	}
	return w.timed(answer), nil
}

// answer gives the record as the caller sees it.
func (w *decision) answer(record *pb.DecisionRecord) *pb.Decision {
	answer := Answer(&pb.EventFrame{Event: w.ev.Msg, Decision: record})
	if w.opt.DryRun {
		answer.Status = pb.Status_STATUS_DRY_RUN
	}
	if w.opt.Explain == pb.Explain_EXPLAIN_FULL {
		w.judgment.addFeatures(answer)
		w.addCounterfactuals(answer)
	}
	return w.timed(answer)
}

func (w *decision) timed(answer *pb.Decision) *pb.Decision {
	w.timings.Total = time.Since(w.started).Microseconds()
	answer.TimingsUs = proto.CloneOf(&w.timings)
	return answer
}
