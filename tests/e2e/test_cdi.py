"""Devices by name (--device vendor.com/class=name), as their vendors describe them in CDI specifications. dockerd 20.10 has none of it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.rawhttp import ApiError

pytestmark = pytest.mark.bryo_only


@pytest.fixture
def specs(tmp):
    """Two directories of specifications; the second counts more."""
    for name in ("static", "dynamic"):
        (tmp / name).mkdir()
    return tmp


@pytest.fixture
def engine_with(make_daemon, specs):
    daemon = make_daemon("--cdi-spec-dir", str(specs / "static"), "--cdi-spec-dir", str(specs / "dynamic")).start()
    daemon.pull("busybox")
    return daemon


def write(file, *devices, kind="vendor.com/thing", version="0.7.0", edits=None):
    file.write_text(json.dumps({"cdiVersion": version, "kind": kind, "containerEdits": edits or {},
                                "devices": [{"name": name, "containerEdits": own} for name, own in devices]}))


@pytest.fixture
def thing(specs):
    """A device with a node under another name, a library and a variable, in YAML as nvidia-ctk writes it; and what all of its kind need."""
    library = specs / "lib.so"
    library.write_text("library")
    library.chmod(0o644)
    (specs / "static/thing.yaml").write_text(f"""---
cdiVersion: 0.5.0
kind: vendor.com/thing
containerEdits:
  env:
  - THINGS=all
devices:
- name: "0"
  containerEdits:
    env: [THING=zero]
    deviceNodes:
    - path: /dev/thing0
      hostPath: /dev/full
      permissions: rw
    mounts:
    - hostPath: {library}
      containerPath: /usr/lib/vendor/lib.so
      options: [ro, nosuid, nodev, bind]
- name: all
  containerEdits:
    env: [THING=all]
""")
    return specs


LOOK = "echo $THINGS $THING; ls -l /dev/thing0 | cut -c1; (echo x >/dev/thing0) 2>&1; cat /usr/lib/vendor/lib.so; (echo y >/usr/lib/vendor/lib.so) 2>&1; true"


@pytest.mark.parametrize("kind", ["current", "bryo"])
def test_a_device_comes_with_all_that_its_vendor_says(engine_with, thing, make_client, kind):
    docker = make_client(engine_with, kind)
    out = docker("run", "--rm", "-e", "THING=mine", "--device", "vendor.com/thing=0", "busybox", "sh", "-c", LOOK).out.splitlines()
    assert out[:2] == ["all zero", "c"] and "No space left" in out[2]  # it is /dev/full
    assert out[3].startswith("library") and "Read-only" in out[3]


def test_a_name_among_the_paths_is_a_name(engine_with, thing):
    """As clients write it that pass on whatever stands in `devices:`."""
    devices = [{"PathOnHost": "vendor.com/thing=all", "PathInContainer": "vendor.com/thing=all", "CgroupPermissions": "rwm"}]
    container = engine_with.run("busybox", "sh", "-c", "echo $THINGS $THING", host_config={"Devices": devices})
    assert engine_with.output(container) == "all all\n"
    host = engine_with.inspect(container)["HostConfig"]
    assert host["Devices"] == [] and host["DeviceRequests"] == [{"Driver": "cdi", "DeviceIDs": ["vendor.com/thing=all"]}]


def test_info_and_what_counts(engine_with, thing, specs):
    write(specs / "dynamic/thing.json", ("0", {"env": ["THING=newer"]}))
    info = engine_with.api.get("/info")
    assert info["CDISpecDirs"] == [str(specs / "static"), str(specs / "dynamic")]
    assert info["DiscoveredDevices"] == [{"Source": "cdi", "ID": "vendor.com/thing=0"}, {"Source": "cdi", "ID": "vendor.com/thing=all"}]
    container = engine_with.run("busybox", "sh", "-c", "echo $THING", host_config=request("vendor.com/thing=0"))
    assert engine_with.output(container) == "newer\n"


def request(*names):
    return {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": list(names)}]}


def test_groups_are_added(engine_with, specs):
    write(specs / "static/g.json", ("x", {"additionalGids": [0, 44, 109]}))
    container = engine_with.run("busybox", "grep", "Groups", "/proc/self/status", User="1000:1000", host_config=request("vendor.com/thing=x"))
    assert engine_with.output(container).split()[1:] == ["44", "109", "1000"]


def refused(daemon, *names):
    with pytest.raises(ApiError) as error:
        daemon.api.post("/containers/create", {"Image": "busybox", "HostConfig": request(*names)})
    assert daemon.api.get("/containers/json", all=1) == [], "nothing is left"
    return error.value


@pytest.mark.parametrize("permissions, opens", [("", True), ("rw", True), ("none", False)])
def test_the_cgroup_lets_the_device_through(engine_with, specs, permissions, opens):
    """/dev/net/tun is not among the devices that every container may open."""
    if not Path("/dev/net/tun").exists():
        pytest.skip("this host has no /dev/net/tun")
    if engine_with.engine.user and not opens:
        pytest.skip("needs root: device rules")
    write(specs / "static/g.json", ("x", {"deviceNodes": [{"path": "/dev/way", "hostPath": "/dev/net/tun", "permissions": permissions}]}))
    container = engine_with.run("busybox", "sh", "-c", "exec 3<>/dev/way && echo opened", host_config=request("vendor.com/thing=x"))
    assert ("opened" in engine_with.output(container)) == opens


def test_what_is_not_there_is_refused_by_name(engine_with, thing, specs):
    (specs / "dynamic/broken.json").write_text('{"cdiVersion": "0.7.0", "kind": "v.com/c", "devices": [], "surplus": 1}')
    error = refused(engine_with, "vendor.com/thing=0", "vendor.com/thing=7", "v.com/c=x")
    assert error.status == 400
    assert error.message.startswith("CDI device injection failed: unresolvable CDI devices vendor.com/thing=7, v.com/c=x: ")
    assert f"{specs}/dynamic/broken.json: surplus: no such field" in error.message


NET_DEVICE = {"netDevices": [{"hostInterfaceName": "cdi7", "name": "fast0"}]}


def test_without_root_no_network_device_is_moved(engine_with, specs):
    if not engine_with.engine.user:
        pytest.skip("an engine with root moves them")
    write(specs / "static/x.json", ("x", NET_DEVICE), version="1.1.0")
    error = refused(engine_with, "vendor.com/thing=x")
    assert error.status == 501 and "network device cdi7: an engine without root" in error.message


@pytest.mark.needs_root("network devices")
@pytest.mark.parametrize("network", ["bridge", "none"])
def test_a_network_device_is_moved_with_its_addresses(engine_with, specs, network):
    write(specs / "static/x.json", ("x", NET_DEVICE), version="1.1.0")
    ip = lambda *words: subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    ip("link", "add", "cdi7", "mtu", "1300", "type", "veth", "peer", "name", "cdi8")
    ip("address", "add", "192.0.2.9/28", "dev", "cdi7")
    container = engine_with.run("busybox", "sh", "-c", "ip -o address show fast0; ip link show fast0; ip link | grep -c eth0",
                                host_config={**request("vendor.com/thing=x"), "NetworkMode": network})
    out = engine_with.output(container)
    assert "inet 192.0.2.9/28" in out and "mtu 1300" in out and "UP" in out, out
    assert out.splitlines()[-1] == ("1" if network == "bridge" else "0")
    assert subprocess.run(["ip", "link", "show", "cdi7"], capture_output=True).returncode != 0
    # It was virtual and is gone with the container.
    with pytest.raises(ApiError) as error:
        engine_with.api.post(f"/containers/{container}/start")
    assert "network device cdi7 is not on the host" in error.value.message


@pytest.mark.needs_root("network devices")
def test_a_network_device_wants_a_network_of_the_containers_own(engine_with, specs):
    write(specs / "static/x.json", ("x", NET_DEVICE), version="1.1.0")
    with pytest.raises(ApiError) as error:
        engine_with.api.post("/containers/create", {"Image": "busybox", "HostConfig": {**request("vendor.com/thing=x"), "NetworkMode": "host"}})
    assert error.value.status == 400 and "network device cdi7: the container needs a network of its own" in error.value.message


def test_what_the_host_lacks_is_said_at_the_start(engine_with, specs):
    for name, edits, text in (("node", {"deviceNodes": [{"path": "/dev/none-such"}]}, "/dev/none-such is not on the host"),
                              ("file", {"deviceNodes": [{"path": "/dev/x", "hostPath": str(specs)}]}, "is not a device node"),
                              ("class", {"intelRdt": {"closID": "gold"}}, "linux.intelRdt: no resctrl file system is mounted on this host"),
                              ("mount", {"mounts": [{"hostPath": "/none/such", "containerPath": "/x", "options": ["bind"]}]}, "/none/such is not on the host")):
        write(specs / "static/x.json", (name, edits))
        with pytest.raises(ApiError) as error:
            engine_with.run("busybox", "true", host_config=request(f"vendor.com/thing={name}"))
        assert text in error.value.message and (name == "class" or error.value.message.startswith("CDI device injection failed"))


def test_other_drivers_are_refused(engine_with):
    with pytest.raises(ApiError) as error:
        engine_with.run("busybox", "true", host_config={"DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]})
    assert error.value.status == 400 and "could not select device driver" in error.value.message


def test_the_default_directories(make_daemon, engine):
    """Without root: the user's as well."""
    daemon = make_daemon().start()
    directories = daemon.api.get("/info")["CDISpecDirs"]
    own = [str(daemon.account.home / ".config/cdi"), str(daemon.account.runtime / "cdi")] if engine.user else []
    assert directories == ["/etc/cdi", "/var/run/cdi", *own]
    if own:
        daemon.pull("busybox")
        os.makedirs(own[1], exist_ok=True)
        file = Path(own[1], "x.json")
        write(file, ("x", {"env": ["OWN=yes"]}))
        try:
            assert daemon.output(daemon.run("busybox", "sh", "-c", "echo $OWN", host_config=request("vendor.com/thing=x"))) == "yes\n"
        finally:
            file.unlink()
    daemon.stop()
    daemon.start("--cdi-spec-dir", "")
    assert daemon.api.get("/info")["CDISpecDirs"] == []
