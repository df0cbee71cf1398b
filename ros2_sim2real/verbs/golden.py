"""`sim2real golden`: records golden vectors into a policy file that has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ros2_sim2real.errors import ContractError
from ros2_sim2real.offline.golden import rehearse
from ros2_sim2real.offline.onnx_file import write_policy
from ros2_sim2real.policy.artefact import find_policy, load_artefact
from ros2_sim2real.robot import load_robot
from ros2_sim2real.verbs._output import console, parse, print_json


@dataclass(frozen=True)
class GoldenArguments:
    """Rehearses a policy and keeps what it did in its file, for `check` and `parity`.

    The graph answers for itself: later changes of contract, robot file or software are noticed,
    no mistake that is there already. `train` and `import` record them by themselves.
    """

    policy: str
    """policy file, or a name within models/policies"""
    output: Path | None = None
    """where the new file goes; none: in place of the old one"""
    robot: str = ""
    """robot file: a path, or a name within config/robots; empty: the one in the contract"""
    again: bool = False
    """replace golden vectors that are there already"""
    json: bool = False
    """print the figures as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Writes the file and says its new hash."""
    given = parse(GoldenArguments, argv, prog=prog, example=f"{prog} --policy old.onnx")
    path = find_policy(given.policy)
    artefact = load_artefact(path)
    if artefact.golden is not None and not given.again:
        raise ContractError(
            f"{path}: has golden vectors, perhaps of the network that was trained. Give --again "
            "to replace them by the graph's own answers"
        )
    contract, content = artefact.contract, artefact.file.content
    golden = rehearse(content, contract, load_robot(given.robot or contract.robot))
    output = given.output or path
    written = write_policy(content, contract, output, golden=golden)
    if given.json:
        figures = {"output": str(output), "sha256": written.file.sha256, "decisions": len(golden)}
        print_json(figures)
    else:
        console.print(f"{output}: {len(golden)} decisions, sha256 {written.file.sha256}")
    return 0
