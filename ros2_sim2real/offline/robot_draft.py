"""MJCF -> a drafted robot file: what the model says, and what it does not say by name."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from ros2_sim2real import paths
from ros2_sim2real.dynamics.mjcf import read_spec
from ros2_sim2real.errors import RobotModelError
from ros2_sim2real.offline.robot_figures import Figure, Servo, known, missing, servos
from ros2_sim2real.offline.robot_tool import body_of, chain_to, guess_tool

VELOCITY = 0.5  # [rad/s], where the model has none, as no MJCF does
ACCELERATION = 1.0  # [rad/s^2], alike
TURN = round(2.0 * math.pi, 4)  # [rad] either way, where a joint has no end
MARGIN = 0.05  # [rad] that `home` must be clear of the ends


@dataclass(frozen=True, slots=True)
class JointDraft:
    """A joint, each figure with the reason why it is not known, empty where it is."""

    name: str
    lower: Figure
    upper: Figure
    velocity: Figure
    acceleration: Figure
    effort: Figure
    home: Figure
    stiffness: Figure
    damping: Figure


@dataclass(frozen=True, slots=True)
class RobotDraft:
    """What a robot file will say; `notes` are for the person who asked."""

    name: str
    mjcf: str
    tool_site: str
    base_frame: str
    joints: tuple[JointDraft, ...]
    extra_joints: tuple[str, ...]
    compensated: Figure  # 1: bodies of the model carry `gravcomp`
    notes: tuple[str, ...]

    def missing(self, field: str) -> list[str]:
        """Returns the joints whose `field` the model does not state."""
        return [j.name for j in self.joints if getattr(j, field).why]


def draft(source: str, *, name: str = "", tool: str = "") -> RobotDraft:
    """Returns the robot that an MJCF describes.

    Args:
        source: the MJCF: a path, or robot_descriptions:NAME.
        name: of the robot; empty: from the model.
        tool: site at the flange, or body:NAME; empty: guessed, with the reason in the notes.

    Raises:
        Sim2RealError: no such file, or nothing in it that is an arm.
    """
    described = source.startswith(paths.DESCRIPTIONS)
    path = paths.described(source.removeprefix(paths.DESCRIPTIONS)) if described else Path(source)
    if not path.is_file():
        raise RobotModelError(f"{source}: no such file, expected an MJCF. Check the path")
    model_spec = read_spec(path)
    try:
        model = model_spec.compile()
    except ValueError as error:
        said = " ".join(str(error).split())
        raise RobotModelError(f"{path}: does not compile: {said}") from None
    site, why = (tool, "you named it") if tool else guess_tool(model, path)
    chain = chain_to(model, body_of(model, site, path))
    ours, extra, notes = _sort_joints(model, chain, path)
    home, home_notes = _home(model, ours)
    return RobotDraft(
        name=_slug(name or model_spec.modelname or path.stem),
        mjcf=source if described else str(path.resolve()),
        tool_site=site,
        base_frame=_base(model, ours[0]),
        joints=tuple(
            _joint(model, joint, servo, q)
            for joint, servo, q in zip(ours, servos(model, ours), home, strict=True)
        ),
        extra_joints=extra,
        compensated=_compensated(model),
        notes=(f"tool_site: `{site}`, {why}", *notes, *home_notes),
    )


def _sort_joints(
    model: mujoco.MjModel, chain: list[int], path: Path
) -> tuple[list[int], tuple[str, ...], list[str]]:
    """Returns the arm's joints, the names of all others, and what there is to say."""
    driven = {
        int(model.actuator_trnid[a, 0])
        for a in range(model.nu)
        if model.actuator_trntype[a] == mujoco.mjtTrn.mjTRN_JOINT
    }
    ours = [j for j in chain if j in driven] or chain
    others = [j for j in range(model.njnt) if j not in ours]
    nameless = [j for j in range(model.njnt) if not model.joint(j).name]
    if nameless:
        raise RobotModelError(
            f"{path}: a joint has no name (number {nameless} from 0), expected one on each: "
            "joints are matched by name. Add `name=` to them"
        )
    if not ours:
        raise RobotModelError(f"{path}: no hinge between the world and the tool. Give --tool")
    notes = []
    passive = [model.joint(j).name for j in chain if j not in ours]
    if passive:
        notes.append(f"on the way to the tool but without an actuator: {passive}, held still")
    extra = tuple(model.joint(j).name for j in others)
    if extra:
        notes.append(f"extra_joints: {list(extra)} are declared, and held at their reference")
    return ours, extra, notes


def _home(model: mujoco.MjModel, joints: list[int]) -> tuple[list[Figure], list[str]]:
    """Returns a start pose: the keyframe's, else zero, moved into the range where it must be."""
    keys = [model.key(i).name for i in range(model.nkey)]
    key = keys.index("home") if "home" in keys else 0
    pose = model.key_qpos[key] if keys else model.qpos0
    origin = f"the keyframe '{keys[key]}'" if keys else "the model's reference, it has no keyframe"
    out, moved = [], []
    for j in joints:
        q = float(pose[model.jnt_qposadr[j]])
        low, high = _range(model, j)
        if not low + MARGIN <= q <= high - MARGIN:
            moved.append(model.joint(j).name)
            text = f"{origin} has {q:.4g}, at or beyond the end: the middle of the range"
            out.append(missing(0.5 * (low + high), text))
        else:
            out.append(known(q) if keys else missing(q, "no keyframe in the model: reference"))
    notes = [f"home: from {origin}" + (f", except {moved}" if moved else "")]
    return out, notes


def _range(model: mujoco.MjModel, joint: int) -> tuple[float, float]:
    if not model.jnt_limited[joint]:
        return -TURN, TURN
    low, high = model.jnt_range[joint]
    return float(low), float(high)


def _joint(model: mujoco.MjModel, joint: int, servo: Servo, home: Figure) -> JointDraft:
    why = "" if model.jnt_limited[joint] else "no `range`: one turn either way, replace"
    lower, upper = (Figure(v, why) for v in _range(model, joint))
    return JointDraft(
        name=model.joint(joint).name,
        lower=lower,
        upper=upper,
        velocity=missing(VELOCITY, "conservative, replace by the data sheet's"),
        acceleration=missing(ACCELERATION, "conservative, replace by the data sheet's"),
        effort=servo.effort,
        home=home,
        stiffness=servo.stiffness,
        damping=servo.damping,
    )


def _compensated(model: mujoco.MjModel) -> Figure:
    if np.any(model.body_gravcomp > 0.0):
        return known(1.0)
    return missing(1.0, "does the arm's controller carry its weight? Industrial arms do")


def _base(model: mujoco.MjModel, joint: int) -> str:
    """Returns the name of the fixed body that carries the first joint."""
    body = int(model.body_parentid[model.jnt_bodyid[joint]])
    while body and not model.body(body).name:
        body = int(model.body_parentid[body])
    return str(model.body(body).name) if body else "base_link"


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return slug if re.match(r"[a-z]", slug) else f"arm_{slug}".rstrip("_")
