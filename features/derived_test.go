package features_test

import (
	"math"
	"testing"

	"pitboss/features"
)

// derivations reads the last feature of a set, over bets of which the last is being decided on.
func (a aggregates) derived(list, name string, want float64, wantStatus features.Status, bets ...aBet) {
	a.Helper()
	e, set, opt := engineOf(a, "format: 1\nname: one\nversion: '1'\ngroups:\n  bets: {entity: player, match: {type: bet.placed}}\nfeatures:\n"+list)
	for i, bet := range bets[:len(bets)-1] {
		commit(a, e, bet.event(a.T, opt.Kinds, i))
	}
	last := bets[len(bets)-1].event(a.T, opt.Kinds, len(bets))
	check := func(when string) {
		a.Helper()
		v := vectorOf(a, e, set, last)
		for i, f := range set.Features {
			if got := v.Values[i]; f.Name == name && (got != want && !(math.IsNaN(got) && math.IsNaN(want)) || v.Status[i] != wantStatus) {
				a.Errorf("%s %s is %v (%v), want %v (%v)", name, when, got, v.Status[i], want, wantStatus)
			}
		}
	}
	check("with the bet on the fly")
	commit(a, e, last)
	check("with the bet inside")
}

// TestDerivedFeatures holds what CEL expressions make of a vector: each after what it reads, wherever it stands.
func TestDerivedFeatures(t *testing.T) {
	a := aggregates{t}
	const list = `
  - {name: share, aggregate: cel, expr: "double_mean / event.amount_base"}
  - {name: double_mean, aggregate: cel, expr: "2.0 * mean"}
  - {name: mean, group: bets, aggregate: mean, value: amount_base, window: 1h}
  - {name: last, group: bets, aggregate: mean, value: amount_base, window: 1h, current: exclude}
  - {name: of_last, aggregate: cel, expr: "last / mean"}
  - {name: of_last_or, aggregate: cel, expr: "last / mean", default: -1}
  - {name: per_last, aggregate: cel, expr: "1.0 / (last - mean)"}
  - {name: by_type, aggregate: cel, expr: "event.type == 'bet.placed' ? mean : last"}
  - {name: by_prefix, aggregate: cel, expr: "event.type.startsWith('bet.') ? mean : last"}
  - {name: no_field, aggregate: cel, expr: "mean + event.wagered_base"}
  - {name: large, aggregate: cel, expr: "mean > 3.0"}
  - {name: odds, aggregate: cel, expr: "mean + event.attr_odds"}
  - {name: of_derived, aggregate: ratio, numerator: share, denominator: large}
`
	nan := math.NaN()
	a.derived(list, "share", 1.5, features.Present, spend(2, 4)...) // a mean of 3, twice, by 4
	a.derived(list, "of_last", 2.0/3, features.Present, spend(2, 4)...)
	a.derived(list, "of_last", nan, features.Missing, spend(2)...)
	a.derived(list, "of_last_or", -1, features.Default, spend(2)...)
	a.derived(list, "per_last", -1, features.Present, spend(2, 4)...)
	a.derived(list, "per_last", nan, features.Missing, spend(2, 2)...) // divided by zero
	a.derived(list, "by_type", 3, features.Present, spend(2, 4)...)
	a.derived(list, "by_type", nan, features.Missing, spend(2)...) // last is missing, if it is used or not
	a.derived(list, "by_prefix", 3, features.Present, spend(2, 4)...)
	a.derived(list, "large", 0, features.Present, spend(2, 4)...)
	a.derived(list, "odds", 3.04, features.Present, spend(2, 4)...)
	a.derived(list, "of_derived", nan, features.Missing, spend(2, 4)...) // by 0
	a.derived(list, "of_derived", 2, features.Present, spend(10, 6, 8)...)
}

// TestDerivedFeaturesSayWhatIsNotLowered holds what check reports.
func TestDerivedFeaturesSayWhatIsNotLowered(t *testing.T) {
	_, set, _ := engineOf(t, `format: 1
name: one
version: '1'
groups: {bets: {entity: player, match: {type: bet.placed}}}
features:
  - {name: n, group: bets, aggregate: count, window: 1h}
  - {name: fast, aggregate: cel, expr: "n / 60.0"}
  - {name: slow, aggregate: cel, expr: "event.brand.startsWith('a') ? n : 0.0"}
`)
	if got := set.Features[1]; got.Unlowered != "" || got.Expression != "n / 60.0" || got.Class != "read_time" {
		t.Errorf("fast is %+v", got)
	}
	if got := set.Features[2].Unlowered; got != "the function startsWith" {
		t.Errorf("what of slow is not lowered is %q", got)
	}
}

// TestZScores compares the event's own value, or a feature's, with a baseline that leaves the event out.
func TestZScores(t *testing.T) {
	a := aggregates{t}
	const of = "aggregate: zscore, value: amount_base, window: 1h"
	textbook := spend(2, 4, 4, 4, 5, 5, 7, 9, 11) // before the last: mean 5, deviation 2
	a.check(of, 3, features.Present, textbook...)
	a.check(of+", min_count: 8", 3, features.Present, textbook...)
	a.check(of+", min_count: 9", math.NaN(), features.Missing, textbook...)
	a.check(of+", min_count: 9, default: 0", 0, features.Default, textbook...)
	a.check(of, -1.5, features.Present, spend(2, 4, 4, 4, 5, 5, 7, 9, 2)...)
	a.check(of, math.NaN(), features.Missing, spend(3, 3, 3, 3, 3, 3, 9)...)          // no spread
	a.check(of, math.NaN(), features.Missing, spend(2, 4, 4, 4, 5, 5, 7, noStake)...) // no value of its own
	a.check(of, math.NaN(), features.Missing, spend(2, 4, 4, 4, 5)...)                // four before it
	a.check(of+", current: include, min_count: 2", 1, features.Present, spend(1, 3)...)
	a.check("aggregate: zscore, value: attr_odds, scale: 100, window: 24h", 3, features.Present, textbook...)

	const list = `
  - {name: of_mean, group: bets, aggregate: zscore, value: amount_base, window: 1h, of: mean}
  - {name: mean, group: bets, aggregate: mean, value: amount_base, window: 1h}
  - {name: twice, aggregate: cel, expr: "of_mean * 2.0"}
`
	nine := spend(2, 4, 4, 4, 5, 5, 7, 9, 14) // a mean of 6 with it
	a.derived(list, "of_mean", 0.5, features.Present, nine...)
	a.derived(list, "twice", 1, features.Present, nine...)
}
