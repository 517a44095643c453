package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// maxYAMLDepth bounds nesting within a line ([[[… and - - -…): no file of a bundle needs more than four levels. The
// parser takes a minute for 200 KB of "- - -", and its stack grows with the depth. Deeper nesting over lines needs
// indentation, so that the bound on a file's size bounds it too.
const maxYAMLDepth = 16

// decodeYAML reads exactly one document into dst. Unknown and repeated keys are errors, and so are anchors, aliases,
// merge keys and tags: a bundle's files need none of them, and they are how a small file becomes a large value.
// Errors carry [line:column].
func decodeYAML(file string, data []byte, dst any) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("cannot read %q: it is not UTF-8", file)
	}
	if err := plainYAML(data); err != nil {
		return fmt.Errorf("cannot read %q: %w", file, err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := dec.Decode(dst); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("cannot read %q: it is empty", file)
		}
		return fmt.Errorf("cannot read %q: %s", file, yaml.FormatError(err, false, false))
	}
	var rest any
	if err := dec.Decode(&rest); !errors.Is(err, io.EOF) {
		return fmt.Errorf("cannot read %q: it holds more than one document", file)
	}
	return nil
}

// plainYAML refuses what decodeYAML does not want to see, before anything is built from it.
func plainYAML(data []byte) error {
	depth, entries, line := 0, 0, 0 // entries of sequences that begin on the line
	for _, t := range lexer.Tokenize(string(data)) {
		at := "[?:?]"
		if t.Position != nil {
			at = fmt.Sprintf("[%d:%d]", t.Position.Line, t.Position.Column)
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType:
			return fmt.Errorf("%s anchors, aliases, merge keys and tags are not allowed: write the value out", at)
		case token.InvalidType:
			return fmt.Errorf("%s not valid YAML: %s", at, t.Error)
		case token.SequenceEntryType:
			if t.Position != nil && t.Position.Line != line {
				entries, line = 0, t.Position.Line
			}
			if entries++; entries > maxYAMLDepth {
				return fmt.Errorf("%s nested deeper than %d", at, maxYAMLDepth)
			}
		case token.MappingStartType, token.SequenceStartType:
			if depth++; depth > maxYAMLDepth {
				return fmt.Errorf("%s nested deeper than %d", at, maxYAMLDepth)
			}
		case token.MappingEndType, token.SequenceEndType:
			depth--
		default: // what has no nesting
		}
	}
	return nil
}
