"""The lab `dockerd … --userns-remap=dockremap`, step by step: shared/seeds/001. Each test is one promise of the lab's text."""

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support import host_view
from tests.support.waiting import wait_for

REGISTRY = ["-d", "-p", "5000:5000"]


def registry_answers():
    import http.client

    try:
        connection = http.client.HTTPConnection("127.0.0.1", 5000, timeout=2)
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except OSError:
        return False


def forget(docker, *images):
    for image in images:
        docker.run("rmi", "-f", image)


@pytest.fixture
def userns(remapped, client_kind, tmp):
    """A client of the engine with --userns-remap=dockremap."""
    from tests.conftest import client_of

    return client_of(client_kind, remapped, tmp)


# --- dockerd --insecure-registry 127.0.0.1:5000 &


def test_daemon_says_what_it_does_in_dockerds_words(make_daemon):
    daemon = make_daemon().start()
    daemon.wait_log("Loading containers: start.")
    daemon.wait_log("Loading containers: done.")
    daemon.wait_log("Daemon has completed initialization")
    daemon.wait_log(f"API listen on {daemon.socket}")


def test_version_shows_client_and_server(docker):
    out = docker("version").out
    assert re.search(r"^Client", out, re.M) and re.search(r"^Server", out, re.M)
    assert "API version:" in out
    assert docker("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").out.strip() == "linux/amd64"


@pytest.mark.needs_root("cgroup v1 gives none")
def test_info_shows_the_drivers(docker):
    out = docker("info").out
    for line in ("Storage Driver: overlay2", "Cgroup Driver: cgroupfs", "Cgroup Version:", "Logging Driver: json-file", "Docker Root Dir:"):
        assert line in out
    assert "seccomp" in out


def test_images_and_ps_have_the_labs_columns(docker):
    assert docker("ps", "-a").lines[0].split() == "CONTAINER ID IMAGE COMMAND CREATED STATUS PORTS NAMES".split()
    assert docker("images").lines[0].split()[:2] in (["REPOSITORY", "TAG"], ["IMAGE", "ID"])


# --- docker run -d -p 5000:5000 --name=registry-standard registry:2


def test_run_pulls_what_is_missing_layer_by_layer(docker):
    forget(docker, "registry:2")
    result = docker("run", *REGISTRY, "--name=registry-standard", "registry:2")
    assert "Unable to find image 'registry:2' locally" in result.all
    assert "2: Pulling from library/registry" in result.all
    assert len(re.findall(r"^[0-9a-f]{12}: Pull complete$", result.all, re.M)) == 5
    assert re.search(r"^Digest: sha256:[0-9a-f]{64}$", result.all, re.M)
    assert "Status: Downloaded newer image for registry:2" in result.all
    assert re.fullmatch(r"[0-9a-f]{64}", result.out.splitlines()[-1])


def test_ps_shows_the_registry(docker):
    docker("run", *REGISTRY, "--name=registry-standard", "registry:2")
    out = docker("ps").out
    assert "registry-standard" in out
    assert '"/entrypoint.sh /etc' in out
    assert "0.0.0.0:5000->5000/tcp" in out
    assert re.search(r"Up (Less than a second|\d+ seconds?|About)", out)


def test_exec_ps_shows_pid_1_as_root(docker):
    docker("run", *REGISTRY, "--name=registry-standard", "registry:2")
    wait_for(registry_answers)
    lines = docker("exec", "registry-standard", "ps", "-ef").lines
    first = next(line.split() for line in lines[1:] if line.split()[0] == "1")
    assert first[1] == "root"
    assert first[-3:] == ["registry", "serve", "/etc/docker/registry/config.yml"]
    assert any(line.split()[1] == "root" and line.endswith("ps -ef") for line in lines[1:])


@pytest.mark.needs_root("the host's ids of an engine with root")
def test_without_a_map_the_host_sees_root(docker, daemon):
    docker("run", *REGISTRY, "--name=registry-standard", "registry:2")
    pid = daemon.state("registry-standard")["Pid"]
    wait_for(lambda: host_view.command_line(pid)[:2] == [b"registry", b"serve"])
    assert host_view.uid(pid) == 0
    assert host_view.id_map(pid) == host_view.IDENTITY
    assert any(line.split()[0] == "root" for line in host_view.ps_ef("registry serve /etc/docker/registry/config.yml"))


def test_stop_prints_the_name(docker, daemon):
    docker("run", *REGISTRY, "--name=registry-standard", "registry:2")
    assert docker("stop", "registry-standard").out == "registry-standard\n"
    assert daemon.state("registry-standard")["Status"] == "exited"


# --- docker run -d -p 5000:5000 --name registry-user -u 1000 registry:2


@pytest.mark.needs_root("the host's ids of an engine with root")
def test_user_1000_is_1000_inside_and_outside(docker, daemon):
    docker("run", *REGISTRY, "--name", "registry-user", "-u", "1000", "registry:2")
    wait_for(registry_answers)
    lines = docker("exec", "registry-user", "ps", "-ef").lines
    assert next(line.split() for line in lines[1:] if line.split()[0] == "1")[1] in ("1000", "user")
    assert host_view.uid(daemon.state("registry-user")["Pid"]) == 1000


def test_push_as_user_1000_fails_and_the_log_says_why(docker):
    """The registry cannot write its volume. A client retries for half a minute: the test ends it as the lab does, with Ctrl-C."""
    docker("run", *REGISTRY, "--name", "registry-user", "-u", "1000", "registry:2")
    docker("pull", "hello-world:latest")
    docker("tag", "hello-world:latest", "127.0.0.1:5000/hello:user")
    wait_for(registry_answers)
    with docker.terminal("push", "127.0.0.1:5000/hello:user") as terminal:
        terminal.expect(r"The push refers to (a )?repository \[127.0.0.1:5000/hello\]")
        wait_for(lambda: "permission denied" in docker("logs", "registry-user").all, 20)
        terminal.expect("Retrying in|denied|unknown|error", 20)
        terminal.type("\x03")
        assert terminal.wait() != 0
    assert "permission denied" in "".join(docker("logs", "registry-user").all.splitlines()[-2:])
    forget(docker, "127.0.0.1:5000/hello:user")


# --- dockerd --userns-remap=dockremap


def test_info_names_the_user_namespace(userns):
    assert re.search(r"^ +(name=)?userns", userns("info").out, re.M)


def test_log_names_the_map(make_daemon, etc):
    etc.user("dockremap", 165536)
    daemon = make_daemon("--userns-remap=dockremap").start()
    assert "User namespaces: ID ranges will be mapped to subuid/subgid ranges of: dockremap" in daemon.log_text()


@pytest.mark.needs_root("--userns-remap has a directory of its own")
def test_a_directory_named_for_the_map_is_closed_to_other_users(remapped):
    directory = remapped.data_root / "165536.165536"
    assert directory.is_dir()
    assert stat.S_IMODE(directory.stat().st_mode) & 0o007 == 0
    for name in ("containers", "network", "volumes"):
        assert (directory / name).is_dir(), name


@pytest.mark.needs_root("--userns-remap")
def test_containers_of_the_unmapped_engine_are_not_shown(make_daemon, make_client, etc):
    etc.user("dockremap", 165536)
    daemon = make_daemon().start()
    docker = make_client(daemon)
    docker("run", "--name", "unmapped", "busybox", "true")
    daemon.stop()
    daemon.flags.append("--userns-remap=dockremap")
    daemon.start()
    assert docker("ps", "-aq").out == ""
    daemon.stop()
    daemon.flags.remove("--userns-remap=dockremap")
    daemon.start()
    assert docker("ps", "-a", "--format", "{{.Names}}").lines == ["unmapped"]


@pytest.mark.needs_root("--userns-remap")
@pytest.mark.bryo_only
def test_images_are_all_still_there_under_every_map(make_daemon, make_client, etc):
    """One store, every map: the end of the lab's `docker images` with an empty list."""
    etc.user("dockremap", 165536)
    daemon = make_daemon().start()
    docker = make_client(daemon)
    docker("pull", "busybox")
    before = docker("images", "-q", "--no-trunc").lines
    disk = disk_usage(daemon.data_root)
    daemon.stop()
    daemon.flags.append("--userns-remap=dockremap")
    daemon.start()
    assert docker("images", "-q", "--no-trunc").lines == before
    assert docker("run", "--rm", "--pull=never", "busybox", "id", "-u").out == "0\n"
    assert disk_usage(daemon.data_root) < disk * 1.05 + 500_000, "starting under a new map copied layers"


@pytest.mark.needs_root("--userns-remap")
@pytest.mark.bryo_only
def test_containers_of_another_map_are_stopped_and_hold_nothing(make_daemon, make_client, etc):
    """As in the lab: nobody stopped registry-user, and its port and name are free under the map."""
    etc.user("dockremap", 165536)
    daemon = make_daemon().start()
    docker = make_client(daemon)
    docker("run", "-d", "-p", "5000:5000", "--name", "box", "busybox", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done")
    pid = daemon.state("box")["Pid"]
    daemon.stop()
    assert Path(f"/proc/{pid}").exists(), "containers outlive their engine"
    daemon.flags.append("--userns-remap=dockremap")
    daemon.start()
    assert not Path(f"/proc/{pid}").exists() and docker("ps", "-aq").out == ""
    docker("run", "--rm", "-p", "5000:5000", "--name", "box", "busybox", "true")
    daemon.stop()
    daemon.flags.remove("--userns-remap=dockremap")
    daemon.start()
    state = daemon.state("box")
    assert state["Status"] == "exited" and state["ExitCode"] == 7


@pytest.mark.bryo_only
def test_starting_under_a_map_changes_no_owner_in_the_layers(make_daemon, make_client, etc):
    etc.user("dockremap", 165536)
    daemon = make_daemon("--userns-remap=dockremap").start()
    docker = make_client(daemon)
    docker("run", "--name", "box", "busybox", "touch", "/made")
    lower = daemon.inspect("box")["GraphDriver"]["Data"]["LowerDir"].split(":")
    owners = {os.lstat(os.path.join(d, name)).st_uid for layer in lower for d, ds, fs in os.walk(layer) for name in ds + fs}
    assert max(owners) <= 65535, "layers keep the ids of their image"


@pytest.mark.needs_root("--userns-remap")
def test_isolated_images_are_empty_under_a_new_map_as_in_the_lab(make_daemon, make_client, etc, engine):
    etc.user("dockremap", 165536)
    extra = ["--image-store=isolated"] if engine.is_bryo else []
    daemon = make_daemon(*extra).start()
    docker = make_client(daemon)
    docker("pull", "busybox")
    daemon.stop()
    daemon.flags.append("--userns-remap=dockremap")
    daemon.start()
    assert docker("images", "-q").out == ""


def disk_usage(directory):
    return int(subprocess.run(["du", "-sB1", directory], capture_output=True, text=True, check=True).stdout.split()[0])


# --- docker run -d -p 5000:5000 --name=registry-userns registry:2


@pytest.mark.needs_root("the host's ids of --userns-remap")
def test_root_inside_is_165536_on_the_host(userns, remapped):
    userns("run", *REGISTRY, "--name=registry-userns", "registry:2")
    wait_for(registry_answers)
    lines = userns("exec", "registry-userns", "ps", "-ef").lines
    assert next(line.split() for line in lines[1:] if line.split()[0] == "1")[1] == "root"
    pid = remapped.state("registry-userns")["Pid"]
    assert host_view.uid(pid) == 165536
    assert host_view.gid(pid) == 165536
    assert host_view.id_map(pid) == [(0, 165536, 65536)]
    assert host_view.id_map(pid, "gid") == [(0, 165536, 65536)]
    assert any(line.split()[0] == "165536" for line in host_view.ps_ef("registry serve /etc/docker/registry/config.yml"))


@pytest.mark.needs_root("the host's ids of --userns-remap")
def test_exec_under_a_map_is_mapped_too(userns, remapped):
    userns("run", "-d", "--name", "box", "busybox", "sleep", "60")
    assert userns("exec", "box", "cat", "/proc/self/uid_map").out.split() == ["0", "165536", "65536"]
    userns("exec", "-d", "box", "sleep", "61")
    line = wait_for(lambda: host_view.ps_ef("sleep 61"))[0]
    assert line.split()[0] == "165536"


@pytest.mark.needs_root("the host's ids of --userns-remap")
def test_files_written_to_the_layer_belong_to_the_map_on_the_host(userns, remapped):
    userns("run", "--name", "box", "busybox", "sh", "-c", "touch /by-root; touch /by-user; chown 1000:1000 /by-user")
    upper = remapped.inspect("box")["GraphDriver"]["Data"]["UpperDir"]
    assert os.lstat(f"{upper}/by-root").st_uid == 165536
    assert os.lstat(f"{upper}/by-user").st_uid == 165536 + 1000


def test_files_in_a_volume_look_the_same_from_every_container_of_the_map(userns, remapped):
    userns("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "touch /data/by-root; touch /data/by-user; chown 1000 /data/by-user")
    out = userns("run", "--rm", "-v", "data:/data", "busybox", "stat", "-c", "%n %u", "/data/by-root", "/data/by-user").out
    assert out == "/data/by-root 0\n/data/by-user 1000\n"
    userns("volume", "rm", "data")


@pytest.mark.bryo_only
def test_a_volume_keeps_its_owners_when_the_map_changes(make_daemon, make_client, etc):
    """Volumes lie on disk with the ids that containers see: a new map needs no chown."""
    etc.user("dockremap", 165536)
    etc.user("other", 400000)
    daemon = make_daemon("--userns-remap=dockremap").start()
    docker = make_client(daemon)
    docker("run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "touch /data/by-root; touch /data/by-user; chown 1000 /data/by-user")
    mountpoint = docker("volume", "inspect", "-f", "{{.Mountpoint}}", "data").out.strip()
    assert os.lstat(f"{mountpoint}/by-root").st_uid == 0
    assert os.lstat(f"{mountpoint}/by-user").st_uid == 1000


def test_push_tag_rmi_pull_round_trip(userns, remapped):
    """The lab's real test: does the push work? And then back again, with a client of another project as witness."""
    userns("run", *REGISTRY, "--name=registry-userns", "registry:2")
    wait_for(registry_answers)
    userns("pull", "hello-world:latest")
    userns("tag", "hello-world:latest", "127.0.0.1:5000/hello:userns")
    out = userns("push", "127.0.0.1:5000/hello:userns").out
    assert "The push refers to repository [127.0.0.1:5000/hello]" in out
    assert re.search(r"^[0-9a-f]{12}: Pushed$", out, re.M)
    digest = re.search(r"^userns: digest: (sha256:[0-9a-f]{64}) size: \d+$", out, re.M).group(1)
    seen = subprocess.run(["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://127.0.0.1:5000/hello:userns"],
                          capture_output=True, text=True, check=True).stdout.strip()
    assert seen == digest
    userns("rmi", "127.0.0.1:5000/hello:userns", "hello-world:latest")
    out = userns("pull", "127.0.0.1:5000/hello:userns").out
    assert f"Digest: {digest}" in out
    assert "Hello from Docker!" in userns("run", "--rm", "127.0.0.1:5000/hello:userns").out
    userns("rmi", "127.0.0.1:5000/hello:userns")


@pytest.mark.needs_root("the host's ids of --userns-remap")
def test_what_the_registry_wrote_belongs_to_the_map(userns, remapped):
    """No file of a container's volume is owned by the host's root unless the engine documents id-mapped volumes (Bryo does)."""
    userns("run", *REGISTRY, "--name=registry-userns", "registry:2")
    wait_for(registry_answers)
    userns("pull", "hello-world:latest")
    userns("tag", "hello-world:latest", "127.0.0.1:5000/hello:owner")
    userns("push", "127.0.0.1:5000/hello:owner")
    assert userns("exec", "registry-userns", "stat", "-c", "%u", "/var/lib/registry/docker").out == "0\n"
    source = remapped.inspect("registry-userns")["Mounts"][0]["Source"]
    assert os.lstat(f"{source}/docker").st_uid == (0 if remapped.engine.is_bryo else 165536)
    userns("rmi", "127.0.0.1:5000/hello:owner")


# --- bozo


def test_a_live_users_range_of_10000_ids(make_daemon, make_client, etc):
    """`bozo:5000:10000`: the host shows the user's name. Smaller than 65536 is accepted, with a warning."""
    etc.user("bozo", 5000, 10000, uid=5000)
    daemon = make_daemon("--userns-remap=bozo").start()
    docker = make_client(daemon)
    docker("run", "-d", "--name", "clock", "pvnovarese/clock")
    pid = daemon.state("clock")["Pid"]
    assert host_view.user(pid) == "bozo"
    assert host_view.id_map(pid) == [(0, 5000, 10000)]
    assert any(line.split()[0] == "bozo" for line in host_view.ps_ef("while"))
    assert (daemon.data_root / "5000.5000").is_dir()
    wait_for(lambda: docker("logs", "clock").out)
    if daemon.engine.is_bryo:
        assert re.search(r"warn.*10000", daemon.log_text(), re.I)


@pytest.mark.parametrize("value", ["bozo", "bozo:bozo", "5000", "5000:5000", "bozo:5000"])
def test_the_remap_user_in_every_spelling(make_daemon, etc, value):
    etc.user("bozo", 5000, 65536, uid=5000)
    daemon = make_daemon(f"--userns-remap={value}").start()
    daemon.pull("busybox")
    container = daemon.run("busybox", "sleep", "60", wait=False)
    assert host_view.id_map(daemon.state(container)["Pid"]) == [(0, 5000, 65536)]


def test_default_creates_dockremap_and_its_ranges(make_daemon, etc):
    etc.remove_user("dockremap")
    daemon = make_daemon("--userns-remap=default").start()
    assert subprocess.run(["getent", "passwd", "dockremap"], stdout=subprocess.DEVNULL).returncode == 0
    with open("/etc/subuid") as file:
        line = next(line for line in file if line.startswith("dockremap:"))
    start, count = map(int, line.strip().split(":")[1:])
    assert count == 65536 and start >= 100000
    daemon.pull("busybox")
    container = daemon.run("busybox", "sleep", "60", wait=False)
    assert host_view.id_map(daemon.state(container)["Pid"]) == [(0, start, count)]
    etc.user("dockremap", 165536)


def test_several_ranges_of_one_user_are_used_in_file_order(make_daemon, etc):
    etc.user("several", 300000, 1000)
    etc.ranges("several", [(300000, 1000), (200000, 64536)])
    daemon = make_daemon("--userns-remap=several").start()
    daemon.pull("busybox")
    container = daemon.run("busybox", "sleep", "60", wait=False)
    assert host_view.id_map(daemon.state(container)["Pid"]) == [(0, 300000, 1000), (1000, 200000, 64536)]
    etc.remove_user("several")


def test_a_user_known_only_to_nss(make_daemon, etc):
    """Not in /etc/passwd, but getent knows it (here through libnss-extrausers, elsewhere LDAP or sssd)."""
    if not any(Path(d, "libnss_extrausers.so.2").exists() for d in ("/lib", "/lib/x86_64-linux-gnu")):
        pytest.skip("libnss-extrausers is not installed")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib/extrausers"], check=True)
    switch = Path("/etc/nsswitch.conf").read_text()
    try:
        Path("/var/lib/extrausers/passwd").write_text("remote:x:7000:7000::/:/bin/false\n")
        Path("/var/lib/extrausers/group").write_text("remote:x:7000:\n")
        etc.write("nsswitch.conf", re.sub(r"^(passwd|group):.*", r"\1: files extrausers", switch, flags=re.M))
        assert subprocess.run(["getent", "passwd", "remote"], capture_output=True, text=True).stdout.startswith("remote:x:7000")
        etc.ranges("remote", [(700000, 65536)])
        daemon = make_daemon("--userns-remap=remote").start()
        daemon.pull("busybox")
        container = daemon.run("busybox", "sleep", "60", wait=False)
        assert host_view.id_map(daemon.state(container)["Pid"]) == [(0, 700000, 65536)]
        daemon.close()
    finally:
        etc.write("nsswitch.conf", switch)
        etc.ranges("remote", [])
        subprocess.run(["umount", "/var/lib/extrausers"], check=True)


# --- bonus: DOCKER_OPTS and daemon.json


@pytest.mark.needs_root("--userns-remap")
def test_options_from_daemon_json(make_daemon, etc, tmp):
    etc.user("dockremap", 165536)
    file = tmp / "daemon.json"
    file.write_text('{"userns-remap": "dockremap", "insecure-registries": ["10.1.2.3:5000"], "labels": ["lab=1"], "debug": true}')
    daemon = make_daemon(f"--config-file={file}", mirror=False).start()
    info = daemon.api.get("/info")
    assert any("userns" in option for option in info["SecurityOptions"])
    assert "10.1.2.3:5000" in info["RegistryConfig"]["IndexConfigs"]
    assert info["Labels"] == ["lab=1"] and info["Debug"] is True


def test_a_flag_that_is_also_in_daemon_json_is_refused(make_daemon, tmp):
    file = tmp / "daemon.json"
    file.write_text('{"userns-remap": "dockremap"}')
    status, log = make_daemon(f"--config-file={file}", mirror=False).fails_to_start("--userns-remap=default")
    assert status != 0
    assert "the following directives are specified both as a flag and in the configuration file: userns-remap" in log


def test_an_unknown_key_in_daemon_json_is_refused_by_name(make_daemon, tmp):
    file = tmp / "daemon.json"
    file.write_text('{"no-such-key": 1}')
    status, log = make_daemon(f"--config-file={file}", mirror=False).fails_to_start()
    assert status != 0 and "no-such-key" in log


def test_malformed_daemon_json_is_refused(make_daemon, tmp):
    file = tmp / "daemon.json"
    file.write_text('{"debug": tru')
    status, log = make_daemon(f"--config-file={file}", mirror=False).fails_to_start()
    assert status != 0 and str(file) in log
