"""Limits as Debian's kernel holds them on cgroup v2, with both cgroup drivers."""

import re
import subprocess
import time

import pytest

from tests.support.waiting import wait_for
from tests.vm.inside.conftest import CGROUPS, cgroup_of, sh, stats, unit, wait_stopped

MEGABYTE = 1 << 20
HOG = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]


def limit(bundle, **resources):
    bundle.config["linux"].setdefault("resources", {}).update(resources)
    return bundle.save()


def test_memory_beyond_the_limit_is_killed(runtime, bundle):
    limit(bundle, memory={"limit": 16 * MEGABYTE, "swap": 16 * MEGABYTE}).run(*HOG)
    outcome = runtime("run", "--bundle", bundle.path, "box")
    assert outcome.status == 137, outcome


def test_the_killer_is_an_event(runtime, bundle):
    limit(bundle, memory={"limit": 16 * MEGABYTE, "swap": 16 * MEGABYTE}).script(f"{' '.join(HOG)}; echo survived=$?; exec sleep 100")
    launched = runtime.launch("create", "--bundle", bundle.path, "box")
    assert launched.status == 0, launched
    events = subprocess.Popen(runtime.command("events", "--interval", "1h", "box"), stdout=subprocess.PIPE, text=True)
    try:
        # It watches once it has opened the file.
        wait_for(lambda: "memory.events" in sh("ls", "-l", f"/proc/{events.pid}/fd") or "inotify" in sh("ls", "-l", f"/proc/{events.pid}/fd"))
        runtime.ok("start", "box")
        assert '"type":"oom"' in events.stdout.readline() and runtime.status("box") == "running"
        wait_for(lambda: "survived=137" in (runtime.root.parent / "output").read_text())
        runtime.ok("kill", "box", "KILL")
        wait_stopped(runtime)
        assert events.wait(10) == 0
    finally:
        events.kill()


def test_processes_beyond_the_limit_are_refused(runtime, bundle, start):
    limit(bundle, pids={"limit": 4}).run("sleep", "100")
    box = cgroup_of(start(runtime))
    assert (box / "pids.max").read_text() == "4\n"
    outcomes = [runtime.launch("exec", "--detach", "box", "sleep", "100") for _ in range(6)]
    assert [o.status == 0 for o in outcomes] == [True] * 2 + [False] * 4, "joining takes two for a moment"
    assert "Resource temporarily unavailable" in outcomes[-1].all, outcomes[-1]
    assert (box / "pids.current").read_text() == "3\n" and re.search(r"^max [1-9]", (box / "pids.events").read_text(), re.M)
    assert stats(runtime)["pids"]["limit"] == 4


def test_cpu_quota_is_kept_and_counted(runtime, bundle, start):
    limit(bundle, cpu={"quota": 20000, "period": 100000}).script("while :; do :; done")
    box = cgroup_of(start(runtime))

    def used():
        return int(re.search(r"usage_usec (\d+)", (box / "cpu.stat").read_text()).group(1)) / 1e6, time.monotonic()

    wait_for(lambda: used()[0] > 0.1)
    (before, begin), _ = used(), time.sleep(2)
    after, end = used()
    assert 0.1 < (after - before) / (end - begin) < 0.3
    seen = stats(runtime)["cpu"]
    assert seen["throttling"]["throttledPeriods"] > 5 and seen["throttling"]["throttledTime"] > 0 and seen["usage"]["total"] > 0


DEVICES = [{"path": "/dev/tunnel", "type": "c", "major": 10, "minor": 200, "fileMode": 0o666}, {"path": "/dev/disk", "type": "b", "major": 254, "minor": 0, "fileMode": 0o666}]
# Every container may make nodes, and open those that its rules name.
PROBE = ("(: </dev/tunnel) && echo tunnel-read; (: >/dev/tunnel) 2>&1; head -c 1 /dev/disk; rm -f /tmp/m /tmp/n; busybox mknod /tmp/m b 254 0; head -c 1 /tmp/m; "
         "busybox mknod /tmp/n c 1 3; head -c 1 /tmp/n && echo null-read; head -c 1 /dev/zero >/dev/null && echo zero-read")


def check_probe(out):
    assert {"tunnel-read", "null-read", "zero-read"} <= set(out.split()), out
    for refused in ("/dev/tunnel", "/dev/disk", "/tmp/m"):
        assert re.search(f"{refused}: Operation not permitted", out), out


def test_devices_by_rule(runtime, bundle, start):
    bundle.config["linux"]["devices"] = DEVICES
    for kind in ("bounding", "effective", "permitted"):
        bundle.config["process"]["capabilities"][kind].append("CAP_MKNOD")
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "r"}]
    limit(bundle, devices=rules).script("exec sleep 100")
    start(runtime)
    check_probe(runtime("exec", "box", "sh", "-c", PROBE).all)
    runtime.ok("update", "--memory", str(64 * MEGABYTE), "box")
    check_probe(runtime("exec", "box", "sh", "-c", PROBE).all)
    # systemd writes its own list again.
    sh("systemctl", "daemon-reload")
    check_probe(runtime("exec", "box", "sh", "-c", PROBE).all)
    if runtime.driver == "systemd":
        seen = unit("bryo-box.scope", "DevicePolicy", "DeviceAllow")
        assert seen["DevicePolicy"] == "strict"
        assert "/dev/char/10:200 r" in seen["DeviceAllow"] and "/dev/char/1:3 rwm" in seen["DeviceAllow"] and "char-pts rwm" in seen["DeviceAllow"]


def test_pause_stops_everything(runtime, bundle, start):
    bundle.script("i=0; while :; do i=$((i+1)); echo $i >/tmp/count; done")
    box = cgroup_of(start(runtime))
    count = bundle.rootfs / "tmp/count"
    wait_for(lambda: count.exists() and count.read_text().strip())
    runtime.ok("pause", "box")
    assert runtime.status("box") == "paused" and "frozen 1" in (box / "cgroup.events").read_text()
    stands = count.read_text()
    time.sleep(0.3)
    assert count.read_text() == stands
    assert "paused container" in runtime("exec", "box", "true").err
    runtime.ok("resume", "box")
    wait_for(lambda: count.read_text() not in (stands, ""))
    runtime.ok("pause", "box")
    runtime.ok("kill", "box", "KILL")
    wait_stopped(runtime)


def test_update_reaches_the_kernel_and_systemd(runtime, bundle, start):
    limit(bundle, memory={"limit": 64 * MEGABYTE, "swap": 64 * MEGABYTE}, pids={"limit": 20}, cpu={"shares": 512}).run("sleep", "100")
    box = cgroup_of(start(runtime))
    runtime.ok("update", "--memory", str(48 * MEGABYTE), "--memory-swap", str(96 * MEGABYTE), "--pids-limit", "33", "--cpu-quota", "50000", "--cpu-period", "100000",
               "--cpu-share", "2048", "--cpuset-cpus", "1", "--memory-reservation", str(8 * MEGABYTE), "box")
    wanted = {"memory.max": str(48 * MEGABYTE), "memory.swap.max": str(48 * MEGABYTE), "memory.low": str(8 * MEGABYTE), "pids.max": "33", "cpu.max": "50000 100000", "cpu.weight": "174",
              "cpuset.cpus": "1"}
    for file, value in wanted.items():
        assert (box / file).read_text().strip() == value, file
    if runtime.driver == "systemd":
        sh("systemctl", "daemon-reload")
        for file, value in wanted.items():
            assert (box / file).read_text().strip() == value, f"{file} after systemd wrote it again"
        seen = unit("bryo-box.scope", "MemoryMax", "MemorySwapMax", "MemoryLow", "TasksMax", "CPUQuotaPerSecUSec", "CPUWeight", "AllowedCPUs")
        assert seen == {"MemoryMax": str(48 * MEGABYTE), "MemorySwapMax": str(48 * MEGABYTE), "MemoryLow": str(8 * MEGABYTE), "TasksMax": "33", "CPUQuotaPerSecUSec": "500ms",
                        "CPUWeight": "174", "AllowedCPUs": "1"}


def test_exec_goes_where_an_init_has_moved(runtime, bundle, start):
    """As a systemd inside does: the cgroup's controllers are its children's, and the cgroup itself takes no process any more."""
    limit(bundle, memory={"limit": 64 * MEGABYTE}).run("sleep", "100")
    pid = start(runtime)
    box = cgroup_of(pid)
    (box / "init.scope").mkdir()
    (box / "init.scope/cgroup.procs").write_text(str(pid))
    (box / "cgroup.subtree_control").write_text("+memory")
    assert runtime.ok("exec", "box", "cat", "/proc/self/cgroup").out == f"0::/{box.relative_to(CGROUPS)}/init.scope\n"
    runtime.ok("delete", "--force", "box")
    assert not box.exists()


def test_unified_and_other_files(runtime, bundle, start):
    limit(bundle, unified={"memory.high": str(32 * MEGABYTE), "cgroup.max.depth": "7"}, cpu={"idle": 1}, hugepageLimits=[{"pageSize": "2MB", "limit": 4 * MEGABYTE}]).run("sleep", "100")
    box = cgroup_of(start(runtime))
    for file, value in {"memory.high": str(32 * MEGABYTE), "cgroup.max.depth": "7", "cpu.idle": "1", "hugetlb.2MB.max": str(4 * MEGABYTE)}.items():
        assert (box / file).read_text().strip() == value, file


@pytest.mark.parametrize("file", ["no.such.file", "memory.nonsense"])
def test_unified_of_no_file_is_refused(runtime, bundle, file):
    limit(bundle, unified={file: "1"})
    refused = runtime("run", "--bundle", bundle.path, "box")
    assert refused.status == 1 and file in refused.err, refused
    assert runtime("state", "box").status == 1
