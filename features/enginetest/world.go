package enginetest

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// everything is a feature set with every aggregate, of several kinds of entities.
const everything = `
format: 1
name: everything
max_features: 128
version: "1"
groups:
  bets:       {entity: player, match: {type: bet.placed}}
  attempts:   {entity: player, match: {type: bet.placed}, count: attempted}
  back:       {entity: player, match: {type: [bet.rolled_back, payment.withdrawal_cancelled]}}
  payouts:    {entity: player, match: {type: payment.withdrawal_requested}}
  manual:     {entity: player, match: {type: bet.placed, input_mode: [manual, bought]}}
  logins:     {entity: player, match: {type: [auth.login, auth.failed], trust: server}}
  things:     {entity: player, match: {attr_flag: true}}
  all:        {entity: ip}
  ip_bets:    {entity: ip, match: {type: bet.placed}}
  game_bets:  {entity: game, match: {type: bet.placed}}
  brand_bets: {entity: brand, match: {type: bet.placed}}
  exact:      {entity: player, match: {type: bet.placed}, exact: 5}
  exact_game: {entity: game, match: {type: bet.placed}, exact: 40}
  short:      {entity: game, match: {type: bet.placed}, ttl: 48h}
features:
  - {name: bets_1m, group: bets, aggregate: count, window: 1m}
  - {name: bets_5m, group: bets, aggregate: count, window: 5m, current: exclude}
  - {name: bets_30d, group: bets, aggregate: count, window: 30d}
  - {name: stake_1h, group: bets, aggregate: sum, value: amount_base, window: 1h}
  - {name: stake_24h, group: bets, aggregate: sum, value: amount_base, window: 24h}
  - {name: stake_7d_before, group: bets, aggregate: sum, value: amount_base, window: 7d, current: exclude}
  - {name: mean_24h, group: bets, aggregate: mean, value: amount_base, window: 24h, current: exclude}
  - {name: mean_1h, group: bets, aggregate: mean, value: amount_base, window: 1h}
  - {name: odds_1h, group: bets, aggregate: mean, value: attr_odds, scale: 1000, window: 1h}
  - {name: std_24h, group: bets, aggregate: std, value: amount_base, window: 24h}
  - {name: cv_1h_before, group: bets, aggregate: cv, value: amount_base, window: 1h, current: exclude}
  - {name: max_7d, group: bets, aggregate: max, value: amount_base, window: 7d}
  - {name: min_5m, group: bets, aggregate: min, value: amount_base, window: 5m}
  - {name: range_24h_before, group: bets, aggregate: range, value: attr_odds, scale: 1000, window: 24h, current: exclude}
  - {name: attempts_24h, group: attempts, aggregate: count, window: 24h}
  - {name: attempted_30d, group: attempts, aggregate: sum, value: amount_base, window: 30d, current: exclude}
  - {name: attempted_games_7d, group: attempts, aggregate: distinct, value: game, window: 7d}
  - {name: since_attempt, group: attempts, aggregate: time_since}
  - {name: back_7d, group: back, aggregate: count, window: 7d}
  - {name: payouts_30d, group: payouts, aggregate: sum, value: amount_base, window: 30d, current: exclude}
  - {name: mode_share_24h, group: bets, aggregate: top_share, value: input_mode, categories: [manual, autoplay], window: 24h}
  - {name: game_entropy_7d, group: bets, aggregate: entropy, value: game, slots: 16, window: 7d, current: exclude}
  - {name: stake_q95_24h, group: bets, aggregate: quantile, q: 0.95, value: amount_base, max: 100000, window: 24h}
  - {name: decayed_24h, group: bets, aggregate: decayed_count, half_life: 2h, window: 24h}
  - {name: decayed_stake_1h, group: bets, aggregate: decayed_sum, half_life: 15m, value: amount_base, window: 1h, current: exclude}
  - {name: stake_7d_last_week, group: bets, aggregate: sum, value: amount_base, window: 7d, shift: 7d}
  - {name: entropy_day_before, group: bets, aggregate: entropy, value: game, slots: 16, window: 24h, shift: 1d}
  - {name: seen, group: all, aggregate: first_seen}
  - {name: first_bet, group: bets, aggregate: first_seen, current: exclude, default: -1}
  - {name: ip_many_games_7d, group: ip_bets, aggregate: distinct_large, value: game, window: 7d}
  - {name: ip_many_players_24h, group: ip_bets, aggregate: distinct_large, value: player, window: 24h, current: exclude}
  - {name: games_24h, group: bets, aggregate: distinct, value: game, window: 24h}
  - {name: modes_1h, group: bets, aggregate: distinct, value: input_mode, window: 1h, current: exclude}
  - {name: since_bet, group: bets, aggregate: time_since}
  - {name: since_manual, group: manual, aggregate: time_since, current: include, default: -1}
  - {name: manual_5m, group: manual, aggregate: count, window: 5m}
  - {name: logins_24h, group: logins, aggregate: count, window: 24h}
  - {name: things_7d, group: things, aggregate: count, window: 7d}
  - {name: ip_events_1m, group: all, aggregate: count, window: 1m}
  - {name: ip_since, group: all, aggregate: time_since}
  - {name: ip_players_1h, group: ip_bets, aggregate: distinct, value: player, window: 1h}
  - {name: ip_stake_30d, group: ip_bets, aggregate: sum, value: amount_base, window: 30d}
  - {name: game_players_24h, group: game_bets, aggregate: distinct, value: player, window: 24h, current: exclude}
  - {name: active_7d, group: bets, aggregate: active_hours, window: 7d}
  - {name: active_30d_before, group: bets, aggregate: active_hours, window: 30d, current: exclude}
  - {name: rest_7d, group: attempts, aggregate: quiet_gap, window: 7d, current: exclude}
  - {name: rest_30d, group: bets, aggregate: quiet_gap, window: 30d}
  - {name: same_slot_1h, group: bets, other: ip_bets, aggregate: same_slot_share, window: 1h}
  - {name: same_slot_24h_before, group: bets, other: game_bets, aggregate: same_slot_share, window: 24h, current: exclude}
  - {name: game_slot_5m, group: exact_game, other: ip_bets, aggregate: same_slot_share, window: 5m}
  - {name: game_short_24h, group: short, aggregate: sum, value: amount_base, window: 24h}
  - {name: game_short_players, group: short, aggregate: distinct, value: player, window: 1h}
  - {name: game_short_since, group: short, aggregate: time_since}
  - {name: brand_5m, group: brand_bets, aggregate: count, window: 5m}
  - {name: stake_last, group: bets, aggregate: last_value, value: amount_base, window: 24h, current: exclude}
  - {name: stake_third, group: bets, aggregate: last_value, value: amount_base, window: 7d, nth: 3}
  - {name: gap_mean, group: bets, aggregate: gap_mean, window: 7d, last: 12}
  - {name: gap_cv, group: bets, aggregate: gap_cv, window: 7d, last: 30, current: exclude}
  - {name: gap_mad, group: bets, aggregate: gap_mad, window: 7d, last: 30}
  - {name: gap_entropy, group: bets, aggregate: gap_entropy, window: 30d, last: 30}
  - {name: gap_lag1, group: bets, aggregate: gap_autocorrelation, window: 30d, last: 30}
  - {name: gap_fast, group: bets, aggregate: gap_share_under, window: 7d, last: 12, floor: 2s}
  - {name: beat, group: bets, aggregate: metronome, window: 30d, last: 30, periods: {from: 500ms, to: 1h, steps: 40}}
  - {name: modes, group: bets, aggregate: ngram_count, value: input_mode, window: 30d, last: 30, ngram: [manual, manual]}
  - {name: exact_1m, group: exact, aggregate: count, window: 1m}
  - {name: exact_1h_before, group: exact, aggregate: sum, value: amount_base, window: 1h, current: exclude}
  - {name: exact_24h, group: exact, aggregate: mean, value: amount_base, window: 24h}
  - {name: exact_games_7d, group: exact, aggregate: distinct, value: game, window: 7d, current: exclude}
  - {name: exact_cv_30d, group: exact, aggregate: cv, value: amount_base, window: 30d}
  - {name: exact_max_24h, group: exact, aggregate: max, value: amount_base, window: 24h}
  - {name: exact_modes_24h, group: exact, aggregate: entropy, value: input_mode, categories: [manual, autoplay], window: 24h}
  - {name: exact_game_share_7d, group: exact, aggregate: top_share, value: game, slots: 16, window: 7d, current: exclude}
  - {name: exact_q50_1h, group: exact_game, aggregate: quantile, q: 0.5, value: amount_base, max: 100000, window: 1h}
  - {name: exact_decayed_24h, group: exact, aggregate: decayed_count, half_life: 2h, window: 24h, current: exclude}
  - {name: exact_decayed_stake_1h, group: exact_game, aggregate: decayed_sum, half_life: 15m, value: amount_base, window: 1h}
  - {name: exact_day_before, group: exact, aggregate: top_share, value: game, slots: 16, window: 24h, shift: 1d}
  - {name: exact_many_7d, group: exact_game, aggregate: distinct_large, value: player, window: 7d}
  - {name: exact_active_7d, group: exact, aggregate: active_hours, window: 7d}
  - {name: exact_game_1h, group: exact_game, aggregate: distinct, value: player, window: 1h}
  - {name: share, aggregate: ratio, numerator: stake_1h, denominator: stake_24h, default: 0}
  - {name: share_of_share, aggregate: ratio, numerator: share, denominator: bets_1m}
  - {name: stake_z, group: bets, aggregate: zscore, value: amount_base, window: 24h, min_count: 2}
  - {name: of_others, aggregate: cel, expr: "event.type == 'bet.placed' ? stake_z * share : stake_1h / (bets_1m - 1.0)"}
  - {name: amount, aggregate: value, value: amount_base}
  - {name: hour, aggregate: value, value: hour_of_day}
  - {name: day, aggregate: value, value: day_of_week}
`

func testKinds(t testing.TB) *features.Kinds {
	t.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

func compile(t testing.TB, kinds *features.Kinds, yaml string) *features.Set {
	t.Helper()
	set, err := features.CompileSet([]byte(yaml), "set.yaml", features.CompileOptions{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// world is an engine on a journal and States, which can be restarted.
type world struct {
	t       testing.TB
	subject Subject
	dir     string
	kinds   *features.Kinds
	set     *features.Set
	sets    []*features.Set
	// blocked are the ids of events that decisions block.
	blocked map[string]bool
	cfg     features.EngineConfig

	j journal.Journal
	s features.States
	e *features.Engine

	// backfills says that new groups are built from the journal.
	backfills bool
	sides     *openSides

	running chan struct{}
	stop    context.CancelFunc
}

// option changes a world before it starts.
type option func(*world)

func withConfig(change func(*features.EngineConfig)) option {
	return func(w *world) { change(&w.cfg) }
}

func newWorld(t testing.TB, subject Subject, options ...option) *world {
	t.Helper()
	kinds := testKinds(t)
	w := &world{t: t, subject: subject, dir: t.TempDir(), kinds: kinds, set: compile(t, kinds, everything)}
	w.cfg = features.DefaultEngineConfig()
	w.cfg.Kinds, w.cfg.RetryEvery = kinds, time.Millisecond
	w.sets = []*features.Set{w.set}
	for _, o := range options {
		o(w)
	}
	if w.backfills {
		w.sides = &openSides{Sides: subject.Sides(t, w.dir)}
		w.cfg.Sides = w.sides
	}
	w.open()
	w.start()
	t.Cleanup(w.close)
	return w
}

func (w *world) open() { w.j, w.s = w.subject.Journal(w.t, w.dir), w.subject.States(w.t, w.dir) }

// start opens the engine and runs it.
func (w *world) start() {
	w.t.Helper()
	if err := w.tryStart(); err != nil {
		w.t.Fatalf("cannot open the engine: %v", err)
	}
}

func (w *world) tryStart() error {
	e, err := features.OpenEngine(context.Background(), w.cfg, w.j, w.s, w.sets...)
	if err != nil {
		return err
	}
	w.e = e
	ctx, cancel := context.WithCancel(context.Background())
	w.stop, w.running = cancel, make(chan struct{})
	go func() {
		defer close(w.running)
		if err := e.Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	return nil
}

// halt ends the engine: cleanly, or leaving everything as it is, like a death of the process does.
func (w *world) halt(cleanly bool) {
	w.t.Helper()
	if w.e == nil {
		return
	}
	w.stop()
	<-w.running
	if cleanly {
		if err := w.e.Close(); err != nil {
			w.t.Fatalf("cannot close the engine: %v", err)
		}
	} else if w.sides != nil {
		w.sides.die()
	}
	w.e = nil
}

// shut closes journal and States where they can be opened again.
func (w *world) shut() {
	w.t.Helper()
	if !w.subject.Durable {
		return
	}
	if err := w.s.Close(); err != nil {
		w.t.Fatalf("cannot close the states: %v", err)
	}
	if err := w.j.Close(); err != nil {
		w.t.Fatalf("cannot close the journal: %v", err)
	}
}

func (w *world) restart(cleanly bool) {
	w.t.Helper()
	w.halt(cleanly)
	w.shut()
	if w.subject.Durable {
		w.open()
	}
	w.start()
}

func (w *world) close() {
	w.halt(false)
	if w.j != nil {
		_, _ = w.s.Close(), w.j.Close()
	}
}

// decode gives the event of a message.
func (w *world) decode(msg *pb.Event) *features.Event {
	w.t.Helper()
	ev := &features.Event{}
	if err := features.Decode(w.kinds, msg, ev); err != nil {
		w.t.Fatalf("cannot decode: %v", err)
	}
	return ev
}

// admit opens an event's slot.
func (w *world) admit(ev *features.Event) *features.Slot {
	w.t.Helper()
	s, err := w.e.Admit(context.Background(), ev)
	if err != nil {
		w.t.Fatalf("cannot admit %q: %v", ev.ID, err)
	}
	return s
}

// apply commits an event without decision.
func (w *world) apply(ev *features.Event) journal.Pos {
	w.t.Helper()
	pos, err := w.tryCommit(ev, nil)
	if err != nil {
		w.t.Fatalf("cannot commit %q: %v", ev.ID, err)
	}
	return pos
}

// decide commits an event with a decision, as decide does: vector first.
func (w *world) decide(ev *features.Event) (journal.Pos, *features.Vector) {
	w.t.Helper()
	v := &features.Vector{}
	pos, err := w.tryCommit(ev, v)
	if err != nil {
		w.t.Fatalf("cannot decide %q: %v", ev.ID, err)
	}
	return pos, v
}

// tryCommit admits, reads a vector where one is wanted, and commits: then with a decision.
func (w *world) tryCommit(ev *features.Event, v *features.Vector) (journal.Pos, error) {
	ctx := context.Background()
	s, err := w.e.Admit(ctx, ev)
	if err != nil {
		return journal.Pos{}, err
	}
	defer s.Release()
	frame := &pb.EventFrame{}
	if v != nil {
		if err := w.e.Vector(ctx, s, w.set, v); err != nil {
			return journal.Pos{}, err
		}
		frame.Decision = w.decision(ev, v)
	}
	return w.e.Commit(ctx, s, frame)
}

// decision makes a decision about an event.
func (w *world) decision(ev *features.Event, v *features.Vector) *pb.DecisionRecord {
	d := Record(w.set, ev, v)
	if w.blocked[ev.ID] {
		d.Outputs = &pb.Outputs{Outcome: pb.Outcome_OUTCOME_BLOCK}
	}
	return d
}

// Record is what a decision keeps of the vector that it was made from, as package decide keeps it.
func Record(set *features.Set, ev *features.Event, v *features.Vector) *pb.DecisionRecord {
	in := &pb.Inputs{EvaluatedAtUs: v.At, EventInside: v.Inside, Vector: v.Values, FeatureSetHash: set.Hash[:]}
	for _, s := range v.Status {
		in.Statuses = append(in.Statuses, byte(s))
	}
	for _, p := range v.Pins {
		pin := &pb.Pin{Entity: uint32(p.Entity)}
		if !p.Pos.IsZero() {
			pin.Position = &pb.Position{Partition: p.Pos.Partition, Offset: p.Pos.Offset}
		}
		in.Pins = append(in.Pins, pin)
	}
	for _, s := range v.Sourced {
		sv := &pb.SourceValue{Source: s.Source, Version: s.Version, Feature: set.Features[s.Feature].Name}
		if value := s.Value; !math.IsNaN(value) {
			sv.Value = &value
		}
		in.Sources = append(in.Sources, sv)
	}
	return &pb.DecisionRecord{DecisionId: ev.Key.String(), Inputs: in}
}

// vector reads a vector and applies nothing.
func (w *world) vector(ev *features.Event) *features.Vector {
	w.t.Helper()
	return vectorOf(w.t, w.e, w.set, ev)
}

func vectorOf(t testing.TB, e *features.Engine, set *features.Set, ev *features.Event) *features.Vector {
	t.Helper()
	s, err := e.Admit(context.Background(), ev)
	if err != nil {
		t.Fatalf("cannot admit %q: %v", ev.ID, err)
	}
	defer s.Release()
	v := &features.Vector{}
	if err := e.Vector(context.Background(), s, set, v); err != nil {
		t.Fatalf("cannot read the vector of %q: %v", ev.ID, err)
	}
	return v
}

// value gives one feature of a vector.
func (w *world) value(v *features.Vector, name string) float64 {
	w.t.Helper()
	i := slices.IndexFunc(w.set.Features, func(f features.FeatureInfo) bool { return f.Name == name })
	if i < 0 {
		w.t.Fatalf("there is no feature %q", name)
	}
	return v.Values[i]
}

func (w *world) wantValue(v *features.Vector, name string, want float64) {
	w.t.Helper()
	if got := w.value(v, name); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
		w.t.Errorf("%s is %v, want %v", name, got, want)
	}
}

// scratch gives an engine on a journal of one's own choice, with empty States in memory: what an engine is that saw the
// frames once and in order.
func (w *world) scratch(j journal.Journal) *features.Engine {
	w.t.Helper()
	cfg := w.cfg
	cfg.OnCheckpoint, cfg.Sides, cfg.Past = func(journal.Pos) {}, nil, nil
	e, err := features.OpenEngine(context.Background(), cfg, j, w.subject.Scratch(), w.sets...)
	if err != nil {
		w.t.Fatalf("cannot open an engine to compare with: %v", err)
	}
	return e
}

// wantSame compares vectors bit for bit, but for positions.
func wantSame(t testing.TB, set *features.Set, what string, want, got *features.Vector) {
	t.Helper()
	for i, f := range set.Features {
		if math.Float64bits(want.Values[i]) != math.Float64bits(got.Values[i]) || want.Status[i] != got.Status[i] {
			t.Errorf("%s: %s is %v (%v), want %v (%v)", what, f.Name, got.Values[i], got.Status[i], want.Values[i], want.Status[i])
		}
	}
	if want.At != got.At {
		t.Errorf("%s: at %d, want %d", what, got.At, want.At)
	}
}

// wantLikeJournal compares the engine with one that is built from the journal alone.
func (w *world) wantLikeJournal(probes []*features.Event) {
	w.t.Helper()
	other := w.scratch(w.j)
	for _, ev := range probes {
		wantSame(w.t, w.set, "against the journal, "+ev.ID, vectorOf(w.t, other, w.set, ev), w.vector(ev))
	}
}

// seed gives the seed of a round of a random test. The first round's is PITBOSS_SEED, so that what a later one prints does
// that one again.
func seed(t testing.TB, round int) uint64 {
	t.Helper()
	first := uint64(1)
	if text := os.Getenv("PITBOSS_SEED"); text != "" {
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("PITBOSS_SEED: %v", err)
		}
		first = v
	}
	s := first + uint64(round)*7919
	t.Logf("seed: PITBOSS_SEED=%d", s)
	return s
}

// rounds gives how often a random test runs: PITBOSS_ROUNDS, or what is quick.
func rounds(t testing.TB, subject Subject, quick int) int {
	t.Helper()
	if subject.Durable {
		quick = 1 // opening files is slow, and the histories are the same
	}
	return roundsOr(t, quick)
}

// eachRound runs the rounds of a random test, each as a test of its own, so that what it opened is closed at its end.
func eachRound(t *testing.T, subject Subject, quick int, round func(t *testing.T, round int)) {
	t.Helper()
	for i := range rounds(t, subject, quick) {
		t.Run(fmt.Sprint(i), func(t *testing.T) { round(t, i) })
	}
}

func roundsOr(t testing.TB, quick int) int {
	t.Helper()
	text := os.Getenv("PITBOSS_ROUNDS")
	if text == "" {
		return quick
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("PITBOSS_ROUNDS: %v", err)
	}
	return n
}
