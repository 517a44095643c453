package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
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
  - {name: since_bet, group: bets, aggregate: time_since}
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
	values := []string{
		"player a ", "stored as", "at 2026-01-01T00:03:00Z; its newest event is of 2026-01-01T00:03:00Z, 0s before",
		"bets_1h 3 present count bets 1h 3 tiles", "stake_1h 300 present sum bets 1h 3 tiles", "of_bets 100 present cel stake_1h / bets_1h",
		"\nbets\nbets_1h [2025-12-31T23:03:00Z, 2026-01-01T00:03:01Z) 3 tiles\nstake_1h [2025-12-31T23:03:00Z, 2026-01-01T00:03:01Z) 3 tiles\n" +
			"since_bet at any time\ntiles, newest first length events sum of amount_base\n" +
			"2026-01-01T00:03:00Z 1s 1 100\n2026-01-01T00:02:00Z 1s 1 100\n2026-01-01T00:00:00Z 1m 1 100\n",
		"since_bet 0 present time_since bets",
	}
	f(out, append(values, "3 events name it, the newest 2", "2026-01-01T00:02:00Z bet.placed e2 ", "2026-01-01T00:03:00Z bet.placed e3 ", " bets, all")...)
	_, decision, _ := strings.Cut(out, "bet.placed e3 ")
	decision, _, _ = strings.Cut(decision, " ")
	f(out, "events, newest first decision\n2026-01-01T00:03:00Z "+decision+"\n2026-01-01T00:02:00Z ")
	if strings.Contains(out, " e0 ") || strings.Contains(out, " e1 ") {
		t.Errorf("got\n%s\nwant the newest two of a", out)
	}
	f(show("player", "a", "--at", "2026-01-01T00:02:30Z"), "bets_1h 2 present", "30s before", "2 events name it")
	f(show("player", "nobody"), "no event of it is known", "0 events name it")
	_, rest, _ := strings.Cut(out, "stored as ")
	alias, _, _ := strings.Cut(rest, ",")
	f(show("player", alias, "--alias"), "bets_1h 3 present")
	one := show("player", "a", "--feature", "stake_1h", "--newest", "1")
	f(one, "tiles, the newest 1 of 3 length events sum of amount_base\n2026-01-01T00:03:00Z 1s 1 100\nevents, the newest 1 of 3 decision\n")
	if strings.Contains(one, "bets_1h") {
		t.Errorf("got\n%s\nwant one feature", one)
	}
	refused(t, exitFailed, []string{`no feature "stakes"`}, "features", "show", "--config", h.config, "--set", set, "player", "a", "--feature", "stakes")
	refused(t, exitUsage, []string{"--addr", "--config"}, "features", "show", "player", "a")
	refused(t, exitUsage, []string{"--key"}, "features", "show", "--addr", "127.0.0.1:1", "player", "a")
	refused(t, exitFailed, []string{`"players" is not an entity kind`}, "features", "show", "--config", h.config, "--set", set, "players", "a")
}

// The state that a server left, and a server that runs, show the same.
func TestShowWithoutReadingTheJournal(t *testing.T) {
	h := newHouse(t)
	write(t, h.path("set.yaml"), `format: 1
name: one
version: "1"
groups:
  bets: {entity: player, match: {type: bet.placed}}
  exact: {entity: player, match: {type: bet.placed}, exact: 8}
features:
  - {name: bets_1h, group: bets, aggregate: count, window: 1h}
  - {name: exact_1h, group: exact, aggregate: count, window: 1h}
  - {name: gaps, group: exact, aggregate: gap_mean, window: 1h, last: 4}
`)
	h.edit(t, `(?m)^bundle: .*$`, "feature_set: set.yaml")
	r := serve(t, h)
	now := time.Now().UTC().Truncate(time.Second)
	at := now.Format(time.RFC3339)
	for i := range 6 {
		body := fmt.Sprintf(`{"events": [{"event_id": "e%d", "type": "bet.placed", "tenant": "demo", "occurred_at": %q, "entities": [{"kind": "player", "value": "me",
			"form": "FORM_RAW"}], "bet_placed": {"amount": {"amount_minor": "100", "currency": "EUR"}}}]}`, i, now.Add(time.Duration(i-5)*time.Second).Format(time.RFC3339))
		if code, data := r.do(t, http.MethodPost, "/v1/events", body); code != http.StatusOK {
			t.Fatalf("%d %s", code, data)
		}
	}
	served := spaces(must(t, "features", "show", "--addr", r.conn.Target(), "--key", r.key, "--newest", "5", "--at", at, "player", "me").out)
	for _, want := range []string{
		"bets_1h 6 present count bets 1h 6 tiles", "exact_1h 6 present count exact 1h exact", "gaps 1 capped gap_mean exact 1h exact",
		"tiles, the newest 5 of 6 length events\n" + at + " 1s 1\n", "\nexact\nexact_1h (" + now.Add(-time.Hour).Format(time.RFC3339) + ", " + at + "] 6 events\n" +
			"gaps (" + now.Add(-time.Hour).Format(time.RFC3339) + ", " + at + "] 4 events\nevents, the newest 5 of 6 decision\n" + at + " ",
	} {
		if !strings.Contains(served, want) {
			t.Errorf("got\n%s\nwant %q in it", served, want)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(served, "by feature set")
	_, got, _ := strings.Cut(spaces(must(t, "features", "show", "--config", h.config, "--newest", "5", "--at", at, "player", "me").out), "by feature set")
	if got != want {
		t.Errorf("of the state that the server left:\n%s\nand the server said:\n%s", got, want)
	}
}

// spaces is a text with one space where there were several.
func spaces(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	return strings.Join(lines, "\n")
}
