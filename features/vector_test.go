package features_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engineOf opens an engine in memory, which nobody runs.
func engineOf(t testing.TB, yaml string) (*features.Engine, *features.Set, features.CompileOptions) {
	t.Helper()
	opt := compileOptions(t)
	set, err := features.CompileSet([]byte(yaml), "set.yml", opt)
	if err != nil {
		t.Fatal(err)
	}
	cfg := features.DefaultEngineConfig()
	cfg.Kinds = opt.Kinds
	e, err := features.OpenEngine(context.Background(), cfg, journal.NewMemory(journal.MemoryConfig{}), states.NewMemory(), set)
	if err != nil {
		t.Fatal(err)
	}
	return e, set, opt
}

func vectorOf(t testing.TB, e *features.Engine, set *features.Set, ev *features.Event) *features.Vector {
	t.Helper()
	s, err := e.Admit(context.Background(), ev)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	v := &features.Vector{}
	if err := e.Vector(context.Background(), s, set, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func commit(t testing.TB, e *features.Engine, ev *features.Event) {
	t.Helper()
	if _, err := e.Ingest(context.Background(), []features.IngestItem{{Event: ev}}); err != nil {
		t.Fatal(err)
	}
}

const missing = `
format: 1
name: missing
version: "1"
groups:
  bets:   {entity: player, match: {type: bet.placed}}
  device: {entity: device, match: {type: bet.placed}}
features:
  - {name: count, group: bets, aggregate: count, window: 1h}
  - {name: sum, group: bets, aggregate: sum, value: amount_base, window: 1h}
  - {name: mean, group: bets, aggregate: mean, value: amount_base, window: 1h}
  - {name: distinct, group: bets, aggregate: distinct, value: game, window: 1h}
  - {name: since, group: bets, aggregate: time_since}
  - {name: since_or_day, group: bets, aggregate: time_since, default: 86400}
  - {name: device_count, group: device, aggregate: count, window: 1h}
  - {name: device_count_or_0, group: device, aggregate: count, window: 1h, default: 0}
  - {name: ratio, aggregate: ratio, numerator: count, denominator: sum}
  - {name: ratio_or_1, aggregate: ratio, numerator: count, denominator: sum, default: 1}
  - {name: of_default, aggregate: ratio, numerator: device_count_or_0, denominator: count}
  - {name: rtt, aggregate: value, value: rtt_ms}
  - {name: odds, aggregate: value, value: attr_odds}
  - {name: word, aggregate: value, value: attr_word}
  - {name: hour, aggregate: value, value: hour_of_day}
  - {name: day, aggregate: value, value: day_of_week}
  - {name: vpn, source: lists, key: vpn}
  - {name: vpn_or_half, source: lists, key: vpn, default: 0.5}
`

// TestVectorStatus reads vectors of events that lack one thing or another.
func TestVectorStatus(t *testing.T) {
	e, set, opt := engineOf(t, missing)
	check := func(v *features.Vector, name string, value float64, status features.Status) {
		t.Helper()
		for i, f := range set.Features {
			if f.Name != name {
				continue
			}
			if got := v.Values[i]; got != value && !(math.IsNaN(got) && math.IsNaN(value)) || v.Status[i] != status {
				t.Errorf("%s is %v (%v), want %v (%v)", name, v.Values[i], v.Status[i], value, status)
			}
			return
		}
		t.Errorf("there is no feature %s", name)
	}
	nan := math.NaN()
	at := func(id string, second int64) *pb.Event {
		ts := &timestamppb.Timestamp{Seconds: 1_767_225_600 + second} // a Thursday
		return &pb.Event{EventId: id, Tenant: "t", OccurredAt: ts, ReceivedAt: ts, Type: "auth.login"}
	}

	// An event that names nobody.
	v := vectorOf(t, e, set, decoded(t, opt.Kinds, at("a", 0)))
	for _, name := range []string{"count", "sum", "mean", "distinct", "since", "device_count", "ratio", "rtt", "odds", "word", "vpn"} {
		check(v, name, nan, features.Missing)
	}
	check(v, "since_or_day", 86400, features.Default)
	check(v, "device_count_or_0", 0, features.Default)
	check(v, "ratio_or_1", 1, features.Default)
	check(v, "of_default", nan, features.Missing)
	check(v, "vpn_or_half", 0.5, features.Default)
	check(v, "hour", 0, features.Present)
	check(v, "day", 3, features.Present)
	if len(v.Pins) != 0 {
		t.Errorf("pins are %v", v.Pins)
	}

	// A player whom nobody knows: nothing happened, which is a number.
	login := at("b", 23*3600+86400*4)
	login.Entities = []*pb.Identifier{{Kind: "player", Value: "p"}}
	login.Payload = &pb.Event_AuthLogin{AuthLogin: &pb.AuthLogin{RttMs: 30}}
	login.Attributes = map[string]*pb.Value{"odds": {Kind: &pb.Value_Number{Number: 1.25}}, "word": {Kind: &pb.Value_Text{Text: "x"}}}
	login.Enrichment = &pb.Enrichment{AddressClass: "vpn"}
	v = vectorOf(t, e, set, decoded(t, opt.Kinds, login))
	check(v, "count", 0, features.Present)
	check(v, "sum", 0, features.Present)
	check(v, "mean", nan, features.Missing)
	check(v, "distinct", 0, features.Present)
	check(v, "since", nan, features.Missing)
	check(v, "since_or_day", 86400, features.Default)
	check(v, "ratio", nan, features.Missing)
	check(v, "of_default", nan, features.Missing) // 0/0
	check(v, "rtt", 30, features.Present)
	check(v, "odds", 1.25, features.Present)
	check(v, "word", nan, features.Missing)
	check(v, "hour", 23, features.Present)
	check(v, "day", 0, features.Present)
	check(v, "vpn", 1, features.Present)
	if len(v.Pins) != 1 || !v.Pins[0].Pos.IsZero() || v.Pins[0].Entity != 0 {
		t.Errorf("pins are %v", v.Pins)
	}
	if len(v.Sourced) != 2 || v.Sourced[0].Version != "v7" || v.Sourced[0].Value != 1 || v.Sourced[0].Source != "lists" {
		t.Errorf("sourced values are %+v", v.Sourced)
	}

	// Bets with an amount and without: a mean is over those that have one, and a count over all.
	bet := func(id string, second int64, base *int64) *features.Event {
		m := at(id, second)
		m.Type, m.Entities = "bet.placed", []*pb.Identifier{{Kind: "player", Value: "q"}, {Kind: "game", Value: "g"}}
		m.Payload = &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: 1, Currency: "XXX", BaseMinor: base}}}
		return decoded(t, opt.Kinds, m)
	}
	hundred, two := int64(100), int64(200)
	commit(t, e, bet("c", 0, &hundred))
	commit(t, e, bet("d", 10, nil))
	v = vectorOf(t, e, set, bet("f", 30, &two))
	check(v, "count", 3, features.Present)
	check(v, "sum", 300, features.Present)
	check(v, "mean", 150, features.Present)
	check(v, "distinct", 1, features.Present)
	check(v, "since", 20, features.Present)
	check(v, "since_or_day", 20, features.Present)
	check(v, "ratio", 0.01, features.Present)
	check(v, "device_count", nan, features.Missing)
	check(v, "of_default", 0, features.Default)

	// Much older than what has happened since.
	commit(t, e, bet("g", 7200, &hundred))
	v = vectorOf(t, e, set, bet("h", 40, &hundred))
	check(v, "hour", 0, features.Present)
	if i := 0; v.Status[i] != features.Late {
		t.Errorf("a vector two hours back is %v", v.Status[i])
	}

	// One entity alone, as the features endpoint reads it.
	player, _ := opt.Kinds.Get("player")
	ref := features.EntityRef{Key: features.MakeEntityKey("t", player, "q"), Kind: "player", Alias: "q"}
	if err := e.Features(context.Background(), ref, (1_767_225_600+7201)*1_000_000, set, v); err != nil {
		t.Fatal(err)
	}
	check(v, "count", 1, features.Present)
	check(v, "since", 1, features.Present)
	check(v, "device_count", nan, features.Missing)
	check(v, "rtt", nan, features.Missing)
	if len(v.Pins) != 1 || v.Pins[0].Pos.Offset != 3 {
		t.Errorf("pins are %v", v.Pins)
	}
	ref.Key = features.MakeEntityKey("t", player, "nobody")
	if err := e.Features(context.Background(), ref, 1_767_225_600_000_000, set, v); err != nil {
		t.Fatal(err)
	}
	check(v, "count", 0, features.Present)
}

// TestTenants share nothing: the same player at two operators is two players.
func TestTenants(t *testing.T) {
	e, set, opt := engineOf(t, missing)
	bet := func(id, tenant string) *features.Event {
		m := fullEvent()
		m.EventId, m.Tenant, m.TransactionId = id, tenant, ""
		return decoded(t, opt.Kinds, m)
	}
	for _, id := range []string{"a", "b", "c"} {
		commit(t, e, bet(id, "one"))
	}
	if v := vectorOf(t, e, set, bet("a", "two")); v.Inside || v.Values[0] != 1 {
		t.Errorf("at another tenant: inside %v, count %v", v.Inside, v.Values[0])
	}
	if v := vectorOf(t, e, set, bet("d", "one")); v.Values[0] != 4 {
		t.Errorf("at the same tenant: count %v", v.Values[0])
	}
}

// TestRunMakesCheckpoints lets time pass: a checkpoint is made when it is due, by time and by frames, and none when
// nothing happened.
func TestRunMakesCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := compileOptions(t)
		set, err := features.CompileSet([]byte(missing), "set.yml", opt)
		if err != nil {
			t.Fatal(err)
		}
		cfg := features.DefaultEngineConfig()
		cfg.Kinds, cfg.CheckpointFrames, cfg.CheckpointEvery = opt.Kinds, 10, 30*time.Second
		var told []journal.Pos
		cfg.OnCheckpoint = func(p journal.Pos) { told = append(told, p) }
		e, err := features.OpenEngine(t.Context(), cfg, journal.NewMemory(journal.MemoryConfig{}), states.NewMemory(), set)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()

		n := 0
		event := func() *features.Event {
			n++
			m := fullEvent()
			m.EventId, m.TransactionId = string(rune('a'+n)), ""
			return decoded(t, opt.Kinds, m)
		}
		want := func(checkpoints uint64, offset uint64) {
			t.Helper()
			synctest.Wait()
			if s := e.Stats(); s.Checkpoints != checkpoints || s.CheckpointOffset != offset {
				t.Errorf("%d checkpoints, the last at %d; want %d and %d", s.Checkpoints, s.CheckpointOffset, checkpoints, offset)
			}
		}
		time.Sleep(time.Hour)
		want(0, 0)
		commit(t, e, event())
		time.Sleep(time.Second)
		want(1, 1) // an hour since the engine was opened
		commit(t, e, event())
		time.Sleep(28 * time.Second)
		want(1, 1)
		time.Sleep(2 * time.Second)
		want(2, 2)
		for range 10 {
			commit(t, e, event())
		}
		want(3, 12)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		commit(t, e, event())
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if len(told) != 4 || told[3].Offset != 13 {
			t.Errorf("OnCheckpoint was told %v", told)
		}
	})
}

func TestEngineConfig(t *testing.T) {
	f := func(want string, change func(*features.EngineConfig)) {
		t.Helper()
		cfg := features.DefaultEngineConfig()
		cfg.Kinds = newKinds(t)
		change(&cfg)
		err := cfg.Validate()
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("the configuration: %v, want %q", err, want)
		}
		if want != "" {
			if _, err := features.OpenEngine(context.Background(), cfg, journal.NewMemory(journal.MemoryConfig{}), states.NewMemory()); err == nil {
				t.Errorf("an engine opens with it")
			}
		}
	}
	f("", func(*features.EngineConfig) {})
	f("the engine needs entity kinds", func(c *features.EngineConfig) { c.Kinds = nil })
	f("max_entities: 1 is not in 64 to 2147483648", func(c *features.EngineConfig) { c.MaxEntities = 1 })
	f("max_bytes: 5 is less than 1 MiB", func(c *features.EngineConfig) { c.MaxBytes = 5 })
	f("checkpoint_frames: 0 is less than 1", func(c *features.EngineConfig) { c.CheckpointFrames = 0 })
	f("checkpoint_every: 0s must be more than 0", func(c *features.EngineConfig) { c.CheckpointEvery = 0 })
	f("retry_every: 0s must be more than 0", func(c *features.EngineConfig) { c.RetryEvery = 0 })
	f(`subject_kind: "nobody" is not an entity kind`, func(c *features.EngineConfig) { c.SubjectKind = "nobody" })
}

// TestCommitTwice is a mistake of a caller that must not go unseen.
func TestCommitTwice(t *testing.T) {
	e, _, opt := engineOf(t, missing)
	s, err := e.Admit(context.Background(), decoded(t, opt.Kinds, fullEvent()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if _, err := e.Commit(context.Background(), s, &pb.EventFrame{}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Commit(context.Background(), s, &pb.EventFrame{}); err == nil {
		t.Errorf("an event was applied twice")
	}
	if _, err := e.Commit(context.Background(), s, &pb.EventFrame{Decision: &pb.DecisionRecord{}}); err != nil {
		t.Errorf("its decision: %v", err)
	}
	if _, err := e.Commit(context.Background(), s, &pb.EventFrame{Decision: &pb.DecisionRecord{}}); err == nil {
		t.Errorf("an event was decided twice")
	}
	if _, err := e.Record(context.Background(), "other", fullEvent().GetEventId()); !errors.Is(err, features.ErrNoRecord) {
		t.Errorf("Record: %v", err)
	}
}
