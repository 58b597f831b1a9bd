"""--network bypass: a rootless container connects past the user-mode network, and never to the host's loopback."""

import socket
import threading

import pytest

from tests.support.daemon import ROOTLESS
from tests.support.images import program
from tests.support.otherhost import OtherHost
from tests.support.rawhttp import ApiError

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
