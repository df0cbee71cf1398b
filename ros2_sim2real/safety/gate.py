"""The gate: checks, shapes and holds. Total for any input, never raises, says what it did."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from enum import Enum

from ros2_sim2real.robot import Limits
from ros2_sim2real.safety.shaping import shape_joint
from ros2_sim2real.signals import HOLDING, REFUSED, Command, Reason, RobotState, Verdict, frozen

MAX_STATE_AGE = 0.05  # [s]
MAX_COMMAND_AGE = 0.1  # [s]
RAMP = 1.0  # [s] from a tenth of the speed limit to all of it
RAMP_FLOOR = 0.1
START_SPEED = 0.05  # [rad/s]: an arm that moves faster is not taken over
TOLERANCE = 1e-9
_EARLY = -50_000_000  # [ns] stamps further in the future than this are refused


class Mode(Enum):
    """What the gate may do. Nothing starts in `ACTIVE`."""

    INACTIVE = "inactive"  # sends nothing
    SHADOW = "shadow"  # says what it would send, sends nothing, and cannot be activated
    ACTIVE = "active"


class Gate:
    """One step a period: the nearest admissible set-point to what was asked, or a hold.

    Time is an argument, one clock throughout: monotonic receive time on an arm, the simulation's
    stamps in lockstep. The set-point starts at the measured position and moves from its own last
    value, so that tracking error does not eat the budget of the step.
    """

    def __init__(self, limits: Limits, *, rate_hz: float, shadow: bool = False) -> None:
        self._n = len(limits.lower)
        self._lower, self._upper = limits.lower.tolist(), limits.upper.tolist()
        self._speed, self._acceleration = limits.velocity.tolist(), limits.acceleration.tolist()
        self._reject = limits.reject_margin
        self.period = 1.0 / rate_hz
        self.mode = Mode.SHADOW if shadow else Mode.INACTIVE
        self.counts: Counter[Reason] = Counter()
        self._state: RobotState | None = None
        self._state_ns = 0
        self._wanted: list[float] | None = None
        self._wanted_ns = 0
        self._stamp_ns = 0
        self._ramp = RAMP_FLOOR
        self._q = [0.0] * self._n
        self._v = [0.0] * self._n

    def observe(self, state: RobotState, *, now_ns: int) -> bool:
        """Takes a measured state in; returns whether it was sound enough to count as one."""
        q = state.q.tolist()
        if not len(q) == len(state.dq) == self._n or not all(map(math.isfinite, q)):
            return False
        self._state, self._state_ns = state, now_ns
        return True

    def activate(self, *, now_ns: int) -> Reason:
        """Starts at rest at the measured position; returns why not, `Reason.NONE` when it did."""
        if self.mode is Mode.SHADOW:
            return Reason.INACTIVE
        if self.mode is Mode.ACTIVE:  # its set-point must not jump to where the arm lags behind
            return Reason.NONE
        if self._state is None or not _fresh(self._state_ns, now_ns, MAX_STATE_AGE):
            return Reason.STALE_STATE
        q, dq = self._state.q.tolist(), self._state.dq.tolist()
        inside = all(
            low <= x <= high for low, x, high in zip(self._lower, q, self._upper, strict=True)
        )
        if not inside or not all(abs(x) <= START_SPEED for x in dq):
            return Reason.START
        self._anchor(q)
        self._ramp = RAMP_FLOOR
        self._wanted = None
        self.mode = Mode.ACTIVE
        return Reason.NONE

    def deactivate(self) -> None:
        """Sends nothing from now on."""
        if self.mode is Mode.ACTIVE:
            self.mode = Mode.INACTIVE

    def refuse(self, reason: Reason) -> None:
        """Counts a message that could not even be read as a command (names, length)."""
        self.counts[reason] += 1

    def step(self, command: Command | None, *, now_ns: int) -> Verdict:
        """Returns what may be sent for one period.

        Args:
            command: the newest one, None when nobody asked since the last step.
            now_ns: the gate's clock.
        """
        reason = Reason.NONE
        if command is not None:
            reason |= self._take(command, now_ns)
        if self._state is None or not _fresh(self._state_ns, now_ns, MAX_STATE_AGE):
            reason |= Reason.STALE_STATE
        if self._wanted is None or not _fresh(self._wanted_ns, now_ns, MAX_COMMAND_AGE):
            reason |= Reason.STALE_COMMAND
        if self.mode is not Mode.ACTIVE:
            return self._rehearse(reason | Reason.INACTIVE)
        wanted = self._wanted
        if wanted is None or reason & HOLDING:
            wanted = self._q  # brakes, then stays
        return self._move(wanted, reason)

    def _take(self, command: Command, now_ns: int) -> Reason:
        q = command.q.tolist()
        reason = Reason.NONE
        if len(q) != self._n:
            reason = Reason.LENGTH
        elif not all(map(math.isfinite, q)):
            reason = Reason.NOT_FINITE
        elif any(
            not low - self._reject <= x <= high + self._reject
            for low, x, high in zip(self._lower, q, self._upper, strict=True)
        ):
            reason = Reason.GROSS_RANGE
        elif not self._answers_now(command):
            reason = Reason.SKEW
        if not reason & REFUSED:
            self._wanted, self._wanted_ns, self._stamp_ns = q, now_ns, command.stamp_ns
        return reason

    def _answers_now(self, command: Command) -> bool:
        # Both stamps are of the clock that stamps the states, whichever that is; a driver that
        # does not stamp them leaves nothing to compare with.
        if self._state is None or not self._state.stamp_ns:
            return True
        return _fresh(command.stamp_ns, self._state.stamp_ns, MAX_COMMAND_AGE)

    def _move(self, wanted: Sequence[float], reason: Reason) -> Verdict:
        before_q, before_v = self._q, self._v
        after_q, after_v = [0.0] * self._n, [0.0] * self._n
        self._ramp = min(1.0, self._ramp + (1.0 - RAMP_FLOOR) * self.period / RAMP)
        for i in range(self._n):
            after_q[i], after_v[i] = shape_joint(
                wanted[i],
                before_q[i],
                before_v[i],
                lower=self._lower[i],
                upper=self._upper[i],
                speed=self._speed[i] * self._ramp,
                acceleration=self._acceleration[i],
                period=self.period,
            )
        if not self._admissible(after_q, after_v):
            self.deactivate()
            return self._verdict(before_q, [0.0] * self._n, reason | Reason.INTERNAL, send=False)
        self._q, self._v = after_q, after_v
        if not reason & HOLDING:
            reason |= self._difference(wanted, before_q)
        return self._verdict(after_q, after_v, reason, send=True)

    def _admissible(self, q: Sequence[float], v: Sequence[float]) -> bool:
        """Checks the output once more by the plain definitions of the limits, not by the rule."""
        for i in range(self._n):
            dv = self._acceleration[i] * self.period
            sound = (
                self._lower[i] - TOLERANCE <= q[i] <= self._upper[i] + TOLERANCE
                and abs(q[i] - self._q[i]) <= self._speed[i] * self.period + TOLERANCE
                and abs(v[i] - self._v[i]) <= dv + TOLERANCE
            )
            if not sound:  # also when any of them is NaN
                return False
        return True

    def _difference(self, wanted: Sequence[float], before: Sequence[float]) -> Reason:
        reason = Reason.NONE
        for i in range(self._n):
            if wanted[i] == self._q[i]:
                continue
            if not self._lower[i] <= wanted[i] <= self._upper[i]:
                reason |= Reason.POSITION
            if abs(wanted[i] - before[i]) > self._speed[i] * self._ramp * self.period:
                reason |= Reason.SPEED
            elif abs(wanted[i] - self._q[i]) > TOLERANCE:
                reason |= Reason.ACCELERATION
        return reason

    def _rehearse(self, reason: Reason) -> Verdict:
        """Says what would be sent from where the arm is; nothing adds up, it does not follow."""
        if self._state is None:
            return self._verdict(self._q, self._v, reason, send=False)
        self._anchor(self._state.q.tolist())
        wanted = self._wanted
        if wanted is None or reason & HOLDING:
            return self._verdict(self._q, self._v, reason, send=False)
        clipped = [
            min(max(x, low), high)
            for low, x, high in zip(self._lower, wanted, self._upper, strict=True)
        ]
        return self._verdict(clipped, self._v, reason, send=False)

    def _anchor(self, q: Sequence[float]) -> None:
        self._q, self._v = list(q), [0.0] * self._n

    def _verdict(
        self, q: Sequence[float], v: Sequence[float], reason: Reason, *, send: bool
    ) -> Verdict:
        self.counts[reason] += 1
        return Verdict(self._stamp_ns, frozen(q), frozen(v), reason, send)


def _fresh(then_ns: int, now_ns: int, limit: float) -> bool:
    """Returns whether `then` is at most `limit` [s] old, and not from the future."""
    return _EARLY <= now_ns - then_ns <= limit * 1e9
