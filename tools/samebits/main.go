// Command samebits refuses floating point whose bits depend on the machine, in packages whose results a decision record
// holds: there the same inputs must give the same bytes on every machine, or a replay is worth nothing. It is a checker
// for go vet -vettool (make check-vet); start reading at check. It is not about precision.
//
// Two things are refused:
//
//   - a product that may reach a sum. Go may fuse x*y + z into one operation with one rounding, and does on arm64,
//     ppc64le, riscv64, s390x and on amd64 from GOAMD64=v3 on; "possibly across statements", says the language's
//     specification ("Floating-point operators"), so an assignment, a return or a call that is inlined does not round.
//     An explicit conversion does: float64(x*y). So every product must be converted where it is made, unless it goes into
//     what cannot be fused with it: another product, a quotient, a comparison, a conversion or a function of package math.
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
const recorded = `(^|/)(features|floats|models|rules|links|registry|decide)(/|$)`

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
					ast.PreorderStack(file, nil, func(node ast.Node, above []ast.Node) bool {
						check(pass, node, above)
						return true
					})
				}
			}
			return nil, nil
		},
	}
}

func check(pass *analysis.Pass, node ast.Node, above []ast.Node) {
	switch node := node.(type) {
	case *ast.BinaryExpr:
		if node.Op == token.MUL && pass.TypesInfo.Types[node].Value == nil && !rounded(pass, node, above) { // a constant is exact
			report(pass, node, "a product may be fused with a later sum on some machines: round it where it is made, %s(...)")
		}
	case *ast.AssignStmt:
		if node.Tok == token.MUL_ASSIGN {
			report(pass, node.Lhs[0], "a product may be fused with a later sum on some machines: write x = %s(x * y)")
		}
	case *ast.SelectorExpr:
		checkCall(pass, node)
	}
}

// rounded says whether what a product goes into rounds it, or cannot be fused with it.
func rounded(pass *analysis.Pass, product ast.Expr, above []ast.Node) bool {
	inner := ast.Node(product)
	for i := len(above) - 1; i >= 0; i-- {
		switch outer := above[i].(type) {
		case *ast.ParenExpr:
		case *ast.UnaryExpr:
			if outer.Op != token.SUB && outer.Op != token.ADD { // -(x*y) + z is fused as well
				return false
			}
		case *ast.BinaryExpr:
			return outer.Op != token.ADD && outer.Op != token.SUB
		case *ast.CallExpr:
			return outer.Fun != inner && (pass.TypesInfo.Types[outer.Fun].IsType() || ofMath(pass, outer.Fun))
		default:
			return false
		}
		inner = above[i]
	}
	return false
}

// report reports a value that is a float.
func report(pass *analysis.Pass, value ast.Expr, format string) {
	if basic, ok := pass.TypesInfo.Types[value].Type.Underlying().(*types.Basic); ok && basic.Info()&(types.IsFloat|types.IsComplex) != 0 {
		pass.Reportf(value.Pos(), format, basic.Name())
	}
}

// ofMath says whether a function is of package math.
func ofMath(pass *analysis.Pass, fun ast.Expr) bool {
	selector, ok := ast.Unparen(fun).(*ast.SelectorExpr)
	if !ok {
		return false
	}
	function, ok := pass.TypesInfo.Uses[selector.Sel].(*types.Func)
	return ok && function.Pkg() != nil && function.Pkg().Path() == "math"
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
