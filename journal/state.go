package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"pitboss/journal/internal/vfs"
)

// The file "state", version 1: what was safe at a moment. It is written on open, on close and before retention
// removes a segment, always after the fsync of what it tells of. Its only use is to notice that something is gone: a
// log that ends earlier, begins later or has fewer keys than it says has lost files or bytes.
//
// It has two slots of 64 bytes, at bytes 0 and 512, written in turn: one is whole whenever the power fails, and
// writing needs no free space, so that a full disk does not keep retention from making room.
//
//	 0  8  "pbjstate"
//	 8  2  format version, 1
//	10  2  flags; bit 0: closed, not killed
//	12  4  partition
//	16 16  journal id
//	32  8  offset of the oldest kept frame, or of the next one if there is none
//	40  8  offset of the newest frame
//	48  8  number of key slots
//	56  4  sequence number: the slot with the larger one is valid
//	60  4  CRC32C of bytes 0-59
const (
	stateName    = "state"
	stateMagic   = "pbjstate"
	stateSlotGap = 512
	flagClean    = 1
)

type state struct {
	clean      bool
	partition  uint32
	id         journalID
	tail, head uint64
	keys       uint64
	seq        uint32
}

func (s state) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, stateMagic)
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	if s.clean {
		binary.LittleEndian.PutUint16(b[10:], flagClean)
	}
	binary.LittleEndian.PutUint32(b[12:], s.partition)
	copy(b[16:], s.id[:])
	binary.LittleEndian.PutUint64(b[32:], s.tail)
	binary.LittleEndian.PutUint64(b[40:], s.head)
	binary.LittleEndian.PutUint64(b[48:], s.keys)
	binary.LittleEndian.PutUint32(b[56:], s.seq)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

var errBadState = errors.New("no slot of it is whole: restore the file from a copy")

func decodeState(b []byte) (s state, err error) {
	if len(b) < headerSize {
		return s, errBadState
	}
	if binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return s, errBadState
	}
	if err := checkMagic(b, stateMagic, formatVersion); err != nil {
		return s, err
	}
	return state{
		clean:     binary.LittleEndian.Uint16(b[10:])&flagClean != 0,
		partition: binary.LittleEndian.Uint32(b[12:]),
		id:        journalID(b[16:32]),
		tail:      binary.LittleEndian.Uint64(b[32:]),
		head:      binary.LittleEndian.Uint64(b[40:]),
		keys:      binary.LittleEndian.Uint64(b[48:]),
		seq:       binary.LittleEndian.Uint32(b[56:]),
	}, nil
}

// decodeStates returns the newer of the slots of a state file.
func decodeStates(b []byte) (newest state, err error) {
	err = errBadState
	for _, at := range []int{0, stateSlotGap} {
		s, serr := decodeState(b[min(at, len(b)):])
		if errors.Is(serr, ErrFormat) {
			return state{}, serr
		}
		if serr == nil && (err != nil || s.seq > newest.seq) {
			newest, err = s, nil
		}
	}
	return newest, err
}

// stateFile is the open file.
type stateFile struct {
	path string

	mu   sync.Mutex // guards all below; held over the write
	file vfs.File
	seq  uint32
}

// openState opens the state file; without one it returns nil and the zero state: a journal that died before it was
// made, or a copy without it.
func openState(fsys vfs.FS, dir string) (_ *stateFile, s state, err error) {
	sf := &stateFile{path: filepath.Join(dir, stateName)}
	sf.file, err = fsys.Open(sf.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s, nil
	}
	if err != nil {
		return nil, s, ioError("open", sf.path, err)
	}
	b := make([]byte, stateSlotGap+headerSize)
	n, err := sf.file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, s, errors.Join(ioError("read", sf.path, err), sf.file.Close())
	}
	s, err = decodeStates(b[:n])
	if errors.Is(err, ErrFormat) {
		return nil, s, errors.Join(fmt.Errorf("cannot read %q: %w", sf.path, err), sf.file.Close())
	}
	if err != nil {
		return nil, s, errors.Join(&CorruptError{File: sf.path, Reason: err.Error()}, sf.file.Close())
	}
	sf.seq = s.seq
	return sf, s, nil
}

// createState makes the file; its name is safe when it returns.
func createState(fsys vfs.FS, dir string, s state) (*stateFile, error) {
	f, err := writeFile(fsys, dir, stateName, s.encode())
	if err != nil {
		return nil, err
	}
	return &stateFile{path: filepath.Join(dir, stateName), file: f}, nil
}

// save writes and fsyncs the other slot.
func (f *stateFile) save(s state) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	s.seq = f.seq
	if _, err := f.file.WriteAt(s.encode(), int64(f.seq%2)*stateSlotGap); err != nil {
		return ioError("write", f.path, err)
	}
	if err := f.file.Sync(); err != nil {
		return ioError("fsync", f.path, err)
	}
	return nil
}

func (f *stateFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.file.Close(); err != nil {
		return ioError("close", f.path, err)
	}
	return nil
}
