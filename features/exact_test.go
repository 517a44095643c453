package features_test

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

const exactSet = `
format: 1
name: exact
version: "1"
groups:
  bets: {entity: player, match: {type: bet.placed}, exact: 3}
features:
  - {name: count_1h, group: bets, aggregate: count, window: 1h}
  - {name: before_24h, group: bets, aggregate: sum, value: amount_base, window: 24h, current: exclude}
  - {name: mean_24h, group: bets, aggregate: mean, value: amount_base, window: 24h}
  - {name: since, group: bets, aggregate: time_since}
`

// TestExactMode decides on bets of a group that keeps its newest three: a window of no more is exact to the microsecond,
// a fuller one is what it is without exact mode, and each value says which it was.
func TestExactMode(t *testing.T) {
	e, set, opt := engineOf(t, exactSet)
	bet := func(id string, micros int64) *features.Event {
		ts := &timestamppb.Timestamp{Seconds: 1_767_225_600 + micros/1_000_000, Nanos: int32(micros % 1_000_000 * 1000)}
		amount := int64(100)
		return decoded(t, opt.Kinds, &pb.Event{
			EventId: id, Tenant: "t", OccurredAt: ts, ReceivedAt: ts, Type: "bet.placed",
			Entities: []*pb.Identifier{{Kind: "player", Value: "p", Form: pb.Form_FORM_ALIAS}},
			Payload:  &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: amount, Currency: "EUR", BaseMinor: &amount}}},
		})
	}
	const hour = 3_600_000_000
	f := func(id string, at int64, count, before float64, status ...features.Status) {
		t.Helper()
		ev := bet(id, at)
		fly := vectorOf(t, e, set, ev)
		commit(t, e, ev)
		for when, v := range map[string]*features.Vector{"on the fly": fly, "inside": vectorOf(t, e, set, ev)} {
			if v.Values[0] != count || v.Values[1] != before || v.Status[0] != status[0] || v.Status[1] != status[1] || v.Status[3] == features.FromTiles {
				t.Errorf("%s, %s: got %v %v, want %v %v %v", id, when, v.Values, v.Status, count, before, status)
			}
		}
	}
	f("a", 500_000, 1, 0, features.Present, features.Present)
	f("b", hour+499_999, 2, 100, features.Present, features.Present)
	// A microsecond later a has left the hour; without exact mode it would count for up to a minute more.
	f("c", hour+500_000, 2, 200, features.Present, features.Present)
	f("d", 2*hour, 3, 300, features.Present, features.Present)
	// The fifth within a day, and three at most are kept: with the one being decided left out there are still four.
	f("e", 2*hour+1, 4, 400, features.FromTiles, features.FromTiles)
	f("f", 30*hour, 1, 0, features.Present, features.Present)

	info := set.Features[0]
	if !strings.HasPrefix(info.Contract, "1h: (t-1h, t] while no more than 3 events are newer than t-1h, with more 1h: from t-1h, rounded down") || info.Exact != 3 {
		t.Errorf("the contract is %q, exact %d", info.Contract, info.Exact)
	}
	if since := set.Features[3]; since.Exact != 0 || since.Contract != "seconds since the newest event by the end of t's second" {
		t.Errorf("a time is %+v", since)
	}
	if set.Groups[0].Hash == mustCompile(t, strings.ReplaceAll(exactSet, ", exact: 3", "")).Groups[0].Hash {
		t.Error("a group without exact mode has the same hash")
	}
}

func mustCompile(t *testing.T, yaml string) *features.Set {
	t.Helper()
	set, err := features.CompileSet([]byte(yaml), "set.yml", compileOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const exactTables = `
format: 1
name: exact
version: "1"
groups:
  bets: {entity: player, match: {type: bet.placed}, exact: 3}
features:
  - {name: share, group: bets, aggregate: top_share, value: game, slots: 32, window: 1h}
  - {name: entropy, group: bets, aggregate: entropy, value: game, slots: 32, window: 1h, current: exclude}
  - {name: median, group: bets, aggregate: quantile, q: 0.5, value: amount_base, max: 1000, window: 1h}
  - {name: decayed, group: bets, aggregate: decayed_count, half_life: 10m, window: 1h}
  - {name: stakes, group: bets, aggregate: decayed_sum, value: amount_base, half_life: 10m, window: 1h}
  - {name: hours, group: bets, aggregate: active_hours, window: 7d}
  - {name: earlier, group: bets, aggregate: top_share, value: game, slots: 16, window: 24h, shift: 1d}
`

// TestExactTables has what is counted by slot, and what is decayed, read to the microsecond, too; a fuller window is read from
// tiles, and says so, like what has no exact form.
func TestExactTables(t *testing.T) {
	e, set, opt := engineOf(t, exactTables)
	n := 0
	f := func(second int64, game string, stake int64, want ...float64) {
		t.Helper()
		n++
		ev := aBet{at: second, game: game, stake: stake}.event(t, opt.Kinds, n)
		fly := vectorOf(t, e, set, ev)
		commit(t, e, ev)
		for when, v := range map[string]*features.Vector{"on the fly": fly, "inside": vectorOf(t, e, set, ev)} {
			for i, w := range want {
				status, got := features.Present, v.Values[i]
				switch {
				case math.IsNaN(w):
					status = features.Missing
				case i == 5 || n > 4 && i != 1: // without the bet itself there are three
					status = features.FromTiles
				}
				if got != w && !(math.IsNaN(got) && math.IsNaN(w)) || v.Status[i] != status {
					t.Errorf("bet %d, %s: %s is %v (%v), want %v (%v)", n, when, set.Features[i].Name, got, v.Status[i], w, status)
				}
			}
		}
	}
	nan := math.NaN()
	f(0, "slots", 4, 1, nan, 4, 1, 4, 1)
	f(600, "dice", 8, 0.5, 0, 4, 1.5, 10, 1)
	f(1200, "slots", 2, 2.0/3, 1, 4, 1.75, 7, 1)
	// An hour after the first: tiles would count it still, for they end with its minute.
	f(3600, "dice", 16, 2.0/3, 1, 8, 1+1.0/32+1.0/16, 16+8.0/32+2.0/16, 2)
	// The fifth of four within an hour is too many.
	f(3601, "slots", 1, 0.6, 0.9182958340544894, 4)

	for i, want := range []int{3, 3, 3, 3, 3, 0, 0} {
		if info := set.Features[i]; info.Exact != want || strings.HasSuffix(info.Contract, "has no exact form") != (want == 0) {
			t.Errorf("%s is exact up to %d: %s", info.Name, info.Exact, info.Contract)
		}
	}
}
