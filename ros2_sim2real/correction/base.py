"""What every correction is to the pipeline, and the one that changes nothing."""

from __future__ import annotations

from typing import Protocol

from ros2_sim2real.signals import Command, Level, RobotState, Status, Target, Verdict


class Correction(Protocol):
    """A stage that turns a joint target into the command that makes this arm reach it."""

    def reset(self) -> None:
        """Forgets everything that belongs to the episode."""

    def step(self, state: RobotState, target: Target) -> Command:
        """Returns the command for `target`."""

    def observe(self, state: RobotState, verdict: Verdict) -> None:
        """Learns from what was sent, not from what was asked."""

    def status(self) -> Status:
        """Returns what the correction is doing."""


class PassThrough:
    """The correction `none`: the command is the target."""

    def reset(self) -> None:
        """Has nothing to forget."""

    def step(self, state: RobotState, target: Target) -> Command:
        """Returns the target as it is."""
        return Command(target.stamp_ns, target.q)

    def observe(self, state: RobotState, verdict: Verdict) -> None:
        """Learns nothing."""

    def status(self) -> Status:
        """Returns OK."""
        return Status(Level.OK, "none", {})
