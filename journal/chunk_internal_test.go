package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
)

// testFrames makes frames of three keys, one of them none, as a segment that is not compact has them.
func testFrames(t testing.TB, s *sealer, n int) (frames []Frame, recs []record, raws [][]byte) {
	t.Helper()
	ids := []KeyID{0}
	for range 2 {
		id, err := s.keys.New()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		f := Frame{Pos: Pos{Offset: 100 + uint64(i)}, Kind: Kind(i), KeyID: ids[i%3], Time: 1_700_000_000_000_000 - int64(rng.IntN(1e6)),
			Payload: fmt.Appendf(nil, "frame %d %x", i, rng.Uint64())[:rng.IntN(12)]}
		var buf sealBuf
		if err := s.seal(&buf, f, codecNone, f.Payload, len(f.Payload)); err != nil {
			t.Fatal(err)
		}
		raw := appendFrame(nil, buf.rec, crc32.Checksum(buf.rec, castagnoli), testSalt, f.Pos.Offset, 0)
		rec, err := decodeFrame(raw, testSalt)
		if err != nil {
			t.Fatal(err)
		}
		frames, recs, raws = append(frames, f), append(recs, rec), append(raws, raw)
	}
	return frames, recs, raws
}

// testChunk is the bytes of a chunk of frames.
func testChunk(t testing.TB, s *sealer, recs []record, raws [][]byte) []byte {
	t.Helper()
	w, err := newChunkWriter(s, testSalt)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for i, rec := range recs {
		if err := w.add(rec, raws[i]); err != nil {
			t.Fatal(err)
		}
	}
	var b []byte
	if err := w.flush(func(p []byte) error { b = append(b, p...); return nil }); err != nil {
		t.Fatal(err)
	}
	return b
}

// openChunk is all frames of a chunk.
func openChunk(s *sealer, b []byte) ([]Frame, error) {
	c, err := decodeChunk(b, testSalt, s)
	if err != nil {
		return nil, err
	}
	if c.size != len(b) {
		return nil, errBadChunk
	}
	plain := make([][]byte, len(c.parcels))
	erased := make([]bool, len(c.parcels))
	for i, p := range c.parcels {
		plain[i], err = s.openParcel(new(parcelBuf), c, uint32(i), b[p.at:p.at+p.size], testSalt, make([]byte, 0, p.plain))
		erased[i] = errors.Is(err, ErrErased)
		if err != nil && !erased[i] {
			return nil, err
		}
	}
	var frames []Frame
	for i, cf := range c.frames {
		f := c.frame(i, 0)
		if f.Erased = erased[cf.parcel]; !f.Erased {
			f.Payload = plain[cf.parcel][cf.at : cf.at+cf.size]
		}
		frames = append(frames, f)
	}
	return frames, nil
}

func sameFrames(a, b []Frame) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		p, q := a[i], b[i]
		if p.Pos != q.Pos || p.Kind != q.Kind || p.KeyID != q.KeyID || p.Time != q.Time || p.Erased != q.Erased || !bytes.Equal(p.Payload, q.Payload) {
			return false
		}
	}
	return true
}

// Whatever of a chunk is changed shows, though head, directory and parcels have right checksums: no frame is read as
// another, at another place, at another time or of another subject. What is not sealed has its checksum alone.
func TestChunkSealCoversHeads(t *testing.T) {
	s := testSealer(t)
	frames, recs, raws := testFrames(t, s, 12)
	whole := testChunk(t, s, recs, raws)
	if got, err := openChunk(s, whole); err != nil || !sameFrames(got, frames) {
		t.Fatalf("openChunk() = %+v, %v, want %+v", got, err, frames)
	}
	c, err := decodeChunk(whole, testSalt, s)
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, change func(c *chunk)) {
		t.Helper()
		other := *c
		other.frames = append([]chunkFrame(nil), c.frames...)
		other.parcels = append([]parcel(nil), c.parcels...)
		change(&other)
		head := other.encode(testSalt, func(plain []byte) []byte { return testCompress(t, plain) })
		b := slices.Concat(head, whole[chunkHeadSize+c.dirSize:])
		got, err := openChunk(s, b)
		if err == nil {
			t.Errorf("%s changed: openChunk() = %+v, want an error", what, got)
		}
	}
	f("position", func(c *chunk) { c.first++ })
	f("kind", func(c *chunk) { c.frames[1].kind++ })
	f("time", func(c *chunk) { c.frames[2].time++ })
	f("lengths", func(c *chunk) { c.frames[1].size++; c.frames[4].size-- })
	f("order", func(c *chunk) { c.frames[1].parcel, c.frames[2].parcel = c.frames[2].parcel, c.frames[1].parcel })
	f("key", func(c *chunk) { c.parcels[1].key, c.parcels[2].key = c.parcels[2].key, c.parcels[1].key })
	f("codec", func(c *chunk) { c.parcels[1].codec ^= codecZstd })
	f("checksum", func(c *chunk) { c.parcels[0].crc++ })
	for at := range whole { // a disk that rots
		b := bytes.Clone(whole)
		b[at] ^= 1
		if got, err := openChunk(s, b); err == nil {
			t.Errorf("openChunk() with byte %d changed = %+v, want an error", at, got)
		}
	}
}

func testCompress(t testing.TB, plain []byte) []byte {
	t.Helper()
	w, err := newChunkWriter(testSealer(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	return w.enc.EncodeAll(plain, nil)
}

// A key that was dropped takes its parcel along, before the chunk was written and after.
func TestChunkErased(t *testing.T) {
	s := testSealer(t)
	frames, recs, raws := testFrames(t, s, 12)
	before := testChunk(t, s, recs, raws)
	if err := s.keys.Drop(frames[1].KeyID); err != nil {
		t.Fatal(err)
	}
	for i := range frames {
		if frames[i].KeyID == frames[1].KeyID {
			frames[i].Erased, frames[i].Payload = true, nil
		}
	}
	after := testChunk(t, s, recs, raws)
	for _, b := range [][]byte{before, after} {
		if got, err := openChunk(s, b); err != nil || !sameFrames(got, frames) {
			t.Errorf("openChunk() = %+v, %v, want %+v", got, err, frames)
		}
	}
	c, err := decodeChunk(after, testSalt, s)
	if err != nil || c.parcels[1].codec != codecGone || c.parcels[1].size != 0 {
		t.Errorf("decodeChunk() = %+v, %v, want no bytes of the dropped key", c, err)
	}
}

func FuzzChunk(f *testing.F) {
	s := testSealer(f)
	_, recs, raws := testFrames(f, s, 12)
	whole := testChunk(f, s, recs, raws)
	h, err := decodeChunkHead(whole)
	if err != nil {
		f.Fatal(err)
	}
	dir, err := s.zdec.DecodeAll(whole[chunkHeadSize:chunkHeadSize+h.dir], make([]byte, 0, h.plainDir))
	if err != nil {
		f.Fatal(err)
	}
	w, err := newChunkWriter(s, 0)
	if err != nil {
		f.Fatal(err)
	}
	defer w.close()
	f.Add(whole[:chunkHeadSize], dir, whole[chunkHeadSize+h.dir:])
	f.Fuzz(func(t *testing.T, head, dir, parcels []byte) {
		if len(head) < chunkHeadSize || len(dir) > maxDirectory {
			return
		}
		// A fuzzer guesses neither checksums nor zstd.
		small := w.enc.EncodeAll(dir, nil)
		b := append(append(bytes.Clone(head[:chunkHeadSize]), small...), parcels...)
		binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
		binary.LittleEndian.PutUint32(b[24:], uint32(len(small)))
		binary.LittleEndian.PutUint32(b[28:], uint32(len(dir)))
		binary.LittleEndian.PutUint32(b, crcSalt(crc32.Checksum(b[4:chunkHeadSize+len(small)], castagnoli), testSalt))
		frames, err := openChunk(s, b)
		if err != nil {
			return
		}
		for i, f := range frames {
			if want := frames[0].Pos.Offset + uint64(i); f.Pos.Offset != want || f.Erased && f.Payload != nil {
				t.Errorf("frame %d of %d is %+v, want position %d", i, len(frames), f, want)
			}
		}
	})
}
