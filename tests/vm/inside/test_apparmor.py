"""AppArmor's profiles, in a kernel that has them."""

from pathlib import Path

import pytest

from tests.vm.inside.conftest import sh

PROFILE = """
profile {name} flags=(attach_disconnected,mediate_deleted) {{
  file,
  capability,
  signal,
  network,
  deny /tmp/{secret} rw,
}}
"""


@pytest.fixture(scope="module", autouse=True)
def profiles():
    for name, secret in (("bryo-one", "one"), ("bryo-two", "two")):
        sh("apparmor_parser", "--replace", "--skip-cache", input=PROFILE.format(name=name, secret=secret))


@pytest.fixture
def box(systemd, bundle):
    """A container under the profile bryo-one."""
    for secret in ("one", "two"):
        (bundle.rootfs / "tmp" / secret).write_text(f"secret {secret}\n")

    def start(no_new_privileges):
        bundle.run("sleep", "100", apparmorProfile="bryo-one", noNewPrivileges=no_new_privileges)
        assert systemd.launch("run", "--detach", "--bundle", bundle.path, "box").status == 0
        return systemd

    return start


def label(runtime):
    return Path(f"/proc/{runtime.state('box')['pid']}/attr/current").read_text().strip()


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_profile_holds(box, no_new_privileges):
    runtime = box(no_new_privileges)
    assert label(runtime) == "bryo-one (enforce)"
    assert runtime.ok("exec", "box", "cat", "/proc/self/attr/current").out.strip() == "bryo-one (enforce)"
    refused = runtime("exec", "box", "cat", "/tmp/one")
    assert refused.status == 1 and "Permission denied" in refused.err
    assert runtime.ok("exec", "box", "cat", "/tmp/two").out == "secret two\n"


def test_exec_under_another_profile(box):
    runtime = box(False)
    seen = runtime.ok("exec", "--apparmor", "bryo-two", "box", "sh", "-c", "cat /proc/self/attr/current; cat /tmp/one; cat /tmp/two 2>&1; true").out
    assert seen.splitlines()[:2] == ["bryo-two (enforce)", "secret one"] and "/tmp/two': Permission denied" in seen.replace("tmp/two:", "tmp/two':")


def test_a_profile_that_is_not_loaded_is_told(systemd, bundle):
    bundle.run("true", apparmorProfile="bryo-three")
    refused = systemd("run", "--bundle", bundle.path, "box")
    assert refused.status == 1 and "bryo-three" in refused.err, refused
    assert systemd("state", "box").status == 1
