#!/usr/bin/env bash
# The shared library of ONNX Runtime for linux/amd64, out of the Python package that carries it, into .cache/onnxruntime; prints
# where it lies. Its minor version must be 24 or more: that is the C API that our binding asks for (docs/dependencies.md).
# ONNXRUNTIME_VERSION: another version than the one that is tested.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=${ONNXRUNTIME_VERSION:-1.27.0}
cache=$PWD/.cache/onnxruntime
library=$cache/libonnxruntime.so.$version
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -s "$library" ]; then
  [ "$(uname -sm)" = "Linux x86_64" ] || { echo "onnxruntime: no package is known for $(uname -sm); name a library of your own in PITBOSS_ONNXRUNTIME" >&2; exit 1; }
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  python=python3 # Debian has pip in a package of its own, and brings one with each virtual environment
  if ! python3 -m pip --version >/dev/null 2>&1; then
    python3 -m venv "$tmp/venv"
    python=$tmp/venv/bin/python
  fi
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
    --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64 -d "$tmp" "onnxruntime==$version" >&2 </dev/null ||
    { echo "onnxruntime: there is no package of version $version, or no way to it" >&2; exit 1; }
  python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
    "$tmp"/onnxruntime-*.whl "onnxruntime/capi/libonnxruntime.so.$version" >"$library.part"
  mv "$library.part" "$library"
fi
echo "$library"
