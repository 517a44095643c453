#!/usr/bin/env bash
# Decides, then makes every decision again from its record, and every vector from the journal: all must be the same bytes.
#   scripts/demo-replay.sh demo N    N events of the demo, live: calls, Kafka, deadlines
#   scripts/demo-replay.sh batch N   N simulated events through pitboss batch
# PITBOSS_SEED decides what the casino does. Everything lies in a temporary directory (TMPDIR) and is dropped at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

how=${1:?demo or batch}
events=${2:?how many events}
seed=${PITBOSS_SEED:-1}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
pitboss=$dir/pitboss
"${GO:-go}" build -o "$pitboss" ./cmd/pitboss
echo "== $how of $events events, PITBOSS_SEED=$seed"

case $how in
  demo)
    "$pitboss" demo --seed "$seed" --events "$events" --rate 2000 --dir "$dir/house" >"$dir/out" 2>&1 ||
      { tail -n 40 "$dir/out"; exit 1; }
    tail -n 4 "$dir/out"
    grep -q ' 0 failed' "$dir/out" || { echo "calls failed"; exit 1; }
    ;;
  batch)
    # The demo's configuration, keys and bundle, with next to nothing in its data.
    "$pitboss" demo --events 1 --dir "$dir/house" >/dev/null
    "$pitboss" sim --seed "$seed" --tenant demo --players 20000 --duration 0 --events "$events" --out "$dir/events.jsonl"
    "$pitboss" batch --config "$dir/house/pitboss.yaml" --source "$dir/events.jsonl" --in-order --out "$dir/decisions.jsonl"
    made=$(wc -l <"$dir/decisions.jsonl")
    [ "$made" -eq "$events" ] || { echo "$made decisions about $events events"; exit 1; }
    rm "$dir/events.jsonl" "$dir/decisions.jsonl"
    ;;
  *) echo "demo or batch, not $how"; exit 2 ;;
esac

"$pitboss" replay --config "$dir/house/pitboss.yaml" --all | tee "$dir/replayed"
! grep -q '^0 decisions' "$dir/replayed" || { echo "nothing was replayed"; exit 1; }
"$pitboss" features verify --config "$dir/house/pitboss.yaml" | tee "$dir/verified"
! grep -q '^0 vectors' "$dir/verified" || { echo "nothing was verified"; exit 1; }
