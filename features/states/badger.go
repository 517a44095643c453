package states

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"pitboss/features"
)

// badgerFormat is the version of everything that Badger keeps here: keys, entries of the dedupe index, options that
// change bytes on disk. What blobs and named values hold has versions of its own.
const badgerFormat = "pitboss states 1"

// The first byte of every key says what it is.
const (
	prefixMeta   = 'm'
	prefixEntity = 'e'
	prefixSeen   = 's'
)

const metaFormat = "format"

// maxBlob keeps every value out of the value log: a power cut could leave a key whose value is missing there.
const maxBlob = 1 << 20

// BadgerConfig says where and how Badger keeps state.
type BadgerConfig struct {
	// Dir is the directory; it is made if it is not there. One process at a time uses it.
	Dir string `yaml:"-"`
	// MemoryBytes is the memory for what is written and not in tables yet, a third each for two memtables and one on its
	// way to a table. Default 48 MiB; more makes fewer and larger tables.
	MemoryBytes int64 `yaml:"memory_bytes"`
	// IndexBytes bounds the memory for the tables' indices and filters. Default 0: all of them are in memory, which grows
	// with the state; set it where memory is short, and cold reads get slower.
	IndexBytes int64 `yaml:"index_bytes"`
	// MinFreeBytes is how much room the disk must have before anything is written. Badger writes through memory maps, and
	// a full disk would end the process there. Default 64 MiB.
	MinFreeBytes int64 `yaml:"min_free_bytes"`
	// Log gets what Badger warns of. Default: nothing is logged.
	Log *slog.Logger `yaml:"-"`
}

const (
	memtables        = 2
	minMemoryBytes   = 24 << 20
	maxMemoryBytes   = 3 << 30
	defaultMemory    = 48 << 20
	defaultFreeBytes = 64 << 20
)

// DefaultBadgerConfig gives the defaults, without a directory.
func DefaultBadgerConfig() BadgerConfig {
	return BadgerConfig{MemoryBytes: defaultMemory, MinFreeBytes: defaultFreeBytes}
}

// Validate says what is wrong with a configuration, but for its directory.
func (c BadgerConfig) Validate() error {
	var errs []error
	if c.MemoryBytes < minMemoryBytes || c.MemoryBytes > maxMemoryBytes {
		errs = append(errs, fmt.Errorf("memory_bytes: %d is not in 24 MiB to 3 GiB", c.MemoryBytes))
	}
	if c.IndexBytes < 0 {
		errs = append(errs, fmt.Errorf("index_bytes: %d is negative; 0 keeps all indices in memory", c.IndexBytes))
	}
	if c.MinFreeBytes < 0 {
		errs = append(errs, fmt.Errorf("min_free_bytes: %d is negative", c.MinFreeBytes))
	}
	return errors.Join(errs...)
}

// Badger is States on disk. The journal is what makes events safe; this is what makes a restart short.
type Badger struct {
	db  *badger.DB
	cfg BadgerConfig

	mu     sync.Mutex // guards all below, and is held through commits: they have one order
	commit uint64     // the last commit's number
	closed bool
}

var _ features.States = (*Badger)(nil)

// OpenBadger opens or makes a directory. Errors: features.ErrStateLocked, features.ErrStateFormat, what Badger and the
// file system return.
func OpenBadger(cfg BadgerConfig) (_ *Badger, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MinFreeBytes == 0 {
		cfg.MinFreeBytes = defaultFreeBytes
	}
	if cfg.MemoryBytes == 0 {
		cfg.MemoryBytes = defaultMemory
	}
	if invalid := cfg.Validate(); invalid != nil {
		return nil, fmt.Errorf("cannot open the state in %q: %w", cfg.Dir, invalid)
	}
	// Compression and a block cache cost more than they give on blobs of a kilobyte (docs/measurements.md); all indices
	// and filters stay in memory. Managed: reads see the newest value at once, instead of waiting for every commit that
	// is on its way, as a read inside the decision's budget must not.
	opt := badger.DefaultOptions(cfg.Dir).
		WithCompression(options.None).WithBlockCacheSize(0).WithDetectConflicts(false).
		WithMemTableSize(cfg.MemoryBytes / (memtables + 1)).WithNumMemtables(memtables).WithNumCompactors(2).WithIndexCacheSize(cfg.IndexBytes).
		WithSyncWrites(false).WithMetricsEnabled(false).WithLogger(badgerLog{cfg.Log})
	db, err := openBadger(opt)
	if err != nil {
		// Badger wraps no error of its own: its text is all there is.
		if strings.Contains(err.Error(), "Cannot acquire directory lock") {
			return nil, fmt.Errorf("cannot open the state in %q: %w: end it, or give this one a directory of its own", cfg.Dir, features.ErrStateLocked)
		}
		return nil, fmt.Errorf("cannot open the state in %q: %w: restore the directory, or move it away to build the state anew from the journal", cfg.Dir, err)
	}
	b := &Badger{db: db, cfg: cfg, commit: db.MaxVersion()}
	if err := b.checkFormat(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

// checkFormat refuses a directory of another format, and marks a new one.
func (b *Badger) checkFormat() error {
	have, err := b.Meta(metaFormat)
	if err != nil {
		return err
	}
	switch {
	case string(have) == badgerFormat:
		return nil
	case have != nil:
		return fmt.Errorf("cannot open the state in %q: %w: it is %q, this build reads %q: run the build that wrote it, or move the directory away to build the state anew from the journal", b.cfg.Dir, features.ErrStateFormat, have, badgerFormat)
	case !b.empty():
		return fmt.Errorf("cannot open the state in %q: %w: it is a Badger directory of something else: give pitboss one of its own", b.cfg.Dir, features.ErrStateFormat)
	}
	if err := b.PutMeta(metaFormat, []byte(badgerFormat)); err != nil {
		return err
	}
	return b.Sync()
}

func (b *Badger) empty() bool {
	txn := b.read()
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	it.Rewind()
	return !it.Valid()
}

// read gives a transaction that sees the newest of everything.
func (b *Badger) read() *badger.Txn { return b.db.NewTransactionAt(math.MaxUint64, false) }

// get reads a key with f, which must keep nothing of the value.
func (b *Badger) get(key []byte, f func(value []byte) error) (bool, error) {
	if b.db.IsClosed() {
		return false, features.ErrClosed
	}
	txn := b.read()
	defer txn.Discard()
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the state in %q: %w", b.cfg.Dir, err)
	}
	if err := item.Value(f); err != nil {
		return false, fmt.Errorf("cannot read the state in %q: %w", b.cfg.Dir, err)
	}
	return true, nil
}

func entityKey(key features.EntityKey) []byte {
	b := make([]byte, 0, 1+8+1+16)
	b = append(append(b, prefixEntity), key.Tenant[:]...)
	return append(append(b, byte(key.Kind)), key.ID[:]...)
}

func parseEntityKey(b []byte) (features.EntityKey, error) {
	var key features.EntityKey
	if len(b) != 1+8+1+16 {
		return key, fmt.Errorf("%w: a key of %d bytes", features.ErrStateCorrupt, len(b))
	}
	copy(key.Tenant[:], b[1:])
	key.Kind = features.KindID(b[9])
	copy(key.ID[:], b[10:])
	return key, nil
}

func metaKey(name string) []byte { return append([]byte{prefixMeta}, name...) }

// Get implements features.States.
func (b *Badger) Get(key features.EntityKey, buf []byte) ([]byte, bool, error) {
	buf = buf[:0]
	ok, err := b.get(entityKey(key), func(v []byte) error {
		buf = append(buf, v...)
		return nil
	})
	return buf, ok, err
}

// Meta implements features.States.
func (b *Badger) Meta(name string) ([]byte, error) {
	var value []byte
	_, err := b.get(metaKey(name), func(v []byte) error {
		value = append([]byte{}, v...)
		return nil
	})
	return value, err
}

// Put implements features.States.
func (b *Badger) Put(ctx context.Context, batch []features.StatePut) error {
	return b.write(ctx, len(batch), func(i int) (*badger.Entry, error) {
		p := &batch[i]
		if len(p.Blob) >= maxBlob {
			return nil, fmt.Errorf("BUG: the state of entity %x has %d bytes, at most %d can be kept", p.Key.ID, len(p.Blob), maxBlob)
		}
		key := entityKey(p.Key)
		var stored []byte
		if _, err := b.get(key, func(v []byte) error {
			stored = append([]byte{}, v[:min(len(v), 32)]...) // the position is at the front
			return nil
		}); err != nil {
			return nil, err
		}
		if err := checkPos(*p, stored); err != nil {
			return nil, err
		}
		return badger.NewEntry(key, p.Blob), nil
	})
}

// Note implements features.States. Entries go by themselves some hours after the promise ends, by this machine's
// clock: an entry is written after its event was received, so never too early.
func (b *Badger) Note(ctx context.Context, batch []features.Noted) error {
	const keep = (features.SeenForHours + 2) * time.Hour
	return b.write(ctx, len(batch), func(i int) (*badger.Entry, error) {
		n := &batch[i]
		key := append(make([]byte, 0, 17), prefixSeen)
		e := badger.NewEntry(append(key, n.Key[:]...), appendSeen(nil, n.Seen))
		if n.Seen.Hour == features.ForEver {
			return e, nil
		}
		return e.WithTTL(keep), nil
	})
}

// PutMeta implements features.States.
func (b *Badger) PutMeta(name string, value []byte) error {
	return b.write(context.Background(), 1, func(int) (*badger.Entry, error) {
		return badger.NewEntry(metaKey(name), bytes.Clone(value)), nil
	})
}

// Erase implements features.States.
func (b *Badger) Erase(key features.EntityKey) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return features.ErrClosed
	}
	txn := b.db.NewTransactionAt(math.MaxUint64, true)
	defer txn.Discard()
	if err := txn.Delete(entityKey(key)); err != nil {
		return fmt.Errorf("cannot erase from the state in %q: %w", b.cfg.Dir, err)
	}
	return b.commitTxn(txn)
}

// write commits n entries, in as many transactions as they need.
func (b *Badger) write(ctx context.Context, n int, entry func(i int) (*badger.Entry, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return features.ErrClosed
	}
	if err := checkFree(b.cfg.Dir, b.cfg.MinFreeBytes); err != nil {
		return err
	}
	txn := b.db.NewTransactionAt(math.MaxUint64, true)
	defer func() { txn.Discard() }()
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := entry(i)
		if err != nil {
			return err
		}
		err = txn.SetEntry(e)
		if errors.Is(err, badger.ErrTxnTooBig) {
			if failed := b.commitTxn(txn); failed != nil {
				return failed
			}
			txn = b.db.NewTransactionAt(math.MaxUint64, true)
			err = txn.SetEntry(e)
		}
		if err != nil {
			return fmt.Errorf("cannot write the state in %q: %w", b.cfg.Dir, err)
		}
	}
	return b.commitTxn(txn)
}

// commitTxn commits under mu. Nobody reads the past, so older versions may go at once.
func (b *Badger) commitTxn(txn *badger.Txn) error {
	if err := txn.CommitAt(b.commit+1, nil); err != nil {
		return fmt.Errorf("cannot write the state in %q: %w", b.cfg.Dir, err)
	}
	b.commit++
	b.db.SetDiscardTs(b.commit)
	return nil
}

// Each implements features.States.
func (b *Badger) Each(ctx context.Context, after features.EntityKey, f func(features.EntityKey, []byte) error) error {
	if b.db.IsClosed() {
		return features.ErrClosed
	}
	txn := b.read()
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 100, Prefix: []byte{prefixEntity}})
	defer it.Close()
	for it.Seek(entityKey(after)); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		key, err := parseEntityKey(it.Item().Key())
		if err != nil {
			return err
		}
		if key == after {
			continue
		}
		if err := it.Item().Value(func(v []byte) error { return f(key, v) }); err != nil {
			return fmt.Errorf("entity %x: %w", key.ID, err)
		}
	}
	return nil
}

// Seen implements features.States.
func (b *Badger) Seen(key features.EventKey) (features.Seen, bool, error) {
	var stack [17]byte
	k := append(append(stack[:0], prefixSeen), key[:]...)
	var seen features.Seen
	ok, err := b.get(k, func(v []byte) (err error) {
		seen, err = parseSeen(v)
		return err
	})
	return seen, ok, err
}

// The first byte of an entry of the dedupe index: of an event that counts, and of one that does not.
const (
	seenFormat = 1
	seenVoid   = 2
)

// appendSeen encodes: format 1 byte | partition, event, decision-event+1 or 0 uvarint | hour uvarint | content 16 bytes,
// and for seenVoid a byte for why.
func appendSeen(b []byte, s features.Seen) []byte {
	format := byte(seenFormat)
	if s.Void != 0 {
		format = seenVoid
	}
	b = binary.AppendUvarint(append(b, format), uint64(s.Event.Partition))
	b = binary.AppendUvarint(b, s.Event.Offset)
	decision := uint64(0)
	if !s.Decision.IsZero() {
		decision = s.Decision.Offset - s.Event.Offset + 1
	}
	b = binary.AppendUvarint(b, decision)
	b = binary.AppendUvarint(b, uint64(s.Hour))
	b = append(b, s.Content[:]...)
	if s.Void != 0 {
		b = append(b, byte(s.Void))
	}
	return b
}

func parseSeen(b []byte) (features.Seen, error) {
	var s features.Seen
	if len(b) == 0 || b[0] != seenFormat && b[0] != seenVoid {
		return s, fmt.Errorf("%w: an entry of the dedupe index of unknown format", features.ErrStateFormat)
	}
	var fields [4]uint64
	if b[0] == seenVoid {
		s.Void = features.Void(b[len(b)-1])
		b = b[:len(b)-1]
	}
	b = b[min(1, len(b)):]
	for i := range fields {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return s, fmt.Errorf("%w: an entry of the dedupe index is cut off", features.ErrStateCorrupt)
		}
		fields[i], b = v, b[n:]
	}
	if len(b) != len(s.Content) || fields[0] > math.MaxUint32 || fields[3] > math.MaxUint32 {
		return s, fmt.Errorf("%w: an entry of the dedupe index", features.ErrStateCorrupt)
	}
	s.Event.Partition, s.Event.Offset, s.Hour = uint32(fields[0]), fields[1], uint32(fields[3])
	if fields[2] > 0 {
		s.Decision.Partition, s.Decision.Offset = s.Event.Partition, s.Event.Offset+fields[2]-1
	}
	copy(s.Content[:], b)
	return s, nil
}

// Sync implements features.States. Badger's own Sync leaves out memtables that are full and wait to be written as
// tables: their logs are synced here, or a power cut could keep what came later and lose what came before.
func (b *Badger) Sync() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return features.ErrClosed
	}
	logs, err := filepath.Glob(filepath.Join(b.cfg.Dir, "*.mem"))
	if err != nil {
		return fmt.Errorf("cannot sync the state in %q: %w", b.cfg.Dir, err)
	}
	for _, path := range append(logs, b.cfg.Dir) {
		// A log that is gone meanwhile became a table, which is synced before.
		if err := syncPath(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot sync the state in %q: %w", b.cfg.Dir, err)
		}
	}
	if err := b.db.Sync(); err != nil {
		return fmt.Errorf("cannot sync the state in %q: %w", b.cfg.Dir, err)
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot open a log: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close implements features.States. Where the disk has no room for the tables that Badger writes at its end, through memory
// maps, which would end the process, it leaves everything as a kill would: nothing is lost by it, and the next open
// recovers it. The directory stays locked until the process ends.
func (b *Badger) Close() error {
	synced := b.Sync()
	if errors.Is(synced, features.ErrClosed) {
		return synced
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if full := checkFree(b.cfg.Dir, b.cfg.MemoryBytes); full != nil {
		return fmt.Errorf("cannot close the state in %q, which the next start recovers: %w", b.cfg.Dir, errors.Join(synced, full))
	}
	if err := errors.Join(synced, b.db.Close()); err != nil {
		return fmt.Errorf("cannot close the state in %q: %w", b.cfg.Dir, err)
	}
	return nil
}

// badgerLog passes on what an operator must know, and nothing else.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, args ...any) {
	l.log.Error("badger", "message", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (l badgerLog) Warningf(format string, args ...any) {
	l.log.Warn("badger", "message", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (badgerLog) Infof(string, ...any)  {}
func (badgerLog) Debugf(string, ...any) {}
