"""An image of one static program, as an OCI layout in a tar archive, the same bytes for the same program.

In: the program and the image's name. Out: an archive that `ctr images import` reads.
"""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

USER = 65532


def write_image(archive: Path, name: str, program: Path) -> None:
    """Write an image whose entry point is the program, for a user who is not root."""
    layer = _tar(
        {f"{program.name}": program.read_bytes(), "etc/passwd": f"nonroot:x:{USER}:{USER}::/:/none\n".encode()}
    )
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"], "User": f"{USER}:{USER}", "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    compressed = gzip.compress(layer, 1, mtime=0)
    kind = "application/vnd.oci.image"
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": _described(f"{kind}.config.v1+json", config),
            "layers": [_described(f"{kind}.layer.v1.tar+gzip", compressed)],
        }
    )
    described = _described(f"{kind}.manifest.v1+json", manifest)
    described["annotations"] = {"io.containerd.image.name": name}
    files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"})}
    files["index.json"] = _json({"schemaVersion": 2, "manifests": [described]})
    files |= {f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (config, compressed, manifest)}
    archive.write_bytes(_tar(files))


def _tar(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _described(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}
