"""The goal of an Isaac Lab env.yaml: what a command holds and the range of its training."""

from __future__ import annotations

from typing import Any

from ros2_sim2real.contract import GoalInput, ObservationTerm
from ros2_sim2real.offline._import_env import Env, dig, join, last_name
from ros2_sim2real.offline._isaaclab_robot import Articulation
from ros2_sim2real.offline.import_overrides import flag

_AXES = ("x", "y", "z", "roll", "pitch", "yaw")


def read_goal(
    arm: Articulation, terms: tuple[ObservationTerm, ...], commands: list[str]
) -> GoalInput | None:
    """Returns the goal's trained range, None when no term reads one or the range is not known."""
    env, overrides = arm.env, arm.overrides
    wanted = [t for t in terms if t.source.startswith("goal_")]
    if not wanted:
        return None
    # terms that the user states name no command: then it is the only one that sets a pose
    command = f"commands.{join((commands or _pose_commands(env))[:1])}"
    if len(set(commands)) > 1:
        env.findings.problems.append(
            f"the observation reads the commands {join(commands)}, expected one goal"
        )
    ranges: dict[str, Any] = {}
    for axis in _AXES:
        key = f"{command}.ranges.{'pos_' if axis in 'xyz' else ''}{axis}"
        stated = getattr(overrides, f"goal_{axis}")
        ranges[axis] = stated if stated is not None else env.numbers(dig(env.data, key), 2, key)
    absent = [f"goal_{axis}" for axis in "xyz" if ranges[axis] is None]
    if absent:
        env.findings.need("the goals' trained range", *absent)
        return None
    poses = any(t.source in ("goal_pose", "goal_rotation_error") for t in wanted)
    if any(t.source == "goal_pose" for t in wanted) and overrides.goal_quaternion is None:
        env.findings.assumed.append(
            f"quaternions are w x y z, as in Isaac Lab before 3.0 ({flag('goal_quaternion')})"
        )
    kind = overrides.goal_kind or ("pose" if poses else "position")
    unordered = [axis for axis, r in ranges.items() if r is not None and r[0] > r[1]]
    if unordered:
        env.findings.problems.append(
            f"the goals' range of {join(unordered)} got its ends in the wrong order"
        )
        return None
    described = join(
        f"{axis} {r[0]:.4g}..{r[1]:.4g}" for axis, r in ranges.items() if r is not None
    )
    env.findings.understood.append(f"goals: {kind}, {described} (m, rad)")
    stated = {axis: r for axis, r in ranges.items() if r is not None}
    return GoalInput(kind=kind, quaternion=overrides.goal_quaternion or "wxyz", **stated)


def _pose_commands(env: Env) -> list[str]:
    table = env.get("commands")
    found = [
        name
        for name, command in (table.items() if isinstance(table, dict) else ())
        if last_name(dig(command, "class_type")) == "UniformPoseCommand"
    ]
    return found if len(found) == 1 else []
