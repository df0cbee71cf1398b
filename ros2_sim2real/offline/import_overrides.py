"""What the user states about a foreign policy: as flags, or all of it in one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ros2_sim2real.config import Schema, load, read_yaml, validate
from ros2_sim2real.contract import History, ObservationTerm, Range
from ros2_sim2real.robot import Frame, Positive, Quaternion, Vector3
from ros2_sim2real.rotations import from_euler
from ros2_sim2real.signals import Array

PerJoint = Annotated[tuple[float, ...], Field(min_length=1)]
ActionKind = Literal["absolute", "delta_default", "relative_measured", "integrating"]


class _Stated(Schema):
    """Everything is optional; what is given replaces what the trainer's file says.

    Where a number per joint is wanted, one number stands for all.
    """

    joints: tuple[str, ...] | None = Field(None, description="joint order of the policy")
    robot_joints: tuple[str, ...] | None = Field(
        None,
        description="joints in the order that the indices of the trainer's file count, where it "
        "holds no names: the motors of the robot's SDK",
    )
    rate_hz: Positive | None = Field(None, description="decisions a second")
    decimation: Annotated[int, Field(gt=0)] | None = Field(
        None, description="physics steps per decision"
    )
    action_kind: ActionKind | None = Field(
        None, description="how raw actions become joint positions"
    )
    action_scale: PerJoint | None = Field(
        None, description="factor on the raw action [rad]; for `integrating` a speed [rad/s]"
    )
    action_offset: PerJoint | None = Field(None, description="added after scaling [rad]")
    action_clip: Range | None = Field(None, description="bounds of the raw action")
    action_previous: Literal["raw", "clipped", "scaled"] | None = Field(
        None, description="what the observation's previous action holds"
    )
    max_lead: Positive | None = Field(
        None, description="integrating: the target stays this close to the measured position [rad]"
    )
    default_pose: PerJoint | None = Field(None, description="pose of the training's resets [rad]")
    stiffness: PerJoint | None = Field(None, description="of the training's servos [Nm/rad]")
    damping: PerJoint | None = Field(None, description="of the training's servos [Nm s/rad]")
    effort_limit: PerJoint | None = Field(None, description="of the training's servos [Nm]")
    goal_kind: Literal["position", "pose"] | None = Field(None, description="what a goal holds")
    goal_quaternion: Literal["wxyz", "xyzw"] | None = Field(
        None, description="order of quaternions in observation and env.yaml"
    )
    goal_x: Range | None = Field(None, description="trained range, in the policy's frame [m]")
    goal_y: Range | None = Field(None, description="trained range, in the policy's frame [m]")
    goal_z: Range | None = Field(None, description="trained range, in the policy's frame [m]")
    goal_roll: Range | None = Field(None, description="trained range [rad]")
    goal_pitch: Range | None = Field(None, description="trained range [rad]")
    goal_yaw: Range | None = Field(None, description="trained range [rad]")
    frame_position: Vector3 | None = Field(
        None, description="origin of the policy's frame in the robot's base frame [m]"
    )
    frame_quaternion: Quaternion | None = Field(None, description="its orientation there, w x y z")
    frame_yaw: float | None = Field(
        None, description="its rotation about z there, in place of a quaternion [rad]"
    )
    tool_offset: Vector3 | None = Field(
        None, description="the policy's tool in the frame of the flange [m]"
    )
    tool_quaternion: Quaternion | None = Field(None, description="its orientation there, w x y z")

    @model_validator(mode="after")
    def _one_orientation(self) -> _Stated:
        if self.frame_yaw is not None and self.frame_quaternion is not None:
            raise ValueError("either frame_yaw or frame_quaternion, got both")
        return self


class ImportOverrides(_Stated):
    """The file of `--contract-overrides`: the flags by name, and the observation's terms."""

    observation: tuple[ObservationTerm, ...] | None = Field(
        None, description="the terms in their order, where env.yaml does not hold them"
    )
    history: History | None = Field(None, description="past observations beside the present one")

    @property
    def frame(self) -> Frame | None:
        """Returns the policy's frame in the base frame, None when nothing is stated about it."""
        if self.frame_yaw is not None:
            return _frame(self.frame_position, _quaternion(from_euler(0.0, 0.0, self.frame_yaw)))
        return _frame(self.frame_position, self.frame_quaternion)

    @property
    def tool(self) -> Frame | None:
        """Returns the policy's tool in the frame of the flange, None when nothing is stated."""
        return _frame(self.tool_offset, self.tool_quaternion)


class ImportFlags(_Stated):
    """The flags of `sim2real import`; a flag wins over the file."""

    contract_overrides: Path | None = Field(
        None, description="YAML file with any of these settings by name, and `observation`"
    )
    observation: Path | None = Field(None, description="YAML file: a list of observation terms")

    def overrides(self) -> ImportOverrides:
        """Returns what files and flags state together. Raises ConfigError."""
        stated: dict[str, Any] = {}
        if self.contract_overrides is not None:
            stated |= load(self.contract_overrides, ImportOverrides).model_dump(exclude_none=True)
        if self.observation is not None:
            stated["observation"] = [t.model_dump() for t in read_terms(self.observation)]
        flags = self.model_dump(exclude_none=True, exclude={"contract_overrides", "observation"})
        if (
            "frame_yaw" in flags or "frame_quaternion" in flags
        ):  # either replaces the file's orientation
            stated.pop("frame_yaw", None)
            stated.pop("frame_quaternion", None)
        return validate({**stated, **flags}, ImportOverrides, where="import flags")


def read_terms(path: Path) -> tuple[ObservationTerm, ...]:
    """Returns the observation terms of a YAML list. Raises ConfigError."""
    data, lines = read_yaml(path)
    shifted = {("observation", *loc): line for loc, line in lines.items()}
    found = validate({"observation": data}, ImportOverrides, where=str(path), lines=shifted)
    return found.observation or ()


def flag(name: str) -> str:
    """Returns the flag of a setting: `action_scale` -> `--action-scale`."""
    if name not in ImportFlags.model_fields:
        raise KeyError(name)
    return "--" + name.replace("_", "-")


def _frame(position: Vector3 | None, quaternion: Quaternion | None) -> Frame | None:
    stated: dict[str, Any] = {}
    if position is not None:
        stated["position"] = position
    if quaternion is not None:
        stated["quaternion"] = quaternion
    return Frame(**stated) if stated else None


def _quaternion(q: Array) -> Quaternion:
    w, x, y, z = map(float, q)
    return w, x, y, z
