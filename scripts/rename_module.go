//go:build ignore

// Gives the module another path: in go.mod, in the imports of every Go file and in the go_package of every .proto file.
// Run by make rename-module, which makes the generated code anew afterwards. Other text stays as it is: the product's
// name, its metrics and its wire names (the proto package pitboss.v1) are not the module's path.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go run scripts/rename_module.go NEW-MODULE-PATH")
	}
	from, err := rename(os.Args[1])
	if err != nil {
		log.Fatalf("rename-module: %v", err)
	}
	log.Printf("rename-module: %s is %s now", from, os.Args[1])
}

var (
	moduleLine = regexp.MustCompile(`(?m)^module[ \t]+(\S+)`)
	// As golang.org/x/mod/module.CheckPath, without its rarer cases.
	modulePath = regexp.MustCompile(`^[a-z0-9][a-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)
	goPackage  = regexp.MustCompile(`(?m)^(option go_package = ")([^";]+)`)
)

func rename(to string) (from string, err error) {
	if !modulePath.MatchString(to) {
		return "", fmt.Errorf("%q is not a module path", to)
	}
	goMod, err := os.ReadFile("go.mod")
	if err != nil {
		return "", fmt.Errorf("cannot read the module: %w", err)
	}
	match := moduleLine.FindSubmatchIndex(goMod)
	if match == nil {
		return "", errors.New("go.mod has no module line")
	}
	from = string(goMod[match[2]:match[3]])
	if err := os.WriteFile("go.mod", splice(goMod, match[2], match[3], to), 0o644); err != nil {
		return "", fmt.Errorf("cannot write the module: %w", err)
	}
	return from, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.IsDir() && path != "." && isModule(path):
			return filepath.SkipDir // another module, with a path of its own
		case !entry.Type().IsRegular():
			return nil
		case filepath.Ext(path) == ".go" && !strings.Contains(path, "testdata"):
			return rewrite(path, func(data []byte) ([]byte, error) { return imports(path, data, from, to) })
		case filepath.Ext(path) == ".proto":
			return rewrite(path, func(data []byte) ([]byte, error) { return protoOption(data, from, to), nil })
		}
		return nil
	})
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func rewrite(path string, change func([]byte) ([]byte, error)) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read a source: %w", err)
	}
	changed, err := change(data)
	if err != nil || bytes.Equal(changed, data) {
		return err
	}
	if err := os.WriteFile(path, changed, 0o644); err != nil {
		return fmt.Errorf("cannot write a source: %w", err)
	}
	return nil
}

// imports rewrites the import paths and nothing else, so that a string that happens to start alike stays.
func imports(path string, data []byte, from, to string) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, data, parser.ImportsOnly)
	if err != nil {
		return nil, fmt.Errorf("cannot parse %q: %w", path, err)
	}
	for i := len(file.Imports) - 1; i >= 0; i-- { // backwards, so that earlier offsets stay true
		literal := file.Imports[i].Path
		old, err := strconv.Unquote(literal.Value)
		if err != nil {
			return nil, fmt.Errorf("cannot read an import of %q: %w", path, err)
		}
		if moved, ok := move(old, from, to); ok {
			data = splice(data, fset.Position(literal.Pos()).Offset, fset.Position(literal.End()).Offset, strconv.Quote(moved))
		}
	}
	return data, nil
}

func protoOption(data []byte, from, to string) []byte {
	return goPackage.ReplaceAllFunc(data, func(option []byte) []byte {
		parts := goPackage.FindSubmatch(option)
		if moved, ok := move(string(parts[2]), from, to); ok {
			return append(bytes.Clone(parts[1]), moved...)
		}
		return option
	})
}

// move puts a package's path from one module into another, if it is in that module.
func move(path, from, to string) (string, bool) {
	rest, ok := strings.CutPrefix(path, from)
	if !ok || rest != "" && rest[0] != '/' {
		return path, false
	}
	return to + rest, true
}

func splice(data []byte, start, end int, with string) []byte {
	return append(append(append([]byte(nil), data[:start]...), with...), data[end:]...)
}
