package files

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "pitboss/proto/pitboss/v1"
)

// Map says which column of a file is which field of an event. docs/mapping.md describes its format.
type Map struct {
	unsorted bool
	csv      csvOptions
	event    eventMap
	labels   []labelMap
	keep     []string
	// exprs are all of them, so that they can be bound to a file's columns.
	exprs []*expr
	file  string
}

type csvOptions struct {
	delimiter rune
	null      []string
}

func defaultCSV() csvOptions { return csvOptions{delimiter: ',', null: []string{""}} }

// eventMap makes a row's own event.
type eventMap struct {
	kind       string
	trust      pb.Trust
	id         *expr
	occurredAt *expr
	// envelope are the text fields of the event by their names; payload and attributes are by theirs.
	envelope   []fieldMap
	payload    []fieldMap
	payloadFD  protoreflect.FieldDescriptor
	attributes []attributeMap
	entities   []entityMap
}

// fieldMap sets one field of a message.
type fieldMap struct {
	fd protoreflect.FieldDescriptor
	*expr
}

type attributeMap struct {
	name string
	*expr
}

type entityMap struct {
	kind string
	form pb.Form
	*expr
}

// labelMap makes a label.assigned event of a row.
type labelMap struct {
	after      int64
	label      *expr
	fraud      *expr
	source     *expr
	confidence *expr
	entities   []string
	suffix     string
}

// ParseMap reads a map; name is what errors call it. Every error has a line, a column and a way out.
func ParseMap(source []byte, name string) (*Map, error) {
	r := &mapBuilder{mapReader: mapReader{file: name}, m: &Map{file: name, csv: defaultCSV()}}
	r.build(r.parse(source))
	if err := r.err(); err != nil {
		return nil, err
	}
	return r.m, nil
}

// LoadMap reads a map from a file.
func LoadMap(path string) (*Map, error) {
	source, err := readMapFile(path)
	if err != nil {
		return nil, err
	}
	return ParseMap(source, path)
}

type mapBuilder struct {
	mapReader
	m *Map
}

func (r *mapBuilder) build(root []entry) {
	if len(r.errs) > 0 {
		return
	}
	keys := r.only(root, "the map", "format", "order", "csv", "event", "labels", "keep")
	if f, ok := keys["format"]; !ok || r.text(f.value, "format") != "1" {
		r.refusef(f.at, "the map must say format: 1")
	}
	if o, ok := keys["order"]; ok {
		switch s := r.text(o.value, "order"); s {
		case "sorted":
		case "unsorted":
			r.m.unsorted = true
		default:
			r.refusef(o.at, "order is %q: must be sorted (by time, the default) or unsorted", clip(s))
		}
	}
	if c, ok := keys["csv"]; ok {
		r.csv(c)
	}
	if e, ok := keys["event"]; ok {
		r.event(e)
	} else {
		r.refusef(nil, "the map has no event")
	}
	if l, ok := keys["labels"]; ok {
		r.labels(l)
	}
	if k, ok := keys["keep"]; ok {
		for _, n := range r.sequence(k.value, "keep") {
			name := r.text(n, "keep")
			if slices.Contains(r.m.keep, name) {
				r.refusef(n.at, "keep names column %q twice", clip(name))
			}
			r.m.keep = append(r.m.keep, name)
		}
	}
}

func (r *mapBuilder) csv(e entry) {
	keys := r.only(r.mapping(e.value, "csv"), "csv", "delimiter", "missing")
	if d, ok := keys["delimiter"]; ok {
		runes := []rune(strings.ReplaceAll(r.text(d.value, "csv.delimiter"), `\t`, "\t"))
		if len(runes) != 1 || strings.ContainsRune("\"\r\n\ufffd", runes[0]) {
			r.refusef(d.at, "csv.delimiter must be one character, and no quote or line end")
			return
		}
		r.m.csv.delimiter = runes[0]
	}
	if n, ok := keys["missing"]; ok {
		r.m.csv.null = nil
		for _, v := range r.sequence(n.value, "csv.missing") {
			r.m.csv.null = append(r.m.csv.null, r.text(v, "csv.missing"))
		}
	}
}

// use reads an expression and remembers it.
func (r *mapBuilder) use(n node, what, sort string) *expr {
	e := r.expr(n, what, sort)
	r.m.exprs = append(r.m.exprs, e)
	if e.currency != nil {
		r.m.exprs = append(r.m.exprs, e.currency)
	}
	return e
}

// envelopeFields are the text fields of the envelope that a map may set.
func envelopeFields() []string {
	return []string{
		"tenant", "brand", "jurisdiction", "producer_id", "trace_id", "transaction_id", "reference_transaction_id",
		"supersedes_event_id",
	}
}

func (r *mapBuilder) event(e entry) {
	allowed := append([]string{"type", "trust", "event_id", "occurred_at", "entities", "payload", "attributes"}, envelopeFields()...)
	keys := r.only(r.mapping(e.value, "event"), "event", allowed...)
	ev := &r.m.event
	for _, need := range []string{"type", "tenant", "event_id", "occurred_at", "entities"} {
		if _, ok := keys[need]; !ok {
			r.refusef(e.at, "event has no %s", need)
		}
	}
	if k, ok := keys["type"]; ok {
		ev.kind = r.text(k.value, "event.type")
		ev.payloadFD = payloadField(ev.kind)
		if ev.payloadFD == nil && !strings.HasPrefix(ev.kind, "custom.") {
			r.refusef(k.at, "event.type: there is no type %q (custom.* has attributes alone)", clip(ev.kind))
		}
	}
	if k, ok := keys["trust"]; ok {
		switch s := r.text(k.value, "event.trust"); s {
		case "server":
			ev.trust = pb.Trust_TRUST_SERVER
		case "client":
			ev.trust = pb.Trust_TRUST_CLIENT
		default:
			r.refusef(k.at, "event.trust is %q: must be server or client", clip(s))
		}
	}
	if k, ok := keys["event_id"]; ok {
		ev.id = r.use(k.value, "event.event_id", "text")
	}
	if k, ok := keys["occurred_at"]; ok {
		ev.occurredAt = r.use(k.value, "event.occurred_at", "time")
	}
	desc := (&pb.Event{}).ProtoReflect().Descriptor()
	for _, name := range envelopeFields() {
		if k, ok := keys[name]; ok {
			fd := desc.Fields().ByName(protoreflect.Name(name))
			ev.envelope = append(ev.envelope, fieldMap{fd, r.use(k.value, "event."+name, "text")})
		}
	}
	r.entities(keys)
	r.payload(keys)
	r.attributes(keys)
}

// payloadField is the field of Event that holds the payload of a type; nil where the type has none.
func payloadField(kind string) protoreflect.FieldDescriptor {
	fd := (&pb.Event{}).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(strings.Replace(kind, ".", "_", 1)))
	if fd == nil || fd.ContainingOneof() == nil || !strings.Contains(kind, ".") {
		return nil
	}
	return fd
}

func (r *mapBuilder) entities(keys map[string]entry) {
	k, ok := keys["entities"]
	if !ok {
		return
	}
	for _, n := range r.sequence(k.value, "event.entities") {
		fields := r.only(r.mapping(n, "an entity"), "an entity", "kind", "form", "column", "value", "default", "map", "prefix", "suffix")
		kind, hasKind := fields["kind"]
		form, hasForm := fields["form"]
		if !hasKind || !hasForm {
			r.refusef(n.at, "an entity needs kind and form: {kind: player, column: CUSTOMER_ID, form: raw}")
			continue
		}
		e := entityMap{kind: r.text(kind.value, "kind"), expr: &expr{at: n.at, index: -1, scale: 1}}
		e.what = "event.entities." + e.kind
		switch s := r.text(form.value, "form"); s {
		case "raw":
			e.form = pb.Form_FORM_RAW
		case "alias":
			e.form = pb.Form_FORM_ALIAS
		default:
			r.refusef(form.at, "%s.form is %q: must be raw or alias", e.what, clip(s))
		}
		column, isColumn := fields["column"]
		value, isValue := fields["value"]
		switch {
		case isColumn == isValue:
			r.refusef(n.at, "%s needs either a column or a value", e.what)
		case isColumn:
			e.column = r.text(column.value, e.what+".column")
		default:
			e.constant = TextCell(r.text(value.value, e.what+".value"))
		}
		r.options(e.expr, fields)
		if slices.ContainsFunc(r.m.event.entities, func(o entityMap) bool { return o.kind == e.kind }) {
			r.refusef(n.at, "%s stands twice", e.what)
		}
		r.m.exprs = append(r.m.exprs, e.expr)
		r.m.event.entities = append(r.m.event.entities, e)
	}
}

// payload reads the fields of the type's own message.
func (r *mapBuilder) payload(keys map[string]entry) {
	k, ok := keys["payload"]
	if !ok {
		return
	}
	if r.m.event.payloadFD == nil {
		r.refusef(k.at, "event.payload: the type %q has none", clip(r.m.event.kind))
		return
	}
	desc := r.m.event.payloadFD.Message()
	var names []string
	for i := range desc.Fields().Len() {
		names = append(names, string(desc.Fields().Get(i).Name()))
	}
	for _, e := range r.mapping(k.value, "event.payload") {
		fd := desc.Fields().ByName(protoreflect.Name(e.key))
		if fd == nil {
			r.refusef(e.at, "event.payload: %s has no field %q: it has %s", r.m.event.kind, clip(e.key), strings.Join(names, ", "))
			continue
		}
		r.m.event.payload = append(r.m.event.payload, fieldMap{fd, r.use(e.value, "event.payload."+e.key, sortOf(fd))})
	}
}

// sortOf says how a field of a payload is written in a map.
func sortOf(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return "flag"
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return "integer"
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return "number"
	case protoreflect.MessageKind:
		if fd.Message().Name() == "Money" {
			return "money"
		}
		return "time"
	default:
		return "text"
	}
}

func (r *mapBuilder) attributes(keys map[string]entry) {
	k, ok := keys["attributes"]
	if !ok {
		return
	}
	for _, e := range r.mapping(k.value, "event.attributes") {
		x := r.use(e.value, "event.attributes."+e.key, "attribute")
		if x.as == "" {
			r.refusef(e.at, "event.attributes.%s needs as: int, number, text, flag or money", clip(e.key))
		}
		r.m.event.attributes = append(r.m.event.attributes, attributeMap{e.key, x})
	}
}

func (r *mapBuilder) labels(e entry) {
	list := r.sequence(e.value, "labels")
	if len(list) > maxLabelSpecs {
		r.refusef(e.at, "there are %d labels, at most %d", len(list), maxLabelSpecs)
		return
	}
	for i, n := range list {
		what := fmt.Sprintf("labels[%d]", i)
		keys := r.only(r.mapping(n, what), what, "after", "label", "fraud", "source", "confidence_ppm", "entities", "id_suffix")
		l := labelMap{suffix: ":label"}
		if k, ok := keys["after"]; ok {
			d, err := time.ParseDuration(r.text(k.value, what+".after"))
			if err != nil || d < time.Second || d > 10*366*24*time.Hour {
				r.refusef(k.at, "%s.after must be a time like 168h, from a second to ten years", what)
			}
			l.after = d.Microseconds()
		} else {
			r.refusef(n.at, "%s has no after: how long after the row's own time it became known", what)
		}
		if k, ok := keys["label"]; ok {
			l.label = r.use(k.value, what+".label", "text")
		} else {
			r.refusef(n.at, "%s has no label", what)
		}
		if k, ok := keys["fraud"]; ok {
			l.fraud = r.use(k.value, what+".fraud", "integer")
		}
		if k, ok := keys["source"]; ok {
			l.source = r.use(k.value, what+".source", "text")
		}
		if k, ok := keys["confidence_ppm"]; ok {
			l.confidence = r.use(k.value, what+".confidence_ppm", "integer")
		}
		if k, ok := keys["id_suffix"]; ok {
			l.suffix = r.text(k.value, what+".id_suffix")
		}
		r.labelEntities(&l, keys, what)
		if l.suffix == "" || slices.ContainsFunc(r.m.labels, func(o labelMap) bool { return o.suffix == l.suffix }) {
			r.refusef(n.at, "%s: id_suffix %q must not be empty, nor another label's", what, clip(l.suffix))
		}
		r.m.labels = append(r.m.labels, l)
	}
}

// labelEntities reads which of the row's entities the label is about; without, all of them.
func (r *mapBuilder) labelEntities(l *labelMap, keys map[string]entry, what string) {
	var known []string
	for _, e := range r.m.event.entities {
		known = append(known, e.kind)
	}
	k, ok := keys["entities"]
	if !ok {
		l.entities = known
		return
	}
	for _, v := range r.sequence(k.value, what+".entities") {
		kind := r.text(v, what+".entities")
		if !slices.Contains(known, kind) {
			r.refusef(v.at, "%s.entities: the event has no %q: it has %s", what, clip(kind), strings.Join(known, ", "))
		}
		l.entities = append(l.entities, kind)
	}
}
