"""Forty seeded mistakes: `check` names them before a command is sent, and finds no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mistakes
import numpy as np
import pytest
from mistakes import Mistake, Trained

from ros2_sim2real.check.items import Item, Report
from ros2_sim2real.check.live import judge
from ros2_sim2real.check.seen import Seen
from ros2_sim2real.check.static import examine

CAUGHT = 38  # of forty
NOTED = {"imported": {"gains.stiffness"}}  # softer than the arm's: so is the public original


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    return mistakes.policies(tmp_path_factory.mktemp("trained"))


def checked(made: Mistake, trained: Trained, folder: Path) -> Report:
    """What `check` says of the policy as deployed."""
    graph = made.graph(trained.graph) if made.graph else None
    path = trained.file(folder / "p.onnx", made.change, graph)
    if made.damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    robot = made.robot(folder) if made.robot else trained.robot
    return examine(str(path), robot, **{"goals": trained.goals, **made.arguments})


def names(report: Report) -> list[str]:
    return [item.name for item in report.of("fail")]


def test_there_are_forty_and_at_least_38_have_a_name() -> None:
    assert len(mistakes.ALL) == len({m.what for m in mistakes.ALL}) == 40
    assert sum(bool(m.item) for m in mistakes.ALL) >= CAUGHT
    assert {m.policy for m in mistakes.ALL} == {"reach", "memory", "imported"}


@pytest.mark.parametrize("policy", ["reach", "memory", "imported"])
def test_nothing_is_said_of_a_correct_set_up(
    trained: dict[str, Trained], tmp_path: Path, policy: str
) -> None:
    one = trained[policy]
    report = examine(str(one.file(tmp_path / "p.onnx")), one.robot, goals=one.goals)
    assert names(report) == []
    assert {item.name for item in report.of("warn")} == NOTED.get(policy, set())


@pytest.mark.parametrize("made", [m for m in mistakes.ALL if not m.live], ids=lambda m: m.what)
def test_a_mistake_is_named(trained: dict[str, Trained], tmp_path: Path, made: Mistake) -> None:
    report = checked(made, trained[made.policy], tmp_path)
    if not made.item:
        assert names(report) == []
        return
    assert made.item in names(report)
    said = " ".join(item.line for item in report.of("fail") if item.name == made.item)
    assert made.says in said


def test_the_table_in_the_docs_is_that_of_this_test(root: Path) -> None:
    text = (root / "docs/check.md").read_text()
    assert mistakes.table() in text, f"put this into docs/check.md:\n{mistakes.table()}"


# --- the running graph --------------------------------------------------------------------------

RATE = 50.0  # [Hz]


class Arm:
    """Stands for the driver: publishes joint_states, right or wrong, beside the real nodes."""

    def __init__(self, policy: Path) -> None:
        import rclpy
        from ros_bench import Bench

        self.context = rclpy
        self.bench = Bench()
        self.policy = policy
        common = {"robot": "teach2", "state_clock": "ros"}
        self.bench.start("pipeline", policy=str(policy), goals="tour", **common)
        self.bench.start("safety", rate_hz=RATE, mode="active", **common)
        self.period, self.factor, self.simulated = 1.0 / RATE, 1.0, False
        self._extra: list[object] = []

    def run(self, wrong: str) -> Report:
        """What `check --live` says while one thing is wrong."""
        self._go_wrong(wrong)
        self._publish()
        return self._look()

    def _go_wrong(self, wrong: str) -> None:
        from rclpy.event_handler import PublisherEventCallbacks
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from ros_bench import trajectory
        from rosgraph_msgs.msg import Clock
        from trajectory_msgs.msg import JointTrajectory

        node = self.bench.node
        self.factor = 180.0 / np.pi if wrong == "degrees" else 1.0
        self.period = 0.2 if wrong == "slow" else 1.0 / RATE
        self.simulated = wrong == "clock"
        if wrong == "deaf":
            profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
            quiet = PublisherEventCallbacks(use_default_callbacks=False)  # else it logs
            out = node.create_publisher(
                JointTrajectory, "correction/command", profile, event_callbacks=quiet
            )
            self._extra = [out]
        elif wrong == "second":
            self._extra = [node.create_publisher(JointTrajectory, "safety/command", 1)]
            self._extra[0].publish(trajectory(0, [0.0, 0.0]))
        elif wrong == "clock":
            self._extra = [node.create_publisher(Clock, "/clock", 1)]

    def _publish(self) -> None:
        from ros_bench import HOME, START, joint_state, stamp
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import JointState

        out = self.bench.publisher(JointState, "joint_states")
        began = time.monotonic_ns()

        def send() -> None:
            clock = self.bench.node.get_clock().now().nanoseconds
            now = 1_000_000_000 + time.monotonic_ns() - began if self.simulated else clock
            if self.simulated:
                self._extra[0].publish(Clock(clock=stamp(now)))
            out.publish(joint_state(now, np.array(HOME) * self.factor))

        self.bench.every(self.period, send)
        node, ready = self.bench.node, self.bench.hear(JointState, "joint_states")
        theirs = ("correction/command", "safety/command", "safety/status")
        self.bench.until(lambda: len(ready) > 3 and all(map(node.count_publishers, theirs)), START)

    def _look(self) -> Report:
        from ros2_sim2real.nodes.probe import look
        from ros2_sim2real.policy.load import contract_of
        from ros2_sim2real.robot import load_robot

        seen: list[Seen] = []
        looking = threading.Thread(
            target=lambda: seen.append(look(self.bench.namespace, seconds=2.5))
        )
        looking.start()
        self.bench.until(lambda: not looking.is_alive(), 20.0)
        contract = contract_of(str(self.policy))
        items = tuple(judge(seen[0], load_robot("teach2"), contract, rate_hz=RATE))
        return Report(items)


@pytest.fixture
def arm(trained: dict[str, Trained], tmp_path: Path) -> Iterator[Callable[[str], Report]]:
    rclpy = pytest.importorskip("rclpy")
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    made = Arm(trained["memory"].file(tmp_path / "p.onnx"))
    yield made.run
    made.bench.close()
    rclpy.try_shutdown()


@pytest.mark.ros
def test_nothing_is_said_of_a_correct_graph(arm: Callable[[str], Report]) -> None:
    report = arm("")
    assert [item.line for item in report.of("fail")] == []
    assert "joint_states.stamp" in [item.name for item in report.of("pass")]


@pytest.mark.ros
@pytest.mark.parametrize("made", [m for m in mistakes.ALL if m.live], ids=lambda m: m.what)
def test_a_mistake_of_the_running_graph_is_named(
    arm: Callable[[str], Report], made: Mistake
) -> None:
    found: dict[str, Item] = {item.name: item for item in arm(made.live).of("fail")}
    assert made.item in found, list(found)
    assert found[made.item].fix
