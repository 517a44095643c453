package edge_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// FuzzAccept holds that no bytes of a stranger end the process, that every refusal has a reason and a path, and that
// what was accepted keeps the bounds and would be stored.
func FuzzAccept(f *testing.F) {
	e := open(f, config(f))
	label := bet()
	label.Type = "label.assigned"
	label.Payload = &pb.Event_LabelAssigned{LabelAssigned: &pb.LabelAssigned{TargetEventId: "e", Label: "fraud", Fraud: 1}}
	for _, msg := range append(examples(f), bet(), label, &pb.Event{}) {
		data, err := proto.Marshal(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		msg := &pb.Event{}
		if proto.Unmarshal(data, msg) != nil {
			return
		}
		personal := rawPersonal(msg)
		err := e.Accept(msg, now, &features.Event{})
		if refused, ok := errors.AsType[*edge.Error](err); ok {
			if refused.Reason == "" || !strings.HasPrefix(refused.Path, "event") || !utf8.ValidString(refused.Message) ||
				len(refused.Message) > 400 {
				t.Fatalf("a poor refusal: %+v", refused)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		checkAccepted(t, msg, personal)
	})
}

// examples are the events of examples/events, one of each type, as if they happened now.
func examples(tb testing.TB) (all []*pb.Event) {
	tb.Helper()
	files, err := filepath.Glob("../../examples/events/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		msg := &pb.Event{}
		if err := protojson.Unmarshal(data, msg); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		msg.Tenant, msg.OccurredAt = "casino", bet().OccurredAt
		all = append(all, msg)
	}
	return all
}

// rawPersonal gives the raw personal identifiers of a message by kind.
func rawPersonal(msg *pb.Event) map[string]string {
	values := map[string]string{}
	for _, id := range msg.GetEntities() {
		switch id.GetKind() {
		case "player", "account", "session", "device", "ip", "ip24", "instrument", "customer", "counterparty", "email", "phone", "person",
			"postal", "document", "click", "staff":
			if id.GetForm() == pb.Form_FORM_RAW {
				values[id.GetKind()] = id.GetValue()
			}
		}
	}
	return values
}

func checkAccepted(t *testing.T, msg *pb.Event, personal map[string]string) {
	t.Helper()
	if len(msg.GetEntities()) > edge.MaxEntities || len(msg.GetAttributes()) > edge.MaxAttributes || len(msg.GetEventId()) > edge.MaxEventID {
		t.Fatalf("out of bounds: %v", msg)
	}
	for _, id := range msg.GetEntities() {
		if raw, ok := personal[id.GetKind()]; ok && (id.GetForm() != pb.Form_FORM_ALIAS || id.GetValue() == raw) {
			t.Fatalf("%s is raw still: %v", id.GetKind(), id)
		}
	}
	if msg.GetAccountRegistered().GetNickname() != "" {
		t.Fatal("the nickname is still there")
	}
	if _, err := protojson.Marshal(msg); err != nil {
		t.Fatalf("an accepted message has no JSON: %v", err)
	}
	if data, err := proto.Marshal(msg); err != nil || len(data) > 128<<10 {
		t.Fatalf("an accepted message has %d bytes, error %v", len(data), err)
	}
}

func FuzzParseRates(f *testing.F) {
	f.Add([]byte(testRates))
	f.Add([]byte(`{version: "1", base: EUR, currencies: {USD: {num: 1, den: 3, exponent: 2}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := edge.ParseRates(data, "r")
		if err != nil {
			return
		}
		for code, c := range table.Currencies {
			if c.Num == 0 || c.Den == 0 || c.Exponent == nil {
				t.Fatalf("%s: %+v was accepted", code, c)
			}
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(testKeys))
	f.Add([]byte(`{"format":1,"tenants":{"casino":{"keys":[]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := edge.ParseKeys(data, "k")
		if err != nil {
			return
		}
		for _, p := range keys.Fingerprints() {
			if len(p.Value) != 16 {
				t.Fatalf("fingerprint %+v", p)
			}
		}
	})
}
