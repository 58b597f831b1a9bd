"""The runtime specification, field by field: each case runs on runc and crun first (they prove the case), then on bryo-oci.

`newer` names references that are too old for a case, or read the specification otherwise; where both are, the text of the specification alone decides.
"""

import contextlib
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import threading

import pytest

from tests.conformance.spec_bundle import RUNTIMES, Bundle, Runtime
from tests.support.waiting import wait_for as waiting

BOTH = ("runc", "crun")
CASES = {}


def case(expected, script, newer=()):
    """A function that changes the bundle; `expected` is a regular expression that the whole output must match."""

    def add(change):
        CASES[change.__name__] = (change, expected, script, newer)
        return change

    return add


@pytest.fixture(params=list(RUNTIMES))
def runtime(request, tmp):
    made = Runtime(request.param, tmp / "state")
    yield made
    made("delete", "--force", "case")


@pytest.fixture
def bundle(tmp):
    (tmp / "b").mkdir()
    return Bundle(tmp / "b")


# --- config.md: mounts ---


@case("data\n", "cat /m/f")
def bind_of_a_directory(b):
    b.file("d/f", "data\n")
    b.mount("/m", "bind", b.path / "d", "rbind")


@case("text\n", "cat /etc/new/file")
def bind_of_a_file_makes_its_place(b):
    b.mount("/etc/new/file", "bind", b.file("f", "text\n"), "bind")


@case("data\n", "cat /m/f")
def type_none_with_rbind_is_a_bind(b):
    b.file("d/f", "data\n")
    b.mount("/m", "none", b.path / "d", "rbind")


@case("data\n", "cat /m/f", newer=("runc",))
def bind_source_relative_to_the_bundle(b):
    b.file("d/f", "data\n")
    b.mount("/m", "bind", "d", "rbind")


@case(r"(warning.*\n)?data\n(warning.*\n)?", "cat /m/f", newer=("runc",))
def destination_relative_to_the_root(b):
    b.file("d/f", "data\n")
    b.mount("m", "bind", b.path / "d", "rbind")


@case("ro nosuid nodev noexec noatime nodiratime \n",
      "for w in $(grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6 | sed s/,/\\ /g); do :; done; o=,$(grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6),; "
      "for w in ro nosuid nodev noexec noatime nodiratime; do case $o in *,$w,*) echo -n \"$w \";; esac; done; echo")
def every_attribute_of_a_bind(b):
    b.file("d/f")
    b.mount("/m", "bind", b.path / "d", "rbind", "ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime")


@case("rw,relatime\n", "grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6", newer=("crun",))
def later_words_win(b):
    b.file("d/f")
    b.mount("/m", "bind", b.path / "d", "rbind", "ro", "nosuid", "noexec", "nodev", "rw", "suid", "exec", "dev")


@case("ro,.*\nro,.*\n", "grep ' /m' /proc/self/mountinfo | cut -d' ' -f6")
def rro_goes_all_the_way_down(b):
    b.file("d/sub/f")
    subprocess.run(["mount", "-t", "tmpfs", "none", b.path / "d/sub"], check=True)
    b.mount("/m", "bind", b.path / "d", "rbind", "rro")


@case("ro,.*\nrw,.*\n", "grep ' /m' /proc/self/mountinfo | cut -d' ' -f6")
def ro_is_for_the_top_only(b):
    b.file("d/sub/f")
    subprocess.run(["mount", "-t", "tmpfs", "none", b.path / "d/sub"], check=True)
    b.mount("/m", "bind", b.path / "d", "rbind", "ro")


@case("rw,nosuid,nodev,noexec,.*\nrw,nosuid,nodev,noexec,.*\n", "grep ' /m' /proc/self/mountinfo | cut -d' ' -f6")
def rnosuid_rnodev_rnoexec(b):
    b.file("d/sub/f")
    subprocess.run(["mount", "-t", "tmpfs", "none", b.path / "d/sub"], check=True)
    b.mount("/m", "bind", b.path / "d", "rbind", "rnosuid", "rnodev", "rnoexec")


@case("f\nsub\n", "ls /m /m/sub | grep -v : | grep .", newer=())
def bind_alone_takes_no_submounts(b):
    b.file("d/f")
    (b.path / "d/sub").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", b.path / "d/sub"], check=True)
    (b.path / "d/sub/hidden").touch()
    b.mount("/m", "bind", b.path / "d", "bind")


@case(r"ro,.*rw,size=64k,mode=755.*\n", "grep ' /t ' /proc/self/mountinfo | cut -d' ' -f6-")
def options_of_a_file_system(b):
    b.mount("/t", "tmpfs", "tmpfs", "ro", "size=64k", "mode=755")


@case(r"ro,.*\n", "grep ' /t ' /proc/self/mountinfo | cut -d' ' -f6", newer=BOTH)
def rro_of_a_new_file_system(b):
    b.mount("/t", "tmpfs", "tmpfs", "rro")


@case("rw,relatime\n", "grep ' /t ' /proc/self/mountinfo | cut -d' ' -f6", newer=BOTH)
def words_that_ask_for_nothing(b):
    b.mount("/t", "tmpfs", "tmpfs", "defaults", "loud", "silent", "async", "nolazytime", "iversion", "noiversion")


@case("rw,sync.*dirsync.*|rw,.*\n", "grep ' /t ' /proc/self/mountinfo | sed 's/.* - //' | cut -d' ' -f3")
def sync_and_dirsync_are_the_file_systems(b):
    b.mount("/t", "tmpfs", "tmpfs", "sync", "dirsync", "size=64k")


@case("755\n", "stat -c %a /t", newer=("crun",))
def a_tmpfs_without_a_mode_has_that_of_its_place(b):
    (b.rootfs / "t").mkdir(mode=0o755)
    b.mount("/t", "tmpfs", "tmpfs", "size=64k")


@case("1777\n", "stat -c %a /t", newer=("crun",))
def a_tmpfs_where_nothing_was_is_everybodys(b):
    b.mount("/t", "tmpfs", "tmpfs", "size=64k")


@case("a 640 7\nsub/b 755 0\n/etc/x\nnew\n", "cd /t; stat -c '%n %a %u' a sub/b; readlink l; echo new > n; cat n")
def tmpcopyup_begins_with_what_was_there(b):
    (b.rootfs / "t/sub").mkdir(parents=True)
    (b.rootfs / "t/a").write_text("content")
    (b.rootfs / "t/a").chmod(0o640)
    os.chown(b.rootfs / "t/a", 7, 7)
    (b.rootfs / "t/sub/b").write_text("x")
    (b.rootfs / "t/sub/b").chmod(0o755)
    (b.rootfs / "t/l").symlink_to("/etc/x")
    b.mount("/t", "tmpfs", "tmpfs", "tmpcopyup", "size=1m")


@case(r"contentsh: can't create /t/n: Read-only file system\n", "cat /t/a; echo new 2>&1 > /t/n; true", newer=BOTH)
def tmpcopyup_can_be_read_only(b):
    (b.rootfs / "t").mkdir()
    (b.rootfs / "t/a").write_text("content")
    b.mount("/t", "tmpfs", "tmpfs", "tmpcopyup", "ro")


@case("ro\n", "grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6 | cut -d, -f1")
def remount_changes_what_is_there(b):
    b.file("d/f")
    b.mount("/m", "bind", b.path / "d", "bind")
    b.mount("/m", "bind", b.path / "d", "bind", "remount", "ro")


@case("0:0\n", "stat -c %u:%g /m/f", newer=("runc",))
def idmap_with_mappings_of_its_own(b):
    os.chown(b.file("d/f"), 1234, 1234)
    b.map_ids()
    mapping = [{"containerID": 1234, "hostID": 200000, "size": 1}]
    b.mount("/m", "bind", b.path / "d", "bind", "idmap", uidMappings=mapping, gidMappings=mapping)


@case("0:0\n", "stat -c %u:%g /m/f", newer=BOTH)
def idmap_by_the_containers_map(b):
    b.file("d/f")
    b.map_ids()
    b.mount("/m", "bind", b.path / "d", "bind", "idmap")


@case("0:0\n0:0\n", "stat -c %u:%g /m/f /m/sub/g", newer=BOTH)
def ridmap_goes_all_the_way_down(b):
    b.file("d/f")
    (b.path / "d/sub").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", b.path / "d/sub"], check=True)
    b.file("d/sub/g")
    b.map_ids()
    b.mount("/m", "bind", b.path / "d", "rbind", "ridmap")


@case("mqueue\n", "grep ' /dev/mqueue ' /proc/self/mountinfo | sed 's/.* - //' | cut -d' ' -f1")
def mqueue(b):
    b.mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")


@case(r".*Read-only file system\ntasks\n", "mkdir /sys/fs/cgroup/memory/x 2>&1; ls /sys/fs/cgroup/memory | grep tasks || echo tasks")
def cgroup_mount_is_read_only(b):
    b.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")


@case("shared\nslave\nprivate\n", "for m in a b c; do l=$(grep \" /$m \" /proc/self/mountinfo); case $l in *shared:*) echo shared;; *master:*) echo slave;; *) echo private;; esac; done",
      newer=("crun",))
def propagation_of_binds(b):
    for name in "abc":
        b.file(f"{name}/f")
        subprocess.run(["mount", "--bind", b.path / name, b.path / name], check=True)
        subprocess.run(["mount", "--make-shared", b.path / name], check=True)
    b.mount("/a", "bind", b.path / "a", "bind", "shared")
    b.mount("/b", "bind", b.path / "b", "bind", "slave")
    b.mount("/c", "bind", b.path / "c", "bind", "private")


@case("shared\n", "l=$(grep ' / / ' /proc/self/mountinfo || grep -E '^[^ ]+ [^ ]+ [^ ]+ [^ ]+ / ' /proc/self/mountinfo); case $l in *shared:*) echo shared;; *) echo no;; esac", newer=("runc",))
def rootfs_propagation_shared(b):
    b.linux["rootfsPropagation"] = "shared"


@case("slave\n", "l=$(grep -E '^[^ ]+ [^ ]+ [^ ]+ [^ ]+ / ' /proc/self/mountinfo); case $l in *master:*) echo slave;; *) echo no;; esac", newer=BOTH)
def rootfs_propagation_slave(b):
    subprocess.run(["mount", "--bind", b.rootfs, b.rootfs], check=True)
    subprocess.run(["mount", "--make-shared", b.rootfs], check=True)
    b.linux["rootfsPropagation"] = "slave"


@case("ro,.*\n(touch: /x: Read-only file system\n)", "grep -E '^[^ ]+ [^ ]+ [^ ]+ [^ ]+ / ' /proc/self/mountinfo | cut -d' ' -f6; touch /x 2>&1; true")
def root_readonly(b):
    b.config["root"]["readonly"] = True


# --- config.md: process ---


# The primary group may be among them (CVE-2022-36109).
@case("uid=5 gid=6 groups=(6,)?7,8\n0077\n/tmp\nX=y\n", "id; umask; pwd; env | grep X=")
def user_umask_cwd_and_environment(b):
    b.process.update(user={"uid": 5, "gid": 6, "umask": 0o77, "additionalGids": [7, 8]}, cwd="/tmp", env=["PATH=/bin", "X=y"])


@case("CapInh:\t0000000000000020\nCapPrm:\t0000000000000020\nCapEff:\t0000000000000020\nCapBnd:\t0000000000000023\nCapAmb:\t0000000000000020\n", "grep Cap /proc/self/status")
def five_capability_sets(b):
    # Of a user's sets execve(2) keeps the ambient ones.
    b.process["user"] = {"uid": 1, "gid": 1}
    b.process["capabilities"] = {"bounding": ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL"], "permitted": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_CHOWN"],
                                 "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]}


@case(r"(.*CAP_BOGUS.*\n)?0000000000000001\n", "grep CapEff /proc/self/status | cut -f2", newer=("crun",))
def unknown_capabilities_are_a_warning(b):
    b.process["capabilities"] = {kind: ["CAP_CHOWN", "CAP_BOGUS"] for kind in ("bounding", "permitted", "effective")}


@case("33 44\n0 0\n", "grep 'Max open files' /proc/self/limits | sed 's/Max open files *//;s/  */ /g' | cut -d' ' -f1,2;"
      "grep 'Max core' /proc/self/limits | sed 's/Max core file size *//;s/  */ /g' | cut -d' ' -f1,2")
def rlimits(b):
    b.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 33, "hard": 44}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]


@case("NoNewPrivs:\t1\n", "grep NoNewPrivs /proc/self/status")
def no_new_privileges(b):
    b.process["noNewPrivileges"] = True


@case("NoNewPrivs:\t0\n", "grep NoNewPrivs /proc/self/status")
def new_privileges(b):
    b.process["noNewPrivileges"] = False


@case("77\n", "cat /proc/self/oom_score_adj")
def oom_score_adj(b):
    b.process["oomScoreAdj"] = 77


@case("7 3\n", "cut -d' ' -f19,41 /proc/self/stat", newer=BOTH)
def scheduler(b):
    b.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 7}


@case("best-effort: prio 6\n", "ionice -p $$", newer=BOTH)
def io_priority(b):
    b.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}


@case("box\n", "hostname")
def hostname(b):
    b.config["hostname"] = "box"


@case("inner.example\n", "cat /proc/sys/kernel/domainname", newer=BOTH)
def domainname(b):
    b.config["domainname"] = "inner.example"


# --- config-linux.md ---


@case("200000\n0\n", "sed 's/  */ /g' /proc/self/uid_map | cut -d' ' -f3; id -u")
def user_namespace(b):
    b.map_ids()


@case("1\n", "echo $$", newer=("runc",))
def a_cgroup_namespace(b):
    b.namespace("cgroup")


@case("ok ok\n", "u=$(cut -d. -f1 /proc/uptime); [ $u -gt 1000000000 ] && echo -n 'ok '; sed 's/  */ /g' /proc/self/timens_offsets | grep -q 'boottime 1000000000 5' && echo ok", newer=BOTH)
def time_offsets(b):
    b.namespace("time")
    b.linux["timeOffsets"] = {"boottime": {"secs": 1000000000, "nanosecs": 5}, "monotonic": {"secs": 100}}


@case("1\n2000\n", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax")
def sysctls(b):
    b.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "2000"}


@case("character special file a:e5 660 7 8\n", "stat -c '%F %t:%T %a %u %g' /dev/fuse")
def devices(b):
    b.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660, "uid": 7, "gid": 8}]


@case("fifo 640\n", "stat -c '%F %a' /dev/pipe")
def fifos(b):
    b.linux["devices"] = [{"path": "/dev/pipe", "type": "p", "major": 0, "minor": 0, "fileMode": 0o640, "uid": 0, "gid": 0}]


@case("character special file 1:5\n", "stat -c '%F %t:%T' /srv/zero")
def devices_outside_of_dev(b):
    b.linux["devices"] = [{"path": "/srv/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 0, "gid": 0}]


@case("0\nls: /hidden: .*|0\n0\n", "cat /proc/keys | wc -c; ls /hidden | wc -l")
def masked_paths(b):
    (b.rootfs / "hidden/x").mkdir(parents=True)
    b.linux["maskedPaths"] = ["/proc/keys", "/hidden", "/not/there"]


@case(".*Read-only file system\n.*Read-only file system\n", "echo 1 2>&1 >/proc/sys/kernel/msgmax; touch /fixed/x 2>&1; true")
def readonly_paths(b):
    (b.rootfs / "fixed").mkdir()
    b.linux["readonlyPaths"] = ["/proc/sys", "/fixed", "/not/there"]


@case("i686\n", "uname -m", newer=("runc",))
def personality(b):
    b.linux["personality"] = {"domain": "LINUX32"}


@case(r"mkdir: .*: (Operation not permitted|Not supported|Unknown error 99|Cannot assign requested address)\n", "mkdir /tmp/x; true")
def seccomp_errno(b):
    b.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                          "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}


@case("", "mkdir /tmp/x; true", newer=())
def seccomp_log_lets_through(b):
    b.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                          "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_LOG"}]}


@case("159\n", "sh -c 'mkdir /tmp/x' 2>/dev/null; echo $?", newer=())
def seccomp_trap(b):
    b.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_TRAP"}]}


@case("159\n", "sh -c 'mkdir /tmp/x' 2>/dev/null; echo $?")
def seccomp_kill_process(b):
    b.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                          "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_KILL_PROCESS"}]}


@pytest.mark.parametrize("name", CASES)
def test_case(runtime, bundle, name):
    change, expected, script, newer = CASES[name]
    if runtime.name in newer:
        pytest.skip(f"{runtime.name} is older than this, or reads it otherwise")
    change(bundle)
    status, output = runtime.run(bundle, script)
    assert re.fullmatch(expected, output), f"status {status}: {output!r}"
    assert status == 0, output


# --- an agent for SCMP_ACT_NOTIFY ---

NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101  # seccomp_unotify(2)


class Agent:
    """Takes listeners at a socket and answers every call with ENOTTY."""

    def __init__(self, path):
        self.path, self.states, self.calls = str(path), [], 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(self.path)
        self.socket.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.socket.fileno() >= 0:
            try:
                connection, _ = self.socket.accept()
            except OSError:  # closed by the fixture
                return
            text, descriptors, _, _ = socket.recv_fds(connection, 65536, 4)
            # Not every runtime closes the connection behind it, as it must.
            while not self.is_whole(text):
                text += connection.recv(65536)
            threading.Thread(target=self.answer, args=descriptors, daemon=True).start()

    def is_whole(self, text):
        try:
            self.states.append(json.loads(text))
        except ValueError:
            return False
        return True

    def answer(self, listener):
        while True:
            request = bytearray(80)
            try:
                fcntl.ioctl(listener, NOTIF_RECV, request)
            except OSError:
                return
            self.calls += 1
            number = int.from_bytes(request[:8], "little")
            with contextlib.suppress(OSError):
                fcntl.ioctl(listener, NOTIF_SEND, struct.pack("<Qqii", number, 0, -25, 0))


@pytest.fixture
def agent(tmp):
    made = Agent(tmp / "agent.sock")
    yield made
    made.socket.close()


def notify(bundle, agent):
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "listenerPath": agent.path, "listenerMetadata": "told",
                               "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}
    bundle.config["annotations"] = {"some": "thing"}


def test_seccomp_agent_of_a_run(runtime, bundle, agent):
    notify(bundle, agent)
    status, output = runtime.run(bundle, "mkdir /tmp/x; echo end")
    assert "Inappropriate ioctl for device" in output and "end" in output and status == 0, output
    (state,) = agent.states
    assert state["fds"] == ["seccompFd"] and state["metadata"] == "told"
    assert state["pid"] > 1 and state["state"]["id"] == "case" and state["state"]["bundle"] == str(bundle.path)
    assert state["state"]["pid"] == state["pid"] and state["state"]["annotations"] == {"some": "thing"}
    assert state["state"]["status"] in ("creating", "created", "running")
    assert state["ociVersion"].startswith("1.") or runtime.name == "crun"


def test_seccomp_agent_of_create_start_and_exec(runtime, bundle, agent):
    notify(bundle, agent)
    bundle.process["args"] = ["sh", "-c", "mkdir /tmp/x 2>/tmp/said; sleep 100"]
    bundle.save()
    out = open(bundle.path / "out", "w")
    subprocess.run([*runtime.command, "create", "--bundle", str(bundle.path), "case"], stdin=subprocess.PIPE, stdout=out, stderr=out, check=True, timeout=60)
    subprocess.run([*runtime.command, "start", "case"], stdin=subprocess.PIPE, stdout=out, stderr=out, check=True, timeout=60)
    waiting(lambda: "Inappropriate" in (bundle.rootfs / "tmp/said").read_text() if (bundle.rootfs / "tmp/said").exists() else False)
    done = runtime("exec", "case", "sh", "-c", "mkdir /tmp/y")
    assert b"Inappropriate ioctl" in done.stdout, done.stdout
    first, second = agent.states
    assert first["state"]["pid"] == first["pid"] != second["pid"]
    assert second["state"]["pid"] == first["pid"] or runtime.name == "crun"
    runtime("kill", "case", "KILL")


@pytest.mark.parametrize("change", ["no path", "nobody there"])
def test_seccomp_agent_that_is_not_there(runtime, bundle, agent, change):
    if runtime.name == "crun" and change == "no path":
        pytest.skip("crun runs the program then")
    notify(bundle, agent)
    if change == "no path":
        del bundle.linux["seccomp"]["listenerPath"]
    else:
        bundle.linux["seccomp"]["listenerPath"] = str(bundle.path / "nobody")
    status, output = runtime.run(bundle, "echo must not run")
    assert status != 0 and "must not run" not in output
    if runtime.name == "bryo-oci":
        assert "linux.seccomp.listenerPath" in output


# --- memory ---


def peak(runtime, bundle):
    """Peak resident size in KiB of the runtime's own processes and the container's (a static busybox, smaller than any of them)."""
    bundle.process["args"] = ["true"]
    bundle.save()
    # A small program starts it: a process counts what it was before execve, too.
    done = subprocess.run(["busybox", "time", "-v", *runtime.command, "run", "--bundle", str(bundle.path), "case"], input=b"", capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr.decode()
    return int(re.search(r"Maximum resident set size \(kbytes\): (\d+)", done.stderr.decode()).group(1))


@pytest.mark.parametrize("limit", [4 << 20, 1 << 20])
def test_starts_with_little_memory(runtime, bundle, limit):
    if runtime.name == "runc" and limit < 4 << 20:
        pytest.skip("runc's own init needs more")
    bundle.linux["resources"] = {"memory": {"limit": limit}}
    for _ in range(5):
        assert runtime.run(bundle, "echo ran") == (0, "ran\n")


def test_peak_memory_is_not_above_cruns(tmp, bundle):
    sizes = {name: min(peak(Runtime(name, tmp / name), bundle) for _ in range(3)) for name in ("crun", "bryo-oci")}
    assert sizes["bryo-oci"] <= sizes["crun"], sizes
