package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"pitboss/journal/internal/vfs"
)

// maxIdleHandles bounds the segment files that stay open although nobody reads them.
const maxIdleHandles = 128

// segment is a run of frames of which there is one valid file at any time, though not always the same.
type segment struct {
	first uint64 // offset of the first frame
	path  string

	mu  sync.RWMutex // guards cur; held over the rename that puts a new file in its place
	cur *segmentFile
}

// acquire returns the segment's present file, open until release.
func (s *segment) acquire() (*segmentFile, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cur, s.cur.acquire()
}

// file returns the present file without opening it.
func (s *segment) file() *segmentFile {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cur
}

// replace makes f the segment's file by renaming it over the old one. Readers that have the old one open keep it.
func (s *segment) replace(fsys vfs.FS, tmp string, f *segmentFile) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := fsys.Rename(tmp, s.path); err != nil {
		return ioError("rename", s.path, err)
	}
	s.cur.retire()
	s.cur = f
	return nil
}

// segmentFile is one file of a segment with what is known of it. Only the newest segment's grows.
type segmentFile struct {
	path    string
	header  segmentHeader
	handles *handles
	sha     [32]byte // of a compact one

	mu       sync.RWMutex // guards all below
	end      int64        // where the readable frames end: written ones
	last     uint64       // offset of the last readable frame; first-1 if there is none
	size     int64        // of the file, footer included
	marks    []mark
	minTime  int64
	maxTime  int64
	nextMark int64 // the byte from which on the next frame gets a mark

	// Guarded by handles.mu.
	file    vfs.File
	refs    int
	retired bool
}

func newSegmentFile(path string, h segmentHeader, hs *handles) *segmentFile {
	return &segmentFile{path: path, header: h, handles: hs, end: headerSize, size: headerSize, last: h.first - 1, nextMark: headerSize}
}

// note remembers a frame that begins at byte at. It is called with mu held or before anybody else has the file.
func (f *segmentFile) note(offset uint64, at int64, size int, time int64) {
	if f.last < f.header.first {
		f.minTime, f.maxTime = time, time
	}
	f.minTime, f.maxTime = min(f.minTime, time), max(f.maxTime, time)
	f.last, f.end = offset, at+int64(size)
	f.size = max(f.size, f.end)
	if at >= f.nextMark {
		f.marks = append(f.marks, mark{rel: uint32(offset - f.header.first), at: uint32(at)})
		f.nextMark = at + indexGrain
	}
}

// span is a part of a file that begins at a frame with a known offset and ends between two frames.
type span struct {
	offset uint64
	from   int64
	to     int64
}

// locate returns the span between two marks that holds a readable frame.
func (f *segmentFile) locate(offset uint64) (span, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if offset < f.header.first || offset > f.last {
		return span{}, false
	}
	i, found := slices.BinarySearchFunc(f.marks, uint32(offset-f.header.first), func(m mark, rel uint32) int {
		return cmp.Compare(m.rel, rel)
	})
	if !found {
		i--
	}
	s := span{offset: f.header.first + uint64(f.marks[i].rel), from: int64(f.marks[i].at), to: f.end}
	if i+1 < len(f.marks) {
		s.to = int64(f.marks[i+1].at)
	}
	return s, true
}

// readable returns where the written frames end and which is the last.
func (f *segmentFile) readable() (end int64, last uint64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.end, f.last
}

func (f *segmentFile) info(partition uint32) Segment {
	f.mu.RLock()
	defer f.mu.RUnlock()
	s := Segment{First: Pos{partition, f.header.first}, Path: f.path, Bytes: f.size, MinTime: f.minTime, MaxTime: f.maxTime,
		Compact: f.header.compact, SHA256: f.sha}
	if f.last >= f.header.first {
		s.Last = Pos{partition, f.last}
	}
	return s
}

func (f *segmentFile) acquire() error { return f.handles.acquire(f) }

func (f *segmentFile) release() { f.handles.release(f) }

func (f *segmentFile) retire() { f.handles.retire(f) }

// readAt reads all of p; the file must be acquired.
func (f *segmentFile) readAt(p []byte, at int64) error {
	n, err := f.file.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return f.corrupt(at+int64(n), 0, "the file ends too early: restore it from a copy")
	}
	return ioError("read", f.path, err)
}

// corrupt makes the error for a place in the file.
func (f *segmentFile) corrupt(at int64, offset uint64, format string, args ...any) *CorruptError {
	e := &CorruptError{File: f.path, Byte: at, Reason: fmt.Sprintf(format, args...)}
	if offset != 0 {
		e.Pos = Pos{f.header.partition, offset}
	}
	return e
}

// handles keeps the number of open segment files bounded, however many segments there are.
type handles struct {
	fs vfs.FS

	mu   sync.Mutex // guards all below and file, refs, retired of every segmentFile; held over open and close
	idle []*segmentFile
	done bool // nothing is opened any more
}

func (h *handles) acquire(f *segmentFile) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done {
		return ErrClosed
	}
	if f.file == nil {
		file, err := h.fs.Open(f.path)
		if err != nil {
			return ioError("open", f.path, err)
		}
		f.file = file
	}
	if i := slices.Index(h.idle, f); i >= 0 {
		h.idle = slices.Delete(h.idle, i, i+1)
	}
	f.refs++
	return nil
}

func (h *handles) release(f *segmentFile) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.refs--
	if f.refs > 0 {
		return
	}
	if f.retired || h.done {
		f.closeFile()
		return
	}
	h.idle = append(h.idle, f)
	if len(h.idle) > maxIdleHandles { // the one that was used longest ago
		h.idle[0].closeFile()
		h.idle = slices.Delete(h.idle, 0, 1)
	}
}

// retire says that the file lost its name: it is closed when nobody reads it any more.
func (h *handles) retire(f *segmentFile) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.retired = true
	if i := slices.Index(h.idle, f); i >= 0 {
		h.idle = slices.Delete(h.idle, i, i+1)
		f.closeFile()
	}
}

// closeFile is called with handles.mu held. A failed close of a file that was only read says nothing about the data;
// what was written was fsynced before.
func (f *segmentFile) closeFile() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}

// close closes all files that nobody reads; the others close with their last reader.
func (h *handles) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = true
	for _, f := range h.idle {
		f.closeFile()
	}
	h.idle = nil
}
