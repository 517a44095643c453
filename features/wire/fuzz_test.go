package wire_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"pitboss/features/wire"
	pb "pitboss/proto/pitboss/v1"
)

// FuzzDecode holds that no value in Avro, and no CloudEvent, ends the process or makes much of little.
func FuzzDecode(f *testing.F) {
	f.Add(encodeAvro(f, wire.EventSchema(), asRecord(event().ProtoReflect())), "avro/binary")
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
