"""Decides from the stamps of the states when the policy is due."""

from __future__ import annotations


class Cadence:
    """A fixed rate on a stream of stamps that need not be a multiple of it.

    Phase-locked: due times advance by whole periods, so that the mean rate is exact. A pause does
    not lead to a burst: the phase restarts.
    """

    # A state that comes this share of a period early is the one that was meant.
    SLACK = 0.1

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = 1e9 / rate_hz
        self._next_ns: float | None = None

    def reset(self) -> None:
        """Makes the next stamp due, whatever it is."""
        self._next_ns = None

    def due(self, stamp_ns: int) -> bool:
        """Returns whether a decision is due at `stamp_ns`, and counts it as taken if so."""
        if self._next_ns is None or stamp_ns < self._next_ns - 2 * self._period_ns:
            self._next_ns = float(stamp_ns)  # first state, or the clock was set back
        if stamp_ns < self._next_ns - self.SLACK * self._period_ns:
            return False
        self._next_ns += self._period_ns
        if stamp_ns >= self._next_ns - self.SLACK * self._period_ns:  # a whole one was missed
            self._next_ns = stamp_ns + self._period_ns
        return True
