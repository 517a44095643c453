package server

import (
	"context"
	"errors"
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
	// ExplainDecision explains the score of one: decide.Attribute says how, and with which errors.
	ExplainDecision(ctx context.Context, tenant, decisionID string, method pb.ExplainMethod, background int) (*decide.Attribution, error)
}

// FeatureReader reads features of entities, each of another kind, at a time in microseconds.
type FeatureReader interface {
	// FeatureSet gives the feature set that is served now.
	FeatureSet() (*features.Set, error)
	// Features reads them by that set into vec, whose pins' Entity are places in refs.
	Features(ctx context.Context, set *features.Set, refs []features.EntityRef, at int64, vec *features.Vector) error
	// Explain reads one entity's, and what each value was made of.
	Explain(ctx context.Context, set *features.Set, ref features.EntityRef, at int64, vec *features.Vector) ([]features.Explanation, error)
}

// Pusher keeps values that were computed elsewhere; *features.Engine is one.
type Pusher interface {
	Push(ctx context.Context, items []features.Push) ([]features.PushResult, error)
}

// Reloader reads the configured bundle again and has it decide. What it refuses changes nothing: ErrBundleRefused. While an
// earlier one waits for its backfill, it is ErrBundleWaits.
type Reloader interface {
	ReloadBundle(ctx context.Context) (BundleState, error)
}

// BundleState is what became of a bundle that was read again.
type BundleState struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Hash is the bundle's identity in hex: the SHA-256 of its bundle.yaml.
	Hash string `json:"hash"`
	// State is "serving" where it decides now, or "backfilling" where it will when its new groups are built.
	State string `json:"state"`
}

// The errors of a Reloader.
var (
	ErrBundleRefused = errors.New("the bundle is refused")
	ErrBundleWaits   = errors.New("a bundle waits for its backfill")
)

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
	// Set is the feature set that is served while no bundle is active; nil for none.
	Set *features.Set
}

var (
	_ Decider        = (*decide.Decider)(nil)
	_ Ingester       = (*features.Engine)(nil)
	_ Pusher         = (*features.Engine)(nil)
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

// ExplainDecision reads a record and explains its score.
func (s Store) ExplainDecision(
	ctx context.Context, tenant, decisionID string, method pb.ExplainMethod, background int,
) (*decide.Attribution, error) {
	frame, err := s.Engine.Record(ctx, tenant, decisionID)
	if err != nil {
		return nil, fmt.Errorf("cannot read decision %s: %w", decisionID, err)
	}
	var ev features.Event
	err = features.Decode(s.Kinds, frame.GetEvent(), &ev)
	if err != nil {
		return nil, fmt.Errorf("cannot read the event of decision %s: %w", decisionID, err)
	}
	a, err := decide.Attribute(&ev, frame.GetDecision(), s.Registry, method, background)
	if err != nil {
		return nil, fmt.Errorf("cannot explain decision %s: %w", decisionID, err)
	}
	return a, nil
}

// FeatureSet gives the active bundle's feature set, or the one that is kept without a bundle.
func (s Store) FeatureSet() (*features.Set, error) {
	if bundle := s.Registry.Active(); bundle != nil {
		return bundle.Set, nil
	}
	if s.Set != nil {
		return s.Set, nil
	}
	return nil, errNoBundle
}

// Features reads by a feature set that the engine keeps.
func (s Store) Features(ctx context.Context, set *features.Set, refs []features.EntityRef, at int64, vec *features.Vector) error {
	if err := s.Engine.FeaturesOf(ctx, refs, at, set, vec); err != nil {
		return fmt.Errorf("cannot read features: %w", err)
	}
	return nil
}

// Explain reads by a feature set that the engine keeps.
func (s Store) Explain(ctx context.Context, set *features.Set, ref features.EntityRef, at int64, vec *features.Vector) ([]features.Explanation, error) {
	list, err := s.Engine.Explain(ctx, ref, at, set, vec)
	if err != nil {
		return nil, fmt.Errorf("cannot explain features: %w", err)
	}
	return list, nil
}
