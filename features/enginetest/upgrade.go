package enginetest

import (
	"context"
	"slices"
	"testing"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// heldSides do not open before they are released.
type heldSides struct {
	features.Sides
	release chan struct{}
}

func (s *heldSides) Open(name string) (features.States, error) {
	<-s.release
	return s.Sides.Open(name)
}

// testPinAcrossBackfill takes an event back while the groups that hold it are built beside: what changed last is inside the
// game then, and its position says so, though the game's groups that were there knew nothing of either.
func testPinAcrossBackfill(t *testing.T, subject Subject) {
	w, all := newFewerWorld(t, subject)
	held := &heldSides{w.sides.Sides, make(chan struct{})}
	w.sides.Sides = held
	game := func(m *pb.Event) {
		m.Entities = append(m.Entities, &pb.Identifier{Kind: "game", Value: "slots", Form: pb.Form_FORM_RAW})
		m.TransactionId = "t-" + m.EventId
	}
	w.apply(w.bet("a", "p1", 0, game))
	if err := w.e.Use(context.Background(), w.set, all); err != nil {
		t.Fatal(err)
	}
	w.apply(w.bet("b", "p2", 1, game))
	back := w.apply(w.bet("back", "p1", 2, func(m *pb.Event) {
		m.Type, m.Payload = "bet.rolled_back", &pb.Event_BetRolledBack{BetRolledBack: &pb.BetRolledBack{}}
		m.ReferenceTransactionId = "t-a"
	}))
	close(held.release)
	w.awaitBackfill()
	w.sets, w.set = []*features.Set{w.set, all}, all
	for range 2 {
		v := w.vector(w.bet("x", "p3", 3, game))
		w.wantValue(v, "exact_game_1h", 2)
		if at := slices.IndexFunc(v.Pins, func(p features.Pin) bool { return p.Entity == 2 }); at < 0 || v.Pins[at].Pos != back {
			t.Errorf("the pins are %v, want the game at %v", v.Pins, back)
		}
		w.restart(false)
	}
}
