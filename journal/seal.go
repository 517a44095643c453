package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// sealer turns frames into records and back. It is safe for many goroutines.
type sealer struct {
	keys *keyring
	max  int // of a plain payload
	zdec *zstd.Decoder
	pool sync.Pool // of *sealBuf
}

// sealBuf is what sealing one frame needs. It is pooled, because what a cipher is handed through its interface would
// be allocated each time.
type sealBuf struct {
	rec   []byte
	aad   [2 + frameHeadSize - 8]byte
	nonce [sealNonceSize]byte
}

func newSealer(keys *keyring, maxPayload int) (*sealer, error) {
	// The capacity of the destination, which the frame's own length gives, bounds what a payload may expand to.
	zdec, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxFrameSize))
	if err != nil {
		return nil, fmt.Errorf("cannot make a zstd decoder: %w", err)
	}
	return &sealer{keys: keys, max: maxPayload, zdec: zdec, pool: sync.Pool{New: func() any { return new(sealBuf) }}}, nil
}

// setAAD makes what the seal of a payload covers besides it: format version and the head of the frame without its
// length.
func (b *sealBuf) setAAD(head []byte) []byte {
	binary.LittleEndian.PutUint16(b.aad[:], formatVersion)
	copy(b.aad[2:], head)
	return b.aad[:]
}

// seal makes b.rec the record of a frame whose payload, perhaps compressed, is stored.
func (s *sealer) seal(b *sealBuf, f Frame, codec uint8, stored []byte, plainLen int) error {
	n := len(stored)
	if f.KeyID != 0 {
		n += sealNonceSize + sealTagSize
	}
	if need := minFrameSize + n; cap(b.rec) < need {
		b.rec = make([]byte, 0, need)
	}
	b.rec = appendHead(b.rec[:0], f, codec, plainLen, n)
	if f.KeyID == 0 {
		b.rec = append(b.rec, stored...)
		return nil
	}
	aead, err := s.keys.aead(f.KeyID)
	if err != nil {
		return fmt.Errorf("cannot seal with key %d: %w", f.KeyID, err)
	}
	random(b.nonce[:])
	aad := b.setAAD(b.rec[4:])
	b.rec = append(b.rec, b.nonce[:]...)
	b.rec = aead.Seal(b.rec, b.nonce[:], stored, aad)
	return nil
}

// Seal implements Journal.
func (j *files) Seal(f Frame) (Sealed, error) {
	if len(f.Payload) > j.sealer.max {
		return Sealed{}, fmt.Errorf("cannot seal %d bytes (at most %d): %w", len(f.Payload), j.sealer.max, ErrTooLarge)
	}
	buf := j.sealer.pool.Get().(*sealBuf) //nolint:forcetypeassert // the pool's New makes nothing else
	if err := j.sealer.seal(buf, f, codecNone, f.Payload, len(f.Payload)); err != nil {
		j.sealer.pool.Put(buf)
		return Sealed{}, err
	}
	return Sealed{owner: j, rec: buf.rec, crc: crc32.Checksum(buf.rec, castagnoli), buf: buf, pool: &j.sealer.pool}, nil
}

// open returns the frame of a record, its payload in memory of its own. head are the record's bytes 8-31. A payload
// that cannot be opened with the right key is an error; one whose key was dropped is Erased.
func (s *sealer) open(r record, head []byte, partition uint32) (Frame, error) {
	f := r.frame
	f.Pos.Partition = partition
	buf := s.pool.Get().(*sealBuf) //nolint:forcetypeassert // the pool's New makes nothing else
	defer s.pool.Put(buf)
	dst := buf.rec[:0]
	if r.codec == codecNone {
		dst = make([]byte, 0, r.plainLen)
	}
	stored, err := s.unseal(buf, dst, r, head)
	if errors.Is(err, ErrErased) {
		f.Erased = true
		return f, nil
	}
	if err != nil {
		return Frame{}, err
	}
	if r.codec == codecNone {
		f.Payload = stored
		return f, nil
	}
	buf.rec = stored[:0]
	f.Payload, err = s.zdec.DecodeAll(stored, make([]byte, 0, r.plainLen))
	if err == nil && len(f.Payload) != r.plainLen {
		err = errBadFrame
	}
	if err != nil {
		return Frame{}, fmt.Errorf("the payload cannot be decompressed (%w): restore the file from a copy", err)
	}
	return f, nil
}

// unseal appends the payload before sealing to dst.
func (s *sealer) unseal(b *sealBuf, dst []byte, r record, head []byte) ([]byte, error) {
	id := r.frame.KeyID
	if id == 0 {
		return append(dst, r.payload...), nil
	}
	aead, err := s.keys.aead(id)
	if errors.Is(err, ErrErased) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("its key %d is missing (%w): restore the file %q from a copy", id, err, s.keys.path)
	}
	dst, err = aead.Open(dst, r.payload[:sealNonceSize], r.payload[sealNonceSize:], b.setAAD(head))
	if err != nil {
		return nil, fmt.Errorf("the payload cannot be unsealed with key %d (%w): restore the file from a copy", id, err)
	}
	return dst, nil
}
