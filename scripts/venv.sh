#!/usr/bin/env bash
# A virtual environment in .cache/venv with exactly the packages of train/requirements.txt; made anew when that file or
# the interpreter changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=.cache/venv
requirements=train/requirements.txt
[ -s "$requirements" ] || { echo "venv: $requirements is not there" >&2; exit 1; }
stamp="$(python3 --version) $(cksum <"$requirements")"
if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ]; then exit; fi
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" </dev/null
echo "$stamp" >"$venv/stamp"
