package decide_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Decider on real parts in memory.
type rig struct {
	t        testing.TB
	kinds    *features.Kinds
	journal  journal.Journal
	registry *registry.Registry
	engine   *features.Engine
	decider  *decide.Decider
	observed []*pb.Decision
}

// newRig opens a rig on a journal, which may have frames already. bundle nil means that none is loaded.
func newRig(t testing.TB, j journal.Journal, bundle *registry.Bundle) *rig {
	t.Helper()
	return newRigOn(t, j, states.NewMemory(), bundle)
}

func newRigOn(t testing.TB, j journal.Journal, s features.States, bundle *registry.Bundle) *rig {
	t.Helper()
	r := &rig{t: t, kinds: newKinds(t), journal: j}
	var err error
	if r.registry, err = registry.Open(registry.Config{Kinds: r.kinds}); err != nil {
		t.Fatal(err)
	}
	sets := []*features.Set{loadTiny(t).Set}
	if bundle != nil {
		sets[0] = bundle.Set
		err = r.registry.Activate(bundle)
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := features.DefaultEngineConfig()
	cfg.Kinds = r.kinds
	if r.engine, err = features.OpenEngine(t.Context(), cfg, j, s, sets...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.engine.Close() }) // a rig whose journal failed on purpose cannot close well
	r.decider, err = decide.New(decide.Config{
		Engine: r.engine, Registry: r.registry, Build: "test",
		Observe: func(_ *features.Event, d *pb.Decision) { r.observed = append(r.observed, d) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func memory() *journal.Memory { return journal.NewMemory(journal.MemoryConfig{}) }

// decide decides without hurry, so that a slow machine skips nothing.
func (r *rig) decide(ev *features.Event, opt decide.Options) *pb.Decision {
	r.t.Helper()
	opt.Unhurried = true
	d, err := r.decider.Decide(r.t.Context(), ev, opt)
	if err != nil {
		r.t.Fatalf("event %s: %v", ev.ID, err)
	}
	return d
}

// record gives the frame of a decision.
func (r *rig) record(d *pb.Decision) *pb.EventFrame {
	r.t.Helper()
	frame, err := r.engine.Record(r.t.Context(), "acme", d.DecisionId)
	if err != nil {
		r.t.Fatal(err)
	}
	return frame
}

// numbered is the i-th bet of the player.
func numbered(t testing.TB, i int) *features.Event {
	t.Helper()
	return bet(t, func(e *pb.Event) {
		e.EventId = fmt.Sprint("p1-", i)
		e.OccurredAt.Seconds += int64(i)
		e.ReceivedAt.Seconds += int64(i)
	})
}

// same compares decisions as duplicates are the same: all but status and timings.
func same(t testing.TB, what string, want, got *pb.Decision) {
	t.Helper()
	opts := cmp.Options{protocmp.Transform(), protocmp.IgnoreFields(&pb.Decision{}, "status", "timings_us", "watermark")}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func degraded(d *pb.Decision) []string {
	var out []string
	for _, g := range d.Degraded {
		out = append(out, g.Stage+":"+g.Cause)
	}
	return out
}

func TestDecideRecordsWhatItAnswers(t *testing.T) {
	b := loadTiny(t)
	r := newRig(t, memory(), b)
	for i := range 20 {
		d := r.decide(numbered(t, i), decide.Options{})
		if d.Status != pb.Status_STATUS_NEW || d.Score == nil || d.ReasonsStatus != "available" || len(d.Degraded) > 0 {
			t.Fatalf("got %v", d)
		}
		frame := r.record(d)
		same(t, "the answer and the record", decide.Answer(frame), d)
		in := frame.Decision.Inputs
		if in.EventInside || frame.AppliedAt != nil || in.EvaluatedAtUs != start+int64(i)*1_000_000 || len(in.Pins) < 3 {
			t.Errorf("inputs %v", in)
		}
		// The first feature counts the player's bets within a minute, this one included.
		if in.Vector[0] != float64(i+1) {
			t.Errorf("bet %d: bets_1m is %v", i, in.Vector[0])
		}
		out, err := judgeCase(frame.Decision.LogicVersion, numbered(t, i), in, frame.Decision.Verdicts, b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(frame.Decision.Outputs, out, protocmp.Transform()); diff != "" {
			t.Errorf("the record judged again (-recorded +remade):\n%s", diff)
		}
		if d.TimingsUs.Total < d.TimingsUs.Features || frame.Decision.Observations.Build != "test" {
			t.Errorf("observations %v, answer %v", frame.Decision.Observations, d.TimingsUs)
		}
	}
	s := r.decider.Stats()
	total := uint64(0)
	for _, n := range s.Decisions {
		total += n
	}
	if total != 20 || s.Duplicates+s.Degraded+s.Refused+s.DryRuns != 0 || len(r.observed) != 20 {
		t.Errorf("stats %+v, observed %d", s, len(r.observed))
	}
}

func TestSameEventSameDecision(t *testing.T) {
	r := newRig(t, memory(), loadTiny(t))
	ev := numbered(t, 1)
	first := r.decide(ev, decide.Options{Explain: pb.Explain_EXPLAIN_FULL})
	if len(first.Features) != 11 || first.Features[0].Contribution == nil {
		t.Fatalf("features %v", first.Features)
	}
	head := r.journal.Head()
	r.decide(numbered(t, 2), decide.Options{})
	again := r.decide(ev, decide.Options{Explain: pb.Explain_EXPLAIN_FULL})
	same(t, "asked again", first, again)
	if again.Status != pb.Status_STATUS_DUPLICATE || r.journal.Head() != head.Next() {
		t.Errorf("status %v, head %v", again.Status, r.journal.Head())
	}
	// What the explanation shows is no part of the decision.
	brief := r.decide(ev, decide.Options{})
	first.Features, first.Counterfactuals, first.CounterfactualStatus = nil, nil, ""
	same(t, "asked again for less", first, brief)
	if s := r.decider.Stats(); s.Duplicates != 2 {
		t.Errorf("stats %+v", s)
	}

	other := bet(t, func(e *pb.Event) { e.EventId = "p1-1"; e.GetBetPlaced().Amount.AmountMinor++ })
	if d, err := r.decider.Decide(t.Context(), other, decide.Options{}); !errors.Is(err, features.ErrConflict) {
		t.Errorf("other content: got %v, %v; want ErrConflict", d, err)
	}
	if s := r.decider.Stats(); s.Refused != 1 {
		t.Errorf("stats %+v", s)
	}
}

// The order in which an event comes by Kafka and is asked about makes no difference to its vector.
func TestIngestedBefore(t *testing.T) {
	b := loadTiny(t)
	called := newRig(t, memory(), b)
	fed := newRig(t, memory(), b)
	for i := range 5 {
		ev := numbered(t, i)
		want := called.decide(ev, decide.Options{})
		results, err := fed.engine.Ingest(t.Context(), []features.IngestItem{{Event: numbered(t, i)}})
		if err != nil || results[0].Err != nil {
			t.Fatal(err, results)
		}
		got := fed.decide(ev, decide.Options{})
		want.EntityAges, got.EntityAges = nil, nil // inside, the event is the newest itself
		same(t, "by call and by Kafka", want, got)
		frame := fed.record(got)
		if !frame.Decision.Inputs.EventInside || frame.AppliedAt.GetOffset() != results[0].Pos.Offset {
			t.Errorf("inside %v, applied at %v, want %v", frame.Decision.Inputs.EventInside, frame.AppliedAt, results[0].Pos)
		}
		opts := cmp.Options{cmpopts.EquateNaNs()}
		if diff := cmp.Diff(called.record(want).Decision.Inputs.Vector, frame.Decision.Inputs.Vector, opts); diff != "" {
			t.Errorf("vectors by call and by Kafka (-call +Kafka):\n%s", diff)
		}
		if again := fed.decide(ev, decide.Options{}); again.Status != pb.Status_STATUS_DUPLICATE {
			t.Errorf("asked again: %v", again.Status)
		}
	}
}

// How fresh what a decision read was is in the answer and in the record, and the same whenever it is asked again.
func TestFreshness(t *testing.T) {
	r := newRig(t, memory(), loadTiny(t))
	ages := func(d *pb.Decision) string {
		var list []string
		for _, a := range d.EntityAges {
			age := "-"
			if a.AgeMs != nil {
				age = fmt.Sprint(a.GetAgeMs())
			}
			list = append(list, a.Kind+" "+age)
		}
		slices.Sort(list)
		return strings.Join(list, ", ")
	}
	first := r.decide(numbered(t, 1), decide.Options{})
	if first.ConsumerLag != nil || first.Watermark != nil {
		t.Errorf("without a feed and before the first event: lag %v, watermark %v", first.ConsumerLag, first.Watermark)
	}
	if got, want := ages(first), "device -, ip24 -, player -"; got != want {
		t.Errorf("ages of the first event are %q, want %q", got, want)
	}
	r.engine.NoteLag(7)
	second := r.decide(numbered(t, 4), decide.Options{})
	if got, want := ages(second), "device 3000, ip24 3000, player 3000"; got != want {
		t.Errorf("ages are %q, want %q", got, want)
	}
	r.engine.NoteLag(9)
	before := r.decide(numbered(t, 2), decide.Options{}) // it happened before what is known
	if got, want := ages(before), "device -2000, ip24 -2000, player -2000"; got != want {
		t.Errorf("ages are %q, want %q", got, want)
	}
	again := r.decide(numbered(t, 4), decide.Options{})
	if second.GetConsumerLag() != 7 || again.GetConsumerLag() != 7 || r.record(second).Decision.Observations.GetConsumerLag() != 7 {
		t.Errorf("lag %v in the answer, %v asked again, %v in the record, want 7", second.ConsumerLag, again.ConsumerLag,
			r.record(second).Decision.Observations.ConsumerLag)
	}
	same(t, "asked again", second, again)
}

func TestDryRunKeepsNothing(t *testing.T) {
	r := newRig(t, memory(), loadTiny(t))
	r.decide(numbered(t, 0), decide.Options{})
	head := r.journal.Head()
	ev := numbered(t, 1)
	dry := r.decide(ev, decide.Options{DryRun: true})
	if dry.Status != pb.Status_STATUS_DRY_RUN || r.journal.Head() != head {
		t.Errorf("status %v, head %v, want %v", dry.Status, r.journal.Head(), head)
	}
	if _, err := r.engine.Record(t.Context(), "acme", dry.DecisionId); !errors.Is(err, features.ErrNoRecord) {
		t.Errorf("its record: got %v, want ErrNoRecord", err)
	}
	wet := r.decide(ev, decide.Options{})
	if wet.Status != pb.Status_STATUS_NEW {
		t.Errorf("status %v", wet.Status)
	}
	same(t, "dry and wet", dry, wet)
	if s := r.decider.Stats(); s.DryRuns != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestSuperseding(t *testing.T) {
	r := newRig(t, memory(), loadTiny(t))
	r.decide(numbered(t, 0), decide.Options{})
	d := r.decide(bet(t, func(e *pb.Event) { e.SupersedesEventId = "p1-0" }), decide.Options{})
	if d.Status != pb.Status_STATUS_SUPERSEDING {
		t.Errorf("status %v", d.Status)
	}
}

func TestExplainIsAWish(t *testing.T) {
	b := loadTiny(t)
	none, top := newRig(t, memory(), b), newRig(t, memory(), b)
	d := none.decide(bet(t, nil), decide.Options{Explain: pb.Explain_EXPLAIN_NONE})
	want := top.decide(bet(t, nil), decide.Options{})
	if d.ReasonsStatus != "skipped" || len(d.Reasons) > 0 || d.BaseValue != nil || len(d.Degraded) > 0 || d.Review != want.Review {
		t.Errorf("without an explanation: %v", d)
	}
	if d.GetScore() != want.GetScore() || d.Outcome != want.Outcome {
		t.Errorf("the wish for no explanation changed the decision: %v, %v", d, want)
	}
}

func TestNoBundle(t *testing.T) {
	r := newRig(t, memory(), nil)
	d := r.decide(bet(t, nil), decide.Options{Explain: pb.Explain_EXPLAIN_FULL})
	if d.Outcome != pb.Outcome_OUTCOME_ALLOW || !d.Review || d.Score != nil || d.Model != nil || d.ReasonsStatus != "unavailable" {
		t.Errorf("got %v", d)
	}
	if got := degraded(d); !slices.Equal(got, []string{"model:unavailable", "explain:unavailable"}) {
		t.Errorf("degraded %v", got)
	}
	again := r.decide(bet(t, nil), decide.Options{Explain: pb.Explain_EXPLAIN_FULL})
	same(t, "asked again", d, again)
	if s := r.decider.Stats(); s.Degraded != 1 {
		t.Errorf("stats %+v", s)
	}
}

// A model that panics, fails or cannot explain itself leaves a decision all the same, and is counted.
func TestBrokenModelsStillDecide(t *testing.T) {
	b := loadTiny(t)
	for _, test := range []struct {
		name     string
		model    broken
		degraded []string
		scored   bool
		stats    decide.Stats
	}{
		{"predict panics", broken{predict: func() error { panic("boom") }}, []string{"model:error", "explain:error"}, false, decide.Stats{Panics: 1}},
		{"predict fails", broken{predict: func() error { return errors.New("no") }}, []string{"model:error", "explain:error"}, false, decide.Stats{ModelErrors: 1}},
		{"explain panics", broken{explain: func() error { panic("boom") }}, []string{"explain:error"}, true, decide.Stats{Panics: 1}},
		{"contributions do not add up", broken{off: 0.1}, []string{"explain:error"}, true, decide.Stats{Additivity: 1}},
		{"contributions are no numbers", broken{off: math.NaN()}, []string{"explain:error"}, true, decide.Stats{Additivity: 1}},
	} {
		b2 := *b
		test.model.Model = b.Model
		b2.Model = test.model
		r := newRig(t, memory(), &b2)
		d := r.decide(bet(t, nil), decide.Options{})
		if got := degraded(d); !slices.Equal(got, test.degraded) || !d.Review || (d.Score != nil) != test.scored {
			t.Errorf("%s: degraded %v, answer %v", test.name, got, d)
		}
		if d.ReasonsStatus != "unavailable" || d.BaseValue != nil {
			t.Errorf("%s: reasons are %q", test.name, d.ReasonsStatus)
		}
		test.stats.Decisions[d.Outcome], test.stats.Degraded = 1, 1
		if diff := cmp.Diff(test.stats, r.decider.Stats()); diff != "" {
			t.Errorf("%s: stats (-want +got):\n%s", test.name, diff)
		}
		same(t, test.name, d, r.decide(bet(t, nil), decide.Options{}))
	}
}

// What cannot be written is not said: the default takes its place, nothing is applied, and the caller may ask again.
func TestJournalFails(t *testing.T) {
	j := memory()
	r := newRig(t, j, loadTiny(t))
	r.decide(numbered(t, 0), decide.Options{})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.engine.Run(ctx) })
	defer wg.Wait()
	defer stop()

	j.Fail(errors.New("disk full"))
	ev := numbered(t, 1)
	d := r.decide(ev, decide.Options{})
	if got := degraded(d); !slices.Equal(got, []string{"record:not_written"}) {
		t.Errorf("degraded %v", got)
	}
	if d.Outcome != pb.Outcome_OUTCOME_ALLOW || d.Score != nil || !d.Review || d.ReasonsStatus != "unavailable" || len(d.Features) > 0 {
		t.Errorf("got %v", d)
	}
	// The engine recovers by itself; until then every answer is the default.
	for {
		again := r.decide(ev, decide.Options{})
		if len(again.Degraded) == 0 {
			if again.Status != pb.Status_STATUS_NEW || r.record(again).Decision.Inputs.Vector[0] != 2 {
				t.Errorf("asked again: %v", again)
			}
			return
		}
	}
}

// A decision that was written, and whose process died before the reply, is the decision: asked again after the
// restart, the answer is the same.
func TestKilledBetweenWriteAndReply(t *testing.T) {
	b := loadTiny(t)
	dir := t.TempDir()
	open := func(dir string) journal.Journal {
		t.Helper()
		cfg := journal.DefaultConfig()
		cfg.Dir, cfg.MasterKey, cfg.Compact = dir, make([]byte, 32), false
		j, _, err := journal.OpenFile(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = j.Close() })
		return j
	}
	before := newRig(t, open(dir), b)
	var want []*pb.Decision
	for i := range 5 {
		want = append(want, before.decide(numbered(t, i), decide.Options{}))
	}
	// What the directory holds now is what kill -9 leaves: nothing was closed, synced or told to anybody.
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	after := newRig(t, open(killed), b)
	for i, w := range want {
		got := after.decide(numbered(t, i), decide.Options{})
		same(t, "after the crash", w, got)
		if got.Status != pb.Status_STATUS_DUPLICATE {
			t.Errorf("status %v", got.Status)
		}
	}
	// And life goes on from the same state.
	same(t, "the next one", before.decide(numbered(t, 5), decide.Options{}), after.decide(numbered(t, 5), decide.Options{}))
}

// Many callers, few events, bundles swapped meanwhile: each event is decided once, and everybody hears the same.
func TestConcurrentCallers(t *testing.T) {
	b := loadTiny(t)
	b2 := *b
	r := newRig(t, memory(), b)
	decider, err := decide.New(decide.Config{Engine: r.engine, Registry: r.registry})
	if err != nil {
		t.Fatal(err)
	}
	const callers, events = 8, 40
	answers := make([][]*pb.Decision, callers)
	var wg sync.WaitGroup
	for c := range callers {
		evs := make([]*features.Event, events)
		for i := range evs {
			evs[i] = numbered(t, i)
		}
		wg.Go(func() {
			for i := range events {
				d, err := decider.Decide(t.Context(), evs[(i+c)%events], decide.Options{Unhurried: true})
				if err != nil {
					t.Error(err)
					return
				}
				answers[c] = append(answers[c], d)
			}
		})
	}
	wg.Go(func() {
		for i := range 50 {
			if err := r.registry.Activate([]*registry.Bundle{b, &b2}[i%2]); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	byID := map[string]*pb.Decision{}
	made := map[string]int{}
	for _, list := range answers {
		for _, d := range list {
			if first, ok := byID[d.DecisionId]; ok {
				same(t, "heard by two", first, d)
			}
			byID[d.DecisionId] = d
			if d.Status == pb.Status_STATUS_NEW {
				made[d.DecisionId]++
			}
		}
	}
	if len(byID) != events {
		t.Errorf("%d decisions on %d events", len(byID), events)
	}
	for id, n := range made {
		if n != 1 {
			t.Errorf("decision %s was made %d times", id, n)
		}
	}
}

func TestCallerGoesAway(t *testing.T) {
	r := newRig(t, memory(), loadTiny(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := r.decider.Decide(ctx, bet(t, nil), decide.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v; want context.Canceled", d, err)
	}
	// The answer to nobody was not recorded: whoever asks now gets a new decision.
	if d := r.decide(bet(t, nil), decide.Options{}); d.Status != pb.Status_STATUS_NEW {
		t.Errorf("status %v", d.Status)
	}
}

func TestDecisionIDs(t *testing.T) {
	r := newRig(t, memory(), loadTiny(t))
	ev := bet(t, nil)
	d := r.decide(ev, decide.Options{})
	if d.DecisionId != features.MakeEventKey("acme", "bet-1").String() || d.EventId != "bet-1" {
		t.Errorf("decision %q on event %q", d.DecisionId, d.EventId)
	}
	if _, err := r.engine.Record(t.Context(), "other", d.DecisionId); !errors.Is(err, features.ErrNoRecord) {
		t.Errorf("another tenant: got %v, want ErrNoRecord", err)
	}
	clone := proto.CloneOf(ev.Msg)
	clone.TraceId, clone.ReceivedAt.Nanos = "another way", 999_000
	var retried features.Event
	if err := features.Decode(newKinds(t), clone, &retried); err != nil {
		t.Fatal(err)
	}
	if again := r.decide(&retried, decide.Options{}); again.Status != pb.Status_STATUS_DUPLICATE {
		t.Errorf("the same content by another way: %v", again.Status)
	}
}

func TestNewRefuses(t *testing.T) {
	r := newRig(t, memory(), nil)
	for _, cfg := range []decide.Config{{}, {Engine: r.engine}, {Registry: r.registry}, {Engine: r.engine, Registry: r.registry, Budget: -time.Second}} {
		if _, err := decide.New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}
