"""Small disks that fill up."""

import subprocess

import pytest


@pytest.fixture
def small_disk(tmp):
    """small_disk(megabytes) gives the mount point of a fresh ext4 of that size."""
    mounted = []

    def make(megabytes):
        number = len(mounted)
        image, point = tmp / f"disk{number}.img", tmp / f"disk{number}"
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
        point.mkdir()
        subprocess.run(["mount", "-o", "loop", image, point], check=True)
        subprocess.run(["rmdir", point / "lost+found"], check=False)
        mounted.append(point)
        return point / "data"

    yield make
    for point in mounted:
        subprocess.run(["umount", "-l", point], check=False)
