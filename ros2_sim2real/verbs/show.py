"""`sim2real show POLICY`: what a policy file promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.table import Table

from ros2_sim2real.policy.artefact import find_policy, load_artefact
from ros2_sim2real.verbs._output import console, parse, print_json


@dataclass(frozen=True)
class ShowArguments:
    """Verifies a policy file and prints the contract inside it."""

    policy: Annotated[str, tyro.conf.Positional]
    """policy file, or a name within models/policies"""
    json: bool = False
    """print the contract as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Prints the contract."""
    given = parse(
        ShowArguments, argv, prog=prog, example=f"{prog} models/policies/reach-ur5e.onnx"
    )
    artefact = load_artefact(find_policy(given.policy))
    contract = artefact.contract.model_dump(mode="json")
    if given.json:
        print_json({"sha256": artefact.file.sha256, "contract": contract})
        return 0
    table = Table(title=artefact.name, show_header=False)
    for name, value in contract.items():
        rows = value if name == "observation" else [value]
        table.add_row(name, "\n".join(str(row) for row in rows))
    console.print(table)
    return 0
