package features_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/enginetest"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// changing is a Source that says something else each time.
type changing struct{ asked *int }

func (changing) Name() string       { return "changing" }
func (changing) Check(string) error { return nil }
func (c changing) Value(*features.Event, string) (float64, features.Status, string) {
	*c.asked++
	if *c.asked%3 == 0 {
		return math.NaN(), features.Missing, "none"
	}
	return float64(*c.asked), features.Stale, fmt.Sprint(*c.asked)
}

const sourcedSet = `
format: 1
name: sourced
version: "1"
on: {warming_up: missing}
groups:
  bets:    {entity: player, match: {type: bet.placed}}
  ip_bets: {entity: ip, match: {type: bet.placed}}
features:
  - {name: bets_1m, group: bets, aggregate: count, window: 1m}
  - {name: since, group: bets, aggregate: time_since, default: -1}
  - {name: ip_bets_24h, group: ip_bets, aggregate: count, window: 24h, on: {warming_up: value}}
  - {name: ip_mean_24h, group: ip_bets, aggregate: mean, value: amount_base, window: 24h}
  - {name: ip_z, group: ip_bets, aggregate: zscore, value: amount_base, window: 24h, min_count: 2, on: {warming_up: value}}
  - {name: z_squared, aggregate: cel, expr: "ip_z * ip_z"}
  - {name: told, source: changing, key: k, default: 7}
  - {name: ltv, source: push, entity: player, type: number, ttl: 1h}
  - {name: bets_by_told, aggregate: ratio, numerator: bets_1m, denominator: told}
  - {name: bets_by_ip, aggregate: ratio, numerator: bets_1m, denominator: ip_bets_24h}
`

// Vectors with values of sources, which change, and pushed ones, which come between a vector and its record; then of a set
// whose groups are new to the state and not backfilled. What can be made again is the same; the rest is counted.
func TestVerifyTakesWhatTheJournalCannotGive(t *testing.T) {
	s := newShop(t)
	asked := 0
	set, err := features.CompileSet([]byte(sourcedSet), "set.yaml", features.CompileOptions{
		Kinds: s.kinds, Sources: []features.Source{changing{&asked}},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	decide := func(set *features.Set, between func()) {
		t.Helper()
		n++
		at := pushStart + int64(n)*7e6
		base := int64(100 * n % 700)
		ev := &features.Event{}
		if err := features.Decode(s.kinds, &pb.Event{
			EventId: fmt.Sprint("e", n), Tenant: "acme", Type: "bet.placed", OccurredAt: timestamppb.New(time.UnixMicro(at)), ReceivedAt: timestamppb.New(time.UnixMicro(at)),
			Entities: []*pb.Identifier{{Kind: "player", Value: fmt.Sprint("p", n%3), Form: pb.Form_FORM_ALIAS}, {Kind: "ip", Value: "i", Form: pb.Form_FORM_ALIAS}},
			Payload:  &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: base, Currency: "EUR", BaseMinor: &base}}},
		}, ev); err != nil {
			t.Fatal(err)
		}
		slot, err := s.engine.Admit(t.Context(), ev)
		if err != nil {
			t.Fatal(err)
		}
		defer slot.Release()
		var v features.Vector
		if err := s.engine.Vector(t.Context(), slot, set, &v); err != nil {
			t.Fatal(err)
		}
		between()
		if _, err := s.engine.Commit(t.Context(), slot, &pb.EventFrame{Decision: enginetest.Record(set, ev, &v)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 12 {
		decide(s.set, func() { s.push("player", fmt.Sprint("p", n%3), int64(n), "ltv", float64(n)) })
	}
	if err := s.engine.Close(); err != nil {
		t.Fatal(err)
	}
	verify := func(sets ...*features.Set) *features.VerifyReport {
		t.Helper()
		cfg := features.DefaultEngineConfig()
		cfg.Kinds = s.kinds
		served, err := features.ServedSets(t.Context(), s.journal, nil)
		if err != nil {
			t.Fatal(err)
		}
		report, err := features.Verify(t.Context(), features.VerifyConfig{
			Journal: s.journal, States: states.NewMemory(), Sets: sets, Served: served, Engine: cfg,
		})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	// The first of each player's vectors knew nothing of them, and needs no position.
	if r := verify(s.set); r.Same != 12 || r.Overtaken != 9 || r.Taken != 0 || r.Values != 12*uint64(len(s.set.Features)) {
		t.Errorf("pushed values: %+v", r)
	}
	first := s.set
	s.set = set
	s.open()
	for range 30 {
		decide(set, func() {})
	}
	r := verify(first, set)
	if r.Decisions != 42 || r.Same != 42 || r.Taken == 0 {
		t.Errorf("sources and new groups: %+v", r)
	}
	// Of the 30 the source's value, and all of the address but the ratio, which is made of what was taken; a minute of
	// bets_1m, which is 8 events, and the first since of each of 3 players.
	if want := uint64(30*5 + 8 + 3); r.Taken != want {
		t.Errorf("%d values are taken, want %d", r.Taken, want)
	}
	if r = verify(set); r.Failed != 12 || r.Identical() {
		t.Errorf("without the first set: %+v", r)
	}
}

// The journal of a verification is only read, whatever is wrong with the rest of what it gets.
func TestVerifyRefuses(t *testing.T) {
	cfg := features.DefaultEngineConfig()
	j, rest := journal.NewMemory(journal.MemoryConfig{}), states.NewMemory()
	f := func(c features.VerifyConfig) {
		t.Helper()
		if _, err := features.Verify(t.Context(), c); err == nil {
			t.Error("verified")
		}
	}
	f(features.VerifyConfig{Journal: j, States: rest, Engine: cfg}) // no kinds
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kinds = kinds
	f(features.VerifyConfig{States: rest, Engine: cfg})
	f(features.VerifyConfig{Journal: j, Engine: cfg})
	f(features.VerifyConfig{Journal: j, States: rest, Engine: cfg, Ahead: -1})
	if r, err := features.Verify(t.Context(), features.VerifyConfig{Journal: j, States: rest, Engine: cfg}); err != nil || r.Frames != 0 || !r.Identical() {
		t.Errorf("an empty journal: %+v, %v", r, err)
	}
	if err := errors.Join(j.Close(), rest.Close()); err != nil {
		t.Fatal(err)
	}
}
