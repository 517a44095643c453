package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// fewer is a part of everything: what was there before the rest is backfilled.
const fewer = `
format: 1
name: fewer
version: "1"
groups:
  bets:    {entity: player, match: {type: bet.placed}}
  ip_bets: {entity: ip, match: {type: bet.placed}}
features:
  - {name: bets_1h, group: bets, aggregate: count, window: 1h}
  - {name: ip_bets_1h, group: ip_bets, aggregate: count, window: 1h}
`

func withBackfill(w *world) { w.backfills = true }

// newFewerWorld begins with fewer groups, over a journal that is kept whole.
func newFewerWorld(t testing.TB, subject Subject, options ...option) (w *world, all *features.Set) {
	t.Helper()
	w = newWorld(t, subject, append(options, withBackfill, withConfig(func(c *features.EngineConfig) { c.OnCheckpoint = func(journal.Pos) {} }),
		func(w *world) { w.set = compile(t, w.kinds, fewer); w.sets = []*features.Set{w.set} })...)
	return w, compile(t, w.kinds, everything)
}

// awaitBackfill waits until nothing is left to do.
func (w *world) awaitBackfill() {
	w.t.Helper()
	if !w.lookUntil(60*time.Second, func() bool { return !w.e.Backfill().Running() }) {
		w.t.Fatalf("the backfill does not end: %+v", w.e.Backfill())
	}
}

// lookUntil looks each millisecond, and says whether it found what it waits for.
func (w *world) lookUntil(most time.Duration, found func() bool) bool {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	end := time.NewTimer(most)
	defer end.Stop()
	for !found() {
		select {
		case <-look.C:
		case <-end.C:
			return false
		}
	}
	return true
}

// testBackfill adds groups at a restart, while events go on coming in: in the end they are what they would be had they
// been there from the start. Until then they warm up.
func testBackfill(t *testing.T, subject Subject) {
	eachRound(t, subject, 3, func(t *testing.T, round int) {
		w, all := newFewerWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.CheckpointFrames, c.MaxEntities = 150, 64 }))
		c := newCasino(seed(t, round))
		events := w.events(c, 400)
		ingest := func(list []*features.Event) {
			t.Helper()
			if _, err := w.e.Ingest(context.Background(), items(list)); err != nil {
				t.Fatalf("cannot ingest: %v", err)
			}
		}
		ingest(events)
		w.halt(round%2 == 0)
		w.sets, w.set = []*features.Set{w.set, all}, all
		w.start()
		for n := 0; w.e.Backfill().Running() || n < 10; n++ {
			more := w.events(c, 7)
			ingest(more)
			events = append(events, more...)
			w.vector(w.decode(c.at(fmt.Sprint("read", n), c.now))) // brings entities into memory
			if n%3 == 0 {
				if err := w.e.Checkpoint(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.wantLikeJournal(w.probes(c, events, 40))
		w.restart(round%2 == 1)
		w.wantLikeJournal(w.probes(c, events, 40))
		if w.e.Backfill().Running() {
			t.Errorf("a restart begins anew: %+v", w.e.Backfill())
		}
	})
}

// testUse changes sets while callers decide: nobody is refused, and the groups end as if they had always been there.
func testUse(t *testing.T, subject Subject) {
	w, all := newFewerWorld(t, subject)
	old := w.set
	c := newCasino(seed(t, 0))
	events := w.events(c, 300)
	if _, err := w.e.Ingest(context.Background(), items(events)); err != nil {
		t.Fatal(err)
	}
	done, stop := make(chan error, 2), make(chan struct{})
	const callers = 2
	for caller := range callers {
		go func() { done <- decideUntil(w, old, caller, stop) }()
	}
	v := &features.Vector{}
	s := w.admit(w.bet("before", "p1", 1)) // under the old plan, used under the new one
	if err := w.e.Use(context.Background(), old, all); err != nil {
		t.Fatalf("cannot change sets: %v", err)
	}
	if err := w.e.Vector(context.Background(), s, all, v); err != nil {
		t.Errorf("a slot from before the change: %v", err)
	}
	if _, err := w.e.Commit(context.Background(), s, &pb.EventFrame{}); err != nil {
		t.Errorf("a slot from before the change: %v", err)
	}
	s.Release()
	w.awaitBackfill()
	close(stop)
	for range callers {
		if err := <-done; err != nil {
			t.Errorf("a call during the change: %v", err)
		}
	}
	w.sets, w.set = []*features.Set{old, all}, all
	w.wantLikeJournal(w.probes(c, events, 40))
	w.restart(false)
	w.wantLikeJournal(w.probes(c, events, 40))
	if err := w.e.Use(context.Background(), old); err != nil {
		t.Fatal(err)
	}
	s = w.admit(w.bet("after", "p1", 2))
	defer s.Release()
	if err := w.e.Vector(context.Background(), s, all, v); !errors.Is(err, features.ErrUnknownSet) {
		t.Errorf("a set that is no longer kept: %v, want ErrUnknownSet", err)
	}
}

// decideUntil decides on one event after the other until stop is closed, or there are so many that a busy machine would read
// them no faster than they are written.
func decideUntil(w *world, set *features.Set, caller int, stop <-chan struct{}) error {
	e := w.e
	one := func(ev *features.Event) error {
		s, err := e.Admit(context.Background(), ev)
		if err != nil {
			return err
		}
		defer s.Release()
		v := &features.Vector{}
		err = e.Vector(context.Background(), s, set, v)
		if err != nil {
			return err
		}
		_, err = e.Commit(context.Background(), s, &pb.EventFrame{Decision: Record(set, ev, v)})
		return err
	}
	const most = 5000
	for n := range most {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := one(w.bet(fmt.Sprint("call", caller, "-", n), fmt.Sprint("p", n%7), float64(n))); err != nil {
			return err
		}
	}
	return nil
}

// openSides closes what a process that dies leaves open.
type openSides struct {
	features.Sides

	mu   sync.Mutex // guards all below
	open []features.States
	logs []journal.Journal
}

func (s *openSides) Open(name string) (features.States, error) {
	states, err := s.Sides.Open(name)
	if err == nil {
		s.mu.Lock()
		s.open = append(s.open, states)
		s.mu.Unlock()
	}
	return states, err
}

func (s *openSides) Journal(name string) (journal.Journal, error) {
	j, err := s.Sides.Journal(name)
	if err == nil {
		s.mu.Lock()
		s.logs = append(s.logs, j)
		s.mu.Unlock()
	}
	return j, err
}

func (s *openSides) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, states := range s.open {
		_ = states.Close() // it may be closed
	}
	for _, j := range s.logs {
		_ = j.Close() // the same
	}
	s.open, s.logs = nil, nil
}

// faultySides gives sides whose writes fail in their turn.
type faultySides struct {
	features.Sides
	faults *faultyStates
}

func (s *faultySides) Open(name string) (features.States, error) {
	states, err := s.Sides.Open(name)
	if err != nil {
		return nil, err
	}
	return &sharedFaults{faultyStates: faultyStates{States: states, left: -1}, turns: s.faults}, nil
}

// fired says whether a fault's turn has come.
func (s *faultyStates) fired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left == 0
}

// sharedFaults take their turns with another.
type sharedFaults struct {
	faultyStates
	turns *faultyStates
}

func (s *sharedFaults) Put(ctx context.Context, batch []features.StatePut) error {
	return errors.Join(s.turns.turn(), s.faultyStates.Put(ctx, batch))
}

func (s *sharedFaults) PutMeta(name string, value []byte) error {
	if err := s.turns.turn(); err != nil {
		return err
	}
	return s.faultyStates.PutMeta(name, value)
}

func (s *sharedFaults) Sync() error { return errors.Join(s.turns.turn(), s.faultyStates.Sync()) }

// testTornBackfill lets a backfill fail at each of its writes, and the process die there. What is left is the group from
// before, which warms up, or the whole new one.
func testTornBackfill(t *testing.T, subject Subject) {
	for step := 0; ; step++ {
		faults := &faultyStates{left: -1}
		w, all := newFewerWorld(t, subject, withFaultyStates(faults), withConfig(func(c *features.EngineConfig) {
			c.CheckpointFrames, c.CheckpointEvery, c.RetryEvery = 1<<30, time.Hour, time.Hour // one try
		}))
		w.sides.Sides = &faultySides{w.sides.Sides, faults}
		c := newCasino(seed(t, step))
		events := w.events(c, 60)
		if _, err := w.e.Ingest(context.Background(), items(events)); err != nil {
			t.Fatal(err)
		}
		w.halt(true)
		w.sets, w.set = []*features.Set{w.set, all}, all
		faults.arm(step)
		if err := w.tryStart(); err == nil {
			w.lookUntil(10*time.Second, func() bool { return !w.e.Backfill().Running() || faults.fired() })
		} else if !errors.Is(err, errDisk) {
			t.Fatalf("step %d: %v", step, err)
		}
		broken := faults.fired()
		w.halt(false)
		faults.arm(-1)
		w.cfg.RetryEvery = time.Millisecond
		w.start()
		more := w.events(c, 20)
		if _, err := w.e.Ingest(context.Background(), items(more)); err != nil {
			t.Fatal(err)
		}
		w.awaitBackfill()
		w.wantLikeJournal(w.probes(c, append(events, more...), 20))
		w.restart(step%2 == 0)
		w.wantLikeJournal(w.probes(c, append(events, more...), 20))
		w.close()
		if !broken {
			if step < 10 {
				t.Errorf("only %d backfills were broken: the faults do not reach", step)
			}
			return
		}
	}
}

// testErasureInBackfill erases somebody before, while and after the groups are built: nothing of them comes back.
func testErasureInBackfill(t *testing.T, subject Subject) {
	w, all := newFewerWorld(t, subject)
	who := func(n int) string { return fmt.Sprint("p", n) }
	erase := func(n int) {
		t.Helper()
		if err := w.e.Erase(context.Background(), "acme", &pb.Identifier{Kind: "player", Value: who(n), Form: pb.Form_FORM_ALIAS}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 300 {
		w.apply(w.bet(fmt.Sprint("e", n), who(n%30), float64(n)))
	}
	erase(0)
	w.halt(true)
	w.sets, w.set = []*features.Set{w.set, all}, all
	w.start()
	n := 1
	for ; w.e.Backfill().Running() && n < 20; n++ {
		erase(n)
	}
	w.awaitBackfill()
	erase(n)
	w.restart(false)
	for gone := range n + 1 {
		w.wantValue(w.vector(w.bet(fmt.Sprint("x", gone), who(gone), 301)), "bets_30d", 1)
	}
	w.wantValue(w.vector(w.bet("y", who(n+1), 301)), "bets_30d", 11)
}

// testRemovedGroup takes a set away: its groups' bytes go, and should it come back, it does not get the old ones.
func testRemovedGroup(t *testing.T, subject Subject) {
	w, all := newFewerWorld(t, subject)
	few := w.set
	if err := w.e.Use(context.Background(), few, all); err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		w.apply(w.bet(fmt.Sprint("e", n), "p", float64(n)))
	}
	w.awaitBackfill()
	size := func() (n int) {
		t.Helper()
		if err := w.e.Checkpoint(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := w.e.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := w.s.Each(context.Background(), features.EntityKey{}, func(_ features.EntityKey, blob []byte) error {
			n += len(blob)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := size()
	if err := w.e.Use(context.Background(), few); err != nil {
		t.Fatal(err)
	}
	if after := size(); after > before/2 {
		t.Errorf("without most groups the state has %d bytes, with them %d", after, before)
	}
	w.apply(w.bet("between", "p", 60))
	if err := w.e.Use(context.Background(), few, all); err != nil {
		t.Fatal(err)
	}
	w.awaitBackfill()
	w.sets, w.set = []*features.Set{few, all}, all
	w.wantLikeJournal([]*features.Event{w.bet("x", "p", 61), w.bet("y", "q", 61)})
}

// newSetFile in a crash test's directory says that the child keeps the new groups too.
const newSetFile = "new-set"

// backfillChild changes the sets of a crash test's child where its parent asks for it.
func backfillChild(w *world) {
	if _, err := os.Stat(filepath.Join(w.dir, "backfills")); err != nil {
		return
	}
	withBackfill(w)
	w.cfg.OnCheckpoint = func(journal.Pos) {}
	few := compile(w.t, w.kinds, fewer)
	w.sets = []*features.Set{few, w.set}
	if _, err := os.Stat(filepath.Join(w.dir, newSetFile)); err != nil {
		w.sets, w.set = []*features.Set{few}, few
	}
}

// RunCrashBackfill is RunCrash with groups that are added between two deaths, and backfilled between the others.
func RunCrashBackfill(t *testing.T, subject Subject) {
	t.Helper()
	dir := t.TempDir()
	mark := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mark("backfills")
	ingested, decided := crashRounds(t, dir, 1, 700*time.Millisecond)
	mark(newSetFile)
	n, more := crashRounds(t, dir, 4, 250*time.Millisecond)
	for k := range more {
		decided[k] = true
	}
	ingested = max(ingested, n)
	t.Logf("%d records and %d decisions were acknowledged", ingested, len(decided))
	w := newWorld(t, subject, func(w *world) { w.dir = dir }, withConfig(smallCheckpoints), backfillChild)
	w.awaitBackfill()
	wantAcknowledged(w, ingested, decided)
}

// testCorrectionAcrossBackfill takes back, after a backfill, what happened before its group was there: on an entity that
// the old groups knew nothing of until the backfill had begun.
func testCorrectionAcrossBackfill(t *testing.T, subject Subject) {
	w, all := newFewerWorld(t, subject)
	game := func(m *pb.Event) {
		m.Entities = append(m.Entities, &pb.Identifier{Kind: "game", Value: "slots", Form: pb.Form_FORM_RAW})
		m.TransactionId = "t-" + m.EventId
	}
	w.apply(w.bet("a", "p1", 0, game))
	w.apply(w.bet("b", "p2", 1, game))
	if err := w.e.Use(context.Background(), w.set, all); err != nil {
		t.Fatal(err)
	}
	w.apply(w.bet("c", "p3", 2, game)) // the game's first event in the groups that warm up
	w.awaitBackfill()
	w.sets, w.set = []*features.Set{w.set, all}, all
	w.apply(w.bet("back", "p1", 3, game, func(m *pb.Event) {
		m.Type, m.Payload = "bet.rolled_back", &pb.Event_BetRolledBack{BetRolledBack: &pb.BetRolledBack{}}
		m.ReferenceTransactionId = "t-a"
	}))
	probe := w.bet("x", "p2", 4, game)
	w.wantValue(w.vector(probe), "exact_game_1h", 2)
	w.wantLikeJournal([]*features.Event{probe})
	w.restart(true)
	w.wantLikeJournal([]*features.Event{probe})
}
