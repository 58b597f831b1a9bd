"""bryo-rootless: rootlesskit's command line, environment, state directory and API, as an ordinary user with nothing but newuidmap.

Its own clients judge it: nsenter, rootlessctl, rootlesskit-docker-proxy, and Debian's dockerd, whose rootless mode needs rootlesskit.
"""

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import users
from tests.support.rootless import BRYO_ROOTLESS, alive, children, default_route, name_of  # noqa: F401 (a fixture)
from tests.support.rootless_command import NETWORKS, ask, no_engine_of_root, outside_address, penguin, run, server, start  # noqa: F401 (fixtures)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.bryo_only


def temporary_state_directories():
    return set(Path("/tmp").glob("bryo-rootless-*"))


# --- the command


def test_command_is_root_with_all_subordinate_ids(run):
    shown = run("sh", "-c", "id -u; id -g; id -G; cat /proc/self/uid_map /proc/self/gid_map").stdout.split()
    ids = ["0", "1001", "1", "1", str(users.FIRST_ID), str(users.IDS)]
    assert shown == ["0", "0", "0", *ids, *ids]


def test_environment_is_rootlesskits(run, penguin):
    shown = dict(line.split("=", 1) for line in run("env").stdout.splitlines())
    assert shown["ROOTLESSKIT_PARENT_EUID"] == "1001" and shown["ROOTLESSKIT_PARENT_EGID"] == "1001"
    assert shown["ROOTLESSKIT_STATE_DIR"].startswith("/")
    assert {key: shown[key] for key in penguin.environment()} == penguin.environment()


@pytest.mark.parametrize("command, status", [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
@pytest.mark.parametrize("flags", [[], ["--pidns"], ["--net=none"]])
def test_exit_status_is_the_commands(run, flags, command, status):
    assert run(*flags, "sh", "-c", command).returncode == status


def test_command_that_cannot_run(run):
    missing = run("no-such-program")
    assert (missing.returncode, "no-such-program" in missing.stderr, "PATH" in missing.stderr) == (127, True, True)
    assert run("/etc/passwd").returncode == 126
    assert run("/no/such/file").returncode == 127


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT])
@pytest.mark.parametrize("flags", [[], ["--pidns"]])
def test_signals_reach_the_command(start, number, flags):
    # SIGHUP of a shell is $name; the loop lets a trap run at once.
    name = number.name.removeprefix("SIG")
    rootless = start(*flags, "sh", "-c", f"trap 'echo got {name}; exit 33' {name}; echo ready; while true; do sleep 0.05; done")
    wait_for(lambda: "ready" in rootless.output())
    os.kill(rootless.pid, number)
    assert rootless.wait() == 33
    assert rootless.output().count(f"got {name}") == 1


def test_signal_of_the_terminal_reaches_the_command_once(penguin, tmp):
    marks = tmp / "marks"
    marks.touch()
    marks.chmod(0o666)
    script = ("import os, signal, sys, time; out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND); "
              "signal.signal(signal.SIGINT, lambda *_: os.write(out, b'x ')); os.write(out, b'ready '); end = time.monotonic() + 1\n"
              "while time.monotonic() < end: time.sleep(0.01)")
    pid, terminal = pty.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(penguin.gid, penguin.gid, penguin.gid)
        os.setresuid(penguin.uid, penguin.uid, penguin.uid)
        os.execve(BRYO_ROOTLESS, [BRYO_ROOTLESS, "/usr/bin/python3", "-c", script, str(marks)], penguin.environment())
    wait_for(lambda: "ready" in marks.read_text())
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert marks.read_text().split() == ["ready", "x"]


def test_orphans_are_reaped_in_a_pid_namespace(run):
    script = "(sh -c 'sleep 0.1' &) ; sleep 0.5; cat /proc/[0-9]*/stat | grep -c ' Z '; echo $$; cat /proc/1/comm"
    shown = run("--pidns", "sh", "-c", script).stdout.split()
    assert shown == ["0", "2", "bryo-rootless"]


def test_listening_sockets_of_systemd_are_handed_on(run):
    script = ("import os, sys; os.environ['LISTEN_FDS'] = '1'; os.environ['LISTEN_PID'] = str(os.getpid()); os.dup2(1, 3, inheritable=True); "
              "os.execv(sys.argv[1], [*sys.argv[1:]])")
    shown = subprocess.run(["/usr/bin/python3", "-c", script, BRYO_ROOTLESS, "sh", "-c", "echo through the socket >&3; [ $LISTEN_PID = $$ ]"],
                           capture_output=True, text=True, **users.make("penguin").popen())
    assert (shown.returncode, shown.stdout) == (0, "through the socket\n"), shown.stderr


# --- namespaces and files


def test_namespaces_are_the_wanted_ones(run):
    def namespaces(*flags):
        return dict(line.split(":", 1) for line in run(*flags, "sh", "-c", "for n in user mnt net uts ipc cgroup pid; do readlink "
                                                       "/proc/self/ns/$n; done").stdout.split())

    own = {name: os.readlink(f"/proc/self/ns/{name}").split(":")[1] for name in ("user", "mnt", "net", "uts", "ipc", "cgroup", "pid")}
    few = namespaces()
    assert {n for n in own if few[n] != own[n]} == {"user", "mnt"}
    all_of_them = namespaces("--net=none", "--utsns", "--ipcns", "--cgroupns", "--pidns")
    assert {n for n in own if all_of_them[n] != own[n]} == set(own)


@pytest.mark.parametrize("mode", ["tmpfs+symlink", "overlay"])
def test_copied_up_directory_is_writable_and_shows_what_was_there(run, mode):
    script = ("rm /etc/hostname; echo changed >/etc/hostname; mkdir /etc/new; cat /etc/hostname; head -1 /etc/passwd; mkdir /run/fresh; "
              "ls /run/user/1001 >/dev/null && test -S $ROOTLESSKIT_STATE_DIR/api.sock && echo fine; test -L /etc/passwd && echo link")
    before = Path("/etc/hostname").read_text()
    done = run("--copy-up=/etc", "--copy-up=/run", f"--copy-up-mode={mode}", "sh", "-ec", script)
    lines = done.stdout.splitlines()
    assert lines[:1] == ["changed"] and lines[1].startswith("root:") and lines[2] == "fine", done.stderr
    assert ("link" in lines) == (mode == "tmpfs+symlink")
    assert Path("/etc/hostname").read_text() == before and not Path("/etc/new").exists() and not Path("/run/fresh").exists()


def test_copying_up_what_is_not_there(run):
    done = run("--copy-up=/no/such/directory", "true")
    assert done.returncode == 1 and "/no/such/directory" in done.stderr


def test_mounts_stay_inside_and_the_hosts_come_in_when_asked(start):
    for propagation, seen in (("rprivate", False), ("rslave", True)):
        point = Path("/run", f"mount-{propagation}")
        subprocess.run(["mount", "--make-rshared", "/run"], check=True)
        rootless = start(f"--propagation={propagation}", "sh", "-c", "mount -t tmpfs none /mnt; sleep 1000").wait_running()
        point.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
        try:
            mounts = rootless.enter("cat", "/proc/self/mounts", flags=("-m",)).stdout
            assert (str(point) in mounts) == seen
            wait_for(lambda: " /mnt " in rootless.enter("cat", "/proc/self/mounts", flags=("-m",)).stdout)
            assert " /mnt " not in Path("/proc/self/mounts").read_text()
        finally:
            subprocess.run(["umount", point], check=True)
            rootless.process.terminate()
            rootless.wait()


def test_evacuation_of_a_cgroup(penguin):
    """In a mount namespace where cgroup v2 is where it belongs. Which controllers there are is the machine's business."""
    name = f"evacuate-{os.getpid()}"
    flags = "--pidns --cgroupns --evacuate-cgroup2=evac"
    script = f"""set -e
        mount -t cgroup2 none /sys/fs/cgroup
        own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)
        mkdir $own/{name}
        chown {penguin.uid} $own/{name} $own/{name}/cgroup.procs $own/{name}/cgroup.subtree_control
        (echo 0 >$own/{name}/cgroup.procs; exec setpriv --reuid={penguin.uid} --regid={penguin.gid} --clear-groups {BRYO_ROOTLESS} {flags} \\
            sh -c 'cat /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs; ls -d /sys/fs/cgroup/evac')
        until rmdir $own/{name}/evac $own/{name}; do sleep 0.02; done"""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, env=penguin.environment(), timeout=30)
    shown = [line for line in done.stdout.splitlines() if line.startswith(("0::", "/"))]
    assert shown == ["0::/evac", "/sys/fs/cgroup/evac"], done.stdout + done.stderr


# --- state directory


def test_nsenter_with_child_pid(start):
    rootless = start("--net=none", "--pidns", "sh", "-c", "mount -t tmpfs none /mnt; touch /mnt/mark; sleep 1000").wait_running()
    wait_for(lambda: rootless.enter("test", "-e", "/mnt/mark").returncode == 0)
    assert not Path("/mnt/mark").exists()
    shown = rootless.enter("sh", "-c", "id -u; ls /sys/class/net")
    assert shown.stdout.split() == ["0", "lo"], shown.stderr
    # As seed 004 does it.
    assert rootless.account.run("nsenter", "-U", "-n", "-t", rootless.child, "ls", "/proc/self/task").returncode == 0
    assert (rootless.state.stat().st_mode & 0o777, (rootless.state / "api.sock").stat().st_mode & 0o777) == (0o700, 0o600)
    rootless.process.terminate()
    assert rootless.wait() == 143
    assert not rootless.state.exists()


def test_one_bryo_rootless_in_a_state_directory(start):
    first = start("sleep", "1000").wait_running()
    second = start("true", state=first.state)
    assert second.wait() == 1
    assert "in use" in second.output() and str(first.state) in second.output()
    assert first.state.exists() and first.info()["childPID"] == first.child


def test_what_others_put_into_the_state_directory_stays(start):
    rootless = start("sh", "-c", "echo mine >$ROOTLESSKIT_STATE_DIR/note")
    assert rootless.wait() == 0
    assert [file.name for file in rootless.state.iterdir()] == ["note"]
    shutil.rmtree(rootless.state)


def test_state_directory_of_another_user_is_refused(start, tmp):
    other = tmp / "state"
    other.mkdir(mode=0o777)
    other.chmod(0o777)
    rootless = start("true", state=other)
    assert rootless.wait() == 1 and "belongs to user 0" in rootless.output()


# --- what goes wrong


def test_clear_errors(run, penguin):
    def error(*words):
        done = run(*words)
        assert done.returncode == 1 and done.stdout == ""
        return done.stderr

    assert "unknown flag --nosuch" in error("--nosuch", "true")
    assert "no command" in error("--pidns")
    assert "--net=bogus" in error("--net=bogus", "true")
    assert "--port-driver" in error("--net=slirp", "-p", "80:80/tcp", "true")
    if not shutil.which("vpnkit"):
        assert "vpnkit" in error("--net=vpnkit", "true") and "not installed" in error("--net=vpnkit", "true")


def test_no_subordinate_ids(run, penguin):
    saved = {file: Path(file).read_text() for file in ("/etc/subuid", "/etc/subgid")}
    try:
        for file in saved:
            Path(file).write_text("somebody:100000:65536\n")
            done = run("true")
            assert done.returncode == 1 and file in done.stderr and "usermod" in done.stderr
            Path(file).write_text(saved[file])
    finally:
        for file, text in saved.items():
            Path(file).write_text(text)


def test_no_newuidmap(penguin):
    """In a mount namespace where newuidmap is an empty file."""
    script = f"mount --bind /dev/null /usr/bin/newuidmap; exec setpriv --reuid=1001 --regid=1001 --clear-groups {BRYO_ROOTLESS} true"
    before = temporary_state_directories()
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, env=penguin.environment())
    assert done.returncode == 1 and "newuidmap" in done.stderr
    assert temporary_state_directories() == before


@pytest.mark.parametrize("source", ["auto", "static", "dynamic"])
def test_sources_of_subordinate_ids(run, source):
    assert str(users.FIRST_ID) in run(f"--subid-source={source}", "cat", "/proc/self/uid_map").stdout


# --- nothing is left behind


@pytest.mark.parametrize("flags", [[], ["--pidns"], ["--net=slirp"], ["--net=slirp4netns", "--pidns"]])
@pytest.mark.parametrize("victim", ["parent", "child"])
def test_killed_processes_leave_nothing(start, flags, victim):
    rootless = start(*flags, "sh", "-c", "setsid sleep 1001 & (sleep 1002 &); sleep 1003").wait_running()
    wait_for(lambda: sum(name_of(pid) == "sleep" for pid in children(rootless.pid)) == 3)
    tree = children(rootless.pid)
    os.kill(rootless.pid if victim == "parent" else rootless.child, signal.SIGKILL)
    rootless.wait()
    wait_for(lambda: not [pid for pid in tree if alive(pid)], what="an end of the whole tree")
    wait_for(lambda: not rootless.state.exists(), what="an end of the state directory")
    if victim == "child":
        assert rootless.process.returncode == 137


def test_killed_group_leaves_nothing(start):
    rootless = start("--net=slirp", "sh", "-c", "sleep 1001", start_new_session=True).wait_running()
    tree = children(rootless.pid)
    os.killpg(rootless.pid, signal.SIGKILL)
    wait_for(lambda: not [pid for pid in tree if alive(pid)], what="an end of the whole tree")


# --- networks


@pytest.mark.parametrize("kind", NETWORKS)
def test_interface_addresses_and_names(start, kind):
    rootless = start(f"--net={kind}", "--cidr=10.9.0.0/24", "--mtu=1400", "--ifname=eth7", "sleep", "1000").wait_running()
    link = json.loads(rootless.enter("ip", "-j", "address", "show", "eth7").stdout)[0]
    assert link["mtu"] == 1400 and "10.9.0.100" in [address["local"] for address in link["addr_info"]]
    assert "default via 10.9.0.2 dev eth7" in rootless.enter("ip", "route").stdout
    assert rootless.enter("cat", "/etc/resolv.conf").stdout.splitlines()[0] == "nameserver 10.9.0.3"
    assert rootless.info()["networkDriver"] == {"driver": "builtin" if kind == "slirp" else kind, "dns": ["10.9.0.3"], "childIP": "10.9.0.100"}


@pytest.mark.parametrize("kind", NETWORKS)
def test_name_server_file_is_written_into_a_copy_of_etc(run, kind):
    before = Path("/etc/resolv.conf").read_text()
    done = run(f"--net={kind}", "--copy-up=/etc", "sh", "-c", "cat /etc/resolv.conf; rm /etc/resolv.conf && echo removed")
    assert done.stdout.startswith("nameserver 10.0.2.3\n") and done.stdout.endswith("removed\n")
    assert Path("/etc/resolv.conf").read_text() == before


@pytest.mark.parametrize("kind", NETWORKS)
def test_host_is_reached_and_its_loopback_only_when_open(run, server, outside_address, kind):
    running = subprocess.Popen(server("tcp", 7017))
    ask_inside = "import socket; s = socket.create_connection(('{}', 7017), 3); s.send(b'x'); print(s.recv(100))"
    try:
        wait_for(lambda: ask("127.0.0.1", 7017))
        inside = run(f"--net={kind}", "--disable-host-loopback", "python3", "-c", ask_inside.format(outside_address))
        assert inside.returncode == 0, inside.stderr
        assert run(f"--net={kind}", "python3", "-c", ask_inside.format("10.0.2.2")).returncode == 0
        assert run(f"--net={kind}", "--disable-host-loopback", "python3", "-c", ask_inside.format("10.0.2.2")).returncode != 0
    finally:
        running.kill()
        running.wait()


def test_pasta(start, default_route):
    rootless = start("--net=pasta", "--disable-host-loopback", "sleep", "1000").wait_running()
    network = rootless.info()["networkDriver"]
    assert network["driver"] == "pasta"
    assert network["childIP"] in rootless.enter("ip", "-4", "address", "show", "tap0").stdout
    assert rootless.enter("cat", "/etc/resolv.conf").stdout.startswith(f"nameserver {network['dns'][0]}\n")
    rootless.process.terminate()
    assert rootless.wait() == 143


def test_no_network(run):
    assert run("--net=none", "ls", "/sys/class/net").stdout.split() == ["lo"]
    assert "UP" in run("--net=none", "ip", "link", "show", "lo").stdout


def test_detached_network_namespace(start):
    rootless = start("--net=slirp", "--detach-netns", "sh", "-c", "readlink /proc/self/ns/net; nsenter --net=$ROOTLESSKIT_STATE_DIR/netns ip "
                     "-4 address show tap0; sleep 1000").wait_running()
    wait_for(lambda: "10.0.2.100" in rootless.output())
    assert rootless.output().count(os.readlink("/proc/self/ns/net")) == 1
    rootless.process.terminate()
    rootless.wait()
    assert not rootless.state.exists()


@pytest.mark.parametrize("kind", NETWORKS)
def test_network_process_that_ends_is_started_again(start, kind):
    program = "bryo-usernet" if kind == "slirp" else kind
    rootless = start(f"--net={kind}", "sleep", "1000").wait_running()

    def running():
        return [pid for pid in children(rootless.pid) if alive(pid) and program in Path(f"/proc/{pid}/comm").read_text()]

    before = running()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: running() and not set(running()) & set(before), what=f"a new {program}")
    wait_for(lambda: "10.0.2.100" in rootless.enter("ip", "-4", "address", "show", "tap0").stdout)
