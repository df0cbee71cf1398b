"""Rendering without a screen: MuJoCo reads MUJOCO_GL once, when it is imported."""

from __future__ import annotations

import ctypes
import os


def environment() -> dict[str, str]:
    """Returns what to set before mujoco is imported, so that it can render on this machine.

    Nothing where the user chose already or has a screen, nor where EGL is not installed: with
    MUJOCO_GL=egl and no libEGL, importing mujoco fails, rendering or not.
    """
    if "MUJOCO_GL" in os.environ or "DISPLAY" in os.environ:
        return {}
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        return {}
    return {"MUJOCO_GL": "egl"}
