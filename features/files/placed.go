package files

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"pitboss/features"
)

// maxHeldBytes is what vectors that wait for their place take in memory, before they go to a temporary file.
const maxHeldBytes = 64 << 20

// PlacedVectors write vectors in the order of the rows that they are of, however they come: windows are filled in order of
// time, and a file is read back in its own.
type PlacedVectors struct {
	w   *VectorWriter
	dir string
	// held are the rows that wait; their bytes are in the file up to spilled, and then in buf.
	held    []heldVector
	buf     []byte
	file    *os.File
	spilled int64
	vec     features.Vector
	scratch []byte
}

// heldVector is where a row's bytes are.
type heldVector struct {
	place, at int64
	size      int
}

// NewPlacedVectors makes a writer over one that takes vectors of one lead column. dir is where it puts what memory does not
// hold; the system's own where empty.
func NewPlacedVectors(w *VectorWriter, dir string) *PlacedVectors {
	return &PlacedVectors{w: w, dir: dir}
}

// Write keeps one vector until Flush.
func (p *PlacedVectors) Write(place int64, eventID string, v *features.Vector, kept []Cell) error {
	start := len(p.buf)
	b := append(binary.AppendUvarint(p.buf, uint64(len(eventID))), eventID...)
	b = binary.AppendVarint(b, v.At)
	b = binary.AppendUvarint(b, uint64(len(v.Values)))
	for _, x := range v.Values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	for _, s := range v.Status {
		b = append(b, byte(s))
	}
	p.buf = appendCells(b, kept)
	p.held = append(p.held, heldVector{place, p.spilled + int64(start), len(p.buf) - start})
	if len(p.buf) < maxHeldBytes {
		return nil
	}
	return p.spill()
}

// spill moves the buffer to the temporary file.
func (p *PlacedVectors) spill() (err error) {
	if p.file == nil {
		if p.file, err = os.CreateTemp(p.dir, "pitboss-vectors-*"); err != nil {
			return fmt.Errorf("cannot hold vectors until their turn: %w", err)
		}
	}
	if _, err := p.file.WriteAt(p.buf, p.spilled); err != nil {
		return fmt.Errorf("cannot hold vectors until their turn: %w", err)
	}
	p.spilled += int64(len(p.buf))
	p.buf = p.buf[:0]
	return nil
}

// Flush writes what is held, in the order of places. Call it where every later row has a later place.
func (p *PlacedVectors) Flush() error {
	slices.SortFunc(p.held, func(a, b heldVector) int { return cmp.Compare(a.place, b.place) })
	for _, h := range p.held {
		if err := p.put(h); err != nil {
			return err
		}
	}
	p.held, p.buf, p.spilled = p.held[:0], p.buf[:0], 0
	return nil
}

func (p *PlacedVectors) put(h heldVector) error {
	b := p.scratch
	if h.at >= p.spilled {
		b = p.buf[h.at-p.spilled:][:h.size]
	} else {
		b = slices.Grow(b[:0], h.size)[:h.size]
		if _, err := p.file.ReadAt(b, h.at); err != nil {
			return fmt.Errorf("cannot read back a vector: %w", err)
		}
		p.scratch = b
	}
	r := rowReader{b: b}
	id := string(r.bytes())
	p.vec.At = r.varint()
	n := int(r.uvarint())
	p.vec.Values, p.vec.Status = slices.Grow(p.vec.Values[:0], n)[:n], slices.Grow(p.vec.Status[:0], n)[:n]
	for i := range n {
		p.vec.Values[i] = math.Float64frombits(binary.LittleEndian.Uint64(r.b[8*i:]))
		p.vec.Status[i] = features.Status(r.b[8*n+i])
	}
	r.b = r.b[9*n:]
	return p.w.Write(id, &p.vec, r.cells())
}

// Close drops the temporary file. It does not close the writer below.
func (p *PlacedVectors) Close() error {
	if p.file == nil {
		return nil
	}
	if err := errors.Join(p.file.Close(), os.Remove(p.file.Name())); err != nil {
		return fmt.Errorf("cannot drop the vectors that waited: %w", err)
	}
	p.file = nil
	return nil
}
