#!/usr/bin/env bash
# A real single-node Apache Kafka (KRaft) on loopback, for tests and measurements. Its jars come by Maven (kafka-pom.xml).
#   kafka.sh start   start it unless it runs, wait until it serves, print its bootstrap address
#   kafka.sh addr    print the running one's address, or fail
#   kafka.sh stop    stop it and wait for its end; data kept
#   kafka.sh kill9   end it as a power cut would; data kept, the next start uses the same port
#   kafka.sh wipe    stop it and drop its data
#   kafka.sh fetch   fetch the jars only
# Standard output is the address alone; everything else goes to standard error. Needs Java 17 or later; Maven for the first start.
#   KAFKA_DATA   one broker's data, settings and log (default .cache/kafka/data); another directory is another broker
#   KAFKA_PORT   its port (default: the one it had before, or else a free one)
#   KAFKA_PROPS  more server.properties lines, ';' between them
#   KAFKA_CACHE  the jars (default .cache/kafka)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(realpath -m "${KAFKA_CACHE:-$here/../.cache/kafka}")
data=$(realpath -m "${KAFKA_DATA:-$cache/data}")
# The jars' directory is named after what they were fetched for, so a new version in the POM is never mixed with the old one.
libs=$cache/libs-$(cksum <"$here/kafka-pom.xml" | cut -d' ' -f1)
properties=$data/server.properties

die() { echo "kafka: $*" >&2; exit 1; }

# alive says whether the process of the pid file is this broker: a pid alone may have become somebody else's.
alive() { [ -s "$data/pid" ] && grep -qaF "$properties" "/proc/$(cat "$data/pid")/cmdline" 2>/dev/null; }

# why prints what a log says about a failure.
why() { grep -m3 -E 'ERROR|FATAL|Exception' "$1" || tail -n 3 "$1"; }

port_is_free() { ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port stays below 32768: from there up the kernel gives ports to outgoing connections, and one of those can
# take the port between this check and the broker's own bind.
free_port() {
  local port
  for port in $(shuf -i 20000-32767 -n 20); do
    if port_is_free "$port"; then echo "$port"; return; fi
  done
  die "no free port between 20000 and 32767"
}

# gone SECONDS waits for the end of the broker's process and all its threads. A dying process loses its command line
# first, then its main thread is a zombie, and only with its last thread go its port and its file locks: by alive alone
# the next start would find both still taken.
gone() {
  local status
  for _ in $(seq $(($1 * 20))); do
    status=$(cat "/proc/$(cat "$data/pid")/status" 2>/dev/null) || return 0
    if grep -q '^State:[[:space:]]*[ZX]' <<<"$status" && grep -q '^Threads:[[:space:]]*[01]$' <<<"$status"; then return 0; fi
    sleep 0.05
  done
  return 1
}

stop() {
  if alive; then
    kill "$(cat "$data/pid")"
    gone 15 || { kill -9 "$(cat "$data/pid")"; gone 5 || die "process $(cat "$data/pid") does not end"; }
  fi
  rm -f "$data/pid" "$data/addr"
}

kill9() {
  alive || die "not running, so there is nothing to kill"
  kill -9 "$(cat "$data/pid")"
  gone 5 || die "process $(cat "$data/pid") does not end"
  rm -f "$data/pid" "$data/addr"
}

fetch() {
  [ ! -e "$libs/done" ] || return 0
  command -v mvn >/dev/null || die "no Maven (mvn) here, and the broker's jars are not in $cache yet"
  echo "kafka: fetching the broker's jars" >&2
  mvn -q -B -Dstyle.color=never -f "$here/kafka-pom.xml" ${MAVEN_REPO:+"-Dmaven.repo.local=$MAVEN_REPO"} \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$libs" >"$cache/maven.log" 2>&1 </dev/null ||
    die "Maven could not fetch the jars: $(why "$cache/maven.log")"
  touch "$libs/done"
}

# ports sets port and control: what was asked for, else what this broker had (its clients know it), else free ones.
ports() {
  port='' control=''
  [ ! -s "$data/ports" ] || read -r port control <"$data/ports"
  if [ -n "${KAFKA_PORT:-}" ]; then
    port=$KAFKA_PORT
    port_is_free "$port" || die "port $port is taken"
  elif [ -z "$port" ] || ! port_is_free "$port"; then
    port=$(free_port)
  fi
  if [ -z "$control" ] || ! port_is_free "$control"; then control=$(free_port); fi
  while [ "$control" = "$port" ]; do control=$(free_port); done
  echo "$port $control" >"$data/ports"
}

write_properties() {
  cat >"$properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$control
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$control
log.dirs=$data/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# After kill9 the broker must wait until its old registration has lapsed: 3 s instead of 9 s.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
$(tr ';' '\n' <<<"${KAFKA_PROPS:-}")
P
}

start() {
  if alive; then cat "$data/addr"; return; fi
  command -v java >/dev/null || die "no Java (java) here; the broker needs version 17 or later"
  case $data in *,*) die "KAFKA_DATA must not hold a comma, Kafka would read it as a list: $data" ;; esac
  fetch
  mkdir -p "$data/tmp"
  local port control jvm
  ports
  write_properties
  # No hsperfdata and an own temporary directory: a killed JVM would leave both behind in the machine's.
  jvm=(java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData
    "-Djava.io.tmpdir=$data/tmp" -Dlog4j2.level=INFO -cp "$libs/*")
  [ -e "$data/log/meta.properties" ] ||
    "${jvm[@]}" kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$properties" >"$data/format.log" 2>&1 </dev/null ||
    die "cannot format $data: $(why "$data/format.log")"
  : >"$data/broker.log" # or the last run's would say that it serves
  setsid "${jvm[@]}" kafka.Kafka "$properties" >"$data/broker.log" 2>&1 9>&- </dev/null &
  echo $! >"$data/pid"
  echo "127.0.0.1:$port" >"$data/addr"
  for tick in $(seq 1200); do
    if grep -q 'Kafka Server started' "$data/broker.log"; then cat "$data/addr"; return; fi
    # The first second belongs to fork and exec, when the command line is not the broker's yet.
    [ "$tick" -lt 20 ] || alive || break
    sleep 0.05
  done
  stop
  die "did not start: $(why "$data/broker.log")"
}

command=${1:-}
case $command in
  start | addr | stop | kill9 | wipe | fetch) ;;
  *) die "say start, addr, stop, kill9, wipe or fetch, not '$command'" ;;
esac
if [ "$command" = addr ]; then
  alive || die "not running"
  cat "$data/addr"
  exit
fi
# Of two calls at once the second waits, and a second start finds the first one's broker.
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
case $command in
  wipe) stop; rm -rf "$data" ;;
  *) "$command" ;;
esac
