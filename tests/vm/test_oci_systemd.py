"""bryo-oci under a real systemd, on cgroup v2, with AppArmor and CRIU: the cases of inside/, run by pytest in the virtual machine.

One boot for all of them; each is a test of its own here.
"""

import ast
import shutil

import pytest

from tests.vm import systemd_guest

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.bryo_only]


def cases():
    """Names of the test functions in inside/, without their parameters."""
    for file in sorted(systemd_guest.INSIDE.glob("test_*.py")):
        for part in ast.parse(file.read_text()).body:
            if isinstance(part, ast.FunctionDef) and part.name.startswith("test_"):
                yield f"{file.stem}::{part.name}"


@pytest.fixture(scope="module")
def results():
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86 is not installed (tools/apt.sh, group vm)")
    try:
        return systemd_guest.run()
    except systemd_guest.Missing as reason:
        pytest.skip(f"no virtual machine: {reason}")


@pytest.mark.parametrize("case", cases())
def test_in_the_guest(results, case):
    mine = {name: failure for name, failure in results.failures.items() if name.partition("[")[0] == case}
    assert mine, f"it did not run:\n{results.console[-2000:]}"
    failed = {name: failure for name, failure in mine.items() if failure}
    assert not failed, "\n\n".join(f"{name}:\n{failure}" for name, failure in failed.items())
    if all(name in results.skips for name in mine):
        pytest.skip("; ".join(sorted({results.skips[name] for name in mine})))
