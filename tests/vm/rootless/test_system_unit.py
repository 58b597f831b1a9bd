"""The engine of an ordinary user as a unit of the system: nobody has logged in, nobody lingers."""

import os
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from tests.vm.people import User, cgroup_of, sh
from tests.vm.rootless.conftest import set_delegation

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def tux():
    set_delegation("cpu cpuset io memory pids")
    user = User("tux", 1002)
    sh("systemctl", "enable", "bryo@1002")
    # What a boot does; without waiting for terminals, which no udev brings here.
    sh("systemctl", "start", "--no-block", "multi-user.target")
    user.wait_answers()
    user.load_image()
    yield user
    sh("systemctl", "disable", "--now", "bryo@1002")


def test_limits_hold(tux):
    assert not os.path.exists("/var/lib/systemd/linger/tux")
    tux.bryo("run", "-d", "--name", "box", "--memory", "32m", "--pids-limit", "9", "busybox", "sleep", "600")
    group = tux.cgroup("box")
    assert group.parent.parent.name.startswith("bryo-containers-"), f"{group}\n{tux.log()}"
    assert int((group / "memory.max").read_text()) == 32 * MEGABYTE and (group / "pids.max").read_text() == "9\n"
    assert Path(f"/proc/{tux.pid('box')}").stat().st_uid == 1002
    tux.bryo("rm", "-f", "box")


def test_containers_outlive_a_restart(tux):
    tux.bryo("run", "-d", "--name", "lives", "--memory", "32m", "busybox", "sleep", "600")
    pid, group = tux.pid("lives"), tux.cgroup("lives")
    before = sh("systemctl", "show", "-P", "MainPID", "bryo@1002")
    sh("systemctl", "restart", "bryo@1002")
    tux.wait_answers()
    assert sh("systemctl", "show", "-P", "MainPID", "bryo@1002") != before
    assert tux.pid("lives") == pid and cgroup_of(pid) == group, tux.log()
    assert tux.bryo("exec", "lives", "echo", "hello") == "hello"
    tux.bryo("rm", "-f", "lives")


UNIT = """[Service]
User=1003
Delegate=yes
KillMode=process
Type=notify
Environment=XDG_RUNTIME_DIR=/run/lonely
RuntimeDirectory=lonely
ExecStart=/usr/bin/bryod
"""


def test_without_any_user_systemd_the_units_own_cgroup_is_used():
    user = User("lonely", 1003)
    user.runtime = "/run/lonely"
    user.socket = "/run/lonely/bryo/bryo.sock"
    Path("/run/systemd/system/lonely.service").write_text(UNIT)
    sh("systemctl", "daemon-reload")
    sh("systemctl", "start", "lonely")
    user.wait_answers()
    user.load_image()
    user.bryo("run", "-d", "--name", "box", "--memory", "32m", "busybox", "sleep", "600")
    pid, group = user.pid("box"), user.cgroup("box")
    assert str(group).startswith("/sys/fs/cgroup/system.slice/lonely.service/bryo/")
    assert int((group / "memory.max").read_text()) == 32 * MEGABYTE
    # systemd 252 could not start the unit again beside them, so they end with the engine.
    sh("systemctl", "restart", "lonely")
    user.wait_answers()
    assert not os.path.exists(f"/proc/{pid}")
    wait_for(lambda: user.bryo("inspect", "-f", "{{.State.Status}}", "box") == "exited", 10)
    sh("systemctl", "stop", "lonely")
