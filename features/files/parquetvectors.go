package files

import (
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go"
)

const (
	// A row group is what the writer holds in memory: about 25 MB at 100 features.
	vectorGroupRows = 32_768
	vectorBatchRows = 256
)

// parquetVectors writes Parquet: features are doubles that may be null, t is microseconds in UTC.
type parquetVectors struct {
	w      *parquet.GenericWriter[any]
	layout vectorLayout
	rows   []parquet.Row
	used   int
}

// orderedGroup is a group whose fields keep their order; parquet.Group sorts them by name.
type orderedGroup struct {
	parquet.Group
	names []string
}

func (g orderedGroup) Fields() []parquet.Field {
	byName := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		byName[f.Name()] = f
	}
	out := make([]parquet.Field, len(g.names))
	for i, name := range g.names {
		out[i] = byName[name]
	}
	return out
}

func newParquetVectors(w io.Writer, layout vectorLayout) (*parquetVectors, error) {
	g := orderedGroup{Group: parquet.Group{}, names: layout.names()}
	g.Group["event_id"] = parquet.String()
	g.Group["t"] = parquet.Timestamp(parquet.Microsecond)
	for _, f := range layout.features {
		g.Group[f] = parquet.Optional(parquet.Leaf(parquet.DoubleType))
		if layout.status {
			g.Group[f+"__status"] = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
		}
	}
	for _, c := range layout.kept {
		g.Group[c.Name] = parquet.Optional(keptNode(c.Type))
	}
	p := &parquetVectors{layout: layout, rows: make([]parquet.Row, vectorBatchRows)}
	err := guarded(func() error {
		p.w = parquet.NewGenericWriter[any](w, parquet.NewSchema("vectors", g), parquet.Compression(&parquet.Zstd),
			parquet.CreatedBy("pitboss", "1", ""), parquet.MaxRowsPerRowGroup(vectorGroupRows))
		return nil
	})
	return p, err
}

func keptNode(t ColumnType) parquet.Node {
	switch t {
	case ColumnInt:
		return parquet.Leaf(parquet.Int64Type)
	case ColumnNumber:
		return parquet.Leaf(parquet.DoubleType)
	case ColumnBool:
		return parquet.Leaf(parquet.BooleanType)
	case ColumnTime:
		return parquet.Timestamp(parquet.Microsecond)
	default:
		return parquet.String()
	}
}

func (p *parquetVectors) write(row *vectorRow) error {
	r := p.rows[p.used][:0]
	add := func(v parquet.Value, optional bool) {
		level := 0
		if optional && !v.IsNull() {
			level = 1
		}
		r = append(r, v.Level(0, level, len(r)))
	}
	add(parquet.ByteArrayValue([]byte(row.eventID)), false)
	add(parquet.Int64Value(row.vector.At), false)
	for _, v := range row.vector.Values {
		if math.IsNaN(v) {
			add(parquet.NullValue(), true)
			continue
		}
		add(parquet.DoubleValue(v), true)
	}
	if p.layout.status {
		for _, s := range row.vector.Status {
			add(parquet.ByteArrayValue([]byte(s.String())), false)
		}
	}
	for _, c := range row.kept {
		add(keptValue(c), true)
	}
	p.rows[p.used] = r
	if p.used++; p.used == vectorBatchRows {
		return p.flush()
	}
	return nil
}

func keptValue(c Cell) parquet.Value {
	switch c.typ {
	case ColumnInt, ColumnTime:
		return parquet.Int64Value(c.int)
	case ColumnNumber:
		return parquet.DoubleValue(c.number)
	case ColumnBool:
		return parquet.BooleanValue(c.int != 0)
	case ColumnText:
		return parquet.ByteArrayValue([]byte(c.text))
	}
	return parquet.NullValue()
}

func (p *parquetVectors) flush() error {
	err := guarded(func() error {
		if _, err := p.w.WriteRows(p.rows[:p.used]); err != nil {
			return fmt.Errorf("cannot write rows: %w", err)
		}
		return nil
	})
	p.used = 0
	return err
}

func (p *parquetVectors) close() error {
	if err := p.flush(); err != nil {
		return err
	}
	return guarded(p.w.Close)
}
