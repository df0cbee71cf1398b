"""The pre-flight against a running graph: it passes, and it hears what a listener would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import GOAL, contract, term, write_policy
from geometry_msgs.msg import PoseStamped
from ros_bench import START, Bench
from sensor_msgs.msg import JointState

from ros2_sim2real.cli import main
from ros2_sim2real.nodes.probe import look

pytest.importorskip("rclpy")


@pytest.fixture
def policy(tmp_path: Path) -> str:
    terms = [
        term("joint_position", 2),
        term("joint_velocity", 2),
        term("goal", 3, "goal_position"),
    ]
    promised = contract(
        observation=terms, goal=GOAL, action={"kind": "delta_default", "scale": 1.0}
    )
    return str(write_policy(tmp_path / "p.onnx", promised))


def start(bench: Bench, policy: str, **gate: object) -> None:
    common = {"robot": "teach2"}
    bench.start("pipeline", policy=policy, goals="tour", state_clock="stamp", **common)
    bench.start("safety", rate_hz=50.0, state_clock="stamp", mode="active", **common, **gate)
    # /clock knows no namespace: arms of other tests would count as a second publisher
    bench.start("mujoco", policy=policy, rate_hz=50.0, publish_clock=False, **common)
    topics = ("safety/command", "correction/command", "joint_states")
    bench.until(lambda: all(map(bench.node.count_publishers, topics)), START)


def checked(
    bench: Bench, policy: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, dict[str, str]]]:
    args = ["check", "--policy", policy, "--robot", "teach2", "--namespace", bench.namespace]
    with pytest.raises(SystemExit) as ended:
        main([*args, "--live", "--seconds", "3", "--json"])
    said = json.loads(capsys.readouterr().out)
    counts = {"passed": "pass", "warned": "warn", "failed": "fail"}
    for count, status in counts.items():
        assert said[count] == sum(item["status"] == status for item in said["items"])
    return int(ended.value.code or 0), {item["name"]: item for item in said["items"]}


@pytest.mark.timeout(90)
def test_a_running_simulation_passes(
    bench: Bench, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start(bench, policy, auto_enable=True)
    code, items = checked(bench, policy, capsys)
    assert [i for i in items.values() if i["status"] == "fail"] == []
    assert code == 0
    for name in ("joint_states.rate", "joint_states.name", "safety/command.publishers", "latency"):
        assert items[name]["got"]
    assert items["joint_states.stamp"]["status"] == "pass"


@pytest.mark.timeout(90)
def test_the_stamps_of_a_simulator_need_its_clock(
    bench: Bench, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.start("pipeline", robot="teach2", policy=policy, goals="tour", state_clock="ros")
    bench.start("mujoco", robot="teach2", policy=policy, rate_hz=50.0)
    topics = ("correction/command", "joint_states")
    bench.until(lambda: all(map(bench.node.count_publishers, topics)), START)
    code, items = checked(bench, policy, capsys)
    assert code == 2
    assert items["use_sim_time"]["status"] == "fail"
    assert "pipeline" in items["use_sim_time"]["got"]


@pytest.mark.timeout(60)
def test_silence_fails_and_says_where_to_look(
    bench: Bench, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, items = checked(bench, policy, capsys)
    assert code == 2
    assert "no publisher" in items["joint_states"]["got"]
    assert "ROS_DOMAIN_ID" in items["joint_states"]["fix"]


def test_a_look_hears_goals_and_leaves_itself_out(bench: Bench) -> None:
    import threading

    goals = bench.node.create_publisher(PoseStamped, "goal", 1)
    states = bench.node.create_publisher(JointState, "joint_states", 1)
    bench.every(0.02, lambda: (goals.publish(PoseStamped()), states.publish(JointState())))
    seen = []
    looking = threading.Thread(target=lambda: seen.append(look(bench.namespace, seconds=1.5)))
    looking.start()
    bench.until(lambda: not looking.is_alive(), 20.0)
    assert seen[0].goals
    assert seen[0].states
    assert seen[0].rate_hz == pytest.approx(50.0, rel=0.3)
    assert not seen[0].subscribers("joint_states")
    (publisher,) = seen[0].publishers("joint_states")
    assert publisher.node == f"/{bench.namespace}/bench"
    assert publisher.reliable
    assert len(publisher.gid) == 32
