"""Isaac Lab's policy and env.yaml -> one policy file of ours: ONNX with a contract inside.

Everything that the contract needs is read from env.yaml, stated by the user, or assumed and said
so; what is missing and matters to safety stops the import and names the flag that supplies it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ros2_sim2real.contract import ObservationTerm, PolicyContract, Provenance
from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline._isaaclab_action import read_action
from ros2_sim2real.offline._isaaclab_env import Env, Findings, join
from ros2_sim2real.offline._isaaclab_frames import read_frame, read_tool
from ros2_sim2real.offline._isaaclab_gains import read_gains
from ros2_sim2real.offline._isaaclab_goal import read_goal
from ros2_sim2real.offline._isaaclab_parity import agree, open_onnx, random_rows
from ros2_sim2real.offline._isaaclab_rates import rates
from ros2_sim2real.offline._isaaclab_robot import Articulation
from ros2_sim2real.offline._isaaclab_terms import ObservationReader
from ros2_sim2real.offline.import_overrides import ImportOverrides, flag
from ros2_sim2real.offline.onnx_file import has_normaliser, with_contract, write_policy
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.offline.tagged_yaml import one_line, read_tagged
from ros2_sim2real.offline.torchscript import convert_torchscript, is_torchscript, require_trust
from ros2_sim2real.policy.artefact import parse_graph
from ros2_sim2real.policy.model_file import read_bytes
from ros2_sim2real.robot import RobotSpec, load_robot


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    output: Path
    contract: PolicyContract
    sha256: str  # of the file written
    understood: tuple[str, ...]  # stands in env.yaml or was stated
    assumed: tuple[str, ...]  # holds for Isaac Lab's own tasks, not stated anywhere
    missing: tuple[str, ...]  # harmless: something stands in for it
    difference: float  # largest, to the original's answers, relative to those above 1


def import_isaaclab(
    policy: Path,
    env: Path,
    *,
    robot: str,
    output: Path,
    trust: bool = False,
    overrides: ImportOverrides | None = None,
    limits: ChildLimits | None = None,
) -> ImportReport:
    """Writes `output` from an Isaac Lab policy (TorchScript or ONNX) and its env.yaml.

    Args:
        policy: exported/policy.pt or policy.onnx.
        env: params/env.yaml of the same run.
        robot: name or file of the arm.
        output: the policy file to write; on any error it stays as it was.
        trust: allows opening TorchScript, which can do whatever the user can.
        overrides: what the user states.
        limits: of the processes that open the policy.

    Raises:
        ConversionError: one line with everything that is missing or cannot be run.
        Sim2RealError: a file cannot be read, or the contract does not fit the robot.
    """
    spec = load_robot(robot)
    content = read_bytes(policy)
    scripted = is_torchscript(content, where=str(policy))
    if scripted:
        require_trust(trust, where=str(policy))
    findings = Findings()
    contract = draft_contract(
        read_tagged(env),
        spec,
        overrides or ImportOverrides(),
        findings=findings,
        where=str(env),
        policy=policy,
    )
    contract.check_robot(spec)
    rows = random_rows(contract.observation_width)
    if scripted:
        original = convert_torchscript(
            content, rows, trust=trust, where=str(policy), limits=limits
        )
    else:
        original = open_onnx(content, contract, rows, str(policy), limits)
    contract = _with_origin(contract, content, original.model, findings, str(policy))
    final = with_contract(original.model, contract, where=str(policy))
    difference = agree(original, final, contract, rows, str(policy), limits)
    written = write_policy(final, contract, output)
    return ImportReport(
        output=output,
        contract=contract,
        sha256=written.file.sha256,
        understood=_lines(findings.understood),
        assumed=_lines(findings.assumed),
        missing=_lines(findings.missing),
        difference=difference,
    )


def draft_contract(
    data: dict[str, Any],
    spec: RobotSpec,
    overrides: ImportOverrides,
    *,
    findings: Findings,
    where: str = "env.yaml",
    policy: Path = Path("policy"),
) -> PolicyContract:
    """Returns the contract that env.yaml and the user state together; fills `findings`.

    Raises:
        ConversionError: one line with everything that is missing or cannot be run.
    """
    env = Env(data, findings)
    arm = Articulation(env, spec, overrides)
    pose = arm.default_pose()
    gains = read_gains(arm)
    timing = rates(env, overrides)
    reader = ObservationReader(arm, pose)
    terms = overrides.observation if overrides.observation is not None else reader.read()
    _check_spaces(env, arm, terms)
    action = read_action(arm, pose, terms)
    goal = read_goal(arm, terms, reader.commands)
    frame, tool = read_frame(reader, terms, overrides), read_tool(reader, terms, overrides)
    refusal = findings.refusal()
    if refusal is not None:
        raise ConversionError(f"{where}: {refusal}")
    try:
        # everything optional above is there by now: what was missing is in the refusal
        return PolicyContract.model_validate(
            {
                "robot": spec.name,
                "joints": arm.joints,
                "observation": terms,
                "goal": goal,
                "action": action,
                "default_pose": pose,
                "gains": gains,
                **(timing._asdict() if timing else {}),
                "frame": frame,
                "tool": tool,
                "provenance": Provenance(trainer="isaaclab", source=policy.name),
            }
        )
    except ValidationError as error:
        problems = dict.fromkeys(e["msg"].removeprefix("Value error, ") for e in error.errors())
        raise ConversionError(
            f"{where}: the contract does not hold together: expected {join(problems)}"
        ) from None


def _lines(found: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(one_line, found)))


def _with_origin(
    contract: PolicyContract, content: bytes, model: bytes, findings: Findings, where: str
) -> PolicyContract:
    normalised = has_normaliser(parse_graph(model, where=where))
    if normalised:
        findings.understood.append("the observation's normaliser is inside the network")
    origin = contract.provenance.model_copy(
        update={"sha256": hashlib.sha256(content).hexdigest(), "notes": _lines(findings.assumed)}
    )
    return contract.model_copy(
        update={"provenance": origin, "normaliser": "inside" if normalised else "none"}
    )


def _check_spaces(env: Env, arm: Articulation, terms: tuple[ObservationTerm, ...]) -> None:
    """Direct environments state the widths of observation and action."""
    joints = len(arm.joints)
    width = sum(term.width for term in terms)
    rows = (
        (
            "observation_space",
            "num_observations",
            width,
            "observation terms add up to",
            "observation",
        ),
        ("action_space", "num_actions", joints, "joints number", "joints"),
    )
    for key, older, got, what, setting in rows:
        stated = env.get(key) if env.get(key) is not None else env.get(older)
        if isinstance(stated, int) and got and stated != got:
            env.findings.problems.append(
                f"`{key}` is {stated}, the {what} {got}: check {flag(setting)}"
            )
