package enginetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// unlike is a set without any of everything's groups.
const unlike = `
format: 1
name: unlike
version: "1"
groups:
  things: {entity: player, match: {type: custom.thing}}
features:
  - {name: things_5m, group: things, aggregate: count, window: 5m}
`

// pastOf is a source of events from elsewhere, in the order of the list. It stops for ever after some of them, unless stop is
// negative.
func pastOf(events []*features.Event, stop int) *features.Past {
	return &features.Past{Name: "a list", Whole: true, Read: func(ctx context.Context, _ features.PastLimits, each func(*features.Event) error) (int64, error) {
		for i, ev := range events {
			if i == stop {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			if err := each(ev); err != nil {
				return 0, err
			}
		}
		return 0, nil
	}}
}

// pastWorld is a world whose journal forgets where it is told to.
type pastWorld struct {
	*world
	all *features.Set
}

func newPastWorld(t *testing.T, subject Subject, first string) *pastWorld {
	t.Helper()
	p := &pastWorld{}
	if !subject.Durable {
		subject.Journal = func(testing.TB, string) journal.Journal { return journal.NewMemory(journal.MemoryConfig{Forget: true}) }
	}
	p.world = newWorld(t, subject, withBackfill, func(w *world) {
		w.set = compile(t, w.kinds, first)
		w.sets = []*features.Set{w.set}
		w.cfg.CheckpointFrames, w.cfg.MaxEntities = 150, 64
		w.cfg.OnCheckpoint = func(journal.Pos) {}
	})
	p.all = compile(t, p.kinds, everything)
	return p
}

// ingest applies events in batches.
func (p *pastWorld) ingest(events []*features.Event) {
	p.t.Helper()
	for batch := range slices.Chunk(events, 50) {
		if _, err := p.e.Ingest(context.Background(), items(batch)); err != nil {
			p.t.Fatalf("cannot ingest: %v", err)
		}
	}
}

// forget lets the journal begin with one of its frames.
func (p *pastWorld) forget(first uint64) {
	p.t.Helper()
	if err := p.e.Checkpoint(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	p.j.SetFloor(journal.Pos{Offset: first})
}

// add opens the engine with everything, to be backfilled from a past. It dies while gathering, and while it follows.
func (p *pastWorld) add(c *casino, events []*features.Event) {
	p.t.Helper()
	c.rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	again := slices.Concat(events, events[:len(events)/3])
	p.halt(c.rng.IntN(2) == 0)
	p.sets, p.set = []*features.Set{p.set, p.all}, p.all
	p.cfg.Past = pastOf(again, c.rng.IntN(len(again)))
	p.start()
	p.lookUntil(20*time.Millisecond, func() bool { return false })
	p.restart(false)
	if b := p.e.Backfill(); b.Past != nil || b.Groups == 0 {
		p.t.Errorf("a past that did not end is taken: %+v", b)
	}
	p.cfg.Past = pastOf(again, -1)
	p.restart(false)
	p.lookUntil(time.Duration(c.rng.IntN(30))*time.Millisecond, func() bool { return !p.e.Backfill().Running() })
	gathered := p.e.Backfill().Past != nil
	p.restart(false)
	p.awaitBackfill()
	if b := p.e.Backfill(); gathered && b.Past != nil && b.Groups > 0 {
		p.t.Errorf("a restart gathers again: %+v", b)
	}
}

// testBackfillFromPast builds groups from a list of what the journal has no more, shuffled, with events that it holds: they are
// what they would be had they been there from the start.
func testBackfillFromPast(t *testing.T, subject Subject) {
	if subject.Durable {
		t.Skip("retention of files is by age and size: the journal in memory forgets at once")
	}
	eachRound(t, subject, 3, func(t *testing.T, round int) {
		w, reference := newPastWorld(t, subject, fewer), newPastWorld(t, subject, everything)
		c := newCasino(seed(t, round))
		events := c.correctable(w.events(c, 700))
		w.block(c, events)
		n := len(events)
		for _, p := range []*pastWorld{reference, w} {
			p.blocked = w.blocked
			p.ingest(events[:n*6/10])
			p.decideSome(events[n/10 : n*4/10])
			p.forget(uint64(n / 2)) // with corrections after it of what was before
			p.ingest(events[n*6/10 : n*8/10])
		}
		w.add(c, slices.Clone(events[:n*7/10]))
		for _, p := range []*pastWorld{reference, w} {
			p.ingest(events[n*8/10:])
			p.decideSome(events)
		}
		probes := w.probes(c, events, 60)
		w.wantLike(reference.world, probes)
		w.restart(round%2 == 0)
		w.wantLike(reference.world, probes)
	})
}

// decideSome decides on those of the events that are to be blocked.
func (p *pastWorld) decideSome(events []*features.Event) {
	p.t.Helper()
	for _, ev := range events {
		if p.blocked[ev.ID] {
			p.decideIfNew(ev)
		}
	}
}

// likeFromTheStart gives an engine that had all groups and all events from the start.
func (p *pastWorld) likeFromTheStart(events []*features.Event) *world {
	p.t.Helper()
	other := *p.world
	other.cfg.CheckpointFrames, other.cfg.MaxEntities = 1<<20, 1<<20 // nobody runs it
	other.e = other.scratch(journal.NewMemory(journal.MemoryConfig{}))
	if _, err := other.e.Ingest(context.Background(), items(events)); err != nil {
		p.t.Fatal(err)
	}
	return &other
}

func (p *pastWorld) wantLike(other *world, probes []*features.Event) {
	p.t.Helper()
	for _, ev := range probes {
		wantSame(p.t, p.set, "against a group from the start, "+ev.ID, vectorOf(p.t, other.e, p.set, ev), p.vector(ev))
	}
}

// testBackfillFromBefore builds groups from what happened before there was a journal.
func testBackfillFromBefore(t *testing.T, subject Subject) {
	eachRound(t, subject, 3, func(t *testing.T, round int) {
		w := newPastWorld(t, subject, unlike)
		c := newCasino(seed(t, round))
		events := c.correctable(w.events(c, 500))
		n := len(events)
		w.ingest(events[n*6/10 : n*9/10])
		w.add(c, slices.Clone(events[:n*8/10]))
		w.ingest(events[n*9/10:])
		reference := w.likeFromTheStart(events)
		w.wantLike(reference, w.probes(c, events, 60))
		w.restart(round%2 == 0)
		w.wantLike(reference, w.probes(c, events, 60))
	})
}

// testErasureBeforePast erases somebody whose erasure the journal has no more, and somebody whose it has: no file brings them
// back, and what others have of them stays.
func testErasureBeforePast(t *testing.T, subject Subject) {
	if subject.Durable {
		t.Skip("retention of files is by age and size: the journal in memory forgets at once")
	}
	w := newPastWorld(t, subject, fewer)
	erase := func(who string) {
		t.Helper()
		if err := w.e.Erase(context.Background(), "acme", &pb.Identifier{Kind: "player", Value: who, Form: pb.Form_FORM_ALIAS}); err != nil {
			t.Fatal(err)
		}
	}
	events := []*features.Event{w.bet("a1", "early", 0), w.bet("b1", "late", 1), w.bet("c1", "stays", 2)}
	w.ingest(events)
	erase("early")
	back := w.bet("a2", "early", 3)
	w.ingest([]*features.Event{back})
	w.forget(6)
	w.ingest([]*features.Event{w.bet("c2", "stays", 4)})
	erase("late")
	w.halt(true)
	w.sets, w.set = []*features.Set{w.set, w.all}, w.all
	w.cfg.Past = pastOf(append(events, back), -1)
	w.start()
	w.awaitBackfill()
	for who, want := range map[string]float64{"early": 2, "late": 1, "stays": 3} { // with the event that asks
		v := w.vector(w.bet("x"+who, who, 5))
		w.wantValue(v, "attempts_24h", want)
		w.wantValue(v, "ip_events_1m", 6)
	}
	w.restart(false)
	w.wantValue(w.vector(w.bet("y", "early", 5)), "attempts_24h", 2)
}

// testUnreadablePast lets a source fail: nothing is built, serving goes on, and the next start begins anew.
func testUnreadablePast(t *testing.T, subject Subject) {
	w := newPastWorld(t, subject, unlike)
	w.ingest([]*features.Event{w.bet("live", "p", 100)})
	w.halt(true)
	broken := errors.New("half a file")
	w.sets, w.set = []*features.Set{w.set, w.all}, w.all
	before := []*features.Event{w.bet("before", "p", 1)}
	w.cfg.Past = &features.Past{Name: "a list", Read: func(_ context.Context, _ features.PastLimits, each func(*features.Event) error) (int64, error) {
		return 0, errors.Join(each(before[0]), broken)
	}}
	w.start()
	if !w.lookUntil(10*time.Second, func() bool { return w.e.Backfill().Failed != nil }) {
		t.Fatal("a source fails and nobody says so")
	}
	if err := w.e.Backfill().Failed; !errors.Is(err, broken) {
		t.Errorf("it says %v", err)
	}
	w.wantValue(w.vector(w.bet("x", "p", 101)), "attempts_24h", 1)
	w.cfg.Past = pastOf(before, -1)
	w.cfg.Past.Whole = false
	w.restart(true)
	w.awaitBackfill()
	v := w.vector(w.bet("x", "p", 101))
	w.wantValue(v, "attempts_24h", 3)
	at := slices.IndexFunc(w.set.Features, func(f features.FeatureInfo) bool { return f.Name == "attempts_24h" })
	if v.Status[at] != features.WarmingUp {
		t.Errorf("a group that began a minute ago is %v", v.Status[at])
	}
}
