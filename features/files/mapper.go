package files

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
)

// mapper makes events of the rows of one file.
type mapper struct {
	*Map
	src  rowSource
	row  []Cell
	kept []Column
	// keepIndex are the kept columns' places in a row.
	keepIndex []int
	needed    []int
}

// bind finds the map's columns in the file.
func (m *Map) bind(src rowSource) (*mapper, error) {
	columns := src.columns()
	b := &mapper{Map: m, src: src, row: make([]Cell, len(columns))}
	index := map[string]int{}
	for i, c := range columns {
		if _, twice := index[c.Name]; twice {
			index[c.Name] = -1
			continue
		}
		index[c.Name] = i
	}
	r := mapReader{file: m.file}
	find := func(name, what string, e *expr) int {
		i, ok := index[name]
		switch {
		case !ok:
			r.refusef(e.at, "%s: the file has no column %q: it has %s", what, clip(name), columnNames(columns))
		case i < 0:
			r.refusef(e.at, "%s: the file has several columns %q", what, clip(name))
		case columns[i].Type == 0:
			r.refusef(e.at, "%s: column %q: %s", what, clip(name), src.refusal(i))
		default:
			b.needed = append(b.needed, i)
			return i
		}
		return 0
	}
	for _, e := range m.exprs {
		if e.column != "" {
			e.index = find(e.column, e.what, e)
		}
	}
	for _, name := range m.keep {
		i := find(name, "keep", &expr{})
		b.keepIndex = append(b.keepIndex, i)
		if i < len(columns) {
			b.kept = append(b.kept, columns[i])
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	slices.Sort(b.needed)
	b.needed = slices.Compact(b.needed)
	src.need(b.needed)
	return b, nil
}

func columnNames(columns []Column) string {
	var names []string
	for _, c := range columns {
		if names = append(names, clip(c.Name)); len(names) == 40 {
			return strings.Join(names, ", ") + ", ..."
		}
	}
	return strings.Join(names, ", ")
}

// next reads a row and gives its event, and its labels in the order of the map. A label that cannot be made is
// rejected by itself.
func (b *mapper) next(labels []*Row, reject func(Reject)) (*Row, []*Row, error) {
	if err := b.src.next(b.row); err != nil {
		return nil, labels, err
	}
	number := b.src.progress().Rows
	ev, f := b.event()
	if f != nil {
		return nil, labels, rejected(number, f.column, f.reason, "%s", f.message)
	}
	row := &Row{Event: ev, Number: number, Place: number}
	if len(b.keepIndex) > 0 {
		row.Kept = make([]Cell, len(b.keepIndex))
		for i, c := range b.keepIndex {
			row.Kept[i] = b.row[c]
		}
	}
	for i := range b.labels {
		label, f := b.label(&b.labels[i], ev)
		if f != nil {
			reject(Reject{number, f.column, f.reason, f.message})
			continue
		}
		if label != nil {
			labels = append(labels, &Row{Event: label, Number: number, Place: number, Label: true})
		}
	}
	return row, labels, nil
}

func (b *mapper) event() (*pb.Event, *fault) {
	m := &b.Map.event
	ev := &pb.Event{Type: m.kind, SchemaVersion: 100, Trust: m.trust}
	id, f := m.id.required(b.row)
	if f != nil {
		return nil, f
	}
	ev.EventId = m.id.text(id)
	at, f := m.occurredAt.required(b.row)
	if f != nil {
		return nil, f
	}
	us, err := m.occurredAt.time(at)
	if err != nil {
		return nil, m.occurredAt.bad(err)
	}
	if ev.OccurredAt, err = timestamp(us); err != nil {
		return nil, m.occurredAt.bad(err)
	}
	for _, e := range m.envelope {
		if wrong := e.set(ev.ProtoReflect(), b.row); wrong != nil {
			return nil, wrong
		}
	}
	if ev.Entities, f = b.entities(); f != nil {
		return nil, f
	}
	if m.payloadFD != nil {
		payload := ev.ProtoReflect().Mutable(m.payloadFD).Message()
		for _, e := range m.payload {
			if wrong := e.set(payload, b.row); wrong != nil {
				return nil, wrong
			}
		}
	}
	return ev, b.attributes(ev)
}

func (b *mapper) entities() ([]*pb.Identifier, *fault) {
	out := make([]*pb.Identifier, 0, len(b.Map.event.entities))
	for i := range b.Map.event.entities {
		e := &b.Map.event.entities[i]
		c, f := e.cell(b.row)
		if f != nil {
			return nil, f
		}
		if !c.IsNull() {
			out = append(out, &pb.Identifier{Kind: e.kind, Value: e.text(c), Form: e.form})
		}
	}
	return out, nil
}

func (b *mapper) attributes(ev *pb.Event) *fault {
	for i := range b.Map.event.attributes {
		a := &b.Map.event.attributes[i]
		v, f := a.attribute(b.row)
		if f != nil {
			return f
		}
		if v == nil {
			continue
		}
		if ev.Attributes == nil {
			ev.Attributes = make(map[string]*pb.Value, len(b.Map.event.attributes))
		}
		ev.Attributes[a.name] = v
	}
	return nil
}

// attribute gives the value of an attribute; nil where there is none.
func (e *expr) attribute(row []Cell) (*pb.Value, *fault) {
	if e.as == "money" {
		m, f := e.money(row)
		if m == nil {
			return nil, f
		}
		return &pb.Value{Kind: &pb.Value_Money{Money: m}}, nil
	}
	c, f := e.cell(row)
	if f != nil || c.IsNull() {
		return nil, f
	}
	switch e.as {
	case "int":
		v, err := c.integer(e.scale)
		if err != nil {
			return nil, e.bad(err)
		}
		return &pb.Value{Kind: &pb.Value_Int{Int: v}}, nil
	case "number":
		v, err := c.float()
		if err != nil {
			return nil, e.bad(err)
		}
		return &pb.Value{Kind: &pb.Value_Number{Number: float64(v * float64(e.scale))}}, nil
	case "flag":
		v, err := c.boolean()
		if err != nil {
			return nil, e.bad(err)
		}
		return &pb.Value{Kind: &pb.Value_Flag{Flag: v}}, nil
	}
	return &pb.Value{Kind: &pb.Value_Text{Text: e.text(c)}}, nil
}

// set gives a field of a message its value; a missing value leaves it unset.
func (f *fieldMap) set(m protoreflect.Message, row []Cell) *fault {
	if f.fd.Kind() == protoreflect.MessageKind && f.fd.Message().Name() == "Money" {
		v, fault := f.money(row)
		if v != nil {
			m.Set(f.fd, protoreflect.ValueOfMessage(v.ProtoReflect()))
		}
		return fault
	}
	c, fault := f.cell(row)
	if fault != nil || c.IsNull() {
		return fault
	}
	v, err := f.value(c)
	if err != nil {
		return f.bad(err)
	}
	m.Set(f.fd, v)
	return nil
}

func (f *fieldMap) value(c Cell) (protoreflect.Value, error) {
	switch f.fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(f.text(c)), nil
	case protoreflect.BoolKind:
		v, err := c.boolean()
		return protoreflect.ValueOfBool(v), err
	case protoreflect.DoubleKind:
		v, err := c.float()
		return protoreflect.ValueOfFloat64(v), err
	case protoreflect.MessageKind:
		us, err := f.time(c)
		if err != nil {
			return protoreflect.Value{}, err
		}
		t, err := timestamp(us)
		return protoreflect.ValueOfMessage(t.ProtoReflect()), err
	default:
		v, err := c.integer(f.scale)
		if err != nil {
			return protoreflect.Value{}, err
		}
		return integerValue(f.fd, v)
	}
}

func integerValue(fd protoreflect.FieldDescriptor, v int64) (protoreflect.Value, error) {
	switch fd.Kind() {
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(v), nil
	case protoreflect.Uint64Kind:
		if v >= 0 {
			return protoreflect.ValueOfUint64(uint64(v)), nil
		}
	case protoreflect.Int32Kind:
		if v >= math.MinInt32 && v <= math.MaxInt32 {
			return protoreflect.ValueOfInt32(int32(v)), nil
		}
	case protoreflect.Uint32Kind:
		if v >= 0 && v <= math.MaxUint32 {
			return protoreflect.ValueOfUint32(uint32(v)), nil
		}
	default:
		return protoreflect.Value{}, fmt.Errorf("fields of kind %s cannot be mapped", fd.Kind())
	}
	return protoreflect.Value{}, fmt.Errorf("%d does not fit into %s", v, fd.Kind())
}

// timestamp makes a time that a message may hold: the years 1 to 9999.
func timestamp(us int64) (*timestamppb.Timestamp, error) {
	t := &timestamppb.Timestamp{Seconds: floorDiv(us, 1e6), Nanos: int32((us - floorDiv(us, 1e6)*1e6) * 1000)}
	if err := t.CheckValid(); err != nil {
		return nil, fmt.Errorf("%d microseconds is no time of the years 1 to 9999", us)
	}
	return t, nil
}

// label makes a label of the row; nil where the row has none.
func (b *mapper) label(l *labelMap, target *pb.Event) (*pb.Event, *fault) {
	word, f := l.label.cell(b.row)
	if f != nil || word.IsNull() {
		return nil, f
	}
	us := target.GetOccurredAt().AsTime().UnixMicro()
	at, err := timestamp(us + l.after)
	if err != nil {
		return nil, l.label.bad(err)
	}
	payload := &pb.LabelAssigned{
		TargetEventId: target.GetEventId(), Label: l.label.text(word), EffectiveAt: proto.CloneOf(target.GetOccurredAt()), Source: "import",
	}
	for _, n := range []struct {
		*expr
		to *int64
	}{{l.fraud, &payload.Fraud}, {l.confidence, &payload.ConfidencePpm}} {
		if n.expr == nil {
			continue
		}
		c, f := n.required(b.row)
		if f != nil {
			return nil, f
		}
		if *n.to, err = c.integer(n.scale); err != nil {
			return nil, n.bad(err)
		}
	}
	if l.source != nil {
		c, f := l.source.required(b.row)
		if f != nil {
			return nil, f
		}
		payload.Source = l.source.text(c)
	}
	ev := &pb.Event{
		EventId: target.GetEventId() + l.suffix, Type: "label.assigned", SchemaVersion: 100, Tenant: target.GetTenant(),
		Brand: target.GetBrand(), Jurisdiction: target.GetJurisdiction(), OccurredAt: at, Trust: pb.Trust_TRUST_SERVER,
		Payload: &pb.Event_LabelAssigned{LabelAssigned: payload},
	}
	for _, id := range target.GetEntities() {
		if slices.Contains(l.entities, id.GetKind()) {
			ev.Entities = append(ev.Entities, proto.CloneOf(id))
		}
	}
	return ev, nil
}
