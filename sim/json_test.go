package sim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// Lines are the proto3 JSON mapping: what protojson reads back is the event, and its own bytes are the same but for
// spaces.
func TestJSONIsTheProto3Mapping(t *testing.T) {
	s := newSim(t, func(c *sim.Config) { c.Players = 60; c.Activity = 3 })
	seen := map[string]int{}
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		if seen[ev.GetType()]++; seen[ev.GetType()] <= 20 {
			checkJSON(t, ev)
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d event types were seen: %v", len(seen), seen)
	}
}

func TestJSONOfAwkwardValues(t *testing.T) {
	for _, ev := range []*pb.Event{
		{},
		{EventId: "a\"b\\c\nd<e>&é\u2028"},
		{OccurredAt: &timestamppb.Timestamp{Seconds: 1, Nanos: 1}},
		{OccurredAt: &timestamppb.Timestamp{Seconds: 1, Nanos: 5_000_000}},
		{OccurredAt: &timestamppb.Timestamp{Seconds: -5, Nanos: 5_000}},
		{ProducerSeq: math.MaxUint64, Trust: 77, ClockQuality: &pb.ClockQuality{NtpOffsetUs: math.MinInt64}},
		{Payload: &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{Exponent: proto.Uint32(0)}}}},
	} {
		checkJSON(t, ev)
	}
	w := sim.NewJSONWriter(io.Discard)
	if err := w.Write(&pb.Event{OccurredAt: &timestamppb.Timestamp{Seconds: math.MaxInt64}}); err == nil {
		t.Error("a time that is none was written")
	}
	if err := w.Write(&pb.Event{Attributes: map[string]*pb.Value{"a": {}}}); err == nil {
		t.Error("a map was written, in no order")
	}
}

// What is written by hand has every field that the message has, so that a new one is not left out unseen.
func TestJSONOfEveryField(t *testing.T) {
	for _, ev := range []*pb.Event{
		{Payload: &pb.Event_RoundStarted{RoundStarted: &pb.RoundStarted{}}},
		{Payload: &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{}}},
		{Payload: &pb.Event_RoundResult{RoundResult: &pb.RoundResult{}}},
		{Payload: &pb.Event_RoundClosed{RoundClosed: &pb.RoundClosed{}}},
		{Payload: &pb.Event_WinCredited{WinCredited: &pb.WinCredited{}}},
	} {
		ev.EventId = "empty"
		checkJSON(t, ev)
		fd := ev.ProtoReflect().WhichOneof(ev.ProtoReflect().Descriptor().Oneofs().ByName("payload"))
		fillEvery(ev.ProtoReflect().Mutable(fd).Message())
		checkJSON(t, ev)
	}
	id := &pb.Identifier{}
	fillEvery(id.ProtoReflect())
	checkJSON(t, &pb.Event{EventId: "identifier", Entities: []*pb.Identifier{{}, id}})
}

// fillEvery sets every field of a message.
func fillEvery(m protoreflect.Message) {
	fds := m.Descriptor().Fields()
	for i := range fds.Len() {
		fd := fds.Get(i)
		var v protoreflect.Value
		switch fd.Kind() {
		case protoreflect.MessageKind:
			v = m.NewField(fd)
			fillEvery(v.Message())
		case protoreflect.StringKind:
			v = protoreflect.ValueOfString("text " + fd.JSONName())
		case protoreflect.BoolKind:
			v = protoreflect.ValueOfBool(true)
		case protoreflect.Int32Kind:
			v = protoreflect.ValueOfInt32(int32(11 + i))
		case protoreflect.Uint32Kind:
			v = protoreflect.ValueOfUint32(uint32(11 + i))
		case protoreflect.Uint64Kind:
			v = protoreflect.ValueOfUint64(uint64(11 + i))
		case protoreflect.EnumKind:
			v = protoreflect.ValueOfEnum(2)
		default:
			v = protoreflect.ValueOfInt64(int64(11 + i))
		}
		m.Set(fd, v)
	}
}

// A byte that JSON quotes is found wherever it stands.
func TestJSONQuotesAnywhere(t *testing.T) {
	for _, c := range []string{"\x00", "\x1f", "\"", "\\", "<", ">", "&", "é", "\u2028", " ", "~", "\x7f", "'", "=", "]"} {
		for before := range 18 {
			checkJSON(t, &pb.Event{EventId: strings.Repeat("x", before) + c + strings.Repeat("y", 17-before)})
		}
	}
}

func checkJSON(t *testing.T, ev *pb.Event) {
	t.Helper()
	var line, want bytes.Buffer
	w := sim.NewJSONWriter(&line)
	if err := w.Write(ev); err != nil {
		t.Fatalf("Write(%v): %v", ev, err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	got := &pb.Event{}
	if err := protojson.Unmarshal(line.Bytes(), got); err != nil {
		t.Fatalf("protojson cannot read %s: %v", line.Bytes(), err)
	}
	if diff := cmp.Diff(ev, got, protocmp.Transform()); diff != "" {
		t.Fatalf("line %s differs (-want +got):\n%s", line.Bytes(), diff)
	}
	theirs, err := protojson.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&want, theirs); err != nil {
		t.Fatal(err)
	}
	var a, b any
	if json.Unmarshal(line.Bytes(), &a) != nil || json.Unmarshal(want.Bytes(), &b) != nil || !cmp.Equal(a, b) {
		t.Fatalf("got  %s\nwant %s", line.Bytes(), want.Bytes())
	}
}
