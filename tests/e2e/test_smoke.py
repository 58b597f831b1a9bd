"""The rig itself: a daemon starts, pulls, runs, stops and leaves nothing."""

from tests.support.audit import Audit


def test_run_busybox_from_the_hub(daemon, docker):
    assert "uid=0(root)" in docker("run", "--rm", "busybox", "id").out


def test_nothing_is_left_after_a_container(daemon):
    daemon.pull("busybox")
    daemon.api.delete(f"/containers/{daemon.run('busybox', 'true')}")  # directories that come with the first container
    audit = Audit(daemon)
    container = daemon.run("busybox", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert daemon.state(container)["ExitCode"] == 3
    assert sorted(daemon.output(container).split()) == ["err", "out"]
    daemon.api.delete(f"/containers/{container}")
    audit.assert_clean()


def test_nothing_is_left_after_the_daemon(make_daemon):
    audit = Audit()
    daemon = make_daemon().start()
    daemon.pull("busybox")
    daemon.run("busybox", "true")
    daemon.close()
    leaks = [leak for leak in audit.leaks() if daemon.engine.is_bryo or not leak.startswith(("nft", "cgroup"))]
    assert not leaks
