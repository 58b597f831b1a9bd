"""kill -9 of the daemon: running containers go on and are found again; half-done work is undone."""

import os
import random
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.faults.leftovers import files
from tests.support import host_view
from tests.support.audit import Audit
from tests.support.otherhost import ask
from tests.support.rawhttp import Api, ApiError
from tests.support.waiting import wait_for


@pytest.fixture
def live(make_daemon, engine):
    """An engine whose containers outlive it."""
    daemon = make_daemon(*([] if engine.is_bryo else ["--live-restore"]))
    daemon.start()
    daemon.pull("busybox")
    daemon.pull("test/probe")
    return daemon


def alive(pid):
    try:
        return host_view.status(pid)["State"][0] != "Z"
    except OSError:
        return False


def lines_without_gap(text):
    numbers = [int(line.split()[1]) for line in text.splitlines() if line.startswith("line ")]
    assert numbers == list(range(1, len(numbers) + 1)), "a gap or a line twice"
    return len(numbers)


def end(daemon, how):
    if how == "kill -9":
        daemon.process.kill()
        daemon.process.wait()
        daemon._after_end()
    else:
        daemon.stop()


@pytest.mark.parametrize("how", ["kill -9", "SIGTERM"])
def test_containers_outlive_the_engine(live, how):
    container = live.run("busybox", "sleep", "600", name="box", wait=False)
    before = live.state(container)
    end(live, how)
    assert alive(before["Pid"])
    live.start()
    after = live.state(container)
    assert after["Running"] and after["Pid"] == before["Pid"] and after["StartedAt"] == before["StartedAt"]
    assert [c["Names"] for c in live.api.get("/containers/json")] == [["/box"]]


def test_logs_have_no_gap(live):
    container = live.run("test/probe", "probe", "count", "2", wait=False)
    live.wait_output(container, "line 10\n")
    for _ in range(3):
        count = lines_without_gap(live.output(container))
        end(live, "kill -9")
        time.sleep(0.1)  # the container writes while nobody serves the API: this is what is tested
        live.start()
        wait_for(lambda: lines_without_gap(live.output(container)) > count + 20)


def test_logs_of_a_loud_container_have_no_gap(live):
    """More than a pipe holds is written while the engine is away."""
    container = live.run("busybox", "sh", "-c", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo line $i; done; sleep 600", wait=False)
    live.wait_output(container, "line 100\n")
    end(live, "kill -9")
    live.start()
    wait_for(lambda: lines_without_gap(live.output(container)) == 60000, 60)


def test_exec_stop_and_wait_work_afterwards(live):
    container = live.run("busybox", "sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done", wait=False)
    end(live, "kill -9")
    live.start()
    assert live.exec(container, "echo", "hi")[:2] == (0, "hi\n")
    assert live.api.get(f"/containers/{container}/top")["Processes"]
    live.api.post(f"/containers/{container}/stop", t=5)
    assert live.state(container)["ExitCode"] == 9


def test_attach_and_terminal_work_afterwards(live):
    container = live.run("busybox", "sh", wait=False, Tty=True, OpenStdin=True)
    end(live, "kill -9")
    live.start()
    live.api.post(f"/containers/{container}/resize", h=33, w=99)
    with live.api.hijack(f"/containers/{container}/attach", {}, stream=1, stdin=1, stdout=1) as stream:
        stream.send(b"stty size; exit 4\n")
        assert b"33 99" in stream.read_raw_until(b"33 99")
    assert live.api.post(f"/containers/{container}/wait")["StatusCode"] == 4


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_published_ports_never_stop_working(live, protocol):
    if protocol == "udp" and not live.engine.is_bryo:
        pytest.skip("dockerd's proxy dies with it")
    container = live.run("test/probe", wait=False, host_config={"PortBindings": {f"80/{protocol}": [{"HostPort": "8080"}]}}, ExposedPorts={f"80/{protocol}": {}})
    live.wait_output(container, "listening")
    assert ask(protocol, "127.0.0.1", 8080)
    failures, asked, over = [], [0], threading.Event()

    def keep_asking():
        while not over.is_set():
            asked[0] += 1
            if not ask(protocol, "127.0.0.1", 8080):
                failures.append(asked[0])

    asker = threading.Thread(target=keep_asking)
    asker.start()
    try:
        end(live, "kill -9")
        wait_for(lambda: asked[0] > 5)
        live.start()
        count = asked[0]
        wait_for(lambda: asked[0] > count + 5)
    finally:
        over.set()
        asker.join()
    assert not failures or not live.engine.is_bryo, f"{len(failures)} of {asked[0]} failed"


def test_an_exit_while_the_engine_is_away_is_remembered(live):
    container = live.run("busybox", "sh", "-c", "until [ -e /go ]; do sleep 0.02; done; echo last words; exit 42", wait=False)
    pid = live.state(container)["Pid"]
    live.exec(container, "sh", "-c", "(sleep 0.5; touch /go) >/dev/null 2>&1 &")
    end(live, "kill -9")
    wait_for(lambda: not alive(pid))
    live.start()
    state = wait_for(lambda: not (s := live.state(container))["Running"] and s)
    assert state["Status"] == "exited" and state["FinishedAt"] > state["StartedAt"]
    assert state["ExitCode"] == 42
    assert "last words" in live.output(container) or not live.engine.is_bryo  # dockerd loses them


def test_restart_policies_after_a_crash(live):
    always = live.run("busybox", "sleep", "600", name="always", wait=False, host_config={"RestartPolicy": {"Name": "always"}})
    stopped = live.run("busybox", "sleep", "600", name="stopped", wait=False, host_config={"RestartPolicy": {"Name": "unless-stopped"}})
    live.api.post(f"/containers/{stopped}/stop", t=0)
    pid = live.state(always)["Pid"]
    end(live, "kill -9")
    __import__("os").kill(pid, 9)
    live.start()
    wait_for(lambda: live.state(always)["Running"] and live.state(always)["Pid"] != pid)
    assert not live.state(stopped)["Running"]


def test_auto_removal_happens_after_all(live):
    container = live.run("busybox", "sleep", "600", wait=False, host_config={"AutoRemove": True})
    pid = live.state(container)["Pid"]
    end(live, "kill -9")
    __import__("os").kill(pid, 9)
    live.start()

    def gone():
        try:
            live.inspect(container)
        except ApiError as error:
            return error.status == 404

    wait_for(gone)


def test_networks_volumes_and_images_are_still_there(live):
    live.api.post("/networks/create", {"Name": "green", "IPAM": {"Config": [{"Subnet": "10.83.0.0/16"}]}})
    live.api.post("/volumes/create", {"Name": "data"})
    first = live.run("test/probe", name="server", wait=False, host_config={"NetworkMode": "green"})
    live.wait_output(first, "listening")
    end(live, "kill -9")
    live.start()
    assert "green" in {n["Name"] for n in live.api.get("/networks")}
    assert [v["Name"] for v in live.api.get("/volumes")["Volumes"]] == ["data"]
    out = live.output(live.run("test/probe", "probe", "ask", "tcp", "server", "80", host_config={"NetworkMode": "green"}))
    assert out.startswith("peer 10.83.")
    second = live.run("busybox", "sleep", "60", wait=False, host_config={"NetworkMode": "green"})
    addresses = [live.inspect(c)["NetworkSettings"]["Networks"]["green"]["IPAddress"] for c in (first, second)]
    assert len(set(addresses)) == 2, "an address that is in use is not given again"
    live.remove_containers()
    live.api.delete("/networks/green")


@pytest.mark.bryo_only
def test_nothing_is_left_of_containers_that_ended_meanwhile(live):
    live.api.delete(f"/containers/{live.run('busybox', 'true')}")
    audit = Audit(live)
    containers = [live.run("busybox", "sleep", "600", wait=False) for _ in range(3)]
    pids = [live.state(c)["Pid"] for c in containers]
    end(live, "kill -9")
    for pid in pids:
        __import__("os").kill(pid, 9)
    live.start()
    for container in containers:
        live.api.delete(f"/containers/{container}", force=1)
    audit.before.descriptors = audit.before.threads = 0
    audit.assert_clean(ignore_processes=[live.engine.program, "containerd --config"])


@pytest.mark.bryo_only
def test_a_monitor_that_is_killed_does_not_leave_a_running_container_in_the_list(live):
    container = live.run("busybox", "sleep", "600", wait=False)
    init = live.state(container)["Pid"]
    monitor = int(host_view.status(init)["PPid"])
    __import__("os").kill(monitor, 9)
    wait_for(lambda: not live.state(container)["Running"])
    wait_for(lambda: not alive(init), what="the container ends with its monitor")
    live.api.delete(f"/containers/{container}", force=1)


def interrupted(daemon, work, delays, after):
    """For each delay: starts `work` in a thread, kills the daemon after the delay, starts it again, calls `after`."""
    for delay in delays:
        def attempt():
            try:
                work()
            except Exception:  # the connection breaks: that is the point
                pass

        worker = threading.Thread(target=attempt)
        worker.start()
        time.sleep(delay)
        end(daemon, "kill -9")
        worker.join()
        if not daemon.engine.is_bryo:
            daemon._end_containerd()
        daemon.start()
        after(delay)


def test_kill_during_pull_leaves_no_half_image(make_daemon):
    daemon = make_daemon().start()
    before = files(daemon.data_root)
    begin = time.monotonic()
    daemon.pull("debian")
    whole = time.monotonic() - begin
    daemon.api.delete("/images/debian", force=1)

    def check(delay):
        listed = daemon.api.get("/images/json")
        if listed:
            assert "made with" in daemon.output(daemon.run("debian", "cat", "/etc/motd")), "listed means complete"
            daemon.remove_containers()
            daemon.api.delete("/images/debian", force=1)
        if daemon.engine.is_bryo:
            wait_for(lambda: not {f for f in files(daemon.data_root) - before if "containers" not in f},
                     what=f"no file left of a pull killed after {delay:.2f} s: {sorted(files(daemon.data_root) - before)[:5]}")

    rounds = 10 if daemon.engine.is_bryo else 3
    interrupted(daemon, lambda: Api(daemon.socket).post("/images/create", fromImage="debian", tag="latest"),
                [whole * (i + 0.5) / rounds for i in range(rounds)], check)
    assert not [o for o in daemon.pull("debian") if "errorDetail" in o]
    assert "made with" in daemon.output(daemon.run("debian", "cat", "/etc/motd"))


@pytest.mark.bryo_only
def test_kill_during_create_start_and_remove_leaves_nothing(make_daemon):
    daemon = make_daemon().start()
    daemon.pull("busybox")
    daemon.api.delete(f"/containers/{daemon.run('busybox', 'true')}")
    audit, chance = Audit(daemon), random.Random(7)

    def work():
        api = Api(daemon.socket)
        while True:
            container = api.post("/containers/create", {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
                                                        "ExposedPorts": {"80/tcp": {}}}, name="box")["Id"]
            api.post(f"/containers/{container}/start")
            api.delete(f"/containers/{container}", force=1, v=1)

    def check(delay):
        for container in daemon.api.get("/containers/json", all=1):
            state = daemon.state(container["Id"])
            if state["Running"]:
                assert alive(state["Pid"])
                assert daemon.exec(container["Id"], "true")[0] == 0
        daemon.remove_containers()
        # The name and the port are free again.
        container = daemon.run("busybox", "true", name="box", host_config={"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}, ExposedPorts={"80/tcp": {}})
        daemon.api.delete(f"/containers/{container}", v=1)

    interrupted(daemon, work, [chance.uniform(0.001, 0.2) for _ in range(25)], check)
    audit.assert_clean(timeout=20, ignore_processes=[daemon.engine.program])


def test_kill_during_start_up(make_daemon):
    """A crash during recovery, several times over."""
    daemon = make_daemon().start()
    daemon.pull("busybox")
    container = daemon.run("busybox", "sleep", "600", wait=False)
    for i in range(8):
        end(daemon, "kill -9")
        daemon.spawn()
        time.sleep(0.01 * i)
    end(daemon, "kill -9")
    daemon.start()
    if daemon.engine.is_bryo:
        assert daemon.state(container)["Running"]
    daemon.api.delete(f"/containers/{container}", force=1)
    daemon.api.delete("/images/busybox")


def test_kill_during_commit_load_and_rmi(make_daemon, images):
    daemon = make_daemon().start()
    daemon.pull("busybox")
    archive = images("library/alpine")
    container = daemon.run("busybox", "sh", "-c", "for i in $(seq 300); do echo $i >/f$i; done")

    def work():
        api = Api(daemon.socket)
        api.post("/commit", {}, container=container, repo="committed")
        api.raw("POST", "/v1.41/images/load", archive, {"Content-Type": "application/x-tar"})
        api.delete("/images/committed")
        api.delete("/images/alpine")

    def check(delay):
        for image in daemon.api.get("/images/json"):
            for tag in image["RepoTags"] or []:
                daemon.api.delete(f"/containers/{daemon.run(tag, 'true')}")
                if tag != "busybox:latest":
                    daemon.api.delete(f"/images/{tag}")

    begin = time.monotonic()
    work()
    whole = time.monotonic() - begin
    rounds = 12 if daemon.engine.is_bryo else 2
    interrupted(daemon, work, [whole * (i + 0.5) / rounds for i in range(rounds)], check)


def test_the_store_is_found_sound_after_every_crash(make_daemon):
    """Digests of layers before and after ten crashes under load."""
    daemon = make_daemon().start()
    daemon.pull("debian")
    find = ("sh", "-c", "find / -xdev -type f -not -path '/proc/*' -not -path '/sys/*' -not -path '/etc/host*' -not -path '/etc/resolv.conf' | sort | xargs md5sum | md5sum")
    before = daemon.output(daemon.run("debian", *find))
    for _ in range(5):
        worker = threading.Thread(target=lambda: [daemon_safe(daemon) for _ in range(100)], daemon=True)
        worker.start()
        time.sleep(0.05)
        end(daemon, "kill -9")
        if not daemon.engine.is_bryo:
            daemon._end_containerd()
        worker.join()
        daemon.start()
    assert daemon.output(daemon.run("debian", *find)) == before


def daemon_safe(daemon):
    try:
        api = Api(daemon.socket)
        container = api.post("/containers/create", {"Image": "debian", "Cmd": ["sh", "-c", "echo x >>/etc/motd"]})["Id"]
        api.post(f"/containers/{container}/start")
    except Exception:  # the daemon is being killed
        pass


@pytest.mark.bryo_only
def test_a_monitor_that_does_not_answer_keeps_its_container(daemon):
    """A stopped one stands for a machine that is too busy."""
    daemon.pull("busybox")
    container = daemon.run("busybox", "sleep", "600", wait=False, host_config={"RestartPolicy": {"Name": "always"}})
    pid = daemon.state(container)["Pid"]
    monitor = int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
    daemon.kill9()
    os.kill(monitor, signal.SIGSTOP)
    try:
        daemon.start(timeout=60)
        assert "does not answer" in daemon.log_text()
        for attempt in (lambda: daemon.api.post(f"/containers/{container}/start"),
                        lambda: daemon.api.delete(f"/containers/{container}", force=1)):
            with pytest.raises(ApiError) as error:
                attempt()
            assert error.value.status == 409 and str(monitor) in error.value.message
        assert "State:\tS" in Path(f"/proc/{pid}/status").read_text()
    finally:
        os.kill(monitor, signal.SIGCONT)
    daemon.restart()
    assert daemon.state(container)["Pid"] == pid

