"""Action chunks: plans of several actions, of which one is in force at every decision."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from ros2_sim2real.contract import Chunk
from ros2_sim2real.signals import Array


class ChunkPlan:
    """Asks for a plan every `execute` decisions and blends it with what was planned before."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        # plans of the ensemble, with the decision at which each was made; the oldest first
        self._plans: deque[tuple[int, Array]] = deque()
        self.reset()

    def reset(self) -> None:
        """Forgets every plan: the next decision asks for a new one."""
        self._plans.clear()
        self._plan: Array | None = None  # rows from the present decision on
        self._count = 0

    @property
    def due(self) -> bool:
        """Returns whether the next decision asks the network."""
        return self._count % self._chunk.execute == 0

    def step(self, ask: Callable[[], Array]) -> Array:
        """Returns the plan from the present decision on, (k, nu); its first row is in force.

        Args:
            ask: gives the network's plan for the present observation, (length, nu). It is called
                only when `due`. A plan that is not finite is returned as it is.
        """
        rest = None if self._plan is None or len(self._plan) < 2 else self._plan[1:]
        plan = self._merged(rest, ask()[self._chunk.skip :]) if self.due else rest
        if plan is None:  # cannot be: `execute` ends before the plan does
            raise ValueError("the plan is over and no new one is due")
        if self._chunk.blend == "ensemble":
            plan = self._ensemble()
        self._plan = plan
        self._count += 1
        return plan

    def _merged(self, old: Array | None, new: Array) -> Array:
        if self._chunk.blend == "ensemble":
            self._plans.append((self._count, new))
        if self._chunk.blend != "exponential" or old is None:
            return new
        n = min(len(old), len(new))
        share = np.exp(-self._chunk.weight * np.arange(1, n + 1))[:, None]
        out = new.copy()
        out[:n] = share * old[:n] + (1.0 - share) * new[:n]
        return out

    def _ensemble(self) -> Array:
        """Returns, for now and every later moment, the mean of all plans that reach it."""
        while self._count - self._plans[0][0] >= len(self._plans[0][1]):
            self._plans.popleft()
        newest = self._plans[-1][1]
        ends = [made + len(plan) - self._count for made, plan in self._plans]
        total = np.zeros((max(ends), newest.shape[1]))
        weights = np.zeros((max(ends), 1))
        for i, (made, plan) in enumerate(self._plans):
            rows = plan[self._count - made :]
            weight = np.exp(-self._chunk.weight * i)
            total[: len(rows)] += weight * rows
            weights[: len(rows)] += weight
        return np.asarray(total / weights)
