"""Images that only the bench needs: bench/big, four gzip layers of real files, 300 MB unpacked."""

import os
import stat
from pathlib import Path

from tests.support import images
from tests.support.layers import Image, Layer

LAYERS, LAYER_SIZE = 4, 75 * 1000 * 1000
SOURCES = ["/usr/lib", "/usr/share", "/usr/include", "/usr/bin", "/usr/sbin"]


def real_files():
    """Regular files of this machine, in a fixed order, none larger than a tenth of a layer."""
    for source in SOURCES:
        for directory, subdirectories, files in os.walk(source):
            subdirectories.sort()
            for name in sorted(files):
                path = Path(directory, name)
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and 0 < status.st_size <= LAYER_SIZE // 10:
                    yield path


def big():
    layers, files = [], real_files()
    for number in range(LAYERS):
        layer, size = Layer().dir(f"layer{number}"), 0
        made = set()
        for path in files:
            for parent in reversed(path.relative_to("/").parents[:-1]):
                if parent not in made:
                    made.add(parent)
                    layer.dir(f"layer{number}/{parent}")
            layer.file(f"layer{number}{path}", path.read_bytes(), 0o644)
            size += path.stat().st_size
            if size >= LAYER_SIZE:
                break
        else:
            raise RuntimeError("this machine has too few files for a 300 MB image")
        layers.append(layer.tar())
    return Image(layers, {"Cmd": ["true"]})


images.IMAGES["bench/big"] = (big, ["latest"], [], "v2s2")

if __name__ == "__main__":
    images.build_all()
