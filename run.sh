#!/bin/sh
# ./run.sh: build Bryo, start an engine for whoever calls, whose containers are never root on the host, and show it.
#
#   ./run.sh           build, start, show, stop
#   ./run.sh --keep    the engine goes on afterwards; prints how to reach it and how to end it
#
# Needs no network beyond Debian's packages: the busybox image is made from busybox-static.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cd "$here" || exit 2
. tools/apt.sh
set -e
keep=""
[ "${1:-}" = --keep ] && keep=yes
apt_need build run
mkdir -p build
if ! { cmake --preset release >build/cmake.log 2>&1 && nice ninja -C build/release bryod bryo bryo-monitor bryo-init bryo-usernet bryo-rootless bryo-oci >build/ninja.log 2>&1; }; then
  tail -40 build/cmake.log build/ninja.log
  exit 1
fi

bin=$here/build/release/bin
log=$here/build/demo.log

# Root: remapped. Anyone else: rootless, with nothing of root's.
if [ "$(id -u)" -eq 0 ]; then
  data=/var/lib/bryo-demo
  run=/run/bryo-demo
  flags=--userns-remap=default
else
  data=${XDG_DATA_HOME:-$HOME/.local/share}/bryo-demo
  run=${XDG_RUNTIME_DIR:-/tmp/bryo-demo-$(id -u)}/bryo-demo
  flags=
fi
socket=$run/bryo.sock
bryo() { "$bin/bryo" -H "unix://$socket" "$@"; }

stop_engine() {
  if [ -s "$run/bryod.pid" ]; then kill "$(cat "$run/bryod.pid")" 2>/dev/null || true; fi
}

# Ids for --userns=auto: a million that nobody else has, unless there are some already. Without root it takes the caller's.
add_ranges() {
  for owner in bryo containers; do
    if grep -qs "^$owner:" /etc/subuid && grep -qs "^$owner:" /etc/subgid; then return 0; fi
  done
  id -u bryo >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin bryo
  first=$(cat /etc/subuid /etc/subgid 2>/dev/null | awk -F: 'BEGIN { m = 1000000 } { e = $2 + $3; if (e > m) m = e } END { print m }')
  usermod --add-subuids "$first-$((first + 999999))" --add-subgids "$first-$((first + 999999))" bryo
}

stop_engine
[ "$(id -u)" -ne 0 ] || add_ranges
(umask 077 && mkdir -p "$data" "$run")
echo "== bryod $flags"
"$bin/bryod" $flags --data-root "$data" --exec-root "$run/exec" --pidfile "$run/bryod.pid" -H "unix://$socket" >"$log" 2>&1 </dev/null &
tries=0
until bryo version >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ] || ! kill -0 $! 2>/dev/null; then
    cat "$log"
    echo "bryod does not answer. What this machine lacks, and what helps:"
    "$bin/bryo" doctor || true
    exit 1
  fi
  sleep 0.1
done
[ -n "$keep" ] || trap 'bryo rm -f demo >/dev/null 2>&1; stop_engine' EXIT
sed 's/^/   /' "$log"

/usr/bin/python3 -m tests.support.images busybox --docker-archive build/busybox.tar
bryo load -q -i build/busybox.tar

echo
echo "== bryo run --rm busybox sh -c 'id; cat /proc/self/uid_map'"
bryo run --rm busybox sh -c 'id; cat /proc/self/uid_map'

echo
echo "== the same as the host sees it: root inside is an ordinary, powerless id outside"
bryo rm -f demo >/dev/null 2>&1 || true
bryo run -d --name demo busybox sh -c 'id; exec sleep 60' >/dev/null
pid=$(bryo inspect -f '{{.State.Pid}}' demo)
echo "inside:  $(bryo logs demo)"
echo "outside:"
ps -o user,uid,pid,args -p "$pid"

echo
echo "== with --userns=auto every container has ids of its own"
for number in 1 2; do bryo run --rm --userns=auto busybox cat /proc/self/uid_map; done

if [ -n "$keep" ]; then
  bryo rm -f demo >/dev/null
  echo
  echo "The engine goes on (log: $log). Any docker client reaches it with"
  echo "   export DOCKER_HOST=unix://$socket"
  echo "and this ends it:  kill \$(cat $run/bryod.pid)"
fi
