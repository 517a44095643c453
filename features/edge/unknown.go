package edge

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// Fields that this build does not know come with newer minor schemas. They are kept beside the event as they came, and no
// part of what is counted, hashed or shown: the same event by a relay that knows them and one that drops them is the same
// event. They are held to what attributes are held to: nothing that names a person belongs in them.

// The bounds of what is kept, of one event: of more, the first by their paths.
const (
	MaxUnknownFields = 32
	MaxUnknownBytes  = 4096
	maxUnknownPath   = 128
)

// The settings of Config.UnknownFields.
const (
	unknownKeep = "keep"
	unknownDrop = "drop"
)

// UnknownStats count the fields of one path that this build does not know.
type UnknownStats struct {
	// Path is the field's, "other" for all that come after the first 64 paths or are no names.
	Path string
	// Kept counts those that are stored with their events, those of an entity as their alias too; LeftOut those that are not:
	// too large, too many, an e-mail address in them, of another type than this schema's, or Config.UnknownFields says drop.
	Kept, LeftOut uint64
}

// unknownCounters count by path. Paths are strangers' words, so there is a bound on them.
type unknownCounters struct {
	mu     sync.Mutex // guards byPath
	byPath map[string]*UnknownStats
}

const (
	maxUnknownPaths = 64
	otherPath       = "other"
)

func (u *unknownCounters) count(path string, kept bool) {
	if !isUnknownPath(path) {
		path = otherPath
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byPath == nil {
		u.byPath = map[string]*UnknownStats{}
	}
	if u.byPath[path] == nil && len(u.byPath) >= maxUnknownPaths {
		path = otherPath
	}
	s := u.byPath[path]
	if s == nil {
		s = &UnknownStats{Path: path}
		u.byPath[path] = s
	}
	if kept {
		s.Kept++
	} else {
		s.LeftOut++
	}
}

func (u *unknownCounters) list() []UnknownStats {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]UnknownStats, 0, len(u.byPath))
	for _, s := range u.byPath {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b UnknownStats) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// keepUnknown brings what this build does not know of the event and all that is in it to Event.unknown.
func (c *checker) keepUnknown() {
	m := c.msg
	found := takeUnknown(m, c.edge.payload, m.GetUnknown())
	m.Unknown = nil
	slices.SortStableFunc(found, func(a, b *pb.UnknownField) int {
		return cmp.Or(strings.Compare(a.GetPath(), b.GetPath()), strings.Compare(a.GetJson(), b.GetJson()), strings.Compare(a.GetProtobuf(), b.GetProtobuf()), strings.Compare(a.GetAlias(), b.GetAlias()))
	})
	total := 0
	for _, raw := range found {
		f, keep := c.storable(raw)
		size := len(f.GetPath()) + len(f.GetJson()) + len(f.GetProtobuf()) + len(f.GetAlias())
		keep = keep && c.edge.keepsUnknown && len(m.Unknown) < MaxUnknownFields && total+size <= MaxUnknownBytes
		if keep {
			total += size
			m.Unknown = append(m.Unknown, f)
		}
		c.edge.unknown.count(f.GetPath(), keep)
	}
}

// unknownTaker takes the unknown bytes out of messages, and lists them by field.
type unknownTaker struct{ list []*pb.UnknownField }

// take takes those of one message; at names where it is, as far as that is not empty.
func (t *unknownTaker) take(m protoreflect.Message, at [3]string) {
	unknown := m.GetUnknown()
	if len(unknown) == 0 {
		return
	}
	names := slices.DeleteFunc(at[:], func(name string) bool { return name == "" })
	t.list = appendWire(t.list, strings.Join(names, "."), unknown)
	m.SetUnknown(nil)
}

// takeUnknown takes the unknown bytes out of an event and all in it, and appends them by field.
func takeUnknown(m *pb.Event, oneof protoreflect.OneofDescriptor, list []*pb.UnknownField) []*pb.UnknownField {
	t := unknownTaker{list: list}
	t.take(m.ProtoReflect(), [3]string{})
	t.take(m.GetOccurredAt().ProtoReflect(), [3]string{"occurred_at"})
	t.take(m.GetClockQuality().ProtoReflect(), [3]string{"clock_quality"})
	for _, id := range m.GetEntities() {
		t.take(id.ProtoReflect(), [3]string{"entities", id.GetKind()})
	}
	for name, v := range m.GetAttributes() {
		t.take(v.ProtoReflect(), [3]string{"attributes", name})
		t.take(v.GetMoney().ProtoReflect(), [3]string{"attributes", name, "money"})
	}
	set := m.ProtoReflect().WhichOneof(oneof)
	if set == nil {
		return t.list
	}
	payload := m.ProtoReflect().Get(set).Message()
	t.take(payload, [3]string{string(set.Name())})
	fields := payload.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message() != nil && payload.Has(f) {
			t.take(payload.Get(f).Message(), [3]string{string(set.Name()), string(f.Name())})
		}
	}
	return t.list
}

// appendWire splits a message's unknown bytes by field. They were read from a whole message, so they are whole.
func appendWire(list []*pb.UnknownField, at string, unknown protoreflect.RawFields) []*pb.UnknownField {
	var numbers []protowire.Number
	fields := map[protowire.Number][]byte{}
	for len(unknown) > 0 {
		number, _, n := protowire.ConsumeField(unknown)
		if n < 0 {
			break
		}
		if fields[number] == nil {
			numbers = append(numbers, number)
		}
		fields[number] = append(fields[number], unknown[:n]...)
		unknown = unknown[n:]
	}
	for _, number := range numbers {
		list = append(list, &pb.UnknownField{
			Path: at + "#" + strconv.Itoa(int(number)), Protobuf: base64.StdEncoding.EncodeToString(fields[number]),
		})
	}
	return list
}

// checkUnknown refuses as unknown what this build knows: it would go past all checks, and count when the frame is read.
func (c *checker) checkUnknown() *Error {
	for i, f := range c.msg.GetUnknown() {
		if features.IsKnownField(f.GetPath()) {
			return refuse(InvalidField, "event.unknown["+strconv.Itoa(i)+"].path", "%s is of this schema: it belongs in its own place", clip(f.GetPath()))
		}
	}
	return nil
}

// storable gives what is kept of a field, false where that is nothing: it is not what it says it is, or has an e-mail address in
// it. One within an entity of a personal kind is a person's more often than not: what cannot name anybody stays as it came, of all
// else there is the alias, as there is of the entity's own value.
func (c *checker) storable(f *pb.UnknownField) (*pb.UnknownField, bool) {
	f = &pb.UnknownField{Path: f.GetPath(), Json: f.GetJson(), Protobuf: f.GetProtobuf(), Alias: f.GetAlias()}
	if features.IsKnownField(f.GetPath()) || !isUnknownPath(f.GetPath()) {
		return f, false // known: came in another wire type than the schema's
	}
	personal := c.edge.ofPerson(f.GetPath())
	switch {
	case f.GetJson() != "" && f.GetProtobuf() == "" && f.GetAlias() == "":
		if !utf8.ValidString(f.GetJson()) || !json.Valid([]byte(f.GetJson())) || !personal && namesSomebody(f.GetJson()) {
			return f, false
		}
		if personal && !isSmallJSON(f.GetJson()) {
			f.Alias, f.Json = c.tenant.key.alias(unknownKind+f.GetPath(), f.GetJson()), ""
		}
	case f.GetProtobuf() != "" && f.GetJson() == "" && f.GetAlias() == "":
		wire, err := base64.StdEncoding.DecodeString(f.GetProtobuf())
		if err != nil || len(wire) == 0 || !personal && bytes.ContainsRune(wire, '@') { // what is text in it, nobody can say
			return f, false
		}
		if personal && !isSmallWire(wire) {
			f.Alias, f.Protobuf = c.tenant.key.alias(unknownKind+f.GetPath(), f.GetProtobuf()), ""
		}
	default:
		return f, f.GetJson() == "" && f.GetProtobuf() == "" && c.tenant.key.made(f.GetAlias())
	}
	return f, true
}

// unknownKind goes before the path where what is unknown becomes an alias. It holds a character that no kind's name can.
const unknownKind = "unknown/"

// ofPerson says whether an unknown field is within an entity of a personal kind, or of one that nobody knows.
func (e *Edge) ofPerson(path string) bool {
	rest, ok := strings.CutPrefix(path, "entities")
	if !ok || rest != "" && rest[0] != '.' && rest[0] != '#' {
		return false
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(rest, "."), ".")
	name, _, _ = strings.Cut(name, "#")
	kind, known := e.kinds.Get(name)
	return !known || kind.Personal
}

// The largest number that is no telephone's or document's, and how long one is in JSON at most: a place has more digits.
const (
	maxSmall       = 999_999
	maxSmallDigits = 7
)

// isSmallJSON says whether JSON is null, true, false or a number too small to name anybody.
func isSmallJSON(text string) bool {
	switch text {
	case "null", "true", "false":
		return true
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && len(text) <= maxSmallDigits
}

// isSmallWire says the same of a field of Protobuf: one or more varints.
func isSmallWire(wire []byte) bool {
	for len(wire) > 0 {
		_, kind, n := protowire.ConsumeTag(wire)
		if n < 0 || kind != protowire.VarintType {
			return false
		}
		v, m := protowire.ConsumeVarint(wire[n:])
		if m < 0 || v > maxSmall {
			return false
		}
		wire = wire[n+m:]
	}
	return true
}

// namesSomebody says whether some text in JSON, names of members too, is an e-mail address.
func namesSomebody(text string) bool {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		if s, ok := token.(string); ok && isEmail(s) {
			return true
		}
	}
}

// isUnknownPath says whether s is a name or names with dots, or of Protobuf the number of a field: bet_placed.shiny, #961.
func isUnknownPath(s string) bool {
	if s == "" || len(s) > maxUnknownPath {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '_' && b != '.' && b != '#' {
			return false
		}
	}
	return true
}
