"""Observation terms that trainers of legged robots name, and which of them have a source here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ros2_sim2real.contract import Range
from ros2_sim2real.offline._import_env import Findings, join
from ros2_sim2real.signals import Array

Term = dict[str, Any]  # an ObservationTerm as its schema reads it


def term(
    name: str,
    source: str,
    width: int,
    *,
    offset: Sequence[float] | None = None,
    clip: Range | None = None,
    scale: float | Sequence[float] = 1.0,
) -> Term:
    """Returns a term of joints: `scale * clip(source - offset)`."""
    return {
        "name": name,
        "source": source,
        "width": width,
        "offset": 0.0 if offset is None else list(offset),
        "clip": clip,
        "scale": scale if isinstance(scale, float) else list(scale),
    }


def refuse_terms(findings: Findings, names: Sequence[str], where: str) -> None:
    """Notes that the robot cannot answer these terms: they are of a floating base, or unknown."""
    listed = join(name[:40] for name in names[:20]) + (", …" if len(names) > 20 else "")
    findings.problems.append(
        f"`{where}` has the terms {listed}, which have no source here (docs/import.md lists "
        "what has): train without them, or state every term with --observation"
    )


def raw_bounds(bounds: Array, scale: Array, centre: Array) -> Range | None:
    """Returns bounds of the raw action from those of `centre + scale a`, None when joints differ.

    Args:
        bounds: (n, 2), low and high.
        scale, centre: (n,).
    """
    if np.any(scale == 0.0):
        return None
    raw = np.sort((bounds - centre[:, None]) / scale[:, None], axis=1)
    if np.ptp(raw, axis=0).max() > 1e-9 * max(1.0, float(np.abs(raw).max())):
        return None
    return float(raw[0, 0]), float(raw[0, 1])
