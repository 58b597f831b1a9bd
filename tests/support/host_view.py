"""How the host sees a container's processes: /proc and ps, never the engine."""

import os
import pwd
import subprocess
from pathlib import Path


def status(pid):
    """/proc/PID/status as a dict."""
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def uid(pid):
    return int(status(pid)["Uid"].split()[0])


def gid(pid):
    return int(status(pid)["Gid"].split()[0])


def user(pid):
    """The name that ps shows, or the number when nobody has it."""
    try:
        return pwd.getpwuid(uid(pid)).pw_name
    except KeyError:
        return str(uid(pid))


def id_map(pid, kind="uid"):
    """[(inside, outside, count)]"""
    return [tuple(map(int, line.split())) for line in Path(f"/proc/{pid}/{kind}_map").read_text().splitlines()]


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")


def ps_ef(word):
    """Lines of `ps -ef` with `word` in them, as the labs look at them."""
    out = subprocess.run(["ps", "-ww", "-ef"], capture_output=True, text=True, check=True).stdout
    return [line for line in out.splitlines() if word in line]


def namespace(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


IDENTITY = [(0, 0, 4294967295)]
