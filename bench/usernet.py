"""bryo-usernet beside slirp4netns: what a network namespace gets of the host's network, at the same MTU, in one run. Started by bench/run.sh usernet,
in a private test host: nothing but its own loopback and namespaces.

In turns, so that a noisy moment of the machine meets both. A transfer that fails leaves no table.
"""

import argparse
import ctypes
import fcntl
import json
import os
import platform
import resource
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.daemon import BIN  # noqa: E402

SERVER = "198.51.100.1"  # an address of the host that is not its loopback
IPERF_PORT, ECHO_PORT = 5201, 5301
CLONE_NEWNET = 0x40000000
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
NAMES = ("slirp4netns", "bryo-usernet")
_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    pass


def call(*arguments):
    done = subprocess.run(list(map(str, arguments)), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, arguments))}: status {done.returncode}: {(done.stdout + done.stderr).strip()[:500]}")
    return done.stdout


def in_netns(path, function):
    """Runs it in a thread of its own, which stays in that namespace until it ends."""
    result = []

    def body():
        with open(path, "rb") as namespace:
            if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        result.append(function())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if not result:
        raise Failure("nothing came out of the namespace")
    return result[0]


class Network:
    """A namespace, and the program that connects it."""

    def __init__(self, name, mtu):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.path = f"/proc/{self.holder.pid}/ns/net"
        while os.readlink(self.path) == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        reader, writer = os.pipe()
        self.program = self.slirp4netns(mtu, writer) if name == "slirp4netns" else self.builtin(mtu, writer)
        os.close(writer)
        if os.read(reader, 1) != b"1":
            raise Failure(f"{name} does not start")
        os.close(reader)

    def slirp4netns(self, mtu, ready):
        command = ["slirp4netns", "-c", f"--mtu={mtu}", f"--ready-fd={ready}", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp",
                   "--netns-type=path", self.path, "tap0"]
        return subprocess.Popen(command, pass_fds=[ready], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def builtin(self, mtu, ready):
        def make_tap():
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
            fcntl.ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
            return tap

        tap = in_netns(self.path, make_tap)
        for words in (f"link set tap0 mtu {mtu} up", "addr add 10.0.2.100/24 dev tap0", "route add default via 10.0.2.2"):
            call("nsenter", f"--net={self.path}", "ip", *words.split())
        pair = [(os.POSIX_SPAWN_DUP2, fcntl.fcntl(fd, fcntl.F_DUPFD, 50), number) for fd, number in ((tap, 3), (ready, 4))]
        program = str(BIN / "bryo-usernet")
        pid = os.posix_spawn(program, [program, f"--mtu={mtu}"], {}, file_actions=pair)
        for _, copy, _ in pair:
            os.close(copy)
        os.close(tap)
        return Spawned(pid)

    def close(self):
        for process in (self.program, self.holder):
            process.send_signal(signal.SIGTERM)
            process.wait()

    def processes(self):
        """Of the program: itself and what it has forked."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
        return [self.program.pid] + [pid for pid, parent in parents.items() if parent == self.program.pid]

    def memory(self):
        """Private memory (PSS) in MB."""
        total = 0
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024

    def cpu_ticks(self):
        total = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total


class Spawned:
    """As much of Popen as is needed: Popen cannot put a descriptor on a number of our choice."""

    def __init__(self, pid):
        self.pid = pid

    def send_signal(self, number):
        os.kill(self.pid, number)

    def wait(self):
        os.waitpid(self.pid, 0)


def throughput(network, seconds, *options):
    """Gbit/s that arrive at the receiver."""
    server = subprocess.Popen(["iperf3", "-s", "-1", "-B", SERVER, "-p", str(IPERF_PORT)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 5
    while f":{IPERF_PORT:04X} " not in Path("/proc/net/tcp").read_text():
        if time.monotonic() > deadline:
            raise Failure("iperf3 does not listen")
        time.sleep(0.02)
    try:
        out = call("nsenter", f"--net={network.path}", "iperf3", "-c", SERVER, "-p", IPERF_PORT, "-t", seconds, "--json", *options)
    finally:
        server.terminate()
        server.wait()
    return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e9


def serve_echo(listener):
    poll, connections = select.epoll(), {}
    poll.register(listener, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN)
                continue
            try:
                data = connections[number].recv(64)
                connections[number].sendall(data)
            except ConnectionError:
                data = b""
            if not data:
                poll.unregister(number)
                connections.pop(number).close()


def round_trip(network, amount):
    """Median time of a byte there and back over one connection, in microseconds."""

    def measure():
        with socket.create_connection((SERVER, ECHO_PORT), timeout=5) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            times = []
            for _ in range(amount):
                begin = time.perf_counter()
                connection.sendall(b"x")
                if connection.recv(1) != b"x":
                    raise Failure("no echo")
                times.append(time.perf_counter() - begin)
            return statistics.median(times) * 1e6

    return in_netns(network.path, measure)


def crowded_round_trip(network, crowd, amount):
    """The same beside so many connections that do nothing."""

    def gather():
        return [socket.create_connection((SERVER, ECHO_PORT), timeout=10) for _ in range(crowd)]

    held = in_netns(network.path, gather)
    try:
        return round_trip(network, amount)
    finally:
        for connection in held:
            connection.close()
        time.sleep(0.5)


def connects(network, amount):
    """Connections per second, each made, used for one byte and closed, one after the other."""

    def measure():
        begin = time.perf_counter()
        for _ in range(amount):
            with socket.create_connection((SERVER, ECHO_PORT), timeout=5) as connection:
                connection.sendall(b"x")
                if connection.recv(1) != b"x":
                    raise Failure("no echo")
        return amount / (time.perf_counter() - begin)

    return in_netns(network.path, measure)


def row(title, unit, goal, networks, rounds, function, higher_is_better=True, digits=2):
    samples = {name: [] for name in NAMES}
    for _ in range(rounds):
        for name in NAMES:
            samples[name].append(function(networks[name]))
    medians = {name: statistics.median(values) for name, values in samples.items()}
    theirs, ours = medians["slirp4netns"], medians["bryo-usernet"]
    ratio = ours / theirs if higher_is_better else theirs / ours
    verdict = "" if goal is None else ("yes" if ratio >= goal else "**no**")
    wanted = "" if goal is None else f"≥ {goal:g}×"
    spread = {name: f"{min(values):.{digits}f}–{max(values):.{digits}f}" for name, values in samples.items()}
    print(f"| {title} | {theirs:.{digits}f} {unit} ({spread['slirp4netns']}) | {ours:.{digits}f} {unit} ({spread['bryo-usernet']}) | {ratio:.2f}× | {wanted} | {verdict} |", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=3)
    given = options.parse_args()
    missing = [name for name in ("slirp4netns", "iperf3", "nsenter", "ip") if not shutil.which(name)]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))  # of slirp4netns too
    call("ip", "addr", "add", f"{SERVER}/32", "dev", "lo")
    listener = socket.create_server((SERVER, ECHO_PORT), backlog=2048)
    threading.Thread(target=serve_echo, args=(listener,), daemon=True).start()
    print("| what | slirp4netns | bryo-usernet | ratio | goal | |\n|---|---|---|---|---|---|", flush=True)
    seconds, rounds = given.seconds, given.rounds
    for mtu in (65520, 1500):
        networks = {name: Network(name, mtu) for name in NAMES}
        if mtu == 65520:
            time.sleep(6)  # what is given back after a while of nothing is given back
            row("private memory (PSS), idle", "MB", None, networks, 1, Network.memory, higher_is_better=False)
        goal = 1 if mtu == 65520 else None
        row(f"TCP out, MTU {mtu}", "Gbit/s", goal, networks, rounds, lambda n: throughput(n, seconds))
        row(f"TCP in, MTU {mtu}", "Gbit/s", None, networks, rounds, lambda n: throughput(n, seconds, "--reverse"))
        row(f"TCP out, MTU {mtu}, 8 streams", "Gbit/s", None, networks, rounds, lambda n: throughput(n, seconds, "--parallel", "8"))
        if mtu == 65520:
            row("a byte there and back", "µs", None, networks, rounds, lambda n: round_trip(n, 5000), higher_is_better=False, digits=1)
            row("connections, one after the other", "/s", None, networks, rounds, lambda n: connects(n, 500), digits=0)
            row("private memory (PSS) after all that", "MB", None, networks, 1, Network.memory, higher_is_better=False)
            crowd = lambda n: crowded_round_trip(n, 1000, 500)  # noqa: E731
            row("a byte there and back beside 1000 idle connections", "µs", None, networks, rounds, crowd, higher_is_better=False, digits=1)
        for network in networks.values():
            network.close()
    print(f"\nMedians (and range) of {rounds} rounds in turns; {os.cpu_count()} cores, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}.")


if __name__ == "__main__":
    main()
