#!/usr/bin/env bash
# How much foreign code is compiled: lines of Go (no tests, no assembly) by module, of the packages that ours need.
#   scripts/dep-sizes.sh              for pitboss and its tests, largest first
#   scripts/dep-sizes.sh PACKAGE...   for other packages, such as one that is thought of
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tests=()
[ $# -gt 0 ] || { set -- ./...; tests=(-test); }
# shellcheck disable=SC2016 # a template of go list, not of the shell
go list -deps "${tests[@]}" -f '{{with .Module}}{{if not .Main}}{{$m := .}}{{range $.GoFiles}}{{$m.Path}} {{$m.Version}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}' "$@" |
  sed '/^$/d' | sort -u | while read -r module version file; do
  echo "$module $version $(wc -l <"$file")"
done | awk '{ lines[$1 " " $2] += $3 } END { for (m in lines) print lines[m], m }' | sort -rn
