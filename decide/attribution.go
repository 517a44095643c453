package decide

import (
	"errors"
	"fmt"
	"slices"

	"pitboss/features"
	"pitboss/models"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// The errors of Attribute that a caller may branch on.
var (
	// ErrNotScored says that the decision has no score that could be explained: it was made without one, or its reasons
	// were skipped.
	ErrNotScored = errors.New("the decision has no score to explain")
	// ErrNoReference says that the bundle that decided has no reference sample to compare with.
	ErrNoReference = errors.New("the bundle has no reference sample")
	// ErrNoAttribution says that the model has no such explanation, or that it would take too long.
	ErrNoAttribution = errors.New("the model has no such explanation")
)

// Attribution explains the score of a decision by one method. All slices are in the model's order.
type Attribution struct {
	// Model is what decided.
	Model *pb.ModelRef
	// Base and Margin are in log-odds: Margin = Base + the sum of Contributions.
	Base, Margin float64
	// Features are the names, Values the row, NaN where missing.
	Features []string
	Values   []float64
	// Contributions are by feature. Interactions, of features x features, are nil for the methods without.
	Contributions, Interactions []float64
	// Background is how many rows of the reference sample were compared with; 0 for methods that compare with none.
	Background int
}

// Attribute explains the score of a recorded decision by the bundle that made it: nothing of it is in the record, and the
// same record gives the same bytes. Of the reference sample the first background rows are taken, all for 0.
// It takes milliseconds to a second: it is for people, not for the way of a decision.
func Attribute(ev *features.Event, r *pb.DecisionRecord, bundles *registry.Registry, method pb.ExplainMethod, background int) (*Attribution, error) {
	j, err := recall(ev, r, bundles)
	if err != nil {
		return nil, fmt.Errorf("cannot explain decision %s: %w", r.GetDecisionId(), err)
	}
	a, err := j.attribute(method, background)
	if err != nil {
		return nil, fmt.Errorf("cannot explain decision %s: %w", r.GetDecisionId(), err)
	}
	return a, nil
}

// attribute explains what recall made again.
func (j *judgment) attribute(method pb.ExplainMethod, background int) (*Attribution, error) {
	if !j.explained || j.isSkipped(StageRecord) {
		return nil, ErrNotScored
	}
	info := j.bundle.Model.Info()
	a := &Attribution{
		Model: j.bundle.Ref, Base: j.base, Margin: j.sum, Features: info.FeatureNames(), Values: slices.Clone(j.row),
		Contributions: slices.Clone(j.contributions),
	}
	if method == pb.ExplainMethod_EXPLAIN_METHOD_UNSPECIFIED || method == pb.ExplainMethod_EXPLAIN_METHOD_PATH_DEPENDENT {
		return a, nil
	}
	model, ok := j.bundle.Model.(models.Explorer)
	if !ok {
		return nil, ErrNoAttribution
	}
	var err error
	switch method {
	case pb.ExplainMethod_EXPLAIN_METHOD_INTERVENTIONAL:
		rows := j.bundle.Reference
		if len(rows) == 0 {
			return nil, ErrNoReference
		}
		if background > 0 && background < len(rows) {
			rows = rows[:background]
		}
		a.Background = len(rows)
		err = model.Interventional(j.row, rows, &j.scratch, j.work[:], j.one[:], a.Contributions)
		a.Base, a.Margin = j.work[0], j.one[0]
	case pb.ExplainMethod_EXPLAIN_METHOD_INTERACTIONS:
		a.Interactions = make([]float64, len(a.Features)*len(a.Features))
		err = model.Interactions(j.row, 0, &j.scratch, a.Interactions)
	default:
		return nil, fmt.Errorf("no method %v", method)
	}
	if errors.Is(err, models.ErrUnexplainable) || errors.Is(err, models.ErrLimit) {
		return nil, fmt.Errorf("%w: %w", ErrNoAttribution, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return a, nil
}
