"""Registries that are down, slow, redirecting, lying: a clear error, nothing left behind, and the engine goes on."""

import json
import os
import time

import pytest

from tests.faults.leftovers import nothing_left
from tests.support import evil_registry as evil
from tests.support.evil_registry import EvilRegistry, reply
from tests.support.layers import Image, Layer, dumps, sha256
from tests.support.rawhttp import ApiError


@pytest.fixture
def image():
    """Another image for every test: no engine has its layers already."""
    base = Layer().file("noise", os.urandom(100)).dir("bin").copy("bin/busybox", "/bin/busybox").symlink("bin/sh", "busybox")
    return Image([base.tar(), Layer().file("more-noise", os.urandom(300_000)).tar()], {"Cmd": ["/bin/sh", "-c", "echo works"]})


def pull(daemon, name):
    """The error of a pull, or None."""
    try:
        objects = daemon.pull(name)
    except ApiError as error:
        return error.message
    errors = [o["errorDetail"]["message"] for o in objects if "errorDetail" in o]
    return errors[0] if errors else None


def works(daemon, name):
    return daemon.output(daemon.run(name)) == "works\n"


LIES = [evil.wrong_bytes, evil.one_bit, evil.shorter, evil.longer, evil.empty, evil.missing, evil.redirect_loop, evil.redirect_to_file, evil.no_http]


@pytest.mark.parametrize("lie", LIES, ids=lambda f: f.__name__)
def test_a_layer_that_is_not_what_its_digest_says(daemon, image, lie):
    with nothing_left(daemon), EvilRegistry(image, blob=lie) as registry:
        error = pull(daemon, registry.image)
        assert error, "the pull must fail"
        assert daemon.api.get("/images/json", filters={"reference": [registry.image]}) == []


@pytest.mark.slow
@pytest.mark.parametrize("lie", [evil.truncated, evil.broken, evil.endless_headers], ids=lambda f: f.__name__)
def test_a_layer_that_never_comes(daemon, image, lie):
    """Clients try again a few times with pauses, and then say so."""
    with nothing_left(daemon), EvilRegistry(image, blob=lie) as registry:
        begin = time.monotonic()
        assert pull(daemon, registry.image)
        assert time.monotonic() - begin < (60 if daemon.engine.is_bryo else 200)


def test_an_interrupted_layer_is_fetched_again(daemon, image):
    with EvilRegistry(image, blob=evil.interrupted_first({})) as registry:
        assert pull(daemon, registry.image) is None
        assert works(daemon, registry.image)


@pytest.mark.bryo_only
@pytest.mark.parametrize("status", [503, 429, 502])
def test_a_registry_that_is_busy_is_asked_again(daemon, image, status):
    with EvilRegistry(image, blob=evil.fails_first(1, status)) as registry:
        assert pull(daemon, registry.image) is None
        assert works(daemon, registry.image)


def test_a_slow_registry_is_waited_for(daemon, image):
    with EvilRegistry(image, blob=evil.slow(1.5)) as registry:
        assert pull(daemon, registry.image) is None
        assert works(daemon, registry.image)


def test_redirects_to_another_server_are_followed_without_the_credentials(daemon, image):
    """As hub and clouds do with layers; what authenticates us stays at home (CVE-2020-15157)."""
    with EvilRegistry(image) as storage:
        def elsewhere(handler, digest, data):
            reply(handler, b"", {"Location": f"http://{storage.address.replace('127.0.0.1', 'localhost')}{handler.path}"}, status=307)

        def challenge(handler, data=b"{}", kind="application/json"):
            if not handler.headers.get("Authorization"):
                return reply(handler, b"{}", {"WWW-Authenticate": 'Basic realm="test"'}, status=401)
            return reply(handler, data, {"Content-Type": kind})

        def manifest(handler, data):
            return challenge(handler, data, "application/vnd.oci.image.manifest.v1+json")

        with EvilRegistry(image, blob=elsewhere, base=challenge, manifest=manifest) as registry:
            import base64

            auth = base64.urlsafe_b64encode(json.dumps({"username": "u", "password": "secret", "serveraddress": registry.address}).encode()).decode()
            status, _, data = daemon.api.raw("POST", daemon.api.path("/images/create", fromImage=registry.image, tag="latest"), b"", {"X-Registry-Auth": auth})
            assert status == 200 and b"errorDetail" not in data, data
            assert any("Authorization" in headers for _, _, headers in registry.requests)
        assert storage.requests and not any("Authorization" in headers for _, _, headers in storage.requests)
        assert works(daemon, registry.image)


def test_a_registry_that_is_down(daemon, image):
    with EvilRegistry(image) as registry:
        name = registry.image
    with nothing_left(daemon):
        error = pull(daemon, name)
    assert "connection refused" in error.lower() or "could not connect" in error.lower() or "couldn't connect" in error.lower()
    assert name.split("/")[0] in error


def test_a_plain_http_registry_that_is_not_declared_insecure(daemon, image):
    """127.0.0.0/8 is insecure by default, other addresses of ours are not."""
    import subprocess

    subprocess.run(["ip", "addr", "add", "198.18.0.1/32", "dev", "lo"], check=True)
    try:
        from tests.support.hub import Registry  # noqa: F401 (documents what a real one is)

        with EvilRegistry(image) as registry:
            error = pull(daemon, f"198.18.0.1:{registry.port}/evil")
            assert error
            assert not any(path.startswith("/v2") for _, path, _ in registry.requests)
    finally:
        subprocess.run(["ip", "addr", "del", "198.18.0.1/32", "dev", "lo"], check=True)


def manifest_of(image, **changes):
    _, manifest = image.blobs_and_manifest()
    value = json.loads(manifest)
    value.update(changes)
    return dumps({k: v for k, v in value.items() if v is not None})


BAD_MANIFESTS = {
    "not json": lambda i: b"this is not JSON",
    "empty": lambda i: b"",
    "array": lambda i: b"[]",
    "schema 1": lambda i: manifest_of(i, schemaVersion=1, mediaType="application/vnd.docker.distribution.manifest.v1+json"),
    "schema 9": lambda i: manifest_of(i, schemaVersion=9),
    "no config": lambda i: manifest_of(i, config=None),
    "config digest of nobody": lambda i: manifest_of(i, config={"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 10}),
    "bad digest": lambda i: manifest_of(i, config={"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:../../../etc/passwd", "size": 10}),
    "unknown algorithm": lambda i: manifest_of(i, config={"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "md5:" + "0" * 32, "size": 10}),
    "too few layers": lambda i: manifest_of(i, layers=json.loads(i.blobs_and_manifest()[1])["layers"][:1]),
    "negative size": lambda i: manifest_of(i, layers=[{**layer, "size": -1} for layer in json.loads(i.blobs_and_manifest()[1])["layers"]]),
    "unknown layer type": lambda i: manifest_of(i, layers=[{**layer, "mediaType": "application/x-unknown"} for layer in json.loads(i.blobs_and_manifest()[1])["layers"]]),
    "deep": lambda i: b"[" * 100_000 + b"]" * 100_000,
    "huge": lambda i: b'{"schemaVersion":2,"x":"' + b"x" * (32 << 20) + b'"}',
}


DOCKERD_FAILS = ["negative size", "unknown layer type", "schema 9", "no config", "huge", "too few layers"]


@pytest.mark.parametrize("kind", BAD_MANIFESTS)
def test_bad_manifests(daemon, image, kind):
    if kind in DOCKERD_FAILS and not daemon.engine.is_bryo:
        pytest.skip("dockerd 20.10 takes it, or dies of it")
    with nothing_left(daemon), EvilRegistry(image, manifest_bytes=BAD_MANIFESTS[kind](image)) as registry:
        assert pull(daemon, registry.image)
    assert daemon.answers()


def test_a_manifest_that_is_not_what_its_digest_says(daemon, image):
    digest = "sha256:" + "1" * 64
    with nothing_left(daemon), EvilRegistry(image) as registry:
        try:
            objects = daemon.pull(f"{registry.image}@{digest}", tag="")
        except ApiError:
            return
        assert any("errorDetail" in o for o in objects)


def config_of(image, change):
    """An image whose configuration is not what it should be."""
    class Changed(Image):
        def config_json(self):
            value = json.loads(Image.config_json(self))
            return change(value)

    return Changed(image.layers, image.config)


BAD_CONFIGS = {
    "not json": lambda v: b"nonsense",
    "wrong diff id": lambda v: dumps({**v, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "2" * 64] * len(v["rootfs"]["diff_ids"])}}),
    "other diff id count": lambda v: dumps({**v, "rootfs": {"type": "layers", "diff_ids": v["rootfs"]["diff_ids"] * 2}}),
    "evil diff id": lambda v: dumps({**v, "rootfs": {"type": "layers", "diff_ids": ["sha256:../../../../tmp/x", "x"]}}),
    "other system": lambda v: dumps({**v, "os": "windows"}),
}


@pytest.mark.parametrize("kind", BAD_CONFIGS)
def test_bad_configurations(daemon, image, kind):
    with nothing_left(daemon), EvilRegistry(config_of(image, BAD_CONFIGS[kind])) as registry:
        assert pull(daemon, registry.image)


def test_a_corrupt_gzip_stream_with_the_right_digest(daemon, image):
    """The registry tells the truth, the layer itself is broken."""
    class Broken(Image):
        def blobs_and_manifest(self):
            blobs, manifest = Image.blobs_and_manifest(self)
            value = json.loads(manifest)
            layer = value["layers"][-1]
            good = blobs.pop(layer["digest"])
            bad = good[: len(good) // 2] + b"\xff" * 100 + good[len(good) // 2 + 100 :]
            layer.update(digest=sha256(bad), size=len(bad))
            return {**blobs, sha256(bad): bad}, dumps(value)

    with nothing_left(daemon), EvilRegistry(Broken(image.layers, image.config)) as registry:
        assert pull(daemon, registry.image)


def test_a_client_that_leaves_ends_its_pull(daemon, image):
    """And leaves nothing: the next pull of the same image works."""
    with EvilRegistry(image, blob=evil.slow(20)) as registry:
        with nothing_left(daemon):
            stream = daemon.api.stream("POST", "/images/create", {}, fromImage=registry.image, tag="latest")
            next(stream.objects())
            stream.close()
        registry.answers["blob"] = None
        assert pull(daemon, registry.image) is None


def test_two_pulls_of_one_image_share_the_work(daemon, image):
    from concurrent.futures import ThreadPoolExecutor

    with EvilRegistry(image, blob=evil.slow(0.5)) as registry:
        def one(_):
            from tests.support.rawhttp import Api

            with Api(daemon.socket).stream("POST", "/images/create", {}, fromImage=registry.image, tag="latest") as stream:
                return [o for o in stream.objects() if "errorDetail" in o]

        with ThreadPoolExecutor(4) as pool:
            assert not any(pool.map(one, range(4)))
        fetched = [path for method, path, _ in registry.requests if "blobs" in path and method == "GET" and registry.config_digest not in path]
        assert len(fetched) == len(set(fetched)), "every layer once"
        assert works(daemon, registry.image)
