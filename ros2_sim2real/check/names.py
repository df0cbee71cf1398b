"""Robot and joints: those of the policy, of the robot file and of the model are the same ones."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator

import mujoco
import numpy as np

from ros2_sim2real.check.items import Item, failed, numbers, passed, verdict, warned
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.contract_terms import UNSUPPORTED
from ros2_sim2real.robot import Joint, RobotSpec

TURN = 2.0 * math.pi
MAX_RANGE = 2.0 * TURN + 0.1  # [rad] of a joint's end; no arm turns further
MAX_SPEED = 30.0  # [rad/s]; 180 degrees a second read as radians are 180
SLACK = 0.01  # [rad]


def check_names(contract: PolicyContract, spec: RobotSpec) -> Iterator[Item]:
    """Yields whether the policy is for this robot: its name, its joints, what it commands."""
    if contract.robot == spec.name:
        yield passed("robot", contract.robot)
    else:
        fix = "Name the robot that the policy was trained for, or another policy"
        yield failed("robot", f"a policy for '{contract.robot}'", f"one for '{spec.name}'", fix)
    yield from verdict("joints", _unknown(contract, spec), f"{len(contract.joints)} by name")
    kind = contract.action.kind
    if kind in UNSUPPORTED:
        fix = "Export a policy that commands joint positions"
        yield failed("action.kind", f"'{kind}'", "joint positions", fix)


def _unknown(contract: PolicyContract, spec: RobotSpec) -> Iterator[Item]:
    ours, theirs = spec.joint_names, contract.joints
    for name in (n for n in theirs if n not in ours):
        near = difflib.get_close_matches(name, ours, n=1)
        hint = f"Did the trainer call `{near[0]}` so? " if near else ""
        fix = hint + "Import the policy with the names of the robot file"
        yield failed("joints", f"'{name}' in the contract", f"one of {list(ours)}", fix)
    missing = [n for n in ours if n not in theirs]
    if missing:
        fix = "Use a policy that commands every joint, or a robot file without these"
        yield failed("joints", f"nothing for {missing}", "a command for every joint", fix)


def check_robot_file(spec: RobotSpec, model: mujoco.MjModel, *, strict: bool) -> Iterator[Item]:
    """Yields whether robot file and compiled model agree, and what the file does not know.

    Args:
        spec: the robot file.
        model: compiled from its MJCF, which proves joint names and tool.
        strict: a placeholder is a failure, because an arm is to move.
    """
    yield passed("robot.mjcf", f"compiles with {len(spec.joints)} joints and `{spec.tool_site}`")
    units = (item for joint in spec.joints for item in _units(joint))
    yield from verdict("robot.joints.units", units, "radians")
    ranges = (item for joint in spec.joints for item in _range(joint, model))
    yield from verdict("robot.joints.range", ranges, "within the model's")
    yield from verdict("robot.mjcf.mass", _masses(spec, model), "every link has one")
    if spec.unknown_sources:
        tell = failed if strict else warned
        got = f"{', '.join(spec.unknown_sources)}: not known"
        fix = "Replace the marked figures by the data sheet's, and say so in `sources`"
        yield tell("robot.sources", got, "a source for every figure", fix)
    else:
        yield passed("robot.sources", "a source for every figure")


def _units(joint: Joint) -> Iterator[Item]:
    name = f"robot.joints.{joint.name}"
    fix = "Write radians into the robot file"
    ends = {"lower": joint.lower, "upper": joint.upper, "home": joint.home}
    for field, value in ends.items():
        if abs(value) > MAX_RANGE:
            got = f"{value:.4g}, {math.radians(value):.4g} rad if it is in degrees"
            yield failed(f"{name}.{field}", got, f"at most {MAX_RANGE:.4g} rad", fix)
    if joint.velocity > MAX_SPEED:
        got = f"{joint.velocity:.4g}, {math.radians(joint.velocity):.4g} rad/s if in degrees"
        yield failed(f"{name}.velocity", got, f"at most {MAX_SPEED:g} rad/s", fix)


def _range(joint: Joint, model: mujoco.MjModel) -> Iterator[Item]:
    index = model.joint(joint.name).id
    if not model.jnt_limited[index]:
        return
    low, high = model.jnt_range[index].tolist()
    if joint.lower < low - SLACK or joint.upper > high + SLACK:
        yield failed(
            f"robot.joints.{joint.name}.range",
            numbers((joint.lower, joint.upper)),
            f"within {numbers((low, high))} of the model",
            "Compare both with the data sheet",
        )


def _masses(spec: RobotSpec, model: mujoco.MjModel) -> Iterator[Item]:
    for name in spec.joint_names:
        body = int(model.jnt_bodyid[model.joint(name).id])
        mass = float(model.body_subtreemass[body])
        if not (np.isfinite(mass) and mass > 1e-3):
            got = f"{mass:.3g} kg beyond {name}"
            fix = "Give its links masses: gains and reflected inertia mean nothing without"
            yield failed("robot.mjcf.mass", got, "more than a gram", fix)
