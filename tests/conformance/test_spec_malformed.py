"""A config.json that cannot be: an error that names the field, and nothing was made."""

import json
import os
from pathlib import Path

import pytest

from tests.conformance.spec_bundle import Bundle, Runtime

DELETE = object()

# (path, value, what the error names)
CASES = [
    ("ociVersion", "2.0.0", "ociVersion"), ("ociVersion", 1, "ociVersion"), ("ociVersion", DELETE, "ociVersion"), ("ociVersion", "", "ociVersion"),
    ("root", DELETE, "root.path"), ("root.path", 5, "root.path"), ("root.path", "", "root.path"), ("root.path", "not/there", "root file system"),
    ("process", DELETE, "process"), ("process.args", [], "process.args"), ("process.args", ["a\0b"], "process.args"), ("process.cwd", "x", "process.cwd"),
    ("process.cwd", DELETE, "process.cwd"), ("process.env", ["A=\0"], "process.env"), ("process.user.uid", "0", "process.user.uid"),
    ("process.user.uid", -1, "process.user.uid"), ("process.user.uid", 4294967295, "process.user.uid"), ("process.user.gid", 4294967296, "process.user.gid"),
    ("process.user.additionalGids", [4294967295], "process.user.additionalGids"), ("process.oomScoreAdj", 1001, "process.oomScoreAdj"),
    ("process.rlimits", [{"type": "RLIMIT_X", "soft": 1, "hard": 1}], "process.rlimits"),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}], "process.rlimits"),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2, "process.rlimits"),
    ("process.capabilities", {"effective": ["CAP_CHOWN"]}, "process.capabilities.effective"),
    ("process.scheduler", {"policy": "SCHED_ISO"}, "process.scheduler.policy"), ("process.scheduler", {"policy": "SCHED_OTHER", "nice": 20}, "process.scheduler.nice"),
    ("process.scheduler", {"policy": "SCHED_FIFO", "priority": 0}, "process.scheduler.priority"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "runtime": 1}, "process.scheduler"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "flags": ["X"]}, "process.scheduler.flags"),
    ("process.ioPriority", {"class": "X", "priority": 1}, "process.ioPriority.class"),
    ("process.ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 8}, "process.ioPriority.priority"),
    ("process.selinuxLabel", "a:b:c:d", "process.selinuxLabel"), ("process.apparmorProfile", "x", "process.apparmorProfile"),
    ("mounts", [{"type": "tmpfs"}], "mounts[0].destination"), ("mounts", [{"destination": "/a"}], "mounts[0].type"),
    ("mounts", [{"destination": "/", "type": "tmpfs"}], "mounts[0].destination"), ("mounts", [{"destination": "/a", "type": "bind"}], "mounts[0].source"),
    ("mounts", [{"destination": "/a", "type": "bind", "source": "/not/there"}], "/not/there"),
    ("mounts", [{"destination": "/a", "type": "nosuchfs"}], "nosuchfs"), ("mounts", [{"destination": "/a", "type": "tmpfs", "options": ["frob=1"]}], "frob"),
    ("mounts", [{"destination": "/a", "type": "tmpfs", "options": ["idmap"]}], "mounts[0]"),
    ("mounts", [{"destination": "/a", "type": "bind", "source": "/tmp", "options": ["idmap"]}], "mounts[0]"),
    ("mounts", [{"destination": "/a", "type": "bind", "source": "/tmp", "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}], "mounts[0]"),
    ("mounts", [{"destination": "/a", "type": "bind", "source": "/tmp", "options": ["tmpcopyup"]}], "mounts[0].options"),
    ("mounts", [{"destination": "/proc/self", "type": "tmpfs"}], "mounts[0]"), ("mounts", [{"destination": "/a\0b", "type": "tmpfs"}], "mounts[0].destination"),
    ("linux", DELETE, "linux"), ("linux.namespaces", [], "linux.namespaces"), ("linux.namespaces", [{"type": "mount"}, {"type": "x"}], "linux.namespaces"),
    ("linux.namespaces", [{"type": "mount"}, {"type": "mount"}], "linux.namespaces"),
    ("linux.namespaces", [{"type": "mount"}, {"type": "network", "path": "/not/there"}], "/not/there"),
    ("linux.namespaces", [{"type": "mount"}, {"type": "network", "path": "/proc/self/ns/ipc"}], "/proc/self/ns/ipc"),
    ("linux.namespaces", [{"type": "mount"}, {"type": "user"}], "linux.uidMappings"),
    ("linux.uidMappings", [{"containerID": 0, "hostID": 1, "size": 1}], "linux.uidMappings"),
    ("linux.sysctl", {"kernel.core_pattern": "|x"}, "linux.sysctl"), ("linux.sysctl", {"net.ipv4.nope": "1"}, "net/ipv4/nope"),
    ("linux.devices", [{"path": "/dev/x", "type": "z"}], "linux.devices[0].type"), ("linux.devices", [{"path": "dev/x", "type": "c"}], "linux.devices[0].path"),
    ("linux.devices", [{"path": "/dev/x", "type": "c", "major": -1, "minor": 0}], "linux.devices[0]"),
    ("linux.rootfsPropagation", "sideways", "linux.rootfsPropagation"), ("linux.maskedPaths", ["x"], "linux.maskedPaths"),
    ("linux.readonlyPaths", ["x"], "linux.readonlyPaths"), ("linux.mountLabel", "a:b", "linux.mountLabel"), ("linux.personality", {"domain": "X"}, "linux.personality.domain"),
    ("linux.personality", {"domain": "LINUX", "flags": ["x"]}, "linux.personality.flags"), ("linux.timeOffsets", {"monotonic": {"secs": 1}}, "linux.timeOffsets"),
    ("linux.intelRdt", {"closID": "x"}, "linux.intelRdt"),
    ("linux.seccomp", {}, "linux.seccomp.defaultAction"), ("linux.seccomp", {"defaultAction": "SCMP_ACT_NOTIFY"}, "linux.seccomp.defaultAction"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}, "linux.seccomp.defaultAction"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X"]}, "linux.seccomp.architectures"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}, "linux.seccomp.flags"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]}, "linux.seccomp.syscalls"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}], "listenerPath": "/x"}, "linux.seccomp.syscalls"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}, "linux.seccomp.listenerMetadata"),
    ("linux.resources", {"devices": [{"allow": True, "type": "z"}]}, "linux.resources.devices"), ("linux.resources", {"memory": {"limit": "1"}}, "linux.resources.memory.limit"),
    ("linux.cgroupsPath", "/../x", "linux.cgroupsPath"), ("hostname", "a" * 100, "hostname"), ("hostname", "a\0b", "hostname"),
]

TEXTS = {"empty": b"", "half": b'{"ociVersion": "1.0.0", "process": {', "an array": b"[]", "not UTF-8": b'{"ociVersion": "1.0.0", "hostname": "\xff"}', "twice": b'{"ociVersion":"1.0.0","ociVersion":"1.0.1"}',
         "deep": b'{"a":' * 5000 + b"1" + b"}" * 5000, "rest": b'{"ociVersion":"1.0.0"} {"ociVersion":"1.0.0"}'}


def change(config, path, value):
    *parents, name = path.split(".")
    for parent in parents:
        config = config[parent]
    if value is DELETE:
        config.pop(name, None)
    else:
        config[name] = value


def traces(tmp):
    """Everything on this host that a container could have left."""
    cgroups = sorted(str(d) for d in Path("/sys/fs/cgroup").glob("*/*") if d.is_dir() and "case" in d.name)
    mounts = sorted(line.split(" ", 2)[2] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    processes = sorted(pid for pid in os.listdir("/proc") if pid.isdigit() and b"bryo-oci" in read(f"/proc/{pid}/cmdline"))
    return cgroups, mounts, processes, sorted(os.listdir(tmp / "state")) if (tmp / "state").exists() else []


def read(path):
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


@pytest.fixture
def bundle(tmp):
    (tmp / "b").mkdir()
    yield Bundle(tmp / "b")
    Runtime("bryo-oci", tmp / "state")("delete", "--force", "case")


def refused(tmp, bundle, named):
    runtime, before = Runtime("bryo-oci", tmp / "state"), traces(tmp)
    done = runtime("create", "--bundle", str(bundle.path), "case")
    output = done.stdout.decode(errors="replace")
    assert done.returncode == 1, output
    assert named in output
    assert "\0" not in output and len(output) < 2000
    assert traces(tmp) == before


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{path}-{i}" for i, (path, _, _) in enumerate(CASES)])
def test_malformed(tmp, bundle, number):
    path, value, named = CASES[number]
    change(bundle.config, path, value)
    bundle.save()
    refused(tmp, bundle, named)


@pytest.mark.parametrize("name", TEXTS)
def test_not_even_json(tmp, bundle, name):
    (bundle.path / "config.json").write_bytes(TEXTS[name])
    refused(tmp, bundle, "config.json")


def test_the_bundle_itself_is_fine(tmp, bundle):
    """So that each case above is refused for what it changes."""
    runtime = Runtime("bryo-oci", tmp / "state")
    status, output = runtime.run(bundle, "echo ran")
    assert (status, output) == (0, "ran\n"), json.dumps(bundle.config)
