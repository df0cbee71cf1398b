"""The parts of a contract: observation terms, history, goal, action, chunks, recurrent state."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from ros2_sim2real.config import Schema
from ros2_sim2real.robot import NonNegative, Positive
from ros2_sim2real.signals import Array, frozen

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
# Width of the sources that follow neither the number of joints nor that of the actions.
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
# Kinds that a contract may state and that no backend of this release takes.
UNSUPPORTED = {"velocity": "joint speeds", "effort": "joint torques"}
PerElement = float | tuple[float, ...]
Count = Annotated[int, Field(gt=0)]
# More frames than this at once is a mistake in a file, not a policy.
Depth = Annotated[int, Field(gt=0, le=1000)]


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] <= bounds[1]:  # np.clip would return the upper one for every input
        raise ValueError("[low, high] with low <= high")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_in_order)]


class TermHistory(Schema):
    """The last values of one term, side by side in its place of the observation."""

    length: Depth = Field(description="decisions, the present one included")
    order: Literal["oldest_first", "newest_first"] = "oldest_first"
    fill: Literal["repeat_first", "zeros"] = Field(
        "repeat_first", description="what stands for the time before the episode"
    )
    skip: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="newest decisions left out; 1: the past without the present"
    )


class History(TermHistory):
    """The last whole observations: one after the other, or each term's values side by side."""

    layout: Literal["by_time", "by_term"] = "by_time"


class Bounds(Schema):
    """What a term's elements were in training: between `low` and `high`."""

    kind: Literal["bounds"] = "bounds"
    low: PerElement
    high: PerElement


class Spread(Schema):
    """What a term's elements were in training: about `mean`, by `std`."""

    kind: Literal["spread"] = "spread"
    mean: PerElement
    std: PerElement
    sigmas: Positive = Field(4.0, description="further from the mean than this many std: outside")


class ObservationTerm(Schema):
    """One named part of the observation: `scale * clip(source - offset)`, element by element.

    The order (offset, clip, scale) is Isaac Lab's. Goal and tool quantities are expressed in the
    policy's frame (`PolicyContract.frame`) and concern the policy's tool (`PolicyContract.tool`).
    `width` is that of one moment; `history` multiplies it. `training` is about the value that
    goes in, before any normaliser.
    """

    name: str
    source: Source
    width: Count
    offset: PerElement = 0.0
    clip: Range | None = None
    scale: PerElement = 1.0
    history: TermHistory | None = None
    training: Annotated[Bounds | Spread, Field(discriminator="kind")] | None = Field(
        None, description="range seen in training"
    )

    @model_validator(mode="after")
    def _widths(self) -> ObservationTerm:
        values = {"offset": self.offset, "scale": self.scale}
        if self.training is not None:
            values |= {f"training.{k}": getattr(self.training, k) for k in _ends(self.training)}
        for field, value in values.items():
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

    @property
    def length(self) -> int:
        """Returns how many moments of the term stand in one observation."""
        return 1 if self.history is None else self.history.length


def _ends(training: Bounds | Spread) -> tuple[str, str]:
    return ("low", "high") if isinstance(training, Bounds) else ("mean", "std")


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
    relative_measured: `q + offset + scale a`; integrating: `last target + scale a / rate_hz`,
    where `scale` is a speed [rad/s]; desired_next_state: as absolute, `a` holds positions, then
    velocities, and the positions are the target. velocity [rad/s] and effort [Nm] are
    `offset + scale a`; a contract may say so, but no arm here takes them.
    """

    kind: Literal[
        "absolute",
        "delta_default",
        "relative_measured",
        "integrating",
        "desired_next_state",
        "velocity",
        "effort",
    ]
    scale: PerElement
    offset: PerElement = 0.0
    clip: Range | None = Field(None, description="bounds of the raw action, null: none")
    previous: Literal["raw", "clipped", "scaled"] = Field(
        "raw", description="what the observation's previous action holds"
    )
    max_lead: Positive | None = Field(
        None, description="integrating: the target stays this close to the measured position [rad]"
    )


class Chunk(Schema):
    """One output of the network is a plan of `length` actions, one for each decision to come."""

    length: Depth = Field(description="actions in one output")
    period: Positive = Field(description="time from one action to the next, 1 / rate_hz [s]")
    execute: Depth = Field(description="decisions after which the network is asked again")
    skip: Annotated[int, Field(ge=0)] = Field(
        0, description="first actions left out: they belong to the past when they are known"
    )
    blend: Literal["replace", "exponential", "ensemble"] = Field(
        "replace",
        description="replace: the newest plan; exponential: from the old plan to the new one; "
        "ensemble: mean of all plans for this moment (ACT)",
    )
    weight: NonNegative = Field(
        0.01,
        description="m; exponential: the k-th action (from 1) keeps exp(-m k) of the old plan; "
        "ensemble: weights exp(-m i), i = 0 the oldest plan",
    )

    @model_validator(mode="after")
    def _enough(self) -> Chunk:
        if self.execute > self.length - self.skip:
            raise ValueError(
                f"`execute` of at most length - skip = {self.length - self.skip}, "
                f"got {self.execute}"
            )
        return self


class RecurrentState(Schema):
    """Memory that the graph takes in and gives back; zeros at the start of an episode."""

    input: str
    output: str
    shape: Annotated[tuple[Count, ...], Field(min_length=1, max_length=4)]
    reset: Literal["zeros"] = "zeros"


class Normaliser(Schema):
    """What stands before the graph: `clip((observation - mean) / std)`, on the whole input."""

    mean: tuple[float, ...]
    std: tuple[Positive, ...]
    clip: Range | None = None


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


def per_element(value: PerElement, width: int) -> Array:
    """Returns a scalar or tuple as a read-only array, shape (width,)."""
    return frozen(np.broadcast_to(np.asarray(value, dtype=np.float64), (width,)))
