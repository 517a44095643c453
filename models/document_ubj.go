package models

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// ubjDocument reads UBJSON (draft 12, ubjson.org) as XGBoost writes it: arrays and objects may say how many elements follow,
// and arrays of numbers what they are. High-precision numbers, and typed containers of anything else, are not.
type ubjDocument struct {
	data      []byte
	at, depth int
	element   byte // the marker that the elements of the current array do not have themselves, or 0
}

var _ document = (*ubjDocument)(nil)

func (r *ubjDocument) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %s: %w", r.at, fmt.Sprintf(format, args...), errDocument)
}

// marker returns the marker that stands next, and leaves it there; 0 at the end.
func (r *ubjDocument) marker() byte {
	if r.element != 0 {
		return r.element
	}
	for ; r.at < len(r.data); r.at++ {
		if c := r.data[r.at]; c != 'N' {
			return c
		}
	}
	return 0
}

// pass leaves a marker behind.
func (r *ubjDocument) pass() {
	if r.element == 0 {
		r.at++
	}
}

// take returns the next n bytes.
func (r *ubjDocument) take(n int) ([]byte, error) {
	if n > len(r.data)-r.at {
		return nil, r.errorf("the file ends early")
	}
	b := r.data[r.at : r.at+n]
	r.at += n
	return b, nil
}

func (r *ubjDocument) kind() (kind, error) {
	switch r.marker() {
	case '{':
		return kindObject, nil
	case '[':
		return kindArray, nil
	case 'S', 'C':
		return kindText, nil
	case 'Z':
		return kindNull, nil
	case 0:
		return 0, r.errorf("the file ends early")
	default:
		return kindNumber, nil
	}
}

// ubjSize is the size of a number by its marker, 0 for what is none.
func ubjSize(marker byte) int {
	switch marker {
	case 'i', 'U':
		return 1
	case 'I':
		return 2
	case 'l', 'd':
		return 4
	case 'L', 'D':
		return 8
	default:
		return 0
	}
}

// count reads a length, of things that take so many bytes each at least.
func (r *ubjDocument) count(size int) (int, error) {
	m := r.marker()
	if m == 'd' || m == 'D' || ubjSize(m) == 0 {
		return 0, r.errorf("want a length")
	}
	x, err := r.number(64)
	if err != nil {
		return 0, err
	}
	if left := (len(r.data) - r.at) / size; !(x >= 0 && x <= float64(left)) {
		return 0, r.errorf("%v elements or bytes are promised, no more than %d can follow", x, left)
	}
	return int(x), nil
}

// enter reads the opening of an object or array, with the number of its elements, or -1 where it does not say.
func (r *ubjDocument) enter(open byte, size int) (int, error) {
	if r.marker() != open {
		return 0, r.errorf("want %q", open)
	}
	r.pass()
	if r.depth++; r.depth > maxNesting {
		return 0, r.errorf("nested deeper than %d", maxNesting)
	}
	if r.marker() != '#' {
		return -1, nil
	}
	r.at++
	return r.count(size)
}

// more says whether an element follows those that were read.
func (r *ubjDocument) more(read, count int, shut byte) bool {
	switch {
	case count >= 0 && read < count, count < 0 && r.marker() != shut:
		return true
	case count < 0:
		r.at++
	}
	r.depth--
	return false
}

func (r *ubjDocument) object(member func(key string) error) error {
	count, err := r.enter('{', 3)
	if err != nil {
		return err
	}
	keys := keySet{}
	for i := 0; r.more(i, count, '}'); i++ {
		key, err := r.bytes()
		if err != nil {
			return err
		}
		if err := keys.add(r, key); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
	}
	return nil
}

func (r *ubjDocument) array(element func(i int) error) error {
	if r.marker() == '[' && r.at+1 < len(r.data) && r.data[r.at+1] == '$' {
		return r.typedArray(element)
	}
	count, err := r.enter('[', 1)
	if err != nil {
		return err
	}
	for i := 0; r.more(i, count, ']'); i++ {
		if err := element(i); err != nil {
			return err
		}
	}
	return nil
}

// typedArray reads an array whose elements have no markers.
func (r *ubjDocument) typedArray(element func(i int) error) error {
	head, err := r.take(len("[$d#"))
	if err != nil {
		return err
	}
	size := ubjSize(head[2])
	if size == 0 || head[3] != '#' {
		return r.errorf("an array of type %q, or without a length", head[2])
	}
	count, err := r.count(size)
	if err != nil {
		return err
	}
	r.element = head[2]
	defer func() { r.element = 0 }()
	for i := range count {
		if err := element(i); err != nil {
			return err
		}
	}
	return nil
}

// bytes reads the length and the bytes of a string.
func (r *ubjDocument) bytes() (string, error) {
	n, err := r.count(1)
	if err != nil {
		return "", err
	}
	b, err := r.take(n)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", r.errorf("a string is not UTF-8")
	}
	return string(b), nil
}

func (r *ubjDocument) text() (string, error) {
	switch r.marker() {
	case 'S':
		r.pass()
		return r.bytes()
	case 'C':
		r.pass()
		b, err := r.take(1)
		return string(b), err
	default:
		return "", r.errorf("want a string")
	}
}

func (r *ubjDocument) number(bits int) (float64, error) {
	m := r.marker()
	size := ubjSize(m)
	if size == 0 && m != 'T' && m != 'F' {
		return 0, r.errorf("want a number")
	}
	r.pass()
	b, err := r.take(size)
	if err != nil {
		return 0, err
	}
	x := ubjNumber(m, b)
	if bits == 32 {
		x = float64(float32(x))
	}
	return x, nil
}

func ubjNumber(marker byte, b []byte) float64 {
	switch marker {
	case 'i':
		return float64(int8(b[0]))
	case 'U':
		return float64(b[0])
	case 'I':
		return float64(int16(binary.BigEndian.Uint16(b)))
	case 'l':
		return float64(int32(binary.BigEndian.Uint32(b)))
	case 'L':
		return float64(int64(binary.BigEndian.Uint64(b)))
	case 'd':
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case 'D':
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	case 'T':
		return 1
	default:
		return 0
	}
}

func (r *ubjDocument) null() error {
	if r.marker() != 'Z' {
		return r.errorf("want null")
	}
	r.pass()
	return nil
}

func (r *ubjDocument) end() error {
	if r.at < len(r.data) {
		return r.errorf("something follows the model")
	}
	return nil
}
