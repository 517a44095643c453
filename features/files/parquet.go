package files

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// parquetSource reads the flat columns of a Parquet file, a batch of each column at a time.
type parquetSource struct {
	file   *os.File
	pq     *parquet.File
	size   int64
	flat   []parquetColumn
	wanted []int

	group   int
	left    int64 // rows left in the group
	readers []*chunkReader
	rows    int64
}

// parquetColumn is a column that is no list and not inside a structure.
type parquetColumn struct {
	Column
	leaf int
	// convert makes a cell of a value that is not null; nil where the type is not read.
	convert func(v parquet.Value) Cell
	// refused says why it is not read, and what would be.
	refused string
}

func openParquet(path string) (_ *parquetSource, err error) {
	f, size, err := openFile(path)
	if err != nil {
		return nil, err
	}
	s := &parquetSource{file: f, size: size, group: -1}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := checkFooter(f, s.size); err != nil {
		return nil, err
	}
	return s, guarded(func() error { return s.open() })
}

func (s *parquetSource) open() (err error) {
	s.pq, err = parquet.OpenFile(s.file, s.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(1<<18))
	if err != nil {
		return fmt.Errorf("the file is not parquet's: %w", err)
	}
	root := s.pq.Root()
	if n := len(root.Columns()); n > maxColumns {
		return fmt.Errorf("the file has %d columns, at most %d are read", n, maxColumns)
	}
	for _, c := range root.Columns() {
		if !c.Leaf() || c.Repeated() {
			continue
		}
		p := parquetColumn{Column: Column{Name: c.Name()}, leaf: c.Index()}
		p.Type, p.convert, p.refused = converter(c.Type())
		s.flat = append(s.flat, p)
	}
	return nil
}

// guarded turns a panic of the decoder into an error: what it was not made for must not end the program.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file is malformed: its decoder stopped: %v", r)
		}
	}()
	return f()
}

func (s *parquetSource) close() error {
	return errors.Join(s.closeGroup(), closeFile(s.file))
}

func (s *parquetSource) closeGroup() (err error) {
	for _, r := range s.readers {
		if r != nil {
			err = errors.Join(err, guarded(r.pages.Close))
		}
	}
	s.readers = nil
	return err
}

func (s *parquetSource) columns() []Column {
	out := make([]Column, len(s.flat))
	for i, c := range s.flat {
		out[i] = c.Column
	}
	return out
}

func (s *parquetSource) refusal(column int) string { return s.flat[column].refused }

func (s *parquetSource) need(cols []int) { s.wanted = cols }

func (s *parquetSource) progress() Progress {
	p := Progress{Rows: s.rows, TotalRows: s.pq.NumRows(), TotalBytes: s.size}
	if p.TotalRows > 0 {
		p.Bytes = int64(float64(s.size) * min(1, float64(p.Rows)/float64(p.TotalRows)))
	}
	return p
}

func (s *parquetSource) next(cells []Cell) error {
	for s.left == 0 {
		if err := s.nextGroup(); err != nil {
			return err
		}
	}
	s.left--
	s.rows++
	var tooLong error
	for n, i := range s.wanted {
		col := &s.flat[i]
		v, err := s.readers[n].next()
		if err != nil {
			return fmt.Errorf("row %d, column %s: %w", s.rows, col.Name, err)
		}
		cells[i] = Cell{}
		if v.IsNull() {
			continue
		}
		if k := v.Kind(); (k == parquet.ByteArray || k == parquet.FixedLenByteArray) && len(v.ByteArray()) > maxTextBytes {
			tooLong = rejected(s.rows, col.Name, "too_long", "the value has %d bytes, at most %d", len(v.ByteArray()), maxTextBytes)
			continue
		}
		cells[i] = col.convert(v)
	}
	return tooLong
}

func (s *parquetSource) nextGroup() error {
	if err := s.closeGroup(); err != nil {
		return err
	}
	s.group++
	groups := s.pq.RowGroups()
	if s.group >= len(groups) {
		return io.EOF
	}
	s.left = groups[s.group].NumRows()
	if s.left < 0 {
		return fmt.Errorf("row group %d claims %d rows", s.group, s.left)
	}
	return guarded(func() error {
		meta := s.pq.Metadata().RowGroups[s.group].Columns
		chunks := groups[s.group].ColumnChunks()
		for _, i := range s.wanted {
			col := &s.flat[i]
			if col.leaf >= len(chunks) || col.leaf >= len(meta) {
				return fmt.Errorf("row group %d lacks column %s", s.group, col.Name)
			}
			if err := checkChunk(s.file, s.size, &meta[col.leaf].MetaData); err != nil {
				return fmt.Errorf("row group %d, column %s: %w", s.group, col.Name, err)
			}
			s.readers = append(s.readers, &chunkReader{pages: chunks[col.leaf].Pages()})
		}
		return nil
	})
}

// chunkReader gives the values of one column chunk.
type chunkReader struct {
	pages  parquet.Pages
	values parquet.ValueReader
	buf    [512]parquet.Value
	have   []parquet.Value
}

var errShortColumn = errors.New("the column ends before the row group does")

func (c *chunkReader) next() (parquet.Value, error) {
	for empty := 0; len(c.have) == 0; empty++ {
		if empty > maxThriftList {
			return parquet.Value{}, errShortColumn
		}
		if err := guarded(c.fill); err != nil {
			return parquet.Value{}, err
		}
	}
	v := c.have[0]
	c.have = c.have[1:]
	return v, nil
}

func (c *chunkReader) fill() error {
	if c.values == nil {
		page, err := c.pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return errShortColumn
		}
		if err != nil {
			return fmt.Errorf("cannot read a page: %w", err)
		}
		c.values = page.Values()
	}
	n, err := c.values.ReadValues(c.buf[:])
	c.have = c.buf[:n]
	if errors.Is(err, io.EOF) {
		c.values = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot decode a page: %w", err)
	}
	return nil
}

// converter says what a column's values become.
func converter(t parquet.Type) (ColumnType, func(parquet.Value) Cell, string) {
	logical := t.LogicalType()
	if logical != nil {
		switch l := logical.Value.(type) {
		case *format.TimestampType:
			return timestamps(l.Unit)
		case *format.DateType:
			return ColumnTime, func(v parquet.Value) Cell { return TimeCell(int64(v.Int32()) * 86_400_000_000) }, ""
		case *format.UUIDType:
			return ColumnText, func(v parquet.Value) Cell { return TextCell(hex.EncodeToString(v.ByteArray())) }, ""
		case *format.DecimalType:
			return decimals(t, l.Scale)
		case *format.Float16Type, *format.TimeType:
			return 0, nil, fmt.Sprintf("type %s is not read: write it as a float64, an integer or text", t)
		}
	}
	switch t.Kind() {
	case parquet.Boolean:
		return ColumnBool, func(v parquet.Value) Cell {
			c := Cell{typ: ColumnBool}
			if v.Boolean() {
				c.int = 1
			}
			return c
		}, ""
	case parquet.Int32:
		if unsigned(logical) {
			return ColumnInt, func(v parquet.Value) Cell { return Cell{typ: ColumnInt, int: int64(v.Uint32())} }, ""
		}
		return ColumnInt, func(v parquet.Value) Cell { return Cell{typ: ColumnInt, int: int64(v.Int32())} }, ""
	case parquet.Int64:
		if unsigned(logical) {
			return 0, nil, "unsigned integers of 64 bits are not read: write it as a signed one, or as a decimal"
		}
		return ColumnInt, func(v parquet.Value) Cell { return Cell{typ: ColumnInt, int: v.Int64()} }, ""
	case parquet.Float:
		return ColumnNumber, func(v parquet.Value) Cell { return NumberCell(float64(v.Float())) }, ""
	case parquet.Double:
		return ColumnNumber, func(v parquet.Value) Cell { return NumberCell(v.Double()) }, ""
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return ColumnText, bytesCell, ""
	default: // Int96, which nobody should write any more
		return 0, nil, fmt.Sprintf("type %s is not read: write times as timestamps in microseconds", t)
	}
}

// maxDecimal bounds a decimal: digits behind the point, and bytes, which are some 76 digits.
const maxDecimal = 32

// decimals become texts, which are read exactly.
func decimals(t parquet.Type, scale int32) (ColumnType, func(parquet.Value) Cell, string) {
	if scale < 0 || scale > maxDecimal || t.Kind() == parquet.FixedLenByteArray && t.Length() > maxDecimal {
		return 0, nil, fmt.Sprintf("type %s is not read: a decimal has 0 to %d digits behind the point, and at most %d bytes", t, maxDecimal, maxDecimal)
	}
	switch t.Kind() {
	case parquet.Int32:
		return ColumnText, func(v parquet.Value) Cell { return decimalCell(big.NewInt(int64(v.Int32())), int(scale)) }, ""
	case parquet.Int64:
		return ColumnText, func(v parquet.Value) Cell { return decimalCell(big.NewInt(v.Int64()), int(scale)) }, ""
	default:
		return ColumnText, func(v parquet.Value) Cell {
			b := v.ByteArray() // two's complement, the highest byte first
			if len(b) > maxDecimal {
				return TextCell(fmt.Sprintf("a decimal of %d bytes", len(b)))
			}
			n := new(big.Int).SetBytes(b)
			if len(b) > 0 && b[0] >= 0x80 {
				n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
			}
			return decimalCell(n, int(scale))
		}, ""
	}
}

// decimalCell writes n / 10^scale.
func decimalCell(n *big.Int, scale int) Cell {
	if scale == 0 {
		return TextCell(n.String())
	}
	sign, digits := "", n.String()
	if n.Sign() < 0 {
		sign, digits = "-", digits[1:]
	}
	if zeros := scale + 1 - len(digits); zeros > 0 {
		digits = strings.Repeat("0", zeros) + digits
	}
	return TextCell(sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:])
}

func unsigned(logical *format.LogicalType) bool {
	if logical == nil {
		return false
	}
	l, ok := logical.Value.(*format.IntType)
	return ok && !l.IsSigned
}

func timestamps(unit format.TimeUnit) (ColumnType, func(parquet.Value) Cell, string) {
	switch unit.Value.(type) {
	case *format.NanoSeconds:
		return ColumnTime, func(v parquet.Value) Cell { return TimeCell(floorDiv(v.Int64(), 1000)) }, ""
	case *format.MicroSeconds:
		return ColumnTime, func(v parquet.Value) Cell { return TimeCell(v.Int64()) }, ""
	case *format.MilliSeconds:
		return ColumnTime, func(v parquet.Value) Cell {
			if ms := v.Int64(); ms < math.MaxInt64/1000 && ms > math.MinInt64/1000 {
				return TimeCell(ms * 1000)
			}
			return TimeCell(math.MaxInt64)
		}, ""
	}
	return 0, nil, "a timestamp of an unknown unit is not read"
}

// TimeCell is a cell of a time, in microseconds since the Unix epoch.
func TimeCell(us int64) Cell { return Cell{typ: ColumnTime, int: us} }

func bytesCell(v parquet.Value) Cell {
	b := v.ByteArray()
	if !utf8.Valid(b) {
		return TextCell(strings.ToValidUTF8(string(b), "\ufffd"))
	}
	return TextCell(string(b))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
