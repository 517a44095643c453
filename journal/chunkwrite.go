package journal

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// chunkWriter collects frames into parcels and writes chunks.
type chunkWriter struct {
	sealer *sealer
	salt   uint64
	enc    *zstd.Encoder

	c      chunk
	plain  [][]byte // of each parcel
	open   map[KeyID]int
	size   int // of all payloads
	unseal sealBuf
	buf    []byte // one payload
	zbuf   []byte
	heads  []byte
	stored []byte
}

func newChunkWriter(s *sealer, salt uint64) (*chunkWriter, error) {
	// No dictionary: one that is made of payloads holds pieces of them, which dropping a key would not take away. Within a
	// parcel all is of one subject.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("cannot make a zstd encoder: %w", err)
	}
	return &chunkWriter{sealer: s, salt: salt, enc: enc, open: map[KeyID]int{}}, nil
}

func (w *chunkWriter) close() { _ = w.enc.Close() } // it has no stream to flush

// add takes a frame of a segment that is not compact. raw is valid until the next call of its reader.
func (w *chunkWriter) add(rec record, raw []byte) error {
	payload, err := w.sealer.unseal(&w.unseal, w.buf[:0], rec, raw[8:frameHeadSize])
	gone := errors.Is(err, ErrErased)
	if err != nil && !gone {
		return err
	}
	if !gone {
		w.buf = payload
	}
	if len(w.c.frames) == 0 {
		w.c.first = rec.frame.Pos.Offset
	}
	i := w.parcelOf(rec.frame.KeyID, gone)
	p := &w.c.parcels[i]
	n := len(w.c.frames)
	if p.first < 0 {
		p.first = n
	} else {
		w.c.frames[p.last].next = uint32(n)
	}
	p.last = n
	w.c.frames = append(w.c.frames, chunkFrame{
		parcel: uint32(i), kind: rec.frame.Kind, time: rec.frame.Time, at: uint32(p.plain), size: uint32(len(payload)),
	})
	p.plain += len(payload)
	w.plain[i] = append(w.plain[i], payload...)
	w.size += len(payload)
	return nil
}

// parcelOf returns the parcel that takes the next frame of a key.
func (w *chunkWriter) parcelOf(key KeyID, gone bool) int {
	codec := uint8(codecNone)
	if gone {
		codec = codecGone
	}
	if i, ok := w.open[key]; ok && w.c.parcels[i].codec == codec && w.c.parcels[i].plain < parcelPlainBytes {
		return i
	}
	i := len(w.c.parcels)
	w.c.parcels = append(w.c.parcels, parcel{key: key, codec: codec, first: -1})
	if len(w.plain) == i {
		w.plain = append(w.plain, nil)
	}
	w.plain[i] = w.plain[i][:0]
	w.open[key] = i
	return i
}

// full says that the chunk should be written.
func (w *chunkWriter) full() bool { return w.size >= chunkPlainBytes || len(w.c.frames) >= chunkFrames }

// flush gives the chunk's pieces to write and begins the next.
func (w *chunkWriter) flush(write func([]byte) error) error {
	w.stored = w.stored[:0]
	for i := range w.c.parcels {
		if err := w.seal(i); err != nil {
			return err
		}
	}
	head := w.c.encode(w.salt, func(plain []byte) []byte { return w.enc.EncodeAll(plain, nil) })
	if err := errors.Join(write(head), write(w.stored)); err != nil {
		return err
	}
	w.c = chunk{frames: w.c.frames[:0], parcels: w.c.parcels[:0]}
	w.size = 0
	clear(w.open)
	return nil
}

// seal appends a parcel's bytes to stored.
func (w *chunkWriter) seal(i int) error {
	p, plain := &w.c.parcels[i], w.plain[i]
	if p.codec != codecGone {
		if w.zbuf = w.enc.EncodeAll(plain, w.zbuf[:0]); len(w.zbuf) < len(plain) {
			plain, p.codec = w.zbuf, codecZstd
		}
		err := w.append(i, plain)
		if errors.Is(err, ErrErased) { // dropped since
			w.forget(i)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (w *chunkWriter) append(i int, plain []byte) error {
	p, at := &w.c.parcels[i], len(w.stored)
	if p.key == 0 {
		w.stored = append(w.stored, plain...)
	} else {
		aead, err := w.sealer.keys.aead(p.key)
		if err != nil {
			return fmt.Errorf("cannot seal with key %d: %w", p.key, err)
		}
		random(w.unseal.nonce[:])
		w.heads = w.c.appendHeads(w.heads[:0], uint32(i))
		w.stored = append(w.stored, w.unseal.nonce[:]...)
		w.stored = aead.Seal(w.stored, w.unseal.nonce[:], plain, w.heads)
	}
	p.size = len(w.stored) - at
	p.crc = crcSalt(crc32.Checksum(w.stored[at:], castagnoli), w.salt)
	return nil
}

// forget makes a parcel one whose key was dropped before.
func (w *chunkWriter) forget(i int) {
	p := &w.c.parcels[i]
	p.codec, p.plain = codecGone, 0
	for n := p.first; ; n = int(w.c.frames[n].next) {
		w.c.frames[n].at, w.c.frames[n].size = 0, 0
		if n == p.last {
			return
		}
	}
}
