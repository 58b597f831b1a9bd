"""bryod started by an ordinary user: ids, files, places; what only such an engine does. The other tests run without root too: tests/run --engine=rootless."""

import io
import os
import re
import socket
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support import users
from tests.support.daemon import BIN, ROOTLESS
from tests.support.rawhttp import ApiError
from tests.support.rootless_engine import daemon, ids_of, own, penguin, processes_of, run, shared, user_network  # noqa: F401 (fixtures)
from tests.support.users import FIRST_ID, IDS
from tests.support.waiting import wait_for

pytestmark = pytest.mark.bryo_only


# --- supplementary groups

LAB = 4242  # a group of the host's, in which the user is for these tests


@pytest.fixture
def in_lab(make_daemon):
    """An engine whose user is in the group."""
    daemon = make_daemon(chosen=ROOTLESS)

    def start():
        daemon.spawn(extra_groups=[LAB]).wait_ready()
        return daemon

    daemon.start_in_lab = start
    start()
    daemon.pull("busybox")
    return daemon


@pytest.fixture
def labs(tmp):
    """A directory with a file that only the group reads."""
    directory = tmp / "lab"
    directory.mkdir()
    (directory / "note").write_text("for the lab")
    os.chown(directory / "note", 0, LAB)
    os.chmod(directory / "note", 0o640)
    return {"Binds": [f"{directory}:/lab:ro"]}


def groups_of(pid):
    return [int(gid) for gid in re.search(r"Groups:(.*)", Path(f"/proc/{pid}/status").read_text())[1].split()]


@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_groups_of_the_user_are_kept_when_asked_for(in_lab, labs, user):
    container = in_lab.run("busybox", "sleep", "600", wait=False, User=user, host_config={**labs, "GroupAdd": ["keep-groups"]})
    assert groups_of(in_lab.state(container)["Pid"]) == [LAB]
    assert in_lab.exec(container, "cat", "/lab/note") == (0, "for the lab", "")
    assert in_lab.exec(container, "cat", "/lab/note", User="7:7") == (0, "for the lab", "")


def test_groups_of_the_user_are_given_to_nobody_who_did_not_ask(in_lab, labs):
    container = in_lab.run("busybox", "sleep", "600", wait=False, host_config=labs)
    assert groups_of(in_lab.state(container)["Pid"]) == [users.make("penguin").gid]
    code, _, err = in_lab.exec(container, "cat", "/lab/note")
    assert code == 1 and "Permission denied" in err
    assert groups_of(in_lab.pid) == [LAB] and groups_of(user_network(in_lab)) == []


def test_groups_are_kept_by_an_engine_that_joins_containers_of_the_last(in_lab, labs):
    in_lab.run("busybox", "sleep", "600", wait=False)
    in_lab.kill9()
    in_lab.start_in_lab()
    container = in_lab.run("busybox", "cat", "/lab/note", host_config={**labs, "GroupAdd": ["keep-groups"]})
    assert in_lab.output(container) == "for the lab"


def test_kept_groups_come_alone(daemon):
    with pytest.raises(ApiError) as refused:
        daemon.run("busybox", "true", host_config={"GroupAdd": ["keep-groups", "7"]})
    assert refused.value.status == 400 and "not allowed with any other" in refused.value.message


def test_an_engine_with_root_has_no_groups_of_the_user_to_keep(remapped):
    remapped.pull("busybox")
    with pytest.raises(ApiError) as refused:
        remapped.run("busybox", "true", host_config={"GroupAdd": ["keep-groups"]})
    assert "--group-add keep-groups is for an engine without root" in refused.value.message


# --- ids


def test_root_of_a_container_is_the_user(daemon, penguin):
    container = daemon.run("busybox", "sleep", "60", wait=False)
    assert ids_of(daemon.state(container)["Pid"]) == (penguin.uid, penguin.gid)


def test_other_users_are_subordinate_ids(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False, User="1000:100")
    assert ids_of(daemon.state(container)["Pid"]) == (FIRST_ID + 999, FIRST_ID + 99)


def test_nothing_of_it_is_root_on_the_host(daemon):
    daemon.run("busybox", "sleep", "60", wait=False)
    uid, _ = ids_of(daemon.pid)
    assert uid != 0
    assert all(ids_of(pid)[0] != 0 for pid in processes_of(daemon))


def test_a_container_has_a_user_namespace_of_its_own(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False)
    theirs = os.readlink(f"/proc/{daemon.state(container)['Pid']}/ns/user")
    assert theirs not in (os.readlink(f"/proc/{daemon.pid}/ns/user"), os.readlink("/proc/self/ns/user"))
    assert run(daemon, "cat", "/proc/self/uid_map").split() == ["0", "0", "1", "1", "1", str(IDS)]


def test_info_says_rootless(daemon):
    info = daemon.api.get("/info")
    assert "name=rootless" in info["SecurityOptions"]
    assert info["Driver"] == "overlay2"
    assert ["userxattr", "true"] in info["DriverStatus"]


# --- files


def test_files_of_the_user_belong_to_root_of_the_container(daemon, own):
    (own / "note").write_text("x")
    os.chown(own / "note", *os.stat(own)[4:6])
    assert run(daemon, "stat", "-c", "%u:%g", "/own", "/own/note", host_config={"Binds": [f"{own}:/own"]}) == "0:0\n0:0\n"
    run(daemon, "touch", "/own/made", host_config={"Binds": [f"{own}:/own"]})
    assert os.stat(own / "made").st_uid == os.stat(own).st_uid


def test_files_of_others_are_nobodys_and_closed(daemon, tmp, own):
    (own / "theirs").write_text("secret")
    os.chmod(own / "theirs", 0o600)  # root's
    container = daemon.run("busybox", "sh", "-c", "stat -c %u /own/theirs; cat /own/theirs", host_config={"Binds": [f"{own}:/own"]})
    out = daemon.output(container)
    assert out.startswith("65534\n") and "secret" not in out


def test_the_users_files_belong_to_the_containers_user_whoever_that_is(daemon, own, penguin):
    """No flag: with a bind mount of the user's own directory the map is the one that makes both the same."""
    container = daemon.run("busybox", "sh", "-c", "id -u; stat -c %u:%g /own; touch /own/made; stat -c %u /bin/busybox", User="1000:1000",
                           host_config={"Binds": [f"{own}:/own"]})
    assert daemon.output(container).split() == ["1000", "1000:1000", "0"]
    assert os.stat(own / "made").st_uid == penguin.uid


def test_with_a_named_volume_the_map_stays_and_a_warning_says_how(daemon, own):
    created = daemon.api.post("/containers/create", {"Image": "busybox", "Cmd": ["true"], "User": "1000", "HostConfig": {"Binds": [f"{own}:/own", "vol:/v"]}})
    assert "--userns=keep-id:uid=1000" in created["Warnings"][0]


def test_keep_id(daemon, own, penguin):
    out = run(daemon, "sh", "-c", "stat -c %u:%g /own /etc; cat /proc/self/uid_map", User="1234:1234",
              host_config={"Binds": [f"{own}:/own"], "UsernsMode": "keep-id:uid=1234,gid=1234"})
    assert out.split()[:2] == ["1234:1234", "0:0"]
    container = daemon.run("busybox", "sleep", "60", wait=False, User=f"{penguin.uid}", host_config={"UsernsMode": "keep-id"})
    assert ids_of(daemon.state(container)["Pid"])[0] == penguin.uid


@pytest.mark.parametrize("config", [{}, {"User": "1000:1000"}, {"User": "1000:1000", "userns": "keep-id:uid=1000,gid=1000"}])
def test_idmap_is_the_map_where_the_user_has_a_place_in_it(daemon, own, penguin, config):
    """The kernel would refuse to shift the directory's owners; the container's ids are chosen so that nothing needs shifting."""
    container = daemon.run("busybox", "sh", "-c", "id -u; stat -c %u /own; touch /own/made", User=config.get("User", ""),
                           host_config={"Binds": [f"{own}:/own:idmap"], "UsernsMode": config.get("userns", "")})
    user = config.get("User", "0").partition(":")[0]
    assert daemon.output(container).split() == [user, user]
    assert os.stat(own / "made").st_uid == penguin.uid
    assert daemon.api.raw("GET", daemon.api.path(f"/containers/{container}/archive", path="/own"))[0] == 200


@pytest.mark.parametrize("bind, text", [("{own}:/own:idmap", "--userns=keep-id"), ("ids:/own", "Leave --userns out")])
def test_idmap_that_the_kernel_refuses_says_why_and_what_to_do(daemon, own, bind, text):
    with pytest.raises(ApiError) as refused:
        daemon.api.post("/containers/create", {"Image": "busybox", "HostConfig": {"Binds": [bind.format(own=own)], "UsernsMode": "auto"}})
    assert refused.value.status == 501
    assert "cannot be shown with the ids of this container" in refused.value.message and "only root of the machine" in refused.value.message
    assert text in refused.value.message
    assert daemon.api.get("/containers/json", all=1) == []


def test_a_copy_with_other_ids_is_made_once(daemon):
    options = {"UsernsMode": "keep-id:uid=777,gid=777"}
    before = daemon.log_text().count("with the ids of a container")
    for _ in range(2):
        assert run(daemon, "stat", "-c", "%u", "/bin/busybox", host_config=options) == "0\n"
    assert daemon.log_text().count("with the ids of a container") == before + 1


def test_copies_that_nobody_uses_are_few(daemon):
    for uid in range(300, 307):
        run(daemon, "true", host_config={"UsernsMode": f"keep-id:uid={uid},gid={uid}"})
    daemon.remove_containers()
    wait_for(lambda: len(list((daemon.data_root / "shifted").iterdir())) <= 4, 10, "the others are gone")


@pytest.mark.parametrize("wrong", ["keep-id:uid=x", "keep-id:", "keep-id:uid=100000", "keep-id:size=0"])
def test_a_wrong_keep_id_is_refused(daemon, wrong):
    with pytest.raises(ApiError) as refused:
        daemon.api.post("/containers/create", {"Image": "busybox", "HostConfig": {"UsernsMode": wrong}})
    assert refused.value.status in (400, 500) and "userns" in str(refused.value)


def test_auto_gives_ids_that_no_other_container_with_it_has(daemon):
    ids = set()
    for _ in range(3):
        container = daemon.run("busybox", "sleep", "60", wait=False, host_config={"UsernsMode": "auto:size=1024"})
        assert daemon.exec(container, "sh", "-c", "touch /x && stat -c %u /x /bin/busybox") == (0, "0\n0\n", "")
        ids.add(ids_of(daemon.state(container)["Pid"])[0])
    assert len(ids) == 3 and all(FIRST_ID <= uid < FIRST_ID + IDS for uid in ids)


def test_changes_commit_and_diff_with_other_ids(daemon):
    container = daemon.run("busybox", "sh", "-c", "echo hi >/etc/new; chown 5:6 /etc/new; rm /bin/cat", host_config={"UsernsMode": "keep-id:uid=50,gid=50"})
    changes = {c["Path"]: c["Kind"] for c in daemon.api.get(f"/containers/{container}/changes")}
    assert changes["/etc/new"] == 1 and changes["/bin/cat"] == 2
    daemon.api.post("/commit", {}, container=container, repo="kept")
    again = daemon.run("kept", "stat", "-c", "%u:%g", "/etc/new")
    assert daemon.output(again) == "5:6\n", "the image has the container's ids, whatever the map was"


def layer_archive(*members):
    """A `docker import` archive: (name, uid, gid)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, uid, gid in members:
            info = tarfile.TarInfo(name)
            info.uid, info.gid, info.mode = uid, gid, 0o644
            tar.addfile(info)
    return out.getvalue()


def test_an_image_with_ids_beyond_the_range_is_never_a_failed_pull(daemon):
    data = layer_archive(("high", 172761424, 1_000_000), ("low", 10, 20))
    status, _, answer = daemon.api.raw("POST", daemon.api.path("/images/create", fromSrc="-", repo="high"), data, {"Content-Type": "application/x-tar"})
    assert status == 200, answer
    container = daemon.api.post("/containers/create", {"Image": "high", "Cmd": ["x"]})["Id"]
    with daemon.api.stream("GET", f"/containers/{container}/archive", path="/high") as stream:
        archive = tarfile.open(fileobj=io.BytesIO(stream.response.read()))
    assert archive.getmembers()[0].uid == 65534


def test_devices_in_an_image_are_left_out(daemon):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("dev/mem")
        info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 1
        tar.addfile(info)
    status, _, answer = daemon.api.raw("POST", daemon.api.path("/images/create", fromSrc="-", repo="devices"), out.getvalue(), {"Content-Type": "application/x-tar"})
    assert status == 200, answer


# --- places


def test_the_default_places_are_the_users(penguin, hub):
    process = subprocess.Popen([BIN / "bryod"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **penguin.popen())
    try:
        for socket in (penguin.runtime / "bryo/bryo.sock", penguin.runtime / "docker.sock"):
            wait_for(socket.exists, 10, str(socket))
            assert os.stat(socket).st_uid == penguin.uid and os.stat(socket).st_mode & 0o077 in (0, 0o060)
        assert (penguin.home / ".local/share/bryo/layers").is_dir()
    finally:
        process.terminate()
        process.wait(20)


def test_without_a_runtime_directory_it_makes_one(penguin):
    popen = penguin.popen()
    del popen["env"]["XDG_RUNTIME_DIR"]
    penguin.runtime.rename("/run/user/aside")
    made = Path(f"/tmp/bryo-{penguin.uid}")
    process = subprocess.Popen([BIN / "bryod"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **popen)
    try:
        wait_for((made / "docker.sock").exists, 10, "docker.sock")
        assert os.stat(made).st_mode & 0o777 == 0o700
    finally:
        process.terminate()
        process.wait(20)
        subprocess.run(["rm", "-rf", made], check=True)
        Path("/run/user/aside").rename(penguin.runtime)


def test_a_runtime_directory_of_somebody_else_is_refused(penguin):
    popen = penguin.popen()
    del popen["env"]["XDG_RUNTIME_DIR"]
    penguin.runtime.rename("/run/user/aside")
    trap = Path(f"/tmp/bryo-{penguin.uid}")
    trap.mkdir(mode=0o777)
    try:
        result = penguin.run(BIN / "bryod", **{k: v for k, v in popen.items() if k == "env"}, timeout=20)
        assert result.returncode == 1 and "belongs to somebody else" in result.stderr
    finally:
        trap.rmdir()
        Path("/run/user/aside").rename(penguin.runtime)


def test_without_subordinate_ids_it_says_what_to_add(penguin):
    before = Path("/etc/subuid").read_text()
    Path("/etc/subuid").write_text("")
    try:
        result = penguin.run(BIN / "bryod", timeout=20)
    finally:
        Path("/etc/subuid").write_text(before)
    assert result.returncode == 1
    assert "no subordinate user ids in /etc/subuid" in result.stderr and "usermod --add-subuids" in result.stderr


def test_ids_of_somebody_else_are_refused_by_newuidmap(penguin):
    result = penguin.run("setpriv", "--no-new-privs", BIN / "bryod", timeout=20)
    assert result.returncode == 1 and "newuidmap" in result.stderr and "no_new_privs" in result.stderr


def test_in_a_namespace_of_somebody_elses_making_it_uses_that(penguin, tmp, hub):
    """`unshare`, as rootlesskit does: bryod is root there already, and its network is the one it finds."""
    socket = tmp / "inner.sock"
    os.chown(tmp, penguin.uid, penguin.gid)
    process = subprocess.Popen(
        ["unshare", "--user", "--map-auto", "--map-root-user", "--mount", "--net", "sh", "-c",
         f"readlink /proc/self/ns/net >{tmp}/net; ip link set lo up; exec {BIN}/bryod --data-root {tmp}/data --exec-root {tmp}/exec --pidfile {tmp}/pid -H unix://{socket}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **penguin.popen())
    try:
        wait_for(socket.exists, 10, "the socket")
        pid = int((tmp / "pid").read_text())
        assert os.readlink(f"/proc/{pid}/ns/net") == (tmp / "net").read_text().strip()
    finally:
        process.terminate()
        process.wait(20)
