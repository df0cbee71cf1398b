"""The live pipeline forgets when the gate takes the arm over or lets it go, by stamp."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from networks import Weights, promise

from ros2_sim2real.robot import load_robot

rclpy = pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from ros2_sim2real.nodes import qos  # noqa: E402
from ros2_sim2real.nodes.convert import to_ns, to_stamp  # noqa: E402

TEACH2 = load_robot("teach2")
PATIENCE = 20.0  # [s]
PERIOD = 20_000_000


class Peers:
    """Stands for the arm and for the gate of a running pipeline."""

    def __init__(self, policy: Path) -> None:
        rclpy.init()
        self.node = rclpy.create_node("peers")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.answers: dict[int, list[float]] = {}
        self.plans: list[JointTrajectory] = []
        self._state = self.node.create_publisher(JointState, "joint_states", qos.RELIABLE)
        self._gate = self.node.create_publisher(DiagnosticStatus, "safety/status", qos.LATCHED)
        self.node.create_subscription(
            JointTrajectory, "correction/command", self._on_command, qos.RELIABLE
        )
        self.node.create_subscription(
            JointTrajectory, "policy/target", self.plans.append, qos.RELIABLE
        )
        parameters = {
            "robot": "teach2",
            "policy": str(policy),
            "goals": "0.2,0,0.3",
            "state_clock": "stamp",
        }
        args = [part for k, v in parameters.items() for part in ("-p", f"{k}:={v}")]
        self.pipeline = subprocess.Popen(
            [sys.executable, "-m", "ros2_sim2real.nodes.pipeline", "--ros-args", *args]
        )
        self.until(lambda: self._state.get_subscription_count() == 1)
        self.until(lambda: self._gate.get_subscription_count() == 1)

    def _on_command(self, msg: JointTrajectory) -> None:
        self.answers[to_ns(msg.header.stamp)] = list(msg.points[0].positions)

    def until(self, done: Callable[[], bool], *, again: Callable[[], None] | None = None) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, "waited in vain"
            if again is not None:
                again()
            self._executor.spin_once(timeout_sec=0.05)

    def run(self, begin: int, n: int = 8) -> list[list[float]]:
        """Returns the answers to `n` states from decision `begin` on."""
        for i in range(n):
            q = [1.2 + 0.1 * np.sin(i), -1.0 + 0.1 * np.cos(i)]
            stamp = (begin + i) * PERIOD
            msg = JointState(name=list(TEACH2.joint_names), position=q, velocity=[0.1, 0.0])
            msg.header.stamp = to_stamp(stamp)
            self.until(
                lambda stamp=stamp: stamp in self.answers,
                again=lambda msg=msg: self._state.publish(msg),
            )
        return [self.answers[(begin + i) * PERIOD] for i in range(n)]

    def gate(self, mode: str, since: int) -> None:
        """Publishes the gate's status and leaves time for it to arrive."""
        values = [KeyValue(key="mode", value=mode), KeyValue(key="since_ns", value=str(since))]
        self._gate.publish(DiagnosticStatus(name="safety", values=values))
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.pipeline.terminate()
        self.pipeline.wait(timeout=PATIENCE)
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def peers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Peers]:
    promised = promise(request.param)
    (tmp_path / "p.onnx").write_bytes(Weights(promised).file(promised))
    peers = Peers(tmp_path / "p.onnx")
    yield peers
    peers.close()


@pytest.mark.parametrize("peers", ["lstm"], indirect=True)
def test_the_memory_ends_with_the_mode_of_the_gate(peers: Peers) -> None:
    peers.gate("inactive", 0)
    first = peers.run(1)
    assert peers.run(9) != first  # it remembers
    peers.gate("active", 17 * PERIOD)
    assert peers.run(17) == first  # activation
    peers.gate("inactive", 25 * PERIOD)
    assert peers.run(25) == first  # hold
    peers.gate("active", 25 * PERIOD)  # heard late: this episode began with that state already
    assert peers.run(33) != first


@pytest.mark.parametrize("peers", ["chunk_replace"], indirect=True)
def test_a_plan_is_published_whole(peers: Peers) -> None:
    answers = peers.run(1, n=2)
    peers.until(lambda: len(peers.plans) >= 2)
    plan = peers.plans[0]
    assert len(plan.points) == 5
    assert list(plan.points[0].positions) == answers[0]
    assert list(plan.points[1].positions) == answers[1]
    times = [p.time_from_start.nanosec for p in plan.points]
    assert times == [i * PERIOD for i in range(5)]
