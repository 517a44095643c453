package files

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The decoder that reads parquet's own structures believes every length in them: a footer of a hundred bytes may ask for
// gigabytes. So each structure is walked here first, without allocating, and believed only if its lists and strings lie
// inside it. This is the compact protocol of Apache Thrift (thrift/doc/specs/thrift-compact-protocol.md).

var errThrift = errors.New("the structure is torn")

// thriftWalk walks one structure.
type thriftWalk struct {
	data []byte
	at   int
	// number is told each integer field by its path of field ids, two levels deep.
	number func(outer, inner int16, value int64)
}

const maxThriftDepth = 32

const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
	thriftUUID   = 13
)

func (w *thriftWalk) byte() (byte, error) {
	if w.at >= len(w.data) {
		return 0, errThrift
	}
	w.at++
	return w.data[w.at-1], nil
}

func (w *thriftWalk) uvarint() (uint64, error) {
	v, n := binary.Uvarint(w.data[w.at:])
	if n <= 0 {
		return 0, errThrift
	}
	w.at += n
	return v, nil
}

func (w *thriftWalk) skip(n uint64) error {
	if n > uint64(len(w.data)-w.at) {
		return errThrift
	}
	w.at += int(n)
	return nil
}

// structure walks the fields of a struct; outer is the field that it is the value of, 0 at the top.
func (w *thriftWalk) structure(outer int16, depth int) error {
	if depth > maxThriftDepth {
		return fmt.Errorf("structures are nested deeper than %d", maxThriftDepth)
	}
	id := int16(0)
	for {
		head, err := w.byte()
		if err != nil || head == 0 {
			return err
		}
		if delta := head >> 4; delta != 0 {
			id += int16(delta)
		} else {
			v, err := w.uvarint()
			if err != nil {
				return err
			}
			id = int16(unzigzag(v))
		}
		path := [2]int16{outer, id}
		if depth == 0 {
			path = [2]int16{id, 0}
		}
		if err := w.value(head&0xf, path, depth, false); err != nil {
			return err
		}
	}
}

func (w *thriftWalk) value(kind byte, path [2]int16, depth int, inList bool) error {
	switch kind {
	case thriftTrue, thriftFalse:
		if !inList { // as a field, the type is the value
			return nil
		}
		return w.skip(1)
	case thriftByte:
		return w.skip(1)
	case thriftI16, thriftI32, thriftI64:
		v, err := w.uvarint()
		if err == nil && w.number != nil && !inList && depth <= 1 {
			w.number(path[0], path[1], unzigzag(v))
		}
		return err
	case thriftDouble:
		return w.skip(8)
	case thriftUUID:
		return w.skip(16)
	case thriftBinary:
		n, err := w.uvarint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case thriftList, thriftSet:
		return w.list(depth)
	case thriftMap:
		return w.dictionary(depth)
	case thriftStruct:
		outer := path[0]
		if depth > 0 || inList {
			outer = -1 // below two levels nobody asks
		}
		return w.structure(outer, depth+1)
	}
	return fmt.Errorf("a value has the unknown type %d", kind)
}

func (w *thriftWalk) list(depth int) error {
	head, err := w.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.uvarint(); err != nil {
			return err
		}
	}
	if n > maxThriftList || n > uint64(len(w.data)-w.at) {
		return fmt.Errorf("a list of %d items in %d bytes", n, len(w.data)-w.at)
	}
	for range n {
		if err := w.value(head&0xf, [2]int16{-1, -1}, depth+1, true); err != nil {
			return err
		}
	}
	return nil
}

func (w *thriftWalk) dictionary(depth int) error {
	n, err := w.uvarint()
	if err != nil || n == 0 {
		return err
	}
	if n > maxThriftList || n > uint64(len(w.data)-w.at) {
		return fmt.Errorf("a map of %d items in %d bytes", n, len(w.data)-w.at)
	}
	kinds, err := w.byte()
	if err != nil {
		return err
	}
	for range n {
		for _, kind := range []byte{kinds >> 4, kinds & 0xf} {
			if err := w.value(kind, [2]int16{-1, -1}, depth+1, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
