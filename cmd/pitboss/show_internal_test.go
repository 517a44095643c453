package main

import (
	"fmt"
	"strings"
	"testing"
)

// An entity's features are shown as they stand, with the events behind them.
func TestShow(t *testing.T) {
	h := newHouse(t)
	set, events := h.path("set.yaml"), h.path("events.jsonl")
	write(t, set, `format: 1
name: one
version: "1"
groups:
  bets: {entity: player, match: {type: bet.placed}}
  all:  {entity: player}
features:
  - {name: bets_1h, group: bets, aggregate: count, window: 1h}
  - {name: stake_1h, group: bets, aggregate: sum, value: amount_base, window: 1h}
  - {name: all_1h, group: all, aggregate: count, window: 1h}
  - {name: of_bets, aggregate: cel, expr: "stake_1h / bets_1h"}
`)
	var lines strings.Builder
	for i, player := range []string{"a", "b", "a", "a"} {
		fmt.Fprintf(&lines, `{"eventId":"e%d","type":"bet.placed","tenant":"demo","occurredAt":"2026-01-01T00:0%d:00Z","entities":[{"kind":"player","value":%q,`+
			`"form":"FORM_RAW"}],"betPlaced":{"amount":{"amountMinor":"100","currency":"EUR"}}}`+"\n", i, i, player)
	}
	write(t, events, lines.String())
	must(t, "batch", "--config", h.config, "--source", events, "--out", h.path("decisions.jsonl"))
	show := func(args ...string) string {
		t.Helper()
		return spaces(must(t, append([]string{"features", "show", "--config", h.config, "--set", set}, args...)...).out)
	}
	f := func(out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("got\n%s\nwant %q in it", out, w)
			}
		}
	}
	out := show("player", "a", "--events", "2")
	f(out, "player a of tenant demo, stored as", "at 2026-01-01T00:03:00Z; its newest event is of 2026-01-01T00:03:00Z, 0s before",
		"bets_1h 3 present bets 1h", "stake_1h 300 present bets 1h", "of_bets 100 present", "3 events name it, the newest 2",
		"2026-01-01T00:02:00Z bet.placed e2 bets, all", "2026-01-01T00:03:00Z bet.placed e3 bets, all")
	if strings.Contains(out, "e0") || strings.Contains(out, " e1 ") {
		t.Errorf("got\n%s\nwant the newest two of a", out)
	}
	f(show("player", "a", "--at", "2026-01-01T00:02:30Z"), "bets_1h 2 present", "30s before", "2 events name it")
	f(show("player", "nobody"), "nothing is known of it", "0 events name it")
	_, rest, _ := strings.Cut(out, "stored as ")
	alias, _, _ := strings.Cut(rest, ",")
	f(show("player", alias, "--alias"), "bets_1h 3 present")
	refused(t, exitUsage, []string{"--config and --set"}, "features", "show", "player", "a")
	refused(t, exitFailed, []string{`"players" is not an entity kind`}, "features", "show", "--config", h.config, "--set", set, "players", "a")
}

// spaces is a text with one space where there were several.
func spaces(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	return strings.Join(lines, "\n")
}
