"""The import contracts notice what they forbid, and no module escapes them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("importlinter")

ON_TOP = {"bench", "cli", "nodes", "verbs"}  # what a user or a launch file starts
AWAY_FROM_THE_ROBOT = {"cli", "offline", "pictures", "verbs"}
SAFETY_READS = {"errors", "robot", "signals"}


@pytest.fixture(scope="module")
def contracts(root: Path) -> dict[str, dict]:
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["name"]: contract for contract in listed["contracts"]}


@pytest.fixture(scope="module")
def modules(root: Path) -> set[str]:
    folder = root / "ros2_sim2real"
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return packages | {path.stem for path in folder.glob("*.py")} - {"__init__"}


def short(names: list[str]) -> set[str]:
    return {n.removeprefix("ros2_sim2real.") for n in names if n.startswith("ros2_sim2real.")}


def test_every_module_takes_a_side(contracts: dict[str, dict], modules: set[str]) -> None:
    core = contracts["the core never imports nodes/ or what the user types"]
    assert short(core["source_modules"]) == modules - ON_TOP
    assert short(core["forbidden_modules"]) == modules & ON_TOP
    online = contracts["what runs on the robot never imports training or plots"]
    assert short(online["source_modules"]) == modules - AWAY_FROM_THE_ROBOT
    safety = contracts["safety imports signals, robot and errors, and numpy"]
    assert short(safety["forbidden_modules"]) == modules - SAFETY_READS - {"safety"}


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("pipeline.py", "import rclpy", "only nodes/ imports ROS"),
        ("cli.py", "from sensor_msgs.msg import JointState", "only nodes/ imports ROS"),
        ("policy/base.py", "def f():\n    import torch", "never imports training"),
        ("nodes/mujoco.py", "from ros2_sim2real.offline import train", "never imports training"),
        ("offline/train.py", "from ros2_sim2real.nodes import qos", "the core never imports"),
        ("safety/shaping.py", "from ros2_sim2real import config", "safety imports"),
        ("nodes/safety.py", "import onnxruntime", "the gate stays small"),
        ("policy/base.py", "from ros2_sim2real.safety import gate", "do not know each other"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    root: Path, tmp_path: Path, module: str, line: str, contract: str
) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "ros2_sim2real", tmp_path / "ros2_sim2real", ignore=ignored)
    shutil.copy(root / "pyproject.toml", tmp_path)
    path = tmp_path / "ros2_sim2real" / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    script = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    said = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, ''); {script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    broken = [text for text in said.stdout.splitlines() if "BROKEN" in text]
    assert said.returncode != 0
    assert any(contract in text for text in broken), said.stdout + said.stderr
