package files

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"pitboss/features"
)

// VectorOptions say how vectors are written.
type VectorOptions struct {
	// Status adds a column NAME__status for each feature: present, missing, warming_up, ...
	Status bool
	// Kept are columns that go through from the events' file, as Events.Columns names them.
	Kept []Column
	// Lead are the columns of text before t that say whose vector it is. Default event_id.
	Lead []string
	// To is written to, as CSV, where the path is "-".
	To io.Writer
}

// VectorWriter writes vectors to a file: event_id (or what VectorOptions.Lead says), t, the features by their names in the set's order, their statuses,
// and what is kept. A value that is missing is a null, or nothing between two commas; never zero. The file appears
// under its name only when Close has succeeded.
type VectorWriter struct {
	path, temporary string
	file            *os.File
	enc             vectorEncoder
	layout          vectorLayout
	lead            [1]string // of Write
	rows            int64
}

// vectorEncoder writes in one format.
type vectorEncoder interface {
	write(row *vectorRow) error
	close() error
}

// vectorRow is one vector with what belongs to it.
type vectorRow struct {
	lead   []string
	vector *features.Vector
	kept   []Cell
}

// vectorLayout are the columns of a file of vectors.
type vectorLayout struct {
	lead     []string
	features []string
	status   bool
	kept     []Column
}

// NewVectorWriter makes a writer of vectors of a set. The format is told by the name's end: .parquet, .csv or .jsonl; - is
// CSV to VectorOptions.To.
func NewVectorWriter(path string, set *features.Set, opt VectorOptions) (_ *VectorWriter, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write vectors to %q: %w", path, err)
		}
	}()
	layout := vectorLayout{lead: opt.Lead, status: opt.Status, kept: opt.Kept}
	if layout.lead == nil {
		layout.lead = []string{"event_id"}
	}
	for _, f := range set.Features {
		layout.features = append(layout.features, f.Name)
	}
	if clash := layout.check(); clash != nil {
		return nil, clash
	}
	w := &VectorWriter{path: path, layout: layout}
	if path == "-" && opt.To != nil {
		w.enc, err = newCSVVectors(opt.To, layout)
		return w, err
	}
	format, err := FormatOf(path)
	if err != nil {
		return nil, err
	}
	w.temporary = path + ".partial"
	if w.file, err = os.Create(w.temporary); err != nil {
		return nil, err //nolint:wrapcheck // the deferred function does
	}
	switch format {
	case CSV:
		w.enc, err = newCSVVectors(w.file, layout)
	case JSONL:
		w.enc = newJSONVectors(w.file, layout)
	default:
		w.enc, err = newParquetVectors(w.file, layout)
	}
	if err != nil {
		return nil, errors.Join(err, w.discard())
	}
	return w, nil
}

// names are all columns in order.
func (l vectorLayout) names() []string {
	names := append(append(slices.Clone(l.lead), "t"), l.features...)
	if l.status {
		for _, f := range l.features {
			names = append(names, f+"__status")
		}
	}
	for _, c := range l.kept {
		names = append(names, c.Name)
	}
	return names
}

func (l vectorLayout) check() error {
	names := l.names()
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return fmt.Errorf("two columns would be called %q: rename the feature, or do not keep the column", names[i])
		}
	}
	return nil
}

// Write writes one vector; kept are the event's kept cells, as many as VectorOptions.Kept.
func (w *VectorWriter) Write(eventID string, v *features.Vector, kept []Cell) error {
	w.lead[0] = eventID
	return w.WriteLed(w.lead[:], v, kept)
}

// WriteLed is Write with as many lead columns as VectorOptions.Lead.
func (w *VectorWriter) WriteLed(lead []string, v *features.Vector, kept []Cell) error {
	if n := len(w.layout.features); len(v.Values) != n || len(v.Status) != n {
		return fmt.Errorf("cannot write vector of %q: it has %d values, the set %d", lead, len(v.Values), n)
	}
	if len(kept) != len(w.layout.kept) || len(lead) != len(w.layout.lead) {
		return fmt.Errorf("cannot write vector of %q: %d cells are kept, not %d", lead, len(kept), len(w.layout.kept))
	}
	if err := w.enc.write(&vectorRow{lead, v, kept}); err != nil {
		return fmt.Errorf("cannot write vectors to %q: %w", w.path, err)
	}
	w.rows++
	return nil
}

// Rows gives how many vectors were written.
func (w *VectorWriter) Rows() int64 { return w.rows }

// Close finishes the file and gives it its name.
func (w *VectorWriter) Close() error {
	err := w.enc.close()
	if w.file == nil { // somebody else's
		return err
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("cannot write vectors to %q: %w", w.path, errors.Join(err, w.discard()))
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("cannot write vectors to %q: %w", w.path, errors.Join(err, os.Remove(w.temporary)))
	}
	if err := os.Rename(w.temporary, w.path); err != nil {
		return fmt.Errorf("cannot write vectors to %q: %w", w.path, err)
	}
	return nil
}

// Discard gives the file up, as after an error.
func (w *VectorWriter) Discard() error { return w.discard() }

func (w *VectorWriter) discard() error {
	if w.file == nil {
		return nil
	}
	return errors.Join(w.file.Close(), os.Remove(w.temporary))
}

func timeText(at int64) string {
	return time.UnixMicro(at).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// csvVectors writes CSV.
type csvVectors struct {
	w      *csv.Writer
	buffer *bufio.Writer
	layout vectorLayout
	record []string
}

func newCSVVectors(w io.Writer, layout vectorLayout) (*csvVectors, error) {
	buffer := bufio.NewWriterSize(w, 1<<18)
	c := &csvVectors{w: csv.NewWriter(buffer), buffer: buffer, layout: layout}
	err := c.put(layout.names())
	return c, err
}

func (c *csvVectors) write(row *vectorRow) error {
	r := c.record[:0]
	r = append(append(r, row.lead...), timeText(row.vector.At))
	for _, v := range row.vector.Values {
		if math.IsNaN(v) {
			r = append(r, "")
			continue
		}
		r = append(r, strconv.FormatFloat(v, 'g', -1, 64))
	}
	if c.layout.status {
		for _, s := range row.vector.Status {
			r = append(r, s.String())
		}
	}
	for _, k := range row.kept {
		r = append(r, k.String())
	}
	c.record = r
	return c.put(r)
}

func (c *csvVectors) put(record []string) error {
	if err := c.w.Write(record); err != nil {
		return fmt.Errorf("cannot write a row: %w", err)
	}
	return nil
}

func (c *csvVectors) close() error {
	c.w.Flush()
	return errors.Join(c.w.Error(), c.buffer.Flush())
}

// jsonVectors writes one object a line, its keys in the order of the columns.
type jsonVectors struct {
	w      *bufio.Writer
	layout vectorLayout
	keys   [][]byte
	buf    []byte
}

func newJSONVectors(w io.Writer, layout vectorLayout) *jsonVectors {
	j := &jsonVectors{w: bufio.NewWriterSize(w, 1<<18), layout: layout}
	for i, name := range layout.names() {
		var key []byte
		if i > 0 {
			key = append(key, ',')
		}
		j.keys = append(j.keys, append(appendQuoted(key, name), ':'))
	}
	return j
}

func (j *jsonVectors) write(row *vectorRow) error {
	b, at := j.buf[:0], 0
	b = append(b, '{')
	key := func() {
		b = append(b, j.keys[at]...)
		at++
	}
	text := func(s string) { b = appendQuoted(b, s) }
	number := func(v float64) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b = append(b, "null"...)
			return
		}
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	for _, l := range row.lead {
		key()
		text(l)
	}
	key()
	text(timeText(row.vector.At))
	for _, v := range row.vector.Values {
		key()
		number(v)
	}
	if j.layout.status {
		for _, s := range row.vector.Status {
			key()
			text(s.String())
		}
	}
	for _, k := range row.kept {
		key()
		switch k.typ {
		case ColumnNumber:
			number(k.number)
		case ColumnInt, ColumnBool:
			b = append(b, k.String()...)
		case ColumnText, ColumnTime:
			text(k.String())
		default:
			b = append(b, "null"...)
		}
	}
	b = append(b, '}', '\n')
	j.buf = b
	if _, err := j.w.Write(b); err != nil {
		return fmt.Errorf("cannot write a row: %w", err)
	}
	return nil
}

func (j *jsonVectors) close() error {
	if err := j.w.Flush(); err != nil {
		return fmt.Errorf("cannot write the last rows: %w", err)
	}
	return nil
}

// appendQuoted appends a text as JSON has it.
func appendQuoted(dst []byte, s string) []byte {
	quoted, _ := json.Marshal(s) //nolint:errchkjson // a string always marshals
	return append(dst, quoted...)
}
