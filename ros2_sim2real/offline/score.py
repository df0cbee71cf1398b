"""How well a policy reaches goals that it has not seen, and how sure that figure is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.offline.arms import NOMINAL, Randomisation
from ros2_sim2real.offline.environment import Environment, EnvironmentConfig, Observations, Task
from ros2_sim2real.robot import RobotSpec
from ros2_sim2real.signals import Array

Act = Callable[[Observations], NDArray[np.float32]]
TOLERANCE = 0.01  # [m]
REST_S = 0.5


@dataclass(frozen=True, slots=True)
class Score:
    """Figures over `goals` episodes; the error is the largest of the episode's last 0.5 s."""

    goals: int
    reached: int  # within TOLERANCE
    success: float
    interval: tuple[float, float]  # Wilson, 95 %
    error_mm_mean: float
    error_mm_p95: float
    error_mm_max: float


def evaluate_in_core(
    act: Act,
    spec: RobotSpec,
    task: Task,
    environment: EnvironmentConfig,
    *,
    randomisation: Randomisation = NOMINAL,
    goals: int = 1000,
    seeds: Sequence[int] = (1, 2),
) -> Score:
    """Returns how `act` (deterministic) does from drawn starts, `goals` shared by the seeds."""
    count = -(-goals // len(seeds))
    config = environment.model_copy(update={"count": count})
    errors = [
        _errors(
            act,
            Environment(
                spec, task, config, randomisation, rng=np.random.default_rng(seed), stagger=False
            ),
        )
        for seed in seeds
    ]
    return summarise(np.concatenate(errors))


def summarise(errors: Array) -> Score:
    """Returns the figures of final errors [m]."""
    n, reached = len(errors), int(np.count_nonzero(errors < TOLERANCE))
    return Score(
        goals=n,
        reached=reached,
        success=reached / n,
        interval=wilson(reached, n),
        error_mm_mean=float(errors.mean() * 1e3),
        error_mm_p95=float(np.quantile(errors, 0.95) * 1e3),
        error_mm_max=float(errors.max() * 1e3),
    )


def wilson(reached: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Returns Wilson's score interval for `reached` of `n` (Wilson 1927)."""
    p, zz = reached / n, z * z / n
    centre = (p + zz / 2.0) / (1.0 + zz)
    half = z * math.sqrt(p * (1.0 - p) / n + zz / (4.0 * n)) / (1.0 + zz)
    return max(0.0, centre - half), min(1.0, centre + half)


def _errors(act: Act, environment: Environment) -> Array:
    config = environment.config
    rest = max(1, round(REST_S * config.rate_hz))
    worst = np.zeros(config.count)
    for k in range(config.horizon):
        step = environment.step(act(environment.observation))
        if k >= config.horizon - rest:
            worst = np.maximum(worst, step.error)
    return worst
