"""OCI runtimes on the command line: bundles with a busybox root, and the runtimes that are compared."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.daemon import BIN
from tests.support.waiting import PATIENCE

RUNTIMES = {"bryo-oci": str(BIN / "bryo-oci"), "runc": "/usr/sbin/runc", "crun": "/usr/bin/crun"}
APPLETS = ["sh", "true", "false", "sleep", "cat", "echo", "id", "ls", "env", "pwd", "readlink", "grep", "dd", "tty", "mount", "touch", "kill", "head", "test", "stat"]
CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"]


def default_config():
    return {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["true"], "env": ["PATH=/bin"], "cwd": "/",
                    "capabilities": {kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")},
                    "noNewPrivileges": True},
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
                   {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
                   {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")]},
    }


class Bundle:
    """A bundle directory: change `config` and `save()` it."""

    def __init__(self, directory):
        self.path = Path(directory)
        self.rootfs = self.path / "rootfs"
        for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy("/usr/bin/busybox", self.rootfs / "bin/busybox")
        for applet in APPLETS:
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        (self.rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        self.config = default_config()
        self.save()

    def save(self):
        (self.path / "config.json").write_text(json.dumps(self.config))
        return self

    def run(self, *args, **process):
        """Sets what the container runs."""
        self.config["process"].update(args=list(args), **process)
        return self.save()

    def script(self, text, **process):
        return self.run("sh", "-c", text, **process)


class Outcome:
    def __init__(self, command, completed):
        self.command, self.status, self.out, self.err = command, completed.returncode, completed.stdout, completed.stderr

    @property
    def all(self):
        return self.out + self.err

    def __str__(self):
        return f"{' '.join(self.command)}: exit status {self.status}\n{self.all}"

    __repr__ = __str__


class Runtime:
    """`runtime("state", "box")` gives an Outcome; `runtime.ok(…)` checks that it succeeded."""

    def __init__(self, name, root, *options):
        self.name, self.program, self.root = name, RUNTIMES[name], Path(root)
        self.options = list(options)

    def command(self, *arguments, options=()):
        return [self.program, "--root", str(self.root), *self.options, *map(str, options), *map(str, arguments)]

    def __call__(self, *arguments, options=(), input="", environment=None, timeout=60, **popen):
        command = self.command(*arguments, options=options)
        completed = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout * PATIENCE, env={**os.environ, **(environment or {})}, **popen)
        return Outcome(command, completed)

    def ok(self, *arguments, **options):
        outcome = self(*arguments, **options)
        assert outcome.status == 0, str(outcome)
        return outcome

    def launch(self, *arguments, options=(), environment=None, **popen):
        """create or a detached run: the container keeps the descriptors, so its output goes to a file."""
        file = self.root.parent / "output"
        with open(file, "w") as output:
            completed = subprocess.run(self.command(*arguments, options=options), stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60 * PATIENCE,
                                       env={**os.environ, **(environment or {})}, **popen)
        completed.stdout, completed.stderr = file.read_text(), ""
        return Outcome(completed.args, completed)

    def state(self, name):
        return json.loads(self.ok("state", name).out)

    def status(self, name):
        return self.state(name)["status"]

    def remove_all(self):
        for directory in sorted(self.root.glob("*")) if self.root.exists() else []:
            self("delete", "--force", directory.name)
