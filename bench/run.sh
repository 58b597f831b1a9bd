#!/bin/sh
# bench/run.sh [options of bench.py]: build, then measure bryod against Debian's dockerd in a private test host. About four minutes.
# bench/run.sh oci [--rounds N]: bryo-oci against crun and runc.
# bench/run.sh usernet [--rounds N]: bryo-usernet against slirp4netns.
# bench/run.sh rootless [--rounds N]: bryod of an ordinary user against rootless dockerd and podman.
# bench/run.sh bypass [--rounds N]: a container's connections past the user-mode network, beside the host's own and those through it.
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here" || exit 2
. tools/apt.sh
apt_need build run test bench || exit 1
case " $* " in
  *" --engines dockerd "*) ;;  # baselines only: nothing to build
  *) { cmake --preset release && nice ninja -C build/release bryod bryo bryo-monitor bryo-oci bryo-usernet; } >build/bench-build.log 2>&1 || {
       tail -40 build/bench-build.log
       exit 1
     } ;;
esac
if [ "$(id -u)" -ne 0 ]; then exec sudo -- "$0" "$@"; fi
if [ "$1" = oci ]; then
  shift
  exec /usr/bin/python3 -m tests.support.host -- /usr/bin/python3 bench/oci.py "$@"
fi
if [ "$1" = usernet ]; then
  shift
  exec /usr/bin/python3 -m tests.support.host -- /usr/bin/python3 bench/usernet.py "$@"
fi
if [ "$1" = rootless ]; then
  shift
  exec /usr/bin/python3 -m tests.support.host -- /usr/bin/python3 bench/rootless.py "$@"
fi
if [ "$1" = bypass ]; then
  shift
  exec /usr/bin/python3 -m tests.support.host -- /usr/bin/python3 bench/bypass.py "$@"
fi
/usr/bin/python3 -m bench.images
exec /usr/bin/python3 -m tests.support.host -- /usr/bin/python3 bench/bench.py --json "$here/build/bench.json" "$@"
