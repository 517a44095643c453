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
