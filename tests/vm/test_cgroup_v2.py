"""cgroup v2, with Debian's own kernel: the limits of a container as the kernel holds them."""

import re
import shutil

import pytest

from tests.vm import guest

pytestmark = [pytest.mark.vm, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def emulator():
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86 is not installed (tools/apt.sh, group vm)")


def test_the_guest_boots_with_cgroup_v2_only():
    """The rig itself: no engine in it."""
    payload = "uname -r; cat /sys/fs/cgroup/cgroup.controllers; grep -c . /proc/mounts; ls /data; mkdir /data/l /data/u /data/w /data/m; "
    payload += "mount -t overlay o -o lowerdir=/data/l,upperdir=/data/u,workdir=/data/w /data/m && echo overlay; ip link add v0 type veth peer name v1 && echo veth; ip link add b0 type bridge && echo bridge"
    status, out = guest.boot(payload)
    assert status == 0
    assert {"cpu", "memory", "pids", "io"} <= set(re.search(r"^.*memory.*$", out, re.M).group().split())
    for word in ("overlay", "veth", "bridge"):
        assert re.search(f"^{word}$", out, re.M), out


START = """
set -e
bryod {flags} --data-root /data/bryo --exec-root /run/bryo -H unix:///run/bryo.sock >/tmp/log 2>&1 &
export DOCKER_HOST=unix:///run/bryo.sock BRYO_HOST=unix:///run/bryo.sock
i=0
until bryo version >/dev/null 2>&1; do i=$((i+1)); [ $i -lt 300 ] || {{ cat /tmp/log; exit 9; }}; sleep 0.2; done
trap 'cat /tmp/log' EXIT
bryo load -i /busybox.tar
"""

LIMITS = """
bryo info --format 'info={{.CgroupVersion}} {{.CgroupDriver}}'
bryo run -d --name box --memory 64m --pids-limit 17 --cpus 0.5 busybox sleep 600
pid=$(bryo inspect -f '{{.State.Pid}}' box)
group=/sys/fs/cgroup$(cut -d: -f3 /proc/$pid/cgroup)
for f in memory.max memory.swap.max pids.max cpu.max cgroup.procs; do echo "$f=$(cat $group/$f | tr '\\n' ' ')"; done
echo "map=$(cat /proc/$pid/uid_map)"
echo "inside=$(bryo exec box cat /proc/self/cgroup)"
bryo exec box sh -c 'echo 1 >/sys/fs/cgroup/cgroup.procs' 2>/dev/null && echo "writable=yes" || echo "writable=no"
bryo update --memory 48m --memory-swap 48m box
echo "updated=$(cat $group/memory.max)"
bryo pause box; echo "frozen=$(cat $group/cgroup.freeze)"; bryo unpause box
bryo stats --no-stream --format 'stats={{.MemUsage}} {{.PIDs}}' box
bryo rm -f box
i=0; while [ -e $group ] && [ $i -lt 50 ]; do i=$((i+1)); sleep 0.1; done
[ -e $group ] && echo "left=yes" || echo "left=no"
bryo run --name oom --memory 16m --memory-swap 16m busybox sh -c 'x=a; while :; do x=$x$x$x; done' || echo "oom-status=$?"
bryo inspect -f 'oom={{.State.OOMKilled}} {{.State.ExitCode}}' oom
trap - EXIT
"""


@pytest.mark.bryo_only
@pytest.mark.parametrize("flags", ["", "--userns-remap=dockremap"], ids=["unmapped", "mapped"])
def test_limits_on_cgroup_v2(engine, images, flags):
    payload = START.format(flags=flags) + LIMITS
    status, out = guest.boot(payload, guest.engine_programs(), {"busybox.tar": images("library/busybox")})
    assert status == 0, out
    values = dict(re.findall(r"^([\w.-]+)=(.*?)\s*$", out, re.M))
    assert values["info"] == "2 cgroupfs"
    assert values["memory.max"] == str(64 << 20) and values["memory.swap.max"] == str(64 << 20)
    assert values["pids.max"] == "17"
    quota, period = map(int, values["cpu.max"].split())
    assert quota * 2 == period
    assert values["map"].split() == (["0", "165536", "65536"] if flags else ["0", "0", "4294967295"])
    assert values["inside"] == "0::/", "a cgroup namespace of its own"
    assert values["writable"] == "no"
    assert values["updated"] == str(48 << 20) and values["frozen"] == "1" and values["left"] == "no"
    assert re.match(r".* / 48MiB 1$", values["stats"])
    assert values["oom"] == "true 137"
