"""After pip, `ros2 run` and `ros2 launch` find what they look for, whatever pip was told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("setuptools", reason="building the package needs setuptools")
pytestmark = pytest.mark.slow
NODES = ("correction", "loopback", "mujoco", "pipeline", "policy", "safety")


def pip(*arguments: str | Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    # otherwise pip takes the package out of the environment that runs the tests
    quick = ["--no-deps", "--no-build-isolation", "--no-index", "--no-warn-script-location"]
    quick.append("--ignore-installed")
    done = subprocess.run(
        [*command, *quick, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["wheel", "editable"])
def prefix(
    request: pytest.FixtureRequest, source: Path, tmp_path: Path, environment: dict[str, str]
) -> Iterator[Path]:
    """Yields a prefix, with a space in its path, into which pip installed the package."""
    into = tmp_path / "a prefix"
    how = ["--editable", source] if request.param == "editable" else [source]
    pip("--prefix", into, *how, environment=environment)
    return into


def test_ros_tools_find_marker_launch_files_and_executables(prefix: Path, root: Path) -> None:
    assert (prefix / "share/ament_index/resource_index/packages/ros2_sim2real").is_file()
    share = prefix / "share/ros2_sim2real"
    assert (share / "package.xml").read_bytes() == (root / "package.xml").read_bytes()
    for folder in ("launch", "config", "models"):
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (share / path.relative_to(root)).read_bytes() == path.read_bytes()
    for name in NODES:
        assert (prefix / "lib/ros2_sim2real" / name).stat().st_mode & 0o111 == 0o111


def test_an_executable_runs_the_package_beside_it_from_any_folder(
    source: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    into = tmp_path / "a prefix"
    pip("--prefix", into, source, environment=environment)
    (source / "ros2_sim2real/errors.py").write_text("raise SystemExit('the wrong package')")
    node = into / "lib/ros2_sim2real/safety"
    asked = ["--ros-args", "-p", "robot:=no_such_arm", "-p", "rate_hz:=100.0"]
    # from the source folder: a package that lies where the user stands must not be taken
    said = subprocess.run(
        [node, *asked], cwd=source, env=environment, capture_output=True, text=True
    )
    assert said.returncode == 2, said.stderr
    assert "no_such_arm" in said.stderr
    assert "ur5e" in said.stderr  # found config/robots below its own prefix


def test_the_console_script_starts(
    source: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    pip("--prefix", tmp_path / "prefix", source, environment=environment)
    site = next((tmp_path / "prefix").glob("lib/python3*/site-packages"))
    said = subprocess.run(
        [tmp_path / "prefix/bin/sim2real", "--help"],
        cwd=tmp_path, env={**environment, "PYTHONPATH": str(site)}, capture_output=True, text=True,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert "demo" in said.stdout
