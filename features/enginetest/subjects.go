package enginetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// testSubjectKeys looks at what seals the frames.
func testSubjectKeys(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	key := func(pos journal.Pos) journal.KeyID {
		t.Helper()
		f, err := w.j.Get(pos)
		if err != nil {
			t.Fatalf("cannot read frame %v: %v", pos, err)
		}
		if f.KeyID == 0 {
			t.Errorf("frame %v is not sealed", pos)
		}
		return f.KeyID
	}
	n := 0
	bet := func(player string, change ...func(*pb.Event)) journal.KeyID {
		t.Helper()
		n++
		return key(w.apply(w.bet(fmt.Sprint("e", n), player, float64(n), change...)))
	}
	nobody := func(m *pb.Event) { m.Entities = m.Entities[1:] }
	p, q, tenant := bet("p"), bet("q"), bet("", nobody)
	if p == q || p == tenant || q == tenant {
		t.Errorf("keys of p, q and the tenant are %d, %d, %d", p, q, tenant)
	}
	for _, cleanly := range []bool{true, false, false, true} {
		if got := bet("p"); got != p {
			t.Errorf("p has key %d, had %d", got, p)
		}
		if got := bet("", nobody); got != tenant {
			t.Errorf("the tenant has key %d, had %d", got, tenant)
		}
		if got := bet("p", func(m *pb.Event) { m.Tenant = "other" }); got == p {
			t.Errorf("another tenant's p has the same key")
		}
		w.restart(cleanly)
	}
	v := w.bet("late", "q", 1000)
	if _, err := w.e.Ingest(context.Background(), items([]*features.Event{v})); err != nil {
		t.Fatal(err)
	}
	if pos, _ := w.decide(v); key(pos) != q {
		t.Errorf("the decision about q is sealed with key %d, want %d", key(pos), q)
	}
}

// testErasure erases a player, with a fault at every write of it, and again after a death.
func testErasure(t *testing.T, subject Subject) {
	faults := &faultyStates{left: -1}
	w := newWorld(t, subject, withFaultyStates(faults), withConfig(func(c *features.EngineConfig) { c.CheckpointFrames = 1 << 30 }))
	for step := 0; ; step++ {
		player := fmt.Sprint("p", step)
		decided := w.bet(fmt.Sprint("a", step), player, float64(step))
		pos, _ := w.decide(decided)
		applied := w.bet(fmt.Sprint("b", step), player, float64(step))
		w.apply(applied)
		if step%2 == 0 {
			if err := w.e.Checkpoint(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		f, err := w.j.Get(pos)
		if err != nil {
			t.Fatal(err)
		}
		faults.arm(step)
		err = w.e.Erase(context.Background(), "acme", &pb.Identifier{Kind: "player", Value: player, Form: pb.Form_FORM_ALIAS})
		faults.arm(-1)
		if err != nil && !errors.Is(err, errDisk) {
			t.Fatalf("step %d: a broken erasure: %v", step, err)
		}
		// The next start finishes what was begun.
		w.restart(step%3 == 0)
		if w.j.Keys().Has(f.KeyID) {
			t.Errorf("step %d: the key is still there", step)
		}
		if _, recordErr := w.e.Record(context.Background(), "acme", decided.Key.String()); !errors.Is(recordErr, features.ErrRecordErased) {
			t.Errorf("step %d: the decision: %v, want ErrRecordErased", step, recordErr)
		}
		next := w.bet(fmt.Sprint("c", step), player, float64(step)+1)
		v := w.vector(next)
		w.wantValue(v, "bets_30d", 1)
		if ip := w.value(v, "ip_stake_30d"); ip != float64(200*(step+1)+100*step+100) {
			t.Errorf("step %d: the address has %v", step, ip)
		}
		// What was inside before is not inside any more: nothing is taken away that is not there.
		nextPos := w.apply(next)
		v = w.vector(applied)
		w.wantValue(v, "stake_7d_before", 0)
		if nf, getErr := w.j.Get(nextPos); getErr != nil || nf.KeyID == f.KeyID || nf.KeyID == 0 {
			t.Errorf("step %d: after the erasure frames are sealed with key %d: %v", step, nf.KeyID, getErr)
		}
		if err == nil {
			if step < 4 {
				t.Errorf("only %d erasures were broken: the faults do not reach", step)
			}
			break
		}
	}
}

// testErasureOfBothSides erases a player of whom there is something as the other side of transfers.
func testErasureOfBothSides(t *testing.T, subject Subject) {
	w := newWorld(t, subject, func(w *world) {
		w.set = compile(t, w.kinds, `
format: 1
name: sides
version: "1"
groups:
  given: {entity: player, match: {type: bet.placed}}
  taken: {entity: counterparty, match: {type: bet.placed}}
features:
  - {name: given_1h, group: given, aggregate: count, window: 1h}
  - {name: taken_1h, group: taken, aggregate: count, window: 1h}
`)
		w.sets = []*features.Set{w.set}
	})
	to := func(other string) func(*pb.Event) {
		return func(m *pb.Event) {
			m.Entities = append(m.Entities, &pb.Identifier{Kind: "counterparty", Value: other, Form: pb.Form_FORM_ALIAS})
		}
	}
	for n, sides := range [][2]string{{"p", "q"}, {"q", "p"}, {"r", "p"}} {
		w.apply(w.bet(fmt.Sprint("e", n), sides[0], float64(n), to(sides[1])))
	}
	if err := w.e.Erase(context.Background(), "acme", &pb.Identifier{Kind: "player", Value: "p", Form: pb.Form_FORM_ALIAS}); err != nil {
		t.Fatal(err)
	}
	for _, cleanly := range []bool{true, false} {
		of := func(player, other string, given, taken float64) {
			t.Helper()
			v := w.vector(w.bet("asked", player, 10, to(other)))
			w.wantValue(v, "given_1h", given)
			w.wantValue(v, "taken_1h", taken)
		}
		of("p", "q", 1, 2) // the event asked about is inside both
		of("q", "p", 2, 1)
		w.restart(cleanly)
		if !subject.Durable {
			break
		}
	}
}

// testErasureOf erases what is not there to erase: somebody unknown, of a kind without state, of nonsense.
func testErasureOf(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	f := func(kind string, ok bool) {
		t.Helper()
		err := w.e.Erase(context.Background(), "acme", &pb.Identifier{Kind: kind, Value: "x", Form: pb.Form_FORM_ALIAS})
		if (err == nil) != ok {
			t.Errorf("erasing a %s: %v", kind, err)
		}
	}
	f("player", true)
	f("round", true)
	f("tenant", false)
	f("nonsense", false)
}
