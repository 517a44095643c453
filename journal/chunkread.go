package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
)

// parcelBuf is what opening a parcel needs.
type parcelBuf struct {
	heads []byte
	zbuf  []byte
}

// openParcel returns the plain bytes of a parcel in dst, which has room for them, or ErrErased.
func (s *sealer) openParcel(buf *parcelBuf, c *chunk, parcel uint32, stored []byte, salt uint64, dst []byte) ([]byte, error) {
	p := &c.parcels[parcel]
	if p.codec == codecGone {
		return nil, ErrErased
	}
	if crcSalt(crc32.Checksum(stored, castagnoli), salt) != p.crc {
		return nil, errors.New("the checksum of its parcel does not match: restore the file from a copy")
	}
	switch {
	case p.key == 0 && p.codec == codecNone:
		return append(dst[:0], stored...), nil
	case p.codec == codecNone:
		return s.unsealParcel(buf, c, parcel, stored, dst[:0])
	case p.key != 0:
		plain, err := s.unsealParcel(buf, c, parcel, stored, buf.zbuf[:0])
		if err != nil {
			return nil, err
		}
		buf.zbuf, stored = plain, plain
	}
	// The capacity bounds what the parcel may expand to.
	plain, err := s.zdec.DecodeAll(stored, dst[:0:p.plain])
	if err == nil && len(plain) != p.plain {
		err = errBadChunk
	}
	if err != nil {
		return nil, fmt.Errorf("the payload cannot be decompressed (%w): restore the file from a copy", err)
	}
	return plain, nil
}

// unsealParcel appends to dst what a parcel's seal holds, or returns ErrErased.
func (s *sealer) unsealParcel(buf *parcelBuf, c *chunk, parcel uint32, stored, dst []byte) ([]byte, error) {
	key := c.parcels[parcel].key
	aead, err := s.keys.aead(key)
	if errors.Is(err, ErrErased) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("its key %d is missing (%w): restore the file %q from a copy", key, err, s.keys.path)
	}
	buf.heads = c.appendHeads(buf.heads[:0], parcel)
	plain, err := aead.Open(dst, stored[:sealNonceSize], stored[sealNonceSize:], buf.heads)
	if err != nil {
		return nil, fmt.Errorf("the payload cannot be unsealed with key %d (%w): restore the file from a copy", key, err)
	}
	return plain, nil
}

// readDirectory reads head and directory of the chunk at a place in an acquired file.
func readDirectory(f *segmentFile, at, limit int64, s *sealer) (*chunk, error) {
	var head [chunkHeadSize]byte
	if limit-at < chunkHeadSize {
		return nil, errBadChunk
	}
	if err := f.readAt(head[:], at); err != nil {
		return nil, err
	}
	h, err := decodeChunkHead(head[:])
	if err != nil || int64(h.size) > limit-at {
		return nil, errBadChunk
	}
	b := make([]byte, chunkHeadSize+h.dir)
	if err := f.readAt(b, at); err != nil {
		return nil, err
	}
	return decodeChunk(b, f.header.salt, s)
}

// directoryCache keeps the directories that Get read last. It keeps no payload: what a dropped key sealed is nowhere.
type directoryCache [16]struct {
	mu   sync.Mutex // guards the rest; held over the read
	file *segmentFile
	at   int64
	c    *chunk
}

func (d *directoryCache) get(f *segmentFile, where span, s *sealer) (*chunk, error) {
	e := &d[(f.header.first+uint64(where.from>>16))%uint64(len(d))]
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.file == f && e.at == where.from {
		return e.c, nil
	}
	c, err := readDirectory(f, where.from, where.to, s)
	if err != nil {
		return nil, err
	}
	e.file, e.at, e.c = f, where.from, c
	return c, nil
}

// getChunked reads one frame of an acquired file of chunks.
func (j *files) getChunked(f *segmentFile, where span, offset uint64) (Frame, error) {
	c, err := j.directories.get(f, where, j.sealer)
	if errors.Is(err, errBadChunk) || err == nil && (c.first != where.offset || offset > c.last()) {
		return Frame{}, f.corrupt(where.from, offset, "%v: restore the file from a copy", errBadChunk)
	}
	if err != nil {
		return Frame{}, err
	}
	i := int(offset - c.first)
	frame, cf := c.frame(i, f.header.partition), c.frames[i]
	p := c.parcels[cf.parcel]
	stored := make([]byte, p.size)
	if unread := f.readAt(stored, where.from+int64(p.at)); unread != nil {
		return Frame{}, unread
	}
	var buf parcelBuf
	plain, err := j.sealer.openParcel(&buf, c, cf.parcel, stored, f.header.salt, make([]byte, 0, p.plain))
	if errors.Is(err, ErrErased) {
		frame.Erased = true
		return frame, nil
	}
	if err != nil {
		return Frame{}, f.corrupt(where.from+int64(p.at), offset, "%v", err)
	}
	frame.Payload = append(make([]byte, 0, cf.size), plain[cf.at:cf.at+cf.size]...)
	return frame, nil
}

// chunkCursor is a chunk that is being read in order. Its parcels are opened when the first of their frames is asked for.
type chunkCursor struct {
	file  *segmentFile
	c     *chunk
	raw   []byte
	plain []byte // of all parcels
	from  []int  // where each parcel lies in plain; -1: not opened
	full  int
	buf   parcelBuf
	heads []byte // what stored returns
}

// holds says whether the chunk has the frame.
func (r *chunkCursor) holds(f *segmentFile, offset uint64) bool {
	return r.c != nil && r.file == f && offset >= r.c.first && offset <= r.c.last()
}

// load reads the whole chunk at a place.
func (r *chunkCursor) load(f *segmentFile, at, limit int64, s *sealer) error {
	r.c = nil
	c, err := readDirectory(f, at, limit, s)
	if err != nil {
		return err
	}
	if cap(r.raw) < c.size {
		r.raw = make([]byte, c.size)
	}
	r.raw = r.raw[:c.size]
	if err := f.readAt(r.raw, at); err != nil {
		return err
	}
	plain := 0
	r.from = r.from[:0]
	for _, p := range c.parcels {
		plain += p.plain
		r.from = append(r.from, -1)
	}
	if cap(r.plain) < plain {
		r.plain = make([]byte, plain)
	}
	r.file, r.c, r.plain, r.full = f, c, r.plain[:plain], 0
	return nil
}

// frame returns a frame of the chunk.
func (r *chunkCursor) frame(offset uint64, s *sealer) (Frame, error) {
	i := int(offset - r.c.first)
	f, cf := r.c.frame(i, r.file.header.partition), &r.c.frames[i]
	p := &r.c.parcels[cf.parcel]
	if r.from[cf.parcel] >= 0 && p.key != 0 && !s.keys.Has(p.key) { // dropped since the parcel was opened
		f.Erased = true
		return f, nil
	}
	if r.from[cf.parcel] < 0 {
		dst := r.plain[r.full : r.full : r.full+p.plain]
		_, err := s.openParcel(&r.buf, r.c, cf.parcel, r.raw[p.at:p.at+p.size], r.file.header.salt, dst)
		if errors.Is(err, ErrErased) {
			f.Erased = true
			return f, nil
		}
		if err != nil {
			return Frame{}, err
		}
		r.from[cf.parcel] = r.full
		r.full += p.plain
	}
	at := uint32(r.from[cf.parcel]) + cf.at
	f.Payload = append(make([]byte, 0, cf.size), r.plain[at:at+cf.size]...)
	return f, nil
}

// stored returns heads and sealed bytes of the parcel that a frame lies in.
func (r *chunkCursor) stored(offset uint64) []byte {
	parcel := r.c.frames[offset-r.c.first].parcel
	p := r.c.parcels[parcel]
	r.heads = r.c.appendHeads(r.heads[:0], parcel)
	r.heads = append(r.heads, r.raw[p.at:p.at+p.size]...)
	return r.heads
}
