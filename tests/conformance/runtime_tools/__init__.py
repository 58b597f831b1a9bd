"""Builds the OCI's own validation programs (opencontainers/runtime-tools) beside the project, from their source, and runs them.

They come through the Go module proxy, at the versions that go.mod here pins, into build/runtime-tools/. Nothing of them is kept in the repository.
`python3 -m tests.conformance.runtime_tools` builds them; test.sh does it before it enters the private test host, which has no network.
"""

import os
import re
import stat
import subprocess
from pathlib import Path

from tests.support.daemon import REPO

HERE = Path(__file__).parent
BUILD = REPO / "build/runtime-tools"
NAMES = BUILD / "names"
MODULE = "github.com/opencontainers/runtime-tools"
CASE = re.compile(r"^(ok|not ok) \d+(?: - | )?(.*)$", re.MULTILINE)
PATIENCE = 120


class NotBuilt(Exception):
    pass


def go(*arguments):
    try:
        # Static: one of them runs in a root file system without libraries.
        environment = {**os.environ, "CGO_ENABLED": "0"}
        completed = subprocess.run(["go", *arguments], cwd=HERE, env=environment, capture_output=True, text=True, timeout=240)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise NotBuilt(str(error)) from error
    if completed.returncode != 0:
        raise NotBuilt(f"go {' '.join(arguments)}: {completed.stderr[-500:]}")
    return completed.stdout.strip()


def build():
    """Builds the validation programs into BUILD. NotBuilt without Go or without its module proxy."""
    go("mod", "download")
    sources = Path(go("list", "-m", "-f", "{{.Dir}}", MODULE))
    names = sorted(p.name for p in (sources / "validation").iterdir() if p.name != "util" and any(p.glob("*.go")))
    BUILD.mkdir(parents=True, exist_ok=True)
    wanted = [f"{MODULE}/cmd/runtimetest", *[f"{MODULE}/validation/{name}" for name in names]]
    go("build", "-mod=readonly", "-o", f"{BUILD}/", *wanted)
    for archive in sources.glob("rootfs-*.tar.gz"):
        copy = BUILD / archive.name
        if not copy.exists():
            copy.write_bytes(archive.read_bytes())
    NAMES.write_text("\n".join(names))


def built():
    """The names of the programs, ready to be run by root."""
    if not NAMES.exists():
        raise NotBuilt("build them with: python3 -m tests.conformance.runtime_tools")
    null = BUILD / "null"
    if not null.exists():
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.chmod(null, 0o666)
    return NAMES.read_text().split()


def run(name, runtime):
    """{case: passed} of one validation program; a case that comes several times has passed when it always has."""
    # With a /dev/null of its own: runc gives its standard input to the container's user, and the machine has but one.
    command = ["unshare", "--mount", "sh", "-c", 'mount --bind null /dev/null && exec "./$0"', name]
    try:
        completed = subprocess.run(command, cwd=BUILD, env={"RUNTIME": str(runtime), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                                   capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return {"ends in time": False}
    cases = {"ends in time": True}
    for verdict, text in CASE.findall(completed.stdout):
        cases[text] = cases.get(text, True) and verdict == "ok"
    return cases
