"""The world in which policies learn: many arms behind the gate, seen and driven by a contract.

What a policy sees, and how its output becomes a target, is computed by the code of deployment
(`policy.observation`, `policy.action`), on arrays with one row per arm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ros2_sim2real.config import Schema
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.dynamics.kinematics import Kinematics, ToolState
from ros2_sim2real.errors import ContractError, RobotModelError
from ros2_sim2real.offline.arms import ArmBatch, Randomisation
from ros2_sim2real.policy.action import ActionDecoder
from ros2_sim2real.policy.observation import Moment, observation_parts
from ros2_sim2real.robot import Frame, NonNegative, Positive, RobotSpec
from ros2_sim2real.signals import Array

Observations = NDArray[np.float32]
# what the arms' sensors and their kinematics give
SEEN = frozenset(
    {
        "joint_position",
        "joint_velocity",
        "previous_action",
        "target_error",
        "goal_position",
        "goal_position_error",
        "tool_position",
    }
)


class EnvironmentConfig(Schema):
    """How many arms, how fast, how long."""

    count: Annotated[int, Field(ge=1)] = Field(256, description="arms stepped together")
    rate_hz: Positive = Field(50.0, description="decisions a second")
    physics_hz: Positive = Field(
        250.0, description="physics steps a second, a multiple of rate_hz"
    )
    episode_s: Positive = Field(4.0, description="time for one goal [s]")
    keep_share: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.5, description="share of the goals that start where the last one ended"
    )
    clearance: NonNegative = Field(0.03, description="what comes this near is near [m]")
    threads: Annotated[int, Field(ge=1)] = Field(2, description="threads that step the physics")

    @model_validator(mode="after")
    def _rates(self) -> EnvironmentConfig:
        ratio = self.physics_hz / self.rate_hz
        if abs(ratio - round(ratio)) > 1e-6 or ratio < 1.0:
            raise ValueError(f"`physics_hz` a multiple of `rate_hz`, got {ratio:.4g} times")
        return self

    @property
    def decimation(self) -> int:
        """Returns the physics steps between two decisions."""
        return round(self.physics_hz / self.rate_hz)

    @property
    def horizon(self) -> int:
        """Returns the decisions for one goal."""
        return max(1, round(self.episode_s * self.rate_hz))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step led to, as it truly is; one row per arm."""

    q: Array  # (count, nq) [rad]
    dq: Array  # (count, nq) [rad/s]
    tool: Array  # (count, 3) [m]
    axis: Array  # (count, 3) direction of the tool's z axis
    near: NDArray[np.bool_]  # (count,) the arm is about to touch itself or the floor
    goal: Array  # (count, 3) [m]
    action: Array  # (count, nu) as the contract keeps it
    action_before: Array  # (count, nu)


@dataclass(frozen=True, slots=True)
class Step:
    """What the learner gets back; where `done`, `observation` is of the next episode."""

    observation: Observations  # (count, nobs)
    reward: Array  # (count,)
    done: NDArray[np.bool_]  # (count,) the time for the goal is over
    error: Array  # (count,) distance from tool to goal before a reset [m]


class Task(Protocol):
    """What the arms are for."""

    contract: PolicyContract

    def goals(self, n: int, rng: np.random.Generator) -> Array:
        """Returns `n` goals in the base frame, (n, 3) [m]."""

    def starts(self, n: int, rng: np.random.Generator) -> Array:
        """Returns `n` start poses, (n, nq) [rad]."""

    def reward(self, outcome: Outcome) -> Array:
        """Returns the reward of a step, (count,)."""


class Environment:
    """Episodes of `horizon` steps; an episode ends by time only."""

    def __init__(
        self,
        spec: RobotSpec,
        task: Task,
        config: EnvironmentConfig,
        randomisation: Randomisation,
        *,
        rng: np.random.Generator,
        stagger: bool = True,
    ) -> None:
        """`stagger` spreads the ends of the first episodes, so that the arms do not reset as one.

        Raises:
            ContractError: the contract reads what is not simulated here, or from another frame.
            RobotModelError: the arm's base stands elsewhere in the world of its MJCF.
        """
        contract = task.contract
        _check(contract, spec)
        self.config = config
        self._task, self._rng = task, rng
        self.arms = ArmBatch(
            spec,
            count=config.count,
            rate_hz=config.rate_hz,
            physics_hz=config.physics_hz,
            randomisation=randomisation,
            threads=config.threads,
            clearance=config.clearance,
            rng=rng,
        )
        _check_base(spec, self.arms)
        self._decoder = ActionDecoder(contract, lower=spec.limits.lower, upper=spec.limits.upper)
        self._parts = observation_parts(contract)
        self._goal = np.zeros((config.count, 3))
        self._elapsed = np.zeros(config.count, dtype=np.int64)
        self.observation: Observations = np.zeros(
            (config.count, contract.observation_width), dtype=np.float32
        )
        self.restart()
        if stagger:
            self._elapsed = rng.integers(0, config.horizon, config.count)

    @property
    def goal(self) -> Array:
        """Returns the goals in the base frame, (count, 3) [m], a copy."""
        return self._goal.copy()

    @property
    def target(self) -> Array:
        """Returns the last targets of the policy, (count, nq) [rad], a copy."""
        return self._decoder.target.copy()

    def restart(self) -> Observations:
        """Starts a new episode from a new pose in every arm."""
        everyone = np.arange(self.config.count)
        self._decoder.reset(self.arms.q)
        self._renew(everyone, everyone)
        return self.observation

    def step(self, action: NDArray[np.floating]) -> Step:
        """Advances every arm by one decision; `action` is the network's raw output (count, nu)."""
        before = self._decoder.previous
        target = self._decoder.decode(np.array(action, dtype=np.float64), self._seen_q)
        self.arms.step(target)
        outcome = Outcome(
            q=self.arms.q,
            dq=self.arms.dq,
            tool=self.arms.tool,
            axis=self.arms.tool_axis,
            near=self.arms.near,
            goal=self._goal,
            action=self._decoder.previous,
            action_before=before,
        )
        reward = self._task.reward(outcome)
        error = np.linalg.norm(outcome.tool - self._goal, axis=1)
        self._elapsed += 1
        done = self._elapsed >= self.config.horizon
        ended = np.flatnonzero(done)
        moved = ended[self._rng.random(len(ended)) >= self.config.keep_share]
        self._renew(ended, moved)
        return Step(self.observation, reward, done, error)

    def _renew(self, ended: NDArray[np.intp], moved: NDArray[np.intp]) -> None:
        """Gives the arms `ended` new goals, puts those of them in `moved` elsewhere, and looks."""
        if len(ended):
            self._goal[ended] = self._task.goals(len(ended), self._rng)
            self._elapsed[ended] = 0
            self.arms.reset(moved, self._task.starts(len(moved), self._rng))
        q, dq, tool = self.arms.measure()
        self._seen_q = q
        # as a policy starts: from where the arm is, having done nothing
        self._decoder.target[moved] = q[moved]
        self._decoder.previous[moved] = 0.0
        moment = Moment(
            q=q,
            dq=dq,
            previous=self._decoder.previous,
            target=self._decoder.target,
            goal_position=self._goal,
            goal_quaternion=_NONE,
            tool=ToolState(
                position=tool, quaternion=_NONE, linear_velocity=_NONE, angular_velocity=_NONE
            ),
        )
        self.observation = np.empty_like(self.observation)
        for read, part, affine in self._parts:
            self.observation[:, part] = affine(read(moment))


_NONE: Array = np.zeros(0)  # no term in SEEN reads it


def _check(contract: PolicyContract, spec: RobotSpec) -> None:
    contract.check_robot(spec)
    unseen = sorted({t.source for t in contract.observation} - SEEN)
    if unseen:
        raise ContractError(f"`observation` reads {unseen}, the environment shows {sorted(SEEN)}")
    if contract.frame != Frame() or contract.tool != Frame():
        raise ContractError("`frame` and `tool` are offset, the environment knows base and flange")
    if contract.joints != spec.joint_names:
        raise ContractError(
            f"`joints` are {list(contract.joints)}, expected the order of '{spec.name}': "
            f"{list(spec.joint_names)}"
        )


def _check_base(spec: RobotSpec, arms: ArmBatch) -> None:
    """A batch gives the tool in the world: true goals in the base frame need both to agree."""
    tool = Kinematics(spec).update(arms.q[0], arms.dq[0]).position
    if not np.allclose(tool, arms.tool[0], atol=1e-6):
        raise RobotModelError(
            f"robot `{spec.name}`: the tool is at {arms.tool[0].round(4)} in the world and at "
            f"{tool.round(4)} in `{spec.base_frame}`. Put the base at the world's origin to train"
        )
