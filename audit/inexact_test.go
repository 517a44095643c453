package audit_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"pitboss/audit"
	"pitboss/decide"
	"pitboss/journal"
	"pitboss/models/onnxruntime"
	"pitboss/models/onnxruntime/onnxruntimetest"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// TestONNXReplaysWithinItsTolerance: a record of another machine, whose kernels add in another order, replays where its margin is
// within the model's tolerance and all else follows from that margin; and in no other case.
func TestONNXReplaysWithinItsTolerance(t *testing.T) {
	r := newRig(t)
	var err error
	r.registry, err = registry.Open(registry.Config{Kinds: r.kinds, Store: r.store, ONNXRuntime: onnxruntime.Config{Library: onnxruntimetest.Library(t)}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.registry.Use("../registry/testdata/onnxruntime")
	if err != nil {
		t.Fatal(err)
	}
	if r.decider, err = decide.New(decide.Config{Engine: r.engine, Registry: r.registry}); err != nil {
		t.Fatal(err)
	}
	r.auditor = r.openAuditor(r.registry)
	for i := range 12 {
		r.decide(r.event(i, nil), decide.Options{})
	}
	s, err := r.auditor.ReplayAll(t.Context(), journal.Pos{}, journal.Pos{}, nil)
	if err != nil || !s.Identical() || s.Same != 12 || s.Within != 0 {
		t.Fatalf("on the machine that decided: %+v, %v", s, err)
	}
	frame := r.frames()[5]
	margin := frame.GetDecision().GetOutputs().GetMargin()
	f := func(what string, change func(*pb.Outputs), within bool, diffs string) {
		t.Helper()
		changed := proto.CloneOf(frame)
		change(changed.Decision.Outputs)
		got, err := r.auditor.Replay(t.Context(), changed)
		if err != nil || got.Same || got.Within != within || within != (len(got.Diffs) == 0) {
			t.Fatalf("%s: %+v, %v", what, got, err)
		}
		if text := joined(got.Diffs); !strings.Contains(text, diffs) {
			t.Errorf("%s: got %q, want %q", what, text, diffs)
		}
	}
	moved := func(by float64) func(*pb.Outputs) {
		return func(o *pb.Outputs) {
			m := margin + by
			score, err := b.Score(m, make([]float64, 1))
			if err != nil {
				t.Fatal(err)
			}
			o.Margin, o.Score = &m, &score
		}
	}
	f("within", moved(5e-7), true, "")
	f("within, below", moved(-5e-7), true, "")
	f("beyond", moved(1e-4), false, "decision.outputs.margin")
	f("a score that does not follow", func(o *pb.Outputs) {
		moved(5e-7)(o)
		o.Score = new(o.GetScore() + 1e-9)
	}, false, "decision.outputs.score")
	f("another outcome", func(o *pb.Outputs) {
		moved(5e-7)(o)
		o.Outcome = pb.Outcome_OUTCOME_BLOCK
	}, false, "decision.outputs.outcome")
	f("a margin that is not there", func(o *pb.Outputs) { o.Margin = nil }, false, "decision.outputs.margin")
}

// TestTreesReplayToTheBit: what is tolerated of networks is not of trees.
func TestTreesReplayToTheBit(t *testing.T) {
	r := newRig(t)
	r.use()
	r.decide(r.event(1, nil), decide.Options{})
	frame := r.frames()[0]
	o := frame.Decision.Outputs
	o.Margin = new(o.GetMargin() + 1e-12)
	if got, err := r.auditor.Replay(t.Context(), frame); err != nil || got.Same || got.Within {
		t.Errorf("%+v, %v", got, err)
	}
}

func joined(diffs []audit.Diff) string {
	var lines []string
	for _, d := range diffs {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "\n")
}
