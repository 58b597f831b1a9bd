"""For cases inside a virtual machine: its programs where a package puts them, its users, root."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from tests.support.waiting import wait_for

PAYLOAD = Path("/payload")
CGROUPS = Path("/sys/fs/cgroup")
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")


def sh(*words, check=True, **options):
    """A program of the guest: what it printed. It has to succeed unless `check` is False."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=120, **options)
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def cgroup_of(pid):
    """The directory of a process's cgroup."""
    return CGROUPS / Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::/")


class User:
    """Somebody with subordinate ids, and whatever of systemd the case asks for."""

    def __init__(self, name, uid):
        self.name, self.uid = name, uid
        if name not in [u.pw_name for u in pwd.getpwall()]:
            sh("useradd", "--create-home", "--uid", uid, "--shell", "/bin/bash", name)
        self.home, self.runtime = f"/home/{name}", f"/run/user/{uid}"
        for file in ("/etc/subuid", "/etc/subgid"):
            if f"{name}:" not in Path(file).read_text():
                with open(file, "a") as out:
                    out.write(f"{name}:{100000 * (uid - 998)}:65536\n")
        self.socket = f"{self.runtime}/bryo/bryo.sock"

    def words(self, *words, **variables):
        variables = {"HOME": self.home, "USER": self.name, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": self.runtime, "BRYO_HOST": f"unix://{self.socket}", **variables}
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--init-groups", "--inh-caps=-all", "env", "-i", *[f"{k}={v}" for k, v in variables.items()], *[str(w) for w in words]]

    def run(self, *words, **variables):
        return subprocess.run(self.words(*words, **variables), capture_output=True, text=True, timeout=120)

    def ok(self, *words, **variables):
        done = self.run(*words, **variables)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout.strip()

    def bryo(self, *words):
        return self.ok("bryo", *words)

    def systemctl(self, *words):
        return self.ok("systemctl", "--user", *words)

    def log(self):
        """What the user's engine said last."""
        return sh("journalctl", "--no-pager", "-n", "30", f"_UID={self.uid}", check=False)

    def wait_answers(self):
        wait_for(lambda: self.run("bryo", "version").returncode == 0, 60, self.log())

    def start_engine(self, *how):
        """As a user unit that outlives the login, with an image. `how`: systemctl's words instead of "start"."""
        sh("loginctl", "enable-linger", self.name)
        wait_for(lambda: os.path.exists(f"{self.runtime}/systemd/private"), 60)
        self.systemctl(*(how or ["start"]), "bryo.service")
        self.wait_answers()
        self.load_image()

    def load_image(self):
        self.bryo("load", "-i", PAYLOAD / "busybox.tar")

    def pid(self, name):
        return int(self.bryo("inspect", "-f", "{{.State.Pid}}", name))

    def cgroup(self, name):
        return cgroup_of(self.pid(name))

    def restart_manager(self):
        sh("systemctl", "restart", f"user@{self.uid}.service")


class Root:
    """The engine of the machine's root, as the packaged unit starts it."""

    def start(self, options=""):
        Path("/etc/default").mkdir(exist_ok=True)
        Path("/etc/default/bryo").write_text(f'BRYO_OPTS="{options}"\n')
        sh("systemctl", "start", "bryo.service")

    def run(self, *words):
        return subprocess.run(["bryo", *map(str, words)], capture_output=True, text=True, timeout=120)

    def bryo(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout.strip()

    def log(self):
        return sh("journalctl", "--no-pager", "-n", "30", "-u", "bryo", check=False)

    def load_image(self):
        self.bryo("load", "-i", PAYLOAD / "busybox.tar")


def install_programs():
    for program in (PAYLOAD / "bin").iterdir():
        shutil.copy(program, "/usr/bin")
    for library in (PAYLOAD / "lib").iterdir():
        if not (LIBRARIES / library.name).exists():
            shutil.copy(library, LIBRARIES)


def install_units():
    for unit in ("bryo@.service", "bryo.service", "bryo.socket"):
        shutil.copy(PAYLOAD / "units" / unit, "/etc/systemd/system")
    shutil.copy(PAYLOAD / "units/user/bryo.service", "/etc/systemd/user")
    sh("systemctl", "daemon-reload")
    # What udev does elsewhere.
    os.chmod("/dev/net/tun", 0o666)
