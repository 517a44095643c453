package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// exampleEvent reads one of examples/events as it would be sent now by one of the ways in: under an id and a transaction of its own.
func exampleEvent(t *testing.T, file, way string) (text []byte, msg *pb.Event) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var event map[string]any
	if err = json.Unmarshal(data, &event); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, name := range []string{"event_id", "transaction_id"} {
		if id, ok := event[name]; ok {
			event[name] = fmt.Sprint(id, "-", way)
		}
	}
	event["occurred_at"] = time.Now().UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
	if text, err = json.Marshal(event); err != nil {
		t.Fatal(err)
	}
	msg = &pb.Event{}
	if err = protojson.Unmarshal(text, msg); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return text, msg
}

// TestEveryEventOfTheCatalogue sends the example of every type by a call and through Kafka, and finds in the journal what was
// sent: whole, with aliases in place of raw values, and nothing else.
func TestEveryEventOfTheCatalogue(t *testing.T) {
	files, err := filepath.Glob("../../examples/events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "pitboss.events", "pitboss.events.dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic("pitboss.events"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	h := newHouse(t)
	h.edit(t, `brokers: \[\]`, "brokers: [\""+broker.ListenAddrs()[0]+"\"]")
	r := serve(t, h)

	sent, byCall := map[string]*pb.Event{}, []string{}
	for _, file := range files {
		text, msg := exampleEvent(t, file, "call")
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); name != msg.GetType() {
			t.Errorf("%s is a %s", file, msg.GetType())
		}
		byCall, sent[msg.GetEventId()] = append(byCall, string(text)), msg
		text, msg = exampleEvent(t, file, "kafka")
		sent[msg.GetEventId()] = msg
		if err = producer.ProduceSync(t.Context(), &kgo.Record{Value: text}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	haveAllTypes(t, sent)
	code, answer := r.do(t, http.MethodPost, "/v1/events", `{"events": [`+strings.Join(byCall, ",")+`]}`)
	if n := strings.Count(string(answer), "PUBLISH_STATUS_ACCEPTED"); code != http.StatusOK || n != len(files) {
		t.Fatalf("of %d events %d were accepted, status %d: %s", len(files), n, code, answer)
	}
	await(t, "Kafka's events", func() bool { s := r.service.feed.Stats(); return int(s.Applied+s.Dead) >= len(files) })
	if s := r.service.feed.Stats(); s.Dead != 0 {
		t.Fatalf("%d dead letters: %+v", s.Dead, s)
	}

	cursor, err := r.service.app.journal.Read(r.service.app.journal.Segments()[0].First)
	if err != nil {
		t.Fatal(err)
	}
	defer cursor.Close()
	for len(sent) > 0 {
		f, err := cursor.Next(t.Context())
		if err != nil {
			t.Fatalf("%d events are missing: %v", len(sent), err)
		}
		frame := &pb.EventFrame{}
		if f.Kind != features.FrameEvent || proto.Unmarshal(f.Payload, frame) != nil || frame.GetEvent() == nil {
			continue
		}
		kept := frame.GetEvent()
		want := sent[kept.GetEventId()]
		if want == nil {
			t.Fatalf("nobody sent %v", kept)
		}
		delete(sent, kept.GetEventId())
		if diff := cmp.Diff(asKept(t, r, want), asSent(kept), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-sent +kept):\n%s", kept.GetEventId(), diff)
		}
	}
}

func haveAllTypes(t *testing.T, sent map[string]*pb.Event) {
	t.Helper()
	have := map[string]bool{}
	for _, msg := range sent {
		set := msg.ProtoReflect().WhichOneof(msg.ProtoReflect().Descriptor().Oneofs().ByName("payload"))
		have[string(set.Name())] = true
		payload := msg.ProtoReflect().Get(set).Message()
		for i := range set.Message().Fields().Len() {
			f := set.Message().Fields().Get(i)
			// A stake is of free rounds or it is not, and a limit is of money or of time.
			other := f.Name() == "grant_id" && msg.GetType() == "bet.placed" || f.Name() == "limit_s"
			if shows := f.HasPresence() || f.Kind() == protoreflect.StringKind; shows && !other && !payload.Has(f) {
				t.Errorf("the example of %s has no %s", msg.GetType(), f.Name())
			}
		}
	}
	payloads := (&pb.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("payload").Fields()
	for i := range payloads.Len() {
		if name := string(payloads.Get(i).Name()); !have[name] {
			t.Errorf("%s has no example", name)
		}
	}
}

// asKept is what must be kept of an event as it was sent.
func asKept(t *testing.T, r *running, sent *pb.Event) *pb.Event {
	t.Helper()
	want := proto.CloneOf(sent)
	want.SchemaVersion = 100
	if want.GetTrust() == pb.Trust_TRUST_UNSPECIFIED {
		want.Trust = pb.Trust_TRUST_SERVER
	}
	if a := want.GetAccountRegistered(); a != nil {
		a.Nickname = ""
	}
	for i, id := range want.GetEntities() {
		alias, err := r.service.app.edge.Alias(want.GetTenant(), "", id)
		if err != nil {
			t.Fatal(err)
		}
		want.Entities[i] = alias
	}
	return want
}

// asSent is what was kept of an event without what pitboss adds.
func asSent(kept *pb.Event) *pb.Event {
	got := proto.CloneOf(kept)
	got.ReceivedAt, got.Enrichment = nil, nil
	set := got.ProtoReflect().WhichOneof(got.ProtoReflect().Descriptor().Oneofs().ByName("payload"))
	payload := got.ProtoReflect().Get(set).Message()
	for i := range set.Message().Fields().Len() {
		f := set.Message().Fields().Get(i)
		if f.Message() == nil || !payload.Has(f) {
			continue
		}
		if m, ok := payload.Get(f).Message().Interface().(*pb.Money); ok {
			m.Exponent, m.BaseMinor = nil, nil
		}
	}
	return got
}
