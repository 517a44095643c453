package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"pitboss/journal/internal/vfs"
)

// files is the Journal in files of one directory.
//
// Three goroutines work behind it: the writer takes the whole buffer and writes it at once while callers fill the
// other one (group commit), the syncer fsyncs what was written, the compactor compresses finished segments and
// removes old ones. Callers wait for a batch by the channel that its end closes.
//
// Lock order: writeMu, syncMu, keyring.syncMu, keyring.fileMu, listMu, mu, segment.mu, segmentFile.mu, handles.mu,
// keyring.mu. Only writeMu, the two syncMu, fileMu, segment.mu and handles.mu are held over I/O; Append takes none of
// them.
type files struct {
	cfg     Config
	fs      vfs.FS
	lock    io.Closer
	state   *stateFile
	keys    *keyring
	sealer  *sealer
	handles *handles
	blocks  blockCache
	// directories are of segments of chunks, blocks of all others.
	directories directoryCache

	// Offsets that only grow, but for Recover's return of what was not written.
	written atomic.Uint64
	durable atomic.Uint64
	floor   atomic.Uint64
	closed  atomic.Bool // set with mu held

	writeMu sync.Mutex // held over every write and rotation; guards active
	active  *segment   // the newest, its file acquired; changed with syncMu held as well

	syncMu   sync.Mutex // held over every fsync of the log; guards newNames
	newNames bool       // the directory has names that are not fsynced

	listMu   sync.RWMutex // guards segments; never held over I/O
	segments []*segment   // oldest first

	mu       sync.Mutex // guards all below; never held over I/O
	head     uint64
	filling  *batch
	flushing *batch
	spare    []byte        // the buffer that is not in use
	planned  int64         // size of the newest segment with all batches taken from the buffer
	more     chan struct{} // closed when written or durable grew; nil unless somebody waits
	failed   error
	repages  bool // a failed fsync may have lost pages of the active file: Recover copies it
	epoch    uint64
	compactE string

	stats counters

	wakeWriter, wakeSyncer, wakeCompactor, urgent chan struct{} // each of capacity 1
	stopWriter, stopSyncer                        chan struct{}
	stopCompactor                                 context.CancelFunc
	writers, syncers, compactors                  sync.WaitGroup
}

type counters struct {
	frames, bytes, batches, fsyncs, fsyncTime, fsyncMax, full, failures atomic.Uint64
	compacted, compactErrors, removed, removeErrors                     atomic.Uint64
	compactedIn, compactedOut                                           atomic.Int64
}

var _ Journal = (*files)(nil)

// batch is what one write writes.
type batch struct {
	buf    []byte
	first  uint64 // offset of its first frame
	last   uint64
	salt   uint64 // of the segment it goes to
	rotate bool   // it begins a new segment
	done   chan struct{}
	err    error // set before done is closed
}

// OpenFile opens the journal of a directory, or makes an empty one. It finds what the last process left: a batch
// whose write was interrupted is cut off and reported; anything else that is not as it was written is an error, and
// nothing is changed. Errors: ErrLocked, ErrWrongKey, ErrFormat, ErrForeign, ErrCorrupt (a *CorruptError, which see
// for Unsynced), ErrReadOnly, ErrNoSpace, ErrIO, or what Config.Validate finds.
func OpenFile(cfg Config) (Journal, Report, error) { return OpenFS(cfg, vfs.OS{}) }

// OpenFS is OpenFile on another file system: for the tests of this package and for journaltest.
func OpenFS(cfg Config, fsys vfs.FS) (_ Journal, _ Report, err error) {
	err = cfg.Validate()
	if err != nil {
		return nil, Report{}, err
	}
	started := time.Now()
	if err = fsys.MkdirAll(cfg.Dir); err != nil {
		return nil, Report{}, ioError("create", cfg.Dir, err)
	}
	lock, err := lockDir(cfg.Dir, fsys)
	if err != nil {
		return nil, Report{}, err
	}
	j := &files{cfg: cfg, fs: fsys, lock: lock, handles: &handles{fs: fsys}}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.closeFiles())
		}
	}()
	report, err := j.load()
	if err != nil {
		return nil, Report{}, err
	}
	j.start()
	report.Took = time.Since(started)
	return j, report, nil
}

func lockDir(dir string, fsys vfs.FS) (io.Closer, error) {
	lock, err := fsys.Lock(filepath.Join(dir, "LOCK"))
	if locked, ok := errors.AsType[*vfs.LockedError](err); ok {
		return nil, fmt.Errorf("cannot open journal %q: %w (%w): stop the other process, or configure another directory", dir, ErrLocked, locked)
	}
	if err != nil {
		return nil, ioError("lock", filepath.Join(dir, "LOCK"), err)
	}
	return lock, nil
}

// start makes the buffers and starts the goroutines; the files are open.
func (j *files) start() {
	for _, ch := range []*chan struct{}{&j.wakeWriter, &j.wakeSyncer, &j.wakeCompactor, &j.urgent} {
		*ch = make(chan struct{}, 1)
	}
	j.stopWriter, j.stopSyncer = make(chan struct{}), make(chan struct{})
	// Both at their full size from the start: growing one would copy megabytes inside the callers' critical section.
	// What was never used takes no memory.
	j.spare = make([]byte, 0, j.cfg.BufferBytes)
	end, last := j.active.file().readable()
	j.head, j.planned = last, end
	j.written.Store(last)
	j.durable.Store(last)
	j.filling = j.newBatch(make([]byte, 0, j.cfg.BufferBytes), j.active.file().header.salt)
	j.keys.onFail = func(err error) { j.fail(err, true) }
	j.keys.onLow = func() { wake(j.wakeSyncer) }

	j.writers.Go(j.runWriter)
	j.syncers.Go(j.runSyncer)
	ctx, cancel := context.WithCancel(context.Background())
	j.stopCompactor = cancel
	if j.cfg.Compact {
		j.compactors.Go(func() { j.runCompactor(ctx) })
	}
	wake(j.wakeCompactor)
}

// newBatch is called with mu held. The salt is that of the segment being written; a batch that begins a new one draws
// its own.
func (j *files) newBatch(buf []byte, salt uint64) *batch {
	b := &batch{buf: buf[:0], salt: salt, done: make(chan struct{})}
	if j.planned >= j.cfg.SegmentBytes {
		b.rotate, b.salt, j.planned = true, newSalt(), headerSize
	}
	return b
}

// wake puts a token into a channel of capacity 1; one that is there already says the same.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Append implements Journal.
func (j *files) Append(s Sealed) (Pos, error) {
	if s.owner != any(j) {
		return Pos{}, fmt.Errorf("cannot append a record: %w", ErrForeign)
	}
	size := len(s.rec) + minFrameSize - (frameHeadSize - 4)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return Pos{}, j.failed
	}
	if j.closed.Load() {
		return Pos{}, ErrClosed
	}
	b := j.filling
	if len(b.buf)+size > j.cfg.BufferBytes {
		j.stats.full.Add(1)
		return Pos{}, ErrFull
	}
	j.head++
	if len(b.buf) == 0 {
		b.first = j.head
		wake(j.wakeWriter)
	}
	b.buf = appendFrame(b.buf, s.rec, s.crc, b.salt, j.head, j.durable.Load())
	j.stats.frames.Add(1)
	j.stats.bytes.Add(uint64(size))
	return Pos{j.cfg.Partition, j.head}, nil
}

// Written implements Journal.
func (j *files) Written(ctx context.Context, p Pos) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.Partition != j.cfg.Partition {
		return fmt.Errorf("cannot wait for %v: %w", p, ErrForeign)
	}
	if p.Offset <= j.written.Load() {
		return nil
	}
	b, err := j.batchOf(p)
	if b == nil {
		return err
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// batchOf returns the batch that a frame is in, or nil and the answer if it is in none any more.
func (j *files) batchOf(p Pos) (*batch, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case p.Offset <= j.written.Load():
		return nil, nil //nolint:nilnil // in no batch any more, and all is well
	case p.Offset > j.head:
		return nil, fmt.Errorf("cannot wait for %v: %w", p, ErrNotFound)
	case j.flushing != nil && p.Offset <= j.flushing.last:
		return j.flushing, nil
	case j.failed != nil:
		return nil, j.failed
	}
	return j.filling, nil
}

// Durable implements Journal.
func (j *files) Durable(ctx context.Context, p Pos) error {
	if err := j.Written(ctx, p); err != nil {
		return err
	}
	for p.Offset > j.durable.Load() {
		more, err := j.waitDurable(p)
		if more == nil {
			return err
		}
		wake(j.urgent)
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// waitDurable returns a channel that is closed when more is durable, or nil and the answer.
func (j *files) waitDurable(p Pos) (<-chan struct{}, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p.Offset <= j.durable.Load() {
		return nil, nil //nolint:nilnil // nothing to wait for, and all is well
	}
	if j.failed != nil {
		return nil, j.failed
	}
	return j.moreLocked(), nil
}

func (j *files) moreLocked() <-chan struct{} {
	if j.more == nil {
		j.more = make(chan struct{})
	}
	return j.more
}

// announceLocked wakes who waits for more to be written or durable.
func (j *files) announceLocked() {
	if j.more != nil {
		close(j.more)
		j.more = nil
	}
}

// Sync implements Journal.
func (j *files) Sync(ctx context.Context) error {
	if err := j.Durable(ctx, j.Head()); err != nil {
		return err
	}
	if err := j.Failed(); err != nil {
		return err
	}
	return j.keys.Sync()
}

// fail makes the journal accept nothing until Recover. pages says that an fsync failed: the kernel may have marked
// pages clean that never reached the disk, so that a second fsync of them would report success and save nothing.
func (j *files) fail(err error, pages bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.repages = j.repages || pages
	if j.failed != nil {
		return
	}
	if !errors.Is(err, ErrFailed) {
		err = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	j.failed = err
	j.stats.failures.Add(1)
	j.filling.err = err
	close(j.filling.done)
	j.announceLocked()
}

// Head implements Journal.
func (j *files) Head() Pos {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.pos(j.head)
}

// Tail implements Journal.
func (j *files) Tail() Pos {
	first := j.firstOffset()
	if head := j.Head(); head.Offset < first {
		return Pos{}
	}
	return j.pos(first)
}

func (j *files) firstOffset() uint64 {
	j.listMu.RLock()
	defer j.listMu.RUnlock()
	return j.segments[0].first
}

func (j *files) pos(offset uint64) Pos {
	if offset == 0 {
		return Pos{}
	}
	return Pos{j.cfg.Partition, offset}
}

// Failed implements Journal.
func (j *files) Failed() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// Epoch implements Journal.
func (j *files) Epoch() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.epoch
}

// SetFloor implements Journal.
func (j *files) SetFloor(p Pos) {
	if p.Partition != j.cfg.Partition {
		return
	}
	if j.floor.Swap(p.Offset) < p.Offset {
		wake(j.wakeCompactor)
	}
}

// Keys implements Journal.
func (j *files) Keys() Keys { return j.keys }

// Segments implements Journal.
func (j *files) Segments() []Segment {
	list := j.list()
	infos := make([]Segment, len(list))
	for i, s := range list {
		infos[i] = s.file().info(j.cfg.Partition)
	}
	return infos
}

// list returns a copy that stays as it is.
func (j *files) list() []*segment {
	j.listMu.RLock()
	defer j.listMu.RUnlock()
	return append([]*segment(nil), j.segments...)
}

// Stats implements Journal.
func (j *files) Stats() Stats {
	c := &j.stats
	s := Stats{
		Frames: c.frames.Load(), Bytes: c.bytes.Load(), Batches: c.batches.Load(), Full: c.full.Load(),
		Fsyncs: c.fsyncs.Load(), FsyncTime: time.Duration(c.fsyncTime.Load()), FsyncMax: time.Duration(c.fsyncMax.Load()),
		Failures: c.failures.Load(), Compacted: c.compacted.Load(), CompactErrors: c.compactErrors.Load(),
		CompactedIn: c.compactedIn.Load(), CompactedOut: c.compactedOut.Load(),
		Removed: c.removed.Load(), RemoveErrors: c.removeErrors.Load(),
		Written: j.pos(j.written.Load()), Durable: j.pos(j.durable.Load()),
	}
	s.Tail, s.Floor = j.Tail(), j.pos(j.floor.Load())
	s.Keys, s.KeysDropped = j.keys.counts()
	for _, seg := range j.Segments() {
		s.Segments++
		s.SegmentBytes += seg.Bytes
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s.Failed, s.Recoveries, s.CompactError = j.failed != nil, j.epoch, j.compactE
	if j.failed == nil {
		s.PendingBytes = len(j.filling.buf)
	}
	if j.flushing != nil {
		s.PendingBytes += len(j.flushing.buf)
	}
	return s
}

// Close implements Journal.
func (j *files) Close() error {
	j.mu.Lock()
	closed := j.closed.Swap(true)
	j.mu.Unlock()
	if closed {
		return ErrClosed
	}

	j.stopCompactor()
	j.compactors.Wait()
	close(j.stopWriter)
	j.writers.Wait()
	close(j.stopSyncer)
	j.syncers.Wait()

	err := j.Failed()
	if err == nil {
		err = j.saveState(true)
	} else { // as Recover would; whatever comes of it, the next opening copes
		f := j.active.file()
		end, _ := f.readable()
		_ = f.file.Truncate(end)
	}
	j.mu.Lock()
	j.announceLocked() // cursors find the journal closed
	j.mu.Unlock()
	return errors.Join(err, j.closeFiles())
}

// closeFiles gives all files free, of a journal that may be opened only in part.
func (j *files) closeFiles() error {
	var errs []error
	if j.active != nil {
		j.active.file().release()
	}
	j.handles.close()
	if j.keys != nil {
		errs = append(errs, j.keys.close())
	}
	if j.state != nil {
		errs = append(errs, j.state.close())
	}
	if j.sealer != nil {
		j.sealer.zdec.Close()
	}
	if err := j.lock.Close(); err != nil {
		errs = append(errs, ioError("unlock", j.cfg.Dir, err))
	}
	return errors.Join(errs...)
}

// saveState writes the state file; what it tells of is fsynced.
func (j *files) saveState(clean bool) error { return j.state.save(j.presentState(clean)) }

func (j *files) presentState(clean bool) state {
	return state{
		clean:     clean,
		partition: j.cfg.Partition,
		id:        j.keys.header.id,
		tail:      j.firstOffset(),
		head:      j.durable.Load(),
		keys:      j.keys.safe(clean),
	}
}
