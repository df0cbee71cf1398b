"""TorchScript alone -> a policy file, with its memory made explicit where it remembers.

unitree_rl_gym and its relatives export nothing beside the network: everything else is stated.
"""

from __future__ import annotations

from pathlib import Path

from ros2_sim2real.offline._import_env import Findings
from ros2_sim2real.offline._import_pipeline import ImportReport, import_network, read_network
from ros2_sim2real.offline.import_draft import Facts, draft
from ros2_sim2real.offline.import_overrides import ImportOverrides
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.robot import load_robot


def import_torchscript(
    policy: Path,
    *,
    robot: str,
    output: Path,
    trust: bool = False,
    stated: ImportOverrides | None = None,
    limits: ChildLimits | None = None,
) -> ImportReport:
    """Writes `output` from TorchScript, or from ONNX without metadata.

    Args:
        policy: the exported network.
        robot: name or file of the robot.
        output: the policy file to write; on any error it stays as it was.
        trust: allows opening TorchScript.
        stated: what the user states: all of the contract.
        limits: of the processes that open the policy.

    Raises:
        ConversionError: one line with everything that is missing or cannot be run.
        Sim2RealError: a file cannot be read, or the contract does not fit the robot.
    """
    spec = load_robot(robot)
    network = read_network(policy, trust=trust)
    findings = Findings()
    facts = Facts(stated or ImportOverrides(), findings)
    contract = draft(facts, spec, trainer="torchscript", where=str(policy), source=policy.name)
    contract.check_robot(spec)
    return import_network(
        network, contract, findings, output, spec=spec, trust=trust, limits=limits
    )
