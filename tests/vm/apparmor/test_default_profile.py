"""The profile of root's containers: who gets it, what it forbids, what goes on working."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support import nested
from tests.support.waiting import wait_for
from tests.vm.apparmor.conftest import loaded
from tests.vm.people import PAYLOAD, sh

NAME = "bryo-default"
BINDS = [f"{PAYLOAD}/bin:/engine:ro", f"{PAYLOAD}:/images:ro", *(f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64"))]


@pytest.fixture(scope="module", params=["", "--userns-remap dockremap"], ids=["unmapped", "mapped"])
def engine(request, root):
    sh("useradd", "--system", "dockremap") if request.param == "" else None
    for file in ("/etc/subuid", "/etc/subgid"):
        if "dockremap" not in Path(file).read_text():
            with open(file, "a") as out:
                out.write("dockremap:300000:65536\n")
    subprocess.run(["groupadd", "--system", "bryo"], check=False)
    if request.param:  # and as Ubuntu has it: the engine's programs have a profile, too
        sh("apparmor_parser", "--replace", "--skip-cache", PAYLOAD / "apparmor/bryo")
    root.start(request.param)
    assert label_of(sh("systemctl", "show", "-P", "MainPID", "bryo.service").strip()) == ("bryo (unconfined)" if request.param else "unconfined")
    root.load_image()
    root.mapped = bool(request.param)
    # What a process is that no profile confines.
    root.none = "bryo (unconfined)" if root.mapped else "unconfined"
    yield root
    sh("systemctl", "stop", "bryo.service", "bryo.socket")


@pytest.fixture(autouse=True)
def nothing_left(engine):
    yield
    engine.run("rm", "-f", "box", "web", "outer")


def label_of(pid):
    return Path(f"/proc/{pid}/attr/current").read_text().strip()


def is_default(text):
    """With kernel.apparmor_restrict_unprivileged_unconfined the kernel stacks it for whom is not the host's root."""
    return text in (f"{NAME} (enforce)", f"{NAME}//&unconfined (enforce)")


def confined(engine, *options):
    """(label, what inspect calls it) of a container with these options."""
    engine.bryo("run", "-d", "--name", "box", *options, "busybox", "sleep", "600")
    seen = label_of(engine.bryo("inspect", "-f", "{{.State.Pid}}", "box")), engine.bryo("inspect", "-f", "{{.AppArmorProfile}}", "box")
    engine.bryo("rm", "-f", "box")
    return seen


def test_who_gets_it(engine):
    assert NAME in loaded()
    text, told = confined(engine)
    assert is_default(text) and told == NAME, (text, told)
    for options in (("--security-opt", "apparmor=unconfined"), ("--privileged",)):
        assert confined(engine, *options) == (engine.none, "unconfined")
    text, told = confined(engine, "--security-opt", "apparmor=docker-default")
    assert is_default(text), "Docker's name for what an engine gives"
    assert "name=apparmor" in json.loads(engine.bryo("info", "--format", "{{json .SecurityOptions}}"))


def test_an_exec_gets_it(engine):
    engine.bryo("run", "-d", "--name", "box", "busybox", "sleep", "600")
    assert is_default(engine.bryo("exec", "box", "cat", "/proc/self/attr/current"))
    assert engine.bryo("exec", "--privileged", "box", "cat", "/proc/self/attr/current") == engine.none
    engine.bryo("rm", "-f", "box")


# With everything else that stands in the way taken away: what fails here, fails by the profile.
OPEN = ("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined", "--cap-add", "ALL")
FORBIDDEN = ["mount -t tmpfs none /tmp", "echo 100 >/proc/sys/kernel/hung_task_timeout_secs", "echo core >/proc/sys/kernel/core_pattern", "echo /sbin/modprobe >/proc/sys/kernel/modprobe",
             "echo 1 >/proc/sys/vm/drop_caches", "echo h >/proc/sysrq-trigger", "head -c 9 /proc/kcore", "echo 3 >/proc/irq/default_smp_affinity", "ls /sys/firmware/acpi"]


def test_what_it_forbids(engine):
    engine.bryo("run", "-d", "--name", "box", *OPEN, "busybox", "sleep", "600")
    for command in FORBIDDEN:
        done = engine.run("exec", "box", "sh", "-c", command)
        assert done.returncode != 0 and "ermission denied" in done.stderr, (command, done)


def test_without_it_only_a_map_stands_in_the_way(engine):
    """The test above tests the profile."""
    engine.bryo("run", "-d", "--name", "box", "--privileged", "busybox", "sleep", "600")
    failed = [command for command in FORBIDDEN if engine.run("exec", "box", "sh", "-c", command).returncode != 0]
    assert not failed or (engine.mapped and FORBIDDEN[0] not in failed), failed


ASK_FOR_SOCKETS = """
import socket
for family, kind in ((socket.AF_ALG, socket.SOCK_SEQPACKET), (socket.AF_VSOCK, socket.SOCK_STREAM)):
    try:
        socket.socket(family, kind)
        print(0)
    except OSError as error:
        print(error.errno)
"""


def test_families_of_sockets_that_the_seccomp_profile_cannot_see(engine):
    def answers(*options):
        tools = [word for path in ("/usr", "/lib", "/lib64") for word in ("-v", f"{path}:{path}:ro")]
        return engine.bryo("run", "--rm", *OPEN, *options, *tools, "busybox", "/usr/bin/python3", "-c", ASK_FOR_SOCKETS).split()

    assert answers() == [str(errno.EACCES)] * 2
    assert str(errno.EACCES) not in answers("--security-opt", "apparmor=unconfined")


WORKS = {
    "signals": "sleep 100 & kill $! && ! wait $!",
    "files": "mkdir -p /a/b && echo x >/a/b/c && ln /a/b/c /a/d && chown 5:5 /a/d && mv /a /e && rm -r /e",
    "own settings of a process": "echo 500 >/proc/self/oom_score_adj && cat /proc/self/status /proc/1/environ >/dev/null",
    "another user": "test $(su -s /bin/sh nobody -c 'id -u') = 65534",
    "a deleted file": "exec 3>/x; rm /x; echo y >&3",
}


def test_what_goes_on_working(engine):
    script = "; ".join(f"( {command} ) || echo 'fails: {name}'" for name, command in WORKS.items())
    assert engine.bryo("run", "--rm", "--init", "busybox", "sh", "-c", script) == ""
    engine.bryo("network", "create", "lan")
    engine.bryo("run", "-d", "--name", "web", "--init", "--network", "lan", "-p", "8082:80", "-v", "data:/data", "--sysctl", "net.core.somaxconn=77", "--health-cmd", "true", "--health-interval", "1s",
                "busybox", "sh", "-c", "echo hello >/data/index.html; exec httpd -f -h /data")
    wait_for(lambda: engine.run("exec", "web", "test", "-e", "/data/index.html").returncode == 0, 20)
    assert sh("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8082/") == "hello\n"
    assert engine.bryo("run", "--rm", "--network", "lan", "busybox", "wget", "-q", "-O", "-", "http://web/") == "hello"
    assert engine.bryo("run", "--rm", "--network", "lan", "busybox", "ping", "-c", "1", "-W", "5", "web").count("1 packets received") == 1
    assert engine.bryo("exec", "web", "cat", "/proc/sys/net/core/somaxconn") == "77"
    wait_for(lambda: engine.bryo("inspect", "-f", "{{.State.Health.Status}}", "web") == "healthy", 20)
    # Its neighbour in the same pid namespace; the host's root, by every way there is.
    engine.bryo("run", "--rm", "--pid", "container:web", "--security-opt", "no-new-privileges", "busybox", "sh", "-c", "kill -0 1 && grep -q . /proc/1/cmdline")
    assert "httpd" in engine.bryo("top", "web")
    engine.bryo("pause", "web")
    engine.bryo("unpause", "web")
    pid = int(engine.bryo("inspect", "-f", "{{.State.Pid}}", "web"))
    os.kill(pid, 0)
    os.readlink(f"/proc/{pid}/exe")
    engine.bryo("stop", "-t", "20", "web")
    assert engine.bryo("inspect", "-f", "{{.State.ExitCode}}", "web") == "143", "it was told to end, and did"
    engine.bryo("rm", "web")
    engine.bryo("network", "rm", "lan")


def test_an_engine_in_a_container(engine):
    if not engine.mapped:
        return  # refused there
    binds = [word for bind in BINDS for word in ("-v", bind)]
    engine.bryo("run", "-d", "--name", "outer", "--network", "none", "--security-opt", "nested", "-v", "inner:/data", *binds, "busybox", "sh", "-c", nested.BRYOD)
    wait_for(lambda: engine.bryo("inspect", "-f", "{{.State.Running}}", "outer") == "false", 120, "the end of what runs inside")
    logs = engine.run("logs", "outer")
    nested.check_bryod(int(engine.bryo("inspect", "-f", "{{.State.ExitCode}}", "outer")), logs.stdout + logs.stderr)
    assert engine.bryo("inspect", "-f", "{{.AppArmorProfile}}", "outer") == "unconfined"
    engine.bryo("rm", "-f", "-v", "outer")


def test_a_removed_profile_is_loaded_again(engine):
    Path("/sys/kernel/security/apparmor/.remove").write_text(NAME)
    assert NAME not in loaded()
    text, _ = confined(engine)
    assert is_default(text) and "is loaded again" in engine.log()


def test_a_restart_loads_it_only_when_it_must(engine):
    note = Path("/run/bryo/apparmor-profile")
    before = note.stat().st_mtime_ns
    sh("systemctl", "restart", "bryo.service")
    engine.bryo("version")
    assert note.stat().st_mtime_ns == before
    note.write_text("another version's")
    sh("systemctl", "restart", "bryo.service")
    engine.bryo("version")
    assert NAME in note.read_text()


def test_without_the_program_that_loads_it_the_log_says_so(engine):
    Path("/sys/kernel/security/apparmor/.remove").write_text(NAME)
    os.rename("/usr/sbin/apparmor_parser", "/usr/sbin/away")
    try:
        sh("systemctl", "restart", "bryo.service")
        assert confined(engine) == (engine.none, "")
        assert "Containers get no AppArmor profile unless they ask for one" in engine.log() and "apparmor_parser: this program is not installed" in engine.log(), engine.log()
        assert "name=apparmor" not in json.loads(engine.bryo("info", "--format", "{{json .SecurityOptions}}"))
    finally:
        os.rename("/usr/sbin/away", "/usr/sbin/apparmor_parser")
        sh("systemctl", "restart", "bryo.service")
    assert is_default(confined(engine)[0])
