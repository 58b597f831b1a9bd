"""A virtual machine with Debian as it is installed: systemd, dbus, AppArmor, CRIU; cgroup v2 only. It runs pytest in itself.

Its system disk is made by mmdebstrap once and never written to. A second disk carries the programs under test and the cases of inside/.
The cases' results come back over a serial port, as JUnit's XML.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tests.support.daemon import REPO
from tests.vm import guest

INSIDE = Path(__file__).parent / "inside"
PACKAGES = ("systemd-sysv,libpam-systemd,dbus,dbus-user-session,apparmor,criu,iproute2,kmod,procps,uidmap,busybox-static,python3-pytest").split(",")
# CRIU asks the kernel for its sockets through *_diag.
MODULES = ["crc32c_generic", "virtio_pci", "virtio_blk", "ext4", "overlay", "veth", "bridge", "tun", "loop", "nf_tables", "inet_diag", "nf_conntrack_netlink", "tcp_diag", "udp_diag", "raw_diag", "unix_diag",
           "netlink_diag", "af_packet_diag"]

INIT = """#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for m in {modules}; do modprobe -a $m 2>/dev/null || echo "no module $m"; done
mkdir /new
mount -t ext4 /dev/vda /new
mount -t ext4 /dev/vdb /new/payload
mount --move /dev /new/dev
umount /proc
exec switch_root /new /sbin/init
"""

SERVICE = """[Unit]
Description=Tests
Requires=basic.target dbus.socket systemd-logind.service
After=basic.target dbus.socket systemd-logind.service
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/sh /payload/run
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
TimeoutStartSec=infinity
"""

RUN = """export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 BRYO_BIN_DIR=/payload/bin BRYO_TEST_PATIENCE=5
cd /payload
python3 -m pytest -c pytest.ini -p no:cacheprovider --junitxml=/run/report.xml {arguments} tests/vm/{cases}
stty -F /dev/ttyS1 raw
cat /run/report.xml >/dev/ttyS1
"""

FILES = {
    "etc/systemd/system/bryo-tests.service": SERVICE,
    # Every controller for users: what rootless containers need.
    "etc/systemd/system/user@.service.d/delegate.conf": "[Service]\nDelegate=cpu cpuset io memory pids\n",
    "etc/fstab": "",
    "etc/hostname": "vm\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/subuid": "bozo:165536:65536\n",
    "etc/subgid": "bozo:165536:65536\n",
}
MASKED = ["apparmor.service", "systemd-timesyncd.service", "systemd-resolved.service", "systemd-networkd.service", "console-getty.service", "getty@tty1.service", "apt-daily.timer",
          "apt-daily-upgrade.timer", "systemd-journal-flush.service", "systemd-random-seed.service", "systemd-update-utmp.service", "systemd-tmpfiles-clean.timer", "dpkg-db-backup.timer",
          "systemd-binfmt.service", "systemd-remount-fs.service", "systemd-firstboot.service", "modprobe@drm.service", "modprobe@configfs.service", "modprobe@fuse.service",
          "modprobe@dm_mod.service", "modprobe@efi_pstore.service", "modprobe@loop.service", "fstrim.timer", "e2scrub_all.timer", "e2scrub_reap.service", "ldconfig.service"]


class Missing(Exception):
    """What the machine is made of is not here, and the network to get it is not there."""


def recipe():
    text = repr((PACKAGES, FILES, MASKED))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def disk_path():
    return guest.BUILD / f"systemd-{recipe()}.ext4"


def prepare():
    """Makes the system disk when there is none. This needs the network."""
    disk = disk_path()
    if not disk.exists():
        guest.BUILD.mkdir(parents=True, exist_ok=True)
        for old in guest.BUILD.glob("systemd-*.ext4"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=guest.BUILD) as directory:
            make_system(Path(directory, "root"))
            partial = Path(directory, "disk")
            subprocess.run(["mkfs.ext4", "-q", "-d", Path(directory, "root"), partial, "700M"], check=True, capture_output=True)
            partial.rename(disk)


def make_system(root):
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    result = subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", *excluded, f"--include={','.join(PACKAGES)}", "bookworm", root], capture_output=True, text=True)
    if result.returncode != 0:
        raise OSError(f"mmdebstrap failed: {result.stderr[-1000:]}")
    subprocess.run(["chroot", root, "useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash", "bozo"], check=True)
    for name, text in FILES.items():
        Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        Path(root, name).write_text(text)
    for unit in MASKED:
        link = Path(root, "etc/systemd/system", unit)
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    Path(root, "payload").mkdir()


def payload_disk(work, arguments, cases, add):
    root = work / "payload"
    for part in ("support", "vm"):
        shutil.copytree(REPO / "tests" / part, root / "tests" / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "tests/__init__.py", root / "tests")
    (root / "bin").mkdir()
    shutil.copy(guest.BIN / "bryo-oci", root / "bin")
    (root / "pytest.ini").write_text("[pytest]\naddopts = -v --color=no --durations=10 --tb=short\nfaulthandler_timeout = 400\n")
    (root / "run").write_text(RUN.format(arguments=arguments, cases=cases))
    if add:
        add(root)
    subprocess.run(["mkfs.ext4", "-q", "-d", root, work / "payload.ext4", "768M"], check=True, capture_output=True)
    return work / "payload.ext4"


class Results:
    """What the cases inside said: name → None, or the text of the failure; and who was skipped."""

    def __init__(self, report, console):
        self.console, self.failures, self.skips, self.seconds = console, {}, {}, {}
        for case in ElementTree.fromstring(report).iter("testcase"):
            name = f"{case.get('classname').rpartition('.')[2]}::{case.get('name')}"
            bad = [child for child in case if child.tag in ("failure", "error")]
            skipped = case.find("skipped")
            self.seconds[name] = float(case.get("time"))
            self.failures[name] = "\n".join(child.text or child.get("message") for child in bad) or None
            if skipped is not None:
                self.skips[name] = skipped.get("message")


def run(arguments="", timeout=900, memory=1024, cases="inside", add=None, modules=()):
    """Boots, runs the cases of that folder, switches off. `add(directory)` puts more on the second disk, which is /payload."""
    if not disk_path().exists():
        raise Missing(f"{disk_path()} was not made (what the start of tests/run says)")
    image, release = guest.kernel()
    work = guest.BUILD / f"run-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        modules = [*MODULES, *modules]
        cpio = guest.busybox_archive(release, modules)
        cpio.file("init", INIT.format(modules=" ".join(modules)).encode())
        (work / "initramfs").write_bytes(gzip.compress(cpio.bytes(), 1))
        disks = [f"{disk_path()},snapshot=on", payload_disk(work, arguments, cases, add)]
        append = "apparmor=1 security=apparmor systemd.unit=bryo-tests.service systemd.show_status=0 systemd.journald.forward_to_console=0"
        console = guest.emulate(image, work / "initramfs", disks, append, timeout, memory, "-serial", f"file:{work}/report")
        report = (work / "report").read_text(errors="replace")
        assert "</testsuites>" in report, f"the guest did not finish:\n{console[-4000:]}"
        return Results(report, console)
    finally:
        shutil.rmtree(work, ignore_errors=True)
