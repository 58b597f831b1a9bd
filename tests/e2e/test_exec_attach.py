"""exec and attach, with and without a terminal: a real pseudo terminal drives the stock client."""

import re
import socket
import subprocess

import pytest

from tests.support import host_view
from tests.support.rawhttp import ApiError
from tests.support.waiting import wait_for


@pytest.fixture(autouse=True)
def busybox(daemon):
    daemon.pull("busybox")


@pytest.fixture
def box(docker):
    docker("run", "-d", "--name", "box", "busybox", "sleep", "600")
    return "box"


def test_exec_runs_in_the_container(docker, box):
    result = docker("exec", box, "sh", "-c", "hostname; echo err >&2")
    assert result.out.strip() and result.err == "err\n"


def test_exec_gives_the_exit_code(docker, box):
    docker.fails("exec", box, "sh", "-c", "exit 17", status=17)


def test_exec_of_what_is_not_there(docker, box):
    result = docker.fails("exec", box, "nosuch")
    assert result.status in (126, 127) and "executable file not found in $PATH" in result.all


def test_exec_options(docker, box):
    out = docker("exec", "-u", "1000:33", "-w", "/tmp", "-e", "X=y", box, "sh", "-c", "id -u; id -g; pwd; echo $X").out
    assert out == "1000\n33\n/tmp\ny\n"


def test_exec_stdin(docker, box):
    assert docker("exec", "-i", box, "cat", input="through\n").out == "through\n"


def test_exec_detached(docker, box, daemon):
    docker("exec", "-d", box, "sh", "-c", "touch /made")
    wait_for(lambda: daemon.exec("box", "test", "-e", "/made")[0] == 0)


@pytest.mark.needs_root("limits; cgroup v1 gives none")
def test_exec_has_the_containers_limits_and_namespaces(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False, host_config={"PidsLimit": 20})
    exec_id = daemon.api.post(f"/containers/{container}/exec", {"Cmd": ["sleep", "4321"], "AttachStdout": True})["Id"]
    daemon.api.post(f"/exec/{exec_id}/start", {"Detach": True})
    pid = wait_for(lambda: daemon.api.get(f"/exec/{exec_id}/json")["Pid"])
    wait_for(lambda: host_view.command_line(pid)[-1] == b"4321")
    first = daemon.state(container)["Pid"]
    for kind in ("mnt", "net", "pid", "ipc", "uts"):
        assert host_view.namespace(pid, kind) == host_view.namespace(first, kind), kind
    assert open(f"/proc/{pid}/cgroup").read() == open(f"/proc/{first}/cgroup").read()
    assert host_view.status(pid)["Seccomp"].strip() == "2"
    assert host_view.status(pid)["CapInh"].strip("0 \n") == ""  # CVE-2022-24769


def test_exec_leaks_no_descriptor_and_no_directory(daemon):
    """CVE-2024-21626 through exec."""
    daemon.pull("test/probe")
    container = daemon.run("test/probe", "sleep", "60", wait=False)
    code, out, _ = daemon.exec(container, "probe", "status")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith("fd")] == ["fd0", "fd1", "fd2"]
    for number in (3, 7, 8, 9):
        code, out, err = daemon.exec(container, "cat", "../../../etc/shadow", WorkingDir=f"/proc/self/fd/{number}")
        assert open("/etc/shadow").read() not in out + err


def test_CVE_2019_5736_the_runtime_cannot_be_opened_through_proc_self_exe(daemon):
    container = daemon.run("busybox", "sh", "-c", "sleep 60", wait=False)
    code, out, err = daemon.exec(container, "sh", "-c", "ln -sf /proc/self/exe /bin/evil; true")
    assert code == 0
    code, out, err = daemon.exec(container, "/bin/evil", "--version")
    # Whatever is executed is the container's own busybox, or nothing: never a program of the engine.
    assert "bryo" not in out + err and "runc version" not in out + err


def test_exec_in_a_stopped_container(docker, daemon):
    docker("run", "--name", "done", "busybox", "true")
    assert "is not running" in docker.fails("exec", "done", "true").err


def test_exec_inspect(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False)
    exec_id = daemon.api.post(f"/containers/{container}/exec", {"Cmd": ["sh", "-c", "exit 3"], "AttachStdout": True, "User": "1000"})["Id"]
    before = daemon.api.get(f"/exec/{exec_id}/json")
    assert before["Running"] is False and before["ExitCode"] is None
    assert before["ProcessConfig"]["entrypoint"] == "sh" and before["ProcessConfig"]["arguments"] == ["-c", "exit 3"]
    with daemon.api.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}) as stream:
        stream.read_all()
    after = wait_for(lambda: (i := daemon.api.get(f"/exec/{exec_id}/json"))["Running"] is False and i)
    assert after["ExitCode"] == 3 and after["ContainerID"] == container


@pytest.mark.bryo_only
def test_exec_twice_is_refused(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False)
    exec_id = daemon.api.post(f"/containers/{container}/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
    with daemon.api.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}) as stream:
        stream.read_all()
    with pytest.raises(ApiError) as error:
        daemon.api.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False})
    assert error.value.status in (409, 404, 500)


def test_exec_streams_keep_order_and_all_bytes(daemon):
    container = daemon.run("busybox", "sleep", "60", wait=False)
    code, out, err = daemon.exec(container, "sh", "-c", "seq 50000; seq 100 >&2")
    assert code == 0 and out == "".join(f"{i}\n" for i in range(1, 50001)) and err.count("\n") == 100


def test_hijack_protocol(daemon):
    """Status 101, the multiplexing header, half-closing of stdin."""
    container = daemon.run("busybox", "sleep", "60", wait=False)
    exec_id = daemon.api.post(f"/containers/{container}/exec", {"Cmd": ["sh", "-c", "cat; echo end >&2"], "AttachStdin": True, "AttachStdout": True,
                                                                "AttachStderr": True})["Id"]
    with daemon.api.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}) as stream:
        assert stream.status == 101
        assert stream.headers["upgrade"] == "tcp"
        assert stream.headers["content-type"] in ("application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream")
        stream.send(b"hello\n")
        assert stream.frame() == (1, b"hello\n")
        stream.close_stdin()
        assert stream.frame() == (2, b"end\n")
        assert stream.frame() is None


# --- terminals


def test_exec_it_is_a_real_terminal(docker, box):
    with docker.terminal("exec", "-it", box, "sh", rows=31, columns=101) as terminal:
        terminal.expect(r"/ # ")
        terminal.type("tty; stty size\n")
        terminal.expect(r"/dev/pts/\d+")
        terminal.expect("31 101")
        terminal.resize(40, 120)
        terminal.type("sleep 0.2; stty size\n")
        terminal.expect("40 120")
        terminal.type("exit 3\n")
        assert terminal.wait() == 3


def test_ctrl_c_reaches_the_process(docker, box):
    with docker.terminal("exec", "-it", box, "sh") as terminal:
        terminal.expect(r"/ # ")
        terminal.type("sleep 300\n")
        terminal.expect("sleep 300")
        wait_for(lambda: host_view.ps_ef("sleep 300"))
        terminal.type("\x03")
        terminal.expect(r"/ # ")
        terminal.type("exit\n")
        assert terminal.wait() in (0, 130)


def test_run_it_and_leave_with_ctrl_p_ctrl_q(docker, daemon):
    with docker.terminal("run", "-it", "--name", "box", "busybox", "sh") as terminal:
        terminal.expect(r"/ # ")
        terminal.type("\x10\x11")
        terminal.wait()
    assert daemon.state("box")["Running"], "detached, not ended"
    with docker.terminal("attach", "box") as terminal:
        terminal.type("echo again$((40+2))\n")
        terminal.expect("again42")
        terminal.type("exit 4\n")
        assert terminal.wait() == 4
    assert daemon.state("box")["ExitCode"] == 4


def test_detach_keys_of_ones_own(docker, daemon):
    with docker.terminal("run", "-it", "--name", "box", "--detach-keys", "ctrl-x,x", "busybox", "sh") as terminal:
        terminal.expect(r"/ # ")
        terminal.type("\x18x")
        terminal.wait()
    assert daemon.state("box")["Running"]


def test_the_console_belongs_to_the_container(docker):
    with docker.terminal("run", "-it", "--rm", "busybox", "sh", "-c", "tty; ls -l /dev/console; ls /dev/pts; echo done") as terminal:
        shown = terminal.expect(r"(?s)/dev/.*done").group().decode()
        assert terminal.wait() == 0
    assert "crw" in shown and "ptmx" in shown


def test_it_without_a_terminal_is_refused_by_the_client(docker):
    assert re.search("not a (TTY|terminal)", docker.fails("run", "--rm", "-it", "busybox", "true").err)


def test_attach_sees_output_and_gives_input(docker, daemon):
    docker("run", "-d", "-i", "--name", "box", "busybox", "sh", "-c", "while read line; do echo got $line; [ $line = end ] && exit 8; done")
    process = docker.background("attach", "box", stdin=subprocess.PIPE)
    for line, answer in ((b"one\n", b"got one\n"), (b"end\n", b"got end\n")):
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline() == answer
    process.stdin.close()
    assert process.wait(10) == 8


def test_attach_replays_the_log(daemon):
    container = daemon.run("busybox", "sh", "-c", "echo before; sleep 60", wait=False, AttachStdout=True)
    daemon.wait_output(container, "before")
    with daemon.api.hijack(f"/containers/{container}/attach", {}, logs=1, stream=1, stdout=1) as stream:
        assert stream.frame() == (1, b"before\n")


def test_two_attached_clients_see_the_same(daemon):
    container = daemon.run("busybox", "sh", "-c", "read go; echo both", wait=False, OpenStdin=True)
    with daemon.api.hijack(f"/containers/{container}/attach", {}, stream=1, stdout=1, stdin=1) as first, \
         daemon.api.hijack(f"/containers/{container}/attach", {}, stream=1, stdout=1) as second:
        first.send(b"go\n")
        assert first.frame() == (1, b"both\n") and second.frame() == (1, b"both\n")
        assert first.frame() is None and second.frame() is None


def test_stdin_once_closes_the_processes_input(daemon):
    body = {"Image": "busybox", "Cmd": ["cat"], "OpenStdin": True, "StdinOnce": True, "AttachStdin": True, "AttachStdout": True}
    container = daemon.api.post("/containers/create", body)["Id"]
    with daemon.api.hijack(f"/containers/{container}/attach", {}, stream=1, stdout=1, stdin=1) as stream:
        daemon.api.post(f"/containers/{container}/start")
        stream.send(b"x\n")
        stream.close_stdin()
        assert stream.read_all() == (b"x\n", b"")
    assert daemon.api.post(f"/containers/{container}/wait")["StatusCode"] == 0


def test_resize_through_the_api(daemon):
    container = daemon.run("busybox", "sh", wait=False, Tty=True, OpenStdin=True)
    daemon.api.post(f"/containers/{container}/resize", h=11, w=77)
    with daemon.api.hijack(f"/containers/{container}/attach", {}, stream=1, stdout=1, stdin=1) as stream:
        stream.send(b"stty size\n")
        assert b"11 77" in stream.read_raw_until(b"11 77")


def test_resize_of_what_is_just_ending(daemon):
    for _ in range(10):
        container = daemon.run("busybox", "true", wait=False, Tty=True)
        with pytest.raises(ApiError) as ended:
            while True:
                daemon.api.post(f"/containers/{container}/resize", h=11, w=77)
        assert ended.value.status in (404, 409), ended.value
    assert daemon.process.poll() is None


def test_signals_are_forwarded_by_the_client(docker, daemon):
    process = docker.background("run", "--name", "box", "busybox", "sh", "-c", "trap 'echo got int; exit 7' INT; echo ready; while :; do sleep 0.05; done")
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(2)
    assert process.stdout.read() == b"got int\n"
    assert process.wait() == 7


def test_exec_shows_in_ps_and_top(docker, box):
    docker("exec", "-d", box, "sleep", "777")
    wait_for(lambda: re.search("sleep 777", docker("top", box).out))


@pytest.mark.bryo_only  # dockerd is slow enough that nobody notices
def test_output_does_not_come_together_with_the_head(daemon):
    """docker-py and dockerode read the head through a buffer and the stream past it."""
    container = daemon.run("busybox", "sleep", "60", wait=False)
    exec_id = daemon.api.post(f"/containers/{container}/exec", {"Cmd": ["sh", "-c", "echo made; touch /done"], "AttachStdout": True})["Id"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.socket))
        client.settimeout(10)
        client.sendall(f"POST /v1.47/exec/{exec_id}/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                       "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".encode())
        wait_for(lambda: daemon.exec(container, "test", "-e", "/done")[0] == 0)
        assert client.recv(65536).endswith(b"\r\n\r\n")
        assert client.recv(65536).endswith(b"made\n")


def test_the_start_of_an_exec_says_whether_its_output_is_framed(daemon):
    """docker-py's exec_create(tty=True) and exec_start(), which is without tty=True."""
    container = daemon.run("busybox", "sleep", "60", wait=False)
    exec_id = daemon.api.post(f"/containers/{container}/exec", {"Cmd": ["tty"], "AttachStdout": True, "Tty": True})["Id"]
    with daemon.api.hijack(f"/exec/{exec_id}/start", {"Tty": False}) as stream:
        out, err = stream.read_all()
    assert (out, err) == (b"/dev/pts/0\r\n", b"")
