"""The OCI's own validation: every case that runc or crun passes here passes with bryo-oci.

A case that both fail is a wrong case, or one that this machine cannot meet (kernel memory limits, for one, which left the kernel).
"""

import shutil
import threading

import pytest

from tests.conformance import runtime_tools
from tests.support.daemon import BIN

REFERENCES = ["runc", "crun"]

# What a reference passes and we do not, with the reason.
EXCEPTIONS = {}


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
    missed = sorted(case for case in wanted if not ours.get(case) and case not in EXCEPTIONS)
    assert not missed, f"{len(missed)} of {len(wanted)} cases: {missed[:20]}"
    stale = sorted(case for case in EXCEPTIONS if ours.get(case))
    assert not stale, f"these pass now, strike them from EXCEPTIONS: {stale}"
