#!/usr/bin/env python3
"""Record what a stock docker client sends for POST /containers/create.

  record_create_bodies.py DOCKER [API_VERSION] < command_lines.txt > create_bodies.json

Each input line is the arguments of `docker create`, quoted as for a shell. A tiny server on a unix socket answers
_ping and create; the output is a list of {"args": [...], "query": "...", "body": {...}} or {"args", "error"}.
"""
import http.server
import json
import os
import shlex
import socketserver
import subprocess
import sys
import tempfile
import threading

API = sys.argv[2] if len(sys.argv) > 2 else "1.47"
recorded = []


# Objects whose keys are data: an empty value there means something.
DATA = {"ExposedPorts", "PortBindings", "Volumes", "Tmpfs", "Labels", "EndpointsConfig", "Sysctls", "Annotations", "Config",
        "StorageOpt", "Options", "DriverOpts"}
KEPT = {"MaskedPaths", "ReadonlyPaths", "StopTimeout"}


def shorten(value, name=""):
    """Leaves out what the daemon reads as absent: null, false, 0, "", [] and {}."""
    if isinstance(value, list):
        return [shorten(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {key: shorten(item, key) for key, item in value.items()}
    return {key: item for key, item in fields.items()
            if name in DATA or item not in (None, False, 0, "", [], {}, [0, 0]) or (key in KEPT and item is not None)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Api-Version", API)
        self.send_header("Ostype", "linux")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_HEAD(self):
        self.answer(200, "OK")

    def do_GET(self):
        self.answer(200, {})

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if body:
            recorded.append({"query": self.path.partition("?")[2], "body": shorten(json.loads(body))})
        self.answer(201, {"Id": "0" * 64, "Warnings": []})

    def address_string(self):
        return "local"

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "sock")
        server = Server(path, Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {"PATH": os.environ["PATH"], "HOME": directory, "DOCKER_HOST": "unix://" + path, "FROM_ENV": "seen"}
        out = []
        for line in sys.stdin:
            if not line.strip() or line.startswith("#"):
                continue
            args = shlex.split(line)
            recorded.clear()
            done = subprocess.run([sys.argv[1], "create", *args], env=environment, capture_output=True, text=True)
            entry = {"args": args}
            if recorded:
                entry.update(recorded[0])
            else:
                entry["error"] = done.stderr.split("\n")[0]
            out.append(entry)
        text = "[\n" + ",\n".join(json.dumps(e, sort_keys=True) for e in out) + "\n]"
        print(text.replace(os.getcwd(), "@CWD@"))


main()
