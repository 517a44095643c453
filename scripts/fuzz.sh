#!/usr/bin/env bash
# Runs every fuzz target of some packages, one after the other, as go test can do only one at a time.
#   scripts/fuzz.sh TIME PACKAGES...      TIME for each target, such as 30s
set -euo pipefail
time=$1
shift
found=false
while read -r dir; do
  while read -r target; do
    found=true
    echo "== $target in ${dir#"$PWD"/}, $time"
    (cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzzminimizetime=10x -fuzztime "$time" . </dev/null)
  done < <(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$dir"/*_test.go 2>/dev/null)
done < <(go list -f '{{.Dir}}' "$@")
$found || { echo "fuzz: no fuzz target in $*" >&2; exit 1; }
