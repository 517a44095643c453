#!/usr/bin/env bash
# A real schema registry (Apicurio, which speaks Confluent's API) on loopback, in memory, for tests. It comes by Maven.
#   registry.sh start   start it unless it runs, wait until it serves, print its URL
#   registry.sh stop    stop it; what was registered is gone
#   registry.sh fetch   fetch it only (142 MB)
# Standard output is the URL alone. Needs Java 17 or later; Maven for the first start.
#   REGISTRY_CACHE  where it is kept (default .cache/registry)
#   MAVEN_REPO      Maven's repository, as for kafka.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(realpath -m "${REGISTRY_CACHE:-$here/../.cache/registry}")
version=2.6.13.Final
app=$cache/$version

die() { echo "registry: $*" >&2; exit 1; }

alive() { [ -s "$cache/pid" ] && grep -qaF "$app" "/proc/$(cat "$cache/pid")/cmdline" 2>/dev/null; }

stop() {
  if alive; then
    kill "$(cat "$cache/pid")"
    for _ in $(seq 200); do alive || break; sleep 0.05; done
    ! alive || kill -9 "$(cat "$cache/pid")"
  fi
  rm -f "$cache/pid" "$cache/url"
}

fetch() {
  [ ! -e "$app/done" ] || return 0
  command -v mvn >/dev/null || die "no Maven (mvn) here, and the registry is not in $cache yet"
  echo "registry: fetching it" >&2
  local artifact=io.apicurio:apicurio-registry-app:$version:tar.gz:all
  local repo=(${MAVEN_REPO:+"-Dmaven.repo.local=$MAVEN_REPO"})
  rm -rf "$app" && mkdir -p "$app"
  { mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get "${repo[@]}" -Dtransitive=false "-Dartifact=$artifact" &&
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy "${repo[@]}" "-Dartifact=$artifact" "-DoutputDirectory=$app"; } \
    >"$cache/maven.log" 2>&1 </dev/null || die "Maven could not fetch it: $(grep -m3 ERROR "$cache/maven.log")"
  tar -xzf "$app"/*.tar.gz -C "$app" && rm "$app"/*.tar.gz
  touch "$app/done"
}

start() {
  if alive; then cat "$cache/url"; return; fi
  command -v java >/dev/null || die "no Java (java) here; the registry needs version 17 or later"
  fetch
  local port
  # Below 32768: above, the kernel gives ports to outgoing connections.
  for port in $(shuf -i 20000-32767 -n 20); do (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break; done
  # In its own directory, where the class path's relative entries are.
  (cd "$app" && QUARKUS_HTTP_HOST=127.0.0.1 QUARKUS_HTTP_PORT=$port exec setsid java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -XX:-UsePerfData -jar "$app/apicurio-registry-app-$version-runner.jar") >"$cache/log" 2>&1 9>&- </dev/null &
  echo $! >"$cache/pid"
  local url=http://127.0.0.1:$port/apis/ccompat/v7 tick
  for tick in $(seq 1200); do
    if grep -q 'Listening on' "$cache/log" && (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$url" | tee "$cache/url"
      return
    fi
    [ "$tick" -lt 20 ] || kill -0 "$(cat "$cache/pid")" 2>/dev/null || break
    sleep 0.05
  done
  local log
  log=$(tail -n 3 "$cache/log")
  stop
  die "did not start: $log"
}

case ${1:-} in
  start | stop | fetch) ;;
  *) die "say start, stop or fetch, not '${1:-}'" ;;
esac
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
"$1"
