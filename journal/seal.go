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
	pool sync.Pool // of *[]byte: pointers, so that Put does not allocate
}

func newSealer(keys *keyring, maxPayload int) (*sealer, error) {
	// The capacity of the destination, which the frame's own length gives, bounds what a payload may expand to.
	zdec, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxFrameSize))
	if err != nil {
		return nil, fmt.Errorf("cannot make a zstd decoder: %w", err)
	}
	return &sealer{keys: keys, max: maxPayload, zdec: zdec, pool: sync.Pool{New: func() any { return new([]byte) }}}, nil
}

// aad is what the seal of a payload covers besides it: format version and the head of the frame without its length.
type aad [2 + frameHeadSize - 8]byte

func (a *aad) set(head []byte) []byte {
	binary.LittleEndian.PutUint16(a[:], formatVersion)
	copy(a[2:], head)
	return a[:]
}

// seal appends to b the record of a frame whose payload, perhaps compressed, is stored; crc is over what it appended.
func (s *sealer) seal(b []byte, f Frame, codec uint8, stored []byte, plainLen int) (rec []byte, err error) {
	if f.KeyID == 0 {
		return appendRecord(b, f, codec, plainLen, len(stored), func(dst, _ []byte) []byte {
			return append(dst, stored...)
		}), nil
	}
	aead, err := s.keys.aead(f.KeyID)
	if err != nil {
		return nil, fmt.Errorf("cannot seal with key %d: %w", f.KeyID, err)
	}
	n := len(stored) + sealNonceSize + sealTagSize
	return appendRecord(b, f, codec, plainLen, n, func(dst, head []byte) []byte {
		var a aad
		var nonce [sealNonceSize]byte
		random(nonce[:])
		dst = append(dst, nonce[:]...)
		return aead.Seal(dst, nonce[:], stored, a.set(head))
	}), nil
}

// Seal implements Journal.
func (j *files) Seal(f Frame) (Sealed, error) {
	if len(f.Payload) > j.sealer.max {
		return Sealed{}, fmt.Errorf("cannot seal %d bytes (at most %d): %w", len(f.Payload), j.sealer.max, ErrTooLarge)
	}
	buf := j.sealer.pool.Get().(*[]byte)
	if need := minFrameSize + len(f.Payload) + sealNonceSize + sealTagSize; cap(*buf) < need {
		*buf = make([]byte, 0, need)
	}
	rec, err := j.sealer.seal((*buf)[:0], f, codecNone, f.Payload, len(f.Payload))
	if err != nil {
		j.sealer.pool.Put(buf)
		return Sealed{}, err
	}
	return Sealed{owner: j, rec: rec, crc: crc32.Checksum(rec, castagnoli), buf: buf, pool: &j.sealer.pool}, nil
}

// open returns the frame of a record, its payload in memory of its own. head are the record's bytes 8-31. A payload
// that cannot be opened with the right key is an error; one whose key was dropped is Erased.
func (s *sealer) open(r record, head []byte, partition uint32) (Frame, error) {
	f := r.frame
	f.Pos.Partition = partition
	stored, sealed, err := s.unseal(r, head)
	if err != nil {
		if errors.Is(err, ErrErased) {
			f.Erased = true
			return f, nil
		}
		return Frame{}, err
	}
	if r.codec == codecNone {
		if !sealed { // it aliases the input
			stored = append(make([]byte, 0, len(stored)), stored...)
		}
		f.Payload = stored
		return f, nil
	}
	f.Payload, err = s.zdec.DecodeAll(stored, make([]byte, 0, r.plainLen))
	if err == nil && len(f.Payload) != r.plainLen {
		err = errBadFrame
	}
	if err != nil {
		return Frame{}, fmt.Errorf("the payload cannot be decompressed (%w): restore the file from a copy", err)
	}
	return f, nil
}

// unseal returns the payload before sealing; sealed says that it has memory of its own.
func (s *sealer) unseal(r record, head []byte) (stored []byte, sealed bool, err error) {
	id := r.frame.KeyID
	if id == 0 {
		return r.payload, false, nil
	}
	aead, err := s.keys.aead(id)
	switch {
	case err == nil:
	case errors.Is(err, ErrErased):
		return nil, false, err
	default:
		return nil, false, fmt.Errorf("its key %d is missing (%w): restore the file %q from a copy", id, err, s.keys.path)
	}
	var a aad
	n := sealNonceSize
	stored, err = aead.Open(make([]byte, 0, len(r.payload)), r.payload[:n], r.payload[n:], a.set(head))
	if err != nil {
		return nil, false, fmt.Errorf("the payload cannot be unsealed with key %d (%w): restore the file from a copy", id, err)
	}
	return stored, true, nil
}
