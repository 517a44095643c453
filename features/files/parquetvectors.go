package files

import (
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go"

	"pitboss/features"
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
	// columns are the values of a batch, used rows of them; group is how many rows the file's row group has.
	columns     [][]parquet.Value
	used, group int
	statuses    []parquet.Value
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
	for _, l := range layout.lead {
		g.Group[l] = parquet.String()
	}
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
	p := &parquetVectors{layout: layout, columns: make([][]parquet.Value, len(layout.names()))}
	for i := range p.columns {
		p.columns[i] = make([]parquet.Value, vectorBatchRows)
	}
	err := guarded(func() error {
		p.w = parquet.NewGenericWriter[any](w, parquet.NewSchema("vectors", g), parquet.Compression(&parquet.Zstd),
			parquet.CreatedBy("pitboss", "1", ""))
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
	columns := p.columns
	next := func(v parquet.Value) {
		columns[0][p.used] = v
		columns = columns[1:]
	}
	for _, l := range row.lead {
		next(parquet.ByteArrayValue([]byte(l)))
	}
	next(parquet.Int64Value(row.vector.At))
	for _, v := range row.vector.Values {
		if math.IsNaN(v) {
			next(parquet.NullValue())
			continue
		}
		next(parquet.DoubleValue(v).Level(0, 1, 0))
	}
	if p.layout.status {
		for _, s := range row.vector.Status {
			next(p.status(s))
		}
	}
	for _, c := range row.kept {
		next(keptValue(c))
	}
	if p.used++; p.used == vectorBatchRows {
		return p.flush()
	}
	return nil
}

// status gives a status as a value; each is made once.
func (p *parquetVectors) status(s features.Status) parquet.Value {
	for len(p.statuses) <= int(s) {
		p.statuses = append(p.statuses, parquet.ByteArrayValue([]byte(features.Status(len(p.statuses)).String())))
	}
	return p.statuses[s]
}

func keptValue(c Cell) parquet.Value {
	var v parquet.Value
	switch c.typ {
	case ColumnInt, ColumnTime:
		v = parquet.Int64Value(c.int)
	case ColumnNumber:
		v = parquet.DoubleValue(c.number)
	case ColumnBool:
		v = parquet.BooleanValue(c.int != 0)
	case ColumnText:
		v = parquet.ByteArrayValue([]byte(c.text))
	default:
		return parquet.NullValue()
	}
	return v.Level(0, 1, 0)
}

// flush gives the columns of a batch to the file, each on its own: as rows they would only be taken apart again.
func (p *parquetVectors) flush() error {
	err := guarded(func() error {
		for i, c := range p.w.ColumnWriters() {
			if _, err := c.WriteRowValues(p.columns[i][:p.used]); err != nil {
				return fmt.Errorf("cannot write rows: %w", err)
			}
		}
		if p.group += p.used; p.group < vectorGroupRows {
			return nil
		}
		p.group = 0
		return p.w.Flush()
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
