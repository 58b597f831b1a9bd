"""events, stats, top, system df, info: what the engine tells about itself and its containers."""

import json
import re
import threading
import time

import pytest

from tests.support.waiting import wait_for


@pytest.fixture(autouse=True)
def busybox(daemon):
    daemon.pull("busybox")


def events_since(daemon, begin):
    with daemon.api.stream("GET", "/events", since=f"{begin:.9f}", until=f"{time.time() + 0.1:.9f}") as stream:
        return list(stream.objects())


def test_events_of_a_life(daemon):
    begin = time.time()
    container = daemon.run("busybox", "sh", "-c", "exit 3", name="box", Labels={"a": "b"})
    daemon.api.delete(f"/containers/{container}")
    events = [(e["Type"], e["Action"], e) for e in events_since(daemon, begin)]
    actions = [a for t, a, e in events if t == "container" and e["Actor"]["ID"] == container]
    assert actions == ["create", "start", "die", "destroy"]
    networks = [a for t, a, e in events if t == "network" and e["Actor"]["Attributes"].get("container") == container]
    assert networks == ["connect", "disconnect"]
    die = next(e for t, a, e in events if a == "die")
    assert die["Actor"]["Attributes"]["exitCode"] == "3" and die["Actor"]["Attributes"]["name"] == "box"
    assert die["Actor"]["Attributes"]["image"] == "busybox" and die["Actor"]["Attributes"]["a"] == "b"
    assert die["status"] == "die" and die["id"] == container and die["from"] == "busybox" and die["timeNano"] > begin * 1e9


def test_events_of_clients_and_volumes(docker, daemon):
    begin = time.time()
    docker("volume", "create", "data")
    with docker.terminal("run", "-it", "-v", "data:/data", "--name", "box", "busybox", "sh") as terminal:
        terminal.expect(r"/ # ")
        terminal.type("\x10\x11")
        terminal.wait()
    docker("top", "box")
    with docker.terminal("exec", "-it", "box", "sh") as terminal:
        terminal.expect(r"/ # ")
        terminal.type("\x10\x11")
        terminal.wait()
    container = daemon.state("box") and daemon.api.get("/containers/box/json")["Id"]
    docker("rm", "-f", "box")
    events = events_since(daemon, begin)
    mine = [e["Action"].partition(":")[0] for e in events if e["Type"] == "container" and e["Actor"]["ID"] == container]
    in_order = [a for a in mine if a != "resize" and a != "exec_die"]
    # Clients look for the detach keys themselves: no "detach" comes from them.
    assert in_order == ["create", "attach", "start", "top", "exec_create", "exec_start", "kill", "die", "destroy"]
    resize = next(e for e in events if e["Action"] == "resize")["Actor"]["Attributes"]
    assert int(resize["height"]) >= 0 and int(resize["width"]) >= 0
    volume = {e["Action"]: e["Actor"] for e in events if e["Type"] == "volume"}
    assert volume["mount"]["ID"] == volume["unmount"]["ID"] == "data"
    assert volume["mount"]["Attributes"] == {"container": container, "destination": "/data", "driver": "local", "propagation": "", "read/write": "true"}
    assert volume["unmount"]["Attributes"] == {"container": container, "driver": "local"}


def detach(daemon, path, body=None, **query):
    with daemon.api.hijack(path, body, **query) as stream:
        stream.send(b"\x10\x11")
        stream.read_raw_all()


def test_detach_keys_are_an_event(daemon):
    begin = time.time()
    box = daemon.run("busybox", "sh", name="box", wait=False, Tty=True, OpenStdin=True)
    detach(daemon, f"/containers/{box}/attach", stream=1, stdin=1, stdout=1)
    wait_for(lambda: [e for e in events_since(daemon, begin) if e["Action"] == "detach" and e["Actor"]["ID"] == box])


@pytest.mark.bryo_only  # as later dockerds do it
def test_detach_keys_of_an_exec_are_an_event(daemon):
    begin = time.time()
    box = daemon.run("busybox", "sleep", "60", name="box", wait=False)
    process = daemon.api.post(f"/containers/{box}/exec", {"Cmd": ["sh"], "Tty": True, "AttachStdin": True, "AttachStdout": True})["Id"]
    detach(daemon, f"/exec/{process}/start", {"Detach": False, "Tty": True})
    wait_for(lambda: [e for e in events_since(daemon, begin) if e["Action"] == "exec_detach" and e["Actor"]["Attributes"]["execID"] == process])


def test_events_come_as_they_happen(docker, daemon):
    process = docker.background("events", "--filter", "type=container", "--filter", "event=die", "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}")
    wait_for(lambda: process.poll() is None)
    lines = []
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()))
    reader.start()
    wait_for(lambda: daemon.run("busybox", "sh", "-c", "exit 7") and lines)  # repeated until the client is listening
    reader.join()
    assert lines[0] == b"die 7\n"
    process.terminate()
    process.wait()
    process.stdout.close()


def test_exec_and_image_events(daemon):
    begin = time.time()
    container = daemon.run("busybox", "sleep", "60", wait=False)
    daemon.exec(container, "true")
    daemon.api.post("/images/busybox/tag", repo="other", tag="one")
    daemon.api.delete("/images/other:one")
    daemon.api.post(f"/containers/{container}/kill")
    wait_for(lambda: not daemon.state(container)["Running"])
    actions = [e["Action"] for e in events_since(daemon, begin)]
    assert [a for a in actions if a.startswith("exec_")] == ["exec_create: true ", "exec_start: true ", "exec_die"] or \
        [a.strip() for a in actions if a.startswith("exec_")] == ["exec_create: true", "exec_start: true", "exec_die"]
    assert "tag" in actions and "untag" in actions and "kill" in actions


def test_top(docker):
    docker("run", "-d", "--name", "box", "busybox", "sleep", "600")
    lines = docker("top", "box").lines
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert lines[1].endswith("sleep 600") and lines[1].split()[0] == "root"
    assert docker("top", "box", "-o", "pid,args").lines[0].split() == ["PID", "COMMAND"]


def test_CVE_2022_1227_top_runs_nothing_of_the_image(daemon):
    container = daemon.run("busybox", "sh", "-c", "for p in ps nsenter; do printf '#!/bin/sh\\ntouch /owned\\n' >/usr/bin/$p; chmod +x /usr/bin/$p; done; sleep 600", wait=False)
    daemon.api.get(f"/containers/{container}/top")
    assert daemon.exec(container, "test", "-e", "/owned")[0] == 1


@pytest.mark.needs_root("limits; cgroup v1 gives none")
def test_stats_once(daemon):
    container = daemon.run("busybox", "sh", "-c", "while :; do :; done", wait=False, host_config={"Memory": 64 << 20})
    stats = wait_for(lambda: (s := daemon.api.get(f"/containers/{container}/stats", stream=0))["cpu_stats"]["cpu_usage"]["total_usage"] and s)
    assert stats["memory_stats"]["limit"] == 64 << 20 and 0 < stats["memory_stats"]["usage"] <= 64 << 20
    assert stats["pids_stats"]["current"] == 1
    assert stats["cpu_stats"]["system_cpu_usage"] > 0 and stats["cpu_stats"]["online_cpus"] >= 1
    assert "eth0" in stats["networks"] and "blkio_stats" in stats
    assert stats["name"].startswith("/") and stats["id"] == container
    assert stats["precpu_stats"]["cpu_usage"]["total_usage"] > 0, "without a stream two samples are taken"
    daemon.api.delete(f"/containers/{container}", force=1)


def test_stats_stream(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False)
    with daemon.api.stream("GET", f"/containers/{container}/stats") as stream:
        samples = stream.objects()
        first, second = next(samples), next(samples)
    assert second["read"] > first["read"] and second["preread"] == first["read"]


@pytest.mark.needs_root("limits; cgroup v1 gives none")
def test_stats_table(docker):
    docker("run", "-d", "--name", "box", "--memory", "64m", "busybox", "sleep", "600")
    out = docker("stats", "--no-stream").out
    assert re.search(r"box\s+\d+\.\d+%\s+\S+ / 64MiB\s+\d+\.\d+%", out)


def test_system_df(docker):
    docker("run", "--name", "box", "-v", "data:/data", "busybox", "sh", "-c", "echo x >/x; echo y >/data/y")
    rows = {line.split("  ")[0]: line for line in docker("system", "df").lines}
    assert re.search(r"^Images\s+\d+\s+1\s", rows["Images"]) and re.search(r"^Containers\s+1\s+0\s", rows["Containers"])
    assert re.search(r"^Local Volumes\s+1\s+1\s", rows["Local Volumes"])
    assert "busybox" in docker("system", "df", "-v").out
    docker("rm", "box")
    docker("volume", "rm", "data")


def test_system_prune(docker):
    docker("run", "--name", "box", "busybox", "true")
    assert "Deleted Containers" in docker("system", "prune", "-f").out
    assert not docker("ps", "-aq").out


@pytest.mark.needs_root("cgroup v1 gives none")
def test_info_fields(daemon):
    daemon.run("busybox", "true")
    info = daemon.api.get("/info")
    assert info["Containers"] == 1 and info["ContainersStopped"] == 1 and info["Images"] >= 1
    assert info["Driver"] == "overlay2" and info["CgroupDriver"] == "cgroupfs" and info["CgroupVersion"] in ("1", "2")
    assert info["OSType"] == "linux" and info["Architecture"] == "x86_64" and info["NCPU"] >= 1 and info["MemTotal"] > 1 << 28
    assert info["DockerRootDir"] == str(daemon.data_root) and info["ServerVersion"] and info["ID"]
    assert any(o.startswith("name=seccomp") for o in info["SecurityOptions"])
    assert {"bridge", "host", "null"} <= set(info["Plugins"]["Network"]) and "local" in info["Plugins"]["Volume"]
    assert info["RegistryConfig"]["IndexConfigs"]["127.0.0.1:5000"]["Secure"] is False
    assert info["RegistryConfig"]["Mirrors"][0].startswith("http://127.0.0.1:")


def test_ping_headers(daemon):
    status, headers, body = daemon.api.raw("GET", "/_ping")
    assert status == 200 and body == b"OK" and headers["Api-Version"] and headers["Ostype"] == "linux"
    status, headers, body = daemon.api.raw("HEAD", "/_ping")
    assert status == 200 and body == b"" and headers["Api-Version"]


def test_version_fields(docker):
    version = json.loads(docker("version", "--format", "{{json .Server}}").out)
    assert version["Os"] == "linux" and version["Arch"] == "amd64" and version["Version"] and version["ApiVersion"] >= "1.41"
    assert version["KernelVersion"] and version["Components"]
