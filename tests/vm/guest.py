"""A small virtual machine with Debian's kernel and cgroup v2 only, to run a script in: what this machine's kernel cannot show.

The kernel comes from Debian's package, extracted under build/vm and not installed. The initramfs holds busybox, the programs under test
with their libraries, and the kernel modules that a container engine needs. A scratch ext4 disk is mounted on /data.
"""

import gzip
import io
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

from tests.support.daemon import BIN, REPO

BUILD = REPO / "build/vm"
BUSYBOX = "/bin/busybox"
MODULES = ["crc32c_generic", "virtio_pci", "virtio_blk", "ext4", "overlay", "bridge", "veth", "nf_tables", "nft_chain_nat", "nft_masq", "nft_nat", "nft_ct", "nft_fib_inet", "nft_reject_inet",
           "nft_limit", "nft_log", "nft_redir", "nf_conntrack", "br_netfilter", "tun", "loop"]
STATUS = re.compile(r"^VM-STATUS (\d+)\s*$", re.MULTILINE)

# The first root of a kernel cannot be left with pivot_root(2), which is how containers leave it: copy it to another file system, as
# every distribution's initramfs ends.
INIT = """#!/bin/sh
export PATH=/bin:/sbin
mkdir /new && mount -t tmpfs root /new
for f in /*; do [ $f = /new ] || cp -a $f /new/; done
exec switch_root /new /system
"""

SYSTEM = """#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/init && echo 1 >/sys/fs/cgroup/init/cgroup.procs
for m in {modules}; do modprobe -a $m 2>/dev/null || echo "no module $m"; done
ip link set lo up
mount -t ext4 /dev/vda /data || echo "no scratch disk"
hostname vm
sh /payload.sh </dev/null 2>&1
status=$?
echo
echo "VM-STATUS $status"
sync
poweroff -f
"""


def kernel():
    """(vmlinuz, directory of modules), downloaded once."""
    root = BUILD / "kernel"
    if not list(root.glob("boot/vmlinuz-*")):
        BUILD.mkdir(parents=True, exist_ok=True)
        depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=True).stdout
        package = re.search(r"Depends: (linux-image-\S+)", depends).group(1)
        subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], cwd=BUILD, check=True, stdout=subprocess.DEVNULL)
        (archive,) = BUILD.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
        archive.unlink()
        (release,) = (root / "lib/modules").iterdir()
        subprocess.run([BUSYBOX, "depmod", "-b", root, release.name], check=True)
    (release,) = (root / "lib/modules").iterdir()
    return root / f"boot/vmlinuz-{release.name}", release


def module_files(release, modules=MODULES):
    """The files of these modules and of all that they need."""
    needs = {}
    for line in (release / "modules.dep").read_text().splitlines():
        file, _, rest = line.partition(":")
        needs[file] = rest.split()
    by_name = {Path(f).name.split(".")[0].replace("-", "_"): f for f in needs}
    wanted, queue = set(), [by_name[m] for m in modules if m in by_name]
    while queue:
        file = queue.pop()
        if file not in wanted:
            wanted.add(file)
            queue += needs[file]
    return {f: needs[f] for f in wanted}


def libraries(program):
    listed = subprocess.run(["ldd", program], capture_output=True, text=True)
    return sorted({w for w in listed.stdout.split() if w.startswith("/")}) if listed.returncode == 0 else []


class Cpio:
    """A newc archive, what the kernel unpacks as its first file system."""

    def __init__(self):
        self.out, self.made, self.inode = io.BytesIO(), set(), 1

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        fields = (self.inode, mode, 0, 0, 1, 1704067200, len(data), 0, 0, *device, len(name.encode()) + 1, 0)
        self.inode += 1
        self.out.write(b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0")
        self.out.write(b"\0" * (-self.out.tell() % 4) + data)
        self.out.write(b"\0" * (-self.out.tell() % 4))

    def dir(self, name):
        name = name.strip("/")
        if name and name not in self.made:
            self.dir(str(Path(name).parent)) if "/" in name else None
            self.made.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        name = name.strip("/")
        if name in self.made:
            return
        self.dir(str(Path(name).parent)) if "/" in name else None
        self.made.add(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self.dir(str(Path(name.strip("/")).parent))
        self.made.add(name.strip("/"))
        self._entry(name.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def program(self, source, name=None):
        """A program with all of its libraries."""
        self.file(name or str(source), Path(source).read_bytes())
        for library in libraries(source):
            self.file(library, Path(library).read_bytes())

    def bytes(self):
        self._entry("TRAILER!!!", 0)
        return self.out.getvalue()


def busybox_archive(release, modules):
    """busybox with its applets, and kernel modules for its modprobe."""
    cpio = Cpio()
    for directory in ("proc", "sys", "dev", "run", "tmp", "data", "root", "etc", "var/lib", "usr/bin", "usr/sbin", "sbin"):
        cpio.dir(directory)
    cpio.program(BUSYBOX)
    for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            cpio.link(f"bin/{applet}", "busybox")
    selected = module_files(release, modules)
    prefix = f"lib/modules/{release.name}"
    for file in selected:
        cpio.file(f"{prefix}/{file}", (release / file).read_bytes(), 0o644)
    cpio.file(f"{prefix}/modules.dep", "".join(f"{f}: {' '.join(d)}\n" for f, d in selected.items()).encode(), 0o644)
    for name in ("modules.alias", "modules.symbols"):
        cpio.file(f"{prefix}/{name}", b"", 0o644)
    return cpio


def initramfs(payload, programs, files, release):
    cpio = busybox_archive(release, MODULES)
    cpio.file("init", INIT.encode())
    cpio.file("system", SYSTEM.format(modules=" ".join(MODULES)).encode())
    cpio.file("payload.sh", payload.encode())
    cpio.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\ndockremap:x:900:900::/:/bin/false\n", 0o644)
    cpio.file("etc/group", b"root:x:0:\ndockremap:x:900:\n", 0o644)
    for name in ("subuid", "subgid"):
        cpio.file(f"etc/{name}", b"dockremap:165536:65536\nbryo:1000000:1000000\n", 0o644)
    cpio.file("etc/resolv.conf", b"nameserver 127.0.0.1\n", 0o644)
    for program in programs:
        cpio.program(program, f"usr/bin/{Path(program).name}")
    for name, data in files.items():
        cpio.file(name, data, 0o644)
    return gzip.compress(cpio.bytes(), 1)


def emulate(kernel_image, initrd, disks, append, timeout, memory, *devices):
    """Runs a machine until it switches itself off. Returns what its first serial port said.

    no_timer_check: on a machine that is busy the kernel would take the emulator's late timer for a broken one.
    """
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(memory), "-nographic", "-no-reboot", "-nodefaults", "-nic", "none",
               "-serial", "stdio", "-kernel", kernel_image, "-initrd", initrd, "-append", f"console=ttyS0 quiet loglevel=3 panic=-1 rdinit=/init no_timer_check cgroup_no_v1=all {append}", *devices]
    for disk in disks:
        command += ["-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"]
    console = Path(initrd).with_name("console")
    with open(console, "wb") as out:
        machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            machine.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the guest did not end within {timeout} s:\n{console.read_text(errors='replace')[-4000:]}") from None
        finally:
            machine.kill()
            machine.wait()
    return console.read_text(errors="replace").replace("\r\n", "\n")


def engine_programs():
    """bryod and what belongs beside it, and nft for the base rules."""
    beside = [p for p in sorted(BIN.iterdir()) if p.is_file() and os.access(p, os.X_OK) and p.name.startswith("bryo")]
    return [*beside, *[p for p in ("/usr/sbin/nft", "/usr/sbin/ip") if Path(p).exists()]]


def boot(payload, programs=(), files=None, timeout=240, memory=1024, disk=1024):
    """Runs the shell script in the guest. Returns (exit status, what it printed)."""
    vmlinuz, release = kernel()
    work = BUILD / f"run-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        (work / "initramfs").write_bytes(initramfs(payload, programs, files or {}, release))
        with open(work / "disk", "wb") as image:
            image.truncate(disk << 20)
        subprocess.run(["mkfs.ext4", "-q", work / "disk"], check=True)
        out = emulate(vmlinuz, work / "initramfs", [work / "disk"], "", timeout, memory)
        found = STATUS.search(out)
        assert found, f"the guest did not finish:\n{out[-4000:]}"
        return int(found.group(1)), STATUS.sub("", out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
