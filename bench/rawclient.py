"""The smallest HTTP client that can drive both engines: one kept connection, no headers parsed that are not needed.

Its own cost per request is measured and printed by bench.py (about 0.03 ms): it is the same for both engines and is not subtracted.
"""

import json
import socket


class Failure(Exception):
    pass


class Client:
    def __init__(self, path):
        self.path, self.socket, self.buffer = str(path), None, b""

    def _connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        self.socket.connect(self.path)
        self.buffer = b""

    def _more(self):
        piece = self.socket.recv(262144)
        if not piece:
            raise Failure("connection closed")
        self.buffer += piece

    def _send(self, method, path, body, extra=b""):
        data = b"" if body is None else json.dumps(body).encode()
        self.socket.sendall(b"%s /v1.41%s HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
                            % (method.encode(), path.encode(), extra, len(data), data))

    def _head(self):
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            self._more()
        head, self.buffer = self.buffer[:end].lower(), self.buffer[end + 4 :]
        return int(head[9:12]), head

    def request(self, method, path, body=None, expected=(200, 201, 204)):
        """The body of the answer; Failure for any other status."""
        if self.socket is None:
            self._connect()
        self._send(method, path, body)
        status, head = self._head()
        data = self._body(status, head)
        if b"connection: close" in head:
            self.close()
        if status not in expected:
            raise Failure(f"{method} {path}: {status} {data[:300].decode(errors='replace')}")
        return data

    def _body(self, status, head):
        if status in (204, 304):
            return b""
        position = head.find(b"content-length:")
        if position >= 0:
            length = int(head[position + 15 : position + 40].split(b"\r\n")[0])
            while len(self.buffer) < length:
                self._more()
            data, self.buffer = self.buffer[:length], self.buffer[length:]
            return data
        parts = []
        while True:
            while (end := self.buffer.find(b"\r\n")) < 0:
                self._more()
            size = int(self.buffer[:end].split(b";")[0], 16)
            while len(self.buffer) < end + 2 + size + 2:
                self._more()
            if size == 0:
                self.buffer = self.buffer[end + 4 :]
                return b"".join(parts)
            parts.append(self.buffer[end + 2 : end + 2 + size])
            self.buffer = self.buffer[end + 2 + size + 2 :]

    def json(self, method, path, body=None):
        return json.loads(self.request(method, path, body))

    def hijack(self, path, body):
        """Reads an upgraded stream to its end, on a connection of its own."""
        other = Client(self.path)
        other._connect()
        other._send("POST", path, body, b"Connection: Upgrade\r\nUpgrade: tcp\r\n")
        status, _ = other._head()
        if status not in (101, 200):
            raise Failure(f"POST {path}: {status}")
        data = [other.buffer]
        while piece := other.socket.recv(262144):
            data.append(piece)
        other.close()
        return b"".join(data)

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None
