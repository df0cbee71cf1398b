"""`sim2real train`: a reach policy by PPO in the simulator, resumable, with its contract."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ros2_sim2real import paths
from ros2_sim2real.config import load
from ros2_sim2real.errors import ConfigError, TrainingError
from ros2_sim2real.verbs._output import console, parse, print_json


@dataclass(frozen=True)
class TrainArguments:
    """Trains a reach policy and exports it as ONNX with its contract.

    A run that was killed goes on from its last checkpoint when the same command is given again.
    TensorBoard reads the run's folder.
    """

    config: Annotated[str, tyro.conf.Positional] = "train_reach_ur5e"
    """training file: a path, or a name within config/offline"""
    out: Path = Path("runs/train")
    """folder of the run: checkpoint, figures, policy"""
    seed: int | None = None
    """in place of the file's"""
    total_steps: int | None = None
    """decisions of all arms together, in place of the file's"""
    export: Path | None = None
    """folder for the policy file; default: the run's"""
    json: bool = False
    """print the figures as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Trains, evaluates, exports."""
    given = parse(
        TrainArguments, argv, prog=prog, example=f"{prog} train_reach_ur5e --out runs/reach"
    )
    try:
        from ros2_sim2real.offline.learner import quiet_threads

        quiet_threads()  # before torch starts its own
        from ros2_sim2real.offline.export import export_policy
        from ros2_sim2real.offline.train import TrainConfig, open_run, train
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"training needs `{error.name}`: pip install 'ros2_sim2real[train]'"
        ) from None
    path = paths.find(given.config, folder="config/offline", suffixes=(".yaml",))
    if path is None:
        known = [n for n in paths.known("config/offline", "*.yaml") if n.startswith("train_")]
        raise ConfigError(
            given.config, [f"is neither a file nor in config/offline. Known: {known}"]
        )
    stated = {"seed": given.seed, "total_steps": given.total_steps}
    config = load(path, TrainConfig).model_copy(
        update={name: value for name, value in stated.items() if value is not None}
    )
    given.out.mkdir(parents=True, exist_ok=True)
    with _progress_bar() as bar:
        task = bar.add_task("training", total=config.total_steps, eta="", success="")
        result = train(
            config,
            given.out,
            lambda p: bar.update(
                task,
                completed=p.steps,
                total=p.total,
                eta=f"{p.eta_s:.0f} s left",
                success=_success(p.figures, bar.tasks[0].fields["success"]),
            ),
        )
    exported = export_policy(
        open_run(config, given.out),
        given.export or given.out,
        date=f"{datetime.datetime.now(tz=datetime.UTC):%Y%m%d}",
        source=path.name,
    )
    if given.json:
        print_json({**asdict(result), "folder": str(result.folder), "policy": str(exported.path)})
        return 0
    for name, score in (("nominal arm", result.nominal), ("randomised arms", result.randomised)):
        low, high = score.interval
        console.print(
            f"{name}: {100 * score.success:.1f} % of {score.goals} goals within 10 mm (95 % "
            "interval "
            f"{100 * low:.1f} to {100 * high:.1f}), error mean {score.error_mm_mean:.1f} mm, "
            f"largest {score.error_mm_max:.1f} mm"
        )
    to_95 = "never" if result.seconds_to_95 is None else f"after {result.seconds_to_95:.0f} s"
    console.print(
        f"{result.seconds:.0f} s, {result.steps_per_s:.0f} steps/s, 95 % within 10 mm {to_95}; "
        "wrote "
        f"{exported.path}: answers as torch within {exported.difference:.1e}"
    )
    return 0


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
        TextColumn("{task.fields[success]}"),
        console=console,
    )


def _success(figures: dict[str, float], before: str) -> str:
    share = figures.get("goals/success")
    return before if share is None else f"{100 * share:.1f} % of goals within 10 mm"
