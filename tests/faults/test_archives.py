"""Evil layers: every trick of a tar archive, through `docker load`. Nothing outside of the layer is ever touched."""

import gzip
import io
import json
import os
import struct
import tarfile
import zlib

import pytest

from tests.faults.leftovers import nothing_left
from tests.support.images import BUILD, BUSYBOX
from tests.support.layers import Image, Layer, dumps, sha256
from tests.support.rawhttp import ApiError


def base():
    layer = Layer().dir("bin").copy("bin/busybox", BUSYBOX).dir("etc").dir("opt").file("opt/one", "1").dir("opt/sub").file("opt/sub/two", "2")
    for applet in ("sh", "ls", "cat", "stat", "test", "find"):
        layer.symlink(f"bin/{applet}", "busybox")
    return layer


@pytest.fixture
def canary(tmp):
    """A tree outside of everything, which must stay as it is."""
    root = tmp / "canary"
    (root / "dir").mkdir(parents=True)
    (root / "file").write_text("untouched")
    (root / "dir/below").write_text("untouched too")

    def look():
        found = {}
        for directory, subs, names in os.walk(root):
            for name in (*subs, *names):
                path = os.path.join(directory, name)
                status = os.lstat(path)
                found[path] = (status.st_mode, status.st_uid, status.st_mtime_ns, os.path.isfile(path) and open(path).read())
        return found

    before = look()
    yield root
    assert look() == before, "the host's files were touched"


def load(daemon, *layers):
    """Loads base + layers as `evil`. Returns the error, or None."""
    tars = [base().tar(), *(layer if isinstance(layer, bytes) else layer.tar() for layer in layers)]
    try:
        daemon.load(Image(tars, {"Cmd": ["sh"]}).docker_archive(["evil:latest"]))
    except (ApiError, AssertionError) as error:
        return str(error)
    return None


def look(daemon, script):
    return daemon.output(daemon.run("evil", "sh", "-c", script))


@pytest.fixture(autouse=True)
def clean(daemon):
    yield
    if not daemon.is_running:
        return
    daemon.remove_containers()
    daemon.api.raw("DELETE", daemon.api.path("/images/evil", force=1))


UPWARDS = ["../escape", "../../../../../../../../../tmp/bryo-escape", "etc/../../escape", "./../escape", "/../../escape", "a/../../../escape"]


@pytest.mark.parametrize("name", UPWARDS)
@pytest.mark.parametrize("kind", ["file", "dir", "symlink", "hardlink", "whiteout"])
def test_names_that_climb_out(daemon, canary, name, kind):
    layer = Layer()
    {"file": lambda: layer.file(name, "x"), "dir": lambda: layer.dir(name), "symlink": lambda: layer.symlink(name, "/etc"),
     "hardlink": lambda: layer.file("ok").hardlink(name, "ok"), "whiteout": lambda: layer.whiteout(name)}[kind]()
    if load(daemon, layer) is None:
        look(daemon, "true")
    assert not os.path.exists("/tmp/bryo-escape") and not os.path.exists("/escape")
    assert not [p for p in (daemon.data_root, daemon.directory, daemon.directory.parent) if (p / "escape").exists()]


def test_absolute_names_are_below_the_root(daemon, canary):
    assert load(daemon, Layer().file(f"{canary}/new", "x").file("/etc/absolute", "y")) is None
    assert look(daemon, "cat /etc/absolute") == "y"


@pytest.mark.parametrize("target", ["canary", "../../../../../../../../canary", "/"])
def test_writing_through_a_symlink_stays_inside(daemon, canary, target):
    """CVE-2021-30465 and all of its family, in one archive and across layers."""
    where = str(canary) if target == "canary" else target.replace("canary", str(canary).lstrip("/"))
    one = Layer().symlink("link", where).file("link/file", "overwritten").file("link/dir/below", "x").file("link/new", "x")
    load(daemon, one)
    two = [Layer().symlink("link", where), Layer().file("link/file", "overwritten").file("link/new", "x")]
    load(daemon, *two)
    three = [Layer().symlink("link", where), Layer().whiteout("link/file").opaque("link/dir")]
    load(daemon, *three)


@pytest.mark.parametrize("target", ["../../../../../../../../etc/shadow", "/etc/shadow", "etc/nosuch", "", "."])
def test_hard_links_to_what_is_not_in_the_layer(daemon, canary, target):
    error = load(daemon, Layer().hardlink("stolen", target))
    if error is None:
        out = look(daemon, "cat /stolen 2>&1")
        assert open("/etc/shadow").read() not in out


def test_a_hard_link_through_a_symlink(daemon, canary):
    """moby's and containerd's link games: link -> canary; hard link to link/file; then write the hard link."""
    load(daemon, Layer().symlink("link", str(canary)).hardlink("hard", "link/file").file("hard", "overwritten"))
    load(daemon, Layer().symlink("link", f"{canary}/file").hardlink("hard", "link").file("hard", "overwritten"))


def test_link_loops(daemon):
    layer = Layer().symlink("a", "b").symlink("b", "a").symlink("self", "self").file("a/x", "1").file("self/y", "2")
    load(daemon, layer)
    assert daemon.answers()


def test_types_that_change_between_layers(daemon):
    layers = [Layer().file("thing", "file").dir("tree").file("tree/x", "x"), Layer().dir("thing").file("thing/inner", "inner").file("tree", "now a file"),
              Layer().symlink("thing", "opt")]
    assert load(daemon, *layers) is None
    assert look(daemon, "cat /tree; ls /thing") == "now a fileone\nsub\n"


def test_a_directory_twice_keeps_its_content(daemon):
    assert load(daemon, Layer().dir("opt", 0o700), Layer().dir("opt", 0o711)) is None
    assert look(daemon, "cat /opt/one; stat -c %a /opt") == "1711\n"


def test_whiteouts_of_every_kind(daemon):
    assert load(daemon, Layer().whiteout("opt/one").whiteout("nosuch").whiteout("no/such/dir/x"), Layer().dir("opt/sub").opaque("opt/sub").file("opt/sub/three", "3")) is None
    assert look(daemon, "find /opt") in ("/opt\n/opt/sub\n/opt/sub/three\n",)


def test_a_whiteout_then_the_same_name_again(daemon):
    assert load(daemon, Layer().whiteout("opt/sub"), Layer().dir("opt/sub").file("opt/sub/new", "n")) is None
    assert look(daemon, "find /opt/sub") == "/opt/sub\n/opt/sub/new\n"


def test_opaque_after_its_files_in_the_same_layer(daemon):
    """The order in the archive does not matter: only lower layers are hidden."""
    assert load(daemon, Layer().dir("opt/sub").file("opt/sub/new", "n").opaque("opt/sub")) is None
    assert look(daemon, "find /opt/sub") == "/opt/sub\n/opt/sub/new\n"


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "opt/.wh..", "opt/.wh...", ".wh./x", ".wh..wh.", ".wh..wh..plnk", ".wh..wh..aufs", "opt/.wh.sub/x"])
def test_whiteouts_of_strange_names(daemon, canary, name):
    if load(daemon, Layer().file(name)) is None:
        look(daemon, "true")
    assert daemon.answers()


def test_a_whiteout_device_in_the_archive_hides_nothing_by_itself(daemon):
    """overlay's own whiteout (character device 0:0) and its xattrs must not be smuggled in by an image."""
    layer = Layer().device("opt/one", 0, 0).dir("opt/sub").file("x", "x", xattrs={"trusted.overlay.opaque": "y", "trusted.overlay.redirect": "/../../etc", "user.ok": "1"})
    error = load(daemon, layer)
    assert daemon.answers()
    if error is None and daemon.engine.is_bryo:
        upper = daemon.inspect(daemon.api.post("/containers/create", {"Image": "evil"})["Id"])["GraphDriver"]["Data"]["LowerDir"].split(":")
        for layer_root in upper:
            if os.path.exists(f"{layer_root}/x"):
                assert not [a for a in os.listxattr(f"{layer_root}/x") if a.startswith("trusted.overlay")]


def test_devices_sockets_and_fifos(daemon):
    assert load(daemon, Layer().dir("dev2").device("dev2/null", 1, 3).device("dev2/sda", 8, 0, block=True).fifo("dev2/fifo")) is None
    assert look(daemon, "cat /dev2/sda 2>&1 || true").strip().endswith("Operation not permitted")


@pytest.mark.parametrize("target", ["proc", "sys", "dev"])
def test_CVE_2026_41579_system_directories_that_are_links(daemon, canary, target):
    """/dev, /proc or /sys as a symbolic link: refused, or a directory of ours instead; never populated elsewhere."""
    if load(daemon, Layer().symlink(target, str(canary))) is None:
        try:
            look(daemon, "true")
        except ApiError:
            pass


@pytest.mark.parametrize("path", ["etc", "etc/hosts", "etc/resolv.conf", "etc/hostname", "dev/shm", "dev/pts", "dev/mqueue", "etc/mtab"])
def test_CVE_2024_5154_mount_targets_that_are_links(daemon, canary, path):
    layer = Layer().whiteout("etc") if path == "etc" else Layer()
    link = Layer()
    for parent in [path.rpartition("/")[0]] if "/" in path else []:
        link.dir(parent)
    if load(daemon, layer, link.symlink(path, f"{canary}/file" if "." in path or "host" in path or "mtab" in path else str(canary / "dir"))) is None:
        try:
            container = daemon.run("evil", "sh", "-c", "true")
            daemon.api.post(f"/containers/{container}/restart", t=0)
        except ApiError:
            pass


def test_CVE_2026_55686_working_directory_through_a_link(daemon, canary):
    load(daemon, Layer().symlink("work", str(canary)))
    try:
        daemon.run("evil", "sh", "-c", "true", WorkingDir="/work/made/here")
    except ApiError:
        pass
    assert not (canary / "made").exists()


def test_CVE_2022_23648_volume_path_through_a_link(daemon, canary):
    """The image's own VOLUME names a link to the host: what is copied up is the container's, not the host's."""
    load(daemon, Layer().symlink("link", str(canary)))
    for path in ("/link", "/../../../.." + str(canary)):
        try:
            container = daemon.run("evil", "sh", "-c", f"cat {path}/file 2>&1", Volumes={path: {}})
        except ApiError:
            continue
        assert "untouched" not in daemon.output(container)


def raw_header(name=b"x", size=b"00000000010", kind=b"0", checksum=None, mode=b"0000644", magic=b"ustar\0" + b"00", linkname=b""):
    block = bytearray(512)
    for offset, width, value in ((0, 100, name), (100, 8, mode), (108, 8, b"0000000"), (116, 8, b"0000000"), (124, 12, size), (136, 12, b"00000000000"),
                                 (156, 1, kind), (157, 100, linkname), (257, 8, magic)):
        block[offset : offset + min(width, len(value))] = value[:width]
    block[148:156] = b" " * 8
    total = sum(block) if checksum is None else checksum
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


END = bytes(1024)
BROKEN = {
    "truncated header": raw_header()[:300],
    "truncated file": raw_header(size=b"00000100000") + b"x" * 512,
    "wrong checksum": raw_header(checksum=1) + bytes(512) + END,
    "size is no number": raw_header(size=b"zzzzzzzzzzz") + bytes(512) + END,
    "negative base-256 size": raw_header(size=b"\xff" * 11 + b"\xf0") + bytes(512) + END,
    "enormous size": raw_header(size=b"\x80" + b"\x7f" + b"\xff" * 10) + bytes(512) + END,
    "garbage": bytes(range(256)) * 8,
    "pax of garbage": raw_header(kind=b"x", size=b"00000000020") + b"garbage!garbage!".ljust(512, b"\0") + raw_header() + bytes(512) + END,
    "pax with a lying length": raw_header(kind=b"x", size=b"00000000020") + b"9999 path=x\n    ".ljust(512, b"\0") + raw_header() + bytes(512) + END,
    "pax path that climbs": raw_header(kind=b"x", size=b"00000000030") + b"24 path=../../../escape\n".ljust(512, b"\0") + raw_header() + bytes(512) + END,
    "pax for ever": raw_header(kind=b"x", size=b"77777777777") + bytes(4096),
    "gnu long name without end": raw_header(kind=b"L", size=b"00000001000") + b"a" * 512,
    "unknown type": raw_header(kind=b"Z") + bytes(512) + END,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_archives_that_are_broken(daemon, canary, kind):
    with nothing_left(daemon):
        load(daemon, BROKEN[kind])
        daemon.api.raw("DELETE", daemon.api.path("/images/evil", force=1))
    assert daemon.answers()
    assert not os.path.exists("/escape") and not (daemon.data_root.parent / "escape").exists()


@pytest.mark.parametrize("change", ["missing layer", "path climbs", "link as layer", "no manifest", "wrong diff id", "config climbs", "manifest is a list of numbers"])
def test_docker_archives_that_are_broken(daemon, canary, change):
    tar = base().file("noise", os.urandom(100)).tar()
    config = Image([tar]).config_json()
    archive, layer_name, config_name = Layer(), "layer.tar", "config.json"
    if change == "wrong diff id":
        value = json.loads(config)
        value["rootfs"]["diff_ids"] = ["sha256:" + "3" * 64]
        config = dumps(value)
    if change == "path climbs":
        layer_name = f"../../../../../../../..{canary}/file"
    elif change == "link as layer":
        archive.symlink("layer.tar", f"{canary}/file")
    elif change != "missing layer":
        archive.file("layer.tar", tar)
    if change == "config climbs":
        config_name = "../../../../../../etc/passwd"
    else:
        archive.file("config.json", config)
    if change == "manifest is a list of numbers":
        archive.file("manifest.json", b"[1,2,3]")
    elif change != "no manifest":
        archive.file("manifest.json", dumps([{"Config": config_name, "RepoTags": ["evil:latest"], "Layers": [layer_name]}]))
    with nothing_left(daemon):
        with pytest.raises((ApiError, AssertionError)):
            daemon.load(archive.tar())
    assert daemon.api.get("/images/json", filters={"reference": ["evil"]}) == []


def test_a_load_that_is_cut_off(daemon):
    whole = Image([base().file("noise", os.urandom(100)).tar()], {"Cmd": ["sh"]}).docker_archive(["evil:latest"])
    with nothing_left(daemon):
        for length in (100, 5000, len(whole) // 2, whole.rindex(b"manifest.json")):
            try:
                daemon.load(whole[:length])
            except (ApiError, AssertionError):
                pass
            assert daemon.api.get("/images/json", filters={"reference": ["evil"]}) == []


def bomb():
    """(gzip bytes, diff id or None): one file of 10 GB zeros in about 10 MB. Kept between runs."""
    file = BUILD / "bomb.tar.gz"
    if not file.exists():
        chunk, count = bytes(16 << 20), 640
        info = tarfile.TarInfo("zeros")
        info.size = len(chunk) * count
        head, tail = info.tobuf(tarfile.GNU_FORMAT), bytes(1024)
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
        first = squeeze.compress(head) + squeeze.flush(zlib.Z_FULL_FLUSH)
        body = squeeze.compress(chunk) + squeeze.flush(zlib.Z_FULL_FLUSH)
        last = squeeze.compress(tail) + squeeze.flush()
        crc = zlib.crc32(head)
        for _ in range(count):
            crc = zlib.crc32(chunk, crc)
        crc = zlib.crc32(tail, crc)
        size = (len(head) + len(chunk) * count + len(tail)) & 0xFFFFFFFF
        file.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + first + body * count + last + struct.pack("<II", crc, size))
    return file.read_bytes()


def peak_memory(daemon):
    with open(f"/proc/{daemon.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


@pytest.mark.slow
def test_ten_gigabytes_of_zeros_in_ten_megabytes(make_daemon, small_disk):
    """On a disk that is too small for them: a clear error, memory stays small, and the space comes back."""
    daemon = make_daemon()
    daemon.data_root = small_disk(300)
    daemon.start()
    daemon.api.timeout = 300
    data = bomb()
    assert len(data) < 12 << 20
    config = Image([b""]).config_json()
    archive = Layer().file("layer.tar", data).file("config.json", config)
    archive.file("manifest.json", dumps([{"Config": "config.json", "RepoTags": ["evil:latest"], "Layers": ["layer.tar"]}]))
    before = peak_memory(daemon)
    with nothing_left(daemon):
        with pytest.raises((ApiError, AssertionError)) as error:
            daemon.load(archive.tar())
    assert "no space left on device" in str(error.value).lower()
    assert peak_memory(daemon) - before < 200 << 20 or not daemon.engine.is_bryo
    assert daemon.answers()


def test_many_tiny_files_and_long_paths(daemon):
    layer = Layer()
    for i in range(5000):
        layer.file(f"many/{i}")
    layer.file("/".join(["d" * 200] * 15), "deep")
    assert load(daemon, layer) is None
    assert look(daemon, "ls /many | busybox wc -l") == "5000\n"


def test_layers_of_every_compression(daemon):
    import bz2
    import lzma

    for compress in (gzip.compress, bz2.compress, lzma.compress, lambda d: d):
        tar = base().tar()
        archive = Layer().file("layer.tar", compress(tar)).file("config.json", Image([tar], {"Cmd": ["sh"]}).config_json())
        archive.file("manifest.json", dumps([{"Config": "config.json", "RepoTags": ["evil:latest"], "Layers": ["layer.tar"]}]))
        daemon.load(archive.tar())
        assert look(daemon, "cat /opt/one") == "1"


def test_save_is_deterministic_enough_to_check(daemon):
    """diff ids in what we save are the digests of the layers in what we save."""
    assert load(daemon) is None
    data = daemon.api.get("/images/evil/get")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        config = json.load(tar.extractfile(manifest["Config"]))
        blobs = [tar.extractfile(name).read() for name in manifest["Layers"]]
        opened = [gzip.decompress(b) if b[:2] == b"\x1f\x8b" else b for b in blobs]
    assert [sha256(b) for b in opened] == config["rootfs"]["diff_ids"]
