"""The OCI's own validation: every case that runc or crun passes here passes with bryo-oci.

A case that both fail is a wrong case, or one that this machine cannot meet (kernel memory limits, for one, which left the kernel).
"""

import shutil
import threading

import pytest

from tests.conformance import runtime_tools
from tests.support.daemon import BIN

REFERENCES = ["runc", "crun"]

# Programs of which a reference passes cases and we do not, with the reason.
EXCEPTIONS = {
    "linux_ns_itype": "a container without a mount namespace of its own would mount into the host's tree, and its root could be left: refused",
    "linux_mount_label": "a label without SELinux is refused, as runc does; crun drops it without a word",
}


@pytest.fixture(scope="session")
def programs():
    try:
        return runtime_tools.built()
    except runtime_tools.NotBuilt as error:
        pytest.skip(f"the OCI's validation programs are not there: {error}")


def verdicts(names, runtime):
    return {(name, case): passed for name in names for case, passed in runtime_tools.run(name, runtime).items()}


@pytest.mark.slow
def test_every_case_that_runc_or_crun_passes_passes(programs):
    runtimes = {name: shutil.which(name) for name in REFERENCES} | {"bryo-oci": BIN / "bryo-oci"}
    runtimes = {name: path for name, path in runtimes.items() if path}
    assert len(runtimes) > 1, "install runc or crun: without a reference there is nothing to compare with"
    found = {}
    # Side by side: the programs sleep for most of their time, and name their containers at random.
    threads = [threading.Thread(target=lambda n=n, p=p: found.update({n: verdicts(programs, p)})) for n, p in runtimes.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ours = found.pop("bryo-oci")
    wanted = {case for reference in found.values() for case, passed in reference.items() if passed}
    assert len(wanted) > 500, "the references pass next to nothing: the programs do not work here"
    # They wait for a second or five where they should wait for an event: those that side by side failed run once more, alone.
    for name in sorted({name for name, case in wanted if not ours.get((name, case)) and name not in EXCEPTIONS}):
        ours.update(verdicts([name], runtimes["bryo-oci"]))
    missed = sorted((name, case) for name, case in wanted if not ours.get((name, case)) and name not in EXCEPTIONS)
    assert not missed, f"{len(missed)} of {len(wanted)} cases: {missed[:20]}"
    stale = [name for name in EXCEPTIONS if all(ours.get(case) for case in wanted if case[0] == name)]
    assert not stale, f"these pass now, strike them from EXCEPTIONS: {stale}"
