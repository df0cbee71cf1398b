"""The other nodes as processes: what they answer, refuse, say, and how they end."""

from __future__ import annotations

import itertools
import math
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import GOAL, contract, term, write_policy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_bench import (
    HOME,
    JOINTS,
    START,
    TEACH2,
    Bench,
    Process,
    joint_state,
    position,
    stamp_ns,
    trajectory,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from ros2_sim2real.bringup import arguments, plan
from ros2_sim2real.contract import parse_contract
from ros2_sim2real.nodes import qos

PERIOD = 10_000_000  # [ns]
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def ros_now(bench: Bench) -> int:
    return int(bench.node.get_clock().now().nanoseconds)


class Driver:
    """Tells the state of an arm that stands at home, 100 times a second."""

    def __init__(self, bench: Bench, profile: QoSProfile = qos.RELIABLE) -> None:
        self.bench, self.offset_ns, self.speeds = bench, 0, True
        self.out = bench.publisher(JointState, "joint_states", profile)
        bench.every(PERIOD * 1e-9, self.tell)

    def tell(self) -> None:
        now = ros_now(self.bench) + self.offset_ns
        self.out.publish(joint_state(now, dq=None if self.speeds else []))


@pytest.fixture
def follower(tmp_path: Path) -> str:
    """A policy whose target is the goal's x and z."""
    promised = contract(
        observation=[term("goal_position", 3), term("joint_velocity", 2, scale=0.0)], goal=GOAL
    )
    weights = np.zeros((5, 2))
    weights[0, 0] = weights[2, 1] = 1.0
    return str(write_policy(tmp_path / "follow.onnx", promised, weights))


def pipeline(bench: Bench, **parameters: Any) -> tuple[Process, list[JointTrajectory]]:
    given = {"robot": "teach2", "policy": "sine", **parameters}
    return bench.start("pipeline", **given), bench.hear(JointTrajectory, "correction/command")


def pose(x: float = 0.2, y: float = 0.0, z: float = 0.3, frame: str = "base_link") -> PoseStamped:
    msg = PoseStamped()
    msg.header.frame_id = frame
    msg.pose.position.x, msg.pose.position.y, msg.pose.position.z = x, y, z
    msg.pose.orientation.w = 1.0
    return msg


# --- shadow: the whole graph on somebody else's states ------------------------------------------


@pytest.mark.parametrize("profile", [qos.RELIABLE, BEST_EFFORT], ids=["reliable", "best effort"])
def test_in_shadow_the_whole_graph_runs_and_nothing_is_sent(
    bench: Bench, profile: QoSProfile
) -> None:
    ours = plan(arguments("real", {"robot": "teach2", "policy": "sine", "rate_hz": 100.0}))
    for node in ours.nodes:
        bench.start(node.executable, **node.parameters)
    commands = bench.hear(JointTrajectory, "correction/command")
    targets = bench.hear(JointTrajectory, "policy/target")
    sent = bench.hear(JointTrajectory, "safety/command")
    health = bench.hear(DiagnosticArray, "/diagnostics")
    Driver(bench, profile)
    bench.until(lambda: len(commands) > 50 and len(targets) > 50, START)

    def gate_counts() -> bool:
        mine = [s for m in health for s in m.status if s.name == f"/{bench.namespace}/safety"]
        return any(s.message.startswith("shadow") and "refused" in str(s.values) for s in mine)

    bench.until(gate_counts)
    assert not sent
    assert bench.node.count_publishers("safety/command") == 1  # it could have been heard


# --- pipeline -----------------------------------------------------------------------------------


def connected(bench: Bench, heard: list[JointTrajectory]) -> Any:
    """A publisher of states that the pipeline has answered once: the first ones may get lost."""
    out = bench.publisher(JointState, "joint_states")
    timer = bench.every(0.1, lambda: out.publish(joint_state(1)))
    bench.until(lambda: heard, START)
    timer.cancel()
    bench.spin(0.1)
    heard.clear()
    return out


def test_every_state_is_answered_once_with_its_own_stamp(bench: Bench) -> None:
    _, heard = pipeline(bench, state_clock="stamp")
    out = connected(bench, heard)
    for i in range(1, 51):
        out.publish(joint_state(i * PERIOD))
        bench.until(lambda i=i: len(heard) >= i)
    assert [stamp_ns(m) for m in heard] == [i * PERIOD for i in range(1, 51)]
    np.testing.assert_allclose(position(heard[0]), HOME, atol=1e-3)


def test_a_state_that_comes_twice_gets_the_same_answer_again(bench: Bench) -> None:
    _, heard = pipeline(bench, state_clock="stamp")
    out = connected(bench, heard)
    for count in range(1, 4):
        out.publish(joint_state(PERIOD, HOME + 0.001 * count))
        bench.until(lambda count=count: len(heard) >= count)
    assert len({tuple(position(m)) for m in heard}) == 1
    assert len(heard) == 3


def test_after_a_gap_the_episode_starts_anew(bench: Bench) -> None:
    _, heard = pipeline(bench, state_clock="stamp")
    out = connected(bench, heard)
    for i in range(1, 101):
        out.publish(joint_state(i * PERIOD))
        bench.until(lambda i=i: len(heard) >= i)
    assert not np.allclose(position(heard[-1]), HOME, atol=1e-3)
    for gap in (1_000_000_000, -500_000_000):  # a reset, a driver that was restarted
        count = len(heard)
        elsewhere = HOME + 0.01
        out.publish(joint_state(100 * PERIOD + gap, elsewhere))
        bench.until(lambda count=count: len(heard) > count)
        assert position(heard[-1]) == elsewhere.tolist()


def test_the_contract_is_told_to_late_listeners(bench: Bench, follower: str) -> None:
    pipeline(bench, policy=follower)
    Driver(bench)
    heard = bench.hear(String, "policy/contract", qos.LATCHED)
    bench.until(lambda: heard)
    told = parse_contract(heard[0].data, where="topic")
    assert told.robot == "teach2"


def test_without_a_goal_the_pipeline_waits_and_says_so(bench: Bench, follower: str) -> None:
    _, heard = pipeline(bench, policy=follower)
    health = bench.hear(DiagnosticArray, "/diagnostics")
    Driver(bench)
    bench.until(
        lambda: any("waiting for a goal" in s.message for m in health for s in m.status), START
    )
    assert not heard
    goal = bench.publisher(PoseStamped, "goal")
    goal.publish(pose(0.25, 0.0, 0.4))
    bench.until(lambda: heard)
    np.testing.assert_allclose(position(heard[-1]), [0.25, 0.4], rtol=1e-6)


def bad_pose(field: str, value: float) -> PoseStamped:
    msg = pose()
    part, axis = field.split(".")
    setattr(getattr(msg.pose, part), axis, value)
    return msg


def test_goals_that_mean_nothing_are_refused_and_the_old_one_stays(
    bench: Bench, follower: str
) -> None:
    process, heard = pipeline(bench, policy=follower)
    Driver(bench)
    goal = bench.publisher(PoseStamped, "goal")
    goal.publish(pose(0.25, 0.0, 0.4))
    bench.until(lambda: heard)
    bad = {
        "expected finite numbers": bad_pose("position.x", math.nan),
        "frame `world`": pose(frame="world"),
        "inf": bad_pose("position.z", math.inf),
        "nan, 0.0": bad_pose("orientation.x", math.nan),
    }
    for sentence, msg in bad.items():

        def refused(sentence: str = sentence, msg: PoseStamped = msg) -> bool:
            goal.publish(msg)
            bench.spin(0.05)
            return any("goal refused" in line and sentence in line for line in process.lines)

        bench.until(refused)
    assert all(np.allclose(position(m), [0.25, 0.4]) for m in heard)


def test_a_new_goal_is_taken_in_motion(bench: Bench, follower: str) -> None:
    _, heard = pipeline(bench, policy=follower, goals="0.2,0,0.3;0.3,0,0.5", goal_period=0.5)
    Driver(bench)
    bench.until(lambda: heard and np.allclose(position(heard[-1]), [0.2, 0.3]), START)
    bench.until(lambda: np.allclose(position(heard[-1]), [0.3, 0.5]))
    goal = bench.publisher(PoseStamped, "goal")
    goal.publish(pose(0.15, 0.0, 0.2))
    bench.until(lambda: np.allclose(position(heard[-1]), [0.15, 0.2]))


@pytest.mark.parametrize(("offset", "word"), [(-3600.0, "ago"), (3600.0, "ahead"), (-0.2, "ago")])
def test_states_of_another_clock_are_refused_in_words(
    bench: Bench, offset: float, word: str
) -> None:
    process, heard = pipeline(bench)
    driver = Driver(bench)
    driver.offset_ns = round(offset * 1e9)
    heard.clear()
    bench.until(lambda: word in process.said, START)
    assert "clock" in process.said
    bench.spin(0.1)
    heard.clear()
    bench.spin(0.2)
    assert not heard
    driver.offset_ns = 0
    bench.until(lambda: heard)


def test_a_driver_that_does_not_stamp_is_answered(bench: Bench) -> None:
    _, heard = pipeline(bench)
    out = bench.publisher(JointState, "joint_states")
    bench.every(0.01, lambda: out.publish(joint_state(0)))
    bench.until(lambda: len(heard) > 50)
    assert not np.allclose(position(heard[-1]), HOME, atol=1e-4)  # it swings: no answer of old


def test_speeds_that_are_missing_are_not_taken_for_zero(bench: Bench, follower: str) -> None:
    _, heard = pipeline(bench, policy=follower, goals="0.2,0,0.3")
    health = bench.hear(DiagnosticArray, "/diagnostics")
    driver = Driver(bench)
    driver.speeds = False
    sentence = "the observation is not finite: ['joint_velocity']"
    bench.until(lambda: any(sentence in s.message for m in health for s in m.status), START)
    heard.clear()
    bench.spin(0.1)
    assert not heard
    driver.speeds = True
    bench.until(lambda: heard)


def test_wrong_joints_are_refused_with_a_sentence(bench: Bench) -> None:
    process, heard = pipeline(bench)
    out = bench.publisher(JointState, "joint_states")
    bench.every(0.01, lambda: out.publish(joint_state(ros_now(bench), names=["a", "b"])))
    bench.until(lambda: "['shoulder_joint', 'elbow_joint'] are not among the 2" in process.said)
    assert not heard


def test_silence_is_told_in_words(bench: Bench) -> None:
    process, _ = pipeline(bench)
    bench.until(lambda: "no `joint_states` for" in process.said, START)


def test_no_state_ends_the_pipeline(bench: Bench) -> None:
    process, heard = pipeline(bench)
    out = bench.publisher(JointState, "joint_states")
    late = joint_state(0)
    late.header.stamp.sec, late.header.stamp.nanosec = 2**31 - 1, 2**32 - 1
    many = [f"joint_{i}" for i in range(100_000)]
    for msg in (
        JointState(),
        JointState(name=JOINTS),
        joint_state(ros_now(bench), [math.nan, 0.0]),
        joint_state(ros_now(bench), [1e300, 0.0]),
        joint_state(ros_now(bench), [0.0] * 100_003, names=[*JOINTS, *many, JOINTS[0]]),
        late,
    ):
        out.publish(msg)
        bench.spin(0.05)
    bench.every(0.01, lambda: out.publish(joint_state(ros_now(bench))))
    bench.until(lambda: heard)
    assert process.alive
    assert "Traceback" not in process.said


# --- mujoco -------------------------------------------------------------------------------------


def simulation(
    bench: Bench, executable: str = "mujoco", **parameters: Any
) -> tuple[Process, list[JointState]]:
    given = {"robot": "teach2", "rate_hz": 100.0, **parameters}
    states = bench.hear(JointState, "joint_states")
    return bench.start(executable, **given), states


def increasing(stamps: list[int]) -> bool:
    return all(a < b for a, b in itertools.pairwise(stamps))


@pytest.mark.parametrize("executable", ["mujoco", "loopback"])
def test_time_never_runs_back_over_resets(bench: Bench, executable: str) -> None:
    _, states = simulation(bench, executable)
    clock = bench.hear(Clock, "/clock", BEST_EFFORT)
    out = bench.publisher(JointTrajectory, "safety/command")
    for _ in range(3):
        count = len(states)
        bench.until(lambda count=count: len(states) > count + 20, START)
        out.publish(trajectory(0, HOME + 0.2))
        bench.until(lambda: abs(states[-1].position[0] - HOME[0]) > 0.05)
        count = len(states)
        assert bench.call(Trigger, f"{executable}/reset").success
        bench.until(lambda count=count: len(states) > count + 5)
    stamps = [stamp_ns(m) for m in states]
    assert increasing(stamps)
    jumps = [i for i, (a, b) in enumerate(itertools.pairwise(stamps)) if b - a > 900_000_000]
    assert len(jumps) == 3
    for i in jumps:
        np.testing.assert_allclose(states[i + 1].position, HOME, atol=1e-6)
    times = [m.clock.sec + m.clock.nanosec * 1e-9 for m in clock]
    assert all(a <= b for a, b in itertools.pairwise(times))
    assert len(times) > 20


def test_pause_stops_time_and_step_lets_one_period_pass(bench: Bench) -> None:
    _, states = simulation(bench)
    bench.until(lambda: len(states) > 5, START)
    assert bench.call(SetBool, "mujoco/set_pause", SetBool.Request(data=True)).success
    bench.spin(0.1)
    count = len(states)
    bench.spin(0.3)
    assert len(states) == count
    stamps = []
    for i in range(3):
        answer = bench.call(Trigger, "mujoco/step")
        assert answer.success
        bench.until(lambda i=i: len(states) == count + i + 1)
        stamps.append(stamp_ns(states[-1]))
        assert f"now at {stamps[-1] * 1e-9:.3f} s" in answer.message
    assert np.diff([stamp_ns(states[count - 1]), *stamps]).tolist() == [PERIOD] * 3
    assert bench.call(SetBool, "mujoco/set_pause", SetBool.Request(data=False)).success
    bench.until(lambda: len(states) > count + 20)
    refused = bench.call(Trigger, "mujoco/step")
    assert not refused.success
    assert "pause first" in refused.message


def test_in_real_time_states_come_at_the_set_rate(bench: Bench) -> None:
    _, states = simulation(bench)
    bench.until(lambda: len(states) > 5, START)
    first, begin = stamp_ns(states[-1]), time.monotonic()
    bench.spin(2.0)
    passed = (stamp_ns(states[-1]) - first) * 1e-9
    assert passed == pytest.approx(time.monotonic() - begin, rel=0.1)


def test_in_lockstep_time_waits_for_the_answer_to_its_last_state(bench: Bench) -> None:
    _, states = simulation(bench, time="lockstep")
    bench.until(lambda: len(states) > 2, START)  # it asks again and again
    assert {stamp_ns(m) for m in states} == {0}
    out = bench.publisher(JointTrajectory, "safety/command")
    for i in range(20):
        out.publish(trajectory(i * PERIOD, HOME))
        bench.until(lambda i=i: stamp_ns(states[-1]) == (i + 1) * PERIOD)
    bench.spin(0.05)
    for stamp in (0, 5 * PERIOD, 19 * PERIOD, 500 * PERIOD):  # answers to no question
        out.publish(trajectory(stamp, HOME))
        bench.spin(0.02)
    assert stamp_ns(states[-1]) == 20 * PERIOD
    assert len(states) < 60


def test_commands_that_are_no_commands_do_not_move_the_arm(bench: Bench) -> None:
    process, states = simulation(bench)
    out = bench.publisher(JointTrajectory, "safety/command")
    out.publish(trajectory(0, [math.nan, 0.0]))
    bench.until(lambda: "a command that is not finite" in process.said)

    def refused_by_name() -> bool:
        out.publish(trajectory(0, [0.0, 0.0], ["a", "b"]))
        bench.spin(0.1)
        return "are not among" in process.said

    bench.until(refused_by_name)
    np.testing.assert_allclose(states[-1].position, HOME, atol=5e-3)
    assert process.alive


def test_instability_stops_time_and_a_reset_brings_it_back(bench: Bench) -> None:
    process, states = simulation(bench)
    bench.until(lambda: len(states) > 5, START)
    out = bench.publisher(JointTrajectory, "safety/command")
    out.publish(trajectory(0, [1e300, 0.0]))
    bench.until(lambda: "became unstable" in process.said)
    bench.spin(0.1)
    count = len(states)
    bench.spin(0.3)
    assert len(states) == count
    assert all(np.isfinite(m.position).all() and np.isfinite(m.velocity).all() for m in states)
    assert bench.call(Trigger, "mujoco/reset").success
    bench.until(lambda: len(states) > count + 10)
    np.testing.assert_allclose(states[-1].position, HOME, atol=5e-3)
    assert increasing([stamp_ns(m) for m in states])


def test_a_run_that_became_unstable_ends_with_status_2_and_keeps_its_record(
    bench: Bench, tmp_path: Path
) -> None:
    record = tmp_path / "run.npz"
    process, states = simulation(bench, stop_after=100.0, record=str(record))
    bench.until(lambda: len(states) > 5, START)
    out = bench.publisher(JointTrajectory, "safety/command")
    out.publish(trajectory(0, [1e300, 0.0]))
    assert process.ended(10.0) == 2
    assert "BackendFault the simulation of `teach2` became unstable" in process.said
    assert "Traceback" not in process.said
    with np.load(record) as data:
        assert len(data["q"]) > 5


def test_a_record_that_cannot_be_written_is_one_line_and_status_2(bench: Bench) -> None:
    process, _ = simulation(bench, record="/nowhere/run.npz")
    assert process.ended(START) == 2  # at once, not after the run that it would have kept
    assert "ConfigError record: " in process.said
    assert "Traceback" not in process.said


# --- three processes together -------------------------------------------------------------------


def graph(bench: Bench, **given: Any) -> dict[str, Process]:
    ours = plan(arguments("sim", {"robot": "teach2", "policy": "sine", **given}))
    return {
        node.executable: bench.start(node.executable, **node.parameters) for node in ours.nodes
    }


def largest_steps(sent: list[JointTrajectory]) -> Any:
    return np.abs(np.diff([position(m) for m in sent], axis=0)).max(axis=0)


def test_a_pipeline_that_was_stopped_and_goes_on_makes_no_jump(bench: Bench) -> None:
    processes = graph(bench)
    sent = bench.hear(JointTrajectory, "safety/command")
    told = bench.hear(DiagnosticStatus, "safety/status", qos.LATCHED)
    bench.until(lambda: told and sent and position(sent[-1])[0] > HOME[0] + 0.05, START)
    processes["pipeline"].send(signal.SIGSTOP)
    bench.until(lambda: told and "stale command" in told[-1].message, 5.0)
    bench.spin(1.0)
    held = position(sent[-1])
    assert position(sent[-30]) == held
    processes["pipeline"].send(signal.SIGCONT)
    bench.until(lambda: "stale" not in told[-1].message)
    bench.until(lambda: abs(position(sent[-1])[0] - held[0]) > 0.02)
    assert (largest_steps(sent) <= TEACH2.limits.velocity / 100.0 + 1e-9).all()


def test_a_pipeline_that_was_killed_and_restarted_makes_no_jump(bench: Bench) -> None:
    processes = graph(bench)
    sent = bench.hear(JointTrajectory, "safety/command")
    told = bench.hear(DiagnosticStatus, "safety/status", qos.LATCHED)
    bench.until(lambda: told and sent and position(sent[-1])[0] > HOME[0] + 0.05, START)
    processes["pipeline"].send(signal.SIGKILL)
    bench.until(lambda: told and "stale command" in told[-1].message, 5.0)
    bench.start("pipeline", robot="teach2", policy="hold", state_clock="stamp")
    bench.until(lambda: "stale" not in told[-1].message, START)
    assert (largest_steps(sent) <= TEACH2.limits.velocity / 100.0 + 1e-9).all()


def test_after_a_reset_the_whole_graph_goes_on_from_the_start(bench: Bench) -> None:
    graph(bench)
    sent = bench.hear(JointTrajectory, "safety/command")
    states = bench.hear(JointState, "joint_states")
    bench.until(lambda: sent and position(sent[-1])[0] > HOME[0] + 0.05, START)
    assert bench.call(Trigger, "mujoco/reset").success
    bench.until(lambda: np.allclose(states[-1].position, HOME, atol=0.01))
    count = len(sent)
    bench.until(lambda: len(sent) > count and position(sent[-1])[0] > HOME[0] + 0.05)
    # nobody follows the motion from before: the arm stays near its start and swings anew
    after = [m.position[0] for m in states[-50:]]
    assert np.abs(np.diff(after)).max() < 0.02


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_without_a_gate_the_arm_stands_still(bench: Bench, number: int) -> None:
    processes = graph(bench)
    states = bench.hear(JointState, "joint_states")
    bench.until(lambda: states and states[-1].position[0] > HOME[0] + 0.05, START)
    processes["safety"].send(number)
    count = len(states)
    bench.until(lambda: len(states) > count + 60)
    bench.until(lambda: np.ptp([m.position[0] for m in states[-30:]]) < 1e-4, 5.0)


# --- how a process begins and ends --------------------------------------------------------------

NODES: dict[str, dict[str, Any]] = {
    "pipeline": {"robot": "teach2", "policy": "sine"},
    "policy": {"robot": "teach2", "policy": "sine"},
    "correction": {"robot": "teach2"},
    "safety": {"robot": "teach2", "rate_hz": 100.0},
    "mujoco": {"robot": "teach2", "rate_hz": 100.0},
    "loopback": {"robot": "teach2", "rate_hz": 100.0},
}


def ready(bench: Bench, name: str) -> Process:
    """A node that has reported once."""
    health = bench.hear(DiagnosticArray, "/diagnostics")
    process = bench.start(name, **NODES[name])
    mine = f"/{bench.namespace}/{name}"
    bench.until(lambda: any(s.name == mine for m in health for s in m.status), START)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("name", sorted(NODES))
def test_a_signal_ends_every_node_at_once_and_in_order(
    bench: Bench, name: str, number: int
) -> None:
    process = ready(bench, name)
    said = len(process.lines)
    process.send(number)
    assert process.ended(2.0) == 0
    assert process.lines[said:] == []
    assert "Traceback" not in process.said


def test_a_signal_while_a_node_starts_is_no_traceback(bench: Bench) -> None:
    process = bench.start("mujoco", **NODES["mujoco"])
    status = Path(f"/proc/{process.pid}/status")

    def catches() -> bool:
        caught = next(r for r in status.read_text().splitlines() if r.startswith("SigCgt"))
        return bool(int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1))

    bench.until(catches, START)  # from here on the node answers, finished or not
    process.send(signal.SIGTERM)
    assert process.ended(5.0) == 0
    assert "Traceback" not in process.said


def refused(bench: Bench, name: str, **parameters: Any) -> str:
    """The one line with which a node refuses to start."""
    process = bench.start(name, **parameters)
    assert process.ended(START) == 2
    assert len(process.lines) == 1, process.said
    return process.lines[0]


@pytest.mark.parametrize(
    ("name", "changes", "parts"),
    [
        ("safety", {"rate_hzz": 1.0}, ["unknown parameter `rate_hzz`, did you mean `rate_hz`?"]),
        ("safety", {"rate_hz": 0.0}, ["`rate_hz` got 0.0"]),
        ("safety", {"rate_hz": "fast"}, ["`rate_hz` got 'fast'"]),
        ("safety", {"rate_hz": True}, ["`rate_hz` got True"]),
        ("safety", {"rate_hz": math.nan}, ["`rate_hz`"]),
        ("safety", {"mode": "activ"}, ["`mode` got 'activ'", "'active'"]),
        ("safety", {"robot": "ur7"}, ["robot `ur7`", "'ur5e'"]),
        ("safety", {"robot": ["a", "b"]}, ["`robot`"]),
        ("safety", {"robot": [1.0, 2.0]}, ["`robot`"]),
        ("safety", {"rate_hz": -1.0, "mode": "x", "q": 1}, ["`rate_hz`", "`mode`", "`q`"]),
        ("pipeline", {"policy": "nothing.onnx"}, ["policy `nothing.onnx`", "models/policies"]),
        ("pipeline", {"policy": "replay:nothing.npz"}, ["nothing.npz", "expected an npz"]),
        ("pipeline", {"goals": "1,2,3"}, ["the policy takes no goal"]),
        ("mujoco", {"camera": "behind"}, ["`camera` got 'behind'"]),
        ("mujoco", {"time": "slow"}, ["`time` got 'slow'"]),
    ],
)
def test_a_bad_parameter_is_one_line_and_status_2(
    bench: Bench, name: str, changes: dict[str, Any], parts: list[str]
) -> None:
    line = refused(bench, name, **{**NODES[name], **changes})
    for part in parts:
        assert part in line


def test_a_missing_parameter_is_named(bench: Bench) -> None:
    line = refused(bench, "safety")
    assert line == "ConfigError parameters of `safety`: missing `robot`; missing `rate_hz`"


def test_a_damaged_policy_is_one_line_and_status_2(
    bench: Bench, follower: str, tmp_path: Path
) -> None:
    content = bytearray(Path(follower).read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(content)
    line = refused(bench, "pipeline", robot="teach2", policy=str(damaged))
    assert line.startswith(f"PolicyFileError {damaged}: sha256 of the content is")


def test_a_policy_of_another_robot_is_one_line_and_status_2(bench: Bench, follower: str) -> None:
    line = refused(bench, "pipeline", robot="ur5e", policy=follower)
    assert "ContractError `robot`: trained for 'teach2', this is 'ur5e'" in line


def test_arguments_that_ros_does_not_read_are_one_line_and_status_2(bench: Bench) -> None:
    process = bench.start("safety", **{"": "y"})
    assert process.ended(START) == 2
    assert "BringupError ROS does not start: " in process.lines[-1]
    assert "Traceback" not in process.said


def test_parameters_are_read_only(bench: Bench) -> None:
    from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
    from rcl_interfaces.srv import SetParameters

    ready(bench, "safety")
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="active")
    request = SetParameters.Request(parameters=[Parameter(name="mode", value=value)])
    answer = bench.call(SetParameters, "safety/set_parameters", request)
    assert [r.successful for r in answer.results] == [False]


def test_every_parameter_reads_back_over_ros_as_it_was_given(bench: Bench) -> None:
    from rcl_interfaces.srv import GetParameters

    text = 'é 😀 "quoted" \\ 1e-3'
    given = {**NODES["pipeline"], "policy": "hold", "goal_period": 1e-7}
    bench.start("pipeline", **given)
    request = GetParameters.Request(names=["policy", "goal_period"])
    answer = bench.call(GetParameters, "pipeline/get_parameters", request)
    assert answer.values[0].string_value == "hold"
    assert answer.values[1].double_value == 1e-7
    line = refused(bench, "pipeline", robot="teach2", policy=text)
    assert f"policy `{text}`" in line
