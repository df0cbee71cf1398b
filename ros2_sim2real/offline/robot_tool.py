"""Where the tool of a foreign MJCF is, and which hinges lead there."""

from __future__ import annotations

import re
from pathlib import Path

import mujoco

from ros2_sim2real.errors import RobotModelError
from ros2_sim2real.robot import BODY

# Names that people give to the place where a tool is screwed on, the surest first.
TOOLS = (
    r"attachment(_site)?",
    r"flange|tool0|tool",
    r"gripper_?frame(_link)?|grip_site|pinch(_site)?|tcp|ee(_site|_link|f)?|end_?effector",
    r"right_hand|hand|gripper(_base|_link)?",
)
MIN_JOINTS = 2  # below this the end of a chain is no tool of an arm


def guess_tool(model: mujoco.MjModel, path: Path) -> tuple[str, str]:
    """Returns site or body:NAME at the end of the longest chain, and why it was taken.

    Raises:
        RobotModelError: there is no arm, or more than one to choose from.
    """
    depth = [len(chain_to(model, b)) for b in range(model.nbody)]
    longest = max(depth)
    if longest < MIN_JOINTS:
        raise RobotModelError(
            f"{path}: no chain of {MIN_JOINTS} hinges, expected an arm. Is it a robot without a "
            "base, or an object?"
        )
    sites = [(model.site(i).name, int(model.site_bodyid[i])) for i in range(model.nsite)]
    bodies = [(model.body(b).name, b) for b in range(1, model.nbody)]
    for kind, named in (("site", sites), ("body", bodies)):
        for pattern in TOOLS:
            far = [(n, b) for n, b in named if re.fullmatch(pattern, n.split("/")[-1])]
            far = [(n, b) for n, b in far if depth[b] > longest / 2]
            if len(far) == 1:
                text = f"guessed: the {kind} is named like a tool. Check it, or give --tool"
                return ("" if kind == "site" else BODY) + far[0][0], text
    last = [b for b in range(model.nbody) if depth[b] == longest and model.body(b).name]
    ends = [model.body(b).name for b in last]
    if len({tuple(chain_to(model, b)) for b in last}) != 1:
        raise RobotModelError(
            f"{path}: several chains of {longest} joints end in {ends}. Say which tool "
            "is meant: --tool SITE, or --tool body:NAME"
        )
    text = "guessed: the end of the only long chain. Check it, or give --tool"
    return BODY + model.body(_end(model, last[0])).name, text


def _end(model: mujoco.MjModel, body: int) -> int:
    """Returns the last body that is fixed to `body` in a row, before it branches or moves."""
    while True:
        below = [b for b in range(1, model.nbody) if model.body_parentid[b] == body]
        if len(below) != 1 or model.body_jntnum[below[0]] or not model.body(below[0]).name:
            return body
        body = below[0]


def body_of(model: mujoco.MjModel, site: str, path: Path) -> int:
    """Returns the body of a site, or of body:NAME. Raises RobotModelError."""
    kind, name = ("body", site.removeprefix(BODY)) if site.startswith(BODY) else ("site", site)
    try:
        element = getattr(model, kind)(name)
    except KeyError:
        names = [getattr(model, kind)(i).name for i in range(getattr(model, f"n{kind}"))]
        raise RobotModelError(
            f"{path}: `tool` got '{site}', which is no {kind} of the model; it has {names}"
        ) from None
    return int(element.bodyid[0]) if kind == "site" else int(element.id)


def chain_to(model: mujoco.MjModel, body: int) -> list[int]:
    """Returns the hinges from the world to `body`, root first."""
    out: list[int] = []
    while body:
        first = int(model.body_jntadr[body])
        joints = range(first, first + int(model.body_jntnum[body]))
        hinge = mujoco.mjtJoint.mjJNT_HINGE
        out = [j for j in joints if model.jnt_type[j] == hinge] + out
        body = int(model.body_parentid[body])
    return out
