"""An engine without root on a data root that the kernel's overlay cannot use (another overlay): fuse-overlayfs, with the real program."""

import io
import os
import signal
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.daemon import ROOTLESS, Daemon
from tests.support.rawhttp import ApiError
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.bryo_only,
    pytest.mark.skipif(not Path("/usr/bin/fuse-overlayfs").exists(), reason="fuse-overlayfs is not installed"),
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="no /dev/fuse"),
]


@pytest.fixture
def everybodys_fuse():
    before = stat.S_IMODE(os.stat("/dev/fuse").st_mode)
    os.chmod("/dev/fuse", 0o666)
    yield
    os.chmod("/dev/fuse", before)


@pytest.fixture
def place(tmp):
    """A directory on an overlay: no upper directory of another overlay can lie there, and whiteouts cannot be devices."""
    for name in ("lower", "upper", "work", "place"):
        (tmp / name).mkdir()
    place = tmp / "place"
    subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={tmp}/lower,upperdir={tmp}/upper,workdir={tmp}/work", "overlay", place], check=True)
    place.chmod(0o777)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def make(place, hub):
    made = []

    def make(*flags):
        daemon = Daemon(ROOTLESS, place / f"fuse{len(made)}", ["--registry-mirror", hub.url, "--insecure-registry", hub.address, *flags])
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def daemon(make, everybodys_fuse):
    daemon = make().start()
    daemon.pull("busybox")
    yield daemon
    daemon.assert_alive()
    daemon.remove_containers()
    wait_for(lambda: not programs(daemon), 10, "every fuse-overlayfs is gone")
    assert not fuse_mounts(daemon.pid)


def programs(daemon):
    """Pids of the fuse-overlayfs processes of this daemon."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            line = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
        except OSError:
            continue
        if line.startswith(b"/usr/bin/fuse-overlayfs") and str(daemon.data_root).encode() in line:
            found.append(int(process.name))
    return found


def fuse_mounts(pid):
    return [line for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if " fuse.fuse-overlayfs " in line]


def changes(daemon, container):
    return {change["Path"]: "CAD"[change["Kind"]] for change in daemon.api.get(f"/containers/{container}/changes")}


def sleeper(daemon, **config):
    return daemon.run("busybox", "sleep", "1000", wait=False, host_config={"Init": True}, **config)


def sh(daemon, container, script, **config):
    code, out, err = daemon.exec(container, "sh", "-c", script, **config)
    assert code == 0, (script, out, err)
    return out


def get_file(daemon, container, path):
    status, _, data = daemon.api.raw("GET", daemon.api.path(f"/containers/{container}/archive", path=path))
    assert status == 200, data
    archive = tarfile.open(fileobj=io.BytesIO(data))
    return archive.extractfile(archive.getmembers()[0]).read().decode()


def put_file(daemon, container, directory, name, text):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    status, _, data = daemon.api.raw("PUT", daemon.api.path(f"/containers/{container}/archive", path=directory), out.getvalue(), {"Content-Type": "application/x-tar"})
    assert status == 200, data


def test_it_is_chosen_by_itself(daemon):
    info = daemon.api.get("/info")
    assert info["Driver"] == "fuse-overlayfs"
    assert ["Program", "/usr/bin/fuse-overlayfs"] in info["DriverStatus"] and ["Backing Filesystem", "overlayfs"] in info["DriverStatus"]
    assert "storage driver fuse-overlayfs is used" in daemon.log_text()


def test_a_container_writes_and_deletes_and_is_committed(daemon):
    box = sleeper(daemon)
    assert fuse_mounts(daemon.state(box)["Pid"])
    sh(daemon, box, "echo new >/etc/new; rm /etc/group; mkdir /made; echo one >/made/one; chmod 711 /home; rm -r /var/spool 2>/dev/null; true")
    sh(daemon, box, "rm -r /etc/network 2>/dev/null; mkdir -p /etc/network; echo mine >/etc/network/mine")
    seen = changes(daemon, box)
    assert seen["/etc/new"] == "A" and seen["/etc/group"] == "D" and seen["/made/one"] == "A" and seen["/etc"] == "C" and seen["/home"] == "C"
    assert seen["/etc/network/mine"] == "A" and not [path for path in seen if ".wh." in path]
    daemon.api.post("/commit", {}, container=box, repo="changed", pause=0)  # of a container that runs
    assert sh(daemon, box, "touch /tmp/probe && rm /tmp/probe && cat /etc/new") == "new\n"
    copy = daemon.run("changed", "sh", "-c", "cat /etc/new /made/one /etc/network/*; stat -c %a /home; ls /etc/group /var/spool; ls -a / /etc | grep -c wh")
    out = daemon.output(copy)
    assert out.startswith("new\none\nmine\n711\n") and "/etc/group: No such file" in out and out.endswith("\n0\n"), out
    assert changes(daemon, copy) == {}


def test_what_a_running_container_has_not_closed_yet_is_committed(daemon):
    box = daemon.run("busybox", "sh", "-c", "exec >/held; echo held; exec sleep 1000", wait=False, host_config={"Init": True})
    wait_for(lambda: "/held" in changes(daemon, box), 10, "the file is there")
    wait_for(lambda: sh(daemon, box, "stat -c %s /held") == "5\n", 10, "the container has written it")
    daemon.api.post("/commit", {}, container=box, repo="held", pause=0)
    assert daemon.output(daemon.run("held", "cat", "/held")) == "held\n"


def test_another_user_of_a_container(daemon):
    box = sleeper(daemon)
    out = sh(daemon, box, "id -u; echo mine >/tmp/mine; stat -c %u /tmp/mine; ! echo no >/etc/passwd", User="1000")
    assert out == "1000\n1000\n"
    assert sh(daemon, box, "stat -c %u /tmp/mine; chown 5:6 /tmp/mine; stat -c %u:%g /tmp/mine") == "1000\n5:6\n"


def test_cp_into_and_out_of_containers(daemon):
    box = daemon.run("busybox", "sh", "-c", "echo written >/written; cat /put || true")
    assert get_file(daemon, box, "/written") == "written\n"
    put_file(daemon, box, "/", "put", "from outside\n")
    wait_for(lambda: not programs(daemon), 10, "views end their program")
    daemon.api.post(f"/containers/{box}/start")
    daemon.api.post(f"/containers/{box}/wait")
    assert daemon.output(box).endswith("from outside\n")
    running = sleeper(daemon)
    put_file(daemon, running, "/etc", "put", "alive\n")
    assert sh(daemon, running, "cat /etc/put") == "alive\n" and get_file(daemon, running, "/etc/put") == "alive\n"


def test_a_map_of_its_own(daemon):
    """Images are copied with the container's ids once, as under overlay."""
    out = daemon.output(daemon.run("busybox", "sh", "-c", "id -u; stat -c %u /etc/passwd /tmp; echo x >/x; stat -c %u /x", host_config={"UsernsMode": "auto"}))
    assert out == "0\n0\n0\n0\n"


def test_it_outlives_bryod(daemon):
    box = sleeper(daemon)
    sh(daemon, box, "echo before >/before")
    before = programs(daemon)
    assert len(before) == 1
    for end in (daemon.stop, daemon.kill9):
        end()
        assert programs(daemon) == before
        daemon.start()
        assert sh(daemon, box, "cat /before; echo after >>/before; cat /bin/busybox >/dev/null; echo ok").endswith("ok\n")
    assert changes(daemon, box)["/before"] == "A"
    daemon.api.post(f"/containers/{box}/stop", t=0)
    wait_for(lambda: not programs(daemon), 10, "its program ends with the container")
    daemon.api.post(f"/containers/{box}/start")
    assert "after" in sh(daemon, box, "cat /before")
    daemon.api.delete(f"/containers/{box}", force=1)
    wait_for(lambda: not programs(daemon), 10, "its program ends with the container")


def test_bryod_dies_and_then_the_container_ends(daemon):
    box = sleeper(daemon)
    pid = daemon.state(box)["Pid"]
    daemon.kill9()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not programs(daemon), 10, "nobody has to be there for the program to end")
    daemon.start()
    assert daemon.state(box)["Status"] == "exited"


def test_the_program_dies(daemon):
    box = sleeper(daemon)
    (program,) = programs(daemon)
    os.kill(program, signal.SIGKILL)
    wait_for(lambda: not programs(daemon), 10, "the program is gone")
    with pytest.raises((ApiError, AssertionError)):
        sh(daemon, box, "cat /etc/passwd")
    daemon.api.post(f"/containers/{box}/stop", t=1)
    assert daemon.state(box)["Status"] == "exited"
    daemon.api.post(f"/containers/{box}/start")
    assert sh(daemon, box, "cat /etc/passwd")
    os.kill(programs(daemon)[0], signal.SIGKILL)
    daemon.api.delete(f"/containers/{box}", force=1)


def test_a_start_that_fails_leaves_nothing(daemon):
    with pytest.raises(ApiError):
        daemon.run("busybox", "/no/such/program")
    wait_for(lambda: not programs(daemon), 10, "the program of a container that never ran ends")


def test_without_the_device_it_is_vfs_and_says_why(make):
    if os.stat("/dev/fuse").st_mode & 0o006:
        pytest.skip("everybody may open /dev/fuse on this host")
    daemon = make().start()
    assert daemon.api.get("/info")["Driver"] == "vfs"
    log = daemon.log_text()
    assert "storage driver vfs, which copies whole images, is used" in log and "/dev/fuse" in log
    daemon.stop()
    status, log = make("--storage-driver=fuse-overlayfs").fails_to_start()
    assert status != 0 and "/dev/fuse" in log
