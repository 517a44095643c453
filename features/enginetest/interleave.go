package enginetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// testKafkaThenCall: the event came by Kafka and is asked about afterwards. It counts once, and its decision lies in a
// frame of its own that applies nothing.
func testKafkaThenCall(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	w.apply(w.bet("before", "p", 0))
	ev := w.bet("a", "p", 1)
	results, err := w.e.Ingest(context.Background(), []features.IngestItem{{Event: ev, Kafka: kafka(0, 7)}})
	if err != nil {
		t.Fatalf("cannot ingest: %v", err)
	}
	for _, cleanly := range []bool{true, false} {
		v := w.vector(ev)
		if !v.Inside {
			t.Errorf("the event is not inside")
		}
		w.wantValue(v, "bets_1m", 2)
		w.wantValue(v, "bets_5m", 1) // current: exclude
		w.wantValue(v, "since_bet", 1)
		w.restart(cleanly)
	}
	pos, v := w.decide(ev)
	if pos == results[0].Pos || !v.Inside {
		t.Errorf("the decision lies in frame %v, the event in %v, inside %v", pos, results[0].Pos, v.Inside)
	}
	for _, cleanly := range []bool{true, false} {
		s := w.admit(ev)
		if known, _ := s.Known(); known.Event != results[0].Pos || known.Decision != pos {
			t.Errorf("known is %+v, want event %v and decision %v", known, results[0].Pos, pos)
		}
		s.Release()
		w.wantValue(w.vector(w.bet("b", "p", 2)), "bets_1m", 3)
		w.restart(cleanly)
	}
	frame, err := w.e.Record(context.Background(), "acme", ev.Key.String())
	if err != nil {
		t.Fatalf("cannot read the record: %v", err)
	}
	if at := frame.GetAppliedAt(); at.GetOffset() != results[0].Pos.Offset || !proto.Equal(frame.GetEvent(), ev.Msg) {
		t.Errorf("the decision's frame is %v", frame)
	}
}

// testCallThenKafka: the event was decided and comes by Kafka afterwards. Only the offset moves.
func testCallThenKafka(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	ev := w.bet("a", "p", 0)
	pos, _ := w.decide(ev)
	results, err := w.e.Ingest(context.Background(), []features.IngestItem{{Event: w.resend(ev), Kafka: kafka(0, 7)}})
	if err != nil {
		t.Fatalf("cannot ingest: %v", err)
	}
	if !results[0].Duplicate || results[0].Pos != pos || results[0].Err != nil {
		t.Errorf("the result is %+v, want a duplicate of %v", results[0], pos)
	}
	if len(w.e.Offsets()) != 0 {
		t.Errorf("a duplicate left a durable offset: %v", w.e.Offsets())
	}
	if err := w.e.Advance(context.Background(), []*pb.KafkaOffset{kafka(0, 7)}); err != nil {
		t.Fatalf("cannot advance: %v", err)
	}
	w.restart(false)
	if got := w.e.Offsets(); len(got) != 1 || !proto.Equal(got[0], kafka(0, 7)) {
		t.Errorf("offsets are %v", got)
	}
	w.wantValue(w.vector(w.bet("b", "p", 1)), "bets_1m", 2)
}

// frameAt is an applied event with its place.
type frameAt struct {
	pos journal.Pos
	ev  *features.Event
}

// testConcurrentDecisions decides on one player from many goroutines at once. Each decision saw exactly the frames up
// to the position that it pinned, and itself.
func testConcurrentDecisions(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	const callers, each = 8, 25
	type decided struct {
		frameAt
		v *features.Vector
	}
	var mu sync.Mutex // guards all
	var all []decided
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for n := range each {
				ev := w.bet(fmt.Sprintf("e%d-%d", caller, n), "p", 1)
				pos, v := w.decide(ev)
				mu.Lock()
				all = append(all, decided{frameAt{pos, ev}, v})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, d := range all {
		for _, pin := range d.v.Pins {
			inside := 0
			for _, other := range all {
				if !pin.Pos.Less(other.pos) {
					inside++
				}
			}
			name := map[string]string{"player": "bets_1m", "ip": "ip_events_1m"}[d.ev.Entities[pin.Entity].Kind]
			if name == "" {
				continue
			}
			if got := w.value(d.v, name); got != float64(inside+1) {
				t.Errorf("%s saw %v events of its %s, and pinned %v with %d before it", d.ev.ID, got, d.ev.Entities[pin.Entity].Kind, pin.Pos, inside)
			}
		}
	}
	w.wantValue(w.vector(w.bet("last", "p", 1)), "bets_1m", callers*each+1)
	w.wantLikeJournal([]*features.Event{w.bet("last", "p", 1)})
}

// testSameEventAtOnce asks about one event from many goroutines: one decides, the others see its decision.
func testSameEventAtOnce(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	const callers = 16
	for round := range 10 {
		positions := make([]journal.Pos, callers)
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				var err error
				if positions[caller], err = w.decideOrRecall(w.bet(fmt.Sprint("e", round), "p", float64(round))); err != nil {
					t.Errorf("cannot decide: %v", err)
				}
			})
		}
		wg.Wait()
		for _, pos := range positions {
			if pos != positions[0] || pos.IsZero() {
				t.Fatalf("the decision is at %v", positions)
			}
		}
	}
	w.wantValue(w.vector(w.bet("last", "p", 10)), "bets_1m", 11)
}

// decideOrRecall decides on an event, or reads the decision that is there, and says where it is.
func (w *world) decideOrRecall(ev *features.Event) (journal.Pos, error) {
	ctx := context.Background()
	s, err := w.e.Admit(ctx, ev)
	if err != nil {
		return journal.Pos{}, err
	}
	defer s.Release()
	if known, ok := s.Known(); ok {
		_, err = w.e.Record(ctx, "acme", ev.Key.String())
		return known.Decision, err
	}
	v := &features.Vector{}
	if unread := w.e.Vector(ctx, s, w.set, v); unread != nil {
		return journal.Pos{}, unread
	}
	return w.e.Commit(ctx, s, &pb.EventFrame{Decision: Record(w.set, ev, v)})
}

// testLostReply kills the process between the write and the reply. Who asks again gets the decision that was made.
func testLostReply(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	w.apply(w.bet("before", "p", 0))
	ev := w.bet("a", "p", 1)
	s := w.admit(ev)
	v := &features.Vector{}
	if err := w.e.Vector(context.Background(), s, w.set, v); err != nil {
		t.Fatal(err)
	}
	ticket, err := w.e.Append(context.Background(), s, &pb.EventFrame{Decision: Record(w.set, ev, v)})
	if err != nil {
		t.Fatal(err)
	}
	if err = w.j.Written(context.Background(), ticket.Pos); err != nil {
		t.Fatal(err)
	}
	w.restart(false) // nobody was told, the slot was never released

	s = w.admit(w.resend(ev))
	if known, ok := s.Known(); !ok || known.Decision != ticket.Pos {
		t.Errorf("known is %+v, want a decision at %v", known, ticket.Pos)
	}
	s.Release()
	frame, err := w.e.Record(context.Background(), "acme", ev.Key.String())
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(frame.GetDecision(), Record(w.set, ev, v)) {
		t.Errorf("the record is %v, want %v", frame.GetDecision(), Record(w.set, ev, v))
	}
	w.wantValue(w.vector(w.bet("b", "p", 2)), "bets_1m", 3)
}

// testHotAddress has a thousand players at one address, from many goroutines, by call and in batches.
func testHotAddress(t *testing.T, subject Subject) {
	w := newWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.MaxEntities, c.CheckpointFrames = 256, 300 }))
	const players, callers = 1000, 16
	var mu sync.Mutex // guards frames
	var frames []frameAt
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(caller)))
			for n := caller; n < players; n += callers {
				ev := w.bet(fmt.Sprint("e", n), fmt.Sprint("p", n), float64(rng.IntN(40)))
				var pos journal.Pos
				if n%2 == 0 {
					pos, _ = w.decide(ev)
				} else {
					results, err := w.e.Ingest(context.Background(), items([]*features.Event{ev}))
					if err != nil {
						t.Errorf("cannot ingest: %v", err)
						return
					}
					pos = results[0].Pos
				}
				mu.Lock()
				frames = append(frames, frameAt{pos, ev})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	slices.SortFunc(frames, func(a, b frameAt) int { return a.pos.Compare(b.pos) })
	for i := 1; i < len(frames); i++ {
		if frames[i].pos == frames[i-1].pos {
			t.Fatalf("two events have position %v", frames[i].pos)
		}
	}
	last := w.bet("last", "new", 45)
	v := w.vector(last)
	w.wantValue(v, "ip_events_1m", players+1)
	w.wantLikeJournal([]*features.Event{last, w.bet("other", "p7", 45)})
	w.restart(false)
	w.wantValue(w.vector(last), "ip_events_1m", players+1)
}

// testRecords reads decisions by id.
func testRecords(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	ev := w.bet("a", "p", 0)
	w.decide(ev)
	only := w.bet("b", "p", 1)
	w.apply(only)
	f := func(tenant, id string) {
		t.Helper()
		if _, err := w.e.Record(context.Background(), tenant, id); !errors.Is(err, features.ErrNoRecord) {
			t.Errorf("record %q of %q: %v, want ErrNoRecord", id, tenant, err)
		}
	}
	for _, cleanly := range []bool{true, false} {
		if frame, err := w.e.Record(context.Background(), "acme", ev.Key.String()); err != nil || frame.GetDecision().GetDecisionId() != ev.Key.String() {
			t.Errorf("the record is %v: %v", frame, err)
		}
		f("other", ev.Key.String())
		f("acme", only.Key.String())
		f("acme", "")
		f("acme", "nonsense")
		f("acme", ev.Key.String()[:30]+"zz")
		f("acme", features.MakeEventKey("acme", "never").String())
		w.restart(cleanly)
	}
}
