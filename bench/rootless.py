"""Rootless engines side by side: bryod, Debian's dockerd under rootlesskit and slirp4netns, and podman, all of one ordinary user, in one run.
Started by bench/run.sh rootless, in a private test host: nothing but its own loopback and namespaces.

In turns, so that a noisy moment of the machine meets all. A command that fails leaves no table.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support import images, users  # noqa: E402
from tests.support.daemon import BIN  # noqa: E402
from tests.support.waiting import wait_for  # noqa: E402

SCRATCH = Path(os.environ.get("BRYO_TEST_SCRATCH", "/nonexistent"))
HOST = "198.51.100.1"  # an address of the host that is not its loopback
PORT = 5201
# iperf3 of the host, in a container whose image has nothing.
TOOLS = [word for path in ("/usr", "/lib", "/lib64") for word in ("-v", f"{path}:{path}:ro")]


class Failure(Exception):
    pass


class Contender:
    """An engine of the user's with a store of its own; `client` are the first words of a command."""

    def __init__(self, name, account, client, environment=None, daemon=None, socket=None):
        self.name, self.account, self.client = name, account, list(map(str, client))
        self.environment = {**account.environment(), **(environment or {})}
        self.daemon, self.socket, self.process = daemon, socket, None

    def start(self):
        if self.daemon is None:
            return self
        with open(SCRATCH / f"{self.name}.log", "wb") as log:
            self.process = subprocess.Popen(list(map(str, self.daemon)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                            **{**self.account.popen(), "env": self.environment})
        wait_for(lambda: self.socket.exists() and self.attempt("ps").returncode == 0, 60, f"{self.name} answers")
        return self

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def attempt(self, *words):
        return subprocess.run([*self.client, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              **{**self.account.popen(), "env": self.environment})

    def do(self, *words):
        done = self.attempt(*words)
        if done.returncode != 0:
            raise Failure(f"{self.name}: {' '.join(map(str, words))}: status {done.returncode}: {done.stderr.strip()[:400]}")
        return done.stdout

    def memory(self):
        """Private memory (PSS, MB) of the daemon and everything that descends from it."""
        return sum(pss(pid) for pid in descendants(self.process.pid)) / 1e6


def descendants(top):
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                pass
    found = {top}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def pss(pid):
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def own_directory(account, name):
    directory = SCRATCH / name
    directory.mkdir()
    os.chown(directory, account.uid, account.gid)
    return directory


def bryo(account):
    data, where = own_directory(account, "bryod"), account.runtime / "bench-bryo.sock"
    return Contender("bryod", account, [BIN / "bryo"], {"DOCKER_HOST": f"unix://{where}", "BRYO_HOST": f"unix://{where}"},
                     [BIN / "bryod", "--data-root", data, "--exec-root", account.runtime / "bench", "--pidfile", data / "pid", "-H", f"unix://{where}"], where)


def busybox():
    """The image as `docker save` would write it."""
    archive = SCRATCH / "busybox.tar"
    maker, tags, _, _ = images.IMAGES["library/busybox"]
    archive.write_bytes(maker().docker_archive([f"busybox:{tags[0]}"]))
    archive.chmod(0o644)
    return archive


def contenders(account):
    data = {name: own_directory(account, name) for name in ("dockerd", "podman")}
    docker_socket = account.runtime / "bench-docker.sock"
    # As Debian's dockerd-rootless.sh does it.
    inner = (f"rm -rf /run/docker /run/containerd; mkdir -p /run/docker; exec dockerd --data-root {data['dockerd']} --exec-root {account.runtime}/bench-docker "
             f"--pidfile {data['dockerd']}/pid -H unix://{docker_socket} --userland-proxy-path=/usr/bin/rootlesskit-docker-proxy --experimental")
    dockerd = Contender("dockerd", account, ["docker"], {"DOCKER_HOST": f"unix://{docker_socket}"},
                        ["rootlesskit", "--net=slirp4netns", "--mtu=65520", "--slirp4netns-sandbox=auto", "--slirp4netns-seccomp=auto",
                         "--disable-host-loopback", "--port-driver=builtin", "--copy-up=/etc", "--copy-up=/run", "--propagation=rslave", "sh", "-ec", inner],
                        docker_socket)
    podman = Contender("podman", account, ["podman", "--root", data["podman"] / "root", "--runroot", data["podman"] / "run", "--cgroup-manager=cgroupfs",
                                           "--storage-driver=overlay", "--events-backend=file"])
    return [bryo(account), dockerd, podman]


def timed(function, *arguments):
    begin = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - begin) * 1000


def in_turns(engines, rounds, block, measure):
    samples = {engine.name: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            time.sleep(0.3)
            samples[engine.name] += [measure(engine) for _ in range(block)]
    return {name: statistics.median(values) for name, values in samples.items()}


def row(title, unit, values, other, goal, higher=False):
    if other not in values:
        return
    ratio = values["bryod"] / values[other] if higher else values[other] / values["bryod"]
    verdict = "" if goal is None else ("yes" if ratio >= goal else "**no**")
    print(f"| {title} | {other} {values[other]:.4g} {unit} | {values['bryod']:.4g} {unit} | {ratio:.2f}× | {'' if goal is None else f'≥ {goal:g}×'} | {verdict} |", flush=True)


def iperf(seconds, address, *more, prefix=()):
    done = subprocess.run([*map(str, prefix), "iperf3", "--json", "--client", address, "--port", str(PORT), "--time", str(seconds), "--omit", "1", *more],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"iperf3 to {address}: {done.stdout[-300:]}{done.stderr[-300:]}")
    return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9


def published(engine, seconds):
    """Gbit/s from the host into a container through a published port."""
    engine.do("run", "-d", "--name", "server", "-p", f"{PORT}:{PORT}", *TOOLS, "busybox", "/usr/bin/iperf3", "--server")
    try:
        time.sleep(1)
        return iperf(seconds, HOST)
    finally:
        engine.do("rm", "-f", "server")


def direct(engine, seconds):
    """The same without any forwarding: from the engine's network namespace to the container's address."""
    engine.do("run", "-d", "--name", "server", *TOOLS, "busybox", "/usr/bin/iperf3", "--server")
    try:
        address = engine.do("inspect", "--format", "{{.NetworkSettings.IPAddress}}", "server").strip()
        time.sleep(1)
        return iperf(seconds, address, prefix=("nsenter", "-n", "-t", engine.process.pid))
    finally:
        engine.do("rm", "-f", "server")


def throughputs(bryod, dockerd, rounds, seconds):
    """Each round measures all three, so that a slow minute is everybody's."""
    measures = {"direct": lambda: direct(bryod, seconds), "bryod": lambda: published(bryod, seconds), "dockerd": lambda: published(dockerd, seconds)}
    samples = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            samples[name].append(measure())
    return {name: statistics.median(values) for name, values in samples.items()}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=3)
    given = options.parse_args()
    missing = [name for name in ("rootlesskit", "slirp4netns", "dockerd", "podman", "iperf3", "nsenter", "ip") if not shutil.which(name)]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}")
    subprocess.run(["ip", "addr", "add", f"{HOST}/32", "dev", "lo"], check=True)
    account = users.make("penguin")
    archive = busybox()
    engines = contenders(account)
    bryod, dockerd, _ = engines
    try:
        for engine in engines:
            engine.start()
            engine.do("load", "-i", archive)
            engine.do("run", "--rm", "busybox", "true")
        print("| what | theirs | bryod | ratio | goal | |\n|---|---|---|---|---|---|", flush=True)
        time.sleep(8)  # what is given back after a while of nothing is given back
        row("private memory (PSS) of the whole tree, idle", "MB", {e.name: e.memory() for e in (bryod, dockerd)}, "dockerd", 6)
        runs = in_turns(engines, given.rounds, 5, lambda e: timed(e.do, "run", "--rm", "busybox", "true"))
        row("`run --rm busybox true`", "ms", runs, "dockerd", 15)
        row("`run --rm busybox true`", "ms", runs, "podman", 8)
        rates = throughputs(bryod, dockerd, given.rounds, given.seconds)
        row("published port, host to container", "Gbit/s", rates, "dockerd", None, higher=True)
        row("published port beside no forwarding at all", "Gbit/s", rates, "direct", 0.9, higher=True)
    except Failure as failure:
        sys.exit(f"no table: {failure}")
    finally:
        for engine in engines:
            engine.stop()
    print(f"\nMedians in turns; {os.cpu_count()} cores, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}.")


if __name__ == "__main__":
    main()
