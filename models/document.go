package models

import (
	"errors"
	"fmt"
	"math"
)

// document reads a JSON or UBJSON file value by value, so that a file never becomes a tree of values in memory: who reads
// asks for what must stand next. Depth, members of an object and what a count may promise are bounded.
type document interface {
	// kind says what stands next, without reading it.
	kind() (kind, error)
	// object calls member for each member, which must read its value. A key that stands there twice is an error.
	object(member func(key string) error) error
	// array calls element for each element, which must read it.
	array(element func(i int) error) error
	// number reads a number, correctly rounded to float32 or float64 (bits); true and false are 1 and 0. It may be
	// infinite or NaN.
	number(bits int) (float64, error)
	// text reads a string.
	text() (string, error)
	// null reads a null.
	null() error
	// end makes sure that nothing follows.
	end() error
	// errorf makes an error that says where.
	errorf(format string, args ...any) error
}

// kind is the kind of a value.
type kind uint8

const (
	kindNumber kind = iota // and true and false
	kindText
	kindObject
	kindArray
	kindNull
)

// errDocument is the root of all complaints about a JSON or UBJSON file itself; they name the byte.
var errDocument = errors.New("malformed model file")

const (
	// maxNesting is far deeper than XGBoost's files, which have eight levels.
	maxNesting = 32
	// maxMembers bounds an object, whose keys are kept to find those that stand there twice.
	maxMembers = 10_000
)

// keySet are the keys of an object so far.
type keySet map[string]bool

func (s keySet) add(d document, key string) error {
	switch {
	case s[key]:
		return d.errorf("key %.64q stands there twice", key)
	case len(s) == maxMembers:
		return d.errorf("an object has more than %d members", maxMembers)
	case len(key) > maxTextBytes:
		return d.errorf("a key has more than %d bytes", maxTextBytes)
	}
	s[key] = true
	return nil
}

// skip reads a value that nobody wants.
func skip(d document) error {
	k, err := d.kind()
	if err != nil {
		return err
	}
	switch k {
	case kindObject:
		return d.object(func(string) error { return skip(d) })
	case kindArray:
		return d.array(func(int) error { return skip(d) })
	case kindText:
		_, err = d.text()
	case kindNull:
		err = d.null()
	default:
		_, err = d.number(64)
	}
	return err
}

// members reads an object whose keys are all known: what a key means is its function, nil for one that does not matter.
// A key that is not known is refused: XGBoost has moved what changes scores to new places (weight_drop) before.
func members(d document, where string, known map[string]func() error) error {
	return d.object(func(key string) error {
		read, ok := known[key]
		if !ok {
			return fmt.Errorf("%s: unknown key %.64q: %w", where, key, ErrUnsupported)
		}
		if read == nil {
			read = func() error { return skip(d) }
		}
		if err := read(); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
}

// numbers appends the numbers of an array to out, at most so many.
func numbers(d document, out []float64, bits, most int) ([]float64, error) {
	err := d.array(func(i int) error {
		if i >= most {
			return fmt.Errorf("more than %d values: %w", most, ErrLimit)
		}
		x, err := d.number(bits)
		out = append(out, x)
		return err
	})
	return out, err
}

// integers appends the integers of an array, each in [low, high], to out, at most so many.
func integers(d document, out []int32, most int, low, high float64) ([]int32, error) {
	err := d.array(func(i int) error {
		if i >= most {
			return fmt.Errorf("more than %d values: %w", most, ErrLimit)
		}
		x, err := d.number(64)
		if err != nil {
			return err
		}
		if !(x >= low && x <= high) || x != math.Trunc(x) {
			return d.errorf("value %d is %v, want an integer from %v to %v", i, x, low, high)
		}
		out = append(out, int32(x))
		return nil
	})
	return out, err
}
