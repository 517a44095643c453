package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"

	"pitboss/features/wire"
	pb "pitboss/proto/pitboss/v1"
)

// jsonlSource reads one event per line, in proto3 JSON. Reading JSON takes longer than what is done with most events, so
// that blocks of lines are decoded side by side, ahead of who asks; they come in the order of the file.
type jsonlSource struct {
	file   *os.File
	size   int64
	reader lineReader // readAhead's, until ahead is closed

	// ahead has the blocks in order, each of which can be received once it is decoded. It bounds how many there are. Nothing is
	// read before the first event is asked for: who only looks at a pipe must leave it as it is.
	ahead  chan chan []jsonLine
	closed chan struct{}
	done   sync.WaitGroup

	block []jsonLine
	lines int64
	read  int64
}

// jsonLine is what came of one line.
type jsonLine struct {
	text []byte
	row  *Row
	err  error
	// number counts lines, end is where it ends.
	number, end int64
}

// A block is full with so many lines or bytes.
const (
	blockLines = 64
	blockBytes = 256 << 10
)

func openJSONL(path string) (*jsonlSource, error) {
	f, size, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return &jsonlSource{file: f, size: size, reader: lineReader{reader: bufio.NewReaderSize(f, maxRowBytes)}, closed: make(chan struct{})}, nil
}

func (s *jsonlSource) close() error {
	close(s.closed)
	err := closeFile(s.file) // ends a read that waits for a pipe
	s.done.Wait()
	return err
}

func (s *jsonlSource) progress() Progress {
	return Progress{Rows: s.lines, TotalRows: -1, Bytes: s.read, TotalBytes: s.size}
}

// next gives the next event; blank lines are passed over.
func (s *jsonlSource) next() (*Row, error) {
	if s.ahead == nil {
		s.ahead = make(chan chan []jsonLine, runtime.GOMAXPROCS(0))
		s.done.Go(s.readAhead)
	}
	for len(s.block) == 0 {
		decoded, ok := <-s.ahead
		if !ok {
			s.lines, s.read = s.reader.lines, s.reader.read
			return nil, io.EOF
		}
		s.block = <-decoded
	}
	line := s.block[0]
	s.block, s.lines, s.read = s.block[1:], line.number, line.end
	return line.row, line.err
}

// readAhead reads blocks until the file ends or is closed.
func (s *jsonlSource) readAhead() {
	defer close(s.ahead)
	for more := true; more; {
		var block []jsonLine
		if block, more = s.reader.block(); len(block) == 0 {
			continue
		}
		decoded := make(chan []jsonLine, 1)
		select {
		case s.ahead <- decoded:
		case <-s.closed:
			return
		}
		s.done.Go(func() {
			for i := range block {
				block[i].decode()
			}
			decoded <- block
		})
	}
}

// decode reads the event of a line that could be read.
func (l *jsonLine) decode() {
	if l.err != nil {
		return
	}
	ev := &pb.Event{}
	if err := (protojson.UnmarshalOptions{RecursionLimit: maxJSONDepth}).Unmarshal(l.text, ev); err != nil && !wire.DecodeNewer(l.text, ev) {
		l.err = rejected(l.number, "", "malformed", "%s", clipLong(err.Error()))
	} else if err := ev.GetOccurredAt().CheckValid(); err != nil {
		l.err = rejected(l.number, "occurredAt", "bad_value", "%s", clipLong(err.Error()))
	} else {
		l.row = &Row{Event: ev, Number: l.number, Place: l.number}
	}
	l.text = nil
}

// lineReader reads lines and knows where it is.
type lineReader struct {
	reader      *bufio.Reader
	lines, read int64
}

// block gives the next lines that are not blank, of a file that may end with them: those that are there already, since a pipe may
// have no more before these are dealt with. An error of the file is the last line's.
func (r *lineReader) block() (block []jsonLine, more bool) {
	for size := 0; len(block) == 0 || len(block) < blockLines && size < blockBytes && r.waits(); {
		line, err := r.line()
		if errors.Is(err, io.EOF) {
			return block, false
		}
		if line = bytes.TrimSpace(line); len(line) == 0 && err == nil {
			continue
		}
		block = append(block, jsonLine{text: bytes.Clone(line), err: err, number: r.lines, end: r.read})
		if _, ok := errors.AsType[*rejectError](err); err != nil && !ok {
			return block, false
		}
		size += len(line)
	}
	return block, true
}

// waits says whether another line can be had without reading the file.
func (r *lineReader) waits() bool {
	buffered, err := r.reader.Peek(r.reader.Buffered())
	return err == nil && bytes.IndexByte(buffered, '\n') >= 0
}

// line gives the next line without its end. One that is too long is passed over and rejected.
func (r *lineReader) line() ([]byte, error) {
	line, err := r.reader.ReadSlice('\n')
	r.read += int64(len(line))
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil, io.EOF
	}
	r.lines++
	if r.lines == 1 {
		line = bytes.TrimPrefix(line, []byte(byteOrderMark))
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("line %d: %w", r.lines, err)
		}
		return line, nil
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.reader.ReadSlice('\n')
		r.read += int64(len(line))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: %w", r.lines, err)
	}
	return nil, rejected(r.lines, "", "too_long", "the line is longer than %d bytes", maxRowBytes)
}

func clipLong(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}
