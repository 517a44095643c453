package registry_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pitboss/features"
	"pitboss/registry"
)

const worded = "testdata/worded"

func loadWorded(t testing.TB) *registry.Bundle {
	t.Helper()
	b, err := registry.Load(worded, config(t))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A language is answered in only where every text has it: French, which has one text, is not.
func TestLanguages(t *testing.T) {
	b := loadWorded(t)
	if !slices.Equal(b.Languages, []string{"de", "en"}) {
		t.Fatalf("languages are %v", b.Languages)
	}
	for asked, want := range map[string]string{"": "en", "en": "en", "de": "de", "de-AT": "de", "fr": "en", "fr-FR": "en", "en-GB": "en", "xx": "en"} {
		if got := b.Language(asked); got != want {
			t.Errorf("%q is answered in %q, want %q", asked, got, want)
		}
	}
	bare, err := registry.Load(tiny, config(t))
	if err != nil || !slices.Equal(bare.Languages, []string{"en"}) || bare.Profile != nil || bare.Reference != nil {
		t.Errorf("a bundle without profile, sample and other languages: %v, %+v", err, bare)
	}
	device := b.Reasons.List[4].Player
	if de, fr := device.In("de").Execute(nil), device.In("fr").Execute(nil); de != "Ihr Gerät" || fr != "Bonjour" {
		t.Errorf("texts are %q and %q", de, fr)
	}
	if got := b.Reasons.Phrases.NoScore.In("de").Execute(nil); got != "Es gibt keine Bewertung" {
		t.Errorf("no score is %q", got)
	}
	if got := registry.FallbackPolicy().Phrases.NoScorePlayer.In("de").Execute(nil); got != "This could not be checked completely" {
		t.Errorf("without a bundle: %q", got)
	}
}

// The percentile is the mean of the shares below and at most: by hand from the training rows that the profile counts.
func TestPercentiles(t *testing.T) {
	b := loadWorded(t)
	at := func(name string) int {
		return slices.IndexFunc(b.Set.Features, func(f features.FeatureInfo) bool { return f.Name == name })
	}
	f := func(feature string, value, want float64, known bool) {
		t.Helper()
		got, ok := b.Percentile(at(feature), value)
		if ok != known || math.Abs(got-want) > 1e-12 {
			t.Errorf("%s of %v is at %v, %v; want %v, %v", feature, value, got, ok, want, known)
		}
	}
	// bets_1m is 1 in 826 of 4,000 rows, 2 in 1,207.
	f("bets_1m", 0, 0, true)
	f("bets_1m", 1, 100*826/2.0/4000, true)
	f("bets_1m", 2, 100*(826+1207/2.0)/4000, true)
	f("bets_1m", 1.5, 100*826/4000.0, true)
	f("bets_1m", 1000, 100, true)
	f("bets_1m", math.NaN(), 0, false)
	f("unused_by_the_model", 3, 0, false)
	// Ranks never fall, and are 0 to 100.
	for column := range b.Columns {
		last := 0.0
		for v := -10.0; v < 1e5; v = v*1.07 + 1.3 {
			p, ok := b.Profile.Percentile(column, v)
			if !ok || p < last || p > 100 {
				t.Fatalf("column %d at %v: %v, %v after %v", column, v, p, ok, last)
			}
			last = p
		}
	}
}

func TestProfileRefuses(t *testing.T) {
	f := func(before, after, want string) {
		t.Helper()
		if _, err := registry.Load(editedOf(t, worded, "profile.json", before, after), config(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s for %s: %v, want %q", after, before, err, want)
		}
	}
	const first = `{"name":"stake_1h","missing":0,"x":[`
	f(`"format":1`, `"format":2`, "format is 2")
	f(`"format":1`, `"format":1,"extra":1`, "unknown field")
	f(`"rows":4000`, `"rows":0`, "rows is 0")
	f(`"rows":4000`, `"rows":4001`, "at most the last, want 0 and 4001")
	f(`"stake_1h"`, `"stake_2h"`, `features[0] is "stake_2h"`)
	f(first, first+`1e300,`, `features[0] "stake_1h"`)
	f(`"missing":0`, `"missing":-1`, "missing is -1")
	f(`"missing":0`, `"missing":4001`, "missing is 4001")
	f(`"below":[0,`, `"below":[3,`, "x[0]")
	f(`]}`+"\n", `]} {}`+"\n", "invalid character")
	f(`{"name":"stake_1h"`, `{"name":"stake_1h","missing":4000,"x":[],"below":[],"at_most":[]},{"name":"stake_1h"`, "11 features, the model has 10")
}

func TestReferenceRefuses(t *testing.T) {
	f := func(before, after, want string) {
		t.Helper()
		if _, err := registry.Load(editedOf(t, worded, "reference.csv", before, after), config(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q for %s: %v, want %q", after, before, err, want)
		}
	}
	f("stake_1h,bets_1m", "bets_1m,stake_1h", `column 1 is "bets_1m" and must be "stake_1h"`)
	f("amount\n", "amount\n1,2,3\n", "wrong number of fields")
	f("amount\n", "amount\n1,2,3,4,5,6,7,8,9,Inf\n", `row 1: column 10: "Inf" is not a finite number`)
	f("amount\n", "amount\n1,2,3,4,5,6,7,8,9,x\n", "not a finite number")
	f("amount\n", "amount\n"+strings.Repeat("1,2,3,4,5,6,7,8,9,10\n", 1000), "more than 1000 rows")
	b := loadWorded(t)
	if len(b.Reference) != 40 || len(b.Reference[0]) != len(b.Columns) {
		t.Errorf("%d reference rows", len(b.Reference))
	}
	if !slices.ContainsFunc(b.Reference, func(r []float64) bool { return slices.ContainsFunc(r, math.IsNaN) }) {
		t.Error("no value of the sample is missing: nothing was learned of those that are")
	}
}

func TestWordingRefuses(t *testing.T) {
	f := func(before, after, want string) {
		t.Helper()
		if _, err := registry.Load(editedOf(t, worded, "reasons.yaml", before, after), config(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s for %s: %v, want %q", after, before, err, want)
		}
	}
	f(`at_most: {en: "{outcome}, were {feature}`, `at_most: {en: "{outcome}, were {share}`, "phrases.at_most: en: placeholder {share}")
	f(`no_score: {en: "There is no score",`, `no_score: {`, `phrases.no_score: a text in "en" is needed`)
	f(`no_score:`, `no_scores:`, "unknown field")
	f(`de: "Ihr Gerät"`, `de: "Ihr device_bets_1h"`, `player_text: names the feature "bets_1h"`)
	f(`de: "Ihr Gerät"`, `de: "Ihr {value}"`, "player_text: de: placeholder {value} is not known here; known are none")
	f(`de: "Ihr Gerät"`, `deutsch: "Ihr Gerät"`, `language "deutsch" must match`)
	var many strings.Builder
	for i := range 65 {
		fmt.Fprintf(&many, `%c%c: "x", `, 'a'+i/26, 'a'+i%26)
	}
	f(`de: "Ihr Gerät"`, many.String()+`zz: "x"`, "languages; at most 64")
	if _, err := registry.Load(edited(t, "reasons.yaml", "Unusual stakes: {feature}", "{percentile}: {feature}"), config(t)); err == nil ||
		!strings.Contains(err.Error(), "{percentile} is used, so the bundle must have a profile") {
		t.Errorf("a percentile without a profile: %v", err)
	}
}
