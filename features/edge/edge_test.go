package edge_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// now is when the events of these tests come in.
var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

const testKeys = `
format: 1
tenants:
  casino: {keys: [
    {id: "2", secret: "` + "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" + `", active: true},
    {id: "1", secret: "` + "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" + `", retired: true}]}
  other: {keys: [{id: "2", secret: "` + "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" + `", active: true}]}
`

const testRates = `
version: "2026-11-01"
base: EUR
currencies:
  USD: {num: 23, den: 25}
  JPY: {num: 61, den: 100}
  KWD: {num: 31, den: 100}
  BTC: {exponent: 8, num: 9, den: 100}
`

func config(tb testing.TB) edge.Config {
	tb.Helper()
	kinds, err := features.NewKinds([]features.KindConfig{{Name: "customer"}})
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := edge.ParseKeys([]byte(testKeys), "keys.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	rates, err := edge.ParseRates([]byte(testRates), "rates.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	cfg := edge.DefaultConfig()
	cfg.Kinds, cfg.Keys, cfg.Dir = kinds, keys, tb.TempDir()
	cfg.Tenants = map[string]edge.TenantConfig{"casino": {Rates: rates}, "other": {BaseCurrency: "GBP"}}
	return cfg
}

func open(tb testing.TB, cfg edge.Config) *edge.Edge {
	tb.Helper()
	e, err := edge.New(cfg)
	if err != nil {
		tb.Fatalf("cannot open: %v", err)
	}
	return e
}

func write(tb testing.TB, dir, name, text string) string {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

func raw(kind, value string) *pb.Identifier {
	return &pb.Identifier{Kind: kind, Value: value, Form: pb.Form_FORM_RAW}
}

func alias(kind, value string) *pb.Identifier {
	return &pb.Identifier{Kind: kind, Value: value, Form: pb.Form_FORM_ALIAS}
}

func eur(minor int64) *pb.Money { return &pb.Money{AmountMinor: minor, Currency: "EUR"} }

// bet is a bet as a producer sends it.
func bet() *pb.Event {
	return &pb.Event{
		EventId: "bet-1", Type: "bet.placed", Tenant: "casino", Brand: "north", Jurisdiction: "MT",
		OccurredAt: timestamppb.New(now.Add(-time.Second)),
		Entities: []*pb.Identifier{
			raw("player", "jane@example.com"), raw("session", "session-77"), raw("device", "device-5"), raw("ip", "2.26.157.9"),
			raw("game", "book-of-ra"), raw("round", "round-9"),
		},
		TransactionId: "tx-1",
		Attributes: map[string]*pb.Value{
			"lines": {Kind: &pb.Value_Int{Int: 20}},
			"speed": {Kind: &pb.Value_Number{Number: 1.5}},
			"tip":   {Kind: &pb.Value_Money{Money: eur(-30)}},
		},
		Payload: &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: eur(1250), InputMode: "manual", BalanceAfter: eur(-5)}},
	}
}

func accept(tb testing.TB, e *edge.Edge, msg *pb.Event) features.Event {
	tb.Helper()
	var ev features.Event
	if err := e.Accept(msg, now, &ev); err != nil {
		tb.Fatalf("Accept refused: %v", err)
	}
	return ev
}

func TestAcceptEnrichesAndAliases(t *testing.T) {
	e := open(t, config(t))
	msg := bet()
	msg.OccurredAt.Nanos += 1234
	accept(t, e, msg)

	// The aliases are on disk wherever pitboss runs: they must never change for the same key. These were computed apart
	// from this code, by Python's hmac.
	key := "a2_"
	want := bet()
	want.SchemaVersion = 100
	want.Trust = pb.Trust_TRUST_SERVER
	want.OccurredAt.Nanos += 1000
	want.ReceivedAt = timestamppb.New(now)
	want.Entities = []*pb.Identifier{
		alias("player", key+"7pqco5esqjgkepn5q7xkmwudb5vcukyx"), alias("session", key+"jfopxhqki6sm5hcma7my5gzcuv2cq3in"),
		alias("device", key+"u3kfrhihh6bg5a3zcaxxsy7xjrnmmjyo"), alias("ip", key+"6nwyqghahmvtuwu5qclbnqhqo6mjvpjh"),
		raw("game", "book-of-ra"), raw("round", "round-9"),
	}
	for m, base := range map[*pb.Money]int64{
		want.GetBetPlaced().GetAmount(): 1250, want.GetBetPlaced().GetBalanceAfter(): -5, want.GetAttributes()["tip"].GetMoney(): -30,
	} {
		m.Exponent, m.BaseMinor = proto.Uint32(2), new(base)
	}
	want.Enrichment = &pb.Enrichment{
		Derived:        []*pb.Identifier{alias("ip24", key+"nwailmf4e7i5lzfrhzgxwi3nj5diafwj")},
		AddressClass:   "vpn",
		RatesVersion:   "2026-11-01.f06c3d2d",
		AliasKeyId:     "2",
		AddressVersion: e.AddressVersion(),
	}
	if diff := cmp.Diff(want, msg, protocmp.Transform()); diff != "" {
		t.Errorf("accepted message (-want +got):\n%s", diff)
	}
}

func TestAcceptTakesEveryTypeOfTheCatalogue(t *testing.T) {
	e := open(t, config(t))
	payloads := (&pb.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("payload").Fields()
	for i := range payloads.Len() {
		field := payloads.Get(i)
		msg := bet()
		msg.ReferenceTransactionId = "tx-0"
		for _, kind := range []string{"bonus", "jackpot", "tournament", "table", "affiliate", "counterparty", "case"} {
			msg.Entities = append(msg.Entities, raw(kind, "one"))
		}
		msg.Type = strings.Replace(string(field.Name()), "_", ".", 1)
		payload := msg.ProtoReflect().NewField(field).Message()
		fill(payload)
		msg.ProtoReflect().Set(field, protoreflect.ValueOfMessage(payload))
		wantTrust := pb.Trust_TRUST_SERVER
		if strings.HasPrefix(msg.Type, "guard.") {
			wantTrust = pb.Trust_TRUST_CLIENT
		}
		accept(t, e, msg)
		if msg.Trust != wantTrust {
			t.Errorf("%s: got trust %s, want %s", msg.Type, msg.Trust, wantTrust)
		}
	}
	custom := bet()
	custom.Type, custom.Payload, custom.Entities = "custom.kiosk.opened", nil, nil
	accept(t, e, custom)
}

// fill gives every field of a payload a value that it may have.
func fill(m protoreflect.Message) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		switch {
		case f.Name() == "direction":
			m.Set(f, protoreflect.ValueOfString("out"))
		case strings.HasSuffix(string(f.Name()), "_cc"):
			m.Set(f, protoreflect.ValueOfString("MT"))
		case strings.HasSuffix(string(f.Name()), "_hash"):
			m.Set(f, protoreflect.ValueOfString("2jmj7l5rSw0yVb_vlWAYkK-YBwk="))
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString("text"))
		case f.Kind() == protoreflect.BoolKind:
			m.Set(f, protoreflect.ValueOfBool(true))
		case f.Kind() == protoreflect.Int64Kind:
			m.Set(f, protoreflect.ValueOfInt64(1))
		case f.Kind() == protoreflect.Int32Kind:
			m.Set(f, protoreflect.ValueOfInt32(-60))
		case f.Kind() == protoreflect.Uint64Kind:
			m.Set(f, protoreflect.ValueOfUint64(1))
		case f.Kind() == protoreflect.Uint32Kind:
			m.Set(f, protoreflect.ValueOfUint32(1))
		case f.Message().Name() == "Money":
			m.Set(f, protoreflect.ValueOfMessage(eur(100).ProtoReflect()))
		case f.Message().Name() == "Timestamp":
			m.Set(f, protoreflect.ValueOfMessage(timestamppb.New(now).ProtoReflect()))
		}
	}
}

// TestOneThingHasOneAlias holds that what is written in several ways is one entity, and that the two sides of a transfer name
// the same player by the same alias.
func TestOneThingHasOneAlias(t *testing.T) {
	e := open(t, config(t))
	value := func(kind, value string) string {
		t.Helper()
		id, err := e.Alias("casino", "", raw(kind, value))
		if err != nil {
			t.Fatalf("%s %q: %v", kind, value, err)
		}
		if id.GetForm() != pb.Form_FORM_ALIAS {
			t.Fatalf("%s %q is kept as it is", kind, value)
		}
		return id.GetValue()
	}
	same := func(kind, a, otherKind, b string, want bool) {
		t.Helper()
		if got := value(kind, a) == value(otherKind, b); got != want {
			t.Errorf("%s %q and %s %q share an alias: %v, want %v", kind, a, otherKind, b, got, want)
		}
	}
	same("phone", "+356 2122-0000", "phone", "+35621220000", true)
	same("phone", "+1 (212) 555.0100", "phone", "+12125550100", true)
	same("phone", "+35621220000", "phone", "+35621220001", false)
	same("email", "Jane@Example.COM", "email", "jane@example.com", true)
	same("counterparty", "jane", "player", "jane", true)
	same("account", "jane", "player", "jane", false)
	same("player", "Jane", "player", "jane", false) // the producer's, byte for byte
}

func TestAcceptRefuses(t *testing.T) {
	e := open(t, config(t))
	f := func(name string, change func(*pb.Event), reason edge.Reason, path string, says ...string) {
		t.Helper()
		msg := bet()
		change(msg)
		before := proto.Clone(msg)
		var ev features.Event
		err := e.Accept(msg, now, &ev)
		var refused *edge.Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: got %v, want an *edge.Error", name, err)
			return
		}
		if refused.Reason != reason || refused.Path != path {
			t.Errorf("%s: got %s at %s (%s), want %s at %s", name, refused.Reason, refused.Path, refused.Message, reason, path)
		}
		for _, word := range says {
			if !strings.Contains(refused.Message, word) {
				t.Errorf("%s: message %q does not say %q", name, refused.Message, word)
			}
		}
		// Byte for byte where it can be marshalled: proto.Equal takes NaN for unequal to itself.
		got, gotErr := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
		want, wantErr := proto.MarshalOptions{Deterministic: true}.Marshal(before)
		if (gotErr == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
			t.Errorf("%s: a refused message was changed", name)
		}
	}
	amount := func(m *pb.Event) *pb.Money { return m.GetBetPlaced().GetAmount() }
	long := strings.Repeat("x", 257)

	called := func(kind, value string) func(*pb.Event) {
		return func(m *pb.Event) {
			m.Entities = append(m.Entities[:0], &pb.Identifier{Kind: kind, Value: value, Form: pb.Form_FORM_ALIAS})
		}
	}
	f("known as unknown", func(m *pb.Event) {
		m.Unknown = []*pb.UnknownField{{Path: "shiny", Json: "1"}, {Path: "bet_placed.selection", Json: `"x"`}}
	},
		edge.InvalidField, "event.unknown[1].path", "bet_placed.selection", "its own place")
	f("known as unknown, by number", func(m *pb.Event) { m.Unknown = []*pb.UnknownField{{Path: "#4", Json: "1"}} }, edge.InvalidField, "event.unknown[0].path")
	f("address called an alias", called("ip", "198.51.100.7"), edge.InvalidField, "event.entities[0].value", "FORM_RAW")
	f("address of 6 called an alias", called("ip", "2001:db8::7"), edge.InvalidField, "event.entities[0].value", "FORM_RAW")
	f("network called an alias", called("ip24", "198.51.100.0/24"), edge.InvalidField, "event.entities[0].value", "FORM_RAW")
	f("e-mail address called an alias", called("player", "jane@example.com"), edge.InvalidField, "event.entities[0].value", "FORM_RAW")
	f("e-mail address as an attribute", func(m *pb.Event) {
		m.Attributes = map[string]*pb.Value{"mail": {Kind: &pb.Value_Text{Text: "jane@example.com"}}}
	}, edge.InvalidField, "event.attributes.mail.text", "FORM_RAW")
	f("e-mail address in place of its domain", func(m *pb.Event) {
		m.Type, m.Payload = "account.registered", &pb.Event_AccountRegistered{AccountRegistered: &pb.AccountRegistered{EmailDomain: "jane@example.com"}}
	}, edge.InvalidField, "event.account_registered.email_domain", "FORM_RAW")

	f("no tenant", func(m *pb.Event) { m.Tenant = "" }, edge.MissingField, "event.tenant")
	f("no id", func(m *pb.Event) { m.EventId = "" }, edge.MissingField, "event.event_id")
	f("no type", func(m *pb.Event) { m.Type = "" }, edge.MissingField, "event.type")
	f("no time", func(m *pb.Event) { m.OccurredAt = nil }, edge.MissingField, "event.occurred_at")
	f("unknown tenant", func(m *pb.Event) { m.Tenant = "nobody" }, edge.UnknownTenant, "event.tenant")
	f("unknown type", func(m *pb.Event) { m.Type = "bet.gone" }, edge.UnknownType, "event.type", `"bet.gone"`)
	f("type of a payload that is not one", func(m *pb.Event) { m.Type = "bet_placed" }, edge.UnknownType, "event.type")
	f("newer major", func(m *pb.Event) { m.SchemaVersion = 200 }, edge.NewerSchema, "event.schema_version", "2", "1")
	f("no major", func(m *pb.Event) { m.SchemaVersion = 99 }, edge.InvalidField, "event.schema_version")
	f("long id", func(m *pb.Event) { m.EventId = long[:129] }, edge.TooLong, "event.event_id", "129", "128")
	f("long brand", func(m *pb.Event) { m.Brand = long }, edge.TooLong, "event.brand")
	f("zero byte", func(m *pb.Event) { m.EventId = "a\x00b" }, edge.InvalidField, "event.event_id", "0x00", "byte 1")
	f("delete", func(m *pb.Event) { m.TraceId = "a\x7f" }, edge.InvalidField, "event.trace_id")
	f("C1 control", func(m *pb.Event) { m.TraceId = "aé\u0085" }, edge.InvalidField, "event.trace_id", "U+0085")
	f("not UTF-8", func(m *pb.Event) { m.TransactionId = "a\xff" }, edge.InvalidField, "event.transaction_id", "UTF-8")
	f("cut UTF-8", func(m *pb.Event) { m.Jurisdiction = "é\xe2\x82" }, edge.InvalidField, "event.jurisdiction", "byte 2")
	// Names that look the same are one, or refused.
	for _, r := range []rune{0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x202a, 0x202e, 0x2028, 0x2029, 0x2060, 0x2066, 0x2069, 0xfeff, 0xad, 0xe0041} {
		says, name := fmt.Sprintf("U+%04X at byte 1", r), "a"+string(r)+"b"
		f(says+" in an id", func(m *pb.Event) { m.EventId = name }, edge.InvalidField, "event.event_id", says)
		f(says+" in a tenant", func(m *pb.Event) { m.Tenant = name }, edge.InvalidField, "event.tenant", says)
		f(says+" in a brand", func(m *pb.Event) { m.Brand = name }, edge.InvalidField, "event.brand", says)
		f(says+" in a transaction", func(m *pb.Event) { m.TransactionId = name }, edge.InvalidField, "event.transaction_id", says)
		f(says+" in a reference", func(m *pb.Event) { m.ReferenceTransactionId = name }, edge.InvalidField, "event.reference_transaction_id", says)
		f(says+" in a raw entity", func(m *pb.Event) { m.Entities[0].Value = name }, edge.InvalidField, "event.entities[0].value", says)
		f(says+" in an alias", func(m *pb.Event) { m.Entities[0] = alias("player", name) }, edge.InvalidField, "event.entities[0].value", says)
		f(says+" in a payload's id", func(m *pb.Event) { m.GetBetPlaced().GestureId = name }, edge.InvalidField, "event.bet_placed.gesture_id", says)
	}
	f("corrects itself", func(m *pb.Event) { m.SupersedesEventId = m.EventId }, edge.InvalidField, "event.supersedes_event_id")
	f("trust", func(m *pb.Event) { m.Trust = 9 }, edge.InvalidField, "event.trust")
	f("enriched", func(m *pb.Event) { m.Enrichment = &pb.Enrichment{} }, edge.ForbiddenField, "event.enrichment")
	f("received", func(m *pb.Event) { m.ReceivedAt = m.OccurredAt }, edge.ForbiddenField, "event.received_at")

	at := func(d time.Duration) func(*pb.Event) {
		return func(m *pb.Event) { m.OccurredAt = timestamppb.New(now.Add(d)) }
	}
	f("in future", at(5*time.Second+time.Microsecond), edge.InFuture, "event.occurred_at", "5s", "2026-11-22T10:00:00Z")
	f("too old", at(-30*24*time.Hour-time.Microsecond), edge.TooOld, "event.occurred_at", "30 days")
	f("time out of range", func(m *pb.Event) { m.OccurredAt.Nanos = -1 }, edge.InvalidField, "event.occurred_at")
	f("huge time", func(m *pb.Event) { m.OccurredAt.Seconds = math.MaxInt64 }, edge.InvalidField, "event.occurred_at")
	f("before 1970", func(m *pb.Event) { m.OccurredAt.Seconds = -1 }, edge.InvalidField, "event.occurred_at")

	f("no player", func(m *pb.Event) { m.Entities = m.Entities[1:] }, edge.MissingField, "event.entities", "player")
	f("no form", func(m *pb.Event) { m.Entities[2].Form = 0 }, edge.InvalidField, "event.entities[2].form")
	f("unknown form", func(m *pb.Event) { m.Entities[2].Form = 7 }, edge.InvalidField, "event.entities[2].form")
	f("unknown kind", func(m *pb.Event) { m.Entities[1].Kind = "sofa" }, edge.UnknownKind, "event.entities[1].kind", `"sofa"`)
	f("tenant as an entity", func(m *pb.Event) { m.Entities[1].Kind = "tenant" }, edge.InvalidField, "event.entities[1].kind",
		"event.tenant")
	f("nil entity", func(m *pb.Event) { m.Entities[1] = nil }, edge.UnknownKind, "event.entities[1].kind")
	f("second kind", func(m *pb.Event) { m.Entities[3] = alias("player", "p") }, edge.InvalidField, "event.entities[3].kind")
	f("empty value", func(m *pb.Event) { m.Entities[0].Value = "" }, edge.MissingField, "event.entities[0].value")
	f("long value", func(m *pb.Event) { m.Entities[0].Value = long }, edge.TooLong, "event.entities[0].value")
	f("long alias", func(m *pb.Event) { m.Entities[0] = alias("player", long) }, edge.TooLong, "event.entities[0].value")
	f("zero in value", func(m *pb.Event) { m.Entities[0].Value = "a\x00" }, edge.InvalidField, "event.entities[0].value")
	f("no address", func(m *pb.Event) { m.Entities[3].Value = "2.26.157" }, edge.InvalidField, "event.entities[3].value")
	f("zone", func(m *pb.Event) { m.Entities[3].Value = "fe80::1%eth0" }, edge.InvalidField, "event.entities[3].value")
	f("no network", func(m *pb.Event) { m.Entities[3] = raw("ip24", "2.0.0.0/8") }, edge.InvalidField, "event.entities[3].value")
	f("no number", func(m *pb.Event) { m.Entities[3] = raw("asn", "AS-1") }, edge.InvalidField, "event.entities[3].value")
	f("too many entities", func(m *pb.Event) {
		for range 27 {
			m.Entities = append(m.Entities, raw("table", "t"))
		}
	}, edge.TooLong, "event.entities", "33", "32")

	f("no payload", func(m *pb.Event) { m.Payload = nil }, edge.MissingField, "event.bet_placed")
	f("other payload", func(m *pb.Event) { m.Payload = &pb.Event_AuthLogin{AuthLogin: &pb.AuthLogin{}} },
		edge.InvalidField, "event.auth_login", "bet_placed")
	f("empty payload", func(m *pb.Event) { m.Payload = &pb.Event_BetPlaced{} }, edge.MissingField, "event.bet_placed.amount")
	f("no amount", func(m *pb.Event) { m.GetBetPlaced().Amount = nil }, edge.MissingField, "event.bet_placed.amount")
	f("custom with payload", func(m *pb.Event) { m.Type = "custom.x" }, edge.InvalidField, "event.bet_placed")
	f("custom without name", func(m *pb.Event) { m.Type = "custom." }, edge.InvalidField, "event.type")
	f("custom with a space", func(m *pb.Event) { m.Type = "custom.a b" }, edge.InvalidField, "event.type")
	f("long text in payload", func(m *pb.Event) { m.GetBetPlaced().GestureId = long }, edge.TooLong, "event.bet_placed.gesture_id")
	f("negative odds", func(m *pb.Event) { m.GetBetPlaced().OddsPpm = -1 }, edge.InvalidField, "event.bet_placed.odds_ppm")
	transfer := func(change func(*pb.Event, *pb.TransferP2P)) func(*pb.Event) {
		return func(m *pb.Event) {
			m.Entities = []*pb.Identifier{raw("player", "jane"), raw("counterparty", "joe")}
			payload := &pb.TransferP2P{Direction: "out", Amount: eur(5)}
			m.Type, m.Payload = "transfer.p2p", &pb.Event_TransferP2P{TransferP2P: payload}
			change(m, payload)
		}
	}
	f("no counterparty", transfer(func(m *pb.Event, _ *pb.TransferP2P) { m.Entities = m.Entities[:1] }), edge.MissingField, "event.entities", "counterparty")
	f("counterparty is the player", transfer(func(m *pb.Event, _ *pb.TransferP2P) { m.Entities[1].Value = "jane" }), edge.InvalidField, "event.entities")
	f("no direction", transfer(func(_ *pb.Event, p *pb.TransferP2P) { p.Direction = "" }), edge.MissingField, "event.transfer_p2p.direction")
	f("other direction", transfer(func(_ *pb.Event, p *pb.TransferP2P) { p.Direction = "up" }), edge.InvalidField, "event.transfer_p2p.direction", "out, in")

	deposit := func(change func(*pb.PaymentDepositSettled)) func(*pb.Event) {
		return func(m *pb.Event) {
			payload := &pb.PaymentDepositSettled{Amount: eur(5)}
			m.Type, m.Payload = "payment.deposit_settled", &pb.Event_PaymentDepositSettled{PaymentDepositSettled: payload}
			change(payload)
		}
	}
	for _, country := range []string{"mt", "MLT", "M", "M1"} {
		f("country "+country, deposit(func(p *pb.PaymentDepositSettled) { p.BinCc = country }), edge.InvalidField, "event.payment_deposit_settled.bin_cc", "two capital letters")
	}
	f("invisible payment", deposit(func(p *pb.PaymentDepositSettled) { p.PaymentId = "a\u200bb" }), edge.InvalidField, "event.payment_deposit_settled.payment_id")

	changed := func(hash string) func(*pb.Event) {
		return func(m *pb.Event) {
			m.Type = "account.detail_changed"
			m.Payload = &pb.Event_AccountDetailChanged{AccountDetailChanged: &pb.AccountDetailChanged{Field: "phone", OldHash: hash}}
		}
	}
	// What is called a digest and is none: a telephone number, a card's, a name, and what is too long.
	for _, hash := range []string{"+35621220000", "4111111111111111111", "Jane Q. Public of Valletta", strings.Repeat("a", 129)} {
		f("digest "+hash, changed(hash), edge.InvalidField, "event.account_detail_changed.old_hash", "digest")
	}
	f("accepted without transaction", func(m *pb.Event) {
		m.TransactionId = ""
		m.Type, m.Payload = "bet.accepted", &pb.Event_BetAccepted{BetAccepted: &pb.BetAccepted{}}
	}, edge.MissingField, "event.transaction_id")
	f("exclusion in milliseconds", func(m *pb.Event) {
		m.Type = "rg.self_excluded"
		m.Payload = &pb.Event_RgSelfExcluded{RgSelfExcluded: &pb.RgSelfExcluded{Until: &timestamppb.Timestamp{Seconds: now.Unix() * 10}}}
	}, edge.InvalidField, "event.rg_self_excluded.until", "100 years")
	guard := func(batch *pb.GuardBatch) func(*pb.Event) {
		return func(m *pb.Event) { m.Type, m.Payload = "guard.batch", &pb.Event_GuardBatch{GuardBatch: batch} }
	}
	f("correlation under -1", guard(&pb.GuardBatch{FrameLoadPpm: new(int64(-1_000_001))}), edge.InvalidField, "event.guard_batch.frame_load_ppm")
	f("negative gaps", guard(&pb.GuardBatch{Gaps: new(int64(-1))}), edge.InvalidField, "event.guard_batch.gaps")
	f("flags beyond what is counted", guard(&pb.GuardBatch{AutomationFlags: new(uint64(math.MaxUint64))}), edge.InvalidField, "event.guard_batch.automation_flags")
	score := &pb.TournamentScore{}
	f("score without points", func(m *pb.Event) {
		m.Entities = append(m.Entities, raw("tournament", "t"))
		m.Type, m.Payload = "tournament.score", &pb.Event_TournamentScore{TournamentScore: score}
	}, edge.MissingField, "event.tournament_score.points_delta")
	f("e-mail that is none", func(m *pb.Event) { m.Entities[2] = raw("email", "jane") }, edge.InvalidField, "event.entities[2].value")
	f("number without country", func(m *pb.Event) { m.Entities[2] = raw("phone", "21220000") }, edge.InvalidField, "event.entities[2].value", "country")
	f("number called an alias", called("phone", "+356 2122-0000"), edge.InvalidField, "event.entities[0].value", "FORM_RAW")
	f("label over 1", func(m *pb.Event) {
		m.Type = "label.assigned"
		m.Payload = &pb.Event_LabelAssigned{LabelAssigned: &pb.LabelAssigned{TargetEventId: "e", Label: "fraud", Fraud: 2}}
	}, edge.InvalidField, "event.label_assigned.fraud")
	f("bad time in payload", func(m *pb.Event) {
		m.Type = "round.result"
		m.Payload = &pb.Event_RoundResult{RoundResult: &pb.RoundResult{ShownAt: &timestamppb.Timestamp{Nanos: -1}}}
	}, edge.InvalidField, "event.round_result.shown_at")
	f("counter beyond int64", func(m *pb.Event) {
		m.Type = "session.heartbeat"
		m.Payload = &pb.Event_SessionHeartbeat{SessionHeartbeat: &pb.SessionHeartbeat{Seq: math.MaxUint64}}
	}, edge.InvalidField, "event.session_heartbeat.seq")
	f("guard of the server", func(m *pb.Event) {
		m.Type, m.Trust = "guard.batch", pb.Trust_TRUST_SERVER
		m.Payload = &pb.Event_GuardBatch{GuardBatch: &pb.GuardBatch{}}
	}, edge.InvalidField, "event.trust")
	f("rollback of nothing", func(m *pb.Event) {
		m.Type = "bet.rolled_back"
		m.Payload = &pb.Event_BetRolledBack{BetRolledBack: &pb.BetRolledBack{}}
	}, edge.MissingField, "event.reference_transaction_id")

	f("negative", func(m *pb.Event) { amount(m).AmountMinor = -1 }, edge.InvalidField, "event.bet_placed.amount.amount_minor")
	f("overflow", func(m *pb.Event) { amount(m).AmountMinor = 1e15 + 1 }, edge.AmountOverflow, "event.bet_placed.amount.amount_minor")
	f("least amount", func(m *pb.Event) { amount(m).AmountMinor = math.MinInt64 },
		edge.AmountOverflow, "event.bet_placed.amount.amount_minor")
	f("no currency", func(m *pb.Event) { amount(m).Currency = "" }, edge.MissingField, "event.bet_placed.amount.currency")
	f("no such currency", func(m *pb.Event) { amount(m).Currency = "EURO" }, edge.UnknownCurrency,
		"event.bet_placed.amount.currency", `"EURO"`)
	f("no rate", func(m *pb.Event) { amount(m).Currency = "CHF" }, edge.UnknownCurrency,
		"event.bet_placed.amount.currency", "CHF", "EUR", "2026-11-01")
	f("mixed currencies", func(m *pb.Event) { m.GetBetPlaced().Bonus = &pb.Money{Currency: "USD"} },
		edge.InvalidField, "event.bet_placed.bonus.currency", "EUR")
	f("exponent", func(m *pb.Event) { amount(m).Exponent = proto.Uint32(3) }, edge.InvalidField,
		"event.bet_placed.amount.exponent", "2", "3")
	f("base set", func(m *pb.Event) { amount(m).BaseMinor = proto.Int64(1) }, edge.ForbiddenField,
		"event.bet_placed.amount.base_minor")

	set := func(name string, v *pb.Value) func(*pb.Event) { return func(m *pb.Event) { m.Attributes[name] = v } }
	f("NaN", set("a", &pb.Value{Kind: &pb.Value_Number{Number: math.NaN()}}), edge.InvalidField, "event.attributes.a.number")
	f("Inf", set("a", &pb.Value{Kind: &pb.Value_Number{Number: math.Inf(-1)}}), edge.InvalidField, "event.attributes.a.number")
	f("attribute of nothing", set("a", &pb.Value{}), edge.MissingField, "event.attributes.a")
	f("nil attribute", set("a", nil), edge.MissingField, "event.attributes.a")
	f("nil money", set("a", &pb.Value{Kind: &pb.Value_Money{}}), edge.MissingField, "event.attributes.a")
	f("long attribute", set("a", &pb.Value{Kind: &pb.Value_Text{Text: long}}), edge.TooLong, "event.attributes.a.text")
	f("attribute's currency", set("a", &pb.Value{Kind: &pb.Value_Money{Money: &pb.Money{}}}), edge.MissingField,
		"event.attributes.a.money.currency")
	f("attribute's name", set("A", &pb.Value{Kind: &pb.Value_Int{}}), edge.InvalidField, "event.attributes", `"A"`)
	f("attribute's empty name", set("", &pb.Value{Kind: &pb.Value_Int{}}), edge.InvalidField, "event.attributes")
	f("too many attributes", func(m *pb.Event) {
		for i := range 62 {
			m.Attributes[fmt.Sprintf("a%d", i)] = &pb.Value{Kind: &pb.Value_Int{}}
		}
	}, edge.TooLong, "event.attributes", "65", "64")

	var ev features.Event
	if err := e.Accept(nil, now, &ev); err == nil {
		t.Error("no message at all was accepted")
	}
}

// TestAcceptKeepsWhatOnlyLooksPersonal holds that text is refused for being an e-mail address alone: a refused event is a
// decision that is not made.
func TestAcceptKeepsWhatOnlyLooksPersonal(t *testing.T) {
	e := open(t, config(t))
	for _, text := range []string{"user@", "@example.com", "a@b", "a@b@c.de", "a b@c.de", "10.2.0.1", "me@c.", "seat@.5"} {
		msg := bet()
		msg.Attributes = map[string]*pb.Value{"note": {Kind: &pb.Value_Text{Text: text}}}
		accept(t, e, msg)
	}
	msg := bet()
	msg.Type = "account.registered"
	msg.Payload = &pb.Event_AccountRegistered{AccountRegistered: &pb.AccountRegistered{Nickname: "jane@example.com", EmailDomain: "example.com"}}
	accept(t, e, msg)
	if got := msg.GetEnrichment().GetNicknameSkeleton(); got == "" || msg.GetAccountRegistered().GetNickname() != "" {
		t.Errorf("a nickname that is an e-mail address: got %v", msg)
	}
}

func TestAcceptAtTheBounds(t *testing.T) {
	e := open(t, config(t))
	f := func(change func(*pb.Event)) {
		t.Helper()
		msg := bet()
		change(msg)
		accept(t, e, msg)
	}
	f(func(m *pb.Event) { m.OccurredAt = timestamppb.New(now.Add(5 * time.Second)) })
	f(func(m *pb.Event) { m.OccurredAt = timestamppb.New(now.Add(-30 * 24 * time.Hour)) })
	f(func(m *pb.Event) { m.EventId = strings.Repeat("x", 128) })
	f(func(m *pb.Event) { m.Entities[0].Value = strings.Repeat("é", 128) })
	f(func(m *pb.Event) { m.GetBetPlaced().Amount.AmountMinor = 1e15 })
	f(func(m *pb.Event) { m.SchemaVersion = 199 })
	f(func(m *pb.Event) { m.Entities[0].Value = "\ufffd is a character" })
	f(func(m *pb.Event) { m.EventId, m.Brand = "\u0645\u0631\u062d\u0628\u0627", "\u05e2\u05d1\u05e8" }) // Arabic and Hebrew, without controls
	f(func(m *pb.Event) {
		m.Attributes["note"] = &pb.Value{Kind: &pb.Value_Text{Text: "\u200fshown\u200e\u200b"}}
	})

	for _, at := range []time.Duration{6 * time.Second, -31 * 24 * time.Hour, -32 * 24 * time.Hour} {
		msg := bet()
		msg.OccurredAt = timestamppb.New(now.Add(at))
		if err := e.Accept(msg, now, &features.Event{}); err == nil {
			t.Errorf("an event of %s from now was accepted", at)
		}
	}
	if got := e.Stats(); got.Refused != 3 || got.TooOld != 2 || got.InFuture != 1 || len(got.Unknown) > 0 {
		t.Errorf("counted %+v, want 3 refused, 2 too old, 1 in the future", got)
	}
}

func TestHistoryCarriesItsOwnTimeOfReceipt(t *testing.T) {
	cfg := config(t)
	cfg.History = true
	e := open(t, cfg)
	then := time.Date(2018, 4, 1, 0, 0, 31, 1999, time.UTC)
	msg := bet()
	msg.OccurredAt, msg.ReceivedAt = timestamppb.New(then), timestamppb.New(then)
	accept(t, e, msg)
	if got, want := msg.ReceivedAt.AsTime(), then.Truncate(time.Microsecond); !got.Equal(want) {
		t.Errorf("received_at: got %s, want %s", got, want)
	}
	late := bet()
	late.OccurredAt, late.ReceivedAt = timestamppb.New(then.Add(6*time.Second)), timestamppb.New(then)
	var refused *edge.Error
	if err := e.Accept(late, now, &features.Event{}); !errors.As(err, &refused) || refused.Reason != edge.InFuture {
		t.Errorf("occurred_at after its own received_at: got %v, want %s", err, edge.InFuture)
	}
	own := bet()
	accept(t, e, own)
	if got := own.ReceivedAt.AsTime(); !got.Equal(now) {
		t.Errorf("received_at of an event without one: got %s, want the caller's %s", got, now)
	}
}

// TestUnknownFields holds what becomes of what a newer minor schema has: kept as it came, within bounds, without what names
// somebody, by path in the figures, and no part of the content.
func TestUnknownFields(t *testing.T) {
	e := open(t, config(t))
	field := func(number protowire.Number, text string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), text)
	}
	plain, msg, again := bet(), bet(), &features.Event{}
	msg.ProtoReflect().SetUnknown(append(field(961, "new"), field(961, "er")...))
	msg.GetBetPlaced().ProtoReflect().SetUnknown(slices.Concat(field(900, "jane@example.com"), field(901, "x"),
		protowire.AppendVarint(protowire.AppendTag(nil, 4, protowire.VarintType), 3))) // selection, which is a text
	small := protowire.AppendVarint(protowire.AppendTag(nil, 10, protowire.VarintType), 3)
	large := protowire.AppendVarint(protowire.AppendTag(nil, 11, protowire.VarintType), 1_000_000)
	msg.Entities[0].ProtoReflect().SetUnknown(slices.Concat(field(9, "Jane"), small, large))
	msg.GetBetPlaced().GetAmount().ProtoReflect().SetUnknown(field(12, "of the amount"))
	msg.OccurredAt.ProtoReflect().SetUnknown(field(3, "leap"))
	msg.Unknown = []*pb.UnknownField{
		{Path: "shiny", Json: `{"a":1}`}, {Path: "mail", Json: `["jane@example.com"]`}, {Path: "no name", Json: "1"}, {Path: "none"}, {Path: "bad", Json: "{"},
		{Path: "large", Json: `"` + strings.Repeat("x", edge.MaxUnknownBytes) + `"`}, {Path: "both", Json: "1", Protobuf: "AA=="},
		{Path: "entities_too", Json: `2`}, {Path: "entities.name", Json: `"Jane"`}, {Path: "entities.game.title", Json: `"Ash"`},
		{Path: "entities.player.mail", Json: `"jane@example.com"`}, {Path: "entities.player.trust", Json: "12.5"}, {Path: "entities.player.place", Json: "52.37021"},
		{Path: "entities.player.vip", Json: "true"}, {Path: "entities.player.bad", Json: "{"}, {Path: "entities.player.own", Alias: "Jane"},
	}
	want := []*pb.UnknownField{
		{Path: "#961", Protobuf: base64.StdEncoding.EncodeToString(append(field(961, "new"), field(961, "er")...))},
		{Path: "bet_placed#901", Protobuf: base64.StdEncoding.EncodeToString(field(901, "x"))},
		{Path: "bet_placed.amount#12", Protobuf: base64.StdEncoding.EncodeToString(field(12, "of the amount"))},
		{Path: "entities.game.title", Json: `"Ash"`},
		{Path: "entities.name", Alias: "entities.name"}, // of a kind that nobody knows
		{Path: "entities.player#10", Protobuf: base64.StdEncoding.EncodeToString(small)},
		{Path: "entities.player#11", Alias: "entities.player#11"},
		{Path: "entities.player#9", Alias: "entities.player#9"},
		{Path: "entities.player.mail", Alias: "entities.player.mail"},
		{Path: "entities.player.place", Alias: "entities.player.place"},
		{Path: "entities.player.trust", Json: "12.5"},
		{Path: "entities.player.vip", Json: "true"},
		{Path: "entities_too", Json: `2`},
		{Path: "occurred_at#3", Protobuf: base64.StdEncoding.EncodeToString(field(3, "leap"))},
		{Path: "shiny", Json: `{"a":1}`},
	}
	without := accept(t, e, plain)
	with := accept(t, e, msg)
	got, aliases := slices.Clone(msg.Unknown), map[string]bool{}
	for i, f := range got { // an alias is one field's own: want says its path
		if a := f.GetAlias(); strings.HasPrefix(a, "a2_") && len(a) == len("a2_")+32 && !aliases[a] {
			aliases[a], got[i] = true, &pb.UnknownField{Path: f.GetPath(), Alias: f.GetPath()}
		}
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if with.Content != without.Content {
		t.Error("what is unknown changed the content: the same event by an older relay would be a conflict")
	}
	stored, err := proto.Marshal(msg)
	if err != nil || strings.Contains(string(stored), "ane") {
		t.Errorf("stored, with what names somebody: %x, %v", stored, err)
	}
	// What was stored is what is read, and what can be sent again.
	read := &pb.Event{}
	if err := errors.Join(proto.Unmarshal(stored, read), features.Decode(config(t).Kinds, read, again)); err != nil || again.Content != with.Content || !proto.Equal(read, msg) {
		t.Errorf("read again: %v, %v", read, err)
	}
	sent := bet()
	sent.Unknown = slices.Clone(msg.Unknown)
	if accept(t, open(t, config(t)), sent); !proto.Equal(&pb.Event{Unknown: sent.Unknown}, &pb.Event{Unknown: msg.Unknown}) {
		t.Errorf("sent again it is kept as %v, was %v", sent.Unknown, msg.Unknown)
	}
	wantStats := []edge.UnknownStats{
		{Path: "#961", Kept: 1}, {Path: "bad", LeftOut: 1}, {Path: "bet_placed#4", LeftOut: 1}, {Path: "bet_placed#900", LeftOut: 1}, {Path: "bet_placed#901", Kept: 1},
		{Path: "bet_placed.amount#12", Kept: 1}, {Path: "both", LeftOut: 1},
		{Path: "entities.game.title", Kept: 1}, {Path: "entities.name", Kept: 1}, {Path: "entities.player#10", Kept: 1}, {Path: "entities.player#11", Kept: 1},
		{Path: "entities.player#9", Kept: 1}, {Path: "entities.player.bad", LeftOut: 1}, {Path: "entities.player.mail", Kept: 1}, {Path: "entities.player.own", LeftOut: 1},
		{Path: "entities.player.place", Kept: 1}, {Path: "entities.player.trust", Kept: 1}, {Path: "entities.player.vip", Kept: 1}, {Path: "entities_too", Kept: 1},
		{Path: "large", LeftOut: 1}, {Path: "mail", LeftOut: 1}, {Path: "none", LeftOut: 1}, {Path: "occurred_at#3", Kept: 1}, {Path: "other", LeftOut: 1}, {Path: "shiny", Kept: 1},
	}
	if diff := cmp.Diff(wantStats, e.Stats().Unknown); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	for i := range 100 { // strangers' names are not kept without bound
		many := bet()
		many.EventId = fmt.Sprint(i)
		many.Unknown = []*pb.UnknownField{{Path: fmt.Sprint("f", i), Json: "1"}}
		accept(t, e, many)
	}
	if n := len(e.Stats().Unknown); n > 65 {
		t.Errorf("%d paths are counted, at most 64 and other", n)
	}

	cfg := config(t)
	cfg.UnknownFields = "drop"
	dropped := bet()
	dropped.Unknown = []*pb.UnknownField{{Path: "shiny", Json: "1"}}
	if accept(t, open(t, cfg), dropped); len(dropped.Unknown) > 0 {
		t.Errorf("with drop %v is kept", dropped.Unknown)
	}
}

func TestAcceptDropsUnknownFields(t *testing.T) {
	e := open(t, config(t))
	secret := protowire.AppendString(protowire.AppendTag(nil, 9000, protowire.BytesType), "jane@example.com")
	msg := bet()
	msg.SchemaVersion = 101
	msg.ClockQuality = &pb.ClockQuality{Source: "ntp"}
	for _, m := range []proto.Message{
		msg, msg.OccurredAt, msg.ClockQuality, msg.Entities[4], msg.Attributes["lines"], msg.Attributes["tip"].GetMoney(),
		msg.GetBetPlaced(), msg.GetBetPlaced().GetAmount(),
	} {
		m.ProtoReflect().SetUnknown(secret)
	}
	accept(t, e, msg)
	data, err := proto.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "jane") {
		t.Errorf("the stored message has a field of a newer schema: %s", hex.EncodeToString(data))
	}
}
