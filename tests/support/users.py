"""Ordinary users of the test host, with what a rootless engine needs and nothing more: subordinate ids and a runtime directory."""

import os
import pwd
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

FIRST_ID = 231072  # as in the seeds
IDS = 65536


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int
    home: Path
    runtime: Path

    def environment(self):
        return {"HOME": str(self.home), "USER": self.name, "LOGNAME": self.name, "XDG_RUNTIME_DIR": str(self.runtime), "LC_ALL": "C.UTF-8",
                "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}

    def popen(self):
        """Arguments of subprocess.Popen for a program of this user's."""
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "env": self.environment()}

    def run(self, *command, **options):
        return subprocess.run([str(word) for word in command], **{**self.popen(), "capture_output": True, "text": True, **options})


def make(name):
    """The account, made when it is not there."""
    if subprocess.run(["getent", "passwd", name], stdout=subprocess.DEVNULL).returncode != 0:
        home = Path("/run/home", name)
        subprocess.run(["useradd", "--uid", "1001", "--user-group", "--create-home", "--home-dir", str(home), name], check=True, stderr=subprocess.DEVNULL)
        home.parent.chmod(0o755)
    for file in (Path("/etc/subuid"), Path("/etc/subgid")):
        lines = [line for line in (file.read_text().splitlines() if file.exists() else []) if not line.startswith(f"{name}:")]
        file.write_text("\n".join([*lines, f"{name}:{FIRST_ID}:{IDS}"]) + "\n")
    entry = pwd.getpwnam(name)
    runtime = Path("/run/user", str(entry.pw_uid))
    runtime.mkdir(parents=True, exist_ok=True, mode=0o755)
    runtime.chmod(0o700)
    os.chown(runtime, entry.pw_uid, entry.pw_gid)
    tun = Path("/dev/net/tun")
    if tun.exists():
        tun.chmod(0o666)  # as udev does
    return Account(name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir), runtime)


def processes(account):
    """Of the account and of its subordinate ids."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            uid = int(next(line for line in status.read_text().splitlines() if line.startswith("Uid:")).split()[1])
        except (OSError, StopIteration):
            continue
        if uid == account.uid or FIRST_ID <= uid < FIRST_ID + IDS:
            found.append(int(status.parent.name))
    return found


def end_processes(account):
    """What tests before have left running; they say so themselves when they promise otherwise."""
    for pid in processes(account):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
