"""create, start, stop, kill, restart, pause, wait, rm, rename, update, restart policies, health checks."""

import json
import re
import threading
import time

import pytest

from tests.support import host_view
from tests.support.rawhttp import Api, ApiError
from tests.support.waiting import wait_for

TRAP = "trap 'echo got term; exit 5' TERM; trap 'echo got usr1; exit 6' USR1; echo ready; while :; do sleep 0.05; done"


@pytest.fixture(autouse=True)
def busybox(daemon):
    daemon.pull("busybox")


def test_create_then_start(docker, daemon):
    container = docker("create", "--name", "box", "busybox", "echo", "hi").out.strip()
    assert re.fullmatch("[0-9a-f]{64}", container)
    assert daemon.state("box")["Status"] == "created"
    assert docker("start", "-a", "box").out == "hi\n"
    assert daemon.state("box")["Status"] == "exited"


def test_start_again_keeps_the_files(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo x >>/log; cat /log")
    assert docker("start", "-a", "box").out == "x\nx\n"


def test_starting_a_running_one_is_not_modified(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False)
    assert daemon.api.raw("POST", daemon.api.path(f"/containers/{container}/start"))[0] == 304
    daemon.api.post(f"/containers/{container}/kill")
    wait_for(lambda: not daemon.state(container)["Running"])
    assert daemon.api.raw("POST", daemon.api.path(f"/containers/{container}/stop"))[0] == 304


def test_stop_sends_term_and_waits(docker, daemon):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", TRAP)
    daemon.wait_output("box", "ready")
    assert docker("stop", "-t", "5", "box").out == "box\n"
    assert daemon.state("box")["ExitCode"] == 5
    assert "got term" in daemon.output("box")


def test_stop_sends_the_images_or_the_given_signal(docker, daemon):
    docker("run", "-d", "--name", "box", "--stop-signal", "USR1", "busybox", "sh", "-c", TRAP)
    daemon.wait_output("box", "ready")
    docker("stop", "-t", "5", "box")
    assert daemon.state("box")["ExitCode"] == 6


def test_stop_kills_after_the_grace_period(docker, daemon):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    daemon.wait_output("box", "ready")
    begin = time.monotonic()
    docker("stop", "-t", "1", "box")
    assert 0.9 < time.monotonic() - begin < 5
    assert daemon.state("box")["ExitCode"] == 137


def test_kill(docker, daemon):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", TRAP)
    daemon.wait_output("box", "ready")
    assert docker("kill", "-s", "USR1", "box").out == "box\n"
    wait_for(lambda: daemon.state("box")["Status"] == "exited")
    assert daemon.state("box")["ExitCode"] == 6
    result = docker.fails("kill", "box")
    assert "is not running" in result.err


def test_kill_with_an_unknown_signal(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False)
    for signal in ("NOSUCH", "99", "-1"):
        with pytest.raises(ApiError) as error:
            daemon.api.post(f"/containers/{container}/kill", signal=signal)
        assert error.value.status in (400, 500) and "signal" in error.value.message.lower()
    assert daemon.state(container)["Running"]


def test_restart(docker, daemon):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo started; exec sleep 60")
    before = daemon.state("box")
    assert docker("restart", "-t", "0", "box").out == "box\n"
    after = daemon.state("box")
    assert after["Running"] and after["Pid"] != before["Pid"] and after["StartedAt"] > before["StartedAt"]
    wait_for(lambda: daemon.output("box").count("started") == 2)


@pytest.mark.needs_root("cgroup v1 gives none")
def test_pause_freezes_and_unpause_goes_on(docker, daemon):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "while :; do echo tick; sleep 0.01; done")
    daemon.wait_output("box", "tick")
    docker("pause", "box")
    assert daemon.state("box")["Paused"] and "(Paused)" in docker("ps", "--format", "{{.Status}}").out
    frozen = daemon.output("box")
    assert daemon.output("box") == frozen
    docker.fails("pause", "box")
    docker("unpause", "box")
    wait_for(lambda: len(daemon.output("box")) > len(frozen))


@pytest.mark.needs_root("cgroup v1 gives none")
def test_a_paused_container_can_be_removed_by_force(docker):
    docker("run", "-d", "--name", "box", "busybox", "sleep", "60")
    docker("pause", "box")
    docker("rm", "-f", "box")


def test_wait_gives_the_exit_code(docker):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 0.2; exit 9")
    assert docker("wait", "box").out == "9\n"
    assert docker("wait", "box").out == "9\n", "and again when it is over"


def test_wait_for_removal(daemon):
    """What `docker run --rm` does: wait first, condition removed, then start."""
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "exit 3"], "HostConfig": {"AutoRemove": True}}
    container = daemon.api.post("/containers/create", body)["Id"]
    with daemon.api.stream("POST", f"/containers/{container}/wait", {}, condition="removed") as waiting:
        daemon.api.post(f"/containers/{container}/start")
        assert next(waiting.objects())["StatusCode"] == 3
    with pytest.raises(ApiError) as error:
        daemon.inspect(container)
    assert error.value.status == 404


def test_rm_refuses_a_running_container(docker):
    container = docker("run", "-d", "busybox", "sleep", "60").out.strip()
    result = docker.fails("rm", container)
    assert "running container" in result.err or "container is running" in result.err
    assert docker("rm", "-f", container).out.strip() == container


def test_rm_v_removes_anonymous_volumes_only(docker):
    docker("run", "--name", "box", "-v", "/anonymous", "-v", "named:/named", "busybox", "true")
    assert len(docker("volume", "ls", "-q").lines) == 2
    docker("rm", "-v", "box")
    assert docker("volume", "ls", "-q").lines == ["named"]
    docker("volume", "rm", "named")


def test_rename(docker):
    docker("create", "--name", "old", "busybox")
    docker("rename", "old", "new")
    assert docker("ps", "-a", "--format", "{{.Names}}").lines == ["new"]
    docker("create", "--name", "old", "busybox")
    assert "already in use" in docker.fails("rename", "old", "new").err


def test_a_short_id_names_the_container(docker):
    container = docker("create", "busybox").out.strip()
    assert docker("inspect", "-f", "{{.Id}}", container[:8]).out.strip() == container
    assert "No such container" in docker.fails("start", "nosuch").err


@pytest.mark.needs_root("limits; cgroup v1 gives none")
def test_inspect_shows_what_was_asked(docker):
    docker("run", "-d", "--name", "box", "--hostname", "mossy", "-e", "A=1", "-w", "/tmp", "--memory", "64m", "--restart", "no",
           "-p", "127.0.0.1:8080:80", "busybox", "sleep", "60")
    (box,) = json.loads(docker("inspect", "box").out)
    assert box["Name"] == "/box" and box["Path"] == "sleep" and box["Args"] == ["60"]
    assert box["Config"]["Hostname"] == "mossy" and "A=1" in box["Config"]["Env"] and box["Config"]["WorkingDir"] == "/tmp"
    assert box["Config"]["Image"] == "busybox" and box["Image"].startswith("sha256:")
    assert box["HostConfig"]["Memory"] == 64 << 20 and box["HostConfig"]["NetworkMode"] in ("default", "bridge")
    assert box["State"]["Running"] and box["State"]["Pid"] > 0 and box["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert box["NetworkSettings"]["IPAddress"].startswith("172.17.") and box["NetworkSettings"]["Gateway"] == "172.17.0.1"
    assert box["NetworkSettings"]["Ports"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    assert box["NetworkSettings"]["Networks"]["bridge"]["MacAddress"]
    assert box["GraphDriver"]["Name"] == "overlay2"
    assert docker("inspect", "--format", "{{.State.Status}} {{json .Config.Cmd}}", "box").out == 'running ["sleep","60"]\n'


def test_ps_filters_and_formats(docker):
    docker.fails("run", "--name", "done", "busybox", "sh", "-c", "exit 4", status=4)
    docker("run", "-d", "--name", "going", "busybox", "sleep", "60")
    assert docker("ps", "--format", "{{.Names}}").lines == ["going"]
    assert docker("ps", "-a", "--filter", "exited=4", "--format", "{{.Names}}").lines == ["done"]
    assert docker("ps", "-a", "--filter", "status=exited", "--format", "{{.Names}} {{.Status}}").lines[0].startswith("done Exited (4)")
    assert docker("ps", "-a", "--filter", "name=go", "--format", "{{.Names}}").lines == ["going"]
    assert docker("ps", "-a", "--filter", "ancestor=busybox", "-q", "--no-trunc").out.count("\n") == 2
    assert docker("ps", "-l", "--format", "{{.Names}}").lines == ["going"]
    assert docker("ps", "-n", "1", "--format", "{{.Names}}").lines == ["going"]
    assert "B (virtual" in docker("ps", "-as", "--format", "{{.Size}}").out


def test_restart_on_failure_up_to_the_limit(docker, daemon):
    docker("run", "-d", "--name", "box", "--restart", "on-failure:2", "busybox", "sh", "-c", "echo try; exit 1")
    wait_for(lambda: daemon.inspect("box")["RestartCount"] == 2 and daemon.state("box")["Status"] == "exited", 15)
    assert daemon.output("box") == "try\n" * 3


def test_restart_always_and_stop_ends_it(docker, daemon):
    docker("run", "-d", "--name", "box", "--restart", "always", "busybox", "sh", "-c", "sleep 0.05")
    wait_for(lambda: daemon.inspect("box")["RestartCount"] >= 2, 15)
    docker("stop", "-t", "1", "box")
    wait_for(lambda: daemon.state("box")["Status"] == "exited")
    assert not daemon.state("box")["Restarting"]


def test_no_restart_after_success_with_on_failure(docker, daemon):
    docker("run", "-d", "--name", "box", "--restart", "on-failure", "busybox", "true")
    wait_for(lambda: daemon.state("box")["Status"] == "exited")
    assert daemon.inspect("box")["RestartCount"] == 0


def test_rm_and_restart_exclude_each_other(docker):
    assert docker.fails("run", "--rm", "--restart", "always", "busybox", "true").status == 125


@pytest.mark.needs_root("limits; cgroup v1 gives none")
def test_update(docker, daemon):
    docker("run", "-d", "--name", "box", "busybox", "sleep", "60")
    docker("update", "--memory", "48m", "--memory-swap", "48m", "--restart", "unless-stopped", "--pids-limit", "33", "box")
    box = daemon.inspect("box")["HostConfig"]
    assert box["Memory"] == 48 << 20 and box["RestartPolicy"]["Name"] == "unless-stopped"
    from tests.e2e.test_run_options import cgroup_files, read

    group = cgroup_files(daemon.state("box")["Pid"])
    assert read(group, "memory", "memory.limit_in_bytes", "memory.max") == str(48 << 20)
    assert read(group, "pids", "pids.max", "pids.max") == "33"
    docker("update", "--restart", "no", "box")


def test_prune(docker, daemon):
    docker("run", "--name", "done", "busybox", "true")
    docker("run", "-d", "--name", "going", "busybox", "sleep", "60")
    out = docker("container", "prune", "-f").out
    assert "Deleted Containers:" in out and "Total reclaimed space" in out
    assert docker("ps", "-a", "--format", "{{.Names}}").lines == ["going"]


def test_health_checks_that_were_meant_to_be_seconds_are_refused(daemon):
    for field in ("Interval", "Timeout", "StartPeriod"):
        with pytest.raises(ApiError) as error:
            daemon.api.post("/containers/create", {"Image": "busybox", "Healthcheck": {"Test": ["CMD", "true"], field: 30}})
        assert error.value.status == 400 and f"{field} in Healthcheck cannot be less than 1ms" in error.value.message


def test_health_turns_healthy(docker, daemon):
    docker("run", "-d", "--name", "box", "--health-cmd", "test -e /tmp/well", "--health-interval", "100ms", "--health-retries", "2",
           "--health-timeout", "5s", "busybox", "sh", "-c", "sleep 0.3; touch /tmp/well; sleep 60")
    assert daemon.state("box")["Health"]["Status"] in ("starting", "healthy", "unhealthy")
    wait_for(lambda: daemon.state("box")["Health"]["Status"] == "healthy")
    assert "(healthy)" in docker("ps", "--format", "{{.Status}}").out
    log = daemon.state("box")["Health"]["Log"]
    assert log[-1]["ExitCode"] == 0 and len(log) <= 5
    assert docker("ps", "-q", "--filter", "health=healthy").out


def test_health_turns_unhealthy_after_the_retries(docker, daemon):
    docker("run", "-d", "--name", "box", "--health-cmd", "echo broken; exit 1", "--health-interval", "100ms", "--health-retries", "3", "busybox", "sleep", "60")
    wait_for(lambda: daemon.state("box")["Health"]["Status"] == "unhealthy")
    health = daemon.state("box")["Health"]
    assert health["FailingStreak"] >= 3 and health["Log"][-1]["Output"] == "broken\n"


def test_a_health_check_that_hangs_is_ended(docker, daemon):
    docker("run", "-d", "--name", "box", "--health-cmd", "sleep 30", "--health-interval", "100ms", "--health-timeout", "300ms", "--health-retries", "1",
           "busybox", "sleep", "60")
    wait_for(lambda: daemon.state("box")["Health"]["Status"] == "unhealthy", 15)
    assert "exceeded timeout" in daemon.state("box")["Health"]["Log"][-1]["Output"]


def test_no_healthcheck(docker, daemon):
    docker("run", "-d", "--name", "box", "--no-healthcheck", "busybox", "sleep", "60")
    assert "Health" not in daemon.state("box") or daemon.state("box")["Health"] is None


def test_the_exit_of_pid_1_ends_all_others(docker, daemon):
    docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 7654 & sleep 0.1; echo forked")
    docker("wait", "box")
    wait_for(lambda: not host_view.ps_ef("sleep 7654"))


def test_many_at_once(daemon):
    """Sixteen clients start and remove in parallel; nobody fails."""
    from concurrent.futures import ThreadPoolExecutor

    from tests.support.rawhttp import Api

    def one(number):
        api = Api(daemon.socket, timeout=60)
        container = api.post("/containers/create", {"Image": "busybox", "Cmd": ["sh", "-c", f"exit {number % 7}"]})["Id"]
        api.post(f"/containers/{container}/start")
        code = api.post(f"/containers/{container}/wait")["StatusCode"]
        api.delete(f"/containers/{container}")
        return code == number % 7

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(48)))


def test_a_signal_to_a_process_that_has_just_begun_is_not_lost(daemon):
    """What `docker run` forwards when its user types ^C as soon as something is shown."""
    for _ in range(120):
        container = daemon.api.post("/containers/create", {"Image": "busybox", "Cmd": ["sh", "-c", "echo up; sleep 60"],
                                                           "HostConfig": {"NetworkMode": "none"}})["Id"]
        with daemon.api.hijack(f"/containers/{container}/attach", None, stream=1, stdout=1) as stream:
            starting = threading.Thread(target=lambda: Api(daemon.socket).post(f"/containers/{container}/start"))
            starting.start()
            assert stream.frame() == (1, b"up\n")
            daemon.api.post(f"/containers/{container}/kill", signal="USR1")
            starting.join()
        daemon.api.delete(f"/containers/{container}", force=1)


@pytest.mark.bryo_only
def test_a_refused_restart_leaves_auto_remove_on(daemon):
    """A signal that is none is refused before anything is changed."""
    container = daemon.run("busybox", "sleep", "1", wait=False, host_config={"AutoRemove": True})
    with pytest.raises(ApiError) as error:
        Api(daemon.socket, version="v1.47").post(f"/containers/{container}/restart", signal="NOSUCH")
    assert error.value.status == 400
    wait_for(lambda: container not in [c["Id"] for c in daemon.api.get("/containers/json", all=1)], 5, "it is removed at its end")


@pytest.mark.bryo_only
def test_a_refused_stop_leaves_the_restart_policy_on(daemon):
    container = daemon.run("busybox", "sleep", "1", wait=False, host_config={"RestartPolicy": {"Name": "always"}})
    with pytest.raises(ApiError) as error:
        Api(daemon.socket, version="v1.47").post(f"/containers/{container}/stop", signal="NOSUCH")
    assert error.value.status == 400
    wait_for(lambda: daemon.inspect(container)["RestartCount"] > 0, 6, "it is started again")


def test_wait_ends_when_a_restarting_container_is_stopped(daemon):
    container = daemon.run("busybox", "false", wait=False, host_config={"RestartPolicy": {"Name": "always"}})
    wait_for(lambda: daemon.inspect(container)["RestartCount"] >= 4 and daemon.state(container)["Status"] == "restarting", 15,
             "a pause before the next start that is long enough")
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(Api(daemon.socket).post(f"/containers/{container}/wait")))
    waiter.start()
    time.sleep(0.2)
    assert not answers
    daemon.api.post(f"/containers/{container}/stop")
    waiter.join(5)
    assert answers and answers[0]["StatusCode"] == 1


def test_probes_that_hang_do_not_pile_up(daemon):
    half = 500_000_000
    container = daemon.run("busybox", "sleep", "60", wait=False,
                           Healthcheck={"Test": ["CMD", "sleep", "1000"], "Interval": half, "Timeout": half, "Retries": 2})
    wait_for(lambda: len(daemon.state(container)["Health"]["Log"]) >= 4, 15, "four probes")
    assert daemon.state(container)["Health"]["Status"] == "unhealthy"
    assert daemon.exec(container, "ps")[1].count("sleep 1000") <= 1


@pytest.mark.bryo_only
def test_a_start_that_failed_is_the_same_to_the_next_engine(daemon):
    container = daemon.api.post("/containers/create", {"Image": "busybox", "Cmd": ["/no/such"]})["Id"]
    with pytest.raises(ApiError):
        daemon.api.post(f"/containers/{container}/start")
    before = daemon.state(container)
    assert (before["Status"], before["ExitCode"]) == ("created", 127)
    daemon.restart()
    after = daemon.state(container)
    assert {k: after[k] for k in ("Status", "ExitCode", "StartedAt", "Error")} == {k: before[k] for k in ("Status", "ExitCode", "StartedAt", "Error")}
