"""Another host: a network namespace at the far end of a cable (veth), and a small DNS server that can live in it."""

import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

from tests.support.images import BUILD

PROBE = BUILD / "bin/probe"


class OtherHost:
    """Use as a context manager. Our end is 192.0.2.1 and 2001:db8::1, the other 192.0.2.2 and 2001:db8::2."""

    here, there = "192.0.2.1", "192.0.2.2"
    here6, there6 = "2001:db8::1", "2001:db8::2"

    def __init__(self, name="other"):
        self.name = name
        self.path = Path("/run/netns", name)

    def __enter__(self):
        ip("netns", "add", self.name)
        ip("link", "add", "cable0", "type", "veth", "peer", "name", "cable1", "netns", self.name)
        for namespace, link, four, six in (([], "cable0", self.here, self.here6), (["-n", self.name], "cable1", self.there, self.there6)):
            ip(*namespace, "addr", "add", f"{four}/24", "dev", link)
            ip(*namespace, "addr", "add", f"{six}/64", "dev", link, "nodad")
            ip(*namespace, "link", "set", link, "up")
            ip(*namespace, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        ip("link", "del", "cable0")
        ip("netns", "del", self.name)

    def run(self, *command, **options):
        options = {"capture_output": True, "text": True, "timeout": 20, **options}
        return subprocess.run(["nsenter", f"--net={self.path}", *map(str, command)], **options)

    def ask(self, protocol, address, port):
        """The peer address that a `probe serve` there saw, or None when there is no answer."""
        return peer(self.run(PROBE, "ask", protocol, address, port))

    def dns_server(self, records):
        return DnsServer(records, self.path, self.there)


def ip(*arguments):
    subprocess.run(["ip", *map(str, arguments)], check=True, capture_output=True)


def peer(completed):
    return completed.stdout.split()[1] if completed.returncode == 0 and completed.stdout.startswith("peer ") else None


def ask(protocol, address, port):
    """The same from this host."""
    return peer(subprocess.run([PROBE, "ask", protocol, address, str(port)], capture_output=True, text=True, timeout=20))


class DnsServer:
    """Answers A questions from `records` ({name: address}) over UDP; everything else does not exist."""

    def __init__(self, records, namespace, address):
        self.records, self.asked = records, []
        mine = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(namespace, os.O_RDONLY)
        try:
            _setns(there)
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((address, 53))
            self.socket.settimeout(0.05)  # so that the thread notices the end
        finally:
            _setns(mine)
            os.close(mine)
            os.close(there)
        self.ended = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while not self.ended:
            try:
                question, client = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            labels, position = [], 12
            while question[position]:
                labels.append(question[position + 1 : position + 1 + question[position]].decode())
                position += 1 + question[position]
            name, kind = ".".join(labels), struct.unpack(">H", question[position + 1 : position + 3])[0]
            self.asked.append((name, client[0]))
            section = question[12 : position + 5]
            if name not in self.records:
                self.socket.sendto(question[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 0, 0) + section, client)
            elif kind == 1:
                answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(self.records[name])
                self.socket.sendto(question[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + section + answer, client)
            else:
                self.socket.sendto(question[:2] + struct.pack(">HHHHH", 0x8180, 1, 0, 0, 0) + section, client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        self.socket.close()


def _setns(descriptor):
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")
