"""An ONNX file whose metadata says what it was trained for -> a policy file.

Two dialects, as their exporters write them. mjlab (and what descends from Isaac Lab's motion
tracking): text separated by commas, numbers with three decimals: `joint_names`,
`joint_stiffness`, `joint_damping`, `default_joint_pos`, `action_scale`, `observation_names`,
`command_names`, sometimes `observation_history_lengths`. holosoma: JSON, exact: `dof_names`, `kp`,
`kd`, `command_ranges`, `robot_urdf`. Neither says how often it decides.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline._import_env import Env, Findings, join, shown
from ros2_sim2real.offline._import_pipeline import ImportReport, import_network, read_network
from ros2_sim2real.offline._import_terms import Term, refuse_terms, term
from ros2_sim2real.offline.import_draft import Facts, draft
from ros2_sim2real.offline.import_overrides import ImportOverrides
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.policy.artefact import parse_graph
from ros2_sim2real.robot import load_robot

MAX_TEXT = 200_000  # characters of one entry that are read
_COMMA = {
    "stiffness": "joint_stiffness",
    "damping": "joint_damping",
    "default_pose": "default_joint_pos",
    "action_scale": "action_scale",
}
# by name alone: mjlab and Isaac Lab call the terms of their own tasks so
_TERMS = {
    "joint_pos": "joint_position",
    "joint_pos_rel": "joint_position",
    "joint_vel": "joint_velocity",
    "joint_vel_rel": "joint_velocity",
    "actions": "previous_action",
    "last_action": "previous_action",
}


def import_onnx(
    policy: Path,
    *,
    robot: str,
    output: Path,
    stated: ImportOverrides | None = None,
    limits: ChildLimits | None = None,
) -> ImportReport:
    """Writes `output` from an ONNX file with metadata.

    Args:
        policy: the file.
        robot: name or file of the robot.
        output: the policy file to write; on any error it stays as it was.
        stated: what the user states.
        limits: of the processes that open the policy.

    Raises:
        ConversionError: one line with everything that is missing or cannot be run.
        Sim2RealError: the file cannot be read, or the contract does not fit the robot.
    """
    spec = load_robot(robot)
    network = read_network(policy, trust=False)
    metadata = read_metadata(network.content, where=str(policy))
    findings = Findings()
    facts = Facts(stated or ImportOverrides(), findings)
    trainer = "holosoma" if "dof_names" in metadata else "mjlab"
    (read_holosoma if trainer == "holosoma" else read_mjlab)(metadata, facts)
    if not metadata:
        trainer = "unknown"
    contract = draft(facts, spec, trainer=trainer, where=str(policy), source=policy.name)
    contract.check_robot(spec)
    return import_network(
        network, contract, findings, output, spec=spec, trust=False, limits=limits
    )


def read_metadata(content: bytes, *, where: str) -> dict[str, str]:
    """Returns the metadata of an ONNX file. Raises ConversionError when a key stands twice."""
    entries = parse_graph(content, where=where).metadata_props
    found = {entry.key: entry.value for entry in entries}
    if len(found) != len(entries):
        raise ConversionError(
            f"{where}: a key stands twice in the metadata {sorted(found)[:12]}. Export it again"
        )
    return found


def read_mjlab(metadata: dict[str, str], facts: Facts) -> None:
    """Fills `facts` from text separated by commas."""
    findings = facts.findings
    env = Env({}, findings)
    joints = env.names(_split(metadata, "joint_names"), "joint_names")
    facts.state("joints", joints, "joint_names")
    count = len(joints or facts.stated.joints or ())
    for setting, key in _COMMA.items() if count else ():
        if key in metadata and getattr(facts.stated, setting) is None:
            facts.state(setting, _decimals(env, metadata, key, count), key)
    if any(key in metadata for key in _COMMA.values()):
        findings.assumed.append(
            "the metadata's numbers are rounded to 3 decimals: where that is too coarse (small "
            "gains and scales), state the exact ones with their flags"
        )
    if "action_scale" in metadata and facts.stated.action_kind is None:
        facts.state("action_kind", "delta_default", "action_scale")
        findings.assumed.append(
            "the action is added to the default pose, as in mjlab's own tasks (--action-kind)"
        )
    if facts.stated.observation is None:
        _named_terms(env, metadata, facts, count)


def _decimals(env: Env, metadata: dict[str, str], key: str, count: int) -> list[float] | None:
    """Returns numbers that an exporter rounded; a factor that was rounded away is asked for."""
    texts = _split(metadata, key)
    if len(texts) == 1:
        texts = texts * count
    values = [_number(text) for text in texts]
    read = env.numbers(values, count, key)
    if read is None:
        return None
    gone = [text for text in texts if re.fullmatch(r"-?0\.0{1,3}", text)]
    if gone and key != "default_joint_pos":
        flags = {v: k for k, v in _COMMA.items()}
        env.findings.need(
            f"`{key}` is written {gone[0]} {len(gone)} times, maybe small numbers rounded away",
            flags[key],
        )
        return None
    return list(read)


def _named_terms(env: Env, metadata: dict[str, str], facts: Facts, count: int) -> None:
    names = _split(metadata, "observation_names")
    if not names or not count:
        return
    unknown = [name for name in names if name not in _TERMS]
    if unknown:
        refuse_terms(facts.findings, unknown, "observation_names")
        return
    pose = facts.stated.default_pose
    if pose is None:
        written = [_number(text) for text in _split(metadata, "default_joint_pos")]
        pose = env.numbers(written or None, count, "default_joint_pos")
    elif len(pose) == 1:
        pose = pose * count
    lengths = [_number(text) for text in _split(metadata, "observation_history_lengths")]
    lengths = lengths or [1.0] * len(names)
    if len(lengths) != len(names) or any(n not in range(1, 1001) for n in lengths):
        facts.findings.problems.append(
            f"`observation_history_lengths` got {lengths[:20]}, expected one length for each of "
            f"the {len(names)} terms"
        )
        return
    terms: list[Term] = []
    for name, length in zip(names, lengths, strict=True):
        relative = name in ("joint_pos", "joint_pos_rel")
        made = term(name, _TERMS[name], count, offset=pose if relative else None)
        if isinstance(length, float) and length > 1:
            made["history"] = {"length": int(length), "order": "oldest_first"}
        terms.append(made)
    facts.findings.assumed.append(
        f"the terms {join(names)} do what those of mjlab's own tasks do: joint positions about "
        "the default pose, nothing scaled or clipped (--observation)"
    )
    facts.state("observation", terms, "observation_names")


def read_holosoma(metadata: dict[str, str], facts: Facts) -> None:
    """Fills `facts` from JSON: names and gains; pose, scale and terms lie in holosoma's config."""
    findings = facts.findings
    env = Env({}, findings)
    joints = env.names(_json(env, metadata, "dof_names"), "dof_names")
    facts.state("joints", joints, "dof_names")
    count = len(joints or facts.stated.joints or ())
    for setting, key in (("stiffness", "kp"), ("damping", "kd"), ("action_scale", "action_scale")):
        value = _json(env, metadata, key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = [value] * count
        facts.state(setting, env.numbers(value, count, key) if count else None, key)
    ranges = _json(env, metadata, "command_ranges")
    if isinstance(ranges, dict) and ranges:
        findings.understood.append(
            f"`command_ranges` of {join(list(ranges)[:12])}: no term here reads such a command"
        )


def _json(env: Env, metadata: dict[str, str], key: str) -> Any:
    text = metadata.get(key)
    if text is None:
        return None
    try:
        if len(text) > MAX_TEXT:
            raise ValueError("too long")
        return json.loads(text)
    except (ValueError, RecursionError):
        env.findings.problems.append(f"`{key}` got {shown(text)}, expected JSON")
        return None


def _split(metadata: dict[str, str], key: str) -> list[str]:
    text = metadata.get(key, "")[:MAX_TEXT].strip()
    return [part.strip() for part in text.split(",")] if text else []


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
