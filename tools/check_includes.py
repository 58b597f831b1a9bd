#!/usr/bin/python3
"""The arrows of the architecture, proved from the #includes under src/: a folder includes only folders below it.

    check_includes.py [ROOT]      ROOT is a checkout, this one by default
"""

import re
import sys
from pathlib import Path

# folder -> the folders directly below it. What is reachable from there may be included too.
BELOW = {
    "base": [],
    "kernel": ["base"],
    "oci": ["kernel", "base"],
    "ids": ["kernel", "base"],
    "runtime": ["ids", "oci"],
    "bypass": ["kernel", "base"],
    "monitor": ["runtime", "bypass"],
    "storage": ["ids", "oci"],
    "registry": ["ids", "oci"],
    "images": ["registry", "storage"],
    "network": ["ids", "oci"],
    "rootless": ["monitor"],
    "engine": ["images", "network", "rootless", "monitor"],
    "build": ["engine"],
    "api": ["build"],
    "cri": ["build"],
    "cli": ["base"],
}
# The command line speaks HTTP and shares nothing with the engine but the types of the API.
ALSO = {"cli": re.compile(r"api/types")}

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def reachable(folder):
    seen, queue = {folder}, [folder]
    while queue:
        for lower in BELOW[queue.pop()]:
            if lower not in seen:
                seen.add(lower)
                queue.append(lower)
    return seen


def violations(root):
    found = []
    for file in sorted((root / "src").rglob("*.[ch]pp")):
        relative = file.relative_to(root / "src")
        folder = relative.parts[0]
        if folder not in BELOW:
            found.append(f"src/{relative}: folder {folder}/ is not in the architecture (add it to BELOW in tools/check_includes.py)")
            continue
        allowed = reachable(folder)
        for included in INCLUDE.findall(file.read_text()):
            target = included.split("/")[0]
            if "/" not in included:
                if (file.parent / included).exists():
                    found.append(f'src/{relative}: write "{"/".join((*relative.parts[:-1], included))}", every include starts at src/')
                continue
            if target not in BELOW or target in allowed or (folder in ALSO and ALSO[folder].match(included)):
                continue
            found.append(f'src/{relative}: includes "{included}": {folder}/ may include only {", ".join(sorted(allowed))}')
    return found


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    found = violations(root)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
