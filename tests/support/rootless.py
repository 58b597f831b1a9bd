"""bryo-rootless, or Debian's rootlesskit, as an ordinary user of the test host."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import BIN
from tests.support.waiting import wait_for

BRYO_ROOTLESS = str(BIN / "bryo-rootless")
ROOTLESSKIT = "/usr/bin/rootlesskit"

_numbers = iter(range(1_000_000))


def children(pid):
    """Every process below `pid`."""
    direct = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct += map(int, file.read_text().split())
        except OSError:  # the thread has ended
            pass
    return direct + [below for child in direct for below in children(child)]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def name_of(pid):
    """Of its program; "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Rootless:
    """One running bryo-rootless."""

    def __init__(self, account, *words, program=BRYO_ROOTLESS, state=None, log=None, **options):
        self.account, self.state = account, Path(state or account.runtime / f"rootless{next(_numbers)}")
        self.log = log or Path("/run", f"rootless-{os.getpid()}.log")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([program, f"--state-dir={self.state}", *map(str, words)], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, **{**account.popen(), **options})

    @property
    def pid(self):
        return self.process.pid

    @property
    def child(self):
        return int((self.state / "child_pid").read_text())

    def output(self):
        return self.log.read_text()

    def wait_running(self, timeout=20):
        def running():
            assert self.process.poll() is None, f"ended with status {self.process.returncode}:\n{self.output()}"
            return (self.state / "child_pid").exists() and (self.state / "api.sock").exists()

        wait_for(running, timeout, "a child_pid and an api.sock")
        return self

    def wait(self, timeout=20):
        return self.process.wait(timeout)

    def enter(self, *command, flags=("-n", "-m"), **options):
        """Runs a program inside, as the person would from outside: nsenter with child_pid."""
        return self.account.run("nsenter", "-U", "--preserve-credentials", *flags, "-t", self.child, *command, **options)

    def ctl(self, *words):
        return self.account.run("rootlessctl", "--socket", self.state / "api.sock", *words)

    def info(self):
        return json.loads(self.ctl("info", "--json").stdout)

    def close(self):
        tree = [*children(self.pid), self.pid]
        for pid in tree:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        wait_for(lambda: not [pid for pid in tree if alive(pid)], what="an end of the processes")


@pytest.fixture
def default_route():
    """What pasta wants to find on its host."""
    for words in ("link add outside0 type veth peer name outside1", "link set outside1 up", "address add 198.51.100.1/24 dev outside0", "link set outside0 up",
                  "route add default via 198.51.100.2"):
        subprocess.run(["ip", *words.split()], check=True)
    yield
    subprocess.run(["ip", "link", "delete", "outside0"], check=True)
