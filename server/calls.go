package server

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// calls are the calls of pitboss, free of transport: who calls is a parameter, and errors are mapped by whoever sends
// them.
type calls struct {
	cfg   Config
	deps  Deps
	stats *metrics
	// slow has room for one explanation of a score.
	slow chan struct{}
}

// decide answers one request. arrived is when its first byte was seen: the deadline counts from there.
func (c *calls) decide(ctx context.Context, p *Principal, req *pb.DecisionRequest, arrived time.Time) (*pb.Decision, error) {
	if err := checkTenant(p, req.GetEvent().GetTenant(), "event.tenant"); err != nil {
		return nil, err
	}
	opt, err := c.options(p, req.GetOptions(), arrived)
	if err != nil {
		return nil, err
	}
	// The engine and the journal may keep the event: it is never pooled.
	ev := new(features.Event)
	if err = c.deps.Edge.Accept(req.GetEvent(), arrived, ev); err != nil {
		return nil, c.stats.rejected(err)
	}
	answer, err := c.deps.Decider.Decide(ctx, ev, opt)
	if err != nil {
		return nil, fmt.Errorf("cannot decide: %w", err)
	}
	c.stats.decided(answer)
	return answer, nil
}

// options checks the caller's wishes.
func (c *calls) options(p *Principal, o *pb.DecisionOptions, arrived time.Time) (decide.Options, error) {
	budget := c.cfg.Deadlines.Decide
	if ms := o.GetDeadlineMs(); ms != 0 {
		if ms > uint32(MaxDecide/time.Millisecond) {
			return decide.Options{}, refuse(kindInvalid, string(edge.InvalidField), "options.deadline_ms",
				fmt.Sprintf("%d, at most %d; 0 is the server's default", ms, MaxDecide/time.Millisecond))
		}
		budget = time.Duration(ms) * time.Millisecond
	}
	if err := checkExplain("options.explain", o.GetExplain()); err != nil {
		return decide.Options{}, err
	}
	if l := o.GetLanguage(); l != "" && !registry.ValidLanguage(l) {
		return decide.Options{}, refuse(kindInvalid, string(edge.InvalidField), "options.language", "must be as en, de or pt-BR")
	}
	return decide.Options{
		Deadline: arrived.Add(budget), DryRun: o.GetDryRun(), Explain: o.GetExplain(), Language: cmp.Or(o.GetLanguage(), p.Language),
	}, nil
}

func checkExplain(path string, e pb.Explain) error {
	if _, ok := pb.Explain_name[int32(e)]; !ok {
		return refuse(kindInvalid, string(edge.InvalidField), path, "not one of EXPLAIN_NONE, EXPLAIN_TOP and EXPLAIN_FULL")
	}
	return nil
}

// checkTenant keeps principals to their own tenant. A missing tenant is left to validation, which says so better.
func checkTenant(p *Principal, tenant, path string) error {
	if tenant != "" && tenant != p.Tenant {
		return refuse(kindForbidden, "WRONG_TENANT", path, "not the tenant of this principal")
	}
	return nil
}

// publish takes a batch: each event stands for itself.
func (c *calls) publish(ctx context.Context, p *Principal, req *pb.PublishRequest, arrived time.Time) (*pb.PublishResponse, error) {
	events := req.GetEvents()
	if len(events) == 0 || len(events) > c.cfg.Limits.BatchEvents {
		return nil, refuse(kindInvalid, string(edge.InvalidField), "events",
			fmt.Sprintf("%d events; 1 to %d are a batch", len(events), c.cfg.Limits.BatchEvents))
	}
	// Before anything is applied: a caller that reaches for another tenant gets nothing done.
	for i, msg := range events {
		if err := checkTenant(p, msg.GetTenant(), fmt.Sprintf("events[%d].tenant", i)); err != nil {
			return nil, err
		}
	}
	results := make([]*pb.PublishResult, len(events))
	items, places := make([]features.IngestItem, 0, len(events)), make([]int, 0, len(events))
	for i, msg := range events {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		results[i] = &pb.PublishResult{EventId: eventID(msg)}
		ev := new(features.Event)
		if err := c.deps.Edge.Accept(msg, arrived, ev); err != nil {
			if fault := c.reject(results[i], err, i); fault != nil {
				return nil, fault
			}
			continue
		}
		items, places = append(items, features.IngestItem{Event: ev}), append(places, i)
	}
	if len(items) > 0 {
		fates, err := c.deps.Ingester.Ingest(ctx, items)
		if err != nil {
			// Some of the batch may be written. Asking again with the same ids is safe, so the caller need not know which.
			return nil, fmt.Errorf("cannot ingest: %w", err)
		}
		if err := c.fates(results, places, fates); err != nil {
			return nil, err
		}
	}
	c.stats.published(results)
	return &pb.PublishResponse{Results: results}, nil
}

// eventID is the id to name an event by, but for one that is no text and would spoil the answer.
func eventID(msg *pb.Event) string {
	id := msg.GetEventId()
	if len(id) > edge.MaxEventID {
		id = id[:edge.MaxEventID]
	}
	return strings.ToValidUTF8(id, "\ufffd")
}

// reject writes a refusal into a result. It gives the error back where it is no refusal.
func (c *calls) reject(to *pb.PublishResult, err error, i int) error {
	out, known := toCallError(c.stats.rejected(err))
	if !known {
		return err
	}
	to.Status = pb.PublishStatus_PUBLISH_STATUS_REJECTED
	to.Error = &pb.FieldError{Reason: out.reason, Path: inBatch(out.path, i), Message: out.message}
	return nil
}

// inBatch turns event.tenant into events[3].tenant.
func inBatch(path string, i int) string {
	rest, ok := strings.CutPrefix(path, "event")
	if !ok {
		return path
	}
	return fmt.Sprintf("events[%d]%s", i, rest)
}

// fates writes what became of the accepted events into their results.
func (c *calls) fates(results []*pb.PublishResult, places []int, fates []features.IngestResult) error {
	if len(fates) != len(places) {
		return fmt.Errorf("BUG: %d events ingested, %d results", len(places), len(fates))
	}
	for j, fate := range fates {
		to := results[places[j]]
		switch {
		case fate.Err != nil:
			out, _ := toCallError(fate.Err)
			to.Status = pb.PublishStatus_PUBLISH_STATUS_UNAVAILABLE
			if out.kind == kindConflict || out.kind == kindInvalid {
				to.Status = pb.PublishStatus_PUBLISH_STATUS_REJECTED
			}
			to.Error = &pb.FieldError{Reason: out.reason, Path: inBatch("event", places[j]), Message: out.message}
		case fate.Duplicate:
			to.Status = pb.PublishStatus_PUBLISH_STATUS_DUPLICATE
		default:
			to.Status = pb.PublishStatus_PUBLISH_STATUS_ACCEPTED
		}
	}
	return nil
}

// getDecision finds a decision of the principal's own tenant. Those of others do not exist for it.
func (c *calls) getDecision(ctx context.Context, p *Principal, req *pb.GetDecisionRequest) (*pb.Decision, error) {
	if !isDecisionID(req.GetDecisionId()) {
		return nil, refuse(kindInvalid, string(edge.InvalidField), "decision_id", "a decision_id has 32 hex digits")
	}
	if err := checkExplain("explain", req.GetExplain()); err != nil {
		return nil, err
	}
	answer, err := c.deps.Decisions.GetDecision(ctx, p.Tenant, req.GetDecisionId(), req.GetExplain())
	if err != nil {
		return nil, fmt.Errorf("cannot get a decision: %w", err)
	}
	return answer, nil
}

func isDecisionID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if b := s[i]; (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}

// getEntityFeatures reads an entity's features as they are at a time.
func (c *calls) getEntityFeatures(
	ctx context.Context, p *Principal, req *pb.GetEntityFeaturesRequest, arrived time.Time,
) (*pb.GetEntityFeaturesResponse, error) {
	r, err := c.reading(p, req.GetTenant(), req.GetEntity(), req.GetAt(), arrived)
	if err != nil {
		return nil, err
	}
	row := servedRow{refs: []features.EntityRef{r.ref}}
	if err := c.read(ctx, &wanted{set: r.set}, r.at, &row); err != nil {
		return nil, err
	}
	return entityFeatures(c.identifier(r.ref), r.set, &row.vec), nil
}

// reading is what a call about one entity's features is of: the entity, the set that is served, and the evaluation time.
type reading struct {
	ref features.EntityRef
	set *features.Set
	at  time.Time
}

// reading checks a call about the features of one entity of the principal's own tenant.
func (c *calls) reading(p *Principal, tenant string, entity *pb.Identifier, asked *timestamppb.Timestamp, arrived time.Time) (reading, error) {
	err := checkTenant(p, tenant, "tenant")
	if err != nil {
		return reading{}, err
	}
	var r reading
	if r.at, err = evaluationTime(asked, arrived); err != nil {
		return r, err
	}
	if r.ref, err = c.ref(p, "entity", entity); err != nil {
		return r, err
	}
	r.set, err = c.deps.Features.FeatureSet()
	return r, err //nolint:wrapcheck // an error of the table in errors.go
}

// freshness gives how far event time had come, and how many records were not read: nil where nobody knows.
func freshness(vec *features.Vector) (watermark *timestamppb.Timestamp, lag *int64) {
	if vec.Watermark != 0 {
		watermark = timestamppb.New(time.UnixMicro(vec.Watermark))
	}
	if vec.Lag != features.NoLag {
		lag = new(vec.Lag)
	}
	return watermark, lag
}

// evaluationTime is when features are read: now where the call does not say.
func evaluationTime(asked *timestamppb.Timestamp, arrived time.Time) (time.Time, error) {
	if asked == nil {
		return arrived, nil
	}
	if err := asked.CheckValid(); err != nil || asked.AsTime().Sub(arrived) > edge.FutureBound || asked.GetSeconds() < 0 {
		return time.Time{}, refuse(kindInvalid, string(edge.InvalidField), "at", fmt.Sprintf("must be after 1970 and at most %s ahead", edge.FutureBound))
	}
	return asked.AsTime(), nil
}

// entityFeatures lists the features that belong to the entity's kind.
func entityFeatures(id *pb.Identifier, set *features.Set, vec *features.Vector) *pb.GetEntityFeaturesResponse {
	out := &pb.GetEntityFeaturesResponse{Entity: id, FeaturesAsOf: timestamppb.New(time.UnixMicro(vec.At))}
	out.Watermark, out.ConsumerLag = freshness(vec)
	for _, pin := range vec.Pins {
		if !pin.Pos.IsZero() {
			out.Position = pin.Pos.String()
		}
		if pin.Newest != 0 {
			out.NewestEvent, out.AgeMs = timestamppb.New(time.UnixMicro(pin.Newest)), new((vec.At-pin.Newest)/1000)
		}
	}
	for i, info := range set.Features {
		if info.Kind != id.GetKind() {
			continue
		}
		value := &pb.FeatureValue{Name: info.Name, Status: vec.Status[i].String()}
		if v := vec.Values[i]; !math.IsNaN(v) {
			value.Value = &v
		}
		out.Features = append(out.Features, value)
	}
	return out
}
