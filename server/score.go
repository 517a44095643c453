package server

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"pitboss/decide"
	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// How many contributions or pairs an explanation of a score has unless a call says more, and what it may say.
const defaultParts, maxParts = 20, 1000

// explainDecision explains the score of a decision of the principal's own tenant, by a method that is too slow for the
// decision itself. One is worked on at a time: it takes up to a second of a core that decisions want.
func (c *calls) explainDecision(ctx context.Context, p *Principal, req *pb.ExplainDecisionRequest) (*pb.ExplainDecisionResponse, error) {
	if err := checkExplainDecision(req); err != nil {
		return nil, err
	}
	select {
	case c.slow <- struct{}{}:
		defer func() { <-c.slow }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	a, err := c.deps.Decisions.ExplainDecision(ctx, p.Tenant, req.GetDecisionId(), req.GetMethod(), int(req.GetBackground()))
	if err != nil {
		return nil, fmt.Errorf("cannot explain a decision: %w", err)
	}
	wanted := make([]bool, len(a.Features))
	for i, name := range req.GetFeatures() {
		at := slices.Index(a.Features, name)
		if at < 0 {
			return nil, refuse(kindNotFound, "NO_SUCH_FEATURE", fmt.Sprintf("features[%d]", i),
				"the model that decided has no such feature: "+edge.PathName(name))
		}
		wanted[at] = true
	}
	if len(req.GetFeatures()) == 0 {
		for i := range wanted {
			wanted[i] = true
		}
	}
	out := &pb.ExplainDecisionResponse{
		DecisionId: req.GetDecisionId(), Method: cmp.Or(req.GetMethod(), pb.ExplainMethod_EXPLAIN_METHOD_PATH_DEPENDENT), Model: a.Model,
		BaseValue: a.Base, ExplainedMargin: a.Margin, Background: uint32(a.Background),
	}
	limit := int(cmp.Or(req.GetLimit(), defaultParts))
	if a.Interactions == nil {
		addContributions(out, a, wanted, limit)
	} else {
		addInteractions(out, a, wanted, limit)
	}
	return out, nil
}

func checkExplainDecision(req *pb.ExplainDecisionRequest) error {
	_, known := pb.ExplainMethod_name[int32(req.GetMethod())]
	switch {
	case !isDecisionID(req.GetDecisionId()):
		return refuse(kindInvalid, string(edge.InvalidField), "decision_id", "a decision_id has 32 hex digits")
	case !known:
		return refuse(kindInvalid, string(edge.InvalidField), "method", methodRule)
	case req.GetLimit() > maxParts:
		return refuse(kindInvalid, string(edge.InvalidField), "limit", fmt.Sprintf("must be 0 to %d; 0 is %d", maxParts, defaultParts))
	case req.GetBackground() > 0 && req.GetMethod() != pb.ExplainMethod_EXPLAIN_METHOD_INTERVENTIONAL:
		return refuse(kindInvalid, string(edge.InvalidField), "background", "is for the method interventional alone")
	case len(req.GetFeatures()) > maxParts:
		return refuse(kindInvalid, string(edge.InvalidField), "features", fmt.Sprintf("%d features; at most %d", len(req.GetFeatures()), maxParts))
	}
	return nil
}

// addContributions lists the largest, in the model's order where they are equal.
func addContributions(to *pb.ExplainDecisionResponse, a *decide.Attribution, wanted []bool, limit int) {
	for i, name := range a.Features {
		if !wanted[i] {
			continue
		}
		one := &pb.FeatureContribution{Feature: name, Contribution: a.Contributions[i]}
		if v := a.Values[i]; !math.IsNaN(v) {
			one.Value = &v
		}
		to.Contributions = append(to.Contributions, one)
	}
	slices.SortStableFunc(to.Contributions, func(x, y *pb.FeatureContribution) int {
		return cmp.Compare(math.Abs(y.GetContribution()), math.Abs(x.GetContribution()))
	})
	to.All = uint32(len(to.Contributions))
	to.Contributions = to.Contributions[:min(limit, len(to.Contributions))]
}

// addInteractions lists the pairs that have any, the largest first; each pair once.
func addInteractions(to *pb.ExplainDecisionResponse, a *decide.Attribution, wanted []bool, limit int) {
	n := len(a.Features)
	for i := range n {
		for j := i; j < n; j++ {
			if x := a.Interactions[i*n+j]; x != 0 && (wanted[i] || wanted[j]) {
				to.Interactions = append(to.Interactions, &pb.FeatureInteraction{Feature: a.Features[i], Other: a.Features[j], Interaction: x})
			}
		}
	}
	slices.SortStableFunc(to.Interactions, func(x, y *pb.FeatureInteraction) int {
		return cmp.Compare(math.Abs(y.GetInteraction()), math.Abs(x.GetInteraction()))
	})
	to.All = uint32(len(to.Interactions))
	to.Interactions = to.Interactions[:min(limit, len(to.Interactions))]
}

const methodRule = "must be path_dependent, interventional or interactions"

// methodOf reads a method as queries have it.
func methodOf(text string) (pb.ExplainMethod, error) {
	switch text {
	case "", "path_dependent":
		return pb.ExplainMethod_EXPLAIN_METHOD_PATH_DEPENDENT, nil
	case "interventional":
		return pb.ExplainMethod_EXPLAIN_METHOD_INTERVENTIONAL, nil
	case "interactions":
		return pb.ExplainMethod_EXPLAIN_METHOD_INTERACTIONS, nil
	}
	return 0, refuse(kindInvalid, string(edge.InvalidField), "method", methodRule)
}
