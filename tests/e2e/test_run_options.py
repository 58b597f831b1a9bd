"""Every option of `docker run` that the labs' issue names: what it does inside the container."""

import json
import re
import resource
from pathlib import Path

import pytest

from tests.support import host_view
from tests.support.rawhttp import ApiError
from tests.support.waiting import wait_for


def run(docker, *arguments, **options):
    return docker("run", "--rm", *arguments, **options).out


def test_environment(docker):
    out = run(docker, "-e", "COLOUR=green", "-e", "EMPTY=", "-e", "WITH=a=b c", "busybox", "env")
    assert "COLOUR=green\n" in out and "EMPTY=\n" in out and "WITH=a=b c\n" in out
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n" in out
    assert "HOME=/root\n" in out and "HOSTNAME=" in out


def test_environment_file(docker, tmp):
    (tmp / "env").write_text("# comment\nONE=1\nTWO=a b\n")
    out = run(docker, "--env-file", tmp / "env", "busybox", "env")
    assert "ONE=1\n" in out and "TWO=a b\n" in out and "comment" not in out


def test_working_directory_is_made_when_missing(docker):
    assert run(docker, "-w", "/made/for/me", "busybox", "pwd") == "/made/for/me\n"


def test_entrypoint_replaces_the_images(docker):
    assert run(docker, "--entrypoint", "/bin/echo", "busybox", "hello", "there") == "hello there\n"


def test_image_configuration_is_taken_over(docker):
    docker("pull", "test/configured")
    assert run(docker, "test/configured") == "entry default\n"
    assert run(docker, "test/configured", "other") == "entry other\n"
    out = run(docker, "--entrypoint", "sh", "test/configured", "-c", "id -u; pwd; echo $COLOUR $PATH; cat /srv/data/seed; stat -c %u /srv/data")
    assert out == "1000\n/srv\ngreen /usr/bin:/bin\nfrom the image\n1000\n"


def test_hostname_and_domain(docker):
    out = run(docker, "--hostname", "mossy", "busybox", "sh", "-c", "hostname; cat /etc/hostname; grep mossy /etc/hosts")
    assert out.split()[:2] == ["mossy", "mossy"]
    assert "172.17." in out


def test_hostname_is_the_short_id_by_default(docker):
    container = docker("run", "-d", "busybox", "sleep", "60").out.strip()
    assert docker("exec", container, "hostname").out.strip() == container[:12]


@pytest.mark.parametrize("user,expected", [
    ("1000", "1000 1000 1000"), ("1000:33", "1000 33 33"), ("user", "1000 1000 1000 29"), ("user:mail", "1000 8 8"), ("0", "0 0 0"),
    ("4321", "4321 0 0"), ("4321:1234", "4321 1234 1234"), (":33", "0 33 33"), ("65534", "65534 65534 65534"),
])
def test_user(daemon, user, expected):
    """Names come from the image's /etc/passwd and group; supplementary groups too; the primary group is one of them (CVE-2022-36109)."""
    daemon.pull("busybox")
    container = daemon.run("busybox", "sh", "-c", "echo $(id -u) $(id -g) $(grep ^Groups: /proc/self/status | cut -f2)", User=user)
    words = daemon.output(container).split()
    assert words[:2] == expected.split()[:2]
    assert set(expected.split()[2:]) <= set(words[2:]) or user == "0"


@pytest.mark.parametrize("user", ["nobodyhere", "1000:nogrouphere", "-1", "4294967296", "99999999999"])
def test_user_that_does_not_exist_is_refused(daemon, user):
    """Numbers out of range are an error, never another user (CVE-2024-40635)."""
    daemon.pull("busybox")
    with pytest.raises(ApiError) as error:
        daemon.run("busybox", "id", User=user)
    assert error.value.status in (400, 500)


def test_groups_are_added(docker):
    out = run(docker, "--group-add", "mail", "--group-add", "4567", "busybox", "grep", "^Groups", "/proc/self/status")
    assert {"8", "4567"} <= set(out.split())


def test_read_only_root(docker):
    result = docker.run("run", "--rm", "--read-only", "busybox", "touch", "/x")
    assert result.status == 1 and "Read-only file system" in result.err
    assert run(docker, "--read-only", "--tmpfs", "/work", "busybox", "sh", "-c", "touch /work/x && echo written") == "written\n"


def test_tmpfs_with_options(docker):
    out = run(docker, "--tmpfs", "/work:size=1m,mode=700,noexec", "busybox", "sh", "-c", "grep ' /work ' /proc/mounts; stat -c %a /work")
    assert "tmpfs" in out and "size=1024k" in out and "noexec" in out and out.endswith("700\n")


def test_capabilities_added_and_dropped(daemon):
    daemon.pull("busybox")

    def effective(**host_config):
        container = daemon.run("busybox", "grep", "CapEff", "/proc/self/status", host_config=host_config)
        return int(daemon.output(container).split()[1], 16)

    default = effective()
    assert default == 0xA80425FB, f"Docker's default set, got {default:x}"
    assert effective(CapDrop=["ALL"]) == 0
    assert effective(CapDrop=["ALL"], CapAdd=["NET_BIND_SERVICE"]) == 1 << 10
    assert effective(CapAdd=["CAP_SYS_PTRACE"]) == default | 1 << 19
    assert effective(CapDrop=["mknod"]) == default & ~(1 << 27)


def test_an_unknown_capability_is_refused(daemon):
    daemon.pull("busybox")
    with pytest.raises(ApiError) as error:
        daemon.run("busybox", "true", host_config={"CapAdd": ["FLY"]})
    assert "FLY" in error.value.message and error.value.status == 400


def test_a_user_other_than_root_has_no_capabilities(daemon):
    """CVE-2022-24769: none are inheritable either."""
    daemon.pull("busybox")
    out = daemon.output(daemon.run("busybox", "grep", "Cap", "/proc/self/status", User="1000"))
    sets = {line.split()[0]: int(line.split()[1], 16) for line in out.splitlines()}
    assert sets["CapEff:"] == sets["CapPrm:"] == sets["CapInh:"] == sets["CapAmb:"] == 0


def test_ulimits(docker):
    assert run(docker, "--ulimit", "nofile=1000:2000", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn") == "1000\n2000\n"


@pytest.mark.bryo_only
def test_ulimits_above_what_the_engine_may_give_are_lowered_aloud(docker):
    """runc, and so dockerd, fails: the kernel refuses, to root too beyond fs.nr_open."""
    ran = docker("run", "--rm", "--ulimit", "nofile=2000000:1099511627776", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn")
    soft, hard = map(int, ran.out.split())
    assert soft == min(2000000, hard) and resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= hard <= int(Path("/proc/sys/fs/nr_open").read_text())
    assert f"the hard limit 1099511627776 is above {hard}" in ran.err, ran


@pytest.mark.bryo_only
def test_default_ulimits_above_what_the_engine_may_give_are_lowered_aloud(make_daemon):
    daemon = make_daemon("--default-ulimit", "nofile=2000000:1099511627776").start()
    daemon.pull("busybox")
    container = daemon.run("busybox", "sh", "-c", "ulimit -Hn; sleep 600", wait=False)
    hard = daemon.wait_output(container, "\n") and daemon.output(container).strip()
    assert daemon.exec(container, "sh", "-c", "ulimit -Hn") == (0, f"{hard}\n", "")
    daemon.wait_log(f"{container[:12]}: RLIMIT_NOFILE: the hard limit 1099511627776 is above {hard}")


def test_a_device_is_there_and_usable(docker):
    """/dev/fuse of the host, or /dev/full under another name."""
    out = run(docker, "--device", "/dev/full:/dev/nearlyfull", "busybox", "sh", "-c",
              "ls -l /dev/nearlyfull | cut -c1; echo x >/dev/nearlyfull || echo full")
    assert out.startswith("c\n") and "full" in out


def test_devices_that_were_not_given_cannot_be_opened(docker):
    """mknod is allowed by default, the device group still denies."""
    result = docker.run("run", "--rm", "busybox", "sh", "-c", "mknod /tmp/mem c 1 1 && cat /tmp/mem >/dev/null")
    assert result.status != 0 and "Operation not permitted" in result.err


def test_default_devices(docker):
    out = run(docker, "busybox", "sh", "-c", "cd /dev; ls -d null zero full random urandom tty ptmx pts shm mqueue fd stdin stdout stderr; cat null; head -c1 zero | wc -c")
    assert out.split()[-1] == "1"


def test_labels(docker, daemon):
    docker("run", "-d", "--name", "box", "--label", "colour=green", "--label", "plain", "busybox", "true")
    assert daemon.inspect("box")["Config"]["Labels"]["colour"] == "green"
    assert docker("ps", "-aq", "--filter", "label=colour=green").out and not docker("ps", "-aq", "--filter", "label=colour=red").out


def test_dns_options_make_resolv_conf(docker):
    out = run(docker, "--dns", "10.9.8.7", "--dns-search", "example.org", "--dns-option", "ndots:3", "busybox", "cat", "/etc/resolv.conf")
    assert "nameserver 10.9.8.7" in out and "search example.org" in out and "options ndots:3" in out


def test_extra_hosts(docker):
    assert "10.1.2.3" in run(docker, "--add-host", "mossy:10.1.2.3", "busybox", "grep", "mossy", "/etc/hosts")


@pytest.mark.needs_root("the host is 10.0.2.2")
def test_host_gateway(docker):
    out = run(docker, "--add-host", "host.docker.internal:host-gateway", "busybox", "grep", "host.docker.internal", "/etc/hosts")
    assert out.split()[0] == "172.17.0.1"


def test_names_are_unique(docker):
    docker("run", "-d", "--name", "box", "busybox", "true")
    result = docker.fails("run", "-d", "--name", "box", "busybox", "true", status=125)
    assert 'The container name "/box" is already in use by container' in result.err


def test_exit_code_is_the_processes(docker):
    assert docker.run("run", "--rm", "busybox", "sh", "-c", "exit 42").status == 42


def test_killed_by_a_signal_is_128_more(docker):
    assert docker.run("run", "--rm", "busybox", "sh", "-c", "kill -9 $$").status in (137, 0)  # pid 1 is immune to its own SIGKILL
    assert docker.run("run", "--rm", "--init", "busybox", "sh", "-c", "kill -9 $$").status == 137


def test_missing_command_is_127(docker):
    result = docker.fails("run", "--name", "box", "busybox", "/no/such/program", status=127)
    assert "/no/such/program" in result.err and "no such file or directory" in result.err


def test_missing_command_on_the_path_is_127(docker):
    result = docker.fails("run", "--rm", "busybox", "nosuchprogram", status=127)
    assert '"nosuchprogram"' in result.err and "executable file not found in $PATH" in result.err


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc"])
def test_not_executable_is_126(docker, target):
    result = docker.fails("run", "--rm", "busybox", target, status=126)
    assert "permission denied" in result.err.lower() or "is a directory" in result.err.lower()


def test_init_reaps(daemon):
    daemon.pull("busybox")
    container = daemon.run("busybox", "sh", "-c", "(sleep 0.01 &) ; sleep 60", wait=False, host_config={"Init": True})
    pid = daemon.state(container)["Pid"]
    assert host_view.command_line(pid)[0] in (b"/sbin/docker-init", b"/dev/init", b"/sbin/bryo-init", b"bryo-init")
    wait_for(lambda: not any(row[-1].startswith(("sleep 0.01", "[sleep]")) for row in daemon.api.get(f"/containers/{container}/top")["Processes"]))


@pytest.mark.needs_root("limits; cgroup v1 gives none")
def test_memory_limit_is_written_to_the_group(daemon):
    daemon.pull("busybox")
    container = daemon.run("busybox", "sleep", "60", wait=False, host_config={"Memory": 64 << 20, "PidsLimit": 17, "NanoCpus": 500_000_000,
                                                                             "CpuShares": 512, "CpusetCpus": "0"})
    group = cgroup_files(daemon.state(container)["Pid"])
    assert read(group, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert read(group, "pids", "pids.max", "pids.max") == "17"
    assert read(group, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    if "cpu" in group:
        assert read(group, "cpu", "cpu.shares", None) == "512"
        quota, period = read(group, "cpu", "cpu.cfs_quota_us", None), read(group, "cpu", "cpu.cfs_period_us", None)
        assert int(quota) * 2 == int(period)
    else:
        quota, period = read(group, "", None, "cpu.max").split()
        assert int(quota) * 2 == int(period)


def cgroup_files(pid):
    """{controller: directory} of a process; "" is the unified hierarchy."""
    from pathlib import Path

    found = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            for base in ((f"/sys/fs/cgroup/{controllers}", f"/sys/fs/cgroup/{name}") if controllers else
                         ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")):
                directory = Path(base + path)
                if directory.is_dir() and (directory / "cgroup.procs").exists():
                    found.setdefault(name, directory)
    return found


def read(group, controller, v1, v2):
    if controller in group and v1:
        return (group[controller] / v1).read_text().strip()
    return (group[""] / v2).read_text().strip()


@pytest.mark.needs_root("limits; cgroup v1 gives none")
def test_pids_limit_holds(daemon):
    daemon.pull("test/probe")
    out = daemon.output(daemon.run("test/probe", "probe", "fork", "50", host_config={"PidsLimit": 10}))
    assert out == "forked 9\n"


@pytest.mark.needs_root("limits; cgroup v1 gives none")
def test_memory_limit_holds_and_is_reported(daemon):
    daemon.pull("test/probe")
    container = daemon.run("test/probe", "probe", "hold", "200", host_config={"Memory": 32 << 20, "MemorySwap": 32 << 20})
    state = daemon.state(container)
    assert state["ExitCode"] == 137 and state["OOMKilled"] is True


def test_invalid_limits_are_refused(daemon):
    daemon.pull("busybox")
    for host_config, word in (({"Memory": 1024}, "memory limit"), ({"NanoCpus": -1}, "CPUs"), ({"CpusetCpus": "0-99999999"}, "cpu"),
                              ({"CpusetCpus": "x"}, "cpuset"), ({"Memory": 64 << 20, "MemorySwap": 32 << 20}, "memoryswap"),
                              ({"NanoCpus": 1_000_000_000_000}, "CPU")):
        with pytest.raises(ApiError) as error:
            daemon.api.post("/containers/create", {"Image": "busybox", "HostConfig": host_config})
        assert error.value.status in (400, 500) and word.lower() in error.value.message.lower(), (host_config, error.value.message)


def test_sysctls_of_the_containers_own_namespaces(docker):
    assert run(docker, "--sysctl", "net.ipv4.ip_local_port_range=20000 30000", "busybox", "cat", "/proc/sys/net/ipv4/ip_local_port_range"
               ).split() == ["20000", "30000"]


@pytest.mark.parametrize("name", ["kernel.core_pattern", "vm.swappiness", "net.ipv4/../../kernel/core_pattern"])
def test_sysctls_of_the_host_are_refused(daemon, name):
    """CVE-2022-0811."""
    daemon.pull("busybox")
    before = open("/proc/sys/kernel/core_pattern").read()
    with pytest.raises(ApiError):
        daemon.run("busybox", "true", host_config={"Sysctls": {name: "|/evil"}})
    assert open("/proc/sys/kernel/core_pattern").read() == before


def test_shm_size(docker):
    assert "size=8192k" in run(docker, "--shm-size", "8m", "busybox", "grep", "/dev/shm", "/proc/mounts")
    assert "size=65536k" in run(docker, "busybox", "grep", "/dev/shm", "/proc/mounts")


def test_privileged_sees_devices_and_all_capabilities(make_daemon):
    daemon = make_daemon().start()
    daemon.pull("busybox")
    try:
        container = daemon.run("busybox", "sh", "-c", "grep CapEff /proc/self/status; ls /dev | wc -l; mount -t tmpfs t /mnt 2>&1 || mkdir /m && mount -t tmpfs t /m && echo mounted",
                               host_config={"Privileged": True})
    except ApiError as error:
        if daemon.engine.is_bryo:
            raise
        pytest.skip(f"this dockerd cannot on this machine: {error}")
    out = daemon.output(container).split()
    assert int(out[1], 16) & (1 << 21) and "mounted" in out


def test_kernel_paths_are_masked_and_read_only(docker):
    script = ("for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug; do [ -e $f ] && head -c1 $f | wc -c; done; "
              "ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | grep -v ':$' | tr -d '\\n'; "
              "echo x 2>/dev/null >/proc/sysrq-trigger && echo open; echo x 2>/dev/null >/proc/sys/kernel/core_pattern && echo open; true")
    assert set(run(docker, "busybox", "sh", "-c", script).split()) <= {"0"}


def test_no_host_descriptors_leak_in(daemon):
    """CVE-2024-21626, CVE-2016-9962: exactly stdin, stdout and stderr, and a working directory inside."""
    daemon.pull("test/probe")
    out = daemon.output(daemon.run("test/probe", "probe", "status"))
    assert [line.split()[0] for line in out.splitlines() if line.startswith("fd")] == ["fd0", "fd1", "fd2"]
    assert "cwd /\n" in out
    assert re.search(r"^Seccomp 2$", out, re.M), "the default profile is on"


@pytest.mark.parametrize("number", range(3, 12))
def test_CVE_2024_21626_working_directory_through_a_descriptor(daemon, number):
    daemon.pull("busybox")
    try:
        container = daemon.run("busybox", "sh", "-c", "pwd; cat ../../../etc/hostname ../../../../../etc/shadow", WorkingDir=f"/proc/self/fd/{number}")
    except ApiError:
        return
    out = daemon.output(container)
    assert "(unreachable)" not in out and open("/etc/shadow").read() not in out


def test_annotations_and_labels_change_nothing(daemon):
    """Image and client metadata never drive the engine (CVE-2024-3154, CVE-2026-53488)."""
    daemon.pull("busybox")
    container = daemon.run("busybox", "cat", "/proc/self/status", host_config={"Annotations": {"run.oci.seccomp_fail_unknown_syscall": "1",
                                                                                            "org.systemd.property.ExecStart": "x"}},
                           Labels={"io.bryo.userns": "host", "io.kubernetes.cri.container-type": "sandbox"})
    assert "Seccomp:\t2" in daemon.output(container)


def test_no_new_privileges(docker):
    out = run(docker, "--security-opt", "no-new-privileges", "busybox", "grep", "NoNewPrivs", "/proc/self/status")
    assert out.split()[1] == "1"


def test_seccomp_profile_of_ones_own(docker, tmp):
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chmod", "fchmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO"}]}
    (tmp / "profile.json").write_text(json.dumps(profile))
    result = docker.run("run", "--rm", "--security-opt", f"seccomp={tmp}/profile.json", "busybox", "chmod", "600", "/etc/passwd")
    assert result.status == 1 and "Operation not permitted" in result.err
    assert "Seccomp:\t0" in run(docker, "--security-opt", "seccomp=unconfined", "busybox", "cat", "/proc/self/status")


def test_socket_families(daemon):
    daemon.pull("test/probe")
    shown = dict(line.split(" ", 1) for line in daemon.output(daemon.run("test/probe", "probe", "sockets")).splitlines())
    assert shown["inet"] == shown["inet6"] == shown["unix"] == shown["netlink"] == "yes"
    if daemon.engine.is_bryo:
        assert shown["vsock"] != "yes"
        assert shown["alg"] != "yes"  # CVE-2026-31431


def test_pid_namespace_of_another_container(docker):
    docker("run", "-d", "--name", "first", "busybox", "sleep", "1234")
    assert "sleep 1234" in run(docker, "--pid", "container:first", "busybox", "ps", "-ef")


def test_ipc_namespace_of_another_container(docker, daemon):
    docker("run", "-d", "--name", "first", "--ipc", "shareable", "busybox", "sh", "-c", "echo here >/dev/shm/note; exec sleep 60")
    assert wait_for(lambda: "here" in docker.run("run", "--rm", "--ipc", "container:first", "busybox", "cat", "/dev/shm/note").out)


def test_cidfile(docker, tmp):
    container = docker("run", "-d", "--cidfile", tmp / "cid", "busybox", "true").out.strip()
    assert (tmp / "cid").read_text() == container


def test_pull_policies(docker):
    docker.run("rmi", "-f", "hello-world")
    assert docker.fails("run", "--rm", "--pull=never", "hello-world", status=125)
    assert "Hello from Docker!" in docker("run", "--rm", "--pull=missing", "hello-world").out
    assert "Image is up to date" in docker("run", "--rm", "--pull=always", "hello-world").all


def test_stdin_of_a_run(docker):
    assert docker("run", "--rm", "-i", "busybox", "cat", input="through\n").out == "through\n"


def test_large_input_and_output(docker):
    data = bytes(range(256)) * 40000
    assert docker("run", "--rm", "-i", "busybox", "cat", input=data).out == data


def test_foreground_output_is_complete(docker):
    """The last line before exit is not lost: run many times."""
    for _ in range(5):
        out = run(docker, "busybox", "sh", "-c", "for i in $(seq 2000); do echo $i; done")
        assert out.splitlines()[-1] == "2000" and len(out.splitlines()) == 2000


def test_stdout_and_stderr_stay_apart(docker):
    result = docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (result.out, result.err) == ("out\n", "err\n")


def test_a_hundred_layers(docker):
    assert run(docker, "test/deep", "sh", "-c", "ls /deep | wc -l; cat /deep/last") == "101\n99\n"


def test_debian_with_whiteouts(docker):
    out = run(docker, "debian", "sh", "-c", "cat /etc/motd; ls /opt/old /opt; test -e /usr/share/doc || echo no doc; . /etc/os-release; echo $ID")
    assert out == "made with mmdebstrap\n/opt:\nold\n\n/opt/old:\nc\nno doc\ndebian\n"


def test_the_platform_is_chosen_from_an_index(docker):
    assert run(docker, "alpine", "cat", "/etc/architecture") == "amd64"


def test_seccomp_profile_of_the_daemon(make_daemon, make_client, tmp):
    (tmp / "profile.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO"}]}')
    docker = make_client(make_daemon(f"--seccomp-profile={tmp}/profile.json").start())
    assert "Operation not permitted" in docker.run("run", "--rm", "busybox", "chmod", "600", "/etc/passwd").err
    docker("run", "-d", "--name", "box", "busybox", "sleep", "600")
    assert "Operation not permitted" in docker.run("exec", "box", "chmod", "600", "/etc/passwd").err
    assert "Seccomp:\t0" in docker("run", "--rm", "--security-opt", "seccomp=unconfined", "busybox", "cat", "/proc/self/status").out


@pytest.mark.bryo_only
def test_a_seccomp_profile_of_the_daemon_that_is_not_there(make_daemon, tmp):
    status, log = make_daemon(f"--seccomp-profile={tmp}/nosuch.json").fails_to_start()
    assert status != 0 and "nosuch.json" in log
