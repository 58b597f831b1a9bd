"""Bryo in a container of an engine whose root is nobody's root: --security-opt nested."""

import pytest

from tests.support import nested
from tests.support.daemon import BIN
from tests.support.rawhttp import ApiError
from tests.support.rootless_engine import daemon, run, shared  # noqa: F401 (fixtures)

pytestmark = pytest.mark.bryo_only


def run_inside(outer, options, directory, archive):
    """An engine in a container of `outer`, which runs a container: exit code and output."""
    binds = [f"{BIN}:/engine:ro", f"{archive.parent}:/images:ro", "inner:/data", *(f"{path}:{path}:ro" for path in ("/lib", "/lib64", "/usr/lib"))]
    container = outer.run("busybox", "sh", "-c", nested.BRYOD, host_config={"Binds": binds, **options})
    return outer.state(container)["ExitCode"], outer.output(container)


@pytest.fixture
def archive(tmp, images):
    directory = tmp / "images"
    directory.mkdir()
    file = directory / "busybox.tar"
    file.write_bytes(images("library/busybox"))
    file.chmod(0o644)
    return file


def test_an_engine_in_a_container_of_an_engine_without_root(daemon, tmp, archive):
    code, out = run_inside(daemon, {"SecurityOpt": ["nested"]}, tmp, archive)
    nested.check_bryod(code, out)


def test_an_engine_in_a_container_of_a_remapped_engine(remapped, tmp, archive):
    remapped.pull("busybox")
    code, out = run_inside(remapped, {"SecurityOpt": ["nested"]}, tmp, archive)
    nested.check_bryod(code, out)


def test_without_the_option_it_says_what_is_missing(daemon, tmp, archive):
    code, out = run_inside(daemon, {}, tmp, archive)
    assert code != 0 and "CAP_SYS_ADMIN" in out


def test_nested_without_a_map_would_be_root_of_the_host(make_daemon):
    plain = make_daemon().start()
    plain.pull("busybox")
    with pytest.raises(ApiError) as refused:
        plain.run("busybox", "true", host_config={"SecurityOpt": ["nested"]})
    assert refused.value.status == 400 and "needs a user namespace" in str(refused.value)
