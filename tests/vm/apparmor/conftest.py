"""Fixtures of the AppArmor cases: a user whose programs may not use user namespaces unless they have a profile that says so.

Debian's kernels have no kernel.apparmor_restrict_unprivileged_userns (it is Ubuntu's). A profile over the user's whole session does
what it does there: programs that have a profile get theirs, all others stay under this one.
"""

import json
import os
from pathlib import Path

import pytest

from tests.support.waiting import wait_for
from tests.vm.people import Root, User, install_programs, install_units, sh

# What a namespace is worth there: Ubuntu 24.04 lets it be made and takes every capability in it, 23.10 refuses to make it.
RESTRICTIONS = {"powerless": "userns,\n  deny capability,", "refused": "capability,\n  deny userns,"}
SESSION = """abi <abi/4.0>,
include <tunables/global>
profile session flags=(attach_disconnected,mediate_deleted) {{
  {restriction}
  network,
  signal,
  ptrace,
  unix,
  mqueue,
  dbus,
  mount,
  umount,
  pivot_root,
  file rwlkm /{{,**}},
  /** pix,
  /usr/bin/newuidmap ux,
  /usr/bin/newgidmap ux,
}}
profile login {{
  capability,
  file rwlkm /{{,**}},
  /** px -> session,
}}
"""
SWITCH = "apparmor_restrict_unprivileged_userns"


def restrict(kind):
    sh("apparmor_parser", "--replace", "--skip-cache", input=SESSION.format(restriction=RESTRICTIONS[kind]))


class Restricted(User):
    """Everything of theirs is under the profile "session"."""

    def words(self, *words, **variables):
        return ["aa-exec", "-p", "login", "--", *super().words(*words, **variables)]

    def doctor(self, program="/usr/bin/bryo"):
        """{check: finding}."""
        return {f["Name"]: f for f in json.loads(self.run(program, "doctor", "--format", "json").stdout)["Checks"]}


@pytest.fixture(scope="session", autouse=True)
def installed():
    install_programs()
    install_units()
    Path("/proc/sys/kernel/apparmor_restrict_unprivileged_unconfined").write_text("1")
    restrict("powerless")
    drop_in = Path("/etc/systemd/system/user@.service.d/session.conf")
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Service]\nAppArmorProfile=session\n")
    sh("systemctl", "daemon-reload")


@pytest.fixture(scope="session")
def bozo(installed):
    user = Restricted("bozo", 1000)
    sh("loginctl", "enable-linger", "bozo")
    wait_for(lambda: os.path.exists(f"{user.runtime}/systemd/private"), 60)
    return user


@pytest.fixture(scope="session")
def root(installed):
    return Root()


@pytest.fixture
def no_profile():
    """None of ours is loaded, then or later."""

    def unload():
        for name in loaded():
            if "bryo" in name:
                Path("/sys/kernel/security/apparmor/.remove").write_text(name)
        for file in Path("/etc/apparmor.d").glob("*bryo*"):
            file.unlink()

    unload()
    yield
    unload()
    restrict("powerless")


def loaded():
    return [line.rpartition(" ")[0] for line in Path("/sys/kernel/security/apparmor/profiles").read_text().splitlines()]
