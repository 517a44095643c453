package features_test

import (
	"maps"
	"strings"
	"testing"
)

// TestValueStats holds that every sixteenth vector is counted, by status, and what is missing to the model.
func TestValueStats(t *testing.T) {
	e, set, opt := engineOf(t, `format: 1
name: one
version: '1'
groups: {bets: {entity: player, match: {type: bet.placed}}}
features:
  - {name: n, group: bets, aggregate: count, window: 1h}
  - {name: none, group: bets, aggregate: mean, value: attr_none, scale: 1, window: 1h}
  - {name: or, group: bets, aggregate: mean, value: attr_none, scale: 1, window: 1h, default: 0}
`)
	for i := range 33 {
		vectorOf(t, e, set, aBet{at: int64(i), stake: 1}.event(t, opt.Kinds, i))
	}
	for i, want := range []map[string]uint64{{"present": 3}, {"missing": 3}, {"default": 3}} {
		got := e.ValueStats()[i]
		if nulls := want["missing"]; !maps.Equal(got.Statuses, want) || got.Nulls != nulls || !strings.HasPrefix(got.Set, "one ") || got.Feature != set.Features[i].Name {
			t.Errorf("got %+v, want %v and %d nulls", got, want, nulls)
		}
	}
}

// TestValueAges holds how old what is behind each feature was: the newest event of its group in its window, without the one
// that is asked for.
func TestValueAges(t *testing.T) {
	e, set, opt := engineOf(t, `format: 1
name: one
version: '1'
groups:
  bets: {entity: player, match: {type: bet.placed}}
  kept: {entity: player, match: {type: bet.placed, amount_base: 7}}
features:
  - {name: hour, group: bets, aggregate: count, window: 1h}
  - {name: minute, group: bets, aggregate: count, window: 1m}
  - {name: before, group: bets, aggregate: count, window: 24h, current: exclude}
  - {name: since, group: kept, aggregate: time_since}
  - {name: shifted, group: bets, aggregate: count, window: 24h, shift: 1d}
  - {name: share, aggregate: ratio, numerator: since, denominator: minute}
  - {name: amount, aggregate: value, value: amount_base}
`)
	for i, bet := range []aBet{{at: 1000, stake: 7}, {at: 1300, stake: 1}} {
		commit(t, e, bet.event(t, opt.Kinds, i))
	}
	for range 16 { // the first of sixteen is counted
		vectorOf(t, e, set, aBet{at: 1400, stake: 7}.event(t, opt.Kinds, 9))
	}
	type figures struct {
		aged, none uint64
		age        float64
		groups     int
	}
	want := map[string]figures{
		"hour": {1, 0, 100, 1}, "minute": {0, 1, 0, 1}, "before": {1, 0, 100, 1}, "since": {1, 0, 400, 1},
		"shifted": {groups: 1}, "share": {1, 0, 400, 2}, "amount": {},
	}
	for _, s := range e.ValueStats() {
		if got := (figures{s.Aged, s.NoEvent, s.AgeSeconds, len(s.Groups)}); got != want[s.Feature] {
			t.Errorf("%s: %+v, want %+v", s.Feature, got, want[s.Feature])
		}
	}
}
