package enginetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// testRestarts says what a start reads again: nothing after a clean end, and after a death what came after the last
// checkpoint.
func testRestarts(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	for n := range 10 {
		w.apply(w.bet(fmt.Sprint("a", n), fmt.Sprint("p", n%3), float64(n)))
	}
	w.restart(true)
	if n := w.e.Stats().Replayed; n != 0 {
		t.Errorf("after a clean end %d frames were read again", n)
	}
	for n := range 5 {
		w.apply(w.bet(fmt.Sprint("b", n), "p1", float64(10+n)))
	}
	w.restart(false)
	if n := w.e.Stats().Replayed; n != 5 {
		t.Errorf("after a death %d frames were read again, want 5", n)
	}
	if err := w.e.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := w.e.Checkpoint(context.Background()); err != nil {
		t.Fatalf("a checkpoint of nothing: %v", err)
	}
	if s := w.e.Stats(); s.CheckpointOffset != 15 || s.Dirty != 0 || s.Behind != 0 || s.DedupeEntries != 0 {
		t.Errorf("after a checkpoint: %+v", s)
	}
	w.restart(false)
	if n := w.e.Stats().Replayed; n != 0 {
		t.Errorf("after a checkpoint %d frames were read again", n)
	}
	w.wantLikeJournal([]*features.Event{w.bet("last", "p1", 20), w.bet("other", "p0", 20), w.bet("new", "px", 20)})
}

// testTornCheckpoint breaks a checkpoint after each of its writes, and kills the process there. Then it breaks it and
// goes on.
func testTornCheckpoint(t *testing.T, subject Subject) {
	for _, dies := range []bool{true, false} {
		faults := &faultyStates{left: -1}
		w := newWorld(t, subject, withFaultyStates(faults), withConfig(func(c *features.EngineConfig) { c.CheckpointFrames = 1 << 30 }))
		c := newCasino(seed(t, 0))
		var events []*features.Event
		broken := 0
		for step := 0; ; step++ {
			more := w.events(c, 25)
			events = append(events, more...)
			if _, err := w.e.Ingest(context.Background(), items(more)); err != nil {
				t.Fatal(err)
			}
			faults.arm(step)
			err := w.e.Checkpoint(context.Background())
			faults.arm(-1)
			if err != nil && !errors.Is(err, errDisk) {
				t.Fatalf("a broken checkpoint: %v", err)
			}
			if dies {
				w.restart(false)
			}
			if err == nil {
				break
			}
			broken++
			for _, ev := range more[:5] {
				if !w.vector(ev).Inside {
					t.Errorf("step %d: %s is not known any more", step, ev.ID)
				}
			}
		}
		if broken < 6 {
			t.Errorf("only %d checkpoints were broken: the faults do not reach", broken)
		}
		w.wantLikeJournal(w.probes(c, events, 40))
		w.restart(true)
		w.wantLikeJournal(w.probes(c, events, 40))
	}
}

// overridden is a journal that says something else of itself.
type overridden struct {
	journal.Journal
	tail journal.Pos
}

func (o overridden) Tail() journal.Pos { return o.tail }

// testMisfits opens engines over what does not belong together.
func testMisfits(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	for n := range 5 {
		w.apply(w.bet(fmt.Sprint("a", n), "p", float64(n)))
	}
	w.halt(true)
	refused := func(j journal.Journal, s features.States, kinds []features.KindConfig, want error, contains string) {
		t.Helper()
		cfg := w.cfg
		cfg.Kinds, _ = features.NewKinds(kinds)
		_, err := features.OpenEngine(context.Background(), cfg, j, s, w.sets...)
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), contains) {
			t.Errorf("open: %v, want %v with %q", err, want, contains)
		}
	}
	empty := subject.Journal(t, t.TempDir())
	defer func() { _ = empty.Close() }()
	refused(empty, w.s, nil, features.ErrStateAhead, "0/5")
	refused(overridden{w.j, journal.Pos{Offset: 3}}, subject.Scratch(), nil, features.ErrStateBehind, "0/3")

	garbage := journal.NewMemory(journal.MemoryConfig{})
	sealed, err := garbage.Seal(journal.Frame{Kind: features.FrameEvent, Payload: []byte("no event")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = garbage.Append(sealed); err != nil {
		t.Fatal(err)
	}
	refused(garbage, subject.Scratch(), nil, nil, "cannot decode an event")

	corrupt := subject.Scratch()
	f := func(name, value string, want error) {
		t.Helper()
		if err = corrupt.PutMeta(name, []byte(value)); err != nil {
			t.Fatal(err)
		}
		refused(w.j, corrupt, nil, want, "")
		corrupt = subject.Scratch()
	}
	f("checkpoint", "\x03\x00\x00", features.ErrStateFormat)
	f("checkpoint", "\x01\x00", features.ErrStateCorrupt)
	f("checkpoint", "", features.ErrStateCorrupt)
	f("plan", "\x09", features.ErrStateFormat)
	f("plan", "\x01\x05\x01abc", features.ErrStateCorrupt)
	f("high", "\x00", features.ErrStateCorrupt)

	// Kinds are known by their number in every key.
	one := []features.KindConfig{{Name: "terminal"}, {Name: "shop"}}
	cfg := w.cfg
	cfg.Kinds, _ = features.NewKinds(one)
	s := subject.Scratch()
	e, err := features.OpenEngine(context.Background(), cfg, w.j, s, w.sets...)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	refused(w.j, s, []features.KindConfig{{Name: "shop"}, {Name: "terminal"}}, nil, `"shop", and was "terminal"`)
	refused(w.j, s, []features.KindConfig{{Name: "terminal"}}, nil, `"shop" (number 129) is in the state`)
}

// testDedupeAges sends an event again at any age.
func testDedupeAges(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	const day = 86400.0
	first := w.bet("a", "p", 0, func(m *pb.Event) { m.TransactionId = "t" })
	pos := w.apply(first)
	for d := 1; d <= 30; d++ {
		w.apply(w.bet(fmt.Sprint("day", d), "p", float64(float64(d)*day)))
		if d%7 == 0 {
			if err := w.e.Checkpoint(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if d%11 == 0 {
			w.restart(d%2 == 0)
		}
		received := func(m *pb.Event) { m.ReceivedAt = timestamp(first.OccurredAt + int64(float64(d)*day*1e6)) }
		again := proto.CloneOf(first.Msg)
		received(again)
		s, err := w.e.Admit(context.Background(), w.decode(again))
		if err != nil {
			t.Fatalf("after %d days: %v", d, err)
		}
		if known, ok := s.Known(); !ok || known.Event != pos {
			t.Errorf("after %d days the event is known as %+v, %v", d, known, ok)
		}
		s.Release()
		other := w.bet("b", "p", float64(float64(d)*day), func(m *pb.Event) { m.TransactionId = "t" })
		if _, err := w.e.Admit(context.Background(), other); !errors.Is(err, features.ErrDuplicateTransaction) {
			t.Errorf("after %d days the transaction: %v, want ErrDuplicateTransaction", d, err)
		}
	}
	// After that the id is free again, by the event's time of receipt and whatever is still stored.
	late := w.bet("a", "p", 31*day)
	s, err := w.e.Admit(context.Background(), late)
	if err != nil {
		t.Fatalf("after 31 days: %v", err)
	}
	defer s.Release()
	if known, ok := s.Known(); ok {
		t.Errorf("after 31 days the event is known as %+v", known)
	}
}

// testLostTail opens engines over journals that lost their newest frames, as by a power cut: from the checkpoint on that
// is as if they had never been, before it the engine refuses.
func testLostTail(t *testing.T, subject Subject) {
	const frames, checkpoint = 60, 40
	step := 4
	if subject.Durable {
		step = 12 // opening files is slow
	}
	for cut := 36; cut <= frames; cut += step {
		w := newWorld(t, subject)
		c := newCasino(uint64(cut))
		events := w.events(c, frames)
		if _, err := w.e.Ingest(context.Background(), items(events[:checkpoint])); err != nil {
			t.Fatal(err)
		}
		if err := w.e.Checkpoint(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.e.Ingest(context.Background(), items(events[checkpoint:])); err != nil {
			t.Fatal(err)
		}
		whole := w.j
		w.halt(false)
		w.j = prefix(t, whole, cut)
		err := w.tryStart()
		switch {
		case cut < checkpoint:
			if !errors.Is(err, features.ErrStateAhead) {
				t.Errorf("with %d frames left: %v, want ErrStateAhead", cut, err)
			}
			w.e = nil
		case err != nil:
			t.Errorf("with %d frames left: %v", cut, err)
		default:
			probes := w.probes(c, events, 20)
			w.wantLikeJournal(probes)
			// What was lost is sent again, and what was not.
			if _, err := w.e.Ingest(context.Background(), items(c.remembered(events))); err != nil {
				t.Errorf("cannot ingest what was lost: %v", err)
			}
			wantOnce(t, w.j)
			w.wantLikeJournal(probes)
		}
		w.halt(false)
		w.j = whole
	}
}

// testLostTailOfBroken has a checkpoint die after its entities and before its record: the state is then ahead of the
// checkpoint, and a journal that ends between the two does not fit it.
func testLostTailOfBroken(t *testing.T, subject Subject) {
	for _, cut := range []int{50, 59, 60} {
		faults := &faultyStates{left: -1}
		w := newWorld(t, subject, withFaultyStates(faults), withConfig(func(c *features.EngineConfig) { c.CheckpointFrames = 1 << 30 }))
		events := w.events(newCasino(1), 60)
		for _, half := range [][]*features.Event{events[:40], events[40:]} {
			if _, err := w.e.Ingest(context.Background(), items(half)); err != nil {
				t.Fatal(err)
			}
			// The first checkpoint passes; of the second, the highest position and the entities.
			if err := w.e.Checkpoint(context.Background()); len(half) == 40 && err != nil {
				t.Fatal(err)
			}
			faults.arm(2)
		}
		faults.arm(-1)
		whole := w.j
		w.halt(false)
		w.j = prefix(t, whole, cut)
		err := w.tryStart()
		if (err != nil) != (cut < 60) || err != nil && !errors.Is(err, features.ErrStateAhead) {
			t.Errorf("with %d frames left: %v", cut, err)
		}
		w.halt(false)
		w.j = whole
	}
}

// prefix copies the first frames of a journal.
func prefix(t *testing.T, from journal.Journal, n int) journal.Journal {
	t.Helper()
	to := journal.NewMemory(journal.MemoryConfig{})
	cursor, err := from.Read(journal.Pos{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cursor.Close() }()
	for range n {
		if err := copyFrame(to, cursor); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func copyFrame(to journal.Journal, cursor journal.Cursor) error {
	f, err := cursor.Next(context.Background())
	if err != nil {
		return err
	}
	return appendFrame(to, f)
}

func appendFrame(to journal.Journal, f journal.Frame) error {
	for f.KeyID != 0 && !to.Keys().Has(f.KeyID) {
		if _, err := to.Keys().New(); err != nil {
			return err
		}
	}
	sealed, err := to.Seal(f)
	if err != nil {
		return err
	}
	_, err = to.Append(sealed)
	return err
}

const another = `
format: 1
name: another
version: "1"
groups:
  bets:   {entity: player, match: {type: bet.placed}}
features:
  - {name: bets_1h, group: bets, aggregate: count, window: 1h}
  - {name: since_bet, group: bets, aggregate: time_since}
`

// testWarmingUp adds a group to a state that has seen events, takes it away and adds it again.
func testWarmingUp(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	set := compile(t, w.kinds, another)
	probe := 0
	want := func(second, count float64, countStatus, sinceStatus features.Status) {
		t.Helper()
		probe++
		v := vectorOf(t, w.e, set, w.bet(fmt.Sprint("probe", probe), "p", second))
		if (v.WarmingSince != 0) != (countStatus == features.WarmingUp) {
			t.Errorf("at %v: it warms up since %d", second, v.WarmingSince)
		}
		if v.Values[0] != count || v.Status[0] != countStatus || v.Status[1] != sinceStatus {
			t.Errorf("at %v: %v %v, want count %v, statuses %v and %v", second, v.Values, v.Status, count, countStatus, sinceStatus)
		}
	}
	w.apply(w.bet("a", "p", 0))
	// Nothing warms up in a state that has seen everything.
	if s := w.vector(w.bet("b", "p", 1)).Status[0]; s != features.Present {
		t.Errorf("in a new state a feature is %v", s)
	}
	for range 2 {
		w.halt(true)
		w.sets = []*features.Set{w.set, set}
		w.start()
		want(100, 1, features.WarmingUp, features.WarmingUp)
		w.restart(true)
		want(101, 1, features.WarmingUp, features.WarmingUp)
		w.halt(true)
		w.sets = []*features.Set{w.set}
		w.start()
	}
	w.halt(false)
	w.sets = []*features.Set{w.set, set}
	w.start()
	w.apply(w.bet("c", "p", 1000))
	want(1001, 2, features.WarmingUp, features.Present)
	w.restart(false)
	want(1002, 2, features.WarmingUp, features.Present)
	want(1000+3700, 1, features.Present, features.Present)
	if s := w.vector(w.bet("d", "p", 1002)).Status[0]; s != features.Present {
		t.Errorf("a feature of the old set is %v", s)
	}
	var unknown features.Vector
	s := w.admit(w.bet("e", "p", 1003))
	defer s.Release()
	never := compile(t, w.kinds, strings.Replace(another, "1h}", "24h}", 1))
	if err := w.e.Vector(context.Background(), s, never, &unknown); !errors.Is(err, features.ErrUnknownSet) {
		t.Errorf("a set that the engine does not keep: %v, want ErrUnknownSet", err)
	}
}

// testWarmingUpLate brings an old event to a group that is new. That it has seen one does not mean that it has seen the newest.
func testWarmingUpLate(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	set := compile(t, w.kinds, another)
	w.apply(w.bet("a", "p", 1000))
	w.halt(true)
	w.sets = []*features.Set{w.set, set}
	w.start()
	want := func(id string, second, since float64, status features.Status) {
		t.Helper()
		v := vectorOf(t, w.e, set, w.bet(id, "p", second))
		if v.Values[1] != since || v.Status[1] != status {
			t.Errorf("at %v: %v (%v), want %v (%v)", second, v.Values[1], v.Status[1], since, status)
		}
	}
	w.apply(w.bet("late", "p", 900))
	want("b", 1010, 110, features.WarmingUp)
	w.apply(w.bet("c", "p", 1020))
	want("d", 1030, 10, features.Present)
	want("e", 1010, 110, features.WarmingUp) // c is not there yet, and a was never seen
}
