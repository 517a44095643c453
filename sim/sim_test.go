package sim_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

func newSim(t testing.TB, change func(*sim.Config)) *sim.Sim {
	t.Helper()
	cfg := sim.DefaultConfig()
	cfg.Players, cfg.Duration = 200, 48*time.Hour
	change(&cfg)
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// only is a mix with one fraud, of one mimicry.
func only(t sim.Typology, share, mimicry float64) [sim.Typologies]sim.Fraud {
	var out [sim.Typologies]sim.Fraud
	out[t] = sim.Fraud{Share: share, Mimicry: sim.Range{Min: mimicry, Max: mimicry}}
	return out
}

// digest plays a casino to its end and hashes its events and its truth as they are written.
func digest(t *testing.T, change func(*sim.Config)) (events, truth string, n uint64) {
	t.Helper()
	s := newSim(t, change)
	he, ht := sha256.New(), sha256.New()
	we, wt := sim.NewJSONWriter(he), sim.NewJSONWriter(ht)
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		if err := we.Write(ev); err != nil {
			t.Fatal(err)
		}
		if err := wt.WriteTruth(s.Truth()); err != nil {
			t.Fatal(err)
		}
	}
	if err := we.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := wt.Flush(); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(he.Sum(nil)), hex.EncodeToString(ht.Sum(nil)), s.Events()
}

// The golden digests hold on every machine, at GOAMD64=v3 too, where a compiler may fuse products into sums. A change
// that moves them changes what every seed means: say so in the commit.
func TestSameBytesForASeed(t *testing.T) {
	small := func(c *sim.Config) {
		c.Players, c.Duration = 200, 12*time.Hour
		for i := range c.Mix.Frauds { // some of each
			c.Mix.Frauds[i].Share = 0.01
		}
	}
	events, truth, n := digest(t, small)
	const wantEvents = "29140811e3400e3e09b205699dc99df232919856392c023963626489b0702be5"
	const wantTruth = "bab6d13b47ef0a2753ced75855dfd77bfbd121d19698f14e4b1ee371f5c74e3c"
	if events != wantEvents {
		t.Errorf("events: got %s (%d events), want %s", events, n, wantEvents)
	}
	if truth != wantTruth {
		t.Errorf("truth: got %s, want %s", truth, wantTruth)
	}
	if again, _, _ := digest(t, small); again != events {
		t.Errorf("a second run gave %s, not %s", again, events)
	}
	if other, _, _ := digest(t, func(c *sim.Config) { small(c); c.Seed = 2 }); other == events {
		t.Error("another seed gave the same events")
	}
}

// What a casino of a shorter time tells is the beginning of what the longer one tells, but for labels and for who is
// spread over the watched time: with neither, the prefix is exact.
func TestShorterIsAPrefix(t *testing.T) {
	quiet := func(d time.Duration) func(*sim.Config) {
		return func(c *sim.Config) {
			c.Duration, c.NewShare, c.Mix.Frauds, c.Labels.Reviewed = d, 0, [sim.Typologies]sim.Fraud{}, 0
		}
	}
	short, long := newSim(t, quiet(5*time.Hour)), newSim(t, quiet(9*time.Hour))
	for a, ok := short.Next(); ok; a, ok = short.Next() {
		b, _ := long.Next()
		if a.GetEventId() != b.GetEventId() || a.GetType() != b.GetType() || !a.GetOccurredAt().AsTime().Equal(b.GetOccurredAt().AsTime()) {
			t.Fatalf("event %d: got %v, the longer run %v", short.Events(), a, b)
		}
	}
}

// ledger follows one casino and complains about whatever a real one could not tell.
type ledger struct {
	t          *testing.T
	last       time.Time
	ids        map[string]bool
	seq        map[string]uint64
	bets       map[string]int64 // transaction -> amount, until settled
	rolledBack int
	placed     int
}

func (l *ledger) see(ev *pb.Event) {
	t := l.t
	if at := ev.GetOccurredAt().AsTime(); at.Before(l.last) {
		t.Fatalf("%s at %s comes after %s", ev.GetType(), at, l.last)
	} else {
		l.last = at
	}
	for _, id := range []string{ev.GetEventId(), ev.GetTransactionId()} {
		if id != "" && l.ids[id] && ev.GetType() != "bet.accepted" { // which has the bet's
			t.Fatalf("%s: id %s was used before", ev.GetType(), id)
		}
		l.ids[id] = true
	}
	if p := ev.GetProducerId(); ev.GetProducerSeq() != l.seq[p]+1 {
		t.Fatalf("%s: producer %s goes from %d to %d", ev.GetType(), p, l.seq[p], ev.GetProducerSeq())
	}
	l.seq[ev.GetProducerId()]++
	if ev.GetPayload() == nil {
		t.Fatalf("%s has no payload", ev.GetType())
	}
	for _, id := range ev.GetEntities() {
		if id.GetForm() != pb.Form_FORM_RAW || id.GetValue() == "" {
			t.Fatalf("%s: entity %v", ev.GetType(), id)
		}
	}
	l.money(ev)
}

func (l *ledger) money(ev *pb.Event) {
	ref := ev.GetReferenceTransactionId()
	switch p := ev.GetPayload().(type) {
	case *pb.Event_BetPlaced:
		b := p.BetPlaced
		l.placed++
		if b.GetAmount().GetAmountMinor() <= 0 || b.GetReal().GetAmountMinor()+b.GetBonus().GetAmountMinor() != b.GetAmount().GetAmountMinor() {
			l.t.Fatalf("bet %v does not add up", b)
		}
		if b.GetBalanceAfter().GetAmountMinor() < 0 || b.GetBalanceBefore().GetAmountMinor()-b.GetAmount().GetAmountMinor() != b.GetBalanceAfter().GetAmountMinor() {
			l.t.Fatalf("balance of bet %v does not add up", b)
		}
		l.bets[ev.GetTransactionId()] = b.GetAmount().GetAmountMinor()
	case *pb.Event_WinCredited:
		if _, ok := l.bets[ref]; !ok {
			l.t.Fatalf("win for the unknown bet %s", ref)
		}
	case *pb.Event_BetRolledBack:
		l.rolledBack++
		if l.bets[ref] != p.BetRolledBack.GetAmount().GetAmountMinor() {
			l.t.Fatalf("%d taken back of a bet of %d", p.BetRolledBack.GetAmount().GetAmountMinor(), l.bets[ref])
		}
		delete(l.bets, ref)
	}
}

func TestEventsAddUp(t *testing.T) {
	s := newSim(t, func(c *sim.Config) { c.Players = 300; c.Activity = 2 })
	l := &ledger{t: t, ids: map[string]bool{}, seq: map[string]uint64{}, bets: map[string]int64{}}
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		l.see(ev)
		delete(l.ids, "")
	}
	if share := float64(l.rolledBack) / float64(l.placed); share < 0.001 || share > 0.003 {
		t.Errorf("%d of %d bets were taken back: %v, want about .002", l.rolledBack, l.placed, share)
	}
}

func TestConfigRefusesTheImpossible(t *testing.T) {
	f := func(want string, change func(*sim.Config)) {
		t.Helper()
		cfg := sim.DefaultConfig()
		change(&cfg)
		_, err := sim.New(cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	f("players", func(c *sim.Config) { c.Players = 1 })
	f("players", func(c *sim.Config) { c.Players = 1 << 30 })
	f("start", func(c *sim.Config) { c.Start = time.Time{} })
	f("duration", func(c *sim.Config) { c.Duration = -1 })
	f("duration", func(c *sim.Config) { c.Duration = 1 << 62 })
	f("activity", func(c *sim.Config) { c.Activity = 0 })
	f("activity", func(c *sim.Config) { c.Activity = nan() })
	f("tenant", func(c *sim.Config) { c.Tenant = "" })
	f("labels.delay", func(c *sim.Config) { c.Labels.Delay = 0 })
	f("labels.wrong", func(c *sim.Config) { c.Labels.Wrong = 2 })
	f("mix.metronome_bot.share", func(c *sim.Config) { c.Mix.Frauds[sim.MetronomeBot].Share = 1.5 })
	f("mix.bonus_ring.mimicry.max", func(c *sim.Config) { c.Mix.Frauds[sim.BonusRing].Mimicry.Max = nan() })
	f("mix.backdoor.mimicry", func(c *sim.Config) { c.Mix.Frauds[sim.Backdoor].Mimicry = sim.Range{Min: 1, Max: 0.5} })
	f("unknown kind", func(c *sim.Config) { c.Scenarios = []sim.Scenario{{Kind: "war"}} })
	f("there twice", func(c *sim.Config) { c.Scenarios = []sim.Scenario{{Kind: "launch"}, {Kind: "launch"}} })
	f("scenarios[0].after", func(c *sim.Config) { c.Scenarios = []sim.Scenario{{Kind: "launch", After: -1}} })
	f("smallest group", func(c *sim.Config) { c.Players, c.Mix.Frauds = 20, only(sim.AffiliateFraud, 0.1, 0) })
	f("at most half", func(c *sim.Config) {
		c.Mix.Frauds[sim.MetronomeBot].Share, c.Mix.Frauds[sim.BonusRing].Share = 0.3, 0.4
	})
	f("add up", func(c *sim.Config) { c.Mix.Autoplay, c.Mix.Hunters = 0.6, 0.6 })
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}

// Extremes that Validate lets through must be playable.
func TestEdgesOfTheConfig(t *testing.T) {
	f := func(change func(*sim.Config)) {
		t.Helper()
		s := newSim(t, change)
		for range 20_000 {
			if _, ok := s.Next(); !ok {
				return
			}
		}
	}
	f(func(c *sim.Config) { c.Players = 20 })
	f(func(c *sim.Config) { c.Duration = 0 })
	f(func(c *sim.Config) { c.Duration = time.Second })
	f(func(c *sim.Config) { c.Activity = 1000 })
	f(func(c *sim.Config) { c.NewShare = 1 })
	f(func(c *sim.Config) { c.Rollbacks = 1 })
	f(func(c *sim.Config) {
		c.Mix.Frauds[sim.MetronomeBot].Share, c.Mix.Frauds[sim.BonusRing].Share = 0.2, 0.2
		c.Players = 23
	})
	f(func(c *sim.Config) { c.Mix = sim.Mix{Autoplay: 1} })
	f(func(c *sim.Config) { c.Mix = sim.Mix{Households: 1, Mobile: 1} })
	f(func(c *sim.Config) { c.Labels = sim.Labels{Delay: time.Minute, Missing: 1, Wrong: 1, Reviewed: 1} })
	f(func(c *sim.Config) { c.Start = time.Date(1971, 1, 1, 0, 0, 0, 7, time.UTC) })
}

func TestKeyAndDue(t *testing.T) {
	cfg := sim.DefaultConfig()
	s := newSim(t, func(*sim.Config) {})
	ev, _ := s.Next()
	if got, want := string(sim.Key(ev)), s.Truth().Player; got != want {
		t.Errorf("Key: got %q, want %q", got, want)
	}
	since := ev.GetOccurredAt().AsTime().Sub(cfg.Start)
	if got := cfg.Due(ev.GetOccurredAt().AsTime(), 60); got != since/60 {
		t.Errorf("Due at speed 60: got %s, want %s", got, since/60)
	}
	if got := cfg.Due(ev.GetOccurredAt().AsTime(), 0); got != 0 {
		t.Errorf("Due at speed 0: got %s, want 0", got)
	}
}

func BenchmarkNext(b *testing.B) {
	s := newSim(b, func(c *sim.Config) { c.Players, c.Duration = 2000, 0 })
	b.ReportAllocs()
	for b.Loop() {
		s.Next()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkNextToJSON(b *testing.B) {
	s := newSim(b, func(c *sim.Config) { c.Players, c.Duration = 2000, 0 })
	w := sim.NewJSONWriter(io.Discard)
	b.ReportAllocs()
	for b.Loop() {
		ev, _ := s.Next()
		if err := w.Write(ev); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
