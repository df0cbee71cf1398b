"""The policy's rate on a stream of states: exact on average, no burst, no drift."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ros2_sim2real.policy.cadence import Cadence

SECOND = 1_000_000_000
EPOCH = 1_800_000_000 * SECOND  # stamps of a real driver


def decisions(policy_hz: float, state_hz: float, seconds: float, start: int = 0) -> list[int]:
    cadence = Cadence(policy_hz)
    stamps = [start + round(i * 1e9 / state_hz) for i in range(round(seconds * state_hz))]
    return [s for s in stamps if cadence.due(s)]


@pytest.mark.parametrize("start", [0, EPOCH, -EPOCH])
@pytest.mark.parametrize("policy_hz", [10.0, 20.0, 25.0, 30.0, 50.0, 60.0])
@pytest.mark.parametrize("state_hz", [60.0, 100.0, 125.0, 240.0, 500.0, 1000.0])
def test_the_mean_rate_is_the_policys(policy_hz: float, state_hz: float, start: int) -> None:
    taken = decisions(policy_hz, state_hz, 20.0, start)
    assert abs(len(taken) - 20.0 * policy_hz) <= 1.0


@pytest.mark.parametrize("start", [0, EPOCH])
def test_states_at_the_policys_own_rate_are_all_decided(start: int) -> None:
    for rate in (20.0, 30.0, 50.0, 60.0, 100.0, 125.0):
        assert len(decisions(rate, rate, 20.0, start)) == round(20.0 * rate)


def test_states_slower_than_the_policy_are_all_decided() -> None:
    assert len(decisions(50.0, 20.0, 10.0)) == 200


@given(
    st.lists(st.integers(-900_000, 900_000), min_size=50, max_size=200),
    st.sampled_from([2, 4, 5, 10]),
)
def test_jitter_of_the_stamps_neither_skips_nor_doubles(jitter: list[int], every: int) -> None:
    """States each 10/every ms apart, 0.9 ms early or late; decisions each 10 ms."""
    cadence = Cadence(100.0)
    spacing = 10_000_000 // every
    late = [0, *jitter]
    stamps = [i * spacing + j * (every <= 5) + j // 2 * (every > 5) for i, j in enumerate(late)]
    taken = [s for s in stamps if cadence.due(s)]
    expected = 1 + (len(stamps) - 1) // every
    assert abs(len(taken) - expected) <= 1
    gaps = [b - a for a, b in pairwise(taken)]
    assert all(0 < gap < 20_000_000 for gap in gaps)


def test_the_first_state_is_decided_whatever_its_stamp() -> None:
    for stamp in (0, -5, EPOCH, 2**62):
        assert Cadence(50.0).due(stamp)


def test_the_same_stamp_is_decided_once() -> None:
    cadence = Cadence(50.0)
    assert [cadence.due(0) for _ in range(5)] == [True, False, False, False, False]


@given(st.integers(50_000_000, 10**15))
def test_a_pause_is_not_made_up_for(pause: int) -> None:
    cadence = Cadence(50.0)
    cadence.due(0)
    taken = [s for s in range(pause, pause + 100_000_000, 1_000_000) if cadence.due(s)]
    assert len(taken) <= 6
    assert taken[0] == pause
    assert all(b - a >= 18_000_000 for a, b in pairwise(taken))


@given(st.integers(100_000_000, 10**15))
def test_a_clock_that_was_set_back_starts_over(back: int) -> None:
    cadence = Cadence(50.0)
    cadence.due(back)
    taken = [s for s in range(0, 100_000_000, 10_000_000) if cadence.due(s)]
    assert taken == [0, 20_000_000, 40_000_000, 60_000_000, 80_000_000]


def test_after_a_reset_the_next_state_is_decided() -> None:
    cadence = Cadence(50.0)
    cadence.due(0)
    assert not cadence.due(5_000_000)
    cadence.reset()
    assert cadence.due(6_000_000)


@given(st.lists(st.integers(-(2**63), 2**63), max_size=50))
def test_any_stamps_are_answered(stamps: list[int]) -> None:
    cadence = Cadence(50.0)
    for stamp in stamps:
        assert cadence.due(stamp) in (True, False)
