"""A registry that lies. Serves one image on a loopback port and misbehaves as told; remembers every request it got."""

import http.server
import json
import threading
import time

from tests.support.layers import sha256

NAME = "evil"


class EvilRegistry:
    """`EvilRegistry(image, blob=f)`: `f(handler, digest, data)` answers layer requests instead of the honest way; `manifest=f` likewise.

    Use as a context manager; pull `registry.image`.
    """

    def __init__(self, image, blob=None, manifest=None, base=None, manifest_bytes=None):
        self.blobs, honest = image.blobs_and_manifest()
        self.manifest = manifest_bytes if manifest_bytes is not None else honest
        self.config_digest = json.loads(honest)["config"]["digest"]
        self.answers = {"blob": blob, "manifest": manifest, "base": base}
        self.requests = []

        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def do_GET(self):
                registry.requests.append((self.command, self.path, dict(self.headers)))
                registry.answer(self)

            do_HEAD = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.address = f"127.0.0.1:{self.port}"
        self.image = f"{self.address}/{NAME}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler):
        parts = handler.path.split("?")[0].split("/")
        if parts[:2] == ["", "v2"] and len(parts) == 3 and not parts[2]:
            if self.answers["base"]:
                return self.answers["base"](handler)
            return reply(handler, b"{}")
        if "manifests" in parts:
            if self.answers["manifest"]:
                return self.answers["manifest"](handler, self.manifest)
            kind = json.loads(self.manifest).get("mediaType", "application/vnd.oci.image.manifest.v1+json") if self.manifest[:1] == b"{" else "application/json"
            return reply(handler, self.manifest, {"Content-Type": kind, "Docker-Content-Digest": sha256(self.manifest)})
        if "blobs" in parts:
            digest = parts[-1]
            if digest not in self.blobs:
                return reply(handler, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}', status=404)
            if self.answers["blob"] and digest != self.config_digest:
                return self.answers["blob"](handler, digest, self.blobs[digest])
            return reply(handler, self.blobs[digest])
        return reply(handler, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', status=404)


def reply(handler, data, headers=None, status=200, length=None):
    handler.send_response(status)
    for name, value in {"Content-Type": "application/octet-stream", **(headers or {})}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data) if length is None else length))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data)


# --- lies about a layer


def wrong_bytes(handler, digest, data):
    reply(handler, bytes(len(data)))


def one_bit(handler, digest, data):
    middle = len(data) // 2
    reply(handler, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def truncated(handler, digest, data):
    """Says the truth about the length, and hangs up half way: every time."""
    reply(handler, data[: len(data) // 2], length=len(data))
    handler.close_connection = True


def shorter(handler, digest, data):
    reply(handler, data[:-10])


def longer(handler, digest, data):
    reply(handler, data + b"more")


def empty(handler, digest, data):
    reply(handler, b"")


def missing(handler, digest, data):
    reply(handler, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}', status=404)


def broken(handler, digest, data):
    reply(handler, b"it broke", status=500)


def redirect_loop(handler, digest, data):
    reply(handler, b"", {"Location": handler.path}, status=307)


def redirect_to_file(handler, digest, data):
    reply(handler, b"", {"Location": "file:///etc/passwd"}, status=307)


def no_http(handler, digest, data):
    handler.wfile.write(b"\0\1\2\3 this is not HTTP\r\n\r\n")
    handler.close_connection = True


def endless_headers(handler, digest, data):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(100_000):
        handler.wfile.write(b"X-More: " + b"x" * 100 + b"\r\n")
    handler.close_connection = True


def slow(seconds):
    def answer(handler, digest, data):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        steps = 20
        for i in range(steps):
            handler.wfile.write(data[len(data) * i // steps : len(data) * (i + 1) // steps])
            handler.wfile.flush()
            time.sleep(seconds / steps)

    return answer


def fails_first(times, otherwise_status=503):
    """Unavailable at first: the client should try again."""
    left = {}

    def answer(handler, digest, data):
        left.setdefault(digest, times)
        if left[digest] > 0:
            left[digest] -= 1
            return reply(handler, b"", {"Retry-After": "0"}, status=otherwise_status)
        return reply(handler, data)

    return answer


def interrupted_first(handler_state):
    """Hangs up half way the first time; then honours Range, as registries do."""

    def answer(handler, digest, data):
        start = 0
        if (wanted := handler.headers.get("Range", "")).startswith("bytes="):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        if digest not in handler_state:
            handler_state[digest] = start
            reply(handler, data[start : len(data) // 2], length=len(data) - start)
            handler.close_connection = True
            return None
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        return reply(handler, data[start:], headers, status=206 if start else 200)

    return answer
