package main

import (
	"strings"
	"testing"
	"time"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/sim"
)

// What the casino tells, pitboss takes: every type, of every fraud, at both ends of mimicry.
func TestSimulatedEventsPassTheEdge(t *testing.T) {
	keys, err := edge.NewKeys(demoTenant)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := edge.ParseKeys(keys, "keys")
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := edge.New(edge.Config{Kinds: kinds, Keys: loaded, History: true, Dir: "../../examples/casino",
		Tenants: map[string]edge.TenantConfig{demoTenant: {BaseCurrency: "EUR", RatesFile: "rates.yaml"}}})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, mimicry := range []float64{0, 1} {
		cfg := sim.DefaultConfig()
		cfg.Players, cfg.Duration, cfg.Activity = 200, 72*time.Hour, 0.3
		for i := range cfg.Mix.Frauds {
			cfg.Mix.Frauds[i] = sim.Fraud{Share: 0.01, Mimicry: sim.Range{Min: mimicry, Max: mimicry}}
		}
		s, err := sim.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for ev, ok := s.Next(); ok; ev, ok = s.Next() {
			if seen[ev.GetType()]++; seen[ev.GetType()] > 1500 {
				continue
			}
			var dst features.Event
			if err := e.Accept(ev, ev.GetOccurredAt().AsTime(), &dst); err != nil {
				t.Fatalf("%s of %s: %v\n%v", ev.GetType(), s.Truth().Typology, err, ev)
			}
		}
	}
	t.Logf("%d types", len(seen))
	if len(seen) < 45 {
		t.Errorf("only %d types of events were seen: %v", len(seen), seen)
	}
}

func TestSimFlagsAreRefusedByName(t *testing.T) {
	f := func(want string, change func(*simFlags)) {
		t.Helper()
		flags := simFlags{cfg: sim.DefaultConfig(), mimicry: -1, out: "-", start: "2026-01-05T00:00:00Z"}
		change(&flags)
		err := flags.complete()
		if err == nil {
			err = flags.cfg.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f("either --out", func(f *simFlags) { f.out = "" })
	f("unknown agent \"ghost\"", func(f *simFlags) { f.agents = []string{"ghost=0.1"} })
	f("must be NAME=SHARE", func(f *simFlags) { f.agents = []string{"backdoor"} })
	f("is no number", func(f *simFlags) { f.agents = []string{"backdoor=many"} })
	f("mix.backdoor.share is 2", func(f *simFlags) { f.agents = []string{"backdoor=2"} })
	f("mix.backdoor.share is -1", func(f *simFlags) { f.agents = []string{"backdoor=-1"} })
	f("mimicry.min is 2", func(f *simFlags) { f.mimicry = 2 })
	f("unknown kind", func(f *simFlags) { f.scenarios = []string{"war@2h"} })
	f("--scenario launch", func(f *simFlags) { f.scenarios = []string{"launch@soon"} })
	f("--speed", func(f *simFlags) { f.speed = -1 })
	f("--start", func(f *simFlags) { f.start = "yesterday" })
}
