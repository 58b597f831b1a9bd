"""Fixtures of the conformance cases: a runtime under test, and a bundle for it."""

import os

import pytest

from tests.support.oci import RUNTIMES, Bundle, Runtime


@pytest.fixture(params=["runc", "bryo-oci"])
def either(request, tmp):
    """Each case runs with the reference, which says what is right, and with ours. Parametrized again where crun has a say, too."""
    if not os.path.exists(RUNTIMES[request.param]):
        pytest.skip(f"{RUNTIMES[request.param]} is not there")
    found = Runtime(request.param, tmp / "state")
    yield found
    found.remove_all()


@pytest.fixture
def runtime(either):
    return either


@pytest.fixture
def bundle(tmp):
    return Bundle(tmp / "bundle")
