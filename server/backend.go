package server

import (
	"context"
	"fmt"

	"pitboss/decide"
	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// Decider decides about one accepted event; *decide.Decider is one.
type Decider interface {
	Decide(ctx context.Context, ev *features.Event, opt decide.Options) (*pb.Decision, error)
}

// Ingester applies events that need no decision; *features.Engine is one.
type Ingester interface {
	Ingest(ctx context.Context, items []features.IngestItem) ([]features.IngestResult, error)
}

// DecisionReader finds decisions made before. Unknown ones are features.ErrNoRecord, those of erased subjects
// features.ErrRecordErased.
type DecisionReader interface {
	GetDecision(ctx context.Context, tenant, decisionID string, explain pb.Explain) (*pb.Decision, error)
}

// FeatureReader reads an entity's features at a time in microseconds into vec, and gives the feature set that they are
// of.
type FeatureReader interface {
	Features(ctx context.Context, ref features.EntityRef, at int64, vec *features.Vector) (*features.Set, error)
}

// Readiness says how the parts of the process are. It is asked often and must answer at once.
type Readiness interface {
	Components() []Component
}

// Component is the state of one part: journal, engine, kafka, model.
type Component struct {
	// Name is the part's, a word.
	Name string `json:"name"`
	// Ready says that it works.
	Ready bool `json:"ready"`
	// Needed says that without it the server takes no calls. Kafka is not needed: calls go on without it.
	Needed bool `json:"needed"`
	// Detail is one sentence for the operator. Everybody who reaches /readyz reads it: no addresses, no paths.
	Detail string `json:"detail,omitempty"`
}

// Store is DecisionReader and FeatureReader over an engine and a registry.
type Store struct {
	// Engine keeps records and windows. Needed.
	Engine *features.Engine
	// Registry has the bundles. Needed.
	Registry *registry.Registry
	// Kinds are the engine's entity kinds. Needed.
	Kinds *features.Kinds
}

var (
	_ Decider        = (*decide.Decider)(nil)
	_ Ingester       = (*features.Engine)(nil)
	_ DecisionReader = Store{}
	_ FeatureReader  = Store{}
)

// GetDecision reads a record and gives it as the first caller saw it, with as much explanation as is asked for.
func (s Store) GetDecision(ctx context.Context, tenant, decisionID string, explain pb.Explain) (*pb.Decision, error) {
	frame, err := s.Engine.Record(ctx, tenant, decisionID)
	if err != nil {
		return nil, fmt.Errorf("cannot read decision %s: %w", decisionID, err)
	}
	answer := decide.Answer(frame)
	switch explain {
	case pb.Explain_EXPLAIN_NONE:
		answer.Reasons = nil
	case pb.Explain_EXPLAIN_FULL:
		var ev features.Event
		if err := features.Decode(s.Kinds, frame.GetEvent(), &ev); err != nil {
			return nil, fmt.Errorf("cannot read the event of decision %s: %w", decisionID, err)
		}
		if err := decide.AddFeatures(answer, &ev, frame.GetDecision(), s.Registry); err != nil {
			return nil, fmt.Errorf("cannot explain decision %s: %w", decisionID, err)
		}
	default:
	}
	return answer, nil
}

// Features reads by the active bundle's feature set.
func (s Store) Features(
	ctx context.Context, ref features.EntityRef, at int64, vec *features.Vector,
) (*features.Set, error) {
	bundle := s.Registry.Active()
	if bundle == nil {
		return nil, errNoBundle
	}
	if err := s.Engine.Features(ctx, ref, at, bundle.Set, vec); err != nil {
		return nil, fmt.Errorf("cannot read features of a %s: %w", ref.Kind, err)
	}
	return bundle.Set, nil
}
