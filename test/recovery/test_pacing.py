"""After a stall the gate answers on arrival again: a debt of one period must not last."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ros2_sim2real.safety.pacer import Pacer

PERIOD = 20_000_000  # [ns]


def answered_at(arrivals: list[int]) -> list[int]:
    """Returns when each step is taken, as the gate's node takes them."""
    pacer = Pacer(PERIOD)
    steps: list[int] = []
    for i, now in enumerate(arrivals):
        while steps and pacer.deadline_ns < now:  # nobody asked: the gate steps by itself
            due = pacer.deadline_ns
            if pacer.accept(due, asked=False):
                steps.append(due)
            else:
                pacer.defer(due)
        if pacer.accept(now):
            steps.append(now)
        assert i or steps == [now]
    return steps


@given(
    stall=st.floats(0.0, 12.0),
    at=st.integers(3, 10),
    jitter=st.lists(st.floats(0.0, 0.45), min_size=60, max_size=60),
    phase=st.floats(0.0, 1.0),
)
def test_commands_are_answered_on_arrival_again_after_a_stall(
    stall: float, at: int, jitter: list[float], phase: float
) -> None:
    ideal = [(i + phase + jitter[i]) * PERIOD for i in range(60)]
    # what comes during the stall comes at its end, of which depth one keeps the newest
    late = [max(t, (at + stall) * PERIOD) if i >= at else t for i, t in enumerate(ideal)]
    arrivals = sorted({round(t) for t in late})
    steps = answered_at(arrivals)
    settled = [t for t in arrivals if t > (at + stall + 2) * PERIOD]
    # one skipped command pays the debt; scheduling it instead would make every later one wait
    assert len(set(settled) - set(steps)) <= 1


def test_without_commands_the_gate_steps_once_a_period_to_brake() -> None:
    pacer = Pacer(PERIOD)
    assert pacer.accept(0)
    steps = []
    while len(steps) < 10:
        due = pacer.deadline_ns
        if pacer.accept(due, asked=False):
            steps.append(due)
        else:
            pacer.defer(due)
    assert steps[0] == PERIOD * 5 // 2
    assert np.diff(steps).tolist() == [PERIOD] * 9


def test_a_faster_stream_is_not_answered_more_than_once_a_period() -> None:
    arrivals = list(range(0, 100 * PERIOD, PERIOD // 3))
    steps = np.array(answered_at(arrivals))
    assert 95 <= len(steps) <= 102
    for window in (1, 5, 20):
        counts = [((steps >= t) & (steps < t + window * PERIOD)).sum() for t in steps]
        assert max(counts) <= window + 2
