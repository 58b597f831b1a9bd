"""The engine of an ordinary user as a unit of the user's systemd: its containers' limits, and what they outlive."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from tests.support.waiting import wait_for
from tests.vm.people import User, cgroup_of, sh
from tests.vm.rootless.conftest import DROP_IN, set_delegation

MEGABYTE = 1 << 20


def info(user):
    return json.loads(user.bryo("info", "--format", "{{json .}}"))


def test_info_tells_of_cgroups(bozo):
    told = info(bozo)
    assert told["CgroupDriver"] == "cgroupfs" and told["CgroupVersion"] == "2"
    assert "name=rootless" in told["SecurityOptions"]
    assert told["MemoryLimit"] and told["PidsLimit"] and told["CPUSet"] and told["CpuCfsQuota"]
    assert not [w for w in told["Warnings"] or [] if "support" in w or "cgroup" in w], told["Warnings"]
    assert bozo.bryo("network", "ls", "--format", "{{.Name}}").split() == ["host", "none"], "~/.config/bryo/daemon.json says so"


def test_limits_are_in_the_kernel_and_can_be_changed(bozo):
    bozo.bryo("run", "-d", "--name", "box", "--memory", "64m", "--pids-limit", "17", "--cpus", "0.5", "--cpuset-cpus", "0", "busybox", "sleep", "600")
    group = bozo.cgroup("box")
    assert group.parent.parent.name.startswith("bryo-containers-"), group
    assert int((group / "memory.max").read_text()) == 64 * MEGABYTE
    assert (group / "pids.max").read_text() == "17\n" and (group / "cpuset.cpus").read_text() == "0\n"
    quota, period = map(int, (group / "cpu.max").read_text().split())
    assert quota * 2 == period
    bozo.bryo("update", "--memory", "48m", "--memory-swap", "48m", "box")
    assert int((group / "memory.max").read_text()) == 48 * MEGABYTE
    bozo.bryo("pause", "box")
    assert (group / "cgroup.freeze").read_text() == "1\n"
    bozo.bryo("unpause", "box")
    assert re.match(r".* / 48MiB 1$", bozo.bryo("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "box"))
    assert "sleep 600" in bozo.bryo("top", "box")
    # An exec'd process is in it too.
    assert bozo.bryo("exec", "box", "sh", "-c", "cat /proc/self/cgroup") == "0::/"
    bozo.bryo("rm", "-f", "box")
    wait_for(lambda: not group.exists(), 10)


def test_too_much_memory_is_killed(bozo):
    hog = bozo.run("bryo", "run", "--name", "oom", "--memory", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", "x=a; while :; do x=$x$x$x; done")
    assert hog.returncode == 137, hog
    assert bozo.bryo("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "oom") == "true 137"
    bozo.bryo("rm", "oom")


def test_too_many_processes_are_refused(bozo):
    many = bozo.run("bryo", "run", "--rm", "--pids-limit", "8", "busybox", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all")
    assert "fork" in many.stderr and "all" not in many.stdout, many


def test_processor_time_is_limited(bozo):
    bozo.bryo("run", "-d", "--name", "busy", "--cpus", "0.2", "busybox", "sh", "-c", "while :; do :; done")
    group = bozo.cgroup("busy")

    def used():
        return int(re.search(r"usage_usec (\d+)", (group / "cpu.stat").read_text()).group(1)), time.monotonic() * 1e6

    (before, begin) = used()
    wait_for(lambda: used()[1] - begin > 2e6, 10)
    (after, end) = used()
    assert (after - before) / (end - begin) < 0.3
    bozo.bryo("rm", "-f", "busy")


def test_CVE_2023_25809_no_cgroup_is_writable_inside(bozo):
    tries = "mkdir /sys/fs/cgroup/evil 2>/dev/null && echo made; for f in $(find /sys/fs/cgroup -name cgroup.procs 2>/dev/null); do echo 1 2>/dev/null >$f && echo wrote $f; done; echo end"
    for options in ((), ("--network", "host")):
        assert bozo.bryo("run", "--rm", *options, "busybox", "sh", "-c", tries) == "end", options
    refused = bozo.run("bryo", "run", "--rm", "--cgroupns", "host", "busybox", "true")
    assert refused.returncode != 0 and "CVE-2023-25809" in refused.stderr, refused


def test_containers_outlive_a_restart_of_the_engine(bozo):
    bozo.bryo("run", "-d", "--name", "lives", "--memory", "32m", "busybox", "sleep", "600")
    pid, group = bozo.pid("lives"), bozo.cgroup("lives")
    before = bozo.systemctl("show", "-P", "MainPID", "bryo")
    for act in (("restart", "bryo"), ("kill", "--kill-who=main", "--signal=KILL", "bryo")):
        bozo.systemctl(*act)
        wait_for(lambda: bozo.systemctl("show", "-P", "MainPID", "bryo") not in ("0", before), 30)
        bozo.wait_answers()
        before = bozo.systemctl("show", "-P", "MainPID", "bryo")
        assert bozo.pid("lives") == pid and cgroup_of(pid) == group and (group / "memory.max").read_text().strip() == str(32 * MEGABYTE), bozo.log()
        assert bozo.bryo("exec", "lives", "echo", "hello") == "hello"
    # And new ones are where they were.
    bozo.bryo("run", "-d", "--name", "new", "busybox", "sleep", "600")
    assert bozo.cgroup("new").parent == group.parent
    assert Path(f"/proc/{before}/cgroup").read_text().strip().endswith("/bryo.service"), "the engine stays in its unit"
    bozo.bryo("rm", "-f", "lives", "new")


def test_the_scope_is_made_again_when_somebody_has_ended_it(bozo):
    bozo.bryo("run", "-d", "--name", "first", "busybox", "sleep", "600")
    scope = bozo.cgroup("first").parent.parent.name
    bozo.systemctl("kill", "--signal=KILL", scope)
    wait_for(lambda: bozo.bryo("inspect", "-f", "{{.State.Status}}", "first") == "exited", 20)
    # A scope without processes goes by itself.
    wait_for(lambda: bozo.systemctl("show", "-P", "ActiveState", scope) == "inactive", 20)
    assert bozo.bryo("run", "--rm", "--memory", "32m", "busybox", "echo", "again") == "again"
    bozo.bryo("rm", "first")


def test_started_in_a_session_it_outlives_the_session(bozo):
    """By hand, in a login that ends; logind kills what is left of a session."""
    Path("/etc/systemd/logind.conf.d").mkdir(exist_ok=True)
    Path("/etc/systemd/logind.conf.d/kill.conf").write_text("[Login]\nKillUserProcesses=yes\n")
    sh("systemctl", "kill", "--signal=HUP", "systemd-logind")  # a restart would end these tests' own unit
    bryo = "bryo --host unix:///home/bozo/by-hand/s"
    script = f"""exec 2>&1; export XDG_RUNTIME_DIR=/run/user/1000; cat /proc/self/cgroup
    mkdir -p by-hand; bryod --data-root $PWD/by-hand/data --exec-root $PWD/by-hand/run --pidfile $PWD/by-hand/pid -H unix://$PWD/by-hand/s >by-hand/log 2>&1 </dev/null &
    i=0; until {bryo} version >/dev/null 2>&1; do i=$((i+1)); [ $i -lt 300 ] || {{ cat by-hand/log; exit 9; }}; sleep 0.2; done
    {bryo} load -i /payload/busybox.tar; {bryo} run -d --name box --memory 32m busybox sleep 600
    sleep 1000 & echo stays=$!; echo session=$XDG_SESSION_ID"""
    out = subprocess.run(["su", "-l", "bozo", "-c", script], capture_output=True, text=True, timeout=120).stdout
    found = re.search(r"stays=(\d+)\s+session=(\w+)", out)
    assert found and "session-" in out, out
    # The session is over: what it had is killed.
    wait_for(lambda: not os.path.exists(f"/proc/{found.group(1)}"), 30)
    options = ("--host", "unix:///home/bozo/by-hand/s")
    assert bozo.bryo(*options, "inspect", "-f", "{{.State.Running}}", "box") == "true"
    pid = int(bozo.bryo(*options, "inspect", "-f", "{{.State.Pid}}", "box"))
    assert (cgroup_of(pid) / "memory.max").read_text().strip() == str(32 * MEGABYTE)
    bozo.bryo("run", "-d", "--name", "neighbour", "busybox", "sleep", "600")
    assert "user@1000.service" in str(cgroup_of(pid)) and cgroup_of(pid).parent != bozo.cgroup("neighbour").parent
    bozo.bryo("rm", "-f", "neighbour")
    bozo.bryo(*options, "rm", "-f", "box")
    sh("kill", Path("/home/bozo/by-hand/pid").read_text().strip())


def test_a_controller_that_is_not_delegated_is_named_with_the_command_that_helps():
    set_delegation("memory pids")
    user = User("penguin", 1001)
    user.start_engine()
    assert "WARNING: No cpuset support" in info(user)["Warnings"]
    refused = user.run("bryo", "run", "--rm", "--cpuset-cpus", "0", "busybox", "true")
    assert refused.returncode != 0 and '"cpuset"' in refused.stderr, refused
    assert user.bryo("run", "--rm", "--memory", "32m", "busybox", "echo", "fine") == "fine"
    # As it stands there, by an administrator.
    command = re.search(r"with: (sudo mkdir.*daemon-reload)", refused.stderr).group(1)
    subprocess.run(["sh", "-c", command.replace("sudo ", "")], check=True, stdout=subprocess.DEVNULL)
    assert DROP_IN.read_text() == "[Service]\nDelegate=cpu cpuset io memory pids\n"
    user.restart_manager()
    user.systemctl("start", "bryo")
    user.wait_answers()
    assert user.bryo("run", "--rm", "--cpuset-cpus", "0", "busybox", "grep", "Cpus_allowed_list", "/proc/self/status").split()[1] == "0"
    assert not [w for w in info(user)["Warnings"] or [] if "cpuset" in w]
    user.systemctl("stop", "bryo")


def test_the_users_systemd_starts_it_at_boot(bozo):
    """A boot, as far as the user goes: the manager that lingers begins anew."""
    bozo.bryo("run", "-d", "--name", "always", "--restart", "always", "busybox", "sleep", "600")
    before = bozo.pid("always")
    bozo.restart_manager()
    bozo.wait_answers()
    wait_for(lambda: bozo.bryo("inspect", "-f", "{{.State.Running}}", "always") == "true", 30)
    assert bozo.pid("always") != before and not os.path.exists(f"/proc/{before}")
    bozo.bryo("rm", "-f", "always")
