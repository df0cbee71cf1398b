"""The launch files under the real `launch` and `launch_ros`; skipped where they are not installed.

The process of `ros2 launch` is replaced by its library, so that the test needs no ros2cli.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ros2_sim2real import bringup

LAUNCHED = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
file, *given = sys.argv[1:]
service = LaunchService(noninteractive=True)
arguments = [tuple(g.split(":=", 1)) for g in given]
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(file, launch_arguments=arguments)])
)
sys.exit(service.run())
"""
SHOWN = """
import json, sys
from launch.launch_description_sources import get_launch_description_from_python_launch_file
d = get_launch_description_from_python_launch_file(sys.argv[1])
found = d.get_launch_arguments()
print(json.dumps({a.name: [a.default_value[0].text, a.description, a.choices] for a in found}))
"""


def _installed() -> bool:
    # PyPI's `launch` is another package: launch_ros tells
    return all(importlib.util.find_spec(name) for name in ("launch", "launch_ros"))


needs_launch = pytest.mark.skipif(
    not _installed(), reason="launch_ros comes with ROS, not as a wheel"
)


def launch(
    root: Path, tmp_path: Path, situation: str, *given: str
) -> subprocess.CompletedProcess[str]:
    prefix = installed(root, tmp_path)
    found = [str(prefix), *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    environment = {**os.environ, "AMENT_PREFIX_PATH": os.pathsep.join(filter(None, found))}
    file = str(root / "launch" / f"{situation}.launch.py")
    return subprocess.run(
        [sys.executable, "-c", LAUNCHED, file, *given],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )


def installed(root: Path, tmp_path: Path) -> Path:
    """Returns a prefix as an installation leaves it, with executables that run this checkout."""
    prefix = tmp_path / "prefix"
    marker = prefix / "share/ament_index/resource_index/packages"
    marker.mkdir(parents=True)
    (marker / "ros2_sim2real").touch()
    (prefix / "share/ros2_sim2real").mkdir()
    library = prefix / "lib/ros2_sim2real"
    library.mkdir(parents=True)
    for name in ("pipeline", "policy", "correction", "safety", "mujoco", "loopback"):
        script = library / name
        script.write_text(
            f"#!/bin/sh\nexport PYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}}\n"
            f'exec {sys.executable} -m ros2_sim2real.nodes.{name} "$@"\n'
        )
        script.chmod(0o755)
    return prefix


@needs_launch
@pytest.mark.parametrize("situation", ["sim", "real"])
def test_every_argument_is_declared_with_its_default_and_choices(
    root: Path, situation: str
) -> None:
    file = str(root / "launch" / f"{situation}.launch.py")
    said = subprocess.run(
        [sys.executable, "-c", SHOWN, file], capture_output=True, text=True, check=True
    )
    shown = json.loads(said.stdout)
    rows = {row.name: row for row in bringup.argument_rows(situation)}
    assert shown.keys() == rows.keys()
    for name, (default, text, choices) in shown.items():
        assert (default, choices) == (rows[name].default, rows[name].choices)
        assert rows[name].text
        assert text.startswith(rows[name].text)  # launch adds the choices to it


@needs_launch
@pytest.mark.parametrize("composition", ["pipeline", "nodes"])
def test_sim_launch_moves_the_arm(root: Path, tmp_path: Path, composition: str) -> None:
    record = tmp_path / "run.npz"
    done = launch(
        *(root, tmp_path, "sim", "robot:=teach2", "policy:=sine", "namespace:=left"),
        *("time:=lockstep", f"composition:={composition}", "stop_after:=2.0", f"record:={record}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    from ros2_sim2real.backends.record import read_run

    run = read_run(record)
    assert run.t[-1] == pytest.approx(2.0)
    assert (run.q.max(axis=0) - run.q.min(axis=0) > 0.02).all()


@needs_launch
def test_real_launch_in_shadow_sends_nothing(root: Path, tmp_path: Path) -> None:
    record = tmp_path / "run.npz"
    done = launch(
        *(root, tmp_path, "real", "robot:=teach2", "policy:=sine", "backend:=mujoco"),
        *("stop_after:=2.0", f"record:={record}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    from ros2_sim2real.backends.record import read_run

    run = read_run(record)
    assert len(run.command) == 0
    assert (run.q == run.q[0]).all()


@needs_launch
def test_a_wrong_argument_is_one_sentence_and_starts_nothing(root: Path, tmp_path: Path) -> None:
    done = launch(root, tmp_path, "sim", "robot:=ur99")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "robot `ur99`" in said
    assert "process started" not in said


def test_up_ends_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ros2_sim2real.cli", "up", "sim", "robot:=teach2"]
    process = subprocess.Popen(
        [*command, "policy:=sine", "time:=lockstep"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:  # the graph is up once the gate says that it is active
        said += line
        if "active" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=15)
    said += rest
    assert "active" in said
    assert "Traceback" not in said
    assert "stopped (rc=0)" in said
