"""The servo of the training against the robot's: stiffness, damping, effort."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ros2_sim2real.check.items import Item, failed, numbers, verdict, warned
from ros2_sim2real.check.subject import Subject
from ros2_sim2real.robot import Joint

STIFFER, SOFTER = 4.0, 1.0 / 40.0  # of the robot's own servo: another robot's figures
NOTED = 3.0  # either way
STRONGER, WEAKER = 1.75, 1.0 / 20.0  # of the hardware's effort
DAMPING = 0.1, 30.0  # of the critical one; rings, or creeps
_FIX = "Take the servo of the training, joint by joint; the arm cannot be given another one"


def check_gains(subject: Subject) -> Iterator[Item]:
    """Yields every joint whose servo in training cannot have been this robot's."""
    gains = subject.contract.gains
    stiff: list[Item] = []
    damp: list[Item] = []
    effort: list[Item] = []
    for i, joint in subject.joints:
        k, d = gains.stiffness[i], gains.damping[i]
        stiff += _stiffness(joint, k)
        damp += _damping(joint, k, d, float(subject.inertia[i]))
        if gains.effort_limit is not None:
            effort += _effort(joint, gains.effort_limit[i])
    yield from verdict("gains.stiffness", stiff, numbers(gains.stiffness))
    yield from verdict("gains.damping", damp, numbers(gains.damping))
    limits = gains.effort_limit
    yield from verdict("gains.effort_limit", effort, numbers(limits) if limits else "the robot's")


def _stiffness(joint: Joint, k: float) -> Iterator[Item]:
    share = k / joint.stiffness
    got = f"{k:.4g} Nm/rad for {joint.name}"
    expected = f"about the {joint.stiffness:.4g} of the robot file"
    if not SOFTER <= share <= STIFFER:
        yield failed("gains.stiffness", got, expected, _FIX)
    elif not 1.0 / NOTED <= share <= NOTED:
        fix = "On an arm its own servo acts: expect another response than in training"
        yield warned("gains.stiffness", got, expected, fix)


def _damping(joint: Joint, k: float, d: float, inertia: float) -> Iterator[Item]:
    ratio = d / (2.0 * math.sqrt(k * inertia)) if inertia > 0.0 else math.inf
    if not DAMPING[0] <= ratio <= DAMPING[1]:
        got = f"{d:.4g} Nm s/rad for {joint.name}, {ratio:.2g} of the critical damping"
        yield failed("gains.damping", got, f"{DAMPING[0]:g} to {DAMPING[1]:g}", _FIX)


def _effort(joint: Joint, limit: float) -> Iterator[Item]:
    got = f"{limit:.4g} Nm for {joint.name}"
    expected = f"at most {joint.effort:.4g} of the hardware"
    if limit > STRONGER * joint.effort:
        yield failed("gains.effort_limit", got, expected, _FIX)
    elif limit > 1.001 * joint.effort:
        fix = "In training the joint was stronger than it is: expect less where it works hard"
        yield warned("gains.effort_limit", got, expected, fix)
    elif limit < WEAKER * joint.effort:
        yield failed("gains.effort_limit", got, f"more than 5 % of {joint.effort:.4g}", _FIX)
