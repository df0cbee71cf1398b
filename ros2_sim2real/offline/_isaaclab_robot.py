"""The arm of an Isaac Lab env.yaml: joint order, default pose, ranges, base."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ros2_sim2real.offline._import_env import Env, dig, join, spread
from ros2_sim2real.offline.import_overrides import ImportOverrides, flag
from ros2_sim2real.robot import Frame, RobotSpec


class Articulation:
    """The robot's part of env.yaml and the joints that are taken from it."""

    def __init__(self, env: Env, spec: RobotSpec, overrides: ImportOverrides) -> None:
        self.env = env
        self.spec = spec
        self.overrides = overrides
        self.where, self.config = _find(env)
        self.joints = self._joints()

    def _joints(self) -> tuple[str, ...]:
        findings = self.env.findings
        if self.overrides.joints is not None:
            findings.understood.append(f"joint order {join(self.overrides.joints)} (given)")
            return self.overrides.joints
        findings.assumed.append(
            f"joint order of '{self.spec.name}': {join(self.spec.joint_names)}; env.yaml does not "
            f"hold the simulator's ({flag('joints')})"
        )
        return self.spec.joint_names

    def default_pose(self) -> tuple[float, ...] | None:
        """Returns the pose of the resets [rad], None when it is missing or wrong."""
        findings = self.env.findings
        stated = spread(self.env, self.overrides.default_pose, self.joints, "default_pose")
        if stated is not None:
            return stated
        table = dig(self.config, "init_state.joint_pos")
        where = f"{self.where}.init_state.joint_pos"
        if not isinstance(table, dict):
            findings.need(f"`{where}`, the pose that actions refer to", "default_pose")
            return None
        self._check_names(table, where)
        values = self.env.per_joint(table, self.joints, where)
        absent = [name for name, value in zip(self.joints, values, strict=True) if value is None]
        if absent:
            findings.assumed.append(
                f"default pose of {join(absent)} is 0 rad, `{where}` does not state it"
            )
        pose = tuple(0.0 if value is None else value for value in values)
        findings.understood.append(
            f"default pose {join(f'{q:.4g}' for q in pose)} rad (`{where}`)"
        )
        return pose

    def _check_names(self, table: dict[str, Any], where: str) -> None:
        """A file that names other joints altogether belongs to another robot."""
        findings = self.env.findings
        spelled = [key for key in table if re.fullmatch(r"\w+", key)]
        others = [key for key in spelled if key not in self.joints]
        if spelled and len(others) == len(spelled) and len(spelled) == len(table):
            findings.problems.append(
                f"`{where}` names {join(others[:12])}, none is a joint of '{self.spec.name}' "
                f"({join(self.joints)}): choose the robot that was trained, with --robot"
            )
        elif others:
            findings.understood.append(
                f"joints {join(others[:12])} were there in training and are not commanded"
            )

    def limits(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns the joint range of the robot file, narrowed as in training, each (n,) [rad]."""
        spec = {j.name: (j.lower, j.upper) for j in self.spec.joints}
        if any(name not in spec for name in self.joints):
            return None
        factor = self.env.number(
            self.config.get("soft_joint_pos_limit_factor"), "soft_joint_pos_limit_factor"
        )
        lower, upper = np.array([spec[name] for name in self.joints]).T
        middle, half = (
            (lower + upper) / 2,
            (upper - lower) / 2 * (1.0 if factor is None else factor),
        )
        self.env.findings.assumed.append(
            "joint ranges of the robot file, the simulator's own lie in the USD file"
        )
        return middle - half, middle + half

    def world(self) -> Frame | None:
        """Returns the training's world in the arm's base frame, None when it is not stated."""
        position = self.env.numbers(
            dig(self.config, "init_state.pos"), 3, f"{self.where}.init_state.pos"
        )
        rotation = self.env.numbers(
            dig(self.config, "init_state.rot"), 4, f"{self.where}.init_state.rot"
        )
        if position is None or rotation is None:
            return None
        if self.overrides.goal_quaternion == "xyzw":
            rotation = (rotation[3], *rotation[:3])
        turn = np.array(rotation) / max(float(np.linalg.norm(rotation)), 1e-9)
        w, axis = float(turn[0]), -turn[1:]
        p = -np.array(position)  # the inverse: turned back after it is shifted back
        shift = p + 2.0 * np.cross(axis, np.cross(axis, p) + w * p)
        return Frame.model_validate(
            {"position": tuple(map(float, shift)), "quaternion": (w, *map(float, axis))}
        )


def _find(env: Env) -> tuple[str, dict[str, Any]]:
    """Returns path and content of the articulation: the action's, else the only one."""
    actions = env.get("actions")
    named = {a["asset_name"] for a in _mappings(actions) if isinstance(a.get("asset_name"), str)}
    found: dict[str, dict[str, Any]] = {}
    for prefix, part in (("scene.", env.get("scene")), ("", env.data)):
        for key, value in part.items() if isinstance(part, dict) else ():
            if isinstance(value, dict) and "actuators" in value and "init_state" in value:
                found[prefix + key] = value
    wanted = [
        path for path in found if path.rpartition(".")[2] in (named or {"robot", "robot_cfg"})
    ]
    for candidates in (wanted, list(found)):
        if len(candidates) == 1:
            return candidates[0], found[candidates[0]]
    if found:
        env.findings.problems.append(
            f"several articulations {join(found)}, expected one that is called `robot`"
        )
    return "scene.robot", {}


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [v for v in value.values() if isinstance(v, dict)] if isinstance(value, dict) else []
