#!/usr/bin/env bash
# Installs the project's own development tools, each at its pinned version, into .cache/bin and nowhere else.
#   scripts/tools.sh NAME...   install what is missing or of another version or built by another Go
#   scripts/tools.sh --list    print each tool with its version and module
# A tool that is in place costs a few milliseconds, so every make target that needs one calls this first.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/.cache/bin

# name version package. A new version here is a change like any other: make gen lint, look at the diff, commit.
# buf compiles the .proto files too, so no C++ protoc is needed and every machine writes the same bytes.
tools='
golangci-lint       v2.15.0  github.com/golangci/golangci-lint/v2/cmd/golangci-lint
buf                 v1.75.0  github.com/bufbuild/buf/cmd/buf
protoc-gen-go       v1.36.12 google.golang.org/protobuf/cmd/protoc-gen-go
protoc-gen-go-grpc  v1.6.2   google.golang.org/grpc/cmd/protoc-gen-go-grpc
benchstat           v0.0.0-20260908200009-22c9c6c9d4da golang.org/x/perf/cmd/benchstat
'

die() { echo "tools: $*" >&2; exit 1; }

# in_place FILE VERSION: is FILE of that version, built by the Go that would build it now?
# A linter built by an older Go refuses code for a newer one, hence the second half.
in_place() {
  [ -x "$1" ] || return 1
  go version -m "$1" 2>/dev/null | awk -v want="$2" -v go="$(go env GOVERSION)" '
    NR == 1 { goOK = ($2 == go) }
    $1 == "mod" { if ($3 == want) modOK = 1 }
    END { exit !(goOK && modOK) }'
}

install() {
  local line version package
  line=$(awk -v name="$1" '$1 == name' <<<"$tools")
  [ -n "$line" ] || die "no tool is called '$1'; --list names them"
  read -r _ version package <<<"$line"
  in_place "$bin/$1" "$version" && return
  echo "tools: building $1 $version" >&2
  # Without cgo, so that a machine without a C compiler has the same tools.
  (cd / && CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOBIN=$bin go install "$package@$version" </dev/null) ||
    die "cannot build $1 $version"
}

[ $# -gt 0 ] || die "name the tools, or --list"
if [ "$1" = --list ]; then awk 'NF { print $1, $2, $3 }' <<<"$tools"; exit; fi
mkdir -p "$bin"
# Two targets of make -j must not write the same file at once.
exec 9>"$bin/.lock"
flock 9
for tool in "$@"; do install "$tool"; done
