package sim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
)

// JSONWriter writes messages as JSON lines: the proto3 JSON mapping, with the fields in the order of their numbers and
// no spaces. protojson promises neither its order nor its spaces, and a seed must give the same bytes for ever.
type JSONWriter struct {
	w io.Writer
	// buf has lines that are not written yet.
	buf  []byte
	plan planner
	// err is the first error: after it nothing more is written.
	err error
}

// enoughLines is how many bytes are written at once.
const enoughLines = 1 << 18

// NewJSONWriter makes a writer of lines. Flush it at the end.
func NewJSONWriter(w io.Writer) *JSONWriter {
	return &JSONWriter{w: w, buf: make([]byte, 0, enoughLines+1<<13)}
}

// Write writes one message as one line.
func (j *JSONWriter) Write(m proto.Message) error {
	out, err := j.plan.appendMessage(j.buf, m.ProtoReflect())
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return j.line(out)
}

// line takes the lines so far with one more, which still lacks its end.
func (j *JSONWriter) line(b []byte) error {
	b = append(b, '\n')
	j.buf = b
	if len(j.buf) < enoughLines {
		return nil
	}
	return j.Flush()
}

// WriteTruth writes one truth as one line.
func (j *JSONWriter) WriteTruth(t Truth) error {
	b := j.buf
	b = append(b, `{"event_id":`...)
	b = appendString(b, t.EventID)
	b = appendString(append(b, `,"player":`...), t.Player)
	b = strconv.AppendBool(append(b, `,"fraud":`...), t.Fraud)
	b = appendString(append(b, `,"typology":`...), t.Typology)
	b = appendString(append(b, `,"ring":`...), t.Ring)
	b = appendString(append(b, `,"role":`...), t.Role)
	b = strconv.AppendFloat(append(b, `,"mimicry":`...), t.Mimicry, 'g', -1, 64)
	b = strconv.AppendBool(append(b, `,"at_risk":`...), t.AtRisk)
	b = strconv.AppendInt(append(b, `,"loss_minor":`...), t.LossMinor, 10)
	b = strconv.AppendInt(append(b, `,"cost_minor":`...), t.CostMinor, 10)
	b = appendString(append(b, `,"currency":`...), t.Currency)
	return j.line(append(b, '}'))
}

// Flush writes what is buffered. After an error nothing more is written, and Flush gives that error again.
func (j *JSONWriter) Flush() error {
	if j.err == nil && len(j.buf) > 0 {
		_, j.err = j.w.Write(j.buf)
	}
	j.buf = j.buf[:0]
	if j.err != nil {
		return fmt.Errorf("cannot write lines: %w", j.err)
	}
	return nil
}

// planner remembers the fields of each message type in order of number, with their names ready to write.
type planner struct {
	payload protoreflect.OneofDescriptor
	plans   map[protoreflect.MessageDescriptor][]plannedField
	// day is the day of the last time that was written, in days since 1970, and date its text.
	day  int64
	date [len("2026-01-05T")]byte
}

type plannedField struct {
	fd protoreflect.FieldDescriptor
	// name is the JSON name with quotes and colon.
	name string
}

func (p *planner) fields(d protoreflect.MessageDescriptor) []plannedField {
	if plan, ok := p.plans[d]; ok {
		return plan
	}
	fds := d.Fields()
	plan := make([]plannedField, fds.Len())
	for i := range plan {
		fd := fds.Get(i)
		plan[i] = plannedField{fd, string(appendString(nil, fd.JSONName())) + ":"}
	}
	slices.SortFunc(plan, func(a, b plannedField) int { return int(a.fd.Number()) - int(b.fd.Number()) })
	if p.plans == nil {
		p.plans = map[protoreflect.MessageDescriptor][]plannedField{}
	}
	p.plans[d] = plan
	return plan
}

func (p *planner) appendMessage(dst []byte, m protoreflect.Message) ([]byte, error) {
	// What every event has many of is written without reflection, which would cost more than the rest together.
	switch m := m.Interface().(type) {
	case *timestamppb.Timestamp:
		return p.appendTime(dst, m)
	case *pb.Money:
		return appendMoney(dst, m), nil
	case *pb.Identifier:
		return appendIdentifier(dst, m), nil
	case *pb.Event:
		if plain(m) {
			return p.appendEvent(dst, m)
		}
	}
	return p.appendReflected(append(dst, '{'), m, true)
}

// appendReflected appends the fields of a message in the order of their numbers, and the closing brace. first says that
// nothing is in the object yet.
func (p *planner) appendReflected(dst []byte, m protoreflect.Message, first bool) ([]byte, error) {
	for _, f := range p.fields(m.Descriptor()) {
		if !m.Has(f.fd) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.name...)
		var err error
		if dst, err = p.appendField(dst, f.fd, m.Get(f.fd)); err != nil {
			return nil, fmt.Errorf("%s: %w", f.fd.JSONName(), err)
		}
	}
	return append(dst, '}'), nil
}

func (p *planner) appendField(dst []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch {
	case fd.IsMap():
		return nil, fmt.Errorf("maps are not written: their order is not fixed")
	case fd.IsList():
		list := v.List()
		dst = append(dst, '[')
		for i := range list.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = p.appendValue(dst, fd, list.Get(i)); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	return p.appendValue(dst, fd, v)
}

func (p *planner) appendValue(dst []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.Bool()), nil
	case protoreflect.StringKind:
		return appendString(dst, v.String()), nil
	case protoreflect.BytesKind:
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes())
		return append(dst, '"'), nil
	case protoreflect.EnumKind:
		return appendEnum(dst, fd.Enum(), v.Enum()), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return append(strconv.AppendInt(append(dst, '"'), v.Int(), 10), '"'), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return append(strconv.AppendUint(append(dst, '"'), v.Uint(), 10), '"'), nil
	case protoreflect.MessageKind:
		return p.appendMessage(dst, v.Message())
	default:
		return nil, fmt.Errorf("values of kind %s are not written", fd.Kind())
	}
}

// appendTime writes RFC 3339 in UTC, with no more digits than groups of three need.
func (p *planner) appendTime(dst []byte, t *timestamppb.Timestamp) ([]byte, error) {
	if err := t.CheckValid(); err != nil {
		return nil, fmt.Errorf("no time: %w", err)
	}
	ofDay := ((t.GetSeconds() % 86_400) + 86_400) % 86_400
	if today := (t.GetSeconds() - ofDay) / 86_400; today != p.day || p.date[0] == 0 {
		p.day = today
		copy(p.date[:], t.AsTime().AppendFormat(nil, "2006-01-02T"))
	}
	dst = append(append(dst, '"'), p.date[:]...)
	dst = appendPadded(dst, ofDay/3600, 2)
	dst = appendPadded(append(dst, ':'), ofDay/60%60, 2)
	dst = appendPadded(append(dst, ':'), ofDay%60, 2)
	switch n := int64(t.GetNanos()); {
	case n == 0:
	case n%1e6 == 0:
		dst = appendPadded(append(dst, '.'), n/1e6, 3)
	case n%1e3 == 0:
		dst = appendPadded(append(dst, '.'), n/1e3, 6)
	default:
		dst = appendPadded(append(dst, '.'), n, 9)
	}
	return append(dst, 'Z', '"'), nil
}

// appendPadded appends a number of at most width digits, with zeros before it.
func appendPadded(dst []byte, n int64, width int) []byte {
	var buf [9]byte
	for i := width - 1; i >= 0; i-- {
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, buf[:width]...)
}

// appendString writes plain text as it is and leaves everything else to encoding/json.
func appendString(dst []byte, s string) []byte {
	if !plainText(s) {
		quoted, _ := json.Marshal(s) //nolint:errchkjson // a string always marshals
		return append(dst, quoted...)
	}
	return append(append(append(dst, '"'), s...), '"')
}

// plainText says whether a string in JSON has all bytes of s as they are. It looks at eight at a time (Hacker's Delight,
// second edition, 6-1), since half of a line is such text.
func plainText(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	zero := func(x uint64) uint64 { return (x - ones) &^ x & high }
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		// " and & differ in one bit, and so do < and >.
		bad := x&high | (x-ones*' ')&^x&high | zero((x|ones*4)^ones*'&') | zero((x|ones*2)^ones*'>') | zero(x^ones*'\\')
		if bad != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}
