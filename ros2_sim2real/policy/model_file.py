"""Reads a policy file so that what runs is what was hashed: read once, verify, parse those bytes.

The file is ordinary ONNX. Its last bytes are one more metadata entry, the seal: the sha256 of all
bytes before it. Protobuf lets fields be appended, so that every ONNX reader still takes the file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ros2_sim2real.errors import PolicyFileError

MAX_BYTES = 256 * 1024 * 1024
SEAL_KEY = b"ros2_sim2real.sha256"
_HEX = 64
_CHUNK = 1 << 20

# ModelProto.metadata_props (field 14) { key (field 1), value (field 2) }, lengths below 128
_SEAL_HEAD = (
    bytes([14 << 3 | 2, 2 + len(SEAL_KEY) + 2 + _HEX, 1 << 3 | 2, len(SEAL_KEY)])
    + SEAL_KEY
    + bytes([2 << 3 | 2, _HEX])
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The bytes of a sealed policy file, and their hash (which names the policy in every log)."""

    path: str
    content: bytes
    sha256: str


def seal(model: bytes) -> bytes:
    """Returns `model` (serialised ONNX, not sealed yet) with the seal appended."""
    return model + _SEAL_HEAD + hashlib.sha256(model).hexdigest().encode()


def unseal(content: bytes) -> bytes | None:
    """Returns the bytes before the seal, None when there is no seal."""
    start = len(content) - len(_SEAL_HEAD) - _HEX
    if start < 0 or content[start:-_HEX] != _SEAL_HEAD:
        return None
    return content[:start]


def read_model(path: Path | str) -> ModelFile:
    """Returns the verified content of the sealed ONNX file at `path`.

    Raises:
        PolicyFileError: missing, no regular file, too large, another format, unsealed, or altered
            since it was written.
    """
    content = read_bytes(Path(path))
    refuse_foreign_formats(content, where=str(path))
    payload = unseal(content)
    if payload is None:
        raise PolicyFileError(
            f"{path}: {len(content)} bytes without a seal: truncated, edited, or not written by "
            "sim2real. "
            "Export it again, or convert it with `sim2real import`"
        )
    expected = content[-_HEX:].decode("ascii", "replace")
    got = hashlib.sha256(payload).hexdigest()
    if got != expected:
        raise PolicyFileError(
            f"{path}: sha256 of the content is {got[:12]}…, the seal says {expected[:12]}…: the "
            "file was damaged "
            "or altered. Copy or export it again"
        )
    return ModelFile(path=str(path), content=content, sha256=hashlib.sha256(content).hexdigest())


def read_bytes(path: Path) -> bytes:
    """Returns all bytes of a regular file. Raises PolicyFileError."""
    try:
        # non-blocking, so that a named pipe in place of the file cannot hang the start
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise PolicyFileError(
            f"{path}: cannot be read: {error.strerror}. Check the path of `policy`"
        ) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise PolicyFileError(f"{path}: is no regular file, expected an ONNX file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > MAX_BYTES:
            raise PolicyFileError(
                f"{path}: is {status.st_size} bytes, at most {MAX_BYTES} are read"
            )
        return file.read()


def refuse_foreign_formats(content: bytes, *, where: str) -> None:
    """Raises PolicyFileError for what is recognisably not ONNX, without parsing any of it."""
    if not content:
        raise PolicyFileError(f"{where}: is empty, expected an ONNX file. Copy or export it again")
    if content.startswith(b"PK\x03\x04"):
        raise PolicyFileError(
            f"{where}: is a zip archive (TorchScript or a torch checkpoint), which is never "
            "loaded at run time. "
            "Convert it with `sim2real import`"
        )
    if content[:1] == b"\x80":
        raise PolicyFileError(
            f"{where}: is a pickle, which can run code and is never loaded. Export ONNX"
        )
    if content.startswith(b"version https://git-lfs"):
        raise PolicyFileError(
            f"{where}: is a git-lfs pointer, not the file itself. Run `git lfs pull`"
        )
