"""Debian's dockerd in a container of an engine whose root is nobody's root: --security-opt nested."""

import shutil

import pytest

from tests.support.daemon import ROOTLESS
from tests.support.waiting import wait_for

# The programs of this machine's packages. /etc/alternatives: iptables.
PROGRAMS = ("/usr", "/lib", "/lib64", "/etc/alternatives")
# `--rootless`: on version 1 of cgroups nobody but root may make any, and that is how dockerd does without. It wants to see them
# nevertheless, which a cgroup namespace of the container's own allows.
SCRIPT = r"""
export DOCKER_HOST=unix:///run/docker.sock PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /run /tmp /var/lib/docker
if ! grep -q ' /sys/fs/cgroup ' /proc/self/mountinfo; then
  mount -t tmpfs tmpfs /sys/fs/cgroup
  for name in devices memory pids cpu freezer; do mkdir /sys/fs/cgroup/$name && mount -t cgroup -o $name cgroup /sys/fs/cgroup/$name; done
fi
dockerd --rootless --data-root /data/docker --exec-root /run/docker -H $DOCKER_HOST >/data/log 2>&1 &
for i in $(seq 300); do docker version >/dev/null 2>&1 && break; kill -0 $! || { tail -3 /data/log; exit 1; }; sleep 0.1; done
docker info --format 'driver {{.Driver}} cgroups {{.CgroupDriver}}'
docker load -q -i /images/busybox.tar
docker run --rm busybox sh -c 'echo inside; ip -o addr show eth0' &&
docker run -d --name web -p 8080:80 busybox sh -c 'echo hello >/tmp/index.html; exec httpd -f -h /tmp' >/dev/null &&
address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' web) &&
docker run --rm busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://$0/ && exit; sleep 0.3; done; exit 1' $address &&
wget -q -O - http://127.0.0.1:8080/ && docker rm -f web || { tail -20 /data/log; exit 1; }
"""


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
        container = outer.run("busybox", "sh", "-c", SCRIPT, wait=False, host_config={"Binds": binds, "CgroupnsMode": "private", **options})
        wait_for(lambda: not outer.state(container)["Running"], 120, "the end of what runs inside")
        return outer.state(container)["ExitCode"], outer.output(container)

    return run


def check(result):
    code, out = result
    assert code == 0, out
    assert "driver overlay2 cgroups none" in out and "inside" in out and "inet 172." in out and out.count("hello\n") == 2, out


@pytest.mark.bryo_only
def test_dockerd_in_a_container_of_an_engine_without_root(make_daemon, inside):
    daemon = make_daemon(chosen=ROOTLESS).start()
    daemon.pull("busybox")
    check(inside(daemon, SecurityOpt=["nested"]))


@pytest.mark.bryo_only
def test_dockerd_in_a_container_of_a_remapped_engine(remapped, inside):
    remapped.pull("busybox")
    check(inside(remapped, SecurityOpt=["nested"]))


@pytest.mark.bryo_only
def test_dockerd_needs_the_option(make_daemon, inside):
    daemon = make_daemon(chosen=ROOTLESS).start()
    daemon.pull("busybox")
    code, out = inside(daemon)
    assert code != 0 and "inside" not in out and ("permitted" in out or "denied" in out), out
