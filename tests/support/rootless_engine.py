"""Fixtures of the tests of a rootless bryod: one that a module's tests share, and what the host sees of it."""

import json
import os
from pathlib import Path

import pytest

from tests.support import users
from tests.support.daemon import ROOTLESS, Daemon


@pytest.fixture(scope="module")
def penguin():
    return users.make("penguin")


@pytest.fixture(scope="module")
def shared(hub, scratch):
    daemon = Daemon(ROOTLESS, scratch / "rootless", ["--registry-mirror", hub.url, "--insecure-registry", hub.address])
    daemon.start()
    daemon.pull("busybox")
    yield daemon
    daemon.close()


@pytest.fixture
def daemon(shared):
    if not shared.is_running:
        shared.start()
    yield shared
    shared.assert_alive()
    shared.remove_containers()


@pytest.fixture
def own(tmp, penguin):
    """A directory of the user's."""
    directory = tmp / "own"
    directory.mkdir()
    os.chown(directory, penguin.uid, penguin.gid)
    return directory


def ids_of(pid):
    """(uid, gid) of a process as the host sees them."""
    status = Path(f"/proc/{pid}/status").read_text()
    return tuple(int(next(l for l in status.splitlines() if l.startswith(f"{kind}:")).split()[1]) for kind in ("Uid", "Gid"))


def processes_of(daemon):
    """bryod, the user-mode network, monitors and containers: every process below the daemon's exec root or started by it."""
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and f"{daemon.exec_root}".encode() in command_of(p)]


def command_of(process):
    try:
        return (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except OSError:
        return b""


def run(daemon, *command, **options):
    container = daemon.run("busybox", *command, **options)
    return daemon.output(container)


def user_network(daemon):
    """The process that the engine knows of."""
    return json.loads((daemon.exec_root / "network/usernet.json").read_text())["Pid"]
