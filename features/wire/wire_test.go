package wire_test

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features/edge"
	"pitboss/features/wire"
	pb "pitboss/proto/pitboss/v1"
)

var rewrite = flag.Bool("rewrite", false, "write the Avro schema anew")

const (
	protoDir = "../../proto/pitboss/v1/"
	topic    = "events"
)

// TestAvroSchemaIsTheOneThatShips holds that what producers take is what records are read by.
func TestAvroSchemaIsTheOneThatShips(t *testing.T) {
	if *rewrite {
		if err := os.WriteFile(protoDir+"event.avsc", []byte(wire.EventSchema()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shipped, err := os.ReadFile(protoDir + "event.avsc")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wire.EventSchema(), string(shipped)); diff != "" {
		t.Errorf("event.avsc is not what event.proto makes (go test ./features/wire -rewrite):\n%s", diff)
	}
}

// event has a field of every sort.
func event() *pb.Event {
	return &pb.Event{
		EventId: "bet-1", Type: "bet.placed", Tenant: "demo", SchemaVersion: 100, ProducerId: "engine-1", ProducerSeq: 1 << 40,
		OccurredAt:   &timestamppb.Timestamp{Seconds: 1741000000, Nanos: 123456000},
		ClockQuality: &pb.ClockQuality{NtpOffsetUs: -250, Source: "ntp"}, Trust: pb.Trust_TRUST_SERVER,
		Entities: []*pb.Identifier{
			{Kind: "player", Value: "p", Form: pb.Form_FORM_RAW}, {Kind: "round", Value: "r", Form: pb.Form_FORM_ALIAS},
		},
		Attributes: map[string]*pb.Value{
			"speed": {Kind: &pb.Value_Number{Number: 1.5}}, "lines": {Kind: &pb.Value_Int{}}, "vip": {Kind: &pb.Value_Flag{Flag: true}},
			"tip": {Kind: &pb.Value_Money{Money: &pb.Money{AmountMinor: 5, Currency: "EUR", Exponent: proto.Uint32(2)}}},
		},
		Payload: &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: 1250, Currency: "EUR"}, InputMode: "manual"}},
	}
}

// asRecord gives a message as Avro's map of its fields; what is left out is the schema's default.
func asRecord(m protoreflect.Message) map[string]any {
	record := map[string]any{}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		record[string(f.Name())] = asAvro(f, v)
		return true
	})
	return record
}

func asAvro(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch {
	case f.IsMap():
		entries := map[string]any{}
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			entries[k.String()] = asRecord(v.Message())
			return true
		})
		return entries
	case f.IsList():
		var items []any
		for i := range v.List().Len() {
			items = append(items, asRecord(v.List().Get(i).Message()))
		}
		return items
	case f.Message() != nil && f.Message().Name() == "Timestamp":
		return v.Message().Interface().(*timestamppb.Timestamp).AsTime()
	case f.Message() != nil:
		return asRecord(v.Message())
	case f.Enum() != nil:
		return string(f.Enum().Values().ByNumber(v.Enum()).Name())
	case f.Kind() == protoreflect.Uint64Kind, f.Kind() == protoreflect.Uint32Kind:
		return int64(v.Uint())
	}
	return v.Interface()
}

func encodeAvro(t testing.TB, schema string, record map[string]any) []byte {
	t.Helper()
	s, err := avro.Parse(schema)
	if err != nil {
		t.Fatal(err)
	}
	value, err := s.Encode(record)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func marshal(t testing.TB, msg *pb.Event) []byte {
	t.Helper()
	value, err := proto.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func asJSON(t testing.TB, msg *pb.Event) string {
	t.Helper()
	value, err := protojson.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// rig is a decoder with a registry.
type rig struct {
	t        *testing.T
	registry *srfake.Registry
	decoder  *wire.Decoder
}

func newRig(t *testing.T, change ...func(*wire.Config)) *rig {
	t.Helper()
	r := &rig{t: t, registry: srfake.New()}
	t.Cleanup(r.registry.Close)
	cfg := wire.Config{Registry: wire.DefaultRegistryConfig()}
	cfg.Registry.URLs = []string{r.registry.URL()}
	for _, f := range change {
		f(&cfg)
	}
	if err := cfg.Registry.Validate(); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.decoder, err = wire.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.decoder.Close)
	return r
}

func (r *rig) register(kind sr.SchemaType, text string) int {
	r.t.Helper()
	id, _, err := r.registry.RegisterSchema(topic+"-value", sr.Schema{Schema: text, Type: kind})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// framed puts the Confluent header before a value.
func framed(t testing.TB, id int, index []int, value []byte) []byte {
	t.Helper()
	b, err := new(sr.ConfluentHeader).AppendEncode(nil, id, index)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, value...)
}

func record(value []byte, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Value: value}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

func (r *rig) decode(rec *kgo.Record) (*pb.Event, *edge.Error) {
	r.t.Helper()
	var schema *wire.Schema
	if id, ok := r.decoder.SchemaID(rec); ok {
		schemas, err := r.decoder.Schemas(r.t.Context(), []int{id})
		if err != nil {
			r.t.Fatal(err)
		}
		schema = schemas[id]
	}
	msg := &pb.Event{}
	return msg, r.decoder.Decode(rec, schema, msg)
}

// eventProto is the text that producers register.
func eventProto(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(protoDir + "event.proto")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eventIndex is the place of Event among the messages of event.proto.
func eventIndex() []int { return []int{(&pb.Event{}).ProtoReflect().Descriptor().Index()} }

// TestOneEventInEveryFormat holds that an event is the same event, however it was written.
func TestOneEventInEveryFormat(t *testing.T) {
	r := newRig(t)
	want := event()
	value, text := marshal(t, want), asJSON(t, want)
	packed := encodeAvro(t, wire.EventSchema(), asRecord(want.ProtoReflect()))
	avroID, jsonID, protoID := r.register(sr.TypeAvro, wire.EventSchema()), r.register(sr.TypeJSON, `{"type": "object"}`),
		r.register(sr.TypeProtobuf, eventProto(t))
	cloud := `{"specversion": "1.0", "id": "bet-1", "source": "//engine", "type": "bet.placed", "time": "2025-03-03T11:06:40.123456Z", "extra": 1, `
	bare := event()
	bare.EventId, bare.Type, bare.OccurredAt, bare.ProducerId = "", "", nil, ""
	f := func(name string, rec *kgo.Record) {
		t.Helper()
		got, err := r.decode(rec)
		if err != nil {
			t.Errorf("%s: refused: %s: %s", name, err.Reason, err)
			return
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	f("protobuf", record(value))
	f("protobuf by header", record(value, "content-type", "application/x-protobuf"))
	f("json", record([]byte(text)))
	f("json by header", record([]byte("\n"+text), "Content-Type", "application/json; charset=utf-8"))
	f("avro by header", record(packed, "content-type", "application/avro"))
	f("confluent avro", record(framed(t, avroID, nil, packed)))
	f("confluent json", record(framed(t, jsonID, nil, []byte(text))))
	f("confluent protobuf", record(framed(t, protoID, eventIndex(), value)))
	f("structured", record([]byte(cloud+`"data": `+text+"}"), "content-type", "application/cloudevents+json"))
	f("structured protobuf", record([]byte(cloud+`"datacontenttype": "application/protobuf", "data_base64": "`+
		base64.StdEncoding.EncodeToString(value)+`"}`), "content-type", "application/cloudevents+json; charset=UTF-8"))
	f("binary", record(marshal(t, bare), "ce_specversion", "1.0", "ce_id", "bet-1", "ce_type", "bet.placed", "ce_source", "engine-1",
		"ce_time", "2025-03-03T12:06:40.123456+01:00", "ce_subject", "jane", "content-type", "application/protobuf"))
	f("binary confluent", record(framed(t, protoID, eventIndex(), marshal(t, bare)), "ce_specversion", "1.0", "ce_id", "bet-1",
		"ce_type", "bet.placed", "ce_source", "engine-1", "ce_time", "2025-03-03T11:06:40.123456Z"))

	r = newRig(t, func(c *wire.Config) { c.Formats = map[string]string{topic: wire.FormatAvro} })
	f("avro by topic", record(packed))
	f("json by header on a topic of avro", record([]byte(text), "content-type", "application/json"))
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	f := func(name string, rec *kgo.Record, reason edge.Reason, path, says string) {
		t.Helper()
		_, err := r.decode(rec)
		if err == nil {
			t.Errorf("%s: accepted, want %s", name, reason)
			return
		}
		if err.Reason != reason || err.Path != path || !strings.Contains(err.Message, says) {
			t.Errorf("%s: got %s at %q: %s; want %s at %q with %q", name, err.Reason, err.Path, err.Message, reason, path, says)
		}
	}
	value, text := marshal(t, event()), asJSON(t, event())
	f("empty", record(nil), wire.Empty, "", "no value")
	f("too large", record(make([]byte, 1<<20+1)), wire.TooLarge, "", "1048576")
	f("unknown id", record(framed(t, 4711, nil, value)), wire.UnknownSchema, "", "4711")

	protoID := r.register(sr.TypeProtobuf, eventProto(t))
	f("another message", record(framed(t, protoID, []int{0}, value)), wire.WrongSchema, "", "[0] is not pitboss.v1.Event")
	f("no such message", record(framed(t, protoID, []int{999}, value)), wire.WrongSchema, "", "999")
	f("nested message", record(framed(t, protoID, []int{3, 0}, value)), wire.WrongSchema, "", "[3 0]")
	f("no index", record(framed(t, protoID, nil, nil)), wire.Undecodable, "", "index")
	stranger := strings.ReplaceAll(eventProto(t), "package pitboss.v1", "package other.v1")
	f("another package", record(framed(t, r.register(sr.TypeProtobuf, stranger), eventIndex(), value)), wire.WrongSchema, "", "no message pitboss.v1.Event")
	f("no .proto", record(framed(t, r.register(sr.TypeProtobuf, "message {"), eventIndex(), value)), wire.WrongSchema, "", "not a .proto file")

	typed := func(name, fields string) int {
		return r.register(sr.TypeAvro, `{"type": "record", "name": "`+name+`", "namespace": "pitboss.v1", "fields": [`+fields+`]}`)
	}
	hostile := func(name, fields, says string) {
		t.Helper()
		f(name, record(framed(t, typed("Event", fields), nil, []byte{0})), wire.WrongSchema, "", says)
	}
	f("another record", record(framed(t, typed("Bet", `{"name": "event_id", "type": "string"}`), nil, []byte{0})), wire.WrongSchema, "", "not a record pitboss.v1.Event")
	hostile("recursion", `{"name": "next", "type": ["null", "pitboss.v1.Event"]}`, "within itself")
	hostile("nulls", `{"name": "x", "type": {"type": "array", "items": "null"}}`, "no bytes")
	hostile("nothing", `{"name": "x", "type": {"type": "array", "items": {"type": "record", "name": "N", "fields": []}}}`, "no bytes")
	hostile("fixed", `{"name": "x", "type": {"type": "fixed", "name": "N", "size": 0}}`, "no bytes")
	hostile("deep", `{"name": "x", "type": `+strings.Repeat(`{"type": "array", "items": `, 20)+`"int"`+strings.Repeat("}", 20)+`}`, "deeper")
	hostile("huge", `{"name": "x", "type": "int", "doc": "`+strings.Repeat("x", 256<<10)+`"}`, "262144")
	f("no Avro", record(framed(t, r.register(sr.TypeAvro, `{"type": "record"}`), nil, []byte{0})), wire.WrongSchema, "", "not an Avro schema")

	packed := encodeAvro(t, wire.EventSchema(), asRecord(event().ProtoReflect()))
	avroID := r.register(sr.TypeAvro, wire.EventSchema())
	f("cut Avro", record(framed(t, avroID, nil, packed[:len(packed)-1])), wire.Undecodable, "", "not an event in Avro")
	f("more than Avro", record(framed(t, avroID, nil, append(packed, 0))), wire.Undecodable, "", "1 bytes follow")
	both := asRecord(event().ProtoReflect())
	both["round_closed"] = map[string]any{}
	f("two payloads", record(encodeAvro(t, wire.EventSchema(), both), "content-type", "avro/binary"), wire.Undecodable, "event.round_closed", "bet_placed")
	negative := asRecord(event().ProtoReflect())
	negative["producer_seq"] = int64(-1)
	f("negative", record(encodeAvro(t, wire.EventSchema(), negative), "content-type", "avro/binary"), wire.Undecodable, "event.producer_seq", "uint64")

	ce := func(name, value string) *kgo.Record {
		return record(marshal(t, event()), "ce_specversion", "1.0", name, value)
	}
	f("other id", ce("ce_id", "jane"), wire.EnvelopeConflict, "event.event_id", "another")
	f("other type", ce("ce_type", "win.credited"), wire.EnvelopeConflict, "event.type", "another")
	f("other time", ce("ce_time", "2025-03-03T11:06:40.123457Z"), wire.EnvelopeConflict, "event.occurred_at", "another")
	f("no time", ce("ce_time", "noon"), wire.Undecodable, "event.occurred_at", "RFC 3339")
	f("old CloudEvents", record(value, "ce_specversion", "0.3", "ce_id", "bet-1"), wire.Undecodable, "", "1.0")
	f("a batch", record([]byte("[]"), "content-type", "application/cloudevents-batch+json"), wire.Undecodable, "", "record of its own")
	structured := func(body string) *kgo.Record {
		return record([]byte(body), "content-type", "application/cloudevents+json")
	}
	f("no data", structured(`{"specversion": "1.0"}`), wire.Undecodable, "data", "data_base64")
	f("two ids", structured(`{"specversion": "1.0", "id": "a", "id": "b", "data": {}}`), wire.Undecodable, "", "twice")
	f("trailing", structured(`{"specversion": "1.0", "data": `+text+`} {}`), wire.Undecodable, "", "follows")
	f("other case", structured(`{"SpecVersion": "1.0", "data": `+text+`}`), wire.Undecodable, "specversion", "needs")
	f("a number as id", structured(`{"specversion": "1.0", "id": 4, "data": `+text+`}`), wire.Undecodable, "", "not text")

	r = newRig(t, func(c *wire.Config) { c.Formats = map[string]string{topic: wire.FormatConfluent} })
	f("plain on a topic of confluent", record(value), wire.Undecodable, "", "Confluent wire format")
	r = newRig(t, func(c *wire.Config) { c.Registry.URLs = nil })
	f("confluent without a registry", record(framed(t, 1, nil, value)), wire.Undecodable, "", "kafka.schema_registry")
}

// TestAvroByTheWritersSchema holds that fields are found by name: a producer's newer field is kept beside the event, one that it
// leaves out is the default, and its own precision of time is kept.
func TestAvroByTheWritersSchema(t *testing.T) {
	r := newRig(t)
	const writer = `{"type": "record", "name": "Event", "namespace": "pitboss.v1", "fields": [
		{"name": "shiny", "type": {"type": "map", "values": "string"}},
		{"name": "type", "type": {"type": "enum", "name": "Kind", "symbols": ["other", "round"]}},
		{"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
		{"name": "event_id", "type": ["null", "string"]},
		{"name": "bet_placed", "type": {"type": "record", "name": "Bet", "fields": [{"name": "amount", "type": {"type": "record", "name": "Sum", "fields": [
			{"name": "amount_minor", "type": "long"}, {"name": "glow", "type": "int"}]}}]}},
		{"name": "entities", "type": {"type": "array", "items": {"type": "record", "name": "Id", "fields": [
			{"name": "kind", "type": "string"}, {"name": "value", "type": "string"}, {"name": "form", "type": "string"}, {"name": "tier", "type": "int"}]}}},
		{"name": "producer_seq", "type": "int"}]}`
	at := time.UnixMilli(1741000000123).UTC()
	value := encodeAvro(t, writer, map[string]any{
		"shiny": map[string]any{"a": "b"}, "type": "round", "occurred_at": at, "event_id": "e", "producer_seq": int32(7),
		"bet_placed": map[string]any{"amount": map[string]any{"amount_minor": int64(9), "glow": int32(1)}},
		"entities":   []any{map[string]any{"kind": "player", "value": "p", "form": "FORM_RAW", "tier": int32(2)}},
	})
	got, refused := r.decode(record(framed(t, r.register(sr.TypeAvro, writer), nil, value)))
	if refused != nil {
		t.Fatal(refused)
	}
	want := &pb.Event{
		EventId: "e", Type: "round", OccurredAt: timestamppb.New(at), ProducerSeq: 7,
		Payload:  &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: 9}}},
		Entities: []*pb.Identifier{{Kind: "player", Value: "p", Form: pb.Form_FORM_RAW}},
		Unknown:  []*pb.UnknownField{{Path: "bet_placed.amount.glow", Json: "1"}, {Path: "entities.player.tier", Json: "2"}, {Path: "shiny", Json: `{"a":"b"}`}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNewerMinorPasses holds that what a newer minor schema adds does not keep an event out, in any format, and that
// without saying so an unknown member is a mistake.
func TestNewerMinorPasses(t *testing.T) {
	r := newRig(t)
	newer := func(version uint32) string {
		msg := event()
		msg.SchemaVersion = version
		text := strings.Replace(asJSON(t, msg), `"betPlaced":{`, `"betPlaced":{"sparkle": "x", `, 1)
		text = strings.ReplaceAll(text, `"amountMinor":`, `"glow": {"c": 1}, "amountMinor":`)
		text = strings.Replace(text, `"entities":[{`, `"entities":[{"name": "Jane", `, 1)
		return strings.TrimSuffix(text, "}") + `, "shiny": {"deep": [1]}}`
	}
	for _, version := range []uint32{101, 199, 200} { // the edge refuses 200, by its version
		msg, err := r.decode(record([]byte(newer(version))))
		if err != nil || msg.GetSchemaVersion() != version || msg.GetBetPlaced().GetAmount().GetAmountMinor() != 1250 {
			t.Errorf("version %d in JSON: got %v, %v", version, msg, err)
		}
		want := []*pb.UnknownField{{Path: "shiny", Json: `{"deep":[1]}`}, {Path: "bet_placed.sparkle", Json: `"x"`}, {Path: "bet_placed.amount.glow", Json: `{"c":1}`}, {Path: "attributes.tip.money.glow", Json: `{"c":1}`},
			{Path: "entities.player.name", Json: `"Jane"`}} // which the edge makes an alias of
		slices.SortFunc(want, func(a, b *pb.UnknownField) int { return strings.Compare(a.Path, b.Path) })
		if diff := cmp.Diff(want, msg.GetUnknown(), protocmp.Transform()); diff != "" {
			t.Errorf("version %d: unknown members (-want +got):\n%s", version, diff)
		}
	}
	if msg, err := r.decode(record([]byte(newer(100)))); err == nil || !slices.Contains([]string{"event.shiny", "event.betPlaced.sparkle", "event.entities[0].name", "event.betPlaced.amount.glow"}, err.Path) || !proto.Equal(msg, &pb.Event{}) {
		t.Errorf("version 100 with an unknown member: got %v, %v; want a refusal at event.shiny", msg, err)
	}
	msg := event()
	msg.SchemaVersion = 101
	value := protowire.AppendString(protowire.AppendTag(marshal(t, msg), 9000, protowire.BytesType), "shiny")
	if got, err := r.decode(record(value)); err != nil || got.GetEventId() != "bet-1" {
		t.Errorf("version 101 in Protobuf: got %v, %v", got, err)
	}
}

// TestRegistryAway holds that nothing is said of a record while the registry cannot be asked, whatever keeps it, and that
// what it said once is kept.
func TestRegistryAway(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *wire.Config) { c.Dir, c.Registry.User, c.Registry.PasswordFile = dir, "me", "password" })
	id := r.register(sr.TypeAvro, wire.EventSchema())
	var status atomic.Int32
	var user, password atomic.Value
	r.registry.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		u, p, _ := req.BasicAuth()
		user.Store(u)
		password.Store(p)
		if s := int(status.Load()); s != 0 {
			http.Error(w, `{"error_code": 40401, "message": "no"}`, s)
			return true
		}
		return false
	})
	for _, s := range []int32{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusInternalServerError} {
		status.Store(s)
		_, err := r.decoder.Schemas(t.Context(), []int{id})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(s)) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("status %d: got %v, want an error that names it and no password", s, err)
		}
	}
	status.Store(0)
	schemas, err := r.decoder.Schemas(t.Context(), []int{id})
	if err != nil || schemas[id] == nil {
		t.Fatalf("got %v, %v", schemas, err)
	}
	if user.Load() != "me" || password.Load() != "hunter2" {
		t.Errorf("the registry was asked as %v with %v", user.Load(), password.Load())
	}
	r.registry.Close()
	if _, err := r.decoder.Schemas(t.Context(), []int{id}); err != nil {
		t.Errorf("a known schema was asked for again: %v", err)
	}
	if _, err := r.decoder.Schemas(t.Context(), []int{id + 1}); err == nil {
		t.Error("a registry that is gone was taken for one without the schema")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.decoder.Schemas(ctx, []int{id + 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestSchemasAreBounded holds that no more are kept than configured, the ones in use longest, and that an unknown id is not
// asked for with every record.
func TestSchemasAreBounded(t *testing.T) {
	r := newRig(t, func(c *wire.Config) { c.Registry.MaxSchemas = 2 })
	ask := func(lookups uint64, ids ...int) {
		t.Helper()
		before := r.decoder.Lookups()
		if _, err := r.decoder.Schemas(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		if got := r.decoder.Lookups() - before; got != lookups {
			t.Errorf("schemas %v: %d lookups, want %d", ids, got, lookups)
		}
	}
	a := r.register(sr.TypeJSON, `{"title": "a"}`)
	b := r.register(sr.TypeJSON, `{"title": "b"}`)
	const unknown = 4711
	ask(1, a)
	ask(1, unknown)
	ask(0, unknown)
	ask(0, a)
	ask(1, b) // the unknown one leaves
	ask(0, a, b)
	ask(1, unknown)
	ask(3, a, b, unknown) // three do not fit into two
}

// TestEveryExampleInEveryForm holds that the example of every event type is the same event in Avro, Protobuf and JSON.
func TestEveryExampleInEveryForm(t *testing.T) {
	files, err := filepath.Glob("../../examples/events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	d, err := wire.New(wire.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		asJSON, readErr := os.ReadFile(file)
		if readErr != nil {
			t.Fatal(readErr)
		}
		want := &pb.Event{}
		if err = protojson.Unmarshal(asJSON, want); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		asProtobuf, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for media, value := range map[string][]byte{
			"application/json": asJSON, "application/protobuf": asProtobuf, "avro/binary": encodeAvro(t, wire.EventSchema(), asRecord(want.ProtoReflect())),
		} {
			got := &pb.Event{}
			if err := d.Decode(record(value, "content-type", media), nil, got); err != nil {
				t.Errorf("%s as %s: %v", file, media, err)
			} else if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%s as %s (-want +got):\n%s", file, media, diff)
			}
		}
	}
}
