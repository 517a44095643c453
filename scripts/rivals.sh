#!/usr/bin/env bash
# Measures the model engine beside LightGBM, XGBoost, onnxruntime and leaves, in one run: scripts/rivals.sh [ROUNDS].
# Everything is fetched and made in .cache/rivals the first time (Python 3.11 or later, a C compiler; the models take
# five minutes of one core). What it prints goes to .cache/rivals/table.md too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
xgboost=3.4.1  # wants Python 3.12, but its library does not: only that is taken
onnx_header=v1.27.0
cache=.cache/rivals
mkdir -p "$cache"
scripts/venv.sh venv-rivals bench/rivals/requirements.txt
packages=$(.cache/venv-rivals/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
if [ ! -d "$cache/xgboost-$xgboost" ]; then
  wheel=$(mktemp -d)
  trap 'rm -rf "$wheel"' EXIT
  .cache/venv-rivals/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
    --dest "$wheel" "xgboost-cpu==$xgboost"
  rm -rf "$cache/xgboost.part"
  .cache/venv-rivals/bin/python -m zipfile -e "$wheel"/*.whl "$cache/xgboost.part"
  mv "$cache/xgboost.part" "$cache/xgboost-$xgboost"
fi
made=$(cksum <bench/rivals/gen.py)
if [ "$(cat "$cache/data/made" 2>/dev/null)" != "$made" ]; then
  PYTHONHASHSEED=0 .cache/venv-rivals/bin/python bench/rivals/gen.py "$cache/data"
  echo "$made" >"$cache/data/made"
fi
header=$(go mod download -json "github.com/yalue/onnxruntime_go@$onnx_header" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
CGO_ENABLED=1 CGO_CFLAGS="-O2 -I$header" go build -tags rivals -o "$cache/rivals" ./bench/rivals
onnxruntime=$(find "$packages/onnxruntime/capi" -name 'libonnxruntime.so.*')
"$cache/rivals" "$cache/data" "$packages/lightgbm/lib/lib_lightgbm.so" "$cache/xgboost-$xgboost/xgboost/lib/libxgboost.so" \
  "$onnxruntime" "${1:-10}" | tee "$cache/table.md"
