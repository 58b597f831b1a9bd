"""Fixtures of the end-to-end tests. Run them through tests/run: they need the private test host."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support import cli as clients  # noqa: E402
from tests.support import users  # noqa: E402
from tests.support.daemon import ENGINES, REPO, Daemon  # noqa: E402
from tests.support.hub import Registry  # noqa: E402
from tests.support.images import BUILD  # noqa: E402

# On disk (an overlay's upper directory and id-mapped mounts want a real file system) and short (sockets have 107 characters).
SCRATCH = Path(os.environ.get("BRYO_TEST_SCRATCH", "/nonexistent"))

# They run in the virtual machine of tests/vm, and only there.
collect_ignore = ["vm/apparmor", "vm/inside", "vm/rootless", "vm/selinux"]


def pytest_addoption(parser):
    parser.addoption("--engine", default="bryod", choices=sorted(ENGINES), help="the engine under test")
    parser.addoption("--clients", default="debian,current,bryo", help="command line clients to test with")


def pytest_configure(config):
    if os.environ.get("BRYO_TEST_HOST") != "1":
        pytest.exit("start tests with tests/run: it makes the private test host that they need", returncode=4)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--engine") == "rootless":
        for item in items:
            reason = item.get_closest_marker("needs_root")
            if reason:
                item.add_marker(pytest.mark.skip(reason=f"needs root: {reason.args[0]}"))
    if config.getoption("--engine") == "dockerd":
        skip = pytest.mark.skip(reason="dockerd does not promise this")
        for item in items:
            if item.get_closest_marker("bryo_only"):
                item.add_marker(skip)


def pytest_generate_tests(metafunc):
    """A test that takes `docker` runs once with each client. One that takes `any_docker` runs with the first."""
    if "client_kind" in metafunc.fixturenames:
        kinds = metafunc.config.getoption("--clients").split(",")
        if metafunc.config.getoption("--engine") == "dockerd":
            kinds = [k for k in kinds if k != "bryo"]
        metafunc.parametrize("client_kind", kinds, scope="session")


@pytest.fixture(scope="session")
def engine(request):
    chosen = ENGINES[request.config.getoption("--engine")]
    if not Path(chosen.program).exists():
        pytest.fail(f"{chosen.program} is not built", pytrace=False)
    return chosen


@pytest.fixture(scope="session")
def hub():
    """Plays Docker's hub: pulls of `busybox` come from here through --registry-mirror."""
    with Registry(BUILD / "hub", read_only=True) as registry:
        yield registry


_numbers = iter(range(1_000_000))


@pytest.fixture(scope="session")
def scratch():
    return SCRATCH


@pytest.fixture
def tmp(scratch, engine):
    """A directory on disk for this test, of the engine's user."""
    directory = scratch / f"t{next(_numbers)}"
    directory.mkdir()
    if engine.user:
        account = users.make(engine.user)
        os.chown(directory, account.uid, account.gid)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def mirror_flags(hub):
    return ["--registry-mirror", hub.url, "--insecure-registry", "127.0.0.1:5000", "--insecure-registry", hub.address]


@pytest.fixture
def make_daemon(engine, hub, scratch):
    """A function that makes daemons (not started), all ended after the test."""
    made = []

    def make(*flags, environment=None, mirror=True, chosen=None, directory=None):
        if engine.user and not chosen and any(str(flag).startswith("--userns-remap") for flag in flags):
            pytest.skip("needs root: --userns-remap")
        directory = directory or scratch / f"d{next(_numbers)}"
        daemon = Daemon(chosen or engine, directory, [*(mirror_flags(hub) if mirror else []), *flags], environment)
        made.append(daemon)
        return daemon

    yield make
    died = []
    for daemon in reversed(made):
        try:
            daemon.assert_alive()
        except AssertionError as error:
            died.append(str(error))
        daemon.close()
    assert not died, died[0]


@pytest.fixture(scope="module")
def shared_daemon(engine, hub, scratch):
    daemon = Daemon(engine, scratch / f"d{next(_numbers)}", mirror_flags(hub))
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def daemon(shared_daemon):
    """A running daemon with the default settings, shared by the tests of a module; its containers are removed after each test."""
    if not shared_daemon.is_running:
        shared_daemon.start()
        shared_daemon.remove_containers()
    yield shared_daemon
    shared_daemon.assert_alive()
    if shared_daemon.is_running:
        shared_daemon.remove_containers()
        shared_daemon.api.post("/networks/prune")


@pytest.fixture(scope="module")
def shared_remapped(engine, hub, scratch, etc):
    etc.user("dockremap", 165536)
    # Without root every container has a map, the engine's own.
    remap = [] if engine.user else ["--userns-remap=dockremap"]
    daemon = Daemon(engine, scratch / f"d{next(_numbers)}", [*mirror_flags(hub), *remap])
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def remapped(shared_remapped):
    """The same with --userns-remap=dockremap (165536)."""
    if not shared_remapped.is_running:
        shared_remapped.start()
        shared_remapped.remove_containers()
    yield shared_remapped
    shared_remapped.assert_alive()
    if shared_remapped.is_running:
        shared_remapped.remove_containers()


@pytest.fixture
def docker(client_kind, daemon, tmp):
    """A command line client of `daemon`: the test runs once with each."""
    return client_of(client_kind, daemon, tmp)


@pytest.fixture
def make_client(tmp):
    """make_client(daemon, kind="debian") for tests that make their own daemon."""
    return lambda daemon, kind="debian": client_of(kind, daemon, tmp / f"home-{kind}-{next(_numbers)}")


def client_of(kind, daemon, directory):
    if not Path(clients.CLIENTS[kind]).exists():
        pytest.skip(f"no client {clients.CLIENTS[kind]} on this machine")
    return clients.Client(kind, daemon, directory)


@pytest.fixture(scope="session")
def images(hub):
    """A function that gives a `docker load` archive of one of our images."""
    from tests.support import images as recipes

    cache = {}

    def archive(name):
        if name not in cache:
            maker, tags, _, _ = recipes.IMAGES[name]
            cache[name] = maker().docker_archive([f"{name.removeprefix('library/')}:{tags[0]}"])
        return cache[name]

    return archive


class Etc:
    """The test host's own /etc (an overlay: the machine's files stay as they are)."""

    def user(self, name, start, count=65536, uid=None):
        """A user with one subordinate range of uids and gids."""
        if subprocess.run(["getent", "passwd", name], stdout=subprocess.DEVNULL).returncode != 0:
            uid = ["-u", str(uid)] if uid else ["--system"]
            subprocess.run(["useradd", *uid, "--no-create-home", "--user-group", "--shell", "/bin/false", name], check=True,
                           stderr=subprocess.DEVNULL)
        self.ranges(name, [(start, count)])

    def ranges(self, name, ranges):
        """Replaces the subordinate ranges of `name`."""
        for file in ("/etc/subuid", "/etc/subgid"):
            path = Path(file)
            lines = [l for l in (path.read_text().splitlines() if path.exists() else []) if not l.startswith(f"{name}:")]
            lines += [f"{name}:{start}:{count}" for start, count in ranges]
            path.write_text("".join(f"{l}\n" for l in lines))

    def write(self, file, text):
        path = Path("/etc", file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def remove_user(self, name):
        subprocess.run(["userdel", name], stderr=subprocess.DEVNULL)
        self.ranges(name, [])


@pytest.fixture(scope="session")
def etc():
    return Etc()
