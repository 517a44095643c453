package features

import (
	"crypto/sha256"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "pitboss/proto/pitboss/v1"
)

// canonicalTable writes messages of one type in canonical form: the Protobuf wire format with fields in the order of
// their numbers, map entries in the order of their keys, and without what is not the producer's. The library's own
// deterministic marshalling promises no bytes across its versions; a content hash is compared for 30 days.
type canonicalTable struct {
	fields []canonicalField
}

type canonicalField struct {
	desc protoreflect.FieldDescriptor
	num  protowire.Number
	// sub is the table of a message's type, or of a map's values.
	sub *canonicalTable
}

// notContent says which fields leave the content hash alone: what pitboss adds, and what may differ when a producer
// sends the same event again.
func notContent(field protoreflect.FullName) bool {
	switch field {
	case "pitboss.v1.Event.received_at", "pitboss.v1.Event.trace_id", "pitboss.v1.Event.enrichment", "pitboss.v1.Event.unknown",
		"pitboss.v1.Money.base_minor":
		return true
	}
	return false
}

func newCanonicalTable(desc protoreflect.MessageDescriptor, known map[protoreflect.FullName]*canonicalTable) *canonicalTable {
	if t, ok := known[desc.FullName()]; ok {
		return t
	}
	t := &canonicalTable{}
	known[desc.FullName()] = t
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		if notContent(fd.FullName()) {
			continue
		}
		f := canonicalField{desc: fd, num: fd.Number()}
		switch {
		case fd.IsMap() && fd.MapValue().Message() != nil:
			f.sub = newCanonicalTable(fd.MapValue().Message(), known)
		case !fd.IsMap() && fd.Message() != nil:
			f.sub = newCanonicalTable(fd.Message(), known)
		}
		t.fields = append(t.fields, f)
	}
	slices.SortFunc(t.fields, func(a, b canonicalField) int { return int(a.num) - int(b.num) })
	return t
}

// contentHash is the SHA-256 of the canonical event.
func (t *decodeTables) contentHash(msg *pb.Event) [32]byte {
	buf, ok := t.scratch.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	*buf = t.canonical.append((*buf)[:0], msg.ProtoReflect())
	sum := sha256.Sum256(*buf)
	if cap(*buf) <= maxScratch { // one event of a megabyte is no reason to keep a megabyte
		t.scratch.Put(buf)
	}
	return sum
}

const maxScratch = 16 << 10

func (t *canonicalTable) append(b []byte, m protoreflect.Message) []byte {
	for i := range t.fields {
		f := &t.fields[i]
		if !m.Has(f.desc) {
			continue
		}
		v := m.Get(f.desc)
		switch {
		case f.desc.IsMap():
			b = f.appendMap(b, v.Map())
		case f.desc.IsList():
			list := v.List()
			for j := range list.Len() {
				b = f.appendOne(b, f.num, f.desc, list.Get(j))
			}
		default:
			b = f.appendOne(b, f.num, f.desc, v)
		}
	}
	return append(b, m.GetUnknown()...)
}

// appendMap writes a map with string keys, the only ones events have.
func (f *canonicalField) appendMap(b []byte, m protoreflect.Map) []byte {
	keys := make([]string, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k.String())
		return true
	})
	slices.SortFunc(keys, strings.Compare)
	for _, k := range keys {
		b = protowire.AppendTag(b, f.num, protowire.BytesType)
		start := len(b)
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendString(b, k)
		b = f.appendOne(b, 2, f.desc.MapValue(), m.Get(protoreflect.ValueOfString(k).MapKey()))
		b = prependLength(b, start)
	}
	return b
}

func (f *canonicalField) appendOne(b []byte, num protowire.Number, desc protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch desc.Kind() {
	case protoreflect.MessageKind:
		b = protowire.AppendTag(b, num, protowire.BytesType)
		start := len(b)
		return prependLength(f.sub.append(b, v.Message()), start)
	case protoreflect.StringKind:
		return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v.String())
	case protoreflect.BytesKind:
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v.Bytes())
	case protoreflect.DoubleKind:
		return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), math.Float64bits(v.Float()))
	case protoreflect.BoolKind:
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), protowire.EncodeBool(v.Bool()))
	case protoreflect.EnumKind:
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v.Enum()))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v.Uint())
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v.Int()))
	default:
		// A test holds that no field of an event is of another kind.
		panic("BUG: no canonical form for fields of kind " + desc.Kind().String())
	}
}

// prependLength puts the length of b[start:] before it.
func prependLength(b []byte, start int) []byte { return prepend(b, start, uint64(len(b)-start)) }

// prepend puts a number before b[start:].
func prepend(b []byte, start int, v uint64) []byte {
	n, size := len(b)-start, protowire.SizeVarint(v)
	for range size {
		b = append(b, 0)
	}
	copy(b[start+size:], b[start:start+n])
	protowire.AppendVarint(b[:start], v)
	return b
}
