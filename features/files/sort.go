package files

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"google.golang.org/protobuf/proto"
)

// sorter puts the events of a file in any order, and their labels, in order of time: it sorts runs in memory, writes
// them to temporary files, and merges those. A file that fits one run never touches the disk.
type sorter struct {
	read    func() (*Row, []*Row, error)
	compare func(a, b timedRow) int
	// key is what rows are sorted by first: their time.
	key  func(*Row) int64
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

func newSorter(read func() (*Row, []*Row, error), compare func(a, b timedRow) int, opt Options) *sorter {
	rows := opt.SortRows
	if rows <= 0 {
		rows = sortRunRows
	}
	return &sorter{
		read: read, compare: compare, key: func(r *Row) int64 { return micros(r.Event) }, dir: opt.TempDir, rows: rows,
		heads: rowHeap{compare: compare}, from: map[*Row]*sortRun{},
	}
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
	row := s.heads.pop().Row
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
	s.run = append(s.run, timedRow{row, s.key(row), s.order})
	s.runBytes += proto.Size(row.Event) + 64*len(row.Kept)
}

func (s *sorter) sortRun() {
	slices.SortFunc(s.run, s.compare)
}

// take puts a run's next row among the heads.
func (s *sorter) take(r *sortRun) error {
	row, ok, err := r.next()
	if err != nil {
		return fmt.Errorf("cannot read what was sorted: %w", err)
	}
	if ok {
		s.heads.push(row)
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
			return err
		}
		if _, err := w.Write(binary.AppendUvarint(nil, uint64(len(buf)))); err != nil {
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

func (r *sortRun) readRow() (timedRow, error) {
	n, err := binary.ReadUvarint(r.r)
	if err != nil || n > maxSortedRow {
		return timedRow{}, fmt.Errorf("a row of %d bytes: %w", n, err)
	}
	r.buf = slices.Grow(r.buf[:0], int(n))[:n]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return timedRow{}, fmt.Errorf("a row is cut short: %w", err)
	}
	return decodeRow(r.buf)
}
