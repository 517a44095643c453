package journal

import (
	"cmp"
	"fmt"
)

// Pos is the place of a frame. On one machine Partition is 0; Offset counts frames from 1 without holes. The zero
// Pos means "nothing" and is before every frame.
type Pos struct {
	Partition uint32
	Offset    uint64
}

// Compare orders by partition, then by offset: -1, 0 or +1. Between partitions there is no order in time.
func (p Pos) Compare(q Pos) int {
	if c := cmp.Compare(p.Partition, q.Partition); c != 0 {
		return c
	}
	return cmp.Compare(p.Offset, q.Offset)
}

// Less says whether p is before q.
func (p Pos) Less(q Pos) bool { return p.Compare(q) < 0 }

// IsZero says whether p is nothing. Offset 0 names no frame in any partition.
func (p Pos) IsZero() bool { return p.Offset == 0 }

// Next is the position after p.
func (p Pos) Next() Pos { return Pos{p.Partition, p.Offset + 1} }

// String is "partition/offset", as people write it: "0/1234".
func (p Pos) String() string { return fmt.Sprintf("%d/%d", p.Partition, p.Offset) }
