"""HTTP to an engine's socket without a docker client: one kept connection, JSON, streams, and hijacked connections (attach, exec)."""

import http.client
import json
import socket
import struct
import urllib.parse

from tests.support.waiting import PATIENCE


class ApiError(Exception):
    def __init__(self, method, path, status, message):
        super().__init__(f"{method} {path}: {status} {message}")
        self.status, self.message = status, message


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Api:
    """`socket_path` is a unix socket. Methods raise ApiError for any status of 400 and more."""

    def __init__(self, socket_path, version="v1.41", timeout=30):
        self.socket_path, self.timeout = str(socket_path), timeout * PATIENCE
        self.prefix = f"/{version}" if version else ""
        self._connection = None

    def path(self, path, /, **query):
        query = {k: (json.dumps(v) if isinstance(v, (dict, list)) else v) for k, v in query.items() if v is not None}
        return self.prefix + path + ("?" + urllib.parse.urlencode(query) if query else "")

    def raw(self, method, path, body=None, headers=None):
        """(status, headers, body bytes), whatever the status. `path` is sent as it is."""
        if self._connection is None:
            self._connection = UnixConnection(self.socket_path, self.timeout)
        try:
            response = self._exchange(method, path, body, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, http.client.CannotSendRequest):
            self.close()
            self._connection = UnixConnection(self.socket_path, self.timeout)
            response = self._exchange(method, path, body, headers)
        data = response.read()
        if response.will_close:
            self.close()
        return response.status, response.headers, data

    def _exchange(self, method, path, body, headers):
        try:
            self._connection.request(method, path, body, headers or {})
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses a large body answers before it has read all of it, and hangs up: the answer is what counts.
            self._connection._HTTPConnection__state = "Request-sent"
        return self._connection.getresponse()

    def request(self, method, path, body=None, /, **query):
        """The decoded JSON answer, or bytes, or None for an empty one."""
        headers = {}
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        elif body is not None:
            headers = {"Content-Type": "application/x-tar"}
        status, answer, data = self.raw(method, self.path(path, **query), body, headers)
        if status >= 400:
            try:
                message = json.loads(data)["message"]
            except (ValueError, KeyError, TypeError):
                message = data.decode(errors="replace")
            raise ApiError(method, path, status, message)
        if not data:
            return None
        return json.loads(data) if "json" in (answer.get("Content-Type") or "") else data

    def get(self, path, /, **query):
        return self.request("GET", path, **query)

    def post(self, path, body=None, /, **query):
        return self.request("POST", path, {} if body is None else body, **query)

    def put(self, path, body=None, /, **query):
        return self.request("PUT", path, body, **query)

    def delete(self, path, /, **query):
        return self.request("DELETE", path, **query)

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def stream(self, method, path, body=None, /, **query):
        """A connection of its own whose answer is read piece by piece. Close it (or use it as a context manager)."""
        return Stream(self, method, self.path(path, **query), body)

    def hijack(self, path, body=None, /, **query):
        """POST with `Upgrade: tcp`; the connection becomes the process's stdio."""
        return Hijacked(self.socket_path, self.path(path, **query), body, self.timeout)


class Stream:
    def __init__(self, api, method, path, body):
        self._connection = UnixConnection(api.socket_path, api.timeout)
        headers = {"Content-Type": "application/json"} if isinstance(body, (dict, list)) else {}
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        self._connection.request(method, path, data, headers)
        self.response = self._connection.getresponse()
        self._decoder, self._text = json.JSONDecoder(), ""
        if self.response.status >= 400:
            text = self.response.read().decode(errors="replace")
            self.close()
            raise ApiError(method, path, self.response.status, text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._connection.close()

    def settimeout(self, seconds):
        self._connection.sock.settimeout(seconds)

    def read(self, size):
        """Whatever has come, at most `size` bytes; b"" at the end."""
        return self.response.read1(size)

    def objects(self):
        """Yields JSON objects as they come."""
        while True:
            self._text = self._text.lstrip()
            try:
                value, end = self._decoder.raw_decode(self._text)
            except ValueError:
                piece = self.read(65536)
                if not piece:
                    return
                self._text += piece.decode()
                continue
            self._text = self._text[end:]
            yield value

    def frames(self):
        """Yields (1 stdout or 2 stderr, bytes): the multiplexed form of logs."""
        buffer = b""
        while True:
            while len(buffer) >= 8:
                kind, size = struct.unpack(">BxxxL", buffer[:8])
                if len(buffer) < 8 + size:
                    break
                yield kind, buffer[8 : 8 + size]
                buffer = buffer[8 + size :]
            piece = self.read(65536)
            if not piece:
                assert not buffer, f"stream ended inside a frame: {buffer[:40]!r}"
                return
            buffer += piece


class Hijacked:
    """The raw connection behind attach and exec start."""

    def __init__(self, socket_path, path, body, timeout):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(socket_path)
        data = json.dumps(body).encode() if body is not None else b""
        head = (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n")
        self.socket.sendall(head.encode() + data)
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            if not self._fill():
                raise ApiError("POST", path, 0, f"connection closed: {self.buffer!r}")
        header, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = header.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        if self.status not in (101, 200):
            rest = self.buffer + (b"" if "content-length" not in self.headers else self._exactly_more(int(self.headers["content-length"])))
            raise ApiError("POST", path, self.status, rest.decode(errors="replace"))

    def _exactly_more(self, length):
        missing, data = length - len(self.buffer), b""
        while len(data) < missing:
            piece = self.socket.recv(missing - len(data))
            if not piece:
                break
            data += piece
        return data

    def _fill(self):
        piece = self.socket.recv(65536)
        self.buffer += piece
        return bool(piece)

    def send(self, data):
        self.socket.sendall(data)

    def close_stdin(self):
        self.socket.shutdown(socket.SHUT_WR)

    def frame(self):
        """(1 or 2, bytes), or None at the end."""
        while len(self.buffer) < 8 or len(self.buffer) < 8 + struct.unpack(">BxxxL", self.buffer[:8])[1]:
            if not self._fill():
                assert not self.buffer, f"stream ended inside a frame: {self.buffer[:40]!r}"
                return None
        kind, size = struct.unpack(">BxxxL", self.buffer[:8])
        data, self.buffer = self.buffer[8 : 8 + size], self.buffer[8 + size :]
        return kind, data

    def read_all(self):
        """(stdout, stderr) until the end."""
        collected = {1: b"", 2: b""}
        while (frame := self.frame()) is not None:
            collected[frame[0]] += frame[1]
        return collected[1], collected[2]

    def read_raw_until(self, pattern):
        """For a terminal: bytes up to and with `pattern`."""
        while pattern not in self.buffer:
            if not self._fill():
                raise AssertionError(f"stream ended before {pattern!r}: {self.buffer!r}")
        end = self.buffer.index(pattern) + len(pattern)
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def read_raw_all(self):
        while self._fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
