"""Hosts whose Linux security module bites, with Debian's kernel 6.12: the cases of apparmor/ and of selinux/, run by pytest in a virtual machine.

One boot for each module; each case is a test of its own here.
"""

import shutil
from pathlib import Path

import pytest

from tests.support.daemon import REPO
from tests.vm import guest, systemd_guest

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.bryo_only]

PROGRAMS = ["bryod", "bryo-monitor", "bryo-init", "bryo-usernet", "bryo", "bryo-host", "bryo-rootless"]
BOOT = {"apparmor": "apparmor=1 security=apparmor", "selinux": "security=selinux selinux=1 enforcing=1"}
NETFILTER = ["nft_socket", "nft_masq", "nft_nat", "nft_chain_nat", "nft_ct", "nft_fib_inet", "nft_reject_inet", "nft_limit", "nft_log", "nft_redir", "br_netfilter"]


@pytest.fixture(scope="module")
def results(images):
    """results(folder): what its cases said."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86 is not installed (tools/apt.sh, group vm)")
    said = {}

    def add(root):
        systemd_guest.add_programs(root, PROGRAMS)
        shutil.copytree(REPO / "packaging/systemd", root / "units")
        shutil.copytree(REPO / "packaging/apparmor", root / "apparmor")
        (root / "busybox.tar").write_bytes(images("library/busybox"))

    def boot(folder):
        if folder not in said:
            try:
                said[folder] = systemd_guest.run(cases=folder, add=add, memory=1536, modules=[*guest.MODULES, *NETFILTER], system=systemd_guest.LSM, security=BOOT[folder], timeout=600)
            except systemd_guest.Missing as reason:
                said[folder] = reason
        if isinstance(said[folder], systemd_guest.Missing):
            pytest.skip(f"no virtual machine: {said[folder]}")
        return said[folder]

    return boot


@pytest.mark.parametrize(("folder", "case"), [(folder, case) for folder in BOOT for case in systemd_guest.cases(Path(__file__).with_name(folder))])
def test_in_the_guest(results, folder, case):
    systemd_guest.check(results(folder), case)
