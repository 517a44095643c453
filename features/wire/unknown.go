package wire

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// KeepUnknown adds to Event.unknown the members of an event's JSON that the event, or its payload, has no field for.
func KeepUnknown(value []byte, msg *pb.Event) {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil {
		return
	}
	payload := payloadOf(msg)
	eachUnknown(msg, members, payload, func(path string, raw json.RawMessage) {
		var compact bytes.Buffer
		if json.Compact(&compact, raw) == nil {
			msg.Unknown = append(msg.Unknown, &pb.UnknownField{Path: path, Json: compact.String()})
		}
	}, func(raw json.RawMessage) (inner map[string]json.RawMessage) {
		_ = json.Unmarshal(raw, &inner) // what is no object was refused before
		return inner
	})
}

// unknownFields adds the fields of an event's Avro record that the event, or its payload, has no field for, as JSON.
func unknownFields(record map[string]any, msg *pb.Event) {
	payload := payloadOf(msg)
	eachUnknown(msg, record, payload, func(path string, v any) {
		if v == nil {
			return
		}
		text := "" // left out, by the edge, which counts it
		if jsonFits(v) {
			if data, err := json.Marshal(v); err == nil {
				text = string(data)
			}
		}
		msg.Unknown = append(msg.Unknown, &pb.UnknownField{Path: path, Json: text})
	}, func(v any) map[string]any {
		inner, _ := v.(map[string]any)
		return inner
	})
}

// payloadOf gives the field of an event's payload, nil without one.
func payloadOf(msg *pb.Event) protoreflect.FieldDescriptor {
	m := msg.ProtoReflect()
	return m.WhichOneof(m.Descriptor().Oneofs().ByName("payload"))
}

// eachUnknown visits what a record has and the event has not, in the order of the names, and then the same of its payload.
func eachUnknown[T any](msg *pb.Event, record map[string]T, payload protoreflect.FieldDescriptor, visit func(string, T), open func(T) map[string]T) {
	for _, name := range slices.Sorted(maps.Keys(record)) {
		f := fieldNamed(msg.ProtoReflect().Descriptor(), name)
		if f == nil {
			visit(name, record[name])
			continue
		}
		if payload == nil || f.Number() != payload.Number() {
			continue
		}
		inner := open(record[name])
		for _, name := range slices.Sorted(maps.Keys(inner)) {
			if fieldNamed(payload.Message(), name) == nil {
				visit(string(payload.Name())+"."+name, inner[name])
			}
		}
	}
}

// fieldNamed finds a field by either of its names.
func fieldNamed(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if f := m.Fields().ByName(protoreflect.Name(name)); f != nil {
		return f
	}
	return m.Fields().ByJSONName(name)
}

// jsonFits says whether a value is small enough to be kept. A record of few bytes in Avro can be much JSON: the names of its
// fields are the schema's.
func jsonFits(v any) bool {
	left := edge.MaxUnknownBytes
	return takeJSON(v, &left)
}

func takeJSON(v any, left *int) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			*left -= len(name) + 4
			if *left < 0 || !takeJSON(inner, left) {
				return false
			}
		}
	case []any:
		for _, inner := range v {
			*left -= 2
			if *left < 0 || !takeJSON(inner, left) {
				return false
			}
		}
	case string:
		*left -= len(v) + 2
	case []byte:
		*left -= len(v)
	case nil, bool, int32, int64, float32, float64, time.Time, json.Number:
		*left -= 2
	default: // a logical type whose JSON nobody has asked for yet
		return false
	}
	return *left >= 0
}
