package journal

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"pitboss/journal/internal/vfs"
)

// maxCachedKeys bounds the ciphers in RAM, about 1 KB each.
const maxCachedKeys = 4096

// keyring implements Keys on a file, whose format is in keysfile.go.
type keyring struct {
	fs     vfs.FS
	path   string
	header keysHeader
	wrap   cipher.AEAD
	onFail func(error) // tells the journal that an fsync of keys failed
	onLow  func()      // asks for refill

	torn []KeyID // found on opening, to be marked void by settle

	syncMu sync.Mutex // guards the order of writes and fsyncs and is held over each; len(state) changes under it only

	fileMu sync.RWMutex // guards file: read-locked around every use of it, locked while rewrite replaces it
	file   vfs.File

	mu     sync.RWMutex // guards all below; never held over I/O
	state  []byte       // by KeyID; 0 is no key
	spare  []KeyID      // made and safe, not given to anybody yet
	cache  map[KeyID]cipher.AEAD
	live   uint64
	gone   uint64
	failed error
}

var _ Keys = (*keyring)(nil)

// openKeys opens the keys of a directory, or makes them if it has none and create allows it. known are the slots that
// were safe when the state file was written: a damaged one among them is never a torn one. After a clean end they are
// those that were given to somebody, and the others can be.
func openKeys(fsys vfs.FS, cfg Config, known uint64, clean, create bool) (*keyring, error) {
	k := &keyring{fs: fsys, path: filepath.Join(cfg.Dir, keysName), cache: map[KeyID]cipher.AEAD{}, state: []byte{slotVoid}}
	f, err := fsys.Open(k.path)
	if errors.Is(err, fs.ErrNotExist) && create {
		err = k.create(cfg)
		if err != nil {
			return nil, err
		}
		return k, nil
	}
	if err != nil {
		return nil, ioError("open", k.path, err)
	}
	k.file = f
	err = k.loadHeader(cfg.Partition, cfg.MasterKey)
	if err == nil {
		err = k.loadSlots(known, clean)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return k, nil
}

func (k *keyring) create(cfg Config) (err error) {
	k.header.partition = cfg.Partition
	random(k.header.id[:])
	random(k.header.salt[:])
	if k.wrap, k.header.check, err = deriveKeys(cfg.MasterKey, k.header.salt[:]); err != nil {
		return err
	}
	k.file, err = writeFile(k.fs, cfg.Dir, keysName, k.header.encode())
	return err
}

func (k *keyring) loadHeader(partition uint32, master []byte) error {
	head := make([]byte, headerSize)
	n, err := k.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ioError("read", k.path, err)
	}
	h, err := decodeKeysHeader(head[:n])
	if errors.Is(err, ErrFormat) {
		return fmt.Errorf("cannot read %q: %w", k.path, err)
	}
	if err != nil {
		return &CorruptError{File: k.path, Reason: err.Error()}
	}
	if h.partition != partition {
		return fmt.Errorf("cannot read %q: it is of partition %d, configured is %d: %w", k.path, h.partition, partition, ErrForeign)
	}
	wrap, check, err := deriveKeys(master, h.salt[:])
	if err != nil {
		return err
	}
	if check != h.check {
		return fmt.Errorf("cannot read %q: %w: give the key that the journal was made with", k.path, ErrWrongKey)
	}
	k.header, k.wrap = h, wrap
	return nil
}

func (k *keyring) loadSlots(known uint64, clean bool) error {
	size, err := k.file.Size()
	if err != nil {
		return ioError("read", k.path, err)
	}
	n := uint64(size-1) / keySlotSize // a last incomplete one included; the header is there
	if n < known {
		return &CorruptError{File: k.path, Byte: size, Reason: fmt.Sprintf("%d keys are there, %d were safe before: "+
			"restore the file from a copy, every frame under a missing key is unreadable", n, known)}
	}
	data := make([]byte, size)
	if err := readFull(k.file, data, k.path); err != nil {
		return err
	}
	k.state = append(make([]byte, 0, n+1+keyBatch), slotVoid)
	for id := KeyID(1); uint64(id) <= n; id++ {
		state := decodeSlot(id, data[uint64(id)*keySlotSize:])
		if state == slotMissing {
			if uint64(id) <= known || uint64(id)+keyBatch <= n {
				return &CorruptError{File: k.path, Byte: int64(id) * keySlotSize,
					Reason: fmt.Sprintf("key %d is damaged: restore the file from a copy, every frame under the key is unreadable", id)}
			}
			state = slotVoid
			k.torn = append(k.torn, id)
		}
		switch {
		case state == slotDropped:
			k.gone++
		case state == slotLive && clean && uint64(id) > known:
			state = slotSpare
			k.spare = append(k.spare, id)
		case state == slotLive:
			k.live++
		}
		k.state = append(k.state, state)
	}
	return nil
}

func readFull(f vfs.File, b []byte, path string) error {
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return ioError("read", path, err)
}

// New implements Keys.
func (k *keyring) New() (KeyID, error) {
	for {
		if id, err := k.take(); id != 0 || err != nil {
			return id, err
		}
		if err := k.refill(); err != nil {
			return 0, err
		}
	}
}

// take gives a spare key away; 0 if there is none.
func (k *keyring) take() (KeyID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed != nil {
		return 0, k.failed
	}
	if len(k.spare) == 0 {
		return 0, nil
	}
	id := k.spare[0]
	k.spare = k.spare[1:]
	k.state[id] = slotLive
	k.live++
	if len(k.spare) == keyBatch/4 && k.onLow != nil {
		k.onLow()
	}
	return id, nil
}

// refill makes a batch of spare keys, unless there are enough.
func (k *keyring) refill() error {
	k.syncMu.Lock()
	defer k.syncMu.Unlock()
	first, err := k.wanted()
	if first == 0 || err != nil {
		return err
	}
	var slots []byte
	aeads := make([]cipher.AEAD, keyBatch)
	for i := range aeads {
		var key [dataKeySize]byte
		var nonce [sealNonceSize]byte
		random(key[:])
		random(nonce[:])
		id := first + KeyID(i)
		slots = appendSlot(slots, id, slotLive, nonce[:], k.wrap.Seal(nil, nonce[:], key[:], keyAAD(id)))
		if aeads[i], err = newAEAD(key[:]); err != nil {
			return err
		}
	}
	if err := k.writeSlots(first, slots); err != nil {
		return err // the next refill writes the same slots
	}
	if err := k.syncLocked(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, aead := range aeads {
		id := first + KeyID(i)
		k.state = append(k.state, slotSpare)
		k.spare = append(k.spare, id)
		k.put(id, aead)
	}
	return nil
}

// topUp is refill for a keyring that is in use, so that New finds a key without waiting for the disk. What fails here
// fails again in New, which tells its caller.
func (k *keyring) topUp() {
	if live, gone := k.counts(); live+gone > 0 {
		_ = k.refill()
	}
}

// wanted returns the first key of the next batch, 0 if none is needed.
func (k *keyring) wanted() (KeyID, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.failed != nil || len(k.spare) > keyBatch/4 {
		return 0, k.failed
	}
	return KeyID(len(k.state)), nil
}

func (k *keyring) writeSlots(first KeyID, slots []byte) error {
	k.fileMu.RLock()
	defer k.fileMu.RUnlock()
	if _, err := k.file.WriteAt(slots, int64(first)*keySlotSize); err != nil {
		return ioError("write", k.path, err)
	}
	return nil
}

// put caches a cipher; another one leaves when there are too many. It is called with mu held.
func (k *keyring) put(id KeyID, aead cipher.AEAD) {
	if len(k.cache) >= maxCachedKeys {
		for other := range k.cache {
			delete(k.cache, other)
			break
		}
	}
	k.cache[id] = aead
}

// Drop implements Keys.
func (k *keyring) Drop(id KeyID) error {
	k.syncMu.Lock()
	defer k.syncMu.Unlock()
	if done, err := k.markDropping(id); done || err != nil {
		return err
	}
	err := k.writeSlots(id, appendSlot(nil, id, slotDropped, nil, nil))
	if err == nil {
		err = k.syncLocked()
	}
	if err != nil {
		return fmt.Errorf("cannot drop key %d, try again: %w", id, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state[id] = slotDropped
	return nil
}

// markDropping makes a key unreadable, whatever the disk says; done if it was dropped before.
func (k *keyring) markDropping(id KeyID) (done bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch k.stateOf(id) {
	case slotDropped:
		return true, nil
	case slotDropping:
		return false, nil
	case slotLive:
		k.state[id] = slotDropping
		k.live--
		k.gone++
		delete(k.cache, id)
		return false, nil
	}
	return false, fmt.Errorf("cannot drop key %d: %w", id, ErrNoKey)
}

// stateOf is called with mu held.
func (k *keyring) stateOf(id KeyID) byte {
	if id == 0 || id >= KeyID(len(k.state)) {
		return slotMissing
	}
	return k.state[id]
}

// Has implements Keys.
func (k *keyring) Has(id KeyID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.stateOf(id) == slotLive
}

// known says whether frames under the key can be in the log: it was given to somebody, whether or not it was dropped
// since.
func (k *keyring) known(id KeyID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s := k.stateOf(id)
	return s == slotLive || s == slotDropping || s == slotDropped
}

// Sync implements Keys. New and Drop have fsynced when they return, so all that is left to say is whether that failed.
func (k *keyring) Sync() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.failed
}

// syncLocked fsyncs the file; it is called with syncMu held. A failed fsync is never tried again on the same file: the
// kernel may have marked the pages clean. The keys, and with them the journal, stay failed until rewrite.
func (k *keyring) syncLocked() error {
	if err := k.Sync(); err != nil {
		return err
	}
	k.fileMu.RLock()
	err := k.file.Sync()
	k.fileMu.RUnlock()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%w: %w", ErrFailed, ioError("fsync", k.path, err))
	k.mu.Lock()
	k.failed = err
	k.mu.Unlock()
	if k.onFail != nil {
		k.onFail(err)
	}
	return err
}

// settle marks torn slots and makes what an earlier process wrote safe.
func (k *keyring) settle() error {
	k.syncMu.Lock()
	defer k.syncMu.Unlock()
	for _, id := range k.torn {
		if err := k.writeSlots(id, appendSlot(nil, id, slotVoid, nil, nil)); err != nil {
			return err
		}
	}
	k.torn = nil
	return k.syncLocked()
}

// rewrite copies the keys to a new file after a failed fsync, and wipes the old one.
func (k *keyring) rewrite(dir string) error {
	k.syncMu.Lock()
	defer k.syncMu.Unlock()
	if k.Sync() == nil {
		return nil
	}
	k.fileMu.Lock()
	defer k.fileMu.Unlock()
	data := make([]byte, len(k.state)*keySlotSize) // changed with syncMu held only
	if err := readFull(k.file, data, k.path); err != nil {
		return err
	}
	if err := k.check(data); err != nil {
		return err
	}
	f, err := writeFile(k.fs, dir, keysName, data)
	if err != nil {
		return err
	}
	// Best effort: the old file has no name any more, what fails here cannot be seen and not be repaired.
	_, _ = k.file.WriteAt(make([]byte, len(data)), 0)
	_ = k.file.Sync()
	_ = k.file.Close()
	k.file = f
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed = nil
	return nil
}

// check says whether the bytes of the file are what the keyring remembers: a page whose write-back failed may have
// been read again from the disk. A key that is being dropped is wiped here.
func (k *keyring) check(data []byte) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for id := KeyID(1); id < KeyID(len(k.state)); id++ {
		slot := data[id*keySlotSize : (id+1)*keySlotSize]
		want := k.state[id]
		switch want {
		case slotDropping:
			copy(slot, appendSlot(nil, id, slotDropped, nil, nil))
			continue
		case slotSpare:
			want = slotLive
		}
		if decodeSlot(id, slot) != want {
			return &CorruptError{File: k.path, Byte: int64(id) * keySlotSize,
				Reason: fmt.Sprintf("key %d was lost by the failed fsync: restore the file from a copy", id)}
		}
	}
	return nil
}

// aead returns the cipher of a key: ErrErased if it was dropped, ErrNoKey if it was never made.
func (k *keyring) aead(id KeyID) (cipher.AEAD, error) {
	k.mu.RLock()
	state, aead := k.stateOf(id), k.cache[id]
	k.mu.RUnlock()
	switch {
	case state == slotDropped || state == slotDropping:
		return nil, ErrErased
	case state != slotLive:
		return nil, ErrNoKey
	case aead != nil:
		return aead, nil
	}
	aead, err := k.unwrap(id)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state[id] != slotLive { // dropped while we read: it must not come back by the cache
		return nil, ErrErased
	}
	k.put(id, aead)
	return aead, nil
}

func (k *keyring) unwrap(id KeyID) (cipher.AEAD, error) {
	slot := make([]byte, keySlotSize)
	k.fileMu.RLock()
	_, err := k.file.ReadAt(slot, int64(id)*keySlotSize)
	k.fileMu.RUnlock()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, ioError("read", k.path, err)
	}
	state := decodeSlot(id, slot)
	if state == slotDropped { // Drop is between its write and its end
		return nil, ErrErased
	}
	var key []byte
	if state == slotLive {
		key, err = k.wrap.Open(nil, slot[4:16], slot[16:], keyAAD(id))
	}
	if key == nil || err != nil {
		return nil, &CorruptError{File: k.path, Byte: int64(id) * keySlotSize,
			Reason: fmt.Sprintf("key %d cannot be unwrapped: restore the file from a copy", id)}
	}
	return newAEAD(key)
}

func (k *keyring) counts() (live, dropped uint64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.live, k.gone
}

// safe is the number of slots for the state file: all that are on the disk, or at a clean end those that were given to
// somebody.
func (k *keyring) safe(clean bool) uint64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if clean && len(k.spare) > 0 {
		return uint64(k.spare[0]) - 1
	}
	return uint64(len(k.state)) - 1
}

func (k *keyring) close() error {
	k.fileMu.Lock()
	defer k.fileMu.Unlock()
	if err := k.file.Close(); err != nil {
		return ioError("close", k.path, err)
	}
	return nil
}
