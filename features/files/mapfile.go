package files

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"pitboss/plainyaml"
)

// MapError is one thing wrong with a map, and the way out.
type MapError struct {
	// File is the map's name; Line and Column count from 1, and are 0 where the whole file is meant.
	File         string
	Line, Column int
	// Problem says what is wrong and what to write instead.
	Problem string
}

// Error is file:line:column: problem.
func (e *MapError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Problem)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Problem)
}

// mapReader walks a map's YAML and collects everything that is wrong with it.
type mapReader struct {
	file string
	errs []*MapError
}

// node is a value with its place.
type node struct {
	ast.Node
	at *token.Token
}

// entry is one key of a mapping.
type entry struct {
	key   string
	at    *token.Token
	value node
}

func (r *mapReader) refusef(at *token.Token, format string, args ...any) {
	e := &MapError{File: r.file, Problem: fmt.Sprintf(format, args...)}
	if at != nil && at.Position != nil {
		e.Line, e.Column = at.Position.Line, at.Position.Column
	}
	if len(r.errs) < 100 {
		r.errs = append(r.errs, e)
	}
}

func (r *mapReader) err() error {
	slices.SortStableFunc(r.errs, func(a, b *MapError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := make([]error, 0, len(r.errs))
	for _, e := range r.errs {
		all = append(all, e)
	}
	return errors.Join(all...)
}

func readMapFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read map: %w", err)
	}
	if info.Size() > maxMapBytes {
		return nil, fmt.Errorf("cannot read map %q: it has %d bytes, a map at most %d", path, info.Size(), maxMapBytes)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read map: %w", err)
	}
	return source, nil
}

// parse gives the entries of the one document.
func (r *mapReader) parse(source []byte) []entry {
	if len(source) > maxMapBytes {
		r.refusef(nil, "the map has %d bytes, at most %d", len(source), maxMapBytes)
		return nil
	}
	file, bad := plainyaml.Parse(source)
	if bad != nil {
		r.refusef(bad.Token(), "%s", bad.Problem)
		return nil
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		r.refusef(nil, "a map is one YAML document that starts with format: 1")
		return nil
	}
	body := file.Docs[0].Body
	return r.mapping(node{body, body.GetToken()}, "the map")
}

// mapping reads a mapping. Anchors, aliases, tags and merge keys are refused: a map is read as it is written.
func (r *mapReader) mapping(n node, what string) []entry {
	var values []*ast.MappingValueNode
	switch v := n.Node.(type) {
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		r.refusef(n.at, "%s must be a mapping (key: value)", what)
		return nil
	}
	out := make([]entry, 0, len(values))
	for _, v := range values {
		key, ok := scalar(v.Key)
		if !ok {
			r.refusef(v.Key.GetToken(), "%s: a key must be a plain word", what)
			continue
		}
		at := v.Key.GetToken()
		if v.Value != nil && v.Value.GetToken() != nil {
			at = v.Value.GetToken()
		}
		out = append(out, entry{key, v.Key.GetToken(), node{v.Value, at}})
	}
	return out
}

func (r *mapReader) sequence(n node, what string) []node {
	s, ok := n.Node.(*ast.SequenceNode)
	if !ok {
		r.refusef(n.at, "%s must be a list", what)
		return nil
	}
	out := make([]node, 0, len(s.Values))
	for _, v := range s.Values {
		out = append(out, node{v, v.GetToken()})
	}
	return out
}

// text reads one plain value as it is written: 0, true and "x" alike.
func (r *mapReader) text(n node, what string) string {
	s, ok := scalar(n.Node)
	if !ok {
		r.refusef(n.at, "%s must be a plain value", what)
	}
	return s
}

// scalar gives a plain value's text, as it stands in the file.
func scalar(n any) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode:
		return v.GetToken().Value, true
	case *ast.FloatNode:
		return v.GetToken().Value, true
	case *ast.BoolNode:
		return v.GetToken().Value, true
	}
	return "", false
}

// only refuses keys that are not among those given, and gives the entries by key.
func (r *mapReader) only(entries []entry, what string, keys ...string) map[string]entry {
	out := map[string]entry{}
	for _, e := range entries {
		switch _, twice := out[e.key]; {
		case !slices.Contains(keys, e.key):
			r.refusef(e.at, "%s has no key %q: the keys are %s", what, e.key, strings.Join(keys, ", "))
		case twice:
			r.refusef(e.at, "%s: %q stands twice", what, e.key)
		default:
			out[e.key] = e
		}
	}
	return out
}
