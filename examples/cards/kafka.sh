#!/usr/bin/env bash
# The card payments through a real Kafka: history to the end of June is read by a server from one topic; July's events
# come from another, where each payment asks that server for a decision and each label is published in its place.
# Prints decisions a second and latency; writes out/july.jsonl. Needs the bundle (make cards-bundle), Java and Maven.
# CARDS_DATA is the data set; WORKERS calls at once (default 2).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD here=$PWD/examples/cards
data=${CARDS_DATA:?say where the data set is}
work=$root/.cache/cards-kafka
rm -rf "$work" && mkdir -p "$work"
export KAFKA_DATA=$root/.cache/kafka/cards
# The payments are from 2018, and a record's time is its event's: time alone must not make Kafka drop them.
export KAFKA_PROPS='log.retention.ms=-1;log.retention.bytes=-1;num.partitions=1'
server=''
finish() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server"; } || true
  scripts/kafka.sh wipe
}
trap finish EXIT
scripts/kafka.sh wipe
broker=$(scripts/kafka.sh start)

./pitboss keys new --tenant cards --alias-keys "$work/alias-keys.yaml" --master-key "$work/master.key" >&2
./pitboss keys api --tenant cards --id cards --name cards --role admin >"$work/key.txt"
PITBOSS_API_KEY=$(sed -n 2p "$work/key.txt")
export PITBOSS_API_KEY
hash=$(sed -n 's/.*secret_sha256: //p' "$work/key.txt")
cat >"$work/pitboss.yaml" <<Y
data_dir: data
master_key_file: master.key
bundle: $here/bundle
entity_kinds:
  - {name: terminal, personal: false}
edge:
  tenants:
    cards: {base_currency: EUR}
  keys_file: alias-keys.yaml
server:
  http: 127.0.0.1:18080
  grpc: 127.0.0.1:19090
  public_metrics: true
  keys:
    - {id: cards, secret_sha256: $hash, tenant: cards, name: cards, roles: [admin]}
kafka:
  brokers: ["$broker"]
  topics: [cards.history]
  dead_letter_topic: cards.dead
log: {level: warn}
Y

send() { # TOPIC FLAGS...
  local topic=$1
  shift
  ./pitboss ingest --config "$work/pitboss.yaml" --source "$data" --map "$here/map.yaml" --kafka --history --topic "$topic" "$@" 2>&1 | tail -n 2
}
send cards.history --before 2018-07-01T00:00:00Z
send cards.july --from 2018-07-01T00:00:00Z --before 2018-08-01T00:00:00Z

./pitboss serve --history --config "$work/pitboss.yaml" 2>"$work/serve.log" &
server=$!
figure() { curl -s --max-time 5 http://127.0.0.1:18080/metrics | sed -n "s/^$1 //p"; }
echo "reading history"
began=$SECONDS last=-1
while :; do
  sleep 5
  read_now=$(figure pitboss_feed_records_total)
  read_now=$(printf '%.0f' "${read_now:-0}")
  if [ "$read_now" -gt 0 ] && [ "$read_now" = "$last" ]; then break; fi
  last=$read_now
  [ $((SECONDS - began)) -lt 1800 ] || { echo "the server does not finish reading" >&2; exit 1; }
done
echo "history: $last records in about $((SECONDS - began)) s, $(figure pitboss_feed_dead_letters_total) dead letters"
./pitboss decide --addr 127.0.0.1:19090 --brokers "$broker" --topic cards.july --types payment.deposit_requested --history \
  --explain top --workers "${WORKERS:-2}" --out "$here/out/july.jsonl"
