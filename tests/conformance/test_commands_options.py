"""Global options and the options of create, run and exec."""

import json
import os
import signal
import subprocess

import pytest

from tests.support.oci import Runtime
from tests.support.waiting import wait_for


def start(runtime, bundle, *options):
    made = runtime.launch("run", "--detach", "--bundle", bundle.path, *options, "box")
    assert made.status == 0, str(made)


def last_error(file):
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line["msg"] for line in lines if line["level"] == "error"][-1]


# --- global ---

def test_the_log_holds_the_error_in_both_formats(runtime, tmp):
    runtime("run", "--bundle", "/nonexistent", "box", options=["--log", tmp / "json", "--log-format", "json"])
    assert "/nonexistent" in last_error(tmp / "json")
    runtime("run", "--bundle", "/nonexistent", "box", options=["--log", tmp / "text"])
    assert 'level=error msg="' in (tmp / "text").read_text()
    assert runtime("list", options=["--log-format", "xml"]).status == 1


def test_debug_writes_more(runtime, bundle, tmp):
    log = tmp / "debug.json"
    runtime.ok("run", "--bundle", bundle.path, "box", options=["--debug", "--log", log, "--log-format", "json"])
    assert {"debug"} <= {json.loads(line)["level"] for line in log.read_text().splitlines()}


def test_the_root_is_made_with_its_parents(runtime, bundle, tmp):
    """As containerd names it: below a directory that is not there yet."""
    runtime.root = tmp / "engine/runtime/moby"
    runtime.ok("run", "--bundle", bundle.path, "box")
    assert os.stat(tmp / "engine/runtime").st_mode & 0o777 in (0o700, 0o711)


def test_a_missing_program_is_in_the_log_as_engines_look_for_it(runtime, bundle, tmp):
    bundle.run("nope")
    failed = runtime("run", "--bundle", bundle.path, "box", options=["--log", tmp / "log", "--log-format", "json"])
    assert failed.status != 0
    assert 'exec: "nope": executable file not found in $PATH' in last_error(tmp / "log")


def test_rootless_goes_without_cgroups_where_they_are_refused(bundle, tmp):
    runtime = Runtime("bryo-oci", tmp / "state")
    refused = runtime("--rootless", "perhaps", "list")
    assert refused.status == 1 and "rootless" in refused.err
    # As a user of another file system tree would meet it: every hierarchy is read-only.
    inside = ["unshare", "--mount", "sh", "-c", 'for m in $(grep -o "/sys/fs/cgroup[^ ]*" /proc/self/mounts); do mount -o remount,bind,ro $m; done; exec "$@"', "sh"]
    bundle.run("echo", "here")
    for choice, status in (("true", 0), ("auto", 1), ("false", 1)):
        command = [*inside, *runtime.command("run", "--bundle", str(bundle.path), "box", options=["--rootless", choice])]
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert outcome.returncode == status, (choice, outcome.stderr)
    bundle.config["linux"]["resources"] = {"pids": {"limit": 10}}
    bundle.save()
    command = [*inside, *runtime.command("run", "--bundle", str(bundle.path), "box", options=["--rootless", "true"])]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert outcome.returncode == 1 and "linux.resources.pids: this user may not make cgroups" in outcome.stderr
    assert runtime.ok("list", "-q").out == ""


# --- create and run ---

def test_pid_file(runtime, bundle, tmp):
    bundle.script("sleep 100")
    start(runtime, bundle, "--pid-file", tmp / "pid")
    assert (tmp / "pid").read_text() == str(runtime.state("box")["pid"])


def test_keep(runtime, bundle):
    runtime.ok("run", "--keep", "--bundle", bundle.path, "box")
    assert runtime.status("box") == "stopped"
    runtime.ok("run", "--bundle", bundle.path, "other")
    assert runtime("state", "other").status == 1


def open_pipes(count):
    """Read ends that hold their own number, at 3, 4 … of a child."""
    read = []
    for number in range(count):
        ends = os.pipe()
        os.write(ends[1], f"pipe {number}\n".encode())
        os.close(ends[1])
        read.append(ends[0])
    return read


def with_descriptors(descriptors, command, environment=None):
    """Runs the command with these at 3, 4, …"""
    high = [os.dup2(fd, 200 + i) for i, fd in enumerate(descriptors)]
    moves = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(high))
    try:
        return subprocess.run(["bash", "-c", f'export LISTEN_PID=$$; exec {moves} "$@"' if environment else f'exec {moves} "$@"', "bash", *command], pass_fds=high, capture_output=True,
                              text=True, timeout=30, env={**os.environ, **(environment or {})})
    finally:
        for fd in [*descriptors, *high]:
            os.close(fd)


def test_preserve_fds(runtime, bundle):
    bundle.script("cat <&3; cat <&4; ls /proc/self/fd")
    outcome = with_descriptors(open_pipes(2), runtime.command("run", "--preserve-fds", "2", "--bundle", bundle.path, "box"))
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("pipe 0\npipe 1\n")
    assert [fd for fd in outcome.stdout.split()[4:] if int(fd) < 100] in (["0", "1", "2", "3", "4", "5"], ["0", "1", "2", "3", "4"])
    refused = runtime("run", "--preserve-fds", "5", "--bundle", bundle.path, "box")
    assert refused.status == 1 and "preserve" in refused.all


def test_preserving_one_more_than_is_open_is_refused(runtime, bundle):
    if runtime.name == "runc":
        pytest.skip("runc takes descriptors of Go's for the caller's")
    outcome = with_descriptors(open_pipes(2), runtime.command("run", "--preserve-fds", "3", "--bundle", bundle.path, "box"))
    assert outcome.returncode == 1 and "preserve" in outcome.stderr


def test_socket_activation_goes_to_the_program(runtime, bundle):
    bundle.script("cat <&3; cat <&4; echo $LISTEN_FDS $LISTEN_PID")
    outcome = with_descriptors(open_pipes(2), runtime.command("run", "--preserve-fds", "1", "--bundle", bundle.path, "box"), {"LISTEN_FDS": "1"})
    assert outcome.stdout == "pipe 0\npipe 1\n1 1\n", outcome.stderr


@pytest.mark.parametrize("hook", [False, True])
def test_no_pivot(runtime, bundle, hook):
    if hook:
        bundle.config["hooks"] = {"createContainer": [{"path": "/usr/bin/true"}]}
    bundle.script("ls /; cat /proc/mounts | head -1; pwd; ls /..")
    outcome = runtime.ok("run", "--no-pivot", "--bundle", bundle.path, "box")
    names = sorted(path.name for path in bundle.rootfs.iterdir())
    lines = outcome.out.splitlines()
    assert sorted(lines[: len(names)]) == names
    assert sorted(lines[-len(names):]) == names


def test_no_new_keyring(runtime, bundle):
    bundle.script("cat /proc/keys /proc/self/sessionid 2>/dev/null; true")
    runtime.ok("run", "--no-new-keyring", "--bundle", bundle.path, "box")


def test_orphans_are_reaped_unless_unwanted(runtime, bundle):
    """Without a pid namespace an orphan's parent is the runtime in the foreground."""
    bundle.config["linux"]["namespaces"] = [entry for entry in bundle.config["linux"]["namespaces"] if entry["type"] != "pid"]
    bundle.script("sh -c 'sh -c \"sleep 0.3; grep PPid /proc/self/status\" &'; sleep 0.6")
    for options, adopted in (([], True), (["--no-subreaper"], False)):
        process = subprocess.Popen(runtime.command("run", *options, "--bundle", bundle.path, "box"), stdout=subprocess.PIPE, text=True)
        parent = int(process.communicate(timeout=20)[0].split()[1])
        assert (parent == process.pid) == adopted, options
        assert process.returncode == 0


# --- exec ---

@pytest.fixture
def running(runtime, bundle):
    bundle.config["linux"]["cgroupsPath"] = "/box"
    bundle.script("sleep 100")
    start(runtime, bundle)
    return runtime


def test_exec_options(running, tmp):
    assert running.ok("exec", "--cwd", "/tmp", "-e", "X=1", "-e", "Y=2", "box", "sh", "-c", "pwd; echo $X$Y").out == "/tmp\n12\n"
    shown = running.ok("exec", "--user", "5:6", "-g", "7", "-g", "8", "box", "sh", "-c", "id -u; id -g; id -G").out.splitlines()
    assert shown[:2] == ["5", "6"] and {"6", "7", "8"} == set(shown[2].split())
    rights = running.ok("exec", "--cap", "CAP_SYS_TIME", "box", "grep", "CapEff", "/proc/self/status").out.split()[1]
    assert int(rights, 16) >> 25 & 1
    assert "NoNewPrivs:\t1" in running.ok("exec", "--no-new-privs", "box", "grep", "NoNewPrivs", "/proc/self/status").out


def test_exec_of_a_process_file_and_detached(running, tmp):
    process = {"args": ["sh", "-c", "echo $A; exit 9"], "env": ["PATH=/bin", "A=b"], "cwd": "/", "user": {"uid": 0, "gid": 0}}
    (tmp / "process.json").write_text(json.dumps(process))
    outcome = running("exec", "--process", tmp / "process.json", "box")
    assert outcome.status == 9 and outcome.out == "b\n"
    launched = running.launch("exec", "--detach", "--pid-file", tmp / "pid", "box", "sleep", "77")
    assert launched.status == 0
    pid = int((tmp / "pid").read_text())
    assert b"77" in wait_for(lambda: open(f"/proc/{pid}/cmdline", "rb").read())
    assert pid in json.loads(running.ok("ps", "-f", "json", "box").out)


def test_exec_preserve_fds(running):
    outcome = with_descriptors(open_pipes(1), running.command("exec", "--preserve-fds", "1", "box", "sh", "-c", "cat <&3"))
    assert outcome.stdout == "pipe 0\n", outcome.stderr


def test_exec_into_a_cgroup_below(running):
    for controller in ("pids", "memory", "cpu", "cpuacct", "cpuset", "devices", "freezer", "blkio", "systemd", "hugetlb", "net_cls", "net_prio", "perf_event", "rdma", "misc", "unified"):
        directory = f"/sys/fs/cgroup/{controller}/box"
        if os.path.isdir(directory):
            os.makedirs(f"{directory}/sub", exist_ok=True)
            if controller == "cpuset":
                for knob in ("cpuset.cpus", "cpuset.mems"):
                    with open(f"{directory}/{knob}") as source, open(f"{directory}/sub/{knob}", "w") as target:
                        target.write(source.read())
    shown = running.ok("exec", "--cgroup", "sub", "box", "cat", "/proc/self/cgroup").out
    assert ":/box/sub\n" in shown
    assert running("exec", "--cgroup", "none", "box", "true").status != 0
    assert running("exec", "--cgroup", "../..", "box", "true").status != 0


def test_exec_into_cgroups_of_some_controllers(running):
    """runc's form for v1: one path for each controller named, the container's own for the rest."""
    if not os.path.isdir("/sys/fs/cgroup/pids/box"):
        pytest.skip("the pids controller is not in a v1 hierarchy here")
    os.makedirs("/sys/fs/cgroup/pids/box/few", exist_ok=True)
    os.makedirs("/sys/fs/cgroup/freezer/box/cold", exist_ok=True)
    shown = running.ok("exec", "--cgroup", "pids:few", "--cgroup", "freezer:/cold/", "box", "cat", "/proc/self/cgroup").out
    places = {controller: path for _, controllers, path in (line.split(":", 2) for line in shown.split()) for controller in controllers.split(",")}
    assert places["pids"] == "/box/few" and places["freezer"] == "/box/cold" and places["memory"] == "/box"
    for wrong in (["pids:none"], ["nonsense:few"], ["pids:few", "pids:none"], ["pids:few", "cold"], ["pids:few:x"], ["pids:../.."]):
        refused = running("exec", *[word for text in wrong for word in ("--cgroup", text)], "box", "true")
        assert refused.status in (1, 255) and "cgroup" in refused.err.lower(), refused


def test_exec_into_a_paused_container(running):
    running.ok("pause", "box")
    assert running("exec", "box", "true").status == 255
    process = subprocess.Popen(running.command("exec", "--ignore-paused", "box", "true"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running.ok("resume", "box")
    assert process.wait(20) == 0


def test_exec_without_tty_needs_no_socket_and_with_one_does(running):
    refused = running("exec", "--detach", "--tty", "box", "true")
    assert refused.status == 255 and "console socket" in refused.all


def test_signals_of_the_foreground_go_to_the_program(runtime, bundle):
    bundle.script("trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    process = subprocess.Popen(runtime.command("run", "--bundle", bundle.path, "box"), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "got\n" and process.returncode == 3


# --- cgroups ---

def test_a_cgroup_in_use_is_refused_and_left_alone(bundle, tmp):
    """runc does so since 1.2. A failing create must not end the other container."""
    runtime = Runtime("bryo-oci", tmp / "state")
    try:
        bundle.config["linux"]["cgroupsPath"] = "/box"
        bundle.script("sleep 100")
        start(runtime, bundle)
        refused = runtime("run", "--bundle", bundle.path, "other")
        assert refused.status == 1 and "linux.cgroupsPath: the cgroup /box is not empty" in refused.err
        assert runtime.status("box") == "running" and os.path.isdir("/sys/fs/cgroup/pids/box")
        assert runtime.ok("list", "-q").out == "box\n"
    finally:
        runtime.remove_all()


def test_systemd_cgroups_without_systemd_are_refused_clearly(bundle, tmp):
    runtime = Runtime("bryo-oci", tmp / "state", "--systemd-cgroup")
    bundle.config["linux"]["cgroupsPath"] = "system.slice:bryo:box"
    bundle.save()
    refused = runtime("run", "--bundle", bundle.path, "box")
    assert refused.status == 1 and "no systemd answers" in refused.err and "cgroupfs" in refused.err
    bundle.config["linux"]["cgroupsPath"] = "/plain"
    bundle.save()
    refused = runtime("run", "--bundle", bundle.path, "box")
    assert refused.status == 1 and "slice:prefix:name" in refused.err
    assert runtime.ok("list", "-q").out == "" and not os.path.exists("/sys/fs/cgroup/pids/system.slice")
    plain = Runtime("bryo-oci", tmp / "state")
    bundle.config["linux"]["cgroupsPath"] = "system.slice:bryo:box"
    bundle.save()
    assert "needs --systemd-cgroup" in plain("run", "--bundle", bundle.path, "box").err


FAKE_SYSTEMD = r"""
import os, re, socket, struct, sys
# Just enough of systemd's manager for one scope: answers Get, StartTransientUnit and StopUnit, and moves the process.
listener = socket.socket(socket.AF_UNIX); listener.bind("/run/systemd/private"); listener.listen(8); print("ready", flush=True)

def text(s): return struct.pack("<I", len(s)) + s.encode() + b"\0"
def pad(b, to): return b + b"\0" * (-len(b) % to)
def field(code, kind, value): return bytes([code, 1]) + kind.encode() + b"\0" + value
def fields(*all):
    out = b""
    for one in all: out = pad(out, 8) + one
    return out
def message(kind, serial, header, body):
    head = b"l" + bytes([kind, 0, 1]) + struct.pack("<III", len(body), serial, len(header)) + header
    return pad(head, 8) + body
def sig(s): return bytes([len(s)]) + s.encode() + b"\0"

serial = 0
def reply(c, to, signature, body):
    global serial; serial += 1
    c.sendall(message(2, serial, fields(field(5, "u", struct.pack("<I", to)), field(8, "g", sig(signature))), body))
def removed(c, unit):
    global serial; serial += 1
    body = struct.pack("<I", 1) + text("/job/1"); body = pad(body, 4) + text(unit); body = pad(body, 4) + text("done")
    c.sendall(message(4, serial, fields(field(1, "o", text("/org/freedesktop/systemd1")), field(2, "s", text("org.freedesktop.systemd1.Manager")), field(3, "s", text("JobRemoved")), field(8, "g", sig("uoss"))), body))
def exactly(c, n):
    out = b""
    while len(out) < n:
        more = c.recv(n - len(out))
        if not more: raise EOFError
        out += more
    return out

while True:
    c, _ = listener.accept()
    try:
        answers = {b"AUTH EXTERNAL": b"DATA\r\n", b"DATA": b"OK 0123\r\n", b"BEGIN": b""}
        line = b""
        while line != b"BEGIN":
            line = b""
            while not line.endswith(b"\r\n"): line += exactly(c, 1)
            line = line.strip(b"\0\r\n"); c.sendall(answers[line])
        while True:
            head = exactly(c, 16); body, number, size = struct.unpack("<III", head[4:16])
            rest = exactly(c, (size + 7) // 8 * 8 + body); data = rest[(size + 7) // 8 * 8:]
            member = re.search(rb"(Get|StartTransientUnit|StopUnit|ResetFailedUnit|SetUnitProperties)\0", rest).group(1).decode()
            unit = data[4:4 + struct.unpack("<I", data[:4])[0]].decode()
            print(member, unit, flush=True)
            if member == "Get": reply(c, number, "v", sig("s") + b"\0" + text("/"))
            elif member in ("StartTransientUnit", "StopUnit"):
                reply(c, number, "o", text("/job/1")); removed(c, unit)
            else: reply(c, number, "", b"")
    except EOFError: pass
"""


def test_systemd_makes_and_stops_the_scope(bundle, tmp):
    os.makedirs("/run/systemd", exist_ok=True)
    systemd = subprocess.Popen(["/usr/bin/python3", "-c", FAKE_SYSTEMD], stdout=subprocess.PIPE, text=True)
    runtime = Runtime("bryo-oci", tmp / "state", "--systemd-cgroup")
    try:
        assert systemd.stdout.readline() == "ready\n"
        bundle.config["linux"].update(cgroupsPath="a-b.slice:bryo:box", resources={"pids": {"limit": 20}})
        bundle.script("sleep 100")
        start(runtime, bundle)
        pid = runtime.state("box")["pid"]
        assert os.path.exists("/sys/fs/cgroup/pids/a.slice/a-b.slice/bryo-box.scope/pids.max")
        with open(f"/proc/{pid}/cgroup") as file:
            assert ":pids:/a.slice/a-b.slice/bryo-box.scope\n" in file.read()
        assert runtime("exec", "box", "true").status == 0
        runtime.ok("update", "--pids-limit", "30", "box")
        runtime.ok("delete", "--force", "box")
        assert not os.path.exists("/sys/fs/cgroup/pids/a.slice/a-b.slice/bryo-box.scope")
        systemd.terminate()
        told = [line for line in systemd.stdout.read().splitlines() if not line.startswith("Get")]
        assert told == ["StartTransientUnit bryo-box.scope", "SetUnitProperties bryo-box.scope", "StopUnit bryo-box.scope", "ResetFailedUnit bryo-box.scope"]
    finally:
        systemd.kill()
        systemd.wait()
        os.unlink("/run/systemd/private")
        os.rmdir("/run/systemd")
        runtime.remove_all()
