"""Fixtures of the cases that run in the virtual machine: a runtime for each cgroup driver, bundles, systemd's view."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.oci import Bundle, Runtime
from tests.support.waiting import PATIENCE, wait_for

CGROUPS = Path("/sys/fs/cgroup")


def sh(*words, **options):
    """A program of the guest that has to succeed: what it printed."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=60 * PATIENCE, **options)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def unit(name, *properties):
    """{property: text} as systemd says it; of a list, the lines."""
    out = {}
    for line in sh("systemctl", "show", *[f"--property={p}" for p in properties], name).splitlines():
        key, _, value = line.partition("=")
        out[key] = f"{out[key]}\n{value}" if key in out else value
    return out


def cgroup_of(pid):
    """The directory of a process's cgroup."""
    return CGROUPS / Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::/")


@pytest.fixture
def tmp(tmp_path):
    for directory in (tmp_path, *list(tmp_path.parents)[:2]):
        directory.chmod(0o755)
    return tmp_path


@pytest.fixture
def bundle(tmp):
    return Bundle(tmp / "bundle")


@pytest.fixture
def systemd(tmp):
    """bryo-oci with the systemd driver."""
    found = Runtime("bryo-oci", tmp / "state", "--systemd-cgroup")
    yield found
    found.remove_all()


@pytest.fixture(params=["cgroupfs", "systemd"])
def runtime(request, tmp):
    """bryo-oci, with each driver."""
    found = Runtime("bryo-oci", tmp / "state", *(["--systemd-cgroup"] if request.param == "systemd" else []))
    found.driver = request.param
    yield found
    found.remove_all()
    assert not list(CGROUPS.glob("**/*box*")), "a cgroup is left"


@pytest.fixture
def start(bundle):
    """start(runtime) runs the bundle detached as container "box"; gives its first process."""

    def act(runtime, *options):
        launched = runtime.launch("run", *options, "--detach", "--bundle", bundle.path, "box")
        assert launched.status == 0, launched
        return runtime.state("box")["pid"]

    return act


def stats(runtime, name="box"):
    return json.loads(runtime.ok("events", "--stats", name).out)["data"]


def wait_stopped(runtime, name="box"):
    wait_for(lambda: runtime.status(name) == "stopped", 30)
