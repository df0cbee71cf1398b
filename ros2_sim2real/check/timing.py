"""Rates: the policy's, the control loop's, and what the gate lets through in one period."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ros2_sim2real.check.items import Item, failed, numbers, passed, verdict, warned
from ros2_sim2real.check.subject import Subject
from ros2_sim2real.contract import PolicyContract, per_element
from ros2_sim2real.policy.golden_file import Golden

OFF = 0.05  # share by which the recorded motion may miss the rate
SOFT = 1.0 / 3.0  # of the robot's stiffness: such a servo takes a set-point as a torque
LAG = 0.025  # [s] of shaping from which a policy with a soft servo swings around its goal
HASTE = 5.0  # times the gate's speed
UNKNOWN = 1.0  # size of a raw action when nothing tells
_EXPORT = "Export or import the policy again with the figures of the training"


def check_timing(subject: Subject, golden: Golden | None) -> Iterator[Item]:
    """Yields what is wrong with rates, delay, and the speed that the policy asks for."""
    contract = subject.contract
    yield from verdict("rate_hz", _rate(contract, golden), f"{contract.rate_hz:g} Hz")
    text = f"{contract.decimation} steps of {1e3 / contract.physics_hz:.3g} ms"
    yield from verdict("decimation", _physics(contract), text)
    yield _control_rate(subject)
    yield from verdict("safety.acceleration_cap", _lag(subject), "set-points are hardly delayed")
    yield from verdict(
        "action.scale", _haste(subject, golden), "within what the gate lets through"
    )


def motion_rate(golden: Golden) -> float | None:
    """Returns the decisions a second at which recorded positions fit recorded speeds."""
    q, dq, start = np.array(golden.q), np.array(golden.dq), np.array(golden.start)
    goes_on = ~start[1:]
    moved = (q[1:] - q[:-1])[goes_on]
    speed = 0.5 * (dq[1:] + dq[:-1])[goes_on]
    by_motion = float(np.sum(moved * moved))
    across = float(np.sum(moved * speed))
    return across / by_motion if by_motion > 1e-6 and across > 0.0 else None


def _rate(contract: PolicyContract, golden: Golden | None) -> Iterator[Item]:
    found = None if golden is None else motion_rate(golden)
    if found is not None and not abs(found / contract.rate_hz - 1.0) <= OFF:
        got = f"{contract.rate_hz:g} Hz"
        expected = f"about {found:.3g} Hz, at which the golden motion fits its speeds"
        yield failed("rate_hz", got, expected, _EXPORT)


def _physics(contract: PolicyContract) -> Iterator[Item]:
    step = 1.0 / contract.physics_hz
    if not 1e-4 <= step <= 0.021:
        got = f"{contract.decimation} steps of {step * 1e3:.3g} ms"
        yield warned("decimation", got, "physics steps of 0.1 to 20 ms", _EXPORT)
    if contract.delay > 5.0 / contract.rate_hz:
        yield warned("delay", f"{contract.delay:g} s", "less than five decisions", _EXPORT)


def _control_rate(subject: Subject) -> Item:
    rate, policy = subject.rate_hz, subject.contract.rate_hz
    got, expected = f"{rate:g} Hz", f"the policy's {policy:g} Hz or a multiple"
    if rate < policy * 0.99:
        return failed("control_rate", got, expected, "Run the control loop at least that fast")
    times = rate / policy
    if abs(times - round(times)) > 0.01 * times:
        fix = "Decisions fall between two control periods: set rate_hz to a multiple"
        return warned("control_rate", got, expected, fix)
    return passed("control_rate", got, expected)


def _lag(subject: Subject) -> Iterator[Item]:
    """Yields the rule of ARCHITECTURE.md: shaping delays, and soft servos do not bear it."""
    limits, gains = subject.spec.limits, subject.contract.gains
    lag = float(np.max(limits.velocity / limits.acceleration))
    soft = [j.name for i, j in subject.joints if gains.stiffness[i] < SOFT * j.stiffness]
    if soft and lag > LAG:
        yield warned(
            "safety.acceleration_cap",
            f"{lag * 1e3:.0f} ms from rest to full speed with soft servos on {soft}",
            f"at most {LAG * 1e3:.0f} ms",
            "Lower velocity_cap or raise acceleration_cap in the robot file, or the arm swings "
            "around its goal",
        )


def _raw(contract: PolicyContract, golden: Golden | None) -> float | None:
    """Returns how large a raw action gets, None where neither clip nor rehearsal tells."""
    clip = contract.action.clip
    seen = None if golden is None else float(np.percentile(np.abs(golden.action), 99.0))
    if clip is None:
        return seen
    most = max(map(abs, clip))
    return most if seen is None else min(most, seen)


def _haste(subject: Subject, golden: Golden | None) -> Iterator[Item]:
    """Yields what one raw action asks for, against the gate's speed."""
    contract, action = subject.contract, subject.contract.action
    n = len(contract.joints)
    scale = np.abs(per_element(action.scale, contract.action_width))[:n]
    raw = _raw(contract, golden)
    known = raw is not None
    raw = UNKNOWN if raw is None else raw
    speed = np.array([subject.spec.limits.velocity[subject.spec.joint_names.index(j.name)]
                      for _, j in subject.joints])  # fmt: skip
    if action.kind == "integrating":
        asked, unit, bound = scale * raw, "rad/s", speed
    elif action.kind == "relative_measured":
        asked, unit, bound = scale * raw * contract.rate_hz, "rad/s", speed
    else:
        asked, unit, bound = scale * raw, "rad", np.full(n, np.pi)
    got = f"up to {numbers(asked)} {unit} for a raw action of {raw:g}"
    expected = f"at most {numbers(bound)}"
    if known and (asked > HASTE * bound).any():
        yield failed("action.scale", got, expected, "Are these degrees? " + _EXPORT)
    elif (asked > 1.001 * bound).any():
        fix = "The gate slows it down: raise `safety` in the robot file, or expect it to lag"
        yield warned("action.scale", got, expected, fix)
