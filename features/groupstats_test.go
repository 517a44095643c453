package features_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitboss/features"
)

// TestGroupStats holds what is counted of groups: events, late ones, duplicates, and how old the newest one was when a
// vector was read.
func TestGroupStats(t *testing.T) {
	e, set, opt := engineOf(t, `format: 1
name: one
version: '1'
groups:
  bets: {entity: player, match: {type: bet.placed}}
  kept: {entity: player, match: {type: bet.placed, amount_base: 7}}
  none: {entity: player, match: {type: payment.deposit_settled}}
features:
  - {name: n, group: bets, aggregate: count, window: 1h}
  - {name: since, group: kept, aggregate: time_since}
  - {name: deposits, group: none, aggregate: count, window: 1h}
`)
	bets := []aBet{{at: 1000, stake: 7}, {at: 1300, stake: 1}, {at: 1200, stake: 1}, {at: 1299, stake: 7}}
	for _, i := range []int{0, 1, 2, 3, 1, 3} {
		commit(t, e, bets[i].event(t, opt.Kinds, i))
	}
	for range 16 { // the first of sixteen is counted
		vectorOf(t, e, set, aBet{at: 1309, stake: 7}.event(t, opt.Kinds, 9))
	}
	ages := func(upTo ...uint64) map[float64]uint64 {
		all := map[float64]uint64{}
		for i, edge := range []float64{1, 10, 60, 600, 3600, 86400, 7 * 86400, 30 * 86400} {
			all[edge] = upTo[min(i, len(upTo)-1)]
		}
		return all
	}
	got := e.GroupStats()
	for i := range got {
		got[i].Group = got[i].Group[:4] // without the hash
	}
	want := []features.GroupStats{
		{Kind: "player", Group: "bets", Events: 4, Late: 1, Duplicates: 2, Ages: ages(0, 1), Aged: 1, AgeSeconds: 9},
		{Kind: "player", Group: "kept", Events: 2, Duplicates: 1, Ages: ages(0, 1), Aged: 1, AgeSeconds: 10},
		{Kind: "player", Group: "none", Ages: ages(0), NoEvent: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
