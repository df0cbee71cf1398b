"""The simulated arm as a ros2_control arm: three ways to command it, one source at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import rclpy
from rcl_interfaces.msg import Log
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from ros2_sim2real.errors import JointMismatch
from ros2_sim2real.nodes import qos
from ros2_sim2real.nodes.command_inputs import GATE, Ownership
from ros2_sim2real.nodes.convert import TrajectoryWriter
from ros2_sim2real.nodes.loopback import LoopbackNode
from ros2_sim2real.nodes.shell import make_executor

PATIENCE = 10.0  # [s]
JOINTS = ["shoulder_joint", "elbow_joint"]
CONTROLLER = "forward_position_controller"


def test_the_first_source_that_speaks_keeps_the_arm_until_it_is_silent() -> None:
    arm = Ownership(silence=1.0)
    assert arm.refusal("a", now=0.0) == ""
    assert "`b` while `a` commands this arm" in arm.refusal("b", now=0.5)
    assert arm.refusal("a", now=1.0) == ""
    assert arm.refusal("b", now=1.9) != ""  # what is refused does not prolong, nor shorten
    assert arm.refusal("b", now=2.0) == ""
    assert arm.refusal("a", now=2.5) != ""
    arm.reset()
    assert arm.refusal("a", now=2.5) == ""


def start(parameters: list[str]) -> None:
    rclpy.init(args=["--ros-args", *(part for p in parameters for part in ("-p", p))])


class Bench:
    """A simulated arm without physics, and somebody who commands it."""

    def __init__(self, arm: LoopbackNode) -> None:
        self.arm = arm
        self.user = Node("user")
        self.executor = make_executor()
        for node in (arm, self.user):
            self.executor.add_node(node)
        self.refused: list[str] = []
        self.user.create_subscription(
            Log, "/rosout", lambda m: self.refused.append(m.msg), qos.DIAGNOSTICS
        )
        out = self.user.create_publisher
        self.array = out(Float64MultiArray, f"{CONTROLLER}/commands", qos.RELIABLE)
        self.named = out(JointState, "joint_commands", qos.RELIABLE)
        self.gate = out(JointTrajectory, GATE, qos.RELIABLE)
        self.write = TrajectoryWriter(JOINTS)
        self.reset = self.user.create_client(Trigger, "loopback/reset")

    def until(self, what: Callable[[], bool], act: Callable[[], None] = lambda: None) -> None:
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < deadline, "nothing came of it"
            act()
            self.arm.tick()
            self.executor.spin_once(timeout_sec=0.01)

    def at(self, q: list[float]) -> Callable[[], bool]:
        return lambda: bool(np.allclose(self.arm.backend.state(0).q, q))

    def send_array(self, *values: float) -> None:
        self.array.publish(Float64MultiArray(data=list(values)))

    def send_gate(self, *q: float) -> None:
        self.gate.publish(self.write(self.arm.now_ns, np.array(q)))

    def close(self) -> None:
        for node in (self.user, self.arm):
            self.executor.remove_node(node)
            node.destroy_node()


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    given = {
        "robot": "teach2",
        "rate_hz": 100.0,
        "controller": CONTROLLER,
        "joint_commands": "joint_commands",
        **getattr(request, "param", {}),
    }
    start([f"{k}:={v}" for k, v in given.items()])
    try:
        made = Bench(LoopbackNode())
        yield made
        made.close()
    finally:
        rclpy.shutdown()


def test_an_array_on_the_controllers_topic_moves_the_arm(bench: Bench) -> None:
    bench.until(bench.at([0.5, -0.5]), lambda: bench.send_array(0.5, -0.5))
    assert not bench.refused


@pytest.mark.parametrize(
    "bench", [{"controller_joints": '"elbow_joint, shoulder_joint"'}], indirect=True
)
def test_the_arrays_order_is_a_parameter(bench: Bench) -> None:
    bench.until(bench.at([0.5, -0.5]), lambda: bench.send_array(-0.5, 0.5))


@pytest.mark.parametrize("bench", [{"time": "lockstep"}], indirect=True)
def test_in_lockstep_an_array_answers_the_last_state(bench: Bench) -> None:
    bench.until(lambda: bench.arm.now_ns > 50_000_000, lambda: bench.send_array(0.5, -0.5))
    assert bench.at([0.5, -0.5])()


def test_joint_state_commands_are_matched_by_name(bench: Bench) -> None:
    msg = JointState(name=["finger", *JOINTS[::-1]], position=[9.0, -0.7, 0.7])
    bench.until(bench.at([0.7, -0.7]), lambda: bench.named.publish(msg))


def test_a_width_or_a_name_that_does_not_fit_is_refused_by_name(bench: Bench) -> None:
    start = bench.arm.backend.state(0).q
    bench.until(lambda: bool(bench.refused), lambda: bench.send_array(0.5))
    assert "1 values for the 2 joints ['shoulder_joint', 'elbow_joint']" in bench.refused[0]
    bench.refused.clear()
    bench.until(
        lambda: any("joint_commands" in line for line in bench.refused),
        lambda: bench.named.publish(JointState(name=["other"], position=[1.0])),
    )
    assert "`joint_commands`: joints ['shoulder_joint', 'elbow_joint']" in bench.refused[-1]
    bench.until(
        lambda: any("not finite" in line for line in bench.refused),
        lambda: bench.send_array(float("nan"), 0.0),
    )
    np.testing.assert_array_equal(bench.arm.backend.state(0).q, start)


def test_a_second_source_is_refused_until_the_first_is_silent(bench: Bench) -> None:
    bench.until(bench.at([0.5, -0.5]), lambda: bench.send_gate(0.5, -0.5))

    def both() -> None:
        bench.send_gate(0.5, -0.5)
        bench.send_array(0.1, 0.1)

    bench.until(lambda: bool(bench.refused), both)
    assert f"`{CONTROLLER}/commands` while `{GATE}` commands this arm" in bench.refused[0]
    assert bench.at([0.5, -0.5])()
    bench.until(bench.at([0.1, 0.1]), lambda: bench.send_array(0.1, 0.1))  # a second of silence


def test_after_a_reset_any_source_may_speak_first(bench: Bench) -> None:
    bench.until(bench.at([0.5, -0.5]), lambda: bench.send_gate(0.5, -0.5))
    done = bench.reset.call_async(Trigger.Request())
    bench.until(done.done)
    begin = time.monotonic()
    bench.until(bench.at([0.1, 0.1]), lambda: bench.send_array(0.1, 0.1))
    assert time.monotonic() - begin < 0.9
    assert not bench.refused


def test_controller_joints_that_lack_one_are_refused_at_the_start() -> None:
    args = ["robot:=teach2", "rate_hz:=100.0", "controller:=c", "controller_joints:=elbow_joint"]
    start(args)
    try:
        with pytest.raises(JointMismatch, match="shoulder_joint"):
            LoopbackNode()
    finally:
        rclpy.shutdown()


@pytest.mark.parametrize("bench", [{"controller": "''", "joint_commands": "''"}], indirect=True)
def test_without_the_parameters_nobody_but_the_gate_is_heard(bench: Bench) -> None:
    # the node's own list: the graph still shows those of the tests before under the same name
    names = {subscription.topic_name for subscription in bench.arm.subscriptions}
    assert f"/{GATE}" in names
    assert not {n for n in names if n.endswith("commands")}
