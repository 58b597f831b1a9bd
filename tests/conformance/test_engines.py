"""bryo-oci under other engines: forty ordinary jobs under dockerd (which starts it through containerd's shim), with and without
--userns-remap, and under podman. Each job is what a user types; nothing in it knows which runtime carries it out.

BRYO_CONFORMANCE_RUNTIME=/usr/sbin/runc runs them with another runtime: a job that fails with that one, too, is a wrong job. (Where the machine
lacks CAP_SYS_RESOURCE, runc fails `privileged` and `ulimit`.)
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.daemon import BIN, DOCKERD, Daemon
from tests.support.images import BUILD
from tests.support.waiting import wait_for

RUNTIME = Path(os.environ.get("BRYO_CONFORMANCE_RUNTIME", BIN / "bryo-oci"))
SCRATCH = Path(os.environ.get("BRYO_TEST_SCRATCH", "/nonexistent"))
IMAGE = "busybox"


class Engine:
    """A command line that speaks as docker does."""

    def __init__(self, command, mapped=False, has_init=True, has_cgroups=True):
        self.command, self.mapped, self.has_init, self.has_cgroups = [str(word) for word in command], mapped, has_init, has_cgroups

    def do(self, *arguments, status=0, stdin=None, timeout=60):
        done = subprocess.run([*self.command, *map(str, arguments)], capture_output=True, text=True, errors="replace", timeout=timeout,
                              input=stdin if stdin is not None else "")
        if status is not None:
            assert done.returncode == status, f"{' '.join(map(str, arguments))}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def run(self, *arguments, **more):
        return self.do("run", "--rm", "--network=none", *arguments, **more)

    def out(self, *arguments, **more):
        return self.run(*arguments, **more).stdout

    def start(self, *arguments):
        return self.do("run", "-d", "--network=none", *arguments).stdout.strip()

    def remove(self, container):
        self.do("kill", container, status=None)  # podman would give it ten seconds
        self.do("rm", "-f", container)


def archive():
    path = SCRATCH / "busybox.tar"
    if not path.exists():
        subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{BUILD}/oci/library/busybox:latest", f"docker-archive:{path}:{IMAGE}:latest"], check=True)
    return path


@pytest.fixture(scope="module", params=["dockerd", "dockerd-remapped"])
def dockerd(request):
    mapped = request.param == "dockerd-remapped"
    # No bridge and no rules: they would outlive it and meet those of the engine that other tests start.
    flags = [f"--add-runtime=bryo={RUNTIME}", "--default-runtime=bryo", "--bridge=none", "--iptables=false", *(["--userns-remap=dockremap"] if mapped else [])]
    daemon = Daemon(DOCKERD, SCRATCH / f"conformance-{request.param}", flags)
    try:
        daemon.start()
        engine = Engine(["docker", "-H", daemon.url], mapped)
        engine.do("load", "-i", archive())
        yield engine
    finally:
        daemon.close()


def ordinary_user(home):
    """The start of a command line that runs as a user with subordinate ids and nothing else."""
    uid, ids = 2345, "bob:300000:65536\n"
    for file, line in (("passwd", f"bob:x:{uid}:{uid}::{home}:/bin/sh\n"), ("group", f"bob:x:{uid}:\n"), ("subuid", ids), ("subgid", ids)):
        with open(f"/etc/{file}", "a") as out:
            out.write(line)
    home.mkdir()
    os.chown(home, uid, uid)
    SCRATCH.chmod(0o755)
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "env", "-C", home, f"HOME={home}", f"XDG_RUNTIME_DIR={home}"]


@pytest.fixture(scope="module", params=["podman", "podman-rootless"])
def podman(request):
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    root, before = SCRATCH / request.param, []
    if request.param == "podman-rootless":
        before = ordinary_user(root)
    engine = Engine([*before, "podman", "--root", root / "root", "--runroot", root / "run", "--runtime", RUNTIME, "--cgroup-manager=cgroupfs",
                     "--storage-driver=overlay", "--events-backend=file"], has_init=Path("/usr/libexec/podman/catatonit").exists(),
                    has_cgroups=not before or Path("/sys/fs/cgroup/cgroup.controllers").exists())
    engine.do("load", "-i", archive())
    yield engine
    engine.do("rm", "-af", status=None)
    subprocess.run(["umount", "-l", root / "root/overlay"], stderr=subprocess.DEVNULL)
    shutil.rmtree(root, ignore_errors=True)


def needs_cgroups(e):
    if not e.has_cgroups:
        pytest.skip("podman itself refuses or ignores this without root on cgroup v1")


# --- the jobs: functions of the engine


def says_hello(e):
    assert e.out(IMAGE, "echo", "hello") == "hello\n"


def exit_code_is_passed_on(e):
    e.run(IMAGE, "sh", "-c", "exit 7", status=7)


def missing_command_is_127(e):
    e.run(IMAGE, "/no/such/command", status=127)


def directory_as_command_is_126(e):
    e.run(IMAGE, "/etc", status=126)


def killed_by_a_signal(e):
    e.run(IMAGE, "sh", "-c", "sh -c 'kill -9 $$'; exit $?", status=137)


def stdout_and_stderr_are_apart(e):
    done = e.run(IMAGE, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def stdin_is_read(e):
    assert e.do("run", "--rm", "-i", "--network=none", IMAGE, "cat", stdin="line\n").stdout == "line\n"


def environment(e):
    assert e.out("-e", "A=b c", IMAGE, "sh", "-c", "echo $A") == "b c\n"


def working_directory(e):
    assert e.out("-w", "/var/www", IMAGE, "pwd") == "/var/www\n"


def user_by_number(e):
    assert e.out("-u", "1000:1001", IMAGE, "sh", "-c", "id -u; id -g") == "1000\n1001\n"


def user_by_name(e):
    assert e.out("-u", "daemon", IMAGE, "id", "-u") == "1\n"


def additional_groups(e):
    assert "4242" in e.out("--group-add", "4242", IMAGE, "id", "-G").split()


def hostname(e):
    assert e.out("--hostname", "pebble", IMAGE, "hostname") == "pebble\n"


def own_pid_namespace(e):
    assert e.out(IMAGE, "sh", "-c", "echo $$") == "1\n"


def init_reaps(e):
    if not e.has_init:
        pytest.skip("this engine's own init program is not installed")
    assert e.out("--init", IMAGE, "sh", "-c", "echo $$") != "1\n"


def read_only_root(e):
    assert e.run("--read-only", IMAGE, "touch", "/x", status=1).returncode == 1


def tmpfs(e):
    assert "tmpfs" in e.out("--tmpfs", "/scratch:size=1m", IMAGE, "df", "/scratch")


def bind_mount(e):
    directory = SCRATCH / "bind"
    directory.mkdir(exist_ok=True)
    (directory / "file").write_text("of the host")
    assert e.out("-v", f"{directory}:/data:ro", IMAGE, "cat", "/data/file") == "of the host"


def read_only_bind_mount(e):
    directory = SCRATCH / "bind"
    directory.mkdir(exist_ok=True)
    e.run("-v", f"{directory}:/data:ro", IMAGE, "touch", "/data/new", status=1)


def volume(e):
    e.run("-v", "keep:/data", IMAGE, "sh", "-c", "echo kept > /data/file")
    assert e.out("-v", "keep:/data", IMAGE, "cat", "/data/file") == "kept\n"
    e.do("volume", "rm", "keep")


def shm_size(e):
    assert "8.0M" in e.out("--shm-size", "8m", IMAGE, "df", "-h", "/dev/shm")


def default_devices(e):
    assert e.out(IMAGE, "sh", "-c", "echo x > /dev/null && head -c 3 /dev/zero | wc -c && test -c /dev/urandom && echo all") == "3\nall\n"


def device_of_the_host(e):
    if not e.mapped:
        assert "crw" in e.out("--device", "/dev/full:/dev/myfull", IMAGE, "ls", "-l", "/dev/myfull")


def capability_dropped(e):
    e.run("--cap-drop", "CHOWN", IMAGE, "chown", "1:1", "/tmp", status=1)


def capabilities_are_docker_s(e):
    assert int(e.out(IMAGE, "sh", "-c", "grep CapEff /proc/self/status").split()[1], 16) & (1 << 21) == 0  # no CAP_SYS_ADMIN


def no_new_privileges(e):
    assert "NoNewPrivs:\\t1".encode().decode("unicode_escape") in e.out("--security-opt", "no-new-privileges", IMAGE, "grep", "NoNewPrivs", "/proc/self/status")


def seccomp_filters(e):
    assert e.out(IMAGE, "sh", "-c", "grep ^Seccomp: /proc/self/status").split()[1] == "2"


def seccomp_off(e):
    assert e.out("--security-opt", "seccomp=unconfined", IMAGE, "sh", "-c", "grep ^Seccomp: /proc/self/status").split()[1] == "0"


def masked_paths(e):
    assert e.out(IMAGE, "sh", "-c", "cat /proc/kcore | head -c 1 | wc -c") == "0\n"


def sysctl(e):
    assert e.out("--sysctl", "kernel.msgmax=9000", IMAGE, "cat", "/proc/sys/kernel/msgmax") == "9000\n"


def ulimit(e):
    assert e.out("--ulimit", "nofile=100:200", IMAGE, "sh", "-c", "ulimit -Sn; ulimit -Hn") == "100\n200\n"


def memory_limit_kills(e):
    needs_cgroups(e)
    e.run("--memory", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", "head -c 64m /dev/zero | tail", status=137)


def pids_limit_holds(e):
    needs_cgroups(e)
    done = e.run("--pids-limit", "5", IMAGE, "sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait", status=None)
    assert "can't fork" in done.stderr, done


def terminal(e):
    assert e.do("run", "--rm", "-t", "--network=none", IMAGE, "sh", "-c", "test -t 1 && echo tty").stdout.strip() == "tty"


def exec_runs_beside(e):
    container = e.start(IMAGE, "sleep", "100")
    assert "sleep 100" in e.do("exec", container, "ps").stdout
    e.do("exec", container, "sh", "-c", "exit 9", status=9)
    assert e.do("exec", "-u", "1000", "-w", "/tmp", "-e", "X=y", container, "sh", "-c", "id -u; pwd; echo $X").stdout == "1000\n/tmp\ny\n"
    assert e.do("exec", "-i", container, "cat", stdin="in").stdout == "in"
    assert e.do("exec", "-t", container, "tty").stdout.startswith("/dev/pts/")
    e.remove(container)


def stop_terminates(e):
    container = e.start(IMAGE, "sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done")
    wait_for(lambda: "ready" in e.do("logs", container).stdout, 10, "the trap is set")
    e.do("stop", "-t", "5", container)
    assert e.do("wait", container).stdout == "3\n"
    e.remove(container)


def kill_sends_signals(e):
    container = e.start(IMAGE, "sh", "-c", "trap 'echo got it' USR1; echo ready; while :; do sleep 0.1; done")
    wait_for(lambda: "ready" in e.do("logs", container).stdout, 10, "the trap is set")
    e.do("kill", "-s", "USR1", container)
    wait_for(lambda: "got it" in e.do("logs", container).stdout, 10, "the signal arrives")
    e.remove(container)


def pause_and_unpause(e):
    needs_cgroups(e)
    container = e.start(IMAGE, "sh", "-c", "while :; do date; sleep 0.05; done")
    e.do("pause", container)
    before = e.do("logs", container).stdout
    time.sleep(0.4)
    assert e.do("logs", container).stdout == before
    e.do("unpause", container)
    wait_for(lambda: e.do("logs", container).stdout != before, 10, "it goes on")
    e.remove(container)


def restart(e):
    container = e.start(IMAGE, "sh", "-c", "echo begun; sleep 100")
    e.do("restart", "-t", "0", container)
    wait_for(lambda: e.do("logs", container).stdout == "begun\n" * 2, 10, "it began twice")
    e.remove(container)


def top_and_stats(e):
    needs_cgroups(e)
    container = e.start(IMAGE, "sleep", "100")
    assert "sleep 100" in e.do("top", container).stdout
    assert "%" in e.do("stats", "--no-stream", container).stdout
    e.remove(container)


def update_of_limits(e):
    needs_cgroups(e)
    container = e.start("--memory", "64m", "--memory-swap", "64m", IMAGE, "sleep", "100")
    e.do("update", "--memory", "32m", "--memory-swap", "32m", container)
    e.remove(container)


def privileged(e):
    if not e.mapped:
        assert int(e.out("--privileged", IMAGE, "sh", "-c", "grep CapEff /proc/self/status").split()[1], 16) & (1 << 12)  # CAP_NET_ADMIN


def shared_namespaces(e):
    first = e.start("--ipc=shareable", IMAGE, "sleep", "100")
    assert "sleep 100" in e.out(f"--pid=container:{first}", IMAGE, "ps")
    e.remove(first)


JOBS = [
    says_hello, exit_code_is_passed_on, missing_command_is_127, directory_as_command_is_126, killed_by_a_signal, stdout_and_stderr_are_apart,
    stdin_is_read, environment, working_directory, user_by_number, user_by_name, additional_groups, hostname, own_pid_namespace, init_reaps,
    read_only_root, tmpfs, bind_mount, read_only_bind_mount, volume, shm_size, default_devices, device_of_the_host, capability_dropped,
    capabilities_are_docker_s, no_new_privileges, seccomp_filters, seccomp_off, masked_paths, sysctl, ulimit, memory_limit_kills,
    pids_limit_holds, terminal, exec_runs_beside, stop_terminates, kill_sends_signals, pause_and_unpause, restart, top_and_stats,
    update_of_limits, privileged, shared_namespaces,
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__)
def test_under_dockerd(dockerd, job):
    job(dockerd)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__)
def test_under_podman(podman, job):
    job(podman)
