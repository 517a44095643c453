package features

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"pitboss/plainyaml"
)

// maxSetBytes bounds a feature set's file, and with it what reading it may cost.
const maxSetBytes = 256 << 10

// SetError is one thing wrong with a feature set, and the way out.
type SetError struct {
	// File is the name given to CompileSet; Line and Column count from 1, and are 0 where the whole file is meant.
	File         string
	Line, Column int
	// Problem says what is wrong and what to write instead.
	Problem string
}

// Error is file:line:column: problem.
func (e *SetError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Problem)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Problem)
}

// setReader walks a feature set's YAML and collects what is wrong with it, so that one check finds everything.
type setReader struct {
	file string
	errs []*SetError
}

func (r *setReader) refusef(at *token.Token, format string, args ...any) {
	e := &SetError{File: r.file, Problem: fmt.Sprintf(format, args...)}
	if at != nil && at.Position != nil {
		e.Line, e.Column = at.Position.Line, at.Position.Column
	}
	r.errs = append(r.errs, e)
}

// err gives everything collected, in the order of the file.
func (r *setReader) err() error {
	slices.SortStableFunc(r.errs, func(a, b *SetError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := make([]error, 0, len(r.errs))
	for _, e := range r.errs {
		all = append(all, e)
	}
	return errors.Join(all...)
}

// root parses the file and gives its one mapping.
func (r *setReader) root(source []byte) (yamlMap, bool) {
	if len(source) > maxSetBytes {
		r.refusef(nil, "the file has %d bytes, a feature set at most %d", len(source), maxSetBytes)
		return yamlMap{}, false
	}
	file, bad := plainyaml.Parse(source)
	if bad != nil {
		r.refusef(bad.Token(), "%s", bad.Problem)
		return yamlMap{}, false
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		r.refusef(nil, "a feature set is one YAML document that starts with format: 1")
		return yamlMap{}, false
	}
	return r.mapping(file.Docs[0].Body, "the feature set")
}

// yamlMap is a mapping with its entries in the file's order.
type yamlMap struct {
	at      *token.Token
	entries []yamlEntry
}

type yamlEntry struct {
	key   string
	at    *token.Token
	value ast.Node
}

// get gives the value of a key.
func (m yamlMap) get(key string) (ast.Node, bool) {
	for _, e := range m.entries {
		if e.key == key {
			return e.value, true
		}
	}
	return nil, false
}

func (m yamlMap) has(key string) bool {
	_, ok := m.get(key)
	return ok
}

// keyAt is where a key stands, or the mapping itself where it is missing.
func (m yamlMap) keyAt(key string) *token.Token {
	for _, e := range m.entries {
		if e.key == key {
			return e.at
		}
	}
	return m.at
}

// mapping reads a mapping. Anchors, aliases, tags and merge keys are refused: a file that repeats itself by reference
// can unfold to any size.
func (r *setReader) mapping(n ast.Node, what string) (yamlMap, bool) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		r.refusef(n.GetToken(), "%s must be a mapping (key: value), not %s", what, describeNode(n))
		return yamlMap{}, false
	}
	m := yamlMap{at: n.GetToken()}
	if len(values) > 0 {
		m.at = values[0].Key.GetToken()
	}
	for _, v := range values {
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			r.refusef(v.Key.GetToken(), "%s: a key must be a plain word, not %s", what, describeNode(v.Key))
			return yamlMap{}, false
		}
		m.entries = append(m.entries, yamlEntry{key.Value, v.Key.GetToken(), v.Value})
	}
	return m, true
}

// only refuses keys that are not in the list.
func (r *setReader) only(m yamlMap, what string, keys ...string) {
	for _, e := range m.entries {
		if !slices.Contains(keys, e.key) {
			r.refusef(e.at, "%s has no key %q%s: the keys are %s", what, e.key, meant(e.key, keys), strings.Join(keys, ", "))
		}
	}
}

func (r *setReader) sequence(n ast.Node, what string) ([]ast.Node, bool) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.refusef(n.GetToken(), "%s must be a list, not %s", what, describeNode(n))
		return nil, false
	}
	return s.Values, true
}

// text reads a string under a key; missing gives "" and true.
func (r *setReader) text(m yamlMap, key, what string) (string, bool) {
	n, ok := m.get(key)
	if !ok {
		return "", true
	}
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	r.refusef(n.GetToken(), "%s: %s must be text, not %s: put it in quotes", what, key, describeNode(n))
	return "", false
}

// integer reads an integer between bounds; ok is false where the key is missing or refused.
func (r *setReader) integer(m yamlMap, key, what string, low, high int64) (int64, bool) {
	n, ok := m.get(key)
	if !ok {
		return 0, false
	}
	v, ok := integerOf(n)
	if !ok || v < low || v > high {
		r.refusef(n.GetToken(), "%s: %s must be an integer from %d to %d", what, key, low, high)
		return 0, false
	}
	return v, true
}

// number reads a finite number; ok is false where the key is missing or refused.
func (r *setReader) number(m yamlMap, key, what string) (float64, bool) {
	n, ok := m.get(key)
	if !ok {
		return 0, false
	}
	if v, ok := integerOf(n); ok {
		return float64(v), true
	}
	if f, ok := n.(*ast.FloatNode); ok {
		return f.Value, true
	}
	r.refusef(n.GetToken(), "%s: %s must be a number, not %s", what, key, describeNode(n))
	return 0, false
}

func integerOf(n ast.Node) (int64, bool) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		return 0, false
	}
	switch v := i.Value.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v < 1<<63
	}
	return 0, false
}

// describeNode says what a node is, as a reader of YAML would.
func describeNode(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.InfinityNode, *ast.NanNode:
		return "an infinity or no number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias (write it out: feature sets do not refer to themselves)"
	case *ast.TagNode:
		return "a tag"
	}
	return "this"
}

// meant suggests the key or name that was probably meant, at most two letters away.
func meant(word string, among []string) string {
	best, at := min(3, len(word)), "" // of a word of one letter nothing would be left
	for _, candidate := range among {
		if d := editDistance(word, candidate, best); d < best {
			best, at = d, candidate
		}
	}
	if at == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", at)
}

// editDistance is Levenshtein's, or limit where it is not less.
func editDistance(a, b string, limit int) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			corner, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, corner+cost)
		}
	}
	return min(row[len(b)], limit)
}
