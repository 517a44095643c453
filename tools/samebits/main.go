// Command samebits refuses floating point whose bits depend on the machine, in packages whose results a decision record
// holds: there the same inputs must give the same bytes on every machine, or a replay is worth nothing. It is a checker
// for go vet -vettool (make check-vet); start reading at check. It is not about precision.
//
// Two things are refused:
//
//   - a product inside a sum. Go may fuse x*y + z into one operation with one rounding, and does on arm64, ppc64le,
//     riscv64 and s390x (the language's specification, "Floating-point operators"). float64(x*y) + z rounds the product
//     everywhere; parentheses do not. A product that is first assigned is rounded too.
//   - a call into package math that is not exact. math.Exp, Log and others are written in assembly for some machines and
//     in Go for the rest, and the two differ in the last bit. IEEE 754 defines Sqrt, Floor and their like exactly.
package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() { unitchecker.Main(newAnalyzer()) }

// recorded are the packages, under any module path, whose floats reach a record.
const recorded = `(^|/)(features|models|rules|links|registry|decide)(/|$)`

func newAnalyzer() *analysis.Analyzer {
	return &analysis.Analyzer{
		Name: "samebits",
		Doc:  "refuse floating point whose bits depend on the machine, in what a decision record holds",
		Run: func(pass *analysis.Pass) (any, error) {
			path, _, _ := strings.Cut(pass.Pkg.Path(), " ") // of a test build: "path [path.test]"
			if !regexp.MustCompile(recorded).MatchString(path) {
				return nil, nil
			}
			for _, file := range pass.Files {
				if !strings.HasSuffix(pass.Fset.Position(file.Pos()).Filename, "_test.go") {
					ast.Inspect(file, func(node ast.Node) bool { check(pass, node); return true })
				}
			}
			return nil, nil
		},
	}
}

func check(pass *analysis.Pass, node ast.Node) {
	switch node := node.(type) {
	case *ast.BinaryExpr:
		if node.Op == token.ADD || node.Op == token.SUB {
			checkProduct(pass, node.X)
			checkProduct(pass, node.Y)
		}
	case *ast.AssignStmt:
		if node.Tok == token.ADD_ASSIGN || node.Tok == token.SUB_ASSIGN {
			checkProduct(pass, node.Rhs[0])
		}
	case *ast.SelectorExpr:
		checkCall(pass, node)
	}
}

// checkProduct reports a term of a sum that is a product, if it is computed at run time and a float.
func checkProduct(pass *analysis.Pass, term ast.Expr) {
	term = ast.Unparen(term)
	if sign, ok := term.(*ast.UnaryExpr); ok && sign.Op == token.SUB {
		term = ast.Unparen(sign.X) // -(x*y) + z is fused as well
	}
	product, ok := term.(*ast.BinaryExpr)
	if !ok || product.Op != token.MUL {
		return
	}
	value := pass.TypesInfo.Types[product]
	if value.Value != nil { // a constant is exact
		return
	}
	if basic, ok := value.Type.Underlying().(*types.Basic); ok && basic.Info()&(types.IsFloat|types.IsComplex) != 0 {
		pass.Reportf(product.Pos(), "a product inside a sum may be fused on some machines: round it first, %s(...)", basic.Name())
	}
}

// exact are the functions of package math whose result IEEE 754 or their definition fixes to the bit.
var exact = map[string]bool{
	"Abs": true, "Ceil": true, "Copysign": true, "Dim": true, "Float32bits": true, "Float32frombits": true,
	"Float64bits": true, "Float64frombits": true, "Floor": true, "Frexp": true, "Ilogb": true, "Inf": true, "IsInf": true,
	"IsNaN": true, "Ldexp": true, "Logb": true, "Max": true, "Min": true, "Mod": true, "Modf": true, "NaN": true,
	"Nextafter": true, "Nextafter32": true, "Remainder": true, "Round": true, "RoundToEven": true, "Signbit": true,
	"Sqrt": true, "Trunc": true,
}

func checkCall(pass *analysis.Pass, selector *ast.SelectorExpr) {
	function, ok := pass.TypesInfo.Uses[selector.Sel].(*types.Func)
	if !ok || function.Pkg() == nil || function.Pkg().Path() != "math" || exact[function.Name()] {
		return
	}
	pass.Reportf(selector.Pos(), "math.%s gives other bits on other machines: use the project's own, or one that IEEE 754 defines exactly", function.Name())
}
