package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const casinoSet = "../../examples/casino/features.yaml"

// labelLine is a label about an event, received when it was assigned.
func labelLine(id, target, at string, fraud int) string {
	name := map[int]string{0: "honest", 1: "fraud"}[fraud]
	return fmt.Sprintf(`{"eventId":%q,"type":"label.assigned","tenant":"demo","occurredAt":%q,"labelAssigned":{"targetEventId":%q,"label":%q,"fraud":"%d",`+
		`"source":"chargeback","confidencePpm":"900000"}}`+"\n", id, at, target, name, fraud)
}

// sortedLines is a file's text with its lines sorted.
func sortedLines(t *testing.T, file string) string {
	t.Helper()
	lines := strings.Split(read(t, file), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// What was served is what is exported and what eval computes, from the journal and from the file in any order.
func TestExportEqualsEval(t *testing.T) {
	h := newHouse(t)
	events := h.sim(t, 400)
	must(t, "batch", "--config", h.config, "--source", events, "--out", h.path("decisions.jsonl"))
	exported := h.path("exported.csv")
	r := must(t, "features", "export", "--config", h.config, "--vectors-only", "--out", exported)
	if !strings.Contains(r.errOut, "wrote 400 vectors of 38 features") {
		t.Errorf("%v", r)
	}
	f := func(name string, args ...string) {
		t.Helper()
		out := h.path("eval.csv")
		must(t, append([]string{"features", "eval", "--config", h.config, "--set", casinoSet, "--status", "--out", out}, args...)...)
		if sortedLines(t, out) != sortedLines(t, exported) {
			t.Errorf("%s: eval gives other vectors than were served", name)
		}
	}
	f("journal")
	f("journal, decisions", "--decided")
	f("file", "--source", events)
	f("file, shuffled", "--source", events, "--shuffle", "9")
	f("file, shuffled, on disk", "--source", events, "--shuffle", "3", "--ram-entities", "64", "--on-disk")
	f("file, as arrived", "--source", events, "--as-arrived")

	ids := func(file string) (out []string) {
		table := readCSV(t, file)
		for i := range len(table) - 1 {
			out = append(out, table.cell(t, i, "event_id"))
		}
		return out
	}
	must(t, "features", "eval", "--set", casinoSet, "--config", h.config, "--source", events, "--out", h.path("plain.csv"))
	must(t, "features", "eval", "--set", casinoSet, "--config", h.config, "--source", events, "--shuffle", "1", "--out", h.path("shuffled.csv"))
	if a, b := ids(h.path("plain.csv")), ids(h.path("shuffled.csv")); slices.Equal(a, b) {
		t.Error("shuffled rows come in the file's order")
	}
	final := must(t, "features", "eval", "--set", casinoSet, "--config", h.config, "--source", events, "--final").out
	if !strings.HasPrefix(final, "tenant,kind,entity,t,bets_1m") || strings.Count(final, "\n") < 10 {
		t.Errorf("--final gives %.200q", final)
	}
	for _, args := range [][]string{{"--shuffle", "1"}, {"--shuffle", "2", "--ram-entities", "64", "--on-disk"}, {"--in-order"}} {
		if got := must(t, append([]string{"features", "eval", "--set", casinoSet, "--config", h.config, "--source", events, "--final"}, args...)...).out; got != final {
			t.Errorf("--final with %v gives other bytes", args)
		}
	}
}

// Events as they arrived: a late one is not seen by what came before it.
func TestEvalAsArrived(t *testing.T) {
	dir := t.TempDir()
	set, events, out := filepath.Join(dir, "set.yaml"), filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "out.csv")
	write(t, set, smallSet)
	line := func(id, at string) string {
		return `{"eventId":"` + id + `","type":"payment.deposit_requested","tenant":"acme","occurredAt":"2026-01-01T00:` + at + `Z","entities":[{"kind":"player","value":"a",` +
			`"form":"FORM_RAW"}],"paymentDepositRequested":{"method":"card","amount":{"amountMinor":"100","currency":"EUR"}}}` + "\n"
	}
	write(t, events, line("late", "20:00")+line("early", "10:00")+line("last", "30:00"))
	counts := func(args ...string) string {
		t.Helper()
		must(t, append([]string{"features", "eval", "--set", set, "--source", events, "--out", out}, args...)...)
		table := readCSV(t, out)
		var got []string
		for i := range len(table) - 1 {
			got = append(got, table.cell(t, i, "event_id")+"="+table.cell(t, i, "deposits_1h"))
		}
		return strings.Join(got, " ")
	}
	if got, want := counts(), "late=2 early=1 last=3"; got != want {
		t.Errorf("in order of time: got %q, want %q", got, want)
	}
	// What comes ten minutes late is read behind the windows' grace: only what lies wholly inside counts, and it says late.
	if got, want := counts("--as-arrived"), "late=1 early=0 last=3"; got != want {
		t.Errorf("as arrived: got %q, want %q", got, want)
	}
	f := func(text string, args ...string) {
		t.Helper()
		refused(t, exitUsage, []string{text}, append([]string{"features", "eval", "--set", set}, args...)...)
	}
	f("--set and --out", "--source", events)
	f("say what to read", "--out", out)
	f("are about a file", "--config", "c.yaml", "--shuffle", "1", "--out", out)
	f("about the journal", "--source", events, "--decided", "--out", out)
	f("different things", "--source", events, "--as-arrived", "--in-order", "--out", out)
	f("a seed", "--source", events, "--shuffle", "-3", "--out", out)
}

// A rolled-back bet does not count in what comes after it, and counts as attempted.
func TestEvalCorrects(t *testing.T) {
	dir := t.TempDir()
	set, events, out := filepath.Join(dir, "set.yaml"), filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "out.csv")
	write(t, set, `format: 1
name: corrections
version: "1"
groups:
  placed:    {entity: player, match: {type: bet.placed}}
  attempted: {entity: player, match: {type: bet.placed}, count: attempted}
features:
  - {name: placed_1h, group: placed, aggregate: count, window: 1h}
  - {name: attempted_1h, group: attempted, aggregate: count, window: 1h}
`)
	line := func(id, at, rest string) string {
		return `{"eventId":"` + id + `","tenant":"acme","occurredAt":"2026-01-01T00:` + at + `Z","entities":[{"kind":"player","value":"a","form":"FORM_RAW"}],` + rest + "}\n"
	}
	const bet = `"type":"bet.placed","betPlaced":{"amount":{"amountMinor":"100","currency":"EUR"}},"transactionId":`
	write(t, events, line("one", "10:00", bet+`"t1"`)+line("two", "11:00", bet+`"t2"`)+
		line("back", "12:00", `"type":"bet.rolled_back","betRolledBack":{},"referenceTransactionId":"t1"`)+line("three", "13:00", bet+`"t3"`))
	must(t, "features", "eval", "--set", set, "--source", events, "--out", out)
	table := readCSV(t, out)
	for row, want := range []string{"1/1", "2/2", "1/2", "2/3"} {
		if got := table.cell(t, row, "placed_1h") + "/" + table.cell(t, row, "attempted_1h"); got != want {
			t.Errorf("row %d: got %s, want %s", row, got, want)
		}
	}
}

func TestExportJoinsLabels(t *testing.T) {
	h := newHouse(t)
	events := h.sim(t, 300)
	must(t, "batch", "--config", h.config, "--source", events, "--out", h.path("decisions.jsonl"))
	exported := h.path("exported.csv")
	must(t, "features", "export", "--config", h.config, "--out", exported)
	before := readCSV(t, exported)
	id := func(row int) string { return before.cell(t, row, "event_id") }
	// Three labels about one event, one about another, one about none; the event that is received last says how old is mature.
	labels := h.path("labels.jsonl")
	write(t, labels, labelLine("l1", id(0), "2026-01-20T00:00:00Z", 1)+labelLine("l2", id(0), "2026-01-21T00:00:00Z", 0)+
		labelLine("l3", id(1), "2026-01-22T00:00:00Z", 1)+labelLine("l4", "nobody", "2026-01-22T00:00:00Z", 1)+
		labelLine("l5", id(0), "2026-01-23T00:00:00Z", 1))
	must(t, "ingest", "--config", h.config, "--source", labels, "--history")
	r := must(t, "features", "export", "--config", h.config, "--label-maturity", "10h", "--out", exported)
	if !strings.Contains(r.errOut, "2 have a label, of 5 labels") {
		t.Errorf("%v", r)
	}
	table := readCSV(t, exported)
	f := func(row int, column, want string) {
		t.Helper()
		if got := table.cell(t, row, column); got != want {
			t.Errorf("row %d, %s: got %q, want %q", row, column, got, want)
		}
	}
	for column, want := range map[string]string{
		"label": "fraud", "fraud": "1", "label_source": "chargeback", "label_confidence_ppm": "900000", "label_occurred_at": "2026-01-23T00:00:00Z",
		"label_received_at": "2026-01-23T00:00:00Z", "label_mature": "true", "weight": "1", "propensity": "1", "tenant": "demo",
	} {
		f(0, column, want)
	}
	f(2, "fraud", "")
	f(2, "label_mature", "true")
	if a, b := read(t, h.path("exported.csv")), strings.Join(before[1], ","); !strings.Contains(a, strings.Join(before[1][:40], ",")) {
		t.Errorf("a label changed what was served: %s", b)
	}

	must(t, "features", "export", "--config", h.config, "--labels-known-by", "2026-01-21T12:00:00Z", "--label-maturity", "2000h", "--out", exported)
	table = readCSV(t, exported)
	f(0, "label", "honest")
	f(0, "fraud", "0")
	f(1, "label", "")
	f(2, "label_mature", "false")

	// The draw depends on the event alone; what has a label stays.
	sample := func(args ...string) map[string]string {
		t.Helper()
		must(t, append([]string{"features", "export", "--config", h.config, "--sample", "unlabelled=0.25,fraud=1", "--out", exported}, args...)...)
		table = readCSV(t, exported)
		kept := map[string]string{}
		for i := range len(table) - 1 {
			kept[table.cell(t, i, "event_id")] = table.cell(t, i, "weight") + " " + table.cell(t, i, "propensity")
		}
		return kept
	}
	kept := sample()
	if n := len(kept); n < 40 || n > 120 || kept[id(0)] != "1 1" || kept[id(1)] != "1 1" {
		t.Errorf("a quarter of 298 examples is %d; those with a label weigh %q and %q", n, kept[id(0)], kept[id(1)])
	}
	for i, w := range kept {
		if i != id(0) && i != id(1) && w != "4 0.25" {
			t.Errorf("%s weighs %q", i, w)
		}
	}
	if again := sample(); len(again) != len(kept) {
		t.Error("the draw is another one at the second export")
	}
	for i := range sample("--to", "2026-01-05T03:00:00Z") {
		if kept[i] == "" {
			t.Errorf("%s is drawn only where fewer are exported", i)
		}
	}
	if other := sample("--sample-seed", "x"); fmt.Sprint(other) == fmt.Sprint(kept) {
		t.Error("another seed makes the same draw")
	}

	bad := func(text string, args ...string) {
		t.Helper()
		refused(t, exitUsage, []string{text}, append([]string{"features", "export", "--config", h.config, "--out", exported}, args...)...)
	}
	bad("--sample", "--sample", "fraud=2")
	bad("--sample", "--sample", "guilty=0.5")
	bad("--label-maturity", "--label-maturity", "30d")
	bad("--from", "--from", "yesterday")
	bad("--set-hash", "--set-hash", "xyz")
	refused(t, exitFailed, []string{"no decision was made by a feature set abcd"}, "features", "export", "--config", h.config, "--out", exported, "--set-hash", "abcd")
	empty := newHouse(t)
	must(t, "ingest", "--config", empty.config, "--source", empty.sim(t, 20), "--history")
	refused(t, exitFailed, []string{"no decision with a vector"}, "features", "export", "--config", empty.config, "--out", exported)
}

func TestEventsExport(t *testing.T) {
	h := newHouse(t)
	refused(t, exitUsage, []string{`--to: "tomorrow" is no time, such as`}, "events", "export", "--config", h.config, "--out", h.path("x"), "--to", "tomorrow")
	must(t, "batch", "--config", h.config, "--source", h.sim(t, 200), "--out", h.path("decisions.jsonl"))
	r := must(t, "events", "export", "--config", h.config, "--out", h.path("lake"))
	if !strings.Contains(r.errOut, "wrote 200 events in ") {
		t.Errorf("%v", r)
	}
	parts, err := filepath.Glob(h.path("lake/type=bet.placed/day=2026-01-05/part-0.parquet"))
	if err != nil || len(parts) != 1 {
		t.Errorf("%v, %v are the bets", parts, err)
	}
	refused(t, exitFailed, []string{"there already"}, "events", "export", "--config", h.config, "--out", h.path("lake"))
	r = must(t, "events", "export", "--config", h.config, "--out", h.path("none"), "--tenant", "other")
	if !strings.Contains(r.errOut, "wrote 0 events") {
		t.Errorf("%v", r)
	}
	refused(t, exitUsage, []string{"--from"}, "events", "export", "--config", h.config, "--out", h.path("x"), "--from", "monday")
}
