"""TorchScript -> ONNX, in a child process and only for a file that the user trusts."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ros2_sim2real.contract import RecurrentState
from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline.sandbox import ChildLimits, run_child
from ros2_sim2real.policy.model_file import MAX_BYTES, refuse_foreign_formats

Rows = NDArray[np.float32]
EPISODE = 250  # rows from one reset to the next, where a policy remembers


@dataclass(frozen=True, slots=True)
class Converted:
    """An ONNX graph and what the original answered to the rows it was given."""

    model: bytes
    answers: Rows  # (n, nu)
    states: tuple[RecurrentState, ...] = ()  # memory that the graph takes in and gives back
    stale: tuple[str, ...] = ()  # those that were not zero in the file


def is_torchscript(content: bytes, *, where: str) -> bool:
    """Returns whether `content` is TorchScript; nothing in it is opened.

    Raises:
        ConversionError: it is a pickle, a training checkpoint, or a damaged archive.
        PolicyFileError: it is empty, or a pointer to the file.
    """
    export = "Export it with Isaac Lab's play script and import exported/policy.onnx or policy.pt"
    if content[:1] == b"\x80":
        raise ConversionError(
            f"{where}: is a Python pickle, which runs code when opened: never opened. {export}"
        )
    if content[:2] != b"PK":
        refuse_foreign_formats(content, where=where)
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            sane = sum(entry.file_size for entry in archive.infolist()) <= MAX_BYTES
            damaged = archive.testzip() if sane else "its table of contents"
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError, zlib.error):
        damaged, names = "its table of contents", []
    if damaged is not None:
        raise ConversionError(
            f"{where}: is an archive of {len(content)} bytes, damaged in {damaged[:60]!r}: cut "
            "off or altered. Copy it again"
        )
    if any("/code/" in name for name in names) and any(
        name.endswith("/constants.pkl") for name in names
    ):
        return True
    if any(name.endswith("/data.pkl") for name in names):
        raise ConversionError(
            f"{where}: is a training checkpoint, it holds weights but no network. {export}"
        )
    raise ConversionError(f"{where}: is a zip archive that holds no TorchScript. {export}")


def require_trust(trust: bool, *, where: str) -> None:
    """Raises ConversionError unless the user trusts the file."""
    if not trust:
        raise ConversionError(
            f"{where}: is TorchScript, which can read and write files as soon as it runs. "
            "Add --trust if you know who made it, or import the policy.onnx beside it"
        )


def convert_torchscript(
    content: bytes, rows: Rows, *, trust: bool, where: str, limits: ChildLimits | None = None
) -> Converted:
    """Returns the policy as ONNX, batch of one, and its own answers to `rows`, (n, width).

    A policy that remembers in buffers becomes one whose memory is input and output; its rows are
    answered in their order, with a reset before every EPISODE of them.

    Raises:
        ConversionError: not trusted; no torch here; it does not load, run, answer in shape or in
            time; it is random, or remembers where it cannot be seen.
    """
    require_trust(trust, where=where)
    header, parts = run_child(
        "ros2_sim2real.offline._torchscript_child",
        {"width": rows.shape[1], "episode": EPISODE},
        [content, np.ascontiguousarray(rows, dtype=np.float32).tobytes()],
        limits=limits or ChildLimits(),
        what=f"{where}: opening the TorchScript",
    )
    if "missing" in header:
        raise ConversionError(
            f"{where}: opening TorchScript needs `{header['missing']}`, which is not installed. "
            "Install ros2_sim2real[train], or import the policy.onnx beside it"
        )
    if "error" in header:
        raise ConversionError(f"{where}: the TorchScript {_sentence(header['error'])}")
    model, answers = _parts(header, parts, 2, where)
    try:
        states = tuple(
            RecurrentState.model_validate({**state, "shape": tuple(state["shape"])})
            for state in header.get("states", [])
        )
    except (ValidationError, TypeError, KeyError):
        raise ConversionError(
            f"{where}: remembers in {str(header.get('states'))[:80]}, expected buffers of one to "
            "four dimensions"
        ) from None
    stale = tuple(str(name) for name in header.get("stale", []))
    return Converted(model, _rows(answers, header, len(rows), where), states, stale)


def onnx_answers(
    content: bytes,
    rows: Rows,
    *,
    names: tuple[str, str],
    where: str,
    limits: ChildLimits | None = None,
    states: Sequence[RecurrentState] = (),
) -> Rows:
    """Returns what the ONNX graph answers to `rows`, (n, width), one at a time: (n, nu).

    Args:
        content: serialised ONNX.
        names: of the graph's input and output.
        states: its memory, zeros before every EPISODE of rows.

    Raises:
        ConversionError: onnxruntime does not run it, or not in time.
    """
    header, parts = run_child(
        "ros2_sim2real.offline._onnx_child",
        {
            "width": rows.shape[1],
            "input": names[0],
            "output": names[1],
            "states": [state.model_dump(mode="json") for state in states],
            "episode": EPISODE,
        },
        [content, np.ascontiguousarray(rows, dtype=np.float32).tobytes()],
        limits=limits or ChildLimits(),
        what=f"{where}: running the ONNX graph",
    )
    if "error" in header or "missing" in header:
        problem = header.get("error", f"needs {header.get('missing')}")
        raise ConversionError(f"{where}: the ONNX graph {_sentence(problem)}")
    (answers,) = _parts(header, parts, 1, where)
    return _rows(answers, header, len(rows), where)


def _sentence(problem: object) -> str:
    text = str(problem)
    known = ("answers ", "does not ", "needs ")
    return text if text.startswith(known) else f"does not load: {text}"


def _parts(header: dict[str, Any], parts: list[bytes], count: int, where: str) -> list[bytes]:
    if len(parts) != count or not isinstance(header.get("nu"), int):
        raise ConversionError(
            f"{where}: the process that opened it gave no usable answer. Check the file"
        )
    return parts


def _rows(raw: bytes, header: dict[str, Any], n: int, where: str) -> Rows:
    nu = header["nu"]
    if not isinstance(nu, int) or len(raw) != 4 * n * nu or nu < 1:
        raise ConversionError(
            f"{where}: answered {len(raw)} bytes to {n} rows, expected {nu} numbers each"
        )
    return np.frombuffer(raw, dtype=np.float32).reshape(n, nu)
