#!/usr/bin/env bash
# A virtual environment with exactly the packages of a file of requirements; made anew when that file or the interpreter
# changes:  scripts/venv.sh [NAME REQUIREMENTS]   default: .cache/venv with train/requirements.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=.cache/${1:-venv}
requirements=${2:-train/requirements.txt}
[ -s "$requirements" ] || { echo "venv: $requirements is not there" >&2; exit 1; }
stamp="$(python3 --version) $(cksum <"$requirements")"
if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ]; then exit; fi
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" </dev/null
echo "$stamp" >"$venv/stamp"
