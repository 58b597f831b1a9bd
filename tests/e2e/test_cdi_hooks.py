"""Hooks of CDI specifications: programs of the vendor's that run on the host, or before the container's own, at six points of its life."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import host_view
from tests.support.rawhttp import ApiError
from tests.support.waiting import wait_for

pytestmark = pytest.mark.bryo_only

ON_HOST = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
BEFORE = ["prestart", "createRuntime", "createContainer", "startContainer"]
DEVICE = {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["vendor.com/thing=x"]}]}


class Hooks:
    """One specification, and hook programs that note what they see. Those of the container's namespaces run as its root: everybody may write."""

    def __init__(self, directory):
        self.directory, self.log = directory, directory / "log"
        self.specs = directory / "specs"
        self.specs.mkdir()
        self.log.mkdir()
        self.log.chmod(0o777)
        directory.chmod(0o755)
        self.edits, self.device_edits = {}, {"env": ["X=x"]}

    def note(self, kind, tail="true", name=None, edits=None, **members):
        name = name or kind
        file = self.directory / f"hook-{name}"
        note = (f"cat > {self.log}/{name}.state; cp {self.log}/{name}.state {self.log}/{name}.last\n"
                f"(pwd; echo \"$*\"; tr '\\0' ' ' < /proc/self/environ; echo; ls /proc/self/fd | tr '\\n' ' '; echo; cat /proc/self/uid_map | tr -s ' \\n' ' '; echo) > {self.log}/{name}.text\n"
                f"echo {name} >> {self.log}/order\nchmod 666 {self.log}/order 2>/dev/null\n")
        file.write_text(f"#!/usr/bin/busybox sh\n{note}{tail}\n")
        file.chmod(0o755)
        self.add(kind, str(file), ["hook", "x y"], edits=edits, env=["A=b"], **members)

    def add(self, kind, path, args, edits=None, **members):
        (self.edits if edits is None else edits).setdefault("hooks", []).append({"hookName": kind, "path": path, "args": args, **members})
        self.save()

    def fail(self, kind, text="out of things", **members):
        self.add(kind, "/bin/sh", ["sh", "-c", f"echo first >&2; echo {text} >&2; exit 3"], **members)

    def save(self):
        (self.specs / "thing.json").write_text(json.dumps({"cdiVersion": "0.7.0", "kind": "vendor.com/thing", "containerEdits": self.edits,
                                                           "devices": [{"name": "x", "containerEdits": self.device_edits},
                                                                       {"name": "y", "containerEdits": {"env": ["Y=y"]}}]}))

    def clear(self):
        self.edits.clear()
        self.device_edits.pop("hooks", None)
        self.save()

    def state(self, name):
        return json.loads((self.log / f"{name}.last").read_text())

    def text(self, name):
        return (self.log / f"{name}.text").read_text().splitlines()

    def order(self):
        file = self.log / "order"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def hooks(tmp):
    return Hooks(tmp)


@pytest.fixture(params=["default", "remapped"])
def engine_with(request, make_daemon, hooks, etc):
    flags = []
    if request.param == "remapped":
        etc.user("dockremap", 165536)
        flags = ["--userns-remap=dockremap"]
    daemon = make_daemon("--cdi-spec-dir", str(hooks.specs), *flags).start()
    daemon.pull("busybox")
    return daemon


def bundles(daemon):
    directory = daemon.exec_root / "bundles"
    return os.listdir(directory) if directory.exists() else []


def wait_tidy(daemon):
    wait_for(lambda: not bundles(daemon), what="the bundle is removed")


def test_all_six_run_in_order_with_the_state_on_standard_input(engine_with, hooks):
    for kind in ON_HOST:
        hooks.note(kind)
    hooks.add("startContainer", "/bin/sh", ["sh", "-c", "cat > /start.state; (pwd; id -u) > /start.text"], env=["PATH=/bin"])
    container = engine_with.run("busybox", "sh", "-c", "cat /start.state; echo; cat /start.text", Labels={"a": "b"}, host_config=DEVICE)
    wait_tidy(engine_with)
    assert hooks.order() == ON_HOST
    start, *text = engine_with.output(container).splitlines()
    states = {kind: hooks.state(kind) for kind in ON_HOST} | {"startContainer": json.loads(start)}
    assert {kind: state["status"] for kind, state in states.items()} == {
        "prestart": "creating", "createRuntime": "creating", "createContainer": "creating", "startContainer": "created", "poststart": "running", "poststop": "stopped"}
    bundle = f"{engine_with.exec_root}/bundles/{container}"
    assert {(state["id"], state["bundle"], state["ociVersion"]) for state in states.values()} == {(container, bundle, "1.2.0")}
    assert states["prestart"]["pid"] == states["createRuntime"]["pid"] == states["poststart"]["pid"] > 1
    assert states["createContainer"]["pid"] == states["startContainer"]["pid"] == 1 and states["poststop"]["pid"] == 0
    assert text == ["/", "0"]


def test_hooks_get_their_own_environment_and_nothing_else(engine_with, hooks):
    """CVE-2025-23266: not the image's; and no descriptor of the monitor's."""
    for kind in ON_HOST:
        hooks.note(kind)
    engine_with.run("busybox", "true", Env=["LD_PRELOAD=/evil.so", "GCONV_PATH=/evil"], host_config=DEVICE)
    wait_tidy(engine_with)
    for kind in ON_HOST:
        cwd, arguments, environment, descriptors, uid_map = hooks.text(kind)
        assert (cwd, arguments) == ("/", "x y")
        assert environment.split() == ["A=b"]
        assert descriptors.split() == ["0", "1", "2", "3"], "3 is the directory that ls reads"


def test_runtime_hooks_are_the_engines_and_container_hooks_the_containers(engine_with, hooks):
    for kind in ON_HOST:
        hooks.note(kind)
    container = engine_with.run("busybox", "sleep", "100", wait=False, host_config=DEVICE)
    inside = Path(f"/proc/{engine_with.state(container)['Pid']}/uid_map").read_text().split()
    outside = Path(f"/proc/{monitor_of(engine_with, container)}/uid_map").read_text().split()
    engine_with.api.post(f"/containers/{container}/kill")
    wait_tidy(engine_with)
    maps = {kind: hooks.text(kind)[4].split() for kind in ON_HOST}
    if engine_with.engine.user:  # a map shows the ids of the reader's own namespace
        assert {len(maps[kind]) for kind in ON_HOST} == {6}
    else:
        assert [maps[kind] for kind in ON_HOST] == [outside, outside, inside, outside, outside]


# As nvidia-ctk's: where the root is says the bundle's config.json.
INTO_ROOT = r"""root=$(sed -n '/"root": {/,/}/s/.*"path": "\([^"]*\)".*/\1/p' $(sed -n 's/.*"bundle":"\([^"]*\)".*/\1/p' {state})/config.json)
echo from the hook > $root/made && mkdir $root/below && mount -t tmpfs none $root/below && touch $root/below/mounted && ls -ld $root"""


@pytest.mark.parametrize("userns", ["", "host"])
def test_a_hook_finds_the_root_by_the_bundle_and_may_mount_there(engine_with, hooks, userns):
    hooks.note("createContainer", INTO_ROOT.replace("{state}", f"{hooks.log}/createContainer.last"))
    container = engine_with.run("busybox", "sh", "-c", "cat /made; ls /below; grep -c ' /below tmpfs' /proc/mounts", host_config={**DEVICE, "UsernsMode": userns})
    assert engine_with.output(container).splitlines() == ["from the hook", "mounted", "1"]


def test_the_specifications_hooks_come_before_the_devices_and_once(engine_with, hooks):
    hooks.note("createRuntime", name="device", edits=hooks.device_edits)
    hooks.note("createRuntime", name="all")
    hooks.note("createRuntime", name="all2")
    engine_with.run("busybox", "true", host_config={"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["vendor.com/thing=y", "vendor.com/thing=x"]}]})
    assert hooks.order() == ["all", "all2", "device"]


@pytest.mark.parametrize("kind", BEFORE)
def test_a_hook_that_fails_before_the_start_ends_the_start(engine_with, hooks, kind):
    hooks.fail(kind)
    if kind != "startContainer":
        hooks.note(kind, name="after")
    hooks.note("poststop")
    with pytest.raises(ApiError) as error:
        engine_with.run("busybox", "true", name="box", host_config=DEVICE)
    assert error.value.status == 500
    assert re.search(rf"{kind} hook /bin/sh failed: exit status 3: first out of things$", error.value.message), error.value.message
    wait_tidy(engine_with)
    assert hooks.order() == ["poststop"] and hooks.state("poststop")["status"] == "stopped"
    state = engine_with.state("box")
    assert state["ExitCode"] == 128 and not state["Running"] and "out of things" in state["Error"]
    hooks.clear()
    engine_with.api.post("/containers/box/start")
    assert engine_with.api.post("/containers/box/wait")["StatusCode"] == 0


def test_a_missing_hook_is_named(engine_with, hooks):
    for kind in ("prestart", "createContainer"):
        hooks.clear()
        hooks.add(kind, "/none/such", ["x"])
        with pytest.raises(ApiError) as error:
            engine_with.run("busybox", "true", host_config=DEVICE)
        assert error.value.status >= 400 and "run hook /none/such" in error.value.message and "o such file" in error.value.message


@pytest.mark.parametrize("kind", BEFORE)
def test_a_hook_that_takes_too_long_is_ended_with_what_it_has_started(engine_with, hooks, kind):
    hooks.add(kind, "/bin/sh", ["sh", "-c", "echo waiting >&2; sleep 4711 & sleep 4711"], env=["PATH=/bin:/usr/bin"], timeout=1)
    with pytest.raises(ApiError) as error:
        engine_with.run("busybox", "true", host_config=DEVICE)
    assert f"{kind} hook /bin/sh did not end within 1 s: waiting" in error.value.message
    wait_tidy(engine_with)
    wait_for(lambda: subprocess.run(["pgrep", "-f", "^sleep 4711"], capture_output=True).returncode == 1, what="nothing of it is left")


@pytest.mark.parametrize("kind", ["poststart", "poststop"])
def test_a_hook_that_fails_afterwards_is_in_the_log(engine_with, hooks, kind):
    hooks.fail(kind)
    hooks.add(kind, "/none/such", [])
    hooks.add(kind, "/bin/sleep", ["sleep", "4712"], timeout=1)
    hooks.note(kind, name="after")
    container = engine_with.run("busybox", "true", host_config=DEVICE)
    assert engine_with.state(container)["ExitCode"] == 0
    wait_tidy(engine_with)
    assert hooks.order() == ["after"]
    for text in (f"{kind} hook /bin/sh failed: exit status 3: ", "run hook /none/such: No such file", f"{kind} hook /bin/sleep did not end within 1 s"):
        engine_with.wait_log(text)


def test_poststart_hooks_belong_to_the_start_and_hold_up_nothing(engine_with, hooks):
    """The program writes more than a pipe takes and ends meanwhile."""
    hooks.note("poststart", "sleep 1; echo done > " + str(hooks.log / "done"))
    container = engine_with.run("busybox", "sh", "-c", "head -c 300000 /dev/zero; exit 5", wait=False, host_config=DEVICE)
    assert (hooks.log / "done").exists()
    assert engine_with.api.post(f"/containers/{container}/wait")["StatusCode"] == 5


def test_a_slow_hook_does_not_make_an_attached_run_fail(engine_with, hooks, make_client):
    hooks.note("createRuntime", "sleep 11")
    assert make_client(engine_with, "bryo")("run", "--rm", "--device", "vendor.com/thing=x", "busybox", "echo", "well").out == "well\n"


def test_poststop_runs_after_a_kill_and_before_the_next_start(engine_with, hooks):
    hooks.note("prestart")
    hooks.note("poststop", "sleep 0.3")
    container = engine_with.run("busybox", "sleep", "1000", wait=False, host_config=DEVICE)
    engine_with.api.post(f"/containers/{container}/restart", t=0)
    engine_with.api.post(f"/containers/{container}/kill")
    engine_with.api.post(f"/containers/{container}/start")
    engine_with.api.delete(f"/containers/{container}", force=1)
    wait_tidy(engine_with)
    assert hooks.order() == ["prestart", "poststop"] * 3


def test_poststop_runs_at_each_end_that_the_restart_policy_undoes(engine_with, hooks):
    hooks.note("prestart")
    hooks.note("poststop")
    engine_with.run("busybox", "false", name="box", wait=False, host_config={**DEVICE, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}})
    wait_for(lambda: engine_with.state("box")["Status"] == "exited" and engine_with.inspect("box")["RestartCount"] == 2)
    wait_tidy(engine_with)
    assert hooks.order() == ["prestart", "poststop"] * 3


def test_poststop_runs_after_rm(engine_with, hooks, make_client):
    hooks.note("poststop")
    assert make_client(engine_with, "bryo")("run", "--rm", "--device", "vendor.com/thing=x", "busybox", "true").status == 0
    wait_for(lambda: hooks.order() == ["poststop"])
    wait_tidy(engine_with)


def monitor_of(daemon, container):
    return int(host_view.status(daemon.state(container)["Pid"])["PPid"])


def test_poststop_is_the_engines_when_the_monitor_is_killed(engine_with, hooks):
    hooks.note("poststop")
    hooks.fail("poststop")
    container = engine_with.run("busybox", "sleep", "1000", wait=False, host_config=DEVICE)
    os.kill(monitor_of(engine_with, container), signal.SIGKILL)
    wait_for(lambda: not engine_with.state(container)["Running"])
    wait_tidy(engine_with)
    assert hooks.order() == ["poststop"]
    state = hooks.state("poststop")
    assert (state["status"], state["id"], state["pid"]) == ("stopped", container, 0)
    engine_with.wait_log("poststop hook /bin/sh failed: exit status 3: ")


def test_poststop_is_the_monitors_while_there_is_no_engine(engine_with, hooks):
    hooks.note("poststop", "sleep 1")
    container = engine_with.run("busybox", "sleep", "1000", wait=False, host_config=DEVICE)
    init = engine_with.state(container)["Pid"]
    engine_with.kill9()
    os.kill(init, signal.SIGKILL)
    engine_with.start()  # while the hook is running
    assert not engine_with.state(container)["Running"]
    wait_tidy(engine_with)
    assert hooks.order() == ["poststop"]


def test_poststop_is_the_next_engines_when_both_were_killed(engine_with, hooks):
    hooks.note("poststop")
    container = engine_with.run("busybox", "sleep", "1000", wait=False, host_config=DEVICE)
    monitor = monitor_of(engine_with, container)
    engine_with.kill9()
    os.kill(monitor, signal.SIGKILL)
    assert bundles(engine_with) == [container] and hooks.order() == []
    engine_with.start()
    wait_tidy(engine_with)
    assert hooks.order() == ["poststop"]


def test_a_running_container_keeps_its_hooks_over_a_restart_of_the_engine(engine_with, hooks):
    hooks.note("poststop")
    container = engine_with.run("busybox", "sleep", "1000", wait=False, host_config=DEVICE)
    engine_with.kill9()
    engine_with.start()
    assert hooks.order() == [] and bundles(engine_with) == [container]
    engine_with.api.post(f"/containers/{container}/kill")
    wait_tidy(engine_with)
    assert hooks.order() == ["poststop"]


def test_containers_without_hooks_have_no_bundle(engine_with, hooks):
    hooks.save()
    for host in ({}, DEVICE):
        engine_with.run("busybox", "sleep", "1000", wait=False, host_config=host)
    assert bundles(engine_with) == []


def test_a_specification_that_others_may_write_is_not_used(engine_with, hooks):
    """What a hook is runs with the engine's rights: who may write its file is the engine's master."""
    hooks.note("createRuntime")
    file = hooks.specs / "thing.json"
    for path, mode, good in ((file, 0o666, 0o644), (hooks.specs, 0o777, 0o755)):
        path.chmod(mode)
        with pytest.raises(ApiError) as error:
            engine_with.run("busybox", "true", host_config=DEVICE)
        assert error.value.status == 400 and f"{path}: everybody may write it" in error.value.message
        path.chmod(good)
    engine_with.run("busybox", "true", host_config=DEVICE)
    assert hooks.order() == ["createRuntime"]
