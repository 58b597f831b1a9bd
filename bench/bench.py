#!/usr/bin/python3
"""Bryo and Debian's dockerd side by side, in one run on one machine: medians and ratios as a markdown table.

    bench/run.sh [--rows start-bridge,exec] [--quick] [--engines dockerd,bryod]

Both daemons run at the same time with the same images and are driven in turn, block by block, by the same raw client on their sockets.
A run with a failed request has no timing: the row says how many failed, and the exit status is 1.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import images as bench_images  # noqa: E402, F401 (registers bench/big)
from bench.engines import contenders, disk_usage, engine_processes, pids, timed  # noqa: E402
from bench.rawclient import Client, Failure  # noqa: E402
from tests.support.audit import Audit  # noqa: E402
from tests.support.hub import Registry  # noqa: E402
from tests.support.images import BUILD  # noqa: E402

SCRATCH = Path(os.environ.get("BRYO_TEST_SCRATCH", "/var/tmp"), "bench")

BLOCK = 10  # measurements of one engine in a row
PAUSE = 0.3  # seconds before them


class Sample:
    """Measurements of one engine in one row; `value` is None when anything failed."""

    def __init__(self):
        self.values, self.failures = [], []

    def measure(self, function, *arguments):
        try:
            self.values.append(timed(function, *arguments))
        except (Failure, OSError, AssertionError) as error:
            self.failures.append(str(error))

    def add(self, value):
        self.values.append(value)

    @property
    def value(self):
        return statistics.median(self.values) if self.values and not self.failures else None


class Row:
    def __init__(self, title, unit, goal, higher_is_better=False):
        self.title, self.unit, self.goal, self.higher = title, unit, goal, higher_is_better
        self.samples, self.notes = {}, []

    def sample(self, contender):
        return self.samples.setdefault(contender.name, Sample())

    @property
    def ratio(self):
        """How many times better Bryo is."""
        theirs, ours = (self.samples[n].value if n in self.samples else None for n in ("dockerd", "bryod"))
        if not theirs or not ours:
            return None
        return ours / theirs if self.higher else theirs / ours

    def failures(self):
        return [f"{name}: {failure}" for name, sample in self.samples.items() for failure in sample.failures]


# --- rows: each takes the contenders, and how much work to do


def cycle(contender, network):
    container = contender.create("busybox", ["true"], NetworkMode=network)
    contender.client.request("POST", f"/containers/{container}/start", {})
    code = contender.client.json("POST", f"/containers/{container}/wait", {})["StatusCode"]
    contender.client.request("DELETE", f"/containers/{container}")
    if code != 0:
        raise Failure(f"busybox true ended with {code}")


def in_turns(engines, rounds, function, row):
    """Alternates between the engines in blocks, so that a noisy moment of the machine meets both; with a pause before each block, so
    that no engine pays for what the other still has to clear away."""
    for contender in engines:
        function(contender)  # warm-up, not counted
    for done in range(0, rounds, BLOCK):
        for contender in engines:
            time.sleep(PAUSE)
            for _ in range(min(BLOCK, rounds - done)):
                row.sample(contender).measure(function, contender)


def start_row(engines, amount, network, goal):
    row = Row(f"create + start + wait + remove of `busybox true`, network {network}", "ms", goal)
    in_turns(engines, 30 * amount, lambda c: cycle(c, network), row)
    return row


def start_bridge(engines, amount):
    return start_row(engines, amount, "bridge", "≥ 15×")


def start_none(engines, amount):
    return start_row(engines, amount, "none", "≥ 20×")


def sustained(engines, amount):
    count, width = 100 * amount, 16
    row = Row(f"{count} starts at concurrency {width}", "starts/s", "≥ 15×, no leak", higher_is_better=True)
    for contender in engines:
        cycle(contender, "bridge")
        audit, sample = Audit(contender.daemon), row.sample(contender)

        def one(_, contender=contender):
            own = type(contender).__new__(type(contender))
            own.__dict__.update(contender.__dict__)
            own.client = Client(contender.daemon.socket)
            try:
                cycle(own, "bridge")
            except (Failure, OSError) as error:
                return str(error)
            finally:
                own.client.close()
            return None

        begin = time.perf_counter()
        with ThreadPoolExecutor(width) as pool:
            sample.failures += [f for f in pool.map(one, range(count)) if f]
        sample.add(count / (time.perf_counter() - begin))
        try:
            audit.assert_clean(timeout=30)
        except AssertionError as error:
            sample.failures.append(f"leak: {error}") if contender.name == "bryod" else row.notes.append(f"{contender.name} leaks: {error}")
    return row


def exec_true(engines, amount):
    row = Row("exec of `true` (create + start + inspect)", "ms", "≥ 15×")
    running = {}
    for contender in engines:
        running[contender.name] = contender.create("busybox", ["sleep", "3600"])
        contender.client.request("POST", f"/containers/{running[contender.name]}/start", {})

    def one(contender):
        exec_id = contender.client.json("POST", f"/containers/{running[contender.name]}/exec", {"Cmd": ["true"], "AttachStdout": True})["Id"]
        contender.client.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False})
        deadline = time.monotonic() + 5
        while (state := contender.client.json("GET", f"/exec/{exec_id}/json"))["Running"] and time.monotonic() < deadline:
            pass
        if state["ExitCode"] != 0:
            raise Failure(f"exec of true ended with {state['ExitCode']}")

    in_turns(engines, 30 * amount, one, row)
    for contender in engines:
        contender.remove_all()
    return row


def memory(engines, amount):
    row = Row("PSS of all engine processes, 50 idle containers", "MB", "≤ 1/30")
    for contender in engines:
        others = pids() - set(engine_tree(contender))
        for _ in range(50):
            container = contender.create("busybox", ["sleep", "3600"])
            contender.client.request("POST", f"/containers/{container}/start", {})
        time.sleep(6)  # idle: garbage collectors and allocators have settled, the same for both
        used = engine_processes(others)
        row.sample(contender).add(sum(used.values()) / 1e6)
        row.notes.append(f"{contender.name}: {len(used)} processes")
        contender.remove_all()
    return row


def engine_tree(contender):
    """The daemon's processes before there are containers: itself and its children."""
    from tests.support.host_view import status

    children, found = {}, []
    for pid in pids():
        try:
            children.setdefault(int(status(pid)["PPid"]), []).append(pid)
        except (OSError, KeyError):
            continue
    queue = [contender.daemon.pid]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def fresh_map(engines, amount):
    """Bryo: --userns=auto, every container a map that was never used. dockerd: the store is new under a new map, the image comes again."""
    row = Row("what the first start of a 170 MB image under a fresh map adds", "ms", "≤ 2 ms, ≤ 1 % disk")
    for contender in engines:
        contender.pull("debian")

        def start(userns, contender=contender):
            container = contender.create("debian", ["true"], NetworkMode="none", UsernsMode=userns)
            begin = time.perf_counter()
            contender.client.request("POST", f"/containers/{container}/start", {})
            elapsed = (time.perf_counter() - begin) * 1000
            if contender.client.json("POST", f"/containers/{container}/wait", {})["StatusCode"] != 0:
                raise Failure("debian true failed")
            contender.client.request("DELETE", f"/containers/{container}")
            return elapsed

        sample = row.sample(contender)
        try:
            start("host")
            before = disk_usage(contender.daemon.data_root)
            if contender.name == "bryod":
                start("auto")
                pairs = [(start("host"), start("auto")) for _ in range(10 * amount)]
                plain, mapped = (statistics.median(column) for column in zip(*pairs))
                sample.add(max(mapped - plain, 0.01))
            else:
                plain = statistics.median(start("host") for _ in range(5))
                contender.stop()
                contender.start("--userns-remap=dockremap")
                begin = time.perf_counter()
                contender.pull("debian")
                sample.add((time.perf_counter() - begin) * 1000 + start("") - plain)
            after = disk_usage(contender.daemon.data_root)
            row.notes.append(f"{contender.name}: disk +{100 * (after - before) / before:.1f} %, plain start {plain:.1f} ms")
        except Failure as error:
            sample.failures.append(str(error))
        if contender.name == "dockerd":
            contender.stop()
            contender.start()
    return row


def new_file_system(directory):
    directory.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "bench", directory], check=True)
    return directory


def pull_big(engines, amount):
    row = Row("pull of a 300 MB, 4-layer gzip image from loopback", "ms", "≥ 3×")
    row.notes.append("both engines store it in memory")
    row.notes.append(f"unpigz {'installed' if shutil.which('unpigz') else 'not installed'} (dockerd uses it if it is)")
    # Every time into a file system of its own, in memory. A disk would be measured with all that happened to it: ext4 without a journal gives
    # inodes out again only minutes after their files were deleted, by whomever, and looks for others meanwhile.
    roots = []
    for number in range(1 + 2 * amount):
        for contender in engines:
            contender.stop()
            roots.append((contender, contender.daemon.data_root))
            contender.daemon.data_root = new_file_system(contender.daemon.directory / f"pull{number}")
            contender.start()
            time.sleep(PAUSE)
            row.sample(contender).measure(contender.pull, "bench/big")
    for contender in engines:
        contender.stop()
        mine = [root for owner, root in roots if owner is contender]
        for root in [*mine[1:], contender.daemon.data_root]:
            subprocess.run(["umount", "-l", root], stderr=subprocess.DEVNULL)
            shutil.rmtree(root, ignore_errors=True)
        contender.daemon.data_root = mine[0]
        contender.start()
    return row


def command_line(engines, amount):
    row = Row("`bryo run --rm busybox true` against `docker run` with dockerd", "ms", "≥ 20×")
    in_turns(engines, 15 * amount, lambda c: c.run_cli("run", "--rm", "busybox", "true"), row)
    return row


def daemon_start(engines, amount):
    row = Row("daemon start to first answer, empty store", "ms", "≤ 100 ms")
    for contender in engines:
        contender.stop()
        kept = contender.daemon.data_root
        for number in range(3 + 2 * amount):
            contender.daemon.data_root = contender.daemon.directory / f"empty{number}"
            row.sample(contender).measure(contender.daemon.start)
            contender.daemon.stop()
            shutil.rmtree(contender.daemon.data_root, ignore_errors=True)
        contender.daemon.data_root = kept
        contender.start()
    return row


ROWS = {
    "pull": pull_big, "start-bridge": start_bridge, "start-none": start_none, "sustained": sustained, "exec": exec_true, "memory": memory,
    "map": fresh_map, "cli": command_line, "daemon-start": daemon_start,
}


# --- report


def reached(row):
    """Whether the goal's number is met; None without both engines."""
    ours = row.samples["bryod"].value if "bryod" in row.samples else None
    if ours is None:
        return None
    if row.goal.startswith("≤ 1/"):
        return row.ratio is not None and row.ratio >= float(row.goal.split("/")[1])
    if row.goal.startswith("≤ "):
        return ours <= float(row.goal.split()[1])
    return row.ratio is not None and row.ratio >= float(row.goal[2:].split("×")[0])


def shown(sample, unit):
    if sample is None:
        return "—"
    if sample.failures:
        return f"{len(sample.failures)} FAILED"
    return f"{sample.value:.1f} {unit}" if sample.value >= 10 else f"{sample.value:.2f} {unit}"


def markdown(rows, machine):
    lines = ["| what | dockerd | bryod | ratio | goal | |", "|---|---|---|---|---|---|"]
    for row in rows:
        ratio = f"{row.ratio:.1f}×" if row.ratio else "—"
        verdict = {True: "yes", False: "**no**", None: ""}[reached(row)]
        cells = [shown(row.samples.get(n), row.unit) for n in ("dockerd", "bryod")]
        lines.append(f"| {row.title} | {cells[0]} | {cells[1]} | {ratio} | {row.goal} | {verdict} |")
    lines += ["", *[f"- {row.title}: {note}" for row in rows for note in row.notes], "", machine]
    return "\n".join(lines)


def machine_line(engines):
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    versions = ", ".join(f"{c.name} {c.version()}" for c in engines)
    return f"Medians of one run; {versions}; {os.cpu_count()} × {cpu}, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}."


def client_cost(contender):
    """The client's share: a request that both answer from memory."""
    return statistics.median(timed(contender.client.request, "GET", "/_ping") for _ in range(300))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--engines", default="dockerd,bryod")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: for trying the bench, not for publishing")
    parser.add_argument("--json", help="also write the samples to this file")
    arguments = parser.parse_args()
    amount = 1 if arguments.quick else 2
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    for file in ("/etc/subuid", "/etc/subgid"):  # the test host's own
        Path(file).write_text("bryo:1000000:60000000\ndockremap:165536:65536\n")
    subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", "dockremap"], stderr=subprocess.DEVNULL)
    rows = []
    with Registry(BUILD / "hub", read_only=True) as hub:
        engines = contenders(SCRATCH, hub, arguments.engines.split(","))
        try:
            for contender in engines:
                contender.start()
                contender.pull("busybox")
                print(f"{contender.name}: GET /_ping {client_cost(contender):.3f} ms", file=sys.stderr)
            machine = machine_line(engines)
            for name in arguments.rows.split(","):
                print(f"{name} …", file=sys.stderr, flush=True)
                rows.append(ROWS[name](engines, amount))
                print("  " + ", ".join(f"{n} {shown(s, rows[-1].unit)}" for n, s in rows[-1].samples.items()), file=sys.stderr, flush=True)
                for failure in rows[-1].failures()[:3]:
                    print(f"  FAILED {failure}", file=sys.stderr)
        finally:
            for contender in engines:
                contender.client.close()
                contender.daemon.close()
            shutil.rmtree(SCRATCH, ignore_errors=True)
    print(markdown(rows, machine))
    if arguments.json:
        data = [{"title": r.title, "goal": r.goal, "ratio": r.ratio, "samples": {n: s.values for n, s in r.samples.items()},
                 "failures": r.failures(), "notes": r.notes} for r in rows]
        Path(arguments.json).write_text(json.dumps({"machine": machine, "rows": data}, indent=1))
    return 1 if any(row.failures() for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
