package features

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"pitboss/features/tiles"
	"pitboss/journal"
)

// stateFormat is the first byte of every entity's blob. Numbers are on disk: a new form of the blob gets a new one.
const stateFormat = 1

// entityState is what is kept of one entity: the position of the last frame applied to it, and its groups' windows.
type entityState struct {
	// pos is the last frame applied; zero while there is none.
	pos journal.Pos
	// born is the first frame applied: what came before it, before an erasure say, is not inside.
	born journal.Pos
	// newest is the newest event time over all frames applied, first the oldest, microseconds.
	newest, first int64
	// subject is the key that seals the frames of this entity's events, 0 while there is none.
	subject journal.KeyID
	// groups are the windows, one per group of the kind, in the plan's order.
	groups []tiles.State
	// pushes are the values that were pushed, by key.
	pushes []pushed
}

// blobReader reads a stored form and keeps the first error.
type blobReader struct {
	rest []byte
	err  error
}

// horizon is the time before which windows need not be exact any more.
func horizon(newest int64) int64 { return newest - tiles.Grace.Microseconds() }

// appendState encodes an entity:
//
//	format 1 byte | partition, offset, offset-born uvarint | newest, newest-first varint | subject uvarint
//	groups uvarint, then each: id uvarint, length uvarint, bytes | pushed values, where there are any
//
// Groups without anything in them are left out. It compacts the windows, which makes the blob smaller and changes no reading.
func (k *kindPlan) appendState(dst []byte, s *entityState) []byte {
	dst = AppendStatePos(dst, s.pos)
	dst = binary.AppendUvarint(dst, s.pos.Offset-s.born.Offset)
	dst = binary.AppendVarint(dst, s.newest)
	dst = binary.AppendVarint(dst, s.newest-s.first)
	dst = binary.AppendUvarint(dst, uint64(s.subject))
	first, full := len(dst), uint64(0)
	for i, g := range k.groups {
		begin := len(dst)
		dst = binary.AppendUvarint(dst, uint64(g.id))
		start := len(dst)
		s.groups[i].Compact(g.layout, horizon(s.newest))
		dst = s.groups[i].AppendBinary(g.layout, dst)
		if !g.joins && g.layout.IsEmpty(dst[start:]) {
			dst = dst[:begin]
			continue
		}
		dst = prependLength(dst, start)
		full++
	}
	return appendPushes(prepend(dst, first, full), s.pushes)
}

// decodeState reads what appendState wrote. Groups that the plan does not have are left out: nobody will read them.
func (k *kindPlan) decodeState(blob []byte, s *entityState) error {
	r := blobReader{rest: blob}
	*s = r.head()
	s.groups = make([]tiles.State, len(k.groups))
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		id := r.uvarint()
		data := r.bytes()
		i, ok := k.byID[uint32(id)]
		if r.err != nil || !ok || id>>32 != 0 {
			continue
		}
		if err := s.groups[i].DecodeBinary(k.groups[i].layout, data); err != nil {
			return fmt.Errorf("%w: group %s: %w", ErrStateCorrupt, k.groups[i].short(), err)
		}
	}
	s.pushes = nil
	k.decodePushes(&r, s)
	return r.end()
}

// head reads what comes before an entity's groups.
func (r *blobReader) head() (s entityState) {
	r.format(stateFormat)
	s.pos = r.pos()
	s.born = journal.Pos{Partition: s.pos.Partition, Offset: s.pos.Offset - r.uvarint()}
	if s.born.Offset > s.pos.Offset {
		r.fail("born after its position")
	}
	s.newest = r.varint()
	s.first = s.newest - r.varint()
	s.subject = journal.KeyID(r.uvarint())
	return s
}

// hasGroup says whether a blob has a group.
func hasGroup(blob []byte, id uint32) bool {
	r := blobReader{rest: blob}
	r.head()
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		have := r.uvarint()
		r.bytes()
		if have == uint64(id) && r.err == nil {
			return true
		}
	}
	return false
}

// AppendStatePos appends the beginning of every entity's blob: format and position.
func AppendStatePos(dst []byte, pos journal.Pos) []byte {
	dst = append(dst, stateFormat)
	dst = binary.AppendUvarint(dst, uint64(pos.Partition))
	return binary.AppendUvarint(dst, pos.Offset)
}

// StatePos reads the position out of an entity's blob, for implementations of States.
func StatePos(blob []byte) (journal.Pos, error) {
	r := blobReader{rest: blob}
	r.format(stateFormat)
	pos := r.pos()
	return pos, r.err
}

// SameEvents says whether two blobs of entities hold the same events: the same windows and times, byte for byte, whatever
// the positions of the frames that brought them and the keys of subjects. Both must be of states that number their groups
// alike.
func SameEvents(a, b []byte) (bool, error) {
	var rest [2][]byte
	for i, blob := range [...][]byte{a, b} {
		r := blobReader{rest: blob}
		r.format(stateFormat)
		_, _ = r.pos(), r.uvarint()
		times := r.rest
		_, _ = r.varint(), r.varint()
		times = times[:len(times)-len(r.rest)]
		_ = r.uvarint()
		if r.err != nil {
			return false, r.err
		}
		rest[i] = append(bytes.Clone(times), r.rest...)
	}
	return bytes.Equal(rest[0], rest[1]), nil
}

func (r *blobReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrStateCorrupt, what)
	}
	r.rest = nil
}

func (r *blobReader) format(want byte) {
	if len(r.rest) == 0 {
		r.fail("empty")
		return
	}
	got := r.rest[0]
	r.rest = r.rest[1:]
	if got != want {
		r.err = fmt.Errorf("%w: it has format %d, this build reads %d", ErrStateFormat, got, want)
		r.rest = nil
	}
}

// formatOr reads the format, which may be one of several that are read, and gives it; want is the one that is named where
// it is none of them.
func (r *blobReader) formatOr(want byte, others ...byte) byte {
	if len(r.rest) > 0 && slices.Contains(others, r.rest[0]) {
		want = r.rest[0]
	}
	r.format(want)
	return want
}

func (r *blobReader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail("cut off in a number")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *blobReader) varint() int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail("cut off in a number")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *blobReader) pos() journal.Pos {
	partition := r.uvarint()
	if partition>>32 != 0 {
		r.fail("partition out of range")
	}
	return journal.Pos{Partition: uint32(partition), Offset: r.uvarint()}
}

// bytes reads a length and that many bytes, which stay part of the blob.
func (r *blobReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail("cut off")
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *blobReader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail(fmt.Sprintf("%d bytes too many", len(r.rest)))
	}
	return r.err
}
