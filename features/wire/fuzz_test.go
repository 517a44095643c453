package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/wire"
	pb "pitboss/proto/pitboss/v1"
)

// FuzzDecode holds that no value in Avro, and no CloudEvent, ends the process or makes much of little.
func FuzzDecode(f *testing.F) {
	f.Add(encodeAvro(f, wire.EventSchema(), asRecord(event().ProtoReflect())), "avro/binary")
	files, err := filepath.Glob("../../examples/events/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		data, readErr := os.ReadFile(file)
		if readErr != nil {
			f.Fatal(readErr)
		}
		msg := &pb.Event{}
		if err = protojson.Unmarshal(data, msg); err != nil {
			f.Fatal(err)
		}
		f.Add(encodeAvro(f, wire.EventSchema(), asRecord(msg.ProtoReflect())), "avro/binary")
		f.Add(data, "application/json")
	}
	f.Add([]byte(`{"specversion": "1.0", "id": "a", "data": {"event_id": "a"}}`), "application/cloudevents+json")
	f.Add([]byte(`{"specversion": "1.0", "datacontenttype": "avro/binary", "data_base64": "AAAA"}`), "application/cloudevents+json")
	d, err := wire.New(wire.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value []byte, media string) {
		msg := &pb.Event{}
		refused := d.Decode(record(value, "content-type", media), nil, msg)
		switch {
		case refused == nil && proto.Size(msg) > 30*len(value)+100:
			t.Errorf("%d bytes became an event of %d", len(value), proto.Size(msg))
		case refused != nil && (refused.Reason == "" || len(refused.Message) > 400):
			t.Errorf("refusal %+v", refused)
		}
	})
}

// FuzzUnknown holds that whatever an event of a newer minor schema has besides is kept within bounds, survives being stored
// and read again as it is, never changes what the event is, and never keeps an accepted event out.
func FuzzUnknown(f *testing.F) {
	f.Add("shiny", []byte(`{"a": [1, "x"]}`), uint32(61), []byte("x"))
	f.Add("mail", []byte(`"jane@example.com"`), uint32(9000), []byte("jane@example.com"))
	f.Add("", []byte(`null`), uint32(20), []byte("\x0a\x01a"))
	d, err := wire.New(wire.Config{})
	if err != nil {
		f.Fatal(err)
	}
	e := openEdge(f)
	f.Fuzz(func(t *testing.T, name string, value []byte, number uint32, more []byte) {
		plain := accepted(t, e, fuzzedEvent())
		member, err := json.Marshal(name)
		if err != nil || !json.Valid(value) {
			return
		}
		text, err := protojson.Marshal(fuzzedEvent())
		if err != nil {
			t.Fatal(err)
		}
		asJSON := append(append(append(append(bytes.TrimSuffix(text, []byte("}")), ','), member...), ':'), append(value, '}')...)
		asProto, err := proto.Marshal(fuzzedEvent())
		if err != nil {
			t.Fatal(err)
		}
		asProto = protowire.AppendBytes(protowire.AppendTag(asProto, protowire.Number(61+number%(1<<20)), protowire.BytesType), more)
		for _, record := range []*kgo.Record{record(asJSON, "content-type", "application/json"), record(asProto, "content-type", "application/protobuf")} {
			msg := &pb.Event{}
			if d.Decode(record, nil, msg) != nil {
				continue // the name was one of ours, say
			}
			ev := accepted(t, e, msg)
			if ev == nil {
				continue
			}
			stored, err := proto.Marshal(ev.Msg)
			if err != nil {
				t.Fatalf("cannot be stored: %v", err)
			}
			again := &pb.Event{}
			if err := proto.Unmarshal(stored, again); err != nil || !proto.Equal(again, ev.Msg) {
				t.Fatalf("stored and read again it is another: %v", err)
			}
			size := 0
			for _, u := range again.GetUnknown() {
				size += len(u.GetPath()) + len(u.GetJson()) + len(u.GetProtobuf())
			}
			if len(again.GetUnknown()) > edge.MaxUnknownFields || size > edge.MaxUnknownBytes || strings.Contains(string(stored), "jane@example.com") {
				t.Fatalf("out of bounds: %v", again.GetUnknown())
			}
			again.Unknown = nil
			if proto.Equal(again, plain.Msg) && ev.Content != plain.Content {
				t.Fatalf("what is unknown changed the content: %x and %x", ev.Content, plain.Content)
			}
		}
	})
}

// fuzzedEvent is an event of a newer minor schema.
func fuzzedEvent() *pb.Event {
	msg := event()
	msg.SchemaVersion, msg.Entities = 101, []*pb.Identifier{{Kind: "player", Value: "p", Form: pb.Form_FORM_RAW}}
	msg.Attributes, msg.ClockQuality = nil, nil
	return msg
}

func openEdge(t testing.TB) *edge.Edge {
	t.Helper()
	keys, err := edge.ParseKeys([]byte("format: 1\ntenants:\n  demo: {keys: [{id: \"1\", secret: \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\", active: true}]}\n"), "keys")
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := edge.DefaultConfig()
	cfg.Kinds, cfg.Keys, cfg.Tenants = kinds, keys, map[string]edge.TenantConfig{"demo": {}}
	e, err := edge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// accepted gives the event as the edge makes it, nil where it refuses.
func accepted(t *testing.T, e *edge.Edge, msg *pb.Event) *features.Event {
	t.Helper()
	ev := &features.Event{}
	err := e.Accept(msg, time.Unix(1741000001, 0), ev)
	if _, refused := errors.AsType[*edge.Error](err); refused {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return ev
}
