#!/usr/bin/python3
"""Types the commands of a lab in again and writes what the machine says below each: the labs show real output, always.

    tests/run -- /usr/bin/python3 docs/labs/record.py docs/labs/001-user-namespaces.md

In a Markdown file, every line of a ```console block that begins with "# " is a command (it goes on while a line ends with a backslash);
everything else in the block is replaced. All blocks of one file share one shell of root's, in the private test host: /etc, the network and
/var/lib are not the machine's. A read-only registry plays Docker's hub. A command that fails is part of a lab; a shell that dies is an error.
"""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.daemon import BIN  # noqa: E402
from tests.support.hub import Registry  # noqa: E402
from tests.support.images import BUILD  # noqa: E402

QUIET = 0.7  # seconds without output after which a command in the background has said what it has to say


class Shell:
    def __init__(self, environment):
        self.process = subprocess.Popen(["/bin/bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=environment, cwd="/root")
        self.text, self.changed = b"", time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while piece := os.read(self.process.stdout.fileno(), 65536):
            self.text, self.changed = self.text + piece, time.monotonic()

    def run(self, command):
        """What it printed, and what is printed until nothing more comes."""
        self.text = b""
        mark = f"--- {time.monotonic_ns()} ---"
        self.process.stdin.write(f"{command}\necho '{mark}'\n".encode())
        self.process.stdin.flush()
        while mark.encode() not in self.text:
            if self.process.poll() is not None:
                sys.exit(f"the shell ended in: {command}")
            time.sleep(0.01)
        while command.rstrip().endswith("&") and time.monotonic() - self.changed < QUIET:
            time.sleep(0.05)
        return self.text.decode(errors="replace").replace(mark + "\n", "")

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def commands(block):
    lines, command = iter(block.splitlines()), None
    for line in lines:
        if command is None and line.startswith("# "):
            command = line[2:]
        elif command is not None:
            command += "\n" + line
        else:
            continue
        if not command.endswith("\\"):
            yield command
            command = None


def record(path, shell):
    def again(match):
        out = "```console\n"
        for command in commands(match.group(1)):
            said = "\n".join(line.rstrip() for line in shell.run(command).splitlines())
            out += f"# {command}\n" + (said + "\n" if said else "")
        return out + "```"

    path.write_text(re.sub(r"```console\n(.*?)```", again, path.read_text(), flags=re.DOTALL))


def main():
    for name in sys.argv[1:]:
        with Registry(BUILD / "hub", read_only=True) as hub:
            # A data root of our own in Bryo's usual place, and a daemon.json that names our hub.
            root = Path("/var/lib/bryo")
            made = not root.exists()
            root.mkdir(exist_ok=True)
            mine = Path(os.environ["BRYO_TEST_SCRATCH"], Path(name).stem)
            mine.mkdir()
            subprocess.run(["mount", "--bind", mine, root], check=True)
            Path("/etc/bryo").mkdir(exist_ok=True)
            Path("/etc/bryo/daemon.json").write_text(f'{{"registry-mirrors": ["{hub.url}"]}}\n')
            for user in ("dockremap", "bozo", "bryo"):  # a lab makes the users that it speaks of
                subprocess.run(["userdel", user], capture_output=True)
            shell = Shell({"PATH": f"{BIN}:/usr/bin:/usr/sbin:/bin:/sbin", "HOME": "/root", "LANG": "C.UTF-8", "TZ": "UTC"})
            record(Path(name), shell)
            shell.close()
            subprocess.run(["pkill", "--signal", "KILL", "--exact", "bryod"])  # what a lab forgot; this test host is its whole world
            subprocess.run(["umount", "--lazy", root], check=True)
            if made:
                root.rmdir()


if __name__ == "__main__":
    main()
