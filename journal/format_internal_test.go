package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitboss/journal/internal/vfs"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew; never for a format that was released")

const testSalt = 0x0102030405060708

var testID = journalID{0: 0xaa, 15: 0xbb}

// goldenParts are one of each thing in the files, from fixed values.
func goldenParts(t testing.TB) []struct {
	name string
	data []byte
} {
	t.Helper()
	key := bytes.Repeat([]byte{7}, 32)
	aead, err := newAEAD(key)
	if err != nil {
		t.Fatal(err)
	}
	nonce := []byte("golden nonce")
	plain := Frame{Kind: 9, Time: 1_700_000_000_000_000, Payload: []byte("plain payload")}
	rec := append(appendHead(nil, plain, codecNone, len(plain.Payload), len(plain.Payload)), plain.Payload...)
	sealed := Frame{Kind: 10, KeyID: 3, Time: -1, Payload: []byte("sealed payload")}
	srec := appendHead(nil, sealed, codecNone, len(sealed.Payload), len(sealed.Payload)+28)
	srec = aead.Seal(append(srec, nonce...), nonce, sealed.Payload, new(sealBuf).setAAD(srec[4:]))
	wrap, check, err := deriveKeys([]byte("a master key of tests, 32 bytes."), make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	type part = struct {
		name string
		data []byte
	}
	return []part{
		{"segment header", segmentHeader{partition: 2, first: 100, id: testID, salt: testSalt, created: 1_700_000_000_000_000}.encode()},
		{"segment header, compact", segmentHeader{compact: true, first: 1, id: testID, salt: testSalt}.encode()},
		{"frame, plain", appendFrame(nil, rec, crc32.Checksum(rec, castagnoli), testSalt, 100, 99)},
		{"frame, sealed", appendFrame(nil, srec, crc32.Checksum(srec, castagnoli), testSalt, 101, 0)},
		{"footer", (&footer{index: []mark{{0, 64}, {10, 20_000}}, end: 30_000, frames: 20, last: 119, minTime: 1, maxTime: 2,
			plainBytes: 40_000, sha: [32]byte{1, 2, 3}}).encode(testSalt)},
		{"keys header", keysHeader{partition: 2, id: testID, salt: [16]byte{5}, check: check}.encode()},
		{"key slot, live", appendSlot(nil, 3, slotLive, nonce, wrap.Seal(nil, nonce, key, keyAAD(3)))},
		{"key slot, dropped", appendSlot(nil, 3, slotDropped, nil, nil)},
		{"key slot, void", appendSlot(nil, 3, slotVoid, nil, nil)},
		{"state", state{clean: true, partition: 2, id: testID, tail: 100, head: 119, keys: 3, seq: 4}.encode()},
	}
}

// TestFormatIsStable holds every byte of format 1 against a file that is never rewritten once released.
func TestFormatIsStable(t *testing.T) {
	var b strings.Builder
	for _, p := range goldenParts(t) {
		fmt.Fprintf(&b, "%s\n%s\n", p.name, hex.Dump(p.data))
	}
	path := filepath.Join("testdata", "format1.txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("the format changed: -want +got\n%s", d)
	}
}

// Whatever of a sealed frame is changed, even with a right checksum, shows.
func TestSealCoversHead(t *testing.T) {
	s := testSealer(t)
	id, err := s.keys.New()
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.keys.New()
	if err != nil {
		t.Fatal(err)
	}
	f := Frame{Kind: 1, KeyID: id, Time: 5, Payload: []byte("who did what")}
	var buf sealBuf
	if err := s.seal(&buf, f, codecNone, f.Payload, len(f.Payload)); err != nil {
		t.Fatal(err)
	}
	frame := appendFrame(nil, buf.rec, crc32.Checksum(buf.rec, castagnoli), testSalt, 1, 0)
	open := func(b []byte) (Frame, error) {
		r, err := decodeFrame(b, testSalt)
		if err != nil {
			return Frame{}, err
		}
		return s.open(r, b[8:frameHeadSize], 0)
	}
	if got, err := open(frame); err != nil || !bytes.Equal(got.Payload, f.Payload) {
		t.Fatalf("open() = %+v, %v, want %+v", got, err, f)
	}
	for at := 8; at < len(frame)-frameTailSize; at++ {
		for bit := range 8 {
			b := bytes.Clone(frame)
			b[at] ^= 1 << bit
			fixCRC(b)
			if got, err := open(b); err == nil {
				t.Errorf("open() with bit %d of byte %d changed = %+v, want an error", bit, at, got)
			}
		}
	}
	b := bytes.Clone(frame)
	binary.LittleEndian.PutUint64(b[16:], uint64(other))
	fixCRC(b)
	if got, err := open(b); err == nil {
		t.Errorf("open() with another key = %+v, want an error", got)
	}
}

func fixCRC(frame []byte) {
	binary.LittleEndian.PutUint32(frame, crcSalt(crc32.Checksum(frame[4:], castagnoli), testSalt))
}

func testSealer(t testing.TB) *sealer {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dir, cfg.MasterKey = "/keys", make([]byte, 32)
	keys, err := openKeys(vfs.NewMem(), cfg, 0, false, true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSealer(keys, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.zdec.Close)
	return s
}

// A compressed payload that lies about its size must not make the reader allocate what it likes.
func TestDecompressionIsBounded(t *testing.T) {
	s := testSealer(t)
	c, err := newChunkWriter(s, testSalt)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	bomb := c.enc.EncodeAll(make([]byte, 64<<20), nil)
	for _, plainLen := range []int{0, 1, 1 << 20, maxFrameSize} {
		rec := append(appendHead(nil, Frame{}, codecZstd, plainLen, len(bomb)), bomb...)
		frame := appendFrame(nil, rec, crc32.Checksum(rec, castagnoli), testSalt, 1, 0)
		r, err := decodeFrame(frame, testSalt)
		if err != nil {
			t.Fatalf("decodeFrame() = %v, want nil", err)
		}
		if got, err := s.open(r, frame[8:frameHeadSize], 0); err == nil {
			t.Errorf("open() of 64 MiB in a frame that says %d = %d bytes, want an error", plainLen, len(got.Payload))
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, p := range goldenParts(f) {
		f.Add(p.data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= minFrameSize { // a fuzzer does not guess checksums
			b = bytes.Clone(b)
			if n := frameSize(b); n > 0 && n <= len(b) {
				fixCRC(b[:n])
			}
		}
		r, err := decodeFrame(b, testSalt)
		if err != nil {
			return
		}
		lag := binary.LittleEndian.Uint32(b[r.size-4:])
		if uint64(lag) > r.frame.Pos.Offset || lag == 0 {
			return // says nothing, and is not what appendFrame writes
		}
		rec := b[4 : r.size-frameTailSize]
		again := appendFrame(nil, rec, crc32.Checksum(rec, castagnoli), testSalt, r.frame.Pos.Offset, r.durable)
		if !bytes.Equal(again, b[:r.size]) {
			t.Errorf("decoded %+v, encoded again:\n%x, want\n%x", r, again, b[:r.size])
		}
	})
}

func FuzzHeaders(f *testing.F) {
	for _, p := range goldenParts(f) {
		f.Add(p.data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == headerSize { // a fuzzer does not guess checksums
			b = bytes.Clone(b)
			binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
		}
		check := func(got any, encoded []byte, err error) {
			t.Helper()
			if err != nil {
				return
			}
			if again, err := decodeAny(encoded); err != nil || again != got {
				t.Errorf("decoded %+v, encoded and decoded again %+v, %v", got, again, err)
			}
		}
		h, err := decodeSegmentHeader(b)
		check(h, h.encode(), err)
		k, err := decodeKeysHeader(b)
		check(k, k.encode(), err)
		s, err := decodeState(b)
		check(s, s.encode(), err)
		_, _ = decodeStates(b)
		for id := range KeyID(3) {
			if s := decodeSlot(id, b); s > slotVoid {
				t.Errorf("decodeSlot() = %d, want a state that is on the disk", s)
			}
		}
	})
}

// decodeAny decodes whichever header it is.
func decodeAny(b []byte) (any, error) {
	if h, err := decodeSegmentHeader(b); err == nil {
		return h, nil
	}
	if h, err := decodeKeysHeader(b); err == nil {
		return h, nil
	}
	return decodeState(b)
}

func FuzzFooter(f *testing.F) {
	foot := footer{index: []mark{{0, 64}, {10, 20_000}}, end: 30_000, frames: 20, last: 119, sha: [32]byte{1}}
	f.Add(foot.encode(testSalt), int64(30_000+128))
	f.Add([]byte(footerMagic), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		if len(b) >= footerSize {
			b = bytes.Clone(b)
			binary.LittleEndian.PutUint32(b[len(b)-12:], crcSalt(crc32.Checksum(b[:len(b)-12], castagnoli), testSalt))
			copy(b[len(b)-8:], footerMagic)
		}
		foot, err := decodeFooter(b, 100, testSalt, size)
		if err != nil {
			return
		}
		again, err := decodeFooter(foot.encode(testSalt), 100, testSalt, size)
		if err != nil || cmp.Diff(foot, again, cmp.AllowUnexported(footer{}, mark{})) != "" {
			t.Errorf("decoded %+v, encoded and decoded again %+v, %v", foot, again, err)
		}
		if foot.end > size || len(foot.index)*indexEntrySize > len(b) || foot.last < 100 {
			t.Errorf("decodeFooter() = %+v, want all of it inside a file of %d bytes", foot, size)
		}
	})
}
