package features_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

const pushSet = `
format: 1
name: s
version: "1"
groups:
  bets: {entity: player, match: {type: bet.placed}}
features:
  - {name: bets_1h, group: bets, aggregate: count, window: 1h}
  - {name: ltv, source: push, entity: player, type: number, ttl: 1h}
  - {name: vip, source: push, entity: player, type: flag, ttl: 48h, default: 0}
  - {name: chargebacks, source: push, entity: device, key: cb_90d, type: integer, ttl: 24h}
  - {name: bets_by_ltv, aggregate: ratio, numerator: bets_1h, denominator: ltv}
`

// shop is an engine that can be opened again over the same journal and states.
type shop struct {
	t       *testing.T
	kinds   *features.Kinds
	journal *journal.Memory
	states  features.States
	set     *features.Set
	engine  *features.Engine
}

const pushStart = int64(1_760_000_000_000_000)

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, journal: journal.NewMemory(journal.MemoryConfig{}), states: states.NewMemory()}
	var err error
	if s.kinds, err = features.NewKinds(nil); err != nil {
		t.Fatal(err)
	}
	if s.set, err = features.CompileSet([]byte(pushSet), "set.yaml", features.CompileOptions{Kinds: s.kinds}); err != nil {
		t.Fatal(err)
	}
	s.open()
	t.Cleanup(func() { _ = s.engine.Close() })
	return s
}

func (s *shop) open() {
	s.t.Helper()
	cfg := features.DefaultEngineConfig()
	cfg.Kinds = s.kinds
	var err error
	if s.engine, err = features.OpenEngine(s.t.Context(), cfg, s.journal, s.states, s.set); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) ref(kind, alias string) features.EntityRef {
	k, _ := s.kinds.Get(kind)
	return features.EntityRef{Key: features.MakeEntityKey("acme", k, alias), Kind: kind, Alias: alias}
}

func (s *shop) push(kind, alias string, seconds int64, key string, value float64) features.PushResult {
	s.t.Helper()
	res, err := s.engine.Push(s.t.Context(), []features.Push{{
		Tenant: "acme", Entity: s.ref(kind, alias), AsOf: pushStart + seconds*1e6, Values: []features.PushedValue{{Key: key, Number: value}},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	return res[0]
}

// row is what the set says of a player and a device at a time: value and status of each feature.
func (s *shop) row(seconds int64, refs ...features.EntityRef) string {
	s.t.Helper()
	var v features.Vector
	if err := s.engine.FeaturesOf(s.t.Context(), refs, pushStart+seconds*1e6, s.set, &v); err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for i := range v.Values {
		fmt.Fprintf(&b, "%v %v, ", v.Values[i], v.Status[i])
	}
	return b.String()
}

func (s *shop) want(name string, seconds int64, want string) {
	s.t.Helper()
	if got := s.row(seconds, s.ref("player", "p"), s.ref("device", "d")); got != want {
		s.t.Errorf("%s: got  %s\nwant %s", name, got, want)
	}
}

func TestPushedValues(t *testing.T) {
	s := newShop(t)
	s.want("nothing yet", 0, "0 present, NaN missing, 0 default, NaN missing, NaN missing, ")
	s.push("player", "p", 10, "ltv", 4)
	s.push("device", "d", 10, "cb_90d", 2)
	s.want("pushed", 10, "0 present, 4 present, 0 default, 2 present, 0 present, ")
	s.want("before what they are for", 9, "0 present, NaN missing, 0 default, NaN missing, NaN missing, ")
	s.want("at the end of its life", 3610, "0 present, 4 present, 0 default, 2 present, 0 present, ")
	s.want("past its life", 3611, "0 present, NaN stale, 0 default, 2 present, NaN stale, ")
	if res := s.push("player", "p", 9, "ltv", 7); res.Outdated != 1 {
		t.Errorf("an older value: got %+v, want 1 outdated", res)
	}
	s.push("player", "p", 10, "ltv", 5)
	s.push("player", "p", 20, "vip", 1)
	s.want("the same time again, and another value", 30, "0 present, 5 present, 1 present, 2 present, 0 present, ")

	for range 2 {
		if err := s.engine.Close(); err != nil { // with a checkpoint
			t.Fatal(err)
		}
		s.open()
		s.want("after a restart", 30, "0 present, 5 present, 1 present, 2 present, 0 present, ")
		s.states = states.NewMemory() // and then from the journal alone
	}

	if err := s.engine.Erase(t.Context(), "acme", &pb.Identifier{Kind: "player", Value: "p", Form: pb.Form_FORM_ALIAS}); err != nil {
		t.Fatal(err)
	}
	s.want("erased", 30, "0 present, NaN missing, 0 default, 2 present, NaN missing, ")
	if err := s.engine.Close(); err != nil {
		t.Fatal(err)
	}
	s.states = states.NewMemory()
	s.open()
	s.want("erased, from the journal", 30, "0 present, NaN missing, 0 default, 2 present, NaN missing, ")
	s.push("player", "p", 40, "vip", 1)
	s.push("player", "p", 50, "vip", math.NaN())
	s.want("taken away", 60, "0 present, NaN missing, 0 default, 2 present, NaN missing, ")
}

// bet is an event that came in when it happened.
func (s *shop) bet(id, player string, seconds int64) *features.Event {
	s.t.Helper()
	at := &timestamppb.Timestamp{Seconds: pushStart/1e6 + seconds}
	msg := &pb.Event{
		EventId: id, Type: "bet.placed", Tenant: "acme", OccurredAt: at, ReceivedAt: at,
		Entities: []*pb.Identifier{{Kind: "player", Value: player, Form: pb.Form_FORM_ALIAS}},
		Payload:  &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: 1, Currency: "EUR", BaseMinor: new(int64(1))}}},
	}
	ev := &features.Event{}
	if err := features.Decode(s.kinds, msg, ev); err != nil {
		s.t.Fatal(err)
	}
	return ev
}

// What was pushed once leaves the disk when no reading can tell it from nothing: stale for 30 days, then missing, whether
// a sweep came by or not.
func TestPushedValuesLeaveTheState(t *testing.T) {
	const hour, day = 3600, 86400
	s := newShop(t)
	s.push("player", "p", 10, "ltv", 4)
	s.push("device", "d", 10, "cb_90d", 2)
	stale, none := "0 present, NaN stale, 0 default, NaN stale, NaN stale, ", "0 present, NaN missing, 0 default, NaN missing, NaN missing, "
	s.want("at the end of what is known of ltv", 10+hour+30*day, stale)
	s.want("after it", 11+hour+30*day, "0 present, NaN missing, 0 default, NaN stale, NaN missing, ")
	s.want("after all", 11+31*day, none)
	size := func(kind, alias string) int {
		t.Helper()
		blob, _, err := s.states.Get(s.ref(kind, alias).Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(blob)
	}
	sweptAt := func(seconds int64) {
		t.Helper()
		if _, err := s.engine.Ingest(t.Context(), []features.IngestItem{{Event: s.bet(fmt.Sprint("at-", seconds), "other", seconds)}}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.engine.Checkpoint(t.Context()), s.engine.Close()); err != nil { // who is in memory is not swept
			t.Fatal(err)
		}
		s.open()
		if err := s.engine.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sweptAt(61 * day)
	s.want("a late reading after a sweep", 31*day, "0 present, NaN missing, 0 default, NaN stale, NaN missing, ")
	player, device := size("player", "p"), size("device", "d")
	if player == 0 || device == 0 {
		t.Fatalf("values that a late reading still sees were taken out: %d and %d bytes are left", player, device)
	}
	sweptAt(64 * day)
	if left := size("device", "d"); left != 0 {
		t.Errorf("a device of nothing but a value long past its life is still there, %d bytes", left)
	}
	if left := size("player", "p"); left == 0 || left >= player {
		t.Errorf("the player has %d bytes of %d: want the value gone and the key kept", left, player)
	}
	s.want("after both are gone", 64*day, none)
	s.push("device", "d", 64*day, "cb_90d", 3)
	s.want("and a new one", 64*day, "0 present, NaN missing, 0 default, 3 present, NaN missing, ")
}

func TestPushOfWhatNobodyNames(t *testing.T) {
	s := newShop(t)
	f := func(kind, key string, value float64) {
		t.Helper()
		if res := s.push(kind, "x", 0, key, value); !errors.Is(res.Err, features.ErrUnknownPush) {
			t.Errorf("%s %s %v: got %v", kind, key, value, res.Err)
		}
	}
	f("player", "nothing", 1)
	f("device", "ltv", 1)
	f("game", "ltv", 1)
	f("sofa", "ltv", 1)
	f("player", "vip", 2)
	f("device", "cb_90d", 1.5)
	f("player", "ltv", math.Inf(1))
	if head := s.journal.Head(); !head.IsZero() {
		t.Errorf("what is refused is in the journal: %v", head)
	}
}

// An event's vector has what was pushed before, pinned with its time.
func TestPushedValuesInAVector(t *testing.T) {
	s := newShop(t)
	s.push("player", "p", 10, "ltv", 4)
	slot, err := s.engine.Admit(t.Context(), s.bet("e", "p", 20))
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Release()
	var v features.Vector
	if err := s.engine.Vector(t.Context(), slot, s.set, &v); err != nil {
		t.Fatal(err)
	}
	if v.Values[0] != 1 || v.Values[1] != 4 || v.Values[4] != 0.25 || len(v.Sourced) != 1 || v.Sourced[0].AsOf != pushStart+10e6 || v.Sourced[0].Source != "push" {
		t.Errorf("got %+v", v)
	}
}
