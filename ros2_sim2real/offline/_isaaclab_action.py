"""The action of an Isaac Lab env.yaml.

Isaac Lab's joint actions (`envs/mdp/actions`, BSD-3-Clause) clip after scale and offset, our
contract clips the raw action: the bounds are carried back through scale and offset.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ros2_sim2real.contract import ActionSpec, ObservationTerm, Range
from ros2_sim2real.offline._import_env import (
    Env,
    brief,
    check_joints,
    compact,
    join,
    last_name,
    spread,
)
from ros2_sim2real.offline._import_terms import raw_bounds
from ros2_sim2real.offline._isaaclab_robot import Articulation
from ros2_sim2real.offline.import_overrides import flag

_KINDS = {
    "JointPositionAction": "delta_default",
    "RelativeJointPositionAction": "relative_measured",
}
_NOT_POSITIONS = ("Velocity", "Effort", "InverseKinematics", "OperationalSpace", "NonHolonomic")


def read_action(
    arm: Articulation, default_pose: tuple[float, ...] | None, terms: tuple[ObservationTerm, ...]
) -> ActionSpec | None:
    """Returns how raw actions become joint positions, None when that is not known."""
    env, overrides = arm.env, arm.overrides
    if overrides.action_kind is None:
        drafted = _from_file(arm, default_pose)
        if drafted is None:
            return None
    else:
        drafted = {"kind": overrides.action_kind}
    for key in ("scale", "offset"):
        stated = spread(env, getattr(overrides, f"action_{key}"), arm.joints, f"action_{key}")
        if stated is not None:
            drafted[key] = compact(list(stated))
            # the file bounds what comes out of its own scale and offset
            drafted["clip_unclear"] = (
                drafted.get("clip_unclear") or drafted.pop("clip", None) is not None
            )
    for key, value in (("previous", overrides.action_previous), ("max_lead", overrides.max_lead)):
        if value is not None:
            drafted[key] = value
    if overrides.action_clip is not None:
        drafted["clip"] = overrides.action_clip
        drafted.pop("clip_unclear", None)
    if not _complete(env, drafted):
        return None
    if overrides.action_previous is None and any(t.source == "previous_action" for t in terms):
        env.findings.assumed.append(
            f"the previous action is observed raw ({flag('action_previous')})"
        )
    action = ActionSpec(**drafted)
    bounds = (
        "no bounds"
        if action.clip is None
        else f"raw action within [{action.clip[0]:g}, {action.clip[1]:g}]"
    )
    scales = action.scale if isinstance(action.scale, tuple) else (action.scale,)
    env.findings.understood.append(f"action: {action.kind}, scale {brief(scales)}, {bounds}")
    return action


def _complete(env: Env, drafted: dict[str, Any]) -> bool:
    findings = env.findings
    if "kind" not in drafted:
        findings.need(
            "how raw actions become joint positions", "action_kind", "action_scale", "action_clip"
        )
        return False
    if "scale" not in drafted:
        findings.need("the factor on the raw action", "action_scale")
        return False
    if drafted.pop("clip_unclear", False):
        findings.need(
            "bounds of the raw action, those of env.yaml are no single range of it", "action_clip"
        )
        return False
    if drafted.get("clip") is None:
        if drafted["kind"] == "integrating":
            findings.need("bounds of the raw action, which set the largest speed", "action_clip")
            return False
        findings.assumed.append(
            "the raw action has no bounds; `clip_actions` of the trainer would be in agent.yaml "
            f"({flag('action_clip')})"
        )
    return True


def _from_file(arm: Articulation, default_pose: tuple[float, ...] | None) -> dict[str, Any] | None:
    """Returns the action's fields that env.yaml states, None when what it states is refused."""
    env = arm.env
    terms = env.get("actions")
    active = (
        {k: v for k, v in terms.items() if isinstance(v, dict)} if isinstance(terms, dict) else {}
    )
    if not active:
        return {}
    if len(active) > 1:
        listed = join(
            f"{key} ({last_name(value.get('class_type'))})" for key, value in active.items()
        )
        env.findings.problems.append(
            f"`actions` has {listed}, expected one action over the joints of the arm"
        )
        return None
    ((name, action),) = active.items()
    where = f"actions.{name}"
    kind = last_name(action.get("class_type"))
    if any(word in kind for word in _NOT_POSITIONS):
        env.findings.problems.append(
            f"`{where}` is {kind}, expected an action that sets joint positions"
        )
        return None
    if kind not in (*_KINDS, "JointPositionToLimitsAction"):
        env.findings.need(
            f"`{where}` is {kind}, which is not known here", "action_kind", "action_scale"
        )
        return None
    check_joints(
        env,
        action.get("joint_names"),
        action.get("preserve_order") is True,
        arm.joints,
        f"{where}.joint_names",
    )
    if kind == "JointPositionToLimitsAction":
        return _to_limits(arm, action, where)
    return _affine(arm, action, where, kind, default_pose)


def _affine(
    arm: Articulation,
    action: dict[str, Any],
    where: str,
    kind: str,
    default_pose: tuple[float, ...] | None,
) -> dict[str, Any]:
    env, n = arm.env, len(arm.joints)
    raw_scale = action.get("scale", 1.0)
    # joints that a mapping does not name keep factor 1 and offset 0, as in Isaac Lab
    scale = [
        1.0 if s is None else s for s in env.per_joint(raw_scale, arm.joints, f"{where}.scale")
    ]
    offset = [
        0.0 if o is None else o
        for o in env.per_joint(action.get("offset"), arm.joints, f"{where}.offset")
    ]
    out: dict[str, Any] = {"kind": _KINDS[kind]}
    around = np.array(default_pose if default_pose is not None else [0.0] * n)
    if kind == "JointPositionAction":
        if action.get("use_default_offset", True):
            offset = [0.0] * n
        else:
            out["kind"], around = "absolute", np.zeros(n)
    else:
        around = np.zeros(n)
        offset = [0.0] * n if action.get("use_zero_offset", True) else offset
        env.findings.assumed.append(
            "the action is added to the measured position once a decision; Isaac Lab does so at "
            "every physics step"
        )
    clip, unclear = _raw_clip(
        arm, action.get("clip"), np.array(scale), around + np.array(offset), where
    )
    return {
        **out,
        "scale": compact(scale),
        "offset": compact(offset),
        "clip": clip,
        "clip_unclear": unclear,
    }


def _to_limits(arm: Articulation, action: dict[str, Any], where: str) -> dict[str, Any] | None:
    """The whole joint range for actions from -1 to 1."""
    env = arm.env
    scale = env.number(action.get("scale", 1.0), f"{where}.scale")
    limits = arm.limits()
    if scale is None or scale <= 0.0 or limits is None or action.get("rescale_to_limits") is False:
        env.findings.need(
            f"`{where}` does not map [-1, 1] to the joint range", "action_kind", "action_scale"
        )
        return None
    lower, upper = limits
    half, middle = (upper - lower) / 2, (upper + lower) / 2
    return {
        "kind": "absolute",
        "scale": compact([scale * float(h) for h in half]),
        "offset": compact([float(m) for m in middle]),
        "clip": (-1.0 / scale, 1.0 / scale),
    }


def _raw_clip(
    arm: Articulation, clip: Any, scale: np.ndarray, centre: np.ndarray, where: str
) -> tuple[Range | None, bool]:
    """Returns bounds of the raw action, and whether one range cannot express what is stated."""
    if clip is None:
        return None, False
    if not isinstance(clip, dict):
        arm.env.findings.problems.append(f"`{where}.clip` got no mapping of joints to [low, high]")
        return None, False
    chosen = arm.env.chosen(clip, arm.joints, f"{where}.clip")
    if not chosen:
        return None, False
    bounds = [arm.env.numbers(chosen.get(name), 2, f"{where}.clip.{name}") for name in arm.joints]
    if any(b is None for b in bounds):
        return None, True
    read = raw_bounds(np.array(bounds), scale, centre)
    return read, read is None
