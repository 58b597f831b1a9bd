"""The engine of an ordinary user on a host that gives such users no cgroups: what works without, and what is said of the rest."""

import os
import re
from pathlib import Path

import pytest

from tests.support.daemon import ROOTLESS
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.bryo_only]


@pytest.fixture(autouse=True)
def without_delegation():
    if " - cgroup " not in Path("/proc/self/mountinfo").read_text():
        pytest.skip("this host has cgroup v2 alone: tests/vm/rootless is for that")


@pytest.fixture
def user(make_daemon):
    """A rootless daemon with busybox."""

    def start(*flags):
        daemon = make_daemon("--bridge=none", *flags, chosen=ROOTLESS)
        daemon.start()
        daemon.pull("busybox")
        return daemon

    return start


def test_limits_are_refused_with_the_reason(user, make_client):
    daemon = user()
    docker = make_client(daemon)
    info = daemon.api.get("/info")
    assert info["CgroupDriver"] == "none" and info["CgroupVersion"] == "1" and "name=rootless" in info["SecurityOptions"]
    assert not info["MemoryLimit"] and not info["PidsLimit"]
    assert any("systemd.unified_cgroup_hierarchy=1" in warning for warning in info["Warnings"])
    for options, controller in ((["--memory", "64m"], "memory"), (["--cpus", "0.5"], "cpu"), (["--pids-limit", "9"], "pids"), (["--device-read-bps", "/dev/null:1"], "io")):
        refused = docker.fails("run", "--rm", *options, "busybox", "true")
        assert f'"{controller}"' in refused.err and "systemd.unified_cgroup_hierarchy=1" in refused.err and options[0] in refused.err, refused
    assert "--device-cgroup-rule" in docker.fails("run", "--rm", "--device-cgroup-rule", "c 1:3 r", "busybox", "true").err
    assert "CVE-2023-25809" in docker.fails("run", "--rm", "--cgroupns", "host", "busybox", "true").err
    assert str(docker("run", "--rm", "busybox", "echo", "fine")) == "fine"


def test_limits_are_left_out_aloud_when_asked_for(user, make_client):
    daemon = user("--cgroup-limits=warn")
    docker = make_client(daemon)
    ran = docker("run", "--name", "box", "--memory", "64m", "busybox", "echo", "fine")
    assert ran.out == "fine\n" and "--memory needs" in ran.err and "left out" in ran.err
    assert daemon.api.get("/containers/box/json")["HostConfig"]["Memory"] == 0


def test_top_and_stats_come_from_proc(user, make_client):
    daemon = user()
    docker = make_client(daemon)
    docker("run", "-d", "--name", "other", "busybox", "sleep", "1001")
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 1002 & while :; do :; done")
    docker("exec", "-d", "box", "sleep", "1003")
    wait_for(lambda: "sleep 1003" in docker("top", "box").out)
    listed = docker("top", "box", "-eo", "pid,args").out
    assert "sleep 1002" in listed and "sleep 1001" not in listed and len(listed.splitlines()) == 4
    stats = daemon.api.get("/containers/box/stats", stream=0)
    assert stats["pids_stats"]["current"] == 3
    used = stats["cpu_stats"]["cpu_usage"]["total_usage"] - stats["precpu_stats"]["cpu_usage"]["total_usage"]
    assert 1e7 < used < 4e9, "of about a second"
    assert 10_000 < stats["memory_stats"]["usage"] < 100 << 20
    assert daemon.api.get("/containers/other/stats", stream=0)["pids_stats"]["current"] == 1


def test_pause_is_refused_with_the_reason(user, make_client):
    docker = make_client(user())
    docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    assert "no cgroup" in docker.fails("pause", "box").err
    assert str(docker("inspect", "-f", "{{.State.Status}}", "box")) == "running"


def test_commit_goes_on_where_pause_cannot(user, make_client):
    daemon = user()
    docker = make_client(daemon)
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo made > /made; sleep 1003")
    wait_for(lambda: daemon.exec("box", "cat", "/made")[0] == 0, 10, "/made in the container")
    docker("commit", "box", "boxed")
    assert docker("run", "--rm", "boxed", "cat", "/made").out == "made\n"
    assert daemon.state("box")["Running"] and not daemon.state("box")["Paused"]
    daemon.wait_log("committed while it runs")
    docker("commit", "--pause=false", "box", "boxed2")
    assert daemon.log_text().count("committed while it runs") == 1


def test_everything_ends_with_the_container(user, make_client):
    """Also what an exec started, and processes that left their parents."""
    docker = make_client(user())
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "(sleep 1234 &); exec sleep 1235")
    docker("exec", "-d", "box", "sh", "-c", "(sleep 1236 &)")

    def mine():
        return [p for p in Path("/proc").iterdir() if p.name.isdigit() and re.match(rb"sleep\x00123[456]\x00", read(p / "cmdline"))]

    wait_for(lambda: len(mine()) == 3)
    docker("rm", "-f", "box")
    wait_for(lambda: not mine(), 5, "nobody is left")


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_containers_outlive_a_restart(user, make_client):
    daemon = user()
    docker = make_client(daemon)
    docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    pid = int(str(docker("inspect", "-f", "{{.State.Pid}}", "box")))
    daemon.restart()
    assert int(str(docker("inspect", "-f", "{{.State.Pid}}", "box"))) == pid
    assert "sleep 1000" in docker("top", "box").out
    daemon.kill9()
    daemon.start()
    assert str(docker("exec", "box", "echo", "hello")) == "hello"
    docker("rm", "-f", "box")
    assert not os.path.exists(f"/proc/{pid}")
