"""At most one step a period on average, without waiting: who comes in time is answered at once."""

from __future__ import annotations


class Pacer:
    """Admits steps as a token bucket of two does (the generic cell rate algorithm).

    A step may come up to one period ahead of its schedule, because periods jitter; the schedule
    advances by a whole period with every step, so that no stream, however fast, buys more than
    t / period + 2 steps in any time t. Time that passed unused is not saved up.

    A command that comes too early is not stepped as soon as that is allowed: after a stall the
    schedule would be ahead for ever, and every command would wait. It is kept instead, the next
    one comes in time, and only when none comes for two periods and a half a step is due without.
    """

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._next_ns: int | None = None
        self._deadline_ns = 0

    def reset(self) -> None:
        """Makes the next step due, whenever it comes."""
        self._next_ns = None

    def accept(self, now_ns: int, *, asked: bool = True) -> bool:
        """Returns whether a step may be taken at `now_ns`, and counts it if so.

        `asked` is False for a step without a new command: once the stream is taken for dead, the
        next one is due after a single period, so that braking takes no longer than it must.
        """
        if self._next_ns is None or now_ns < self._next_ns - 4 * self._period_ns:
            self._next_ns = now_ns  # first one, or the clock was set back
        if now_ns < self._next_ns - self._period_ns:
            return False
        self._next_ns = max(self._next_ns, now_ns) + self._period_ns
        self._deadline_ns = now_ns + (self._period_ns * 5 // 2 if asked else self._period_ns)
        return True

    def defer(self, now_ns: int) -> None:
        """Counts the deadline at `now_ns` as met without a step: the next is a period later."""
        self._deadline_ns = now_ns + self._period_ns

    @property
    def deadline_ns(self) -> int:
        """Returns when to step without a new command."""
        return self._deadline_ns
