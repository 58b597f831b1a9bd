"""The leak auditor: what the kernel and the disk hold before and after. Believes /proc, /sys and nft only, never the daemon."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.host import cgroup_mounts
from tests.support.waiting import wait_for


def _processes():
    found = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                stat = (directory / "stat").read_text()
                if stat.rpartition(")")[2].split()[0] == "Z":
                    continue
                name = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found[int(directory.name)] = name or stat.split("(")[1].split(")")[0]
            except OSError:
                continue
    return found


def _network_namespaces():
    found = set()
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                found.add(os.readlink(directory / "ns/net"))
            except OSError:
                continue
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[3].startswith("net:["):
            found.add(fields[3])
    return found


def _cgroups():
    return {str(directory) for point, _, _ in cgroup_mounts() for directory, _, _ in os.walk(point)}


def _links():
    listed = subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=True).stdout
    return {link["ifname"] for link in json.loads(listed)}


def _nft_tables():
    return set(subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines())


def _nft_elements():
    """Elements of all sets and maps, and rules: one line each."""
    text = subprocess.run(["nft", "-nn", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    return {line.strip() for line in text.splitlines() if line.strip()}


def _tree(root):
    return {str(Path(directory, name).relative_to(root)) for directory, subs, files in os.walk(root) for name in (*subs, *files)}


@dataclass
class Snapshot:
    processes: dict = field(default_factory=_processes)
    mounts: set = field(default_factory=lambda: {" ".join(l.split()[3:5]) for l in Path("/proc/self/mountinfo").read_text().splitlines()})
    namespaces: set = field(default_factory=_network_namespaces)
    cgroups: set = field(default_factory=_cgroups)
    links: set = field(default_factory=_links)
    tables: set = field(default_factory=_nft_tables)
    rules: set = field(default_factory=_nft_elements)
    trees: dict = field(default_factory=dict)
    descriptors: int = 0
    threads: int = 0


class Audit:
    """Take one before, ask it afterwards: `audit.assert_clean()`.

    `daemon` adds the files of its exec root and of what its data root keeps per container, and its own descriptors.
    `pools` says how many network namespaces (with their links) an engine may have made ahead.
    """

    def __init__(self, daemon=None, pools=64):
        self.daemon, self.pools = daemon, pools
        self.before = self._look()

    def _look(self):
        snapshot = Snapshot()
        if self.daemon is not None:
            if self.daemon.exec_root.exists():
                tree = _tree(self.daemon.exec_root)
                if not self.daemon.engine.is_bryo:  # dockerd deletes these once a minute
                    tree = {entry for entry in tree if not entry.startswith("netns/")}
                snapshot.trees["exec root"] = tree
            for directory in sorted(self.daemon.data_root.glob("**/containers")) if self.daemon.data_root.exists() else []:
                if directory.is_dir() and len(directory.relative_to(self.daemon.data_root).parts) <= 2:
                    snapshot.trees[str(directory.relative_to(self.daemon.data_root))] = _tree(directory)
            if self.daemon.process is not None:
                process = Path(f"/proc/{self.daemon.pid}")
                snapshot.descriptors = len(list((process / "fd").iterdir()))
                snapshot.threads = len(list((process / "task").iterdir()))
        return snapshot

    def leaks(self, ignore_processes=()):
        now, found = self._look(), []
        for pid, name in now.processes.items():
            if pid not in self.before.processes and pid != os.getpid() and not any(i in name for i in ignore_processes):
                if name.startswith(("ip ", "nft ", "[")) or (self.daemon and self.daemon.process and pid == self.daemon.pid):
                    continue
                found.append(f"process {pid}: {name}")
        found += [f"mount {m}" for m in sorted(now.mounts - self.before.mounts)]
        found += [f"cgroup {c}" for c in sorted(now.cgroups - self.before.cgroups)]
        namespaces = now.namespaces - self.before.namespaces
        if len(now.namespaces) > len(self.before.namespaces) + self.pools:
            found.append(f"{len(namespaces)} network namespaces: {sorted(namespaces)[:5]}")
        links = now.links - self.before.links
        if len(now.links) > len(self.before.links) + self.pools:
            found.append(f"{len(links)} links: {sorted(links)[:5]}")
        found += [f"nft {t}" for t in sorted(now.tables - self.before.tables)]
        for name, tree in now.trees.items():
            found += [f"{name}: {entry}" for entry in sorted(tree - self.before.trees.get(name, set()))]
        return found

    def assert_clean(self, timeout=10, **options):
        """Engines answer first and tear down after: polls until nothing is left."""
        leaks = []

        def clean():
            leaks[:] = self.leaks(**options)
            return not leaks

        try:
            wait_for(clean, timeout)
        except AssertionError:
            raise AssertionError(f"left behind after {timeout} s:\n  " + "\n  ".join(leaks[:40])) from None

    def assert_no_new_rules(self, *words):
        """No nft line that mentions one of `words` (an address, a port) came since."""
        new = [line for line in _nft_elements() - self.before.rules if any(str(w) in line for w in words)]
        assert not new, new
