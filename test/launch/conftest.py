"""Installs of a copy of the repository, so that no build leaves anything in the source tree."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

BUILT_FROM = (
    "package.xml", "setup.py", "setup.cfg", "pyproject.toml", "LICENSE", "resource", "scripts",
    "ros2_sim2real", "launch", "config", "models",
)  # fmt: skip


@pytest.fixture
def source(root: Path, tmp_path: Path) -> Path:
    """Returns a copy of what the package is built from."""
    copy = tmp_path / "source" / "ros2_sim2real"
    copy.mkdir(parents=True)
    for name in BUILT_FROM:
        if (root / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(root / name, copy / name, ignore=ignored)
        else:
            shutil.copy2(root / name, copy / name)
    return copy


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Returns an environment in which the repository itself is not on Python's path."""
    hidden = ("PYTHONPATH", "PYTHONWARNINGS", "PIP_CONSTRAINT", "ROS_DISTRO", "AMENT_PREFIX_PATH")
    kept = {key: value for key, value in os.environ.items() if key not in hidden}
    return {**kept, "COLCON_HOME": str(tmp_path / "colcon"), "COLCON_LOG_LEVEL": "40"}
