package enginetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// transaction gives a bet its transaction.
func transaction(id string) func(*pb.Event) {
	return func(m *pb.Event) { m.TransactionId = id }
}

// rollback turns a bet into the taking back of a transaction.
func rollback(of string) func(*pb.Event) {
	return func(m *pb.Event) {
		m.Type, m.ReferenceTransactionId = "bet.rolled_back", of
		m.Payload = &pb.Event_BetRolledBack{BetRolledBack: &pb.BetRolledBack{}}
	}
}

// everywhere runs a check now, and after restarts of both kinds.
func (w *world) everywhere(check func()) {
	w.t.Helper()
	check()
	for _, cleanly := range []bool{false, true, false} {
		w.restart(cleanly)
		check()
	}
	if err := w.e.Checkpoint(context.Background()); err != nil {
		w.t.Fatalf("cannot make a checkpoint: %v", err)
	}
	check()
}

// want compares some values of what a bet of a player would see.
func (w *world) want(player string, second float64, want map[string]float64) *features.Vector {
	w.t.Helper()
	v := w.vector(w.bet("probe", player, second))
	for name, x := range want {
		w.wantValue(v, name, x)
	}
	return v
}

// testCorrections takes a bet back: once, however often it is said, in every entity that the bet named.
func testCorrections(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	game := func(m *pb.Event) {
		m.Entities = append(m.Entities, &pb.Identifier{Kind: "game", Value: "slots", Form: pb.Form_FORM_RAW})
	}
	w.apply(w.bet("kept", "p", 0, transaction("t0"), game))
	w.apply(w.bet("a", "p", 1, transaction("t1"), game))
	w.want("p", 2, map[string]float64{"bets_1m": 3, "stake_1h": 300, "ip_players_1h": 1, "since_bet": 1})
	// The one who takes it back names another player, and no game.
	back := w.bet("r", "q", 3, transaction("tr"), rollback("t1"))
	fly := w.vector(back)
	w.apply(back)
	wantSame(t, w.set, "the rollback on the fly and inside", fly, w.vector(back))
	counts := map[string]float64{"bets_1m": 2, "stake_1h": 200, "since_bet": 4, "attempts_24h": 3, "ip_stake_30d": 200}
	w.everywhere(func() { w.want("p", 4, counts) })
	w.want("q", 4, map[string]float64{"bets_1m": 1, "back_7d": 1})
	// The same rollback again, another one of the same bet, and one of a bet that never was.
	if _, err := w.e.Ingest(context.Background(), items([]*features.Event{
		w.resend(back), w.bet("r2", "q", 3, transaction("tr2"), rollback("t1")), w.bet("r3", "q", 3, transaction("tr3"), rollback("never")),
	})); err != nil {
		t.Fatal(err)
	}
	w.everywhere(func() { w.want("p", 4, counts) })
	w.wantLikeJournal([]*features.Event{w.bet("probe", "p", 4), w.bet("probe", "q", 4), w.bet("a", "p", 1, transaction("t1"), game)})
	// A decision about the bet that was taken back reads it as placed.
	v := w.vector(w.bet("a", "p", 1, transaction("t1"), game))
	if !v.Inside {
		t.Errorf("the bet is not inside")
	}
	w.wantValue(v, "bets_1m", 2)
	w.wantValue(v, "bets_5m", 1)
	// A withdrawal in the same way, and both in one batch.
	base := int64(700)
	request := w.bet("w", "p", 5, transaction("tw"), func(m *pb.Event) {
		m.Type = "payment.withdrawal_requested"
		m.Payload = &pb.Event_PaymentWithdrawalRequested{PaymentWithdrawalRequested: &pb.PaymentWithdrawalRequested{
			Amount: &pb.Money{AmountMinor: base, Currency: "EUR", BaseMinor: &base},
		}}
	})
	cancel := w.bet("x", "p", 6, transaction("tx"), func(m *pb.Event) {
		m.Type, m.ReferenceTransactionId = "payment.withdrawal_cancelled", "tw"
		m.Payload = &pb.Event_PaymentWithdrawalCancelled{PaymentWithdrawalCancelled: &pb.PaymentWithdrawalCancelled{}}
	})
	w.apply(request)
	w.want("p", 7, map[string]float64{"payouts_30d": 700})
	w.apply(cancel)
	w.want("p", 7, map[string]float64{"payouts_30d": 0, "back_7d": 1})
}

// testCorrectionFirst has the correction come before its original, with all that can happen between.
func testCorrectionFirst(t *testing.T, subject Subject) {
	for _, between := range []func(*world){
		func(*world) {}, func(w *world) { w.restart(true) }, func(w *world) { w.restart(false) },
		func(w *world) { _ = w.e.Checkpoint(context.Background()); w.restart(false) },
	} {
		w := newWorld(t, subject)
		w.apply(w.bet("kept", "p", 0))
		w.apply(w.bet("r", "p", 3, rollback("t1")))
		between(w)
		if n := w.e.Stats().CorrectionsWaiting; n > 1 {
			t.Errorf("%d corrections wait", n)
		}
		w.want("p", 4, map[string]float64{"bets_1m": 2})
		bet := w.bet("a", "p", 1, transaction("t1"))
		w.wantValue(w.vector(bet), "bets_1m", 2) // as it was placed
		w.apply(bet)
		if n := w.e.Stats().CorrectionsMet; n != 1 {
			t.Errorf("%d corrections met their original, want 1", n)
		}
		w.everywhere(func() {
			w.want("p", 4, map[string]float64{"bets_1m": 2, "since_bet": 4, "attempts_24h": 3, "stake_1h": 200})
		})
		w.wantLikeJournal([]*features.Event{w.bet("probe", "p", 4), bet})
	}
}

// testBlocked has pitboss block a bet: by the decision that brings it, and by one that comes after it.
func testBlocked(t *testing.T, subject Subject) {
	counts := map[string]float64{"bets_1m": 2, "attempts_24h": 3, "stake_1h": 200, "attempted_30d": 200}
	for _, kafkaFirst := range []bool{false, true} {
		w := newWorld(t, subject)
		w.blocked = map[string]bool{"a": true}
		w.apply(w.bet("kept", "p", 0))
		ev := w.bet("a", "p", 1, transaction("t1"))
		if kafkaFirst {
			w.apply(ev)
			w.want("p", 4, map[string]float64{"bets_1m": 3})
		}
		_, v := w.decide(ev)
		w.wantValue(v, "bets_1m", 2) // as it was placed
		if !kafkaFirst {
			w.applyIfNew(w.resend(ev))
		}
		w.everywhere(func() { w.want("p", 4, counts) })
		// Who rolls it back has nothing more to take.
		w.apply(w.bet("r", "p", 2, rollback("t1")))
		w.everywhere(func() { w.want("p", 4, counts) })
		w.wantLikeJournal([]*features.Event{w.bet("probe", "p", 4), ev})
		if n := w.e.Stats().Corrections; n != 0 {
			t.Errorf("%d corrections of what was blocked", n)
		}
	}
}

// testReplaced corrects an event: its amount, and then its player. Before and after it, and after it was rolled back.
func testReplaced(t *testing.T, subject Subject) {
	supersedes := func(id string) func(*pb.Event) { return func(m *pb.Event) { m.SupersedesEventId = id } }
	amount := func(minor int64) func(*pb.Event) {
		return func(m *pb.Event) { m.GetBetPlaced().GetAmount().BaseMinor = new(minor) }
	}
	w := newWorld(t, subject)
	events := []*features.Event{
		w.bet("a", "p", 0, transaction("t1")), w.bet("a2", "p", 1, supersedes("a"), amount(250)), w.bet("a3", "q", 2, supersedes("a2"), amount(260)),
		w.bet("b", "p", 3, transaction("t2")), w.bet("r", "p", 4, rollback("t2")), w.bet("b2", "p", 5, supersedes("b"), amount(7)),
	}
	c := newCasino(seed(t, 0))
	for range 4 {
		w = newWorld(t, subject)
		order := c.rng.Perm(len(events))
		for _, i := range order {
			w.apply(events[i])
			w.disturb(c)
		}
		w.everywhere(func() {
			w.want("p", 6, map[string]float64{"bets_1m": 2, "attempts_24h": 2, "stake_1h": 107, "attempted_30d": 7, "since_bet": 1})
			w.want("q", 6, map[string]float64{"bets_1m": 2, "stake_1h": 360, "attempts_24h": 2})
		})
		w.wantLikeJournal(events)
		if t.Failed() {
			t.Fatalf("in the order %v", order)
		}
	}
}

// testLostOriginal takes back a bet whose subject was erased: nobody can read it, and what may still hold it says so.
func testLostOriginal(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	w.apply(w.bet("kept", "q", 0))
	w.apply(w.bet("a", "p", 1, transaction("t1")))
	if err := w.e.Erase(context.Background(), "acme", &pb.Identifier{Kind: "player", Value: "p"}); err != nil {
		t.Fatal(err)
	}
	back := w.bet("r", "p", 3, rollback("t1"))
	fly := w.vector(back)
	w.apply(back)
	wantSame(t, w.set, "the rollback on the fly and inside", fly, w.vector(back))
	if n := w.e.Stats().CorrectionsLost; n != 1 {
		t.Errorf("%d corrections are lost, want 1", n)
	}
	w.everywhere(func() {
		v := w.want("q", 4, map[string]float64{"ip_stake_30d": 300})
		for i, f := range w.set.Features {
			want := map[string]features.Status{
				"ip_stake_30d": features.CorrectionMissed, "ip_players_1h": features.CorrectionMissed, "bets_1m": features.Present,
			}
			if s, ok := want[f.Name]; ok && v.Status[i] != s {
				t.Errorf("%s is %v, want %v", f.Name, v.Status[i], s)
			}
		}
	})
}

// testRemovedOriginal takes back a bet whose frame the journal no longer has.
func testRemovedOriginal(t *testing.T, subject Subject) {
	if subject.Durable {
		t.Skip("retention of files is by age and size: the journal in memory forgets at once")
	}
	subject.Journal = func(testing.TB, string) journal.Journal { return journal.NewMemory(journal.MemoryConfig{Forget: true}) }
	w := newWorld(t, subject)
	w.apply(w.bet("a", "p", 1, transaction("t1")))
	if err := w.e.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.apply(w.bet("b", "p", 2, transaction("t2")))
	w.apply(w.bet("r", "p", 3, rollback("t1")))
	w.apply(w.bet("s", "p", 3, rollback("t2")))
	w.apply(w.bet("r2", "p", 3, rollback("t1"))) // it counts as said
	if s := w.e.Stats(); s.CorrectionsLost != 1 || s.Corrections != 1 {
		t.Errorf("%d corrections are lost and %d are not, want 1 and 1", s.CorrectionsLost, s.Corrections)
	}
	w.everywhere(func() {
		v := w.want("p", 4, map[string]float64{"bets_1m": 2, "attempts_24h": 3})
		for i, f := range w.set.Features {
			want := map[string]features.Status{"bets_1m": features.CorrectionMissed, "stake_24h": features.CorrectionMissed, "attempts_24h": features.Present}
			if s, ok := want[f.Name]; ok && v.Status[i] != s {
				t.Errorf("%s is %v, want %v", f.Name, v.Status[i], s)
			}
		}
	})
}

// testCorrectionsAtOnce takes each of many bets back from several goroutines, while others send the bets.
func testCorrectionsAtOnce(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	const bets, callers = 40, 4
	var wg sync.WaitGroup
	send := func(ev *features.Event) {
		if _, err := w.e.Ingest(context.Background(), items([]*features.Event{ev})); err != nil {
			t.Errorf("cannot ingest %s: %v", ev.ID, err)
		}
	}
	for caller := range callers {
		wg.Go(func() {
			for n := range bets {
				n = (n*7 + caller*11) % bets
				switch caller {
				case 0:
					send(w.bet(fmt.Sprint("b", n), "p", float64(n)/10, transaction(fmt.Sprint("t", n))))
				case 1:
					send(w.bet(fmt.Sprint("s", n), "q", float64(n)/10, func(m *pb.Event) { m.SupersedesEventId = fmt.Sprint("b", n) }))
				default:
					send(w.bet(fmt.Sprint("r", caller, n), "p", float64(n)/10, rollback(fmt.Sprint("t", n))))
				}
			}
		})
	}
	wg.Wait()
	w.everywhere(func() {
		w.want("p", 5, map[string]float64{"bets_1m": 1, "attempts_24h": 1, "back_7d": 2 * bets, "ip_stake_30d": 100 * (bets + 1)})
		w.want("q", 5, map[string]float64{"bets_1m": bets + 1, "stake_1h": 100 * (bets + 1)})
	})
	w.wantLikeJournal([]*features.Event{w.bet("probe", "p", 5), w.bet("probe", "q", 5)})
	if n := w.e.Stats().Slots; n != 0 {
		t.Errorf("%d slots are held", n)
	}
}

// testCorrectionOfNewGroup takes back what a group never saw: it must not fall below what is there.
func testCorrectionOfNewGroup(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	set := compile(t, w.kinds, another)
	w.apply(w.bet("a", "p", 0, transaction("t1")))
	w.halt(true)
	w.sets = []*features.Set{w.set, set}
	w.start()
	w.apply(w.bet("b", "p", 1, transaction("t2")))
	w.apply(w.bet("c", "p", 2, transaction("t3")))
	w.apply(w.bet("r", "p", 3, rollback("t1")))
	w.apply(w.bet("s", "p", 4, rollback("t2")))
	w.everywhere(func() {
		v := vectorOf(t, w.e, set, w.bet("probe", "p", 5))
		if v.Values[0] != 2 || v.Status[0] == features.Present {
			t.Errorf("a new group has %v (%v), want the one bet that is left and the probe", v.Values[0], v.Status[0])
		}
		w.want("p", 5, map[string]float64{"bets_1m": 2, "attempts_24h": 4})
	})
}

// testLate sends an event 30 days late: it counts in every window that it still belongs to.
func testLate(t *testing.T, subject Subject) {
	const day = 86400
	w := newWorld(t, subject)
	w.apply(w.bet("now", "p", 30*day))
	late := func(id string, second float64, change ...func(*pb.Event)) {
		w.apply(w.bet(id, "p", second, append(change, func(m *pb.Event) { m.ReceivedAt = timestamp(int64(start2026+30*day) * 1e6) })...))
	}
	late("a", 1, transaction("t1"))
	late("b", 23*day+1)
	late("c", 29*day+1)
	late("d", 30*day-3599)
	late("e", 30*day-299)
	late("f", 30*day-59)
	for _, age := range w.e.Stats().Ages {
		if want := map[string]uint64{"1m-5m": 1, "5m-1h": 1, "1h-1d": 1, "1d-7d": 1, "7d-30d": 1}[age.Age]; age.Events != want {
			t.Errorf("%d events were late by %s, want %d", age.Events, age.Age, want)
		}
	}
	want := map[string]float64{"bets_1m": 3, "bets_5m": 3, "stake_1h": 500, "stake_24h": 600, "stake_7d_before": 600, "bets_30d": 8}
	w.everywhere(func() { w.want("p", 30*day, want) })
	late("r", 30*day-1, rollback("t1"))
	want["bets_30d"] = 7
	w.everywhere(func() { w.want("p", 30*day, want) })
	w.wantLikeJournal([]*features.Event{w.bet("probe", "p", 30*day)})
}
