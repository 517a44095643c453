package main

import (
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pitboss/features"
)

// TestBackfillCommand adds a feature set to a data directory that has seen events.
func TestBackfillCommand(t *testing.T) {
	dir := t.TempDir()
	cfg, _, err := demoConfig(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "pitboss.yaml")
	if err = os.WriteFile(filepath.Join(dir, "next.yaml"), []byte(`format: 1
name: next
version: "1"
groups:
  rounds: {entity: game, match: {type: bet.placed}}
features:
  - {name: game_stake_7d, group: rounds, aggregate: sum, value: amount_base, window: 7d}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	events := filepath.Join(dir, "events.jsonl")
	if r := pitboss("sim", "--players", "200", "--duration", "6h", "--events", "2000", "--seed", "3", "--tenant", demoTenant, "--out", events); r.code != exitOK {
		t.Fatal(r)
	}
	if r := pitboss("ingest", "--config", path, "--source", events, "--history"); r.code != exitOK {
		t.Fatal(r)
	}
	if r := pitboss("features", "backfill", "--config", path); r.code != exitOK || !strings.Contains(r.errOut, "nothing to backfill") {
		t.Errorf("with nothing to do: %v", r)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(path, append(text, "next_feature_set: next.yaml\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := pitboss("features", "backfill", "--config", path); r.code != exitOK || !strings.Contains(r.errOut, "backfilling: ") {
		t.Errorf("with a new group: %v", r)
	}
	if r := pitboss("features", "backfill", "--config", path); r.code != exitOK || !strings.Contains(r.errOut, "nothing to backfill") {
		t.Errorf("again: %v", r)
	}
	left, err := os.ReadDir(filepath.Join(cfg.path(cfg.DataDir), "backfill"))
	if err == nil && len(left) > 0 {
		t.Errorf("the backfill left %v", left)
	}
	if r := pitboss("features", "backfill"); r.code != exitUsage {
		t.Errorf("without a configuration: %v", r)
	}
}

// TestBackfillCommandFromFile builds new groups from a file of what came before the journal: evaluating both files gives the
// same features.
func TestBackfillCommandFromFile(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := demoConfig(dir, nil); err != nil {
		t.Fatal(err)
	}
	path, set := filepath.Join(dir, "pitboss.yaml"), filepath.Join(dir, "next.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("next.yaml", `format: 1
name: next
version: "1"
groups:
  rounds: {entity: game, match: {type: bet.placed}}
features:
  - {name: game_stake_7d, group: rounds, aggregate: sum, value: amount_base, window: 7d}
  - {name: game_bets_30d, group: rounds, aggregate: count, window: 30d}
`)
	all := filepath.Join(dir, "all.jsonl")
	if r := pitboss("sim", "--players", "200", "--duration", "6h", "--events", "2000", "--seed", "3", "--tenant", demoTenant, "--out", all); r.code != exitOK {
		t.Fatal(r)
	}
	data, err := os.ReadFile(all)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSpace(string(data)), "\n")
	n := len(lines)
	write("old.jsonl", strings.Join(lines[:n*6/10], "")+"not an event\n")
	write("new.jsonl", strings.Join(lines[n*4/10:], ""))
	if r := pitboss("ingest", "--config", path, "--source", filepath.Join(dir, "new.jsonl"), "--history"); r.code != exitOK {
		t.Fatal(r)
	}
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write("pitboss.yaml", string(config)+"next_feature_set: next.yaml\n")
	r := pitboss("features", "backfill", "--config", path, "--source", filepath.Join(dir, "old.jsonl"), "--whole")
	if r.code != exitOK || !strings.Contains(r.errOut, "in the journal, which was believed") || !strings.Contains(r.errOut, "1 rejected") {
		t.Fatalf("from a file: %v", r)
	}
	for _, bad := range [][]string{{"--map", "x"}, {"--whole"}, {"--source", "x.csv"}, {"--source", "x.exe"}, {"--source", "kafka", "--map", "x"}} {
		if r := pitboss(append([]string{"features", "backfill", "--config", path}, bad...)...); r.code != exitUsage {
			t.Errorf("%v: %v", bad, r)
		}
	}
	if r := pitboss("features", "backfill", "--config", path, "--source", filepath.Join(dir, "none.jsonl")); r.code == exitOK {
		t.Errorf("from a file that is not there: %v", r)
	}
	wantFromTheStart(t, path, set, all)
}

// wantFromTheStart compares the features of each game of a data directory with those of a state that saw all events of a file.
func wantFromTheStart(t *testing.T, config, set, all string) {
	t.Helper()
	r := pitboss("features", "eval", "--set", set, "--config", config, "--source", all, "--final")
	if r.code != exitOK {
		t.Fatal(r)
	}
	rows, err := csv.NewReader(strings.NewReader(r.out)).ReadAll() // tenant, kind, entity, t, features
	if err != nil || len(rows) < 4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	cfg, err := LoadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openApp(t.Context(), cfg, newLogger(LogConfig{Level: "error"}, io.Discard), appOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.close() }()
	game, _ := cfg.Engine.Kinds.Get("game")
	for _, row := range rows[1:] {
		at, err := time.Parse(time.RFC3339Nano, row[3])
		if err != nil {
			t.Fatal(err)
		}
		var v features.Vector
		ref := features.EntityRef{Key: features.MakeEntityKey(row[0], game, row[2]), Kind: row[1], Alias: row[2]}
		if err := a.engine.Features(t.Context(), ref, at.UnixMicro(), a.next, &v); err != nil {
			t.Fatal(err)
		}
		for i, text := range row[4:] {
			if want, err := strconv.ParseFloat(text, 64); err != nil || v.Values[i] != want || v.Status[i] != features.Present {
				t.Errorf("game %s: %s is %v (%v), want %s", row[2], rows[0][4+i], v.Values[i], v.Status[i], text)
			}
		}
	}
}
