"""The default pose: radians, within the range, a pose in which the arm touches nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import mujoco
import numpy as np

from ros2_sim2real.check.items import Item, failed, numbers, verdict, warned
from ros2_sim2real.check.names import MAX_RANGE
from ros2_sim2real.check.subject import Subject
from ros2_sim2real.contract import ObservationTerm, per_element
from ros2_sim2real.dynamics.mjcf import joint_addresses

FAR = 2.0  # [rad] from home, on any joint
DEPTH = 0.002  # [m] by which geometry may overlap
_EXPORT = "Take it from the training, and export or import the policy again"


def check_pose(subject: Subject) -> Iterator[Item]:
    """Yields what is wrong with the default pose and with the offsets that repeat it."""
    yield from verdict("default_pose", _pose(subject), numbers(subject.default_pose))
    terms = subject.contract.observation
    offsets = (item for term in terms for item in _offset(subject, term))
    yield from verdict("observation.offset", offsets, "in keeping with the default pose")


def _pose(subject: Subject) -> Iterator[Item]:
    margin, far = subject.spec.safety.position_margin, []
    for (_, joint), q in zip(subject.joints, subject.default_pose.tolist(), strict=True):
        got = f"{q:.4g} rad for {joint.name}"
        if abs(q) > MAX_RANGE:
            got += f", {math.radians(q):.4g} if it is in degrees"
        if not joint.lower <= q <= joint.upper:
            expected = f"within {numbers((joint.lower, joint.upper))}"
            yield failed("default_pose", got, expected, _EXPORT)
        elif not joint.lower + margin <= q <= joint.upper - margin:
            expected = f"{margin:g} rad inside the range, where the gate may start"
            yield warned("default_pose", got, expected, "The arm starts at the gate's limit")
        elif abs(q - joint.home) > FAR:
            far.append(f"{joint.name} {q:.3g} (home {joint.home:.3g})")
    if far:
        expected = f"within {FAR:g} rad of the robot's home"
        fix = "Look at the pose in the simulator, and move the arm there first"
        yield warned("default_pose", ", ".join(far), expected, fix)
    yield from _touching(subject)


def _touching(subject: Subject) -> Iterator[Item]:
    model = subject.model
    data = mujoco.MjData(model)
    qpos, _ = joint_addresses(subject.spec, model)
    data.qpos[qpos] = subject.contract.start_pose(subject.spec)
    mujoco.mj_forward(model, data)
    for contact in data.contact:
        if contact.dist < -DEPTH:
            pair = [model.body(int(model.geom_bodyid[g])).name for g in contact.geom]
            got = f"{' and '.join(pair)} overlap by {-contact.dist * 1e3:.3g} mm"
            yield failed("default_pose", got, "a pose that touches nothing", _EXPORT)
            return


def _offset(subject: Subject, term: ObservationTerm) -> Iterator[Item]:
    if term.source != "joint_position":
        return
    offset = per_element(term.offset, term.width)
    name = f"observation.{term.name}.offset"
    if np.abs(offset).max() > MAX_RANGE:
        got = f"{numbers(offset)}, {numbers(np.radians(offset))} if in degrees"
        yield failed(name, got, "radians", _EXPORT)
        return
    pose = np.array(subject.contract.default_pose)
    apart = np.abs(offset - pose)
    same = apart < 1e-4
    if offset.any() and not same.all() and same.any():
        wrong = [subject.contract.joints[i] for i in np.flatnonzero(~same)]
        got = f"{numbers(offset)}, which differs for {wrong}"
        fix = "One of the two is wrong: positions are observed relative to the default pose"
        yield failed(name, got, f"the default pose {numbers(pose)}", fix)
