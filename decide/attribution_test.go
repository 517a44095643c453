package decide_test

import (
	"errors"
	"math"
	"testing"

	"pitboss/decide"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

const (
	interventional = pb.ExplainMethod_EXPLAIN_METHOD_INTERVENTIONAL
	interactions   = pb.ExplainMethod_EXPLAIN_METHOD_INTERACTIONS
)

// Every method explains the same margin, each from a base of its own; interactions are what contributions are the sums of.
func TestAttributionsAddUp(t *testing.T) {
	b, ev := loadWorded(t), bet(t, nil)
	reg := registryOf(t, b)
	for row, g := range goldensOf(t, worded, b) {
		pinned, v := inputs(ev, b, g.vector), in("en")
		record := &pb.DecisionRecord{LogicVersion: decide.LogicVersion, Inputs: pinned, Verdicts: v, Outputs: judge(t, ev, pinned, v, b)}
		attribute := func(method pb.ExplainMethod, background int) *decide.Attribution {
			a, err := decide.Attribute(ev, record, reg, method, background)
			if err != nil {
				t.Fatalf("row %d, %v: %v", row, method, err)
			}
			return a
		}
		adds := func(what string, base, margin float64, parts []float64) {
			t.Helper()
			sum := base
			for _, c := range parts {
				sum += c
			}
			if !(math.Abs(sum-margin) <= 1e-9*max(1, math.Abs(margin))) {
				t.Errorf("row %d: %s make %v of %v", row, what, sum, margin)
			}
		}
		path, all, ten, pairs := attribute(0, 0), attribute(interventional, 0), attribute(interventional, 10), attribute(interactions, 0)
		adds("contributions", path.Base, g.margin, path.Contributions)
		adds("contributions against the sample", all.Base, g.margin, all.Contributions)
		adds("contributions against ten rows", ten.Base, g.margin, ten.Contributions)
		if all.Background != 40 || ten.Background != 10 || all.Base == ten.Base || path.Background != 0 || all.Margin != g.margin {
			t.Errorf("row %d: %d rows with base %v, %d with %v", row, all.Background, all.Base, ten.Background, ten.Base)
		}
		n := len(pairs.Features)
		for i := range n {
			adds("pairs", 0, pairs.Contributions[i], pairs.Interactions[i*n:][:n])
		}
	}
}

func TestAttributeRefuses(t *testing.T) {
	b, ev := loadWorded(t), bet(t, nil)
	f := func(what string, want error, b *registry.Bundle, v *pb.Verdicts, method pb.ExplainMethod) {
		t.Helper()
		pinned := inputs(ev, b, goldensOf(t, worded, loadWorded(t))[0].vector)
		record := &pb.DecisionRecord{LogicVersion: decide.LogicVersion, Inputs: pinned, Verdicts: v, Outputs: judge(t, ev, pinned, v, b)}
		if _, err := decide.Attribute(ev, record, registryOf(t, b), method, 0); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	f("no score", decide.ErrNotScored, b, skipped("model", "deadline", "explain", "deadline"), interactions)
	f("no reasons", decide.ErrNotScored, b, &pb.Verdicts{Explain: pb.Explain_EXPLAIN_NONE}, 0)
	f("no sample", decide.ErrNoReference, loadTiny(t), in("en"), interventional)
	f("no such method", nil, b, in("en"), 99)
	b2 := *b
	b2.Model = broken{Model: b.Model}
	f("a model that answers no slower questions", decide.ErrNoAttribution, &b2, in("en"), interactions)
	none := &pb.DecisionRecord{LogicVersion: decide.LogicVersion, Inputs: &pb.Inputs{}, Verdicts: skipped("model", "unavailable", "explain", "unavailable")}
	if _, err := decide.Attribute(ev, none, registryOf(t, b), 0, 0); !errors.Is(err, decide.ErrNotScored) {
		t.Errorf("no bundle: %v", err)
	}
}
