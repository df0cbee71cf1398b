"""A training run on disk: one npz, numbers and one JSON text, whole or not there at all."""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.errors import TrainingError

Arrays = dict[str, NDArray[Any]]
VERSION = 1
_FACTS = "facts"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a later process needs to go on."""

    config: dict[str, Any]  # as JSON has it
    iteration: int  # updates done
    seconds: float  # of training
    seconds_to_95: float | None
    arrays: Arrays  # parameters, normaliser and optimiser, by name


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Writes so that a kill at any moment leaves the old file or the new one."""
    facts = {
        "version": VERSION,
        "config": checkpoint.config,
        "iteration": checkpoint.iteration,
        "seconds": checkpoint.seconds,
        "seconds_to_95": checkpoint.seconds_to_95,
    }
    buffer = io.BytesIO()
    np.savez(
        buffer, allow_pickle=False, **{_FACTS: np.array(json.dumps(facts))}, **checkpoint.arrays
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Returns what `write_checkpoint` wrote. Raises TrainingError for anything else."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            arrays: Arrays = {name: stored[name] for name in stored.files}
        facts = json.loads(str(arrays.pop(_FACTS)))
        if facts["version"] != VERSION:
            raise ValueError(f"version {facts['version']}, this release reads {VERSION}")
        return Checkpoint(
            config=dict(facts["config"]),
            iteration=int(facts["iteration"]),
            seconds=float(facts["seconds"]),
            seconds_to_95=facts["seconds_to_95"],
            arrays=arrays,
        )
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TrainingError(
            f"{path}: is no checkpoint of `sim2real train`: {reason}. Delete it, or train "
            "elsewhere"
        ) from None
