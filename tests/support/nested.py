"""What runs in a container that was started with --security-opt nested: an engine, and a container of that engine.

Scripts for busybox's sh. The container has /images/busybox.tar, a volume on /data, and the programs of the host where they are.
"""

# `--rootless`: on version 1 of cgroups nobody but root may make any, and that is how dockerd does without. It wants to see them
# nevertheless, which a cgroup namespace of the container's own allows. With an argument: without a second and a third container.
DOCKERD = r"""
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
docker run --rm -p 8081:80 busybox sh -c 'echo inside; ip -o addr show eth0' || { tail -20 /data/log; exit 1; }
[ $# = 0 ] || exit 0
docker run -d --name web -p 8080:80 busybox sh -c 'echo hello >/tmp/index.html; exec httpd -f -h /tmp' >/dev/null &&
address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' web) &&
docker run --rm busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://$0/ && exit; sleep 0.3; done; exit 1' $address &&
wget -q -O - http://127.0.0.1:8080/ && docker rm -f web || { tail -20 /data/log; exit 1; }
"""

# With the programs of Bryo in /engine. "$@": options of the run inside.
BRYOD = r"""
set -e
mkdir -p /run /tmp
/engine/bryod --data-root /data -H unix:///run/inner.sock >/data/log 2>&1 &
for i in $(seq 300); do [ -S /run/inner.sock ] && break; kill -0 $! || { cat /data/log; exit 1; }; sleep 0.1; done
export BRYO_HOST=unix:///run/inner.sock
/engine/bryo load -q -i /images/busybox.tar || { cat /data/log; exit 1; }
/engine/bryo run --rm "$@" busybox sh -c 'echo inside; cat /proc/self/uid_map; ip -o addr show eth0; cat /sys/fs/cgroup/memory.max 2>/dev/null || true' || { cat /data/log; exit 1; }
/engine/bryo info --format '{{.Driver}} {{.SecurityOptions}}'
"""


def check_dockerd(code, out):
    assert code == 0, out
    assert "driver overlay2 cgroups none" in out and "inside" in out and "inet 172." in out, out


def check_bryod(code, out):
    assert code == 0, out
    assert "inside" in out and "inet 172." in out and "overlay2" in out, out
