"""The contract of a policy as a whole: its parts fit each other, and they fit a robot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from ros2_sim2real.config import Schema
from ros2_sim2real.contract_terms import (
    FIXED_WIDTH,
    UNSUPPORTED,
    ActionSpec,
    Chunk,
    Count,
    Gains,
    GoalInput,
    History,
    Normaliser,
    ObservationTerm,
    Provenance,
    RecurrentState,
)
from ros2_sim2real.errors import ContractError
from ros2_sim2real.robot import Frame, NonNegative, Positive, RobotSpec
from ros2_sim2real.signals import Array, frozen

MAX_WIDTH = 1_000_000  # observed numbers


class PolicyContract(Schema):
    """Everything that must agree between training and deployment. Joint arrays: policy's order."""

    version: Literal[2] = 2
    units: Literal["SI"] = Field("SI", description="m, rad, s, Nm everywhere; never degrees")
    robot: str
    joints: Annotated[tuple[str, ...], Field(min_length=1)]
    signs: tuple[Literal[-1, 1], ...] | None = Field(
        None, description="-1 where the policy's joint turns the other way round than the robot's"
    )
    observation: Annotated[tuple[ObservationTerm, ...], Field(min_length=1)]
    history: History | None = Field(None, description="of whole observations")
    goal: GoalInput | None = None
    action: ActionSpec
    chunk: Chunk | None = Field(None, description="null: one action per output")
    recurrent: tuple[RecurrentState, ...] = Field((), description="memory of the graph")
    reset_on_goal: bool = Field(
        False, description="a new goal starts an episode: memory, history and plan are forgotten"
    )
    default_pose: tuple[float, ...] = Field(
        description="pose that actions and resets refer to, in the policy's signs [rad]"
    )
    gains: Gains
    rate_hz: Positive = Field(description="decisions a second")
    physics_hz: Positive = Field(description="physics steps a second in training")
    decimation: Count
    delay: NonNegative = Field(
        0.0, description="from measuring to moving, as the policy was trained for [s]"
    )
    frame: Frame = Field(
        Frame(), description="the policy's world frame, in the robot's base frame"
    )
    tool: Frame = Field(Frame(), description="the policy's tool, in the frame of the flange")
    normaliser: Literal["inside", "none"] | Normaliser = Field(
        "none", description="inside the graph, none, or the figures that are applied before it"
    )
    input: str = "obs"
    output: str = "actions"
    provenance: Provenance

    @model_validator(mode="after")
    def _consistent(self) -> PolicyContract:
        n = len(self.joints)
        wrong = [
            f"`{name}` has {count}" + ("" if expected == n else f", expected {expected}")
            for name, count, expected in self._lengths()
            if count != expected
        ]
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

    @model_validator(mode="after")
    def _runnable(self) -> PolicyContract:
        names = [self.input, self.output]
        names += [name for state in self.recurrent for name in (state.input, state.output)]
        if len(set(names)) != len(names):
            raise ValueError(f"every input and output of the graph once, got {names}")
        if self.observation_width > MAX_WIDTH:
            raise ValueError(f"at most {MAX_WIDTH} observed numbers, got {self.observation_width}")
        if self.chunk is None:
            return self
        if not math.isclose(self.chunk.period * self.rate_hz, 1.0, rel_tol=1e-6):
            raise ValueError(
                f"`chunk.period` = 1 / rate_hz = {1.0 / self.rate_hz:.6g}, got {self.chunk.period}"
            )
        if self.action.kind == "relative_measured":
            raise ValueError(
                "no `chunk` with `action.kind` relative_measured: a plan cannot refer to a "
                "position that is not measured yet"
            )
        return self

    def _lengths(self) -> Iterator[tuple[str, int, int]]:
        """Yields what has one number per something: its name, its length, the one expected."""
        n, width = len(self.joints), self.action_width
        yield "default_pose", len(self.default_pose), n
        yield "gains.stiffness", len(self.gains.stiffness), n
        yield "gains.damping", len(self.gains.damping), n
        if self.gains.effort_limit is not None:
            yield "gains.effort_limit", len(self.gains.effort_limit), n
        if self.signs is not None:
            yield "signs", len(self.signs), n
        for field in ("scale", "offset"):
            value = getattr(self.action, field)
            if isinstance(value, tuple):
                yield f"action.{field}", len(value), width
        for term in self.observation:
            if term.source not in FIXED_WIDTH:
                expected = width if term.source == "previous_action" else n
                yield f"observation.{term.name}", term.width, expected
        if isinstance(self.normaliser, Normaliser):
            yield "normaliser.mean", len(self.normaliser.mean), self.observation_width
            yield "normaliser.std", len(self.normaliser.std), self.observation_width

    @property
    def frame_width(self) -> int:
        """Returns how many numbers one moment of all terms has, without any history."""
        return sum(term.width for term in self.observation)

    @property
    def observation_width(self) -> int:
        """Returns the length of the network's input, history included."""
        whole = 1 if self.history is None else self.history.length
        return whole * sum(term.width * term.length for term in self.observation)

    @property
    def action_width(self) -> int:
        """Returns the length of one action of the network."""
        return len(self.joints) * (2 if self.action.kind == "desired_next_state" else 1)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Returns the shape of the network's output: (1, nu), or (1, length, nu) for chunks."""
        chunk = () if self.chunk is None else (self.chunk.length,)
        return (1, *chunk, self.action_width)

    def start_pose(self, spec: RobotSpec) -> Array:
        """Returns `default_pose` as the robot counts, in its order, within the gate's range."""
        by_name = dict(zip(self.joints, self._robot_pose(), strict=True))
        pose = np.array([by_name[name] for name in spec.joint_names])
        return frozen(np.clip(pose, spec.limits.lower, spec.limits.upper))

    def _robot_pose(self) -> tuple[float, ...]:
        signs = self.signs or (1,) * len(self.joints)
        return tuple(sign * q for sign, q in zip(signs, self.default_pose, strict=True))

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
            for name, q in zip(self.joints, self._robot_pose(), strict=True):
                low, high = hard[name]
                if not low <= q <= high:
                    problems.append(
                        f"`default_pose` of {name} is {q:.4g} rad, outside [{low:.4g}, {high:.4g}]"
                    )
        extra = [name for name in spec.joint_names if name not in self.joints]
        if extra:
            problems.append(f"`joints`: the policy does not command {extra} of '{spec.name}'")
        if self.action.kind in UNSUPPORTED:
            problems.append(
                f"`action.kind`: '{self.action.kind}' asks for {UNSUPPORTED[self.action.kind]}, "
                f"'{spec.name}' takes joint positions"
            )
        if problems:
            raise ContractError(
                "; ".join(problems) + ". Use the policy's robot, or re-export the policy"
            )
