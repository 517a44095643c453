package edge

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const builtinConfusables = "builtin:confusables"

// lookAlikes are characters that a reader takes for Latin letters or digits.
type lookAlikes struct {
	version string
	latin   map[rune]string
}

// openLookAlikes reads the table of this build.
func openLookAlikes() (*lookAlikes, error) {
	in, hash, err := openList(builtinConfusables, "")
	if err != nil {
		return nil, err
	}
	l := &lookAlikes{version: "confusables." + hash, latin: map[rune]string{}}
	r := csv.NewReader(in)
	r.Comment, r.FieldsPerRecord = '#', 3
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("cannot read list %q: %w", builtinConfusables, err)
	}
	for _, row := range rows[1:] {
		code, err := strconv.ParseUint(row[0], 16, 21)
		if err != nil {
			return nil, fmt.Errorf("cannot read list %q: %w", builtinConfusables, err)
		}
		for _, r := range fold(string(rune(code))) { // one: what this library folds to, if another has made the table
			l.latin[r] = row[1]
		}
	}
	return l, nil
}

// skeleton gives what a nickname looks like: names that a reader takes for one another share it. It is the skeleton of
// Unicode TS 39 §4 made for nicknames: compatibility forms are joined (NFKC), case is folded, accents, separators and invisible
// characters go, and what is taken for Latin becomes Latin, where digits and signs are taken for letters too. A name of nothing
// but characters that go is its own skeleton, so that they do not all become one.
func (l *lookAlikes) skeleton(name string) string {
	folded := fold(name)
	var out strings.Builder
	out.Grow(len(folded))
	for _, r := range folded {
		if look, ok := lookAlike(r); ok {
			out.WriteRune(look)
			continue
		}
		latin, ok := l.latin[r]
		if !ok {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				out.WriteRune(r)
			}
			continue
		}
		for _, r := range latin {
			if look, ok := lookAlike(r); ok {
				r = look
			}
			out.WriteRune(r)
		}
	}
	if out.Len() == 0 {
		return folded
	}
	return strings.ReplaceAll(strings.ReplaceAll(out.String(), "rn", "m"), "vv", "w")
}

// fold joins compatibility forms and case, and takes accents off their letters.
func fold(name string) string { return norm.NFD.String(cases.Fold().String(norm.NFKC.String(name))) }

// lookAlike gives the Latin letter for what players write for it, and for letters that are taken for it as capitals, which the
// table of Unicode does not join with their small ones. i and l are one: capital I is small l.
func lookAlike(r rune) (rune, bool) {
	switch r {
	case '4', '@':
		return 'a', true
	case '8':
		return 'b', true
	case 'ҫ':
		return 'c', true
	case 'đ':
		return 'd', true
	case 'є', '3':
		return 'e', true
	case '9':
		return 'g', true
	case 'i', 'ł', '1', '!', '|':
		return 'l', true
	case 'ø', 'ө', '0':
		return 'o', true
	case '5', '$':
		return 's', true
	case '7':
		return 't', true
	case 'ω':
		return 'w', true
	case '2':
		return 'z', true
	}
	return 0, false
}
