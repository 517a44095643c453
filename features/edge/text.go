package edge

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkText says what is wrong with text that must fit into most bytes of UTF-8 without control characters. Zero bytes
// are control characters: keys of entities and events are hashes over parts that zero bytes separate.
func checkText(path, s string, most int) *Error {
	if len(s) > most {
		return refuse(TooLong, path, "%d bytes, at most %d", len(s), most)
	}
	ascii := true
	for i := range len(s) {
		b := s[i]
		if b < 0x20 || b == 0x7f {
			return refuse(InvalidField, path, "control character %#02x at byte %d", b, i)
		}
		if b >= utf8.RuneSelf {
			ascii = false
		}
	}
	if ascii {
		return nil
	}
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return refuse(InvalidField, path, "not UTF-8 at byte %d", i)
			}
		}
		if r >= 0x80 && r < 0xa0 {
			return refuse(InvalidField, path, "control character U+%04X at byte %d", r, i)
		}
	}
	return nil
}

// checkID is checkText for what names something: two names that look the same must not be two. Characters that show
// nothing or turn the direction of what is beside them are refused; text that is only shown may have them.
func checkID(path, s string, most int) *Error {
	if err := checkText(path, s, most); err != nil {
		return err
	}
	for i, r := range s {
		if invisible(r) {
			return refuse(InvalidField, path, "invisible character U+%04X at byte %d", r, i)
		}
	}
	return nil
}

// invisible says whether a character is of Unicode's class Cf (zero width, bidirectional controls, tags, the byte order
// mark) or separates lines.
func invisible(r rune) bool {
	return r >= utf8.RuneSelf && (unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029')
}

// checkKept checks text that is kept as it is. An e-mail address is never kept.
func checkKept(path, s string) *Error {
	if isEmail(s) {
		return refuse(InvalidField, path, "an e-mail address, which is never kept: what names a person is an entity in FORM_RAW")
	}
	return checkText(path, s, MaxText)
}

// isRaw says whether a value that is called an alias is plainly the real thing. No alias looks like an e-mail address, and
// none of an address, a network or a telephone number looks like one.
func isRaw(kind, value string) bool {
	switch kind {
	case "ip", "ip24":
		_, ok := parseNetwork(value)
		return ok
	case "phone":
		_, ok := parsePhone(value)
		return ok
	}
	return isEmail(value)
}

// isEmail says whether all of s is an e-mail address: one @, something before it, and after it a name with a dot inside.
func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || strings.ContainsAny(domain, "@") || strings.ContainsAny(s, " \t") {
		return false
	}
	dot := strings.LastIndexByte(domain, '.')
	return dot > 0 && dot < len(domain)-1
}

// isWord says whether s is [a-z0-9_]{1,64}, with dots too where dots is given.
func isWord(s string, dots bool) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' && (!dots || b != '.') {
			return false
		}
	}
	return true
}

// isCountry says whether s has the form of an ISO 3166-1 alpha-2 code.
func isCountry(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// The lengths of a digest: 128 bits in base64, 512 in hexadecimal. A card's number has at most 19 digits.
const minDigest, maxDigest = 22, 128

// isDigest says whether s can be a digest in hexadecimal or in one of the alphabets of base64.
func isDigest(s string) bool {
	if len(s) < minDigest || len(s) > maxDigest {
		return false
	}
	for i := range len(s) {
		b := s[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '+' && b != '/' && b != '-' && b != '_' && b != '=' {
			return false
		}
	}
	return true
}
