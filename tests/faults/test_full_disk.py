"""No space left on device: a clear error, the space comes back, and what ran goes on."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.leftovers import nothing_left
from tests.support.rawhttp import ApiError
from tests.support.waiting import wait_for


@pytest.fixture
def cramped(make_daemon, small_disk):
    """A daemon with 90 MB: busybox fits, debian does not."""
    daemon = make_daemon()
    daemon.data_root = small_disk(90)
    daemon.start()
    daemon.pull("busybox")
    return daemon


def errors(objects):
    return " ".join(o["errorDetail"]["message"] for o in objects if "errorDetail" in o)


def test_pull(cramped):
    with nothing_left(cramped):
        error = errors(cramped.pull("debian")).lower()
        assert error and ("no space left on device" in error or not cramped.engine.is_bryo)
        assert [i["RepoTags"] for i in cramped.api.get("/images/json")] == [["busybox:latest"]]
    assert cramped.output(cramped.run("busybox", "echo", "still here")) == "still here\n"


def test_pull_works_once_there_is_room(cramped):
    filler = cramped.data_root / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 18))
        except OSError:
            file.truncate(file.tell() - (1 << 20))
    assert errors(cramped.pull("test/probe"))
    filler.unlink()
    assert not errors(cramped.pull("test/probe"))


def test_a_full_disk_still_lets_you_stop_and_remove(cramped):
    container = cramped.run("busybox", "sleep", "600", wait=False)
    with open(cramped.data_root / "filler", "wb") as file:
        try:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        except OSError:
            pass
    assert cramped.answers() and cramped.state(container)["Running"]
    with pytest.raises(ApiError):
        for _ in range(200):  # somewhere the disk really is full
            cramped.api.post("/containers/create", {"Image": "busybox", "Labels": {"x": "y" * 4000}})
            cramped.api.post("/volumes/create", {})
    (cramped.data_root / "filler").unlink(missing_ok=True)
    cramped.api.delete(f"/containers/{container}", force=1)
    assert cramped.output(cramped.run("busybox", "echo", "works")) == "works\n"


@pytest.mark.bryo_only
def test_removal_on_a_completely_full_disk(cramped):
    container = cramped.run("busybox", "sleep", "600", wait=False)
    filler = cramped.data_root / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    cramped.api.delete(f"/containers/{container}", force=1)
    assert not cramped.api.get("/containers/json", all=1)


def test_a_container_that_fills_the_disk_harms_itself_only(cramped):
    other = cramped.run("busybox", "sleep", "600", wait=False)
    container = cramped.run("busybox", "sh", "-c", "cat /dev/zero >/big; echo end")
    assert "No space left on device" in cramped.output(container)
    assert cramped.state(other)["Running"] and cramped.answers()
    cramped.api.delete(f"/containers/{container}")
    wait_for(lambda: os.statvfs(cramped.data_root).f_bavail * os.statvfs(cramped.data_root).f_frsize > 30 << 20)
    assert cramped.output(cramped.run("busybox", "echo", "works")) == "works\n"


def test_load_and_import(cramped, images, hub, tmp):
    from tests.support.layers import Image, Layer

    archive = Image([Layer().file("noise", os.urandom(120 << 20)).tar()], level=1).docker_archive(["big:latest"])
    with nothing_left(cramped):
        with pytest.raises((ApiError, AssertionError)) as error:
            cramped.load(archive)
        assert "no space left on device" in str(error.value).lower()
        status, _, data = cramped.api.raw("POST", "/v1.41/images/create?fromSrc=-&repo=big", archive, {"Content-Type": "application/x-tar"})
        assert status >= 400 or b"error" in data
    assert [i["RepoTags"] for i in cramped.api.get("/images/json")] == [["busybox:latest"]]


@pytest.mark.bryo_only
def test_logs_that_find_no_room_do_not_stop_the_container(cramped):
    container = cramped.run("busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M 2>/dev/null; yes | head -c 10000000; rm /big; echo reached >/dev/shm/reached; sleep 600",
                            wait=False)
    wait_for(lambda: cramped.exec(container, "cat", "/dev/shm/reached")[1] == "reached\n", 60)


@pytest.mark.bryo_only
def test_few_descriptors(make_daemon):
    """EMFILE: requests fail or wait, the engine does not spin or die."""
    import resource

    daemon = make_daemon()
    daemon.spawn(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    try:
        daemon.wait_ready()
    except AssertionError:
        assert "descriptor" in daemon.log_text().lower() or "too many open files" in daemon.log_text().lower()
        return
    import socket

    held = []
    for _ in range(100):
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(str(daemon.socket))
        except OSError:
            pass
        held.append(connection)
    for connection in held:
        connection.close()
    wait_for(daemon.answers)


def test_a_read_only_data_root_is_refused_by_name(make_daemon, small_disk):
    import subprocess

    daemon = make_daemon()
    daemon.data_root = small_disk(20)
    subprocess.run(["mount", "-o", "remount,ro", daemon.data_root.parent], check=True)
    status, log = daemon.fails_to_start()
    assert status != 0 and "read-only file system" in log.lower() and str(daemon.data_root) in log
    assert json.dumps(status)


@pytest.mark.bryo_only
def test_a_start_that_finds_the_exec_root_full_leaves_nothing(make_daemon, tmp):
    """Whichever of its files is the first that has no room."""
    daemon = make_daemon()
    daemon.exec_root = tmp / "run"
    daemon.exec_root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", daemon.exec_root], check=True)
    try:
        daemon.start()
        daemon.pull("busybox")
        outcomes = set()
        for pages in range(14):
            container = daemon.api.post("/containers/create", {"Image": "busybox", "Cmd": ["sleep", "4711"]})["Id"]
            filler = daemon.exec_root / "filler"
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    file.truncate(max(0, file.tell() - pages * 4096))
            try:
                daemon.api.post(f"/containers/{container}/start")
                outcomes.add("started")
            except ApiError as error:
                outcomes.add("refused")
                assert "no space left on device" in error.message.lower()
                wait_for(lambda: not processes("sleep", "4711"), 5, f"with {pages} pages: no process of the container is left")
                assert not daemon.state(container)["Running"]
            filler.unlink()
            daemon.api.delete(f"/containers/{container}", force=1)
            wait_for(lambda: not processes("sleep", "4711"), 5, f"with {pages} pages: it is ended")
        assert outcomes == {"started", "refused"}
    finally:
        daemon.close()
        subprocess.run(["umount", "-l", daemon.exec_root], check=True)


def processes(*command):
    wanted = b"\0".join(word.encode() for word in command) + b"\0"
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_bytes() == wanted:
                found.append(int(entry.name))
        except OSError:
            pass
    return found
