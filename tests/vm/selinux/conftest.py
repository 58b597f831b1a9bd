"""Fixtures of the SELinux cases: Debian's reference policy, enforcing."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.oci import Bundle, Runtime
from tests.vm.people import Root, User, install_programs, install_units, sh


@pytest.fixture(scope="session", autouse=True)
def installed():
    assert Path("/sys/fs/selinux/enforce").read_text() == "1"
    install_programs()
    install_units()


@pytest.fixture(scope="session")
def bozo(installed):
    user = User("bozo", 1000)
    user.start_engine()
    return user


@pytest.fixture(scope="session")
def root(installed):
    sh("useradd", "--system", "dockremap")
    for file in ("/etc/subuid", "/etc/subgid"):
        with open(file, "a") as out:
            out.write("dockremap:300000:65536\n")
    sh("groupadd", "--system", "bryo")
    engine = Root()
    engine.start("--userns-remap dockremap")
    engine.load_image()
    return engine


@pytest.fixture
def bundle():
    """Not in /tmp, which is mounted nosuid: SELinux changes no label there."""
    directory = tempfile.mkdtemp(dir="/srv")
    os.chmod(directory, 0o755)
    yield Bundle(f"{directory}/bundle")
    shutil.rmtree(directory)


@pytest.fixture
def runtime(tmp_path):
    found = Runtime("bryo-oci", tmp_path / "state")
    yield found
    found.remove_all()


def denials():
    """What the policy refused so far."""
    return [line for line in sh("dmesg").splitlines() if "avc:  denied" in line]
