package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The format on disk, version 1, and 2 for compact segments (chunk.go): those of version 1, which earlier builds wrote,
// are read as they are. All integers are little endian. A reader refuses every other version.
//
// A journal is a directory:
//
//	LOCK                        flock; its content, a process id, is for the message to a second opener
//	keys                        the keys of the payloads, wrapped (keys.go)
//	state                       what is known to be safe, to notice files that somebody took away (state.go)
//	00000000000000000001.log    segments, named after the offset of their first frame
//	*.tmp                       being written when the process died; removed on open
//
// A segment is a header, frames without gaps and, once it is compact, an index and a footer.
//
//	header, 64 bytes
//	 0  8  "pbjournl"
//	 8  2  format version: 1, or 2 for a compact segment of chunks
//	10  2  flags; bit 0: compact, the file ends in a footer and never changes again
//	12  4  partition
//	16  8  offset of the first frame, as in the file's name
//	24 16  journal id, the same in all files of a directory
//	40  8  salt: random; the checksum of each frame covers it
//	48  8  creation, microseconds since 1970 UTC
//	56  4  zero
//	60  4  CRC32C of bytes 0-59
//
//	frame, n bytes
//	 0  4  CRC32C of bytes 4 to n-1, then of the 8 bytes of the segment's salt
//	 4  4  n, at least 44, at most 16 MiB
//	 8  1  kind
//	 9  1  codec of the payload before sealing: 0 as it is, 1 zstd
//	10  2  zero
//	12  4  length of the plain payload
//	16  8  key id; 0: not sealed
//	24  8  time, microseconds since 1970 UTC
//	32  p  payload; if sealed: nonce (12), AES-256-GCM ciphertext, tag (16)
//	..  8  offset
//	..  4  lag: offset minus the offset of the last frame known to be fsynced when this one was appended; 0 if unknown
//
// The position comes last so that Seal can do the checksum of all that is large, outside any lock; Append only
// extends it by the 20 bytes of offset, lag and salt. The salt is what no payload can know: a payload that contains
// the image of a frame is never taken for one when a reader looks for good frames behind a bad one, nor is a block of
// a deleted segment that the disk hands out again. The lag is what tells a torn tail from corruption: a good frame
// proves up to where the log had been fsynced before it (open.go).
//
// The additional data of the GCM is the format version (2 bytes) and bytes 8-31 of the frame. The nonce is random, not
// synthetic: the position would be a perfect counter, but it is not known when the payload is sealed, and a subject
// stays far below the 2^32 frames at which random nonces under one key become a risk (NIST SP 800-38D, 8.3).
//
//	footer of a compact segment, after the last frame
//	 0 8k  index: per entry the offset minus the first (4) and the byte in the file (4) of a frame; one for about
//	       every 16 KiB of frames, the first frame always; in format 2 one for every chunk
//	then 112 bytes, the end of the file:
//	 0  8  byte where the index begins = where the frames end
//	 8  4  k
//	12  4  zero
//	16  8  number of frames
//	24  8  offset of the last frame
//	32  8  smallest time of a frame
//	40  8  largest time of a frame
//	48  8  sum of the lengths of all plain payloads
//	56 32  SHA-256 of the bytes of all frames or chunks
//	88 12  zero
//	100 4  CRC32C of the index, footer bytes 0-99 and the segment's salt
//	104 8  "pbjfoot1"
const (
	formatVersion = 1

	segmentMagic = "pbjournl"
	footerMagic  = "pbjfoot1"

	headerSize     = 64
	frameHeadSize  = 32
	frameTailSize  = 12
	minFrameSize   = frameHeadSize + frameTailSize
	maxFrameSize   = 16 << 20
	footerSize     = 112
	indexEntrySize = 8

	sealNonceSize = 12
	sealTagSize   = 16

	flagCompact = 1

	codecNone = 0
	codecZstd = 1

	// indexGrain is how many bytes of frames there are between two entries of the index: what Get reads at once.
	indexGrain = 16 << 10
)

// castagnoli is a constant table.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type journalID [16]byte

// segmentHeader is the first 64 bytes of a segment.
type segmentHeader struct {
	compact   bool
	chunked   bool // format 2, of compact segments alone: chunk.go
	partition uint32
	first     uint64
	id        journalID
	salt      uint64
	created   int64
}

func (h segmentHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	if h.chunked {
		binary.LittleEndian.PutUint16(b[8:], chunkedVersion)
	}
	if h.compact {
		binary.LittleEndian.PutUint16(b[10:], flagCompact)
	}
	binary.LittleEndian.PutUint32(b[12:], h.partition)
	binary.LittleEndian.PutUint64(b[16:], h.first)
	copy(b[24:], h.id[:])
	binary.LittleEndian.PutUint64(b[40:], h.salt)
	binary.LittleEndian.PutUint64(b[48:], uint64(h.created))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

var errTornHeader = errors.New("the header is not complete")

// decodeSegmentHeader tells three things apart: no header yet (errTornHeader), a header of something else or of
// another version (ErrFormat), and a damaged one (any other error).
func decodeSegmentHeader(b []byte) (h segmentHeader, err error) {
	if len(b) < headerSize || bytes.Equal(b[:headerSize], make([]byte, headerSize)) {
		return h, errTornHeader
	}
	if err := checkMagic(b, segmentMagic, chunkedVersion); err != nil {
		return h, err
	}
	if got := binary.LittleEndian.Uint32(b[60:]); got != crc32.Checksum(b[:60], castagnoli) {
		return h, errors.New("the header's checksum does not match: restore the file from a copy")
	}
	h.compact = binary.LittleEndian.Uint16(b[10:])&flagCompact != 0
	h.chunked = binary.LittleEndian.Uint16(b[8:]) == chunkedVersion
	if h.chunked && !h.compact {
		return h, errors.New("it has format version 2 and is not compact: restore the file from a copy")
	}
	h.partition = binary.LittleEndian.Uint32(b[12:])
	h.first = binary.LittleEndian.Uint64(b[16:])
	h.id = journalID(b[24:40])
	h.salt = binary.LittleEndian.Uint64(b[40:])
	h.created = int64(binary.LittleEndian.Uint64(b[48:]))
	return h, nil
}

// checkMagic is for the three kinds of files: 8 bytes of magic, then 2 of version, at most newest.
func checkMagic(b []byte, magic string, newest uint16) error {
	if string(b[:8]) != magic {
		return fmt.Errorf("%w: it begins with %q instead of %q: move the file out of the directory", ErrFormat, b[:8], magic)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v < formatVersion || v > newest {
		return fmt.Errorf("%w: it has format version %d, this build reads up to %d: run the build that wrote it", ErrFormat, v, newest)
	}
	return nil
}

// record is a frame as it lies in a segment.
type record struct {
	frame    Frame  // Payload is nil
	codec    uint8  // of the payload
	plainLen int    // of the payload
	payload  []byte // as stored; aliases the input
	durable  uint64 // up to here everything was fsynced when the frame was appended; 0 if unknown
	size     int    // of the whole frame
}

var (
	errShortFrame = errors.New("the frame is not complete")
	errBadFrame   = errors.New("the frame's length or checksum is wrong")
)

// frameSize reads the length of the frame that begins b, which must hold at least 8 bytes; 0 if it is impossible.
func frameSize(b []byte) int {
	n := binary.LittleEndian.Uint32(b[4:])
	if n < minFrameSize || n > maxFrameSize {
		return 0
	}
	return int(n)
}

// decodeFrame decodes the frame that begins b: errShortFrame if b ends before it does, errBadFrame if it is none.
func decodeFrame(b []byte, salt uint64) (r record, err error) {
	if len(b) < 8 {
		return r, errShortFrame
	}
	n := frameSize(b)
	if n == 0 {
		return r, errBadFrame
	}
	if n > len(b) {
		return r, errShortFrame
	}
	b = b[:n]
	crc := crcSalt(crc32.Checksum(b[4:], castagnoli), salt)
	if binary.LittleEndian.Uint32(b) != crc {
		return r, errBadFrame
	}
	tail := b[n-frameTailSize:]
	r = record{
		frame: Frame{
			Pos:   Pos{Offset: binary.LittleEndian.Uint64(tail)},
			Kind:  Kind(b[8]),
			KeyID: KeyID(binary.LittleEndian.Uint64(b[16:])),
			Time:  int64(binary.LittleEndian.Uint64(b[24:])),
		},
		codec:    b[9],
		plainLen: int(binary.LittleEndian.Uint32(b[12:])),
		payload:  b[frameHeadSize : n-frameTailSize],
		size:     n,
	}
	if lag := uint64(binary.LittleEndian.Uint32(tail[8:])); lag > 0 && lag <= r.frame.Pos.Offset {
		r.durable = r.frame.Pos.Offset - lag
	}
	// A right checksum over fields that make no sense was written so: treat it as bad rather than trust it.
	overhead := 0
	if r.frame.KeyID != 0 {
		overhead = sealNonceSize + sealTagSize
	}
	if b[10]|b[11] != 0 || r.codec > codecZstd || r.plainLen > maxFrameSize || len(r.payload) < overhead ||
		r.codec == codecNone && len(r.payload) != r.plainLen+overhead {
		return record{}, errBadFrame
	}
	return r, nil
}

// appendHead appends bytes 4-31 of a frame, whose payload takes stored bytes: what a record begins with. The payload
// follows it; appendFrame does the rest.
func appendHead(b []byte, f Frame, codec uint8, plainLen, stored int) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(minFrameSize+stored))
	b = append(b, byte(f.Kind), codec, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(plainLen))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.KeyID))
	return binary.LittleEndian.AppendUint64(b, uint64(f.Time))
}

// appendFrame appends the whole frame to b: a record with its checksum, and its position.
func appendFrame(b, rec []byte, crc uint32, salt, offset, durable uint64) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = append(b, rec...)
	var lag uint32
	if d := offset - durable; d <= 1<<32-1 {
		lag = uint32(d)
	}
	b = binary.LittleEndian.AppendUint64(b, offset)
	b = binary.LittleEndian.AppendUint32(b, lag)
	crc = crcSalt(crc32.Update(crc, castagnoli, b[len(b)-frameTailSize:]), salt)
	binary.LittleEndian.PutUint32(b[at:], crc)
	return b
}

// crcSalt continues a checksum with the salt. Byte by byte: for crc32.Update the 8 bytes would have to be allocated.
func crcSalt(crc uint32, salt uint64) uint32 {
	crc = ^crc
	for range 8 {
		crc = castagnoli[byte(crc)^byte(salt)] ^ crc>>8
		salt >>= 8
	}
	return ^crc
}

// mark is an entry of an index: a frame and its byte in the file.
type mark struct {
	rel uint32 // offset minus the segment's first
	at  uint32
}

// footer is the end of a compact segment.
type footer struct {
	index            []mark
	end              int64 // where the frames end
	frames           uint64
	last             uint64
	minTime, maxTime int64
	plainBytes       uint64
	sha              [32]byte
}

// count takes a frame in.
func (f *footer) count(rec record) {
	if f.frames == 0 {
		f.minTime, f.maxTime = rec.frame.Time, rec.frame.Time
	}
	f.minTime, f.maxTime = min(f.minTime, rec.frame.Time), max(f.maxTime, rec.frame.Time)
	f.frames++
	f.last = rec.frame.Pos.Offset
	f.plainBytes += uint64(rec.plainLen)
}

func (f *footer) encode(salt uint64) []byte {
	b := make([]byte, 0, len(f.index)*indexEntrySize+footerSize)
	for _, m := range f.index {
		b = binary.LittleEndian.AppendUint32(b, m.rel)
		b = binary.LittleEndian.AppendUint32(b, m.at)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(f.end))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.index)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, f.frames)
	b = binary.LittleEndian.AppendUint64(b, f.last)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.minTime))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.maxTime))
	b = binary.LittleEndian.AppendUint64(b, f.plainBytes)
	b = append(b, f.sha[:]...)
	b = append(b, make([]byte, 12)...)
	b = binary.LittleEndian.AppendUint32(b, crcSalt(crc32.Checksum(b, castagnoli), salt))
	return append(b, footerMagic...)
}

var errBadFooter = errors.New("the segment is marked compact, but its footer is missing or wrong: restore the file from a copy")

// footerIndexSize is the size of the index that the last footerSize bytes of a file announce.
func footerIndexSize(b []byte, fileSize int64) (int64, error) {
	if len(b) < footerSize || string(b[footerSize-8:footerSize]) != footerMagic {
		return 0, errBadFooter
	}
	n := int64(binary.LittleEndian.Uint32(b[8:])) * indexEntrySize
	if n > fileSize-headerSize-footerSize {
		return 0, errBadFooter
	}
	return n, nil
}

// decodeFooter decodes the index and footer that b is made of, the end of a file of fileSize bytes.
func decodeFooter(b []byte, first, salt uint64, fileSize int64) (f footer, err error) {
	if len(b) < footerSize {
		return f, errBadFooter
	}
	n, err := footerIndexSize(b[len(b)-footerSize:], fileSize)
	if err != nil || n != int64(len(b)-footerSize) {
		return f, errBadFooter
	}
	if got := binary.LittleEndian.Uint32(b[len(b)-12:]); got != crcSalt(crc32.Checksum(b[:len(b)-12], castagnoli), salt) {
		return f, errBadFooter
	}
	t := b[n:]
	f = footer{
		end:        int64(binary.LittleEndian.Uint64(t)),
		frames:     binary.LittleEndian.Uint64(t[16:]),
		last:       binary.LittleEndian.Uint64(t[24:]),
		minTime:    int64(binary.LittleEndian.Uint64(t[32:])),
		maxTime:    int64(binary.LittleEndian.Uint64(t[40:])),
		plainBytes: binary.LittleEndian.Uint64(t[48:]),
		sha:        [32]byte(t[56:88]),
		index:      make([]mark, n/indexEntrySize),
	}
	prev := mark{}
	for i := range f.index {
		m := mark{binary.LittleEndian.Uint32(b[i*8:]), binary.LittleEndian.Uint32(b[i*8+4:])}
		if i == 0 && m != (mark{0, headerSize}) || i > 0 && (m.rel <= prev.rel || m.at <= prev.at) || int64(m.at) >= f.end {
			return footer{}, errBadFooter
		}
		f.index[i], prev = m, m
	}
	if f.end != fileSize-int64(len(b)) || f.frames == 0 || len(f.index) == 0 || f.last != first+f.frames-1 ||
		uint64(prev.rel) >= f.frames {
		return footer{}, errBadFooter
	}
	return f, nil
}
