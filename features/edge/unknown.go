package edge

import (
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
	// Kept counts those that are stored with their events, LeftOut those that are not: too large, too many, an e-mail address
	// in them, or Config.UnknownFields says drop.
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

// keepUnknown brings what this build does not know of the event, its payload and what is in them to Event.unknown, but for
// what is within entities: there it is a person's more often than not, in words that nobody made an alias of, and exports promise
// aliases. That is counted and left out.
func (c *checker) keepUnknown() {
	m := c.msg
	found := takeUnknown(m, c.edge.payload, m.GetUnknown())
	m.Unknown = nil
	slices.SortStableFunc(found, func(a, b *pb.UnknownField) int {
		return cmp.Or(strings.Compare(a.GetPath(), b.GetPath()), strings.Compare(a.GetJson(), b.GetJson()), strings.Compare(a.GetProtobuf(), b.GetProtobuf()))
	})
	bytes := 0
	for _, f := range found {
		size := len(f.GetPath()) + len(f.GetJson()) + len(f.GetProtobuf())
		keep := c.edge.keepsUnknown && len(m.Unknown) < MaxUnknownFields && bytes+size <= MaxUnknownBytes && mayBeKept(f)
		if keep {
			bytes += size
			m.Unknown = append(m.Unknown, &pb.UnknownField{Path: f.GetPath(), Json: f.GetJson(), Protobuf: f.GetProtobuf()})
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
		t.take(id.ProtoReflect(), [3]string{entitiesPath})
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

// entitiesPath is where nothing unknown is kept.
const entitiesPath = "entities"

// ofEntity says whether an unknown field is within an entity.
func ofEntity(path string) bool {
	rest, ok := strings.CutPrefix(path, entitiesPath)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '#')
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

// mayBeKept says whether a field is what it says it is, and has no e-mail address in it.
func mayBeKept(f *pb.UnknownField) bool {
	if !isUnknownPath(f.GetPath()) || ofEntity(f.GetPath()) || (f.GetJson() == "") == (f.GetProtobuf() == "") {
		return false
	}
	if f.GetProtobuf() != "" {
		wire, err := base64.StdEncoding.DecodeString(f.GetProtobuf())
		return err == nil && len(wire) > 0 && !strings.Contains(string(wire), "@") // what is text in it, nobody can say
	}
	return utf8.ValidString(f.GetJson()) && json.Valid([]byte(f.GetJson())) && !namesSomebody(f.GetJson())
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

// isUnknownPath says whether s is a name or names with dots, or of Protobuf the number of a field: bet_placed.shiny, #61.
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
