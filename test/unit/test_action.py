"""The raw action becomes joint targets as the contract says, for every kind of action."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import contract
from hypothesis import given
from hypothesis import strategies as st

from ros2_sim2real.policy.action import ActionDecoder

LOWER, UPPER = np.array([-2.0, -3.0]), np.array([2.0, 3.0])
NUMBER = st.floats(-5, 5)
PAIR = st.tuples(NUMBER, NUMBER)
DEFAULT = np.array([1.2, -1.0])


def decoder(kind: str, **fields: Any) -> ActionDecoder:
    action = {"kind": kind, "scale": 0.5, **fields}
    return ActionDecoder(contract(action=action), lower=LOWER, upper=UPPER)


def started(kind: str, q: Any, **fields: Any) -> ActionDecoder:
    out = decoder(kind, **fields)
    out.reset(np.array(q, dtype=np.float64))
    return out


@given(raw=PAIR, q=PAIR, scale=PAIR | NUMBER, offset=PAIR | NUMBER)
def test_each_kind_is_its_formula(raw: Any, q: Any, scale: Any, offset: Any) -> None:
    s, o = np.broadcast_to(scale, 2), np.broadcast_to(offset, 2)
    a, x = np.array(raw), np.array(q)
    for kind, expected in {
        "absolute": o + s * a,
        "delta_default": DEFAULT + o + s * a,
        "relative_measured": x + o + s * a,
    }.items():
        out = started(kind, q, scale=scale, offset=offset)
        np.testing.assert_allclose(out.decode(a, x), expected, rtol=1e-15, atol=1e-15)


@given(raw=PAIR, low=NUMBER, width=st.floats(0, 5))
def test_the_clip_bounds_the_raw_action_before_the_scale(
    raw: Any, low: float, width: float
) -> None:
    out = started("absolute", [0, 0], clip=[low, low + width])
    expected = [0.5 * min(max(a, low), low + width) for a in raw]
    np.testing.assert_array_equal(out.decode(np.array(raw), np.zeros(2)), expected)


@pytest.mark.parametrize(
    ("previous", "expected"),
    [("raw", [3.0, -1.0]), ("clipped", [2.0, -1.0]), ("scaled", [1.0, -0.5])],
)
def test_the_previous_action_is_kept_as_the_contract_says(
    previous: str, expected: list[float]
) -> None:
    out = started("absolute", [0, 0], clip=[-2.0, 2.0], previous=previous)
    out.decode(np.array([3.0, -1.0]), np.zeros(2))
    assert out.previous.tolist() == expected


def test_an_episode_starts_without_a_previous_action_at_the_measured_position() -> None:
    out = started("integrating", [0.3, 0.4])
    out.decode(np.array([1.0, 1.0]), np.zeros(2))
    out.reset(np.array([0.7, -0.2]))
    assert out.previous.tolist() == [0.0, 0.0]
    assert out.target.tolist() == [0.7, -0.2]


def test_the_measured_position_may_change_afterwards() -> None:
    q = np.array([0.3, 0.4])
    out = decoder("integrating")
    out.reset(q)
    q[:] = 9.0
    assert out.target.tolist() == [0.3, 0.4]


def test_integrating_moves_from_its_own_last_target_at_the_stated_speed() -> None:
    out = started("integrating", [0.0, 0.0])
    for _ in range(50):  # one second at 50 Hz, raw 1 at a scale of 0.5 rad/s
        target = out.decode(np.array([1.0, -1.0]), np.zeros(2))  # the arm does not follow
    np.testing.assert_allclose(target, [0.5, -0.5], atol=1e-12)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=20))
def test_integrating_stays_in_the_range_of_the_joints(steps: list[Any]) -> None:
    out = started("integrating", [0.0, 0.0])
    for raw in steps:
        target = out.decode(np.array(raw), np.zeros(2))
        assert (target >= LOWER).all()
        assert (target <= UPPER).all()


@given(st.lists(st.tuples(PAIR, PAIR), min_size=1, max_size=20))
def test_an_arm_that_does_not_follow_does_not_wind_the_target_up(steps: list[Any]) -> None:
    out = started("integrating", [0.0, 0.0], max_lead=0.1, scale=50.0)
    for raw, q in steps:
        target = out.decode(np.array(raw), np.array(q))
        assert (np.abs(target - np.array(q)) <= 0.1 + 1e-12).all()


def test_what_was_wound_up_does_not_have_to_unwind() -> None:
    out = started("integrating", [0.0, 0.0], max_lead=0.1, scale=50.0)
    for _ in range(100):
        out.decode(np.array([1.0, 1.0]), np.zeros(2))
    back = out.decode(np.array([-0.1, -0.1]), np.zeros(2))
    np.testing.assert_allclose(back, [0.0, 0.0], atol=1e-12)


def test_the_last_target_is_what_was_returned() -> None:
    out = started("delta_default", [0.0, 0.0])
    target = out.decode(np.array([1.0, 2.0]), np.zeros(2))
    np.testing.assert_array_equal(out.target, target)


@given(raw=PAIR, q=PAIR)
def test_decoding_writes_to_neither_argument(raw: Any, q: Any) -> None:
    for kind in ("absolute", "delta_default", "relative_measured", "integrating"):
        a, x = np.array(raw), np.array(q)
        out = started(kind, q, clip=[-1.0, 1.0], max_lead=0.1)
        a.setflags(write=False)
        x.setflags(write=False)
        out.decode(a, x)
        assert a.tolist() == list(raw)
        assert x.tolist() == list(q)
