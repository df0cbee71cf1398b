"""`sim2real up SITUATION`: what `ros2 launch` would start, without it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import get_args

from ros2_sim2real.bringup import Arguments, Situation, arguments, plan
from ros2_sim2real.errors import BringupError
from ros2_sim2real.processes import run_plan
from ros2_sim2real.verbs._output import parse


def main(argv: Sequence[str], *, prog: str) -> int:
    """Runs the graph until Ctrl-C or until a process ends."""
    situations = get_args(Situation)
    if not argv or argv[0] not in situations:
        asked = bool(argv) and argv[0] in ("-h", "--help")
        text = f"usage: {prog} {{{','.join(situations)}}} [name:=value …]; see {prog} sim --help"
        if asked:
            sys.stdout.write(text + "\n")
            return 0
        raise BringupError(
            f"expected a situation of {list(situations)}, got {list(argv[:1])}. {text}"
        )
    situation: Situation = "sim" if argv[0] == "sim" else "real"
    args = parse(
        Arguments,
        argv[1:],
        prog=f"{prog} {situation}",
        example=f"{prog} {situation} robot:=ur5e goals:=tour",
        default=arguments(situation, {}),
    )
    planned = plan(args)
    for warning in planned.warnings:
        sys.stderr.write(f"{prog}: warning: {warning}\n")
    return run_plan(planned)
