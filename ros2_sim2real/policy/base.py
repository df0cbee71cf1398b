"""What every policy is to the pipeline."""

from __future__ import annotations

from typing import Protocol

from ros2_sim2real.signals import Goal, RobotState, Status, Target


class Policy(Protocol):
    """A stage that turns the measured state into a joint target."""

    def reset(self) -> None:
        """Forgets everything that belongs to the episode."""

    def step(self, state: RobotState, goal: Goal | None) -> Target | None:
        """Returns the target in force, None when there is nothing sound to say."""

    def status(self) -> Status:
        """Returns what the policy is doing."""
