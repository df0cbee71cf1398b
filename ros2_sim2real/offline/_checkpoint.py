"""Asks the child process for the weights of a checkpoint, and for its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline.mlp_graph import Mlp, Weights
from ros2_sim2real.offline.sandbox import ChildLimits, run_child
from ros2_sim2real.offline.torchscript import Rows

_CHILD = "ros2_sim2real.offline._checkpoint_child"


@dataclass(frozen=True, slots=True)
class Stored:
    """An actor as its checkpoint holds it."""

    kind: str  # rsl_rl or sb3
    layers: tuple[tuple[Weights, Weights], ...]
    algorithm: str
    squash: bool
    mean: Weights | None  # of the normaliser inside the checkpoint, (nobs,)
    std: Weights | None
    data: dict[str, Any]  # what stable-baselines3's JSON says, as text

    @property
    def width(self) -> int:
        """Returns the length of the input."""
        return int(self.layers[0][0].shape[1])

    @property
    def count(self) -> int:
        """Returns the length of the output."""
        return int(self.layers[-1][0].shape[0])


def inspect(content: bytes, kind: str, *, where: str, limits: ChildLimits | None) -> Stored:
    """Returns what a checkpoint holds. Raises ConversionError."""
    header, parts = _ask({"kind": kind}, [content], where, limits)
    try:
        shapes = [(int(out), int(width)) for out, width in header["shapes"]]
        layers = []
        for i, (out, width) in enumerate(shapes):
            weight = np.frombuffer(parts[2 * i], dtype=np.float32).reshape(out, width)
            bias = np.frombuffer(parts[2 * i + 1], dtype=np.float32).reshape(out)
            layers.append((weight, bias))
        mean = std = None
        if header["normaliser"]:
            mean, std = (np.frombuffer(raw, dtype=np.float32) for raw in parts[-2:])
        return Stored(
            kind=kind,
            layers=tuple(layers),
            algorithm=str(header["algorithm"]),
            squash=bool(header["squash"]),
            mean=mean,
            std=std,
            data=header.get("data", {}),
        )
    except (KeyError, ValueError, TypeError, IndexError):
        raise ConversionError(
            f"{where}: the process that opened it gave no usable answer. Check the file"
        ) from None


def answers(
    content: bytes,
    kind: str,
    network: Mlp,
    rows: Rows,
    *,
    where: str,
    limits: ChildLimits | None,
) -> Rows:
    """Returns what torch answers to `rows` with the checkpoint's own weights, (n, nu)."""
    standardiser = network.standardiser
    header = {
        "kind": kind,
        "activation": network.activation,
        "squash": network.squash,
        "standardised": standardiser is not None,
        "clip": None if standardiser is None else standardiser.clip,
        "bounded": network.bounds is not None,
    }
    given = [] if standardiser is None else [standardiser.mean, standardiser.std]
    given += [] if network.bounds is None else list(network.bounds)
    blobs = [np.ascontiguousarray(a, dtype=np.float32).tobytes() for a in (rows, *given)]
    _, parts = _ask(header, [content, *blobs], where, limits)
    said = np.frombuffer(parts[-1], dtype=np.float32)
    if said.size != len(rows) * network.count:
        raise ConversionError(f"{where}: answered {said.size} numbers to {len(rows)} rows")
    return said.reshape(len(rows), network.count)


def _ask(
    header: dict[str, Any], parts: list[bytes], where: str, limits: ChildLimits | None
) -> tuple[dict[str, Any], list[bytes]]:
    reply, blobs = run_child(
        _CHILD,
        header,
        parts,
        limits=limits or ChildLimits(),
        what=f"{where}: opening the checkpoint",
    )
    if "missing" in reply:
        raise ConversionError(
            f"{where}: opening a checkpoint needs `{reply['missing']}`, which is not installed. "
            "Install ros2_sim2real[train], or export ONNX with the trainer"
        )
    if "error" in reply:
        raise ConversionError(f"{where}: the checkpoint {reply['error']}")
    return reply, blobs
