"""A drafted robot as YAML: every figure that the model does not state says so on its line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from ros2_sim2real.config import parse_yaml, validate
from ros2_sim2real.dynamics.mjcf import build_model
from ros2_sim2real.errors import ConfigError
from ros2_sim2real.offline.robot_draft import RobotDraft
from ros2_sim2real.offline.robot_figures import Figure
from ros2_sim2real.robot import NOT_KNOWN, RobotSpec

MARK = "NOT IN THE MODEL"
FIELDS = (
    "lower", "upper", "velocity", "acceleration", "effort", "home", "stiffness", "damping"
)  # fmt: skip
# entry of `sources` -> the fields of a joint that it speaks of
SOURCES = {
    "limits": ("lower", "upper"),
    "velocity": ("velocity",),
    "acceleration": ("acceleration",),
    "effort": ("effort",),
    "servo": ("stiffness", "damping"),
    "home": ("home",),
}


def to_yaml(draft: RobotDraft) -> str:
    """Returns the robot file. It loads as it stands; what is marked is for a person to replace."""
    lines = [
        f"# Drafted by `sim2real robot init`. Lines marked {MARK} are placeholders: replace them,",
        "# and the entries of `sources` that say so, before this file meets a physical arm.",
        f"name: {draft.name}",
        f"description: {json.dumps(f'drafted from {Path(draft.mjcf).name}')}",
        f"mjcf: {json.dumps(draft.mjcf)}",
        *(f"# {note}" for note in draft.notes),
        f"tool_site: {json.dumps(draft.tool_site)}",
        f"base_frame: {json.dumps(draft.base_frame)}",
        f"gravity_compensation: true{_comment(draft.compensated)}",
        "",
        "joints:",
    ]
    for joint in draft.joints:
        lines.append(f"  - name: {json.dumps(joint.name)}")
        for field in FIELDS:
            figure: Figure = getattr(joint, field)
            lines.append(f"    {field}: {_number(figure.value)}{_comment(figure)}")
    if draft.extra_joints:
        lines += ["", f"extra_joints: {json.dumps(list(draft.extra_joints))}"]
    lines += ["", "sources:"]
    lines += [f"  {key}: {json.dumps(text)}" for key, text in sources(draft).items()]
    return "\n".join(lines) + "\n"


def sources(draft: RobotDraft) -> dict[str, str]:
    """Returns where every figure comes from; placeholders begin with `NOT_KNOWN`."""
    out = {"kinematics": "the MJCF", "inertia": "the MJCF"}
    for source, fields in SOURCES.items():
        unknown = [j for j in draft.joints if any(getattr(j, f).why for f in fields)]
        if not unknown:
            out[source] = "the MJCF"
        elif len(unknown) == len(draft.joints):
            out[source] = f"{NOT_KNOWN}, drafted"
        else:
            out[source] = f"{NOT_KNOWN}, drafted, for {', '.join(j.name for j in unknown)}"
    if draft.compensated.why:
        out["gravity_compensation"] = f"{NOT_KNOWN}, drafted"
    return out


def checked(text: str, *, where: str) -> RobotSpec:
    """Returns the robot that `text` describes, after building its model once.

    Raises:
        Sim2RealError: the draft is not a robot that the loader and the simulator accept.
    """
    data, lines = parse_yaml(text.encode(), where=where)
    spec = validate(data, RobotSpec, where=where, lines=lines)
    build_model(spec, timestep=0.002)
    return spec


def write(text: str, path: Path, *, force: bool) -> None:
    """Writes the file complete or not at all. Raises ConfigError."""
    if path.exists() and not force:
        raise ConfigError(str(path), ["exists. Give another name, or --force to replace it"])
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, suffix=path.suffix, delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be written: {error.strerror}"]) from None


def _comment(figure: Figure) -> str:
    return f"  # {MARK}: {figure.why}" if figure.why else ""


def _number(value: float) -> str:
    return repr(round(float(value), 10) + 0.0)
