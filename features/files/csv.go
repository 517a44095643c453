package files

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// rowSource gives the rows of a file, in its order.
type rowSource interface {
	// columns are known from the start.
	columns() []Column
	// refusal says why a column without a type is not read.
	refusal(column int) string
	// need says which columns will be read; the cells of the others stay missing.
	need(columns []int)
	// next fills cells, one for each column. A *rejectError is a row that cannot be read, after which the next can; any other
	// error ends the file, io.EOF at its end.
	next(cells []Cell) error
	// progress gives rows and bytes read, and the totals.
	progress() Progress
	close() error
}

// rejectError lets a Reject travel as an error inside the package.
type rejectError struct{ Reject }

func (r *rejectError) Error() string { return r.String() }

// rejected makes the error of a row that is not given.
func rejected(row int64, column, reason, format string, args ...any) error {
	return &rejectError{Reject{row, column, reason, fmt.Sprintf(format, args...)}}
}

func openFile(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err //nolint:wrapcheck // it says "open" and the path already
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func closeFile(f *os.File) error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("cannot close: %w", err)
	}
	return nil
}

// csvSource reads CSV (RFC 4180) with a header.
type csvSource struct {
	file   *os.File
	guard  *rowGuard
	reader *csv.Reader
	header []Column
	null   []string
	wanted []int
	rows   int64
	size   int64
}

// rowGuard bounds how much is read for one row: encoding/csv itself takes a quoted field of any length.
type rowGuard struct {
	r    io.Reader
	left int64
	read int64
}

var errRowTooLong = fmt.Errorf("a row is longer than %d bytes (a quote that is never closed?)", maxRowBytes)

func (g *rowGuard) Read(p []byte) (int, error) {
	if g.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := g.r.Read(p)
	g.left -= int64(n)
	g.read += int64(n)
	return n, err //nolint:wrapcheck // a reader passes on io.EOF as it is
}

const csvBuffer = 64 << 10

// reset allows one more row; what is buffered already belongs to it.
func (g *rowGuard) reset() { g.left = maxRowBytes + csvBuffer }

func openCSV(path string, opt csvOptions) (_ *csvSource, err error) {
	f, size, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	s := &csvSource{file: f, guard: &rowGuard{r: f}, null: opt.null, size: size}
	s.guard.reset()
	s.reader = csv.NewReader(bufio.NewReaderSize(s.guard, csvBuffer))
	s.reader.Comma = opt.delimiter
	s.reader.ReuseRecord = true
	header, err := s.reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the file is empty: the first row must name the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the header: %w", err)
	}
	if len(header) > maxColumns {
		return nil, fmt.Errorf("the header names %d columns, at most %d are read", len(header), maxColumns)
	}
	for i, name := range header {
		if i == 0 {
			name = strings.TrimPrefix(name, byteOrderMark)
		}
		s.header = append(s.header, Column{strings.Clone(name), ColumnText})
	}
	return s, nil
}

func (s *csvSource) columns() []Column  { return s.header }
func (s *csvSource) refusal(int) string { return "" } // texts are read

func (s *csvSource) need(cols []int) { s.wanted = cols }
func (s *csvSource) close() error    { return closeFile(s.file) }

func (s *csvSource) progress() Progress {
	return Progress{Rows: s.rows, TotalRows: -1, Bytes: min(s.guard.read, s.size), TotalBytes: s.size}
}

func (s *csvSource) next(cells []Cell) error {
	s.guard.reset()
	record, err := s.reader.Read()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	s.rows++
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return rejected(s.rows, "", "malformed", "%v", parse)
	}
	if err != nil {
		return fmt.Errorf("row %d: %w", s.rows, err)
	}
	for _, i := range s.wanted {
		cells[i] = Cell{}
		switch {
		case slices.Contains(s.null, record[i]):
		case len(record[i]) > maxTextBytes:
			return rejected(s.rows, s.header[i].Name, "too_long", "the value has %d bytes, at most %d", len(record[i]), maxTextBytes)
		default:
			cells[i] = TextCell(strings.Clone(record[i]))
		}
	}
	return nil
}
