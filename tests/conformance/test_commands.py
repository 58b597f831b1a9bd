"""The commands of an OCI runtime, as engines call them. Every case also runs against runc, which says what is right."""

import json
import os
import subprocess

import pytest

from tests.support.waiting import wait_for

CGROUPS = "/sys/fs/cgroup"


@pytest.fixture
def sleeping(runtime, bundle):
    """A running container "box" in the cgroup /box."""
    bundle.config["linux"]["cgroupsPath"] = "/box"
    bundle.config["annotations"] = {"a": "b"}
    bundle.script("sleep 100")
    assert runtime.launch("run", "--detach", "--bundle", bundle.path, "box").status == 0
    return runtime


def stop(runtime, name="box"):
    runtime.ok("kill", name, "KILL")
    wait_for(lambda: runtime.status(name) == "stopped")


def limit(file):
    with open(f"{CGROUPS}/{file}") as opened:
        return opened.read().strip()


needs_v1 = pytest.mark.skipif(not os.path.exists(f"{CGROUPS}/memory/memory.limit_in_bytes"), reason="needs cgroup v1")


# --- state, list, ps ---

def test_state_has_the_keys_of_runc_and_they_are_true(sleeping, bundle):
    state = sleeping.state("box")
    assert sorted(state) == ["annotations", "bundle", "created", "id", "ociVersion", "owner", "pid", "rootfs", "status"]
    assert state["id"] == "box" and state["status"] == "running" and state["annotations"] == {"a": "b"}
    assert state["bundle"] == str(bundle.path) and state["rootfs"] == str(bundle.rootfs) and state["owner"] == ""
    assert os.readlink(f"/proc/{state['pid']}/root") == "/"
    stop(sleeping)
    assert sleeping.state("box")["pid"] == 0


def test_list_shows_containers_in_three_forms(sleeping):
    assert sleeping.ok("list", "-q").out == "box\n"
    [entry] = json.loads(sleeping.ok("list", "-f", "json").out)
    assert entry["owner"] == "root" and {**entry, "owner": ""} == sleeping.state("box")
    head, row = sleeping.ok("list").out.splitlines()
    assert head.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert head.index("STATUS") == row.index("running") and head.index("OWNER") == row.index("root")
    bad = sleeping("list", "--format", "xml")
    assert bad.status == 1 and "invalid format option" in bad.err


def test_an_empty_list(runtime):
    assert runtime.ok("list", "-f", "json").out == "null\n" if runtime.name != "runc" else True
    assert runtime.ok("list", "-q").out == ""


def test_ps_shows_the_processes_of_the_container_only(sleeping):
    pid = sleeping.state("box")["pid"]
    assert pid in json.loads(sleeping.ok("ps", "-f", "json", "box").out)
    head, *rows = sleeping.ok("ps", "box").out.splitlines()
    assert head.split()[:2] == ["UID", "PID"] and str(pid) in [row.split()[1] for row in rows]
    assert all("pytest" not in row for row in rows)
    head, *rows = sleeping.ok("ps", "box", "-eo", "comm,pid").out.splitlines()
    assert head.split() == ["COMMAND", "PID"] and rows and all(row.split()[0] in ("sh", "sleep") for row in rows)
    assert sleeping("ps", "box", "-eo", "comm").status == 1  # nothing to tell the rows apart by


# --- exit statuses ---

def test_exit_statuses(sleeping):
    assert sleeping("start", "box").status == 1
    assert sleeping("delete", "box").status == 1
    assert sleeping("exec", "box", "sh", "-c", "exit 7").status == 7
    assert sleeping("resume", "box").status == 1
    assert sleeping("kill", "box", "NOSUCH").status == 1
    assert sleeping("kill", "box", "99").status == 1
    assert sleeping("kill", "box", "0").status == 0
    stop(sleeping)
    gone = sleeping("exec", "box", "true")
    assert gone.status == 255 and "cannot exec in a stopped container" in gone.all
    assert sleeping("kill", "box", "TERM").status == 1
    assert sleeping("kill", "--all", "box", "TERM").status == 0
    assert sleeping("pause", "box").status == 1
    assert sleeping("delete", "box").status == 0
    assert sleeping("delete", "box").status == 1
    assert sleeping("delete", "--force", "box").status == 0
    for command in ("state", "start", "kill", "ps", "pause", "resume", "update", "events"):
        nobody = sleeping(command, "box")
        assert nobody.status == 1 and "container does not exist" in nobody.all, command


def test_numbers_of_arguments_are_checked(runtime):
    for command, words in {"state": ["a", "b"], "list": ["a"], "start": [], "delete": ["a", "b"], "kill": ["a", "b", "c"], "run": [], "events": []}.items():
        refused = runtime(command, *words)
        assert refused.status == 1 and "argument(s)" in refused.all, command
    assert runtime("run", "--no-such-option", "x").status == 1


def test_options_may_follow_the_id(sleeping):
    assert sleeping("kill", "box", "0", "--all").status == 0
    assert sleeping("delete", "box", "--force").status == 0
    assert sleeping("state", "box").status == 1


# --- pause, resume, kill ---

def test_pause_stops_and_resume_continues(sleeping):
    sleeping.ok("pause", "box")
    assert sleeping.status("box") == "paused"
    refused = sleeping("exec", "box", "true")
    assert refused.status == 255 and "paused" in refused.all
    assert sleeping("pause", "box").status == 1
    sleeping.ok("resume", "box")
    assert sleeping.status("box") == "running" and sleeping("exec", "box", "true").status == 0


def test_kill_reaches_a_paused_container(sleeping):
    sleeping.ok("pause", "box")
    stop(sleeping)


def test_delete_force_removes_a_paused_container(sleeping):
    pid = sleeping.state("box")["pid"]
    sleeping.ok("pause", "box")
    sleeping.ok("delete", "--force", "box")
    wait_for(lambda: not os.path.exists(f"/proc/{pid}/exe"))
    assert not os.path.exists(f"{CGROUPS}/pids/box")


def test_kill_all_reaches_every_process(runtime, bundle):
    """Without a pid namespace the end of the first process is not everybody's."""
    bundle.config["linux"]["cgroupsPath"] = "/box"
    bundle.config["linux"]["namespaces"] = [entry for entry in bundle.config["linux"]["namespaces"] if entry["type"] != "pid"]
    bundle.script("sleep 1001 & sleep 1002")
    assert runtime.launch("run", "--detach", "--bundle", bundle.path, "box").status == 0
    pids = wait_for(lambda: (found := json.loads(runtime.ok("ps", "-f", "json", "box").out)) and len(found) >= 2 and found)
    runtime.ok("kill", "--all", "box", "KILL")
    wait_for(lambda: all(zombie(pid) for pid in pids))
    runtime.ok("delete", "--force", "box")


def zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


# --- update ---

@needs_v1
def test_update_by_options(sleeping):
    sleeping.ok("update", "--memory", "50m", "--memory-reservation", "20M", "--pids-limit", "50", "--cpu-share", "512", "--cpu-quota", "30000",
                "--cpu-period", "60000", "--cpuset-cpus", "0", "box")
    assert limit("memory/box/memory.limit_in_bytes") == str(50 << 20)
    assert limit("memory/box/memory.soft_limit_in_bytes") == str(20 << 20)
    assert limit("pids/box/pids.max") == "50" and limit("cpu/box/cpu.shares") == "512"
    assert limit("cpu/box/cpu.cfs_quota_us") == "30000" and limit("cpu/box/cpu.cfs_period_us") == "60000"
    assert limit("cpuset/box/cpuset.cpus") == "0"
    # What is not named stays.
    sleeping.ok("update", "--pids-limit", "60", "box")
    assert limit("memory/box/memory.limit_in_bytes") == str(50 << 20) and limit("pids/box/pids.max") == "60"


@needs_v1
def test_update_from_a_file_and_from_standard_input(sleeping, tmp):
    (tmp / "resources").write_text(json.dumps({"memory": {"limit": 60 << 20}, "pids": {"limit": 70}}))
    sleeping.ok("update", "--resources", tmp / "resources", "box")
    assert limit("memory/box/memory.limit_in_bytes") == str(60 << 20) and limit("pids/box/pids.max") == "70"
    # As engines send it: zero is "unchanged".
    everything = {"memory": {"limit": 0, "reservation": 0, "swap": 0, "kernel": 0}, "cpu": {"shares": 300, "quota": 0, "period": 0, "cpus": "", "mems": ""},
                  "blockIO": {"weight": 0}, "pids": {"limit": 0}}
    sleeping.ok("update", "-r", "-", "box", input=json.dumps(everything))
    assert limit("memory/box/memory.limit_in_bytes") == str(60 << 20) and limit("pids/box/pids.max") == "70" and limit("cpu/box/cpu.shares") == "300"


@needs_v1
def test_update_refuses_what_cannot_be(sleeping):
    before = limit("cpu/box/cpu.cfs_quota_us")
    for words in (["--memory", "lots"], ["--memory", "1"], ["--cpu-quota", "50"], ["--cpu-share", "x"]):
        assert sleeping("update", *words, "box").status == 1, words
    assert limit("cpu/box/cpu.cfs_quota_us") == before
    assert sleeping("update", "-r", "/nonexistent", "box").status == 1
    assert sleeping("update", "-r", "-", "box", input="{").status == 1
    stop(sleeping)
    refused = sleeping("update", "--pids-limit", "5", "box")
    assert refused.status == 1 and "container not running" in refused.all


@needs_v1
def test_update_is_remembered(sleeping):
    """A later update that fails restores what the first one set, not what config.json said."""
    if sleeping.name == "runc":
        pytest.skip("runc 1.1 forgets what an earlier update has set")
    sleeping.ok("update", "--cpu-quota", "40000", "--cpu-period", "100000", "box")
    assert sleeping("update", "--cpu-quota", "50000", "--pids-limit", "-1", "--cpuset-cpus", "4000", "box").status == 1
    assert sleeping("update", "--cpu-quota", "50000", "--memory", "1", "box").status == 1
    assert limit("cpu/box/cpu.cfs_quota_us") == "40000"


# --- events, features ---

@needs_v1
def test_events_stats_has_the_keys_of_runc(sleeping):
    event = json.loads(sleeping.ok("events", "--stats", "box").out)
    assert sorted(event) == ["data", "id", "type"] and event["type"] == "stats" and event["id"] == "box"
    data = event["data"]
    assert sorted(data) == ["blkio", "cpu", "cpuset", "hugetlb", "intel_rdt", "memory", "network_interfaces", "pids"]
    assert sorted(data["cpu"]["usage"]) == ["kernel", "percpu", "percpu_kernel", "percpu_user", "total", "user"]
    assert sorted(data["cpuset"]) == ["cpu_exclusive", "cpus", "mem_exclusive", "mem_hardwall", "memory_migrate", "memory_pressure", "memory_spread_page",
                                      "memory_spread_slab", "mems", "sched_load_balance", "sched_relax_domain_level"]
    assert data["memory"]["usage"]["usage"] > 0 and data["memory"]["raw"]["total_pgfault"] >= 0
    assert {"kernel", "kernelTCP", "raw", "swap", "usage"} <= set(data["memory"])
    assert data["pids"]["current"] >= 1 and data["network_interfaces"] is None
    assert data["cpuset"]["cpus"] == sorted(os.sched_getaffinity(0))


@needs_v1
def test_events_tells_of_the_oom_killer(runtime, bundle, tmp):
    bundle.config["linux"].update(cgroupsPath="/box", resources={"memory": {"limit": 20 << 20, "swap": 20 << 20}})
    bundle.script("sleep 100")
    assert runtime.launch("run", "--detach", "--bundle", bundle.path, "box").status == 0
    events = subprocess.Popen(runtime.command("events", "--interval", "100ms", "box"), stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(events.stdout.readline())["type"] == "stats"
        runtime("exec", "box", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=60M count=1")
        wait_for(lambda: json.loads(events.stdout.readline())["type"] == "oom", what="an event of type oom")
        runtime.ok("delete", "--force", "box")
        assert events.wait(10) == 0
    finally:
        events.kill()
        events.wait()


def test_events_wants_a_sensible_interval(sleeping):
    for interval in ("0s", "-1s"):
        refused = sleeping("events", "--interval", interval, "box")
        assert refused.status == 1 and "interval must be greater than 0" in refused.all


def test_features_names_what_the_runtime_can(runtime):
    features = json.loads(runtime.ok("features").out)
    assert features["ociVersionMin"] == "1.0.0"
    assert features["hooks"] == ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    assert {"rbind", "ro", "rro", "tmpcopyup", "rslave", "noatime"} <= set(features["mountOptions"])
    assert {"namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux"} <= set(features["linux"])
    assert {"SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"} <= set(features["linux"]["seccomp"]["actions"])
