package models

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// jsonDocument reads JSON as XGBoost writes it, which encoding/json refuses: a threshold that nobody looks at may be NaN,
// and a number may be Infinity.
type jsonDocument struct {
	data      []byte
	at, depth int
}

var _ document = (*jsonDocument)(nil)

func (r *jsonDocument) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %s: %w", r.at, fmt.Sprintf(format, args...), errDocument)
}

// next returns the first byte that is no white space, and leaves it there; 0 at the end.
func (r *jsonDocument) next() byte {
	for ; r.at < len(r.data); r.at++ {
		if c := r.data[r.at]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
	}
	return 0
}

func (r *jsonDocument) expect(want byte) error {
	if have := r.next(); have != want {
		return r.errorf("want %q", want)
	}
	r.at++
	return nil
}

func (r *jsonDocument) kind() (kind, error) {
	switch r.next() {
	case '{':
		return kindObject, nil
	case '[':
		return kindArray, nil
	case '"':
		return kindText, nil
	case 'n':
		return kindNull, nil
	case 0:
		return 0, r.errorf("the file ends early")
	default:
		return kindNumber, nil
	}
}

// enter reads the opening of an object or array.
func (r *jsonDocument) enter(open byte) error {
	if err := r.expect(open); err != nil {
		return err
	}
	if r.depth++; r.depth > maxNesting {
		return r.errorf("nested deeper than %d", maxNesting)
	}
	return nil
}

// more says whether another member follows, and reads what separates it from the one before.
func (r *jsonDocument) more(shut byte, first bool) (bool, error) {
	if r.next() == shut {
		r.at++
		r.depth--
		return false, nil
	}
	if first {
		return true, nil
	}
	return true, r.expect(',')
}

func (r *jsonDocument) object(member func(key string) error) error {
	if err := r.enter('{'); err != nil {
		return err
	}
	keys := keySet{}
	for first := true; ; first = false {
		more, err := r.more('}', first)
		if err != nil || !more {
			return err
		}
		key, err := r.text()
		if err != nil {
			return err
		}
		if err := keys.add(r, key); err != nil {
			return err
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
	}
}

func (r *jsonDocument) array(element func(i int) error) error {
	if err := r.enter('['); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := r.more(']', i == 0)
		if err != nil || !more {
			return err
		}
		if err := element(i); err != nil {
			return err
		}
	}
}

func (r *jsonDocument) text() (string, error) {
	if r.next() != '"' {
		return "", r.errorf("want a string")
	}
	for i := r.at + 1; i < len(r.data); i++ {
		switch r.data[i] {
		case '\\':
			i++
		case '"':
			var s string
			if err := json.Unmarshal(r.data[r.at:i+1], &s); err != nil {
				return "", r.errorf("unusable string")
			}
			r.at = i + 1
			return s, nil
		}
	}
	return "", r.errorf("a string does not end")
}

// word returns the run of letters, digits and signs that stands next.
func (r *jsonDocument) word() []byte {
	r.next()
	i := r.at
	for i < len(r.data) && i-r.at < maxWord && isWord(r.data[i]) {
		i++
	}
	return r.data[r.at:i]
}

// maxWord bounds a number's digits.
const maxWord = 512

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (r *jsonDocument) number(bits int) (float64, error) {
	word := r.word()
	x, err := parseJSONNumber(word, bits)
	if err != nil {
		var ok bool
		if x, ok = jsonWord(string(word)); !ok {
			return 0, r.errorf("%.40q is no number", word)
		}
	}
	r.at += len(word)
	return x, nil
}

// jsonWord is what counts as a number and has no digits.
func jsonWord(word string) (x float64, ok bool) {
	switch word {
	case "true":
		return 1, true
	case "false":
		return 0, true
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	default:
		return 0, false
	}
}

// parseJSONNumber refuses what only Go understands.
func parseJSONNumber(word []byte, bits int) (float64, error) {
	for _, c := range word {
		if c > '9' && c != 'e' && c != 'E' {
			return 0, strconv.ErrSyntax
		}
	}
	return strconv.ParseFloat(string(word), bits) //nolint:wrapcheck // the caller says where
}

func (r *jsonDocument) null() error {
	if string(r.word()) != "null" {
		return r.errorf("want null")
	}
	r.at += len("null")
	return nil
}

func (r *jsonDocument) end() error {
	if r.next() != 0 || r.at < len(r.data) {
		return r.errorf("something follows the model")
	}
	return nil
}
