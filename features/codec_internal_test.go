package features

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"pitboss/features/tiles"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

const codecSet = `
format: 1
name: codec
version: "1"
groups:
  bets:   {entity: player, match: {type: bet.placed}}
  logins: {entity: player, match: {type: auth.login}}
features:
  - {name: a, group: bets, aggregate: sum, value: amount_base, window: 24h}
  - {name: b, group: bets, aggregate: distinct, value: game, window: 1h}
  - {name: c, group: bets, aggregate: time_since}
  - {name: d, group: logins, aggregate: count, window: 1m}
`

func codecPlan(t testing.TB, old planTable) *plan {
	t.Helper()
	kinds, err := NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	set, err := CompileSet([]byte(codecSet), "codec.yml", CompileOptions{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlan(kinds, "player", []*Set{set}, old, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// codecState is a player with two events in one group and one in the other.
func codecState(t testing.TB, k *kindPlan) entityState {
	t.Helper()
	s := k.newState()
	const at = 1_767_225_600_000_000
	s.pos, s.born = journal.Pos{Partition: 2, Offset: 1000}, journal.Pos{Partition: 2, Offset: 7}
	s.newest, s.first, s.subject = at+5_000_000, at, 42
	for i := range 2 {
		s.groups[0].Add(k.groups[0].layout, &tiles.Contribution{At: at + int64(i)*5_000_000, ID: uint32(i), Values: []int64{150}, Categories: []uint64{77}}, horizon(s.newest))
	}
	s.groups[1].Add(k.groups[1].layout, &tiles.Contribution{At: at, ID: 9}, horizon(s.newest))
	return s
}

var rewriteCodec = flag.Bool("rewrite-codec", false, "write testdata/codec anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/codec/" + name + ".hex"
	text := hex.Dump(got)
	if *rewriteCodec {
		if err := os.MkdirAll("testdata/codec", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s: these bytes are on disks (-want +got):\n%s", name, diff)
	}
}

// TestStateCodec writes an entity and reads it back; the bytes are on disks.
func TestStateCodec(t *testing.T) {
	k := codecPlan(t, planTable{}).subject
	s := codecState(t, k)
	blob := k.appendState(nil, &s)
	golden(t, "entity", blob)
	if pos, err := StatePos(blob); err != nil || pos != s.pos {
		t.Errorf("the position is %v: %v", pos, err)
	}
	var back entityState
	if err := k.decodeState(blob, &back); err != nil {
		t.Fatal(err)
	}
	if again := k.appendState(nil, &back); !bytes.Equal(again, blob) {
		t.Errorf("read and written again:\n%x\nwant\n%x", again, blob)
	}
	if back.pos != s.pos || back.born != s.born || back.newest != s.newest || back.first != s.first || back.subject != s.subject {
		t.Errorf("read back: %+v", back)
	}
	for n := range blob {
		if err := k.decodeState(blob[:n], &back); err == nil {
			t.Errorf("cut after %d bytes it is read", n)
		}
	}
	if err := k.decodeState(append(bytes.Clone(blob), 0), &back); !errors.Is(err, ErrStateCorrupt) {
		t.Errorf("with a byte too many: %v, want ErrStateCorrupt", err)
	}
	other := bytes.Clone(blob)
	other[0] = 2
	if err := k.decodeState(other, &back); !errors.Is(err, ErrStateFormat) {
		t.Errorf("of another format: %v, want ErrStateFormat", err)
	}
}

// TestUnknownGroup reads a blob of a plan that had another group: it is left out, and the known ones are there.
func TestUnknownGroup(t *testing.T) {
	p := codecPlan(t, planTable{})
	s := codecState(t, p.subject)
	blob := p.subject.appendState(nil, &s)
	// The first group gets another id: what lies under the old one is nobody's.
	old := p.table
	old.groups = old.groups[1:]
	changed := codecPlan(t, old)
	if id := changed.table.groups[1].id; id != 3 {
		t.Fatalf("the group came back with id %d, want a new one", id)
	}
	var back entityState
	if err := changed.subject.decodeState(blob, &back); err != nil {
		t.Fatal(err)
	}
	var logins, bets tiles.Reading
	back.groups[0].Read(changed.subject.groups[0].layout, s.newest, horizon(s.newest), nil, nil, &logins)
	back.groups[1].Read(changed.subject.groups[1].layout, s.newest, horizon(s.newest), nil, nil, &bets)
	if n := logins.Count(tiles.W1m); n != 1 {
		t.Errorf("the known group has %d events, want 1", n)
	}
	if n := bets.Count(tiles.W24h); n != 0 {
		t.Errorf("the group that came back has %d events, want none", n)
	}
}

// FuzzStateCodec reads anything. What it accepts it writes again so that the same is read.
func FuzzStateCodec(f *testing.F) {
	k := codecPlan(f, planTable{}).subject
	s := codecState(f, k)
	f.Add(k.appendState(nil, &s))
	f.Add([]byte{1, 0, 5, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 0, 5, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, blob []byte) {
		var s, back entityState
		if k.decodeState(blob, &s) != nil {
			return
		}
		first := k.appendState(nil, &s)
		if err := k.decodeState(first, &back); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if second := k.appendState(nil, &back); !bytes.Equal(first, second) {
			t.Errorf("written twice: %x and %x", first, second)
		}
	})
}

func TestPlanCodec(t *testing.T) {
	p := codecPlan(t, planTable{})
	p.table.groups[1].since = pendingSince
	data := p.table.encode()
	golden(t, "plan", data)
	back, err := decodePlanTable(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.encode(), data) {
		t.Errorf("read and written again: %+v", back)
	}
	for n := range data {
		if _, err := decodePlanTable(data[:n]); err == nil {
			t.Errorf("cut after %d bytes it is read", n)
		}
	}
}

// TestPlanOfFormat3 writes a plan with a group that is being backfilled and one that lies in a side.
func TestPlanOfFormat3(t *testing.T) {
	p := codecPlan(t, planTable{})
	p.table.groups[0].fill, p.table.groups[1].joins = 7, true
	data := p.table.encode()
	golden(t, "plan_3", data)
	back, err := decodePlanTable(data)
	if err != nil {
		t.Fatal(err)
	}
	if back.groups[0].fill != 7 || back.groups[0].joins || back.groups[1].fill != 0 || !back.groups[1].joins || back.filling() != 7 || back.joining() != back.groups[1].id {
		t.Errorf("read back: %+v", back.groups)
	}
	if !bytes.Equal(back.encode(), data) {
		t.Errorf("read and written again: %+v", back)
	}
	for n := range data {
		if _, err := decodePlanTable(data[:n]); err == nil {
			t.Errorf("cut after %d bytes it is read", n)
		}
	}
}

// TestPlanOfFormat1 reads what builds before corrections wrote: of a group that was added later it is not known from which
// frame on it has everything, which the next recovery settles.
func TestPlanOfFormat1(t *testing.T) {
	text, err := os.ReadFile("testdata/codec/plan_1.hex")
	if err != nil {
		t.Fatal(err)
	}
	table, err := decodePlanTable(undump(t, string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if len(table.groups) != 2 || !table.groups[0].from.IsZero() || table.groups[1].from != unknownPos() {
		t.Fatalf("read as %+v", table.groups)
	}
	p := codecPlan(t, table)
	p.settle(journal.Pos{Offset: 7})
	for _, g := range p.subject.groups {
		if want := (journal.Pos{Offset: 7}); g.since != 0 && g.from != want || g.since == 0 && !g.from.IsZero() {
			t.Errorf("group %s since %d is from %v", g.short(), g.since, g.from)
		}
	}
	if back, err := decodePlanTable(p.table.encode()); err != nil || !slices.Equal(back.groups, p.table.groups) {
		t.Errorf("written and read again: %+v: %v", back.groups, err)
	}
}

// TestCheckpointOfFormat1 reads what builds before watermarks wrote.
func TestCheckpointOfFormat1(t *testing.T) {
	text, err := os.ReadFile("testdata/codec/checkpoint_1.hex")
	if err != nil {
		t.Fatal(err)
	}
	c, err := decodeCheckpoint(undump(t, string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if c.pos.Offset != 12345 || c.newest != -5 || len(c.drops) != 2 || len(c.offsets) != 1 || len(c.producers.list) != 0 {
		t.Errorf("read as %+v", c)
	}
}

// undump reads hex.Dump's text.
func undump(t *testing.T, text string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.Lines(text) {
		digits, _, _ := strings.Cut(line[8:], "|")
		part, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, part...)
	}
	return b
}

func TestCheckpointCodec(t *testing.T) {
	c := checkpoint{
		pos: journal.Pos{Partition: 1, Offset: 12345}, newest: -5, drops: []journal.KeyID{3, 400},
		offsets: []*pb.KafkaOffset{{TopicId: []byte("0123456789abcdef"), Topic: "events", Partition: 3, Offset: 99}},
	}
	c.producers = producers{received: 7_000_000, overall: 5_000_000, list: []producer{
		{producerKey{"acme", "engine-1"}, 6_000_000, 7_000_000}, {producerKey{"acme", ""}, 5_000_000, 6_500_000},
	}}
	data, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "checkpoint", data)
	back, err := decodeCheckpoint(data)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := back.encode(); err != nil || !bytes.Equal(again, data) {
		t.Errorf("read and written again: %+v: %v", back, err)
	}
	for n := range data {
		if _, err := decodeCheckpoint(data[:n]); err == nil {
			t.Errorf("cut after %d bytes it is read", n)
		}
	}
}

// FuzzMeta reads anything as a plan and as a checkpoint.
func FuzzMeta(f *testing.F) {
	table := codecPlan(f, planTable{}).table
	f.Add(table.encode())
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = decodePlanTable(data)
		_, _ = decodeCheckpoint(data)
	})
}

// TestCanonicalIsProtobuf reads the canonical form as Protobuf: it is the event without what is not content.
func TestCanonicalIsProtobuf(t *testing.T) {
	base := int64(7)
	msg := &pb.Event{
		EventId: "e", Type: "bet.placed", Tenant: "t", TraceId: "x", ProducerSeq: 1 << 40, Trust: pb.Trust_TRUST_CLIENT,
		Entities:   []*pb.Identifier{{Kind: "player", Value: strings.Repeat("p", 200), Form: pb.Form_FORM_ALIAS}, {}},
		Enrichment: &pb.Enrichment{Country: "DE"},
		Attributes: map[string]*pb.Value{
			"b": {Kind: &pb.Value_Money{Money: &pb.Money{AmountMinor: -5, BaseMinor: &base}}}, "a": {Kind: &pb.Value_Number{Number: -1.5}},
			"": {}, "flag": {Kind: &pb.Value_Flag{}}, "zero": {Kind: &pb.Value_Int{}},
		},
		Payload: &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{Currency: "EUR", BaseMinor: &base, Exponent: proto.Uint32(0)}}},
	}
	var back pb.Event
	if err := proto.Unmarshal(newDecodeTables().canonical.append(nil, msg.ProtoReflect()), &back); err != nil {
		t.Fatal(err)
	}
	want := proto.CloneOf(msg)
	want.TraceId, want.Enrichment = "", nil
	want.GetBetPlaced().Amount.BaseMinor, want.Attributes["b"].GetMoney().BaseMinor = nil, nil
	if !proto.Equal(want, &back) {
		t.Errorf("read back it is\n%v\nwant\n%v", &back, want)
	}
}
