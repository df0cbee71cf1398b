"""Goals as data: parsed from text, spread over a contract's range, handed out by stamp."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ros2_sim2real.contract import GoalInput
from ros2_sim2real.errors import ConfigError
from ros2_sim2real.rotations import from_euler
from ros2_sim2real.signals import Goal, frozen

# Where `tour` goes, as shares of the range of x, y, z: far apart, none at an edge.
_TOUR = ((0.5, 0.5, 0.5), (0.25, 0.2, 0.7), (0.8, 0.75, 0.3), (0.3, 0.8, 0.75), (0.7, 0.2, 0.2))


class GoalSchedule:
    """The goals one after the other, each for `period` seconds of the states' own clock."""

    def __init__(self, goals: Sequence[Goal], *, period: float, repeat: bool = True) -> None:
        self._goals = list(goals)
        self._period_ns = max(1, round(period * 1e9))
        self._repeat = repeat
        self._start_ns: int | None = None

    def reset(self) -> None:
        """Starts over at the next state."""
        self._start_ns = None

    def index(self, stamp_ns: int) -> int:
        """Returns the number of the goal in force; the first call starts the clock."""
        if self._start_ns is None or stamp_ns < self._start_ns:
            self._start_ns = stamp_ns
        count = (stamp_ns - self._start_ns) // self._period_ns
        return int(count % len(self._goals) if self._repeat else min(count, len(self._goals) - 1))

    def current(self, stamp_ns: int) -> Goal | None:
        """Returns the goal in force at `stamp_ns`, None when there are none."""
        return self._goals[self.index(stamp_ns)] if self._goals else None


def parse_goals(text: str, goal_input: GoalInput | None) -> list[Goal]:
    """Returns the goals in `text`, in the frame of the policy's contract.

    Args:
        text: "x,y,z;…" or "x,y,z,qw,qx,qy,qz;…" [m]; a JSON file with such rows; "tour" for five
            points of the trained range; "" for none.
        goal_input: ranges and centre orientation for rows that state only a position.

    Raises:
        ConfigError: names every row that is not three or seven finite numbers.
    """
    if not text:
        return []
    if goal_input is None:
        raise ConfigError(
            "goals", [f"got '{text}', but the policy takes no goal. Leave `goals` empty"]
        )
    if text == "tour":
        return tour(goal_input)
    rows = _rows(text)
    problems = [] if rows else [f"got '{text}', which holds no goal"]
    goals = []
    for i, row in enumerate(rows):
        if len(row) not in (3, 7) or not all(math.isfinite(x) for x in row):
            problems.append(f"goal {i} got {row}, expected x,y,z or x,y,z,qw,qx,qy,qz, finite")
            continue
        quaternion = np.array(row[3:]) if len(row) == 7 else centre_orientation(goal_input)
        norm = math.hypot(*quaternion)
        if not 0.9 <= norm <= 1.1:
            problems.append(f"goal {i}: quaternion w x y z has norm {norm:.3g}, expected 1")
            continue
        goals.append(Goal(0, frozen(row[:3]), frozen(quaternion / norm)))
    if problems:
        raise ConfigError("goals", problems)
    return goals


def tour(goal_input: GoalInput) -> list[Goal]:
    """Returns five goals spread over the trained range."""
    low = np.array([goal_input.x[0], goal_input.y[0], goal_input.z[0]])
    high = np.array([goal_input.x[1], goal_input.y[1], goal_input.z[1]])
    quaternion = frozen(centre_orientation(goal_input))
    return [Goal(0, frozen(low + np.array(share) * (high - low)), quaternion) for share in _TOUR]


def centre_orientation(goal_input: GoalInput) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Returns the quaternion in the middle of the trained orientations, w x y z."""
    roll, pitch, yaw = (
        (r[0] + r[1]) / 2 for r in (goal_input.roll, goal_input.pitch, goal_input.yaw)
    )
    return from_euler(roll, pitch, yaw)


def _rows(text: str) -> list[list[float]]:
    if text.endswith(".json"):
        try:
            data = json.loads(Path(text).expanduser().read_text())
            return [[float(x) for x in row] for row in data]
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ConfigError(
                text, [f"expected a JSON list of rows of numbers: {error}"]
            ) from None
    try:
        return [[float(x) for x in row.split(",")] for row in text.split(";") if row.strip()]
    except ValueError as error:
        raise ConfigError("goals", [f"got '{text}': {error}. Write x,y,z;x,y,z"]) from None
