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
from tests.support.daemon import BIN
from tests.support.rootless import BRYO_ROOTLESS, ROOTLESSKIT, Rootless, alive, children, default_route  # noqa: F401 (a fixture)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.bryo_only


@pytest.fixture(scope="module")
def penguin():
    if not Path(BRYO_ROOTLESS).exists():
        pytest.fail(f"{BRYO_ROOTLESS} is not built", pytrace=False)
    return users.make("penguin")


@pytest.fixture
def run(penguin):
    """run(words…) → the finished program."""
    return lambda *words, **options: penguin.run(BRYO_ROOTLESS, *words, **{"timeout": 60, **options})


@pytest.fixture
def start(penguin, tmp):
    started = []

    def one(*words, **options):
        started.append(Rootless(penguin, *words, log=tmp / f"log{len(started)}", **options))
        return started[-1]

    yield one
    for each in started:
        each.close()


@pytest.fixture(scope="module", autouse=True)
def no_engine_of_root():
    """What a dockerd of root, in tests before these, has left in /run, no other user can write."""
    for name in ("docker", "containerd", "runc"):
        shutil.rmtree(Path("/run", name), ignore_errors=True)


@pytest.fixture(scope="module")
def outside_address():
    """An address of the host that is not loopback's."""
    subprocess.run(["ip", "address", "replace", "192.0.2.1/32", "dev", "lo"], check=True)
    yield "192.0.2.1"
    subprocess.run(["ip", "address", "del", "192.0.2.1/32", "dev", "lo"], check=True)


def temporary_state_directories():
    return set(Path("/tmp").glob("bryo-rootless-*"))


def ask(address, port, text=b"hello\n", kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as client:
        client.settimeout(3)
        try:
            client.connect((address, port))
            client.send(text)
            return client.recv(100)
        except OSError as error:
            raise AssertionError(str(error)) from error


# What the servers inside answer: who asked, as the server sees it.
SERVER = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
with socket.socket(socket.AF_INET, kind) as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", int(sys.argv[2])))
    if kind == socket.SOCK_STREAM: server.listen()
    while True:
        if kind == socket.SOCK_DGRAM:
            _, peer = server.recvfrom(100)
            server.sendto(peer[0].encode(), peer)
        else:
            client, peer = server.accept()
            client.recv(100)
            client.sendall(peer[0].encode())
            client.close()
"""


@pytest.fixture
def server(tmp):
    file = tmp / "server.py"
    file.write_text(SERVER)
    file.chmod(0o644)
    return lambda protocol, port: ("/usr/bin/python3", str(file), protocol, str(port))


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
    wait_for(lambda: sum("sleep" in Path(f"/proc/{pid}/comm").read_text() for pid in children(rootless.pid)) == 3)
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


NETWORKS = ["slirp", "slirp4netns"]


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


# --- ports


PORTS = ["--net=slirp", "--port-driver=builtin"]


@pytest.mark.parametrize("protocol, kind", [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
def test_published_port(start, server, outside_address, protocol, kind):
    rootless = start(*PORTS, "--disable-host-loopback", "-p", f"8080:80/{protocol}", *server(protocol, 80)).wait_running()
    for address in ("127.0.0.1", "::1", outside_address):
        seen = wait_for(lambda: ask(address, 8080, kind=kind)).decode()
        # TCP: the client's own address (this one has the one that it talks to), or the command's own for a client of the host's
        # loopback, and never loopback's (CVE-2021-20199).
        assert seen == ("127.0.0.1" if protocol == "udp" else address if address == outside_address else "10.0.2.100")
    rootless.process.terminate()
    rootless.wait()
    with pytest.raises(AssertionError):
        ask("127.0.0.1", 8080, kind=kind)


def test_ports_through_rootlessctl(start, server, outside_address):
    rootless = start(*PORTS, *server("tcp", 80)).wait_running()
    assert rootless.ctl("add-ports", "127.0.0.1:8080:80/tcp", "0.0.0.0:8081:10.0.2.100:80/tcp").stdout.split() == ["1", "2"]
    assert [json.loads(line) for line in rootless.ctl("list-ports", "--json").stdout.splitlines()] == [
        {"id": 1, "spec": {"proto": "tcp", "parentIP": "127.0.0.1", "parentPort": 8080, "childPort": 80}},
        {"id": 2, "spec": {"proto": "tcp", "parentIP": "0.0.0.0", "parentPort": 8081, "childPort": 80, "childIP": "10.0.2.100"}},
    ]
    wait_for(lambda: ask("127.0.0.1", 8080))
    assert ask(outside_address, 8081)
    taken = rootless.ctl("add-ports", "127.0.0.1:8081:80/tcp")
    assert taken.returncode != 0 and "conflicts with ID 2" in taken.stderr
    assert rootless.ctl("remove-ports", "1").stdout.split() == ["1"]
    with pytest.raises(AssertionError):
        ask("127.0.0.1", 8080)
    assert ask("127.0.0.1", 8081)
    assert rootless.ctl("add-ports", "127.0.0.1:8080:80/tcp").stdout.split() == ["3"]
    assert ask("127.0.0.1", 8080)


def test_port_of_another_program_is_refused(start, penguin):
    with socket.create_server(("127.0.0.1", 8080)):
        rootless = start(*PORTS, "-p", "127.0.0.1:8080:80/tcp", "true")
        assert rootless.wait() == 1
        assert "address already in use" in rootless.output() and "127.0.0.1:8080:80/tcp" in rootless.output()


def test_low_port_says_which_sysctl(start):
    rootless = start(*PORTS, "-p", "127.0.0.1:80:80/tcp", "true")
    assert rootless.wait() == 1
    assert "net.ipv4.ip_unprivileged_port_start=80" in rootless.output()


def test_ports_survive_the_helper(start, server):
    rootless = start(*PORTS, "-p", "127.0.0.1:8080:80/tcp", *server("tcp", 80)).wait_running()
    wait_for(lambda: ask("127.0.0.1", 8080))
    helper = next(pid for pid in map(int, Path(f"/proc/{rootless.pid}/task/{rootless.pid}/children").read_text().split()) if pid != rootless.child)
    os.kill(helper, signal.SIGKILL)
    wait_for(lambda: not alive(helper))
    wait_for(lambda: ask("127.0.0.1", 8080))
    assert "10.0.2.100" in rootless.enter("ip", "-4", "address", "show", "tap0").stdout


def test_bytes_arrive_whole_and_halves_are_closed_one_by_one(start, tmp):
    data = os.urandom(1 << 20) * 16
    file = tmp / "echo.py"
    file.write_text("import socket\ns = socket.create_server(('0.0.0.0', 80))\nwhile True:\n  c, _ = s.accept()\n  data = bytearray()\n"
                    "  while piece := c.recv(1 << 16): data += piece\n  c.sendall(data); c.close()\n")
    file.chmod(0o644)
    rootless = start(*PORTS, "-p", "127.0.0.1:8080:80/tcp", "python3", file).wait_running()
    wait_for(lambda: "LISTEN" in rootless.enter("ss", "-ltn").stdout)
    with socket.create_connection(("127.0.0.1", 8080), 20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        back = bytearray()
        while piece := client.recv(1 << 16):
            back += piece
    assert back == data


# --- engines under it


def engine_line(account, *, data, program="dockerd --experimental --userland-proxy-path=/usr/bin/rootlesskit-docker-proxy"):
    return ("sh", "-ec", f"mkdir -p /run/docker; mount -t tmpfs none /run/docker; exec {program} --data-root {data}")


@pytest.fixture
def data(penguin, tmp):
    directory = tmp / "data"
    directory.mkdir()
    os.chown(directory, penguin.uid, penguin.gid)
    return directory


def docker(account, *words, **options):
    return account.run("docker", "-H", f"unix://{account.runtime}/docker.sock", *words, **{"timeout": 60, **options})


@pytest.fixture
def busybox(images, penguin, tmp):
    file = tmp / "busybox.tar"
    file.write_bytes(images("library/busybox"))
    file.chmod(0o644)
    return file


@pytest.mark.parametrize("kind", NETWORKS)
def test_debians_dockerd_runs_under_it(start, penguin, data, busybox, outside_address, kind):
    """Seed 002's line, with the flags that make it need nothing from root beforehand."""
    rootless = start(f"--net={kind}", "--copy-up=/etc", "--copy-up=/run", "--disable-host-loopback", "--port-driver=builtin",
                     *engine_line(penguin, data=data)).wait_running()
    wait_for(lambda: docker(penguin, "version").returncode == 0, 30)
    assert "rootless" in docker(penguin, "info").stdout
    assert docker(penguin, "load", "-i", busybox).returncode == 0
    assert docker(penguin, "run", "--rm", "busybox", "id", "-u").stdout == "0\n"
    serve = "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | nc -l -p 80; done"
    made = docker(penguin, "run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sh", "-c", serve)
    assert made.returncode == 0, made.stderr
    wait_for(lambda: b"hello" in ask(outside_address, 8080, b"GET / HTTP/1.0\r\n\r\n"))
    assert "8080" in rootless.ctl("list-ports").stdout
    assert docker(penguin, "rm", "-f", "web").returncode == 0
    wait_for(lambda: rootless.ctl("list-ports", "--json").stdout == "")
    rootless.process.terminate()
    assert rootless.wait(30) == 0
    assert not rootless.state.exists()


@pytest.mark.parametrize("program", [BRYO_ROOTLESS, ROOTLESSKIT])
def test_bryod_runs_under_it_and_under_rootlesskit(start, penguin, data, busybox, program):
    rootless = start("--net=slirp4netns", "--copy-up=/etc", "--copy-up=/run", "--disable-host-loopback",
                     *engine_line(penguin, data=data, program=str(BIN / "bryod")), program=program).wait_running()
    wait_for(lambda: docker(penguin, "version").returncode == 0, 30)
    assert docker(penguin, "load", "-i", busybox).returncode == 0
    done = docker(penguin, "run", "--rm", "busybox", "sh", "-c", "id -u; cat /proc/self/uid_map")
    assert done.stdout.split()[0] == "0", done.stderr
    # It uses the namespaces that are there.
    assert [pid for pid in children(rootless.pid) if "usernet" in Path(f"/proc/{pid}/comm").read_text()] == []
    rootless.process.terminate()
    rootless.wait(30)


def engine_of(rootless):
    return next(pid for pid in children(rootless.pid) if Path(f"/proc/{pid}/comm").read_text().strip() == "bryod")


SERVE = "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | nc -l -p 80; done"


@pytest.mark.parametrize("program", [BRYO_ROOTLESS, ROOTLESSKIT])
def test_ports_of_bryod_are_published_on_the_host(start, penguin, data, busybox, outside_address, program):
    """Through the API of what it runs in, as rootlesskit-docker-proxy does for dockerd; what a killed engine had is put right by the next."""
    gate = penguin.runtime / "gate"
    gate.touch()
    line = f"while sleep 0.1; do if [ -e {gate} ]; then {BIN}/bryod --data-root {data} || true; fi; done"
    rootless = start("--net=slirp4netns", "--copy-up=/etc", "--copy-up=/run", "--disable-host-loopback", "--port-driver=builtin",
                     "-p", "127.0.0.1:8099:99/tcp", "sh", "-c", line, program=program).wait_running()

    def outer():
        return sorted(f"{port['spec']['proto']} {port['spec']['parentIP']}:{port['spec']['parentPort']}" for port in json.loads(f"[{','.join(rootless.ctl('list-ports', '--json').stdout.splitlines())}]"))

    def answers(port):
        return b"hello" in ask(outside_address, port, b"GET / HTTP/1.0\r\n\r\n")

    own = outer()
    assert own == ["tcp 127.0.0.1:8099"]
    wait_for(lambda: docker(penguin, "version").returncode == 0, 30)
    assert docker(penguin, "load", "-i", busybox).returncode == 0
    for name, port in (("web", 8080), ("other", 8081)):
        made = docker(penguin, "run", "-d", "--name", name, "-p", f"{port}:80", "busybox", "sh", "-c", SERVE)
        assert made.returncode == 0, made.stderr
        wait_for(lambda: answers(port), what=f"port {port} on the host")
    assert {"tcp4 0.0.0.0:8080", "tcp4 0.0.0.0:8081"} <= set(outer())
    taken = docker(penguin, "run", "--rm", "-p", "127.0.0.1:8099:80", "busybox", "true")
    assert taken.returncode == 125 and "8099" in taken.stderr, taken.stderr

    assert docker(penguin, "rm", "-f", "other").returncode == 0
    assert not any("8081" in port for port in outer())

    # Killed, and a container ends before the next one comes.
    gate.unlink()
    web = int(docker(penguin, "inspect", "-f", "{{.State.Pid}}", "web").stdout)
    engine = engine_of(rootless)
    os.kill(engine, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{engine}").exists())
    assert any("8080" in port for port in outer()) and answers(8080), "the container goes on"
    os.kill(web, signal.SIGKILL)
    wait_for(lambda: not alive(web))
    gate.touch()
    wait_for(lambda: docker(penguin, "version").returncode == 0, 30)
    wait_for(lambda: outer() == own, what="the port of the ended container is closed, and nobody else's")
    gate.unlink()
    os.kill(engine_of(rootless), signal.SIGTERM)
    rootless.process.terminate()
    rootless.wait(30)


@pytest.mark.parametrize("program", [BRYO_ROOTLESS, ROOTLESSKIT])
def test_ports_that_only_the_host_can_judge(start, penguin, data, busybox, outside_address, program):
    """An address that only the host has, and ports that somebody has out there while nobody has them inside."""
    rootless = start("--net=slirp4netns", "--copy-up=/etc", "--copy-up=/run", "--disable-host-loopback", "--port-driver=builtin",
                     *engine_line(penguin, data=data, program=str(BIN / "bryod")), program=program).wait_running()
    wait_for(lambda: docker(penguin, "version").returncode == 0, 30)
    assert docker(penguin, "load", "-i", busybox).returncode == 0

    def serve(name, publish):
        line = f"while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n{name}' | nc -l -p 80; done"
        return docker(penguin, "run", "-d", "--name", name, "-p", publish, "busybox", "sh", "-c", line)

    def answers(name, address, port):
        wait_for(lambda: name.encode() in ask(address, port, b"GET / HTTP/1.0\r\n\r\n"), what=f"{name} at {address}:{port}")

    # The same port of two addresses of the host, of which one is the loopback's.
    for name, address in (("one", outside_address), ("two", "127.0.0.1")):
        made = serve(name, f"{address}:8080:80")
        assert made.returncode == 0, made.stderr
    answers("one", outside_address, 8080)
    answers("two", "127.0.0.1", 8080)
    assert docker(penguin, "port", "one").stdout == f"80/tcp -> {outside_address}:8080\n"
    refused = serve("nowhere", "203.0.113.77:8080:80")
    assert refused.returncode == 125 and "cannot assign requested address" in refused.stderr, refused.stderr

    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    taken = [first, first + 1, 8091, 8093, 8094]
    listeners = [socket.create_server(("", port)) for port in taken]
    try:
        for name, publish in (("any", "80"), ("range", "8091-8092:80")):
            made = serve(name, publish)
            assert made.returncode == 0, made.stderr
            port = int(docker(penguin, "port", name, "80").stdout.split()[0].rpartition(":")[2])
            assert port not in taken
            answers(name, outside_address, port)
        assert docker(penguin, "port", "range", "80").stdout.split()[0].endswith(":8092")
        for name, publish in (("all", "8093-8094:80"), ("fixed", "8093:80")):
            refused = serve(name, publish)
            assert refused.returncode == 125 and "address already in use" in refused.stderr, refused.stderr
    finally:
        for listener in listeners:
            listener.close()
    # What was refused is free again, inside too.
    assert serve("later", "8093-8094:80").returncode == 0
    answers("later", outside_address, 8093)
    assert docker(penguin, "rm", "-f", "one", "two", "any", "range", "later").returncode == 0
    assert rootless.ctl("list-ports", "--json").stdout == ""
    rootless.process.terminate()
    rootless.wait(30)
