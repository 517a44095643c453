#!/usr/bin/env bash
# The vectors that were served, those that features export writes, those that features eval computes and those that features
# verify makes again are the same, to the byte. A file does not say which bets were blocked, and these take themselves back: from
# the file there are the vectors before the first blocked event, and all in whatever order the file has them.
#   scripts/skew.sh N    N simulated events, decided by pitboss batch.
# PITBOSS_SEED decides what the casino does. Everything lies in a temporary directory (TMPDIR) and is dropped at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

events=${1:?how many events}
seed=${PITBOSS_SEED:-1}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
pitboss=$dir/pitboss
config=$dir/house/pitboss.yaml
"${GO:-go}" build -o "$pitboss" ./cmd/pitboss
echo "== $events events, PITBOSS_SEED=$seed"
# The demo's configuration, keys and bundle, with nothing in its data.
"$pitboss" demo --events 1 --dir "$dir/house" >/dev/null
rm -rf "$dir/house/data"
set=$dir/house/bundle/features.yaml
"$pitboss" sim --seed "$seed" --tenant demo --players 20000 --duration 0 --events "$events" --out "$dir/events.jsonl"
# EXPLAIN_FULL answers hold every value as it was served, and its status.
"$pitboss" batch --config "$config" --source "$dir/events.jsonl" --explain full --out "$dir/decisions.jsonl"
"$pitboss" features verify --config "$config" | tee "$dir/verified"
"$pitboss" features export --config "$config" --vectors-only --out "$dir/exported.csv"
"$pitboss" features eval --config "$config" --set "$set" --status --out "$dir/journal.csv"
"$pitboss" features eval --config "$config" --set "$set" --status --source "$dir/events.jsonl" --out "$dir/file.csv"
"$pitboss" features eval --config "$config" --set "$set" --status --source "$dir/events.jsonl" --shuffle "$seed" --out "$dir/shuffled.csv"
"$pitboss" features eval --config "$config" --set "$set" --final --source "$dir/events.jsonl" --out "$dir/final.csv"
"$pitboss" features eval --config "$config" --set "$set" --final --source "$dir/events.jsonl" --shuffle "$seed" --ram-entities 64 --on-disk --out "$dir/final-disk.csv"

echo "== sorting and comparing $events rows of five files (some minutes for a million)"
sorted() { LC_ALL=C sort "$1" >"$1.sorted"; echo "$1.sorted"; }
same() { # WHAT A B
  cmp "$2" "$3" || { echo "FAILED: $1"; diff "$2" "$3" | head -n 4 | cut -c -400; exit 1; }
  echo "the same bytes: $1"
}
"${GO:-go}" run scripts/served.go "$dir/decisions.jsonl" "$dir/exported.csv" >"$dir/served.csv"
rows=$(($(wc -l <"$dir/exported.csv") - 1))
[ "$rows" -eq "$events" ] || { echo "FAILED: $rows of $events events have an exported vector"; exit 1; }
grep -q "^$events vectors in .*: $events the same bytes" "$dir/verified" || { echo "FAILED: not all vectors were made again"; exit 1; }
exported=$(sorted "$dir/exported.csv")
same "$rows vectors as served and as exported" "$(sorted "$dir/served.csv")" "$exported"
same "$rows vectors as exported and from the journal" "$exported" "$(sorted "$dir/journal.csv")"
file=$(sorted "$dir/file.csv")
same "$rows vectors from the file and from the shuffled file" "$file" "$(sorted "$dir/shuffled.csv")"
# Exported rows and decisions are in the order in which they were made; the header is a row. What would have been blocked had a value
# been another (a counterfactual) was not.
blocks='^[^[{]*{[^[{]*"outcome":"OUTCOME_BLOCK"'
before=$(grep -n -m 1 "$blocks" "$dir/decisions.jsonl" | cut -d : -f 1 || true)
[ "${before:-2}" -gt 1 ] || { echo "FAILED: the first event was blocked, so that nothing can be compared with the file"; exit 1; }
head -n "${before:-$((rows + 1))}" "$dir/exported.csv" >"$dir/before.csv"
other=$(LC_ALL=C comm -23 "$(sorted "$dir/before.csv")" "$file" | wc -l)
[ "$other" -eq 0 ] || { echo "FAILED: $other vectors before the first blocked event are not those from the file"; exit 1; }
blocked=$(grep -c "$blocks" "$dir/decisions.jsonl" || true)
echo "the same bytes: $(($(wc -l <"$dir/before.csv") - 1)) vectors as exported and from the file; $blocked events were blocked later"
same "$(($(wc -l <"$dir/final.csv") - 1)) entities at the end, in memory and in order, on disk and shuffled" "$dir/final.csv" "$dir/final-disk.csv"
