"""--network bypass: a rootless container connects past the user-mode network, and never to the host's loopback."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.support.daemon import ROOTLESS
from tests.support.images import program
from tests.support.otherhost import OtherHost
from tests.support.rawhttp import ApiError
from tests.support.waiting import wait_for

PORT = 8123


@pytest.fixture(scope="module")
def other():
    with OtherHost() as host:
        yield host


@pytest.fixture
def rootless(make_daemon):
    daemon = make_daemon(chosen=ROOTLESS).start()
    daemon.pull("busybox")
    return daemon


class Listener:
    """Counts who connects, and answers hello."""

    def __init__(self, address, port=PORT):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.create_server((address, port), family=family)
        self.count = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def dial(daemon, *words, network="bypass"):
    binary = program("dial")
    container = daemon.run("busybox", "/dial", *map(str, words), host_config={"NetworkMode": network, "Binds": [f"{binary}:/dial:ro"]})
    return daemon.output(container).split("\n")[:-1]


@pytest.mark.bryo_only
def test_connections_come_from_the_host_itself(rootless, other):
    with Listener(other.here):
        assert dial(rootless, "tcp", other.here, PORT) == [f"local {other.here}"]
        assert dial(rootless, "tcp", other.here, PORT, "nonblock", "options", "cloexec") == ["first EINPROGRESS", f"local {other.here}", "options kept", "cloexec 1"]
        assert dial(rootless, "tcp", other.here, PORT, network="bridge")[0].startswith("local 172."), "without a bypass: its own"
    names = {n["Name"]: n["Driver"] for n in rootless.api.get("/networks")}
    assert names["bypass"] == "bypass"


@pytest.mark.bryo_only
def test_an_exec_goes_the_same_way(rootless, other):
    with Listener(other.here):
        container = rootless.run("busybox", "sleep", "60", wait=False, host_config={"NetworkMode": "bypass", "Binds": [f"{program('dial')}:/dial:ro"]})
        assert rootless.exec(container, "/dial", "tcp", other.here, str(PORT))[1] == f"local {other.here}\n"


@pytest.mark.bryo_only
def test_the_hosts_loopback_stays_closed(rootless, other):
    with Listener(other.here) as outside, Listener("127.0.0.1") as four, Listener("::1") as six, Listener("127.0.0.1", PORT + 1) as second:
        dial(rootless, "disguises", PORT)
        dial(rootless, "attack", other.here, PORT, PORT + 1, 5)
        assert outside.count > 0
        assert (four.count, six.count, second.count) == (0, 0, 0)


@pytest.mark.bryo_only
def test_with_root_there_is_nothing_to_bypass(daemon):
    daemon.pull("busybox")
    with pytest.raises(ApiError, match="nothing to bypass"):
        daemon.run("busybox", "true", host_config={"NetworkMode": "bypass"})


def processes(name):
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if (directory / "comm").read_text().strip() == name and (directory / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                found.append(int(directory.name))
        except OSError:
            pass
    return found


def helper():
    """The one there is; another may be on its way."""
    return wait_for(lambda: processes("bryo-bypass"), 20, "a helper works")[0]


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in processes("bryo-bypass"), 5, "it is gone")


def container_with_dial(daemon, *command):
    return daemon.run("busybox", *command, wait=False, host_config={"NetworkMode": "bypass", "Binds": [f"{program('dial')}:/dial:ro"]})


def local_address(daemon, container, other):
    return "".join(daemon.exec(container, "/dial", "tcp", other.here, str(PORT))[1:]).strip()


@pytest.mark.bryo_only
def test_a_helper_that_is_killed_at_work_is_replaced(rootless, other):
    with Listener(other.here):
        container = container_with_dial(rootless, "/dial", "many", other.here, str(PORT), "40000")
        for _ in range(3):
            first = helper()
            time.sleep(0.3)  # of its time, most goes by between a call and its answer
            kill(first)
            time.sleep(0.2)
        last = helper()
        assert processes("bryo-bypass") == [last], "no more than one"
        wait_for(lambda: not rootless.state(container)["Running"], 90, "every connect() has got its answer")
        assert rootless.state(container)["ExitCode"] == 0, rootless.output(container)


@pytest.mark.bryo_only
def test_a_helper_that_somebody_stopped_holds_calls_until_it_is_killed(rootless, other):
    """The way out of it; see the known limits in src/bypass/README.md."""
    with Listener(other.here):
        container = container_with_dial(rootless, "sh", "-c", f"while :; do /dial tcp {other.here} {PORT}; sleep 0.05; done")
        rootless.wait_output(container, "local ")
        stopped = helper()
        os.kill(stopped, signal.SIGSTOP)
        said = wait_for(lambda: held(rootless, container), 10, "a call is held")
        kill(stopped)
        wait_for(lambda: len(rootless.output(container)) > said, 10, "and answered")
        wait_for(lambda: helper() != stopped and rootless.output(container)[said:].count(f"local {other.here}"), 20, "another helper works")


def held(daemon, container):
    """How much it has said, when it says no more."""
    said = len(daemon.output(container))
    time.sleep(0.5)
    return said if len(daemon.output(container)) == said else 0


def descriptors():
    """Of the helper and of the container's monitor."""
    return {name: sorted(os.readlink(file).partition("[")[0] for pid in processes(name) for file in Path(f"/proc/{pid}/fd").iterdir()) for name in ("bryo-bypass", "bryo-monitor")}


@pytest.mark.bryo_only
def test_what_an_exec_needed_is_given_back(rootless, other):
    with Listener(other.here):
        container = container_with_dial(rootless, "sleep", "100")
        assert local_address(rootless, container, other) == f"local {other.here}"
        wait_for(lambda: not [file for file in descriptors()["bryo-bypass"] if file.endswith("fdinfo")], 10, "the helper forgets callers after a while of nothing")
        before = descriptors()
        for _ in range(10):
            assert local_address(rootless, container, other) == f"local {other.here}"
        wait_for(lambda: descriptors() == before, 10, f"the same descriptors as before: {before}")
        kill(helper())
        wait_for(lambda: local_address(rootless, container, other) == f"local {other.here}", 10, "another works")
        wait_for(lambda: descriptors() == before, 10, f"the same descriptors as before: {before}")


@pytest.mark.bryo_only
def test_without_a_helper_connections_take_the_usual_way(rootless, other):
    with Listener(other.here):
        container = container_with_dial(rootless, "sh", "-c", f"while :; do /dial tcp {other.here} {PORT}; sleep 0.2; done")
        past, through = f"local {other.here}", "local 172."
        rootless.wait_output(container, past)
        log = Path(rootless.inspect(container)["LogPath"])
        rootless.kill9()
        kill(helper())
        wait_for(lambda: through in log.read_text(), 10, "connections take the usual way")
        assert processes("bryo-bypass") == [], "there is nobody who could start one"
        rootless.start()
        before = len(rootless.output(container))
        wait_for(lambda: processes("bryo-bypass"), 40, "the new bryod has started another")
        wait_for(lambda: past in rootless.output(container)[before:], 10, "connections go past the network again")
        lines = rootless.output(container).split("\n")[:-1]
        assert any(line.startswith(through) for line in lines) and all(line.startswith((past, through)) for line in lines), lines
