"""Every state and command of a simulated run, written once at the end: what the bench reads."""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.errors import ConfigError
from ros2_sim2real.signals import Array, Command, RobotState


class Record:
    """Grows in memory: a minute at 500 Hz is about 25 MB for seven joints."""

    def __init__(self, joints: Sequence[str], rate_hz: float) -> None:
        self._joints = list(joints)
        self._rate = rate_hz
        self._states: list[tuple[int, Array, Array, float, Array]] = []
        self._commands: list[tuple[int, Array, float]] = []

    def state(
        self, state: RobotState, *, truth: RobotState | None = None, wall: float = math.nan
    ) -> None:
        """Takes a state, published at `wall` [s] of any steady clock, and where the arm was."""
        q = state.q if truth is None else truth.q
        self._states.append((state.stamp_ns, state.q, state.dq, wall, q))

    def command(self, command: Command, latency_ns: int | None) -> None:
        """Takes a received command; `latency_ns` since its state was published, if known."""
        self._commands.append(
            (command.stamp_ns, command.q, np.nan if latency_ns is None else latency_ns * 1e-9)
        )

    def run(self) -> Run:
        """Returns what was taken in so far."""
        n = len(self._joints)
        return Run(
            stamp_ns=np.array([s[0] for s in self._states], dtype=np.int64),
            q=np.array([s[1] for s in self._states]).reshape(-1, n),
            dq=np.array([s[2] for s in self._states]).reshape(-1, n),
            command_stamp_ns=np.array([c[0] for c in self._commands], dtype=np.int64),
            command=np.array([c[1] for c in self._commands]).reshape(-1, n),
            latency=np.array([c[2] for c in self._commands], dtype=np.float64),
            wall=np.array([s[3] for s in self._states], dtype=np.float64),
            q_true=np.array([s[4] for s in self._states]).reshape(-1, n),
            joints=tuple(self._joints),
            rate_hz=self._rate,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """A record as read back. Times in seconds from the first state."""

    stamp_ns: NDArray[np.int64]  # (n,)
    q: Array  # (n, nq) [rad]
    dq: Array  # (n, nq) [rad/s]
    command_stamp_ns: NDArray[np.int64]  # (m,)
    command: Array  # (m, nq) [rad]
    latency: Array  # (m,) from publishing the state to receiving its command [s]
    wall: Array  # (n,) when the state was published [s]
    q_true: Array  # (n, nq) where the joints were, whatever the encoders said [rad]
    joints: tuple[str, ...]
    rate_hz: float

    @property
    def t(self) -> Array:
        """Returns the time of every state since the first, (n,) [s]."""
        t: Array = (self.stamp_ns - self.stamp_ns[0]) * 1e-9
        return t


def read_run(path: Path) -> Run:
    """Returns the record at `path`."""
    with np.load(path, allow_pickle=False) as data:
        names = [f.name for f in dataclasses.fields(Run)]
        # a record of before there were worlds: its encoders said the truth
        arrays = {n: data["q" if n == "q_true" and n not in data else n] for n in names}
    arrays["joints"] = tuple(str(name) for name in arrays["joints"])
    arrays["rate_hz"] = float(arrays["rate_hz"])
    return Run(**arrays)


def check_writable(path: str) -> None:
    """Raises ConfigError when no record can be written to `path`: better now than at the end."""
    target = Path(path)
    if target.is_dir() or not os.access(target.parent, os.W_OK | os.X_OK):
        raise ConfigError("record", [f"cannot write {path}: no file can be made there"])


def write_run(run: Run, path: str) -> None:
    """Writes npz; the file is complete or absent. Raises ConfigError when it cannot."""
    arrays = {f.name: np.asarray(getattr(run, f.name)) for f in dataclasses.fields(Run)}
    target = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".npz", delete=False) as file:
            part = Path(file.name)
            try:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                part.replace(target)
            except BaseException:
                part.unlink()
                raise
    except OSError as error:
        raise ConfigError("record", [f"cannot write {path}: {error.strerror}"]) from None
