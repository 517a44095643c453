package features_test

import (
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

const pairSet = `
format: 1
name: pairs
version: "1"
groups:
  device_bets: {entity: device, match: {type: bet.placed}}
  bets: {entity: player, match: {type: bet.placed}}
features:
  - {name: with_1h, group: bets, other: device_bets, aggregate: same_slot_share, window: 1h}
  - {name: before_1h, group: bets, other: device_bets, aggregate: same_slot_share, window: 1h, current: exclude}
  - {name: of_device, group: device_bets, other: bets, aggregate: same_slot_share, window: 1h}
  - {name: count, group: bets, aggregate: count, window: 1h}
`

// TestSameSlotShare has two players on one device: in some minutes both bet, in some one alone.
func TestSameSlotShare(t *testing.T) {
	e, set, opt := engineOf(t, pairSet)
	n := 0
	bet := func(player, device string, second int64) *features.Event {
		at := &timestamppb.Timestamp{Seconds: 1_767_268_800 + second}
		n++
		msg := &pb.Event{
			EventId: fmt.Sprint("bet-", n), Tenant: "t", Type: "bet.placed", OccurredAt: at, ReceivedAt: at,
			Entities: []*pb.Identifier{{Kind: "player", Value: player}},
			Payload:  &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: 1, Currency: "EUR"}}},
		}
		if device != "" {
			msg.Entities = append(msg.Entities, &pb.Identifier{Kind: "device", Value: device})
		}
		return decoded(t, opt.Kinds, msg)
	}
	f := func(ev *features.Event, with, before, ofDevice float64) {
		t.Helper()
		check := func(when string) {
			t.Helper()
			v := vectorOf(t, e, set, ev)
			for i, want := range []float64{with, before, ofDevice} {
				if got := v.Values[i]; got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
					t.Errorf("%s %s: %s is %v (%v), want %v", ev.ID, when, set.Features[i].Name, got, v.Status[i], want)
				}
				if missing := math.IsNaN(want); missing != (v.Status[i] == features.Missing) {
					t.Errorf("%s %s: %s is %v", ev.ID, when, set.Features[i].Name, v.Status[i])
				}
			}
		}
		check("on the fly")
		commit(t, e, ev)
		check("inside")
	}
	nan := math.NaN()
	f(bet("anna", "d", 0), 0, nan, 0)
	f(bet("anna", "d", 1), 0, 0, 0)
	f(bet("bert", "d", 2), 1, nan, 0) // bert meets anna: the device has three, he one
	f(bet("anna", "d", 3), 1, 1, 0)   // and anna bert
	f(bet("anna", "d", 63), 0.75, 1, 0)
	f(bet("bert", "d", 119), 1, 1, 0) // in the same minute, 56 s later
	f(bet("bert", "d", 120), 2.0/3, 1, 0)
	f(bet("anna", "other", 121), 0, 0, 0)     // nobody else is on that device, ever
	f(bet("anna", "d", 122), 4.0/6, 4.0/5, 0) // two of hers and one of his: of the two one is elsewhere, so not more than hers
	f(bet("anna", "", 3599), nan, nan, nan)   // without a device there is nobody to meet
	f(bet("anna", "d", 2*3600), 0, nan, 0)

	slot, err := e.Admit(t.Context(), bet("anna", "d", 2*3600+1))
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Release()
	var v features.Vector
	if n := testing.AllocsPerRun(100, func() { err = e.Vector(t.Context(), slot, set, &v) }); n != 0 || err != nil {
		t.Errorf("%v allocations a vector (%v), want 0", n, err)
	}
}
