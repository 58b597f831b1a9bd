"""What a failed operation left on disk and in the kernel."""

import contextlib
import os
import re

from tests.support.audit import Audit
from tests.support.waiting import wait_for

# The database, its journal and the log of the daemon change with every request and are no leftovers.
OWN = re.compile(r"\.(db|sqlite3?|db-wal|db-shm|sqlite3?-wal|sqlite3?-shm|lock)$")


def files(root):
    return {os.path.relpath(os.path.join(directory, name), root) for directory, subs, names in os.walk(root) for name in (*subs, *names) if not OWN.search(name)}


@contextlib.contextmanager
def nothing_left(daemon, kernel=True):
    """The block leaves no file in the data root and (with `kernel`) no mount, cgroup, process, link or namespace. Engines may clean up a
    moment later. dockerd leaves files after failed pulls: only Bryo is held to this."""
    if not daemon.engine.is_bryo:
        yield
        return
    audit = Audit(daemon) if kernel else None
    before = files(daemon.data_root)
    yield
    new = set()

    def clean():
        new.clear()
        new.update(files(daemon.data_root) - before)
        return not new

    try:
        wait_for(clean, 10)
    except AssertionError:
        raise AssertionError("left in the data root:\n  " + "\n  ".join(sorted(new)[:40])) from None
    if audit:
        audit.assert_clean()
