#!/usr/bin/env bash
# Makes the generated code (from the .proto files, and the vector kernels of models) and docs/events.md, or proves that what is
# committed is what would be made.
#   scripts/gen.sh            write it
#   scripts/gen.sh --check    change nothing; fail and show the difference if it is not current
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=$PWD/.cache/bin:$PATH
scripts/tools.sh buf protoc-gen-go protoc-gen-go-grpc

go -C tools build -o "$PWD/.cache/bin/vectors" ./vectors
kernel=models/shap_amd64.s

if [ "${1:-}" != --check ]; then
  buf generate
  go run scripts/event_docs.go >docs/events.md.new && mv docs/events.md.new docs/events.md
  (cd models && vectors -out shap_amd64.s)
  exit
fi

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
buf generate -o "$made"
bad=false
# Which compiler read the .proto files makes no difference to the code, so its version in the header makes none here.
same() { diff -u -I '^//[[:space:]-]*protoc  *[(v]' "$1" "$2"; }
while read -r file; do
  same "$file" "$made/$file" || bad=true
done < <(cd "$made" && find proto -name '*.pb.go' | sort)
while read -r file; do
  [ -e "$made/$file" ] || { echo "$file: no .proto file makes it any more"; bad=true; }
done < <(find proto -name '*.pb.go' | sort)
go run scripts/event_docs.go >"$made/events.md"
diff -u docs/events.md "$made/events.md" || bad=true
mkdir "$made/models"
(cd "$made/models" && vectors -out shap_amd64.s)
diff -u "$kernel" "$made/$kernel" || bad=true
if $bad; then
  echo "generated code or docs/events.md is not current: make gen, and commit what it writes" >&2
  exit 1
fi
