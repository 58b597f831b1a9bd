"""kill -9 of bryo-oci at every step of create, run, start and delete: `delete --force` clears everything away."""

import glob
import os
import random
import signal
import subprocess
import time

import pytest

from tests.support.oci import Bundle, Runtime
from tests.support.waiting import wait_for

CREATE = ["state", "cgroup", "cloned", "noted", "hooks", "created", "pid-file"]
START = ["before-gate", "after-gate"]
DELETE = ["killed", "cgroup-removed", "poststop"]
KINDS = {"everything": {}, "without cgroups": {"manager": "disabled"}, "user namespace": {"map": True}, "joined network": {"join": True},
         "no pid namespace": {"shared_pids": True}}


class World:
    """What there is of processes, cgroups, mounts and network namespaces in the test host."""

    def __init__(self):
        self.seen = self.look()

    @staticmethod
    def look():
        cgroups = {path for path in glob.glob("/sys/fs/cgroup/**/", recursive=True)}
        with open("/proc/self/mounts") as file:
            mounts = set(file)
        processes = set()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    text = file.read()
                if text.rsplit(")", 1)[1].split()[0] != "Z":
                    processes.add((int(pid), text.split("(", 1)[1].rsplit(")", 1)[0]))
            except OSError:
                pass
        return {"cgroups": cgroups, "mounts": mounts, "processes": processes}

    def assert_same(self):
        def same():
            new = {kind: things - self.seen[kind] for kind, things in self.look().items()}
            assert not any(new.values()), {kind: sorted(map(str, things))[:5] for kind, things in new.items() if things}
            return True

        wait_for(same, 5)


@pytest.fixture
def runtime(tmp):
    found = Runtime("bryo-oci", tmp / "state")
    yield found
    found.remove_all()


@pytest.fixture
def bundle(tmp):
    made = Bundle(tmp / "bundle")
    made.script("sleep 1000")
    made.config["linux"]["cgroupsPath"] = "/kill-box"
    made.config["hooks"] = {kind: [{"path": "/usr/bin/true"}] for kind in ("createRuntime", "createContainer", "poststop")}
    made.config["hooks"]["startContainer"] = [{"path": "/bin/true"}]
    made.save()
    return made


def adapt(bundle, runtime, map=False, join=False, shared_pids=False, manager="cgroupfs"):
    os_part = bundle.config["linux"]
    if map:
        os_part["namespaces"].append({"type": "user"})
        os_part["uidMappings"] = os_part["gidMappings"] = [{"containerID": 0, "hostID": 300000, "size": 65536}]
    if join:
        os_part["namespaces"] = [entry for entry in os_part["namespaces"] if entry["type"] != "network"] + [{"type": "network", "path": "/proc/self/ns/net"}]
    if shared_pids:
        os_part["namespaces"] = [entry for entry in os_part["namespaces"] if entry["type"] != "pid"]
    runtime.options = ["--cgroup-manager", manager]
    bundle.save()


def begin(runtime, *arguments, stop_at=""):
    return subprocess.Popen(runtime.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            env={**os.environ, "BRYO_OCI_STOP_AT": stop_at})


def kill_when_stopped(process, point):
    """The point must be reached: a name that nothing stops at would test nothing."""
    def stopped():
        pid, status = os.waitpid(process.pid, os.WNOHANG | os.WUNTRACED)
        assert not (pid and os.WIFEXITED(status)), f"{point} was not reached: exit status {os.WEXITSTATUS(status)}"
        return pid and os.WIFSTOPPED(status)

    deadline = time.monotonic() + 10
    while not stopped():
        assert time.monotonic() < deadline, f"{point} was not reached"
        time.sleep(0.001)
    process.kill()
    process.wait()


def assert_cleared(runtime, world, tmp):
    runtime.ok("delete", "--force", "box")
    assert runtime.ok("list", "-q").out == ""
    assert list(runtime.root.glob("*")) == []
    world.assert_same()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", CREATE)
def test_create(runtime, bundle, tmp, point, kind):
    adapt(bundle, runtime, **KINDS[kind])
    world = World()
    kill_when_stopped(begin(runtime, "create", "--bundle", bundle.path, "--pid-file", tmp / "pid", "box", stop_at=point), point)
    assert "box" in runtime.ok("list", "-q").out
    assert runtime("start", "other").status == 1
    assert_cleared(runtime, world, tmp)
    # And the name is free again.
    again = runtime.launch("create", "--bundle", bundle.path, "box")
    assert again.status == 0, str(again)
    runtime.ok("start", "box")
    assert_cleared(runtime, world, tmp)


@pytest.mark.parametrize("point", [*CREATE, "started"])
def test_run(runtime, bundle, tmp, point):
    world = World()
    kill_when_stopped(begin(runtime, "run", "--bundle", bundle.path, "--pid-file", tmp / "pid", "box", stop_at=point), point)
    assert_cleared(runtime, world, tmp)


@pytest.mark.parametrize("point", START)
def test_start(runtime, bundle, tmp, point):
    world = World()
    assert runtime.launch("create", "--bundle", bundle.path, "box").status == 0
    kill_when_stopped(begin(runtime, "start", "box", stop_at=point), point)
    if point == "before-gate":
        # Nothing has happened: it can still be started.
        assert runtime.status("box") == "created"
        runtime.ok("start", "box")
        assert runtime.status("box") == "running"
    else:
        # Nobody wrote it down, but it runs.
        wait_for(lambda: runtime.status("box") == "running")
        assert runtime("start", "box").status == 1 and runtime("delete", "box").status == 1
        runtime.ok("exec", "box", "true")
    assert_cleared(runtime, world, tmp)


@pytest.mark.parametrize("options", [[], ["--force"]])
@pytest.mark.parametrize("point", DELETE)
def test_delete(runtime, bundle, tmp, point, options):
    world = World()
    assert runtime.launch("create", "--bundle", bundle.path, "box").status == 0
    if options:
        runtime.ok("start", "box")
    kill_when_stopped(begin(runtime, "delete", *options, "box", stop_at=point), point)
    assert_cleared(runtime, world, tmp)


@pytest.mark.slow
def test_at_random_moments(runtime, bundle, tmp):
    """Between the points: where exactly is up to the scheduler."""
    world = World()
    rng = random.Random(3)
    for turn in range(120):
        process = begin(runtime, "run", "--bundle", bundle.path, "box")
        time.sleep(rng.uniform(0, 0.008))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if turn % 10 == 9:
            assert_cleared(runtime, world, tmp)
        else:
            runtime.ok("delete", "--force", "box")
    assert_cleared(runtime, world, tmp)
