#!/usr/bin/python3
"""Paths are the bug (security.md, D1 and D2): no raw path call above kernel/.

In the folders below a path may lead through a tree that a container or an image can write. There only kernel/paths (openat2, one
descriptor) resolves names. tools/raw_calls.allow lists the exceptions: a file, a call, and why that path is not theirs to write.

    check_calls.py [ROOT]
"""

import re
import sys
from pathlib import Path

FOLDERS = ["engine", "storage", "images", "runtime", "monitor"]
# The ...at() calls are not here: with a descriptor and one checked component they are what kernel/paths is made for.
CALLS = ["open", "creat", "fopen", "mkdir", "mount", "umount", "umount2", "chmod", "chown", "lchown", "rename", "symlink", "link", "unlink", "rmdir",
         "mknod", "truncate", "chroot", "pivot_root", "realpath", "setxattr", "lsetxattr", "utimes"]
# Not a member (x.open, x->open), not another namespace's (kernel::open); plain and ::open are the C library's.
RAW = re.compile(rf"(?<![\w.>:])(?:::)?\b({'|'.join(CALLS)})\s*\(")
STREAMS = re.compile(r"std::(filesystem|ifstream|ofstream|fstream|remove|rename)\b")
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.DOTALL)
# `Type name(`: a declaration or definition of ours that happens to have the name.
DECLARATION = re.compile(r"[\w>&*\]]\s+[&*]?$")
KEYWORDS = re.compile(r"\b(return|else|co_return|co_await|throw|case|do)\s+$")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def own_functions(folder):
    """Names from CALLS that are functions of our own in this folder: an unqualified `open(x)` is then ours."""
    text = "\n".join(NOISE.sub(blank, f.read_text()) for f in folder.rglob("*.[ch]pp"))
    return {name for name in CALLS if re.search(rf"\b\w+::{name}\(", text) or re.search(rf"^[^\S\n]*(?!return\b)[\w:<>&*]+[ &*]+{name}\(", text, re.MULTILINE)}


def calls(text, ours=frozenset()):
    """(line number, call) of every raw path call in C++ source text. A literal path such as "/dev/null" is the host's own."""
    code = NOISE.sub(blank, text)
    for match in RAW.finditer(code):
        before = code[: match.start()].rsplit("\n", 1)[-1]
        if DECLARATION.search(before) and not KEYWORDS.search(before):
            continue
        if "::" not in match.group(0) and match.group(1) in ours:
            continue
        if match.group(1) == "open" and text.startswith('"/', match.end()):
            continue
        yield code.count("\n", 0, match.start()) + 1, match.group(1)
    for match in STREAMS.finditer(code):
        yield code.count("\n", 0, match.start()) + 1, "std::" + match.group(1)


def read_allowed(file):
    allowed = {}
    for number, line in enumerate(file.read_text().splitlines() if file.exists() else [], 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"(\S+)\s+(\S+)\s+(\S.*)", line)
        if not match:
            raise SystemExit(f"{file.name}:{number}: want `file call reason`, got `{line}`")
        allowed[match.group(1), match.group(2)] = number
    return allowed


def violations(root):
    allowed = read_allowed(root / "tools/raw_calls.allow")
    used, found = set(), []
    for folder in FOLDERS:
        ours = own_functions(root / "src" / folder)
        for file in sorted((root / "src" / folder).rglob("*.[ch]pp")):
            if re.search(r"_test\.cpp$|test_support\.|^test_|^fake_", file.name):
                continue
            name = str(file.relative_to(root))
            for line, call in calls(file.read_text(), ours):
                if (name, call) in allowed:
                    used.add((name, call))
                else:
                    found.append(f"{name}:{line}: {call}: use kernel/paths, or add a line with the reason to tools/raw_calls.allow")
    found += [f"tools/raw_calls.allow:{n}: {f} has no {c} any more: delete the line" for (f, c), n in allowed.items() if (f, c) not in used]
    return found


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    found = violations(root)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
