package edge

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// DecodeJSON reads the proto3 JSON mapping of a message, strictly: unknown and doubled fields, trailing text and deep
// nesting are errors (*Error) with the field's path, which starts with root. No error quotes a value: it may be personal,
// and refusals go to logs and dead letters.
func DecodeJSON(data []byte, root string, maxDepth int, msg proto.Message) error {
	if err := CheckJSON(data, root, maxDepth); err != nil {
		return err
	}
	err := protojson.UnmarshalOptions{RecursionLimit: maxDepth}.Unmarshal(data, msg)
	if err == nil {
		return nil
	}
	line, column, message := splitPosition(err.Error())
	if line == 0 { // it went on to the end, which for the library may be half of a pair just before it
		if at := halfPair(data); at >= 0 {
			return refuse(InvalidJSON, jsonPath(data, root, at), "invalid escape code: half of a surrogate pair at byte %d", at)
		}
		return refuse(InvalidJSON, jsonPath(data, root, len(data)), "%s", message)
	}
	return refuse(InvalidJSON, jsonPath(data, root, offsetOf(data, line, column)), "%s (line %d, column %d)", message, line, column)
}

// CheckJSON refuses what is nothing, or nested too deep for any decoder.
func CheckJSON(data []byte, root string, maxDepth int) error {
	if len(bytes.TrimLeft(data, " \t\r\n")) == 0 {
		return refuse(InvalidJSON, root, "there is no body")
	}
	if at := tooDeep(data, maxDepth); at >= 0 {
		return refuse(TooDeep, root, "nested deeper than %d at byte %d", maxDepth, at)
	}
	return nil
}

// tooDeep gives the first byte that nests deeper than most, -1 where there is none. It looks at nothing but brackets
// outside of strings; whether the rest is JSON is the decoder's to say.
func tooDeep(body []byte, most int) int {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case inString && b == '\\':
			i++
		case b == '"':
			inString = !inString
		case inString:
		case b == '{' || b == '[':
			if depth++; depth > most {
				return i
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return -1
}

// halfPair gives the first escape that is half of a UTF-16 surrogate pair without the other, -1 where there is none.
func halfPair(body []byte) int {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		first, ok := escaped(body[i:])
		if !ok {
			i++ // of two backslashes the second escapes nothing
			continue
		}
		if utf16.IsSurrogate(first) {
			second, _ := escaped(body[i+escapeSize:])
			if utf16.DecodeRune(first, second) == utf8.RuneError {
				return i
			}
			i += escapeSize
		}
		i += escapeSize - 1
	}
	return -1
}

// escapeSize is the bytes of \u0041.
const escapeSize = 6

// escaped reads the escape that text starts with.
func escaped(text []byte) (rune, bool) {
	if len(text) < escapeSize || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	r, err := strconv.ParseUint(string(text[2:escapeSize]), 16, 16)
	return rune(r), err == nil
}

// position is how protojson says where it stopped. Tests hold that it still does.
var position = regexp.MustCompile(`\(line (\d+):(\d+)\):?`)

// splitPosition takes a decoder's error apart: its place, 0 where it names none, and what is wrong, bounded.
func splitPosition(text string) (line, column int, message string) {
	// The library puts a no-break space after its name now and then, so that nobody compares its texts.
	text = strings.ReplaceAll(text, "\u00a0", " ")
	text = strings.TrimSpace(strings.TrimPrefix(text, "proto:"))
	if at := position.FindStringSubmatchIndex(text); at != nil {
		// The numbers are digits; one that is too large is as good as none.
		line, _ = strconv.Atoi(text[at[2]:at[3]])
		column, _ = strconv.Atoi(text[at[4]:at[5]])
		text = strings.TrimSpace(text[:at[0]] + text[at[1]:])
	}
	text = withoutValue(strings.TrimSpace(strings.TrimPrefix(text, "syntax error")))
	const most = 160
	if len(text) > most {
		text = text[:most] + "..."
	}
	return line, column, strings.ToValidUTF8(text, "\ufffd")
}

// quoted are the decoder's texts that go on with a value of the message, up to there. Tests hold that no value leaves.
var quoted = regexp.MustCompile(
	`^(unexpected token|invalid value for \S+ field [^:\s]+|invalid value for \S+ key|invalid \S+ value|invalid value|` +
		`invalid escape code|\S+ value out of range):? `)

// withoutValue cuts a decoder's text before the value that it quotes. Brackets and null say only what is of the wrong kind.
func withoutValue(text string) string {
	at := quoted.FindStringSubmatchIndex(text)
	if at == nil {
		return text
	}
	switch rest := text[at[1]:]; rest {
	case "{", "}", "[", "]", "null":
		return text
	}
	return text[:at[3]]
}

// offsetOf gives the byte of a line and a column, both from 1; columns count characters, as protojson does.
func offsetOf(body []byte, line, column int) int {
	offset := 0
	for ; line > 1; line-- {
		next := bytes.IndexByte(body[offset:], '\n')
		if next < 0 {
			return len(body)
		}
		offset += next + 1
	}
	for range column - 1 {
		if offset >= len(body) {
			return len(body)
		}
		offset++
		for offset < len(body) && body[offset]&0xc0 == 0x80 {
			offset++
		}
	}
	return offset
}

// jsonPath gives the path of the value or the name at a byte: event.entities[2].kind.
func jsonPath(body []byte, root string, offset int) string {
	w := pathWalker{dec: json.NewDecoder(bytes.NewReader(body)), offset: int64(offset)}
	w.dec.UseNumber()
	w.value(root)
	return w.path
}

// pathWalker walks over JSON until it has passed an offset.
type pathWalker struct {
	dec    *json.Decoder
	offset int64
	path   string
	done   bool
}

// value walks over one value whose path is known.
func (w *pathWalker) value(path string) {
	w.path = path
	token, err := w.dec.Token()
	if err != nil || w.passed() {
		w.done = true
		return
	}
	switch token {
	case json.Delim('{'):
		w.object(path)
	case json.Delim('['):
		for i := 0; !w.done && w.dec.More(); i++ {
			w.value(path + "[" + strconv.Itoa(i) + "]")
		}
		w.close(path)
	}
}

func (w *pathWalker) object(path string) {
	for !w.done && w.dec.More() {
		token, err := w.dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			w.path, w.done = path, true
			return
		}
		inner := PathName(name)
		if path != "" {
			inner = path + "." + inner
		}
		if w.passed() {
			w.path, w.done = inner, true
			return
		}
		w.value(inner)
	}
	w.close(path)
}

// close walks over the bracket that ends an object or a list.
func (w *pathWalker) close(path string) {
	if w.done {
		return
	}
	w.path = path
	if _, err := w.dec.Token(); err != nil {
		w.done = true
	}
}

// passed says whether the token that was just read ends after the offset.
func (w *pathWalker) passed() bool { return w.dec.InputOffset() > w.offset }

// PathName keeps a stranger's name in a path short and plain.
func PathName(name string) string {
	const most = 64
	if len(name) > most {
		name = name[:most] + "..."
	}
	quoted := strconv.QuoteToASCII(name)
	return quoted[1 : len(quoted)-1]
}
