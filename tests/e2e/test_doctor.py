"""`bryo doctor` on hosts where one real prerequisite is broken: it says which, and what mends it."""

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support import users
from tests.support.daemon import BIN

pytestmark = pytest.mark.bryo_only
BRYO = BIN / "bryo"
NEWUIDMAP = Path("/usr/bin/newuidmap")
TUN = Path("/dev/net/tun")


@pytest.fixture
def penguin():
    account = users.make("penguin")
    users.end_processes(account)
    return account


def doctor(account, *flags, wrap=(), **environment):
    """(exit status, {name: finding}) of a run as this user."""
    ran = account.run(*wrap, BRYO, "doctor", "--format", "json", *flags, env={**account.environment(), **environment})
    assert ran.stdout, ran.stderr
    report = json.loads(ran.stdout)
    assert report["CanRun"] == (ran.returncode == 0)
    return ran.returncode, {check["Name"]: check for check in report["Checks"]}


def expect(findings, name, state, detail, fix):
    finding = findings[name]
    assert finding["State"] == state and detail in finding["Detail"] and fix in finding["Fix"], finding


@contextlib.contextmanager
def mounted(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(arguments[-1])], check=True)


@contextlib.contextmanager
def sysctl(name, value):
    """Of the test host's own network namespace."""
    file = Path("/proc/sys/net", name)
    before = file.read_text()
    file.write_text(value)
    try:
        yield
    finally:
        file.write_text(before)


def test_a_host_with_everything(penguin):
    status, findings = doctor(penguin)
    assert status == 0
    for name in ("kernel", "programs", "user-namespaces", "subuid", "subgid", "newuidmap", "newgidmap", "id-maps", "overlay", "bridge", "nftables",
                 "tun", "transparent-sockets", "seccomp-notify", "runtime-directory", "docker-socket"):
        assert findings[name]["State"] == "ok", findings[name]
    assert not list(penguin.home.glob(".bryo*")), "an attempt left something"


def test_root_of_the_machine():
    ran = subprocess.run([BRYO, "doctor", "--format", "json"], capture_output=True, text=True)
    findings = {check["Name"]: check for check in json.loads(ran.stdout)["Checks"]}
    assert ran.returncode == 0
    assert findings["idmapped-layers"]["State"] == "ok" and findings["userns-remap"]["State"] == "ok"
    assert findings["subuid"]["State"] == findings["tun"]["State"] == "not applicable"


def test_text_for_people(penguin):
    ran = penguin.run(BRYO, "doctor")
    assert ran.returncode == 0 and 'Containers can run here for user "penguin" (1001)' in ran.stdout
    assert penguin.run(BRYO, "doctor", "--format", "xml").returncode == 2


@pytest.mark.parametrize("kind", ["uid", "gid"])
def test_no_subordinate_ids(penguin, kind):
    Path(f"/etc/sub{kind}").write_text("somebody:100000:65536\n")
    status, findings = doctor(penguin)
    assert status == 1
    fix = findings[f"sub{kind}"]["Fix"]
    expect(findings, f"sub{kind}", "missing", f"/etc/sub{kind}", f"sudo usermod --add-sub{kind}s ")
    expect(findings, "id-maps", "missing", "penguin", "")
    subprocess.run(fix.removeprefix("sudo "), shell=True, check=True)  # the remedy is one
    assert doctor(penguin)[0] == 0
    assert doctor(penguin)[1][f"sub{kind}"]["State"] == "ok"


def test_subordinate_ids_of_two_users(penguin):
    with open("/etc/subuid", "a") as file:
        file.write("somebody:250000:65536\n")
    try:
        status, findings = doctor(penguin)
        assert status == 0
        expect(findings, "subuid", "warning", '"somebody"', "usermod --del-subuids 231072-296607 --add-subuids ")
        subprocess.run(findings["subuid"]["Fix"].removeprefix("sudo "), shell=True, check=True)
        assert doctor(penguin)[1]["subuid"]["State"] == "ok"
    finally:
        Path("/etc/subuid").write_text("")


def test_few_subordinate_ids(penguin):
    Path("/etc/subuid").write_text("penguin:231072:100\n")
    status, findings = doctor(penguin)
    assert status == 0
    expect(findings, "subuid", "warning", "only 100", "--add-subuids")


def test_malformed_subordinate_ids(penguin):
    Path("/etc/subuid").write_text("penguin:many:65536\n")
    status, findings = doctor(penguin)
    assert status == 1
    expect(findings, "subuid", "missing", "/etc/subuid line 1", "sudoedit /etc/subuid")


def test_newuidmap_without_its_rights(penguin, tmp):
    copy = tmp / "newuidmap"
    shutil.copy(NEWUIDMAP, copy)
    copy.chmod(0o755)
    with mounted("--bind", copy, NEWUIDMAP):
        status, findings = doctor(penguin)
        assert status == 1
        expect(findings, "newuidmap", "missing", "not set-uid root", "sudo chmod u+s /usr/bin/newuidmap")
        assert findings["newgidmap"]["State"] == "ok" and findings["id-maps"]["State"] == "missing"
        subprocess.run(findings["newuidmap"]["Fix"].removeprefix("sudo "), shell=True, check=True)
        assert doctor(penguin)[0] == 0


def test_newuidmap_on_a_nosuid_mount(penguin, tmp):
    place = tmp / "nosuid"
    place.mkdir()
    with mounted("-t", "tmpfs", "-o", "nosuid", "tmpfs", place):
        shutil.copy(NEWUIDMAP, place)
        (place / "newuidmap").chmod(0o4755)
        with mounted("--bind", place / "newuidmap", NEWUIDMAP):
            status, findings = doctor(penguin)
    assert status == 1
    expect(findings, "newuidmap", "missing", "nosuid", "remount,suid")


def test_no_new_privileges(penguin):
    status, findings = doctor(penguin, wrap=("setpriv", "--no-new-privs"))
    assert status == 1
    expect(findings, "no-new-privileges", "missing", "no_new_privs", "NoNewPrivileges=no")


def test_no_more_user_namespaces(penguin):
    """The limit of a nested user namespace: the machine's own stays as it is."""
    script = f"echo 0 > /proc/sys/user/max_user_namespaces; exec {BRYO} doctor --format json"
    ran = penguin.run("unshare", "--user", "--map-root-user", "sh", "-c", script)
    findings = {check["Name"]: check for check in json.loads(ran.stdout)["Checks"]}
    expect(findings, "max-user-namespaces", "warning", "is 0", "user.max_user_namespaces=28633")
    expect(findings, "user-namespaces", "warning", "No space left", "")


@pytest.fixture
def own_tun(tmp):
    """/dev/net/tun of this mount namespace: the machine's own is not touched."""
    node = Path("/run/own-tun")
    os.mknod(node, stat.S_IFCHR | 0o666, TUN.stat().st_rdev)
    node.chmod(0o666)
    with mounted("--bind", node, TUN):
        yield TUN
    node.unlink()


def test_tun_for_root_only(penguin, own_tun):
    own_tun.chmod(0o600)
    status, findings = doctor(penguin)
    assert status == 0
    expect(findings, "tun", "warning", "Permission denied", "sudo chmod 0666 /dev/net/tun")
    subprocess.run(findings["tun"]["Fix"].removeprefix("sudo "), shell=True, check=True)
    assert doctor(penguin)[1]["tun"]["State"] == "ok"


def test_runtime_directory_of_somebody_else(penguin):
    status, findings = doctor(penguin, XDG_RUNTIME_DIR="/run")
    assert status == 1
    expect(findings, "runtime-directory", "missing", "no directory of yours", "export XDG_RUNTIME_DIR=/run/user/1001")


def test_no_runtime_directory(penguin):
    environment = penguin.environment()
    del environment["XDG_RUNTIME_DIR"]
    ran = penguin.run(BRYO, "doctor", "--format", "json", env=environment)
    assert ran.returncode == 0
    expect({check["Name"]: check for check in json.loads(ran.stdout)["Checks"]}, "runtime-directory", "warning", "not set", "export XDG_RUNTIME_DIR=")


def on_tmpfs(account, place, options):
    place.mkdir()
    with mounted("-t", "tmpfs", "-o", f"mode=777,{options}", "tmpfs", place):
        return doctor(account, "--data-root", str(place / "data"))


def test_data_root_that_is_read_only(penguin, tmp):
    status, findings = on_tmpfs(penguin, tmp / "place", "ro")
    assert status == 1
    expect(findings, "mount-options", "missing", "read-only", "remount,rw")


def test_data_root_without_execution(penguin, tmp):
    status, findings = on_tmpfs(penguin, tmp / "place", "noexec")
    assert status == 0
    expect(findings, "mount-options", "warning", "volumes", "remount,exec")
    assert findings["overlay"]["State"] == "ok"


def test_data_root_without_room(penguin, tmp):
    status, findings = on_tmpfs(penguin, tmp / "place", "size=4m")
    assert status == 1
    expect(findings, "disk-space", "missing", "no room", "prune")


def test_data_root_on_a_file_system_that_overlay_cannot_use(penguin, tmp):
    for name in ("lower", "upper", "work", "place"):
        (tmp / name).mkdir()
        (tmp / name).chmod(0o777)
    with mounted("-t", "overlay", "-o", f"lowerdir={tmp}/lower,upperdir={tmp}/upper,workdir={tmp}/work", "overlay", tmp / "place"):
        status, findings = doctor(penguin, "--data-root", str(tmp / "place/data"))
    assert status == 0
    expect(findings, "data-filesystem", "warning", "on overlay", "/.config/bryo/daemon.json")
    assert findings["overlay"]["State"] == "warning" and "vfs" in findings["overlay"]["Detail"]


def test_another_engine_has_the_socket(penguin):
    path = penguin.runtime / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o666)
        try:
            _, findings = doctor(penguin)
        finally:
            path.unlink()
    expect(findings, "docker-socket", "warning", f"process {os.getpid()}", f"DOCKER_HOST=unix://{penguin.runtime}/bryo/bryo.sock")


@pytest.mark.parametrize(("name", "key", "good", "bad"), [("low-ports", "ipv4/ip_unprivileged_port_start", "80", "1024"),
                                                          ("ping", "ipv4/ping_group_range", "0 2147483647", "1 0")])
def test_network_settings(penguin, name, key, good, bad):
    with sysctl(key, bad):
        expect(doctor(penguin)[1], name, "warning", "", key.replace("/", "."))
    with sysctl(key, good):
        assert doctor(penguin)[1][name]["State"] == "ok"
