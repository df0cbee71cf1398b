"""Isaac Lab's policy and env.yaml -> one policy file of ours: ONNX with a contract inside.

Everything that the contract needs is read from env.yaml, stated by the user, or assumed and said
so; what is missing and matters to safety stops the import and names the flag that supplies it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ros2_sim2real.contract import ObservationTerm, PolicyContract, Provenance
from ros2_sim2real.offline._import_env import Env, Findings
from ros2_sim2real.offline._import_pipeline import (
    ImportReport,
    assemble,
    import_network,
    read_network,
    refuse_if_lacking,
)
from ros2_sim2real.offline._isaaclab_action import read_action
from ros2_sim2real.offline._isaaclab_frames import read_frame, read_tool
from ros2_sim2real.offline._isaaclab_gains import read_gains
from ros2_sim2real.offline._isaaclab_goal import read_goal
from ros2_sim2real.offline._isaaclab_rates import rates
from ros2_sim2real.offline._isaaclab_robot import Articulation
from ros2_sim2real.offline._isaaclab_terms import ObservationReader
from ros2_sim2real.offline.import_overrides import ImportOverrides, flag
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.offline.tagged_yaml import read_tagged
from ros2_sim2real.robot import RobotSpec, load_robot


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
    network = read_network(policy, trust=trust)
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
    return import_network(
        network, contract, findings, output, spec=spec, trust=trust, limits=limits
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
    refuse_if_lacking(findings, where)
    return assemble(
        {
            "robot": spec.name,
            "joints": arm.joints,
            "observation": terms,
            "history": overrides.history,
            "goal": goal,
            "action": action,
            "default_pose": pose,
            "gains": gains,
            **(timing._asdict() if timing else {}),
            "frame": frame,
            "tool": tool,
            "provenance": Provenance(trainer="isaaclab", source=policy.name),
        },
        where,
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
