package features

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
)

// A frame that an older build wrote holds the fields that it did not know beside its event. What of a payload this build does
// know is read as if it had come in its place, so that a new group is filled with it from the journal. The message and its
// content hash stay what they were.

// IsKnownField says whether the path of an UnknownField names a field of this build's schema.
func IsKnownField(path string) bool {
	return len(fieldChain((&pb.Event{}).ProtoReflect().Descriptor(), path)) > 0
}

// fieldChain gives the fields along a path, none where one of them is not of this schema.
func fieldChain(desc protoreflect.MessageDescriptor, path string) []protoreflect.FieldDescriptor {
	var chain []protoreflect.FieldDescriptor
	for path != "" {
		if desc == nil {
			return nil // goes on behind a value
		}
		var fd protoreflect.FieldDescriptor
		if digits, ok := strings.CutPrefix(path, "#"); ok {
			number, err := strconv.ParseInt(digits, 10, 32)
			if err != nil {
				return nil
			}
			fd, path = desc.Fields().ByNumber(protoreflect.FieldNumber(number)), ""
		} else {
			var name string
			name, path = cutName(path)
			if fd = desc.Fields().ByName(protoreflect.Name(name)); fd == nil {
				fd = desc.Fields().ByJSONName(name)
			}
		}
		if fd == nil {
			return nil
		}
		chain = append(chain, fd)
		desc = fd.Message()
		if (fd.IsMap() || fd.IsList()) && path != "" { // the name of an attribute, the kind of an entity
			if _, path = cutName(path); path == "" {
				return nil // names no field of it
			}
		}
		if fd.IsMap() {
			desc = fd.MapValue().Message()
		}
	}
	return chain
}

// cutName cuts the first name off a path, with the dot behind it.
func cutName(path string) (name, rest string) {
	i := strings.IndexAny(path, ".#")
	if i < 0 {
		return path, ""
	}
	return path[:i], strings.TrimPrefix(path[i:], ".")
}

// withKnown gives the payload, the field fd of an event, with what this build knows of what was unknown: a copy, if there is any.
func withKnown(event protoreflect.MessageDescriptor, fd protoreflect.FieldDescriptor, payload protoreflect.Message, unknown []*pb.UnknownField) protoreflect.Message {
	copied := false
	for _, f := range unknown {
		chain := fieldChain(event, f.GetPath())
		if len(chain) < 2 || chain[0] != fd {
			continue
		}
		if !copied {
			payload, copied = proto.Clone(payload.Interface()).ProtoReflect(), true
		}
		setKnown(payload, chain[1:], f)
	}
	return payload
}

// setKnown sets the field at the end of a chain, where it is not set, its value is one that an event may have, and the messages on
// the way are there.
func setKnown(m protoreflect.Message, chain []protoreflect.FieldDescriptor, f *pb.UnknownField) {
	last := len(chain) - 1
	for _, fd := range chain[:last] {
		if fd.IsList() || fd.IsMap() || !m.Has(fd) {
			return
		}
		m = m.Mutable(fd).Message()
	}
	fd, read := chain[last], m.New()
	if wire, err := base64.StdEncoding.DecodeString(f.GetProtobuf()); f.GetProtobuf() != "" {
		if err != nil || proto.Unmarshal(wire, read.Interface()) != nil {
			return
		}
	} else if protojson.Unmarshal([]byte(`{"`+string(fd.Name())+`":`+f.GetJson()+`}`), read.Interface()) != nil {
		return
	}
	if read.Has(fd) && !m.Has(fd) && sane(fd, read.Get(fd)) {
		m.Set(fd, read.Get(fd))
	}
}

// sane says whether a value that no edge has checked is one that an event may have. Of an amount nobody worked out the base.
func sane(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	switch {
	case fd.IsList() || fd.IsMap():
		return false // a value of an event is one value
	case fd.Kind() == protoreflect.DoubleKind:
		return !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0)
	case fd.Message() == nil:
		return true
	}
	switch m := v.Message().Interface().(type) {
	case *timestamppb.Timestamp:
		return m.CheckValid() == nil
	case *pb.Money:
		m.BaseMinor = nil
		return true
	}
	return false
}
