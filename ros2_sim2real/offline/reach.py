"""The reach task: bring the tool to a point and rest there, seen and commanded by a contract."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from ros2_sim2real.config import Schema
from ros2_sim2real.contract import (
    ActionSpec,
    Gains,
    GoalInput,
    ObservationTerm,
    PolicyContract,
    Provenance,
    Source,
)
from ros2_sim2real.errors import TrainingError
from ros2_sim2real.offline.arms import ArmBatch, Ids
from ros2_sim2real.offline.environment import EnvironmentConfig, Outcome
from ros2_sim2real.robot import NonNegative, Positive, RobotSpec, Workspace
from ros2_sim2real.signals import Array

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ReachReward(Schema):
    """Weights of the reward; d is the distance from tool to goal [m]. Penalties are subtracted."""

    distance: NonNegative = Field(1.0, description="penalty on d")
    near: NonNegative = Field(0.5, description="reward exp(-(d / near_width)^2)")
    near_width: Positive = Field(0.05, description="[m]")
    fine: NonNegative = Field(0.5, description="reward exp(-(d / fine_width)^2)")
    fine_width: Positive = Field(0.01, description="[m]")
    action: NonNegative = Field(0.002, description="penalty on the squared action, per joint")
    action_rate: NonNegative = Field(0.01, description="penalty on its squared change, per joint")
    rest: NonNegative = Field(0.2, description="penalty on the squared speed near the goal")
    posture: NonNegative = Field(0.03, description="penalty on the squared distance from home")
    tilt: NonNegative = Field(0.3, description="penalty on 1 - cos of the tool's tilt from home")
    near_touch: NonNegative = Field(1.0, description="penalty on nearly touching anything")
    floor: NonNegative = Field(1.0, description="penalty on a tool below `floor_height`")
    floor_height: NonNegative = Field(0.02, description="[m]")


class ReachConfig(Schema):
    """Where the arm starts, where it is sent, and how it is driven."""

    workspace: Workspace | None = Field(None, description="box of the goals, null: the robot's")
    home_share: Share = Field(0.4, description="share of the starts that are home with noise")
    home_noise: NonNegative = Field(0.1, description="std of that noise [rad]")
    spread: Positive = Field(1.2, description="the other starts are home +- this [rad]")
    goal_spread: Positive = Field(
        1.5, description="goals are reached from within home +- this [rad]"
    )
    lowest: float = Field(0.05, description="starts and goals keep the tool above this [m]")
    max_lead: Positive = Field(0.25, description="the target stays this close to the arm [rad]")
    samples: Annotated[int, Field(ge=1000)] = Field(
        200_000, description="poses tried for the goals"
    )
    voxel: Positive = Field(0.04, description="goals are even over cells of this size [m]")
    reward: ReachReward = ReachReward()


class Reach:
    """Draws starts and goals, and judges steps. Goals are tool positions that some pose takes."""

    def __init__(
        self, spec: RobotSpec, config: ReachConfig, environment: EnvironmentConfig
    ) -> None:
        """Raises TrainingError when no goal lies in the workspace."""
        self._config, self._home = config, spec.home
        self.contract = reach_contract(spec, config, environment)
        # its own seed: the set of goals belongs to the task, not to a run
        rng = np.random.default_rng(0)
        sampler = _Sampler(spec, config, environment, rng)
        self._axis = sampler.home_axis
        q, _ = sampler.poses(config.spread, config.samples // 10)
        self._starts = q
        _, tool = sampler.poses(config.goal_spread, config.samples)
        box = _box(spec, config)
        inside = np.all((tool >= box.lower) & (tool <= box.upper), axis=1)
        if not inside.any():
            raise TrainingError(
                f"no pose within {config.goal_spread} rad of the home pose of '{spec.name}' has "
                f"its tool in the workspace {box.lower} to {box.upper}. Change `workspace`, "
                "`home` or `goal_spread`"
            )
        self._cells = _by_cell(tool[inside], config.voxel)

    def goals(self, n: int, rng: np.random.Generator) -> Array:
        """Returns `n` goals, even over the reachable cells of the workspace, (n, 3) [m]."""
        points, first, size = self._cells
        cell = rng.integers(0, len(first), n)
        goal: Array = points[first[cell] + (rng.random(n) * size[cell]).astype(np.intp)]
        return goal

    def starts(self, n: int, rng: np.random.Generator) -> Array:
        """Returns `n` start poses, home with noise or anywhere around it, (n, nq) [rad]."""
        q = self._starts[rng.integers(0, len(self._starts), n)]
        at_home = rng.random(n) < self._config.home_share
        noise = self._config.home_noise * rng.standard_normal(q.shape)
        return np.where(at_home[:, None], self._home + noise, q)

    def reward(self, outcome: Outcome) -> Array:
        """Returns the reward of a step, (count,)."""
        w = self._config.reward
        d = np.linalg.norm(outcome.tool - outcome.goal, axis=1)
        near = np.exp(-np.square(d / w.near_width))
        below = np.maximum(w.floor_height - outcome.tool[:, 2], 0.0) / max(w.floor_height, 1e-3)
        out: Array = (
            -w.distance * d
            + w.near * near
            + w.fine * np.exp(-np.square(d / w.fine_width))
            - w.action * _square(outcome.action)
            - w.action_rate * _square(outcome.action - outcome.action_before)
            - w.rest * near * _square(outcome.dq)
            - w.posture * _square(outcome.q - self._home)
            - w.tilt * (1.0 - outcome.axis @ self._axis)
            - w.near_touch * outcome.near
            - w.floor * np.minimum(below, 5.0)
        )
        return out


def reach_contract(
    spec: RobotSpec, config: ReachConfig, environment: EnvironmentConfig
) -> PolicyContract:
    """Returns what a reach policy for `spec` sees and commands."""
    box, limits = _box(spec, config), spec.limits
    return PolicyContract(
        robot=spec.name,
        joints=spec.joint_names,
        observation=_terms(spec),
        goal=GoalInput(
            kind="position",
            x=(box.lower[0], box.upper[0]),
            y=(box.lower[1], box.upper[1]),
            z=(box.lower[2], box.upper[2]),
        ),
        action=ActionSpec(
            kind="integrating",
            scale=tuple(map(float, limits.velocity)),
            clip=(-1.0, 1.0),
            previous="clipped",
            max_lead=config.max_lead,
        ),
        default_pose=tuple(map(float, spec.home)),
        gains=Gains(
            stiffness=tuple(j.stiffness for j in spec.joints),
            damping=tuple(j.damping for j in spec.joints),
            effort_limit=tuple(j.effort for j in spec.joints),
        ),
        rate_hz=environment.rate_hz,
        physics_hz=environment.physics_hz,
        decimation=environment.decimation,
        normaliser="inside",
        provenance=Provenance(trainer="sim2real train"),
    )


def _terms(spec: RobotSpec) -> tuple[ObservationTerm, ...]:
    """Returns what a policy sees, each about one in size; the network's normaliser refines it."""
    n, home = spec.nq, tuple(map(float, spec.home))
    error: Source = "goal_position_error"
    return (
        ObservationTerm(name="joint_position", source="joint_position", width=n, offset=home),
        ObservationTerm(name="joint_velocity", source="joint_velocity", width=n),
        ObservationTerm(name="target_error", source="target_error", width=n, scale=10.0),
        ObservationTerm(name="previous_action", source="previous_action", width=n),
        ObservationTerm(name="goal", source="goal_position", width=3),
        ObservationTerm(name="error", source=error, width=3, scale=5.0),
        # the last centimetres, magnified
        ObservationTerm(name="near_error", source=error, width=3, clip=(-0.04, 0.04), scale=40.0),
    )


class _Sampler:
    """Finds poses around home that are near nothing and hold the tool above the floor."""

    def __init__(
        self,
        spec: RobotSpec,
        config: ReachConfig,
        environment: EnvironmentConfig,
        rng: np.random.Generator,
    ) -> None:
        self._spec, self._lowest, self._rng = spec, config.lowest, rng
        self._arms = ArmBatch(
            spec,
            count=1000,
            rate_hz=environment.rate_hz,
            physics_hz=environment.physics_hz,
            threads=environment.threads,
            clearance=environment.clearance,
            rng=rng,
        )
        self.home_axis = self._arms.tool_axis[0]  # a batch starts at home

    def poses(self, spread: float, tries: int) -> tuple[Array, Array]:
        """Returns poses (n, nq) and their tool positions (n, 3), n <= `tries`, at least home."""
        spec, arms = self._spec, self._arms
        lower = np.maximum(spec.home - spread, spec.limits.lower)
        upper = np.minimum(spec.home + spread, spec.limits.upper)
        everyone = np.arange(arms.count)
        arms.reset(everyone, np.tile(spec.home, (arms.count, 1)))
        kept = [(arms.q[:1], arms.tool[:1])]
        for _ in range(-(-tries // arms.count)):
            arms.reset(everyone, self._rng.uniform(lower, upper, (arms.count, spec.nq)))
            tool = arms.tool
            good = (tool[:, 2] > self._lowest) & ~arms.near
            kept.append((arms.q[good], tool[good]))
        return np.concatenate([q for q, _ in kept]), np.concatenate([t for _, t in kept])


def _box(spec: RobotSpec, config: ReachConfig) -> Workspace:
    box = config.workspace or spec.workspace
    if box is None:
        raise TrainingError(f"robot '{spec.name}' states no `workspace`, state one for the task")
    return box


def _by_cell(points: Array, size: float) -> tuple[Array, Ids, Ids]:
    """Returns the points sorted by cell, and each cell's first index and count."""
    cell = np.floor(points / size).astype(np.int64)
    _, inverse = np.unique(cell, axis=0, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    count = np.bincount(inverse)
    return points[order], (np.cumsum(count) - count).astype(np.intp), count.astype(np.intp)


def _square(values: Array) -> Array:
    out: Array = np.einsum("ij,ij->i", values, values)
    return out
