#!/usr/bin/python3
"""The images of the tests, made here from Debian's packages, and the registry storage that plays the hub.

    python3 -m tests.support.images                                     make all that is missing (build/test-images)
    python3 -m tests.support.images busybox --docker-archive FILE       write one image as a `docker load` archive

Each image says in its label `bryo.test.made-from` what it really is: nothing here comes from Docker's hub.
"""

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.support.layers import Image, Layer

REPO = Path(__file__).resolve().parents[2]
BUILD = REPO / "build/test-images"
PROGRAMS = Path(__file__).parent / "programs"
BUSYBOX = Path("/bin/busybox")
DOCKER_REGISTRY = Path("/usr/bin/docker-registry")
MADE_FROM = "bryo.test.made-from"

PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
user:x:1000:1000:a user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP = """root:x:0:
daemon:x:1:
bin:x:2:
mail:x:8:
www-data:x:33:
audio:x:29:user
user:x:1000:
nogroup:x:65534:
"""
REGISTRY_CONFIG = """version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
http:
  addr: :5000
"""


def program(name):
    """Compiles tests/support/programs/NAME.cpp once; returns its path."""
    source, target = PROGRAMS / f"{name}.cpp", BUILD / "bin" / name
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-std=c++20", "-O2", "-static", "-s", "-Wl,--build-id=none"]
        if name == "hello":
            flags += ["-nostdlib", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"]
        subprocess.run(["g++", *flags, "-o", target, source], check=True, stderr=subprocess.DEVNULL)
    return target


def applets():
    return [a for a in subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split() if a != "busybox"]


def skeleton(layer):
    for directory in ("dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "usr/sbin", "var", "var/www"):
        layer.dir(directory, 0o700 if directory == "root" else 0o755)
    layer.dir("home/user", uid=1000, gid=1000).dir("tmp", 0o1777).dir("var/tmp", 0o1777)
    return layer.file("etc/passwd", PASSWD).file("etc/group", GROUP).file("etc/shadow", "root:*::0:::::\n", 0o640, gid=42)


def busybox_layer(link):
    """busybox with every applet: hard links as in the hub's busybox, symbolic ones as in alpine."""
    layer = skeleton(Layer().dir("bin").copy("bin/busybox", BUSYBOX))
    for applet in applets():
        if link == "hard":
            layer.hardlink(f"bin/{applet}", "bin/busybox")
        else:
            layer.symlink(f"bin/{applet}", "/bin/busybox")
    return layer


def busybox():
    return Image([busybox_layer("hard").tar()], {"Cmd": ["sh"], "Labels": {MADE_FROM: "Debian's busybox-static"}})


def alpine(architecture="amd64"):
    release = 'NAME="stand-in for alpine, made of busybox"\nID=alpine\nVERSION_ID=3.0.0\nPRETTY_NAME="alpine stand-in (busybox)"\n'
    first = busybox_layer("symbolic").file("etc/os-release", release).file("etc/alpine-release", "3.0.0\n")
    config = {"Cmd": ["/bin/sh"], "Labels": {MADE_FROM: "Debian's busybox-static, not Alpine"}}
    return Image([first.file("etc/architecture", architecture).tar()], config, architecture=architecture)


def hello_world():
    layer = Layer().copy("hello", program("hello"))
    return Image([layer.tar()], {"Cmd": ["/hello"], "Labels": {MADE_FROM: "tests/support/programs/hello.cpp"}})


def clock():
    base = busybox_layer("hard").tar()
    command = ["/bin/sh", "-c", "while : ; do date; sleep 1; done"]
    return Image([base], {"Cmd": command, "Labels": {MADE_FROM: "Debian's busybox-static"}})


def mprime():
    layer = Layer().copy("mprime", program("mprime")).dir("tmp", 0o1777)
    config = {"Entrypoint": ["/mprime"], "Cmd": ["-t"], "Labels": {MADE_FROM: "tests/support/programs/mprime.cpp"}}
    return Image([layer.tar()], config)


def libraries(binary):
    listed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    return sorted({word for word in listed.split() if word.startswith("/")})


def registry():
    runtime = skeleton(Layer().dir("bin").copy("bin/busybox", BUSYBOX))
    for applet in applets():
        runtime.hardlink(f"bin/{applet}", "bin/busybox")
    for directory in ("lib", "lib/x86_64-linux-gnu", "lib64"):
        runtime.dir(directory)
    for library in libraries(DOCKER_REGISTRY):
        runtime.copy(library.lstrip("/").removeprefix("usr/"), library)
    server = Layer().dir("bin").copy("bin/registry", DOCKER_REGISTRY)
    settings = Layer().dir("etc").dir("etc/docker").dir("etc/docker/registry").file("etc/docker/registry/config.yml", REGISTRY_CONFIG)
    storage = Layer().dir("var").dir("var/lib").dir("var/lib/registry")
    entry = Layer().file("entrypoint.sh", '#!/bin/sh\nexec registry serve "$@"\n', 0o755)
    config = {
        "Entrypoint": ["/entrypoint.sh"], "Cmd": ["/etc/docker/registry/config.yml"],
        "ExposedPorts": {"5000/tcp": {}}, "Volumes": {"/var/lib/registry": {}},
        "Labels": {MADE_FROM: "Debian's docker-registry and busybox-static"},
    }
    return Image([layer.tar() for layer in (runtime, server, settings, storage, entry)], config)


def debian_root():
    """The archive of a minimal Debian, made by mmdebstrap with the machine's own package sources, kept between runs."""
    archive = BUILD / "debian.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".partial.tar")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", "bookworm", partial]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(f"mmdebstrap failed:\n{result.stderr}")
        partial.rename(archive)
    return archive


def debian():
    """Debian in four layers: the system, changes, removals (whiteouts and an opaque directory), an empty one."""
    base = io.BytesIO()
    with tarfile.open(debian_root()) as source, tarfile.open(fileobj=base, mode="w", format=tarfile.PAX_FORMAT) as target:
        for member in source:
            if member.name.removeprefix("./").startswith("dev/"):
                continue
            member.mtime = 1704067200
            member.pax_headers = {k: v for k, v in member.pax_headers.items() if "time" not in k}
            target.addfile(member, source.extractfile(member) if member.isreg() else None)
    changes = Layer().dir("etc").file("etc/motd", "made with mmdebstrap\n").dir("opt").dir("opt/old").file("opt/old/a", "a").file("opt/old/b", "b")
    changes.file("opt/removed", "this file is removed by the next layer")
    removals = Layer().dir("opt").dir("opt/old").opaque("opt/old").file("opt/old/c", "c").whiteout("opt/removed").whiteout("usr/share/doc")
    config = {"Cmd": ["bash"], "Labels": {MADE_FROM: "mmdebstrap --variant=minbase bookworm"}}
    return Image([base.getvalue(), changes.tar(), removals.tar(), Layer().tar()], config, level=1)


def configured():
    """Every field of an image's configuration that a container takes over."""
    layer = busybox_layer("hard").dir("srv").dir("srv/data", uid=1000, gid=1000).file("srv/data/seed", "from the image\n", uid=1000, gid=1000)
    return Image([layer.tar()], {
        "Entrypoint": ["/bin/echo", "entry"], "Cmd": ["default"], "Env": ["PATH=/usr/bin:/bin", "COLOUR=green"], "User": "1000:1000",
        "WorkingDir": "/srv", "Volumes": {"/srv/data": {}}, "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "StopSignal": "SIGUSR1",
        "Labels": {MADE_FROM: "Debian's busybox-static", "shape": "round"},
    })


def probe():
    layer = busybox_layer("hard").copy("bin/probe", program("probe"))
    return Image([layer.tar()], {"Cmd": ["probe", "serve", "80"], "Labels": {MADE_FROM: "tests/support/programs/probe.cpp and busybox-static"}})


def high_uid():
    """A file whose owner no small range can hold: 20000 is outside of bozo's 10000 ids."""
    layer = busybox_layer("hard").file("owned-by-20000", "x\n", uid=20000, gid=20000)
    return Image([layer.tar()], {"Cmd": ["sh"], "Labels": {MADE_FROM: "Debian's busybox-static"}})


def deep():
    """More layers than fit into one mount(2) option page with long paths."""
    base = busybox_layer("hard").tar()
    layers = [Layer().dir("deep").file(f"deep/{i:03}", f"{i}\n").file("deep/last", f"{i}\n").tar() for i in range(100)]
    return Image([base, *layers], {"Cmd": ["sh"], "Labels": {MADE_FROM: "Debian's busybox-static"}})


# name on the hub -> (maker, tags, other platforms, format on the wire). The hub's own images are of both formats, and so are ours.
IMAGES = {
    "library/busybox": (busybox, ["latest", "1.35"], [], "v2s2"),
    "library/hello-world": (hello_world, ["latest"], [], "v2s2"),
    "library/alpine": (alpine, ["latest"], [lambda: alpine("arm64")], "index"),
    "library/registry": (registry, ["2"], [], "v2s2"),
    "library/debian": (debian, ["latest", "bookworm"], [], "oci"),
    "pvnovarese/clock": (clock, ["latest"], [], "v2s2"),
    "pvnovarese/mprime": (mprime, ["latest"], [], "oci"),
    "test/configured": (configured, ["latest"], [], "oci"),
    "test/probe": (probe, ["latest"], [], "oci"),
    "test/high-uid": (high_uid, ["latest"], [], "oci"),
    "test/deep": (deep, ["latest"], [], "oci"),
}


def stamp(name):
    """Changes when the recipe or an ingredient does."""
    digest = hashlib.sha256(name.encode())
    files = [Path(__file__), Path(__file__).with_name("layers.py"), BUSYBOX, DOCKER_REGISTRY, *sorted(PROGRAMS.glob("*.cpp"))]
    for file in files:
        digest.update(file.read_bytes() if file.exists() else b"missing")
    return digest.hexdigest()


def layout(name):
    return BUILD / "oci" / name


def make(name):
    """Writes the OCI layout of one image unless it is there. Returns whether it was made anew."""
    maker, tags, others, _ = IMAGES[name]
    directory = layout(name)
    mark = directory / ".stamp"
    if mark.exists() and mark.read_text() == stamp(name):
        return False
    shutil.rmtree(directory, ignore_errors=True)
    maker().write_oci(directory, tags[0], [other() for other in others])
    mark.write_text(stamp(name))
    return True


def copy_to_registry(name, address):
    _, tags, others, wire = IMAGES[name]
    options = {"v2s2": ["--format", "v2s2"], "oci": ["--format", "oci"], "index": ["--all"]}[wire]
    for tag in tags:
        command = ["skopeo", "--insecure-policy", "copy", "--quiet", *options, "--dest-tls-verify=false",
                   f"oci:{layout(name)}:{tags[0]}", f"docker://{address}/{name}:{tag}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def build_all(names=None):
    """Makes the images, and the hub's storage when one of them changed."""
    from tests.support import hub

    names = names or tuple(IMAGES)
    changed = [name for name in names if make(name)]
    storage = BUILD / "hub"
    done = storage / ".filled"
    filled = set(json.loads(done.read_text())) if done.exists() else set()
    missing = [name for name in names if name in changed or name not in filled]
    if not missing:
        return
    with hub.Registry(storage) as registry_server:
        for name in missing:
            copy_to_registry(name, registry_server.address)
            filled.add(name)
            done.write_text(json.dumps(sorted(filled)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("image", nargs="?", help="one of " + ", ".join(n.rpartition("/")[2] for n in IMAGES))
    parser.add_argument("--docker-archive", metavar="FILE")
    arguments = parser.parse_args()
    if not arguments.image:
        build_all()
        return
    names = [n for n in IMAGES if arguments.image in (n, n.rpartition("/")[2])]
    if not names or not arguments.docker_archive:
        sys.exit("which image, and where to? see --help")
    maker, tags, _, _ = IMAGES[names[0]]
    Path(arguments.docker_archive).write_bytes(maker().docker_archive([f"{names[0].removeprefix('library/')}:{tags[0]}"]))


if __name__ == "__main__":
    main()
