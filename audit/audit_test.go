package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/audit"
	"pitboss/decide"
	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

const (
	worded = "../registry/testdata/worded"
	start  = 1_760_000_000
)

// rig has decided about some events, in every way there is.
type rig struct {
	t        testing.TB
	kinds    *features.Kinds
	store    string
	journal  *journal.Memory
	registry *registry.Registry
	engine   *features.Engine
	decider  *decide.Decider
	auditor  *audit.Auditor
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, store: t.TempDir(), journal: journal.NewMemory(journal.MemoryConfig{})}
	var err error
	if r.kinds, err = features.NewKinds(nil); err != nil {
		t.Fatal(err)
	}
	r.registry = r.openRegistry()
	set, err := registry.Load(worded, registry.Config{Kinds: r.kinds})
	if err != nil {
		t.Fatal(err)
	}
	cfg := features.DefaultEngineConfig()
	cfg.Kinds = r.kinds
	if r.engine, err = features.OpenEngine(t.Context(), cfg, r.journal, states.NewMemory(), set.Set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.engine.Close() })
	if r.decider, err = decide.New(decide.Config{Engine: r.engine, Registry: r.registry}); err != nil {
		t.Fatal(err)
	}
	r.auditor = r.openAuditor(r.registry)
	return r
}

func (r *rig) openRegistry() *registry.Registry {
	r.t.Helper()
	reg, err := registry.Open(registry.Config{Kinds: r.kinds, Store: r.store})
	if err != nil {
		r.t.Fatal(err)
	}
	return reg
}

func (r *rig) openAuditor(reg *registry.Registry) *audit.Auditor {
	r.t.Helper()
	a, err := audit.New(audit.Config{Journal: r.journal, Records: r.engine, Registry: reg, Kinds: r.kinds})
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// event is the i-th bet of a player.
func (r *rig) event(i int, change func(*pb.Event)) *features.Event {
	r.t.Helper()
	at := time.Unix(start+int64(i*20), 0)
	msg := &pb.Event{
		EventId: fmt.Sprint("e", i), Type: "bet.placed", Tenant: "acme", Brand: "acme",
		OccurredAt: timestamppb.New(at), ReceivedAt: timestamppb.New(at.Add(time.Millisecond)),
		Entities: []*pb.Identifier{
			{Kind: "player", Value: fmt.Sprint("p", i%3), Form: pb.Form_FORM_ALIAS}, {Kind: "session", Value: "s1", Form: pb.Form_FORM_ALIAS},
			{Kind: "device", Value: "d1", Form: pb.Form_FORM_ALIAS}, {Kind: "game", Value: fmt.Sprint("g", i%5), Form: pb.Form_FORM_ALIAS},
		},
		Enrichment: &pb.Enrichment{
			Derived:      []*pb.Identifier{{Kind: "ip24", Value: "n1", Form: pb.Form_FORM_ALIAS}},
			RatesVersion: "r1", AliasKeyId: "k1",
		},
		Payload: &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{
			Amount: &pb.Money{AmountMinor: int64(100 * i), Currency: "EUR", BaseMinor: new(int64(100 * i))},
		}},
	}
	if change != nil {
		change(msg)
	}
	ev := &features.Event{}
	if err := features.Decode(r.kinds, msg, ev); err != nil {
		r.t.Fatal(err)
	}
	return ev
}

func (r *rig) decide(ev *features.Event, opt decide.Options) *pb.Decision {
	r.t.Helper()
	if opt.Deadline.IsZero() {
		opt.Unhurried = true
	}
	d, err := r.decider.Decide(r.t.Context(), ev, opt)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) use() {
	r.t.Helper()
	if _, err := r.registry.Use(worded); err != nil {
		r.t.Fatal(err)
	}
}

// run decides 60 events: without a bundle, with one, with a list hit, without an explanation, ingested before, with a
// deadline in the past, and some that are only ingested.
func (r *rig) run() (decisions int) {
	r.t.Helper()
	for i := range 60 {
		if i == 6 {
			r.use()
		}
		ev := r.event(i, func(e *pb.Event) {
			if i%11 == 3 {
				e.Enrichment.ListHits = []*pb.ListHit{{List: "stolen_device", Version: "7", Kind: "device"}}
			}
			if i%7 == 2 {
				e.Enrichment.Derived = nil // no network: features are missing
			}
		})
		if i%5 == 4 {
			if _, err := r.engine.Ingest(r.t.Context(), []features.IngestItem{{Event: ev}}); err != nil {
				r.t.Fatal(err)
			}
			if i%10 == 9 {
				continue
			}
		}
		opt := decide.Options{}
		if i%3 == 1 {
			opt.Language = "de"
		}
		if i%13 == 5 {
			opt.Explain = pb.Explain_EXPLAIN_NONE
		}
		r.decide(ev, opt)
		decisions++
	}
	return decisions
}

func (r *rig) frames() []*pb.EventFrame {
	r.t.Helper()
	cursor, err := r.journal.Read(journal.Pos{})
	if err != nil {
		r.t.Fatal(err)
	}
	var out []*pb.EventFrame
	for {
		f, err := cursor.Next(r.t.Context())
		if err != nil {
			return out
		}
		frame := &pb.EventFrame{}
		if f.Kind != features.FrameEvent {
			continue
		}
		if err := proto.Unmarshal(f.Payload, frame); err != nil {
			r.t.Fatal(err)
		}
		if frame.Decision != nil {
			out = append(out, frame)
		}
	}
}

func TestReplayAllIsIdentical(t *testing.T) {
	r := newRig(t)
	decisions := r.run()
	var last audit.Summary
	calls := 0
	s, err := r.auditor.ReplayAll(t.Context(), journal.Pos{}, journal.Pos{}, func(p *audit.Summary) { last = *p; calls++ })
	if err != nil {
		t.Fatal(err)
	}
	if !s.Identical() || s.Same != uint64(decisions) || s.Decisions != s.Same || s.Last != r.journal.Head() || s.Frames < s.Decisions {
		t.Errorf("summary %+v, want %d decisions", s, decisions)
	}
	for _, f := range s.Findings {
		t.Error(f)
	}
	if calls == 0 || last.Same != s.Same {
		t.Errorf("progress was told %d times, last %+v", calls, last)
	}

	// Another process, which knows the bundle from the store alone.
	s, err = r.openAuditor(r.openRegistry()).ReplayAll(t.Context(), journal.Pos{}, journal.Pos{}, nil)
	if err != nil || !s.Identical() || s.Same != uint64(decisions) {
		t.Errorf("by another process: %+v, %v", s, err)
	}

	// A part of the journal.
	s, err = r.auditor.ReplayAll(t.Context(), journal.Pos{Offset: 10}, journal.Pos{Offset: 19}, nil)
	if err != nil || s.Frames != 10 || s.Last.Offset != 19 {
		t.Errorf("frames 10 to 19: %+v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.auditor.ReplayAll(ctx, journal.Pos{}, journal.Pos{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled replay: got %v", err)
	}
	if _, err := r.auditor.ReplayAll(t.Context(), journal.Pos{Offset: 1 << 40}, journal.Pos{}, nil); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("a replay from beyond the end: got %v", err)
	}
}

func TestReplayOfNothing(t *testing.T) {
	r := newRig(t)
	s, err := r.auditor.ReplayAll(t.Context(), journal.Pos{}, journal.Pos{}, nil)
	if err != nil || s.Frames != 0 || !s.Identical() {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := r.auditor.Replay(t.Context(), &pb.EventFrame{}); !errors.Is(err, audit.ErrNoDecision) {
		t.Errorf("a frame without a decision: got %v", err)
	}
}

// No byte of a record's inputs, verdicts or outputs, nor of its event's content, can be changed unnoticed: it does not
// parse, cannot be judged, or gives other outputs.
func TestEveryByteIsHeld(t *testing.T) {
	r := newRig(t)
	r.run()
	// The last frame with a list hit, one ingested before, and a plain one.
	var picked []*pb.EventFrame
	frames := r.frames()
	for _, want := range []func(*pb.EventFrame) bool{
		func(f *pb.EventFrame) bool { return len(f.Event.Enrichment.ListHits) > 0 && f.AppliedAt == nil },
		func(f *pb.EventFrame) bool { return f.AppliedAt != nil },
		func(f *pb.EventFrame) bool { return len(f.Decision.Inputs.BundleHash) == 0 },
	} {
		i := slices.IndexFunc(frames, want)
		if i < 0 {
			t.Fatal("the run has no such frame")
		}
		picked = append(picked, frames[i])
	}
	tried := 0
	for _, frame := range picked {
		parts := map[string]proto.Message{
			"inputs": frame.Decision.Inputs, "verdicts": frame.Decision.Verdicts, "outputs": frame.Decision.Outputs,
			"enrichment": frame.Event.Enrichment, "event": frame.Event,
		}
		for name, part := range parts {
			stored, err := proto.MarshalOptions{Deterministic: true}.Marshal(part)
			if err != nil {
				t.Fatal(err)
			}
			for at := range stored {
				flipped := slices.Clone(stored)
				flipped[at] ^= 1 << (at % 8)
				tried++
				if !r.noticed(frame, name, part, flipped) {
					t.Errorf("%s: byte %d of %x can be flipped unnoticed", name, at, stored)
				}
			}
		}
	}
	if tried < 1000 {
		t.Errorf("only %d bytes were tried", tried)
	}
}

// noticed puts a changed part into the frame and replays it.
func (r *rig) noticed(frame *pb.EventFrame, name string, part proto.Message, flipped []byte) bool {
	changed := part.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(flipped, changed); err != nil {
		return true
	}
	// Some bits say nothing: any byte but 0 is true.
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(changed)
	if err != nil {
		return true
	}
	before, err := proto.MarshalOptions{Deterministic: true}.Marshal(part)
	if err == nil && bytes.Equal(before, again) {
		return true
	}
	tampered := proto.CloneOf(frame)
	switch name {
	case "inputs":
		tampered.Decision.Inputs = changed.(*pb.Inputs)
	case "verdicts":
		tampered.Decision.Verdicts = changed.(*pb.Verdicts)
	case "outputs":
		tampered.Decision.Outputs = changed.(*pb.Outputs)
	case "enrichment":
		tampered.Event.Enrichment = changed.(*pb.Enrichment)
	case "event":
		tampered.Event = changed.(*pb.Event)
		// The trace is no part of an event's content.
		if cmp.Equal(frame.Event, tampered.Event, protocmp.Transform(), protocmp.IgnoreFields(&pb.Event{}, "trace_id")) {
			return true
		}
	}
	result, err := r.auditor.Replay(r.t.Context(), tampered)
	return err != nil || !result.Same
}

func TestWhatDiffersIsNamed(t *testing.T) {
	r := newRig(t)
	r.run()
	frames := r.frames()
	good := frames[len(frames)-1]
	if result, err := r.auditor.Replay(t.Context(), good); err != nil || !result.Same || len(result.Diffs) != 0 {
		t.Fatalf("the record itself: %+v, %v", result, err)
	}
	f := func(name string, change func(*pb.EventFrame), want ...string) {
		t.Helper()
		frame := proto.CloneOf(good)
		change(frame)
		result, err := r.auditor.Replay(t.Context(), frame)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		var fields []string
		for _, d := range result.Diffs {
			fields = append(fields, d.Field)
		}
		if result.Same || !slices.Equal(fields, want) {
			t.Errorf("%s: diffs %v, want %v", name, result.Diffs, want)
		}
	}
	f("another outcome", func(f *pb.EventFrame) { f.Decision.Outputs.Outcome = pb.Outcome_OUTCOME_HOLD }, "decision.outputs.outcome")
	f("another score", func(f *pb.EventFrame) { *f.Decision.Outputs.Score += 1e-9 }, "decision.outputs.score")
	f("a reason's text", func(f *pb.EventFrame) { f.Decision.Outputs.Reasons[0].Text = "x" }, "decision.outputs.reasons[0].text")
	f("a reason less", func(f *pb.EventFrame) {
		f.Decision.Outputs.Reasons = f.Decision.Outputs.Reasons[:len(f.Decision.Outputs.Reasons)-1]
	}, fmt.Sprintf("decision.outputs.reasons[%d]", len(good.Decision.Outputs.Reasons)-1))
	f("a reaction more", func(f *pb.EventFrame) {
		f.Decision.Outputs.Reactions = append(f.Decision.Outputs.Reactions, &pb.Reaction{Type: "pause"})
	}, fmt.Sprintf("decision.outputs.reactions[%d]", len(good.Decision.Outputs.Reactions)))
	f("no contributions hash", func(f *pb.EventFrame) { f.Decision.Outputs.ContributionsHash = nil }, "decision.outputs.contributions_hash")
	f("an input that the model ignores", func(f *pb.EventFrame) { f.Decision.Inputs.Vector[10]++ }, "decision.outputs.inputs_hash")
	f("another content hash", func(f *pb.EventFrame) { f.ContentHash = make([]byte, 32) }, "content_hash")
	f("another decision's id", func(f *pb.EventFrame) { f.Decision.DecisionId = strings.Repeat("0", 32) }, "decision.decision_id")
	f("another model's name", func(f *pb.EventFrame) { f.Decision.Model.Name = "x" }, "decision.model.name")
	f("another policy", func(f *pb.EventFrame) { f.Decision.PolicyVersion = "x" }, "decision.policy_version")
	f("another model's hash", func(f *pb.EventFrame) { f.Decision.Inputs.ModelHash = []byte{1} }, "decision.inputs.model_hash", "decision.outputs.inputs_hash")
	f("an unknown field", func(f *pb.EventFrame) { f.Decision.Outputs.ProtoReflect().SetUnknown([]byte{0xa0, 0x06, 0x01}) }, "decision.outputs")
	f("the observations", func(f *pb.EventFrame) { f.Decision.Outputs.RiskLevel = "x"; f.Decision.Observations = nil }, "decision.outputs.risk_level")

	// Observations are no part of a decision.
	frame := proto.CloneOf(good)
	frame.Decision.Observations = nil
	if result, err := r.auditor.Replay(t.Context(), frame); err != nil || !result.Same {
		t.Errorf("without observations: %+v, %v", result, err)
	}
}

// What cannot be replayed is an error that says why, and in ReplayAll a finding.
func TestReplayRefuses(t *testing.T) {
	r := newRig(t)
	r.run()
	frames := r.frames()
	good := frames[len(frames)-1]
	f := func(name string, want error, text string, change func(*pb.EventFrame)) {
		t.Helper()
		frame := proto.CloneOf(good)
		change(frame)
		result, err := r.auditor.Replay(t.Context(), frame)
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %+v, %v; want %v, %q", name, result, err, want, text)
		}
	}
	f("another logic version", decide.ErrLogicVersion, "logic version 99", func(f *pb.EventFrame) { f.Decision.LogicVersion = 99 })
	f("an unknown bundle", registry.ErrUnknown, "cannot find bundle", func(f *pb.EventFrame) { f.Decision.Inputs.BundleHash = make([]byte, 32) })
	f("no inputs", nil, "no inputs or no verdicts", func(f *pb.EventFrame) { f.Decision.Inputs = nil })
	f("no verdicts", nil, "no inputs or no verdicts", func(f *pb.EventFrame) { f.Decision.Verdicts = nil })
	f("half a hash", nil, "hash has 16 bytes", func(f *pb.EventFrame) { f.Decision.Inputs.BundleHash = make([]byte, 16) })
	f("no event", nil, "its event", func(f *pb.EventFrame) { f.Event = nil })
	f("a short vector", nil, "the vector has", func(f *pb.EventFrame) { f.Decision.Inputs.Vector = f.Decision.Inputs.Vector[1:] })
	f("an infinite value", decide.ErrModel, "cannot score again", func(f *pb.EventFrame) { f.Decision.Inputs.Vector[0] = math.Inf(1) })
	f("applied nowhere", journal.ErrNotFound, "the event applied at 0/4096", func(f *pb.EventFrame) { f.AppliedAt = &pb.Position{Offset: 4096} })

	other, err := registry.Open(registry.Config{Kinds: r.kinds})
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.openAuditor(other).ReplayAll(t.Context(), journal.Pos{}, journal.Pos{}, nil)
	if err != nil || s.Identical() || s.Failed == 0 || len(s.Findings) != 20 || !errors.Is(s.Findings[0].Err, registry.ErrUnknown) {
		t.Errorf("without the bundle: %+v, %v", s, err)
	}
	if got := s.Findings[0].String(); !strings.Contains(got, "no such bundle") || !strings.Contains(got, "decision ") {
		t.Errorf("the finding reads %q", got)
	}
}

// A record that was changed in the journal is found by ReplayAll.
func TestReplayAllFindsTampering(t *testing.T) {
	r := newRig(t)
	r.run()
	forged := journal.NewMemory(journal.MemoryConfig{})
	victim := ""
	for i, frame := range r.frames() {
		if frame.AppliedAt != nil {
			continue // positions differ in this journal
		}
		if i >= 40 && victim == "" {
			victim = frame.Decision.DecisionId
			frame.Decision.Outputs.Review = !frame.Decision.Outputs.Review
		}
		payload, err := proto.Marshal(frame)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := forged.Seal(journal.Frame{Kind: features.FrameEvent, Payload: payload})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := forged.Append(sealed); err != nil {
			t.Fatal(err)
		}
	}
	sealed, err := forged.Seal(journal.Frame{Kind: features.FrameEvent, Payload: []byte("no frame")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = forged.Append(sealed)
	if err != nil {
		t.Fatal(err)
	}
	a, err := audit.New(audit.Config{Journal: forged, Registry: r.registry, Kinds: r.kinds})
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.ReplayAll(t.Context(), journal.Pos{}, journal.Pos{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range s.Findings {
		if f.Result.DecisionID == victim {
			found = len(f.Result.Diffs) == 1 && f.Result.Diffs[0].Field == "decision.outputs.review" && f.Err == nil
		}
	}
	if !found || s.Failed != 1 || s.Different != 1 {
		t.Errorf("summary %+v", s)
	}
}

func TestGet(t *testing.T) {
	r := newRig(t)
	r.use()
	for i := range 5 {
		want := r.decide(r.event(i, nil), decide.Options{Explain: pb.Explain_EXPLAIN_FULL})
		opts := cmp.Options{protocmp.Transform(), protocmp.IgnoreFields(&pb.Decision{}, "timings_us")}
		full, err := r.auditor.Get(t.Context(), "acme", want.DecisionId, pb.Explain_EXPLAIN_FULL)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, full, opts); diff != "" {
			t.Errorf("in full (-answer +got):\n%s", diff)
		}
		brief, err := r.auditor.Get(t.Context(), "acme", want.DecisionId, pb.Explain_EXPLAIN_TOP)
		if err != nil {
			t.Fatal(err)
		}
		want.Features, want.Counterfactuals, want.CounterfactualStatus = nil, nil, ""
		if diff := cmp.Diff(want, brief, opts); diff != "" {
			t.Errorf("in brief (-answer +got):\n%s", diff)
		}
	}
	for _, id := range []string{"", "xyz", strings.Repeat("0", 32)} {
		if _, err := r.auditor.Get(t.Context(), "acme", id, pb.Explain_EXPLAIN_TOP); !errors.Is(err, features.ErrNoRecord) {
			t.Errorf("id %q: got %v, want ErrNoRecord", id, err)
		}
	}
	id := features.MakeEventKey("acme", "e1").String()
	if _, err := r.auditor.Get(t.Context(), "other", id, pb.Explain_EXPLAIN_TOP); !errors.Is(err, features.ErrNoRecord) {
		t.Errorf("another tenant: got %v, want ErrNoRecord", err)
	}
}

// An erased subject takes its decisions with it: they are counted, and nobody can read them.
func TestErasedSubjects(t *testing.T) {
	r := newRig(t)
	r.use()
	var last *pb.Decision
	for i := range 9 {
		last = r.decide(r.event(i, nil), decide.Options{})
	}
	frame, err := r.journal.Get(r.journal.Head())
	if err != nil {
		t.Fatal(err)
	}
	err = r.journal.Keys().Drop(frame.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.auditor.ReplayAll(t.Context(), journal.Pos{}, journal.Pos{}, nil)
	if err != nil || !s.Identical() || s.Erased != 3 || s.Same != 6 {
		t.Errorf("one player of three erased: %+v, %v", s, err)
	}
	if _, err := r.auditor.Get(t.Context(), "acme", last.DecisionId, pb.Explain_EXPLAIN_TOP); !errors.Is(err, features.ErrRecordErased) {
		t.Errorf("its decision: got %v, want ErrRecordErased", err)
	}
}
