"""Connections of a rootless container to another host: past the user-mode network (--network bypass), through it (the default), and from the host's own
network (--network host), in one run. Started by bench/run.sh bypass, in a private test host; the other host is a network namespace at the end of a cable.

In turns, so that a noisy moment of the machine meets all. What the ratios are made of is ratios of one round, so that a slow minute does not count
for one side only. A connection or a transfer that fails leaves no table.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.rootless import PORT, TOOLS, Failure, bryo, busybox  # noqa: E402
from bench.usernet import in_netns  # noqa: E402
from tests.support import images, users  # noqa: E402
from tests.support.otherhost import OtherHost  # noqa: E402
from tests.support.waiting import wait_for  # noqa: E402

SINK_PORT = 5302
NETWORKS = ("host", "bypass", "bridge")


class Sink:
    """Accepts in the other host's network and hangs up."""

    def __init__(self, other):
        self.socket = in_netns(other.path, lambda: socket.create_server((other.there, SINK_PORT), backlog=4096))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self.socket.accept()
            connection.close()


def throughput(bryod, other, network, seconds):
    """Gbit/s that arrive there."""
    server = subprocess.Popen(["nsenter", f"--net={other.path}", "iperf3", "--server", "--one-off", "--bind", other.there, "--port", str(PORT)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: other.run("ss", "-Hltn", "sport", "=", f":{PORT}").stdout, 5, "iperf3 listens")
        out = bryod.do("run", "--rm", "--network", network, *TOOLS, "busybox", "/usr/bin/iperf3", "--json", "--client", other.there, "--port", PORT, "--time", seconds, "--omit", 1)
    finally:
        server.terminate()
        server.wait()
    return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e9


def connects(bryod, other, network, amount):
    """A second. The program that connects ends with an error when one does not succeed."""
    binary = images.program("dial")
    return float(bryod.do("run", "--rm", "--network", network, "-v", f"{binary}:/dial:ro", "busybox", "/dial", "many", other.there, SINK_PORT, amount))


def in_turns(rounds, measure):
    """{network: [one figure of each round]}"""
    samples = {network: [] for network in NETWORKS}
    for _ in range(rounds):
        for network in NETWORKS:
            samples[network].append(measure(network))
    return samples


def row(title, unit, samples, other, goal, digits):
    ratio = statistics.median(ours / theirs for ours, theirs in zip(samples["bypass"], samples[other]))
    figures = [f"{statistics.median(samples[name]):.{digits}f} {unit} ({min(samples[name]):.{digits}f}–{max(samples[name]):.{digits}f})" for name in (other, "bypass")]
    verdict = "" if goal is None else ("yes" if ratio >= goal else "**no**")
    print(f"| {title} | {other} {figures[0]} | {figures[1]} | {ratio:.2f}× | {'' if goal is None else f'≥ {goal:g}×'} | {verdict} |", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--connections", type=int, default=3000)
    given = options.parse_args()
    missing = [name for name in ("iperf3", "nsenter", "ip", "ss") if not shutil.which(name)]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}")
    account = users.make("penguin")
    with OtherHost() as other:
        Sink(other)
        bryod = bryo(account)
        try:
            bryod.start()
            bryod.do("load", "-i", busybox())
            print("| what | without | bypass | ratio | goal | |\n|---|---|---|---|---|---|", flush=True)
            streams = in_turns(given.rounds, lambda network: throughput(bryod, other, network, given.seconds))
            row("TCP out of a container, one stream", "Gbit/s", streams, "host", 0.95, 2)
            row("TCP out of a container, one stream", "Gbit/s", streams, "bridge", None, 2)
            rates = in_turns(given.rounds, lambda network: connects(bryod, other, network, given.connections))
            row("connections, one after the other", "/s", rates, "host", 0.5, 0)
            row("connections, one after the other", "/s", rates, "bridge", None, 0)
        except Failure as failure:
            sys.exit(f"no table: {failure}")
        finally:
            bryod.stop()
    print(f"\nMedians (and range) of {given.rounds} rounds in turns; {os.cpu_count()} cores, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}.")


if __name__ == "__main__":
    main()
