"""The first rung of the ladder: the state follows the command, no physics."""

from __future__ import annotations

import numpy as np

from ros2_sim2real.robot import RobotSpec
from ros2_sim2real.signals import Array, RobotState, frozen


class LoopbackBackend:
    """Measures exactly what was commanded one period ago."""

    def __init__(self, spec: RobotSpec, *, rate_hz: float, start: Array | None = None) -> None:
        self._start = spec.home if start is None else start
        self._period = 1.0 / rate_hz
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Goes back to the start pose."""
        self._q = self._start
        self._dq = frozen(np.zeros_like(self._start))
        self._command = self._start

    def command(self, q: Array) -> None:
        """Takes the set-point that holds from now on, (nq,) [rad]."""
        self._command = frozen(q)

    def advance(self) -> None:
        """Moves to the set-point."""
        self._dq = frozen((self._command - self._q) / self._period)
        self._q = frozen(self._command)

    def state(self, stamp_ns: int) -> RobotState:
        """Returns the last set-point and the speed that led there."""
        return RobotState(stamp_ns, self._q, self._dq)

    def truth(self, stamp_ns: int) -> RobotState:
        """Returns the same: nothing lies between the arm and its sensors."""
        return self.state(stamp_ns)

    @property
    def copies(self) -> int:
        """Returns 1: no state gets lost."""
        return 1
