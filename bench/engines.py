"""The two engines side by side: the same images, the same client, each with a store of its own."""

import os
import subprocess
import time
from pathlib import Path

from bench.rawclient import Client, Failure
from tests.support.daemon import BIN, BRYOD, DOCKERD, Daemon


class Contender:
    """A daemon with the bench's settings, and what the rows need of it."""

    def __init__(self, engine, directory, hub, bip, client_program):
        self.name, self.program = engine.name, client_program
        flags = ["--registry-mirror", hub.url, "--insecure-registry", hub.address, "--bip", bip]
        self.daemon = Daemon(engine, directory, flags)
        self.client = Client(self.daemon.socket)

    def start(self, *extra):
        self.daemon.start(*extra)
        self.client.close()
        return self

    def stop(self):
        self.client.close()
        self.daemon.stop()

    def pull(self, image):
        answer = self.client.request("POST", f"/images/create?fromImage={image}&tag=latest", {})
        if b'"error"' in answer or b"errorDetail" in answer:
            raise Failure(answer[-300:].decode(errors="replace"))

    def remove_image(self, image):
        self.client.request("DELETE", f"/images/{image}?force=1")

    def create(self, image, command, **host_config):
        return self.client.json("POST", "/containers/create", {"Image": image, "Cmd": command, "HostConfig": host_config})["Id"]

    def remove_all(self):
        for container in self.client.json("GET", "/containers/json?all=1"):
            self.client.request("DELETE", f"/containers/{container['Id']}?force=1")

    def run_cli(self, *arguments):
        environment = {**os.environ, "DOCKER_HOST": self.daemon.url, "BRYO_HOST": self.daemon.url}
        completed = subprocess.run([self.program, *arguments], env=environment, capture_output=True, stdin=subprocess.DEVNULL)
        if completed.returncode != 0:
            raise Failure(f"{self.program} {' '.join(arguments)}: {completed.stderr.decode(errors='replace')[:300]}")

    def version(self):
        return self.client.json("GET", "/version")["Version"]


def contenders(directory, hub, which):
    """dockerd gets another bridge network: both run at the same time."""
    made = []
    if "dockerd" in which:
        made.append(Contender(DOCKERD, Path(directory, "dockerd"), hub, "172.18.0.1/16", "/usr/bin/docker"))
    if "bryod" in which:
        made.append(Contender(BRYOD, Path(directory, "bryod"), hub, "172.17.0.1/16", str(BIN / "bryo")))
    return made


def engine_processes(before):
    """{pid: PSS in bytes} of processes that came since `before` and are not inside a container (another pid namespace)."""
    mine, found = os.readlink("/proc/self/ns/pid"), {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in before:
            continue
        try:
            if os.readlink(entry / "ns/pid") != mine:
                continue
            for line in (entry / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    found[int(entry.name)] = int(line.split()[1]) * 1024
        except OSError:
            continue
    return found


def pids():
    return {int(e.name) for e in Path("/proc").iterdir() if e.name.isdigit()}


def disk_usage(directory):
    return int(subprocess.run(["du", "-sB1", directory], capture_output=True, text=True, check=True).stdout.split()[0])


def timed(function, *arguments):
    """Milliseconds."""
    begin = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - begin) * 1000
