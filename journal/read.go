package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// find returns the segment that has, or will have, a frame.
func (j *files) find(offset uint64) (*segment, error) {
	j.listMu.RLock()
	defer j.listMu.RUnlock()
	i, found := slices.BinarySearchFunc(j.segments, offset, func(s *segment, o uint64) int { return cmp.Compare(s.first, o) })
	if !found {
		i--
	}
	if i < 0 {
		return nil, fmt.Errorf("cannot read frame %v: %w", j.pos(offset), ErrGone)
	}
	return j.segments[i], nil
}

// Get implements Journal.
func (j *files) Get(p Pos) (Frame, error) {
	switch {
	case p.Partition != j.cfg.Partition:
		return Frame{}, fmt.Errorf("cannot read frame %v: %w", p, ErrForeign)
	case j.closed.Load():
		return Frame{}, ErrClosed
	case p.IsZero(), p.Offset > j.written.Load():
		return Frame{}, fmt.Errorf("cannot read frame %v: %w", p, ErrNotFound)
	}
	seg, err := j.find(p.Offset)
	if err != nil {
		return Frame{}, err
	}
	f, err := seg.acquire()
	if err != nil {
		return Frame{}, err
	}
	defer f.release()
	where, ok := f.locate(p.Offset)
	if !ok {
		return Frame{}, fmt.Errorf("cannot read frame %v: %w", p, ErrNotFound)
	}
	if f.header.chunked {
		return j.getChunked(f, where, p.Offset)
	}
	return j.blocks.get(f, where, p.Offset, j.sealer)
}

// blockCache keeps the parts of files that Get read last: neighbours are often asked for one after the other.
type blockCache [16]block

type block struct {
	mu   sync.Mutex // guards all below; held over the read of the block
	file *segmentFile
	from int64
	buf  []byte
}

// maxCachedBlock bounds a cached block: with frames of megabytes it would not be a cache any more.
const maxCachedBlock = 256 << 10

func (c *blockCache) get(f *segmentFile, where span, offset uint64, s *sealer) (Frame, error) {
	b := &c[(f.header.first+uint64(where.from/indexGrain))%uint64(len(c))]
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.load(f, where); err != nil {
		return Frame{}, err
	}
	defer b.trim()
	rest, at := b.buf, where.from
	for o := where.offset; o < offset; o++ {
		if len(rest) < minFrameSize {
			return Frame{}, f.corrupt(at, o, "%v: restore the file from a copy", errShortFrame)
		}
		n := frameSize(rest)
		if n == 0 || n > len(rest) {
			return Frame{}, f.corrupt(at, o, "%v: restore the file from a copy", errBadFrame)
		}
		rest, at = rest[n:], at+int64(n)
	}
	r, err := decodeFrame(rest, f.header.salt)
	if err == nil && r.frame.Pos.Offset != offset {
		err = errBadFrame
	}
	if err != nil {
		return Frame{}, f.corrupt(at, offset, "%v: restore the file from a copy", err)
	}
	frame, err := s.open(r, rest[8:frameHeadSize], f.header.partition)
	if err != nil {
		return Frame{}, f.corrupt(at, offset, "%v", err)
	}
	return frame, nil
}

// load reads the block unless it is there. The last one of a file grows.
func (b *block) load(f *segmentFile, where span) error {
	n := int(where.to - where.from)
	if b.file == f && b.from == where.from && len(b.buf) >= n {
		return nil
	}
	if cap(b.buf) < n {
		b.buf = make([]byte, n, max(n, 2*indexGrain))
	}
	b.buf, b.file = b.buf[:n], nil
	if err := f.readAt(b.buf, where.from); err != nil {
		return err
	}
	b.file, b.from = f, where.from
	return nil
}

func (b *block) trim() {
	if cap(b.buf) > maxCachedBlock {
		b.buf, b.file = nil, nil
	}
}

// Read implements Journal.
func (j *files) Read(from Pos, opts ...ReadOption) (Cursor, error) {
	c := &cursor{j: j, next: from.Offset}
	for _, opt := range opts {
		opt(&c.opts)
	}
	first := j.firstOffset()
	switch {
	case j.closed.Load():
		return nil, ErrClosed
	case from == Pos{}:
		c.next = first
	case from.Partition != j.cfg.Partition:
		return nil, fmt.Errorf("cannot read from %v: %w", from, ErrForeign)
	case from.Offset < first:
		return nil, fmt.Errorf("cannot read from %v: %w", from, ErrGone)
	case from.Offset > j.Head().Offset+1:
		return nil, fmt.Errorf("cannot read from %v: %w", from, ErrNotFound)
	}
	return c, nil
}

// cursor implements Cursor. It keeps the file that it reads open, so that neither compaction nor retention can take
// it away in the middle.
type cursor struct {
	j    *files
	opts readOptions
	next uint64

	// The place of next, if reader.file is set.
	reader frameReader
	at     int64
	end    int64  // of the readable frames, as last looked up
	last   uint64 // the last of them

	stored  []byte
	chunk   chunkCursor // in a file of chunks; at is where the chunk of next begins
	chunked bool        // the last frame is of chunk
}

// Next implements Cursor.
func (c *cursor) Next(ctx context.Context) (Frame, error) {
	c.stored, c.chunked = nil, false
	for {
		if err := ctx.Err(); err != nil {
			return Frame{}, err
		}
		more, err := c.j.waitReadable(c.next, c.opts.onlyDurable)
		if err != nil {
			return Frame{}, err
		}
		if more == nil {
			return c.read()
		}
		if !c.opts.follow {
			return Frame{}, io.EOF
		}
		select {
		case <-ctx.Done():
		case <-more:
		}
	}
}

// waitReadable returns nil if the frame can be read, or a channel that is closed when more can.
func (j *files) waitReadable(offset uint64, onlyDurable bool) (<-chan struct{}, error) {
	limit := &j.written
	if onlyDurable {
		limit = &j.durable
	}
	if j.closed.Load() {
		return nil, ErrClosed
	}
	if offset <= limit.Load() {
		return nil, nil //nolint:nilnil // nothing to wait for: the frame is there
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed.Load() {
		return nil, ErrClosed
	}
	if offset <= limit.Load() {
		return nil, nil //nolint:nilnil // nothing to wait for: the frame is there
	}
	return j.moreLocked(), nil
}

// read reads the next frame, which is written.
func (c *cursor) read() (Frame, error) {
	if err := c.position(); err != nil {
		return Frame{}, err
	}
	f := c.reader.file
	if f.header.chunked {
		return c.readChunked(f)
	}
	rec, raw, err := c.reader.record(c.at, c.end, c.next)
	if isBad(err) {
		return Frame{}, f.corrupt(c.at, c.next, "%v: restore the file from a copy", err)
	}
	if err != nil {
		return Frame{}, err
	}
	frame, err := c.j.sealer.open(rec, raw[8:frameHeadSize], f.header.partition)
	if err != nil {
		return Frame{}, f.corrupt(c.at, c.next, "%v", err)
	}
	c.stored = raw
	c.at += int64(len(raw))
	c.next++
	return frame, nil
}

// readChunked is read in a file of chunks.
func (c *cursor) readChunked(f *segmentFile) (Frame, error) {
	if !c.chunk.holds(f, c.next) {
		err := c.chunk.load(f, c.at, c.end, c.j.sealer)
		if errors.Is(err, errBadChunk) || err == nil && !c.chunk.holds(f, c.next) {
			c.chunk.c = nil
			return Frame{}, f.corrupt(c.at, c.next, "%v: restore the file from a copy", errBadChunk)
		}
		if err != nil {
			return Frame{}, err
		}
	}
	frame, err := c.chunk.frame(c.next, c.j.sealer)
	if err != nil {
		return Frame{}, f.corrupt(c.at, c.next, "%v", err)
	}
	if c.next == c.chunk.c.last() {
		c.at += int64(c.chunk.c.size)
	}
	c.next++
	c.chunked = true
	return frame, nil
}

// position makes at the place of next, in the file that has it.
func (c *cursor) position() error {
	if f := c.reader.file; f != nil {
		if c.next <= c.last {
			return nil
		}
		if c.end, c.last = f.readable(); c.next <= c.last {
			return nil
		}
		c.release()
	}
	seg, err := c.j.find(c.next)
	if err != nil {
		return err
	}
	f, err := seg.acquire()
	if err != nil {
		return err
	}
	c.reader.file, c.reader.lo, c.reader.hi = f, 0, 0
	c.end, c.last = f.readable()
	where, ok := f.locate(c.next)
	if !ok {
		c.release()
		return fmt.Errorf("cannot read frame %v: %w", c.j.pos(c.next), ErrNotFound)
	}
	c.at = where.from
	if f.header.chunked {
		return nil
	}
	for o := where.offset; o < c.next; o++ {
		raw, err := c.reader.frame(c.at, c.end)
		if isBad(err) {
			err = f.corrupt(c.at, o, "%v: restore the file from a copy", err)
		}
		if err != nil {
			c.release()
			return err
		}
		c.at += int64(len(raw))
	}
	return nil
}

func (c *cursor) release() {
	if c.reader.file != nil {
		c.reader.file.release()
		c.reader.file = nil
	}
}

// Stored implements Cursor.
func (c *cursor) Stored() []byte {
	if c.chunked {
		return c.chunk.stored(c.next - 1)
	}
	return c.stored
}

// Close implements Cursor.
func (c *cursor) Close() error {
	c.release()
	c.next, c.stored, c.chunk, c.chunked = 0, nil, chunkCursor{}, false
	return nil
}
