package main

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// Two sets over the same events: what is the same, what is not, and where first.
func TestDiffOfSets(t *testing.T) {
	dir := t.TempDir()
	a, b, events := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml"), filepath.Join(dir, "events.jsonl")
	const set = `format: 1
name: one
version: "1"
groups:
  bets: {entity: player, match: {type: bet.placed}}
features:
  - {name: same, group: bets, aggregate: count, window: 1h}
  - {name: other, group: bets, aggregate: count, window: 1h, current: %s}
  - {name: %s, group: bets, aggregate: mean, value: amount_base, window: 1h}
`
	write(t, a, fmt.Sprintf(set, "include", "alone"))
	write(t, b, fmt.Sprintf(set, "exclude", "alone_too"))
	var lines strings.Builder
	for i := range 10 {
		fmt.Fprintf(&lines, `{"eventId":"e%d","type":"bet.placed","tenant":"acme","occurredAt":"2026-01-01T00:0%d:00Z","entities":[{"kind":"player","value":"a",`+
			`"form":"FORM_RAW"}],"betPlaced":{"amount":{"amountMinor":"100","currency":"EUR"}}}`+"\n", i, i)
	}
	write(t, events, lines.String())
	out := must(t, "features", "diff", "--a", a, "--b", b, "--source", events).out
	for _, want := range []string{
		"10 events, 2 features of both sets", "only in a: alone", "only in b: alone_too",
		"other differs: e0 at 2026-01-01T00:00:00Z: 1 (present) and 0 (present)", "other differs: e2 at",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%s\nwant %q in it", out, want)
		}
	}
	if strings.Contains(out, "e3 at") || strings.Contains(out, "same differs") {
		t.Errorf("got\n%s\nwant three events and no more", out)
	}
	for name, want := range map[string]string{"same": "1.0000 1.0000 0 0 0", "other": "0.0000 1.0000 1 1 1"} {
		var got string
		for line := range strings.SplitSeq(out, "\n") {
			if fields := strings.Fields(line); len(fields) == 6 && fields[0] == name {
				got = strings.Join(fields[1:], " ")
			}
		}
		if got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	refused(t, exitUsage, []string{"--a, --b and --source"}, "features", "diff", "--a", a)
}

// The sample stays bounded, and is the same for the same values.
func TestSampledQuantiles(t *testing.T) {
	var s sampled
	for i := range 3*maxSampled + 5 {
		s.add(float64(i))
	}
	if len(s.kept) > maxSampled || len(s.kept) < maxSampled/2 || s.kept[1] != float64(s.step) {
		t.Errorf("%d of %d values are kept, by %d", len(s.kept), s.n, s.step)
	}
	if q, want := s.quantiles(0.5)[0], 1.5*maxSampled; math.Abs(q-want) > 8 || s.largest() != 3*maxSampled+4 {
		t.Errorf("the median is %v, want about %v; the largest %v", q, want, s.largest())
	}
	if !math.IsNaN((&sampled{}).quantiles(0.5)[0]) {
		t.Error("nothing has a median")
	}
}

func TestDescribe(t *testing.T) {
	dir := t.TempDir()
	set := filepath.Join(dir, "set.yaml")
	write(t, set, `format: 1
name: one
version: "1"
on: {late: missing}
groups:
  bets: {entity: player, match: {type: bet.placed}}
features:
  - {name: n, group: bets, aggregate: count, window: 1h}
  - {name: z, group: bets, aggregate: zscore, value: amount_base, window: 24h}
  - {name: slow, aggregate: cel, expr: "event.brand.startsWith('a') ? n : 0.0"}
`)
	var d setDescription
	if err := json.Unmarshal([]byte(must(t, "features", "describe", "--set", set, "--json").out), &d); err != nil {
		t.Fatal(err)
	}
	n := d.Features[0]
	if n.HopSeconds != 60 || n.SpanMinSeconds != 3601 || n.SpanMaxSeconds != 3660 || n.EdgeSeconds != 60 || n.On != "late: missing" || n.Class != "integer" {
		t.Errorf("n is %+v", n)
	}
	if !d.Features[1].ExcludesCurrent || d.Features[2].Unlowered == "" || d.Bytes["player"] != d.Groups[0].Bytes || d.Groups[0].Bytes < 1000 {
		t.Errorf("the set is %+v", d)
	}
	if len(d.Aggregates) != 3 || d.Aggregates[1].Name != "zscore" || d.Aggregates[1].Value == "" {
		t.Errorf("the aggregates are %+v, want how count, zscore and cel are made", d.Aggregates)
	}
	out := must(t, "features", "describe", "--set", set).out
	for _, want := range []string{"1h0m1s to 1h1m", "under 1m", "runs in cel-go: the function startsWith is not lowered", "late: missing", "all of",
		"count      number of events\n", "the feature that of names"} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%s\nwant %q in it", out, want)
		}
	}
}
