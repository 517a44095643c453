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

// KeepUnknown adds to Event.unknown the members of an event's JSON that this build has no field for: of the event, its payload,
// and what is in them.
func KeepUnknown(value []byte, msg *pb.Event) {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil {
		return
	}
	w := unknownWalk[json.RawMessage]{
		payload: payloadOf(msg),
		visit: func(path string, raw json.RawMessage) {
			var compact bytes.Buffer
			if json.Compact(&compact, raw) == nil {
				msg.Unknown = append(msg.Unknown, &pb.UnknownField{Path: path, Json: compact.String()})
			}
		},
		open: func(raw json.RawMessage) (inner map[string]json.RawMessage) {
			_ = json.Unmarshal(raw, &inner) // what is no object was refused before
			return inner
		},
		list: func(raw json.RawMessage) (inner []json.RawMessage) {
			_ = json.Unmarshal(raw, &inner) // what is no array was refused before
			return inner
		},
		text: func(raw json.RawMessage) (text string) {
			_ = json.Unmarshal(raw, &text) // what is no text was refused before
			return text
		},
	}
	w.message("", msg.ProtoReflect().Descriptor(), members)
}

// unknownFields adds the fields of an event's Avro record that this build has no field for, as JSON.
func unknownFields(record map[string]any, msg *pb.Event) {
	w := unknownWalk[any]{
		payload: payloadOf(msg),
		visit: func(path string, v any) {
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
		},
		open: func(v any) map[string]any {
			inner, _ := v.(map[string]any)
			return inner
		},
		list: func(v any) []any {
			inner, _ := v.([]any)
			return inner
		},
		text: func(v any) string {
			text, _ := v.(string)
			return text
		},
	}
	w.message("", msg.ProtoReflect().Descriptor(), record)
}

// payloadOf gives the field of an event's payload, nil without one.
func payloadOf(msg *pb.Event) protoreflect.FieldDescriptor {
	m := msg.ProtoReflect()
	return m.WhichOneof(m.Descriptor().Oneofs().ByName("payload"))
}

// unknownWalk visits what a record has and its message has not, in the order of the names.
type unknownWalk[T any] struct {
	payload protoreflect.FieldDescriptor
	visit   func(path string, v T)
	open    func(T) map[string]T
	list    func(T) []T
	text    func(T) string
}

// message goes through a record of a message. Its depth is that of the value, which was read before and is bounded.
func (w *unknownWalk[T]) message(at string, m protoreflect.MessageDescriptor, record map[string]T) {
	for _, name := range slices.Sorted(maps.Keys(record)) {
		f := fieldNamed(m, name)
		if f == nil {
			w.visit(at+name, record[name])
			continue
		}
		if f.Message() == nil || f.Message().FullName() == timestampName || w.ofOtherPayload(f) {
			continue
		}
		path := at + string(f.Name()) + "."
		switch {
		case f.IsMap():
			inner := w.open(record[name])
			for _, key := range slices.Sorted(maps.Keys(inner)) {
				if value := f.MapValue().Message(); value != nil {
					w.message(path+key+".", value, w.open(inner[key]))
				}
			}
		case f.IsList():
			for _, item := range w.list(record[name]) {
				members := w.open(item)
				w.message(path+w.kindOf(f.Message(), members), f.Message(), members)
			}
		default:
			w.message(path, f.Message(), w.open(record[name]))
		}
	}
}

// kindOf gives what an item of a list is told from the others by: an entity's kind, and a dot.
func (w *unknownWalk[T]) kindOf(m protoreflect.MessageDescriptor, members map[string]T) string {
	if m.Fields().ByName("kind") == nil {
		return ""
	}
	return w.text(members["kind"]) + "."
}

// ofOtherPayload says whether a field is a payload that the event has not: one that is null.
func (w *unknownWalk[T]) ofOtherPayload(f protoreflect.FieldDescriptor) bool {
	oneof := f.ContainingOneof()
	return oneof != nil && oneof.Name() == "payload" && (w.payload == nil || f.Number() != w.payload.Number())
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
