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

// games gives bets a second apart on games.
func games(names ...string) []aBet {
	var bets []aBet
	for i, name := range names {
		bets = append(bets, aBet{at: int64(i), stake: 1, game: name, odds: float64(i)})
	}
	return bets
}

// TestAggregatesOfCounts holds top_share, entropy and quantile.
func TestAggregatesOfCounts(t *testing.T) {
	a := aggregates{t}
	const hashed = ", value: game, slots: 32, window: 24h"
	four := games("slots", "dice", "slots", "slots") // the two fall into two slots
	a.check("aggregate: top_share"+hashed, 0.75, features.Present, four...)
	a.check("aggregate: entropy"+hashed, 0.8112781244591328, features.Present, four...)
	a.check("aggregate: top_share"+hashed+", current: exclude", 2.0/3, features.Present, four...)
	a.check("aggregate: entropy"+hashed, 0, features.Present, games("slots", "slots")...)
	a.check("aggregate: entropy"+hashed, 1, features.Present, games("slots", "", "dice")...) // one names no game
	a.check("aggregate: entropy"+hashed, math.NaN(), features.Missing, games("")...)
	a.check("aggregate: top_share"+hashed+", default: 1", 1, features.Default, games("")...)

	// Of numbers, what is not declared is one more category.
	const declared = ", value: attr_odds, categories: [0, 1], window: 1h"
	a.check("aggregate: top_share"+declared, 0.5, features.Present, games("", "", "", "")...) // 0, 1, 2 and 3
	a.check("aggregate: entropy"+declared, 1.5, features.Present, games("", "", "", "")...)

	// A quantile is exact below 32, and within a thirty-second of the value beyond.
	const q = "aggregate: quantile, value: amount_base, window: 1h, q: "
	ten := spend(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	a.check(q+"0.5", 5, features.Present, ten...)
	a.check(q+"0.51", 6, features.Present, ten...)
	a.check(q+"0.95", 10, features.Present, ten...)
	a.check(q+"0.000001", 1, features.Present, ten...)
	a.check(q+"0.5, current: exclude", 5, features.Present, ten...)
	a.check(q+"0.95", 1007.5, features.Present, spend(7, 1000, noStake)...) // the middle of 992 to 1023
	a.check(q+"0.95, max: 900", 898, features.Present, spend(7, 1000)...)   // the middle of 896 to 900
	a.check(q+"0.95", math.NaN(), features.Missing, spend(noStake)...)
	a.check("aggregate: quantile, value: attr_odds, scale: 100, q: 0.5, window: 1h", 0.05, features.Present, spend(5, 1, 9)...)
}

// TestAggregatesOfTime holds decayed values, shifted windows and first_seen.
func TestAggregatesOfTime(t *testing.T) {
	a := aggregates{t}
	at := func(second, stake int64) aBet { return aBet{at: second, stake: stake} }
	// Steps of a second: 2^-0, 2^-1 and 2^-2.
	three := []aBet{at(0, 400), at(10, 200), at(20, 100)}
	a.check("aggregate: decayed_count, half_life: 10s, window: 1m", 1.75, features.Present, three...)
	a.check("aggregate: decayed_sum, value: amount_base, half_life: 10s, window: 1m", 300, features.Present, three...)
	a.check("aggregate: decayed_sum, value: amount_base, half_life: 10s, window: 1m, current: exclude", 200, features.Present, three...)
	a.check("aggregate: decayed_count, half_life: 10s, window: 1m, current: exclude", 0, features.Present, at(0, 1))

	const day = 86400
	days := []aBet{at(0, 1), at(day, 10), at(2*day, 100), at(3*day, 1000)}
	a.check("aggregate: sum, value: amount_base, window: 24h, shift: 1d", 10, features.Present, days...)
	a.check("aggregate: count, window: 7d, shift: 1d", 2, features.Present, days...) // the third lies at its end, and is out
	a.check("aggregate: count, window: 7d, shift: 36h", 2, features.Present, days...)
	a.check("aggregate: mean, value: amount_base, window: 7d, shift: 36h", 5.5, features.Present, days...)
	a.check("aggregate: std, value: amount_base, window: 7d, shift: 36h", 4.5, features.Present, days...)
	a.check("aggregate: quantile, q: 0.9, value: amount_base, window: 7d, shift: 36h", 10, features.Present, days...)
	a.check("aggregate: mean, value: amount_base, window: 30d, shift: 60d", 277.75, features.Present, append(days, at(90*day, 1))...)

	a.check("aggregate: first_seen", 3*day, features.Present, days...)
	a.check("aggregate: first_seen", 0, features.Present, at(0, 1))
	a.check("aggregate: first_seen, current: exclude", math.NaN(), features.Missing, at(0, 1))
	// It outlives every window.
	a.check("aggregate: first_seen, current: exclude", 400*day, features.Present, at(0, 1), at(400*day, 1))
}

// TestAggregatesOfMany holds that few values are counted as they are, and many within a few standard errors.
func TestAggregatesOfMany(t *testing.T) {
	a := aggregates{t}
	const of = "aggregate: distinct_large, value: game, window: 24h"
	a.check(of, 2, features.Present, games("slots", "dice", "slots")...)
	a.check(of+", current: exclude", 1, features.Present, games("slots", "slots", "dice")...)
	a.check(of, 0, features.Present, games("")...)
	var twenty []string
	for i := range 60 {
		twenty = append(twenty, fmt.Sprint("game-", i%20))
	}
	a.check(of, 20, features.Present, games(twenty...)...)
}

// TestAggregatesOfHours plays 16 hours a day for a week, and then a day and a half without sleep.
func TestAggregatesOfHours(t *testing.T) {
	a := aggregates{t}
	const hour = 3600
	var week []aBet
	for h := range int64(7 * 24) {
		if h%24 < 16 {
			week = append(week, aBet{at: h * hour})
		}
	}
	a.check("aggregate: active_hours, window: 7d", 16, features.Present, week...)
	a.check("aggregate: quiet_gap, window: 7d", 8*hour, features.Present, week...)
	for h := range int64(36) {
		week = append(week, aBet{at: (6*24 + 16 + h) * hour})
	}
	a.check("aggregate: active_hours, window: 30d", 24, features.Present, week...)
	a.check("aggregate: quiet_gap, window: 30d", 0, features.Present, week...)
	a.check("aggregate: quiet_gap, window: 7d", 0, features.Present, append(week, aBet{at: 14 * 24 * hour})...) // until it leaves the window
	a.check("aggregate: quiet_gap, window: 7d", 24*hour, features.Present, append(week, aBet{at: 16 * 24 * hour})...)
	one := []aBet{{at: 0}}
	a.check("aggregate: active_hours, window: 7d", 1, features.Present, one...)
	a.check("aggregate: quiet_gap, window: 7d", 24*hour, features.Present, one...)
	a.check("aggregate: active_hours, window: 7d, current: exclude", 0, features.Present, one...)
	a.check("aggregate: quiet_gap, window: 7d, current: exclude", math.NaN(), features.Missing, one...)
}
