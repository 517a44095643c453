package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	pb "pitboss/proto/pitboss/v1"
)

// decisionsOf reads a file of decisions.
func decisionsOf(t *testing.T, file string) []*pb.Decision {
	t.Helper()
	var all []*pb.Decision
	for line := range strings.Lines(read(t, file)) {
		d := &pb.Decision{}
		if err := protojson.Unmarshal([]byte(line), d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// sameDecision compares what a caller must get again; how long it took, and whether it is new, is of each call.
func sameDecision() cmp.Options {
	return cmp.Options{protocmp.Transform(), protocmp.IgnoreFields(&pb.Decision{}, "timings_us", "status")}
}

// listed is what model list says of the house's bundle.
var listed = regexp.MustCompile(`\ncasino\S* +\S+ +[0-9a-f]{16} +lightgbm +[0-9.]+ us +[0-9.]+ us +[0-9.]+ KB\n$`)

// A file that comes twice is decided once: the second time everybody gets the first answers, and all of them replay.
func TestBatchTwiceAndReplay(t *testing.T) {
	h := newHouse(t)
	events := h.sim(t, 500)
	first, second := h.path("first.jsonl"), h.path("second.jsonl")

	refused(t, exitUsage, []string{"--config FILE"}, "model", "list")
	if r := must(t, "model", "list", "--config", h.config); !strings.Contains(r.out, "no bundle was used yet") {
		t.Errorf("model list before any: %v", r)
	}
	r := must(t, "batch", "--config", h.config, "--source", events, "--out", first)
	if !strings.Contains(r.errOut, "500 events") || !strings.Contains(r.errOut, "allow") {
		t.Errorf("%v", r)
	}
	must(t, "batch", "--config", h.config, "--source", events, "--out", second)
	a, b := decisionsOf(t, first), decisionsOf(t, second)
	if len(a) != 500 {
		t.Fatalf("%d decisions of 500 events", len(a))
	}
	if diff := cmp.Diff(a, b, sameDecision()); diff != "" {
		t.Errorf("the second time other decisions (-first +second):\n%.4000s", diff)
	}
	scored := 0
	for i := range a {
		if a[i].GetStatus() != pb.Status_STATUS_NEW || b[i].GetStatus() != pb.Status_STATUS_DUPLICATE {
			t.Fatalf("decision %d is %v, then %v", i, a[i].GetStatus(), b[i].GetStatus())
		}
		if a[i].Score != nil && len(a[i].GetReasons()) > 0 {
			scored++
		}
	}
	if scored != len(a) {
		t.Errorf("%d of %d decisions have a score and reasons", scored, len(a))
	}

	if r = must(t, "model", "list", "--config", h.config); !listed.MatchString(r.out) {
		t.Errorf("model list: %s", r.out)
	}
	r = must(t, "replay", "--config", h.config, "--all")
	if !strings.Contains(r.out, "500 decisions in 500 frames: 500 the same bytes, 0 different, 0 could not") {
		t.Errorf("%v", r)
	}
	r = must(t, "replay", "--config", h.config, a[7].GetDecisionId())
	if !strings.Contains(r.out, a[7].GetDecisionId()+": the same bytes") {
		t.Errorf("%v", r)
	}
	refused(t, exitFailed, []string{"no decision"}, "replay", "--config", h.config, strings.Repeat("0", 32))
	refused(t, exitUsage, []string{"32 hex digits"}, "replay", "--config", h.config, "bogus")
	refused(t, exitFailed, []string{"other"}, "replay", "--config", h.config, "--tenant", "other", a[7].GetDecisionId())
}

func TestIngestThenBatch(t *testing.T) {
	h := newHouse(t)
	events := h.sim(t, 300)
	r := must(t, "ingest", "--config", h.config, "--source", events, "--history")
	if !strings.Contains(r.errOut, "300 events") {
		t.Errorf("%v", r)
	}
	r = must(t, "ingest", "--config", h.config, "--source", events, "--history")
	if !strings.Contains(r.errOut, "300  had been applied before") {
		t.Errorf("%v", r)
	}
	// New events are decided on the windows that ingest left.
	more := h.sim(t, 400)
	out := h.path("out.jsonl")
	must(t, "batch", "--config", h.config, "--source", more, "--out", out)
	decisions := decisionsOf(t, out)
	fresh := 0
	for _, d := range decisions[300:] {
		if d.GetStatus() == pb.Status_STATUS_NEW {
			fresh++
		}
	}
	if fresh != 100 {
		t.Errorf("%d of 100 new events got a new decision", fresh)
	}
}

// What is refused is said with its row, counted and in the exit code; the rest is done.
func TestBatchRejects(t *testing.T) {
	h := newHouse(t)
	lines := strings.SplitAfter(read(t, h.sim(t, 20)), "\n")
	bad := h.path("bad.jsonl")
	write(t, bad, strings.Join(lines[:10], "")+
		"{this is no event}\n"+
		strings.Replace(lines[11], `"tenant":"demo"`, `"tenant":"nobody"`, 1)+
		strings.Replace(lines[3], `"brand":"`, `"brand":"other-`, 1)) // the event_id of another event
	out := h.path("out.jsonl")
	refused(t, exitRejected, []string{"rejected: ", "3 of 13 rows", "row 11", "event.tenant: no tenant", "CONFLICT"},
		"batch", "--config", h.config, "--source", bad, "--in-order=false", "--out", out)
	if n := len(decisionsOf(t, out)); n != 10 {
		t.Errorf("%d decisions, want 10", n)
	}
	refused(t, exitFailed, []string{"nowhere.jsonl"}, "batch", "--config", h.config, "--source", h.path("nowhere.jsonl"), "--out", out)
	// Without --history an old event is refused, as a live one would be.
	refused(t, exitRejected, []string{"20 of 20"}, "ingest", "--config", h.config, "--source", h.sim(t, 20))
}

// A refusal of what is read makes nothing: no data directory, and the file of an earlier run is as it was.
func TestARefusedInputLeavesNothingBehind(t *testing.T) {
	h := newHouse(t)
	events, out := h.sim(t, 20), h.path("out.jsonl")
	rows, badMap, text := h.path("rows.csv"), h.path("bad-map.yaml"), h.path("events.txt")
	write(t, out, "an earlier run\n")
	write(t, rows, smallRows)
	write(t, badMap, "format: 1\nevent: {tipe: bet.placed}\n")
	write(t, text, read(t, events))
	f := func(code int, text string, args ...string) {
		t.Helper()
		refused(t, code, []string{text}, append(args, "--config", h.config)...)
		if _, err := os.Stat(h.path("data")); !os.IsNotExist(err) {
			t.Errorf("pitboss %s: left a data directory behind: %v", strings.Join(args, " "), err)
		}
		if got := read(t, out); got != "an earlier run\n" {
			t.Errorf("pitboss %s: the file of decisions is now %q", strings.Join(args, " "), got)
		}
	}
	for _, cmd := range [][]string{{"batch", "--out", out}, {"ingest"}} {
		with := func(more ...string) []string { return slices.Concat(cmd, more) }
		f(exitFailed, "nowhere.jsonl", with("--source", h.path("nowhere.jsonl"))...)
		f(exitFailed, h.dir, with("--source", h.dir)...)
		f(exitFailed, "events.txt", with("--source", text)...)
		f(exitFailed, "a map must say", with("--source", rows)...)
		f(exitFailed, "bad-map.yaml", with("--source", rows, "--map", badMap)...)
		f(exitFailed, "leave the map", with("--source", events, "--map", badMap)...)
		f(exitUsage, "--from", with("--source", events, "--from", "tomorrow")...)
	}
	f(exitUsage, "same file as the input", "batch", "--source", events, "--out", events)
	set := h.path("bundle/features.yaml")
	f(exitFailed, "there is no journal", "replay", "--all")
	f(exitFailed, "there is no journal", "features", "eval", "--set", set, "--out", h.path("v.csv"))
	f(exitFailed, "nowhere.jsonl", "features", "eval", "--set", set, "--source", h.path("nowhere.jsonl"), "--out", h.path("v.csv"))
	f(exitFailed, "there is no journal", "features", "export", "--out", h.path("v.csv"))
	f(exitFailed, "there is no journal", "features", "holes")
	f(exitFailed, "there is no journal", "features", "show", "--set", set, "player", "1")
	f(exitFailed, "there is no journal", "features", "show", "player", "1")
	f(exitFailed, "there is no journal", "features", "verify")
	f(exitFailed, "there is no journal", "events", "export", "--out", h.path("lake"))
	if _, err := os.Stat(h.path("v.csv")); !os.IsNotExist(err) {
		t.Errorf("a file of vectors was left behind: %v", err)
	}
}

// What must not be opened is not, and whoever is refused is told what to do.
func TestRefusesToOpen(t *testing.T) {
	h := newHouse(t)
	events := h.sim(t, 50)
	batch := []string{"batch", "--config", h.config, "--source", events, "--out", h.path("out.jsonl")}
	must(t, batch...)
	other := newHouse(t)
	swap := func(name string, texts ...string) {
		t.Helper()
		mine := read(t, h.path(name))
		write(t, h.path(name), read(t, other.path(name)))
		refused(t, exitFailed, texts, batch...)
		refused(t, exitFailed, texts, "serve", "--config", h.config)
		write(t, h.path(name), mine)
		must(t, batch...)
	}
	swap("master.key", "cannot open the journal", "master key")
	swap("alias-keys.yaml", "edge.keys_file", "another key", "give back the old file")
	// A new active key finds nobody, however well the old one is kept.
	mine := read(t, h.path("alias-keys.yaml"))
	write(t, h.path("alias-keys.yaml"), strings.Replace(mine, "active: true", "retired: true\n    - id: \"2\"\n      secret: "+strings.Repeat("5a", 32)+
		"\n      active: true", 1))
	for _, args := range [][]string{batch, {"serve", "--config", h.config}} {
		refused(t, exitFailed, []string{"edge.keys_file", `key "2" of tenant "demo" is active`, `built under key "1"`}, args...)
	}
	write(t, h.path("alias-keys.yaml"), mine)
	must(t, batch...)

	write(t, h.path("master.key"), "abc\n")
	refused(t, exitFailed, []string{"64 hex digits"}, batch...)
	if err := os.Remove(h.path("master.key")); err != nil {
		t.Fatal(err)
	}
	refused(t, exitFailed, []string{"master.key", "pitboss keys new"}, batch...)

	other.edit(t, `bundle: bundle`, "bundle: nowhere")
	refused(t, exitFailed, []string{"nowhere"}, "serve", "--config", other.config)
	refused(t, exitFailed, []string{other.path("elsewhere.yaml")}, "serve", "--config", other.path("elsewhere.yaml"))
}
