"""Running a command line client against a daemon, with and without a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

from tests.support.daemon import BIN
from tests.support.waiting import PATIENCE

# name -> program. "current" is any client newer than Debian's.
CLIENTS = {
    "debian": "/usr/bin/docker",
    "current": os.environ.get("BRYO_DOCKER_CLI", "/usr/local/bin/docker"),
    "bryo": str(BIN / "bryo"),
}


class Result:
    def __init__(self, command, completed):
        self.command, self.status = command, completed.returncode
        self.out, self.err = completed.stdout, completed.stderr

    def __str__(self):
        return self.out.strip()

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def all(self):
        return self.out + self.err


class Client:
    """`client("ps", "-a")` runs it and checks that it succeeded; `client.fails(...)` expects a failure."""

    def __init__(self, kind, daemon, directory):
        self.kind, self.program, self.daemon = kind, CLIENTS[kind], daemon
        self.home = Path(directory)
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self):
        return {**os.environ, "DOCKER_HOST": self.daemon.url, "BRYO_HOST": self.daemon.url, "HOME": str(self.home),
                "DOCKER_CONFIG": str(self.home / ".docker"), "DOCKER_CLI_HINTS": "false", "TERM": "xterm"}

    def run(self, *arguments, input=None, timeout=60, text=True, **popen):
        command = [self.program, *map(str, arguments)]
        stdin = {} if input is not None else {"stdin": subprocess.DEVNULL}
        if text and isinstance(input, bytes):
            text = False
        completed = subprocess.run(command, input=input, capture_output=True, text=text, timeout=timeout * PATIENCE, env=self.environment, **stdin, **popen)
        return Result(command, completed)

    def __call__(self, *arguments, **options):
        result = self.run(*arguments, **options)
        assert result.status == 0, (f"{self.kind}: {' '.join(map(str, arguments))}: exit status {result.status}\n"
                                    f"{result.out!s}{result.err!s}\n--- log of the daemon\n{self.daemon.log_text()[-2000:]}")
        return result

    def fails(self, *arguments, status=None, **options):
        result = self.run(*arguments, **options)
        assert result.status != 0, f"{' '.join(map(str, arguments))} succeeded: {result.all}"
        if status is not None:
            assert result.status == status, f"exit status {result.status}, want {status}: {result.all}"
        return result

    def background(self, *arguments, **popen):
        """A process whose output is read while it runs."""
        popen = {"stdin": subprocess.DEVNULL, **popen}
        return subprocess.Popen([self.program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=self.environment, **popen)

    def terminal(self, *arguments, rows=24, columns=80):
        return Terminal([self.program, *map(str, arguments)], self.environment, rows, columns)


class Terminal:
    """A client on a pseudo terminal, driven like a person would: type, and look at what is shown."""

    def __init__(self, command, environment, rows, columns):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment)
        self.shown = b""
        self.status = None
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def type(self, text):
        os.write(self.fd, text.encode() if isinstance(text, str) else text)

    def _read(self, timeout):
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.shown += piece
        return bool(piece)

    def expect(self, pattern, timeout=10):
        """Waits until what is shown since the last expect matches; returns the match and forgets what was up to it."""
        deadline = time.monotonic() + timeout * PATIENCE
        while not (match := re.search(pattern.encode(), self.shown)):
            if time.monotonic() > deadline or not self._read(0.2):
                raise AssertionError(f"terminal does not show {pattern!r}: {self.shown!r}")
        self.shown = self.shown[match.end() :]
        return match

    def wait(self, timeout=10):
        """The client's exit status."""
        deadline = time.monotonic() + timeout * PATIENCE
        while self.status is None:
            self._read(0.01)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise AssertionError(f"the client did not end: {self.shown!r}")
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.status = -9
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
