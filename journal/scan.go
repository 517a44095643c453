package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// readChunk is how much sequential readers read at once.
const readChunk = 256 << 10

// frameReader reads the frames of an acquired file through a buffer of its own. The bytes it returns are valid until
// its next call.
type frameReader struct {
	file   *segmentFile
	buf    []byte
	lo, hi int64 // the part of the file that buf holds
}

// bytes returns n bytes at a place; limit is where reading ahead must end.
func (r *frameReader) bytes(at int64, n int, limit int64) ([]byte, error) {
	if at < r.lo || at+int64(n) > r.hi {
		size := int(min(max(int64(n), readChunk), limit-at))
		if cap(r.buf) < size {
			r.buf = make([]byte, size)
		}
		r.buf = r.buf[:size]
		r.lo, r.hi = 0, 0
		if err := r.file.readAt(r.buf, at); err != nil {
			return nil, err
		}
		r.lo, r.hi = at, at+int64(size)
	}
	return r.buf[at-r.lo : at-r.lo+int64(n)], nil
}

// frame returns the bytes of the frame at a place: errShortFrame if it does not end before limit, errBadFrame if its
// length is impossible.
func (r *frameReader) frame(at, limit int64) ([]byte, error) {
	if limit-at < 8 {
		return nil, errShortFrame
	}
	head, err := r.bytes(at, 8, limit)
	if err != nil {
		return nil, err
	}
	n := frameSize(head)
	if n == 0 {
		return nil, errBadFrame
	}
	if int64(n) > limit-at {
		return nil, errShortFrame
	}
	return r.bytes(at, n, limit)
}

// record returns the frame at a place, which must be the one with this offset.
func (r *frameReader) record(at, limit int64, offset uint64) (rec record, raw []byte, err error) {
	raw, err = r.frame(at, limit)
	if err != nil {
		return rec, nil, err
	}
	rec, err = decodeFrame(raw, r.file.header.salt)
	if err != nil {
		return rec, nil, err
	}
	if got := rec.frame.Pos.Offset; got != offset {
		return rec, nil, fmt.Errorf("%w: it says that it is frame %d", errBadFrame, got)
	}
	return rec, raw, nil
}

// isBad says whether an error is about the bytes of a frame, not about reading them.
func isBad(err error) bool { return errors.Is(err, errShortFrame) || errors.Is(err, errBadFrame) }

// scan reads an acquired file from its header on and notes every frame up to the first bad one; why is what is wrong
// with that, nil if the file ends after a good frame.
func scan(f *segmentFile, size int64, known func(KeyID) bool) (why, err error) {
	r := frameReader{file: f}
	for f.end < size {
		rec, raw, err := r.record(f.end, size, f.last+1)
		if isBad(err) {
			return err, nil
		}
		if err != nil {
			return nil, err
		}
		if id := rec.frame.KeyID; id != 0 && !known(id) { // keys are safe before any frame has them: this is no torn end
			return nil, f.corrupt(f.end, rec.frame.Pos.Offset, "its key %d is not in the file %q: restore that from a copy", id, keysName)
		}
		f.note(rec.frame.Pos.Offset, f.end, len(raw), rec.frame.Time)
	}
	return nil, nil
}

// rest is what lies behind the last good frame of a file.
type rest struct {
	frames  int    // good ones behind the bad one
	first   uint64 // offset of the first of them
	at      int64  // and its place
	durable uint64 // up to here the log had been fsynced, as the best of them proves
}

// examineRest looks for good frames in the rest of a file that begins with a bad one. What makes a frame good is the
// segment's salt in its checksum, so neither a payload nor a stale block of the disk is taken for one.
func examineRest(f *segmentFile, size int64) (rest, error) {
	var found rest
	r := frameReader{file: f}
	for at := f.end; at+minFrameSize <= size; {
		rec, ok, err := plausible(&r, at, size, f.last)
		if err != nil {
			return rest{}, err
		}
		if !ok {
			at++
			continue
		}
		if found.frames == 0 {
			found.first, found.at = rec.frame.Pos.Offset, at
		}
		found.frames++
		found.durable = max(found.durable, rec.durable)
		at += int64(rec.size)
	}
	return found, nil
}

// plausible decodes the frame at a place if there is one with an offset beyond after. The checks before the checksum
// are cheap and leave almost nothing of random bytes.
func plausible(r *frameReader, at, size int64, after uint64) (rec record, ok bool, err error) {
	head, err := r.bytes(at, 12, size)
	if err != nil {
		return rec, false, err
	}
	n := frameSize(head)
	if n == 0 || int64(n) > size-at || head[9] > codecZstd || head[10]|head[11] != 0 {
		return rec, false, nil
	}
	var tail [frameTailSize]byte
	err = r.file.readAt(tail[:], at+int64(n)-frameTailSize)
	if err != nil {
		return rec, false, err
	}
	offset := binary.LittleEndian.Uint64(tail[:])
	if offset <= after || offset-after > uint64(size)/minFrameSize {
		return rec, false, nil
	}
	raw := make([]byte, n)
	err = r.file.readAt(raw, at)
	if err != nil {
		return rec, false, err
	}
	rec, err = decodeFrame(raw, r.file.header.salt)
	return rec, err == nil, nil
}
