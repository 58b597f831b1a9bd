"""The lab `docker daemon --userns-remap=bozo` with mprime0 and mprime1: shared/seeds/000, and what Bryo makes of its last sentence."""

import re
import stat

import pytest

from tests.support import host_view
from tests.support.rawhttp import ApiError
from tests.support.waiting import wait_for


@pytest.fixture
def bozo(make_daemon, etc):
    etc.user("bozo", 5000, 65536, uid=5000)
    return make_daemon("--userns-remap=bozo").start()


@pytest.fixture
def auto(make_daemon, etc):
    """An engine without a daemon-wide map, and ranges to give to containers."""
    etc.user("bryo", 1_000_000, 1_000_000)
    daemon = make_daemon().start()
    daemon.pull("pvnovarese/mprime")
    daemon.pull("busybox")
    return daemon


def uid_range(daemon, name):
    """(first host uid, count) of a running container, from the kernel."""
    lines = host_view.id_map(daemon.state(name)["Pid"])  # ids from 0 on, and perhaps one more line for nobody
    assert lines[0][0] == 0 and [inside for inside, _, _ in lines[1:]] in ([], [65534])
    start = min(outside for _, outside, _ in lines)
    count = sum(count for _, _, count in lines)
    assert max(outside + count for _, outside, count in lines) == start + count, "one piece of the host's ids"
    return start, count


def disjoint(a, b):
    return a[0] + a[1] <= b[0] or b[0] + b[1] <= a[0]


def test_the_log_names_the_user_of_the_ranges(bozo):
    assert "User namespaces: ID ranges will be mapped to subuid/subgid ranges of: bozo" in bozo.log_text()


def test_the_map_has_a_directory_of_its_own(bozo):
    directory = bozo.data_root / "5000.5000"
    assert directory.is_dir()
    assert stat.S_IMODE(directory.stat().st_mode) & 0o007 == 0
    assert stat.S_IMODE(bozo.data_root.stat().st_mode) & 0o066 == 0


@pytest.mark.parametrize("kind", ["debian", "current", "bryo"])
def test_two_containers_of_one_map_are_the_same_host_user(bozo, make_client, kind, request):
    """"Note processes in both containers are using the same UID." """
    if kind == "bryo" and not bozo.engine.is_bryo:
        pytest.skip("bryo's client with bryod only")
    docker = make_client(bozo, kind)
    out = docker("pull", "pvnovarese/mprime").out
    assert "Using default tag: latest" in out
    assert re.search(r"^[0-9a-f]{12}: Pull complete$", out, re.M)
    assert "Status: Downloaded newer image for pvnovarese/mprime:latest" in out
    for name in ("mprime0", "mprime1"):
        assert re.fullmatch(r"[0-9a-f]{64}\n", docker("run", "-d", f"--name={name}", "pvnovarese/mprime:latest").out)
    wait_for(lambda: len(host_view.ps_ef("/mprime -t")) == 2)
    assert {line.split()[0] for line in host_view.ps_ef("/mprime -t")} == {"bozo"}
    rows = docker("ps", "--format", "{{.Names}} {{.Image}} {{.Command}}").lines
    assert sorted(rows) == ['mprime0 pvnovarese/mprime:latest "/mprime -t"', 'mprime1 pvnovarese/mprime:latest "/mprime -t"']
    bozo.remove_containers()


@pytest.mark.needs_root("ranges of user bryo; test_rootless.py has the same for the caller's")
@pytest.mark.bryo_only
def test_auto_gives_each_container_a_range_of_its_own(auto):
    for name in ("mprime0", "mprime1"):
        auto.run("pvnovarese/mprime", name=name, wait=False, host_config={"UsernsMode": "auto"})
    first, second = uid_range(auto, "mprime0"), uid_range(auto, "mprime1")
    assert disjoint(first, second)
    for start, count in (first, second):
        assert 1_000_000 <= start and start + count <= 2_000_000
    assert host_view.uid(auto.state("mprime0")["Pid"]) == first[0]
    assert host_view.uid(auto.state("mprime1")["Pid"]) == second[0]


@pytest.mark.needs_root("ranges of user bryo")
@pytest.mark.bryo_only
def test_auto_through_our_own_client(auto, make_client):
    bryo = make_client(auto, "bryo")
    out = bryo("run", "--rm", "--userns=auto", "busybox", "cat", "/proc/self/uid_map").out.split()
    assert out[0] == "0" and int(out[1]) >= 1_000_000


@pytest.mark.bryo_only
def test_an_automatic_range_is_stable_across_stop_start_and_engine_restart(auto):
    auto.run("pvnovarese/mprime", name="mprime0", wait=False, host_config={"UsernsMode": "auto"})
    before = uid_range(auto, "mprime0")
    auto.api.post("/containers/mprime0/stop", t=0)
    auto.run("pvnovarese/mprime", name="mprime1", wait=False, host_config={"UsernsMode": "auto"})
    assert disjoint(before, uid_range(auto, "mprime1")), "a stopped container keeps its range"
    auto.api.post("/containers/mprime0/start")
    assert uid_range(auto, "mprime0") == before
    auto.restart()
    auto.api.post("/containers/mprime0/restart", t=0)
    assert uid_range(auto, "mprime0") == before


@pytest.mark.needs_root("ranges of user bryo")
@pytest.mark.bryo_only
def test_an_automatic_range_is_shown_by_inspect(auto):
    container = auto.run("busybox", "sleep", "60", wait=False, host_config={"UsernsMode": "auto:size=4096"})
    shown = auto.inspect(container)
    assert shown["HostConfig"]["UsernsMode"] == "auto:size=4096"
    assert shown["IdMaps"]["Mode"] == "auto"
    start, count = uid_range(auto, container)
    assert shown["IdMaps"]["Uid"].split() == ["0", str(start), str(count)]
    assert count == 4096


@pytest.mark.bryo_only
def test_a_size_that_the_image_does_not_need_is_not_spent(auto):
    """busybox here has ids up to 65534 (nobody): hello-world has only root, and its range is small."""
    auto.pull("hello-world")
    container = auto.api.post("/containers/create", {"Image": "hello-world", "HostConfig": {"UsernsMode": "auto"}})["Id"]
    assert int(auto.inspect(container)["IdMaps"]["Uid"].split()[2]) < 65536


@pytest.mark.bryo_only
@pytest.mark.needs_root("--userns=host is the engine's own map")
def test_auto_as_the_daemons_default(make_daemon, etc):
    etc.user("bryo", 1_000_000, 1_000_000)
    daemon = make_daemon("--userns=auto").start()
    daemon.pull("busybox")
    one = daemon.run("busybox", "sleep", "60", wait=False)
    two = daemon.run("busybox", "sleep", "60", wait=False)
    assert disjoint(uid_range(daemon, one), uid_range(daemon, two))
    opted_out = daemon.run("busybox", "sleep", "60", wait=False, host_config={"UsernsMode": "host"})
    assert host_view.id_map(daemon.state(opted_out)["Pid"]) == host_view.IDENTITY


@pytest.mark.needs_root("ranges of user containers")
@pytest.mark.bryo_only
def test_without_a_user_bryo_the_ranges_are_those_of_containers(make_daemon, etc):
    etc.remove_user("bryo")
    etc.ranges("containers", [(3_000_000, 200_000)])
    try:
        daemon = make_daemon().start()
        daemon.pull("busybox")
        container = daemon.run("busybox", "sleep", "60", wait=False, host_config={"UsernsMode": "auto"})
        assert 3_000_000 <= uid_range(daemon, container)[0] < 3_200_000
        daemon.close()
    finally:
        etc.ranges("containers", [])


@pytest.mark.needs_root("without ranges there is no engine")
@pytest.mark.bryo_only
def test_auto_without_any_range_is_an_error_that_says_what_to_add(make_daemon, etc):
    etc.remove_user("bryo")
    etc.ranges("containers", [])
    daemon = make_daemon().start()
    daemon.pull("busybox")
    with pytest.raises(ApiError) as error:
        daemon.run("busybox", "true", host_config={"UsernsMode": "auto"})
    assert "/etc/subuid" in error.value.message


@pytest.mark.bryo_only
def test_ranges_that_are_used_up_are_an_error_and_removal_gives_them_back(make_daemon, etc):
    etc.user("bryo", 1_000_000, 130_000)
    daemon = make_daemon().start()
    daemon.pull("busybox")
    auto = {"UsernsMode": "auto:size=65536"}
    daemon.run("busybox", "sleep", "60", name="one", wait=False, host_config=auto)
    with pytest.raises(ApiError) as error:
        daemon.run("busybox", "true", name="two", host_config=auto)
    assert "subuid" in error.value.message or "subordinate" in error.value.message
    assert [c["Names"] for c in daemon.api.get("/containers/json", all=1)] == [["/one"]], "the refused one is not kept"
    daemon.api.delete("/containers/one", force=1)
    daemon.run("busybox", "true", name="three", host_config=auto)


def test_userns_host_opts_out_of_the_daemons_map(bozo):
    bozo.pull("busybox")
    container = bozo.run("busybox", "sleep", "60", wait=False, host_config={"UsernsMode": "host"})
    assert host_view.id_map(bozo.state(container)["Pid"]) == host_view.IDENTITY
    assert host_view.uid(bozo.state(container)["Pid"]) == 0


@pytest.mark.bryo_only
@pytest.mark.parametrize("value", ["private", "auto:size=0", "auto:size=-1", "auto:size=x", "auto:sice=1", "keep"])
def test_a_wrong_userns_is_refused(bozo, value):
    bozo.pull("busybox")
    with pytest.raises(ApiError) as error:
        bozo.api.post("/containers/create", {"Image": "busybox", "HostConfig": {"UsernsMode": value}})
    assert error.value.status == 400


@pytest.mark.parametrize("host_config", [{"Privileged": True}, {"PidMode": "host"}, {"NetworkMode": "host"}, {"IpcMode": "host"}],
                         ids=["privileged", "pid", "net", "ipc"])
def test_host_namespaces_under_a_map_are_safe_or_refused(bozo, host_config):
    """Never root on the host without --userns=host: refused with Docker's words, or made to work inside the map."""
    bozo.pull("busybox")
    try:
        container = bozo.run("busybox", "sleep", "60", wait=False, host_config=host_config)
    except ApiError as error:
        assert error.status in (400, 409, 500)
        assert "user namespace" in error.message or not bozo.engine.is_bryo
        return
    assert host_view.id_map(bozo.state(container)["Pid"]) == [(0, 5000, 65536)]


@pytest.mark.needs_root("in its namespace the engine has them all")
@pytest.mark.bryo_only
def test_capabilities_that_the_engine_lacks_are_left_out(daemon):
    """CI machines often withhold some (CAP_SYS_RESOURCE): --cap-add=ALL still starts."""
    daemon.pull("busybox")
    container = daemon.run("busybox", "sleep", "60", wait=False, host_config={"CapAdd": ["ALL"]})
    mine = int(host_view.status("self")["CapBnd"], 16)
    theirs = int(host_view.status(daemon.state(container)["Pid"])["CapEff"], 16)
    assert theirs & ~mine == 0
    assert theirs & (1 << 21), "CAP_SYS_ADMIN was asked for"
