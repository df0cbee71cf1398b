"""What a second arm costs the first: latency of one, of two side by side, of both as one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ros2_sim2real.backends.record import read_run
from ros2_sim2real.bench.latency import WARM_UP, Sample, pool, sample
from ros2_sim2real.errors import BringupError
from ros2_sim2real.processes import private_domain


def bench_arms(
    cases: Mapping[str, Sequence[str]],
    *,
    rate_hz: float,
    seconds: float,
    rounds: int,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Any]]:
    """Returns latency and rate per case; the ratio is to the first one. The cases take turns.

    Args:
        cases: name of the case -> robots that run side by side, each in a namespace of its own.
        rate_hz: states a second of every arm.
        seconds: measured time of each run; rounds: runs of each case.
        progress: called with what is being measured.

    Raises:
        BringupError: a graph did not come up.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in cases}
    for i in range(rounds):
        for name, robots in cases.items():
            progress(f"{name}, round {i + 1} of {rounds}")
            samples[name] += _side_by_side(robots, rate_hz=rate_hz, seconds=seconds)
    pooled = {name: pool(found) for name, found in samples.items()}
    first = next(iter(pooled.values())).percentiles()
    return {
        name: {
            **figures.percentiles(),
            "ratio_p99": round(figures.percentiles()["p99_us"] / first["p99_us"], 3),
            "commands_per_s": round(figures.commands_per_s, 1),
        }
        for name, figures in pooled.items()
    }


def _side_by_side(robots: Sequence[str], *, rate_hz: float, seconds: float) -> list[Sample]:
    with tempfile.TemporaryDirectory() as folder:
        records = [Path(folder, f"{i}.npz") for i in range(len(robots))]
        # the arms do not start in the same instant: the last one's warm-up is everybody's
        length = seconds + (1 + len(robots)) * WARM_UP
        arms = [
            subprocess.Popen(
                _command(robot, i, record, rate_hz=rate_hz, length=length),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "ROS_DOMAIN_ID": str(private_domain())},
            )
            for i, (robot, record) in enumerate(zip(robots, records, strict=True))
        ]
        for arm in arms:
            said, _ = arm.communicate(timeout=length + 60.0)
            if arm.returncode:
                raise BringupError(f"an arm ended with status {arm.returncode}: {said[-300:]}")
        return [sample(read_run(record)) for record in records]


def _command(robot: str, i: int, record: Path, *, rate_hz: float, length: float) -> list[str]:
    return [
        *(sys.executable, "-m", "ros2_sim2real.cli", "up", "sim"),
        *(f"robot:={robot}", "policy:=sine", f"rate_hz:={rate_hz}", f"stop_after:={length}"),
        *(f"namespace:=arm{i}", f"record:={record}", f"clock:={'off' if i else 'on'}"),
    ]
