"""bryo-rootless: published ports, and engines that run under it: Debian's dockerd, and bryod."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.daemon import BIN
from tests.support.rootless import BRYO_ROOTLESS, ROOTLESSKIT, alive, children
from tests.support.rootless_command import NETWORKS, ask, no_engine_of_root, outside_address, penguin, server, start  # noqa: F401 (fixtures)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.bryo_only


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
