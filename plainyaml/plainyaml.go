// Package plainyaml bounds what a YAML file may say before a parser sees it. The parser takes minutes and gigabytes for 200 KB of
// "- - -", its stack grows with the depth, and by anchors a small file becomes a large value.
//
// It knows no file's meaning. Start with Check, or with Parse for who needs the places of values.
package plainyaml

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxDepth bounds nesting within a line ([[[… and - - -…): no file of ours needs more than six levels. Deeper nesting over lines needs
// indentation, so that the bound on a file's size bounds it too.
const MaxDepth = 16

// Error is what is wrong with a file.
type Error struct {
	// Problem says what is wrong.
	Problem string

	at *token.Token
}

// Token is where it is wrong, nil where the whole file is meant.
func (e *Error) Token() *token.Token { return e.at }

// Error is [line:column] problem.
func (e *Error) Error() string {
	if e.at == nil || e.at.Position == nil {
		return e.Problem
	}
	return fmt.Sprintf("[%d:%d] %s", e.at.Position.Line, e.at.Position.Column, e.Problem)
}

// Check refuses a file that is not UTF-8, nests deeper than MaxDepth within a line, or has anchors, aliases, merge keys or tags.
// It returns nil or an *Error.
func Check(data []byte) error {
	if bad := check(data); bad != nil {
		return bad
	}
	return nil
}

// Parse reads what Check lets through, without the byte order mark that some editors write.
func Parse(data []byte) (*ast.File, *Error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if bad := check(data); bad != nil {
		return nil, bad
	}
	file, err := parser.ParseBytes(data, 0)
	if at, ok := errors.AsType[yaml.Error](err); ok {
		return nil, &Error{Problem: at.GetMessage(), at: at.GetToken()}
	} else if err != nil {
		return nil, &Error{Problem: err.Error()}
	}
	return file, nil
}

func check(data []byte) *Error {
	if !utf8.Valid(data) {
		return &Error{Problem: "not UTF-8 text"}
	}
	depth, entries, line := 0, 0, 0 // entries of sequences, and keys after ?, that begin on the line
	for _, t := range lexer.Tokenize(string(data)) {
		refuse := func(format string, args ...any) *Error {
			return &Error{Problem: fmt.Sprintf(format, args...), at: t}
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType:
			return refuse("anchors (&), aliases (*), merge keys (<<) and tags (!) are not read: write the value out, or put text that begins so in quotes")
		case token.InvalidType:
			return refuse("not YAML: %s", t.Error)
		case token.SequenceEntryType, token.MappingKeyType:
			if t.Position != nil && t.Position.Line != line {
				entries, line = 0, t.Position.Line
			}
			if entries++; entries > MaxDepth {
				return refuse("nested deeper than %d", MaxDepth)
			}
		case token.MappingStartType, token.SequenceStartType:
			if depth++; depth > MaxDepth {
				return refuse("nested deeper than %d", MaxDepth)
			}
		case token.MappingEndType, token.SequenceEndType:
			depth--
		default: // what has no nesting
		}
	}
	return nil
}
