package features_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

func newKinds(t testing.TB, extra ...features.KindConfig) *features.Kinds {
	t.Helper()
	kinds, err := features.NewKinds(extra)
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

// fullEvent has a value in every part of the envelope.
func fullEvent() *pb.Event {
	base := int64(1100)
	return &pb.Event{
		EventId: "evt-1", Type: "bet.placed", SchemaVersion: 100, Tenant: "acme", Brand: "red", Jurisdiction: "MT",
		OccurredAt: &timestamppb.Timestamp{Seconds: 1_767_225_600, Nanos: 123_456_789},
		ReceivedAt: &timestamppb.Timestamp{Seconds: 1_767_225_601}, ProducerId: "wallet", ProducerSeq: 7,
		ClockQuality: &pb.ClockQuality{NtpOffsetUs: -5, Source: "ntp"}, Trust: pb.Trust_TRUST_SERVER, TraceId: "trace",
		SupersedesEventId: "evt-0", TransactionId: "tx-1", ReferenceTransactionId: "tx-0",
		Entities: []*pb.Identifier{{Kind: "player", Value: "p-1", Form: pb.Form_FORM_ALIAS}, {Kind: "game", Value: "g-1", Form: pb.Form_FORM_RAW}},
		Attributes: map[string]*pb.Value{
			"odds":  {Kind: &pb.Value_Number{Number: 1.5}},
			"count": {Kind: &pb.Value_Int{Int: -3}},
			"word":  {Kind: &pb.Value_Text{Text: "red"}},
			"empty": {Kind: &pb.Value_Text{}},
			"none":  {},
			"flag":  {Kind: &pb.Value_Flag{Flag: true}},
			"fee":   {Kind: &pb.Value_Money{Money: &pb.Money{AmountMinor: 5, Currency: "EUR", BaseMinor: &base}}},
		},
		Enrichment: &pb.Enrichment{
			Derived: []*pb.Identifier{{Kind: "ip24", Value: "n-1", Form: pb.Form_FORM_ALIAS}}, AddressClass: "vpn", Country: "DE", RatesVersion: "r1",
		},
		Payload: &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{
			Amount: &pb.Money{AmountMinor: 1000, Currency: "EUR", BaseMinor: &base}, Real: &pb.Money{AmountMinor: 900, Currency: "EUR"},
			InputMode: "manual", OddsPpm: 1_500_000,
		}},
	}
}

func decoded(t testing.TB, kinds *features.Kinds, msg *pb.Event) *features.Event {
	t.Helper()
	ev := &features.Event{}
	if err := features.Decode(kinds, msg, ev); err != nil {
		t.Fatalf("cannot decode: %v", err)
	}
	return ev
}

func TestDecode(t *testing.T) {
	kinds := newKinds(t)
	ev := decoded(t, kinds, fullEvent())
	var fields []string
	for _, f := range ev.Fields {
		switch f.Type {
		case features.FieldText:
			fields = append(fields, fmt.Sprintf("%s=%q", f.Name, f.Text))
		case features.FieldNumber:
			fields = append(fields, fmt.Sprintf("%s=%v", f.Name, f.Number))
		case features.FieldBool:
			fields = append(fields, fmt.Sprintf("%s=%v", f.Name, f.Int == 1))
		default:
			fields = append(fields, fmt.Sprintf("%s=%d", f.Name, f.Int))
		}
	}
	want := []string{
		`address_class="vpn"`, `amount=1000`, `amount_base=1100`, `amount_currency="EUR"`, `attr_count=-3`, `attr_fee=5`, `attr_fee_base=1100`,
		`attr_fee_currency="EUR"`, `attr_flag=true`, `attr_odds=1.5`, `attr_word="red"`, `brand="red"`, `client_ts_ms=0`, `country="DE"`,
		`currency="EUR"`, `input_mode="manual"`, `jurisdiction="MT"`, `odds_ppm=1500000`, `real=900`, `real_currency="EUR"`, `trust="server"`,
		`type="bet.placed"`,
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	var entities []string
	for _, e := range ev.Entities {
		entities = append(entities, e.Kind+" "+e.Alias)
		kind, _ := kinds.Get(e.Kind)
		if e.Key != features.MakeEntityKey("acme", kind, e.Alias) {
			t.Errorf("the key of %s is another than MakeEntityKey's", e.Kind)
		}
	}
	if diff := cmp.Diff([]string{"player p-1", "game g-1", "ip24 n-1", "tenant acme", "brand red"}, entities); diff != "" {
		t.Errorf("entities (-want +got):\n%s", diff)
	}
	if ev.OccurredAt != 1_767_225_600_123_456 || ev.ReceivedAt != 1_767_225_601_000_000 {
		t.Errorf("times are %d and %d", ev.OccurredAt, ev.ReceivedAt)
	}
	if ev.Key != features.MakeEventKey("acme", "evt-1") || ev.Transaction != features.MakeTransactionKey("acme", "tx-1", "bet.placed") {
		t.Errorf("keys are %v and %v", ev.Key, ev.Transaction)
	}
	if _, ok := ev.Field("nonsense"); ok {
		t.Errorf("a field is there that is not")
	}
	if f, ok := ev.Field("amount"); !ok || f.Int != 1000 {
		t.Errorf("amount is %v", f)
	}
}

// TestDecodeEveryPayload decodes one event of each type with every field set: names are sorted and unique, and each is
// known to feature sets.
func TestDecodeEveryPayload(t *testing.T) {
	kinds := newKinds(t)
	payloads := (&pb.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("payload").Fields()
	for i := range payloads.Len() {
		fd := payloads.Get(i)
		msg := fullEvent()
		msg.Type = strings.Replace(string(fd.Name()), "_", ".", 1)
		msg.ProtoReflect().Set(fd, protoreflect.ValueOfMessage(filled(msg.ProtoReflect().NewField(fd).Message())))
		ev := decoded(t, kinds, msg)
		for j, f := range ev.Fields {
			if j > 0 && ev.Fields[j-1].Name >= f.Name {
				t.Errorf("%s: %q comes before %q", msg.Type, ev.Fields[j-1].Name, f.Name)
			}
			if strings.HasPrefix(f.Name, "attr_") && !strings.HasPrefix(f.Name, "attr_fee") {
				continue
			}
			set := fmt.Sprintf("format: 1\nname: x\nversion: x\ngroups: {g: {entity: player, match: {type: %s}}}\n"+
				"features: [{name: n, group: g, aggregate: count, window: 1h}, {name: v, aggregate: value, value: %s}]\n", msg.Type, f.Name)
			_, err := features.CompileSet([]byte(set), "x", features.CompileOptions{Kinds: kinds})
			if err != nil && strings.Contains(err.Error(), "is no field of an event") {
				t.Errorf("%s: feature sets do not know %q: %v", msg.Type, f.Name, err)
			}
		}
	}
}

// filled sets every field of a message to something that is not zero.
func filled(m protoreflect.Message) protoreflect.Message {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.IsMap() || fd.IsList() || fd.ContainingOneof() != nil && !fd.HasOptionalKeyword() {
			continue
		}
		switch fd.Kind() {
		case protoreflect.StringKind:
			m.Set(fd, protoreflect.ValueOfString("text"))
		case protoreflect.BoolKind:
			m.Set(fd, protoreflect.ValueOfBool(true))
		case protoreflect.Int32Kind:
			m.Set(fd, protoreflect.ValueOfInt32(5))
		case protoreflect.Int64Kind:
			m.Set(fd, protoreflect.ValueOfInt64(5))
		case protoreflect.Uint32Kind:
			m.Set(fd, protoreflect.ValueOfUint32(5))
		case protoreflect.Uint64Kind:
			m.Set(fd, protoreflect.ValueOfUint64(5))
		case protoreflect.DoubleKind:
			m.Set(fd, protoreflect.ValueOfFloat64(5))
		case protoreflect.EnumKind:
			m.Set(fd, protoreflect.ValueOfEnum(1))
		case protoreflect.MessageKind:
			m.Set(fd, protoreflect.ValueOfMessage(filled(m.NewField(fd).Message())))
		default: // no event has others
		}
	}
	return m
}

// TestContent changes one thing of an event after another, and says whether it is another event then.
func TestContent(t *testing.T) {
	kinds := newKinds(t)
	original := decoded(t, kinds, fullEvent()).Content
	f := func(what string, same bool, change func(*pb.Event)) {
		t.Helper()
		msg := fullEvent()
		change(msg)
		if got := decoded(t, kinds, msg).Content; (got == original) != same {
			t.Errorf("with another %s the content is the same: %v, want %v", what, !same, same)
		}
	}
	f("nothing", true, func(*pb.Event) {})
	f("received_at", true, func(m *pb.Event) { m.ReceivedAt = nil })
	f("trace_id", true, func(m *pb.Event) { m.TraceId = "other" })
	f("enrichment", true, func(m *pb.Event) { m.Enrichment.Country = "FR" })
	f("base amount", true, func(m *pb.Event) { m.GetBetPlaced().Amount.BaseMinor = nil })
	f("attribute's base amount", true, func(m *pb.Event) { m.Attributes["fee"].GetMoney().BaseMinor = nil })
	f("event_id", false, func(m *pb.Event) { m.EventId = "evt-2" })
	f("type", false, func(m *pb.Event) { m.Type = "bet.rejected" })
	f("schema", false, func(m *pb.Event) { m.SchemaVersion = 101 })
	f("tenant", false, func(m *pb.Event) { m.Tenant = "other" })
	f("brand", false, func(m *pb.Event) { m.Brand = "blue" })
	f("jurisdiction", false, func(m *pb.Event) { m.Jurisdiction = "GB" })
	f("time", false, func(m *pb.Event) { m.OccurredAt.Nanos++ })
	f("producer", false, func(m *pb.Event) { m.ProducerId = "other" })
	f("sequence", false, func(m *pb.Event) { m.ProducerSeq++ })
	f("clock", false, func(m *pb.Event) { m.ClockQuality.NtpOffsetUs++ })
	f("entity", false, func(m *pb.Event) { m.Entities[0].Value = "p-2" })
	f("order of entities", false, func(m *pb.Event) { slices.Reverse(m.Entities) })
	f("trust", false, func(m *pb.Event) { m.Trust = pb.Trust_TRUST_CLIENT })
	f("correction", false, func(m *pb.Event) { m.SupersedesEventId = "" })
	f("transaction", false, func(m *pb.Event) { m.TransactionId = "tx-2" })
	f("reference", false, func(m *pb.Event) { m.ReferenceTransactionId = "" })
	f("attribute", false, func(m *pb.Event) { m.Attributes["odds"].Kind = &pb.Value_Number{Number: 1.25} })
	f("attribute's name", false, func(m *pb.Event) { m.Attributes["odd"] = m.Attributes["odds"]; delete(m.Attributes, "odds") })
	f("type of an attribute", false, func(m *pb.Event) { m.Attributes["odds"].Kind = &pb.Value_Text{Text: "1.5"} })
	f("amount", false, func(m *pb.Event) { m.GetBetPlaced().Amount.AmountMinor++ })
	f("currency", false, func(m *pb.Event) { m.GetBetPlaced().Amount.Currency = "GBP" })
	f("mode", false, func(m *pb.Event) { m.GetBetPlaced().InputMode = "" })
	f("payload", false, func(m *pb.Event) { m.Payload = &pb.Event_BetRejected{BetRejected: &pb.BetRejected{}} })
	f("unknown field", false, func(m *pb.Event) { m.ProtoReflect().SetUnknown([]byte{0xf8, 0x3f, 1}) })
}

// TestContentGolden holds the hash itself: it is in journals, and compared for 30 days across versions.
func TestContentGolden(t *testing.T) {
	got := decoded(t, newKinds(t), fullEvent()).Content
	const want = "94bee32955330630aadd8bd324a25fd7772e46387d4aa2d48db718fb0665f47c"
	if hex.EncodeToString(got[:]) != want {
		t.Errorf("the content hash is %x, want %s", got, want)
	}
}

// TestContentSeparates fills each field of every message type in turn: no two of these events have the same content, so
// the canonical form leaves nothing out and nothing runs into its neighbour.
func TestContentSeparates(t *testing.T) {
	kinds := newKinds(t)
	seen := map[[32]byte]string{}
	try := func(name string, msg *pb.Event) {
		t.Helper()
		msg.OccurredAt = &timestamppb.Timestamp{Seconds: 1}
		content := decoded(t, kinds, msg).Content
		if other, ok := seen[content]; ok {
			t.Errorf("%s and %s have the same content", name, other)
		}
		seen[content] = name
	}
	try("nothing", &pb.Event{})
	payloads := (&pb.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("payload").Fields()
	for i := range payloads.Len() {
		fd := payloads.Get(i)
		whole := filled((&pb.Event{}).ProtoReflect().NewField(fd).Message())
		fields := whole.Descriptor().Fields()
		for j := range fields.Len() {
			msg := &pb.Event{}
			part := msg.ProtoReflect().NewField(fd).Message()
			part.Set(fields.Get(j), whole.Get(fields.Get(j)))
			msg.ProtoReflect().Set(fd, protoreflect.ValueOfMessage(part))
			try(string(fd.Name())+"."+string(fields.Get(j).Name()), msg)
		}
	}
}

// TestContentAfterWire sends an event through Protobuf's own encoding in any order of its map: the content stays.
func TestContentAfterWire(t *testing.T) {
	kinds := newKinds(t)
	want := decoded(t, kinds, fullEvent()).Content
	for range 20 {
		data, err := proto.Marshal(fullEvent())
		if err != nil {
			t.Fatal(err)
		}
		var msg pb.Event
		if err := proto.Unmarshal(data, &msg); err != nil {
			t.Fatal(err)
		}
		if got := decoded(t, kinds, &msg).Content; got != want {
			t.Fatalf("the content is %x, want %x", got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	kinds := newKinds(t)
	f := func(want string, change func(*pb.Event)) {
		t.Helper()
		msg := fullEvent()
		change(msg)
		if err := features.Decode(kinds, msg, &features.Event{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("decode: %v, want %q", err, want)
		}
	}
	add := func(kind string) func(*pb.Event) {
		return func(m *pb.Event) { m.Entities = append(m.Entities, &pb.Identifier{Kind: kind, Value: "x"}) }
	}
	f("event.occurred_at is missing", func(m *pb.Event) { m.OccurredAt = nil })
	f(`event.entities[2].kind: "nonsense" is not a configured entity kind`, add("nonsense"))
	f("event.entities[2].kind: tenant is named by the field event.tenant", add("tenant"))
	f("event.entities[2].kind: brand is named by the field event.brand", add("brand"))
	f("event.entities[2].kind: player is named twice", add("player"))
	f("event.enrichment.derived[0].kind: ip24 is named twice", add("ip24"))
}

// TestDecodeOdd decodes values at the ends of their ranges.
func TestDecodeOdd(t *testing.T) {
	kinds := newKinds(t)
	field := func(msg *pb.Event, name string) *features.Field {
		f, _ := decoded(t, kinds, msg).Field(name)
		return f
	}
	msg := fullEvent()
	msg.Type, msg.Payload = "session.heartbeat", &pb.Event_SessionHeartbeat{SessionHeartbeat: &pb.SessionHeartbeat{Seq: math.MaxUint64}}
	if f := field(msg, "seq"); f != nil {
		t.Errorf("a sequence that no int64 holds is %+v", f)
	}
	msg.Payload = &pb.Event_SessionHeartbeat{SessionHeartbeat: &pb.SessionHeartbeat{Seq: math.MaxInt64}}
	if f := field(msg, "seq"); f == nil || f.Int != math.MaxInt64 {
		t.Errorf("the largest sequence is %+v", f)
	}
	if f := field(msg, "focus"); f == nil || f.Type != features.FieldBool || f.Int != 0 {
		t.Errorf("a flag that is not set is %+v", f)
	}
	msg.Type, msg.Trust = "guard.batch", pb.Trust_TRUST_SERVER
	msg.Payload = &pb.Event_GuardBatch{GuardBatch: &pb.GuardBatch{}}
	if f := field(msg, "trust"); f.Text != "client" {
		t.Errorf("a guard's event is of the %s", f.Text)
	}
	msg.Type, msg.Payload = "round.result", &pb.Event_RoundResult{RoundResult: &pb.RoundResult{ShownAt: &timestamppb.Timestamp{Seconds: 2, Nanos: 5000}}}
	if f := field(msg, "shown_at"); f.Int != 2_000_005 {
		t.Errorf("a time is %+v", f)
	}
	// A money attribute's parts give way to attributes of those names.
	msg.Attributes = map[string]*pb.Value{
		"fee": {Kind: &pb.Value_Money{Money: &pb.Money{AmountMinor: 5, Currency: "EUR", BaseMinor: proto.Int64(6)}}}, "fee_base": {Kind: &pb.Value_Int{Int: 7}},
	}
	ev := decoded(t, kinds, msg)
	n := 0
	for _, f := range ev.Fields {
		if f.Name == "attr_fee_base" {
			n++
		}
	}
	if f, _ := ev.Field("attr_fee_base"); n != 1 || f.Int != 7 {
		t.Errorf("attr_fee_base is there %d times: %+v", n, f)
	}
}

// TestDecodeIsPure decodes into a used event, and twice: the same comes out.
func TestDecodeIsPure(t *testing.T) {
	kinds := newKinds(t)
	msg := fullEvent()
	first := decoded(t, kinds, msg)
	used := decoded(t, kinds, &pb.Event{EventId: "x", OccurredAt: msg.OccurredAt, Entities: []*pb.Identifier{{Kind: "device", Value: "d"}}})
	if err := features.Decode(kinds, msg, used); err != nil {
		t.Fatal(err)
	}
	first.Msg, used.Msg = nil, nil
	if diff := cmp.Diff(first, used); diff != "" {
		t.Errorf("(-fresh +used):\n%s", diff)
	}
	if !proto.Equal(msg, fullEvent()) {
		t.Errorf("decoding changed the message")
	}
}

// FuzzDecode decodes whatever Protobuf accepts, in which kinds may be nonsense and attributes anything.
func FuzzDecode(f *testing.F) {
	kinds := newKinds(f)
	data, err := proto.Marshal(fullEvent())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var msg pb.Event
		if proto.Unmarshal(data, &msg) != nil {
			return
		}
		var ev, again features.Event
		if features.Decode(kinds, &msg, &ev) != nil {
			return
		}
		for i := 1; i < len(ev.Fields); i++ {
			if ev.Fields[i-1].Name >= ev.Fields[i].Name {
				t.Errorf("%q comes before %q", ev.Fields[i-1].Name, ev.Fields[i].Name)
			}
		}
		stored, err := proto.Marshal(&msg)
		if err != nil {
			return // text that is not UTF-8: the edge refuses it
		}
		var back pb.Event
		if err := proto.Unmarshal(stored, &back); err != nil {
			t.Fatal(err)
		}
		if err := features.Decode(kinds, &back, &again); err != nil || ev.Content != again.Content {
			t.Errorf("stored and read again, the event is another: %v", err)
		}
	})
}

// FuzzCompileSet reads whatever it is given. It may refuse; it says where.
func FuzzCompileSet(f *testing.F) {
	f.Add("format: 1\nname: x\nversion: x\ngroups: {g: {entity: player}}\nfeatures: [{name: n, group: g, aggregate: count, window: 1h}]\n")
	f.Add("{")
	f.Add("features: [[[[")
	opt := compileOptions(f)
	f.Fuzz(func(t *testing.T, source string) {
		set, err := features.CompileSet([]byte(source), "f.yml", opt)
		if (set == nil) == (err == nil) {
			t.Fatalf("set %v, error %v", set, err)
		}
		if err != nil && !strings.Contains(err.Error(), "f.yml") {
			t.Errorf("the error does not name the file: %v", err)
		}
	})
}

// TestKinds makes kinds, and refuses what would be on disk for ever.
func TestKinds(t *testing.T) {
	no := false
	kinds := newKinds(t, features.KindConfig{Name: "terminal", Personal: &no}, features.KindConfig{Name: "kiosk"})
	if k, ok := kinds.Get("terminal"); !ok || k.ID != 128 || k.Personal {
		t.Errorf("terminal is %+v", k)
	}
	if k, ok := kinds.Get("kiosk"); !ok || k.ID != 129 || !k.Personal {
		t.Errorf("kiosk is %+v", k)
	}
	f := func(want string, extra ...features.KindConfig) {
		t.Helper()
		if _, err := features.NewKinds(extra); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("kinds %v: %v, want %q", extra, err, want)
		}
	}
	f("must match", features.KindConfig{Name: "Phone"})
	f("must match", features.KindConfig{Name: strings.Repeat("x", 33)})
	f("declared twice", features.KindConfig{Name: "player"})
	f("declared twice", features.KindConfig{Name: "x"}, features.KindConfig{Name: "x"})
	f("at most 128", slices.Repeat([]features.KindConfig{{Name: "x"}}, 129)...)
}

// TestKeys are what state and dedupe lie under: they never change.
func TestKeys(t *testing.T) {
	kinds := newKinds(t)
	player, _ := kinds.Get("player")
	device, _ := kinds.Get("device")
	f := func(got fmt.Stringer, want string) {
		t.Helper()
		if got.String() != want {
			t.Errorf("the key is %s, want %s", got, want)
		}
	}
	f(features.MakeEventKey("acme", "evt-1"), "47e9e25b4de37c84c5f600e22d0d92dd")
	f(features.MakeTransactionKey("acme", "tx-1", "bet.placed"), "9380c3b1630598f9b8bdc462f770a4ca")
	key := features.MakeEntityKey("acme", player, "p-1")
	if got := fmt.Sprintf("%x %d %x", key.Tenant, key.Kind, key.ID); got != "d2e79529ba2c46b2 3 4f130ae005988a6e512316bdfb131b6b" {
		t.Errorf("the key is %s", got)
	}
	seen := map[any]bool{}
	for _, k := range []any{
		key, features.MakeEntityKey("acm", player, "ep-1"), features.MakeEntityKey("acme", device, "p-1"), features.MakeEntityKey("acme", player, "p-2"),
		features.MakeEventKey("a", "bc"), features.MakeEventKey("ab", "c"), features.MakeTransactionKey("a", "b", "c"), features.MakeTransactionKey("a", "bc", ""),
	} {
		if seen[k] {
			t.Errorf("two things have the key %v", k)
		}
		seen[k] = true
	}
	long := strings.Repeat("x", 2000) // longer than any scratch
	if features.MakeEventKey(long, "a") == features.MakeEventKey(long, "b") {
		t.Errorf("long ids run together")
	}
}
