package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
		flags := simFlags{cfg: sim.DefaultConfig(), mimicry: -1, out: "-", start: "2026-01-05T00:00:00Z", trouble: troubleStop}
		change(&flags)
		err := flags.complete()
		if err == nil {
			err = flags.cfg.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f("say where to", func(f *simFlags) { f.out = "" })
	f("say where to", func(f *simFlags) { f.grpc = "127.0.0.1:9" })
	f("--on-trouble", func(f *simFlags) { f.trouble = "panic" })
	f("--adaptive: needs --grpc", func(f *simFlags) { f.adaptive = true })
	f("--adaptive: not with", func(f *simFlags) { f.out, f.grpc, f.adaptive, f.faults = "", "127.0.0.1:9", true, true })
	f("--resume", func(f *simFlags) { f.resume = true })
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

func simFlagsFor(dir string) simFlags {
	cfg := sim.DefaultConfig()
	cfg.Players, cfg.Duration = 100, 6*time.Hour
	return simFlags{
		cfg: cfg, mimicry: -1, start: cfg.Start.Format(time.RFC3339), out: filepath.Join(dir, "events.jsonl"),
		truth: filepath.Join(dir, "truth.jsonl"), trouble: troubleStop, faults: true,
	}
}

// A run that was stopped anywhere goes on at the same byte, and one of another seed is refused.
func TestSimGoesOnAtTheSameByte(t *testing.T) {
	read := func(path string) []byte {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	whole := simFlagsFor(t.TempDir())
	if err := runSim(t.Context(), io.Discard, whole); err != nil {
		t.Fatal(err)
	}
	events, truth := read(whole.out), read(whole.truth)
	for _, at := range []int{0, 1, len(events) / 3, len(events) - 1, len(events)} {
		f := simFlagsFor(t.TempDir())
		f.resume = true
		if err := errors.Join(os.WriteFile(f.out, events[:at], 0o600), os.WriteFile(f.truth, truth[:min(at, len(truth))/2], 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := runSim(t.Context(), io.Discard, f); err != nil {
			t.Fatalf("resumed at byte %d: %v", at, err)
		}
		if !bytes.Equal(read(f.out), events) || !bytes.Equal(read(f.truth), truth) {
			t.Errorf("resumed at byte %d: the files are not those of one run", at)
		}
	}
	f := whole
	f.resume, f.cfg.Seed = true, 2
	if err := runSim(t.Context(), io.Discard, f); err == nil || !strings.Contains(err.Error(), "another seed") {
		t.Errorf("going on with another seed: got %v", err)
	}
	if !bytes.Equal(read(f.out), events) {
		t.Error("going on with another seed changed the file")
	}
}

// A full disk stops the run by name.
func TestSimStopsOnAFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full")
	}
	f := simFlagsFor(t.TempDir())
	f.out = "/dev/full"
	if err := runSim(t.Context(), io.Discard, f); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("got %v, want an error that says how to go on", err)
	}
}

// Parquet holds as many events as the lines.
func TestSimWritesParquet(t *testing.T) {
	f := simFlagsFor(t.TempDir())
	f.parquet, f.out, f.truth, f.events, f.faults = f.out, "", "", 3000, false
	if err := runSim(t.Context(), io.Discard, f); err != nil {
		t.Fatal(err)
	}
	parts, err := filepath.Glob(filepath.Join(f.parquet, "type=bet.placed", "*", "*.parquet"))
	if err != nil || len(parts) == 0 {
		t.Fatalf("no bets were written: %v, %v", parts, err)
	}
}

// The casino asks a real server, lives with what it says, and the server has every event.
func TestSimAsksAServer(t *testing.T) {
	h := newHouse(t)
	r := serve(t, h)
	f := simFlagsFor(t.TempDir())
	f.out, f.truth, f.faults = "", "", false
	f.grpc, f.key, f.adaptive, f.events, f.speed = r.conn.Target(), h.key, true, 600, 0
	f.start = time.Now().UTC().Add(-12 * time.Hour).Format(time.RFC3339)
	var said bytes.Buffer
	if err := runSim(t.Context(), &said, f); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), " answers: ") || strings.HasPrefix(said.String(), "0 answers") {
		t.Errorf("the casino says %q", said.String())
	}
}

// A server that is not there stops the run, which says what has arrived.
func TestSimStopsWithoutAServer(t *testing.T) {
	f := simFlagsFor(t.TempDir())
	f.out, f.truth, f.grpc, f.key = "", "", "127.0.0.1:1", "none"
	if err := runSim(t.Context(), io.Discard, f); err == nil || !strings.Contains(err.Error(), "the first 0 events of this run have arrived") {
		t.Errorf("got %v", err)
	}
}
