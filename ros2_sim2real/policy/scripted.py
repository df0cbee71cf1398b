"""Policies without a network, to try a chain or excite an arm: hold, sine, replay of a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ros2_sim2real.errors import PolicyFileError
from ros2_sim2real.robot import JointMap, RobotSpec
from ros2_sim2real.signals import Array, Goal, Level, RobotState, Status, Target, frozen


class HoldPolicy:
    """Keeps the position in which the arm was first seen."""

    def __init__(self) -> None:
        self._q: Array | None = None

    def reset(self) -> None:
        """Holds the next position instead."""
        self._q = None

    def step(self, state: RobotState, goal: Goal | None) -> Target | None:
        """Returns the position at the start, None while the state is not finite."""
        if not np.isfinite(state.q).all():
            return None
        if self._q is None:
            self._q = frozen(state.q)
        return Target(state.stamp_ns, self._q)

    def status(self) -> Status:
        """Returns OK."""
        return Status(Level.OK, "holding", {})


class SinePolicy:
    """Swings every joint about its start, each at a slightly other frequency, starting at rest."""

    def __init__(
        self, spec: RobotSpec, *, amplitude: float = 0.2, frequency: float = 0.25
    ) -> None:
        """`amplitude` [rad], `frequency` of the first joint [Hz]."""
        self._amplitude = amplitude
        self._omega = 2.0 * math.pi * frequency * (1.0 + 0.1 * np.arange(spec.nq))
        self._lower, self._upper = spec.limits.lower, spec.limits.upper
        self.reset()

    def reset(self) -> None:
        """Starts again about the next position."""
        self._q0: Array | None = None
        self._t0_ns = 0

    def step(self, state: RobotState, goal: Goal | None) -> Target | None:
        """Returns the point on the sines at the state's stamp."""
        if not np.isfinite(state.q).all():
            return None
        if self._q0 is None:
            self._q0, self._t0_ns = frozen(state.q), state.stamp_ns
        t = (state.stamp_ns - self._t0_ns) * 1e-9
        # 1 - cos starts without speed; a plain sine would start with its largest
        swing = 0.5 * self._amplitude * (1.0 - np.cos(self._omega * t))
        return Target(state.stamp_ns, frozen(np.clip(self._q0 + swing, self._lower, self._upper)))

    def status(self) -> Status:
        """Returns OK."""
        return Status(Level.OK, "swinging", {})


class ReplayPolicy:
    """Plays targets from a file: npz with `t` (n,) [s], `q` (n, k) [rad] and `joints` (k,)."""

    def __init__(self, path: Path | str, spec: RobotSpec) -> None:
        """Raises PolicyFileError or JointMismatch."""
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as data:
                t = np.asarray(data["t"], dtype=np.float64)
                q = np.asarray(data["q"], dtype=np.float64)
                names = [str(name) for name in data["joints"].tolist()]
        except Exception as error:  # noqa: BLE001 a damaged archive raises a dozen kinds
            raise PolicyFileError(
                f"{path}: expected an npz with t (n,), q (n, joints) and joints: {error}"
            ) from None
        shaped = t.ndim == 1 and len(t) > 0 and q.shape == (len(t), len(names))
        finite = bool(np.isfinite(t).all() and np.isfinite(q).all())
        if not (shaped and finite and (np.diff(t) > 0).all()):
            raise PolicyFileError(
                f"{path}: got t {t.shape} and q {q.shape} for {len(names)} joints, expected "
                "finite rows with "
                "increasing t"
            )
        reorder = JointMap(ours=spec.joint_names, theirs=names)
        self._t = t - t[0]
        self._q = np.stack([reorder(row) for row in q])
        self.reset()

    def reset(self) -> None:
        """Plays from the start again."""
        self._t0_ns: int | None = None

    def step(self, state: RobotState, goal: Goal | None) -> Target | None:
        """Returns the row in force at the state's stamp; the last one stays."""
        if self._t0_ns is None:
            self._t0_ns = state.stamp_ns
        t = (state.stamp_ns - self._t0_ns) * 1e-9
        row = max(0, int(np.searchsorted(self._t, t + 1e-9, side="right")) - 1)
        return Target(state.stamp_ns, frozen(self._q[row]))

    def status(self) -> Status:
        """Returns OK."""
        return Status(Level.OK, "replaying", {})
