"""`sim2real bench arms`: what a second arm costs the first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from ros2_sim2real.bench.arms import bench_arms
from ros2_sim2real.verbs._output import console, parse, print_json


@dataclass(frozen=True)
class ArmsArguments:
    """Measures one arm, two side by side in two namespaces, and a bimanual robot as one."""

    robot: str = "fr3"
    """robot file of the single arm"""
    bimanual: str = "bimanual_fr3"
    """robot file of two such arms as one robot"""
    rate_hz: float = 250.0
    """states a second of every arm"""
    seconds: float = 5.0
    """measured time of each run [s]"""
    rounds: int = 3
    """runs of each case; the cases take turns"""
    json: bool = False
    """print the figures as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Prints a table, or JSON."""
    given = parse(ArmsArguments, argv, prog=prog, example=f"{prog} --rounds 5")
    cases = {"one": [given.robot], "two": [given.robot, given.robot], "bimanual": [given.bimanual]}
    with console.status("measuring …") as status:
        figures = bench_arms(
            cases,
            rate_hz=given.rate_hz,
            seconds=given.seconds,
            rounds=given.rounds,
            progress=lambda text: status.update(f"measuring {text}"),
        )
    load = os.getloadavg()[0]
    if given.json:
        print_json({"cases": figures, "rate_hz": given.rate_hz, "load_average": round(load, 2)})
        return 0
    table = Table(title=f"joint_states -> safety/command at {given.rate_hz:g} Hz [us]")
    for heading in ("case", "p50", "p99", "p99 to one", "commands/s per arm"):
        table.add_column(heading, justify="right")
    for name, row in figures.items():
        table.add_row(
            *(name, f"{row['p50_us']:.0f}", f"{row['p99_us']:.0f}"),
            *(f"{row['ratio_p99']:.2f}", f"{row['commands_per_s']:.1f}"),
        )
    console.print(table)
    console.print(f"load average {load:.2f}")
    return 0
