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
	"path/filepath"

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
//	 0  1  1 live, 2 dropped, 3 void (the process or machine died while it was written; it was never used)
//	 1  3  low 24 bits of the CRC32C of byte 0, bytes 4-63 and i (8 bytes)
//	 4 12  nonce, random
//	16 48  AES-256-GCM of the 32 bytes of the key, with i (8 bytes) as additional data
//
// In a slot that is dropped or void all bytes from 4 on are zero. The wrapping key is HKDF-SHA-256 of the master key,
// the salt and "pitboss journal key wrap", the check value the first 12 bytes of the same with "... key check".
//
// Slots are written and fsynced in batches of 256 before the first of them is given to anybody: a frame whose key
// is not on the disk cannot exist. So only the last batch of the file can be torn, and nothing of it was used then.
//
// Overwriting in place is what a file system and a disk can be asked for; flash and copy-on-write may keep the old
// bytes for a while. What they keep is wrapped: it ends with the master key.
const (
	keysName    = "keys"
	keysMagic   = "pbjrnkey"
	keySlotSize = 64
	dataKeySize = 32
	keyBatch    = 256

	slotMissing  = 0 // only in RAM
	slotLive     = 1
	slotDropped  = 2
	slotVoid     = 3
	slotDropping = 4 // only in RAM: dropped, but that is not safe yet
	slotSpare    = 5 // only in RAM: live on the disk, not given to anybody yet
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
	if err := checkMagic(b, keysMagic, formatVersion); err != nil {
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

// appendSlot appends the slot of a key: nonce and wrapped are nil unless it is live.
func appendSlot(dst []byte, id KeyID, state byte, nonce, wrapped []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, keySlotSize)...)
	b := dst[at:]
	b[0] = state
	copy(b[4:], nonce)
	copy(b[16:], wrapped)
	crc := slotCheck(id, b)
	b[1], b[2], b[3] = byte(crc), byte(crc>>8), byte(crc>>16)
	return dst
}

func slotCheck(id KeyID, b []byte) uint32 {
	crc := crc32.Checksum(b[:1], castagnoli)
	crc = crc32.Update(crc, castagnoli, b[4:keySlotSize])
	return crc32.Update(crc, castagnoli, keyAAD(id))
}

func keyAAD(id KeyID) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(id)) }

// decodeSlot returns a slot's state, or slotMissing for one that is damaged, incomplete or zeros.
func decodeSlot(id KeyID, b []byte) byte {
	if len(b) < keySlotSize || bytes.Equal(b[:keySlotSize], make([]byte, keySlotSize)) {
		return slotMissing
	}
	crc := slotCheck(id, b)
	if b[1] != byte(crc) || b[2] != byte(crc>>8) || b[3] != byte(crc>>16) || b[0] < slotLive || b[0] > slotVoid {
		return slotMissing
	}
	return b[0]
}

// deriveKeys makes the wrapping key and the check value of a master key.
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
