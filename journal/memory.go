package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// MemoryConfig configures Memory. The zero value is usable.
type MemoryConfig struct {
	// Partition of all positions. Default 0.
	Partition uint32
	// MaxPayloadBytes bounds a payload. Default 1 MiB.
	MaxPayloadBytes int
	// Forget drops frames as soon as SetFloor passes them, so that memory stays bounded over a long history.
	// Default false: everything is kept.
	Forget bool
	// SpillDir keeps what Forget drops in a temporary file there, for Get. Default: it is gone.
	SpillDir string
}

// Memory is a Journal in RAM, for tests and for passes over history that need no log afterwards. It keeps the same
// contract as the files, without their promise: nothing survives the process. Fail makes it fail on purpose.
type Memory struct {
	cfg  MemoryConfig
	keys memoryKeys

	mu       sync.Mutex // guards all below
	frames   []Frame    // frames[i] is at offset tail+i; those above written are lost by Recover
	tail     uint64     // offset of frames[0]; 1 at the start
	written  uint64
	more     chan struct{} // closed and replaced when something that a cursor waits for changed
	failNext error
	failed   error
	closed   bool
	stats    Stats
	spill    spill // what was forgotten, with MemoryConfig.SpillDir
}

var (
	_ Journal = (*Memory)(nil)
	_ Keys    = (*memoryKeys)(nil)
)

// NewMemory returns an empty journal in RAM.
func NewMemory(cfg MemoryConfig) *Memory {
	if cfg.MaxPayloadBytes == 0 {
		cfg.MaxPayloadBytes = DefaultMaxPayloadBytes
	}
	return &Memory{cfg: cfg, tail: 1, more: make(chan struct{}), keys: memoryKeys{dropped: []bool{true}}}
}

// Fail makes the next appended frame get a position and then not get written, for the reason cause, as when the disk
// is full: what a caller must survive. Append returns ErrFailed after it until Recover.
func (m *Memory) Fail(cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failNext = cause
}

// Seal implements Journal.
func (m *Memory) Seal(f Frame) (Sealed, error) {
	if len(f.Payload) > m.cfg.MaxPayloadBytes {
		return Sealed{}, fmt.Errorf("cannot seal %d bytes (at most %d): %w", len(f.Payload), m.cfg.MaxPayloadBytes, ErrTooLarge)
	}
	if err := m.keys.check(f.KeyID); err != nil {
		return Sealed{}, err
	}
	f.Pos, f.Erased, f.Payload = Pos{}, false, slices.Clone(f.Payload)
	return Sealed{owner: m, frame: f}, nil
}

// Append implements Journal.
func (m *Memory) Append(s Sealed) (Pos, error) {
	if s.owner != any(m) {
		return Pos{}, fmt.Errorf("cannot append a record: %w", ErrForeign)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Pos{}, ErrClosed
	}
	if m.failed != nil {
		return Pos{}, m.failed
	}
	s.frame.Pos = m.pos(m.tail + uint64(len(m.frames)))
	m.frames = append(m.frames, s.frame)
	m.stats.Frames++
	m.stats.Bytes += uint64(len(s.frame.Payload))
	if m.failNext != nil {
		m.failed = fmt.Errorf("%w: %w", ErrFailed, m.failNext)
		m.failNext = nil
		m.stats.Failures++
		return s.frame.Pos, nil
	}
	m.written = s.frame.Pos.Offset
	m.stats.Batches++
	m.wake()
	return s.frame.Pos, nil
}

// Written implements Journal.
func (m *Memory) Written(ctx context.Context, p Pos) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case p.Partition != m.cfg.Partition:
		return fmt.Errorf("cannot wait for %v: %w", p, ErrForeign)
	case p.Offset <= m.written:
		return nil
	case p.Offset >= m.tail+uint64(len(m.frames)):
		return fmt.Errorf("cannot wait for %v: %w", p, ErrNotFound)
	}
	return m.failed
}

// Durable implements Journal: in RAM it is Written.
func (m *Memory) Durable(ctx context.Context, p Pos) error { return m.Written(ctx, p) }

// Sync implements Journal.
func (m *Memory) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	return m.failed
}

// Head implements Journal.
func (m *Memory) Head() Pos {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pos(m.tail + uint64(len(m.frames)) - 1)
}

// Tail implements Journal.
func (m *Memory) Tail() Pos {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.frames) == 0 {
		return Pos{}
	}
	return m.pos(m.tail)
}

// Get implements Journal.
func (m *Memory) Get(p Pos) (Frame, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Frame{}, ErrClosed
	}
	return m.get(p)
}

func (m *Memory) get(p Pos) (Frame, error) {
	switch {
	case p.Partition != m.cfg.Partition:
		return Frame{}, fmt.Errorf("cannot read frame %v: %w", p, ErrForeign)
	case p.IsZero(), p.Offset > m.written:
		return Frame{}, fmt.Errorf("cannot read frame %v: %w", p, ErrNotFound)
	case p.Offset < m.tail && p.Offset > uint64(len(m.spill.index)):
		return Frame{}, fmt.Errorf("cannot read frame %v: %w", p, ErrGone)
	case p.Offset < m.tail:
		f, err := m.spill.get(p)
		return m.opened(f), err
	}
	f := m.opened(m.frames[p.Offset-m.tail])
	f.Payload = slices.Clone(f.Payload)
	return f, nil
}

// opened gives a frame as whoever reads it sees it.
func (m *Memory) opened(f Frame) Frame {
	if f.KeyID != 0 && !m.keys.Has(f.KeyID) {
		f.Payload, f.Erased = nil, true
	}
	return f
}

// Read implements Journal.
func (m *Memory) Read(from Pos, opts ...ReadOption) (Cursor, error) {
	var o readOptions
	for _, opt := range opts {
		opt(&o)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return nil, ErrClosed
	case from == Pos{}:
		from = m.pos(m.tail)
	case from.Partition != m.cfg.Partition:
		return nil, fmt.Errorf("cannot read from %v: %w", from, ErrForeign)
	case from.Offset < m.tail:
		return nil, fmt.Errorf("cannot read from %v: %w", from, ErrGone)
	case from.Offset > m.tail+uint64(len(m.frames)):
		return nil, fmt.Errorf("cannot read from %v: %w", from, ErrNotFound)
	}
	return &memoryCursor{m: m, next: from, opts: o}, nil
}

// Recover implements Journal.
func (m *Memory) Recover(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if m.failed == nil {
		return nil
	}
	m.frames = slices.Delete(m.frames, int(m.written+1-m.tail), len(m.frames))
	m.failed = nil
	m.stats.Recoveries++
	return nil
}

// Failed implements Journal.
func (m *Memory) Failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// Epoch implements Journal.
func (m *Memory) Epoch() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats.Recoveries
}

// SetFloor implements Journal. With MemoryConfig.Forget it drops what is below.
func (m *Memory) SetFloor(p Pos) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.cfg.Forget || p.Partition != m.cfg.Partition || p.Offset <= m.tail {
		return
	}
	n := min(p.Offset, m.written+1) - m.tail
	if m.cfg.SpillDir != "" {
		for i := range m.frames[:n] {
			if err := m.spill.put(m.cfg.SpillDir, &m.frames[i]); err != nil {
				m.failed = fmt.Errorf("%w: %w", ErrFailed, err)
				return
			}
		}
	}
	clear(m.frames[:n])
	m.frames = m.frames[n:]
	m.tail += n
	m.stats.Removed += n
}

// Segments implements Journal: there are none in RAM.
func (m *Memory) Segments() []Segment { return nil }

// Keys implements Journal.
func (m *Memory) Keys() Keys { return &m.keys }

// Stats implements Journal.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Failed = m.failed != nil
	s.Written, s.Durable = m.pos(m.written), m.pos(m.written)
	s.Keys, s.KeysDropped = m.keys.count()
	return s
}

// Close implements Journal.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.closed = true
	m.wake()
	return errors.Join(m.failed, m.spill.close())
}

func (m *Memory) pos(offset uint64) Pos {
	if offset == 0 {
		return Pos{}
	}
	return Pos{m.cfg.Partition, offset}
}

func (m *Memory) wake() {
	close(m.more)
	m.more = make(chan struct{})
}

type memoryCursor struct {
	m    *Memory
	next Pos
	opts readOptions
}

// Next implements Cursor.
func (c *memoryCursor) Next(ctx context.Context) (Frame, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Frame{}, err
		}
		f, more, err := c.try()
		if err != nil {
			return Frame{}, err
		}
		if more == nil {
			return f, nil
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

// try returns the next frame, or the channel that is closed when there may be one.
func (c *memoryCursor) try() (Frame, <-chan struct{}, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.m.closed {
		return Frame{}, nil, ErrClosed
	}
	if c.next.Offset > c.m.written {
		return Frame{}, c.m.more, nil
	}
	f, err := c.m.get(c.next)
	if err == nil {
		c.next = c.next.Next()
	}
	return f, nil, err
}

// Stored implements Cursor.
func (c *memoryCursor) Stored() []byte { return nil }

// Close implements Cursor.
func (c *memoryCursor) Close() error { return nil }

// memoryKeys only remembers which keys are there: what lies in RAM needs no sealing.
type memoryKeys struct {
	mu      sync.Mutex // guards all below
	dropped []bool     // by KeyID; 0 is no key
	gone    uint64
}

// New implements Keys.
func (k *memoryKeys) New() (KeyID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropped = append(k.dropped, false)
	return KeyID(len(k.dropped) - 1), nil
}

// Drop implements Keys.
func (k *memoryKeys) Drop(id KeyID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id == 0 || id >= KeyID(len(k.dropped)) {
		return fmt.Errorf("cannot drop key %d: %w", id, ErrNoKey)
	}
	if !k.dropped[id] {
		k.gone++
	}
	k.dropped[id] = true
	return nil
}

// Has implements Keys.
func (k *memoryKeys) Has(id KeyID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return id < KeyID(len(k.dropped)) && !k.dropped[id]
}

// Sync implements Keys.
func (k *memoryKeys) Sync() error { return nil }

func (k *memoryKeys) count() (live, dropped uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return uint64(len(k.dropped)) - 1 - k.gone, k.gone
}

func (k *memoryKeys) check(id KeyID) error {
	if id == 0 || k.Has(id) {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if id < KeyID(len(k.dropped)) {
		return fmt.Errorf("cannot seal with key %d: %w", id, ErrErased)
	}
	return fmt.Errorf("cannot seal with key %d: %w", id, ErrNoKey)
}
