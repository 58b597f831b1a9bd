"""--systemd-cgroup with a real systemd: what becomes of the unit."""

import subprocess

from tests.support.waiting import wait_for
from tests.vm.inside.conftest import CGROUPS, cgroup_of, sh, unit, wait_stopped

MEGABYTE = 1 << 20


def is_gone(name):
    return unit(name, "LoadState")["LoadState"] == "not-found"


def test_a_scope_is_made_with_the_limits_and_goes_away(systemd, bundle, start):
    bundle.config["linux"]["resources"] = {"memory": {"limit": 64 * MEGABYTE, "reservation": 16 * MEGABYTE, "swap": 96 * MEGABYTE}, "pids": {"limit": 17},
                                           "cpu": {"shares": 1024, "quota": 25000, "period": 50000, "cpus": "0", "mems": "0"}, "blockIO": {"weight": 100}}
    bundle.run("sleep", "100")
    pid = start(systemd)
    seen = unit("bryo-box.scope", "ActiveState", "Slice", "Delegate", "Description", "MemoryMax", "MemoryLow", "MemorySwapMax", "TasksMax", "CPUWeight", "CPUQuotaPerSecUSec",
                "CPUQuotaPeriodUSec", "AllowedCPUs", "AllowedMemoryNodes", "IOWeight", "ControlGroup", "MemoryAccounting")
    assert seen == {"ActiveState": "active", "Slice": "system.slice", "Delegate": "yes", "Description": "Bryo container box", "MemoryMax": str(64 * MEGABYTE),
                    "MemoryLow": str(16 * MEGABYTE), "MemorySwapMax": str(32 * MEGABYTE), "TasksMax": "17", "CPUWeight": "100", "CPUQuotaPerSecUSec": "500ms",
                    "CPUQuotaPeriodUSec": "50ms", "AllowedCPUs": "0", "AllowedMemoryNodes": "0", "IOWeight": seen["IOWeight"], "ControlGroup": "/system.slice/bryo-box.scope",
                    "MemoryAccounting": "yes"}
    assert int(seen["IOWeight"]) > 0
    assert cgroup_of(pid) == CGROUPS / "system.slice/bryo-box.scope"
    assert (cgroup_of(pid) / "cpu.max").read_text() == "25000 50000\n"
    assert systemd.ok("exec", "box", "cat", "/proc/self/cgroup").out.startswith("0::/")
    systemd.ok("delete", "--force", "box")
    assert is_gone("bryo-box.scope") and not (CGROUPS / "system.slice/bryo-box.scope").exists()


def test_slice_prefix_and_name(systemd, bundle, start):
    bundle.config["linux"]["cgroupsPath"] = "bryo-tests.slice:pod:thing"
    bundle.run("sleep", "100")
    pid = start(systemd)
    assert cgroup_of(pid) == CGROUPS / "bryo.slice/bryo-tests.slice/pod-thing.scope"
    assert unit("pod-thing.scope", "Slice", "ActiveState") == {"Slice": "bryo-tests.slice", "ActiveState": "active"}
    assert str(pid) in sh("systemctl", "status", "pod-thing.scope")
    systemd.ok("kill", "box", "KILL")
    wait_stopped(systemd)
    systemd.ok("delete", "box")
    assert is_gone("pod-thing.scope")


def test_the_end_of_the_scope_is_the_end_of_the_container(systemd, bundle, start):
    bundle.script("trap exit TERM; while :; do sleep 0.1; done")
    start(systemd)
    sh("systemctl", "stop", "bryo-box.scope")
    wait_stopped(systemd)
    systemd.ok("delete", "box")


def test_a_unit_of_the_same_name_is_left_alone(systemd, bundle):
    subprocess.run(["systemd-run", "--scope", "--quiet", "--unit", "bryo-box", "true"], check=True)
    other = subprocess.Popen(["systemd-run", "--scope", "--quiet", "--unit", "bryo-box", "sleep", "100"])
    try:
        wait_for(lambda: unit("bryo-box.scope", "ActiveState")["ActiveState"] == "active")
        refused = systemd("run", "--bundle", bundle.path, "box")
        assert refused.status == 1 and "bryo-box.scope" in refused.err or "not empty" in refused.err, refused
        assert other.poll() is None and systemd("state", "box").status == 1
    finally:
        other.kill()
        other.wait()


def test_annotations_are_properties_of_the_unit(systemd, bundle, start):
    bundle.config["annotations"] = {"org.systemd.property.TimeoutStopUSec": "uint64 123000000", "org.systemd.property.CollectMode": "'inactive-or-failed'",
                                    "org.systemd.property.After": "['basic.target', 'dbus.service']", "org.systemd.property.RuntimeMaxSec": "double 0.5e3",
                                    "org.systemd.property.Description": '"mine, with \'quotes\'"', "org.systemd.property.IODeviceWeight": "@a(st) []",
                                    "org.systemd.property.MemoryLow": "@t 4194304", "org.systemd.property.SendSIGHUP": "true", "other": "not ours"}
    bundle.run("sleep", "100")
    start(systemd)
    seen = unit("bryo-box.scope", "TimeoutStopUSec", "CollectMode", "After", "RuntimeMaxUSec", "Description", "MemoryLow", "SendSIGHUP")
    assert {"basic.target", "dbus.service"} <= set(seen.pop("After").split())
    assert seen == {"TimeoutStopUSec": "2min 3s", "CollectMode": "inactive-or-failed", "RuntimeMaxUSec": "8min 20s", "Description": "mine, with 'quotes'",
                    "MemoryLow": str(4 * MEGABYTE), "SendSIGHUP": "yes"}


def test_annotations_that_systemd_does_not_know_are_told(systemd, bundle):
    bundle.config["annotations"] = {"org.systemd.property.NoSuchProperty": "true"}
    bundle.save()
    refused = systemd("run", "--bundle", bundle.path, "box")
    assert refused.status == 1 and "NoSuchProperty" in refused.err, refused
    assert systemd("state", "box").status == 1 and is_gone("bryo-box.scope")
