package main_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// The import table. Directions are one way only: what is below knows nothing of what is above it. A package that is not
// in the table fails the test, so a new one starts with a line here and a reason for it.

// room is one row of the table: a directory, what of ours its code may import, and why no more.
type room struct {
	// dir is the package's directory; a * stands for one path element's part.
	dir string
	// uses are the directories it may import, in the same form.
	uses []string
	// why says what an import of anything else would break.
	why string
}

var rooms = []room{
	{
		"journal", nil,
		"the journal knows bytes, not meaning: a frame that it must understand to store is a frame that it can lose",
	},
	{"journal/journaltest", []string{"journal"}, "a contract suite knows the contract and no implementation"},
	{"plainyaml", nil, "what a file may not say is told from its tokens, whatever it is for"},
	{"floats", nil, "what several packages compute with must not know what any of them means"},
	{
		"models", []string{"floats"},
		"models are floats in, floats out: a model that knows events cannot be checked against the library that trained it",
	},
	{"models/onnxruntime", []string{"floats", "models"}, "a second engine is one more Model: who chooses it is above both"},
	{"models/onnxruntime/trial", []string{"models", "models/onnxruntime"}, "what is tried is a graph and its rows: who asked is not its business"},
	{"models/onnxruntime/onnxruntimetest", nil, "tests of any room ask it where the library is"},
	{
		"drift", nil,
		"drift sees names and floats only, so the same detectors serve features, scores and whatever comes later",
	},
	{
		"features", []string{"features/derived", "features/rhythm", "features/tiles", "floats", "plainyaml", "proto/*/*", "journal"},
		"a vector is a function of the frames applied and the evaluation time, and of nothing that is built on vectors",
	},
	{"features/derived", []string{"floats"}, "an expression is numbers in, a number out: it is tested against cel-go alone"},
	{"features/tiles", []string{"floats"}, "windows are arithmetic on columns and times; which event goes into which is said above them"},
	{"features/rhythm", []string{"floats"}, "how regular times are is arithmetic on them, whatever happened then"},
	{"features/states", []string{"features", "features/tiles", "proto/*/*", "journal"}, "a store keeps states and reads none of their meaning"},
	{"features/edge", []string{"features", "plainyaml", "proto/*/*", "journal"}, "enrichment happens once, before anything decides"},
	{
		"features/wire", []string{"features/edge", "proto/*/*"},
		"what an event came as is forgotten once it is decoded, and its refusals read like those of the edge",
	},
	{
		"features/feed", []string{"features", "features/edge", "features/wire", "proto/*/*", "journal"},
		"the feed brings events in, through the same edge as calls (whose refusals become dead letters); who uses them is not its business",
	},
	{"features/timeline", []string{"features", "proto/*/*", "journal"}, "what is missing is told from the events alone; a decision asks for it as for any source"},
	{"features/files", []string{"features", "features/wire", "plainyaml", "proto/*/*", "journal"}, "reading files is one more way in, beside Kafka and calls"},
	{"features/*test", []string{"features", "features/tiles", "proto/*/*", "journal"}, "a contract suite knows the contract and no implementation"},
	{
		"labels", []string{"proto/*/*", "journal"},
		"a label is what turned out to be true; what pitboss thought of it comes from the records",
	},
	{
		"rules", []string{"features", "proto/*/*", "journal"},
		"a rule reads features; the score and the reactions are combined with it in decide",
	},
	{
		"links", []string{"features", "proto/*/*", "journal"},
		"the graph is a source of features and never blocks a decision",
	},
	{
		"registry", []string{"features", "models", "models/onnxruntime", "drift", "journal", "plainyaml", "proto/*/*"},
		"the registry keeps bundles and says which is active; who asks it is not its business",
	},
	{
		"decide", []string{"features", "models", "registry", "rules", "links", "journal", "proto/*/*"},
		"a decision has no transport and no storage of its own: it declares a Recorder, and its callers bring one",
	},
	{
		"audit", []string{"decide", "registry", "rules", "features", "models", "journal", "proto/*/*"},
		"audit reads records out of the journal and makes decisions again; nothing that decides may wait for it",
	},
	{"cases", []string{"audit", "labels", "proto/*/*", "journal"}, "cases are folded from records and labels"},
	{
		"outbox", []string{"journal", "proto/*/*"},
		"the outbox follows the journal by cursor, so that a slow receiver costs no decision anything",
	},
	{"client", []string{"proto/*/*"}, "the client is compiled into game engines: the wire is all that it may bring with it"},
	{"sim", []string{"client", "proto/*/*"}, "the casino knows pitboss from outside only, or it would test itself"},
	{"bench", []string{"features", "features/states", "proto/*/*", "journal"}, "a fixture that the server could reach would be served one day"},
	{"bench/rivals", []string{"models"}, "what is measured is the model engine alone, beside the libraries that score for it elsewhere"},
	{"console", nil, "the console shows what server gives it through its own interfaces"},
	{"server", []string{everythingBelowCmd}, "cmd wires the server; the other way round two servers could not stand in one test"},
	{"examples/*", nil, "examples are files, embedded for the demo: what they mean is read by the packages that they are for"},
	{"cmd/*", []string{everythingBelowCmd}, "commands share no code with one another but packages"},
	{"proto/*/*", nil, "the wire imports nothing of ours: everybody reads it"},
}

// everythingBelowCmd stands in a row for any package but cmd and the contract suites.
const everythingBelowCmd = "everything below cmd"

// fence keeps a library, or a package of the standard library, inside the rooms that it was taken in for.
type fence struct {
	// lib is an import path; everything under it is meant too.
	lib string
	// rooms are the directories whose code may import it, in room.dir's form.
	rooms []string
	// why says what it would cost elsewhere.
	why string
}

var fences = []fence{
	{
		"google.golang.org/grpc", []string{"server", "client", "proto/*/*", "cmd/*"},
		"transport ends at the edge: a decision made from a file or from Kafka has no gRPC status",
	},
	{
		"github.com/twmb/franz-go", []string{"features/feed", "features/wire", "outbox", "sim", "client", "cmd/*"},
		"one consumer and two producers speak Kafka; everything else sees frames and events",
	},
	{
		"github.com/dgraph-io", []string{"features/states", "audit", "links", "cases"},
		"Badger stands behind features.States and where a fold of the journal needs an index, so that it can be exchanged",
	},
	{
		"github.com/dmitryikh/leaves", []string{"models", "bench/rivals"},
		"leaves answers 0 where it should refuse and trusts its input: only the adapter that guards against both may call it",
	},
	{
		"github.com/yalue/onnxruntime_go", []string{"models/onnxruntime"},
		"ONNX Runtime needs cgo and a shared library: one adapter, which the rest can do without",
	},
	{
		"cel.dev/cel-go", []string{"features/derived", "rules"},
		"cel-go reads expressions at load and is the oracle of what was made of them: no hot path evaluates by it unasked",
	},
	{
		"github.com/spf13/cobra", []string{"cmd/*"},
		"flags are read in cmd alone",
	},
	{"github.com/spf13/pflag", []string{"cmd/*"}, "flags are read in cmd alone"},
	{"flag", []string{"cmd/*"}, "flags are read in cmd alone"},
	{"github.com/schollz/progressbar", []string{"cmd/*"}, "a library does not write on the terminal"},
	{"github.com/grafana/pyroscope-go", []string{"cmd/*"}, "profiling is a property of the process, which cmd owns"},
	{
		"google.golang.org/protobuf/encoding/protowire", []string{"models", "models/*", "models/internal/*", "audit", "features", "features/*"},
		"the wire format without messages: for files of others, read field by field, and for bytes whose order counts",
	},
	{
		"google.golang.org/protobuf",
		[]string{
			"proto/*/*", "features", "features/*", "labels", "rules", "links", "registry", "decide", "audit", "cases", "outbox",
			"console", "server", "client", "sim", "bench", "cmd/*", "models/onnxruntime",
		},
		"journal, models and drift hold bytes and floats; a message there is meaning in the wrong room",
	},
	{
		// features/wire: the schema registry is asked over HTTP, and its answers are bounded there.
		"net/http", []string{"server", "console", "client", "outbox", "features/wire", "cmd/*"},
		"transport ends at the edge",
	},
	{
		// journal/internal/vfs: its file system in memory tears writes by a seeded chance, for crash tests.
		"math/rand", []string{"sim", "bench", "client", "cmd/*", "journal/internal/vfs"},
		"no random numbers in anything a record holds: all chance is an HMAC of the event, or a replay could not repeat it",
	},
}

// forbiddenNames are package names that say nothing, and so collect everything.
var forbiddenNames = []string{"util", "utils", "common", "helper", "helpers", "types", "base", "manager", "service", "impl", "misc"}

func TestImportTable(t *testing.T) {
	tree := loadRepository(t)
	report(t, tree.checkRooms())
	report(t, tree.checkImports())
	report(t, tree.checkFences())
	report(t, tree.checkPackages())
	report(t, checkModule(tree.goMod))
}

// TestImportTableHasNoCycle holds that the table itself is one way: a cycle in it would allow one in the code, packages
// that do not exist yet included.
func TestImportTableHasNoCycle(t *testing.T) {
	var walk func(trail []string, dir string)
	walk = func(trail []string, dir string) {
		if at := slices.Index(trail, dir); at >= 0 {
			t.Fatalf("the table goes round: %s", strings.Join(append(trail[at:], dir), " -> "))
		}
		row, ok := roomOf(dir)
		if !ok {
			t.Fatalf("%s is in a row's uses but has no row", dir)
		}
		for _, use := range row.uses {
			if use != everythingBelowCmd {
				walk(append(slices.Clone(trail), dir), strings.ReplaceAll(use, "*", "x"))
			}
		}
	}
	for _, row := range rooms {
		walk(nil, strings.ReplaceAll(row.dir, "*", "x"))
	}
}

// TestImportTableRefuses proves on small trees that each rule can fail, and that its message says why.
func TestImportTableRefuses(t *testing.T) {
	f := func(dir, source string, want ...string) {
		t.Helper()
		tree, err := parseTree(fstest.MapFS{
			"go.mod":             {Data: []byte("module example.com/x\n")},
			dir + "/code.go":     {Data: []byte(source)},
			"features/doc.go":    {Data: []byte("// Package features is here to be imported.\npackage features\n")},
			"testdata/broken.go": {Data: []byte("not Go at all")},
		})
		if err != nil {
			t.Fatalf("cannot parse %s: %v", dir, err)
		}
		got := slices.Concat(tree.checkRooms(), tree.checkImports(), tree.checkFences(), tree.checkPackages())
		if len(got) != len(want) {
			t.Fatalf("%s: got %d findings, want %d: %q", dir, len(got), len(want), got)
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: got %q, want a finding with %q", dir, got[i], want[i])
			}
		}
	}
	doc := func(name string) string { return "// Package " + name + " is an example.\npackage " + name + "\n" }

	f("journal", doc("journal")+`import "io"; var _ io.Reader`)
	f("decide", doc("decide")+`import _ "example.com/x/features"`)
	f("journal", doc("journal")+`import _ "example.com/x/features"`,
		"journal/code.go:3: journal imports features, and it may import nothing of ours: the journal knows bytes")
	f("outbox", doc("outbox")+`import _ "example.com/x/features"`,
		"outbox imports features, and it may import journal, proto/*/* only: the outbox follows the journal")
	f("server", doc("server")+`import _ "example.com/x/cmd/pitboss"`, "server imports cmd/pitboss")
	f("server", doc("server")+`import _ "example.com/x/features/statestest"`, "server imports features/statestest, a contract suite")
	f("client", doc("client")+`import _ "example.com/x"`, "client imports the module's root")

	f("decide", doc("decide")+`import _ "google.golang.org/grpc/codes"`,
		"decide imports google.golang.org/grpc/codes, which belongs in server, client, proto/*/*, cmd/* only: transport ends")
	f("rules", doc("rules")+`import _ "github.com/twmb/franz-go/pkg/kgo"`, "rules imports github.com/twmb/franz-go/pkg/kgo")
	f("features/edge", doc("edge")+`import _ "github.com/dgraph-io/badger/v4"`, "features/edge imports github.com/dgraph-io/badger/v4")
	f("models", doc("models")+`import _ "math/rand/v2"`, "models imports math/rand/v2")
	f("models", doc("models")+`import _ "google.golang.org/protobuf/encoding/protowire"`)
	f("models", doc("models")+`import _ "google.golang.org/protobuf/proto"`, "models imports google.golang.org/protobuf/proto")
	f("journal/journaltest", doc("journaltest")+`import _ "math/rand/v2"`)
	f("decide", doc("decide")+`import _ "google.golang.org/grpcx"`)

	f("score", doc("score"), "score is not in the table")
	f("features/util", doc("util"), "features/util is not in the table", `features/util: a package called "util"`)
	f("rules", "package rules\n", "rules has no package comment")
	f("rules", "// This one is about rules.\npackage rules\n", `rules: the package comment starts with "This one`)
	f("rules", doc("laws"), "rules: its package is called laws")
	f("features", doc("features"), "features/code.go has a package comment and features/doc.go too")

	f("journal/internal/vfs", doc("vfs"))
	f("journal/internal/vfs", doc("vfs")+`import _ "example.com/x/features"`, "journal/internal/vfs imports features")
	f("journal", doc("journal")+`import _ "example.com/x/journal/internal/vfs"`)
	f("links", doc("links")+`import _ "example.com/x/journal/internal/vfs"`, "links imports journal/internal/vfs")
}

// source is one Go file of the tree.
type source struct {
	name      string // path from the root, with slashes
	dir       string
	file      *ast.File
	lines     int
	test      bool // a _test.go file
	generated bool
}

// tree is all Go source of a module, parsed and not type-checked: it needs no network, no build and no dependency.
type tree struct {
	fset   *token.FileSet
	module string
	goMod  string
	files  []source
}

func loadRepository(t *testing.T) *tree {
	t.Helper()
	tree, err := parseTree(os.DirFS("../.."))
	if err != nil {
		t.Fatalf("cannot read the source tree: %v", err)
	}
	return tree
}

func parseTree(root fs.FS) (*tree, error) {
	goMod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("cannot read the module's file: %w", err)
	}
	module := regexp.MustCompile(`(?m)^module\s+(\S+)`).FindSubmatch(goMod)
	if module == nil {
		return nil, errors.New("go.mod has no module line")
	}
	result := &tree{fset: token.NewFileSet(), module: string(module[1]), goMod: string(goMod)}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return fs.SkipDir // as the go command does
		}
		if _, err := fs.Stat(root, path.Join(name, "go.mod")); entry.IsDir() && name != "." && err == nil {
			return fs.SkipDir // another module: tools, with rules of its own
		}
		if entry.IsDir() || path.Ext(base) != ".go" {
			return nil
		}
		return result.add(root, name)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot walk the tree: %w", err)
	}
	return result, nil
}

func (t *tree) add(root fs.FS, name string) error {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return fmt.Errorf("cannot read a source: %w", err)
	}
	file, err := parser.ParseFile(t.fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("cannot parse a source: %w", err)
	}
	if isScript(file) {
		return nil
	}
	t.files = append(t.files, source{
		name: name, dir: path.Dir(name), file: file,
		lines:     strings.Count(string(data), "\n"),
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(file),
	})
	return nil
}

// isScript says whether a file is a program of its own that no package build takes in (//go:build ignore).
func isScript(file *ast.File) bool {
	for _, group := range file.Comments {
		if group.Pos() > file.Package {
			break
		}
		for _, comment := range group.List {
			expr, err := constraint.Parse(comment.Text)
			if err == nil && expr.String() == "ignore" {
				return true
			}
		}
	}
	return false
}

// position names a place in the tree as file:line.
func (t *tree) position(pos token.Pos) string {
	at := t.fset.Position(pos)
	return fmt.Sprintf("%s:%d", at.Filename, at.Line)
}

// dirs are the directories that hold Go files, sorted.
func (t *tree) dirs() []string {
	var dirs []string
	for _, s := range t.files {
		dirs = append(dirs, s.dir)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

func (t *tree) checkRooms() []string {
	var findings []string
	for _, dir := range t.dirs() {
		if _, ok := roomOf(dir); !ok {
			findings = append(findings, fmt.Sprintf(
				"%s is not in the table of arch_test.go: give it a row that says what it may import and why, or move it", dir))
		}
	}
	return findings
}

// checkImports holds the table for all code but tests: a test may bring together what the product keeps apart.
func (t *tree) checkImports() []string {
	var findings []string
	t.eachImport(func(s source, lib string, pos token.Pos) {
		target, ours := strings.CutPrefix(lib, t.module)
		if !ours || target != "" && target[0] != '/' {
			return
		}
		target = strings.TrimPrefix(target, "/")
		row, ok := roomOf(s.dir)
		if !ok || row.allows(s.dir, target) {
			return
		}
		may := "nothing of ours"
		if len(row.uses) > 0 {
			may = strings.Join(row.uses, ", ") + " only"
		}
		switch {
		case target == "":
			target = "the module's root"
		case isSuite(target):
			target += ", a contract suite for tests"
		}
		findings = append(findings, fmt.Sprintf("%s: %s imports %s, and it may import %s: %s", t.position(pos), s.dir, target, may, row.why))
	})
	return findings
}

func (t *tree) checkFences() []string {
	var findings []string
	t.eachImport(func(s source, lib string, pos token.Pos) {
		if isSuite(s.dir) {
			return // tests in all but name
		}
		for _, fence := range fences {
			if lib != fence.lib && !strings.HasPrefix(lib, fence.lib+"/") {
				continue
			}
			if !matchesAny(fence.rooms, s.dir) {
				findings = append(findings, fmt.Sprintf("%s: %s imports %s, which belongs in %s only: %s",
					t.position(pos), s.dir, lib, strings.Join(fence.rooms, ", "), fence.why))
			}
			return // the first that matches decides: a part of a module may have rooms of its own, before the module's
		}
	})
	return findings
}

// eachImport visits the imports of all code but tests.
func (t *tree) eachImport(visit func(s source, lib string, pos token.Pos)) {
	for _, s := range t.files {
		if s.test {
			continue
		}
		for _, spec := range s.file.Imports {
			lib, err := strconv.Unquote(spec.Path.Value)
			if err == nil { // the parser has refused anything else
				visit(s, lib, spec.Pos())
			}
		}
	}
}

// checkPackages holds what every package owes its reader: a name that says something, the same as its directory's, and
// one comment that says what it is for.
func (t *tree) checkPackages() []string {
	var findings []string
	for _, dir := range t.dirs() {
		var name, comment, commented string
		for _, s := range t.files {
			if s.dir != dir || s.test {
				continue
			}
			name = s.file.Name.Name
			if s.file.Doc == nil || s.generated {
				continue
			}
			if comment != "" {
				findings = append(findings, fmt.Sprintf("%s has a package comment and %s too: one place says what a package is for", commented, s.name))
			}
			comment, commented = s.file.Doc.Text(), s.name
		}
		if name == "" {
			continue // only tests so far
		}
		base := path.Base(dir)
		generatedName := strings.HasPrefix(dir, "proto/") // pitbossv1 in proto/pitboss/v1, as is usual for protobuf
		switch {
		case slices.Contains(forbiddenNames, name) || slices.Contains(forbiddenNames, base):
			findings = append(findings, fmt.Sprintf("%s: a package called %q says nothing about what it holds", dir, name))
		case name != base && name != "main" && !generatedName:
			findings = append(findings, fmt.Sprintf("%s: its package is called %s; directory and package have one name", dir, name))
		}
		start := "Package " + name + " "
		if name == "main" {
			start = "Command " + base + " "
		}
		switch {
		case comment == "":
			findings = append(findings, dir+" has no package comment: say what it is for, what it is not, where to start reading")
		case !strings.HasPrefix(comment, start):
			first, _, _ := strings.Cut(comment, "\n")
			findings = append(findings, fmt.Sprintf("%s: the package comment starts with %q, want %q", dir, first, start))
		}
	}
	return findings
}

// checkModule refuses replace directives: with one, go install of a command fails, and what is built is not what is named.
func checkModule(goMod string) []string {
	if regexp.MustCompile(`(?m)^\s*replace\b`).MatchString(goMod) {
		return []string{"go.mod has a replace directive: take the dependency as it is published, or do without it"}
	}
	return nil
}

func TestModuleRefuses(t *testing.T) {
	f := func(goMod string, want int) {
		t.Helper()
		if got := checkModule(goMod); len(got) != want {
			t.Errorf("%q: got %q, want %d findings", goMod, got, want)
		}
	}
	f("module x\nrequire example.com/replace v1.0.0\n", 0)
	f("module x\nreplace a => b v1.0.0\n", 1)
	f("module x\nreplace (\n\ta => b v1.0.0\n)\n", 1)
}

// TestDependenciesAreExplained holds that docs/dependencies.md has a line for every module that our code or tests import,
// with the version that go.mod pins.
func TestDependenciesAreExplained(t *testing.T) {
	tree := loadRepository(t)
	doc, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatalf("cannot read the list of dependencies: %v", err)
	}
	report(t, tree.checkDependencies(string(doc)))
}

func (t *tree) checkDependencies(doc string) []string {
	explained := map[string]string{} // module to version
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` (v\\S+) \\|").FindAllStringSubmatch(doc, -1) {
		explained[row[1]] = row[2]
	}
	var findings []string
	missing := map[string]bool{}
	for _, s := range t.files {
		for _, spec := range s.file.Imports {
			lib, err := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(lib, "/")
			if err != nil || !strings.Contains(first, ".") || lib == t.module || strings.HasPrefix(lib, t.module+"/") || missing[lib] {
				continue
			}
			if !explains(explained, lib) {
				missing[lib] = true
				findings = append(findings, fmt.Sprintf("%s: no line of docs/dependencies.md says why we import %s", t.position(spec.Pos()), lib))
			}
		}
	}
	for _, module := range slices.Sorted(maps.Keys(explained)) {
		required := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(module) + ` (v\S+)`).FindStringSubmatch(t.goMod)
		if required != nil && required[1] != explained[module] {
			findings = append(findings, fmt.Sprintf("docs/dependencies.md has %s at %s, and go.mod at %s", module, explained[module], required[1]))
		}
	}
	return findings
}

// explains says whether a package is in one of the modules.
func explains(modules map[string]string, lib string) bool {
	for module := range modules {
		if lib == module || strings.HasPrefix(lib, module+"/") {
			return true
		}
	}
	return false
}

func TestDependenciesRefuse(t *testing.T) {
	f := func(source, doc string, want ...string) {
		t.Helper()
		tree, err := parseTree(fstest.MapFS{
			"go.mod": {Data: []byte("module example.com/x\nrequire example.org/lib v1.2.0\n")},
			"a.go":   {Data: []byte("package a\n" + source)},
		})
		if err != nil {
			t.Fatalf("cannot parse %q: %v", source, err)
		}
		got := tree.checkDependencies(doc)
		if len(got) != len(want) || len(want) > 0 && !strings.Contains(got[0], want[0]) {
			t.Errorf("%q with %q: got %q, want %q", source, doc, got, want)
		}
	}
	f(`import _ "example.org/lib/sub"`, "| `example.org/lib` v1.2.0 | why |")
	f(`import (_ "io"; _ "example.com/x/b")`, "")
	f(`import _ "example.org/library"`, "| `example.org/lib` v1.2.0 | why |", "a.go:2: no line of docs/dependencies.md says why we import example.org/library")
	f(``, "| `example.org/lib` v1.1.0 | why |", "has example.org/lib at v1.1.0, and go.mod at v1.2.0")
}

// roomOf is the first row whose dir matches. An internal package lives in its parent's room.
func roomOf(dir string) (room, bool) {
	dir, _, _ = strings.Cut(dir, "/internal/")
	for _, row := range rooms {
		if matches(row.dir, dir) {
			return row, true
		}
	}
	return room{}, false
}

// allows says whether the row lets its package at dir import ours at target.
func (r room) allows(dir, target string) bool {
	if isSuite(target) {
		return false
	}
	if slices.Contains(r.uses, everythingBelowCmd) {
		return target != "" && !strings.HasPrefix(target, "cmd/")
	}
	if parent, _, internal := strings.Cut(target, "/internal/"); internal && (dir == parent || strings.HasPrefix(dir, parent+"/")) {
		return true // part of the same room; the compiler keeps everybody else out
	}
	return matchesAny(r.uses, target)
}

// isSuite says whether a directory holds an exported contract suite, such as features/statestest.
func isSuite(dir string) bool {
	return path.Dir(dir) != "." && strings.HasSuffix(dir, "test")
}

func matchesAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, dir) })
}

func matches(pattern, dir string) bool {
	ok, err := path.Match(pattern, dir)
	return ok && err == nil
}

func report(t *testing.T, findings []string) {
	t.Helper()
	for _, finding := range findings {
		t.Error(finding)
	}
}
