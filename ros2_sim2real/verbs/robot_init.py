"""`sim2real robot init MJCF`: drafts a robot file, and says what it could not know."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ros2_sim2real.offline.robot_draft import RobotDraft, draft
from ros2_sim2real.offline.robot_file import SOURCES, checked, sources, to_yaml, write
from ros2_sim2real.verbs._output import console, parse, print_json


@dataclass(frozen=True)
class InitArguments:
    """Drafts a robot file from an MJCF: joints, limits, servos, tool, start pose.

    What the model does not state gets a conservative placeholder that is marked as one.
    """

    mjcf: Annotated[str, tyro.conf.Positional]
    """model file, or robot_descriptions:NAME"""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """robot file to write; without it the draft goes to standard output"""
    name: str = ""
    """name of the robot; empty: the model's"""
    tool: str = ""
    """MJCF site at the flange, or body:NAME; empty: guessed"""
    force: bool = False
    """replace a file that exists"""
    json: bool = False
    """print what was found, instead of the draft, as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Writes or prints the draft; what is missing goes to standard error."""
    given = parse(
        InitArguments,
        argv,
        prog=prog,
        example=f"{prog} mujoco_menagerie/franka_emika_panda/panda.xml -o panda.yaml",
    )
    found = draft(given.mjcf, name=given.name, tool=given.tool)
    text = to_yaml(found)
    checked(text, where=str(given.output or "draft"))
    if given.output is not None:
        write(text, given.output, force=given.force)
    elif not given.json:
        sys.stdout.write(text)
    if given.json:
        print_json(_figures(found, given.output))
        return 0
    for note in found.notes:
        console.print(f"  {note}", markup=False, soft_wrap=True)
    for field, why in _unknown(found).items():
        console.print(f"  not in the model: {field} ({why})", markup=False, soft_wrap=True)
    if given.output is not None:
        console.print(f"wrote {given.output}: replace what is marked in it", markup=False)
    return 0


def _unknown(found: RobotDraft) -> dict[str, str]:
    """Returns the fields that somebody has to fill in, each with the first reason."""
    out: dict[str, str] = {}
    for field in (f for fields in SOURCES.values() for f in fields):
        names = found.missing(field)
        if names:
            why = next(getattr(j, field).why for j in found.joints if j.name == names[0])
            whom = "every joint" if len(names) == len(found.joints) else ", ".join(names)
            out[field] = f"{whom}: {why}"
    if found.compensated.why:
        out["gravity_compensation"] = found.compensated.why
    return out


def _figures(found: RobotDraft, output: Path | None) -> dict[str, object]:
    return {
        "output": None if output is None else str(output),
        "name": found.name,
        "tool_site": found.tool_site,
        "base_frame": found.base_frame,
        "joints": [j.name for j in found.joints],
        "extra_joints": list(found.extra_joints),
        "unknown": _unknown(found),
        "sources": sources(found),
        "notes": list(found.notes),
    }
