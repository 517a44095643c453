#!/usr/bin/env bash
# Proves that make rename-module works, on a copy of the work tree: under another path the copy builds, vets, holds its
# import table and names the old path in no import; and renamed back again it is what it was, byte for byte.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
old=$(sed -n 's/^module //p' go.mod)
new=example.com/somebody/else
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

git ls-files -z -co --exclude-standard | tar --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -C "$copy" -xf -
mkdir -p .cache && ln -s "$root/.cache" "$copy/.cache" # the same tools
cp -R "$copy" "$copy.before"
trap 'rm -rf "$copy" "$copy.before"' EXIT

cd "$copy"
make --no-print-directory rename-module MODULE=$new
grep -qx "module $new" go.mod || { echo "rename: go.mod still says $(head -n 1 go.mod)" >&2; exit 1; }
# What is found, and nothing that fails where nothing is: with pipefail, the check would pass whatever was found before.
old_imports() {
  { grep -rnE --include='*.go' --exclude-dir=.cache --exclude-dir=testdata "^[[:space:]]*(import )?([a-zA-Z0-9_.]+ )?\"$old(/|\")" . || true; } |
    { grep -vE ':[[:space:]]*return ' || true; }
  grep -rnE --include='*.proto' --exclude-dir=.cache "^option go_package = \"$old/" . || true
}
if old_imports | grep .; then
  echo "rename: the old path is still imported" >&2
  exit 1
fi
go list ./... | grep -v "^$new" && { echo "rename: a package is not under $new" >&2; exit 1; }
go test -count=1 -run 'TestImportTable' ./cmd/pitboss

# A path that is none changes nothing and says so.
if make --no-print-directory rename-module MODULE='not a path' 2>/dev/null; then
  echo "rename: took a path with spaces" >&2
  exit 1
fi

make --no-print-directory rename-module MODULE="$old"
diff -r -I '^//[[:space:]-]*protoc  *[(v]' --exclude=.cache "$copy.before" "$copy"
echo "rename: there and back again"
