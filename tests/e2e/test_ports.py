"""Published ports: TCP and UDP, v4 and v6, from loopback, from containers, from another host; source address kept from outside."""

import socket

import pytest

from tests.support.hub import free_port
from tests.support.otherhost import OtherHost, ask
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def other():
    with OtherHost() as host:
        yield host


@pytest.fixture
def server(daemon, other):
    """A function: serve("-p…" bindings) gives the container's id. The program inside answers with the peer it sees."""
    daemon.pull("test/probe")

    def serve(bindings, **options):
        ports = {}
        for inside, host_ip, host_port in bindings:
            ports.setdefault(inside, []).append({"HostIp": host_ip, "HostPort": str(host_port)})
        container = daemon.run("test/probe", wait=False, host_config={"PortBindings": ports, **options}, ExposedPorts={p: {} for p in ports})
        daemon.wait_output(container, "listening")
        return container

    return serve


BOTH = ["tcp", "udp"]


def dockerd_answers_from_the_wrong_address(daemon, protocol, through_the_host=True):
    if protocol == "udp" and through_the_host and not daemon.engine.is_bryo:
        pytest.skip("dockerd's UDP proxy answers from the bridge's address")


@pytest.mark.parametrize("protocol", BOTH)
def test_from_the_hosts_loopback(server, protocol):
    server([(f"80/{protocol}", "", 8080)])
    assert ask(protocol, "127.0.0.1", 8080)


@pytest.mark.parametrize("protocol", BOTH)
def test_from_the_hosts_loopback_v6(server, protocol):
    server([(f"80/{protocol}", "", 8080)])
    assert ask(protocol, "::1", 8080)


@pytest.mark.parametrize("protocol", BOTH)
def test_from_the_hosts_own_address(server, other, protocol):
    server([(f"80/{protocol}", "", 8080)])
    assert ask(protocol, other.here, 8080)


@pytest.mark.parametrize("protocol", BOTH)
def test_from_another_host_with_its_address_kept(server, other, protocol):
    server([(f"80/{protocol}", "", 8080)])
    assert other.ask(protocol, other.here, 8080) == other.there


@pytest.mark.parametrize("protocol", BOTH)
def test_from_another_host_v6(server, other, protocol):
    server([(f"80/{protocol}", "", 8080)])
    assert other.ask(protocol, other.here6, 8080)


@pytest.mark.parametrize("protocol", BOTH)
def test_source_address_kept_on_a_v6_network(server, daemon, other, protocol):
    body = {"Name": "green", "CheckDuplicate": True, "EnableIPv6": True, "IPAM": {"Config": [{"Subnet": "fd00:78::/64"}, {"Subnet": "10.82.0.0/16"}]}}
    daemon.api.post("/networks/create", body)
    container = server([(f"80/{protocol}", "", 8080)], NetworkMode="green")
    seen = other.ask(protocol, other.here6, 8080)
    assert seen == other.there6 or not daemon.engine.is_bryo  # dockerd 20.10 answers through its proxy
    assert other.ask(protocol, other.here, 8080) == other.there
    daemon.api.delete(f"/containers/{container}", force=1)
    daemon.api.delete("/networks/green")


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("target", ["gateway", "host"])
def test_from_another_container(server, daemon, other, protocol, target):
    dockerd_answers_from_the_wrong_address(daemon, protocol, target == "host")
    server([(f"80/{protocol}", "", 8080)])
    address = "172.17.0.1" if target == "gateway" else other.here
    out = daemon.output(daemon.run("test/probe", "probe", "ask", protocol, address, "8080"))
    assert out.startswith("peer ")


@pytest.mark.parametrize("protocol", BOTH)
def test_from_itself_through_the_host(server, daemon, other, protocol):
    dockerd_answers_from_the_wrong_address(daemon, protocol)
    container = server([(f"80/{protocol}", "", 8080)])
    code, out, err = daemon.exec(container, "probe", "ask", protocol, other.here, "8080")
    assert code == 0 and out.startswith("peer "), err


@pytest.mark.parametrize("protocol", BOTH)
def test_from_another_network(server, daemon, other, protocol):
    """Published means published: also to containers of networks that are isolated otherwise."""
    dockerd_answers_from_the_wrong_address(daemon, protocol)
    server([(f"80/{protocol}", "", 8080)])
    daemon.api.post("/networks/create", {"Name": "green"})
    try:
        out = daemon.output(daemon.run("test/probe", "probe", "ask", protocol, other.here, "8080", host_config={"NetworkMode": "green"}))
        assert out.startswith("peer ")
    finally:
        daemon.remove_containers()
        daemon.api.delete("/networks/green")


def test_bound_to_loopback_is_closed_to_others(server, other):
    server([("80/tcp", "127.0.0.1", 8080)])
    assert ask("tcp", "127.0.0.1", 8080)
    assert ask("tcp", other.here, 8080) is None
    assert other.ask("tcp", other.here, 8080) is None


@pytest.mark.bryo_only
def test_loopback_cannot_be_reached_by_a_neighbours_route(server, other):
    """CVE-2020-8558: a packet to 127.0.0.1 that comes in from a cable is dropped."""
    server([("80/tcp", "127.0.0.1", 8080)])
    script = ("sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.cable1.route_localnet=1; ip addr del 127.0.0.1/8 dev lo; "
              f"ip route add 127.0.0.0/8 via {other.here}")
    try:
        other.run("sh", "-c", script)
        assert other.ask("tcp", "127.0.0.1", 8080) is None
    finally:
        other.run("sh", "-c", f"ip route del 127.0.0.0/8 via {other.here}; ip addr add 127.0.0.1/8 dev lo")


def test_bound_to_one_address(server, other):
    server([("80/tcp", other.here, 8080)])
    assert other.ask("tcp", other.here, 8080) == other.there
    assert ask("tcp", "127.0.0.1", 8080) is None


def test_two_addresses_share_a_port(server, other):
    server([("80/tcp", "127.0.0.1", 8080)])
    server([("80/tcp", other.here, 8080)])
    assert ask("tcp", "127.0.0.1", 8080) and other.ask("tcp", other.here, 8080)


def test_tcp_and_udp_share_a_number(server):
    server([("80/tcp", "", 8080)])
    server([("80/udp", "", 8080)])
    assert ask("tcp", "127.0.0.1", 8080) and ask("udp", "127.0.0.1", 8080)


def test_a_port_of_the_engines_choice(server, daemon, docker):
    container = server([("80/tcp", "", "")])
    port = daemon.inspect(container)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    assert int(port) >= 32768 and ask("tcp", "127.0.0.1", port)
    assert docker("port", container).out.startswith("80/tcp -> 0.0.0.0:" + port)
    assert docker("port", container, "80/tcp").lines[0] == f"0.0.0.0:{port}"


def test_ranges(docker, daemon):
    docker("pull", "test/probe")
    docker("run", "-d", "--name", "box", "-p", "8000-8002:80-82", "-p", "9000-9010:90/udp", "test/probe")
    ports = daemon.inspect("box")["NetworkSettings"]["Ports"]
    assert [ports[f"{p}/tcp"][0]["HostPort"] for p in (80, 81, 82)] == ["8000", "8001", "8002"]
    assert 9000 <= int(ports["90/udp"][0]["HostPort"]) <= 9010


def test_publish_all_exposed(docker, daemon):
    docker("run", "-d", "--name", "box", "-P", "--expose", "80", "test/probe")
    daemon.wait_output("box", "listening")
    assert ask("tcp", "127.0.0.1", daemon.inspect("box")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])


def test_ps_shows_ports(docker):
    docker("run", "-d", "--name", "box", "-p", "8080:80", "-p", "127.0.0.1:5353:53/udp", "--expose", "99", "busybox", "sleep", "600")
    out = docker("ps", "--format", "{{.Ports}}").out
    assert "0.0.0.0:8080->80/tcp" in out and "127.0.0.1:5353->53/udp" in out and "99/tcp" in out


def test_a_port_taken_by_another_container(docker):
    docker("run", "-d", "-p", "8080:80", "busybox", "sleep", "600")
    result = docker.fails("run", "-d", "--name", "second", "-p", "8080:80", "busybox", "sleep", "600", status=125)
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in result.err
    assert docker("ps", "-a", "--filter", "name=second", "--format", "{{.Status}}").out.strip() == "Created"


def test_a_port_taken_by_the_host(docker, daemon):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = docker.fails("run", "-d", "--name", "box", "-p", f"{port}:80", "busybox", "sleep", "600", status=125)
        assert "address already in use" in result.err
    docker("start", "box")
    assert daemon.state("box")["Running"]


def test_the_failed_one_holds_no_port(docker):
    docker("run", "-d", "--name", "first", "-p", "8081:80", "busybox", "sleep", "600")
    docker.fails("run", "-d", "--name", "second", "-p", "8080:80", "-p", "8081:81", "busybox", "sleep", "600")
    docker("run", "-d", "--name", "third", "-p", "8080:80", "busybox", "sleep", "600")


def test_a_port_is_free_again_after_stop_and_rm(server, daemon):
    container = server([("80/tcp", "", 8080)])
    daemon.api.post(f"/containers/{container}/stop", t=1)
    assert ask("tcp", "127.0.0.1", 8080) is None
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_for(lambda: mine.bind(("0.0.0.0", 8080)) is None)
    daemon.api.post(f"/containers/{container}/start")
    wait_for(lambda: ask("tcp", "127.0.0.1", 8080))
    daemon.api.delete(f"/containers/{container}", force=1)
    assert ask("tcp", "127.0.0.1", 8080) is None


def test_ports_are_not_reachable_before_and_not_after(server, daemon):
    from tests.support.audit import Audit

    audit = Audit(daemon)
    container = server([("80/tcp", "", 8080), ("80/udp", "", 8081)])
    daemon.api.delete(f"/containers/{container}", force=1)
    audit.assert_clean(ignore_processes=["probe ask"])
    wait_for(lambda: audit.assert_no_new_rules(8080, 8081) is None)


def test_large_transfers_arrive_whole(server, daemon):
    server([("80/tcp", "", 8080)])
    wait_for(lambda: ask("tcp", "127.0.0.1", 8080))  # it listens
    data = bytes(range(256)) * 20_000
    with socket.create_connection(("127.0.0.1", 8080), 10) as connection:
        connection.settimeout(20)
        received = b""
        while not received.endswith(b"\n"):
            byte = connection.recv(1)
            assert byte, f"closed after {received!r}"
            received += byte
        import threading

        threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)), daemon=True).start()
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received == data


def test_traffic_that_only_passes_by_is_not_taken(server, other):
    """A published port catches what is addressed to this host, not what it forwards."""
    server([("80/tcp", "", 8080)])
    other.run("ip", "route", "add", "198.51.100.0/24", "via", other.here, check=True)
    try:
        assert other.ask("tcp", "198.51.100.7", 8080) is None
    finally:
        other.run("ip", "route", "del", "198.51.100.0/24")


def test_wrong_ports_are_refused(docker):
    for port in ("99999:80", "80:99999", "x:80", "80:80/icmp", "1.2.3.4.5:80:80", "90-80:90-80"):
        docker.fails("run", "--rm", "-p", port, "busybox", "true", status=125)


def test_an_address_that_is_not_ours(docker):
    assert "cannot assign requested address" in docker.fails("run", "--rm", "-p", f"203.0.113.1:{free_port()}:80", "busybox", "true", status=125).err
