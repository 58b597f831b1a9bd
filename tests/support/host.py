"""A private test host: runs pytest in its own mount, network, pid and cgroup namespaces.

Inside it
- lo is the only interface, so `bryo0`, 172.17.0.0/16, port 5000 and all nf_tables tables belong to this run alone;
- /run is a fresh tmpfs, /etc an overlay: tests edit /etc/passwd and /etc/subuid and the machine's own stay as they were;
- this process is pid 1: when it ends the kernel ends every daemon and container that a test forgot;
- every cgroup hierarchy shows one directory of our own as its root, removed at the end.

So a failed test leaves nothing on the machine, and the leak auditor (audit.py) sees no strangers.
"""

import ctypes
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_MOVE, MS_PRIVATE = 4096, 16384, 8192, 1 << 18

REPO = Path(__file__).resolve().parents[2]
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


def unshare(flags):
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def mount(source, target, fstype=None, flags=0, data=None):
    arguments = [None if a is None else os.fsencode(str(a)) for a in (source, target, fstype, data)]
    _check(_libc.mount(*arguments[:3], ctypes.c_ulong(flags), arguments[3]), f"mount {source} {target}")


def cgroup_mounts():
    """(mount point, file system type, v1 options) of every cgroup mount of this mount namespace."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ")
        fstype, _, options = right.split(" ", 2)
        if fstype in ("cgroup", "cgroup2"):
            found.append((Path(left.split()[4]), fstype, options))
    return found


def own_cgroups():
    """{mount point: our cgroup's path in that hierarchy}"""
    by_controllers = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        by_controllers[controllers] = path
    result = {}
    for point, fstype, options in cgroup_mounts():
        if fstype == "cgroup2":
            result[point] = by_controllers.get("", "/")
            continue
        for controllers, path in by_controllers.items():
            names = controllers.split(",")
            if controllers and all(n in options.split(",") for n in names):
                result[point] = path
    return result


def enter_cgroups(name):
    """Moves this process into a new cgroup of every hierarchy; returns the directories made."""
    made = []
    for point, path in own_cgroups().items():
        base = point / path.lstrip("/")
        # A leaf of somebody's tree may hold processes; with v2 a sibling is always allowed, with v1 a child is.
        directory = (base if base.exists() else point) / name
        try:
            directory.mkdir()
            for knob in ("cpuset.cpus", "cpuset.mems"):
                file = directory / knob
                if file.exists() and not file.read_text().strip():
                    file.write_text((directory.parent / knob).read_text())
            (directory / "cgroup.procs").write_text(str(os.getpid()))
        except OSError as error:
            print(f"test host: no cgroup of our own in {point}: {error}", file=sys.stderr)
            continue
        made.append(directory)
    return made


def remove_cgroups(directories):
    for top in directories:
        for _ in range(100):
            for directory, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    pass
            if not top.exists():
                break
            time.sleep(0.02)  # the kernel frees a dead process's cgroup a moment after its death
        else:
            print(f"test host: {top} could not be removed", file=sys.stderr)


def set_up_mounts():
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    # A sysfs of our network namespace, with the cgroup hierarchies seen from our cgroup namespace.
    hierarchies = cgroup_mounts()
    mount("sysfs", "/sys", "sysfs")
    if any(point == Path("/sys/fs/cgroup") for point, _, _ in hierarchies):
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
    else:
        mount("tmpfs", "/sys/fs/cgroup", "tmpfs", data="mode=755")
        for point, fstype, options in hierarchies:
            if not point.is_relative_to("/sys/fs/cgroup"):
                continue
            point.mkdir()
            data = None if fstype == "cgroup2" else ",".join(o for o in options.split(",") if o != "rw")
            mount("cgroup", point, fstype, data=data)
    mount("tmpfs", "/run", "tmpfs", data="mode=755")
    for directory in ("lock", "netns", "etc/upper", "etc/work", "home"):
        Path("/run", directory).mkdir(parents=True)
    mount("overlay", "/etc", "overlay", data="lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work")
    # Nothing may reach a real /root/.docker, nor write there.
    os.environ.update(HOME="/run/home", BRYO_TEST_HOST="1", LC_ALL="C.UTF-8")
    for variable in [v for v in os.environ if v.startswith("DOCKER_") or v.lower().endswith("_proxy")]:
        del os.environ[variable]


def reap_until(child):
    """pid 1's duty. Returns the exit status of `child`."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def inside(arguments):
    set_up_mounts()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0) if not sys.stdin.isatty() else None
        if arguments[:1] == ["--shell"]:
            os.execvp("bash", ["bash", *arguments[1:]])
        if arguments[:1] == ["--"]:
            os.execvp(arguments[1], arguments[1:])
        python = "/usr/bin/python3"
        os.execv(python, [python, "-m", "pytest", "-c", str(REPO / "tests/pytest.ini"), "--rootdir", str(REPO), *arguments])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: os.kill(child, n))
    return reap_until(child)


def prepare():
    """What needs the network, before it goes away. Kept between runs."""
    from tests.support import images
    from tests.vm import guest, systemd_guest

    images.build_all()
    if shutil.which("qemu-system-x86_64"):
        machines = {"busybox": guest.kernel, **{m.name: functools.partial(systemd_guest.prepare, m) for m in (systemd_guest.OCI, systemd_guest.LSM)}}
        for name, make in machines.items():
            try:
                make()
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"test host: no machine \"{name}\" for tests/vm: {error}", file=sys.stderr)


def main():
    if os.geteuid() != 0:
        sys.exit("the test host needs root: it makes namespaces and mounts")
    prepare()
    # Process ids repeat in pid namespaces: the name comes from outside, and outside deletes it, when nothing is mounted there any more.
    scratch = tempfile.mkdtemp(prefix="bryo-", dir="/var/tmp")
    os.chmod(scratch, 0o755)  # as /var/lib: mapped users pass through it
    os.environ["BRYO_TEST_SCRATCH"] = scratch
    cgroups = enter_cgroups(f"bryo-test-{os.getpid()}")
    unshare(CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        # Of a shell's background job, and under nohup, these are ignored, and every program under test would inherit that.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        status = 70
        try:
            unshare(CLONE_NEWCGROUP | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC)
            status = inside(sys.argv[1:])
        finally:
            sys.stdout.flush()
            os._exit(status if status >= 0 else 128 - status)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    _, status = os.waitpid(child, 0)
    for directory in cgroups:  # leave them, or they cannot be removed
        try:
            (directory.parent / "cgroup.procs").write_text(str(os.getpid()))
        except OSError as error:
            print(f"test host: cannot leave {directory}: {error}", file=sys.stderr)
    remove_cgroups(cgroups)
    shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
