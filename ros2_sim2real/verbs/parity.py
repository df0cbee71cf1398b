"""`sim2real parity`: does the deployed policy answer as the trained one did?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from ros2_sim2real.bringup import arguments
from ros2_sim2real.offline.parity import Parity, compare
from ros2_sim2real.policy.artefact import find_policy, load_artefact
from ros2_sim2real.robot import load_robot
from ros2_sim2real.verbs._output import console, parse, print_json


@dataclass(frozen=True)
class ParityArguments:
    """Compares a policy with the golden vectors in its file: graph, deployed object, live graph.

    Exit status 2 when anything is more than 1e-5 away; the first part that is gets named.
    """

    policy: str
    """policy file, or a name within models/policies"""
    robot: str = ""
    """robot file: a path, or a name within config/robots; empty: the one in the contract"""
    reference: Path | None = None
    """npz with answers of the trained network: observation (n, nobs), output (n, nu), zeroed (n,)
    for recurrent ones; with all columns of golden vectors also the whole chain"""
    live: bool = False
    """also run real topics in lockstep and compare with one process, bit for bit"""
    seconds: float = 4.0
    """simulated time of the live run [s]"""
    seed: int = 0
    """start of everything random in the live run"""
    json: bool = False
    """print the figures as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Prints a table, or JSON."""
    given = parse(
        ParityArguments, argv, prog=prog, example=f"{prog} --policy reach-ur5e --live --json"
    )
    path = find_policy(given.policy)
    artefact = load_artefact(path)
    robot = given.robot or artefact.contract.robot
    run = {
        "robot": robot,
        "policy": str(path),
        "time": "lockstep",
        "goal_period": given.seconds / 3.0,
        "stop_after": given.seconds,
        "seed": given.seed,
        "check": "report",  # what differs is what we look for
    }
    result = compare(
        artefact,
        load_robot(robot),
        reference=given.reference,
        live=arguments("sim", run) if given.live else None,  # type: ignore[arg-type]
    )
    if given.json:
        print_json(result.to_dict())
    else:
        console.print(parity_table(result))
    fault = result.fault
    if fault is None:
        return 0
    sys.stderr.write(
        f"{prog}: {fault.where}: `{fault.name}` is {fault.largest:.3g} away from decision "
        f"{fault.row} on, at most {0.0 if fault.where == 'live' else 1e-5:g} is accepted. Compare "
        "this part of the contract with the training, or export the policy again\n"
    )
    return 2


def parity_table(result: Parity) -> Table:
    """Returns a row per observation term and per number of every joint."""
    table = Table(title=f"{result.policy}: {'differs' if result.fault else 'agrees'}")
    for heading in ("where", "part", "largest difference", "from decision"):
        table.add_column(heading)
    for d in result.differences:
        table.add_row(d.where, d.name, f"{d.largest:.3g}", "" if d.agrees else str(d.row))
    return table
