"""bryo-oci beside crun and runc: the same bundle, the same cgroups, one run. Started by bench/run.sh oci, in a private test host.

Every command must end with status 0, or there is no table. In turns, so that a noisy moment of the machine meets all three.
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

from tests.support.daemon import BIN  # noqa: E402

SCRATCH = Path(os.environ.get("BRYO_TEST_SCRATCH", "/nonexistent"))
RUNTIMES = {"bryo-oci": str(BIN / "bryo-oci"), "crun": shutil.which("crun"), "runc": shutil.which("runc")}
BLOCK, PAUSE, TURNS = 10, 0.5, 3
STATIC_TRUE = "int main(void) { return 0; }\n"
STATIC_SLEEP = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"


class Failure(Exception):
    pass


def call(*arguments):
    with open(os.devnull, "rb") as nothing:
        done = subprocess.run(list(map(str, arguments)), stdin=nothing, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, arguments))}: status {done.returncode}: {done.stderr.strip()[:300]}")
    return done.stdout


def spawn(*arguments):
    """As call(), with nothing around the program that takes time: no pipes, no threads."""
    nowhere = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    words = list(map(str, arguments))
    _, status = os.waitpid(os.posix_spawn(words[0], words, os.environ, file_actions=nowhere), 0)
    if status != 0:
        raise Failure(f"{' '.join(words)}: status {os.waitstatus_to_exitcode(status)}")


def make_bundle(name, program, **resources):
    """A bundle as `runc spec` makes it: every namespace, masks, capabilities. Without what this machine refuses: rlimits and ambient sets."""
    bundle = SCRATCH / name
    (bundle / "rootfs/bin").mkdir(parents=True)
    for file, source in (("true", STATIC_TRUE), ("sleep", STATIC_SLEEP)):
        (bundle / f"{file}.c").write_text(source)
        call("gcc", "-static", "-O2", "-o", bundle / "rootfs/bin" / file, bundle / f"{file}.c")
    subprocess.run([RUNTIMES["runc"], "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"args": [f"/bin/{program}"], "terminal": False, "rlimits": []}
    config["process"]["capabilities"].pop("ambient", None)
    config["linux"]["resources"] |= resources
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def timed(function):
    begin = time.perf_counter()
    function()
    return (time.perf_counter() - begin) * 1000


def medians(rounds, function):
    """{runtime: median of function(program, number)} in ms: the runtimes in turns, ten each, after a pause in which the kernel clears away
    what the one before has left (namespaces and cgroups go slowly)."""
    times = {name: [] for name in RUNTIMES}
    for block in range(0, rounds, BLOCK):
        for name, program in RUNTIMES.items():
            time.sleep(PAUSE)
            for number in range(block, min(block + BLOCK, rounds)):
                times[name].append(timed(lambda p=program, n=number: function(p, n)))
    return {name: statistics.median(values) for name, values in times.items()}


def run_row(rounds):
    bundle = make_bundle("run", "true")
    return medians(rounds, lambda program, number: spawn(program, "run", "--bundle", bundle, f"r{number}"))


def exec_row(rounds):
    bundle = make_bundle("exec", "sleep")
    for name, program in RUNTIMES.items():
        subprocess.run([program, "run", "--detach", "--bundle", bundle, f"e-{name}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    names = {program: name for name, program in RUNTIMES.items()}
    try:
        return medians(rounds, lambda program, number: spawn(program, "exec", f"e-{names[program]}", "/bin/true"))
    finally:
        for name, program in RUNTIMES.items():
            call(program, "delete", "--force", f"e-{name}")


def parallel_row(count):
    """Containers per second: `count` runs, 16 at a time, in turns. xargs starts them: threads of this program would take the processors from
    the runtimes, whichever it is."""
    bundle = make_bundle("parallel", "true")
    rates = {name: [] for name in RUNTIMES}
    for turn in range(TURNS):
        for name, program in RUNTIMES.items():
            names = SCRATCH / f"names-{name}-{turn}"
            names.write_text("".join(f"p{n}\n" for n in range(count)))
            time.sleep(PAUSE)
            elapsed = timed(lambda p=program, n=names: call("xargs", "-a", n, "-P", "16", "-I@", p, "run", "--bundle", bundle, "@"))
            rates[name].append(count / elapsed * 1000)
    return {name: statistics.median(values) for name, values in rates.items()}


def peak_row(rounds):
    """Peak RSS of one `run` in MB: what wait4(2) reports to busybox, which is small itself (a fork starts with its parent's peak)."""
    bundle = make_bundle("peak", "true")
    peaks = {}
    for name, program in RUNTIMES.items():
        values = []
        for number in range(rounds):
            command = ["busybox", "time", "-f", "%M", program, "run", "--bundle", bundle, f"m{number}"]
            done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                raise Failure(f"{name} run: status {done.returncode}: {done.stderr[:300]}")
            values.append(int(done.stderr.split()[-1]) / 4 / 1000)  # busybox takes what is in KiB for pages
        peaks[name] = statistics.median(values)
    return peaks


def small_memory_row():
    """The smallest memory limit in MB with which /bin/true runs."""
    smallest = {}
    for name, program in RUNTIMES.items():
        smallest[name] = None
        for megabytes in (0.5, 1, 2, 4, 8, 16, 32):
            bundle = make_bundle(f"memory-{name}-{megabytes}", "true", memory={"limit": int(megabytes * 1024 * 1024)})
            try:
                call(program, "run", "--bundle", bundle, "small")
            except Failure:
                subprocess.run([program, "delete", "--force", "small"], capture_output=True)
                continue
            smallest[name] = megabytes
            break
    return smallest


def line(title, unit, values, goal, verdict, digits=2):
    cells = [f"{values[name]:.{digits}f} {unit}" if values[name] is not None else "—" for name in ("crun", "runc", "bryo-oci")]
    return f"| {title} | {' | '.join(cells)} | {goal} | {'yes' if verdict else '**no**'} |"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=100)
    rounds = options.parse_args().rounds
    missing = [name for name, path in RUNTIMES.items() if not path]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}")
    rows = ["| what | crun | runc | bryo-oci | goal | |", "|---|---|---|---|---|---|"]
    t = run_row(rounds)
    rows.append(line("`run` of a static `true`", "ms", t, "≤ 0.50× crun, ≤ 0.20× runc", t["bryo-oci"] <= 0.5 * t["crun"] and t["bryo-oci"] <= 0.2 * t["runc"]))
    t = exec_row(rounds)
    rows.append(line("`exec` of a static `true`", "ms", t, "≤ 0.50× crun", t["bryo-oci"] <= 0.5 * t["crun"]))
    t = parallel_row(2 * rounds)
    rows.append(line(f"{2 * rounds} runs, 16 at a time", "/s", t, "≥ 2× crun", t["bryo-oci"] >= 2 * t["crun"], 1))
    t = peak_row(10)
    rows.append(line("peak RSS of a `run`", "MB", t, "≤ crun", t["bryo-oci"] <= t["crun"], 1))
    t = small_memory_row()
    rows.append(line("smallest memory limit that starts", "MB", t, "≤ 4 MB", t["bryo-oci"] is not None and t["bryo-oci"] <= 4, 1))
    print("\n".join(rows))
    print(f"\nMedians of one run; {os.cpu_count()} cores, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}.")


if __name__ == "__main__":
    main()
