package sim_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"pitboss/sim"
)

func reportOf(t *testing.T, change func(*sim.Config)) (page string, seen map[string]bool) {
	t.Helper()
	var r *sim.Report
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Duration = 200, 12*time.Hour
		change(c)
		r = sim.NewReport(*c)
	})
	seen = map[string]bool{}
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		r.See(ev, s.Truth())
		seen[ev.GetType()] = true
		if s.Truth().Fraud {
			seen[s.Truth().Typology] = true
		}
	}
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String(), seen
}

// The page names every fraud and every type of event, needs nothing from elsewhere, has a number wherever it draws one, and is the same each time.
func TestReportShowsEveryAgent(t *testing.T) {
	all := func(c *sim.Config) {
		for i := range c.Mix.Frauds {
			c.Mix.Frauds[i].Share = 0.01
		}
	}
	page, seen := reportOf(t, all)
	frauds := 0
	for name := range seen {
		cell := "<span>" + name + "</span>"
		if _, err := sim.ParseTypology(name); err == nil {
			frauds++
			cell = "<td>" + strings.ReplaceAll(name, "_", " ") + "</td>"
		}
		if !strings.Contains(page, cell) {
			t.Errorf("the page does not show %s", name)
		}
	}
	if frauds < 9 {
		t.Errorf("only %d kinds of fraud did anything", frauds)
	}
	for _, bad := range []string{"NaN", "Inf", "http:", "https:", "<script", "%!"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if again, _ := reportOf(t, all); again != page {
		t.Error("the same casino has another page the second time")
	}
}

// A casino with next to nothing in it has a page too.
func TestReportOfNearlyNothing(t *testing.T) {
	page, _ := reportOf(t, func(c *sim.Config) {
		c.Players, c.Duration, c.Mix.Frauds = 20, time.Second, [sim.Typologies]sim.Fraud{}
	})
	if !strings.Contains(page, "This casino has none.") || strings.Contains(page, "NaN") {
		t.Error("the page of an empty casino is no page")
	}
}
