"""Bundles for the cases of test_spec.py: a busybox root, a config.json to change, and the runtimes that are compared."""

import json
import shutil
import subprocess
from pathlib import Path

from tests.support.daemon import BIN

RUNTIMES = {"runc": "/usr/sbin/runc", "crun": "/usr/bin/crun", "bryo-oci": str(BIN / "bryo-oci")}
APPLETS = ("cat chmod chrt cut date echo env false find grep head hostname id ionice ls mkdir mknod mount nproc pwd readlink rm sed sh sleep sort stat taskset "
           "test touch true umount uname wc").split()


def config():
    capabilities = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD"]
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": True,
                    "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")}},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
                   {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666"]},
                   {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")]},
    }


class Bundle:
    """A bundle on disk. `config` is what config.json will hold."""

    def __init__(self, directory):
        self.path, self.rootfs, self.config = Path(directory), Path(directory, "rootfs"), config()
        for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy("/usr/bin/busybox", self.rootfs / "bin/busybox")
        for applet in APPLETS:
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        # Mapped containers reach their root through it.
        for directory in (self.path, self.path.parent):
            directory.chmod(0o755)

    @property
    def process(self):
        return self.config["process"]

    @property
    def linux(self):
        return self.config["linux"]

    def mount(self, destination, kind, source, *options, **more):
        self.config["mounts"].append({"destination": destination, "type": kind, "source": str(source), "options": list(options), **more})

    def namespace(self, kind, path=None):
        self.linux["namespaces"] = [n for n in self.linux["namespaces"] if n["type"] != kind]
        self.linux["namespaces"].append({"type": kind, **({"path": path} if path else {})})

    def without_namespace(self, kind):
        self.linux["namespaces"] = [n for n in self.linux["namespaces"] if n["type"] != kind]

    def map_ids(self, base=200000, size=65536):
        self.namespace("user")
        self.linux["uidMappings"] = self.linux["gidMappings"] = [{"containerID": 0, "hostID": base, "size": size}]
        for path in (self.rootfs, *self.rootfs.rglob("*")):
            if not path.is_symlink():
                shutil.chown(path, base, base)

    def file(self, name, text="", mode=0o644):
        """A file beside the root file system, for binds."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def save(self):
        (self.path / "config.json").write_text(json.dumps(self.config))


class Runtime:
    def __init__(self, name, root):
        self.name, self.command = name, [RUNTIMES[name], "--root", str(root)]

    def __call__(self, *arguments, **popen):
        # Standard input is a pipe: some runtimes give /dev/null away to the container's user.
        return subprocess.run([*self.command, *arguments], input=b"", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, **popen)

    def run(self, bundle, script=None):
        """(exit status, output) of a container that runs the script."""
        if script is not None:
            bundle.process["args"] = ["sh", "-c", script]
        bundle.save()
        done = self("run", "--bundle", str(bundle.path), "case")
        self("delete", "--force", "case")
        return done.returncode, done.stdout.decode(errors="replace")
