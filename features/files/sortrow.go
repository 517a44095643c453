package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	pb "pitboss/proto/pitboss/v1"
)

// maxSortedRow is what one row may take in a run: its event and what it keeps.
const maxSortedRow = 64 << 20

// A row in a run: time, order, number, place, whether it is a label, the event, and the kept cells; lengths first.
func appendRow(dst []byte, row timedRow) ([]byte, error) {
	msg, err := proto.Marshal(row.Event)
	if err != nil {
		return nil, fmt.Errorf("row %d cannot be kept for sorting: %w", row.Number, err)
	}
	dst = binary.AppendVarint(dst, row.at)
	dst = binary.AppendVarint(dst, row.order)
	dst = binary.AppendVarint(dst, row.Number)
	dst = binary.AppendVarint(dst, row.Place)
	label := int64(0)
	if row.Label {
		label = 1
	}
	dst = binary.AppendVarint(dst, label)
	dst = append(binary.AppendUvarint(dst, uint64(len(msg))), msg...)
	return appendCells(dst, row.Kept), nil
}

// appendCells appends how many cells there are, and each: type, integer, number, text.
func appendCells(dst []byte, cells []Cell) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(cells)))
	for _, c := range cells {
		dst = binary.AppendVarint(dst, int64(c.typ))
		dst = binary.AppendVarint(dst, c.int)
		dst = binary.AppendUvarint(dst, math.Float64bits(c.number))
		dst = append(binary.AppendUvarint(dst, uint64(len(c.text))), c.text...)
	}
	return dst
}

var errTornRun = errors.New("a row that was sorted is torn")

func decodeRow(b []byte) (timedRow, error) {
	r := rowReader{b: b}
	row := timedRow{Row: &Row{Event: &pb.Event{}}, at: r.varint(), order: r.varint()}
	row.Number, row.Place = r.varint(), r.varint()
	row.Label = r.varint() == 1
	if err := proto.Unmarshal(r.bytes(), row.Event); err != nil {
		return timedRow{}, fmt.Errorf("%w: %w", errTornRun, err)
	}
	row.Kept = r.cells()
	if r.torn {
		return timedRow{}, errTornRun
	}
	return row, nil
}

// rowReader reads until something is missing, and then gives zeros.
type rowReader struct {
	b    []byte
	torn bool
}

func (r *rowReader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *rowReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *rowReader) skip(n int) {
	if n <= 0 {
		r.b, r.torn = nil, true
		return
	}
	r.b = r.b[n:]
}

// cells reads what appendCells wrote; nil where there are none.
func (r *rowReader) cells() []Cell {
	n := r.uvarint()
	if n == 0 || n > maxColumns {
		return nil
	}
	cells := make([]Cell, n)
	for i := range cells {
		cells[i] = Cell{typ: ColumnType(r.varint()), int: r.varint(), number: math.Float64frombits(r.uvarint()), text: string(r.bytes())}
	}
	return cells
}

// bytes are good as long as what they are read from.
func (r *rowReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.torn = nil, true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}
