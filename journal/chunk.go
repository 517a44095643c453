package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// A compact segment of format 2 is made of chunks: the frames of a chunk lie in parcels, those of one key together,
// compressed as one and then sealed as one. What repeats from event to event of a subject (its aliases, above all) is
// stored once a parcel, and so are nonce and tag. docs/decisions/008 has the measurements.
//
//	chunk, n bytes
//	 0  4  CRC32C of bytes 4 to 39 and of the directory as stored, then of the 8 bytes of the segment's salt
//	 4  4  n, at most 48 MiB
//	 8  4  number of frames, at most 65,536
//	12  4  number of parcels, at most one a frame
//	16  8  offset of the first frame
//	24  4  d, length of the directory as stored
//	28  4  length of the plain directory, at most 4 MiB
//	32  8  time of the first frame, microseconds since 1970 UTC
//	40  d  directory, zstd
//	..     the parcels, one after the other
//
//	directory; numbers without a size are unsigned varints
//	 per parcel: key id; codec (1 byte: 0 as it is, 1 zstd, 2 gone: the key was dropped before); length as stored;
//	             length before compression; CRC32C of the stored bytes, then of the salt (4 bytes)
//	 the parcel of each frame, by number
//	 the kind of each frame (1 byte)
//	 the time of each frame minus that of the one before (signed varint); the first's is 0
//	 the length of each frame's payload; they lie in the parcel in the order of their offsets
//
//	parcel: the payloads, compressed; if sealed: nonce (12), AES-256-GCM ciphertext, tag (16)
//
// The additional data of the GCM is the parcel's heads: format version (2 bytes), key id (8), then per frame offset (8),
// time (8), length of the payload (4) and kind (1). So no frame can be moved, nor given to another subject. Heads and
// stored bytes together are the leaf of a Merkle log: they prove position, kind, time and sealed bytes without the key.
const (
	chunkedVersion = 2

	chunkHeadSize  = 40
	maxChunkSize   = 48 << 20
	maxChunkFrames = 1 << 16
	maxDirectory   = 4 << 20

	// A chunk ends at the first of these. What a cursor keeps in memory is a chunk, what Get reads is a directory, of some
	// 3,000 events, and one parcel.
	chunkPlainBytes  = 2 << 20
	chunkFrames      = 1 << 14
	parcelPlainBytes = 64 << 10

	codecGone = 2
)

var errBadChunk = errors.New("the chunk's lengths or checksum are wrong")

// parcel is the frames of one key in a chunk.
type parcel struct {
	key      KeyID
	codec    uint8
	at, size int // where its bytes lie in the chunk
	plain    int // before compression
	crc      uint32
	first    int // the first of its frames
	last     int
}

// chunkFrame is what a directory says of a frame. There are as many in memory as a directory has, so it is small.
type chunkFrame struct {
	time     int64
	at, size uint32 // its payload in the plain parcel
	parcel   uint32
	next     uint32 // the next frame of the parcel
	kind     Kind
}

// chunk is a chunk without its parcels' bytes.
type chunk struct {
	first   uint64
	size    int
	dirSize int
	parcels []parcel
	frames  []chunkFrame
}

// last is the offset of its last frame.
func (c *chunk) last() uint64 { return c.first + uint64(len(c.frames)) - 1 }

// chunkHead is the first bytes of a chunk.
type chunkHead struct {
	size, frames, parcels, dir, plainDir int
	first                                uint64
	time                                 int64
}

// decodeChunkHead reads what bounds the rest; b has chunkHeadSize bytes, of which nothing is proved yet.
func decodeChunkHead(b []byte) (h chunkHead, err error) {
	u32 := func(at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }
	h = chunkHead{
		size: u32(4), frames: u32(8), parcels: u32(12), dir: u32(24), plainDir: u32(28),
		first: binary.LittleEndian.Uint64(b[16:]), time: int64(binary.LittleEndian.Uint64(b[32:])),
	}
	if h.size > maxChunkSize || h.frames == 0 || h.frames > maxChunkFrames || h.parcels == 0 || h.parcels > h.frames ||
		h.plainDir > maxDirectory || h.dir > h.size-chunkHeadSize || h.first == 0 || h.first > math.MaxUint64-maxChunkFrames {
		return h, errBadChunk
	}
	return h, nil
}

// decodeChunk decodes head and directory, which b begins with.
func decodeChunk(b []byte, salt uint64, s *sealer) (*chunk, error) {
	if len(b) < chunkHeadSize {
		return nil, errBadChunk
	}
	h, err := decodeChunkHead(b)
	if err != nil || len(b) < chunkHeadSize+h.dir {
		return nil, errBadChunk
	}
	b = b[:chunkHeadSize+h.dir]
	if binary.LittleEndian.Uint32(b) != crcSalt(crc32.Checksum(b[4:], castagnoli), salt) {
		return nil, errBadChunk
	}
	dir, err := s.zdec.DecodeAll(b[chunkHeadSize:], make([]byte, 0, h.plainDir))
	if err != nil || len(dir) != h.plainDir {
		return nil, errBadChunk
	}
	c := &chunk{first: h.first, size: h.size, dirSize: h.dir}
	r := directoryReader{b: dir}
	if !c.readParcels(&r, h) || !c.readFrames(&r, h) {
		return nil, errBadChunk
	}
	return c, nil
}

// directoryReader reads a directory; after anything that is not there, bad is set and all is zero.
type directoryReader struct {
	b   []byte
	bad bool
}

// number reads a number of at most limit.
func (r *directoryReader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *directoryReader) signed() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *directoryReader) bytes(n int) []byte {
	if len(r.b) < n {
		r.bad, r.b = true, nil
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (c *chunk) readParcels(r *directoryReader, h chunkHead) bool {
	c.parcels = make([]parcel, h.parcels)
	at, plain := chunkHeadSize+h.dir, 0
	for i := range c.parcels {
		p := parcel{at: at, first: -1}
		p.key = KeyID(r.number(math.MaxUint64))
		p.codec = r.bytes(1)[0]
		p.size = int(r.number(maxChunkSize))
		p.plain = int(r.number(maxChunkSize))
		p.crc = binary.LittleEndian.Uint32(r.bytes(4))
		overhead := 0
		if p.key != 0 {
			overhead = sealNonceSize + sealTagSize
		}
		plain += p.plain
		switch {
		case r.bad, p.codec > codecGone, plain > maxChunkSize:
			return false
		case p.codec == codecGone && (p.key == 0 || p.size != 0 || p.plain != 0):
			return false
		case p.codec == codecZstd && p.size < overhead, p.codec == codecNone && p.size != p.plain+overhead:
			return false
		}
		c.parcels[i] = p
		at += p.size
	}
	return at == c.size
}

func (c *chunk) readFrames(r *directoryReader, h chunkHead) bool {
	c.frames = make([]chunkFrame, h.frames)
	for i := range c.frames {
		f := &c.frames[i]
		f.parcel = uint32(r.number(uint64(h.parcels - 1)))
		p := &c.parcels[f.parcel]
		if p.first < 0 {
			p.first = i
		} else {
			c.frames[p.last].next = uint32(i)
		}
		p.last = i
	}
	for i, kind := range r.bytes(h.frames) {
		c.frames[i].kind = Kind(kind)
	}
	time := h.time
	for i := range c.frames {
		time += r.signed()
		c.frames[i].time = time
	}
	full := make([]uint32, h.parcels)
	for i := range c.frames {
		f := &c.frames[i]
		f.at, f.size = full[f.parcel], uint32(r.number(maxChunkSize))
		if full[f.parcel] += f.size; full[f.parcel] > maxChunkSize {
			return false
		}
	}
	for i, p := range c.parcels {
		if p.first < 0 || int(full[i]) != p.plain {
			return false
		}
	}
	return !r.bad && len(r.b) == 0
}

// frame is a frame without its payload.
func (c *chunk) frame(i int, partition uint32) Frame {
	f := &c.frames[i]
	return Frame{Pos: Pos{partition, c.first + uint64(i)}, Kind: f.kind, KeyID: c.parcels[f.parcel].key, Time: f.time}
}

// appendHeads appends what the seal of a parcel covers besides it.
func (c *chunk) appendHeads(b []byte, parcel uint32) []byte {
	p := &c.parcels[parcel]
	b = binary.LittleEndian.AppendUint16(b, chunkedVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.key))
	for i := p.first; ; i = int(c.frames[i].next) {
		f := &c.frames[i]
		b = binary.LittleEndian.AppendUint64(b, c.first+uint64(i))
		b = binary.LittleEndian.AppendUint64(b, uint64(f.time))
		b = binary.LittleEndian.AppendUint32(b, f.size)
		b = append(b, byte(f.kind))
		if i == p.last {
			return b
		}
	}
}

// encode makes head and directory; the parcels' bytes follow them.
func (c *chunk) encode(salt uint64, compress func(plain []byte) []byte) []byte {
	dir := make([]byte, 0, 16*len(c.parcels)+8*len(c.frames))
	stored := 0
	for _, p := range c.parcels {
		dir = binary.AppendUvarint(dir, uint64(p.key))
		dir = append(dir, p.codec)
		dir = binary.AppendUvarint(dir, uint64(p.size))
		dir = binary.AppendUvarint(dir, uint64(p.plain))
		dir = binary.LittleEndian.AppendUint32(dir, p.crc)
		stored += p.size
	}
	for _, f := range c.frames {
		dir = binary.AppendUvarint(dir, uint64(f.parcel))
	}
	for _, f := range c.frames {
		dir = append(dir, byte(f.kind))
	}
	before := c.frames[0].time
	for _, f := range c.frames {
		dir = binary.AppendVarint(dir, f.time-before)
		before = f.time
	}
	for _, f := range c.frames {
		dir = binary.AppendUvarint(dir, uint64(f.size))
	}
	small := compress(dir)
	c.dirSize, c.size = len(small), chunkHeadSize+len(small)+stored

	b := make([]byte, 4, chunkHeadSize+len(small))
	for _, n := range []int{c.size, len(c.frames), len(c.parcels)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	b = binary.LittleEndian.AppendUint64(b, c.first)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(small)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(dir)))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.frames[0].time))
	b = append(b, small...)
	binary.LittleEndian.PutUint32(b, crcSalt(crc32.Checksum(b[4:], castagnoli), salt))
	return b
}
