package features_test

import (
	"math"
	"testing"

	"pitboss/features"
)

// TestWhatStatusesBecome holds that a set says what stands for values of a status, and that the status stays.
func TestWhatStatusesBecome(t *testing.T) {
	const source = `format: 1
name: one
version: '1'
on: {late: missing, capped: missing}
groups:
  bets: {entity: player, match: {type: bet.placed}}
features:
  - {name: set, group: bets, aggregate: count, window: 1m}
  - {name: value, group: bets, aggregate: count, window: 1m, on: {late: value}}
  - {name: default, group: bets, aggregate: count, window: 1m, default: -1, on: {late: default}}
  - {name: missing, group: bets, aggregate: count, window: 1m, default: -1}
  - {name: of_set, aggregate: cel, expr: "set + 1.0", on: {late: value}}
  - {name: of_value, aggregate: cel, expr: "value + 1.0", on: {late: value}}
  - {name: of_value_too, aggregate: ratio, numerator: value, denominator: value}
  - {name: warm, group: bets, aggregate: count, window: 1m, on: {late: value, warming_up: missing}}
`
	e, set, opt := engineOf(t, source)
	commit(t, e, aBet{at: 7200, stake: 1}.event(t, opt.Kinds, 1))
	f := func(second int64, status features.Status, want ...float64) {
		t.Helper()
		v := vectorOf(t, e, set, aBet{at: second, stake: 1}.event(t, opt.Kinds, 2))
		for i, w := range want {
			if got := v.Values[i]; got != w && !(math.IsNaN(got) && math.IsNaN(w)) || v.Status[i] != status {
				t.Errorf("%s is %v (%v), want %v (%v)", set.Features[i].Name, got, v.Status[i], w, status)
			}
		}
	}
	nan := math.NaN()
	f(7201, features.Present, 2, 2, 2, 2, 3, 3, 1, 2)
	f(40, features.Late, nan, 0, -1, nan, nan, 1, nan, 0) // what is late counts whole tiles

	v := vectorOf(t, e, set, aBet{at: 7201, stake: 1}.event(t, opt.Kinds, 2))
	if len(v.Pins) != 1 || v.Pins[0].Newest != (1_767_268_800+7200)*1_000_000 || v.WarmingSince != 0 {
		t.Errorf("pins are %+v and the vector warms up since %d", v.Pins, v.WarmingSince)
	}
	for i, want := range []string{"late: missing, capped: missing", "capped: missing", "late: default, capped: missing"} {
		if got := set.Features[i].Policy; got != want {
			t.Errorf("%s has the policy %q, want %q", set.Features[i].Name, got, want)
		}
	}
}

// TestPolicyInHash holds that a policy is another set, and that one that changes nothing is none.
func TestPolicyInHash(t *testing.T) {
	hash := func(on string) [32]byte {
		t.Helper()
		_, set, _ := engineOf(t, "format: 1\nname: one\nversion: '1'\ngroups:\n  bets: {entity: player, match: {type: bet.placed}}\n"+
			"features:\n  - {name: n, group: bets, aggregate: count, window: 1m"+on+"}\n")
		return set.Hash
	}
	if hash("") != hash(", on: {late: value}") {
		t.Error("a policy that changes nothing is in the hash")
	}
	if hash("") == hash(", on: {late: missing}") || hash(", on: {late: missing}") == hash(", on: {stale: missing}") {
		t.Error("a policy is not in the hash")
	}
}
