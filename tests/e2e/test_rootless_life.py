"""bryod started by an ordinary user: its way to the outside, and what outlives whom when processes of it are killed."""

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.daemon import ROOTLESS, Daemon
from tests.support.rootless import alive, default_route  # noqa: F401 (a fixture)
from tests.support.rootless_engine import command_of, daemon, processes_of, run, shared, user_network  # noqa: F401 (fixtures)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.bryo_only


# --- network


def test_the_hosts_network_is_the_hosts(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False, host_config={"NetworkMode": "host"})
    assert os.readlink(f"/proc/{daemon.state(container)['Pid']}/ns/net") == os.readlink("/proc/self/ns/net")


def test_registries_of_the_host_are_reached(daemon, hub):
    """hub listens on 127.0.0.1 of the host; the engine's bridges are elsewhere."""
    assert os.readlink(f"/proc/{daemon.pid}/ns/net") != os.readlink("/proc/self/ns/net")
    assert any("complete" in str(o) or "up to date" in str(o) for o in daemon.pull("busybox"))


def test_containers_reach_each_other_by_name(daemon):
    daemon.api.post("/networks/create", {"Name": "blue"})
    try:
        daemon.run("busybox", "sleep", "60", wait=False, name="server", host_config={"NetworkMode": "blue"})
        client = daemon.run("busybox", "ping", "-c", "1", "-W", "5", "server", host_config={"NetworkMode": "blue"})
        assert "1 packets received" in daemon.output(client), daemon.output(client)
    finally:
        daemon.remove_containers()
        daemon.api.delete("/networks/blue")


# --- life


def serve_once(address, port, answer=b"hello"):
    """A TCP server on the host that answers every client the same. Returns it; close it."""
    listener = socket.create_server((address, port))

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.fixture(scope="module")
def host_address():
    """An address of the host that is not its loopback."""
    subprocess.run(["ip", "addr", "add", "198.51.100.7/32", "dev", "lo"], check=True)
    yield "198.51.100.7"
    subprocess.run(["ip", "addr", "del", "198.51.100.7/32", "dev", "lo"], check=True)


def fetch(daemon, address, port):
    return run(daemon, "sh", "-c", f"nc -w 3 {address} {port} </dev/null || echo refused")


def test_containers_reach_the_outside(daemon, host_address):
    with serve_once(host_address, 7001):
        assert fetch(daemon, host_address, 7001) == "hello"


def test_the_hosts_loopback_is_closed(daemon):
    with serve_once("127.0.0.1", 7002, b"secret"):
        for address in ("host.docker.internal", "10.0.2.2", "127.0.0.1"):
            assert "secret" not in fetch(daemon, address, 7002)


def test_a_port_of_the_hosts_loopback_is_opened_by_name(hub, scratch):
    daemon = Daemon(ROOTLESS, scratch / "open", ["--registry-mirror", hub.url, "--insecure-registry", hub.address, "--allow-host-port", "7003"])
    try:
        daemon.start()
        daemon.pull("busybox")
        with serve_once("127.0.0.1", 7003), serve_once("127.0.0.1", 7004, b"secret"):
            assert fetch(daemon, "host.docker.internal", 7003) == "hello"
            assert "secret" not in fetch(daemon, "host.docker.internal", 7004)
    finally:
        daemon.close()


def test_a_killed_user_network_comes_back(daemon, host_address):
    before = user_network(daemon)
    os.kill(before, 9)
    wait_for(lambda: user_network(daemon) != before, 10, "another process")
    with serve_once(host_address, 7005):
        wait_for(lambda: fetch(daemon, host_address, 7005) == "hello", 10, "the way out is there again")


def test_a_killed_monitor_ends_its_container_only(daemon):
    first, second = (daemon.run("busybox", "sleep", "60", wait=False) for _ in range(2))
    os.kill(int(Path(f"/proc/{daemon.state(first)['Pid']}/stat").read_text().rpartition(")")[2].split()[1]), 9)
    wait_for(lambda: not daemon.state(first)["Running"], 10, "the engine notices")
    assert daemon.state(second)["Running"]


def test_published_ports_outlive_the_engine_and_come_back(daemon, host_address):
    container = daemon.run("busybox", "sh", "-c", "while true; do echo alive | nc -l -p 80; done", wait=False,
                           host_config={"PortBindings": {"80/tcp": [{"HostPort": "7006"}]}}, ExposedPorts={"80/tcp": {}})

    def ask():
        with socket.create_connection((host_address, 7006), 5) as client:
            return client.recv(100)

    wait_for(lambda: ask() == b"alive\n", 10, "the container serves")
    daemon.kill9()
    wait_for(lambda: ask() == b"alive\n", 10, "it serves without the engine")
    daemon.start()
    wait_for(lambda: ask() == b"alive\n", 10, "and with the next one")
    daemon.api.delete(f"/containers/{container}", force=1)
    with pytest.raises(OSError):
        ask()


def test_nothing_is_left_after_the_engine(hub, scratch):
    daemon = Daemon(ROOTLESS, scratch / "leaves", ["--registry-mirror", hub.url, "--insecure-registry", hub.address])
    try:
        daemon.start()
        daemon.pull("busybox")
        daemon.remove_containers() if daemon.run("busybox", "true") else None
        helper = user_network(daemon)
        assert daemon.stop() == 0
        wait_for(lambda: not Path(f"/proc/{helper}").exists(), 5, "the user-mode network ends too")
        assert processes_of(daemon) == []
    finally:
        daemon.close()


def test_after_a_kill_without_containers_the_next_engine_starts_afresh(hub, scratch, host_address):
    daemon = Daemon(ROOTLESS, scratch / "afresh", ["--registry-mirror", hub.url, "--insecure-registry", hub.address])
    try:
        daemon.start()
        before = user_network(daemon)
        daemon.kill9()
        daemon.start()
        daemon.pull("busybox")
        assert user_network(daemon) != before
        wait_for(lambda: not Path(f"/proc/{before}").exists(), 5, "the old one is gone")
        with serve_once(host_address, 7007):
            assert fetch(daemon, host_address, 7007) == "hello"
    finally:
        daemon.close()


@pytest.fixture(params=["slirp4netns", "pasta"])
def with_driver(request, hub, scratch, default_route):
    """An engine whose user-mode network is a program of others, which holds the network namespace."""
    if not shutil.which(request.param):
        pytest.skip(f"not installed: {request.param}")
    daemon = Daemon(ROOTLESS, scratch / request.param, ["--registry-mirror", hub.url, "--insecure-registry", hub.address, f"--user-network={request.param}"])
    daemon.start()
    daemon.pull("busybox")
    yield daemon
    daemon.close()


def guards(daemon):
    return [pid for pid in processes_of(daemon) if f"--guard\0{daemon.exec_root}\0".encode() in command_of(Path(f"/proc/{pid}"))]


def test_a_program_of_others_lives_as_long_as_anybody_needs_it(with_driver, host_address):
    daemon = with_driver
    helper = user_network(daemon)
    container = daemon.run("busybox", "sleep", "1000", wait=False)
    monitor = int(Path(f"/proc/{daemon.state(container)['Pid']}/stat").read_text().rpartition(")")[2].split()[1])
    # A killed guard is replaced while there is an engine.
    (guard,) = wait_for(lambda: guards(daemon))
    os.kill(guard, 9)
    wait_for(lambda: guards(daemon) not in ([], [guard]), 10, "another guard")
    # Nobody's end but the last matters: the engine's, with a container; then the container's, with the next engine.
    daemon.kill9()
    daemon.start()
    assert user_network(daemon) == helper and len(guards(daemon)) == 1
    server = serve_once(host_address, 0)

    def answers():
        # pasta loses a connection's end now and then, and nc waits for it.
        address, port = server.getsockname()
        return run(daemon, "sh", "-c", f"timeout 5 nc -w 3 {address} {port} </dev/null || true").startswith("hello")

    wait_for(answers, 20, "the way out is there")
    os.kill(monitor, 9)
    wait_for(lambda: not daemon.state(container)["Running"], 10, "the engine notices")
    wait_for(answers, 20, "the way out is there still")
    server.close()
    # With a container that ends after its engine.
    container = daemon.run("busybox", "sleep", "1000", wait=False)
    pid = daemon.state(container)["Pid"]
    daemon.kill9()
    assert alive(helper)
    os.kill(pid, 9)
    wait_for(lambda: not alive(helper), 10, "an end of the user-mode network")
    wait_for(lambda: processes_of(daemon) == [], 10, "an end of all the rest")


def test_after_a_kill_without_containers_nothing_is_left_for_ever(with_driver):
    helper = user_network(with_driver)
    with_driver.kill9()
    wait_for(lambda: not alive(helper), 10, "an end of the user-mode network")
    wait_for(lambda: processes_of(with_driver) == [], 10, "an end of all the rest")


def test_containers_outlive_the_engine_and_the_next_one_finds_them(daemon):
    container = daemon.run("busybox", "sh", "-c", "while true; do date; sleep 0.1; done", wait=False)
    pid = daemon.state(container)["Pid"]
    namespaces = {kind: os.readlink(f"/proc/{daemon.pid}/ns/{kind}") for kind in ("user", "net")}
    daemon.kill9()
    daemon.start()
    assert daemon.state(container)["Pid"] == pid
    assert {kind: os.readlink(f"/proc/{daemon.pid}/ns/{kind}") for kind in namespaces} == namespaces
    assert daemon.exec(container, "echo", "still")[:2] == (0, "still\n")
    second = daemon.run("busybox", "true")
    assert daemon.inspect(second)["State"]["ExitCode"] == 0
