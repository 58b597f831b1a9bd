"""checkpoint and restore with Debian's CRIU."""

from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from tests.vm.inside.conftest import cgroup_of, wait_stopped


@pytest.fixture
def counting(runtime, bundle, start, tmp):
    """A container that counts into a file, and what it has counted."""
    bundle.script("i=0; while :; do i=$((i+1)); echo $i >>/tmp/count; sleep 0.05; done")
    start(runtime)
    file = bundle.rootfs / "tmp/count"

    def count():
        lines = file.read_text().split() if file.exists() else []
        # Nothing is counted twice and nothing left out, whatever happens to it.
        assert lines == [str(i + 1) for i in range(len(lines))]
        return len(lines)

    wait_for(lambda: count() > 3)
    return count


def test_it_goes_on_where_it_was(runtime, bundle, counting, tmp):
    runtime.ok("checkpoint", "--image-path", tmp / "images", "box")
    assert runtime("state", "box").status == 1, "a checkpoint is its end"
    stands = counting()
    restored = runtime.launch("restore", "--detach", "--image-path", tmp / "images", "--bundle", bundle.path, "--pid-file", tmp / "pid", "box")
    assert restored.status == 0, restored
    state = runtime.state("box")
    assert state["status"] == "running" and state["pid"] == int((tmp / "pid").read_text())
    wait_for(lambda: counting() > stands + 3)
    assert runtime.ok("exec", "box", "cat", "/proc/1/comm").out == "sh\n"
    assert "box" in str(cgroup_of(state["pid"]))
    runtime.ok("pause", "box")
    runtime.ok("resume", "box")
    runtime.ok("kill", "box", "KILL")
    wait_stopped(runtime)
    runtime.ok("delete", "box")


def test_leave_running(runtime, counting, tmp):
    runtime.ok("checkpoint", "--leave-running", "--image-path", tmp / "images", "box")
    assert runtime.status("box") == "running"
    stands = counting()
    wait_for(lambda: counting() > stands + 3)


def test_pre_dump_and_parent(runtime, bundle, counting, tmp):
    runtime.ok("checkpoint", "--pre-dump", "--image-path", tmp / "first", "box")
    stands = counting()
    wait_for(lambda: counting() > stands + 1)
    (tmp / "second").mkdir()
    runtime.ok("checkpoint", "--parent-path", "../first", "--image-path", tmp / "second", "box")
    assert (tmp / "second/parent").resolve() == tmp / "first"
    stands = counting()
    assert runtime.launch("restore", "--detach", "--image-path", tmp / "second", "--bundle", bundle.path, "box").status == 0
    wait_for(lambda: counting() > stands + 3)


def test_with_what_an_engine_gives_a_container(runtime, bundle, tmp):
    """Binds of files, masked and read-only paths, limits, a filter, an output pipe's reader."""
    (tmp / "hosts").write_text("127.0.0.1 localhost\n")
    bundle.config["mounts"] += [{"destination": "/etc/hosts", "source": str(tmp / "hosts"), "type": "bind", "options": ["rbind", "ro"]},
                                {"destination": "/dev/shm", "source": "shm", "type": "tmpfs", "options": ["nosuid", "nodev", "size=1m"]},
                                {"destination": "/dev/mqueue", "source": "mqueue", "type": "mqueue"},
                                {"destination": "/sys/fs/cgroup", "source": "cgroup", "type": "cgroup", "options": ["ro", "nosuid"]}]
    bundle.config["linux"].update(maskedPaths=["/proc/kcore", "/proc/scsi", "/sys/firmware"], readonlyPaths=["/proc/sys", "/proc/bus"],
                                  resources={"memory": {"limit": 64 << 20}, "pids": {"limit": 20}},
                                  seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]})
    bundle.config["linux"]["namespaces"].append({"type": "cgroup"})
    bundle.script("i=0; while :; do i=$((i+1)); echo $i >/dev/shm/count; sleep 0.05; done")
    launched = runtime.launch("run", "--detach", "--bundle", bundle.path, "box")
    assert launched.status == 0, launched

    def count():
        return int(runtime.ok("exec", "box", "cat", "/dev/shm/count").out or "0")

    wait_for(lambda: count() > 5)
    runtime.ok("checkpoint", "--image-path", tmp / "images", "box")
    assert runtime.launch("restore", "--detach", "--image-path", tmp / "images", "--bundle", bundle.path, "box").status == 0
    assert count() >= 5
    seen = count()
    wait_for(lambda: count() > seen)
    assert runtime.ok("exec", "box", "cat", "/etc/hosts").out == "127.0.0.1 localhost\n"
    status = Path(f"/proc/{runtime.state('box')['pid']}/status").read_text()
    assert "Seccomp:\t2" in status, status
    assert (cgroup_of(runtime.state("box")["pid"]) / "pids.max").read_text() == "20\n"
