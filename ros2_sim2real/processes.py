"""Starts the processes of a plan without `ros2 launch`; they end together."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import sys
from typing import TextIO

from honcho.manager import Manager
from honcho.printer import Printer

from ros2_sim2real.bringup import Plan, command_line
from ros2_sim2real.errors import BringupError


def run_plan(plan: Plan, *, output: TextIO | None = None, domain: int | None = None) -> int:
    """Runs a plan until one of its processes ends or a signal comes; returns the exit status.

    Args:
        plan: what to start.
        output: where the processes' lines go, each behind its name; None: standard output.
        domain: ROS_DOMAIN_ID of the processes; None: as in the environment.
    """
    environment = environment_of(plan, domain)
    manager = _Manager(printer=Printer(output=output or sys.stdout))
    for i, node in enumerate(plan.nodes):
        twice = sum(other.executable == node.executable for other in plan.nodes) > 1
        name = f"{node.executable}{i}" if twice else node.executable
        module = f"ros2_sim2real.nodes.{node.executable}"
        command = [sys.executable, "-m", module, *command_line(node, plan.namespace)]
        manager.add_process(name, f"exec {shlex.join(command)}", env=environment)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        manager.loop()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(manager.returncode or 0)


class _Manager(Manager):  # type: ignore[misc]
    """Takes a signal at any time: honcho's own stumbles over processes that are still starting."""

    _asked = False

    def terminate(self) -> None:
        self._asked = True
        if self._all_started():
            super().terminate()

    def _any_stopped(self) -> bool:
        return self._asked or super()._any_stopped()


def run_quietly(plan: Plan, *, domain: int | None = None) -> None:
    """Runs a plan whose backend ends by itself. Raises BringupError with what went wrong."""
    log = io.StringIO()
    code = run_plan(plan, output=log, domain=domain)
    if code:
        raise BringupError(f"the graph ended with status {code}: {_why(log.getvalue())}")


def environment_of(plan: Plan, domain: int | None = None) -> dict[str, str]:
    """Returns the environment of a plan's processes; what the user set is kept."""
    environment = {**os.environ, **plan.missing_environment(), "PYTHONUNBUFFERED": "1"}
    if domain is not None:
        environment["ROS_DOMAIN_ID"] = str(domain)
    return environment


def private_domain() -> int:
    """Returns a ROS domain for a graph that nobody else should hear."""
    given = os.environ.get("ROS_DOMAIN_ID", "")
    return int(given) if given.isdigit() else 10 + os.getpid() % 90


def _why(log: str) -> str:
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in log.splitlines()]
    said = [line.split("|", 1)[-1].strip() for line in lines]
    errors = [line for line in said if re.match(r"\w*(Error|Fault|Mismatch)\b", line)]
    return errors[0] if errors else " / ".join(said[-3:])
