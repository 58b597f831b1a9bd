"""Engines in a container of a rootless engine, on cgroup v2."""

import pytest

from tests.support import nested
from tests.support.waiting import wait_for
from tests.vm.people import PAYLOAD

BINDS = [f"{PAYLOAD}:{PAYLOAD}:ro", f"{PAYLOAD}/bin:/engine:ro", f"{PAYLOAD}:/images:ro", *(f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64"))]


@pytest.fixture
def inside(bozo):
    """Runs a script in a container; returns its exit code and output."""

    def run(script, *words, options=()):
        binds = [word for bind in BINDS for word in ("-v", bind)]
        bozo.bryo("run", "-d", "--name", "outer", "--network", "none", *options, "-v", "inner:/data", *binds, "busybox", "sh", "-c", script, "sh", *words)
        wait_for(lambda: bozo.bryo("inspect", "-f", "{{.State.Running}}", "outer") == "false", 120, "the end of what runs inside")
        logs = bozo.run("bryo", "logs", "outer")
        return int(bozo.bryo("inspect", "-f", "{{.State.ExitCode}}", "outer")), logs.stdout + logs.stderr

    yield run
    bozo.run("bryo", "rm", "-f", "outer")
    bozo.run("bryo", "volume", "rm", "inner")


def test_bryod_in_a_container(inside):
    code, out = inside(nested.BRYOD, "--memory", "32m", options=["--security-opt", "nested"])
    nested.check_bryod(code, out)
    assert f"\n{32 << 20}\n" in out, out


def test_dockerd_in_a_container(inside):
    if not (PAYLOAD / "docker").exists():
        pytest.skip("Debian's docker.io is not installed where the machine is started")
    nested.check_dockerd(*inside(nested.DOCKERD, "short", options=["--security-opt", "nested"]))
