package wire

import (
	"encoding/json"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "pitboss/proto/pitboss/v1"
)

// avroType and avroField are Avro's schema of a record or an enum, in the order that they are written.
type avroType struct {
	Type      string      `json:"type"`
	Name      string      `json:"name,omitempty"`
	Namespace string      `json:"namespace,omitempty"`
	Symbols   []string    `json:"symbols,omitempty"`
	Default   string      `json:"default,omitempty"`
	Fields    []avroField `json:"fields,omitempty"`
	Items     any         `json:"items,omitempty"`
	Values    any         `json:"values,omitempty"`
	Logical   string      `json:"logicalType,omitempty"` //nolint:tagliatelle // Avro's own name for it
}

type avroField struct {
	Name    string `json:"name"`
	Type    any    `json:"type"`
	Default any    `json:"default"`
}

// EventSchema is the Avro schema of an event, made from the Protobuf definition, so that the two cannot drift apart;
// proto/pitboss/v1/event.avsc is it, for producers. A message is a record, each of its fields has its name and a default,
// so that a field can be added without breaking anybody. A payload is a field of its own and not a branch of one union: a
// reader that does not know a union's branch can read nothing of the record. What only pitboss sets is left out.
var EventSchema = sync.OnceValue(func() string {
	g := schemaWriter{named: map[protoreflect.FullName]bool{}}
	event := g.record((&pb.Event{}).ProtoReflect().Descriptor())
	text, err := json.MarshalIndent(event, "", "  ")
	if err != nil {
		panic("BUG: the event's Avro schema cannot be written: " + err.Error())
	}
	return string(text) + "\n"
})

// ours are the fields that only pitboss sets.
var ours = map[protoreflect.FullName]bool{
	"pitboss.v1.Event.received_at": true, "pitboss.v1.Event.enrichment": true, "pitboss.v1.Event.unknown": true, "pitboss.v1.Money.base_minor": true,
}

// schemaWriter writes each named type in full once and by its name from then on, as Avro wants it.
type schemaWriter struct {
	named map[protoreflect.FullName]bool
}

func (g *schemaWriter) record(m protoreflect.MessageDescriptor) any {
	if g.named[m.FullName()] {
		return string(m.FullName())
	}
	g.named[m.FullName()] = true
	r := avroType{Type: "record", Name: string(m.Name()), Namespace: string(m.ParentFile().Package())}
	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); !ours[f.FullName()] {
			r.Fields = append(r.Fields, g.field(f))
		}
	}
	return r
}

func (g *schemaWriter) field(f protoreflect.FieldDescriptor) avroField {
	out := avroField{Name: string(f.Name())}
	switch {
	case f.IsMap():
		out.Type, out.Default = avroType{Type: "map", Values: g.message(f.MapValue())}, map[string]any{}
	case f.IsList():
		out.Type, out.Default = avroType{Type: "array", Items: g.message(f)}, []any{}
	case f.Message() != nil:
		out.Type = []any{"null", g.message(f)}
	case f.HasPresence():
		scalar, _ := g.scalar(f)
		out.Type = []any{"null", scalar}
	default:
		out.Type, out.Default = g.scalar(f)
	}
	return out
}

func (g *schemaWriter) message(f protoreflect.FieldDescriptor) any {
	if f.Message().FullName() == timestampName {
		return avroType{Type: "long", Logical: "timestamp-micros"}
	}
	return g.record(f.Message())
}

const timestampName = "google.protobuf.Timestamp"

// scalar gives the type of a field without parts, and its default.
func (g *schemaWriter) scalar(f protoreflect.FieldDescriptor) (kind, def any) {
	switch f.Kind() {
	case protoreflect.StringKind:
		return "string", ""
	case protoreflect.BoolKind:
		return "boolean", false
	case protoreflect.DoubleKind:
		return "double", 0
	case protoreflect.Int32Kind:
		return "int", 0
	case protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return "long", 0
	case protoreflect.EnumKind:
		return g.enum(f.Enum()), string(f.Enum().Values().Get(0).Name())
	default:
		panic("BUG: no Avro type for " + string(f.FullName()))
	}
}

func (g *schemaWriter) enum(e protoreflect.EnumDescriptor) any {
	if g.named[e.FullName()] {
		return string(e.FullName())
	}
	g.named[e.FullName()] = true
	out := avroType{Type: "enum", Name: string(e.Name()), Namespace: string(e.ParentFile().Package()), Default: string(e.Values().Get(0).Name())}
	for i := range e.Values().Len() {
		out.Symbols = append(out.Symbols, string(e.Values().Get(i).Name()))
	}
	return out
}
