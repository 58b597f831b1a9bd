"""docker logs: order, tail, since, timestamps, follow, rotation, bytes that are not text."""

import json
import re
import subprocess
import time

import pytest

from tests.support.rawhttp import ApiError
from tests.support.waiting import wait_for


@pytest.fixture(autouse=True)
def busybox(daemon):
    daemon.pull("busybox")


@pytest.fixture
def three(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo one; echo two >&2; echo three")


def test_all_of_it_on_the_right_streams(docker, three):
    result = docker("logs", "box")
    assert result.out == "one\nthree\n" and result.err == "two\n"


def test_tail(docker):
    docker("run", "--name", "box", "busybox", "seq", "1000")
    assert docker("logs", "--tail", "2", "box").out == "999\n1000\n"
    assert docker("logs", "--tail", "0", "box").all == ""
    assert len(docker("logs", "--tail", "all", "box").lines) == 1000
    assert len(docker("logs", "-n", "5000", "box").lines) == 1000


def test_timestamps(docker, three):
    for line in docker("logs", "-t", "box").all.splitlines():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (one|two|three)", line), line


def test_since_and_until(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo early; sleep 1.2; echo late")
    stamps = {line.split()[1]: line.split()[0] for line in docker("logs", "-t", "box").lines}
    assert docker("logs", "--since", stamps["late"], "box").out == "late\n"
    assert docker("logs", "--until", stamps["early"], "box").out in ("early\n", "")
    assert docker("logs", "--since", "1h", "box").out == "early\nlate\n"


def test_follow_ends_with_the_container(docker):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    assert docker("logs", "-f", "box").out == "1\n2\n3\n"


def test_follow_shows_lines_as_they_come(docker, daemon):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo first; while [ ! -e /go ]; do sleep 0.02; done; echo second; sleep 60")
    process = docker.background("logs", "-f", "box")
    assert process.stdout.readline() == b"first\n"
    docker("exec", "box", "touch", "/go")
    assert process.stdout.readline() == b"second\n"
    process.terminate()
    process.wait()
    process.stdout.close()


def test_follow_survives_a_restart_of_the_container(daemon):
    container = daemon.run("busybox", "sh", "-c", "echo started; sleep 60", wait=False)
    with daemon.api.stream("GET", f"/containers/{container}/logs", follow=1, stdout=1) as stream:
        frames = stream.frames()
        assert next(frames)[1] == b"started\n"


def test_a_dropped_follower_does_no_harm(daemon):
    container = daemon.run("busybox", "sh", "-c", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", wait=False)
    for _ in range(5):
        with daemon.api.stream("GET", f"/containers/{container}/logs", follow=1, stdout=1) as stream:
            stream.read(10)
    daemon.api.delete(f"/containers/{container}", force=1)


def test_bytes_come_back_as_they_were(docker):
    """Control characters, broken UTF-8, quotes, a forged record, no newline at the end."""
    printed = r'a\tb\r\n\033[31mred\001\\"quoted"\n{"log":"forged","stream":"stdout"}\n\303\251 \342\202\254 \nlast'
    docker("run", "--name", "box", "busybox", "printf", printed)
    direct = docker("run", "--rm", "busybox", "printf", printed, text=False).out
    assert docker("logs", "box", text=False).out == direct


def test_the_file_is_dockers_json(docker, daemon):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo out; echo err >&2")
    path = daemon.inspect("box")["LogPath"]
    assert path.endswith("-json.log")
    records = [json.loads(line) for line in open(path)]
    assert sorted((r["log"], r["stream"]) for r in records) == [("err\n", "stderr"), ("out\n", "stdout")]
    assert all(set(r) == {"log", "stream", "time"} for r in records)


def test_long_lines_are_split_at_16_kib_in_the_file_and_whole_for_the_reader(docker, daemon):
    docker("run", "--name", "box", "busybox", "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo")
    assert docker("logs", "box").out == "x" * 40000 + "\n"
    records = [json.loads(line)["log"] for line in open(daemon.inspect("box")["LogPath"])]
    assert [len(r) for r in records] == [16384, 16384, 40001 - 32768]


def test_rotation(docker, daemon):
    docker("run", "--name", "box", "--log-opt", "max-size=20k", "--log-opt", "max-file=3", "busybox", "sh", "-c",
           "for i in $(seq 2000); do echo line $i; done")
    listed = subprocess.run(["ls", daemon.inspect("box")["LogPath"].rpartition("/")[0]], capture_output=True, text=True).stdout.split()
    assert len([f for f in listed if "-json.log" in f]) == 3
    lines = docker("logs", "box").lines
    assert lines[-1] == "line 2000" and len(lines) < 2000
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == list(range(numbers[0], 2001)), "no gap, nothing twice"


def test_max_file_alone_rotates_nothing(docker):
    docker("run", "--name", "box", "--log-opt", "max-file=3", "busybox", "seq", "2000")
    assert len(docker("logs", "box").lines) == 2000


def test_log_driver_none(docker):
    docker("run", "--name", "box", "--log-driver", "none", "busybox", "echo", "x")
    result = docker.fails("logs", "box")
    assert "configured logging driver does not support reading" in result.err


def test_an_unknown_log_driver_is_refused(daemon):
    for log_config in ({"Type": "nosuch"}, {"Type": "json-file", "Config": {"max-size": "x"}}, {"Type": "json-file", "Config": {"nosuch": "1"}}):
        with pytest.raises(ApiError) as error:
            daemon.run("busybox", "true", host_config={"LogConfig": log_config})
        assert error.value.status in (400, 500)


def test_a_terminals_log(docker):
    with docker.terminal("run", "-it", "--name", "box", "busybox", "echo", "hi") as terminal:
        terminal.expect("hi")
        assert terminal.wait() == 0
    assert docker("logs", "box", text=False).out == b"hi\r\n"


def test_nothing_is_lost_at_speed(docker, daemon):
    docker("run", "--name", "box", "busybox", "seq", "200000", timeout=120)
    begin = time.monotonic()
    assert docker("logs", "box").out == "".join(f"{i}\n" for i in range(1, 200001))
    assert time.monotonic() - begin < 60


def test_logs_of_nobody(docker):
    assert "No such container: nosuch" in docker.fails("logs", "nosuch").err


def test_no_stream_chosen(daemon):
    container = daemon.run("busybox", "true")
    with pytest.raises(ApiError) as error:
        daemon.api.get(f"/containers/{container}/logs")
    assert error.value.status == 400 and "must choose at least one stream" in error.value.message


def test_a_reader_that_does_not_read_does_not_stop_the_container(daemon):
    container = daemon.run("busybox", "sh", "-c", "yes | head -c 3000000; touch /done; sleep 60", wait=False)
    with daemon.api.stream("GET", f"/containers/{container}/logs", follow=1, stdout=1):
        wait_for(lambda: daemon.exec(container, "test", "-e", "/done")[0] == 0, 30)
