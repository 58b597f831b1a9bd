"""--userns-remap and the subordinate id files: wrong input is refused at start, by name and with what to do."""

import subprocess
from pathlib import Path

import pytest

from tests.support import host_view
from tests.support.rawhttp import ApiError


@pytest.fixture(autouse=True)
def restored():
    """The test host's files as they were."""
    files = [Path("/etc/subuid"), Path("/etc/subgid"), Path("/etc/passwd"), Path("/etc/group"), Path("/etc/shadow"), Path("/etc/gshadow")]
    before = {f: f.read_text() for f in files if f.exists()}
    yield
    for file, text in before.items():
        file.write_text(text)


def refused(make_daemon, value, *words):
    status, log = make_daemon(f"--userns-remap={value}").fails_to_start()
    assert status != 0
    for word in words:
        assert word in log, log
    return log


def test_an_unknown_user(make_daemon):
    refused(make_daemon, "nosuchuser", "nosuchuser")


def test_an_unknown_group(make_daemon, etc):
    etc.user("bozo", 5000, uid=5000)
    refused(make_daemon, "bozo:nosuchgroup", "nosuchgroup")


def test_an_unknown_number(make_daemon):
    refused(make_daemon, "54321", "54321")


@pytest.mark.bryo_only
@pytest.mark.parametrize("value", [":", "a:b:c", "-1", "4294967296", "0x10", "bozo:", ":bozo", "bo zo", "../x"])
def test_values_that_are_none(make_daemon, etc, value):
    etc.user("bozo", 5000, uid=5000)
    status, log = make_daemon(f"--userns-remap={value}").fails_to_start()
    assert status != 0 and "userns-remap" in log


def test_a_user_without_a_range(make_daemon, etc):
    etc.user("bozo", 5000, uid=5000)
    etc.ranges("bozo", [])
    log = refused(make_daemon, "bozo", "bozo")
    assert "subuid" in log or "subordinate" in log or "ranges" in log


@pytest.mark.bryo_only
def test_the_error_says_which_line_to_add(make_daemon, etc):
    etc.user("bozo", 5000, uid=5000)
    etc.ranges("bozo", [])
    refused(make_daemon, "bozo", "/etc/subuid", "bozo:")


def test_a_range_of_uids_without_one_of_gids(make_daemon, etc):
    etc.user("bozo", 5000, uid=5000)
    Path("/etc/subgid").write_text("other:1:1\n")
    log = refused(make_daemon, "bozo", "bozo")
    assert "subgid" in log or "gid" in log.lower()


@pytest.mark.bryo_only
@pytest.mark.parametrize("line", ["bozo:x:65536", "bozo:100000", "bozo:100000:", "bozo:-1:65536", "bozo:100000:-5", "bozo:4294967290:65536", "bozo:99999999999:65536",
                                  "bozo:100000:0", "bozo:1e5:65536"])
def test_malformed_lines_of_the_user(make_daemon, etc, line):
    etc.user("bozo", 5000, uid=5000)
    for file in ("/etc/subuid", "/etc/subgid"):
        Path(file).write_text(line + "\n")
    status, log = make_daemon("--userns-remap=bozo").fails_to_start()
    assert status != 0 and "/etc/subuid" in log and "bozo" in log


@pytest.mark.parametrize("junk", ["", "# a comment", "garbage", ":::", "someone:x:y", "a:1:2:3"])
def test_lines_of_others_do_no_harm(make_daemon, etc, junk):
    etc.user("bozo", 5000, uid=5000)
    if junk in ("garbage", "someone:x:y", ":::", "a:1:2:3") and make_daemon().engine.name == "dockerd":
        pytest.skip("dockerd stops at malformed lines of others")
    for file in ("/etc/subuid", "/etc/subgid"):
        Path(file).write_text(f"{junk}\nbozo:200000:65536\n\n")
    daemon = make_daemon("--userns-remap=bozo").start()
    daemon.pull("busybox")
    assert host_view.id_map(daemon.state(daemon.run("busybox", "sleep", "60", wait=False))["Pid"]) == [(0, 200000, 65536)]


@pytest.mark.bryo_only
def test_overlapping_ranges_of_one_user_are_refused(make_daemon, etc):
    etc.user("bozo", 5000, uid=5000)
    etc.ranges("bozo", [(200000, 65536), (230000, 65536)])
    refused(make_daemon, "bozo", "/etc/subuid", "overlap")


@pytest.mark.bryo_only
def test_overlap_with_another_user_is_a_warning(make_daemon, etc):
    etc.user("bozo", 5000, uid=5000)
    etc.ranges("bozo", [(200000, 65536)])
    with open("/etc/subuid", "a") as file:
        file.write("other:230000:65536\n")
    daemon = make_daemon("--userns-remap=bozo").start()
    assert "overlap" in daemon.log_text() and "other" in daemon.log_text()


@pytest.mark.bryo_only
def test_a_range_that_holds_the_hosts_root_is_refused(make_daemon, etc):
    """Container root mapped to host uid 0 where a mapping was asked for is a refusal."""
    etc.user("bozo", 5000, uid=5000)
    etc.ranges("bozo", [(0, 65536)])
    refused(make_daemon, "bozo", "/etc/subuid")


def test_an_image_that_needs_more_ids_than_the_range_has(make_daemon, etc):
    """10000 ids, and a file that belongs to 20000: the error names the number."""
    etc.user("bozo", 5000, 10000, uid=5000)
    daemon = make_daemon("--userns-remap=bozo").start()
    error = ""
    try:
        objects = daemon.pull("test/high-uid")
        error = " ".join(o["errorDetail"]["message"] for o in objects if "errorDetail" in o)
        if not error:
            daemon.run("test/high-uid", "true")
    except ApiError as refusal:
        error = refusal.message
    assert error
    if daemon.engine.is_bryo:
        assert "20000" in error
    daemon.pull("busybox")  # whose nobody has no file


def test_a_smaller_range_is_enough_for_images_that_need_less(make_daemon, etc):
    etc.user("bozo", 5000, 10000, uid=5000)
    daemon = make_daemon("--userns-remap=bozo").start()
    daemon.pull("busybox")
    container = daemon.run("busybox", "sleep", "60", wait=False)
    assert host_view.id_map(daemon.state(container)["Pid"]) == [(0, 5000, 10000)]


def test_a_user_that_the_map_does_not_hold(make_daemon, etc):
    etc.user("bozo", 5000, 10000, uid=5000)
    daemon = make_daemon("--userns-remap=bozo").start()
    daemon.pull("busybox")
    with pytest.raises(ApiError) as error:
        daemon.run("busybox", "id", User="65534")
    assert "65534" in error.value.message or not daemon.engine.is_bryo


@pytest.mark.bryo_only
def test_without_cap_sys_admin_it_says_what_is_missing(make_daemon):
    daemon = make_daemon()
    with open(daemon.log, "ab") as log:
        command = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *daemon.arguments()]
        status = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=30).returncode
    assert status != 0
    assert "CAP_SYS_ADMIN" in daemon.log_text()


def test_as_an_ordinary_user_it_says_what_to_do(make_daemon, tmp):
    daemon = make_daemon(directory=Path("/var/tmp") / f"bryo-user-{tmp.name}")
    daemon.directory.chmod(0o777)
    result = subprocess.run(["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", *daemon.arguments()], capture_output=True, text=True, timeout=30)
    assert result.returncode != 0
    assert "subordinate" in result.stderr and "usermod --add-subuids" in result.stderr
