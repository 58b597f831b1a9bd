"""bryo port add and rm: ports of a container that exists already are published and withdrawn, and what is asked for outlives everything."""

import os
import socket
import subprocess
import time

import pytest

from tests.support.daemon import Daemon
from tests.support.otherhost import OtherHost, ask
from tests.support.rawhttp import ApiError
from tests.support.waiting import wait_for

pytestmark = pytest.mark.bryo_only


@pytest.fixture(scope="module")
def other():
    with OtherHost() as host:
        yield host


@pytest.fixture
def bryo(daemon, make_client):
    return make_client(daemon, "bryo")


@pytest.fixture
def web(daemon, other):
    """A container that answers on its port 80 with the peer that it sees, and publishes nothing."""
    daemon.pull("test/probe")
    container = daemon.run("test/probe", wait=False, name="web")
    daemon.wait_output(container, "listening")
    return "web"


def ports(daemon, container="web"):
    found = daemon.inspect(container)["NetworkSettings"]["Ports"] or {}
    return {port: [f"{b['HostIp']}:{b['HostPort']}" for b in bindings] for port, bindings in found.items() if bindings}


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_added_to_a_running_container(bryo, daemon, web, other, protocol):
    assert ask(protocol, "127.0.0.1", 8080) is None
    assert bryo("port", "add", web, f"8080:80/{protocol}").lines == [f"80/{protocol} -> 0.0.0.0:8080", f"80/{protocol} -> [::]:8080"]
    assert ask(protocol, "127.0.0.1", 8080) and ask(protocol, "::1", 8080)
    assert other.ask(protocol, other.here, 8080) == other.there
    assert ports(daemon) == {f"80/{protocol}": ["0.0.0.0:8080", ":::8080"]}
    assert "0.0.0.0:8080->80" in bryo("ps", "--format", "{{.Ports}}").out


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_removed_from_a_running_container(bryo, daemon, web, other, protocol):
    bryo("port", "add", web, f"8080:80/{protocol}", f"8081:80/{protocol}")
    bryo("port", "rm", web, f"8080:80/{protocol}")
    assert ask(protocol, "127.0.0.1", 8080) is None and other.ask(protocol, other.here, 8080) is None
    assert ask(protocol, "127.0.0.1", 8081) and other.ask(protocol, other.here, 8081) == other.there
    assert ports(daemon) == {f"80/{protocol}": ["0.0.0.0:8081", ":::8081"]}


def test_all_of_a_container_port_at_once(bryo, daemon, web):
    bryo("port", "add", web, "8080:80", "127.0.0.1:8081:80", "80")
    assert len(ports(daemon)["80/tcp"]) == 5
    bryo("port", "rm", web, "80")
    assert ports(daemon) == {}


def test_open_connections_go_on(bryo, web):
    bryo("port", "add", web, "8080:80")
    with socket.create_connection(("127.0.0.1", 8080)) as connection:
        connection.settimeout(10)
        bryo("port", "rm", web, "8080:80")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", 8080))
        connection.sendall(b"x")
        assert connection.recv(64)


def test_a_port_that_comes_and_goes_is_free_for_others(bryo, daemon, web):
    bryo("port", "add", web, "8080:80")
    bryo("port", "rm", web, "8080:80")
    daemon.run("test/probe", wait=False, host_config={"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}})
    assert wait_for(lambda: ask("tcp", "127.0.0.1", 8080), 10, "the other container serves the port")


def test_survives_restarts_of_the_container(bryo, daemon, web):
    bryo("port", "add", web, "8080:80", "8081:80")
    bryo("port", "rm", web, "8081:80")
    bryo("restart", "-t", "0", web)
    assert wait_for(lambda: ask("tcp", "127.0.0.1", 8080), 10, "the port serves again")
    assert ports(daemon) == {"80/tcp": ["0.0.0.0:8080", ":::8080"]}


def test_survives_the_death_of_the_engine(bryo, daemon, web, other):
    bryo("port", "add", web, "8080:80", "8081:80")
    bryo("port", "rm", web, "8081:80")
    daemon.kill9()
    assert ask("tcp", "127.0.0.1", 8080) and other.ask("tcp", other.here, 8080) == other.there
    daemon.start()
    assert ports(daemon) == {"80/tcp": ["0.0.0.0:8080", ":::8080"]}
    assert ask("tcp", "127.0.0.1", 8080) and other.ask("tcp", other.here, 8080) == other.there
    bryo("port", "rm", web, "8080:80")
    assert ask("tcp", "127.0.0.1", 8080) is None and other.ask("tcp", other.here, 8080) is None


def test_of_a_container_that_does_not_run(bryo, daemon):
    daemon.pull("test/probe")
    bryo("create", "--name", "web", "-p", "8080:80", "test/probe")
    bryo("port", "add", "web", "8081:80")
    bryo("port", "rm", "web", "8080:80")
    bryo("start", "web")
    assert wait_for(lambda: ask("tcp", "127.0.0.1", 8081), 10, "the added port serves")
    assert ports(daemon) == {"80/tcp": ["0.0.0.0:8081", ":::8081"]}


def test_a_port_that_is_taken_changes_nothing(bryo, daemon, web):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = bryo.fails("port", "add", web, "8080:80", f"{port}:80")
        assert f"listen tcp4 0.0.0.0:{port}: bind: address already in use" in result.err
    assert ports(daemon) == {} and ask("tcp", "127.0.0.1", 8080) is None
    assert not daemon.inspect(web)["HostConfig"]["PortBindings"]
    bryo("port", "add", web, "8080:80")


def test_what_cannot_be_is_explained(bryo, daemon, web):
    assert "does not publish :8080:80/tcp" in bryo.fails("port", "rm", web, "8080:80").err
    daemon.run("test/probe", wait=False, name="inhost", host_config={"NetworkMode": "host"})
    assert "in the host's network" in bryo.fails("port", "add", "inhost", "8080:80").err
    daemon.run("test/probe", wait=False, name="alone", host_config={"NetworkMode": "none"})
    assert "it has no network" in bryo.fails("port", "add", "alone", "8080:80").err
    daemon.run("test/probe", wait=False, name="guest", host_config={"NetworkMode": "container:web"})
    assert "publish them there" in bryo.fails("port", "add", "guest", "8080:80").err
    assert "No such container: nobody" in bryo.fails("port", "add", "nobody", "8080:80").err


def test_a_container_called_add_is_shown_as_ever(bryo, daemon):
    daemon.pull("test/probe")
    bryo("run", "-d", "--name", "add", "-p", "8080:80", "test/probe")
    assert bryo("port", "add").lines[0] == "80/tcp -> 0.0.0.0:8080"
    assert bryo("port", "add", "80").lines[0] == "0.0.0.0:8080"
    bryo("port", "add", "add", "8081:80")
    assert len(bryo("port", "add").lines) == 4


def test_events_and_the_api(daemon, web):
    path = f"/bryo/containers/{web}/ports"
    added = daemon.api.post(path, {"80": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]})
    assert added == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    assert daemon.api.request("DELETE", path, {"80/tcp": []}) in ({}, {"80/tcp": None})
    with pytest.raises(ApiError) as refused:
        daemon.api.request("DELETE", path, {"80/tcp": []})
    assert refused.value.status == 404
    with daemon.api.stream("GET", "/events", since="0", until=f"{time.time() + 0.1:.9f}", filters='{"event":["port_add","port_rm"]}') as stream:
        seen = [(e["Action"], e["Actor"]["Attributes"]["ports"]) for e in stream.objects()]
    assert seen[-2:] == [("port_add", "127.0.0.1:8080->80/tcp"), ("port_rm", "127.0.0.1:8080->80/tcp")]


def test_a_port_that_systemd_has_bound(make_daemon, other):
    """FileDescriptorName=publish in a .socket unit: whoever publishes that port gets the socket, again and again."""
    daemon = make_daemon()
    for running in list(Daemon.running):
        running.stop()  # one engine at a time has the bridge
    with socket.create_server(("0.0.0.0", 8080)) as listener:
        os.set_inheritable(listener.fileno(), True)
        script = f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_FDNAMES=publish LISTEN_PID=$$ exec "$@"'
        with open(daemon.log, "ab") as log:
            daemon.process = subprocess.Popen(["bash", "-c", script, "bash", *daemon.arguments()], pass_fds=[listener.fileno()], stdout=log, stderr=log,
                                              start_new_session=True)
    Daemon.running.append(daemon)
    daemon.wait_ready()
    daemon.pull("test/probe")
    bindings = {"PortBindings": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}}
    for _ in range(2):
        container = daemon.run("test/probe", wait=False, host_config=bindings)
        daemon.wait_output(container, "listening")
        assert ask("tcp", "127.0.0.1", 8080) and other.ask("tcp", other.here, 8080) == other.there
        daemon.api.delete(f"/containers/{container}", force=1)
    with socket.create_connection(("127.0.0.1", 8080)):
        pass  # nobody else has it meanwhile: who comes waits
