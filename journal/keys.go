package journal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"pitboss/journal/internal/vfs"
)

// The file "keys", version 1: a header and one slot for each key, all of 64 bytes, so that no slot ever lies across
// two sectors and overwriting one is atomic.
//
//	header
//	 0  8  "pbjrnkey"
//	 8  2  format version, 1
//	10  2  zero
//	12  4  partition
//	16 16  journal id
//	32 16  salt of the key derivation
//	48 12  check value of the master key
//	60  4  CRC32C of bytes 0-59
//
//	slot of key id i, at byte 64 i
//	 0  1  1 live, 2 dropped, 3 void (the process or machine died before the key was safe)
//	 1  3  low 24 bits of the CRC32C of byte 0, bytes 4-63 and i (8 bytes)
//	 4 12  nonce, random
//	16 48  AES-256-GCM of the 32 bytes of the key, with i (8 bytes) as additional data
//
// In a slot that is dropped or void all bytes from 4 on are zero. The wrapping key is HKDF-SHA-256 of the master key,
// the salt and "pitboss journal key wrap", the check value the first 12 bytes of the same with "... key check".
//
// Overwriting in place is what a file system and a disk can be asked for; flash and copy-on-write may keep the old
// bytes for a while. What they keep is wrapped: it ends with the master key.
const (
	keysName    = "keys"
	keysMagic   = "pbjrnkey"
	keySlotSize = 64
	dataKeySize = 32

	slotMissing  = 0 // only in RAM: no slot yet, or one that a failed write left
	slotLive     = 1
	slotDropped  = 2
	slotVoid     = 3
	slotDropping = 4 // only in RAM: dropped, but that is not safe yet

	// maxCachedKeys bounds the ciphers in RAM, about 1 KB each.
	maxCachedKeys = 4096
)

type keysHeader struct {
	partition uint32
	id        journalID
	salt      [16]byte
	check     [12]byte
}

func (h keysHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, keysMagic)
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	binary.LittleEndian.PutUint32(b[12:], h.partition)
	copy(b[16:], h.id[:])
	copy(b[32:], h.salt[:])
	copy(b[48:], h.check[:])
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func decodeKeysHeader(b []byte) (h keysHeader, err error) {
	if len(b) < headerSize {
		return h, errors.New("the header is not complete: restore the file from a copy")
	}
	if err := checkMagic(b, keysMagic); err != nil {
		return h, err
	}
	if binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return h, errors.New("the header's checksum does not match: restore the file from a copy")
	}
	h.partition = binary.LittleEndian.Uint32(b[12:])
	h.id = journalID(b[16:32])
	h.salt = [16]byte(b[32:48])
	h.check = [12]byte(b[48:60])
	return h, nil
}

// encodeSlot makes the slot of a key: nonce and wrapped are nil unless it is live.
func encodeSlot(id KeyID, state byte, nonce, wrapped []byte) []byte {
	b := make([]byte, keySlotSize)
	b[0] = state
	copy(b[4:], nonce)
	copy(b[16:], wrapped)
	crc := slotCheck(id, b)
	b[1], b[2], b[3] = byte(crc), byte(crc>>8), byte(crc>>16)
	return b
}

func slotCheck(id KeyID, b []byte) uint32 {
	crc := crc32.Checksum(b[:1], castagnoli)
	crc = crc32.Update(crc, castagnoli, b[4:])
	return crc32.Update(crc, castagnoli, binary.LittleEndian.AppendUint64(nil, uint64(id)))
}

// decodeSlot returns a slot's state, slotMissing for one of zeros, false for a damaged one.
func decodeSlot(id KeyID, b []byte) (state byte, ok bool) {
	if bytes.Equal(b, make([]byte, keySlotSize)) {
		return slotMissing, true
	}
	crc := slotCheck(id, b)
	good := b[1] == byte(crc) && b[2] == byte(crc>>8) && b[3] == byte(crc>>16)
	return b[0], good && b[0] >= slotLive && b[0] <= slotVoid
}

// keyring implements Keys on a file.
type keyring struct {
	fs     vfs.FS
	path   string
	header keysHeader
	wrap   cipher.AEAD
	onFail func(error) // tells the journal that an fsync of keys failed

	fileMu sync.RWMutex // guards file: read-locked around every use of it, locked while rewrite replaces it
	file   vfs.File

	syncMu sync.Mutex // one fsync at a time; guards synced
	synced uint64     // the value of made that is safe

	made atomic.Uint64 // counts written slots

	mu     sync.RWMutex // guards all below; never held over I/O
	state  []byte       // by KeyID; 0 is no key
	retry  []KeyID      // slots whose write failed: New tries them again, so that no damaged slot stays behind
	cache  map[KeyID]cipher.AEAD
	live   uint64
	gone   uint64
	failed error
}

var _ Keys = (*keyring)(nil)

// openKeys opens the keys of a directory, or makes them if it has none and create allows it. The first known slots
// were fsynced by an earlier process: a damaged one among them is corruption, later ones are void.
func openKeys(fsys vfs.FS, dir string, partition uint32, master []byte, known uint64, create bool) (*keyring, error) {
	k := &keyring{fs: fsys, path: filepath.Join(dir, keysName), cache: map[KeyID]cipher.AEAD{}, state: []byte{slotVoid}}
	f, err := fsys.Open(k.path)
	if errors.Is(err, fs.ErrNotExist) && create {
		if err := k.create(dir, partition, master); err != nil {
			return nil, err
		}
		return k, nil
	}
	if err != nil {
		return nil, ioError("open", k.path, err)
	}
	k.file = f
	if err := k.load(partition, master, known); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return k, nil
}

func (k *keyring) create(dir string, partition uint32, master []byte) (err error) {
	k.header.partition = partition
	random(k.header.id[:])
	random(k.header.salt[:])
	if k.wrap, k.header.check, err = deriveKeys(master, k.header.salt[:]); err != nil {
		return err
	}
	if k.file, err = writeFile(k.fs, dir, keysName, k.header.encode()); err != nil {
		return err
	}
	return nil
}

// writeFile writes a whole small file so that after a power cut the old or the new one is there.
func writeFile(fsys vfs.FS, dir, name string, data []byte) (_ vfs.File, err error) {
	path := filepath.Join(dir, name)
	f, err := fsys.Create(path + ".tmp")
	if err != nil {
		return nil, ioError("create", path+".tmp", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if _, err := f.WriteAt(data, 0); err != nil {
		return nil, ioError("write", path+".tmp", err)
	}
	if err := f.Sync(); err != nil {
		return nil, ioError("fsync", path+".tmp", err)
	}
	if err := fsys.Rename(path+".tmp", path); err != nil {
		return nil, ioError("rename", path, err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, ioError("fsync", dir, err)
	}
	return f, nil
}

func deriveKeys(master, salt []byte) (wrap cipher.AEAD, check [12]byte, err error) {
	key, err := hkdf.Key(sha256.New, master, salt, "pitboss journal key wrap", dataKeySize)
	if err != nil {
		return nil, check, fmt.Errorf("cannot derive the wrapping key: %w", err)
	}
	c, err := hkdf.Key(sha256.New, master, salt, "pitboss journal key check", len(check))
	if err != nil {
		return nil, check, fmt.Errorf("cannot derive the check value: %w", err)
	}
	wrap, err = newAEAD(key)
	return wrap, [12]byte(c), err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cannot use the key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("cannot use the key: %w", err)
	}
	return aead, nil
}

// random fills b. crypto/rand never fails: it ends the process instead.
func random(b []byte) { _, _ = rand.Read(b) }

func (k *keyring) load(partition uint32, master []byte, known uint64) error {
	head := make([]byte, headerSize)
	n, err := k.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
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
	k.header = h
	wrap, check, err := deriveKeys(master, h.salt[:])
	if err != nil {
		return err
	}
	if check != h.check {
		return fmt.Errorf("cannot read %q: %w: give the key that the journal was made with", k.path, ErrWrongKey)
	}
	k.wrap = wrap
	return k.loadSlots(known)
}

func (k *keyring) loadSlots(known uint64) error {
	size, err := k.file.Size()
	if err != nil {
		return ioError("read", k.path, err)
	}
	n := uint64(max(size, headerSize)-1) / keySlotSize // slots, a last incomplete one included
	if n < known {
		return &CorruptError{File: k.path, Byte: size, Reason: fmt.Sprintf(
			"%d keys are there, %d were safe before: restore the file from a copy, every frame under a missing key is unreadable", n, known)}
	}
	k.state = append(make([]byte, 0, n+1+n/8), slotVoid)
	buf := make([]byte, min(size, 1<<20)/keySlotSize*keySlotSize)
	for at := int64(headerSize); at < size; {
		m, err := k.file.ReadAt(buf[:min(int64(len(buf)), (size-at+keySlotSize-1)/keySlotSize*keySlotSize)], at)
		if err != nil && err != io.EOF || m == 0 {
			return ioError("read", k.path, err)
		}
		for b := buf[:m]; len(b) > 0; b = b[min(keySlotSize, len(b)):] {
			if err := k.loadSlot(b[:min(keySlotSize, len(b))], known); err != nil {
				return err
			}
		}
		at += int64(m)
	}
	return nil
}

func (k *keyring) loadSlot(b []byte, known uint64) error {
	id := KeyID(len(k.state))
	state, ok := byte(slotMissing), false
	if len(b) == keySlotSize {
		state, ok = decodeSlot(id, b)
	}
	if !ok || state == slotMissing {
		if uint64(id) <= known {
			return &CorruptError{File: k.path, Byte: int64(id) * keySlotSize,
				Reason: fmt.Sprintf("key %d is damaged: restore the file from a copy, every frame under the key is unreadable", id)}
		}
		state = slotVoid
		if _, err := k.file.WriteAt(encodeSlot(id, slotVoid, nil, nil), int64(id)*keySlotSize); err != nil {
			return ioError("write", k.path, err)
		}
		k.made.Add(1)
	}
	switch state {
	case slotLive:
		k.live++
	case slotDropped:
		k.gone++
	}
	k.state = append(k.state, state)
	return nil
}

// New implements Keys.
func (k *keyring) New() (KeyID, error) {
	id, err := k.reserve()
	if err != nil {
		return 0, err
	}
	var key [dataKeySize]byte
	var nonce [sealNonceSize]byte
	random(key[:])
	random(nonce[:])
	slot := encodeSlot(id, slotLive, nonce[:], k.wrap.Seal(nil, nonce[:], key[:], keyAAD(id)))
	aead, err := newAEAD(key[:])
	if err == nil {
		err = k.writeSlot(id, slot)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.retry = append(k.retry, id)
		return 0, err
	}
	k.state[id] = slotLive
	k.live++
	k.put(id, aead)
	return id, nil
}

func (k *keyring) reserve() (KeyID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed != nil {
		return 0, k.failed
	}
	if n := len(k.retry); n > 0 {
		id := k.retry[n-1]
		k.retry = k.retry[:n-1]
		return id, nil
	}
	k.state = append(k.state, slotMissing)
	return KeyID(len(k.state) - 1), nil
}

func (k *keyring) writeSlot(id KeyID, slot []byte) error {
	k.fileMu.RLock()
	defer k.fileMu.RUnlock()
	if _, err := k.file.WriteAt(slot, int64(id)*keySlotSize); err != nil {
		return ioError("write", k.path, err)
	}
	k.made.Add(1)
	return nil
}

// put caches a cipher; another one leaves when there are too many.
func (k *keyring) put(id KeyID, aead cipher.AEAD) {
	if len(k.cache) >= maxCachedKeys {
		for other := range k.cache {
			delete(k.cache, other)
			break
		}
	}
	k.cache[id] = aead
}

func keyAAD(id KeyID) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(id)) }

// Drop implements Keys.
func (k *keyring) Drop(id KeyID) error {
	k.mu.Lock()
	switch state := k.stateOf(id); {
	case state == slotDropped:
		k.mu.Unlock()
		return nil
	case state != slotLive && state != slotDropping:
		k.mu.Unlock()
		return fmt.Errorf("cannot drop key %d: %w", id, ErrNoKey)
	}
	if k.state[id] == slotLive {
		k.live--
	}
	k.state[id] = slotDropping // unreadable from here on, whatever the disk says
	delete(k.cache, id)
	k.mu.Unlock()

	if err := k.writeSlot(id, encodeSlot(id, slotDropped, nil, nil)); err != nil {
		return fmt.Errorf("cannot drop key %d, try again: %w", id, err)
	}
	if err := k.Sync(); err != nil {
		return fmt.Errorf("cannot drop key %d, try again: %w", id, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state[id] == slotDropping {
		k.state[id] = slotDropped
		k.gone++
	}
	return nil
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

// known says whether frames under the key can be in the log: it was made, whether or not it was dropped since.
func (k *keyring) known(id KeyID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s := k.stateOf(id)
	return s == slotLive || s == slotDropping || s == slotDropped
}

// Sync implements Keys. A failed fsync is never tried again on the same file: the kernel may have marked the pages
// clean. The keys, and with them the journal, stay failed until rewrite.
func (k *keyring) Sync() error {
	k.syncMu.Lock()
	defer k.syncMu.Unlock()
	if err := k.failure(); err != nil {
		return err
	}
	made := k.made.Load()
	if made == k.synced {
		return nil
	}
	k.fileMu.RLock()
	err := k.file.Sync()
	k.fileMu.RUnlock()
	if err != nil {
		err = ioError("fsync", k.path, err)
		k.mu.Lock()
		k.failed = fmt.Errorf("%w: %w", ErrFailed, err)
		err = k.failed
		k.mu.Unlock()
		if k.onFail != nil {
			k.onFail(err)
		}
		return err
	}
	k.synced = made
	return nil
}

// syncAll is Sync, also of what an earlier process wrote.
func (k *keyring) syncAll() error {
	k.made.Add(1)
	return k.Sync()
}

func (k *keyring) failure() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.failed
}

// rewrite copies the keys to a new file after a failed fsync, and wipes the old one.
func (k *keyring) rewrite(dir string) error {
	k.syncMu.Lock()
	defer k.syncMu.Unlock()
	if k.failure() == nil {
		return nil
	}
	k.fileMu.Lock()
	defer k.fileMu.Unlock()
	size, err := k.file.Size()
	if err != nil {
		return ioError("read", k.path, err)
	}
	data := make([]byte, size)
	if _, err := k.file.ReadAt(data, 0); err != nil && err != io.EOF {
		return ioError("read", k.path, err)
	}
	if err := k.check(data); err != nil {
		return err
	}
	f, err := writeFile(k.fs, dir, keysName, data)
	if err != nil {
		return err
	}
	// Best effort: the old file has no name any more, what fails here cannot be seen and not be repaired.
	_, _ = k.file.WriteAt(make([]byte, size), 0)
	_ = k.file.Sync()
	_ = k.file.Close()
	k.file = f
	k.synced = k.made.Load()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed = nil
	return nil
}

// check says whether the bytes of the file are what the keyring remembers: a page whose write-back failed may have
// been read again from the disk.
func (k *keyring) check(data []byte) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for id := KeyID(1); id < KeyID(len(k.state)); id++ {
		at := int(id) * keySlotSize
		state, ok := byte(slotMissing), false
		if at+keySlotSize <= len(data) {
			state, ok = decodeSlot(id, data[at:at+keySlotSize])
		}
		want := k.state[id]
		if want == slotMissing || want == slotDropping && ok && state != slotMissing || ok && state == want {
			continue
		}
		return &CorruptError{File: k.path, Byte: int64(at),
			Reason: fmt.Sprintf("key %d was lost by the failed fsync: restore the file from a copy", id)}
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
	if err != nil && err != io.EOF {
		return nil, ioError("read", k.path, err)
	}
	state, ok := decodeSlot(id, slot)
	if ok && state == slotDropped { // Drop is between its write and the end
		return nil, ErrErased
	}
	var key []byte
	if ok && state == slotLive {
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

// safe is how many slots from the first on are written, for the state file: the next process holds them against the
// file. Call it after Sync.
func (k *keyring) safe() uint64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if n := bytes.IndexByte(k.state, slotMissing); n >= 0 {
		return uint64(n) - 1
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
