"""bryo-oci under a real systemd, on cgroup v2, with AppArmor and CRIU: the cases of inside/, run by pytest in the virtual machine.

One boot for all of them; each is a test of its own here.
"""

import shutil

import pytest

from tests.vm import systemd_guest

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.bryo_only]


@pytest.fixture(scope="module")
def results():
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86 is not installed (tools/apt.sh, group vm)")
    try:
        return systemd_guest.run()
    except systemd_guest.Missing as reason:
        pytest.skip(f"no virtual machine: {reason}")


@pytest.mark.parametrize("case", systemd_guest.cases(systemd_guest.INSIDE))
def test_in_the_guest(results, case):
    systemd_guest.check(results, case)
