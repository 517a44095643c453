package wire

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/avro"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// decodeAvro reads an event by the schema that it was written by. Fields are found by their names: one that this build
// does not know is kept beside the event (unknown.go), one that is missing is its default. Avro's own resolution of two schemas is not used,
// since it reads a producer's timestamp-millis as our timestamp-micros and says nothing.
func decodeAvro(schema *avro.Schema, value []byte, msg *pb.Event) *edge.Error {
	var record any
	rest, err := schema.Decode(value, &record)
	if err != nil {
		return refuse(Undecodable, "", "not an event in Avro, by its schema") // the library's text may quote the value
	}
	if len(rest) > 0 {
		return refuse(Undecodable, "", "%d bytes follow the event in Avro", len(rest))
	}
	fields, ok := record.(map[string]any)
	if !ok {
		return refuse(Undecodable, "", "not a record in Avro")
	}
	if err := setMessage("event", msg.ProtoReflect(), fields); err != nil {
		return err
	}
	unknownFields(fields, msg)
	return nil
}

// setMessage sets the fields of a message from those of a record, in the order of their numbers, so that of several
// things wrong the same one is named.
func setMessage(path string, m protoreflect.Message, record map[string]any) *edge.Error {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		v, ok := record[string(f.Name())]
		if !ok || v == nil {
			continue
		}
		at := path + "." + string(f.Name())
		if oneof := f.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			if other := m.WhichOneof(oneof); other != nil {
				return refuse(Undecodable, at, "%s is set too, and only one of the two can be", other.Name())
			}
		}
		if err := setField(at, m, f, v); err != nil {
			return err
		}
	}
	return nil
}

func setField(path string, m protoreflect.Message, f protoreflect.FieldDescriptor, v any) *edge.Error {
	switch {
	case f.IsMap():
		return setMap(path, m, f, v)
	case f.IsList():
		return setList(path, m, f, v)
	case f.Message() == nil:
		value, problem := scalarOf(f, v)
		if problem != "" {
			return refuse(Undecodable, path, "%s", problem)
		}
		m.Set(f, value)
		return nil
	case f.Message().FullName() == timestampName:
		at, ok := v.(time.Time)
		if !ok {
			return refuse(Undecodable, path, "must be a timestamp-millis, timestamp-micros or timestamp-nanos in Avro")
		}
		m.Set(f, protoreflect.ValueOfMessage(timestamppb.New(at).ProtoReflect()))
		return nil
	}
	record, ok := v.(map[string]any)
	if !ok {
		return refuse(Undecodable, path, "must be a record in Avro")
	}
	return setMessage(path, m.Mutable(f).Message(), record)
}

func setList(path string, m protoreflect.Message, f protoreflect.FieldDescriptor, v any) *edge.Error {
	items, ok := v.([]any)
	if !ok {
		return refuse(Undecodable, path, "must be an array in Avro")
	}
	list := m.Mutable(f).List()
	for i, item := range items {
		at := path + "[" + strconv.Itoa(i) + "]"
		record, ok := item.(map[string]any)
		if !ok {
			return refuse(Undecodable, at, "must be a record in Avro")
		}
		if err := setMessage(at, list.AppendMutable().Message(), record); err != nil {
			return err
		}
	}
	return nil
}

func setMap(path string, m protoreflect.Message, f protoreflect.FieldDescriptor, v any) *edge.Error {
	entries, ok := v.(map[string]any)
	if !ok {
		return refuse(Undecodable, path, "must be a map in Avro")
	}
	to := m.Mutable(f).Map()
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		record, ok := entries[key].(map[string]any)
		if !ok {
			return refuse(Undecodable, path, "the values must be records in Avro")
		}
		if err := setMessage(path+"."+clip(key), to.Mutable(protoreflect.ValueOfString(key).MapKey()).Message(), record); err != nil {
			return err
		}
	}
	return nil
}

// scalarOf converts a value without loss, or says why it cannot.
func scalarOf(f protoreflect.FieldDescriptor, v any) (protoreflect.Value, string) {
	whole, isWhole := wholeOf(v)
	switch kind := f.Kind(); {
	case kind == protoreflect.StringKind:
		if s, ok := v.(string); ok {
			return protoreflect.ValueOfString(s), ""
		}
	case kind == protoreflect.BoolKind:
		if b, ok := v.(bool); ok {
			return protoreflect.ValueOfBool(b), ""
		}
	case kind == protoreflect.EnumKind:
		if s, ok := v.(string); ok {
			if e := f.Enum().Values().ByName(protoreflect.Name(s)); e != nil {
				return protoreflect.ValueOfEnum(e.Number()), ""
			}
			return protoreflect.Value{}, "no such value of " + string(f.Enum().Name())
		}
	case kind == protoreflect.DoubleKind:
		switch n := v.(type) {
		case float64:
			return protoreflect.ValueOfFloat64(n), ""
		case float32:
			return protoreflect.ValueOfFloat64(float64(n)), ""
		}
	case !isWhole:
	case kind == protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(whole), ""
	case kind == protoreflect.Int32Kind && whole >= math.MinInt32 && whole <= math.MaxInt32:
		return protoreflect.ValueOfInt32(int32(whole)), ""
	case kind == protoreflect.Uint32Kind && whole >= 0 && whole <= math.MaxUint32:
		return protoreflect.ValueOfUint32(uint32(whole)), ""
	case kind == protoreflect.Uint64Kind && whole >= 0:
		return protoreflect.ValueOfUint64(uint64(whole)), ""
	}
	return protoreflect.Value{}, fmt.Sprintf("is not a %s in Avro, or out of its range", f.Kind())
}

func wholeOf(v any) (int64, bool) {
	switch n := v.(type) {
	case int32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// writerSchema reads the Avro schema of a producer, and refuses what would make much of little: a type within itself, deep
// nesting, and values of no bytes, of which a short record could hold any number. parts are the schemas whose types it names,
// each after those that it names itself.
func writerSchema(text string, parts []string) (_ *avro.Schema, problem string) {
	var all avro.SchemaCache
	for _, part := range parts {
		if _, err := all.Parse(part); err != nil {
			return nil, "refers to what is not an Avro schema: " + clip(err.Error())
		}
	}
	schema, err := all.Parse(text)
	if err != nil {
		return nil, "not an Avro schema: " + clip(err.Error())
	}
	root := schema.Root()
	if root.Type != "record" || fullName(root) != eventName {
		return nil, "not a record " + eventName
	}
	w := schemaWalker{open: map[string]bool{}, done: map[string]int{}}
	if _, problem = w.height(root); problem != "" {
		return nil, problem
	}
	return schema, ""
}

func fullName(n *avro.SchemaNode) string {
	if n.Namespace == "" || strings.Contains(n.Name, ".") {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

// schemaWalker finds how deep a schema's values can be.
type schemaWalker struct {
	// open are the named types around a node, done the heights of those that were read.
	open map[string]bool
	done map[string]int
}

// height gives how many levels a value of the node has at most.
func (w *schemaWalker) height(n *avro.SchemaNode) (levels int, problem string) {
	var inner []*avro.SchemaNode
	name := ""
	switch n.Type {
	case "null":
		return 0, "null outside of a union takes no bytes"
	case "boolean", "int", "long", "float", "double", "bytes", "string":
	case "enum":
		name = fullName(n)
	case "fixed":
		if n.Size == 0 {
			return 0, "a fixed of size 0 takes no bytes"
		}
		name = fullName(n)
	case "record", "error":
		if len(n.Fields) == 0 {
			return 0, "a record without fields takes no bytes"
		}
		name = fullName(n)
		for i := range n.Fields {
			inner = append(inner, &n.Fields[i].Type)
		}
	case "array":
		inner = append(inner, n.Items)
	case "map":
		inner = append(inner, n.Values)
	case "union":
		for i := range n.Branches {
			if n.Branches[i].Type != "null" {
				inner = append(inner, &n.Branches[i])
			}
		}
	default:
		return w.reference(n.Type)
	}
	if name != "" {
		w.open[name] = true
		defer delete(w.open, name)
	}
	for _, in := range inner {
		below, problem := w.height(in)
		if problem != "" {
			return 0, problem
		}
		levels = max(levels, below)
	}
	if levels++; levels > maxDepth {
		return 0, fmt.Sprintf("nested deeper than %d", maxDepth)
	}
	if name != "" {
		w.done[name] = levels
	}
	return levels, ""
}

// reference gives the height of a type that is named.
func (w *schemaWalker) reference(name string) (levels int, problem string) {
	if w.open[name] {
		return 0, "a type within itself"
	}
	levels, ok := w.done[name]
	if !ok {
		return 0, "a reference before its type"
	}
	return levels, ""
}
