"""The arm as data: joints, limits, servos and frames, read from config/robots/*.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from ros2_sim2real import paths
from ros2_sim2real.config import Schema, load
from ros2_sim2real.errors import ConfigError, JointMismatch
from ros2_sim2real.signals import Array, frozen

Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Vector3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)
NOT_KNOWN = "not known"  # a source that begins so belongs to a placeholder
BODY = "body:"  # a tool site that begins so is the origin of a body


class Frame(Schema):
    """Pose of a frame in its parent: position [m], unit quaternion (w, x, y, z)."""

    position: Vector3 = (0.0, 0.0, 0.0)
    quaternion: Quaternion = IDENTITY

    @model_validator(mode="after")
    def _unit(self) -> Frame:
        norm = float(np.linalg.norm(self.quaternion))
        if not abs(norm - 1.0) <= 1e-3:
            raise ValueError(f"a unit quaternion w x y z, this one has norm {norm:.4g}")
        return self


class Joint(Schema):
    """One actuated joint, in the units of its MJCF joint (radians)."""

    name: str
    lower: float = Field(description="end of the mechanical range [rad]")
    upper: float = Field(description="end of the mechanical range [rad]")
    velocity: Positive = Field(description="largest speed of the hardware [rad/s]")
    acceleration: Positive = Field(description="largest acceleration of the hardware [rad/s^2]")
    effort: Positive = Field(description="largest torque of the hardware [Nm]")
    home: float = Field(0.0, description="where the simulated arm starts [rad]")
    stiffness: Positive = Field(
        description="position servo gain when no policy states one [Nm/rad]"
    )
    damping: NonNegative = Field(description="position servo damping [Nm s/rad]")

    @model_validator(mode="after")
    def _ordered(self) -> Joint:
        if not self.lower < self.upper:
            raise ValueError(f"lower < upper, got {self.lower} and {self.upper}")
        if not self.lower <= self.home <= self.upper:
            raise ValueError(f"home within [{self.lower}, {self.upper}], got {self.home}")
        return self


class SafetyMargins(Schema):
    """How far inside the hardware's limits the gate stays. Defaults are those of first motion."""

    position_margin: NonNegative = Field(0.05, description="soft range inside the hard one [rad]")
    velocity_share: Positive = Field(0.5, le=1.0, description="share of the hardware's speed")
    velocity_cap: Positive = Field(1.0, description="no joint faster than this [rad/s]")
    acceleration_share: Positive = Field(0.5, le=1.0, description="share of the acceleration")
    acceleration_cap: Positive = Field(5.0, description="no joint harder than this [rad/s^2]")
    reject_margin: NonNegative = Field(
        0.2, description="beyond the soft range by more: refused [rad]"
    )


class Workspace(Schema):
    """Axis-aligned box in the base frame within which goals make sense [m]."""

    lower: Vector3
    upper: Vector3

    @model_validator(mode="after")
    def _ordered(self) -> Workspace:
        if not all(low <= high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f"lower <= upper on every axis, got {self.lower} and {self.upper}")
        return self


class RobotSpec(Schema):
    """An arm. Everything that is per joint follows the order of `joints`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str
    mjcf: str = Field(
        description="model file: a path, a name within models/mjcf, or robot_descriptions:NAME"
    )
    tool_site: str = Field(
        description="MJCF site at the flange; without one, body:NAME for the origin of a body"
    )
    base_frame: str = Field("base_link", description="name of the frame in which goals are given")
    tool_frame: str = Field("tool0", description="name of the tool's frame on /tf")
    gravity_compensation: bool = Field(
        True, description="the arm's controller carries its own weight, as industrial arms do"
    )
    joints: Annotated[tuple[Joint, ...], Field(min_length=1)]
    extra_joints: tuple[str, ...] = Field(
        (),
        description="joints of the model that are not the robot's, a gripper's for example: "
        "passed over in joint_states, held at their reference in the model",
    )
    safety: SafetyMargins = SafetyMargins()
    workspace: Workspace | None = None
    sources: dict[str, str] = Field(
        description="where the figures come from: kinematics, inertia, limits, servo"
    )

    @model_validator(mode="after")
    def _consistent(self) -> RobotSpec:
        names = [*(j.name for j in self.joints), *self.extra_joints]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"every joint once, twice: {twice}")
        margin = self.safety.position_margin
        for joint in self.joints:  # else the gate would refuse to start, for ever
            low, high = joint.lower + margin, joint.upper - margin
            if not (low < high and low <= joint.home <= high):
                raise ValueError(
                    f"home within the soft range of {joint.name} [{low:.4g}, {high:.4g}], "
                    f"got {joint.home}"
                )
        return self

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Returns the names in our order."""
        return tuple(j.name for j in self.joints)

    @property
    def nq(self) -> int:
        """Returns the number of joints."""
        return len(self.joints)

    @property
    def unknown_sources(self) -> tuple[str, ...]:
        """Returns the entries of `sources` that nobody knows: placeholders of a draft."""
        return tuple(k for k, text in self.sources.items() if text.startswith(NOT_KNOWN))

    @cached_property
    def home(self) -> Array:
        """Returns the start pose, shape (nq,) [rad]."""
        return frozen([j.home for j in self.joints])

    @cached_property
    def limits(self) -> Limits:
        """Returns what the gate enforces: the hardware's limits less the margins."""
        s = self.safety
        return Limits(
            lower=frozen([j.lower + s.position_margin for j in self.joints]),
            upper=frozen([j.upper - s.position_margin for j in self.joints]),
            velocity=frozen(
                [min(s.velocity_share * j.velocity, s.velocity_cap) for j in self.joints]
            ),
            acceleration=frozen(
                [
                    min(s.acceleration_share * j.acceleration, s.acceleration_cap)
                    for j in self.joints
                ]
            ),
            reject_margin=s.reject_margin,
        )

    def mjcf_path(self) -> Path:
        """Returns the model file. Raises ConfigError when there is none."""
        if self.mjcf.startswith(paths.DESCRIPTIONS):
            return paths.described(self.mjcf.removeprefix(paths.DESCRIPTIONS))
        found = paths.find(self.mjcf, folder="models/mjcf", suffixes=(".xml",))
        if found is None:
            raise ConfigError(
                f"robot `{self.name}`",
                [f"`mjcf` got '{self.mjcf}', which is neither a file nor in models/mjcf"],
            )
        return found


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gate keeps, per joint, shape (nq,). Positions are the soft range."""

    lower: Array  # [rad]
    upper: Array  # [rad]
    velocity: Array  # [rad/s]
    acceleration: Array  # [rad/s^2]
    reject_margin: float  # [rad]


def load_robot(name: str) -> RobotSpec:
    """Returns the robot that `name` means: a file, or a name within config/robots.

    Raises:
        ConfigError: there is no such file, or it does not fit the schema.
    """
    path = paths.find(name, folder="config/robots", suffixes=(".yaml",))
    if path is None:
        raise ConfigError(
            f"robot `{name}`",
            [
                "is neither a file nor in config/robots. Known: "
                f"{paths.known('config/robots', '*.yaml')}"
            ],
        )
    return load(path, RobotSpec)


class JointMap:
    """Reorders arrays from someone else's joint order into ours, decided once by name."""

    def __init__(self, *, ours: Sequence[str], theirs: Sequence[str]) -> None:
        """Raises JointMismatch when one of ours is missing or a name of theirs stands twice."""
        listed = list(theirs)
        place = {name: i for i, name in enumerate(listed)}
        missing = [name for name in ours if name not in place]
        if missing:
            raise JointMismatch(
                f"joints {missing} are not among the {len(listed)} received: {listed[:32]}. Check "
                f"`joints` in config/robots/ against `ros2 topic echo --once joint_states`"
            )
        if len(place) < len(listed):
            twice = sorted({name for i, name in enumerate(listed) if place[name] != i})
            raise JointMismatch(
                f"joints {twice[:32]} stand twice among the {len(listed)} received"
            )
        self._index = np.array([place[name] for name in ours], dtype=np.intp)
        self._identity = listed == list(ours)

    def __call__(self, theirs: Array | Sequence[float]) -> Array:
        """Returns the values of our joints, shape (len(ours),)."""
        values = np.asarray(theirs, dtype=np.float64)
        return values if self._identity else np.take(values, self._index)
