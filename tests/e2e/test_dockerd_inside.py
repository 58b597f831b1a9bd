"""Debian's dockerd in a container of an engine whose root is nobody's root: --security-opt nested."""

import shutil

import pytest

from tests.support.daemon import ROOTLESS
from tests.support.nested import DOCKERD, check_dockerd
from tests.support.waiting import wait_for

# The programs of this machine's packages. /etc/alternatives: iptables.
PROGRAMS = ("/usr", "/lib", "/lib64", "/etc/alternatives")


@pytest.fixture
def inside(tmp, images):
    """A function that starts it in a container of an engine; returns the container's exit code and output."""
    for name in ("dockerd", "containerd", "runc", "docker", "iptables"):
        if not shutil.which(name):
            pytest.skip(f"not installed: {name}")
    directory = tmp / "images"
    directory.mkdir()
    (directory / "busybox.tar").write_bytes(images("library/busybox"))
    (directory / "busybox.tar").chmod(0o644)

    def run(outer, **options):
        binds = [f"{directory}:/images:ro", "inner:/data", *(f"{path}:{path}:ro" for path in PROGRAMS)]
        container = outer.run("busybox", "sh", "-c", DOCKERD, wait=False, host_config={"Binds": binds, "CgroupnsMode": "private", **options})
        wait_for(lambda: not outer.state(container)["Running"], 120, "the end of what runs inside")
        return outer.state(container)["ExitCode"], outer.output(container)

    return run


def check(code, out):
    check_dockerd(code, out)
    assert out.count("hello\n") == 2, out


@pytest.mark.bryo_only
def test_dockerd_in_a_container_of_an_engine_without_root(make_daemon, inside):
    daemon = make_daemon(chosen=ROOTLESS).start()
    daemon.pull("busybox")
    check(*inside(daemon, SecurityOpt=["nested"]))


@pytest.mark.bryo_only
def test_dockerd_in_a_container_of_a_remapped_engine(remapped, inside):
    remapped.pull("busybox")
    check(*inside(remapped, SecurityOpt=["nested"]))


@pytest.mark.bryo_only
def test_docker_s_client_can_ask_for_it(remapped, make_client):
    """It refuses a word of the engine's own without a value, before it asks the engine."""
    remapped.pull("busybox")
    every = (1 << 37) - 1
    for kind, option, expected in (("debian", "nested=true", True), ("debian", "nested:true", True), ("bryo", "nested", True), ("debian", "nested=false", False)):
        out = make_client(remapped, kind)("run", "--rm", "--security-opt", option, "busybox", "grep", "CapEff", "/proc/self/status").out
        assert (int(out.split()[1], 16) & every == every) == expected, (option, out)
    refused = make_client(remapped).fails("run", "--rm", "--security-opt", "nested=perhaps", "busybox", "true")
    assert "invalid --security-opt: nested=perhaps" in refused.err, refused


@pytest.mark.bryo_only
def test_dockerd_needs_the_option(make_daemon, inside):
    daemon = make_daemon(chosen=ROOTLESS).start()
    daemon.pull("busybox")
    code, out = inside(daemon)
    assert code != 0 and "inside" not in out and ("permitted" in out or "denied" in out), out
