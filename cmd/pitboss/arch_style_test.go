package main_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// What every source file owes its reader, as far as a machine can tell it. Linters hold the rest (.golangci.yml); here
// is what they cannot say, or say with too many false alarms.

const (
	maxFileLines = 800
	maxFuncLines = 100
	// A composite literal of more lines than this is a table and not counted as a function's code.
	tableLines = 10
)

func TestSourceStyle(t *testing.T) {
	tree := loadRepository(t)
	for _, check := range styleChecks() {
		report(t, check(tree))
	}
}

// TestLongestFilesAndFunctions fails nothing: go test -v -run Longest says what grows towards the limits.
func TestLongestFilesAndFunctions(t *testing.T) {
	tree := loadRepository(t)
	for _, finding := range slices.Concat(tree.checkFileSizes(500), tree.checkFuncSizes(60)) {
		t.Log(finding)
	}
}

func styleChecks() []func(*tree) []string {
	return []func(*tree) []string{
		func(t *tree) []string { return t.checkFileSizes(maxFileLines) },
		func(t *tree) []string { return t.checkFuncSizes(maxFuncLines) },
		(*tree).checkInits,
		(*tree).checkVars,
		(*tree).checkMutexes,
		(*tree).checkNolints,
		(*tree).checkLeaks,
		(*tree).checkSleeps,
	}
}

// TestSourceStyleRefuses proves on small packages that each check can fail, and what it leaves alone.
func TestSourceStyleRefuses(t *testing.T) {
	refuses := func(body string, want ...string) {
		t.Helper()
		tree, err := parseTree(fstest.MapFS{
			"go.mod":     {Data: []byte("module x\n")},
			"p/p.go":     {Data: []byte("package p\n" + body)},
			"p/other.go": {Data: []byte("package p\nfunc touch() { touched = 1; grown[\"a\"]++ }\nfunc local() { var fixed int; fixed = 1; _ = fixed }\n")},
		})
		if err != nil {
			t.Fatalf("cannot parse %q: %v", body, err)
		}
		var got []string
		for _, check := range styleChecks() {
			got = append(got, check(tree)...)
		}
		if len(got) != len(want) {
			t.Fatalf("%q: got %d findings, want %d: %q", body, len(got), len(want), got)
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%q: got %q, want a finding with %q", body, got[i], want[i])
			}
		}
	}
	allows := func(body string) { t.Helper(); refuses(body) }

	allows(strings.Repeat("\n", maxFileLines-1))
	refuses(strings.Repeat("\n", maxFileLines), "p/p.go has 801 lines, the limit is 800")
	allows("func f() {" + strings.Repeat("\n", maxFuncLines+1) + "}")
	refuses("func f() {"+strings.Repeat("\n", maxFuncLines+2)+"}", "p/p.go:2: f has 101 lines, the limit is 100")
	refuses("type t int\nfunc (*t) f() {"+strings.Repeat("\n", maxFuncLines+2)+"}", "t.f has 101 lines")
	allows("func f() []int { return []int{" + strings.Repeat("\n1,", maxFuncLines) + "\n} }")

	refuses("func init() {}", "p/p.go:2: an init function")
	allows("type t int\nfunc (t) init() {}")

	allows("var ErrX = errors.New(`x`)")
	allows("var pattern = regexp.MustCompile(`x`)")
	allows("var _ io.Reader = (*t)(nil)")
	allows("var fixed = []int{1}")
	allows("var table = map[string]func(){`a`: nil}")
	allows("var nan = math.NaN()")
	allows("//go:embed x\nvar files embed.FS")
	allows("var (\n\t//go:embed x\n\ttext string\n)")
	allows("var pool = sync.Pool{New: func() any { return 1 }}")
	refuses("var cache map[string]int", "p/p.go:2: package variable cache has no first value")
	refuses("var mu sync.Mutex // guards nothing", "package variable mu has no first value")
	refuses("var seen = make(map[string]int)", "seen is made to be filled")
	refuses("var seen = map[string]int{}", "seen is made to be filled")
	refuses("var shared = &t{}", "shared is a pointer")
	refuses("var shared = new(t)", "shared is made to be filled")
	refuses("var shared = cache.New(10)", "shared is constructed")
	refuses("var shared = newCache(10)", "shared is constructed")
	allows("var latest = newest(1, 2)")
	refuses("var count atomic.Int64", "count has no first value")
	refuses("var touched = 0", "touched is changed at p/other.go:2")
	refuses("var grown = map[string]int{`b`: 1}", "grown is changed at p/other.go:2")
	refuses("var gone = map[string]int{`b`: 1}\nfunc f() { delete(gone, `b`) }", "gone is changed at p/p.go:3")
	refuses("var taken = table(1)\nfunc f() *int { return &taken[0] }", "taken is changed at p/p.go:3")

	allows("type t struct {\n\t// mu guards count.\n\tmu sync.Mutex\n\tn int\n}")
	allows("type t struct {\n\tmu sync.RWMutex // guards count\n\tn int\n}")
	refuses("type t struct {\n\tmu sync.Mutex\n\tn int\n}", "p/p.go:3: a mutex without a comment")
	refuses("type t struct {\n\t// mu is a mutex.\n\tmu *sync.RWMutex\n\tn int\n}", "p/p.go:4: a mutex without a comment")

	allows("func f() {} //nolint:errcheck // closing a file that was only read")
	refuses("func f() {} //nolint", "p/p.go:2: a nolint must name its linter and say why")
	refuses("func f() {} //nolint:errcheck", "must name its linter and say why")
	refuses("func f() {} // nolint:errcheck // no directive has a space", "must name its linter and say why")

	refuses("func f() { go f() }", "p starts goroutines, and no test of it checks with goleak")
	refuses("func f() { time.Sleep(1) }", "p/p.go:2: time.Sleep")
	allows("func f() { clock.Sleep(1) }")

	refuses("func f(g *sync.WaitGroup) { g.Go(h) }", "p starts goroutines, and no test of it checks with goleak")
}

func (t *tree) checkFileSizes(limit int) []string {
	var findings []string
	t.eachCode(func(s source) {
		if s.lines > limit && !strings.HasSuffix(s.name, "_tables.go") {
			findings = append(findings, fmt.Sprintf("%s has %d lines, the limit is %d: does it still hold one thing?", s.name, s.lines, limit))
		}
	})
	return findings
}

func (t *tree) checkFuncSizes(limit int) []string {
	var findings []string
	t.eachFunc(func(_ source, fn *ast.FuncDecl) {
		if lines := t.funcLines(fn); lines > limit {
			findings = append(findings, fmt.Sprintf("%s: %s has %d lines, the limit is %d", t.position(fn.Pos()), funcName(fn), lines, limit))
		}
	})
	return findings
}

// funcLines counts a body's lines between its braces, without those of its tables.
func (t *tree) funcLines(fn *ast.FuncDecl) int {
	if fn.Body == nil {
		return 0
	}
	span := func(from, to token.Pos) int { return max(0, t.fset.Position(to).Line-t.fset.Position(from).Line-1) }
	lines := span(fn.Body.Lbrace, fn.Body.Rbrace)
	ast.Inspect(fn.Body, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok {
			return true
		}
		inside := span(literal.Lbrace, literal.Rbrace)
		if inside > tableLines {
			lines -= inside
		}
		return false
	})
	return lines
}

func (t *tree) checkInits() []string {
	var findings []string
	t.eachFunc(func(_ source, fn *ast.FuncDecl) {
		if fn.Recv == nil && fn.Name.Name == "init" {
			findings = append(findings, t.position(fn.Pos())+
				": an init function: it runs for everybody who imports the package, before anybody can pass it anything; use a constructor")
		}
	})
	return findings
}

// checkVars refuses package variables that can change: two servers must fit in one process. Allowed are those that have
// a first value which is not there to be filled, and which nothing in the package changes afterwards.
func (t *tree) checkVars() []string {
	var findings []string
	t.eachCode(func(s source) {
		for _, decl := range s.file.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				values, ok := spec.(*ast.ValueSpec)
				if !ok || embeds(group.Doc) || embeds(values.Doc) {
					continue
				}
				for i, name := range values.Names {
					if complaint := t.checkVar(s, values, i); complaint != "" {
						findings = append(findings, fmt.Sprintf("%s: package variable %s %s: put it into a value that its user makes",
							t.position(name.Pos()), name.Name, complaint))
					}
				}
			}
		}
	})
	return findings
}

// checkVar says what is wrong with one package variable, or "".
func (t *tree) checkVar(s source, spec *ast.ValueSpec, i int) string {
	name := spec.Names[i].Name
	if name == "_" {
		return ""
	}
	if len(spec.Values) == 0 {
		return "has no first value, so something sets it later"
	}
	value := spec.Values[min(i, len(spec.Values)-1)]
	switch value := value.(type) {
	case *ast.UnaryExpr:
		if value.Op == token.AND {
			return "is a pointer, so whoever has it can change what it points to"
		}
	case *ast.CompositeLit:
		if _, isMap := value.Type.(*ast.MapType); isMap && len(value.Elts) == 0 {
			return "is made to be filled"
		}
	case *ast.CallExpr:
		called := callee(value)
		switch {
		case called == "make" || called == "new":
			return "is made to be filled"
		case regexp.MustCompile(`^[nN]ew([A-Z]|$)`).MatchString(called) && !immutableConstructor(value):
			return "is constructed, so it probably has a state"
		}
	}
	if place := t.changeOf(s.dir, name); place.IsValid() {
		return "is changed at " + t.position(place)
	}
	return ""
}

// callee is the last name of what a call calls: New of errors.New(x).
func callee(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

// immutableConstructor names the New functions whose results nothing can change.
func immutableConstructor(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && slices.Contains([]string{"errors.New", "strings.NewReplacer", "prometheus.NewDesc"}, from.Name+"."+selector.Sel.Name)
}

// changeOf finds a place in dir's code that assigns to the package variable, to a part of it, or takes its address.
// It knows no types: a function that declares the same name itself is taken to mean its own.
func (t *tree) changeOf(dir, name string) token.Pos {
	found := token.NoPos
	t.eachFunc(func(s source, fn *ast.FuncDecl) {
		if s.dir != dir || found.IsValid() || declares(fn, name) {
			return
		}
		ast.Inspect(fn, func(node ast.Node) bool {
			for _, changed := range changedBy(node) {
				if rootName(changed) == name {
					found = node.Pos()
				}
			}
			return true
		})
	})
	return found
}

// changedBy lists the expressions that a node changes or lets be changed.
func changedBy(node ast.Node) []ast.Expr {
	switch node := node.(type) {
	case *ast.AssignStmt:
		if node.Tok != token.DEFINE {
			return node.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{node.X}
	case *ast.UnaryExpr:
		if node.Op == token.AND {
			return []ast.Expr{node.X}
		}
	case *ast.CallExpr:
		if builtin, ok := node.Fun.(*ast.Ident); ok && slices.Contains([]string{"delete", "clear", "copy"}, builtin.Name) && len(node.Args) > 0 {
			return node.Args[:1]
		}
	}
	return nil
}

// rootName is the variable an expression starts from: a of a[i].b.
func rootName(expr ast.Expr) string {
	for {
		switch x := expr.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.IndexExpr:
			expr = x.X
		case *ast.SelectorExpr:
			expr = x.X
		case *ast.SliceExpr:
			expr = x.X
		case *ast.ParenExpr:
			expr = x.X
		case *ast.StarExpr:
			expr = x.X
		default:
			return ""
		}
	}
}

// declares says whether a function has a parameter, result or local variable of that name.
func declares(fn *ast.FuncDecl, name string) bool {
	found := false
	ast.Inspect(fn, func(node ast.Node) bool {
		var idents []*ast.Ident
		switch node := node.(type) {
		case *ast.Field:
			idents = node.Names
		case *ast.ValueSpec:
			idents = node.Names
		case *ast.AssignStmt:
			if node.Tok == token.DEFINE {
				for _, expr := range node.Lhs {
					if ident, ok := expr.(*ast.Ident); ok {
						idents = append(idents, ident)
					}
				}
			}
		case *ast.RangeStmt:
			if node.Tok == token.DEFINE {
				for _, expr := range []ast.Expr{node.Key, node.Value} {
					if ident, ok := expr.(*ast.Ident); ok {
						idents = append(idents, ident)
					}
				}
			}
		}
		found = found || slices.ContainsFunc(idents, func(ident *ast.Ident) bool { return ident.Name == name })
		return !found
	})
	return found
}

func embeds(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// checkMutexes wants beside every mutex in a struct the word "guards" and what.
func (t *tree) checkMutexes() []string {
	var findings []string
	t.eachCode(func(s source) {
		ast.Inspect(s.file, func(node ast.Node) bool {
			structure, ok := node.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range structure.Fields.List {
				if !isMutex(field.Type) || strings.Contains(field.Doc.Text()+field.Comment.Text(), "guards ") {
					continue
				}
				findings = append(findings, t.position(field.Pos())+": a mutex without a comment on which fields it guards (\"mu guards ...\")")
			}
			return true
		})
	})
	return findings
}

func isMutex(expr ast.Expr) bool {
	if pointer, ok := expr.(*ast.StarExpr); ok {
		expr = pointer.X
	}
	selector, ok := expr.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && from.Name == "sync" && (selector.Sel.Name == "Mutex" || selector.Sel.Name == "RWMutex")
}

// checkNolints wants the linter's name and a reason on every exception, tests included.
func (t *tree) checkNolints() []string {
	var (
		findings  []string
		exception = regexp.MustCompile(`^//\s*nolint\b`)
		complete  = regexp.MustCompile(`^//nolint:[a-z0-9]+(,[a-z0-9]+)* // \S`)
	)
	for _, s := range t.files {
		for _, group := range s.file.Comments {
			for _, comment := range group.List {
				if exception.MatchString(comment.Text) && !complete.MatchString(comment.Text) {
					findings = append(findings, t.position(comment.Pos())+
						": a nolint must name its linter and say why, as //nolint:errcheck // closing a file that was only read")
				}
			}
		}
	}
	return findings
}

// checkLeaks wants goleak in the tests of every package that starts goroutines.
func (t *tree) checkLeaks() []string {
	starts, checks := map[string]bool{}, map[string]bool{}
	for _, s := range t.files {
		if s.test {
			checks[s.dir] = checks[s.dir] || s.imports("go.uber.org/goleak")
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.GoStmt:
				starts[s.dir] = true
			case *ast.SelectorExpr: // of a sync.WaitGroup or an errgroup.Group
				starts[s.dir] = starts[s.dir] || node.Sel.Name == "Go"
			}
			return true
		})
	}
	var findings []string
	for _, dir := range t.dirs() {
		if starts[dir] && !checks[dir] && !isSuite(dir) {
			findings = append(findings, dir+" starts goroutines, and no test of it checks with goleak that they end")
		}
	}
	return findings
}

// checkSleeps refuses time.Sleep, tests included: in the product nothing can cancel it, and in a test it is either too
// short on a busy machine or too long on all others. Inside a testing/synctest bubble it costs nothing and is right.
func (t *tree) checkSleeps() []string {
	var findings []string
	for _, s := range t.files {
		if s.test && s.imports("testing/synctest") {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok && selector.Sel.Name == "Sleep" && rootName(selector) == "time" {
				findings = append(findings, t.position(node.Pos())+
					": time.Sleep: wait for what is to happen (a channel, a timer beside ctx.Done(), testing/synctest)")
			}
			return true
		})
	}
	return findings
}

// imports says whether a file imports a library by exactly that path.
func (s source) imports(lib string) bool {
	return slices.ContainsFunc(s.file.Imports, func(spec *ast.ImportSpec) bool { return spec.Path.Value == strconv.Quote(lib) })
}

// eachCode visits what people wrote and the product runs: no tests, no generated files.
func (t *tree) eachCode(visit func(source)) {
	for _, s := range t.files {
		if !s.test && !s.generated {
			visit(s)
		}
	}
}

func (t *tree) eachFunc(visit func(source, *ast.FuncDecl)) {
	t.eachCode(func(s source) {
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				visit(s, fn)
			}
		}
	})
}

func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	kind := fn.Recv.List[0].Type
	if index, ok := kind.(*ast.IndexExpr); ok {
		kind = index.X
	}
	return rootName(kind) + "." + fn.Name.Name
}
