"""Runs a policy to its goals, through the live graph or in one process, and measures."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ros2_sim2real.backends.record import Run, read_run
from ros2_sim2real.bringup import Arguments, default_policy, plan
from ros2_sim2real.closed_loop import simulate
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.errors import ConfigError
from ros2_sim2real.policy.goals import parse_goals
from ros2_sim2real.policy.load import contract_of
from ros2_sim2real.processes import private_domain, run_quietly
from ros2_sim2real.robot import RobotSpec, load_robot
from ros2_sim2real.rotations import quaternion_multiply, rotation_vector
from ros2_sim2real.signals import Array, Goal

AREA = 0.08  # [m] and
TIGHT = 0.005  # [m] for
DWELL = 10  # policy decisions: the thresholds of the published UR5e hardware study
SETTLED = 0.25  # [s] at the end of a goal over which the final error is averaged


@dataclass(frozen=True, slots=True)
class GoalResult:
    """How one goal went. Distances of the policy's tool from the goal, in its own frame."""

    goal: tuple[float, ...]  # position [m]
    error_mm: float  # at the end
    min_error_mm: float
    rotation_error_rad: float  # at the end; NaN: the goal is a position only
    time_to_goal_s: float  # until it came within the tolerance and stayed there; NaN: never
    area_error_mm: float  # mean over the time within the area; NaN: never there
    in_area: bool
    tight: bool


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The goals one after the other, each from where the last one ended."""

    goals: tuple[GoalResult, ...]
    tolerance_mm: float
    real_time_factor: float  # simulated time over wall time; NaN in one process
    run: Run

    @property
    def reached(self) -> int:
        """Returns how many goals ended within the tolerance."""
        return sum(g.error_mm <= self.tolerance_mm for g in self.goals)

    def to_dict(self) -> dict[str, object]:
        """Returns the figures for `--json`."""
        errors = [round(g.error_mm, 3) for g in self.goals]
        return {
            "error_mm": errors,
            "error_mm_max": max(errors),
            "reached": self.reached,
            "goals": len(self.goals),
            "tolerance_mm": self.tolerance_mm,
            "area": sum(g.in_area for g in self.goals),
            "tight": sum(g.tight for g in self.goals),
            "area_error_mm": [_number(g.area_error_mm) for g in self.goals],
            "min_error_mm": [round(g.min_error_mm, 3) for g in self.goals],
            "rotation_error_rad": [_number(g.rotation_error_rad) for g in self.goals],
            "time_to_goal_s": [_number(g.time_to_goal_s) for g in self.goals],
            "real_time_factor": _number(self.real_time_factor),
        }


def evaluate(
    args: Arguments, *, through: Literal["ros", "core"], tolerance_mm: float = 10.0
) -> Evaluation:
    """Returns how the policy of `args` does on `args.goals`, each for `args.goal_period` seconds.

    Args:
        args: `stop_after` is set from the number of goals.
        through: `ros`: real topics between real processes; `core`: the same stages in one process.
        tolerance_mm: a goal counts as reached within it.

    Raises:
        Sim2RealError: bad robot, policy or goals; the graph failed.
    """
    spec = load_robot(args.robot)
    policy = args.policy or default_policy(spec.name)
    contract = contract_of(policy)
    if contract is None or contract.goal is None:
        raise ConfigError(
            "evaluate", [f"policy `{policy}` takes no goal. Name a trained reach policy"]
        )
    goals = parse_goals(args.goals, contract.goal)
    if not goals:
        raise ConfigError("goals", ['no goals. Write --goals "x,y,z;x,y,z"'])
    args = args.model_copy(update={"stop_after": len(goals) * args.goal_period, "policy": policy})
    run = simulate(args) if through == "core" else run_through_ros(args)
    return judge(run, goals, contract, spec, period=args.goal_period, tolerance_mm=tolerance_mm)


def run_through_ros(args: Arguments) -> Run:
    """Returns the record of a run of the live graph, in a ROS domain of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.npz")
        run_quietly(plan(args.model_copy(update={"record": str(path)})), domain=private_domain())
        return read_run(path)


def judge(
    run: Run,
    goals: list[Goal],
    contract: PolicyContract,
    spec: RobotSpec,
    *,
    period: float,
    tolerance_mm: float,
) -> Evaluation:
    """Returns the figures of a recorded run in which every goal held for `period` seconds."""
    kinematics = Kinematics(spec, frame=contract.frame, tool=contract.tool)
    tools = [kinematics.update(q, dq) for q, dq in zip(run.q_true, run.dq, strict=True)]
    position = np.array([tool.position for tool in tools])
    which = np.minimum((run.t / period + 1e-9).astype(int), len(goals) - 1)
    results = []
    for i, goal in enumerate(goals):
        rows = np.flatnonzero(which == i)
        if not len(rows):
            raise ConfigError("goals", [f"the run ended before goal {i}, at {run.t[-1]:.2f} s"])
        distance = np.linalg.norm(position[rows] - goal.position, axis=1)
        inverse = goal.quaternion * np.array([1.0, -1.0, -1.0, -1.0])
        turn = float("nan")
        if contract.goal is not None and contract.goal.kind == "pose":
            error = rotation_vector(quaternion_multiply(tools[rows[-1]].quaternion, inverse))
            turn = float(np.linalg.norm(error))
        results.append(_result(goal, distance, turn, run, contract, tolerance_mm))
    # from the second state on: the first one waits until everybody has started
    span = float((run.t[-1] - run.t[1]) / (run.wall[-1] - run.wall[1]))
    return Evaluation(tuple(results), tolerance_mm, span, run)


def _result(
    goal: Goal,
    distance: Array,
    turn: float,
    run: Run,
    contract: PolicyContract,
    tolerance_mm: float,
) -> GoalResult:
    settled = max(1, round(SETTLED * run.rate_hz))
    outside = np.flatnonzero(distance > tolerance_mm * 1e-3)
    arrival = 0 if not len(outside) else int(outside[-1]) + 1
    area = distance[distance < AREA]
    dwell = max(1, round(DWELL * run.rate_hz / contract.rate_hz))
    return GoalResult(
        goal=tuple(float(x) for x in goal.position),
        error_mm=float(distance[-settled:].mean()) * 1e3,
        min_error_mm=float(distance.min()) * 1e3,
        rotation_error_rad=turn,
        time_to_goal_s=arrival / run.rate_hz if arrival < len(distance) else float("nan"),
        area_error_mm=float(area.mean()) * 1e3 if len(area) else float("nan"),
        in_area=bool(len(area)),
        tight=_longest(distance < TIGHT) >= dwell,
    )


def _longest(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    longest = count = 0
    for flag in flags:
        count = count + 1 if flag else 0
        longest = max(longest, count)
    return longest


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 3)
