"""Debian's docker-registry on a free loopback port: the hub that daemons reach through --registry-mirror."""

import http.client
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DOCKER_REGISTRY = "/usr/bin/docker-registry"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Registry:
    """Use as a context manager. `read_only` protects the hub's storage, which is kept between runs."""

    def __init__(self, storage, read_only=False, port=None):
        self.storage = Path(storage)
        self.port = port or free_port()
        self.read_only = read_only
        self.process = None
        self.directory = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"http://{self.address}"

    def _configuration(self):
        # JSON is YAML too.
        read_only = "{enabled: true}" if self.read_only else "{enabled: false}"
        return (f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nhttp: {{addr: '{self.address}'}}\n"
                f"storage:\n  filesystem: {{rootdirectory: '{self.storage}'}}\n  delete: {{enabled: true}}\n"
                f"  maintenance: {{readonly: {read_only}, uploadpurging: {{enabled: false}}}}\n")

    def __enter__(self):
        self.storage.mkdir(parents=True, exist_ok=True)
        self.directory = tempfile.TemporaryDirectory(prefix="bryo-hub-")
        file = Path(self.directory.name, "config.yml")
        file.write_text(self._configuration())
        self.log = open(Path(self.directory.name, "log"), "wb")
        self.process = subprocess.Popen([DOCKER_REGISTRY, "serve", file], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("docker-registry did not start:\n" + Path(self.log.name).read_text())
            time.sleep(0.01)
        return self

    def _answers(self):
        try:
            return self.request("GET", "/v2/")[0] == 200
        except OSError:
            return False

    def request(self, method, path, headers=None, body=None):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.directory.cleanup()
