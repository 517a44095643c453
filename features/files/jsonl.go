package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protojson"

	pb "pitboss/proto/pitboss/v1"
)

// jsonlSource reads one event per line, in proto3 JSON.
type jsonlSource struct {
	file   *os.File
	reader *bufio.Reader
	decode protojson.UnmarshalOptions
	lines  int64
	read   int64
	size   int64
}

func openJSONL(path string) (*jsonlSource, error) {
	f, size, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return &jsonlSource{
		file: f, reader: bufio.NewReaderSize(f, maxRowBytes), size: size,
		decode: protojson.UnmarshalOptions{RecursionLimit: maxJSONDepth},
	}, nil
}

func (s *jsonlSource) close() error { return closeFile(s.file) }

func (s *jsonlSource) progress() Progress {
	return Progress{Rows: s.lines, TotalRows: -1, Bytes: s.read, TotalBytes: s.size}
}

// next gives the next event; blank lines are passed over.
func (s *jsonlSource) next() (*Row, error) {
	for {
		line, err := s.line()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		ev := &pb.Event{}
		if err := s.decode.Unmarshal(line, ev); err != nil {
			return nil, rejected(s.lines, "", "malformed", "%s", clipLong(err.Error()))
		}
		if err := ev.GetOccurredAt().CheckValid(); err != nil {
			return nil, rejected(s.lines, "occurredAt", "bad_value", "%s", clipLong(err.Error()))
		}
		return &Row{Event: ev, Number: s.lines, Place: s.lines}, nil
	}
}

// line gives the next line without its end. One that is too long is passed over and rejected.
func (s *jsonlSource) line() ([]byte, error) {
	line, err := s.reader.ReadSlice('\n')
	s.read += int64(len(line))
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil, io.EOF
	}
	s.lines++
	if !errors.Is(err, bufio.ErrBufferFull) {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("line %d: %w", s.lines, err)
		}
		return line, nil
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = s.reader.ReadSlice('\n')
		s.read += int64(len(line))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: %w", s.lines, err)
	}
	return nil, rejected(s.lines, "", "too_long", "the line is longer than %d bytes", maxRowBytes)
}

func clipLong(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}
