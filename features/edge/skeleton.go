package edge

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// skeleton gives what a nickname looks like: names that a reader takes for one another share it. It follows the
// skeleton of Unicode TS 39 §4 with a table made for nicknames: compatibility forms are joined (NFKC), case is folded,
// accents, separators and invisible characters go, and look-alikes of Greek, Cyrillic and digits become the Latin letter.
// A name of nothing but such characters is its own skeleton, so that they do not all become one.
func skeleton(name string) string {
	folded := norm.NFD.String(cases.Fold().String(norm.NFKC.String(name)))
	var out strings.Builder
	out.Grow(len(folded))
	for _, r := range folded {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			if look, ok := lookAlike(r); ok {
				r = look
			}
			out.WriteRune(r)
		} else if look, ok := lookAlike(r); ok {
			out.WriteRune(look)
		}
	}
	if out.Len() == 0 {
		return folded
	}
	return strings.ReplaceAll(strings.ReplaceAll(out.String(), "rn", "m"), "vv", "w")
}

// lookAlike gives the Latin letter that a folded character is taken for, whether in its small or its capital form. The
// letters are among those of confusables.txt of Unicode TS 39 whose prototype is one Latin letter (Greek, Cyrillic and
// Armenian only); digits and signs are what players write for letters. i and l are one: capital I is small l.
func lookAlike(r rune) (rune, bool) {
	switch r {
	case 'а', 'α', '4', '@':
		return 'a', true
	case 'в', 'β', 'ь', '8':
		return 'b', true
	case 'с', 'ҫ':
		return 'c', true
	case 'ԁ', 'đ':
		return 'd', true
	case 'е', 'ε', 'є', '3':
		return 'e', true
	case 'ɡ', '9':
		return 'g', true
	case 'һ', 'н', 'η':
		return 'h', true
	case 'ј':
		return 'j', true
	case 'к', 'κ':
		return 'k', true
	case 'i', 'ı', 'і', 'ι', 'ӏ', 'ł', '1', '!', '|':
		return 'l', true
	case 'м', 'μ':
		return 'm', true
	case 'ո':
		return 'n', true
	case 'о', 'ο', 'օ', 'ø', 'ө', '0':
		return 'o', true
	case 'р', 'ρ':
		return 'p', true
	}
	return lookAlikeToZ(r)
}

// lookAlikeToZ goes on from q.
func lookAlikeToZ(r rune) (rune, bool) {
	switch r {
	case 'ԛ':
		return 'q', true
	case 'ѕ', '5', '$':
		return 's', true
	case 'т', 'τ', '7':
		return 't', true
	case 'υ', 'ս':
		return 'u', true
	case 'ν', 'ѵ':
		return 'v', true
	case 'ԝ', 'ω':
		return 'w', true
	case 'х', 'χ':
		return 'x', true
	case 'у', 'γ', 'ү':
		return 'y', true
	case 'ζ', '2':
		return 'z', true
	}
	return 0, false
}
