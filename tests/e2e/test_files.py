"""docker cp both ways, diff, commit, export, import, save, load."""

import io
import json
import os
import stat
import tarfile

import pytest

from tests.support.layers import Image, Layer
from tests.support.rawhttp import ApiError


@pytest.fixture(autouse=True)
def busybox(daemon):
    daemon.pull("busybox")


@pytest.fixture(params=["running", "stopped"])
def box(request, docker):
    """cp works on both."""
    docker("run", "-d", "--name", "box", "busybox", "sleep", "600")
    if request.param == "stopped":
        docker("kill", "box")
        docker("wait", "box")
    return "box"


def in_box(docker, *command):
    """Looks into the container whether it runs or not."""
    out = docker.run("exec", "box", *command)
    if out.status == 0:
        return out.out
    docker("start", "box")
    return docker("exec", "box", *command).out


# --- cp


def test_cp_in_and_out(docker, box, tmp):
    (tmp / "file").write_bytes(os.urandom(100_000))
    docker("cp", tmp / "file", "box:/root/copy")
    docker("cp", "box:/root/copy", tmp / "back")
    assert (tmp / "back").read_bytes() == (tmp / "file").read_bytes()


def test_cp_of_a_directory(docker, box, tmp):
    tree = tmp / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/file").write_text("x")
    (tree / "link").symlink_to("sub/file")
    (tree / "program").write_text("#!/bin/sh\n")
    (tree / "program").chmod(0o755)
    docker("cp", tree, "box:/new")  # does not exist: becomes the copy
    docker("cp", tree, "box:/new")  # exists: the copy goes into it
    docker("cp", f"{tree}/.", "box:/root")  # its content
    docker("cp", "box:/new", tmp / "out")
    assert sorted(p.name for p in (tmp / "out").iterdir()) == ["link", "program", "sub", "tree"]
    assert os.readlink(tmp / "out/link") == "sub/file"
    assert stat.S_IMODE((tmp / "out/program").stat().st_mode) == 0o755
    docker("cp", "box:/root/sub/file", tmp / "single")
    assert (tmp / "single").read_text() == "x"


def test_cp_through_pipes(docker, box):
    archive = Layer().dir("piped").file("piped/file", "through\n").tar()
    docker("cp", "-", "box:/tmp", input=archive)
    out = docker("cp", "box:/tmp/piped", "-", text=False).out
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert tar.extractfile("piped/file").read() == b"through\n"


def test_cp_owner_is_root_unless_archive_mode(docker, box, tmp):
    (tmp / "file").write_text("x")
    os.chown(tmp / "file", 1234, 1235)
    docker("cp", tmp / "file", "box:/plain")
    docker("cp", "-a", tmp / "file", "box:/archived")
    assert in_box(docker, "stat", "-c", "%u:%g", "/plain", "/archived").split() in (["0:0", "1234:1235"], ["1234:1235", "1234:1235"])


def test_cp_errors(docker, box, tmp):
    (tmp / "file").write_text("x")
    # Which of the two texts is the client's business: older ones turn 404 into their own.
    refusal = docker.fails("cp", "box:/no/such", tmp).err.lower()
    assert "could not find the file /no/such in container" in refusal or "no such container:path" in refusal
    assert docker.fails("cp", tmp / "file", "box:/no/such/directory/")
    assert docker.fails("cp", tmp / "file", "box:/etc/passwd/below")
    assert docker.fails("cp", tmp, "box:/etc/passwd")
    assert "no such" in docker.fails("cp", tmp / "file", "nosuch:/").err.lower()


def test_cp_follows_links_inside_the_container_only(docker, tmp):
    """CVE-2018-15664: /escape -> / names the container's root, never the host's."""
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "ln -s / /escape; ln -s /../../../../ /up; ln -s /var/run /r; sleep 600")
    marker = tmp / "host-only"
    marker.write_text("secret")
    docker.fails("cp", f"box:/escape{marker}", tmp / "stolen")
    docker.fails("cp", f"box:/up{marker}", tmp / "stolen")
    assert not (tmp / "stolen").exists()
    (tmp / "file").write_text("x")
    docker("cp", tmp / "file", "box:/escape/tmp/inside")
    assert in_box(docker, "cat", "/tmp/inside") == "x"


def test_cp_works_when_var_run_is_a_link(docker, tmp):
    """The compatibility side of the same guard: `/var/run -> /run` is in most images."""
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "mkdir /run; ln -s /run /var/run; sleep 600")
    (tmp / "file").write_text("x")
    for _ in range(2):
        docker("cp", tmp / "file", "box:/var/run/file")
    assert in_box(docker, "cat", "/run/file") == "x"


def test_cp_into_a_volume_and_a_read_only_one(docker, tmp):
    docker("run", "-d", "--name", "box", "-v", "data:/data", "-v", "data:/frozen:ro", "busybox", "sleep", "600")
    (tmp / "file").write_text("x")
    docker("cp", tmp / "file", "box:/data/file")
    assert in_box(docker, "cat", "/frozen/file") == "x"
    assert docker.fails("cp", tmp / "file", "box:/frozen/other")
    docker("rm", "-f", "box")
    docker("volume", "rm", "data")


def test_cp_into_a_read_only_root_is_refused(docker, tmp):
    docker("run", "-d", "--name", "box", "--read-only", "busybox", "sleep", "600")
    (tmp / "file").write_text("x")
    assert "read-only" in docker.fails("cp", tmp / "file", "box:/file").err


def test_cp_under_a_map_writes_mapped_owners(remapped, make_client, tmp):
    docker = make_client(remapped)
    docker("run", "-d", "--name", "box", "busybox", "sleep", "600")
    (tmp / "file").write_text("x")
    docker("cp", tmp / "file", "box:/file")
    assert docker("exec", "box", "stat", "-c", "%u", "/file").out == "0\n"
    docker("exec", "box", "chown", "1000", "/file")
    if not remapped.engine.is_bryo:
        return  # dockerd's archives carry the host's ids
    data = docker("cp", "-a", "box:/file", "-", text=False).out
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getmember("file").uid == 1000, "archives carry the container's ids"


def test_cp_under_a_map_into_mounts(remapped, make_client, tmp):
    docker = make_client(remapped)
    (tmp / "file").write_text("x")
    docker("create", "--name", "made", "-v", "made:/data", "busybox", "stat", "-c", "%u", "/data/file")
    docker("run", "-d", "--name", "box", "-v", "/data", "--tmpfs", "/fleeting", "busybox", "sleep", "600")
    docker("exec", "box", "chown", "1000:1000", "/data")
    docker("cp", tmp / "file", "made:/data")
    docker("cp", tmp / "file", "box:/data")
    assert docker("start", "-a", "made").out == "0\n"
    assert docker("exec", "box", "stat", "-c", "%u", "/data/file").out == "0\n"
    if remapped.engine.is_bryo:  # dockerd 20.10 writes below the tmpfs
        docker("cp", tmp / "file", "box:/fleeting")
        assert docker("exec", "box", "stat", "-c", "%u", "/fleeting/file").out == "0\n"


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_CVE_2026_41567_compressed_upload_runs_nothing_of_the_image(daemon, kind):
    import bz2
    import gzip
    import lzma

    script = "for p in xz unxz gzip gunzip unpigz bzip2 zstd tar; do printf '#!/bin/sh\\ntouch /owned\\n' >/usr/bin/$p; chmod +x /usr/bin/$p; rm -f /bin/$p; done; sleep 600"
    container = daemon.run("busybox", "sh", "-c", script, wait=False)
    archive = Layer().file("uploaded", "x").tar()
    data = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}[kind](archive)
    daemon.api.put(f"/containers/{container}/archive", data, path="/tmp")
    assert daemon.exec(container, "cat", "/tmp/uploaded")[1] == "x"
    assert daemon.exec(container, "test", "-e", "/owned")[0] == 1


def test_archive_head(daemon):
    container = daemon.run("busybox", "sleep", "600", wait=False)
    import base64

    status, headers, _ = daemon.api.raw("HEAD", daemon.api.path(f"/containers/{container}/archive", path="/etc/passwd"))
    shown = json.loads(base64.b64decode(headers["X-Docker-Container-Path-Stat"]))
    assert status == 200 and shown["name"] == "passwd" and shown["size"] > 0 and shown["linkTarget"] == ""
    _, headers, _ = daemon.api.raw("HEAD", daemon.api.path(f"/containers/{container}/archive", path="/etc"))
    assert json.loads(base64.b64decode(headers["X-Docker-Container-Path-Stat"]))["mode"] & 1 << 31, "Go's directory bit"
    assert daemon.api.raw("HEAD", daemon.api.path(f"/containers/{container}/archive", path="/nosuch"))[0] == 404


def test_put_archive_refuses_to_replace_a_directory_by_a_file_when_asked(daemon):
    container = daemon.run("busybox", "sleep", "600", wait=False)
    archive = Layer().file("etc", "now a file").tar()
    with pytest.raises(ApiError) as error:
        daemon.api.put(f"/containers/{container}/archive", archive, path="/", noOverwriteDirNonDir=1)
    assert error.value.status == 400 or not daemon.engine.is_bryo
    assert daemon.exec(container, "cat", "/etc/passwd")[0] == 0


# --- diff, commit


def test_diff(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo >/new; mkdir /dir; echo >/dir/file; rm /etc/group; echo >>/etc/passwd; chmod 700 /home")
    assert sorted(docker("diff", "box").lines) == sorted(["A /new", "A /dir", "A /dir/file", "C /etc", "D /etc/group", "C /etc/passwd", "C /home"])


def test_diff_of_nothing(docker):
    docker("run", "--name", "box", "busybox", "true")
    assert docker("diff", "box").out == ""


def test_commit(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo kept >/kept; rm /etc/group; chown 1000 /kept")
    image = docker("commit", "-m", "message", "-a", "author", "--change", 'CMD ["cat", "/kept"]', "--change", "ENV X=y", "box", "committed:one").out.strip()
    assert image.startswith("sha256:")
    assert docker("run", "--rm", "committed:one").out == "kept\n"
    assert docker("run", "--rm", "committed:one", "sh", "-c", "stat -c %u /kept; echo $X; test -e /etc/group || echo gone").out == "1000\ny\ngone\n"
    shown = json.loads(docker("image", "inspect", "committed:one").out)[0]
    assert shown["Comment"] == "message" and shown["Author"] == "author" and shown["Id"] == image
    assert len(docker("history", "-q", "committed:one").lines) == 2
    docker("rmi", "committed:one")


@pytest.mark.needs_root("pausing needs a cgroup, and v1 gives none")
def test_commit_of_a_running_container_pauses_and_goes_on(docker, daemon):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "while :; do date >/new; mv /new /stamp; done")
    docker("commit", "box", "live")
    assert daemon.state("box")["Status"] == "running"
    assert docker("run", "--rm", "live", "cat", "/stamp").out
    docker("rmi", "live")


def test_commit_under_a_map_gives_an_image_with_container_ids(remapped, make_client):
    docker = make_client(remapped)
    docker("run", "--name", "box", "busybox", "sh", "-c", "touch /by-root /by-user; chown 1000:33 /by-user; rm /etc/group")
    docker("commit", "box", "mapped")
    data = docker("save", "mapped", text=False).out
    docker("rmi", "mapped")
    with tarfile.open(fileobj=io.BytesIO(data)) as image:
        manifest = json.load(image.extractfile("manifest.json"))[0]
        with tarfile.open(fileobj=io.BytesIO(image.extractfile(manifest["Layers"][-1]).read())) as layer:
            owners = {m.name.lstrip("./"): (m.uid, m.gid) for m in layer}
    assert owners["by-root"] == (0, 0) and owners["by-user"] == (1000, 33)
    assert "etc/.wh.group" in owners


# --- export, import, save, load


def test_export_import(docker, tmp):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo kept >/kept; ln -s kept /link")
    docker("export", "-o", tmp / "root.tar", "box")
    with tarfile.open(tmp / "root.tar") as tar:
        names = {m.name.removeprefix("./").rstrip("/") for m in tar}
    assert {"kept", "link", "bin/busybox", "etc/passwd"} <= names
    image = docker("import", "--change", 'CMD ["cat", "/link"]', "-m", "imported", tmp / "root.tar", "flat:one").out.strip()
    assert image.startswith("sha256:")
    assert docker("run", "--rm", "flat:one").out == "kept\n"
    assert len(docker("history", "-q", "flat:one").lines) == 1
    docker("rmi", "flat:one")


def test_import_from_stdin(docker):
    archive = Layer().dir("bin").copy("bin/busybox", "/bin/busybox").symlink("bin/sh", "busybox").tar()
    docker("import", "-", "piped", input=archive)
    assert docker("run", "--rm", "piped", "/bin/sh", "-c", "echo works").out == "works\n"
    docker("rmi", "piped")


def test_save_load_round_trip(docker, tmp):
    docker("pull", "debian")
    docker("tag", "debian", "mine:one")
    before = docker("image", "inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", "mine:one").out
    docker("save", "-o", tmp / "image.tar", "mine:one")
    docker("rmi", "mine:one", "debian")
    assert "Loaded image: mine:one" in docker("load", "-i", tmp / "image.tar").out
    assert docker("image", "inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", "mine:one").out == before
    assert docker("run", "--rm", "mine:one", "cat", "/etc/motd").out == "made with mmdebstrap\n"
    docker("rmi", "mine:one")


def test_save_of_several_images_and_load_from_stdin(docker):
    docker("pull", "hello-world")
    archive = docker("save", "busybox", "hello-world", text=False).out
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tags = [t for m in json.load(tar.extractfile("manifest.json")) for t in m["RepoTags"]]
    assert sorted(tags) == ["busybox:latest", "hello-world:latest"]
    docker("rmi", "-f", "hello-world")
    docker("load", input=archive)
    assert "Hello from Docker!" in docker("run", "--rm", "--pull=never", "hello-world").out


def test_another_projects_client_reads_what_we_save(docker, tmp):
    import subprocess

    docker("save", "-o", tmp / "image.tar", "busybox")
    subprocess.run(["skopeo", "--insecure-policy", "copy", "--quiet", f"docker-archive:{tmp}/image.tar", f"oci:{tmp}/layout:latest"], check=True)
    subprocess.run(["skopeo", "inspect", f"oci:{tmp}/layout:latest"], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.bryo_only
def test_load_reads_oci_layouts(docker, tmp):
    """What newer docker clients and skopeo write."""
    import subprocess

    Image([Layer().dir("bin").copy("bin/busybox", "/bin/busybox").tar()], {"Cmd": ["/bin/busybox", "echo", "from oci"]}).write_oci(tmp / "layout", "layout:one")
    subprocess.run(["tar", "-C", tmp / "layout", "-cf", tmp / "layout.tar", "."], check=True)
    docker("load", "-i", tmp / "layout.tar")
    assert docker("run", "--rm", "layout:one").out == "from oci\n"
    docker("rmi", "layout:one")


@pytest.mark.parametrize("data", [b"", b"this is no archive", b"\0" * 10240])
def test_load_of_nonsense(daemon, data):
    try:
        daemon.load(data)
    except AssertionError:
        return
    assert not daemon.engine.is_bryo or data in (b"", b"\0" * 10240)


def test_load_of_nonsense_is_an_error_of_the_stream(daemon):
    """docker-py's images.load() raises ImageLoadError for what it finds there."""
    status, _, data = daemon.api.raw("POST", daemon.api.path("/images/load"), b"abc", {"Content-Type": "application/x-tar"})
    assert status == 200 and "error" in json.loads(data.decode().splitlines()[-1])


@pytest.mark.needs_root("device nodes cannot be made")
def test_xattrs_hardlinks_devices_and_modes_survive(docker, tmp):
    """An image with everything that a tar can hold, through load, commit, save."""
    layer = Layer().dir("d", 0o1777).file("d/setuid", "x", 0o4755, uid=12, gid=34).hardlink("d/hard", "d/setuid", 0o4755, 12, 34).symlink("d/dangling", "/nowhere")
    layer.fifo("d/fifo").device("d/zero", 1, 5).file("d/cap", "x", xattrs={"security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"})
    layer.file("d/" + "long" * 60, "long name").file("d/ünïcödé", "x")
    base = Layer().dir("bin").copy("bin/busybox", "/bin/busybox").symlink("bin/sh", "busybox")
    docker("load", input=Image([base.tar(), layer.tar()], {"Cmd": ["/bin/sh"]}).docker_archive(["everything:latest"]))
    script = "cd /d; stat -c '%a %u %g %h' setuid hard; readlink dangling; test -p fifo && test -c zero && echo special; ls | wc -l; cat long*; stat -c %a ."
    busybox = ["everything", "/bin/busybox", "sh", "-c", "PATH=/bin; for a in stat readlink test ls wc cat; do ln -s busybox /bin/$a; done; " + script]
    out = docker("run", "--rm", *busybox).out.split("\n")
    assert out[:3] == ["4755 12 34 2", "4755 12 34 2", "/nowhere"] and out[3] == "special" and out[4] == "8"
    docker("rmi", "everything")
