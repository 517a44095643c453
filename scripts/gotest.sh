#!/usr/bin/env bash
# go test for checks that must not pass by having run nothing.
#   scripts/gotest.sh [--no-skips] GO-TEST-ARGUMENTS...
# Prints go test's closing lines and the output of what failed; the whole output is kept in .cache/log. Fails when a test
# fails, when no test ran, and with --no-skips when a test was skipped; without it skips are listed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
no_skips=false
if [ "${1:-}" = --no-skips ]; then no_skips=true; shift; fi

mkdir -p "$root/.cache/log"
log=$(mktemp "$root/.cache/log/gotest-XXXXXX.log")
result=0
go test -count=1 -v "$@" >"$log" 2>&1 </dev/null || result=$?

count() { grep -cE "$1" "$log" || true; }
passed=$(count '^--- PASS: ') failed=$(count '^--- FAIL: ') skipped=$(count '^[[:space:]]*--- SKIP: ')

if [ "$result" -ne 0 ]; then
  # What go test -v prints about tests that passed is of no use beside what failed.
  grep -vE '^=== (RUN|PAUSE|CONT|NAME)|^[[:space:]]*--- PASS: |^PASS$' "$log" | tail -n 400 || true
else
  grep -E '^(ok|\?|---? SKIP|panic)[[:space:]]' "$log" | grep -v 'no test files' || true
fi
if [ "$skipped" -gt 0 ]; then
  echo "skipped:"
  # The reason stands on the line before.
  grep -B1 -E '^[[:space:]]*--- SKIP: ' "$log" | grep -vE '^(=== |--$|[[:space:]]*--- PASS)' | sed 's/^/  /'
fi
echo "$passed passed, $failed failed, $skipped skipped"
if [ "$result" -ne 0 ]; then echo "gotest: the whole output is in $log" >&2; exit "$result"; fi
if [ "$passed" -eq 0 ]; then echo "gotest: no test ran: go test $*" >&2; exit 1; fi
if $no_skips && [ "$skipped" -gt 0 ]; then echo "gotest: nothing may be skipped here" >&2; exit 1; fi
rm -f "$log"
