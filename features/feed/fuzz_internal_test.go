package feed

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/wire"
	pb "pitboss/proto/pitboss/v1"
)

// FuzzDecode holds that any record is an event or has a stable reason, and that its letter can be written.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"eventId": "e", "type": "bet.placed"}`), "application/json")
	f.Add([]byte(`{"attributes": {"a": {"number": "NaN"}}}`), "")
	f.Add([]byte("\n\x01e\x12\nbet.placed"), "application/x-protobuf")
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "")
	f.Add([]byte(strings.Repeat(`{"attributes":`, 40)), "")
	f.Add([]byte{}, "json")
	f.Add(bytes.Repeat([]byte{0x62, 0}, 100), "") // many entities in few bytes
	decoder, err := wire.New(wire.Config{})
	if err != nil {
		f.Fatal(err)
	}
	s := &session{Feed: &Feed{cfg: Config{DeadLetterTopic: "dead", Tenants: []string{"demo"}}, edge: anyEdge{}, decoder: decoder}}
	f.Fuzz(func(t *testing.T, value []byte, contentType string) {
		r := &kgo.Record{Topic: "t", Value: value, Timestamp: time.Unix(1, 0), Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte(contentType)}}}
		it := item{record: r}
		it.refusal = s.acceptOne(&it)
		if it.refusal == nil {
			if it.event.Msg.GetTenant() != "demo" {
				t.Errorf("%q: an event of tenant %q came through", value, it.event.Msg.GetTenant())
			}
			return
		}
		if it.refusal.reason == "" || len(it.refusal.message) > 400 {
			t.Errorf("%q: refusal %+v", value, it.refusal)
		}
		l := s.letter(&it, false)
		if !bytes.Equal(l.Value, value) || len(l.Headers) != 7 {
			t.Errorf("%q: the letter has value %q and %d headers", value, l.Value, len(l.Headers))
		}
		msg := &pb.Event{}
		if why := decoder.Decode(r, nil, msg); why == nil && proto.Size(msg) > 20*len(value)+100 {
			t.Errorf("%d bytes became an event of %d", len(value), proto.Size(msg))
		}
	})
}

// anyEdge accepts everything.
type anyEdge struct{}

func (anyEdge) Accept(msg *pb.Event, _ time.Time, dst *features.Event) error {
	dst.Msg = msg
	return nil
}

var (
	_ Edge = anyEdge{}
	_ Edge = (*edge.Edge)(nil)
)
