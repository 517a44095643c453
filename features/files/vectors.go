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
}

// VectorWriter writes vectors to a file: event_id, t, the features by their names in the set's order, their statuses,
// and what is kept. A value that is missing is a null, or nothing between two commas; never zero. The file appears
// under its name only when Close has succeeded.
type VectorWriter struct {
	path, temporary string
	file            *os.File
	enc             vectorEncoder
	features        int
	kept            int
	rows            int64
}

// vectorEncoder writes in one format.
type vectorEncoder interface {
	write(row *vectorRow) error
	close() error
}

// vectorRow is one vector with what belongs to it.
type vectorRow struct {
	eventID string
	vector  *features.Vector
	kept    []Cell
}

// vectorLayout are the columns of a file of vectors.
type vectorLayout struct {
	features []string
	status   bool
	kept     []Column
}

// NewVectorWriter makes a writer of vectors of a set. The format is told by the name's end: .parquet, .csv or .jsonl.
func NewVectorWriter(path string, set *features.Set, opt VectorOptions) (_ *VectorWriter, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write vectors to %q: %w", path, err)
		}
	}()
	format, err := FormatOf(path)
	if err != nil {
		return nil, err
	}
	layout := vectorLayout{status: opt.Status, kept: opt.Kept}
	for _, f := range set.Features {
		layout.features = append(layout.features, f.Name)
	}
	if clash := layout.check(); clash != nil {
		return nil, clash
	}
	w := &VectorWriter{path: path, temporary: path + ".partial", features: len(layout.features), kept: len(opt.Kept)}
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
	names := append([]string{"event_id", "t"}, l.features...)
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
	if len(v.Values) != w.features || len(v.Status) != w.features {
		return fmt.Errorf("cannot write vector of %q: it has %d values, the set %d", eventID, len(v.Values), w.features)
	}
	if len(kept) != w.kept {
		return fmt.Errorf("cannot write vector of %q: %d cells are kept, not %d", eventID, len(kept), w.kept)
	}
	if err := w.enc.write(&vectorRow{eventID, v, kept}); err != nil {
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
	r = append(r, row.eventID, timeText(row.vector.At))
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
	key()
	text(row.eventID)
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
