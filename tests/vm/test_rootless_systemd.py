"""The rootless engine with a real systemd, on cgroup v2 of Debian's kernel: the cases of rootless/, run by pytest in the virtual machine.

One boot for all of them; each is a test of its own here.
"""

import shutil
from pathlib import Path

import pytest

from tests.support.daemon import REPO
from tests.vm import guest, systemd_guest

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.bryo_only]

PROGRAMS = ["bryod", "bryo-monitor", "bryo-init", "bryo-usernet", "bryo"]
# Debian's Docker, to run in a container.
DOCKER = ["dockerd", "docker", "docker-proxy", "containerd", "containerd-shim-runc-v2", "runc", "iptables", "ip6tables"]
XTABLES = Path("/usr/lib/x86_64-linux-gnu/xtables")
NETFILTER = ["nft_socket", "nft_compat", "xt_tcpudp", "xt_conntrack", "xt_addrtype", "xt_MASQUERADE", "xt_nat"]


def add_docker(root):
    """Into docker/, when it is installed here."""
    found = {name: shutil.which(name, path="/usr/sbin:/usr/bin") for name in DOCKER}
    if None in found.values():
        return
    (root / "docker").mkdir()
    for name, program in found.items():
        shutil.copy(program, root / "docker" / name)
        systemd_guest.add_libraries(root, program)
    shutil.copytree(XTABLES, root / "docker/xtables")


@pytest.fixture(scope="module")
def results(images):
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86 is not installed (tools/apt.sh, group vm)")

    def add(root):
        systemd_guest.add_programs(root, PROGRAMS)
        shutil.copytree(REPO / "packaging/systemd", root / "units")
        add_docker(root)
        (root / "busybox.tar").write_bytes(images("library/busybox"))

    try:
        return systemd_guest.run(cases="rootless", add=add, memory=1536, modules=[*guest.MODULES, *NETFILTER], timeout=1500)
    except systemd_guest.Missing as reason:
        pytest.skip(f"no virtual machine: {reason}")


@pytest.mark.parametrize("case", systemd_guest.cases(Path(__file__).with_name("rootless")))
def test_in_the_guest(results, case):
    systemd_guest.check(results, case)
