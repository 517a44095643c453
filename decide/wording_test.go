package decide_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pitboss/decide"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// worded is tiny's model with a reference profile, a reference sample, beta calibration and German texts.
const worded = "../registry/testdata/worded"

func loadWorded(t testing.TB) *registry.Bundle {
	t.Helper()
	b, err := registry.Load(worded, registry.Config{Kinds: newKinds(t)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func in(language string) *pb.Verdicts {
	return &pb.Verdicts{Explain: pb.Explain_EXPLAIN_TOP, Language: language}
}

// Reasons have the value's percentile among the training rows, and texts are in the record's language; nothing else depends
// on it but the hash of the inputs.
func TestReasonsInALanguage(t *testing.T) {
	b, ev := loadWorded(t), bet(t, nil)
	ranked, german := 0, map[string]string{}
	for row, g := range goldensOf(t, worded, b) {
		in1 := inputs(ev, b, g.vector)
		en, de := judge(t, ev, in1, in("en"), b), judge(t, ev, in1, in("de"), b)
		if math.Abs(en.GetScore()-g.score) > 1e-12 {
			t.Errorf("row %d: beta calibration gives %v, by the trainer %v", row, en.GetScore(), g.score)
		}
		if len(en.Reasons) != len(de.Reasons) || en.GetScore() != de.GetScore() || en.Outcome != de.Outcome || slices.Equal(en.InputsHash, de.InputsHash) {
			t.Fatalf("row %d: in English %v, in German %v", row, en, de)
		}
		for i, r := range en.Reasons {
			d := de.Reasons[i]
			want, ok := b.Percentile(featureAt(b, r.Feature), r.GetValue())
			if ok = ok && r.Value != nil; ok != (r.Percentile != nil) || ok && r.GetPercentile() != want {
				t.Errorf("row %d, %s: percentile %v, want %v, %v", row, r.Feature, r.Percentile, want, ok)
			}
			if r.Percentile != nil {
				ranked++
			}
			if r.Code != d.Code || r.GetContribution() != d.GetContribution() || r.Text == d.Text {
				t.Errorf("row %d: %v in English, %v in German", row, r, d)
			}
			if _, ok := german[d.Code]; !ok {
				german[d.Code] = d.Text + " / " + d.PlayerText
			}
		}
	}
	if ranked == 0 {
		t.Error("no reason has a percentile")
	}
	for code, want := range map[string]string{
		"BET_VELOCITY": "bets_1h ist 17, üblich sind 20; höher als bei 69 % der Vorgänge / ",
		"GAME_CHOICE":  "Spiele an einem Tag: 1 / Ungewöhnliche Vorgänge auf Ihrem Konto",
	} {
		if german[code] != want {
			t.Errorf("%s: %q, want %q", code, german[code], want)
		}
	}
}

func featureAt(b *registry.Bundle, name string) int {
	for i := range b.Set.Features {
		if b.Set.Features[i].Name == name {
			return i
		}
	}
	return -1
}

// List hits and a missing score are told in the language too; without a bundle there is English only.
func TestOtherTextsInALanguage(t *testing.T) {
	b := loadWorded(t)
	vector := goldensOf(t, worded, b)[0].vector
	hit := bet(t, func(e *pb.Event) {
		e.Enrichment.ListHits = []*pb.ListHit{{List: "sanctioned", Version: "7", Kind: "player"}}
	})
	if r := judge(t, hit, inputs(hit, b, vector), in("de"), b).Reasons[0]; r.Text != "player steht auf der Liste sanctioned (7)" ||
		r.PlayerText != "Dieses Konto kann nicht benutzt werden" {
		t.Errorf("a list hit is %v", r)
	}
	ev, v := bet(t, nil), skipped("model", "deadline", "explain", "deadline")
	v.Language = "de"
	if r := judge(t, ev, inputs(ev, b, vector), v, b).Reasons[0]; r.Text != "Es gibt keine Bewertung" || r.PlayerText != "Dies konnte nicht geprüft werden" {
		t.Errorf("no score is %v", r)
	}
}

// The answer says which language it is in, the record does, and a duplicate keeps the first one's.
func TestLanguageIsRecorded(t *testing.T) {
	r := newRig(t, memory(), loadWorded(t))
	for i, test := range []struct{ asked, want string }{{"de-CH", "de"}, {"fr", "en"}, {"", "en"}} {
		d := r.decide(numbered(t, i), decide.Options{Language: test.asked})
		frame := r.record(d)
		if d.Language != test.want || frame.Decision.Verdicts.Language != test.want || frame.Decision.LogicVersion != 2 {
			t.Errorf("%q is answered in %q, recorded as %q", test.asked, d.Language, frame.Decision.Verdicts.Language)
		}
		same(t, "asked again in English", d, r.decide(numbered(t, i), decide.Options{Language: "en"}))
		if german := strings.Contains(d.Reasons[0].Text, "ist") || strings.Contains(d.Reasons[0].Text, "Spiele") ||
			strings.Contains(d.Reasons[0].Text, "Einsätze") || strings.Contains(d.Reasons[0].Text, "Ein"); german != (test.want == "de") {
			t.Errorf("%q: %q", test.asked, d.Reasons[0].Text)
		}
	}
	if d := newRig(t, memory(), nil).decide(bet(t, nil), decide.Options{Language: "de"}); d.Language != "en" {
		t.Errorf("without a bundle the answer is in %q", d.Language)
	}
}

// Records of version 1 are made again without what version 2 added, whatever the bundle has by now.
func TestVersion1HasNoMore(t *testing.T) {
	b, ev := loadWorded(t), bet(t, nil)
	pinned := inputs(ev, b, goldensOf(t, worded, b)[0].vector)
	out, err := judgeCase(1, ev, pinned, top(), b)
	if err != nil || out.ExplainedMargin != nil || len(out.Reasons) == 0 {
		t.Fatalf("%v, %v", out, err)
	}
	for _, r := range out.Reasons {
		if r.Percentile != nil || r.Baseline != nil {
			t.Errorf("%v", r)
		}
	}
	if _, err := judgeCase(1, ev, pinned, in("de"), b); err == nil {
		t.Error("a record of version 1 had a language")
	}
	if _, err := judgeCase(0, ev, pinned, top(), b); err == nil {
		t.Error("there is a version 0")
	}
}
