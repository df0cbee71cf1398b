"""At most one step a period on average, without waiting: who comes in time is answered at once."""

from __future__ import annotations


class Pacer:
    """Admits steps as a token bucket of two does (the generic cell rate algorithm).

    A step may come up to one period ahead of its schedule, because periods jitter; the schedule
    advances by a whole period with every step, so that no stream, however fast, buys more motion
    than time allows. Time that passed unused is saved up for one period only.
    """

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._next_ns: int | None = None

    def reset(self) -> None:
        """Makes the next step due, whenever it comes."""
        self._next_ns = None

    def accept(self, now_ns: int) -> bool:
        """Returns whether a step may be taken at `now_ns`, and counts it if so."""
        if self._next_ns is None or now_ns < self._next_ns - 4 * self._period_ns:
            self._next_ns = now_ns  # first one, or the clock was set back
        if now_ns < self._next_ns - self._period_ns:
            return False
        self._next_ns = max(self._next_ns, now_ns - self._period_ns) + self._period_ns
        return True
