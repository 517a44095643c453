package journal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

// spill keeps on disk what a Memory forgets: a file without a name where the system can, of payloads one after the other,
// found by an index in RAM.
type spill struct {
	file  *os.File
	w     *bufio.Writer
	size  int64
	index []spilled // of the frames from the first one on
}

// spilled is a frame whose payload is in the file.
type spilled struct {
	at     int64
	length uint32
	kind   Kind
	key    KeyID
	time   int64
}

// put writes a frame; the next one must be the one after it.
func (s *spill) put(dir string, f *Frame) error {
	if s.file == nil {
		file, err := os.CreateTemp(dir, "pitboss-journal-*")
		if err != nil {
			return fmt.Errorf("cannot make a file for frames: %w", err)
		}
		_ = os.Remove(file.Name()) // where an open file cannot be removed, close does it
		s.file, s.w = file, bufio.NewWriterSize(file, 1<<20)
	}
	if _, err := s.w.Write(f.Payload); err != nil {
		return fmt.Errorf("cannot write frame %v to %q: %w", f.Pos, s.file.Name(), err)
	}
	s.index = append(s.index, spilled{s.size, uint32(len(f.Payload)), f.Kind, f.KeyID, f.Time})
	s.size += int64(len(f.Payload))
	return nil
}

// get reads a frame that was put.
func (s *spill) get(p Pos) (Frame, error) {
	at := s.index[p.Offset-1]
	f := Frame{Pos: p, Kind: at.kind, KeyID: at.key, Time: at.time, Payload: make([]byte, at.length)}
	if err := s.w.Flush(); err != nil {
		return Frame{}, fmt.Errorf("cannot write frames to %q: %w", s.file.Name(), err)
	}
	if _, err := s.file.ReadAt(f.Payload, at.at); err != nil {
		return Frame{}, fmt.Errorf("cannot read frame %v from %q: %w", p, s.file.Name(), err)
	}
	return f, nil
}

func (s *spill) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if gone := os.Remove(s.file.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}
