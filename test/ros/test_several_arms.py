"""Arms side by side in one domain do not notice each other; a pair of arms is one robot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rclpy

from ros2_sim2real.backends.record import read_run
from ros2_sim2real.bringup import Arguments, arguments, plan
from ros2_sim2real.closed_loop import simulate
from ros2_sim2real.nodes.loopback import LoopbackNode

PATIENCE = 90.0  # [s]
SPAN = 1.5  # [s]
SHARED = {"/clock", "/diagnostics", "/rosout", "/parameter_events"}


def up(folder: Path, *, namespace: str, **given: str) -> subprocess.Popen[str]:
    words = {"policy": "sine", "time": "lockstep", "stop_after": str(SPAN), **given}
    words |= {"namespace": namespace, "record": str(folder / f"{namespace}.npz")}
    command = [sys.executable, "-m", "ros2_sim2real.cli", "up", "sim"]
    return subprocess.Popen(
        [*command, *(f"{name}:={value}" for name, value in words.items())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ends_well(*graphs: subprocess.Popen[str]) -> None:
    try:
        for graph in graphs:
            said, _ = graph.communicate(timeout=PATIENCE)
            assert graph.returncode == 0, said
    finally:
        for graph in graphs:
            if graph.poll() is None:
                graph.kill()
                graph.wait(10.0)


@pytest.mark.slow
def test_two_graphs_in_one_domain_run_as_each_would_alone(tmp_path: Path) -> None:
    ends_well(
        up(tmp_path, namespace="left", robot="ur5e"),
        up(tmp_path, namespace="right", robot="fr3", clock="off"),
    )
    for namespace, robot in (("left", "ur5e"), ("right", "fr3")):
        run = read_run(tmp_path / f"{namespace}.npz")
        alone = simulate(Arguments(robot=robot, policy="sine", stop_after=SPAN))
        states = min(len(run.q), len(alone.q))
        assert states > 100
        np.testing.assert_array_equal(run.q[:states], alone.q[:states])
        assert np.abs(run.q - run.q[0]).max() > 0.05  # it did move


@pytest.mark.slow
def test_fourteen_joints_under_one_policy_are_the_same_through_topics(tmp_path: Path) -> None:
    ends_well(up(tmp_path, namespace="pair", robot="bimanual_fr3"))
    run = read_run(tmp_path / "pair.npz")
    alone = simulate(Arguments(robot="bimanual_fr3", policy="sine", stop_after=SPAN))
    assert len(run.joints) == 14
    assert {name.split("_")[0] for name in run.joints} == {"left", "right"}
    states = min(len(run.q), len(alone.q))
    np.testing.assert_array_equal(run.q[:states], alone.q[:states])
    assert (np.ptp(run.q, axis=0) > 0.01).all()


def test_of_several_arms_only_those_that_are_asked_to_publish_the_clock() -> None:
    args = ["robot:=teach2", "rate_hz:=100.0", "publish_clock:=false"]
    words = ["--ros-args", "-r", "__ns:=/right", *(w for a in args for w in ("-p", a))]
    rclpy.init(args=words)
    try:
        arm = LoopbackNode()
        topics = {
            name for name, _ in arm.get_publisher_names_and_types_by_node("loopback", "/right")
        }
        assert "/clock" not in topics
        assert "/right/joint_states" in topics
        assert {t for t in topics if not t.startswith("/right/")} <= SHARED
        arm.destroy_node()
    finally:
        rclpy.shutdown()


def test_the_clock_is_an_argument_of_the_bring_up() -> None:
    given = arguments("sim", {"robot": "teach2", "policy": "hold", "clock": "off"})
    assert plan(given).nodes[-1].parameters["publish_clock"] is False
    assert plan(Arguments(robot="teach2", policy="hold")).nodes[-1].parameters["publish_clock"]
