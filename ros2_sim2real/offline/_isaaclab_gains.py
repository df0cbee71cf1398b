"""The servos of an Isaac Lab env.yaml: gains and effort limits of its groups of actuators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ros2_sim2real.contract import Gains
from ros2_sim2real.offline._import_env import brief, join, last_name, spread
from ros2_sim2real.offline._isaaclab_robot import Articulation
from ros2_sim2real.offline.import_overrides import flag

_Table = dict[str, list[float | None]]  # one entry per joint


def read_gains(arm: Articulation) -> Gains | None:
    """Returns the servo of the training, None when it is missing or wrong."""
    env, findings = arm.env, arm.env.findings
    table: _Table = {k: [None] * len(arm.joints) for k in ("stiffness", "damping", "effort_limit")}
    groups = arm.config.get("actuators")
    for name, actuator in groups.items() if isinstance(groups, dict) else ():
        if isinstance(actuator, dict):
            _read_group(arm, actuator, f"{arm.where}.actuators.{name}", table)
    for key in table:
        stated = spread(env, getattr(arm.overrides, key), arm.joints, key)
        if stated is not None:
            table[key] = list(stated)
    for key in ("stiffness", "damping"):
        absent = [j for j, value in zip(arm.joints, table[key], strict=True) if value is None]
        if absent:
            findings.need(f"{key} of {join(absent)}", key)
    effort = _effort(arm, table["effort_limit"])
    stiffness, damping = _known(table["stiffness"]), _known(table["damping"])
    if stiffness is None or damping is None:
        return None
    described = f"stiffness {brief(stiffness)} Nm/rad, damping {brief(damping)} Nm s/rad"
    if min(stiffness) <= 0.0 or min(damping) < 0.0:
        findings.problems.append(f"servos with {described}, expected positive gains")
        return None
    findings.understood.append(f"servo gains: {described}")
    return Gains(stiffness=stiffness, damping=damping, effort_limit=effort)


def _read_group(arm: Articulation, actuator: dict[str, Any], where: str, table: _Table) -> None:
    env = arm.env
    patterns = actuator.get("joint_names_expr")
    joints = env.matching(patterns, arm.joints, f"{where}.joint_names_expr")
    if not joints:
        return
    kind = last_name(actuator.get("class_type"))
    if "ActuatorNet" in kind:
        env.findings.problems.append(f"`{where}` is {kind}, a learned actuator without gains")
        return
    limit = "effort_limit"
    # the simulator's own servo obeys this one; the others clip the torque themselves
    if kind == "ImplicitActuator" and actuator.get("effort_limit_sim") is not None:
        limit = "effort_limit_sim"
    if actuator.get(limit) == float("inf"):
        actuator = {**actuator, limit: None}
    if actuator.get("max_delay"):
        span = f"{actuator.get('min_delay', 0)} to {actuator['max_delay']}"
        env.findings.understood.append(f"`{where}` delayed commands by {span} physics steps")
    for key, source in (
        ("stiffness", "stiffness"),
        ("damping", "damping"),
        ("effort_limit", limit),
    ):
        values = env.per_joint(actuator.get(source), joints, f"{where}.{source}")
        for name, value in zip(joints, values, strict=True):
            i = arm.joints.index(name)
            if value is not None and table[key][i] is not None:
                env.findings.problems.append(
                    f"`{where}`: a second group of actuators drives {name}"
                )
            table[key][i] = value if value is not None else table[key][i]


def _effort(arm: Articulation, values: list[float | None]) -> tuple[float, ...] | None:
    """Returns the effort limits; where some are not stated the robot file's stand in."""
    findings = arm.env.findings
    stated = [value if value is not None and value > 0.0 else None for value in values]
    absent = [name for name, value in zip(arm.joints, stated, strict=True) if value is None]
    if absent:
        findings.missing.append(
            f"effort limits of {join(absent)}: those of '{arm.spec.name}' stand in, the trained "
            f"arm's are not in the file ({flag('effort_limit')})"
        )
    hardware = {joint.name: joint.effort for joint in arm.spec.joints}
    if len(absent) == len(stated) or any(name not in hardware for name in absent):
        return None
    filled = [
        hardware[name] if value is None else value
        for name, value in zip(arm.joints, stated, strict=True)
    ]
    findings.understood.append(f"effort limits: {brief(filled)} Nm")
    return tuple(filled)


def _known(values: Sequence[float | None]) -> tuple[float, ...] | None:
    return None if any(v is None for v in values) else tuple(v for v in values if v is not None)
