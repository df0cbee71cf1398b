"""Judges a look at a running graph: joint states, goals, and what `peers` says of the topics."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ros2_sim2real.check.goal import judge as judge_goal
from ros2_sim2real.check.items import Item, failed, numbers, passed, verdict, warned
from ros2_sim2real.check.names import MAX_RANGE
from ros2_sim2real.check.peers import check_clocks, check_peers
from ros2_sim2real.check.seen import Seen
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import JointMismatch
from ros2_sim2real.robot import JointMap, RobotSpec
from ros2_sim2real.signals import Array

STATES = "joint_states"
MIN_RATE = 20.0  # [Hz]: the gate takes states older than 50 ms for a silent arm
STARTING = 0.5  # [rad] from the default pose
RESTING = 0.05  # [rad/s]
MOVED = 0.02  # [rad] from which measured speeds are compared with positions
MISS = 0.3  # share
SPEEDS = ("joint_velocity", "tool_linear_velocity", "tool_angular_velocity")


def judge(
    seen: Seen, spec: RobotSpec, contract: PolicyContract | None, *, rate_hz: float
) -> Iterator[Item]:
    """Yields what is wrong with a running graph, or that it is not.

    Args:
        seen: what a look found.
        spec: the robot that is meant.
        contract: the policy's; None for scripted ones and where none could be read.
        rate_hz: of the control loop.
    """
    yield from check_peers(seen)
    if not seen.states:
        there = ", ".join(e.node for e in seen.publishers(STATES)) or "no publisher"
        fix = (
            "Start the driver, in this namespace and ROS_DOMAIN_ID, and on the same transport "
            "(FASTDDS_BUILTIN_TRANSPORTS)"
        )
        yield failed(STATES, f"nothing within {seen.seconds:g} s ({there})", "states", fix)
        return
    yield from check_clocks(seen)
    yield from verdict(f"{STATES}.rate", _rate(seen, contract, rate_hz), f"{seen.rate_hz:.1f} Hz")
    names = list(_names(seen, spec))
    yield from names or [passed(f"{STATES}.name", f"{spec.nq} joints by name")]
    if not names:
        yield from _figures(seen, spec, contract)
    yield from _answers(seen, rate_hz)
    yield from verdict("goal.live", _goals(seen, contract), f"{len(seen.goals)} seen")


def _rate(seen: Seen, contract: PolicyContract | None, rate_hz: float) -> Iterator[Item]:
    needed = MIN_RATE if contract is None else max(MIN_RATE, contract.rate_hz)
    got = f"{seen.rate_hz:.1f} Hz"
    fix = "Raise the driver's rate, or use a slower policy"
    if seen.rate_hz < 0.9 * needed:
        yield failed(f"{STATES}.rate", got, f"at least {needed:g} Hz", fix)
        return
    if seen.rate_hz < 0.9 * rate_hz:
        yield warned(f"{STATES}.rate", got, f"the control rate {rate_hz:g} Hz", fix)
    worst = float(seen.intervals.max()) if len(seen.states) > 1 else 0.0
    if worst > max(0.05, 3.0 / needed):
        fix = "The gate holds at such a gap: look at the load of the machine, and at the network"
        got = f"a gap of {worst * 1e3:.0f} ms"
        yield warned(f"{STATES}.rate", got, f"gaps below {max(50.0, 3e3 / needed):.0f} ms", fix)


def _names(seen: Seen, spec: RobotSpec) -> Iterator[Item]:
    fix = "Compare the driver's names with the robot file"
    sample = seen.states[-1]
    try:
        JointMap(ours=spec.joint_names, theirs=sample.names)
    except JointMismatch:
        got, expected = f"{list(sample.names)[:32]}", f"each of {list(spec.joint_names)} once"
        yield failed(f"{STATES}.name", got, expected, fix)
        return
    if {s.names for s in seen.states} != {sample.names}:
        got = "lists that change from message to message"
        fix = "Several drivers share the topic: join them into one message (joint_states)"
        yield failed(f"{STATES}.name", got, "one list of names", fix)
        return
    n = len(sample.names)
    for field, values in (("position", sample.q), ("velocity", sample.dq)):
        if len(values) != n and (field == "position" or len(values)):
            got = f"{len(values)} values for {n} names"
            yield failed(f"{STATES}.{field}", got, "one per name", "Mend the driver")


def _figures(seen: Seen, spec: RobotSpec, contract: PolicyContract | None) -> Iterator[Item]:
    """Yields what is wrong with positions and speeds; the names are right."""
    to_ours = JointMap(ours=spec.joint_names, theirs=seen.states[-1].names)
    q = np.array([to_ours(s.q) for s in seen.states])
    told = all(len(s.dq) for s in seen.states)
    dq = np.array([to_ours(s.dq) for s in seen.states]) if told else None
    bad = int((~np.isfinite(q)).any(axis=1).sum())
    if bad:
        got = f"NaN or infinity in {bad} of {len(q)} states"
        yield failed(f"{STATES}.position", got, "finite numbers", "Look at the encoder and cable")
        return
    yield from verdict(f"{STATES}.position", _pose(q, spec, contract), numbers(q[-1]))
    reads = contract is not None and any(t.source in SPEEDS for t in contract.observation)
    if dq is None or not np.isfinite(dq).all():
        if reads:
            fix = "Let the driver publish velocities: the policy observes them"
            yield failed(f"{STATES}.velocity", "no or NaN speeds", "a speed per joint", fix)
        return
    text = f"at most {np.abs(dq).max():.3g} rad/s"
    yield from verdict(f"{STATES}.velocity", _speeds(seen, q, dq), text)


def _pose(q: Array, spec: RobotSpec, contract: PolicyContract | None) -> Iterator[Item]:
    now, name = q[-1], f"{STATES}.position"
    hard = np.array([[j.lower for j in spec.joints], [j.upper for j in spec.joints]])
    if ((now < hard[0] - 0.01) | (now > hard[1] + 0.01)).any():
        as_degrees = np.radians(now)
        likely = ((as_degrees >= hard[0]) & (as_degrees <= hard[1])).all()
        got = numbers(now) + (", inside the range if these are degrees" if likely else "")
        fix = "Let the driver publish radians (REP 103)" if likely else "Look at its calibration"
        if np.abs(now).max() > MAX_RANGE or likely:
            got += f": {numbers(as_degrees)} rad"
        yield failed(name, got, "radians within the robot's range", fix)
        return
    outside = (now < spec.limits.lower) | (now > spec.limits.upper)
    if outside.any():
        joints = [n for n, out in zip(spec.joint_names, outside, strict=True) if out]
        fix = "Move them inside by hand: the gate does not start here"
        yield failed(name, f"{joints} outside the soft range", "a pose within it", fix)
    if contract is None:
        return
    far = np.abs(now - contract.start_pose(spec))
    if far.max() > STARTING:
        got = f"{far.max():.2f} rad from the policy's default pose"
        fix = "Move the arm there first: this is where its training began"
        yield warned("default_pose.measured", got, f"at most {STARTING:g} rad", fix)


def _speeds(seen: Seen, q: Array, dq: Array) -> Iterator[Item]:
    name = f"{STATES}.velocity"
    stamps = np.array([s.stamp_ns for s in seen.states])
    if not (np.diff(stamps) > 0).all():
        stamps = np.array([s.arrival_ns for s in seen.states])
    t = (stamps - stamps[0]) * 1e-9
    moved = q.max(axis=0) - q.min(axis=0)
    if len(t) > 10 and moved.max() > MOVED:
        # the whole way, so that neither the encoders' steps nor the stamps' jitter counts
        joint = int(moved.argmax())
        step = np.diff(q[:, joint])
        told = 0.5 * (dq[1:, joint] + dq[:-1, joint]) * np.diff(t)
        share = float((told @ step) / (step @ step))
        if abs(share - 1.0) > MISS:
            unit = " (degrees a second?)" if math.isclose(share, 57.3, rel_tol=MISS) else ""
            got = f"{share:.3g} times the speed at which positions change{unit}"
            yield failed(name, got, "the derivative of the position", "Mend the driver")
    elif np.abs(dq).max() > RESTING:
        got = f"{np.abs(dq).max():.3g} rad/s while no position changes"
        yield failed(name, got, "zero at rest", "Mend the driver")


def _answers(seen: Seen, rate_hz: float) -> Iterator[Item]:
    if not seen.answers_ns:
        return
    p50, p99 = np.percentile(np.array(seen.answers_ns) * 1e-6, (50, 99)).tolist()
    got, period = f"p50 {p50:.2f} ms, p99 {p99:.2f} ms", 1e3 / rate_hz
    if p99 > period:
        fix = "The pipeline is late: look at the load of the machine"
        yield warned("latency", got, f"below the period {period:.3g} ms", fix)
    else:
        yield passed("latency", got, f"below the period {period:.3g} ms")


def _goals(seen: Seen, contract: PolicyContract | None) -> Iterator[Item]:
    if contract is None or contract.goal is None:
        return
    for i, goal in enumerate(seen.goals):
        norm = float(np.linalg.norm(goal.quaternion))
        given = norm > 0.0 or contract.goal.kind == "pose"
        if given and abs(norm - 1.0) > 0.01:
            got = f"goal {i} with a quaternion of norm {norm:.3g}"
            yield failed("goal.quaternion", got, "a unit quaternion", "Normalise it")
        else:
            yield from judge_goal(contract.goal, goal, i)
