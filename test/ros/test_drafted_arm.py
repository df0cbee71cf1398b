"""An arm from another project, drafted by `sim2real robot init`, holds a pose under the graph."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ros2_sim2real.backends.record import read_run
from ros2_sim2real.bringup import Arguments, plan
from ros2_sim2real.offline.robot_draft import draft
from ros2_sim2real.offline.robot_file import to_yaml
from ros2_sim2real.processes import run_quietly
from ros2_sim2real.robot import load_robot


def robots_of_robosuite() -> Path | None:
    """The folder of robosuite's arms: SIM2REAL_ROBOSUITE, or the installed package."""
    found = find_spec("robosuite")
    installed = Path(found.origin).parent if found and found.origin else None
    given = os.environ.get("SIM2REAL_ROBOSUITE")
    base = Path(given) if given else installed
    return base / "models" / "assets" / "robots" if base else None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["panda", "ur5e", "kinova3", "xarm7"])
def test_an_arm_of_robosuite_holds_its_pose_under_the_graph(name: str, tmp_path: Path) -> None:
    robots = robots_of_robosuite()
    if robots is None:
        pytest.skip("robosuite is not installed (pip install --no-deps robosuite)")
    path, record = tmp_path / "robot.yaml", tmp_path / "run.npz"
    path.write_text(to_yaml(draft(str(robots / name / "robot.xml"))))
    args = Arguments(
        robot=str(path), policy="hold", time="lockstep", record=str(record), stop_after=1.0
    )
    run_quietly(plan(args))
    run = read_run(record)
    assert len(run.q) > 90
    assert len(run.command) > 80
    assert np.abs(run.q - load_robot(str(path)).home).max() < 1e-6
