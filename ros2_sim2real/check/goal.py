"""Goals: inside the trained range, and that range where this arm's tool can be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ros2_sim2real.check.items import Item, failed, numbers, verdict
from ros2_sim2real.check.subject import Subject
from ros2_sim2real.contract import GoalInput
from ros2_sim2real.policy.goals import centre_orientation
from ros2_sim2real.rotations import quaternion_multiply, rotation_vector
from ros2_sim2real.signals import Array, Goal

SLACK = 0.005  # [m]
TURN_SLACK = 0.1  # [rad]
APART = 0.55  # of the reach, from the tool at the start to the goals


def check_goal(subject: Subject) -> Iterator[Item]:
    """Yields what is wrong with the goals that were given and with the trained range."""
    trained = subject.contract.goal
    if trained is None:
        return
    low, high = box(trained)
    text = f"{numbers(low)} to {numbers(high)} m"
    yield from verdict("goal", _reachable(subject, low, high), text)
    problems = [item for i, goal in enumerate(subject.goals) for item in judge(trained, goal, i)]
    yield from verdict("goals", problems, f"{len(subject.goals)} inside the trained range")


def box(trained: GoalInput) -> tuple[Array, Array]:
    """Returns the corners of the trained positions, (3,) each [m]."""
    ends = np.array([trained.x, trained.y, trained.z])
    return ends[:, 0], ends[:, 1]


def judge(trained: GoalInput, goal: Goal, number: int) -> Iterator[Item]:
    """Yields in what a goal lies outside the range over which the policy was trained."""
    low, high = box(trained)
    outside = np.maximum(low - goal.position, goal.position - high).max()
    if outside > SLACK:
        got = f"goal {number} at {numbers(goal.position)}, {outside * 1e3:.0f} mm outside"
        fix = "Move it inside, or train on a larger range"
        yield failed("goals.position", got, f"{numbers(low)} to {numbers(high)} m", fix)
    if trained.kind == "position":
        return
    away, room = _away(trained, goal.quaternion), _room(trained)
    if away <= room:
        return
    other = _away(trained, np.roll(goal.quaternion, 1))
    if other <= room:
        got = f"{numbers(goal.quaternion)} for goal {number}, which fits as x y z w"
        fix = "Write the quaternion as w x y z"
        yield failed("goals.quaternion", got, "w x y z", fix)
    else:
        got = f"goal {number} turned {away:.2f} rad from the middle of the training"
        fix = "Turn it back, or train on a larger range"
        yield failed("goals.quaternion", got, f"at most {room:.2f} rad", fix)


def _away(trained: GoalInput, quaternion: Array) -> float:
    """Returns the angle between an orientation and the middle of the trained ones [rad]."""
    centre = centre_orientation(trained) * (1.0, -1.0, -1.0, -1.0)
    return float(np.linalg.norm(rotation_vector(quaternion_multiply(quaternion, centre))))


def _room(trained: GoalInput) -> float:
    halves = [(b - a) / 2.0 for a, b in (trained.roll, trained.pitch, trained.yaw)]
    return float(np.linalg.norm(halves)) + TURN_SLACK


def _reachable(subject: Subject, low: Array, high: Array) -> Iterator[Item]:
    points = subject.tool_points
    middle = points[1:].mean(axis=0)
    reach = float(np.linalg.norm(points - middle, axis=1).max())
    fix = "Compare `frame`, `tool`, the unit and the range of the goals with the training"
    size = high - low
    if size.max() > 4.0 * reach:
        got = f"goals over {size.max():.3g} m, the arm reaches {reach:.3g} m"
        yield failed("goal", got, "metres in the policy's frame", fix)
        return
    far = float(np.linalg.norm(np.maximum(0.0, np.maximum(low - middle, middle - high))))
    if far > reach:
        got = f"every goal at least {far:.3g} m away, the arm reaches {reach:.3g} m"
        yield failed("goal", got, "goals that the tool can reach", fix)
        return
    start = points[0]
    apart = float(np.linalg.norm(np.maximum(0.0, np.maximum(low - start, start - high))))
    if apart > APART * reach:
        got = f"the tool starts at {numbers(start)}, {apart:.3g} m from the nearest goal"
        yield failed("frame", got, "goals near the default pose", fix)
