package models

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// errText is the root of all complaints about the text itself; they name the line.
var errText = errors.New("malformed LightGBM text")

// lineReader hands out the lines of a file without copying them.
type lineReader struct {
	rest []byte
	line int // of the line handed out last, from 1
}

// next returns the next line without its end (LF or CRLF), and false at the end of the file.
func (r *lineReader) next() ([]byte, bool) {
	if len(r.rest) == 0 {
		return nil, false
	}
	r.line++
	line := r.rest
	if i := bytes.IndexByte(r.rest, '\n'); i >= 0 {
		line, r.rest = r.rest[:i], r.rest[i+1:]
	} else {
		r.rest = nil
	}
	return bytes.TrimSuffix(line, []byte("\r")), true
}

// field is the value of a key, and where it stands.
type field struct {
	key   string
	value []byte
	line  int
}

func (f field) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %s %s: %w", f.line, f.key, fmt.Sprintf(format, args...), errText)
}

// section is a run of key=value lines.
type section struct {
	fields map[string]field
	line   int // where it starts
}

// add takes a key=value line, or a bare key. A key that is not known is refused: LightGBM has changed the
// meaning of files by new keys alone (is_linear) while their version stayed the same.
func (s *section) add(line []byte, number int, known map[string]bool) error {
	key, value, _ := bytes.Cut(line, []byte("="))
	f := field{key: string(key), value: value, line: number}
	if len(key) > 64 || !known[f.key] {
		return fmt.Errorf("line %d: unknown key %.64q: %w", number, key, ErrUnsupported)
	}
	if _, twice := s.fields[f.key]; twice {
		return f.errorf("stands there twice")
	}
	s.fields[f.key] = f
	return nil
}

func (s *section) get(key string) (field, error) {
	f, ok := s.fields[key]
	if !ok {
		return f, fmt.Errorf("line %d: key %q is missing: %w", s.line, key, errText)
	}
	return f, nil
}

// integer returns the value of a key as an integer in [low, high].
func (s *section) integer(key string, low, high int64) (int, error) {
	f, err := s.get(key)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(f.value), 10, 64)
	if err != nil {
		return 0, f.errorf("is not an integer: %.40q", f.value)
	}
	if n < low || n > high {
		return 0, f.errorf("is %d, want %d to %d", n, low, high)
	}
	return int(n), nil
}

// words calls each for the want words of a key's value. Nothing but spaces separates them: the name of a feature may
// hold a tab.
func (s *section) words(key string, want int, each func(i int, word []byte) bool) error {
	f, err := s.get(key)
	if err != nil {
		return err
	}
	i := 0
	for rest := f.value; ; i++ {
		rest = bytes.TrimLeft(rest, " ")
		if len(rest) == 0 {
			break
		}
		word := rest
		if end := bytes.IndexByte(rest, ' '); end >= 0 {
			word, rest = rest[:end], rest[end:]
		} else {
			rest = nil
		}
		if i >= want {
			return f.errorf("has more than %d values", want)
		}
		if !each(i, word) {
			return f.errorf("value %d is unusable: %.40q", i, word)
		}
	}
	if i != want {
		return f.errorf("has %d values, want %d", i, want)
	}
	return nil
}

// fits refuses an array that the text cannot hold, before memory is taken for it.
func (s *section) fits(key string, want int) error {
	f, err := s.get(key)
	if err != nil {
		return err
	}
	if want > (len(f.value)+1)/2 {
		return f.errorf("has fewer than %d values", want)
	}
	return nil
}

// floats returns the want finite values of a key; +Inf and -Inf are allowed if infinite is true.
func (s *section) floats(key string, want int, infinite bool) ([]float64, error) {
	if err := s.fits(key, want); err != nil {
		return nil, err
	}
	out := make([]float64, want)
	err := s.words(key, want, func(i int, word []byte) bool {
		x, ok := parseFloat(word)
		out[i] = x
		return ok && (infinite || !math.IsInf(x, 0))
	})
	return out, err
}

// parseFloat reads a decimal number or inf. NaN is refused, and so is what only Go understands.
func parseFloat(word []byte) (float64, bool) {
	for _, c := range word {
		if c == '_' || c == 'x' || c == 'X' || c == 'p' || c == 'P' {
			return 0, false
		}
	}
	x, err := strconv.ParseFloat(string(word), 64)
	return x, err == nil && x == x
}

// integers returns the want values of a key, each in [low, high].
func (s *section) integers(key string, want int, low, high int64) ([]int32, error) {
	return integersOf[int32](s, key, want, low, high)
}

func integersOf[T int32 | uint32](s *section, key string, want int, low, high int64) ([]T, error) {
	if err := s.fits(key, want); err != nil {
		return nil, err
	}
	out := make([]T, want)
	err := s.words(key, want, func(i int, word []byte) bool {
		n, err := strconv.ParseInt(string(word), 10, 64)
		out[i] = T(n)
		return err == nil && n >= low && n <= high
	})
	return out, err
}
