"""An ordinary user unpacks the archive of ./package.sh, installs Bryo below $HOME, runs a container, and takes everything back."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support import users
from tests.support.daemon import BIN, REPO
from tests.support.waiting import wait_for

pytestmark = pytest.mark.bryo_only
PROGRAMS = {"bryo", "bryod", "bryo-host", "bryo-init", "bryo-monitor", "bryo-oci", "bryo-rootless", "bryo-usernet"}


def package(directory):
    subprocess.run([REPO / "package.sh", directory], check=True, env={**os.environ, "BRYO_BIN_DIR": str(BIN)}, stdout=subprocess.DEVNULL)
    return sorted(directory.iterdir())


@pytest.fixture(scope="module")
def packages(scratch):
    directory = scratch / "dist"
    directory.mkdir()
    return {file.name.rsplit(".", 1)[-1]: file for file in package(directory)}


@pytest.fixture
def penguin():
    """With nothing in $HOME that a test before has left."""
    account = users.make("penguin")
    users.end_processes(account)
    subprocess.run(f"rm -rf {account.runtime}/* {account.home}/.local {account.home}/.config {account.home}/.docker", shell=True, check=True)
    yield account
    leftovers = processes(account)
    for pid in leftovers:
        os.kill(pid, 9)
    subprocess.run(["rm", "-rf", account.home / ".local", account.home / ".config", account.home / ".docker", account.runtime / "bryo",
                    account.home / "unpacked"], check=True)
    assert not leftovers


@pytest.fixture
def unpacked(penguin, packages):
    directory = penguin.home / "unpacked"
    penguin.run("mkdir", directory, check=True)
    penguin.run("tar", "-xf", packages["gz"], "-C", directory, check=True)
    return next(directory.iterdir())


def processes(account):
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            uid = next(line for line in status.read_text().splitlines() if line.startswith("Uid:")).split()[1]
        except (OSError, StopIteration):
            continue
        if int(uid) == account.uid or users.FIRST_ID <= int(uid) < users.FIRST_ID + users.IDS:
            found.append(int(status.parent.name))
    return found


def tree(*roots):
    """{path: content's digest} of everything below."""
    found = {}
    for root in roots:
        for path in sorted(root.rglob("*")):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
    return found


def run_setup(account, directory, *flags, **options):
    return account.run(directory / "bin/bryo", "setup", *flags, **options)


def image(account):
    """A file system with busybox in it."""
    archive = account.home / "busybox.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("sh", "id", "sleep"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        owned = tarfile.TarInfo("owned")
        owned.uid, owned.gid, owned.size = 1000, 1000, 5
        tar.addfile(owned, io.BytesIO(b"hello"))
    return archive


class Engine:
    """bryod as this user starts it by hand."""

    def __init__(self, account):
        self.account = account
        self.bin = account.home / ".local/bin"
        self.process = subprocess.Popen([self.bin / "bryod"], **account.popen(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for((account.runtime / "bryo/bryo.sock").exists, 30)

    def bryo(self, *words):
        ran = self.account.run(self.bin / "bryo", *words)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


def test_from_the_archive_to_a_container_and_back(penguin, unpacked):
    archive = image(penguin)
    before = tree(penguin.home, penguin.runtime)
    ran = run_setup(penguin, unpacked)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    home = penguin.home
    assert f"start the engine with\n  {home}/.local/bin/bryod\n" in ran.stdout and f"export PATH={home}/.local/bin:$PATH" in ran.stdout
    assert {file.name for file in (home / ".local/bin").iterdir()} == PROGRAMS
    assert f"ExecStart={home}/.local/bin/bryod $BRYO_OPTS\n" in (home / ".config/systemd/user/bryo.service").read_text()
    engine = Engine(penguin)
    engine.bryo("import", str(archive), "busybox")
    assert engine.bryo("run", "--rm", "busybox", "id").startswith("uid=0")
    context = next((home / ".docker/contexts/meta").glob("*/meta.json"))
    assert json.loads(context.read_text())["Endpoints"]["docker"]["Host"] == f"unix://{penguin.runtime}/bryo/bryo.sock"
    engine.bryo("run", "--detach", "--name", "sleeper", "busybox", "sleep", "1000")
    ran = penguin.run(engine.bin / "bryo", "setup", "--uninstall", input="n\n")
    assert ran.returncode == 1 and "running: sleeper" in ran.stdout and engine.process.poll() is None
    ran = penguin.run(engine.bin / "bryo", "setup", "--uninstall", "--yes")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"still in {home}/.local/share/bryo" in ran.stdout
    engine.process.wait(10)
    wait_for(lambda: not processes(penguin), 10)
    left = {path: digest for path, digest in tree(penguin.home, penguin.runtime).items() if not path.startswith(f"{home}/.local")}
    assert left == before
    assert os.listdir(home / ".local") == ["share"] and os.listdir(home / ".local/share") == ["bryo"]


def test_purge_takes_the_images_too(penguin, unpacked):
    archive = image(penguin)
    before = tree(penguin.home, penguin.runtime)
    assert run_setup(penguin, unpacked).returncode == 0
    engine = Engine(penguin)
    engine.bryo("import", str(archive), "busybox")
    engine.bryo("run", "--name", "one", "busybox", "id")
    data = penguin.home / ".local/share/bryo"
    assert any(path.lstat().st_uid >= users.FIRST_ID for path in data.rglob("*")), "nothing here belongs to a subordinate id"
    ran = penguin.run(engine.bin / "bryo", "setup", "--uninstall", "--purge", input="no\n")
    assert ran.returncode == 1 and str(data) in ran.stdout and data.exists() and engine.process.poll() is None
    ran = penguin.run(engine.bin / "bryo", "setup", "--uninstall", "--purge", "--yes")
    assert ran.returncode == 0 and str(data) in ran.stdout, ran.stdout + ran.stderr
    engine.process.wait(10)
    wait_for(lambda: not processes(penguin), 10)
    assert tree(penguin.home, penguin.runtime) == before


def test_setup_twice_changes_nothing(penguin, unpacked):
    assert run_setup(penguin, unpacked).returncode == 0
    first = tree(penguin.home)
    stamps = {path: path.stat().st_mtime_ns for path in (penguin.home / ".local/bin").iterdir()}
    assert run_setup(penguin, unpacked).returncode == 0
    assert penguin.run(penguin.home / ".local/bin/bryo", "setup").returncode == 0  # the installed one, too
    assert tree(penguin.home) == first
    assert {path: path.stat().st_mtime_ns for path in (penguin.home / ".local/bin").iterdir()} == stamps
    assert run_setup(penguin, unpacked, "--uninstall").returncode == 0
    again = run_setup(penguin, unpacked, "--uninstall")
    assert again.returncode == 0 and "Nothing to take back" in again.stdout


def test_files_of_others_stay(penguin, unpacked):
    other = penguin.home / ".local/bin/bryo-oci"
    penguin.run("mkdir", "-p", other.parent, check=True)
    penguin.run("sh", "-c", f"echo mine > {other}", check=True)
    before = tree(penguin.home)
    ran = run_setup(penguin, unpacked)
    assert ran.returncode == 1 and str(other) in ran.stderr and "did not make them" in ran.stderr
    assert tree(penguin.home) == before


def test_a_unit_that_the_user_changed_stays(penguin, unpacked):
    assert run_setup(penguin, unpacked).returncode == 0
    unit = penguin.home / ".config/systemd/user/bryo.service"
    unit.write_text(unit.read_text() + "# mine\n")
    ran = run_setup(penguin, unpacked)
    assert ran.returncode == 0 and f"{unit} was changed" in ran.stderr and unit.read_text().endswith("# mine\n")
    ran = run_setup(penguin, unpacked, "--uninstall")
    assert ran.returncode == 0 and f"{unit} was changed" in ran.stderr
    assert unit.exists() and not (penguin.home / ".local/bin").exists()


def test_a_host_that_lacks_something_gets_nothing(penguin, unpacked):
    Path("/etc/subuid").write_text("")
    before = tree(penguin.home)
    ran = run_setup(penguin, unpacked)
    assert ran.returncode == 1 and "Nothing was installed" in ran.stderr and "usermod --add-subuids" in ran.stdout
    assert tree(penguin.home) == before
    assert run_setup(penguin, unpacked, "--skip-check").returncode == 0
    assert run_setup(penguin, unpacked, "--uninstall").returncode == 0
    assert tree(penguin.home) == before


@pytest.mark.parametrize("before", [None, "elsewhere"])
def test_docker_context(penguin, unpacked, before):
    config = penguin.home / ".docker/config.json"
    if before:
        penguin.run("mkdir", config.parent, check=True)
        penguin.run("sh", "-c", f"""echo '{{"currentContext": "{before}", "auths": {{}}}}' > {config}""", check=True)
    assert run_setup(penguin, unpacked).returncode == 0
    assert not config.exists() if before is None else json.loads(config.read_text())["currentContext"] == before
    ran = run_setup(penguin, unpacked, "--use-context")
    assert ran.returncode == 0 and json.loads(config.read_text())["currentContext"] == "bryo"
    listed = penguin.run("docker", "context", "ls", "--format", "{{.Name}} {{.Current}} {{.DockerEndpoint}}")
    assert f"bryo true unix://{penguin.runtime}/bryo/bryo.sock" in listed.stdout.splitlines()
    assert run_setup(penguin, unpacked, "--uninstall").returncode == 0
    assert json.loads(config.read_text()).get("currentContext") == before
    assert "bryo" not in penguin.run("docker", "context", "ls", "--format", "{{.Name}}").stdout.split()


def test_without_a_runtime_directory(penguin, unpacked):
    """The context leads to where bryod makes its sockets then."""
    aside = penguin.runtime.with_name("aside")
    penguin.runtime.rename(aside)
    try:
        environment = {name: value for name, value in penguin.environment().items() if name != "XDG_RUNTIME_DIR"}
        assert run_setup(penguin, unpacked, env=environment).returncode == 0
        context = next((penguin.home / ".docker/contexts/meta").glob("*/meta.json"))
        assert json.loads(context.read_text())["Endpoints"]["docker"]["Host"] == "unix:///tmp/bryo-1001/bryo/bryo.sock"
        assert run_setup(penguin, unpacked, "--uninstall", env=environment).returncode == 0
    finally:
        aside.rename(penguin.runtime)


def test_another_prefix(penguin, unpacked):
    prefix = penguin.home / "my programs"
    assert run_setup(penguin, unpacked, "--prefix", prefix).returncode == 0
    assert {file.name for file in (prefix / "bin").iterdir()} == PROGRAMS
    assert f'ExecStart="{prefix}/bin/bryod" $BRYO_OPTS\n' in (penguin.home / ".config/systemd/user/bryo.service").read_text()
    ran = run_setup(penguin, unpacked)
    assert ran.returncode == 1 and f"installed below {prefix}" in ran.stderr
    assert penguin.run(prefix / "bin/bryo", "setup", "--uninstall").returncode == 0
    assert not prefix.exists()


def test_root_says_for_whom(penguin, unpacked):
    ran = subprocess.run([unpacked / "bin/bryo", "setup"], capture_output=True, text=True)
    assert ran.returncode == 1 and "--system" in ran.stderr
    ran = run_setup(penguin, unpacked, "--system")
    assert ran.returncode == 1 and "sudo" in ran.stderr


def test_for_the_machine(unpacked, tmp):
    before = tree(Path("/etc/systemd/system"), Path("/etc/default"))
    ran = subprocess.run([unpacked / "bin/bryo", "setup", "--system", "--prefix", tmp], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert f"ExecStart={tmp}/bin/bryod -H fd:// $BRYO_OPTS\n" in Path("/etc/systemd/system/bryo.service").read_text()
    assert Path("/etc/default/bryo").exists() and Path("/etc/systemd/system/bryo.socket").exists()
    ran = subprocess.run([tmp / "bin/bryo", "setup", "--system", "--uninstall"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert tree(Path("/etc/systemd/system"), Path("/etc/default")) == before and not list(tmp.iterdir())
    assert not Path("/etc/bryo").exists()


def test_completion_of_bash(unpacked):
    def complete(*words):
        script = (f"source {unpacked}/share/bash-completion/completions/bryo; COMP_WORDS=({' '.join(repr(w) for w in words)}); "
                  f"COMP_CWORD={len(words) - 1}; _bryo; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={"PATH": f"{unpacked}/bin:/usr/bin:/bin"})
        assert not ran.stderr, ran.stderr
        return ran.stdout.split()

    assert {"run", "ps", "doctor", "setup", "container"} <= set(complete("bryo", ""))
    assert complete("bryo", "doc") == ["doctor"]
    assert complete("bryo", "volume", "p") == ["prune"]
    assert complete("bryo", "-H", "unix:///x", "container", "res") == ["restart"]
    assert "--publish-all" in complete("bryo", "run", "--pub") and "--publish" in complete("bryo", "run", "--pub")
    assert complete("bryo", "run", "--name", "r") == []


def test_the_same_bytes_again(packages, tmp):
    for file in package(tmp):
        assert file.read_bytes() == packages[file.name.rsplit(".", 1)[-1]].read_bytes(), file.name


def test_the_archive(packages):
    with tarfile.open(packages["gz"]) as tar:
        members = tar.getmembers()
    names = {member.name.split("/", 1)[1] for member in members if "/" in member.name}
    assert {f"bin/{name}" for name in PROGRAMS} | {"README.md", "LICENSE", "install", "units/bryo.service", "units/user/bryo.service", "apparmor/bryo",
                                                   "share/zsh/site-functions/_bryo"} <= names
    assert {(member.uid, member.gid) for member in members} == {(0, 0)} and len({member.mtime for member in members}) == 1
    assert [member.name for member in members] == sorted((member.name for member in members), key=lambda name: name.split("/"))


def test_the_package_of_debian(packages):
    fields = subprocess.run(["dpkg-deb", "--field", packages["deb"]], check=True, capture_output=True, text=True).stdout
    depends = next(line for line in fields.splitlines() if line.startswith("Depends:"))
    assert "uidmap" in depends and "libc6 (>=" in depends and "libssl3" in depends
    listing = subprocess.run(["dpkg-deb", "--contents", packages["deb"]], check=True, capture_output=True, text=True).stdout
    for path in ("./usr/bin/bryod", "./etc/apparmor.d/bryo", "./lib/systemd/system/bryo.socket", "./usr/lib/systemd/user/bryo.service"):
        assert f" {path}\n" in listing, path
    assert all(line.split()[1] == "root/root" for line in listing.splitlines())
