package features_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	pb "pitboss/proto/pitboss/v1"
)

// TestDecodeWhatWasUnknown holds that a field which an older build kept beside its event is read as if it had come in its place:
// every field of every payload, as JSON and as Protobuf. The message and its content hash stay.
func TestDecodeWhatWasUnknown(t *testing.T) {
	kinds := newKinds(t)
	payloads := (&pb.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("payload").Fields()
	read := 0
	for i := range payloads.Len() {
		fd := payloads.Get(i)
		whole := filled(fullEvent().ProtoReflect().NewField(fd).Message())
		for j := range fd.Message().Fields().Len() {
			field := fd.Message().Fields().Get(j)
			if !whole.Has(field) {
				continue
			}
			if field.Message() != nil {
				if money, ok := whole.Get(field).Message().Interface().(*pb.Money); ok {
					money.BaseMinor = nil // no rate was asked for then
				}
			}
			event := func(payload protoreflect.Message, unknown ...*pb.UnknownField) *pb.Event {
				msg := fullEvent()
				msg.Type = strings.Replace(string(fd.Name()), "_", ".", 1)
				msg.ProtoReflect().Set(fd, protoreflect.ValueOfMessage(payload))
				msg.Unknown = unknown
				return msg
			}
			want := decoded(t, kinds, event(proto.Clone(whole.Interface()).ProtoReflect()))
			without := proto.Clone(whole.Interface()).ProtoReflect()
			without.Clear(field)
			bare := decoded(t, kinds, event(without))
			for _, f := range kept(t, string(fd.Name()), whole, field) {
				msg := event(without, f)
				before := proto.Clone(msg)
				got := decoded(t, kinds, msg)
				if diff := cmp.Diff(want.Fields, got.Fields); diff != "" {
					t.Errorf("%s %s (-in its place +unknown before):\n%s", f.GetPath(), f.GetJson(), diff)
				}
				if got.Content != bare.Content {
					t.Errorf("%s: the content of a stored event changed", f.GetPath())
				}
				if diff := cmp.Diff(before, msg, protocmp.Transform()); diff != "" {
					t.Errorf("%s: the stored message changed:\n%s", f.GetPath(), diff)
				}
				if cmp.Diff(bare.Fields, got.Fields) != "" {
					read++
				}
			}
		}
	}
	if read < 300 {
		t.Errorf("only %d values were read", read)
	}
}

// kept gives a field of a payload as an older build keeps it: by its name, and by its number.
func kept(t *testing.T, payload string, m protoreflect.Message, field protoreflect.FieldDescriptor) []*pb.UnknownField {
	t.Helper()
	one := m.New()
	one.Set(field, m.Get(field))
	wire, err := proto.Marshal(one.Interface())
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(one.Interface())
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(strings.TrimSuffix(string(text), "}"), ":")
	return []*pb.UnknownField{
		{Path: payload + "." + string(field.Name()), Json: value},
		{Path: fmt.Sprintf("%s#%d", payload, field.Number()), Protobuf: base64.StdEncoding.EncodeToString(wire)},
	}
}

// TestDecodeUnknownThatIsNone holds what is not read: what is there already, of another payload, behind what is not there, of
// another type, and what no edge would have let in.
func TestDecodeUnknownThatIsNone(t *testing.T) {
	kinds := newKinds(t)
	want := decoded(t, kinds, fullEvent()).Fields
	wire := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	nan := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), 0x7ff8000000000001)
	for _, f := range []*pb.UnknownField{
		{Path: "bet_placed.input_mode", Json: `"auto"`}, {Path: "bet_rejected.reason", Json: `"limit"`}, {Path: "tenant", Json: `"other"`},
		{Path: "bet_placed.selection", Json: "5"}, {Path: "bet_placed.selection", Json: "{"},
		{Path: "bet_placed.bonus.currency", Json: `"EUR"`}, {Path: "bet_placed.selection.text", Json: `"red"`}, {Path: "bet_placed"}, {Path: "bet_placed#4"},
		{Path: "bet_placed#4", Protobuf: wire(nan)}, {Path: "bet_placed#4", Protobuf: "?"}, {Path: "bet_placed#x", Json: "1"}, {Path: "bet_placed.#", Json: "1"},
		{Path: "entities.player.value", Json: `"other"`}, {Path: "attributes.odds.number", Json: "3"}, {Path: ".", Json: "1"}, {Path: "", Json: "1"}, {Path: "bet_placed.client_ts_ms", Alias: "a2_x"},
	} {
		msg := fullEvent()
		msg.Unknown = []*pb.UnknownField{f}
		if diff := cmp.Diff(want, decoded(t, kinds, msg).Fields); diff != "" {
			t.Errorf("%v was read:\n%s", f, diff)
		}
	}
}
