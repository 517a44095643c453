package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pitboss/models"
)

// skewed is a model whose contributions miss the margin by a little more than rounding.
type skewed struct{ models.Model }

func (m skewed) Explain(row []float64, s *models.Scratch, margins, contributions []float64) error {
	err := m.Model.Explain(row, s, margins, contributions)
	contributions[0] += 1e-6
	return err
}

// TestContributionsThatDoNotAddUp end to end: the decision is made and says that it has no reasons, and the metric counts it.
func TestContributionsThatDoNotAddUp(t *testing.T) {
	h := newHouse(t)
	h.edit(t, `brokers: \[.*\]`, "brokers: []")
	r := serve(t, h)
	reg := r.service.app.registry
	b := *reg.Active()
	b.Model = skewed{b.Model}
	if err := reg.Activate(&b); err != nil {
		t.Fatal(err)
	}
	code, data := r.do(t, http.MethodPost, "/v1/decisions", fmt.Sprintf(`{"event": {"event_id": "b-1", "type": "bet.placed", "tenant": "demo", "occurred_at": %q,
		"entities": [{"kind": "player", "value": "me", "form": "FORM_RAW"}], "bet_placed": {"amount": {"amount_minor": "100", "currency": "EUR"}}},
		"options": {"deadline_ms": 50}}`, time.Now().UTC().Format(time.RFC3339Nano)))
	var d struct {
		Score         float64 `json:"score"`
		Review        bool    `json:"review"`
		ReasonsStatus string  `json:"reasons_status"`
		Degraded      []struct {
			Stage string `json:"stage"`
			Cause string `json:"cause"`
		} `json:"degraded"`
	}
	if err := json.Unmarshal(data, &d); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, data)
	}
	if len(d.Degraded) == 1 && d.Degraded[0].Cause == "deadline" {
		t.Skip("a very slow machine did not come to it")
	}
	if d.Score == 0 || !d.Review || d.ReasonsStatus != "unavailable" || len(d.Degraded) != 1 || d.Degraded[0].Stage != "explain" || d.Degraded[0].Cause != "error" {
		t.Errorf("the decision is %s", data)
	}
	if _, text := r.do(t, http.MethodGet, "/metrics", ""); !strings.Contains(string(text), "\npitboss_decide_additivity_errors_total 1\n") {
		t.Errorf("/metrics does not count it:\n%s", text)
	}
}
