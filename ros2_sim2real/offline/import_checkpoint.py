"""Training checkpoints of stable-baselines3 and rsl_rl -> a policy file, the normaliser inside.

Of a checkpoint only tensors are read, and of stable-baselines3's archive the JSON beside them.
What neither holds (robot, rates, terms, gains) comes from an Isaac Lab env.yaml or from flags.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline._checkpoint import Stored, answers, inspect
from ros2_sim2real.offline._checkpoint_facts import (
    AgentFacts,
    read_agent,
    read_normaliser,
    read_spaces,
)
from ros2_sim2real.offline._import_env import Findings
from ros2_sim2real.offline._import_parity import random_rows
from ros2_sim2real.offline._import_pipeline import ImportReport, finish, refuse_if_lacking
from ros2_sim2real.offline.import_draft import Facts, draft
from ros2_sim2real.offline.import_overrides import ImportOverrides
from ros2_sim2real.offline.isaaclab import draft_contract
from ros2_sim2real.offline.mlp_graph import ACTIVATIONS, Mlp, Standardiser
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.offline.tagged_yaml import read_tagged
from ros2_sim2real.offline.torchscript import Converted
from ros2_sim2real.policy.model_file import read_bytes
from ros2_sim2real.robot import RobotSpec, load_robot

_RSL_RL_EPS = 1e-2  # added to the deviation; a default that the checkpoint does not hold


@dataclass(frozen=True, slots=True)
class _Sources:
    """What an import of a checkpoint is given beside it."""

    spec: RobotSpec
    facts: Facts
    env: Path | None
    trainer: str
    policy: Path

    def contract(self) -> PolicyContract:
        """Returns the contract, by env.yaml where there is one."""
        if self.env is None:
            where, source = str(self.policy), self.policy.name
            return draft(self.facts, self.spec, trainer=self.trainer, where=where, source=source)
        settings = self.facts.merged(str(self.env))
        drafted = draft_contract(
            read_tagged(self.env),
            self.spec,
            settings,
            findings=self.facts.findings,
            where=str(self.env),
            policy=self.policy,
        )
        origin = drafted.provenance.model_copy(update={"trainer": self.trainer})
        return drafted.model_copy(update={"provenance": origin})


def import_rsl_rl(
    policy: Path,
    *,
    robot: str,
    output: Path,
    agent: Path | None = None,
    env: Path | None = None,
    activation: str | None = None,
    stated: ImportOverrides | None = None,
    limits: ChildLimits | None = None,
) -> ImportReport:
    """Writes `output` from rsl_rl's `model_*.pt` (1.0 to 5).

    Args:
        policy: the checkpoint.
        robot: name or file of the robot.
        output: the policy file to write; on any error it stays as it was.
        agent: params/agent.yaml of the run: activation and bounds of the action.
        env: params/env.yaml of the run, where Isaac Lab trained it.
        activation: between the layers, where no agent.yaml says it.
        stated: what the user states.
        limits: of the processes that open the checkpoint.

    Raises:
        ConversionError: one line with everything that is missing or cannot be run.
        Sim2RealError: a file cannot be read, or the contract does not fit the robot.
    """
    content = _archive(policy)
    stored = inspect(content, "rsl_rl", where=str(policy), limits=limits)
    facts = Facts(stated or ImportOverrides(), Findings())
    said = read_agent(agent, facts) if agent is not None else AgentFacts()
    standardiser = None
    if stored.mean is not None and stored.std is not None:
        standardiser = Standardiser(stored.mean, stored.std + np.float32(_RSL_RL_EPS))
        facts.findings.assumed.append(
            f"rsl_rl's normaliser adds {_RSL_RL_EPS:g} to the deviation, its default"
        )
    elif said.normalised:
        facts.findings.problems.append(
            f"`{said.normalised}` of agent.yaml is true, the checkpoint has no normaliser: it "
            "belongs to another run"
        )
    chosen = _activation(activation, said.activation, facts.findings)
    sources = _Sources(load_robot(robot), facts, env, "rsl_rl", policy)
    network = Mlp(stored.layers, chosen, standardiser)
    return _finish(network, content, stored, sources, output, limits)


def import_sb3(
    policy: Path,
    *,
    robot: str,
    output: Path,
    normaliser: str | None = None,
    env: Path | None = None,
    activation: str | None = None,
    stated: ImportOverrides | None = None,
    limits: ChildLimits | None = None,
) -> ImportReport:
    """Writes `output` from a stable-baselines3 archive: PPO, A2C, SAC, TD3 or DDPG with an MLP.

    Args:
        policy: the .zip.
        robot: name or file of the robot.
        output: the policy file to write; on any error it stays as it was.
        normaliser: npz with the statistics of VecNormalize (`mean`, `var`, `epsilon`,
            `clip_obs`), or `none`.
        env: params/env.yaml, where Isaac Lab trained it.
        activation: between the layers, where the archive does not say it.
        stated: what the user states.
        limits: of the processes that open the archive.

    Raises:
        ConversionError: one line with everything that is missing or cannot be run.
        Sim2RealError: a file cannot be read, or the contract does not fit the robot.
    """
    content = _archive(policy)
    stored = inspect(content, "sb3", where=str(policy), limits=limits)
    facts = Facts(stated or ImportOverrides(), Findings())
    spaces = read_spaces(stored, facts)
    standardiser = read_normaliser(normaliser, stored.width, facts.findings)
    chosen = _activation(activation, spaces.activation, facts.findings)
    sources = _Sources(load_robot(robot), facts, env, "stable-baselines3", policy)
    network = Mlp(stored.layers, chosen, standardiser, stored.squash, spaces.bounds)
    return _finish(network, content, stored, sources, output, limits)


def _archive(path: Path) -> bytes:
    """Returns the bytes of a zip archive of weights. Raises ConversionError for anything else."""
    content = read_bytes(path)
    if content[:2] != b"PK":
        raise ConversionError(
            f"{path}: is no zip archive of weights; a bare pickle can run code and is never "
            "opened. Save it again with a torch newer than 1.6"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise ConversionError(f"{path}: is a damaged archive: {error}. Copy it again") from None
    if any("/code/" in name for name in names):
        raise ConversionError(
            f"{path}: is TorchScript, no checkpoint. Use `sim2real import torchscript`"
        )
    return content


def _activation(given: str | None, found: str | None, findings: Findings) -> str:
    """Returns the activation in small letters; one that is not known is asked for."""
    name = (given or found or "").lower()
    if name in ACTIVATIONS:
        findings.understood.append(f"activation {name}{'' if given is None else ' (given)'}")
        return name
    if name:
        findings.problems.append(
            f"the activation `{name[:40]}` is not known here, expected one of "
            f"{', '.join(sorted(ACTIVATIONS))}"
        )
    else:
        findings.need("the activation between the layers", "--activation")
    return "identity"


def _finish(
    network: Mlp,
    content: bytes,
    stored: Stored,
    sources: _Sources,
    output: Path,
    limits: ChildLimits | None,
) -> ImportReport:
    where = str(sources.policy)
    contract = sources.contract()
    refuse_if_lacking(sources.facts.findings, where)
    contract.check_robot(sources.spec)
    if contract.observation_width != network.width:
        listed = ", ".join(f"{t.name} {t.width}" for t in contract.observation)
        raise ConversionError(
            f"{where}: the first layer takes {network.width} numbers, the terms are {listed}, "
            f"{contract.observation_width} together: check --observation"
        )
    rows = random_rows(network.width)
    given = answers(content, stored.kind, network, rows, where=where, limits=limits)
    original = Converted(network.to_onnx(), given)
    findings = sources.facts.findings
    return finish(original, content, contract, rows, findings, output, where, limits, sources.spec)
