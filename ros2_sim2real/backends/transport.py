"""What a link does to messages: delay, jitter, loss, repetition; counted in physics steps."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

import numpy as np

from ros2_sim2real.signals import Array
from ros2_sim2real.worlds import World

T = TypeVar("T")
MAX_SILENCE = (
    0.2  # [s] of lost states in a row: a link that is silent for longer is cut, not lossy
)


class DelayLine(Generic[T]):
    """Items that arrive at a step of their own; of two that arrive together the last sent wins."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, T]] = []
        self._sent = 0

    def push(self, item: T, *, due: int) -> None:
        """Sends `item`; it arrives at step `due`."""
        heapq.heappush(self._waiting, (due, self._sent, item))
        self._sent += 1

    def pop(self, step: int) -> T | None:
        """Returns what arrived last up to `step`, None when nothing did."""
        item = None
        while self._waiting and self._waiting[0][0] <= step:
            item = heapq.heappop(self._waiting)[2]
        return item

    def clear(self) -> None:
        """Forgets what is under way."""
        self._waiting.clear()


class CommandLink:
    """From the node to the servo. Every command draws three numbers, whatever is switched on."""

    def __init__(self, world: World, *, dt: float, substeps: int) -> None:
        """`dt`: physics step [s]; `substeps`: of them in a control period."""
        self.world = world
        self._dt, self._late = dt, max(1, substeps + substeps // 2)
        self._line: DelayLine[Array] = DelayLine()

    def send(self, q: Array, *, step: int, rng: np.random.Generator) -> None:
        """Takes a set-point, (nq,) [rad], at physics step `step`."""
        lost, jitter, again = rng.random(3)
        w = self.world
        if lost < w.command_drop:
            return
        due = step + round((w.command_delay + jitter * w.command_jitter) / self._dt)
        self._line.push(q, due=due)
        if again < w.command_duplicate:
            self._line.push(q, due=due + self._late)

    def arrived(self, step: int) -> Array | None:
        """Returns the set-point that reaches the servo at `step`, None when none does."""
        return self._line.pop(step)

    def clear(self) -> None:
        """Forgets what is under way."""
        self._line.clear()


class StateLink:
    """How often a state reaches its readers: 0, lost; 1; or 2, repeated."""

    def __init__(self, world: World, *, period: float) -> None:
        """`period`: between two states [s]."""
        self.world = world
        self._longest = int(MAX_SILENCE / period + 1e-9)
        self._silent = 0

    def send(self, rng: np.random.Generator) -> int:
        """Returns the number of copies of the next state."""
        lost, again = rng.random(2)
        if lost < self.world.state_drop and self._silent < self._longest:
            self._silent += 1
            return 0
        self._silent = 0
        return 2 if again < self.world.state_duplicate else 1

    def clear(self) -> None:
        """Forgets the past."""
        self._silent = 0
