"""A virtual machine with Debian as it is installed: systemd, dbus, what `System` lists; cgroup v2 only. It runs pytest in itself.

Its system disk is made by mmdebstrap once and never written to. A second disk carries the programs under test and a folder of cases.
The cases' results come back over a serial port, as JUnit's XML.
"""

import ast
import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.daemon import REPO
from tests.vm import guest

INSIDE = Path(__file__).parent / "inside"
PACKAGES = "systemd-sysv,libpam-systemd,dbus,dbus-user-session,apparmor,iproute2,kmod,procps,uidmap,busybox-static,python3-pytest".split(",")
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


@dataclass(frozen=True)
class System:
    """What a machine is made of."""

    name: str
    suite: str
    packages: tuple
    # The suite's own kernel; else the one of the machine that runs the tests.
    own_kernel: bool = False
    # A shell's commands, run in the new system when it is complete.
    last: str = ""
    megabytes: int = 700

    def recipe(self):
        text = repr((self, FILES, MASKED))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def disk(self):
        return guest.BUILD / f"{self.name}-{self.recipe()}.ext4"

    def kernel(self):
        """(vmlinuz, directory of modules)."""
        if not self.own_kernel:
            return guest.kernel()
        root = guest.BUILD / f"{self.name}-{self.recipe()}.kernel"
        (release,) = (root / "usr/lib/modules").iterdir()
        return root / f"boot/vmlinuz-{release.name}", release


OCI = System("systemd", "bookworm", (*PACKAGES, "criu"))
# Both security modules that label; the boot chooses one. Policies are compiled, and every file is labelled, when the disk is made.
# The reference policy lets only the engines that it knows start container_t. Ours are not among them (docs/limits.md).
MODULE = """(typeattributeset cil_gen_require initrc_t)
(typeattributeset cil_gen_require container_t)
(allow initrc_t container_t (process (transition siginh rlimitinh noatsecure getattr signal sigkill)))
(allow initrc_t container_t (process2 (nnp_transition)))
(allow container_t initrc_t (process (sigchld)))
(allow container_t initrc_t (fd (use)))
(allow container_t initrc_t (fifo_file (read write append getattr ioctl)))
"""
LABEL = f"""set -e
cat >/tmp/bryo-tests.cil <<'E'
{MODULE}E
semodule --noreload --install /tmp/bryo-tests.cil
rm /tmp/bryo-tests.cil
setfiles -F /etc/selinux/default/contexts/files/file_contexts /
"""
LSM = System("lsm", "trixie", (*PACKAGES, "apparmor-profiles", "selinux-policy-default", "policycoreutils", "checkpolicy", "semodule-utils", "nftables", "iputils-ping"), True,
             LABEL, 1024)
# In the new system, while it has the network.
FETCH_KERNEL = """set -e
cd "$1/var/tmp"
package=$(chroot "$1" apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \\(linux-image-[^ ]*\\).*/\\1/p')
chroot "$1" sh -c "cd /var/tmp && apt-get download -qq -o APT::Sandbox::User=root $package"
dpkg-deb -x linux-image-*.deb "$1/kernel"
rm linux-image-*.deb
"""


def prepare(system=OCI):
    """Makes the system disk when there is none. This needs the network."""
    if system.disk().exists():
        return
    guest.BUILD.mkdir(parents=True, exist_ok=True)
    for old in guest.BUILD.glob(f"{system.name}-*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    with tempfile.TemporaryDirectory(dir=guest.BUILD) as directory:
        root, partial = Path(directory, "root"), Path(directory, "disk")
        make_system(system, root)
        if system.own_kernel:
            keep_kernel(root / "kernel", system.disk().with_suffix(".kernel"))
        if system.last:
            subprocess.run(["chroot", root, "sh", "-c", system.last], check=True, capture_output=True)
        subprocess.run(["mkfs.ext4", "-q", "-d", root, partial, f"{system.megabytes}M"], check=True, capture_output=True)
        partial.rename(system.disk())


def keep_kernel(unpacked, root):
    (release,) = (unpacked / "usr/lib/modules").iterdir()
    (unpacked / "lib").symlink_to("usr/lib")
    subprocess.run([guest.BUSYBOX, "depmod", "-b", unpacked, release.name], check=True)
    unpacked.rename(root)


def make_system(system, root):
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    hooks = [f"--customize-hook={FETCH_KERNEL}"] if system.own_kernel else []
    result = subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", *excluded, *hooks, f"--include={','.join(system.packages)}", system.suite, root], capture_output=True, text=True)
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


def add_libraries(root, program):
    for library in guest.libraries(program):
        shutil.copy(library, root / "lib")


def add_programs(root, programs):
    (root / "lib").mkdir()
    for program in programs:
        if (guest.BIN / program).exists():
            shutil.copy(guest.BIN / program, root / "bin")
            add_libraries(root, guest.BIN / program)


def cases(folder):
    """Names of the test functions in this folder, without their parameters."""
    for file in sorted(folder.glob("test_*.py")):
        for part in ast.parse(file.read_text()).body:
            if isinstance(part, ast.FunctionDef) and part.name.startswith("test_"):
                yield f"{file.stem}::{part.name}"


def check(results, case):
    """One of `cases`, with all of its parameters: fails or skips as it did inside."""
    mine = {name: failure for name, failure in results.failures.items() if name.partition("[")[0] == case}
    assert mine, f"it did not run:\n{results.console[-2000:]}"
    failed = {name: failure for name, failure in mine.items() if failure}
    assert not failed, "\n\n".join(f"{name}:\n{failure}" for name, failure in failed.items())
    if all(name in results.skips for name in mine):
        pytest.skip("; ".join(sorted({results.skips[name] for name in mine})))


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


def run(arguments="", timeout=900, memory=1024, cases="inside", add=None, modules=(), system=OCI, security="apparmor=1 security=apparmor"):
    """Boots, runs the cases of that folder, switches off. `add(directory)` puts more on the second disk, which is /payload."""
    if not system.disk().exists():
        raise Missing(f"{system.disk()} was not made (what the start of tests/run says)")
    image, release = system.kernel()
    work = guest.BUILD / f"run-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        modules = [*MODULES, *modules]
        cpio = guest.busybox_archive(release, modules)
        cpio.file("init", INIT.format(modules=" ".join(modules)).encode())
        (work / "initramfs").write_bytes(gzip.compress(cpio.bytes(), 1))
        disks = [f"{system.disk()},snapshot=on", payload_disk(work, arguments, cases, add)]
        append = f"{security} systemd.unit=bryo-tests.service systemd.show_status=0 systemd.journald.forward_to_console=0"
        console = guest.emulate(image, work / "initramfs", disks, append, timeout, memory, "-serial", f"file:{work}/report")
        report = (work / "report").read_text(errors="replace")
        assert "</testsuites>" in report, f"the guest did not finish:\n{console[-4000:]}"
        return Results(report, console)
    finally:
        shutil.rmtree(work, ignore_errors=True)
