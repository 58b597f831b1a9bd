"""How the engine is started and reached: sockets, TLS, socket activation, configuration."""

import contextlib
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.hub import free_port
from tests.support.rawhttp import Api
from tests.support.waiting import wait_for


def ping(path):
    try:
        return Api(path, version=None, timeout=5).raw("GET", "/_ping")[2] == b"OK"
    except OSError:
        return False


@pytest.fixture
def default_paths():
    """The well-known paths, empty. /run belongs to the test host."""
    paths = [Path("/run/docker.sock"), Path("/run/bryo/bryo.sock")]
    yield paths
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def spawn_without_host_flag(daemon):
    daemon.spawn(own_socket=False)
    return daemon


@pytest.mark.needs_root("the machine's sockets")
@pytest.mark.bryo_only
def test_without_H_it_listens_on_its_own_socket_and_on_dockers(make_daemon, default_paths):
    daemon = spawn_without_host_flag(make_daemon())
    wait_for(lambda: ping("/run/bryo/bryo.sock") and ping("/var/run/docker.sock"))
    daemon.stop()
    assert not Path("/run/docker.sock").exists() and not Path("/run/bryo/bryo.sock").exists()


@pytest.mark.needs_root("the machine's sockets")
def test_docker_socket_is_closed_to_others(make_daemon, default_paths):
    daemon = spawn_without_host_flag(make_daemon())
    wait_for(lambda: ping("/var/run/docker.sock"))
    assert os.stat("/run/docker.sock").st_mode & 0o007 == 0
    daemon.stop()


@pytest.mark.needs_root("the machine's sockets")
@pytest.mark.bryo_only
def test_a_docker_socket_that_answers_is_left_alone(make_daemon, default_paths):
    """Another daemon's socket: Bryo says so and goes on with its own."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("/run/docker.sock")
        other.listen()

        def serve():
            while True:
                try:
                    connection, _ = other.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):  # whoever only knocks is gone by now
                    if connection.recv(4096):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nOther")

        threading.Thread(target=serve, daemon=True).start()
        daemon = spawn_without_host_flag(make_daemon())
        wait_for(lambda: ping("/run/bryo/bryo.sock"))
        assert Api("/run/docker.sock", version=None).raw("GET", "/_ping")[2] == b"Other"
        assert "/var/run/docker.sock" in daemon.log_text()
        daemon.stop()
        assert Path("/run/docker.sock").exists(), "not ours to delete"
        other.shutdown(socket.SHUT_RDWR)


@pytest.mark.needs_root("the machine's sockets")
def test_a_dead_socket_file_is_replaced(make_daemon, default_paths):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("/run/docker.sock")
    daemon = spawn_without_host_flag(make_daemon())
    wait_for(lambda: ping("/var/run/docker.sock"))
    daemon.stop()


def test_several_hosts_at_once(make_daemon):
    port = free_port()
    daemon = make_daemon("-H", f"tcp://127.0.0.1:{port}", "--tls=false")
    second = daemon.directory / "second.sock"
    daemon.flags += ["-H", f"unix://{second}"]
    daemon.start()
    wait_for(lambda: ping(second))

    def tcp_answers():
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return connection.recv(4096).startswith(b"HTTP/1.0 200")

    wait_for(tcp_answers, 20)


@pytest.fixture(scope="module")
def certificates(scratch):
    """ca.pem, and pairs of server, client and stranger (another authority's)."""
    directory = scratch / "tls"
    directory.mkdir()

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    def authority(name):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}-key.pem", "-out", f"{name}.pem", "-days", "2",
                "-subj", f"/CN={name}")

    def certificate(name, ca, usage):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (directory / "ext").write_text(f"extendedKeyUsage={usage}\nsubjectAltName=IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}-key.pem", "-CAcreateserial", "-days", "2",
                "-extfile", "ext", "-out", f"{name}-cert.pem")

    authority("ca")
    authority("strange-ca")
    certificate("server", "ca", "serverAuth")
    certificate("client", "ca", "clientAuth")
    certificate("stranger", "strange-ca", "clientAuth")
    return directory


@pytest.mark.needs_root("its keys are root's")
@pytest.mark.parametrize("who,works", [("client", True), ("stranger", False), (None, False)])
def test_tlsverify_admits_only_our_own_clients(make_daemon, certificates, make_client, who, works):
    port = free_port()
    tls = ["--tlsverify", f"--tlscacert={certificates}/ca.pem", f"--tlscert={certificates}/server-cert.pem",
           f"--tlskey={certificates}/server-key.pem"]
    daemon = make_daemon("-H", f"tcp://127.0.0.1:{port}", *tls).start()
    docker = make_client(daemon)
    mine = [f"--tlscert={certificates}/{who}-cert.pem", f"--tlskey={certificates}/{who}-key.pem"] if who else []
    # Without a certificate of its own the client must not find one in its home.
    command = ["-H", f"tcp://127.0.0.1:{port}", "--tlsverify" if who else "--tls", *([f"--tlscacert={certificates}/ca.pem"] if who else []), *mine]
    if works:
        assert "Server" in docker(*command, "version").out
    else:
        assert docker.fails(*command, "version").status == 1


def test_socket_activation(make_daemon):
    """-H fd://: systemd holds the socket and hands it over as descriptor 3."""
    daemon = make_daemon()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(daemon.socket))
    listener.listen()
    os.set_inheritable(listener.fileno(), True)
    arguments = [*daemon.arguments(own_socket=False), "-H", "fd://"]
    script = f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
    with open(daemon.log, "ab") as log:
        daemon.process = subprocess.Popen(["bash", "-c", script, "bash", *arguments], pass_fds=[listener.fileno()], stdout=log, stderr=log,
                                          start_new_session=True)
    listener.close()
    daemon.wait_ready()
    daemon.stop()
    assert daemon.socket.exists(), "systemd's socket is not ours to delete"


def test_fd_without_an_activated_socket_is_refused(make_daemon):
    daemon = make_daemon()
    daemon.spawn(["-H", "fd://"], own_socket=False)
    assert daemon.process.wait(15) != 0
    assert "socket activation" in daemon.log_text() or "LISTEN_FDS" in daemon.log_text()
    daemon._after_end()


def test_the_pidfile_names_the_daemon_and_goes_with_it(make_daemon):
    daemon = make_daemon().start()
    assert int(daemon.pidfile.read_text()) == daemon.pid
    daemon.stop()
    assert not daemon.pidfile.exists()


def test_a_second_daemon_on_the_same_store_is_refused(make_daemon, tmp):
    first = make_daemon().start()
    second = make_daemon(directory=tmp / "second")
    second.data_root = first.data_root
    if first.engine.is_bryo:
        status, log = second.fails_to_start(alongside=True)
        assert str(first.data_root) in log
    else:
        second.pidfile = first.pidfile
        status, log = second.fails_to_start(alongside=True)
    assert status != 0
    assert first.answers()


def test_sigterm_ends_it_with_status_0_within_a_moment(make_daemon):
    daemon = make_daemon().start()
    assert daemon.stop(timeout=10) == 0


def test_sighup_reads_daemon_json_again(make_daemon, tmp):
    file = tmp / "daemon.json"
    file.write_text('{"labels": ["one=1"]}')
    daemon = make_daemon(f"--config-file={file}").start()
    assert daemon.api.get("/info")["Labels"] == ["one=1"]
    file.write_text('{"labels": ["two=2"], "debug": true}')
    daemon.process.send_signal(1)
    wait_for(lambda: daemon.api.get("/info")["Labels"] == ["two=2"])
    assert daemon.api.get("/info")["Debug"] is True


def test_validate(engine, tmp):
    """bryod --validate checks a configuration file without starting (dockerd since 23.0)."""
    if not engine.is_bryo:
        pytest.skip("Debian's dockerd is older")
    good, bad = tmp / "good.json", tmp / "bad.json"
    good.write_text('{"debug": true}')
    bad.write_text('{"debug": 1}')
    assert subprocess.run([engine.program, "--validate", f"--config-file={good}"], capture_output=True).returncode == 0
    assert subprocess.run([engine.program, "--validate", f"--config-file={bad}"], capture_output=True).returncode != 0


def test_help_and_version(engine):
    shown = subprocess.run([engine.program, "--help"], capture_output=True, text=True, check=True)
    for flag in ("--data-root", "--exec-root", "--userns-remap", "--insecure-registry", "--registry-mirror", "--storage-driver", "--bip",
                 "--tlsverify", "--live-restore", "--log-driver", "--default-address-pool", "--mtu", "--config-file", "--pidfile"):
        assert flag in shown.stdout, flag
    assert subprocess.run([engine.program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def test_an_unknown_flag_is_refused_by_name(engine):
    shown = subprocess.run([engine.program, "--no-such-flag"], capture_output=True, text=True)
    assert shown.returncode != 0 and "no-such-flag" in shown.stderr


@pytest.mark.parametrize("driver", ["overlay2", "fuse-overlayfs", "vfs"])
def test_storage_drivers(make_daemon, make_client, engine, driver):
    if driver == "fuse-overlayfs" and (engine.user or not Path("/usr/bin/fuse-overlayfs").exists() or not os.access("/dev/fuse", os.R_OK | os.W_OK)):
        pytest.skip("fuse-overlayfs is not installed, or its device is for root only: see test_fuse_overlayfs.py")
    daemon = make_daemon(f"--storage-driver={driver}").start()
    docker = make_client(daemon)
    assert docker("info", "-f", "{{.Driver}}").out.strip() == driver
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo new >/etc/new; rm /etc/group")
    assert docker("diff", "box").lines == ["C /etc", "A /etc/new", "D /etc/group"] or sorted(docker("diff", "box").lines) == [
        "A /etc/new", "C /etc", "D /etc/group"]
    docker("commit", "box", "changed")
    assert docker("run", "--rm", "changed", "cat", "/etc/new").out == "new\n"
    docker.fails("run", "--rm", "changed", "cat", "/etc/group")
    docker("rm", "box")
    docker("rmi", "changed", "busybox")


def test_an_unknown_storage_driver_is_refused(make_daemon):
    status, log = make_daemon("--storage-driver=zettabyte").fails_to_start()
    assert status != 0 and "zettabyte" in log


@pytest.mark.bryo_only
def test_environment_options_of_the_unit(engine):
    """packaging/: the unit passes $BRYO_OPTS as dockerd's passes $DOCKER_OPTS."""
    packaging = Path(__file__).resolve().parents[2] / "packaging"
    unit = (packaging / "systemd/bryo.service").read_text()
    assert "EnvironmentFile=-/etc/default/bryo" in unit and "$BRYO_OPTS" in unit
    assert "BRYO_OPTS" in (packaging / "default/bryo").read_text()
    assert "/run/bryo/bryo.sock" in (packaging / "systemd/bryo.socket").read_text()


def test_info_is_valid_for_clients_of_every_version(daemon):
    """The oldest API version that the engine speaks, and the newest, answer the same engine."""
    _, headers, data = daemon.api.raw("GET", "/version")
    version = json.loads(data)
    assert headers["Api-Version"] == version["ApiVersion"]
    for number in (version.get("MinAPIVersion", "1.24"), "1.30", version["ApiVersion"]):
        status, _, _ = daemon.api.raw("GET", f"/v{number}/info")
        assert status == 200, number
