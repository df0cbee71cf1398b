"""`colcon build` makes what a ROS workspace expects."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("colcon_ros") is None:
    pytest.skip("colcon is not installed: pip install '.[dev]'", allow_module_level=True)
pytestmark = pytest.mark.slow
NODES = ("correction", "loopback", "mujoco", "pipeline", "policy", "safety")


def build(source: Path, environment: dict[str, str], *options: str) -> Path:
    """Returns the install prefix of the package, built in the workspace that `source` lies in."""
    colcon = Path(sys.executable).with_name("colcon")
    program = str(colcon) if colcon.exists() else shutil.which("colcon")
    assert program is not None
    workspace = source.parent
    done = subprocess.run(
        [program, "build", *options],
        cwd=workspace, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace / "install/ros2_sim2real"


@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["copied", "linked"])
def test_a_built_workspace_runs_once_it_is_sourced(
    source: Path, environment: dict[str, str], tmp_path: Path, options: tuple[str, ...]
) -> None:
    prefix = build(source, environment, *options)
    assert (prefix / "share/ament_index/resource_index/packages/ros2_sim2real").is_file()
    found = {p.name for p in (prefix / "lib/ros2_sim2real").iterdir()}
    assert {*NODES, "sim2real"} <= found
    node = "safety --ros-args -p robot:=no_such_arm -p rate_hz:=100.0"
    script = f'. "{prefix.parent}/local_setup.sh" && exec "{prefix}"/lib/ros2_sim2real/{node}'
    said = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert said.returncode == 2, said.stderr
    assert "no_such_arm" in said.stderr
    assert "ur5e" in said.stderr  # config/robots was installed and is found
