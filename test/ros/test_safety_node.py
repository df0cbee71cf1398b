"""The gate in its own process: answers what is sound, refuses the rest in words, lives on."""

from __future__ import annotations

import itertools
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
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
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ros2_sim2real.nodes import qos
from ros2_sim2real.safety.gate import Gate
from ros2_sim2real.signals import Command, RobotState

RATE = 100.0
PERIOD = 10_000_000  # [ns]
NEAR = HOME + 0.01


class Rig:
    """A gate, a driver that tells the arm's state at 100 Hz, and what the gate sends."""

    def __init__(self, bench: Bench, *, stream: bool = True, **parameters: Any) -> None:
        self.bench = bench
        self.stamp = 1_000_000_000
        self.gate: Process = bench.start(
            "safety",
            **{
                "robot": "teach2",
                "rate_hz": RATE,
                "mode": "active",
                "auto_enable": True,
                **parameters,
            },
        )
        self.sent: list[JointTrajectory] = bench.hear(JointTrajectory, "safety/command")
        self.told: list[DiagnosticStatus] = bench.hear(
            DiagnosticStatus, "safety/status", qos.LATCHED
        )
        self.state_out = bench.publisher(JointState, "joint_states")
        self.command_out = bench.publisher(JointTrajectory, "correction/command")
        bench.until(lambda: self.told, START)
        if stream:
            bench.every(PERIOD * 1e-9, self.state)
            if parameters.get("mode") != "shadow":
                bench.until(lambda: "active" in self.told[-1].message.split(":")[0])

    def state(self) -> None:
        self.stamp += PERIOD
        self.state_out.publish(joint_state(self.stamp))

    def command(self, q: Any, names: Any = None) -> int:
        self.command_out.publish(trajectory(self.stamp, q, names))
        return self.stamp

    def answered(self, q: Any = NEAR, names: Any = None) -> bool:
        """Asks until the gate has brought the set-point to `q`."""
        self.command(q, names)
        self.bench.spin(0.01)
        return bool(self.sent) and bool(np.allclose(position(self.sent[-1]), q, atol=1e-9))


def test_a_command_is_answered_with_its_stamp(bench: Bench) -> None:
    rig = Rig(bench)
    asked = rig.command(NEAR)
    bench.until(lambda: any(stamp_ns(m) == asked for m in rig.sent))
    bench.until(rig.answered)
    assert all(np.isfinite(position(m)).all() for m in rig.sent)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_command_that_means_nothing_moves_nothing_and_is_counted(
    bench: Bench, bad: float
) -> None:
    rig = Rig(bench)
    health = bench.hear(DiagnosticArray, "/diagnostics")
    reason = "not_finite" if not np.isfinite(bad) else "gross_range"

    def counted() -> bool:
        rig.command([bad, HOME[1]])
        bench.spin(0.01)
        return any(reason in v.key for m in health for s in m.status for v in s.values)

    bench.until(counted)
    assert all(position(m) == HOME.tolist() for m in rig.sent)
    assert any(reason.replace("_", " ") in s.message for s in rig.told)


def test_joints_in_another_order_make_the_same_motion(bench: Bench) -> None:
    rig = Rig(bench, stream=False, clock="stamp")
    gate = Gate(TEACH2.limits, rate_hz=RATE)
    q = HOME.copy()
    for i in range(60):
        now = 1_000_000_000 + i * PERIOD
        wish = HOME + np.array([0.3, -0.2])
        order = [1, 0] if i % 3 else [0, 1]  # a driver may change its mind, too
        names = [JOINTS[k] for k in order]
        count = len(rig.sent)
        rig.command_out.publish(trajectory(now, wish[order], names))
        rig.state_out.publish(joint_state(now, q[order], names=names))
        bench.until(lambda count=count: len(rig.sent) > count)
        gate.observe(RobotState(now, q, np.zeros(2)), now_ns=now)
        gate.activate(now_ns=now)
        expected = gate.step(Command(now, wish), now_ns=now)
        q = np.array(position(rig.sent[-1]))
        assert stamp_ns(rig.sent[-1]) == now
        assert q.tolist() == expected.q.tolist()
    assert len(rig.sent) == 60
    assert q[0] > HOME[0] + 0.05


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["shoulder_joint", "elbow"], "joints ['elbow_joint'] are not among the 2 received"),
        ([*JOINTS, "gripper"], "3 joints commanded"),
        ([*JOINTS, JOINTS[0]], "stand twice"),
        ([], "are not among the 0 received"),
    ],
)
def test_wrong_joint_names_are_refused_with_a_sentence(
    bench: Bench, names: list[str], sentence: str
) -> None:
    rig = Rig(bench)
    rig.command([0.1] * len(names), names)
    bench.until(lambda: sentence in rig.gate.said)
    bench.until(rig.answered)


def test_a_gripper_among_the_states_does_no_harm(bench: Bench) -> None:
    rig = Rig(bench, stream=False)
    names = ["gripper", *reversed(JOINTS), "tail"]

    def state() -> None:
        rig.stamp += PERIOD
        rig.state_out.publish(joint_state(rig.stamp, [9.0, *HOME[::-1], 9.0], names=names))

    bench.every(PERIOD * 1e-9, state)
    bench.until(rig.answered)


def hostile_commands() -> list[JointTrajectory]:
    """What ROS delivers without a word."""
    two = trajectory(0, NEAR)
    two.points = [*two.points, JointTrajectoryPoint(positions=[9.0])]
    stamped = trajectory(0, NEAR)
    stamped.header.stamp.sec, stamped.header.stamp.nanosec = 2**31 - 1, 2**32 - 1
    negative = trajectory(0, NEAR)
    negative.header.stamp.sec = -(2**31)
    many = [f"joint_{i}" for i in range(100_000)]
    return [
        JointTrajectory(),
        JointTrajectory(joint_names=JOINTS),
        JointTrajectory(joint_names=JOINTS, points=[JointTrajectoryPoint()]),
        trajectory(0, [0.0], JOINTS),
        trajectory(0, [0.0] * 3, JOINTS),
        trajectory(0, [0.0] * 100_000, many),
        trajectory(0, [0.0] * 100_002, [*JOINTS, *many]),
        trajectory(0, [0.0] * 100_003, [*JOINTS, *many, JOINTS[0]]),
        trajectory(0, [0.0, 0.0], ["", ""]),
        trajectory(0, [0.0, 0.0], ["é\n\x00", "x" * 10_000]),
        stamped,
        negative,
        two,
    ]


def hostile_states() -> list[JointState]:
    stamped = joint_state(0)
    stamped.header.stamp.sec, stamped.header.stamp.nanosec = 2**31 - 1, 2**32 - 1
    negative = joint_state(0)
    negative.header.stamp.sec = -(2**31)
    many = [f"joint_{i}" for i in range(100_000)]
    return [
        JointState(),
        JointState(name=JOINTS),
        joint_state(0, [0.0]),
        joint_state(0, [0.0, 0.0], dq=[0.0]),
        joint_state(0, [np.nan, np.inf]),
        joint_state(0, [0.0] * 100_002, names=[*JOINTS, *many]),
        stamped,
        negative,
    ]


@pytest.mark.parametrize("clock", ["monotonic", "stamp"])
def test_no_message_ends_the_gate_or_goes_through_it(bench: Bench, clock: str) -> None:
    rig = Rig(bench, clock=clock)
    for msg in hostile_commands():
        rig.command_out.publish(msg)
        bench.spin(0.05)
    for msg in hostile_states():
        rig.state_out.publish(msg)
        bench.spin(0.05)
    assert rig.gate.alive
    limits = TEACH2.limits
    for msg in rig.sent:
        q = np.array(position(msg))
        assert (q >= limits.lower).all()
        assert (q <= limits.upper).all()
    assert "Traceback" not in rig.gate.said
    bench.until(rig.answered, 20.0)
    assert len(rig.gate.lines) < 200  # no storm in the log


def test_a_message_of_100000_joints_does_not_hold_up_the_gate(bench: Bench) -> None:
    rig = Rig(bench)
    bench.until(rig.answered)
    names = [*JOINTS, *(f"joint_{i}" for i in range(100_000)), JOINTS[0]]
    rig.command_out.publish(trajectory(rig.stamp, [0.0] * len(names), names))
    begin = time.monotonic()
    bench.until(lambda: "stand twice" in rig.gate.said)
    bench.until(lambda: rig.answered(HOME))
    assert time.monotonic() - begin < 3.0


def test_a_flood_of_commands_moves_the_arm_no_faster(bench: Bench) -> None:
    rig = Rig(bench)
    bench.until(lambda: rig.answered(HOME))
    rig.sent.clear()
    target = HOME + np.array([1.0, -1.0])
    begin = time.monotonic()
    bench.every(0.0005, lambda: rig.command(target))
    bench.spin(1.5)
    elapsed = time.monotonic() - begin
    assert len(rig.sent) <= elapsed * RATE + 5
    assert len(rig.sent) >= 0.5 * elapsed * RATE
    q = np.array([position(m) for m in rig.sent])
    assert (np.abs(np.diff(q, axis=0)) <= TEACH2.limits.velocity / RATE + 1e-9).all()


def test_old_commands_again_are_no_steps_in_simulated_time(bench: Bench) -> None:
    rig = Rig(bench, stream=False, clock="stamp")
    target = HOME + np.array([0.5, 0.5])
    for _ in range(30):
        rig.state()
        rig.command(target)
        bench.spin(0.005)
    bench.until(lambda: rig.sent and stamp_ns(rig.sent[-1]) == rig.stamp)
    reached = position(rig.sent[-1])
    count = len(rig.sent)
    for back in (5, 3, 1, 4, 2):
        rig.command_out.publish(trajectory(rig.stamp - back * PERIOD, target))
        bench.spin(0.02)
    assert len(rig.sent) == count
    rig.command(target)  # asked again: the same answer, not another step
    bench.until(lambda: len(rig.sent) > count)
    assert position(rig.sent[-1]) == reached


def test_when_the_commands_stop_the_gate_says_so_and_holds(bench: Bench) -> None:
    rig = Rig(bench)
    target = HOME + np.array([0.5, 0.5])
    timer = bench.every(0.01, lambda: rig.command(target))
    bench.until(lambda: rig.sent and position(rig.sent[-1])[0] > HOME[0] + 0.05)
    timer.cancel()
    begin = time.monotonic()
    bench.until(lambda: "stale command" in rig.told[-1].message)
    assert time.monotonic() - begin < 0.4
    bench.until(lambda: len(rig.sent) > 30 and position(rig.sent[-1]) == position(rig.sent[-20]))


def test_when_the_states_stop_the_gate_says_so_and_holds(bench: Bench) -> None:
    rig = Rig(bench, stream=False)
    states = bench.every(0.01, rig.state)
    target = HOME + np.array([0.5, 0.5])
    bench.every(0.01, lambda: rig.command(target))
    bench.until(lambda: rig.sent and position(rig.sent[-1])[0] > HOME[0] + 0.05)
    states.cancel()
    bench.until(lambda: "stale state" in rig.told[-1].message)
    bench.until(lambda: len(rig.sent) > 30 and position(rig.sent[-1]) == position(rig.sent[-20]))


def test_shadow_sends_nothing_whoever_asks(bench: Bench) -> None:
    rig = Rig(bench, mode="shadow", auto_enable=False)
    for _ in range(50):
        rig.command(NEAR)
        bench.spin(0.01)
    answer = bench.call(Trigger, "safety/enable")
    assert not answer.success
    assert "shadow mode never sends" in answer.message
    bench.until(lambda: rig.told[-1].message.startswith("shadow"))
    assert not rig.sent


def test_a_best_effort_driver_is_heard(bench: Bench) -> None:
    gate = bench.start("safety", robot="teach2", rate_hz=RATE, mode="active", auto_enable=True)
    told = bench.hear(DiagnosticStatus, "safety/status", qos.LATCHED)
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    out = bench.publisher(JointState, "joint_states", best_effort)
    count = itertools.count(1)
    bench.every(0.01, lambda: out.publish(joint_state(next(count) * PERIOD)))
    bench.until(lambda: told and told[-1].message.startswith("active"))
    assert gate.alive


def test_nothing_is_sent_before_somebody_enables_it(bench: Bench) -> None:
    rig = Rig(bench, stream=False, auto_enable=False)
    refused = bench.call(Trigger, "safety/enable")
    assert not refused.success
    assert "no joint_states" in refused.message
    bench.every(0.01, rig.state)
    bench.every(0.01, lambda: rig.command(NEAR))
    bench.spin(0.5)
    assert not rig.sent
    assert bench.call(Trigger, "safety/enable").success
    bench.until(lambda: rig.sent and np.allclose(position(rig.sent[-1]), NEAR))


def test_an_arm_out_of_its_range_is_not_taken_over_and_the_reason_is_told(bench: Bench) -> None:
    rig = Rig(bench, stream=False)
    outside = [TEACH2.limits.upper[0] + 0.01, HOME[1]]
    bench.every(0.01, lambda: rig.state_out.publish(joint_state(rig.stamp, outside)))
    bench.until(lambda: "start" in rig.told[-1].message)
    bench.until(lambda: "outside its soft range" in rig.gate.said)
    assert not rig.sent


def test_a_hold_lasts_until_somebody_enables_again(bench: Bench) -> None:
    rig = Rig(bench)
    bench.every(0.01, lambda: rig.command(NEAR))
    bench.until(lambda: rig.sent)
    assert bench.call(Trigger, "safety/hold").success
    bench.until(lambda: rig.told[-1].message.startswith("inactive"))
    bench.spin(0.05)
    rig.sent.clear()
    bench.spin(0.5)  # fifty states: in simulation the gate enables itself, not so after a hold
    assert not rig.sent
    assert bench.call(Trigger, "safety/enable").success
    bench.until(lambda: rig.sent)


def test_after_a_hold_a_waiting_simulation_goes_on(bench: Bench) -> None:
    rig = Rig(bench, stream=False, clock="stamp")
    rig.state()
    rig.command(NEAR)
    bench.until(lambda: rig.sent)
    bench.call(Trigger, "safety/hold")
    rig.state()
    rig.command(NEAR)
    bench.spin(0.1)
    count = len(rig.sent)
    assert bench.call(Trigger, "safety/enable").success
    rig.command(NEAR)  # what a simulation does that got no answer
    bench.until(lambda: len(rig.sent) > count)


def test_a_command_from_before_enabling_is_not_followed(bench: Bench) -> None:
    rig = Rig(bench, stream=False, auto_enable=False)
    bench.every(0.01, rig.state)
    for _ in range(20):
        rig.command(HOME + 0.5)  # a burst: the last one is kept for later
    bench.spin(0.3)
    assert bench.call(Trigger, "safety/enable").success
    bench.until(lambda: len(rig.sent) > 20)
    assert all(position(m) == HOME.tolist() for m in rig.sent)


def test_a_world_that_was_reset_starts_from_where_the_arm_is(bench: Bench) -> None:
    rig = Rig(bench)
    bench.every(0.01, lambda: rig.command(HOME + 0.5))
    bench.until(lambda: rig.sent and position(rig.sent[-1])[0] > HOME[0] + 0.05)
    rig.stamp += 1_000_000_000
    count = len(rig.sent)
    bench.until(lambda: any(np.allclose(position(m), HOME, atol=5e-3) for m in rig.sent[count:]))


def test_a_driver_without_speeds_is_not_taken_over(bench: Bench) -> None:
    rig = Rig(bench, stream=False)

    def state() -> None:
        rig.stamp += PERIOD
        rig.state_out.publish(joint_state(rig.stamp, dq=[]))

    bench.every(0.01, state)
    bench.until(lambda: "not active" in rig.gate.said)
    assert not rig.sent


def test_the_process_of_the_gate_stays_small(bench: Bench) -> None:
    rig = Rig(bench)
    bench.until(rig.answered)
    folder = Path("/proc") / str(rig.gate.pid)
    loaded = (folder / "maps").read_text()
    for library in ("onnxruntime", "libmujoco", "torch", "cv2"):
        assert library not in loaded
    status = (folder / "status").read_text().splitlines()
    resident = next(int(row.split()[1]) for row in status if row.startswith("VmRSS"))
    assert resident < 120 * 1024


@pytest.mark.slow
def test_the_gate_does_not_grow(bench: Bench) -> None:
    """The collector is off in the loop: what is refused for ever must not pile up."""
    rig = Rig(bench)
    folder = Path("/proc") / str(rig.gate.pid)

    def resident() -> int:
        status = (folder / "status").read_text().splitlines()
        return next(int(row.split()[1]) for row in status if row.startswith("VmRSS"))

    wrong = trajectory(rig.stamp, [0.0] * 3, ["a", "b", "c"])
    count = itertools.count()

    def ask() -> None:
        if next(count) % 2:
            rig.command_out.publish(wrong)
        else:
            rig.command([np.nan, 0.0] if next(count) % 4 else NEAR)

    bench.every(0.001, ask)
    bench.spin(4.0)
    before = resident()
    bench.spin(8.0)
    assert rig.gate.alive
    assert resident() - before < 1500


def test_a_second_signal_ends_a_gate_that_is_busy_ending(bench: Bench) -> None:
    rig = Rig(bench)
    rig.gate.send(signal.SIGINT)
    rig.gate.send(signal.SIGINT)
    assert rig.gate.ended(2.0) in (0, 130)
    assert "Traceback" not in rig.gate.said
