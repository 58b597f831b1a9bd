"""Named and anonymous volumes, binds, mounts."""

import json
import os
import subprocess

import pytest

from tests.support.rawhttp import Api, ApiError


@pytest.fixture(autouse=True)
def clean(daemon):
    daemon.pull("busybox")
    yield
    if daemon.is_running:
        daemon.remove_containers()
        for volume in daemon.api.get("/volumes")["Volumes"] or []:
            daemon.api.raw("DELETE", daemon.api.path(f"/volumes/{volume['Name']}", force=1))


def test_create_list_inspect_remove(docker):
    assert docker("volume", "create", "--label", "a=b", "data").out == "data\n"
    assert docker("volume", "ls", "--format", "{{.Driver}} {{.Name}}").lines == ["local data"]
    (shown,) = json.loads(docker("volume", "inspect", "data").out)
    assert shown["Mountpoint"].endswith("/volumes/data/_data") and shown["Labels"] == {"a": "b"} and shown["Scope"] == "local"
    assert docker("volume", "rm", "data").out == "data\n"
    assert "no such volume" in docker.fails("volume", "inspect", "data").err.lower()


def test_data_outlives_its_containers(docker):
    docker("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo kept >/data/file")
    assert docker("run", "--rm", "-v", "data:/elsewhere", "busybox", "cat", "/elsewhere/file").out == "kept\n"


def test_an_empty_volume_takes_the_images_content_and_owner(docker):
    docker("pull", "test/configured")
    out = docker("run", "--rm", "-v", "data:/srv/data", "--entrypoint", "sh", "test/configured", "-c", "cat /srv/data/seed; stat -c %u /srv/data /srv/data/seed").out
    assert out == "from the image\n1000\n1000\n"


def test_a_volume_with_data_is_never_overwritten(docker):
    """CVE-2020-1726."""
    docker("pull", "test/configured")
    docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo mine >/d/seed")
    for mode in ("rw", "ro"):
        out = docker("run", "--rm", "-v", f"data:/srv/data:{mode}", "--entrypoint", "cat", "test/configured", "/srv/data/seed").out
        assert out == "mine\n"


def test_nocopy(docker):
    docker("pull", "test/configured")
    out = docker("run", "--rm", "-v", "data:/srv/data:nocopy", "--entrypoint", "ls", "test/configured", "/srv/data").out
    assert out == ""


def test_a_volume_that_is_a_directory_of_the_host(docker, tmp):
    (tmp / "file").write_text("of the host\n")
    docker("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", f"device={tmp}", "data")
    assert docker("run", "--rm", "-v", "data:/data", "busybox", "cat", "/data/file").out == "of the host\n"
    docker("volume", "rm", "data")
    assert (tmp / "file").exists()


@pytest.mark.bryo_only
def test_a_volume_of_a_type_that_is_not_mounted_is_refused(docker):
    """Not an empty directory in its place."""
    docker("volume", "create", "--opt", "type=nfs", "--opt", "device=:/export", "--opt", "o=addr=192.0.2.2", "data")
    assert "type nfs" in docker.fails("run", "--rm", "-v", "data:/data", "busybox", "true", status=125).err
    docker("volume", "rm", "data")


def test_read_only_volume(docker):
    docker("volume", "create", "data")
    assert "Read-only file system" in docker.run("run", "--rm", "-v", "data:/data:ro", "busybox", "touch", "/data/x").err


def test_bind_mount(docker, tmp):
    (tmp / "file").write_text("from the host\n")
    assert docker("run", "--rm", "-v", f"{tmp}:/mnt", "busybox", "cat", "/mnt/file").out == "from the host\n"
    docker("run", "--rm", "-v", f"{tmp}:/mnt", "busybox", "sh", "-c", "echo back >/mnt/back")
    assert (tmp / "back").read_text() == "back\n"
    assert docker.run("run", "--rm", "-v", f"{tmp}:/mnt:ro", "busybox", "touch", "/mnt/x").status == 1


def test_bind_of_a_file(docker, tmp):
    (tmp / "file").write_text("one file\n")
    assert docker("run", "--rm", "-v", f"{tmp}/file:/etc/motd:ro", "busybox", "cat", "/etc/motd").out == "one file\n"


def test_v_makes_a_missing_host_directory_and_mount_does_not(docker, tmp):
    docker("run", "--rm", "-v", f"{tmp}/made:/mnt", "busybox", "true")
    assert (tmp / "made").is_dir()
    result = docker.fails("run", "--rm", "--mount", f"type=bind,source={tmp}/missing,target=/mnt", "busybox", "true")
    assert "bind source path does not exist" in result.err


def test_mount_syntax(docker, tmp):
    out = docker("run", "--rm", "--mount", "type=volume,source=data,target=/a", "--mount", "type=tmpfs,target=/b,tmpfs-size=1m,tmpfs-mode=0700",
                 "--mount", f"type=bind,source={tmp},target=/c,readonly", "busybox", "sh", "-c", "grep -c -E ' /(a|b|c) ' /proc/mounts; stat -c %a /b; touch /c/x || echo frozen").out
    assert out.split() == ["3", "700", "frozen"]


def test_volumes_from(docker):
    docker("run", "-d", "--name", "first", "-v", "data:/data", "-v", "/anonymous", "busybox", "sh", "-c", "echo x >/data/f; echo y >/anonymous/f; sleep 60")
    docker("exec", "first", "sh", "-c", "until [ -e /anonymous/f ]; do sleep 0.01; done")
    assert docker("run", "--rm", "--volumes-from", "first", "busybox", "cat", "/data/f", "/anonymous/f").out == "x\ny\n"
    assert docker.run("run", "--rm", "--volumes-from", "first:ro", "busybox", "touch", "/data/g").status == 1


@pytest.mark.needs_root("its directories are root's")
def test_nested_mounts_in_any_order(docker, tmp):
    (tmp / "outer").mkdir()
    (tmp / "inner").mkdir()
    (tmp / "inner/file").write_text("x")
    assert docker("run", "--rm", "-v", f"{tmp}/inner:/m/deep/inner", "-v", f"{tmp}/outer:/m", "busybox", "cat", "/m/deep/inner/file").out == "x"


def test_a_volume_in_use_is_not_removed(docker):
    docker("run", "--name", "box", "-v", "data:/data", "busybox", "true")
    assert "volume is in use" in docker.fails("volume", "rm", "data").err


def test_prune(docker):
    docker("volume", "create", "data")
    docker("run", "--name", "box", "-v", "/anonymous", "busybox", "true")
    docker("rm", "box")
    docker("volume", "prune", "-f")
    assert not [v for v in docker("volume", "ls", "-q").lines if v != "data"]


def test_ls_filters(docker):
    docker("volume", "create", "used")
    docker("volume", "create", "unused")
    docker("run", "--name", "box", "-v", "used:/data", "busybox", "true")
    assert docker("volume", "ls", "-q", "--filter", "dangling=true").lines == ["unused"]
    assert docker("volume", "ls", "-q", "--filter", "name=unu").lines == ["unused"]


def test_inspect_of_the_container_shows_its_mounts(docker, tmp):
    docker("run", "--name", "box", "-v", "data:/data", "-v", f"{tmp}:/bind:ro", "busybox", "true")
    mounts = {m["Destination"]: m for m in json.loads(docker("inspect", "-f", "{{json .Mounts}}", "box").out)}
    assert mounts["/data"]["Type"] == "volume" and mounts["/data"]["Name"] == "data" and mounts["/data"]["RW"]
    assert mounts["/bind"]["Type"] == "bind" and mounts["/bind"]["Source"] == str(tmp) and not mounts["/bind"]["RW"]


@pytest.mark.parametrize("host_config", [
    {"Binds": ["data:relative"]}, {"Binds": ["relative/path:/x"]}, {"Binds": ["/:/"]}, {"Binds": ["data:/x:nosuchmode"]}, {"Binds": ["a:b:c:d"]},
    {"Binds": ["data:/x", "other:/x"]}, {"Mounts": [{"Type": "bind", "Target": "/x"}]}, {"Mounts": [{"Type": "nosuch", "Source": "a", "Target": "/x"}]},
    {"Binds": ["../../etc:/x"]},
])
def test_wrong_mounts_are_refused(daemon, host_config):
    with pytest.raises(ApiError) as error:
        daemon.api.post("/containers/create", {"Image": "busybox", "HostConfig": host_config})
    assert error.value.status == 400 or not daemon.engine.is_bryo, error.value  # dockerd 20.10 says 500 to some


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".", "-x", "x y", "a\nb"])
def test_volume_names(daemon, name):
    if name == "":
        assert len(daemon.api.post("/volumes/create", {"Name": ""})["Name"]) == 64
        return
    with pytest.raises(ApiError) as error:
        daemon.api.post("/volumes/create", {"Name": name})
    assert error.value.status == 400


@pytest.mark.parametrize("target", ["/proc", "/proc/self", "/sys/kernel"])
def test_CVE_2019_16884_nothing_is_mounted_over_proc(daemon, target):
    try:
        container = daemon.run("busybox", "true", host_config={"Binds": [f"data:{target}"]})
    except ApiError as error:
        assert "proc" in error.message or "sys" in error.message
        return
    assert target == "/sys/kernel" or not daemon.engine.is_bryo, daemon.inspect(container)["State"]


def test_rm_v_deletes_nothing_outside_of_the_volume(docker, tmp):
    """CVE-2017-1002102: links planted in a volume are not followed when it is removed."""
    (tmp / "precious").write_text("x")
    docker("run", "--name", "box", "-v", "/vol", "busybox", "ln", "-s", str(tmp), "/vol/link")
    docker("rm", "-v", "box")
    assert (tmp / "precious").exists()


@pytest.mark.bryo_only
def test_a_bind_under_a_map_shows_strangers_as_nobody(remapped, make_client, tmp):
    """Never hands the host root's files to the container's root."""
    docker = make_client(remapped)
    (tmp / "roots").write_text("x")
    os.chmod(tmp / "roots", 0o600)
    out = docker("run", "--rm", "-v", f"{tmp}:/mnt", "busybox", "sh", "-c", "stat -c %u /mnt/roots; cat /mnt/roots 2>&1 || echo refused").out
    assert out.split()[0] == "65534" and out.endswith("refused\n")


@pytest.mark.needs_root("it mounts")
def test_read_only_binds_are_so_to_the_ground(docker, daemon, tmp):
    below = tmp / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=777", "tmpfs", below], check=True)
    api = Api(daemon.api.socket_path, "v1.47")
    write = ["sh", "-c", "echo x > /d/below/file"]

    def status(**options):
        mount = {"Type": "bind", "Source": str(tmp), "Target": "/d", "ReadOnly": True, "BindOptions": options}
        name = api.post("/containers/create", {"Image": "busybox", "Cmd": write, "HostConfig": {"Mounts": [mount]}})["Id"]
        api.post(f"/containers/{name}/start")
        return api.post(f"/containers/{name}/wait")["StatusCode"]

    try:
        assert docker.run("run", "--rm", "-v", f"{tmp}:/d:ro", "busybox", *write).status != 0
        assert status() != 0 and status(ReadOnlyForceRecursive=True) != 0 and not (below / "file").exists()
        assert status(ReadOnlyNonRecursive=True) == 0 and (below / "file").read_text() == "x\n"
    finally:
        subprocess.run(["umount", below], check=True)
