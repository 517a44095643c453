package features_test

import (
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
