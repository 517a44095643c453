package decide

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// Answer gives a recorded decision as its caller sees it. Made from the record alone, it is the same whenever it is
// made. It shares messages with the frame.
func Answer(frame *pb.EventFrame) *pb.Decision {
	r := frame.GetDecision()
	in, out := r.GetInputs(), r.GetOutputs()
	a := &pb.Decision{
		DecisionId:    r.GetDecisionId(),
		EventId:       frame.GetEvent().GetEventId(),
		Status:        pb.Status_STATUS_NEW,
		Outcome:       out.GetOutcome(),
		RiskLevel:     out.GetRiskLevel(),
		Review:        out.GetReview(),
		Reactions:     out.GetReactions(),
		Reasons:       out.GetReasons(),
		ReasonsStatus: out.GetReasonsStatus(),
		Model:         r.GetModel(),
		Segment:       out.GetSegment(),
		PolicyVersion: r.GetPolicyVersion(),
		FeaturesAsOf:  timestamp(in.GetEvaluatedAtUs()),
		Degraded:      r.GetVerdicts().GetSkipped(),
		TimingsUs:     r.GetObservations().GetTimingsUs(),
		Language:      cmp.Or(r.GetVerdicts().GetLanguage(), registry.DefaultLanguage),
	}
	if out != nil {
		a.Score, a.Margin, a.BaseValue, a.ExplainedMargin = out.Score, out.Margin, out.BaseValue, out.ExplainedMargin
	}
	if at := out.GetExpiresAtUs(); at != 0 {
		a.ExpiresAt = timestamp(at)
	}
	if at := r.GetObservations().GetWatermarkUs(); at != 0 {
		a.Watermark = timestamp(at)
	}
	if o := r.GetObservations(); o != nil {
		a.ConsumerLag = o.ConsumerLag
	}
	a.EntityAges = entityAges(frame)
	if frame.GetEvent().GetSupersedesEventId() != "" {
		a.Status = pb.Status_STATUS_SUPERSEDING
	}
	return a
}

// entityAges says how old what was known of each pinned entity was; nil of records that do not say.
func entityAges(frame *pb.EventFrame) []*pb.EntityAge {
	in := frame.GetDecision().GetInputs()
	ages := frame.GetDecision().GetObservations().GetEntityAgesUs()
	if len(ages) != len(in.GetPins()) {
		return nil
	}
	list := make([]*pb.EntityAge, 0, len(ages))
	for i, pin := range in.GetPins() {
		age := &pb.EntityAge{Kind: entityKind(frame.GetEvent(), int(pin.GetEntity()))}
		if ages[i] != in.GetEvaluatedAtUs() { // else its newest event would be of 1970: it had none
			age.AgeMs = new(ages[i] / 1000)
		}
		list = append(list, age)
	}
	return list
}

// entityKind gives the kind of the entity that a pin points at: the event's own, then the derived ones, then tenant and brand.
func entityKind(ev *pb.Event, at int) string {
	own, derived := ev.GetEntities(), ev.GetEnrichment().GetDerived()
	switch {
	case at < len(own):
		return own[at].GetKind()
	case at < len(own)+len(derived):
		return derived[at-len(own)].GetKind()
	case at == len(own)+len(derived) && ev.GetTenant() != "":
		return "tenant"
	default:
		return "brand"
	}
}

func timestamp(us int64) *timestamppb.Timestamp { return timestamppb.New(time.UnixMicro(us)) }

// AddFeatures adds to an answer made from a record what EXPLAIN_FULL has beyond it: every feature's value, status and
// contribution, and counterfactuals. Values are the record's; the rest is computed again by the record's own bundle, and
// contributions must be the recorded ones.
func AddFeatures(a *pb.Decision, ev *features.Event, r *pb.DecisionRecord, bundles *registry.Registry) error {
	j, err := recall(ev, r, bundles)
	if err != nil {
		return fmt.Errorf("cannot explain decision %s in full: %w", r.GetDecisionId(), err)
	}
	j.addFeatures(a)
	j.addCounterfactuals(a)
	return nil
}

// recall makes a recorded decision's score and contributions again, as far as it has them: one that was made without a
// bundle has neither.
func recall(ev *features.Event, r *pb.DecisionRecord, bundles *registry.Registry) (*judgment, error) {
	var bundle *registry.Bundle
	if hash := r.GetInputs().GetBundleHash(); len(hash) == 32 {
		var err error
		if bundle, err = bundles.Get([32]byte(hash)); err != nil {
			return nil, err //nolint:wrapcheck // the callers say what they wanted it for
		}
	}
	j := &judgment{}
	j.open(&Case{
		Version: r.GetLogicVersion(), Event: ev, Inputs: r.GetInputs(), Verdicts: r.GetVerdicts(), Bundle: bundle, Fallback: bundles.Fallback(),
	})
	if err := j.check(); err != nil {
		return nil, err
	}
	if j.isSkipped(StageModel) || j.isSkipped(StageExplain) || !j.wantsReasons() {
		return j, nil
	}
	if err := j.score(); err != nil {
		return nil, err
	}
	if err := j.explain(); err != nil {
		return nil, err
	}
	if got := j.contributionsHash(); j.explained && !bytes.Equal(got[:], r.GetOutputs().GetContributionsHash()) {
		return nil, fmt.Errorf("its contributions hash to %x now, and %x is recorded", got, r.GetOutputs().GetContributionsHash())
	}
	return j, nil
}

// addFeatures lists the vector as far as there is one.
func (j *judgment) addFeatures(a *pb.Decision) {
	if j.bundle == nil || j.isSkipped(StageRecord) || len(j.in.Vector) != len(j.bundle.Set.Features) {
		return
	}
	a.Features = make([]*pb.FeatureValue, len(j.in.Vector))
	for i, value := range j.in.Vector {
		f := &pb.FeatureValue{Name: j.bundle.Set.Features[i].Name, Status: features.Status(j.in.Statuses[i]).String()}
		if !math.IsNaN(value) {
			f.Value = &value
		}
		if j.explained {
			contribution := j.bySet[i]
			f.Contribution = &contribution
		}
		a.Features[i] = f
	}
}
