"""Notices when a policy sees what it never saw in training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.contract import ObservationTerm, PolicyContract, per_element
from ros2_sim2real.signals import Array

WINDOW = 100  # decisions
WORRYING = 0.2  # share of the window from which the status is a warning


class RangeMonitor:
    """Share of the last decisions with any observed number outside its training range."""

    def __init__(self, contract: PolicyContract, *, window: int = WINDOW) -> None:
        ends = [_range(term) for term in contract.observation]
        self._low = np.concatenate([low for low, _ in ends]).astype(np.float32)
        self._high = np.concatenate([high for _, high in ends]).astype(np.float32)
        self._names = [term.name for term in contract.observation for _ in range(term.width)]
        self._window = window
        self.reset()

    def reset(self) -> None:
        """Forgets the decisions so far."""
        self._outside = np.zeros(self._window, dtype=np.bool_)
        self._times = np.zeros(len(self._names), dtype=np.int64)
        self._count = 0

    def observe(self, frame: NDArray[np.float32]) -> None:
        """Takes what one decision saw: the present moment of every term, (nframe,)."""
        outside = (frame < self._low) | (frame > self._high)
        is_outside = outside.any()
        self._outside[self._count % self._window] = is_outside
        self._count += 1
        if is_outside:
            self._times += outside

    @property
    def share(self) -> float:
        """Returns the share of the last decisions that were outside, 0 before the first."""
        seen = min(self._count, self._window)
        return float(np.count_nonzero(self._outside[:seen])) / seen if seen else 0.0

    @property
    def worst(self) -> str:
        """Returns the term that was outside most often in this episode, empty when none was."""
        return self._names[int(self._times.argmax())] if self._times.any() else ""

    def values(self) -> Mapping[str, float]:
        """Returns the figures for /diagnostics."""
        return {"outside_training_share": self.share}


def monitor_of(contract: PolicyContract) -> RangeMonitor | None:
    """Returns a monitor, None when the contract states no training range."""
    stated = any(term.training is not None for term in contract.observation)
    return RangeMonitor(contract) if stated else None


def _range(term: ObservationTerm) -> tuple[Array, Array]:
    training = term.training
    if training is None:
        return np.full(term.width, -np.inf), np.full(term.width, np.inf)
    if training.kind == "bounds":
        return per_element(training.low, term.width), per_element(training.high, term.width)
    mean, std = per_element(training.mean, term.width), per_element(training.std, term.width)
    return mean - training.sigmas * std, mean + training.sigmas * std
