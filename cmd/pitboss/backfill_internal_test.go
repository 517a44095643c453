package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	if r := pitboss("sim", "--players", "20", "--duration", "6h", "--events", "2000", "--seed", "3", "--tenant", demoTenant, "--out", events); r.code != exitOK {
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
