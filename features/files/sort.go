package files

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "pitboss/proto/pitboss/v1"
)

// sorter puts the events of a file in any order, and their labels, in order of time: it sorts runs in memory, writes
// them to temporary files, and merges those. A file that fits one run never touches the disk. At a moment labels go
// first, as merger has it, and then the order of the file.
type sorter struct {
	read func() (*Row, []*Row, error)
	dir  string
	rows int

	run      []timedRow
	runBytes int
	order    int64
	runs     []*sortRun
	started  bool
	heads    rowHeap
	from     map[*Row]*sortRun
}

func newSorter(read func() (*Row, []*Row, error), opt Options) *sorter {
	rows := opt.SortRows
	if rows <= 0 {
		rows = sortRunRows
	}
	return &sorter{read: read, dir: opt.TempDir, rows: rows, from: map[*Row]*sortRun{}}
}

func (s *sorter) next() (*Row, error) {
	if !s.started {
		if err := s.sort(); err != nil {
			return nil, err
		}
		s.started = true
	}
	if len(s.heads.rows) == 0 {
		return nil, io.EOF
	}
	row := heap.Pop(&s.heads).(timedRow).Row
	run := s.from[row]
	delete(s.from, row)
	return row, s.take(run)
}

// sort reads everything.
func (s *sorter) sort() error {
	for {
		row, labels, err := s.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		s.add(row)
		for _, l := range labels {
			s.add(l)
		}
		if len(s.run) >= s.rows || s.runBytes >= sortRunBytes {
			if err := s.spill(); err != nil {
				return err
			}
		}
	}
	s.sortRun()
	s.runs = append(s.runs, &sortRun{rows: s.run})
	s.run = nil
	for _, r := range s.runs {
		if err := s.take(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *sorter) add(row *Row) {
	s.order++
	order := s.order
	if row.Label {
		order -= 1 << 62
	}
	s.run = append(s.run, timedRow{row, micros(row.Event), order})
	s.runBytes += proto.Size(row.Event) + 64*len(row.Kept)
}

func (s *sorter) sortRun() {
	slices.SortFunc(s.run, func(a, b timedRow) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
}

// take puts a run's next row among the heads.
func (s *sorter) take(r *sortRun) error {
	row, ok, err := r.next()
	if err != nil {
		return fmt.Errorf("cannot read what was sorted: %w", err)
	}
	if ok {
		heap.Push(&s.heads, row)
		s.from[row.Row] = r
	}
	return nil
}

// spill writes the run to a temporary file.
func (s *sorter) spill() (err error) {
	if len(s.runs) >= maxSortRuns {
		return fmt.Errorf("the file has more than %d runs of %d rows to sort: split it", maxSortRuns, s.rows)
	}
	s.sortRun()
	f, err := os.CreateTemp(s.dir, "pitboss-sort-*")
	if err != nil {
		return fmt.Errorf("cannot sort: %w", err)
	}
	run := &sortRun{file: f, left: len(s.run)}
	s.runs = append(s.runs, run)
	w := bufio.NewWriterSize(f, 1<<20)
	var buf []byte
	for _, row := range s.run {
		if buf, err = appendRow(buf[:0], row); err != nil {
			return fmt.Errorf("cannot sort: %w", err)
		}
		if _, err := w.Write(buf); err != nil {
			return fmt.Errorf("cannot sort: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("cannot sort: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("cannot sort: %w", err)
	}
	run.r = bufio.NewReaderSize(f, 1<<18)
	clear(s.run)
	s.run, s.runBytes = s.run[:0], 0
	return nil
}

func (s *sorter) close() (err error) {
	for _, r := range s.runs {
		if r.file != nil {
			err = errors.Join(err, r.file.Close(), os.Remove(r.file.Name()))
		}
	}
	s.runs, s.heads.rows, s.from = nil, nil, nil
	return err
}

// sortRun is one sorted run, in memory or in a file.
type sortRun struct {
	rows []timedRow

	file *os.File
	r    *bufio.Reader
	left int
	buf  []byte
}

func (r *sortRun) next() (row timedRow, ok bool, err error) {
	if r.file == nil {
		if len(r.rows) == 0 {
			return timedRow{}, false, nil
		}
		row, r.rows[0] = r.rows[0], timedRow{}
		r.rows = r.rows[1:]
		return row, true, nil
	}
	if r.left == 0 {
		return timedRow{}, false, nil
	}
	r.left--
	row, err = r.readRow()
	return row, err == nil, err
}

// A row in a run: time, order, number, whether it is a label, the event, and the kept cells; lengths first.
func appendRow(dst []byte, row timedRow) ([]byte, error) {
	msg, err := proto.Marshal(row.Event)
	if err != nil {
		return nil, err
	}
	dst = binary.AppendVarint(dst, row.at)
	dst = binary.AppendVarint(dst, row.order)
	dst = binary.AppendVarint(dst, row.Number)
	label := byte(0)
	if row.Label {
		label = 1
	}
	dst = append(dst, label)
	dst = append(binary.AppendUvarint(dst, uint64(len(msg))), msg...)
	dst = binary.AppendUvarint(dst, uint64(len(row.Kept)))
	for _, c := range row.Kept {
		dst = append(dst, byte(c.typ))
		dst = binary.AppendVarint(dst, c.int)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.number))
		dst = append(binary.AppendUvarint(dst, uint64(len(c.text))), c.text...)
	}
	return dst, nil
}

func (r *sortRun) readRow() (timedRow, error) {
	row := timedRow{Row: &Row{Event: &pb.Event{}}}
	var err error
	integer := func(to *int64) {
		if err == nil {
			*to, err = binary.ReadVarint(r.r)
		}
	}
	integer(&row.at)
	integer(&row.order)
	integer(&row.Number)
	if err != nil {
		return row, err
	}
	label, err := r.r.ReadByte()
	if err != nil {
		return row, err
	}
	row.Label = label == 1
	msg, err := r.bytes()
	if err != nil {
		return row, err
	}
	if err := proto.Unmarshal(msg, row.Event); err != nil {
		return row, err
	}
	kept, err := binary.ReadUvarint(r.r)
	if err != nil || kept == 0 {
		return row, err
	}
	if kept > maxColumns {
		return row, fmt.Errorf("a row keeps %d columns", kept)
	}
	row.Kept = make([]Cell, kept)
	for i := range row.Kept {
		if row.Kept[i], err = r.cell(); err != nil {
			return row, err
		}
	}
	return row, nil
}

func (r *sortRun) cell() (c Cell, err error) {
	typ, err := r.r.ReadByte()
	if err != nil {
		return c, err
	}
	c.typ = ColumnType(typ)
	if c.int, err = binary.ReadVarint(r.r); err != nil {
		return c, err
	}
	var bits [8]byte
	if _, err := io.ReadFull(r.r, bits[:]); err != nil {
		return c, err
	}
	c.number = math.Float64frombits(binary.LittleEndian.Uint64(bits[:]))
	text, err := r.bytes()
	c.text = string(text)
	return c, err
}

// bytes reads a length and so many bytes, which are good until the next call.
func (r *sortRun) bytes() ([]byte, error) {
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return nil, err
	}
	if n > 4*maxRowBytes {
		return nil, fmt.Errorf("a value of %d bytes", n)
	}
	r.buf = slices.Grow(r.buf[:0], int(n))[:n]
	_, err = io.ReadFull(r.r, r.buf)
	return r.buf, err
}
