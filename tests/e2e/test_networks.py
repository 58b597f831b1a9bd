"""Networks: the default bridge, user-defined ones with names, host, none, container:NAME; isolation and outgoing traffic."""

import json
import re
import subprocess

import pytest

from tests.support import host_view
from tests.support.otherhost import PROBE, OtherHost, ask
from tests.support.rawhttp import Api, ApiError
from tests.support.waiting import wait_for


@pytest.fixture(autouse=True)
def images(daemon):
    daemon.pull("busybox")
    daemon.pull("test/probe")
    yield
    if daemon.is_running:
        daemon.remove_containers()
        daemon.api.post("/networks/prune")


@pytest.fixture(scope="module")
def other():
    with OtherHost() as host:
        yield host


def links():
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def ruleset():
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def address(daemon, container, network="bridge"):
    return daemon.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]


@pytest.mark.needs_root("the bridge is not in the host's network")
def test_the_default_bridge(docker, daemon):
    out = docker("run", "--rm", "busybox", "sh", "-c", "ip -4 addr show eth0; ip route").out
    assert re.search(r"inet 172\.17\.0\.\d+/16", out) and "default via 172.17.0.1 dev eth0" in out
    assert f" {daemon.engine.bridge}:" in links()
    assert "172.17.0.1/16" in subprocess.run(["ip", "addr", "show", daemon.engine.bridge], capture_output=True, text=True).stdout


def test_network_ls_has_the_three(docker, daemon):
    own = ["bypass bypass local"] if daemon.engine.user else []
    assert docker("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").lines == ["bridge bridge local", *own, "host host local", "none null local"]


def test_containers_of_the_default_bridge_reach_each_other(docker, daemon):
    docker("run", "-d", "--name", "server", "test/probe")
    daemon.wait_output("server", "listening")
    target = address(daemon, "server")
    for protocol in ("tcp", "udp"):
        out = docker("run", "--rm", "--name", "client", "test/probe", "probe", "ask", protocol, target, "80").out
        assert out.startswith("peer 172.17.")


@pytest.mark.needs_root("addresses of containers are not reached from the host")
def test_the_host_reaches_a_container(docker, daemon):
    docker("run", "-d", "--name", "server", "test/probe")
    daemon.wait_output("server", "listening")
    assert ask("tcp", address(daemon, "server"), 80) == "172.17.0.1"


def test_icc_off_separates_them(make_daemon, make_client, shared_daemon):
    shared_daemon.stop()  # one default bridge at a time
    daemon = make_daemon("--icc=false").start()
    docker = make_client(daemon)
    docker("run", "-d", "--name", "server", "test/probe")
    daemon.wait_output("server", "listening")
    assert docker.run("run", "--rm", "test/probe", "probe", "ask", "tcp", address(daemon, "server"), "80").status != 0
    daemon.close()
    shared_daemon.start()


def test_outgoing_traffic_is_masqueraded(docker, daemon, other):
    server = subprocess.Popen(["nsenter", f"--net={other.path}", str(PROBE), "serve", "80"],
                              stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"listening\n"
        for protocol in ("tcp", "udp"):
            assert docker("run", "--rm", "test/probe", "probe", "ask", protocol, other.there, "80").out.startswith(f"peer {other.here} ")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.mark.bryo_only
def test_unpublished_ports_are_closed_to_other_hosts(docker, daemon, other):
    """Even to one that routes to the bridge's subnet through us."""
    docker("run", "-d", "--name", "server", "test/probe")
    daemon.wait_output("server", "listening")
    other.run("ip", "route", "add", "172.17.0.0/16", "via", other.here, check=True)
    try:
        assert other.ask("tcp", address(daemon, "server"), 80) is None
    finally:
        other.run("ip", "route", "del", "172.17.0.0/16")


def test_ipv6_is_off_where_it_was_not_asked_for(docker):
    """CVE-2020-13401: no router advertisement is believed."""
    out = docker("run", "--rm", "busybox", "sh", "-c", "cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip -6 addr show eth0").out
    assert out == "1\n"


# --- user-defined


@pytest.mark.needs_root("the bridge is not in the host's network")
def test_create_inspect_remove(docker, daemon):
    network = docker("network", "create", "--label", "a=b", "green").out.strip()
    assert re.fullmatch("[0-9a-f]{64}", network)
    (shown,) = json.loads(docker("network", "inspect", "green").out)
    assert shown["Id"] == network and shown["Driver"] == "bridge" and shown["Labels"] == {"a": "b"} and shown["Scope"] == "local"
    config = shown["IPAM"]["Config"][0]
    assert re.fullmatch(r"172\.(1[89]|2\d|3[01])\.0\.0/16", config["Subnet"]) and config["Gateway"] == config["Subnet"].replace("0.0/16", "0.1")
    bridges = {line.split(": ")[1] for line in links().splitlines()} - {daemon.engine.bridge, "lo"}
    assert any(network[:12] in b for b in bridges)
    assert docker("network", "rm", "green").out == "green\n"
    wait_for(lambda: network[:12] not in links())
    wait_for(lambda: config["Subnet"] not in ruleset() and network[:12] not in ruleset())


def test_subnet_gateway_range_and_fixed_addresses(docker, daemon):
    docker("network", "create", "--subnet", "10.77.0.0/16", "--gateway", "10.77.0.254", "--ip-range", "10.77.5.0/24", "green")
    docker("run", "-d", "--name", "one", "--network", "green", "busybox", "sleep", "600")
    # Newer clients ask for API 1.44 before they send a MAC address; with this IPv4 address it is the same one by default.
    mac = [] if docker.kind == "current" else ["--mac-address", "02:42:0a:4d:09:09"]
    docker("run", "-d", "--name", "two", "--network", "green", "--ip", "10.77.9.9", *mac, "busybox", "sleep", "600")
    assert address(daemon, "one", "green").startswith("10.77.5.")
    out = docker("exec", "two", "sh", "-c", "ip addr show eth0; ip route").out
    assert "10.77.9.9/16" in out and "02:42:0a:4d:09:09" in out and "default via 10.77.0.254" in out
    assert "Address already in use" in docker.fails("run", "--rm", "--network", "green", "--ip", "10.77.9.9", "busybox", "true").err


def test_names_and_aliases_resolve(docker, daemon):
    docker("network", "create", "green")
    docker("run", "-d", "--name", "server", "--network", "green", "--network-alias", "alias", "test/probe")
    daemon.wait_output("server", "listening")
    target = address(daemon, "server", "green")
    short = daemon.inspect("server")["Id"][:12]
    for name in ("server", "alias", short, "SERVER", "server.green"):
        out = docker("run", "--rm", "--network", "green", "busybox", "nslookup", name).out
        assert target in out, name
    out = docker("run", "--rm", "--network", "green", "busybox", "sh", "-c", "cat /etc/resolv.conf; ping -c1 -W2 server").out
    assert "nameserver 127.0.0.11" in out and "1 packets received" in out


def test_reverse_names(docker, daemon):
    docker("network", "create", "green")
    docker("run", "-d", "--name", "server", "--network", "green", "busybox", "sleep", "600")
    out = docker("run", "--rm", "--network", "green", "busybox", "nslookup", address(daemon, "server", "green")).out
    assert "server.green" in out


def test_a_name_that_does_not_exist_is_an_error_at_once(docker, other, etc):
    original = open("/etc/resolv.conf").read()
    etc.write("resolv.conf", f"nameserver {other.there}\n")
    try:
        with other.dns_server({}):
            docker("network", "create", "green")
            assert docker.run("run", "--rm", "--network", "green", "busybox", "timeout", "5", "nslookup", "nosuch").status == 1
    finally:
        etc.write("resolv.conf", original)


def test_outside_names_are_asked_from_the_hosts_servers(docker, other, etc):
    original = open("/etc/resolv.conf").read()
    etc.write("resolv.conf", f"nameserver {other.there}\n")
    try:
        with other.dns_server({"outside.example": "203.0.113.9"}) as server:
            docker("network", "create", "green")
            assert "203.0.113.9" in docker("run", "--rm", "--network", "green", "busybox", "nslookup", "outside.example").out
            assert {client for _, client in server.asked} == {other.here}
            # A container's own names are never asked outside.
            docker("run", "-d", "--name", "server", "--network", "green", "busybox", "sleep", "600")
            docker("run", "--rm", "--network", "green", "busybox", "nslookup", "server")
            assert "server" not in {name for name, _ in server.asked}
    finally:
        etc.write("resolv.conf", original)


def test_the_default_bridge_has_no_names(docker):
    docker("run", "-d", "--name", "server", "busybox", "sleep", "600")
    assert docker.run("run", "--rm", "busybox", "ping", "-c1", "-W1", "server").status != 0


def test_networks_are_isolated_from_each_other(docker, daemon):
    for name in ("green", "blue"):
        docker("network", "create", name)
    docker("run", "-d", "--name", "server", "--network", "green", "test/probe")
    daemon.wait_output("server", "listening")
    target = address(daemon, "server", "green")
    for network in ("blue", "bridge"):
        assert docker.run("run", "--rm", "--network", network, "test/probe", "probe", "ask", "tcp", target, "80").status != 0, network
    assert docker.run("run", "--rm", "--network", "green", "test/probe", "probe", "ask", "tcp", target, "80").status == 0


def test_internal_networks_have_no_outside(docker, other):
    docker("network", "create", "--internal", "green")
    assert docker.run("run", "--rm", "--network", "green", "busybox", "ping", "-c1", "-W1", other.there).status != 0


def test_connect_and_disconnect_while_running(docker, daemon):
    docker("network", "create", "green")
    docker("run", "-d", "--name", "server", "busybox", "sleep", "600")
    docker("network", "connect", "--alias", "late", "green", "server")
    assert "eth1" in docker("exec", "server", "ip", "addr").out
    assert address(daemon, "server", "green") in docker("run", "--rm", "--network", "green", "busybox", "nslookup", "late").out
    assert "already exists in network" in docker.fails("network", "connect", "green", "server").err
    docker("network", "disconnect", "green", "server")
    assert "eth1" not in docker("exec", "server", "ip", "addr").out
    assert docker.run("run", "--rm", "--network", "green", "busybox", "nslookup", "late").status != 0


def test_a_second_network_survives_restart(docker, daemon):
    docker("network", "create", "green")
    docker("run", "-d", "--name", "server", "busybox", "sleep", "600")
    docker("network", "connect", "green", "server")
    docker("restart", "-t", "0", "server")
    assert set(daemon.inspect("server")["NetworkSettings"]["Networks"]) == {"bridge", "green"}
    assert "eth1" in docker("exec", "server", "ip", "addr").out


def test_a_network_in_use_is_not_removed(docker):
    docker("network", "create", "green")
    docker("run", "-d", "--name", "server", "--network", "green", "busybox", "sleep", "600")
    assert "has active endpoints" in docker.fails("network", "rm", "green").err
    assert "server" in docker("network", "inspect", "green").out
    docker("rm", "-f", "server")
    docker("network", "rm", "green")


def test_wrong_networks_are_refused(docker):
    docker("network", "create", "--subnet", "10.78.0.0/16", "green")
    for arguments, text in ((["--subnet", "10.78.5.0/24", "blue"], "Pool overlaps with other one on this address space"),
                            (["green"], "network with name green already exists"),
                            (["--subnet", "10.79.0.0/99", "blue"], "10.79.0.0/99"), (["-d", "nosuch", "blue"], "nosuch"),
                            (["--subnet", "10.79.0.0/16", "--gateway", "10.80.0.1", "blue"], "no matching subnet for gateway"), (["host"], "host")):
        result = docker.fails("network", "create", *arguments)
        assert text in result.err, result.err
    assert "network nosuch not found" in docker.fails("run", "--rm", "--network", "nosuch", "busybox", "true").err
    assert "pre-defined network" in docker.fails("network", "rm", "bridge").err


def test_a_name_with_spaces(docker):
    docker("network", "create", "of the house")
    docker("run", "--rm", "--network", "of the house", "busybox", "true")
    assert docker("network", "rm", "of the house").out == "of the house\n"


def test_prune(docker):
    docker("network", "create", "green")
    assert "green" in docker("network", "prune", "-f").out
    assert docker("network", "ls", "-q", "--filter", "type=custom").out == ""


def test_ipv6_on_a_network_of_ones_own(docker, daemon):
    docker("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "--subnet", "10.81.0.0/16", "green")
    docker("run", "-d", "--name", "server", "--network", "green", "test/probe")
    daemon.wait_output("server", "listening")
    six = daemon.inspect("server")["NetworkSettings"]["Networks"]["green"]["GlobalIPv6Address"]
    assert six.startswith("fd00:77::")
    assert docker("run", "--rm", "--network", "green", "test/probe", "probe", "ask", "tcp", six, "80").out.startswith("peer fd00:77::")
    if daemon.engine.is_bryo:
        assert docker("exec", "server", "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra").out == "0\n"  # CVE-2020-13401


@pytest.mark.needs_root("the bridge is not in the host's network")
def test_mtu_and_bridge_name_options(docker):
    docker("network", "create", "-o", "com.docker.network.driver.mtu=1400", "-o", "com.docker.network.bridge.name=mossy0", "green")
    assert "mossy0" in links()
    assert "mtu 1400" in docker("run", "--rm", "--network", "green", "busybox", "ip", "link", "show", "eth0").out


# --- host, none, container


def test_host_network(docker):
    out = docker("run", "--rm", "--network", "host", "busybox", "readlink", "/proc/self/ns/net").out.strip()
    assert out == host_view.namespace("self", "net")


def test_no_network(docker):
    out = docker("run", "--rm", "--network", "none", "busybox", "ip", "addr").out
    assert "lo:" in out and "127.0.0.1" in out and "eth0" not in out


def test_network_of_another_container(docker, daemon):
    docker("run", "-d", "--name", "first", "--hostname", "mossy", "test/probe")
    daemon.wait_output("first", "listening")
    out = docker("run", "--rm", "--network", "container:first", "test/probe", "sh", "-c", "probe ask tcp 127.0.0.1 80; hostname; cat /etc/hosts").out
    assert out.startswith("peer 127.0.0.1 ") and "mossy" in out


def test_a_shared_network_comes_with_its_names(docker):
    docker("run", "-d", "--name", "box", "--hostname", "here", "--domainname", "example.com", "busybox", "sleep", "600")
    said = docker("run", "--rm", "--network", "container:box", "busybox", "sh", "-c", "hostname; echo $HOSTNAME; cat /proc/sys/kernel/domainname").out
    assert said == "here\nhere\nexample.com\n"


def test_leaving_a_network_twice_is_an_error(docker):
    docker("network", "create", "green")
    docker("run", "-d", "--name", "box", "--network", "green", "busybox", "sleep", "600")
    docker("network", "disconnect", "green", "box")
    for force in ([], ["--force"]):
        assert "is not connected to" in docker.fails("network", "disconnect", *force, "green", "box").err


def test_options_that_contradict_a_shared_network(docker):
    docker("run", "-d", "--name", "first", "busybox", "sleep", "600")
    for option in (["-p", "80:80"], ["--hostname", "x"], ["--dns", "1.2.3.4"], ["--add-host", "a:1.2.3.4"]):
        assert "conflicting options" in docker.fails("run", "--rm", "--network", "container:first", *option, "busybox", "true").err


# --- the host's own rules


def test_rules_of_others_stay_as_they_are(docker, daemon):
    rules = """table inet mine {
      set hosts { type ipv4_addr; elements = { 10.1.1.1 }; }
      chain incoming { type filter hook input priority 5; ip saddr @hosts drop; }
    }"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        before = subprocess.run(["nft", "list", "table", "inet", "mine"], capture_output=True, text=True).stdout
        docker("network", "create", "green")
        docker("run", "--rm", "--network", "green", "-p", "8080:80", "busybox", "true")
        docker("network", "rm", "green")
        assert subprocess.run(["nft", "list", "table", "inet", "mine"], capture_output=True, text=True).stdout == before
    finally:
        subprocess.run(["nft", "delete", "table", "inet", "mine"], check=True)


@pytest.mark.needs_root("the table is not in the host's network")
@pytest.mark.bryo_only
def test_all_rules_are_in_one_table_of_ours(docker, daemon):
    docker("run", "-d", "-p", "8080:80", "busybox", "sleep", "600")
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.split("\n")
    assert {t.split()[2] for t in tables if t} == {"bryo"}


@pytest.mark.needs_root("without it the network bypass takes a subnet, too")
def test_bip_and_address_pools(make_daemon, make_client, shared_daemon):
    shared_daemon.stop()
    daemon = make_daemon("--bip=10.90.0.1/24", "--default-address-pool=base=10.91.0.0/16,size=24").start()
    docker = make_client(daemon)
    assert "10.90.0." in docker("run", "--rm", "busybox", "ip", "addr", "show", "eth0").out
    docker("network", "create", "green")
    assert "10.91.0.0/24" in docker("network", "inspect", "green").out
    daemon.close()
    shared_daemon.start()


def test_a_daemon_without_a_default_bridge(make_daemon, shared_daemon):
    daemon = make_daemon("--bridge=none").start()
    assert sorted(n["Name"] for n in daemon.api.get("/networks")) == ["host", "none"]
    daemon.pull("busybox")
    assert "eth0" not in daemon.output(daemon.run("busybox", "ip", "addr"))


def test_a_network_that_is_wrong_leaves_no_container_running(daemon):
    with pytest.raises(ApiError):
        daemon.run("busybox", "sleep", "60", name="box", host_config={"NetworkMode": "nosuch"})
    assert not [c for c in daemon.api.get("/containers/json") if "/box" in c["Names"]]


def create(daemon, name, *networks, **settings):
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": networks[0]},
            "NetworkingConfig": {"EndpointsConfig": {network: settings.get(network.replace("-", "_"), {}) for network in networks}}}
    api = Api(daemon.api.socket_path, "v1.47")
    api.post("/containers/create", body, name=name)
    api.post(f"/containers/{name}/start")
    return api.get(f"/containers/{name}/json")["NetworkSettings"]["Networks"]


def test_create_with_several_networks(docker, daemon):
    for name in ("left", "right"):
        docker("network", "create", name)
    mac = "02:42:0a:00:00:99"
    networks = create(daemon, "both", "left", "right", right={"MacAddress": mac, "Aliases": ["other"]})
    assert set(networks) == {"left", "right"}
    assert networks["right"]["MacAddress"] == mac and networks["left"]["MacAddress"] != mac
    short = daemon.inspect("both")["Id"][:12]
    assert networks["left"]["DNSNames"] == ["both", short]
    assert networks["right"]["DNSNames"] == ["both", "other", short] and networks["right"]["Aliases"] == ["other"]
    assert mac in docker("exec", "both", "ip", "link").out
    assert networks["right"]["IPAddress"] in docker("run", "--rm", "--network", "right", "busybox", "nslookup", "other").out


def test_settings_of_one_interface(docker, daemon):
    docker("network", "create", "left")
    option = {"DriverOpts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.rp_filter=2"}}
    create(daemon, "tuned", "left", left=option)
    assert docker("exec", "tuned", "cat", "/proc/sys/net/ipv4/conf/eth0/log_martians", "/proc/sys/net/ipv4/conf/eth0/rp_filter").lines == ["1", "2"]
    with pytest.raises(ApiError) as refused:
        create(daemon, "wrong", "left", left={"DriverOpts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.nonsense=1"}})
    assert "no such setting" in str(refused.value)
    daemon.api.delete("/containers/wrong", force=1)


@pytest.mark.bryo_only
def test_published_ports_follow_a_container_to_another_network(daemon):
    """The address that it leaves is the next container's, and its ports must not lead there."""
    for name in ("left", "right"):
        daemon.api.post("/networks/create", {"Name": name})
    server = daemon.run("test/probe", wait=False, host_config={"NetworkMode": "left", "PortBindings": {"80/tcp": [{"HostPort": "8099"}]}})
    daemon.wait_output(server, "listening")
    old = address(daemon, server, "left")
    daemon.api.post("/networks/right/connect", {"Container": server})
    daemon.api.post("/networks/left/disconnect", {"Container": server})
    heir = daemon.run("busybox", "sleep", "60", wait=False, host_config={"NetworkMode": "left"})
    assert address(daemon, heir, "left") == old
    assert ask("tcp", "127.0.0.1", 8099) is not None
    assert daemon.inspect(server)["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] == "8099"
    daemon.api.post("/networks/right/disconnect", {"Container": server})
    assert ask("tcp", "127.0.0.1", 8099) is None
    assert not daemon.inspect(server)["NetworkSettings"]["Ports"]["80/tcp"]
    daemon.api.post("/networks/right/connect", {"Container": server})
    assert ask("tcp", "127.0.0.1", 8099) is not None


@pytest.mark.bryo_only
def test_the_first_network_with_a_way_out_becomes_the_default_route(daemon):
    daemon.api.post("/networks/create", {"Name": "inner", "Internal": True})
    container = daemon.run("busybox", "sleep", "60", wait=False, host_config={"NetworkMode": "inner"})
    assert "default" not in daemon.exec(container, "ip", "route")[1]
    daemon.api.post("/networks/bridge/connect", {"Container": container})
    assert "default via 172.17.0.1 dev eth1" in daemon.exec(container, "ip", "route")[1]


def test_a_running_container_learns_the_names_of_a_network_that_it_joins(daemon):
    daemon.api.post("/networks/create", {"Name": "named"})
    daemon.run("busybox", "sleep", "60", wait=False, name="server", host_config={"NetworkMode": "named"})
    container = daemon.run("busybox", "sleep", "60", wait=False)
    daemon.api.post("/networks/named/connect", {"Container": container})
    status, out, err = daemon.exec(container, "ping", "-c", "1", "-W", "2", "server")
    assert status == 0, out + err
    assert address(daemon, container, "named") in daemon.exec(container, "cat", "/etc/hosts")[1]
    if daemon.engine.is_bryo:  # dockerd's stays
        daemon.api.post("/networks/named/disconnect", {"Container": container})
        assert "127.0.0.11" not in daemon.exec(container, "cat", "/etc/resolv.conf")[1]


@pytest.mark.bryo_only
def test_what_a_container_wrote_into_its_hosts_stays(daemon):
    daemon.api.post("/networks/create", {"Name": "named"})
    container = daemon.run("busybox", "sh", "-c", "echo 192.0.2.1 mine >>/etc/hosts; sleep 60", wait=False)
    wait_for(lambda: "mine" in daemon.exec(container, "cat", "/etc/hosts")[1])
    daemon.api.post("/networks/named/connect", {"Container": container})
    assert "192.0.2.1 mine" in daemon.exec(container, "cat", "/etc/hosts")[1]


def test_names_in_a_network_whose_name_has_dots(daemon):
    daemon.api.post("/networks/create", {"Name": "my.own.net"})
    container = daemon.run("busybox", "sleep", "60", wait=False, name="server", host_config={"NetworkMode": "my.own.net"})
    status, out, err = daemon.exec(container, "ping", "-c", "1", "-W", "2", "server.my.own.net")
    assert status == 0, out + err


@pytest.mark.bryo_only
def test_a_bridge_name_is_no_pattern(daemon):
    """The kernel puts a number in place of %d."""
    before = set(re.findall(r"^\d+: (xx\S*)", links(), re.M))
    with pytest.raises(ApiError) as error:
        daemon.api.post("/networks/create", {"Name": "pattern", "Options": {"com.docker.network.bridge.name": "xx%d"}})
    assert error.value.status == 400
    assert set(re.findall(r"^\d+: (xx\S*)", links(), re.M)) == before
