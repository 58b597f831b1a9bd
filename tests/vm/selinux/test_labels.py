"""bryo-oci's process.selinuxLabel and linux.mountLabel, under an enforcing policy with types for containers."""

import os
from pathlib import Path

import pytest

from tests.vm.people import sh

PROCESS = "system_u:system_r:container_t:s0:c1,c2"
FILES = "system_u:object_r:container_file_t:s0:c1,c2"


def context(path):
    return os.getxattr(path, "security.selinux").rstrip(b"\0").decode()


@pytest.fixture
def box(bundle):
    """The bundle with both labels, its files labelled as an engine does it."""
    bundle.config["linux"]["mountLabel"] = FILES
    bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
    bundle.run("true", selinuxLabel=PROCESS)
    sh("chcon", "-R", FILES, bundle.rootfs)
    return bundle


def current(pid):
    return Path(f"/proc/{pid}/attr/current").read_text().rstrip("\0\n")


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_process_and_its_file_systems_have_their_labels(runtime, box, no_new_privileges):
    box.script("cat /proc/self/attr/current; echo; touch /tmp/mine /new; exec sleep 100", selinuxLabel=PROCESS, noNewPrivileges=no_new_privileges)
    launched = runtime.launch("run", "--detach", "--bundle", box.path, "box")
    assert launched.status == 0, launched
    pid = runtime.state("box")["pid"]
    assert current(pid) == PROCESS
    inside = Path(f"/proc/{pid}/root")
    for name in ("dev", "dev/null", "dev/pts", "dev/pts/ptmx", "tmp", "bin/busybox"):
        assert context(inside / name) == FILES, name
    # A process that joins has the same.
    ran = runtime.ok("exec", "box", "cat", "/proc/self/attr/current")
    assert ran.out.rstrip("\0\n") == PROCESS


def test_exec_with_a_label_of_its_own(runtime, box):
    box.run("sleep", "100", selinuxLabel=PROCESS)
    assert runtime.launch("run", "--detach", "--bundle", box.path, "box").status == 0
    other = PROCESS.replace("c1,c2", "c1.c3")
    ran = runtime.ok("exec", "--process-label", other, "box", "cat", "/proc/self/attr/current")
    assert ran.out.rstrip("\0\n") == other


def test_the_label_confines(runtime, box):
    """What the container can see of another container's, by its mounts: refused by category, and by type."""
    for name, label in (("other", FILES.replace("c1,c2", "c3,c4")), ("shadow", "system_u:object_r:shadow_t:s0"), ("own", FILES)):
        file = box.path / name
        file.write_text(f"secret {name}\n")
        sh("chcon", label, file)
        box.config["mounts"].append({"destination": f"/{name}", "type": "bind", "source": str(file), "options": ["bind"]})
    box.script("cat /own; cat /other; cat /shadow; true", selinuxLabel=PROCESS)
    ran = runtime("run", "--bundle", box.path, "box")
    assert ran.out == "secret own\n" and ran.err.count("Permission denied") == 2, ran


MALFORMED = ["container_t", "system_u:system_r:no_such_type_t:s0", "system_u:system_r:container_t:s0:c2000", "system_u:system_r:container_t:s0\n", "x" * 5000]


@pytest.mark.parametrize("label", MALFORMED, ids=lambda text: text[:50].strip())
@pytest.mark.parametrize("field", ["selinuxLabel", "mountLabel"])
def test_a_malformed_label_is_told_and_nothing_is_left(runtime, box, field, label):
    if field == "mountLabel":
        box.config["linux"][field] = label
    box.run("true", selinuxLabel=label if field == "selinuxLabel" else PROCESS)
    before = Path("/proc/self/mountinfo").read_text()
    refused = runtime("run", "--bundle", box.path, "box")
    assert refused.status == 1 and f"{field}: this host's SELinux policy knows no \"{label[:20].strip()}" in refused.err, refused
    assert runtime("state", "box").status == 1
    assert not list(Path("/sys/fs/cgroup").glob("**/*box*")) and Path("/proc/self/mountinfo").read_text() == before


def test_a_label_that_the_policy_lets_nobody_take_is_told(runtime, box):
    label = "system_u:system_r:syslogd_t:s0"
    box.run("true", selinuxLabel=label)
    refused = runtime("run", "--bundle", box.path, "box")
    assert refused.status == 126 and f"under the SELinux label {label} (what the policy refused: ausearch -m avc)" in refused.err, refused
    assert runtime("state", "box").status == 1
