#!/usr/bin/env bash
# Lists our packages whose source has something, so that no list in the Makefile can fall behind.
#   scripts/packages-with.sh goroutines    code or tests that start goroutines
#   scripts/packages-with.sh kafka         tests that talk to a real Kafka
#   scripts/packages-with.sh onnxruntime   tests that run ONNX Runtime
#   scripts/packages-with.sh TestCrash     test functions whose name starts so
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case $1 in
  goroutines) files='*.go' pattern='(^|[[:space:]])go (func|[A-Za-z_.]+\()|\.Go\(' ;;
  kafka) files='*_test.go' pattern='PITBOSS_KAFKA' ;;
  onnxruntime) files='*_test.go' pattern='onnxruntimetest\.Library' ;;
  *) files='*_test.go' pattern="^func $1" ;;
esac
{ grep -rlE --include="$files" --exclude-dir=.cache --exclude-dir=tools --exclude-dir=testdata --exclude='arch*_test.go' "$pattern" . || true; } |
  xargs -r -n1 dirname | sort -u |
  # Programs behind a build tag of their own (bench/rivals) are no packages to whoever does not set it.
  xargs -r "${GO:-go}" list -e -f '{{if or .GoFiles .CgoFiles .TestGoFiles .XTestGoFiles}}.{{slice .Dir (len .Module.Dir)}}{{end}}'
