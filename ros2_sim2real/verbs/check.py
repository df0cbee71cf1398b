"""`sim2real check`: the pre-flight, before anything moves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from ros2_sim2real.bringup import arguments, control_rate, default_policy
from ros2_sim2real.check.items import Outcome, Report
from ros2_sim2real.check.static import examine
from ros2_sim2real.policy.load import contract_of
from ros2_sim2real.robot import load_robot
from ros2_sim2real.verbs._output import console, parse, print_json
from ros2_sim2real.worlds import load_world

STYLES: dict[Outcome, str] = {"fail": "red", "warn": "yellow", "pass": ""}


@dataclass(frozen=True)
class CheckArguments:
    """Compares policy, robot file and model, and with --live the running graph.

    Exit status 2 when anything fails; every item says what was found, expected, and what to do.
    """

    policy: str = ""
    """policy file or name, or hold, sine, replay:FILE.npz; empty: the robot's own"""
    robot: str = "ur5e"
    """robot file: a path, or a name within config/robots"""
    goal: str = ""
    """goals that will be asked for: x,y,z;… [m], a JSON file, or tour"""
    world: str = ""
    """world file of the simulation, or a name within config/worlds"""
    rate_hz: float = 0.0
    """control rate, 0: from the policy"""
    live: bool = False
    """also look at the running graph"""
    seconds: float = 3.0
    """how long to look [s]"""
    namespace: str = ""
    """of the graph"""
    strict: bool = False
    """an arm is to move: placeholders of a drafted robot file are failures"""
    json: bool = False
    """print the items as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Prints a table, or JSON."""
    given = parse(
        CheckArguments, argv, prog=prog, example=f"{prog} --robot ur5e --goal 0.4,0.1,0.3 --live"
    )
    arguments("sim", {"namespace": given.namespace})  # its pattern
    report = _report(given)
    if given.json:
        print_json(report.to_dict())
    else:
        _show(report)
    failures = report.of("fail")
    if failures:
        more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        sys.stderr.write(f"{prog}: {' '.join(failures[0].line.split())}{more}\n")
    return 2 if failures else 0


def _report(given: CheckArguments) -> Report:
    spec = load_robot(given.robot)
    load_world(given.world, spec.nq)
    policy = given.policy or default_policy(spec.name)
    report = examine(
        policy, given.robot, goals=given.goal, rate_hz=given.rate_hz, strict=given.strict
    )
    if not given.live:
        return report
    from ros2_sim2real.check.live import judge
    from ros2_sim2real.nodes.probe import look

    contract = None if report.of("fail") else contract_of(policy)
    rate = given.rate_hz or control_rate(contract)
    with console.status(f"looking at the graph for {given.seconds:g} s …"):
        seen = look(given.namespace, seconds=given.seconds)
    return Report((*report.items, *judge(seen, spec, contract, rate_hz=rate)))


def _show(report: Report) -> None:
    counts = ", ".join(f"{len(report.of(s))} {s}" for s in STYLES)
    if len(report.of("pass")) < len(report.items):
        console.print(check_table(report))
    names = ", ".join(dict.fromkeys(item.name for item in report.of("pass")))
    console.print(escape(f"passed: {names}"))
    console.print(counts)


def check_table(report: Report) -> Table:
    """Returns a row per failure and warning."""
    table = Table()
    for heading in ("", "what", "got", "expected", "what to do"):
        table.add_column(heading, overflow="fold")
    for item in (*report.of("fail"), *report.of("warn")):
        row = (item.status, item.name, item.got, item.expected, item.fix)
        table.add_row(*map(escape, row), style=STYLES[item.status])
    return table
