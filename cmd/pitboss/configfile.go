package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"pitboss/plainyaml"
)

// maxConfigBytes bounds the configuration file: room for some thousand API keys.
const maxConfigBytes = 1 << 20

// configReader reads a configuration file over the defaults. The YAML library alone is too kind: it cuts 0.5 to 0 where an
// integer belongs, makes text of numbers and zero of nothing. So every node is first checked against the field that it is
// for, and all that is wrong is said at once, with its place.
type configReader struct {
	file string
	at   map[string]*token.Token // where each key of the file stands, by its path: server.keys[0].id
	errs []placedError
}

// placedError is one thing wrong with the file. Line 0 is the whole file.
type placedError struct {
	line, column int
	err          error
}

// read fills cfg with what the file says.
func (r *configReader) read(data []byte, cfg *Config) error {
	body, err := r.parse(data)
	if err != nil || body == nil {
		return err
	}
	r.check(body, reflect.TypeFor[Config](), "")
	if len(r.errs) > 0 {
		return r.err()
	}
	if err := yaml.NodeToValue(body, cfg, yaml.Strict()); err != nil {
		r.refuseYAML(err)
		return r.err()
	}
	return nil
}

// parse gives the file's one document, nil where it is empty.
func (r *configReader) parse(data []byte) (ast.Node, error) {
	if len(data) > maxConfigBytes {
		return nil, fmt.Errorf("%s: more than %d bytes, which no configuration needs", r.file, maxConfigBytes)
	}
	file, bad := plainyaml.Parse(data)
	if bad != nil {
		r.refusef(bad.Token(), "%s", bad.Problem)
		return nil, r.err()
	}
	docs := slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	switch len(docs) {
	case 0:
		return nil, nil //nolint:nilnil // an empty file is the defaults
	case 1:
		return docs[0].Body, nil
	}
	return nil, fmt.Errorf("%s: more than one document: a configuration has no line ---", r.file)
}

// check compares a node with the type that it is for.
func (r *configReader) check(n ast.Node, t reflect.Type, path string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if _, null := n.(*ast.NullNode); null || n == nil {
		r.refuseKeyf(path, "has no value: leave the key out for its default, or write %s", emptyOf(t))
		return
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		r.checkDuration(n, path)
	case t.Kind() == reflect.Struct:
		r.checkStruct(n, t, path)
	case t.Kind() == reflect.Map:
		for _, e := range r.entries(n, path) {
			r.check(e.Value, t.Elem(), r.keep(e, path))
		}
	case t.Kind() == reflect.Slice:
		r.checkList(n, t, path)
	default:
		r.checkScalar(n, t, path)
	}
}

func (r *configReader) checkStruct(n ast.Node, t reflect.Type, path string) {
	for _, e := range r.entries(n, path) {
		name := e.Key.GetToken().Value
		field, ok := fieldOf(t, name)
		if !ok {
			r.refusef(e.Key.GetToken(), "%s: no such key%s; the keys here are %s", join(path, shorten(name, maxDescribed)), elsewhere(name), strings.Join(namesOf(t), ", "))
			continue
		}
		r.check(e.Value, field.Type, r.keep(e, path))
	}
}

func (r *configReader) checkList(n ast.Node, t reflect.Type, path string) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		r.refusef(n.GetToken(), "%s: must be a list, as in [a, b], not %s", path, describe(n))
		return
	}
	for i, v := range list.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.at[at] = r.at[path]
		if tk := first(v); tk != nil {
			r.at[at] = tk
		}
		r.check(v, t.Elem(), at)
	}
}

func (r *configReader) checkDuration(n ast.Node, path string) {
	text, ok := n.(*ast.StringNode)
	if ok {
		_, err := time.ParseDuration(text.Value)
		ok = err == nil
	}
	if !ok {
		r.refusef(n.GetToken(), "%s: must be a time with its unit, such as 10ms, 30s or 24h, not %s", path, describe(n))
	}
}

func (r *configReader) checkScalar(n ast.Node, t reflect.Type, path string) {
	switch t.Kind() {
	case reflect.String:
		switch n.(type) {
		case *ast.StringNode, *ast.LiteralNode:
		default:
			r.refusef(n.GetToken(), "%s: must be text, not %s; put it in quotes if it is meant", path, describe(n))
		}
	case reflect.Bool:
		if _, ok := n.(*ast.BoolNode); !ok {
			r.refusef(n.GetToken(), "%s: must be true or false, not %s", path, describe(n))
		}
	case reflect.Int, reflect.Int64:
		number, ok := n.(*ast.IntegerNode)
		if !ok {
			r.refusef(n.GetToken(), "%s: must be a whole number, not %s", path, describe(n))
			return
		}
		if v, unsigned := number.Value.(uint64); unsigned && v > math.MaxInt64 {
			r.refusef(n.GetToken(), "%s: %s is too large", path, describe(n))
		}
	default:
		panic(fmt.Sprintf("BUG: a configuration field of type %v cannot be read", t))
	}
}

// entries gives the entries of a mapping whose keys are words.
func (r *configReader) entries(n ast.Node, path string) []*ast.MappingValueNode {
	var all []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		all = n.Values
	case *ast.MappingValueNode:
		all = []*ast.MappingValueNode{n}
	default:
		what := path
		if what == "" {
			what = "the configuration"
		}
		r.refusef(n.GetToken(), "%s: must be keys and values (key: value), not %s", what, describe(n))
		return nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(e *ast.MappingValueNode) bool {
		if _, ok := e.Key.(*ast.StringNode); ok {
			return false
		}
		r.refusef(e.Key.GetToken(), "%s: a key must be text, not %s; put it in quotes if it is meant", join(path, "…"), describe(e.Key))
		return true
	})
}

// keep notes where a key stands and gives its path.
func (r *configReader) keep(e *ast.MappingValueNode, path string) string {
	key := e.Key.GetToken()
	path = join(path, key.Value)
	r.at[path] = key
	return path
}

func (r *configReader) refusef(at *token.Token, format string, args ...any) {
	e := placedError{err: fmt.Errorf(format, args...)}
	if at != nil && at.Position != nil {
		e.line, e.column = at.Position.Line, at.Position.Column
	}
	r.errs = append(r.errs, e)
}

func (r *configReader) refuseKeyf(path, format string, args ...any) {
	r.refusef(r.at[path], "%s: %s", path, fmt.Sprintf(format, args...))
}

// refuseYAML takes an error of the YAML library apart.
func (r *configReader) refuseYAML(err error) {
	if at, ok := errors.AsType[yaml.Error](err); ok {
		r.refusef(at.GetToken(), "%s", at.GetMessage())
		return
	}
	r.refusef(nil, "%w", err)
}

// refuseInvalid places what Validate found: each of its errors begins with the path of a key, maybe one that the file does
// not have, and then its section is meant.
func (r *configReader) refuseInvalid(err error) {
	for _, e := range flatten(err) {
		path, rest, _ := strings.Cut(e.Error(), ":")
		path, _, _ = strings.Cut(path, " ")
		word, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		word = strings.TrimSuffix(word, ":")
		if _, ok := r.at[join(path, word)]; ok {
			path = join(path, word)
		}
		for path != "" && r.at[path] == nil {
			path = path[:max(strings.LastIndexAny(path, ".["), 0)]
		}
		r.refusef(r.at[path], "%w", e)
	}
}

// err gives everything that was refused, in the order of the file.
func (r *configReader) err() error {
	slices.SortStableFunc(r.errs, func(a, b placedError) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	all := make([]error, 0, len(r.errs))
	for _, e := range r.errs {
		place := r.file
		if e.line > 0 {
			place = fmt.Sprintf("%s:%d:%d", r.file, e.line, e.column)
		}
		all = append(all, fmt.Errorf("%s: %s", place, shorten(e.err.Error(), maxMessage)))
	}
	return errors.Join(all...)
}

// flatten gives the errors that were joined.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

func join(path, name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// first is the token that a reader sees first: a mapping's own is its first colon.
func first(n ast.Node) *token.Token {
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

const (
	// maxDescribed and maxMessage bound, in characters, what is quoted of a value and one whole message.
	maxDescribed = 40
	maxMessage   = 500
)

func shorten(s string, most int) string {
	if text := []rune(s); len(text) > most {
		return string(text[:most]) + "…"
	}
	return s
}

// describe says what a node is, briefly.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return fmt.Sprintf("%q", shorten(n.Value, maxDescribed))
	}
	return shorten(n.GetToken().Value, maxDescribed)
}

// emptyOf is how nothing is written.
func emptyOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "[]"
	case reflect.Map, reflect.Struct:
		return "{}"
	case reflect.String:
		return `""`
	case reflect.Bool:
		return "false"
	default:
		if t == reflect.TypeFor[time.Duration]() {
			return "0s"
		}
		return "0"
	}
}

// fieldOf finds the field of a key.
func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for field := range t.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name == key && name != "-" {
			return field, name != ""
		}
	}
	return reflect.StructField{}, false
}

// namesOf gives the keys of a section.
func namesOf(t reflect.Type) []string {
	var names []string
	for field := range t.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// elsewhere says where a key that is not here would belong.
func elsewhere(name string) string {
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		if strings.HasSuffix("."+key, "."+name) {
			return fmt.Sprintf(" (%s is one)", key)
		}
	}
	return ""
}
