"""Layers and images made by hand: tar archives entry by entry, OCI layouts and `docker save` archives from them.

Deterministic: the same input gives the same bytes and so the same digests. The tar writer can also write what no honest tool writes
(`Layer.raw`), for tests/faults.
"""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

CREATED = "2024-01-01T00:00:00Z"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def dumps(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Layer:
    """An uncompressed layer archive under construction. Methods chain."""

    def __init__(self):
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)

    def _add(self, name, kind, data=b"", mode=0o644, uid=0, gid=0, linkname="", xattrs=None, device=(0, 0), size=None):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.linkname, info.mtime = kind, mode, uid, gid, linkname, 1704067200
        info.size = len(data) if size is None else size
        info.devmajor, info.devminor = device
        info.pax_headers = {f"SCHILY.xattr.{k}": v for k, v in (xattrs or {}).items()}
        self._tar.addfile(info, io.BytesIO(data) if data else None)
        return self

    def dir(self, name, mode=0o755, uid=0, gid=0):
        return self._add(name.rstrip("/") + "/", tarfile.DIRTYPE, mode=mode, uid=uid, gid=gid)

    def file(self, name, data=b"", mode=0o644, uid=0, gid=0, xattrs=None):
        return self._add(name, tarfile.REGTYPE, data.encode() if isinstance(data, str) else data, mode, uid, gid, xattrs=xattrs)

    def copy(self, name, source, mode=0o755):
        return self.file(name, Path(source).read_bytes(), mode)

    def symlink(self, name, target, uid=0, gid=0):
        return self._add(name, tarfile.SYMTYPE, mode=0o777, linkname=target, uid=uid, gid=gid)

    def hardlink(self, name, target, mode=0o755, uid=0, gid=0):
        return self._add(name, tarfile.LNKTYPE, linkname=target, mode=mode, uid=uid, gid=gid)

    def fifo(self, name, mode=0o644):
        return self._add(name, tarfile.FIFOTYPE, mode=mode)

    def device(self, name, major, minor, block=False, mode=0o666):
        return self._add(name, tarfile.BLKTYPE if block else tarfile.CHRTYPE, mode=mode, device=(major, minor))

    def whiteout(self, name):
        directory, _, base = name.rpartition("/")
        return self.file(f"{directory}/.wh.{base}" if directory else f".wh.{base}")

    def opaque(self, directory):
        return self.file(f"{directory}/.wh..wh..opq")

    def tar(self):
        self._tar.close()
        return self._buffer.getvalue()


def compress(tar, level=6):
    return gzip.compress(tar, compresslevel=level, mtime=0)


@dataclass
class Image:
    """An image: uncompressed layers, the `config` part of its configuration, and its names."""

    layers: list
    config: dict = field(default_factory=dict)
    architecture: str = "amd64"
    level: int = 6

    def config_json(self):
        history = [{"created": CREATED, "created_by": f"layer {i + 1}"} for i in range(len(self.layers))]
        config = {"Env": [DOCKER_PATH], **self.config}
        return dumps({
            "created": CREATED, "architecture": self.architecture, "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in self.layers]}, "history": history,
        })

    def blobs_and_manifest(self):
        """({digest: bytes}, manifest bytes)"""
        config = self.config_json()
        blobs, descriptors = {sha256(config): config}, []
        for tar in self.layers:
            blob = compress(tar, self.level)
            blobs[sha256(blob)] = blob
            descriptors.append({"mediaType": OCI_LAYER_GZIP, "digest": sha256(blob), "size": len(blob)})
        manifest = dumps({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": sha256(config), "size": len(config)}, "layers": descriptors,
        })
        return blobs, manifest

    def write_oci(self, directory, tag="latest", others=()):
        """Writes an OCI layout. With `others` (images of other platforms) the tag is an index of them all."""
        directory = Path(directory)
        (directory / "blobs/sha256").mkdir(parents=True, exist_ok=True)

        def put(data):
            (directory / "blobs/sha256" / sha256(data).removeprefix("sha256:")).write_bytes(data)

        entries = []
        for image in (self, *others):
            blobs, manifest = image.blobs_and_manifest()
            for data in (*blobs.values(), manifest):
                put(data)
            entries.append({"mediaType": OCI_MANIFEST, "digest": sha256(manifest), "size": len(manifest),
                            "platform": {"os": "linux", "architecture": image.architecture}})
        if others:
            index = dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
            put(index)
            entries = [{"mediaType": OCI_INDEX, "digest": sha256(index), "size": len(index)}]
        entries[0]["annotations"] = {"org.opencontainers.image.ref.name": tag}
        (directory / "oci-layout").write_bytes(dumps({"imageLayoutVersion": "1.0.0"}))
        (directory / "index.json").write_bytes(dumps({"schemaVersion": 2, "manifests": entries}))

    def docker_archive(self, tags):
        """What `docker save` writes and `docker load` reads."""
        config = self.config_json()
        name = sha256(config).removeprefix("sha256:") + ".json"
        archive, paths = Layer(), []
        for tar in self.layers:
            directory = sha256(tar).removeprefix("sha256:")
            paths.append(f"{directory}/layer.tar")
            archive.dir(directory).file(paths[-1], tar)
        archive.file(name, config)
        return archive.file("manifest.json", dumps([{"Config": name, "RepoTags": tags, "Layers": paths}])).tar()
