"""The rootless engine with a real systemd, on cgroup v2 of Debian's kernel: the cases of rootless/, run by pytest in the virtual machine.

One boot for all of them; each is a test of its own here.
"""

import ast
import os
import shutil
from pathlib import Path

import pytest

from tests.support.daemon import REPO
from tests.vm import guest, systemd_guest

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.bryo_only]

PROGRAMS = ["bryod", "bryo-monitor", "bryo-init", "bryo-usernet", "bryo"]


def cases():
    """Names of the test functions in rootless/."""
    for file in sorted(Path(__file__).with_name("rootless").glob("test_*.py")):
        for part in ast.parse(file.read_text()).body:
            if isinstance(part, ast.FunctionDef) and part.name.startswith("test_"):
                yield f"{file.stem}::{part.name}"


@pytest.fixture(scope="module")
def results(images):
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86 is not installed (tools/apt.sh, group vm)")

    def add(root):
        (root / "lib").mkdir()
        for program in PROGRAMS:
            if not (guest.BIN / program).exists():
                continue
            shutil.copy(guest.BIN / program, root / "bin")
            for library in guest.libraries(guest.BIN / program):
                shutil.copy(library, root / "lib")
        shutil.copytree(REPO / "packaging/systemd", root / "units")
        (root / "busybox.tar").write_bytes(images("library/busybox"))

    try:
        return systemd_guest.run(cases="rootless", add=add, memory=1536, modules=[*guest.MODULES, "nft_socket"], timeout=1500)
    except systemd_guest.Missing as reason:
        pytest.skip(f"no virtual machine: {reason}")


@pytest.mark.parametrize("case", cases())
def test_in_the_guest(results, case):
    assert case in results.failures, f"it did not run:\n{results.console[-2000:]}"
    assert not results.failures[case], results.failures[case]
    if case in results.skips:
        pytest.skip(results.skips[case])
