"""Fixtures of the rootless cases in the virtual machine: an ordinary user with a systemd of their own, and the packaged units."""

import os
from pathlib import Path

import pytest

from tests.vm.people import LIBRARIES, PAYLOAD, User, install_programs, install_units, sh

DROP_IN = Path("/etc/systemd/system/user@.service.d/delegate.conf")


def set_delegation(controllers):
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(f"[Service]\nDelegate={controllers}\n")
    sh("systemctl", "daemon-reload")


@pytest.fixture(scope="session", autouse=True)
def installed():
    """The programs and units where a package puts them."""
    install_programs()
    for part in (PAYLOAD / "docker").glob("*"):
        os.symlink(part, LIBRARIES / "xtables" if part.is_dir() else Path("/usr/sbin", part.name))
    install_units()
    # What no test is about: networks of containers.
    for directory in ("/etc/skel/.config/bryo", "/home/bozo/.config/bryo"):
        os.makedirs(directory, exist_ok=True)
        Path(directory, "daemon.json").write_text('{"bridge": "none"}\n')
    sh("chown", "-R", "bozo:bozo", "/home/bozo/.config")


@pytest.fixture(scope="session")
def bozo(installed):
    """Lingers, with every controller, and runs the user unit."""
    user = User("bozo", 1000)
    set_delegation("cpu cpuset io memory pids")
    user.start_engine("enable", "--now")
    return user
