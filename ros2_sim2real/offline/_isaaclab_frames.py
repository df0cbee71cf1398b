"""Frames of an imported policy: its world in the arm's base, its tool at the flange."""

from __future__ import annotations

from typing import Any

from ros2_sim2real.contract import ObservationTerm
from ros2_sim2real.offline._import_env import Env, dig, frame_hint, join
from ros2_sim2real.offline._isaaclab_terms import ObservationReader
from ros2_sim2real.offline.import_overrides import ImportOverrides, flag
from ros2_sim2real.robot import Frame


def read_frame(
    reader: ObservationReader, terms: tuple[ObservationTerm, ...], overrides: ImportOverrides
) -> Frame:
    """Returns the frame of goals and tool, in the base frame of the robot."""
    findings = reader.env.findings
    if overrides.frame is not None:
        findings.understood.append(
            f"policy's frame in the base frame: {_shown(overrides.frame)} (given)"
        )
        return overrides.frame
    if reader.in_world:
        return _world(reader)
    if not _reads_space(terms):
        return Frame()
    if overrides.observation is not None:
        findings.need(
            "the policy's frame in the robot's base frame",
            "frame_position",
            hint=frame_hint(reader.env),
        )
        return Frame()
    findings.assumed.append(
        f"the root link of training is `{reader.arm.spec.base_frame}` of '{reader.arm.spec.name}' "
        f"({flag('frame_position')}, {flag('frame_yaw')})"
    )
    return Frame()


def read_tool(
    reader: ObservationReader, terms: tuple[ObservationTerm, ...], overrides: ImportOverrides
) -> Frame:
    """Returns the policy's tool in the frame of the flange."""
    env, findings = reader.env, reader.env.findings
    if overrides.tool is not None:
        findings.understood.append(
            f"policy's tool in the frame of the flange: {_shown(overrides.tool)} (given)"
        )
        return overrides.tool
    if not _reads_space(terms):
        return Frame()
    if overrides.observation is not None:
        findings.need(
            "the policy's tool in the frame of the flange", "tool_offset", hint=frame_hint(env)
        )
        return Frame()
    stated = _offset(env, reader.tool, overrides)
    body = env.get(f"commands.{reader.commands[0]}.body_name") if reader.commands else None
    findings.assumed.append(
        f"the body {f'`{body}` ' if isinstance(body, str) else ''}of training is the flange of "
        f"'{reader.arm.spec.name}' ({flag('tool_offset')}, {flag('tool_quaternion')})"
    )
    return stated or Frame()


def _world(reader: ObservationReader) -> Frame:
    findings = reader.env.findings
    world = reader.arm.world()
    names = join(f"`{name}`" for name in reader.in_world)
    if world is None:
        findings.need(
            f"the pose of the world in the base frame, in which {names} are", "frame_position"
        )
        return Frame()
    if reader.commands and world != Frame():
        findings.problems.append(
            f"{names} are in the world's frame, the goal is in the base frame: expected one frame"
        )
    findings.understood.append(f"policy's frame in the base frame: {_shown(world)} (`init_state`)")
    return world


def _offset(env: Env, offset: Any, overrides: ImportOverrides) -> Frame | None:
    position = env.numbers(dig(offset, "pos"), 3, "the tool's offset")
    rotation = env.numbers(dig(offset, "rot"), 4, "the tool's rotation")
    if position is None or rotation is None:
        return None
    if overrides.goal_quaternion == "xyzw":
        rotation = (rotation[3], *rotation[:3])
    if not abs(sum(x * x for x in rotation) - 1.0) <= 1e-3:
        env.findings.problems.append("the tool's rotation in env.yaml is no unit quaternion")
        return None
    return Frame.model_validate({"position": position, "quaternion": rotation})


def _shown(frame: Frame) -> str:
    return f"position {list(frame.position)} m, quaternion {list(frame.quaternion)}"


def _reads_space(terms: tuple[ObservationTerm, ...]) -> bool:
    return any(term.source.startswith(("goal_", "tool_")) for term in terms)
