"""images, pull, tag, push, rmi, history, inspect, prune, and what a registry may do."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.hub import Registry
from tests.support.rawhttp import ApiError


@pytest.fixture
def registry(tmp):
    """A second registry, writable, on 127.0.0.1:5000."""
    with Registry(tmp / "registry", port=5000) as server:
        yield server


def test_pull_lines(docker):
    docker.run("rmi", "-f", "debian")
    out = docker("pull", "debian").out
    assert "Using default tag: latest" in out and "latest: Pulling from library/debian" in out
    assert len(re.findall(r"^[0-9a-f]{12}: Pull complete$", out, re.M)) == 4
    assert "Status: Downloaded newer image for debian:latest" in out
    again = docker("pull", "debian").out
    assert "Status: Image is up to date for debian:latest" in again


def test_pull_progress_objects(daemon):
    daemon.api.raw("DELETE", daemon.api.path("/images/debian", force=1))
    objects = daemon.pull("debian")
    assert objects[0] == {"status": "Pulling from library/debian", "id": "latest"}
    states = [o["status"] for o in objects if "id" in o]
    for state in ("Pulling fs layer", "Downloading", "Download complete", "Extracting", "Pull complete"):
        assert state in states, state
    downloading = [o for o in objects if o["status"] == "Downloading"]
    assert all(0 < o["progressDetail"]["current"] <= o["progressDetail"]["total"] for o in downloading)
    assert objects[-1]["status"].startswith("Status: ")


def test_pull_by_digest(docker, hub):
    digest = hub.request("HEAD", "/v2/library/busybox/manifests/latest", {"Accept": "application/vnd.docker.distribution.manifest.v2+json"})[1]["Docker-Content-Digest"]
    docker("pull", f"busybox@{digest}")
    assert docker("run", "--rm", f"busybox@{digest}", "echo", "pinned").out == "pinned\n"
    assert digest in docker("images", "--all", "--digests", "busybox").out


def test_pull_quiet_prints_the_name(docker):
    assert docker("pull", "-q", "busybox").out == "docker.io/library/busybox:latest\n"


def test_pull_what_does_not_exist(docker, registry):
    result = docker.fails("pull", "127.0.0.1:5000/nosuch:one")
    assert "manifest for 127.0.0.1:5000/nosuch:one not found: manifest unknown" in result.err


@pytest.mark.parametrize("name", ["UPPER", "a/b/../c", "-x", "x:tag with space", "x@sha256:12", "a" * 300])
def test_names_that_are_no_names(daemon, name):
    with pytest.raises(ApiError) as error:
        daemon.api.post("/images/create", fromImage=name)
    assert error.value.status == 400
    assert "invalid reference format" in error.value.message or "repository name" in error.value.message


def test_images_table_and_filters(docker):
    docker("pull", "busybox")
    docker("tag", "busybox", "mine/busybox:v1")
    assert docker("images", "--format", "{{.Repository}}:{{.Tag}}", "mine/busybox").lines == ["mine/busybox:v1"]
    assert docker("images", "-q", "--filter", "reference=mine/*").lines
    assert docker("images", "-q", "--filter", "label=bryo.test.made-from").lines
    assert re.search(r"\d+(\.\d+)?MB", docker("images", "--format", "{{.Size}}", "busybox").out)
    docker("rmi", "mine/busybox:v1")


def test_rmi_untags_then_deletes(docker):
    docker("pull", "hello-world")
    docker("rmi", "-f", docker("images", "-q", "hello-world").lines[0])  # with the names that other tests have given it
    docker("pull", "hello-world")
    docker("tag", "hello-world", "other:name")
    out = docker("rmi", "other:name").out
    assert "Untagged: other:name" in out and "Deleted:" not in out
    out = docker("rmi", "hello-world").out
    assert "Untagged: hello-world:latest" in out and re.search(r"Deleted: sha256:[0-9a-f]{64}", out)
    assert "No such image" in docker.fails("rmi", "hello-world").err


def test_rmi_of_an_image_in_use(docker):
    docker("run", "-d", "--name", "box", "busybox", "sleep", "60")
    image = docker("images", "-q", "busybox").lines[0]
    result = docker.fails("rmi", image)
    assert "conflict" in result.err and ("is using" in result.err or "being used" in result.err)
    docker("kill", "box")
    docker("rm", "-f", "box")


def test_inspect_image(docker):
    docker("pull", "test/configured")
    (image,) = json.loads(docker("image", "inspect", "test/configured").out)
    assert image["Id"].startswith("sha256:") and image["RepoTags"] == ["test/configured:latest"]
    assert image["RepoDigests"][0].startswith("test/configured@sha256:")
    assert image["Architecture"] == "amd64" and image["Os"] == "linux" and image["Created"].startswith("2024-01-01")
    assert image["Config"]["User"] == "1000:1000" and image["Config"]["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert image["Config"]["Labels"]["shape"] == "round" and image["Config"]["StopSignal"] == "SIGUSR1"
    assert image["RootFS"]["Type"] == "layers" and len(image["RootFS"]["Layers"]) == 1 and image["Size"] > 1_000_000


def test_history(docker):
    docker("pull", "debian")
    assert docker("history", "--format", "{{.CreatedBy}}", "debian").lines == ["layer 4", "layer 3", "layer 2", "layer 1"]


def test_an_id_prefix_names_an_image(docker):
    docker("pull", "busybox")
    short = docker("images", "-q", "busybox").lines[0]
    assert docker("run", "--rm", short, "echo", "x").out == "x\n"
    assert docker("image", "inspect", "-f", "{{.RepoTags}}", short).out.strip().startswith("[busybox")


def test_push_and_pull_back(docker, registry):
    docker("pull", "debian")
    docker("tag", "debian", "127.0.0.1:5000/team/debian:one")
    out = docker("push", "127.0.0.1:5000/team/debian:one").out
    assert len(re.findall(r"^[0-9a-f]{12}: Pushed$", out, re.M)) >= 3
    digest = re.search(r"one: digest: (sha256:[0-9a-f]{64})", out).group(1)
    status, headers, _ = registry.request("GET", "/v2/team/debian/manifests/one", {"Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"})
    assert status == 200 and headers["Docker-Content-Digest"] == digest
    again = docker("push", "127.0.0.1:5000/team/debian:one").out
    assert "Layer already exists" in again and digest in again
    docker("rmi", "127.0.0.1:5000/team/debian:one", "debian")
    assert f"Digest: {digest}" in docker("pull", "127.0.0.1:5000/team/debian:one").out
    assert docker("run", "--rm", "127.0.0.1:5000/team/debian:one", "cat", "/etc/motd").out == "made with mmdebstrap\n"
    docker("rmi", "127.0.0.1:5000/team/debian:one")


def test_push_of_a_committed_image(docker, registry):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo kept >/kept")
    docker("commit", "box", "127.0.0.1:5000/kept")
    docker("push", "127.0.0.1:5000/kept")
    docker("rmi", "127.0.0.1:5000/kept")
    assert docker("run", "--rm", "127.0.0.1:5000/kept", "cat", "/kept").out == "kept\n"
    docker("rmi", "127.0.0.1:5000/kept")


def test_push_all_tags(docker, registry):
    docker("pull", "hello-world")
    for tag in ("one", "two"):
        docker("tag", "hello-world", f"127.0.0.1:5000/hello:{tag}")
    docker("push", "-a", "127.0.0.1:5000/hello")
    assert sorted(json.loads(registry.request("GET", "/v2/hello/tags/list")[2])["tags"]) == ["one", "two"]
    docker("pull", "-a", "127.0.0.1:5000/hello")
    docker("rmi", "127.0.0.1:5000/hello:one", "127.0.0.1:5000/hello:two")


def test_push_of_nothing(docker):
    assert "does not exist" in docker.fails("push", "127.0.0.1:5000/nosuch").all


def test_a_platform_that_the_index_does_not_have(docker, hub):
    result = docker.fails("pull", "--platform", "linux/s390x", f"{hub.address}/library/alpine")
    assert "no matching manifest for linux/s390x" in result.all


def test_layers_are_shared_between_images(docker, daemon):
    docker("pull", "busybox")
    docker.run("rmi", "-f", "pvnovarese/clock")  # of the client before
    out = docker("pull", "pvnovarese/clock").out
    assert "Already exists" in out


def test_tag_errors(docker):
    assert "No such image" in docker.fails("tag", "nosuch", "x").err
    docker("pull", "busybox")
    assert "refused" in docker.fails("tag", "busybox", "UPPER").err or "must be lowercase" in docker.fails("tag", "busybox", "UPPER").err \
        or "is not a valid" in docker.fails("tag", "busybox", "UPPER").err


def test_image_prune_takes_dangling_ones(docker):
    docker("run", "--name", "box", "busybox", "sh", "-c", "echo >/x")
    docker("commit", "box", "moving")
    docker("commit", "-m", "again", "box", "moving")
    assert len(docker("images", "-q", "--filter", "dangling=true").lines) == 1
    assert "deleted: sha256:" in docker("image", "prune", "-f").out
    assert not docker("images", "-q", "--filter", "dangling=true").lines
    docker("rm", "box")
    docker("rmi", "moving")


def test_login_against_a_registry_without_accounts(daemon, registry):
    answer = daemon.api.post("/auth", {"username": "u", "password": "p", "serveraddress": "127.0.0.1:5000"})
    assert answer["Status"] == "Login Succeeded"


def test_distribution_inspect(daemon, registry, docker):
    docker("pull", "hello-world")
    docker("tag", "hello-world", "127.0.0.1:5000/hello:one")
    docker("push", "127.0.0.1:5000/hello:one")
    answer = daemon.api.get("/distribution/127.0.0.1:5000/hello:one/json")
    assert answer["Descriptor"]["digest"].startswith("sha256:") and answer["Platforms"][0]["architecture"] == "amd64"


def test_pull_of_what_does_not_exist_has_its_status(daemon, registry):
    with pytest.raises(ApiError) as error:
        daemon.pull("127.0.0.1:5000/nosuch", tag="one")
    assert error.value.status == 404
    assert "manifest for 127.0.0.1:5000/nosuch:one not found: manifest unknown" in error.value.message


def test_pull_from_a_registry_that_wants_a_password_asks_nobody(docker):
    class Closed(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="closed"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Closed) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            result = docker.fails("pull", f"127.0.0.1:{server.server_port}/closed", timeout=10)
        finally:
            server.shutdown()
    assert "Login prior" not in result.all
    assert "authentication required" in result.err or "no basic auth credentials" in result.err
