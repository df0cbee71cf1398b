"""rl_sar's policy folder -> a policy file: `base.yaml` of the robot, `config.yaml` of the policy.

What the keys mean was read from rl_sar (Apache-2.0): every list but `joint_names` is in the
policy's order, whose joint i is `joint_names[joint_mapping[i]]`; a term is scaled, then the whole
observation is clipped to +-clip_obs; the previous action is the clipped one; the target is
`default_dof_pos + action_scale * action`; history is a list of ages, 0 the newest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline._import_env import Env, Findings, join, shown
from ros2_sim2real.offline._import_pipeline import ImportReport, import_network, read_network
from ros2_sim2real.offline._import_terms import Term, refuse_terms, term
from ros2_sim2real.offline.import_draft import Facts, draft
from ros2_sim2real.offline.import_overrides import ImportOverrides
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.offline.tagged_yaml import read_tagged
from ros2_sim2real.robot import load_robot

_LISTS = (
    ("action_scale", "action_scale"),
    ("default_pose", "default_dof_pos"),
    ("stiffness", "rl_kp"),
    ("damping", "rl_kd"),
    ("effort_limit", "torque_limits"),
)


def import_rl_sar(
    policy: Path,
    config: Path,
    *,
    robot: str,
    output: Path,
    base: Path | None = None,
    trust: bool = False,
    stated: ImportOverrides | None = None,
    limits: ChildLimits | None = None,
) -> ImportReport:
    """Writes `output` from a policy of rl_sar, TorchScript or ONNX.

    Args:
        policy: the file that `model_name` means.
        config: policy/<robot>/<config>/config.yaml.
        robot: name or file of the robot.
        output: the policy file to write; on any error it stays as it was.
        base: policy/<robot>/base.yaml, by default where rl_sar looks for it.
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
    read_config(_joined(config, base), facts)
    contract = draft(facts, spec, trainer="rl_sar", where=str(config), source=policy.name)
    contract.check_robot(spec)
    return import_network(
        network, contract, findings, output, spec=spec, trust=trust, limits=limits
    )


def _joined(config: Path, base: Path | None) -> dict[str, Any]:
    """Returns what both files say; the policy's wins."""
    key, own = _only_entry(config)
    depth = len(key.split("/")) - 1  # go2/robot_lab lies one folder below base.yaml
    found = base or config.resolve().parents[min(depth, len(config.resolve().parents) - 1)] / (
        "base.yaml"
    )
    if base is None and not found.is_file():
        return own
    return {**_only_entry(found)[1], **own}


def _only_entry(path: Path) -> tuple[str, dict[str, Any]]:
    data = read_tagged(path)
    entries = [(key, value) for key, value in data.items() if isinstance(value, dict)]
    if len(entries) != 1 or len(data) != 1:
        raise ConversionError(
            f"{path}: has the entries {list(data)[:8]}, expected one mapping by the robot's name "
            "as in rl_sar's base.yaml and config.yaml"
        )
    return entries[0]


def read_config(data: dict[str, Any], facts: Facts) -> None:
    """Fills `facts` from the entries of base.yaml and config.yaml."""
    env = Env(data, facts.findings)
    joints = _joints(env, facts)
    count = len(joints) if joints else _count(env)
    facts.state("joints", joints, "joint_names, joint_mapping")
    dt, decimation = env.number(data.get("dt"), "dt"), data.get("decimation")
    if isinstance(decimation, int) and decimation > 0 and dt is not None and dt > 0.0:
        facts.state("decimation", decimation, "decimation")
        facts.state("rate_hz", _round(1.0 / (dt * decimation)), "dt, decimation")
    for setting, key in _LISTS if count else ():
        facts.state(setting, env.numbers(data.get(key), count, key), key)
    if data.get("wheel_indices"):
        facts.findings.problems.append(
            f"`wheel_indices` is {data['wheel_indices']}: those joints take speeds, expected "
            "joint positions only"
        )
    facts.state("action_kind", "delta_default", "default_dof_pos + action_scale * action")
    facts.state("action_previous", "clipped", "clip_actions")
    facts.state("action_clip", _clip(env, count), "clip_actions_lower, clip_actions_upper")
    if facts.stated.observation is None and count:
        _observation(env, facts, count)
    facts.state("history", _history(env, facts), "observations_history")


def _joints(env: Env, facts: Facts) -> list[str] | None:
    """Returns the policy's joint order: the robot's names, picked by the map."""
    names = facts.stated.robot_joints or env.names(env.get("joint_names"), "joint_names")
    mapping = env.get("joint_mapping")
    if names is None:
        facts.findings.need(
            "`joint_names`, which the indices of `joint_mapping` count", "robot_joints"
        )
        return None
    plain = isinstance(mapping, list) and all(type(i) is int for i in mapping)
    if not plain or sorted(mapping) != list(range(len(names))):
        facts.findings.problems.append(
            f"`joint_mapping` got {shown(mapping)} {str(mapping)[:60]}, expected every index of "
            f"the {len(names)} joints once"
        )
        return None
    return [names[i] for i in mapping]


def _count(env: Env) -> int:
    count = env.get("num_of_dofs")
    return count if isinstance(count, int) and 0 < count <= 1000 else 0


def _clip(env: Env, count: int) -> tuple[float, float] | None:
    keys = ("clip_actions_lower", "clip_actions_upper")
    bounds = [env.numbers(env.get(key), count, key) for key in keys if env.get(key)]
    if len(bounds) != 2 or any(b is None for b in bounds):
        return None
    if any(len(set(b or ())) > 1 for b in bounds):
        env.findings.need("one range of the raw action, the joints' differ", "action_clip")
        return None
    low, high = (float((b or (0.0,))[0]) for b in bounds)
    return low, high


def _observation(env: Env, facts: Facts, count: int) -> None:
    listed = env.names(env.get("observations"), "observations") or ()
    pose = env.numbers(env.get("default_dof_pos"), count, "default_dof_pos")
    limit = env.number(env.get("clip_obs"), "clip_obs")
    scales = {
        "dof_pos": env.number(env.get("dof_pos_scale"), "dof_pos_scale"),
        "dof_vel": env.number(env.get("dof_vel_scale"), "dof_vel_scale"),
        "actions": 1.0,
    }
    unknown = [name for name in listed if name not in scales]
    if unknown:
        refuse_terms(facts.findings, unknown, "observations")
        return
    sources = {
        "dof_pos": "joint_position",
        "dof_vel": "joint_velocity",
        "actions": "previous_action",
    }
    terms: list[Term] = []
    for name in listed:
        scale = scales[name]
        if scale is None or scale <= 0.0:
            facts.findings.problems.append(
                f"`{name}_scale` got {scale}, expected a factor above 0"
            )
            return
        # the file clips what is scaled, a term what is not scaled yet
        clip = (-limit / scale, limit / scale) if limit is not None else None
        offset = pose if name == "dof_pos" else None
        terms.append(term(name, sources[name], count, offset=offset, clip=clip, scale=scale))
    stated, width = env.get("num_observations"), count * len(terms)
    if isinstance(stated, int) and terms and stated != width:
        facts.findings.problems.append(
            f"`num_observations` is {stated}, the terms {join(listed)} add up to {width}"
        )
    facts.state("observation", terms or None, "observations")


def _history(env: Env, facts: Facts) -> dict[str, Any] | None:
    ages, priority = env.get("observations_history"), env.get("observations_history_priority")
    if not ages or facts.stated.history is not None:
        return None
    plain = isinstance(ages, list) and len(ages) <= 1000 and all(type(i) is int for i in ages)
    first = min(ages) if plain else -1
    rising = list(range(first, first + len(ages))) if plain else []
    if first < 0 or ages not in (rising, rising[::-1]) or priority not in (None, "time", "term"):
        facts.findings.problems.append(
            f"`observations_history` got {str(ages)[:60]} by {shown(priority)}, expected ages one "
            "after the other, by 'time' or 'term'"
        )
        return None
    facts.findings.assumed.append(
        "before an episode the history is zeros, as in rl_sar's buffer (`history` in "
        "--contract-overrides)"
    )
    return {
        "length": len(ages),
        "skip": first,
        "order": "newest_first" if ages == rising and len(ages) > 1 else "oldest_first",
        "layout": "by_term" if priority == "term" else "by_time",
        "fill": "zeros",
    }


def _round(rate: float) -> float:
    """A rate that was written as a step with finitely many digits."""
    return float(round(rate)) if abs(rate - round(rate)) < 1e-6 * rate else rate
