"""`sim2real evaluate`: a policy to its goals, through the live graph or in one process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table

from ros2_sim2real.backends.record import write_run
from ros2_sim2real.bringup import Arguments, arguments
from ros2_sim2real.offline.evaluate import Evaluation, evaluate
from ros2_sim2real.verbs._output import console, parse, print_json


@dataclass(frozen=True)
class EvaluateArguments:
    """Runs a policy to goals one after the other and prints the remaining distances."""

    robot: str = "ur5e"
    """robot file: a path, or a name within config/robots"""
    policy: str = ""
    """policy file or name; empty: the robot's own"""
    through: Literal["ros", "core"] = "ros"
    """ros: real topics between three processes; core: the same stages in one process"""
    goals: str = "tour"
    """"x,y,z;…" or "x,y,z,qw,qx,qy,qz;…" [m] in the policy's frame, a JSON file, or tour"""
    seconds: float = 10.0
    """time for each goal [s]"""
    tolerance_mm: float = 10.0
    """a goal is reached when the tool ends within it"""
    time: Literal["real", "free", "lockstep"] = "lockstep"
    """clock of the simulation when going through ROS"""
    world: str = ""
    """world file, or a name within config/worlds, of the simulated arm; empty: as modelled"""
    seed: int = 0
    """start of everything random in the simulation"""
    record: str = ""
    """npz file for every state and command"""
    json: bool = False
    """print the figures as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Prints a table, or JSON."""
    given = parse(
        EvaluateArguments,
        argv,
        prog=prog,
        example=f'{prog} --robot ur5e --goals "0.4,0.1,0.3;0.5,-0.2,0.4" --through core',
    )
    args: Arguments = arguments(
        "sim",
        {
            "robot": given.robot,
            "policy": given.policy,
            "goals": given.goals,
            "goal_period": given.seconds,
            "time": given.time,
            "world": given.world,
            "seed": given.seed,
        },
    )
    result = evaluate(args, through=given.through, tolerance_mm=given.tolerance_mm)
    if given.record:
        write_run(result.run, given.record)
    if given.json:
        print_json(result.to_dict())
    else:
        console.print(goal_table(result))
    return 0


def goal_table(result: Evaluation) -> Table:
    """Returns a row per goal."""
    table = Table(
        title=f"{result.reached} of {len(result.goals)} goals within {result.tolerance_mm:g} mm"
    )
    headings = ["goal [m]", "end error [mm]", "time to goal [s]", "nearest [mm]"]
    turns = not all(math.isnan(g.rotation_error_rad) for g in result.goals)
    for heading in [*headings, *(["turn error [rad]"] if turns else [])]:
        table.add_column(heading, justify="right")
    for goal in result.goals:
        row = [
            " ".join(f"{x:.3f}" for x in goal.goal),
            f"{goal.error_mm:.1f}",
            "-" if math.isnan(goal.time_to_goal_s) else f"{goal.time_to_goal_s:.2f}",
            f"{goal.min_error_mm:.1f}",
        ]
        table.add_row(*row, *([f"{goal.rotation_error_rad:.3f}"] if turns else []))
    return table
