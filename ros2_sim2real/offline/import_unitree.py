"""unitree_rl_lab's params/deploy.yaml and the exported policy -> a policy file.

What the keys mean was read from unitree_rl_lab (Apache-2.0, Isaac Lab underneath):
`joint_ids_map[i]` is the motor of the policy's joint i; stiffness and damping follow the MOTORS,
everything else the policy's joints; numbers are rounded to 3 significant digits; a term is
`scale * clip(function)`; history stands oldest first, term by term, or, with `use_gym_history`,
moment by moment; the target is `offset + scale * action`, clipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ros2_sim2real.offline._import_env import Env, Findings, dig, join, shown
from ros2_sim2real.offline._import_pipeline import ImportReport, import_network, read_network
from ros2_sim2real.offline._import_terms import Term, raw_bounds, refuse_terms, term
from ros2_sim2real.offline.import_draft import Facts, draft
from ros2_sim2real.offline.import_overrides import ImportOverrides
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.offline.tagged_yaml import read_tagged
from ros2_sim2real.robot import load_robot

_SOURCES = {
    "joint_pos_rel": "joint_position",
    "joint_pos": "joint_position",
    "joint_vel_rel": "joint_velocity",
    "joint_vel": "joint_velocity",
    "last_action": "previous_action",
}
_SWITCHES = ("use_gym_history", "scale_first")


def import_unitree(
    policy: Path,
    deploy: Path,
    *,
    robot: str,
    output: Path,
    trust: bool = False,
    stated: ImportOverrides | None = None,
    limits: ChildLimits | None = None,
) -> ImportReport:
    """Writes `output` from a policy of unitree_rl_lab, TorchScript or ONNX.

    Args:
        policy: exported/policy.onnx or policy.pt.
        deploy: params/deploy.yaml.
        robot: name or file of the robot.
        output: the policy file to write; on any error it stays as it was.
        trust: allows opening TorchScript.
        stated: what the user states.
        limits: of the processes that open the policy.

    Raises:
        ConversionError: one line with everything that is missing or cannot be run.
        Sim2RealError: a file cannot be read, or the contract does not fit the robot.
    """
    spec = load_robot(robot)
    network = read_network(policy, trust=trust)
    findings = Findings()
    facts = Facts(stated or ImportOverrides(), findings)
    read_deploy(read_tagged(deploy), facts)
    contract = draft(facts, spec, trainer="unitree_rl_lab", where=str(deploy), source=policy.name)
    contract.check_robot(spec)
    return import_network(
        network, contract, findings, output, spec=spec, trust=trust, limits=limits
    )


def read_deploy(data: dict[str, Any], facts: Facts) -> None:
    """Fills `facts` from deploy.yaml."""
    findings = facts.findings
    env = Env(data, findings)
    motors = _motors(env)
    if motors is None:
        return
    count = len(motors)
    _joints(motors, facts)
    step = env.number(data.get("step_dt"), "step_dt")
    if step is not None and step > 0.0:
        rate = 1.0 / step
        whole = round(rate) if abs(rate - round(rate)) < 1e-6 * rate else rate
        facts.state("rate_hz", float(whole), "step_dt")
    for key in ("stiffness", "damping"):
        value = data.get(key)
        size = len(value) if isinstance(value, list) else 0
        by_motor = env.numbers(value, max(size, max(motors) + 1), key)
        facts.state(key, by_motor and [by_motor[m] for m in motors], f"{key}, joint_ids_map")
    pose = env.numbers(data.get("default_joint_pos"), count, "default_joint_pos")
    facts.state("default_pose", pose, "default_joint_pos")
    findings.assumed.append(
        "unitree_rl_lab rounds every number to 3 significant digits: where that is too coarse, "
        "state the exact ones with their flags"
    )
    _action(env, facts, pose, count)
    if facts.stated.observation is None:
        _observation(env, facts, pose, count)


def _motors(env: Env) -> list[int] | None:
    mapping = env.get("joint_ids_map")
    plain = isinstance(mapping, list) and all(type(i) is int and 0 <= i < 1000 for i in mapping)
    if not plain or not mapping or len(set(mapping)) != len(mapping):
        env.findings.problems.append(
            f"`joint_ids_map` got {shown(mapping)}, expected the motor of every joint once"
        )
        return None
    return list(mapping)


def _joints(motors: list[int], facts: Facts) -> None:
    """Names in place of indices: the file holds none."""
    names = facts.stated.robot_joints
    if names is not None and max(motors) < len(names):
        facts.state("joints", [names[m] for m in motors], "joint_ids_map, --robot-joints")
    elif names is not None:
        facts.findings.problems.append(
            f"`joint_ids_map` counts to {max(motors)}, --robot-joints has {len(names)} names"
        )
    elif facts.stated.joints is None:
        facts.findings.need(
            "names of the motors that `joint_ids_map` counts (or, in the policy's order, with "
            "--joints)",
            "robot_joints",
        )


def _action(env: Env, facts: Facts, pose: tuple[float, ...] | None, count: int) -> None:
    terms = env.get("actions")
    found = terms if isinstance(terms, dict) else {}
    if list(found) != ["JointPositionAction"] or not isinstance(
        found["JointPositionAction"], dict
    ):
        if facts.stated.action_kind is None:
            env.findings.problems.append(
                f"`actions` has {join(found) or 'nothing'}, expected JointPositionAction alone"
            )
        return
    action, where = found["JointPositionAction"], "actions.JointPositionAction"
    if not _all_joints(action.get("joint_ids"), count):
        env.findings.problems.append(f"`{where}.joint_ids` leaves out joints, expected all")
    scale = _numbers(env, action.get("scale"), count, f"{where}.scale")
    offset = _numbers(env, action.get("offset"), count, f"{where}.offset")
    if offset is None and facts.stated.action_kind is None:
        env.findings.need(f"`{where}.offset`", "action_kind", "action_offset")
    elif offset == pose:
        facts.state("action_kind", "delta_default", f"{where}.offset is default_joint_pos")
    elif offset is not None:
        facts.state("action_kind", "absolute", where)
        facts.state("action_offset", offset, f"{where}.offset")
    facts.state("action_scale", scale, f"{where}.scale")
    facts.state("action_previous", "raw", "last_action")
    clip = action.get("clip")
    if clip is None or facts.stated.action_clip is not None:
        return
    rows = clip if isinstance(clip, list) and len(clip) == count else []
    bounds = [env.numbers(row, 2, f"{where}.clip") for row in rows]
    read = None
    if bounds and None not in bounds and scale is not None and offset is not None:
        read = raw_bounds(np.array(bounds), np.array(scale), np.array(offset))
    if read is None:
        env.findings.need(f"`{where}.clip` as one range of the raw action", "action_clip")
    facts.state("action_clip", read, f"{where}.clip")


def _observation(env: Env, facts: Facts, pose: tuple[float, ...] | None, count: int) -> None:
    group = env.get("observations")
    if not isinstance(group, dict):
        return
    switches = {key: group.get(key) is True for key in _SWITCHES}
    listed = {key: value for key, value in group.items() if key not in _SWITCHES}
    unknown = [str(name) for name in listed if name not in _SOURCES]
    if unknown or not all(isinstance(value, dict) for value in listed.values()):
        refuse_terms(facts.findings, unknown or list(listed), "observations")
        return
    terms: list[Term] = []
    for name, value in listed.items():
        where = f"observations.{name}"
        if not _all_joints(dig(value, "params.asset_cfg.joint_ids"), count):
            env.findings.problems.append(f"`{where}` leaves out joints, expected all of them")
        scale = _numbers(env, value.get("scale"), count, f"{where}.scale") or (1.0,) * count
        clip = env.numbers(value.get("clip"), 2, f"{where}.clip")
        if clip is not None and switches["scale_first"]:
            if len(set(scale)) > 1 or scale[0] <= 0.0:
                env.findings.problems.append(f"`{where}.clip` acts on values scaled one by one")
            else:
                clip = (clip[0] / scale[0], clip[1] / scale[0])
        made = term(
            name,
            _SOURCES[name],
            count,
            offset=pose if name == "joint_pos_rel" else None,
            clip=(clip[0], clip[1]) if clip is not None else None,
            scale=scale,
        )
        terms.append({**made, "history": _length(env, value, where)})
    _past(facts, terms, switches["use_gym_history"])


def _past(facts: Facts, terms: list[Term], by_time: bool) -> None:
    """History stands in every term of the file; moment by moment it is that of the whole."""
    lengths = [item.pop("history") for item in terms]
    if by_time and len(set(lengths)) > 1:
        facts.findings.problems.append(
            f"`observations` has histories of {lengths} with use_gym_history, expected one length"
        )
    elif by_time and lengths and lengths[0] > 1:
        past = {"length": lengths[0], "order": "oldest_first", "layout": "by_time"}
        facts.state("history", past, "use_gym_history")
    elif not by_time:
        for item, length in zip(terms, lengths, strict=True):
            if length > 1:
                item["history"] = {"length": length, "order": "oldest_first"}
    facts.state("observation", terms or None, "observations")


def _length(env: Env, value: dict[str, Any], where: str) -> int:
    length = value.get("history_length", 1)
    if type(length) is not int or not 0 <= length <= 1000:
        env.findings.problems.append(
            f"`{where}.history_length` got {shown(length)}, expected 1 to 1000 moments"
        )
        return 1
    return max(length, 1)


def _numbers(env: Env, value: Any, count: int, where: str) -> tuple[float, ...] | None:
    """Returns one number per joint; one number stands for all."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value] * count
    return env.numbers(value, count, where)


def _all_joints(ids: Any, count: int) -> bool:
    """Whether indices mean every joint in order: nothing, a full slice, or all of them listed."""
    if isinstance(ids, dict) and list(ids) == ["slice"]:
        ids = ids["slice"]
        return isinstance(ids, list) and ids in ([None] * 3, [None, None], [None], [0, None, None])
    return ids is None or ids == list(range(count))
