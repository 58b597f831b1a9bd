"""One engine under test with a data root, exec root, socket and log of its own: bryod, or Debian's dockerd to prove a test right."""

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support import users
from tests.support.rawhttp import Api, ApiError
from tests.support.waiting import PATIENCE, wait_for

REPO = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("BRYO_BIN_DIR", REPO / "build/release/bin"))


@dataclass(frozen=True)
class Engine:
    """What differs between the engines, for tests that run against both."""

    name: str
    program: str
    bridge: str
    nft_table: str
    user: str = ""  # whose; empty: root's

    @property
    def is_bryo(self):
        return self.name == "bryod"


BRYOD = Engine("bryod", str(BIN / "bryod"), "bryo0", "bryo")
DOCKERD = Engine("dockerd", "/usr/sbin/dockerd", "docker0", "")
ROOTLESS = Engine("bryod", str(BIN / "bryod"), "bryo0", "bryo", "penguin")
ENGINES = {"bryod": BRYOD, "dockerd": DOCKERD, "rootless": ROOTLESS}


class Daemon:
    """Not started yet. `flags` are dockerd's flags; `directory` is the daemon's own and ends with it."""

    def __init__(self, engine, directory, flags=(), environment=None):
        self.engine, self.directory, self.flags = engine, Path(directory), list(flags)
        self.environment = environment or {}
        self.data_root = self.directory / "data"
        self.exec_root = Path("/run", f"engine-{self.directory.name}")  # a tmpfs, as /run is everywhere
        self.socket = self.directory / "s.sock"
        self.pidfile = self.directory / "pid"
        self.log = self.directory / "log"
        self.process = None
        self.log_start = 0
        self.directory.mkdir(parents=True, exist_ok=True)
        self._api = None
        self.account = users.make(engine.user) if engine.user else None
        if self.account:
            self.exec_root.mkdir(exist_ok=True)
            for directory in (self.directory, self.exec_root):
                os.chown(directory, self.account.uid, self.account.gid)

    # --- life

    def arguments(self, own_socket=True):
        own = ["--data-root", str(self.data_root), "--exec-root", str(self.exec_root), "--pidfile", str(self.pidfile)]
        return [self.engine.program, *own, *(["-H", self.url] if own_socket else []), *self.flags]

    running = []  # one engine of a kind at a time: they share the default bridge and its rules

    def spawn(self, extra=(), own_socket=True, alongside=False, **popen):
        """Starts the program and does not wait for anything. Stops every other daemon of the same engine, unless `alongside`."""
        for other in list(Daemon.running):
            if other is not self and other.engine == self.engine and not alongside:
                other.stop()
        Daemon.running.append(self)
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            own = self.account.popen() if self.account else {"env": dict(os.environ)}
            own["env"].update(self.environment)
            self.process = subprocess.Popen([*self.arguments(own_socket), *extra], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True, **{**own, **popen})
        return self

    def start(self, *extra, timeout=20):
        self.spawn(extra)
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=20):
        deadline = time.monotonic() + timeout * PATIENCE
        while not self.answers():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.engine.name} ended with status {self.process.returncode}:\n{self.log_text()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.engine.name} did not answer within {timeout} s:\n{self.log_text()}")
            time.sleep(0.002)

    def answers(self):
        try:
            return Api(self.socket, version=None, timeout=5).raw("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def fails_to_start(self, *extra, timeout=15, alongside=False):
        """Expects the daemon to refuse; returns (exit status, its log)."""
        self.spawn(extra, alongside=alongside)
        try:
            status = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.engine.name} started although it should refuse:\n{self.log_text()}") from None
        self._after_end()
        return status, self.log_text()

    def stop(self, timeout=30):
        """SIGTERM, and waits. Returns the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.engine.name} did not end within {timeout} s of SIGTERM:\n{self.log_text()[-3000:]}") from None
        finally:
            self._after_end()
        return status

    def kill9(self):
        self.process.kill()
        self.process.wait()
        if not self.engine.is_bryo:
            self._end_containerd()
        self._after_end()

    def restart(self, *extra):
        self.stop()
        return self.start(*extra)

    def _after_end(self):
        self.process = None
        if self in Daemon.running:
            Daemon.running.remove(self)
        if self._api:
            self._api.close()
            self._api = None

    def _end_containerd(self):
        """dockerd's own containerd outlives it."""
        file = self.exec_root / "containerd/containerd.pid"
        if file.exists():
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                pass

    def close(self):
        """Removes every container, ends the daemon, deletes its directory."""
        try:
            if self.engine.is_bryo and self.process is None and self.data_root.exists() and self.log.exists() and "API listen" in self.log_text(False):
                try:
                    self.start()  # its containers outlived it
                except AssertionError:
                    pass  # the test made it so that it cannot start
            if self.process is not None and self.process.poll() is None:
                self.remove_containers()
            self.stop()
        finally:
            self._unmount_all()
            shutil.rmtree(self.directory, ignore_errors=True)

    def remove_containers(self):
        for container in self.api.get("/containers/json", all=1):
            try:
                self.api.delete(f"/containers/{container['Id']}", force=1, v=1)
            except ApiError as error:
                if error.status not in (404, 409):
                    raise

    def _unmount_all(self):
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
            point = line.split()[4]
            if point.startswith(f"{self.directory}/"):
                subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def assert_alive(self):
        """A daemon that ended by itself is a failure of the test that was running, whatever else it showed."""
        if self.process is None or self.process.poll() is None:
            return
        status, log = self.process.returncode, self.log_text()
        self._after_end()
        raise AssertionError(f"{self.engine.name} died with status {status} during the test:\n{log[-3000:]}")

    # --- talking to it

    @property
    def url(self):
        return f"unix://{self.socket}"

    @property
    def api(self):
        if self._api is None:
            self._api = Api(self.socket)
        return self._api

    @property
    def pid(self):
        return self.process.pid

    def log_text(self, since_start=True):
        if not self.log.exists():
            return ""
        data = self.log.read_bytes()
        return data[self.log_start if since_start else 0 :].decode(errors="replace")

    def wait_log(self, text, timeout=10):
        return wait_for(lambda: text in self.log_text(), timeout, f"log of {self.engine.name} says {text!r}; it says:\n{self.log_text()}")

    # --- short forms for API tests

    def run(self, image, *command, name=None, wait=True, host_config=None, **config):
        """Creates and starts a container; with `wait` until its end. Returns its id."""
        body = {"Image": image, "HostConfig": host_config or {}, **config}
        if command:
            body["Cmd"] = list(command)
        container = self.api.post("/containers/create", body, name=name)["Id"]
        self.api.post(f"/containers/{container}/start")
        if wait:
            self.api.post(f"/containers/{container}/wait")
        return container

    def output(self, container):
        """What the container wrote (stdout and stderr in order), from its log."""
        with self.api.stream("GET", f"/containers/{container}/logs", stdout=1, stderr=1) as stream:
            if self.inspect(container)["Config"]["Tty"]:
                return stream.response.read().decode()
            return b"".join(data for _, data in stream.frames()).decode()

    def inspect(self, container):
        return self.api.get(f"/containers/{container}/json")

    def state(self, container):
        return self.inspect(container)["State"]

    def wait_output(self, container, text, timeout=10):
        return wait_for(lambda: text in self.output(container), timeout, f"{container} prints {text!r}")

    def exec(self, container, *command, **config):
        """(exit code, stdout, stderr) of a command in a running container."""
        body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, **config}
        exec_id = self.api.post(f"/containers/{container}/exec", body)["Id"]
        with self.api.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}) as stream:
            out, err = stream.read_all()
        return self.api.get(f"/exec/{exec_id}/json")["ExitCode"], out.decode(), err.decode()

    def pull(self, image, tag="latest"):
        """The progress objects of a pull."""
        with self.api.stream("POST", "/images/create", {}, fromImage=image, tag=tag) as stream:
            return list(stream.objects())

    def load(self, archive):
        """Loads a `docker save` archive (bytes); returns the progress text."""
        status, _, data = self.api.raw("POST", self.api.path("/images/load", quiet=1), archive, {"Content-Type": "application/x-tar"})
        assert status == 200, data
        errors = [o["error"] for o in map(json.loads, filter(None, data.decode().splitlines())) if "error" in o]
        assert not errors, errors
        return data.decode()
