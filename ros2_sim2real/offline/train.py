"""Trains a reach policy: PPO updates, checkpoints that survive a kill, figures on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ros2_sim2real.config import Schema, validate
from ros2_sim2real.errors import BackendFault, TrainingError
from ros2_sim2real.offline.arms import NOMINAL, Randomisation
from ros2_sim2real.offline.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ros2_sim2real.offline.environment import Environment, EnvironmentConfig
from ros2_sim2real.offline.learner import Count, Learner, PpoConfig
from ros2_sim2real.offline.reach import Reach, ReachConfig
from ros2_sim2real.offline.score import Score, evaluate_in_core
from ros2_sim2real.robot import RobotSpec, load_robot

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

CHECKPOINT = "checkpoint.npz"
BAR = 0.95  # the success whose time is kept


class TrainConfig(Schema):
    """A training run; the same values give the same policy on the same machine."""

    robot: str = Field(description="file, or name within config/robots")
    seed: Annotated[int, Field(ge=0)] = 0
    total_steps: Count = Field(8_000_000, description="decisions of all arms together")
    task: ReachConfig = ReachConfig()
    environment: EnvironmentConfig = EnvironmentConfig()
    randomisation: Randomisation = Randomisation()
    ppo: PpoConfig = PpoConfig()
    checkpoint_every: Count = Field(20, description="updates between two checkpoints")
    evaluate_every: Count = Field(50, description="updates between two short evaluations")
    evaluation_goals: Count = Field(1000, description="goals of the final evaluation")

    @property
    def iterations(self) -> int:
        """Returns the number of updates."""
        return -(-self.total_steps // self.steps_per_iteration)

    @property
    def steps_per_iteration(self) -> int:
        """Returns the decisions between two updates."""
        return self.environment.count * self.ppo.steps


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is, after every update."""

    steps: int
    total: int
    seconds: float  # of training, those before a kill included
    eta_s: float
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a finished run comes to."""

    folder: Path
    steps: int
    seconds: float  # of training, evaluations included
    steps_per_s: float
    seconds_to_95: float | None  # until a short evaluation first reached 95 %
    resumed_at: int  # steps that an earlier process had done
    nominal: Score
    randomised: Score


@dataclass(slots=True)
class Run:
    """A run in memory: its parts, and how far it is."""

    config: TrainConfig
    spec: RobotSpec
    task: Reach
    learner: Learner
    environment: Environment
    iteration: int = 0
    seconds: float = 0.0
    seconds_to_95: float | None = None


def train(
    config: TrainConfig,
    folder: Path,
    progress: Callable[[Progress], None] | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> TrainResult:
    """Trains to the end, from the checkpoint in `folder` if there is one, and evaluates.

    Raises:
        ConfigError: the robot cannot be read.
        TrainingError: the folder holds a run of another configuration, or training diverged; the
            last good checkpoint is kept.
    """
    from torch.utils.tensorboard import SummaryWriter

    run = open_run(config, folder)
    resumed_at = run.iteration * config.steps_per_iteration
    writer = SummaryWriter(str(folder), purge_step=run.iteration)
    try:
        _loop(run, folder, writer, progress or (lambda _: None), clock)
    finally:
        writer.close()
    steps = run.iteration * config.steps_per_iteration
    return TrainResult(
        folder=folder,
        steps=steps,
        seconds=run.seconds,
        steps_per_s=steps / run.seconds if run.seconds else 0.0,
        seconds_to_95=run.seconds_to_95,
        resumed_at=resumed_at,
        nominal=evaluate(run, NOMINAL),
        randomised=evaluate(run, config.randomisation),
    )


def evaluate(run: Run, randomisation: Randomisation, *, goals: int | None = None) -> Score:
    """Returns how the run's policy does on goals of other seeds than the training's."""
    return evaluate_in_core(
        run.learner.act,
        run.spec,
        run.task,
        run.config.environment,
        randomisation=randomisation,
        goals=goals or run.config.evaluation_goals,
        seeds=(1_000_001, 1_000_002),
    )


def open_run(config: TrainConfig, folder: Path) -> Run:
    """Returns the run in `folder` as its checkpoint left it, or a new one."""
    saved = _read(folder / CHECKPOINT, config)
    iteration = saved.iteration if saved else 0
    spec = load_robot(config.robot)
    task = Reach(spec, config.task, config.environment)
    environment = Environment(
        spec,
        task,
        config.environment,
        config.randomisation,
        rng=np.random.default_rng([config.seed, iteration]),
    )
    learner = Learner(config.ppo, environment, seed=config.seed)
    run = Run(config, spec, task, learner, environment)
    if saved:
        learner.load(saved.arrays)
        learner.reseed(config.seed + 7919 * iteration)
        run.iteration, run.seconds = iteration, saved.seconds
        run.seconds_to_95 = saved.seconds_to_95
    return run


def read_config(folder: Path) -> TrainConfig:
    """Returns the configuration of the run in `folder`. Raises TrainingError."""
    path = folder / CHECKPOINT
    return validate(read_checkpoint(path).config, TrainConfig, where=str(path))


def _loop(
    run: Run,
    folder: Path,
    writer: SummaryWriter,
    progress: Callable[[Progress], None],
    clock: Callable[[], float],
) -> None:
    config, kept = run.config, run.iteration
    before, start, first = run.seconds, clock(), run.iteration
    while run.iteration < config.iterations:
        try:
            figures = run.learner.iterate()
        except (TrainingError, BackendFault) as error:
            raise TrainingError(
                f"training stopped in update {run.iteration + 1} of {config.iterations}: {error}. "
                f"{_kept(kept, folder)}; lower `ppo.learning_rate` and train into a new folder"
            ) from None
        run.iteration += 1
        last = run.iteration == config.iterations
        if run.iteration % config.evaluate_every == 0 or last:
            short = evaluate(run, NOMINAL, goals=config.environment.count)
            figures |= {"goals/success": short.success, "goals/error_mm": short.error_mm_mean}
            if short.success >= BAR and run.seconds_to_95 is None:
                run.seconds_to_95 = before + clock() - start
        run.seconds = before + clock() - start
        if run.iteration % config.checkpoint_every == 0 or last:
            _save(run, folder)
            kept = run.iteration
        for name, value in figures.items():
            writer.add_scalar(name, value, run.iteration)
        rate = (run.seconds - before) / (run.iteration - first)
        progress(
            Progress(
                steps=run.iteration * config.steps_per_iteration,
                total=config.iterations * config.steps_per_iteration,
                seconds=run.seconds,
                eta_s=rate * (config.iterations - run.iteration),
                figures=figures,
            )
        )


def _kept(iteration: int, folder: Path) -> str:
    if not iteration:
        return "No checkpoint was written yet"
    return f"The checkpoint of update {iteration} is kept in {folder / CHECKPOINT}"


def _save(run: Run, folder: Path) -> None:
    write_checkpoint(
        Checkpoint(
            config=run.config.model_dump(mode="json"),
            iteration=run.iteration,
            seconds=run.seconds,
            seconds_to_95=run.seconds_to_95,
            arrays=run.learner.state(),
        ),
        folder / CHECKPOINT,
    )


def _read(path: Path, config: TrainConfig) -> Checkpoint | None:
    if not path.exists():
        return None
    saved, ours = read_checkpoint(path), config.model_dump(mode="json")
    differ = sorted(key for key in ours | saved.config if ours.get(key) != saved.config.get(key))
    if differ:
        raise TrainingError(
            f"{path}: is of a run with other values of {differ}. Train into another folder, or "
            "delete it"
        )
    return saved
