package registry_test

import (
	"math"
	"testing"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// policy loads the tiny bundle with a part of its thresholds.yaml replaced.
func policy(t testing.TB, before, after string) *registry.Policy {
	t.Helper()
	b, err := registry.Load(edited(t, "thresholds.yaml", before, after), config(t))
	if err != nil {
		t.Fatal(err)
	}
	return b.Policy
}

const vipMatch = "match: {brand: [acme-vip]}"

func TestThresholds(t *testing.T) {
	f := func(thresholds string, score float64, outcome, risk string) {
		t.Helper()
		p := policy(t, "{challenge: 0.3, limit: 0.5, hold: 0.7, block: 0.95}\n    risk_levels: {medium: 0.3, high: 0.6, severe: 0.9}", thresholds)
		s := p.Segment(&features.Event{})
		if got := s.Outcome(score).String(); got != "OUTCOME_"+outcome || s.Risk(score) != risk {
			t.Errorf("%s at %v: got %s and %s, want %s and %s", thresholds, score, got, s.Risk(score), outcome, risk)
		}
	}
	all := "{challenge: 0.2, limit: 0.4, hold: 0.7, block: 0.95}"
	f(all, 0, "ALLOW", "low")
	f(all, 0.19999999999999998, "ALLOW", "low")
	f(all, 0.2, "CHALLENGE", "medium") // at the threshold is over it
	f(all, 0.39, "CHALLENGE", "medium")
	f(all, 0.4, "LIMIT", "medium")
	f(all, 0.7, "HOLD", "high")
	f(all, 0.95, "BLOCK", "severe")
	f(all, 1, "BLOCK", "severe")
	f(all, math.NaN(), "ALLOW", "low") // never asked: a score that is no number fails before
	f("{block: 1}", 0.999, "ALLOW", "low")
	f("{block: 1}", 1, "BLOCK", "severe")
	f("{limit: 0.5, hold: 0.5}", 0.5, "HOLD", "high")
	f("{limit: 0.5}", 0.6, "LIMIT", "medium")
	levels := "\n    risk_levels: {high: 0.1}"
	f(all+levels, 0.05, "ALLOW", "low")
	f(all+levels, 0.1, "ALLOW", "high")
	f(all+levels, 0.99, "BLOCK", "high")
}

func TestSegments(t *testing.T) {
	events := map[string]*features.Event{
		"none": {},
		"vip":  {Fields: []features.Field{{Name: "brand", Type: features.FieldText, Text: "acme-vip"}}},
		"gold": {Fields: []features.Field{
			{Name: "attr_level", Type: features.FieldInt, Int: 3}, {Name: "attr_ratio", Type: features.FieldNumber, Number: 2},
			{Name: "attr_tier", Type: features.FieldText, Text: "gold"}, {Name: "brand", Type: features.FieldText, Text: "acme"},
			{Name: "three_ds", Type: features.FieldBool, Int: 1},
		}},
	}
	f := func(match, event, want string) {
		t.Helper()
		p := policy(t, vipMatch, match)
		if got := p.Segment(events[event]).Name; got != want {
			t.Errorf("%s on the event %s: got %s, want %s", match, event, got, want)
		}
	}
	f(vipMatch, "none", "default")
	f(vipMatch, "vip", "vip")
	f(vipMatch, "gold", "default")
	f("match: {brand: [acme-vip, acme]}", "gold", "vip")
	f("match: {brand: acme, attributes.tier: gold}", "gold", "vip")
	f("match: {brand: acme, attributes.tier: [silver, bronze]}", "gold", "default")
	f("match: {attr_tier: gold}", "gold", "vip")
	f("match: {attr_tier: gold}", "vip", "default")
	f("match: {attr_level: 3}", "gold", "vip")
	f(`match: {attr_level: "3"}`, "gold", "default") // a text is no number
	f("match: {attr_level: [-1, 4]}", "gold", "default")
	f("match: {attr_ratio: 2}", "gold", "vip")
	f("match: {three_ds: true}", "gold", "vip")
	f("match: {three_ds: false}", "gold", "default")
	f("match: {three_ds: false}", "none", "default") // no value is not false
}

func TestReviewAndReactions(t *testing.T) {
	b, err := registry.Load(tiny, config(t))
	if err != nil {
		t.Fatal(err)
	}
	s := b.Policy.Segment(&features.Event{})
	if s.Review(0.24) || !s.Review(0.25) {
		t.Error("review does not begin at 0.25")
	}
	if got := s.Reactions(pb.Outcome_OUTCOME_LIMIT); len(got) != 1 || got[0] != (registry.Reaction{Type: "cap_stake", Scope: "player", TTL: 3600, Reversible: true}) {
		t.Errorf("reactions to limit: got %+v", got)
	}
	if got := s.Reactions(pb.Outcome_OUTCOME_BLOCK); len(got) != 2 || got[0].Reversible || got[0].TTL != 0 {
		t.Errorf("reactions to block: got %+v", got)
	}
	for _, o := range []pb.Outcome{-1, pb.Outcome_OUTCOME_UNSPECIFIED, pb.Outcome_OUTCOME_ALLOW, 99} {
		if got := s.Reactions(o); len(got) != 0 {
			t.Errorf("reactions to %v: got %+v", o, got)
		}
	}
}

func TestFallbackPolicy(t *testing.T) {
	p := registry.FallbackPolicy()
	if p.Hash == ([32]byte{}) || p.Version == "" {
		t.Error("the fallback has no hash")
	}
	// Records name the fallback by its hash: whoever changes fallback.yaml makes old decisions different.
	if p.Version != "1e82a4075636" {
		t.Errorf("fallback.yaml was changed: its hash begins with %s", p.Version)
	}
}

// What a value says stays a value: nothing in it can be taken for markup or turn the text around.
func TestTemplatesTameValues(t *testing.T) {
	b, err := registry.Load(tiny, config(t))
	if err != nil {
		t.Fatal(err)
	}
	text := b.Policy.List("trusted").Text
	f := func(value, want string) {
		t.Helper()
		if got := text.In("en").Execute(func(string) string { return value }); got != want+" is on the list "+want+" ("+want+")" {
			t.Errorf("%q: got %q", value, got)
		}
	}
	f("device", "device")
	f("Müller & Söhne", "Müller & Söhne")
	f("<script>", "?script?")
	f("a\r\nb\x00", "a??b?")
	f("\u202eevil", "?evil")
	f("\xff", "?")
	f("{value}", "{value}") // a value is not a template
}
