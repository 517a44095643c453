package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

const (
	// A lake has so many files open at once; what comes after goes to another part of its type and day.
	maxLakeFiles = 64
	// maxLakeRows are the rows that wait in memory, over all files, to become row groups.
	maxLakeRows = 131_072
	// lakeFormat is raised when columns change their meaning.
	lakeFormat = "1"
	// lakeSchema is the newest schema of events that the columns have all of; each event's own is in its row.
	lakeSchema = "100"
)

// Lake writes events as Parquet files by type and day: DIR/type=bet.placed/day=2026-11-22/part-0.parquet, the day being
// occurred_at's in UTC. The directory appears under its name only when Close has succeeded. It is used by one goroutine.
type Lake struct {
	dir, temporary string
	kinds          []string
	open           map[lakeKey]*lakeFile
	parts          map[lakeKey]int
	layouts        map[string]*lakeLayout
	waiting        int
	turn           int64
	rows           int64
	files          int
	cells          []Cell
}

type lakeKey struct{ typ, day string }

// NewLake makes a writer of a directory that must not exist. Entities have a column for each kind.
func NewLake(dir string, kinds *features.Kinds) (*Lake, error) {
	dir = filepath.Clean(dir)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot write events to %q: it is there already: give a directory that is not", dir)
	}
	l := &Lake{dir: dir, temporary: dir + ".partial", open: map[lakeKey]*lakeFile{}, parts: map[lakeKey]int{}, layouts: map[string]*lakeLayout{}}
	if err := os.Mkdir(l.temporary, 0o700); err != nil {
		return nil, fmt.Errorf("cannot write events to %q: %w", dir, err)
	}
	for _, k := range kinds.All() {
		l.kinds = append(l.kinds, k.Name)
	}
	return l, nil
}

// Write writes one event as it is stored: its entities are aliases, where their kind is personal.
func (l *Lake) Write(ev *pb.Event) error {
	layout := l.layout(ev)
	key := lakeKey{ev.GetType(), ev.GetOccurredAt().AsTime().UTC().Format(time.DateOnly)}
	f, err := l.file(key, layout, ev)
	if err != nil {
		return fmt.Errorf("cannot write events to %q: %w", l.dir, err)
	}
	if l.cells, err = layout.row(l.cells[:0], ev); err != nil {
		return fmt.Errorf("cannot write event %q: %w", ev.GetEventId(), err)
	}
	l.turn++
	f.turn = l.turn
	if err := f.write(l.cells); err != nil {
		return fmt.Errorf("cannot write events to %q: %w", l.dir, err)
	}
	l.rows++
	if l.waiting++; l.waiting >= maxLakeRows {
		return l.relieve()
	}
	return nil
}

// relieve makes a row group of the longest that waits.
func (l *Lake) relieve() error {
	var longest *lakeFile
	for _, f := range l.open {
		if longest == nil || f.group > longest.group || f.group == longest.group && f.turn < longest.turn {
			longest = f
		}
	}
	l.waiting -= longest.group
	if err := longest.flush(); err != nil {
		return fmt.Errorf("cannot write events to %q: %w", l.dir, err)
	}
	return nil
}

func (l *Lake) layout(ev *pb.Event) *lakeLayout {
	layout := l.layouts[ev.GetType()]
	if layout == nil {
		layout = newLakeLayout(l.kinds, ev)
		l.layouts[ev.GetType()] = layout
	}
	return layout
}

// file gives the open file of a type and a day; of too many, the one that was written to longest ago is finished.
func (l *Lake) file(key lakeKey, layout *lakeLayout, ev *pb.Event) (*lakeFile, error) {
	if f := l.open[key]; f != nil {
		return f, nil
	}
	if len(l.open) >= maxLakeFiles {
		var oldest lakeKey
		for k, f := range l.open {
			if o := l.open[oldest]; o == nil || f.turn < o.turn {
				oldest = k
			}
		}
		if err := l.finish(oldest); err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(l.temporary, "type="+url.PathEscape(key.typ), "day="+key.day)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err //nolint:wrapcheck // names the directory, and the caller says what for
	}
	f, err := newLakeFile(filepath.Join(dir, fmt.Sprintf("part-%d.parquet", l.parts[key])), layout, ev)
	if err != nil {
		return nil, err
	}
	l.parts[key]++
	l.files++
	l.open[key] = f
	return f, nil
}

func (l *Lake) finish(key lakeKey) error {
	f := l.open[key]
	delete(l.open, key)
	l.waiting -= f.group
	return f.close()
}

// Rows and Files say what was written.
func (l *Lake) Rows() int64 { return l.rows }

// Files is how many files there are.
func (l *Lake) Files() int { return l.files }

// Close finishes all files and gives the directory its name.
func (l *Lake) Close() error {
	for key := range l.open {
		if err := l.finish(key); err != nil {
			return errors.Join(fmt.Errorf("cannot write events to %q: %w", l.dir, err), l.Discard())
		}
	}
	if err := os.Rename(l.temporary, l.dir); err != nil {
		return fmt.Errorf("cannot write events to %q: %w", l.dir, err)
	}
	return nil
}

// Discard gives everything up, as after an error.
func (l *Lake) Discard() error {
	for key, f := range l.open {
		_ = f.file.Close() // it is dropped
		delete(l.open, key)
	}
	if err := os.RemoveAll(l.temporary); err != nil {
		return fmt.Errorf("cannot drop %q: %w", l.temporary, err)
	}
	return nil
}

// lakeFile is one file that is being written.
type lakeFile struct {
	file    *os.File
	w       *parquet.GenericWriter[any]
	columns [][]parquet.Value
	used    int
	group   int
	turn    int64
}

const lakeBatchRows = 64

func newLakeFile(path string, layout *lakeLayout, ev *pb.Event) (*lakeFile, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file, and the caller says what for
	}
	g := orderedGroup{Group: parquet.Group{}}
	f := &lakeFile{file: file}
	for _, c := range layout.columns {
		g.names = append(g.names, c.Name)
		g.Group[c.Name] = parquet.Optional(keptNode(c.Type))
		f.columns = append(f.columns, make([]parquet.Value, lakeBatchRows))
	}
	err = guarded(func() error {
		f.w = parquet.NewGenericWriter[any](file, parquet.NewSchema("events", g), parquet.Compression(&parquet.Zstd), parquet.CreatedBy("pitboss", "1", ""),
			parquet.KeyValueMetadata("pitboss.format", lakeFormat), parquet.KeyValueMetadata("pitboss.event_type", ev.GetType()),
			parquet.KeyValueMetadata("pitboss.schema_version", lakeSchema))
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

func (f *lakeFile) write(cells []Cell) error {
	for i, c := range cells {
		f.columns[i][f.used] = keptValue(c)
	}
	f.group++
	if f.used++; f.used < lakeBatchRows {
		return nil
	}
	return guarded(f.hand)
}

// hand gives the batch to the file, column by column.
func (f *lakeFile) hand() error {
	for i, c := range f.w.ColumnWriters() {
		if _, err := c.WriteRowValues(f.columns[i][:f.used]); err != nil {
			return fmt.Errorf("cannot write rows: %w", err)
		}
	}
	f.used = 0
	return nil
}

func (f *lakeFile) flush() error {
	f.group = 0
	return guarded(func() error { return errors.Join(f.hand(), f.w.Flush()) })
}

func (f *lakeFile) close() error {
	err := guarded(func() error { return errors.Join(f.hand(), f.w.Close()) })
	return errors.Join(err, f.file.Sync(), f.file.Close())
}

// lakeLayout says which columns events of a type have: the envelope, an entity of each kind, what the edge added, the payload.
type lakeLayout struct {
	columns []Column
	kinds   []string
	payload protoreflect.FieldDescriptor // nil where the type has none
	fields  []protoreflect.FieldDescriptor
}

func newLakeLayout(kinds []string, ev *pb.Event) *lakeLayout {
	l := &lakeLayout{kinds: kinds, columns: []Column{
		{"event_id", ColumnText}, {"tenant", ColumnText}, {"brand", ColumnText}, {"jurisdiction", ColumnText}, {"schema_version", ColumnInt},
		{"occurred_at", ColumnTime}, {"received_at", ColumnTime}, {"producer_id", ColumnText}, {"producer_seq", ColumnInt}, {"trust", ColumnText},
		{"transaction_id", ColumnText}, {"reference_transaction_id", ColumnText}, {"supersedes_event_id", ColumnText}, {"attributes", ColumnText},
		{"address_class", ColumnText}, {"country", ColumnText}, {"nickname_skeleton", ColumnText}, {"list_hits", ColumnText},
		{"rates_version", ColumnText}, {"alias_key_id", ColumnText}, {"unknown", ColumnText},
	}}
	for _, k := range kinds {
		l.columns = append(l.columns, Column{"entity_" + k, ColumnText})
	}
	msg := ev.ProtoReflect()
	if l.payload = msg.WhichOneof(msg.Descriptor().Oneofs().ByName("payload")); l.payload == nil {
		return l
	}
	list := l.payload.Message().Fields()
	for i := range list.Len() {
		fd := list.Get(i)
		if fd.IsList() || fd.IsMap() {
			continue // no payload has one
		}
		l.fields = append(l.fields, fd)
		l.columns = append(l.columns, l.columnsOf(fd)...)
	}
	return l
}

// columnsOf gives a payload field's columns; a name that the envelope has already begins with payload_.
func (l *lakeLayout) columnsOf(fd protoreflect.FieldDescriptor) []Column {
	name := string(fd.Name())
	if slices.ContainsFunc(l.columns, func(c Column) bool { return c.Name == name }) {
		name = "payload_" + name
	}
	if fd.Message() != nil {
		if fd.Message().FullName() == "google.protobuf.Timestamp" {
			return []Column{{name, ColumnTime}}
		}
		return []Column{{name + "_minor", ColumnInt}, {name + "_currency", ColumnText}, {name + "_base_minor", ColumnInt}}
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return []Column{{name, ColumnBool}}
	case protoreflect.StringKind, protoreflect.EnumKind:
		return []Column{{name, ColumnText}}
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return []Column{{name, ColumnNumber}}
	default:
		return []Column{{name, ColumnInt}}
	}
}

// unknownJSON gives the fields that nobody could read yet, as a list: path, and json, protobuf or alias.
func unknownJSON(ev *pb.Event) string {
	if len(ev.GetUnknown()) == 0 {
		return ""
	}
	type field struct {
		Path     string          `json:"path"`
		JSON     json.RawMessage `json:"json,omitempty"`
		Protobuf string          `json:"protobuf,omitempty"`
		Alias    string          `json:"alias,omitempty"`
	}
	list := make([]field, 0, len(ev.GetUnknown()))
	for _, f := range ev.GetUnknown() {
		list = append(list, field{f.GetPath(), json.RawMessage(f.GetJson()), f.GetProtobuf(), f.GetAlias()})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "" // the edge keeps only what is JSON
	}
	return string(text)
}

// row appends the event's cells.
func (l *lakeLayout) row(dst []Cell, ev *pb.Event) ([]Cell, error) {
	attributes, err := attributesJSON(ev)
	if err != nil {
		return nil, err
	}
	en := ev.GetEnrichment()
	var hits []string
	for _, h := range en.GetListHits() {
		hits = append(hits, h.GetList()+"@"+h.GetVersion())
	}
	hitsJSON := ""
	if hits != nil {
		text, _ := json.Marshal(hits) //nolint:errchkjson // strings always marshal
		hitsJSON = string(text)
	}
	dst = append(dst, textOrNone(ev.GetEventId()), textOrNone(ev.GetTenant()), textOrNone(ev.GetBrand()), textOrNone(ev.GetJurisdiction()), IntCell(int64(ev.GetSchemaVersion())),
		TimeCell(ev.GetOccurredAt().AsTime().UnixMicro()), TimeCell(ev.GetReceivedAt().AsTime().UnixMicro()), textOrNone(ev.GetProducerId()), IntCell(int64(ev.GetProducerSeq())),
		TextCell(ev.GetTrust().String()), textOrNone(ev.GetTransactionId()), textOrNone(ev.GetReferenceTransactionId()), textOrNone(ev.GetSupersedesEventId()), textOrNone(attributes),
		textOrNone(en.GetAddressClass()), textOrNone(en.GetCountry()), textOrNone(en.GetNicknameSkeleton()), textOrNone(hitsJSON), textOrNone(en.GetRatesVersion()), textOrNone(en.GetAliasKeyId()), textOrNone(unknownJSON(ev)))
	for _, kind := range l.kinds {
		dst = append(dst, textOrNone(entityOf(ev, kind)))
	}
	if l.payload == nil {
		return dst, nil
	}
	payload := ev.ProtoReflect().Get(l.payload).Message()
	for _, fd := range l.fields {
		dst = appendField(dst, payload, fd)
	}
	return dst, nil
}

func textOrNone(s string) Cell {
	if s == "" {
		return Cell{}
	}
	return TextCell(s)
}

func entityOf(ev *pb.Event, kind string) string {
	for _, list := range [][]*pb.Identifier{ev.GetEntities(), ev.GetEnrichment().GetDerived()} {
		for _, id := range list {
			if id.GetKind() == kind {
				return id.GetValue()
			}
		}
	}
	return ""
}

// appendField appends a payload field's cells, as many as columnsOf gives.
func appendField(dst []Cell, payload protoreflect.Message, fd protoreflect.FieldDescriptor) []Cell {
	v := payload.Get(fd)
	if fd.Message() != nil {
		return appendMessage(dst, v.Message(), payload.Has(fd))
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return append(dst, BoolCell(v.Bool()))
	case protoreflect.StringKind:
		return append(dst, textOrNone(v.String()))
	case protoreflect.EnumKind:
		return append(dst, TextCell(string(fd.Enum().Values().ByNumber(v.Enum()).Name())))
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return append(dst, NumberCell(v.Float()))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return append(dst, IntCell(int64(v.Uint())))
	default:
		return append(dst, IntCell(v.Int()))
	}
}

// appendMessage appends a time's cell or an amount's three.
func appendMessage(dst []Cell, m protoreflect.Message, there bool) []Cell {
	switch m := m.Interface().(type) {
	case *timestamppb.Timestamp:
		if !there {
			return append(dst, Cell{})
		}
		return append(dst, TimeCell(m.AsTime().UnixMicro()))
	case *pb.Money:
		if !there {
			return append(dst, Cell{}, Cell{}, Cell{})
		}
		base := Cell{}
		if m.BaseMinor != nil {
			base = IntCell(m.GetBaseMinor())
		}
		return append(dst, IntCell(m.GetAmountMinor()), textOrNone(m.GetCurrency()), base)
	default:
		panic(fmt.Sprintf("BUG: a payload has a field of %T", m))
	}
}

// attributesJSON gives the attributes as one JSON object, its keys sorted; empty where there are none.
func attributesJSON(ev *pb.Event) (string, error) {
	if len(ev.GetAttributes()) == 0 {
		return "", nil
	}
	all := map[string]json.RawMessage{}
	for name, v := range ev.GetAttributes() {
		text, err := protojson.Marshal(v)
		if err != nil {
			return "", fmt.Errorf("attribute %q: %w", name, err)
		}
		all[name] = text
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("attributes: %w", err)
	}
	return string(text), nil
}
