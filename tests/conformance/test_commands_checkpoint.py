"""checkpoint and restore: what CRIU is told, and what becomes of the container. A program of ours stands in for CRIU: it ends the tree, and
brings back a process of its own."""

import json
import os

import pytest

from tests.support.oci import Bundle, Runtime
from tests.support.waiting import wait_for

CRIU = r"""#!/usr/bin/python3
import json, os, signal, subprocess, sys, time
words = sys.argv[1:]
value = lambda name: words[words.index(name) + 1]
with open("%LOG%", "a") as log: log.write(json.dumps(words) + "\n")
if os.path.exists("%LOG%.fail"):
    with open(value("--work-dir") + "/" + value("--log-file"), "w") as out: out.write("(0.1) fine\n(0.1) Error (criu/util.c:642): exited, status=1\n(0.2) Error (criu/x.c:1): it is broken\n(0.3) Error (criu/cr-dump.c:2): Dumping FAILED.\n")
    sys.exit(1)
if words[0] == "dump" and "--leave-running" not in words: os.kill(int(value("--tree")), signal.SIGKILL)
if words[0] == "restore":
    with open("/proc/self/mountinfo") as mounts: assert value("--root") in [line.split()[4] for line in mounts], "the root is no mount"
    # As a restored tree does, it outlives us.
    child = subprocess.Popen(["/bin/sh", "-c", "exec sleep 0.2" if os.path.exists("%LOG%.short") else "exec sleep 100"], start_new_session=True)
    with open(value("--pidfile"), "w") as out: out.write(str(child.pid))
"""


@pytest.fixture
def runtime(tmp):
    (tmp / "criu").write_text(CRIU.replace("%LOG%", str(tmp / "log")))
    (tmp / "criu").chmod(0o755)
    found = Runtime("bryo-oci", tmp / "state", "--criu", tmp / "criu")
    yield found
    found.remove_all()


@pytest.fixture
def bundle(tmp):
    made = Bundle(tmp / "bundle")
    made.config["linux"].update(cgroupsPath="/box", maskedPaths=["/proc/kcore"])
    made.config["mounts"].append({"destination": "/etc/hosts", "source": "/etc/hosts", "type": "bind", "options": ["rbind"]})
    return made.script("sleep 100")


def start(runtime, bundle):
    made = runtime.launch("run", "--detach", "--bundle", bundle.path, "box")
    assert made.status == 0, str(made)


def told(tmp):
    return [json.loads(line) for line in (tmp / "log").read_text().splitlines()]


def pairs(words):
    return list(zip(words, words[1:]))


def mount_id(path):
    """Of the file system that a path is on, as /proc/self/mountinfo counts."""
    fd = os.open(path, os.O_PATH)
    try:
        return int(next(line for line in open(f"/proc/self/fdinfo/{fd}") if line.startswith("mnt_id")).split()[1])
    finally:
        os.close(fd)


def test_without_criu_it_says_so(either, bundle):
    if os.path.exists("/usr/sbin/criu"):
        pytest.skip("CRIU is installed here")
    start(either, bundle)
    for command in (["checkpoint", "box"], ["restore", "--bundle", bundle.path, "other"]):
        refused = either(*command)
        assert refused.status == 1 and "criu" in refused.all.lower(), str(refused)
    assert either.status("box") == "running"


def test_a_stopped_container_cannot_be_saved(either, bundle):
    start(either, bundle)
    either.ok("kill", "box", "KILL")
    wait_for(lambda: either.status("box") == "stopped")
    refused = either("checkpoint", "box")
    assert refused.status == 1 and "cannot be checkpointed in stopped state" in refused.all


def test_checkpoint_and_restore(runtime, bundle, tmp):
    start(runtime, bundle)
    pid = runtime.state("box")["pid"]
    runtime.ok("checkpoint", "--image-path", tmp / "images", "--tcp-established", "--file-locks", "--manage-cgroups-mode", "full", "box")
    [dump] = told(tmp)
    assert dump[0] == "dump" and ("--tree", str(pid)) in pairs(dump) and ("--images-dir", str(tmp / "images")) in pairs(dump)
    assert ("--external", "mnt[/etc/hosts]:/etc/hosts") in pairs(dump) and ("--external", "mnt[/proc/kcore]:/dev/null") in pairs(dump)
    assert {"--tcp-established", "--file-locks", "--manage-cgroups=full"} <= set(dump)
    assert os.stat(tmp / "images").st_mode & 0o777 == 0o700
    # Its output is a file of ours, which the restored one gets from whoever restores it.
    descriptors = json.loads((tmp / "images/descriptors.json").read_text())
    assert len(descriptors) == 3 and descriptors[1] == f"file[{mount_id(tmp):x}:{os.stat(tmp / 'output').st_ino:x}]" and ("--external", descriptors[1]) in pairs(dump)
    # Saved, it is gone.
    assert runtime("state", "box").status == 1 and not os.path.exists("/sys/fs/cgroup/pids/box")

    mounts = open("/proc/self/mounts").read()
    restored = runtime.launch("restore", "--detach", "--image-path", tmp / "images", "--bundle", bundle.path, "--pid-file", tmp / "pid", "box")
    assert restored.status == 0, str(restored)
    restore = told(tmp)[1]
    assert restore[0] == "restore" and "--restore-detached" in restore and ("--root", str(bundle.rootfs)) in pairs(restore)
    assert ("--external", "mnt[/dev/null]:/dev/null") in pairs(restore) and ("--cgroup-root", "/box") in pairs(restore)
    assert ("--inherit-fd", f"fd[1]:{descriptors[1]}") in pairs(restore)
    assert runtime.status("box") == "running" and (tmp / "pid").read_text() == str(runtime.state("box")["pid"])
    assert open("/proc/self/mounts").read() == mounts
    runtime.ok("delete", "--force", "box")
    assert not list(runtime.root.iterdir())


def test_restore_in_the_foreground_waits_for_the_end(runtime, bundle, tmp):
    start(runtime, bundle)
    runtime.ok("checkpoint", "--image-path", tmp / "images", "box")
    (tmp / "log.short").touch()
    assert runtime("restore", "--image-path", tmp / "images", "--bundle", bundle.path, "box").status == 0
    assert runtime("state", "box").status == 1


def test_leave_running_and_pre_dump(runtime, bundle, tmp):
    start(runtime, bundle)
    runtime.ok("checkpoint", "--image-path", tmp / "first", "--pre-dump", "box")
    runtime.ok("checkpoint", "--image-path", tmp / "images", "--parent-path", "../first", "--leave-running", "--page-server", "127.0.0.1:99", "box")
    before, dump = told(tmp)
    assert before[0] == "pre-dump" and "--track-mem" in before
    assert ("--prev-images-dir", "../first") in pairs(dump) and ("--address", "127.0.0.1") in pairs(dump) and ("--port", "99") in pairs(dump)
    assert runtime.status("box") == "running"


def test_a_failure_of_criu_is_told_with_its_first_error(runtime, bundle, tmp):
    start(runtime, bundle)
    (tmp / "log.fail").touch()
    failed = runtime("checkpoint", "--image-path", tmp / "images", "box")
    assert failed.status == 1 and "Error (criu/x.c:1): it is broken" in failed.err and "dump.log" in failed.err
    assert runtime.status("box") == "running"
    runtime.ok("delete", "--force", "box")
    failed = runtime("restore", "--image-path", tmp / "images", "--bundle", bundle.path, "box")
    assert failed.status == 1 and "it is broken" in failed.err
    assert runtime.ok("list", "-q").out == "" and not os.path.exists("/sys/fs/cgroup/pids/box")


def test_what_cannot_be_described_to_criu_is_refused(runtime, bundle, tmp):
    bundle.config["linux"]["namespaces"] = [entry for entry in bundle.config["linux"]["namespaces"] if entry["type"] != "network"] + [{"type": "network", "path": "/proc/self/ns/net"}]
    bundle.save()
    start(runtime, bundle)
    refused = runtime("checkpoint", "--image-path", tmp / "images", "box")
    assert refused.status == 1 and "joined /proc/self/ns/net" in refused.err and not (tmp / "images").exists()
