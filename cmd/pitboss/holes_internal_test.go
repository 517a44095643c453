package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pitboss/features/timeline"
)

// What producers left out is found in the journal, and what comes late closes it.
func TestFeaturesHoles(t *testing.T) {
	h := newHouse(t)
	line := func(seq int, kind, payload, at string) string {
		return fmt.Sprintf(`{"eventId":"e%d","producerId":"engine-1","producerSeq":"%d","type":%q,"tenant":"demo","occurredAt":"2026-01-01T00:%s:00Z",`+
			`"receivedAt":"2026-01-01T00:%s:00.040Z","entities":[{"kind":"player","value":"a","form":"FORM_RAW"},{"kind":"game","value":"g","form":"FORM_RAW"},`+
			`{"kind":"round","value":"r-1","form":"FORM_RAW"}],%q:{%s}}`+"\n", seq, seq, kind, at, at, payload,
			map[bool]string{true: `"amount":{"amountMinor":"100","currency":"EUR"}`}[kind == "bet.placed"])
	}
	ingest := func(lines ...string) {
		t.Helper()
		write(t, h.path("events.jsonl"), strings.Join(lines, ""))
		must(t, "ingest", "--history", "--config", h.config, "--source", h.path("events.jsonl"))
	}
	holes := func(args ...string) (r timeline.Report) {
		t.Helper()
		out := must(t, append([]string{"features", "holes", "--config", h.config, "--json"}, args...)...).out
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return r
	}
	ingest(line(1, "bet.placed", "betPlaced", "00"), line(2, "round.result", "roundResult", "01"), line(5, "game.launched", "gameLaunched", "30"))
	r := holes()
	if p := r.Producers[0]; r.Events != 3 || p.Missing != 2 || p.FirstGaps[0] != (timeline.Gap{First: 3, Last: 4}) || p.Clock.OffsetUS != 40_000 {
		t.Errorf("got %+v, want 3 events, 3 and 4 missing, 40 ms", r)
	}
	if r.Rounds.NeverClosed.Count != 1 || r.Rounds.BetWithoutRound.Count != 1 || r.Rounds.ResultWithoutBet.Count != 0 {
		t.Errorf("rounds %+v, want one never closed and without a start", r.Rounds)
	}
	if r = holes("--from", "2026-01-01T00:10:00Z"); r.Events != 1 || r.Rounds.Rounds != 0 {
		t.Errorf("from ten past: %+v, want one event and no round", r)
	}
	text := must(t, "features", "holes", "--config", h.config).out
	for _, want := range []string{"3 to 4 are missing", "1 never closed\n    demo r-1, from 2026-01-01T00:00:00Z", "40ms"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q:\n%s", want, text)
		}
	}
	ingest(line(4, "round.closed", "roundClosed", "02"), line(3, "round.started", "roundStarted", "00"))
	r = holes()
	if p := r.Producers[0]; p.Missing != 0 || r.Rounds.NeverClosed.Count+r.Rounds.BetWithoutRound.Count != 0 {
		t.Errorf("after what came late: %+v, want no holes", r)
	}
	refused(t, exitUsage, []string{"give --config"}, "features", "holes")
	refused(t, exitUsage, []string{"--to", "no time"}, "features", "holes", "--config", h.config, "--to", "noon")
	refused(t, exitUsage, []string{"nothing lies between"}, "features", "holes", "--config", h.config, "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-02T00:00:00Z")
	refused(t, exitFailed, []string{"too many", "shorter time"}, "features", "holes", "--config", h.config, "--max-items", "1")
}
