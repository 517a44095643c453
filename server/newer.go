package server

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pitboss/features/wire"
	pb "pitboss/proto/pitboss/v1"
)

// decodeNewer reads a body whose events say that they are of a newer schema: what this build does not know of these is kept
// beside them. The rest of the body is read as strictly as ever. False is that the body is wrong, as it was found to be before.
func decodeNewer(body []byte, msg proto.Message) bool {
	var members map[string]json.RawMessage
	if (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, msg) != nil || json.Unmarshal(body, &members) != nil {
		return false
	}
	var events []*pb.Event
	var raw []json.RawMessage
	switch m := msg.(type) {
	case *pb.DecisionRequest:
		events, raw = []*pb.Event{m.GetEvent()}, []json.RawMessage{members["event"]}
	case *pb.PublishRequest:
		events = m.GetEvents()
		if json.Unmarshal(members["events"], &raw) != nil {
			return false
		}
	default:
		return false
	}
	delete(members, "event")
	delete(members, "events")
	rest, err := json.Marshal(members)
	if err != nil || protojson.Unmarshal(rest, msg.ProtoReflect().New().Interface()) != nil || len(raw) != len(events) {
		return false
	}
	for i, ev := range events {
		if !wire.Newer(ev) {
			if protojson.Unmarshal(raw[i], &pb.Event{}) != nil {
				return false
			}
			continue
		}
		wire.KeepUnknown(raw[i], ev)
	}
	return true
}
