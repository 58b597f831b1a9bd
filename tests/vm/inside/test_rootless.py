"""A user's containers with --systemd-cgroup: the user's own manager makes the scope."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.oci import Runtime
from tests.support.waiting import wait_for
from tests.vm.inside.conftest import CGROUPS, cgroup_of, sh

MEGABYTE = 1 << 20
USER = 1000
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "env", f"XDG_RUNTIME_DIR=/run/user/{USER}", "HOME=/home/bozo"]
MANAGER = CGROUPS / f"user.slice/user-{USER}.slice/user@{USER}.service"


class UserRuntime(Runtime):
    """Every command as `prefix` runs it."""

    prefix = AS_USER

    def command(self, *arguments, options=()):
        return [*map(str, self.prefix), *super().command(*arguments, options=options)]


@pytest.fixture(scope="module", autouse=True)
def session():
    sh("loginctl", "enable-linger", "bozo")
    sh("systemctl", "start", f"user@{USER}.service")
    wait_for(lambda: os.path.exists(f"/run/user/{USER}/systemd/private"), 60)


@pytest.fixture
def ordinary(tmp):
    """bryo-oci as a user calls it."""
    (tmp / "state").mkdir()
    os.chown(tmp / "state", USER, USER)
    return UserRuntime("bryo-oci", tmp / "state", "--systemd-cgroup")


@pytest.fixture
def runtime(ordinary):
    """As podman calls it: by root of a user namespace of the user's, which one process keeps."""
    keeper = subprocess.Popen([*AS_USER, "unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "sleep", "1000"])
    wait_for(lambda: Path(f"/proc/{keeper.pid}/comm").read_text() == "sleep\n")
    ordinary.prefix = ["nsenter", "--target", keeper.pid, "--user", "--mount", "env", f"XDG_RUNTIME_DIR=/run/user/{USER}"]
    yield ordinary
    ordinary.remove_all()
    keeper.kill()
    keeper.wait()
    assert not list(CGROUPS.glob("**/*box*"))


@pytest.fixture
def bundle(bundle):
    bundle.config["linux"]["resources"] = {"memory": {"limit": 64 * MEGABYTE}, "pids": {"limit": 17}, "cpu": {"quota": 50000, "period": 100000}}
    os_part = bundle.config["linux"]
    os_part["namespaces"].append({"type": "cgroup"})
    devpts = next(m for m in bundle.config["mounts"] if m["type"] == "devpts")
    devpts["options"] = [o for o in devpts["options"] if not o.startswith("gid")]
    sh("chown", "-R", f"{USER}:{USER}", bundle.path)
    return bundle


def check_scope(pid):
    box = MANAGER / "user.slice/bryo-box.scope"
    assert cgroup_of(pid) == box
    for file, value in {"memory.max": str(64 * MEGABYTE), "pids.max": "17", "cpu.max": "50000 100000"}.items():
        assert (box / file).read_text().strip() == value, file
    seen = sh(*AS_USER, "systemctl", "--user", "show", "-p", "MemoryMax", "-p", "TasksMax", "-p", "Delegate", "bryo-box.scope")
    assert set(seen.split()) == {f"MemoryMax={64 * MEGABYTE}", "TasksMax=17", "Delegate=yes"}


def test_a_user_has_a_scope_and_its_limits(runtime, bundle):
    bundle.run("sleep", "100")
    launched = runtime.launch("run", "--detach", "--bundle", bundle.path, "box")
    assert launched.status == 0, launched
    check_scope(runtime.state("box")["pid"])


def test_the_memory_limit_of_a_user_holds(runtime, bundle):
    bundle.run("dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
    outcome = runtime("run", "--bundle", bundle.path, "box")
    assert outcome.status == 137, outcome


def test_an_ordinary_user_is_told_how_to_begin(ordinary, bundle):
    refused = ordinary("run", "--bundle", bundle.path, "box")
    assert refused.status == 1 and "unshare --map-root-user" in refused.err, refused
    assert ordinary("state", "box").status == 1
