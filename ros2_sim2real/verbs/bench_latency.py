"""`sim2real bench latency`: the graph beside bare relays, the core beside a bare inference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from ros2_sim2real.bench.latency import bench_core, bench_graph
from ros2_sim2real.verbs._output import console, parse, print_json


@dataclass(frozen=True)
class LatencyArguments:
    """Measures what the graph adds to three bare rclpy processes, and what a step costs."""

    robot: str = "ur5e"
    """robot file with a policy in models/policies"""
    policy: str = ""
    """policy file or name; empty: the robot's own"""
    rates: tuple[float, ...] = (100.0, 250.0, 500.0)
    """states a second"""
    seconds: float = 6.0
    """measured time of each run [s]"""
    rounds: int = 3
    """runs of each chain at each rate; the chains take turns"""
    json: bool = False
    """print the figures as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Prints a table, or JSON."""
    given = parse(LatencyArguments, argv, prog=prog, example=f"{prog} --rates 250 --seconds 10")
    with console.status("measuring …") as status:
        rates = bench_graph(
            given.robot,
            given.policy,
            given.rates,
            seconds=given.seconds,
            rounds=given.rounds,
            progress=lambda text: status.update(f"measuring {text}"),
        )
        core = bench_core(given.robot, given.policy)
    load = os.getloadavg()[0]
    if given.json:
        print_json({"rates": rates, "core_step": core, "load_average": round(load, 2)})
        return 0
    table = Table(title="joint_states published -> safety/command received, three processes [us]")
    for heading in ("rate [Hz]", "", "p50", "p99", "p99.9", "commands/s"):
        table.add_column(heading, justify="right")
    for rate, row in rates.items():
        for name in ("ours", "relay"):
            p = row[name]
            count = row["commands_per_s" if name == "ours" else "relay_commands_per_s"]
            table.add_row(
                rate,
                name,
                *(f"{p[k]:.0f}" for k in ("p50_us", "p99_us", "p999_us")),
                f"{count:.1f}",
            )
        ratio = row["ratio"]
        table.add_row(
            "", "ratio", f"{ratio['p50']:.2f}", f"{ratio['p99']:.2f}", "", "", end_section=True
        )
    console.print(table)
    console.print(
        f"one step in one process: p50 {core['p50_us']:.0f} us, p99 {core['p99_us']:.0f} us; "
        "bare onnxruntime call "
        f"p50 {core['onnxruntime_p50_us']:.0f} us; load average {load:.2f}"
    )
    return 0
