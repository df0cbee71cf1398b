"""What a policy file promises, stored inside the file: exact JSON in the ONNX metadata."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, ValidationError, model_validator

from ros2_sim2real.config import Schema, validate
from ros2_sim2real.errors import ConfigError, ContractError
from ros2_sim2real.robot import Frame, NonNegative, Positive, RobotSpec
from ros2_sim2real.signals import Array, frozen

METADATA_KEY = "ros2_sim2real.contract"
VERSION = 1

Source = Literal[
    "joint_position",
    "joint_velocity",
    "previous_action",
    "goal_position",
    "goal_pose",
    "goal_position_error",
    "goal_rotation_error",
    "tool_position",
    "tool_quaternion",
    "tool_linear_velocity",
    "tool_angular_velocity",
    "target_error",
]
# Width of the sources that do not follow the number of joints.
FIXED_WIDTH: dict[str, int] = {
    "goal_position": 3,
    "goal_pose": 7,
    "goal_position_error": 3,
    "goal_rotation_error": 3,
    "tool_position": 3,
    "tool_quaternion": 4,
    "tool_linear_velocity": 3,
    "tool_angular_velocity": 3,
}
PerElement = float | tuple[float, ...]


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] <= bounds[1]:  # np.clip would return the upper one for every input
        raise ValueError("[low, high] with low <= high")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_in_order)]


class ObservationTerm(Schema):
    """One named part of the observation: `scale * clip(source - offset)`, element by element.

    The order (offset, clip, scale) is Isaac Lab's. Goal and tool quantities are expressed in the
    policy's frame (`PolicyContract.frame`) and concern the policy's tool (`PolicyContract.tool`).
    """

    name: str
    source: Source
    width: Annotated[int, Field(gt=0)]
    offset: PerElement = 0.0
    clip: Range | None = None
    scale: PerElement = 1.0

    @model_validator(mode="after")
    def _widths(self) -> ObservationTerm:
        for field in ("offset", "scale"):
            value = getattr(self, field)
            if isinstance(value, tuple) and len(value) != self.width:
                raise ValueError(
                    f"`{field}` of term `{self.name}` with {self.width} numbers, got {len(value)}"
                )
        fixed = FIXED_WIDTH.get(self.source)
        if fixed is not None and fixed != self.width:
            raise ValueError(
                f"term `{self.name}` of width {fixed} ({self.source}), got {self.width}"
            )
        return self


class GoalInput(Schema):
    """The command that the policy follows, and the range over which it was trained."""

    kind: Literal["position", "pose"]
    quaternion: Literal["wxyz", "xyzw"] = Field("wxyz", description="order inside the observation")
    x: Range
    y: Range
    z: Range
    roll: Range = (0.0, 0.0)
    pitch: Range = (0.0, 0.0)
    yaw: Range = (0.0, 0.0)


class ActionSpec(Schema):
    """How the network's raw output `a` becomes joint positions [rad].

    absolute: `offset + scale a`; delta_default: `default_pose + offset + scale a`;
    relative_measured: `q + scale a`; integrating: `last target + scale a / rate_hz`, where `scale`
    is a speed [rad/s].
    """

    kind: Literal["absolute", "delta_default", "relative_measured", "integrating"]
    scale: PerElement
    offset: PerElement = 0.0
    clip: Range | None = Field(None, description="bounds of the raw action, null: none")
    previous: Literal["raw", "clipped", "scaled"] = Field(
        "raw", description="what the observation's previous action holds"
    )
    max_lead: Positive | None = Field(
        None, description="integrating: the target stays this close to the measured position [rad]"
    )


class Gains(Schema):
    """Servo of the training, per joint: stiffness [Nm/rad], damping [Nm s/rad], effort [Nm]."""

    stiffness: tuple[Positive, ...]
    damping: tuple[NonNegative, ...]
    effort_limit: tuple[Positive, ...] | None = Field(None, description="null: that of the robot")


class Provenance(Schema):
    """Where the file comes from."""

    trainer: str
    source: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()


class PolicyContract(Schema):
    """Everything that must agree between training and deployment. Joint arrays: policy's order."""

    version: Literal[1] = 1
    robot: str
    joints: Annotated[tuple[str, ...], Field(min_length=1)]
    observation: Annotated[tuple[ObservationTerm, ...], Field(min_length=1)]
    goal: GoalInput | None = None
    action: ActionSpec
    default_pose: tuple[float, ...] = Field(
        description="pose that actions and resets refer to [rad]"
    )
    gains: Gains
    rate_hz: Positive = Field(description="decisions a second")
    physics_hz: Positive = Field(description="physics steps a second in training")
    decimation: Annotated[int, Field(gt=0)]
    frame: Frame = Field(
        Frame(), description="the policy's world frame, in the robot's base frame"
    )
    tool: Frame = Field(Frame(), description="the policy's tool, in the frame of the flange")
    normaliser: Literal["inside", "none"] = "none"
    input: str = "obs"
    output: str = "actions"
    provenance: Provenance

    @model_validator(mode="after")
    def _consistent(self) -> PolicyContract:
        n = len(self.joints)
        rows: list[tuple[str, int]] = [
            ("default_pose", len(self.default_pose)),
            ("gains.stiffness", len(self.gains.stiffness)),
            ("gains.damping", len(self.gains.damping)),
        ]
        if self.gains.effort_limit is not None:
            rows.append(("gains.effort_limit", len(self.gains.effort_limit)))
        for field in ("scale", "offset"):
            value = getattr(self.action, field)
            if isinstance(value, tuple):
                rows.append((f"action.{field}", len(value)))
        rows += [
            (f"observation.{term.name}", term.width)
            for term in self.observation
            if term.source not in FIXED_WIDTH
        ]
        wrong = [f"`{name}` has {count}" for name, count in rows if count != n]
        if wrong:
            raise ValueError(f"one number for each of the {n} joints; {', '.join(wrong)}")
        if len(set(self.joints)) != n:
            raise ValueError(f"every joint once, got {list(self.joints)}")
        needs_goal = [t.name for t in self.observation if t.source.startswith("goal_")]
        if needs_goal and self.goal is None:
            raise ValueError(f"`goal` stated, terms {needs_goal} read it")
        if not math.isclose(self.physics_hz / self.decimation, self.rate_hz, rel_tol=1e-6):
            raise ValueError(
                f"physics_hz / decimation = rate_hz, got {self.physics_hz} / {self.decimation} "
                f"and {self.rate_hz}"
            )
        return self

    @property
    def observation_width(self) -> int:
        """Returns the length of the network's input."""
        return sum(term.width for term in self.observation)

    @property
    def action_width(self) -> int:
        """Returns the length of the network's output."""
        return len(self.joints)

    def start_pose(self, spec: RobotSpec) -> Array:
        """Returns `default_pose` in the robot's joint order, within the gate's range [rad]."""
        by_name = dict(zip(self.joints, self.default_pose, strict=True))
        pose = np.array([by_name[name] for name in spec.joint_names])
        return frozen(np.clip(pose, spec.limits.lower, spec.limits.upper))

    def to_json(self) -> str:
        """Returns the exact JSON: every float reads back as the same float."""
        return self.model_dump_json()

    def check_robot(self, spec: RobotSpec) -> None:
        """Raises ContractError that lists everything in which the robot differs from training."""
        problems: list[str] = []
        if self.robot != spec.name:
            problems.append(f"`robot`: trained for '{self.robot}', this is '{spec.name}'")
        missing = [name for name in self.joints if name not in spec.joint_names]
        if missing:
            problems.append(
                f"`joints`: {missing} are not joints of '{spec.name}': {list(spec.joint_names)}"
            )
        else:
            hard = {j.name: (j.lower, j.upper) for j in spec.joints}
            for name, q in zip(self.joints, self.default_pose, strict=True):
                low, high = hard[name]
                if not low <= q <= high:
                    problems.append(
                        f"`default_pose` of {name} is {q:.4g} rad, outside [{low:.4g}, {high:.4g}]"
                    )
        extra = [name for name in spec.joint_names if name not in self.joints]
        if extra:
            problems.append(f"`joints`: the policy does not command {extra} of '{spec.name}'")
        if problems:
            raise ContractError(
                "; ".join(problems) + ". Use the policy's robot, or re-export the policy"
            )


def parse_contract(text: str, *, where: str) -> PolicyContract:
    """Returns the contract in `text`. Raises ContractError that lists every problem."""
    import json

    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractError(
            f"{where}: the contract is not JSON: {error}. Export the policy again"
        ) from None
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ContractError(
            f"{where}: the contract has version {version}, this release reads up to {VERSION}. "
            "Update ros2_sim2real"
        )
    try:
        return validate(data, PolicyContract, where=where)
    except (ConfigError, ValidationError) as error:
        raise ContractError(str(error)) from None


def per_element(value: PerElement, width: int) -> Array:
    """Returns a scalar or tuple as a read-only array, shape (width,)."""
    return frozen(np.broadcast_to(np.asarray(value, dtype=np.float64), (width,)))
