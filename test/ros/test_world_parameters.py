"""Worlds through ROS: changed on a running node, refused in words, identical to one process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from ros2_sim2real.bringup import arguments
from ros2_sim2real.closed_loop import simulate
from ros2_sim2real.offline.evaluate import run_through_ros
from ros2_sim2real.robot import load_robot

rclpy = pytest.importorskip("rclpy")
from rcl_interfaces.srv import DescribeParameters, SetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from ros2_sim2real.nodes import qos  # noqa: E402
from ros2_sim2real.nodes.convert import TrajectoryWriter, to_ns  # noqa: E402

TEACH2 = load_robot("teach2")
PATIENCE = 20.0  # [s]
NODE = (
    *(sys.executable, "-m", "ros2_sim2real.nodes.mujoco", "--ros-args"),
    *("-p", "robot:=teach2", "-p", "rate_hz:=100.0"),
)


class Driver:
    """Stands for the gate: answers every state with the same set-point, in lockstep."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node("driver")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.states: list[JointState] = []
        self.setpoint = TEACH2.home
        self._writer = TrajectoryWriter(TEACH2.joint_names)
        self._out = self.node.create_publisher(JointTrajectory, "safety/command", qos.RELIABLE)
        self.node.create_subscription(JointState, "joint_states", self._on_state, qos.STATE_IN)
        self._set = self.node.create_client(SetParameters, "/mujoco/set_parameters")
        self._describe = self.node.create_client(DescribeParameters, "/mujoco/describe_parameters")

    def _on_state(self, msg: JointState) -> None:
        self.states.append(msg)
        self._out.publish(self._writer(to_ns(msg.header.stamp), self.setpoint))

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < end, "waited in vain"
            self._executor.spin_once(timeout_sec=0.1)

    def hear(self, count: int) -> JointState:
        """Returns the last of `count` further states."""
        target = len(self.states) + count
        self.until(lambda: len(self.states) >= target)
        return self.states[-1]

    def _call(self, client, request):
        self.until(client.service_is_ready)
        future = client.call_async(request)
        self.until(future.done)
        return future.result()

    def set(self, **values: object) -> list[tuple[bool, str]]:
        parameters = [
            Parameter(f"world.{name}", value=value).to_parameter_msg()
            for name, value in values.items()
        ]
        done = self._call(self._set, SetParameters.Request(parameters=parameters))
        return [(r.successful, r.reason) for r in done.results]

    def describe(self, name: str) -> str:
        request = DescribeParameters.Request(names=[name])
        return str(self._call(self._describe, request).descriptors[0].description)

    def close(self) -> None:
        self._executor.remove_node(self.node)
        self.node.destroy_node()
        rclpy.try_shutdown()


@contextlib.contextmanager
def simulator(*given: str) -> Iterator[subprocess.Popen[str]]:
    parameters = [part for p in given for part in ("-p", p)]
    process = subprocess.Popen(
        [*NODE, "-p", "time:=lockstep", *parameters],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = Driver()
    try:
        yield driver
    finally:
        driver.close()


def test_a_running_arm_gets_a_load_and_loses_it_again(driver: Driver) -> None:
    with simulator():
        rest = np.array(driver.hear(100).position)
        assert rest == pytest.approx(TEACH2.home, abs=1e-6)
        assert driver.set(payload_mass=0.3) == [(True, "")]
        sagged = np.array(driver.hear(300).position)
        assert sagged[0] < rest[0] - 0.002
        assert driver.set(payload_mass=0) == [(True, "")]  # an integer is a number
        assert np.array(driver.hear(300).position) == pytest.approx(rest, abs=1e-4)
        stamps = [to_ns(s.header.stamp) for s in driver.states]
        assert max(np.diff(stamps)) <= 10_000_000  # nothing was reset


def test_sensors_and_links_change_on_a_running_arm(driver: Driver) -> None:
    with simulator("world.position_bias:=0.1"):
        assert np.array(driver.hear(20).position) == pytest.approx(TEACH2.home + 0.1, abs=1e-6)
        assert driver.set(position_bias=[0.0, 0.2]) == [(True, "")]
        assert np.array(driver.hear(20).position) == pytest.approx(
            TEACH2.home + np.array([0, 0.2])
        )
        driver.set(position_bias=0.0, nan_states=2)
        begin = len(driver.states)
        driver.hear(30)
        blind = {
            to_ns(s.header.stamp) for s in driver.states[begin:] if s.position[0] != s.position[0]
        }
        assert len(blind) == 2
        driver.set(command_drop=1.0)
        driver.setpoint = TEACH2.home + 0.2
        assert np.array(driver.hear(100).position) == pytest.approx(TEACH2.home, abs=1e-4)
        driver.set(command_drop=0.0, state_drop=1.0)  # lockstep stays live
        driver.set(state_drop=0.0)
        assert np.array(driver.hear(200).position) == pytest.approx(driver.setpoint, abs=1e-3)


def test_what_does_not_fit_is_refused_with_the_reason_and_changes_nothing(driver: Driver) -> None:
    with simulator():
        driver.hear(5)
        for values, part in (
            ({"command_drop": 1.5}, "`command_drop` got 1.5"),
            ({"backlash": [0.1, 0.1, 0.1]}, "`backlash` got 3 values, expected 1 or 2"),
            ({"payload_mass": "heavy"}, "`payload_mass` got 'heavy'"),
            ({"armature_scale": float("nan")}, "armature_scale"),
        ):
            [(successful, reason)] = driver.set(**values)
            assert not successful, values
            assert part in reason
            assert "\n" not in reason
        assert not driver.set(frictoin=1.0)[0][0]
        assert np.array(driver.hear(50).position) == pytest.approx(TEACH2.home, abs=1e-6)
        assert "[s]" in driver.describe("world.command_delay")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("world.payload_mas:=1.0", "did you mean `world.payload_mass`"),
        ("world.backlash:=-1.0", "`backlash"),
        ("world_file:=moon", "world `moon`"),
    ],
)
def test_a_wrong_start_is_one_line_and_status_2(given: str, says: str) -> None:
    done = subprocess.run(
        [*NODE, "-p", given],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("world", ["everything", "busy_network", "sensor_dropout"])
def test_lockstep_through_topics_is_the_run_in_one_process_bit_by_bit(world: str) -> None:
    given = {"robot": "teach2", "policy": "sine", "world": world, "time": "lockstep", "seed": 7}
    args = arguments("sim", {**given, "stop_after": 4.0})
    live, core = run_through_ros(args), simulate(args)
    assert (live.stamp_ns == core.stamp_ns).all()
    assert np.array_equal(live.q, core.q, equal_nan=True)
    assert (live.q_true == core.q_true).all()
    both = min(len(live.command), len(core.command))
    assert (live.command[:both] == core.command[:both]).all()
    assert abs(len(live.command) - len(core.command)) <= 1  # the last one may come too late
