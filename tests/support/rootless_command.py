"""Fixtures of the tests of bryo-rootless: it, its user, and what it is judged by."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support import users
from tests.support.rootless import BRYO_ROOTLESS, Rootless

NETWORKS = ["slirp", "slirp4netns"]


@pytest.fixture(scope="module")
def penguin():
    if not Path(BRYO_ROOTLESS).exists():
        pytest.fail(f"{BRYO_ROOTLESS} is not built", pytrace=False)
    return users.make("penguin")


@pytest.fixture
def run(penguin):
    """run(words…) → the finished program."""
    return lambda *words, **options: penguin.run(BRYO_ROOTLESS, *words, **{"timeout": 60, **options})


@pytest.fixture
def start(penguin, tmp):
    started = []

    def one(*words, **options):
        started.append(Rootless(penguin, *words, log=tmp / f"log{len(started)}", **options))
        return started[-1]

    yield one
    for each in started:
        each.close()


@pytest.fixture(scope="module", autouse=True)
def no_engine_of_root():
    """What a dockerd of root, in tests before these, has left in /run, no other user can write."""
    for name in ("docker", "containerd", "runc"):
        shutil.rmtree(Path("/run", name), ignore_errors=True)


@pytest.fixture(scope="module")
def outside_address():
    """An address of the host that is not loopback's."""
    subprocess.run(["ip", "address", "replace", "192.0.2.1/32", "dev", "lo"], check=True)
    yield "192.0.2.1"
    subprocess.run(["ip", "address", "del", "192.0.2.1/32", "dev", "lo"], check=True)


def ask(address, port, text=b"hello\n", kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as client:
        client.settimeout(3)
        try:
            client.connect((address, port))
            client.send(text)
            return client.recv(100)
        except OSError as error:
            raise AssertionError(str(error)) from error


# What the servers inside answer: who asked, as the server sees it.
SERVER = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
with socket.socket(socket.AF_INET, kind) as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("0.0.0.0", int(sys.argv[2])))
    if kind == socket.SOCK_STREAM: server.listen()
    while True:
        if kind == socket.SOCK_DGRAM:
            _, peer = server.recvfrom(100)
            server.sendto(peer[0].encode(), peer)
        else:
            client, peer = server.accept()
            client.recv(100)
            client.sendall(peer[0].encode())
            client.close()
"""


@pytest.fixture
def server(tmp):
    file = tmp / "server.py"
    file.write_text(SERVER)
    file.chmod(0o644)
    return lambda protocol, port: ("/usr/bin/python3", str(file), protocol, str(port))
