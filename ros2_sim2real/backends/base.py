"""What every simulated arm is to the node that gives it a clock and topics."""

from __future__ import annotations

from typing import Protocol

from ros2_sim2real.signals import Array, RobotState


class Backend(Protocol):
    """An arm that advances when told to."""

    def reset(self, seed: int) -> None:
        """Goes back to the start pose; everything random starts from `seed`."""

    def command(self, q: Array) -> None:
        """Takes the set-point that holds from now on, (nq,) [rad]."""

    def advance(self) -> None:
        """Lets one control period pass. Raises BackendFault on an unusable state."""

    def state(self, stamp_ns: int) -> RobotState:
        """Returns what the arm's sensors say now."""

    def truth(self, stamp_ns: int) -> RobotState:
        """Returns where the arm is, whatever its sensors say."""

    @property
    def copies(self) -> int:
        """Returns how often the present state reaches its readers: 0, 1 or 2 times."""
