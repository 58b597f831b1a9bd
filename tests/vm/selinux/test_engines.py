"""The engines under an enforcing policy that knows nothing of them."""

import json

import pytest

from tests.support.waiting import wait_for
from tests.vm.people import sh
from tests.vm.selinux.conftest import denials


@pytest.fixture(params=["root", "bozo"])
def engine(request):
    """The remapped engine of root, and the engine of a user."""
    found = request.getfixturevalue(request.param)
    found.prefix = ["bryo"] if request.param == "bozo" else []
    return found


def test_containers_run(engine):
    before = denials()
    engine.bryo("network", "create", "lan")
    engine.bryo("run", "-d", "--name", "web", "--network", "lan", "-p", "8081:80", "-v", "data:/data", "--memory", "64m", "busybox", "sh", "-c", "echo hello >/data/index.html; exec httpd -f -h /data")
    wait_for(lambda: engine.bryo("exec", "web", "ls", "/data") == "index.html", 20)
    assert sh("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8081/") == "hello\n"
    assert engine.bryo("run", "--rm", "--network", "lan", "busybox", "wget", "-q", "-O", "-", "http://web/") == "hello"
    assert "0 " in engine.bryo("exec", "web", "cat", "/proc/self/uid_map")
    engine.bryo("commit", "web", "copy")
    engine.bryo("rm", "-f", "-v", "web")
    engine.bryo("network", "rm", "lan")
    assert denials() == before


def test_words_about_labels(engine):
    """As with dockerd, which labels nothing unless it is told to; here that is said."""
    for words in (("label=type:container_t",), ("label=level:s0:c1,c2", "label=user:system_u")):
        options = [part for word in words for part in ("--security-opt", word)]
        done = engine.run(*engine.prefix, "run", "--rm", *options, "busybox", "echo", "ran")
        assert done.stdout == "ran\n" and f"--security-opt {words[0]}: this engine gives its containers no SELinux labels" in done.stderr, done
    silent = engine.run(*engine.prefix, "run", "--rm", "--security-opt", "label=disable", "busybox", "echo", "ran")
    assert silent.stdout == "ran\n" and not silent.stderr, silent
    for letter in "zZ":
        assert engine.bryo("run", "--rm", "-v", f"labels:/v:{letter}", "busybox", "sh", "-c", "echo x >/v/file && cat /v/file") == "x"


def test_the_doctor_says_what_labels_there_are(engine):
    checks = {c["Name"]: c for c in json.loads(engine.bryo("doctor", "--format", "json"))["Checks"]}
    assert checks["selinux"]["State"] == "ok" and "no label of their own" in checks["selinux"]["Detail"], checks["selinux"]
