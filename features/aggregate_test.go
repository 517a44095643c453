package features_test

import (
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// aBet is a bet of one player: seconds after noon on the first of January 2026, the stake in the base currency (noStake
// without) and attr_odds.
type aBet struct {
	at    int64
	stake int64
	odds  float64
	game  string
}

const noStake = -1

func (b aBet) event(t *testing.T, kinds *features.Kinds, n int) *features.Event {
	t.Helper()
	at := &timestamppb.Timestamp{Seconds: 1_767_268_800 + b.at}
	msg := &pb.Event{
		EventId: fmt.Sprintf("bet-%d", n), Tenant: "t", Type: "bet.placed", OccurredAt: at, ReceivedAt: at,
		Entities:   []*pb.Identifier{{Kind: "player", Value: "p"}},
		Attributes: map[string]*pb.Value{"odds": {Kind: &pb.Value_Number{Number: b.odds}}},
	}
	if b.game != "" {
		msg.Entities = append(msg.Entities, &pb.Identifier{Kind: "game", Value: b.game})
	}
	money := &pb.Money{AmountMinor: 1, Currency: "XXX"}
	if b.stake != noStake {
		money.BaseMinor = &b.stake
	}
	msg.Payload = &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: money}}
	return decoded(t, kinds, msg)
}

// aggregates reads one feature over bets, the last of which is being decided on.
type aggregates struct {
	*testing.T
}

func (a aggregates) check(feature string, want float64, wantStatus features.Status, bets ...aBet) {
	a.Helper()
	e, set, opt := engineOf(a, "format: 1\nname: one\nversion: '1'\ngroups:\n  bets: {entity: player, match: {type: bet.placed}}\n"+
		"features:\n  - {name: f, group: bets, "+feature+"}\n")
	for i, bet := range bets[:len(bets)-1] {
		commit(a, e, bet.event(a.T, opt.Kinds, i))
	}
	last := bets[len(bets)-1].event(a.T, opt.Kinds, len(bets))
	check := func(when string) {
		a.Helper()
		v := vectorOf(a, e, set, last)
		if got := v.Values[0]; got != want && !(math.IsNaN(got) && math.IsNaN(want)) || v.Status[0] != wantStatus {
			a.Errorf("%s %s is %v (%v), want %v (%v)", feature, when, got, v.Status[0], want, wantStatus)
		}
	}
	check("with the bet on the fly")
	commit(a, e, last)
	check("with the bet inside")
}

// spend gives bets a second apart.
func spend(stakes ...int64) []aBet {
	var bets []aBet
	for i, stake := range stakes {
		bets = append(bets, aBet{at: int64(i), stake: stake, odds: float64(stake) / 100})
	}
	return bets
}

// TestAggregatesOfSpread holds what std, cv, min, max and range make of values that anyone can work out.
func TestAggregatesOfSpread(t *testing.T) {
	a := aggregates{t}
	const of = ", value: amount_base, window: 1h"
	eight := spend(2, 4, 4, 4, 5, 5, 7, 9) // the textbook's: mean 5, deviation 2
	a.check("aggregate: std"+of, 2, features.Present, eight...)
	a.check("aggregate: cv"+of, 0.4, features.Present, eight...)
	a.check("aggregate: min"+of, 2, features.Present, eight...)
	a.check("aggregate: max"+of, 9, features.Present, eight...)
	a.check("aggregate: range"+of, 7, features.Present, eight...)
	const exclude = of + ", current: exclude"
	a.check("aggregate: std"+exclude, math.Sqrt(96)/7, features.Present, eight...)
	a.check("aggregate: max"+exclude, 7, features.Present, eight...)
	a.check("aggregate: range"+exclude, 5, features.Present, eight...)

	// A scale is inside only.
	const odds = ", value: attr_odds, scale: 100, window: 24h"
	a.check("aggregate: std"+odds, 0.02, features.Present, eight...)
	a.check("aggregate: cv"+odds, 0.4, features.Present, eight...)
	a.check("aggregate: range"+odds, 0.07, features.Present, eight...)

	// What has no value does not count.
	a.check("aggregate: std"+of, 1, features.Present, spend(1, noStake, 3)...)
	a.check("aggregate: min"+of, 1, features.Present, spend(1, noStake, 3)...)
	for _, agg := range []string{"std", "cv", "min", "max", "range"} {
		a.check("aggregate: "+agg+of, math.NaN(), features.Missing, spend(noStake)...)
		a.check("aggregate: "+agg+of+", default: 0", 0, features.Default, spend(noStake)...)
	}
	a.check("aggregate: std"+of, 0, features.Present, spend(8)...)
	a.check("aggregate: cv"+of, math.NaN(), features.Missing, spend(0, 0)...)

	// Large and close together: the difference of two sums of floats would be nothing but their rounding.
	a.check("aggregate: std"+of, 1, features.Present, spend(1e15-1, 1e15+1)...)
	a.check("aggregate: std, value: attr_odds, scale: 1, window: 1h", 1, features.Present, aBet{odds: 1e14 - 1}, aBet{at: 1, odds: 1e14 + 1})
	// Beyond what a square can hold, a value is none.
	a.check("aggregate: std, value: attr_odds, scale: 1, window: 1h", 1, features.Present, aBet{odds: 1}, aBet{at: 1, odds: 1e17}, aBet{at: 2, odds: 3})
}
