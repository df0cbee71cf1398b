"""Position, speed and acceleration limits hold together, for any input, at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_sim2real.safety.shaping import braking_speed, shape, shape_joint
from ros2_sim2real.signals import Array

TOLERANCE = 1e-9
PERIODS = (0.001, 0.002, 0.004, 0.01, 0.02)
FIRST_MOTION = {"lower": -3.5, "upper": 3.5, "speed": 1.0, "acceleration": 5.0, "period": 0.01}


def limits_of(rng: np.random.Generator, n: int) -> dict[str, Array]:
    lower = rng.uniform(-6.3, 0.0, n)
    return {
        "lower": lower,
        "upper": lower + 10.0 ** rng.uniform(-4, 1, n),
        "speed": 10.0 ** rng.uniform(-3, 1, n),
        "acceleration": 10.0 ** rng.uniform(-2, 2, n),
    }


def hostile(rng: np.random.Generator, q: Array, limits: dict[str, Array], step: int) -> Array:
    """Targets that try to break a rule: far, alternating, just beyond an end, tiny, still."""
    lower, upper, coin = limits["lower"], limits["upper"], rng.random(q.shape) < 0.5
    kinds: tuple[Callable[[], Array], ...] = (
        lambda: rng.choice([-1e300, 1e300, -10.0, 10.0], q.shape),
        lambda: np.where(step // 8 % 2, lower, upper),
        lambda: np.where(coin, upper + 1e-12, lower - 1e-12),
        lambda: q + rng.normal(scale=1e-9, size=q.shape),
        q.copy,
        lambda: rng.uniform(lower - 0.2, upper + 0.2),
        lambda: np.where(coin, lower, upper),
        lambda: q + rng.normal(scale=0.1, size=q.shape),
    )
    return kinds[step % len(kinds)]()


def test_ten_million_hostile_steps_keep_every_limit() -> None:
    rng = np.random.default_rng(0)
    n, steps = 10_000, 200
    for period in PERIODS:
        limits = limits_of(rng, n)
        q = rng.uniform(limits["lower"], limits["upper"])
        v = np.zeros(n)
        dv = limits["acceleration"] * period
        hold = rng.integers(1, 60)  # the same target for a while, so that speeds build up
        wanted = q
        for step in range(steps):
            if step % hold == 0 or step % 3 == 0:
                wanted = hostile(rng, q, limits, int(rng.integers(0, 64)))
            q_next, v_next = shape(wanted, q, v, period=period, **limits)
            assert (q_next >= limits["lower"] - TOLERANCE).all()
            assert (q_next <= limits["upper"] + TOLERANCE).all()
            assert (np.abs(v_next) <= limits["speed"] + TOLERANCE).all()
            assert (np.abs(v_next - v) <= dv + TOLERANCE).all()
            np.testing.assert_allclose(q_next - q, v_next * period, atol=1e-14)
            q, v = q_next, v_next


def test_the_limits_are_used_not_only_kept() -> None:
    """Else a rule that never moves would pass: speeds and accelerations reach their limits."""
    q = v = 0.0
    speeds = [0.0]
    for _ in range(400):
        q, v = shape_joint(3.0, q, v, **FIRST_MOTION)
        speeds.append(v)
    changes = np.diff(speeds).tolist()
    assert max(speeds) == 1.0
    assert math.isclose(max(changes), 0.05)
    assert math.isclose(min(changes), -0.05, rel_tol=1e-6)
    assert math.isclose(q, 3.0, abs_tol=1e-9)


FINITE = st.floats(-1e6, 1e6)
SHARE = st.floats(0.0, 1.0)


@st.composite
def joints(draw: Any) -> dict[str, float]:
    """One joint with limits of any size, at rest anywhere in its range."""
    lower = draw(st.floats(-10, 10))
    upper = lower + draw(st.floats(1e-6, 20))
    return {
        "lower": lower,
        "upper": upper,
        "speed": draw(st.floats(1e-4, 100)),
        "acceleration": draw(st.floats(1e-3, 1e3)),
        "period": draw(st.sampled_from(PERIODS)),
        "q": lower + draw(SHARE) * (upper - lower),
    }


@settings(max_examples=300, deadline=None)
@given(
    joint=joints(), wishes=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40)
)
def test_any_sequence_of_wishes_keeps_every_limit(
    joint: dict[str, float], wishes: list[float]
) -> None:
    q, v = min(joint.pop("q"), joint["upper"]), 0.0
    for wish in wishes:
        q_next, v_next = shape_joint(wish, q, v, **joint)
        assert joint["lower"] - TOLERANCE <= q_next <= joint["upper"] + TOLERANCE
        assert abs(v_next) <= joint["speed"] + TOLERANCE
        assert abs(v_next - v) <= joint["acceleration"] * joint["period"] * (1 + 1e-9) + TOLERANCE
        q, v = q_next, v_next


@settings(max_examples=200, deadline=None)
@given(joint=joints(), share=SHARE)
def test_from_rest_a_goal_is_reached_without_passing_it(
    joint: dict[str, float], share: float
) -> None:
    q, v = min(joint.pop("q"), joint["upper"]), 0.0
    goal = min(joint["lower"] + share * (joint["upper"] - joint["lower"]), joint["upper"])
    sign = 1.0 if goal >= q else -1.0
    distance = abs(goal - q)
    for _ in range(2000):
        q_next, v = shape_joint(goal, q, v, **joint)
        assert sign * (q_next - q) >= -1e-12  # never back
        assert sign * (q_next - goal) <= 1e-12 * max(1.0, abs(goal))  # never beyond
        q = q_next
    ideal = ideal_time(distance, joint["speed"], joint["acceleration"])
    if ideal < 1990 * joint["period"]:
        assert math.isclose(q, goal, abs_tol=1e-9)


def ideal_time(distance: float, speed: float, acceleration: float) -> float:
    if distance > speed * speed / acceleration:
        return distance / speed + speed / acceleration
    return 2.0 * math.sqrt(distance / acceleration)


@pytest.mark.parametrize("distance", [1e-4, 0.01, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("period", PERIODS)
def test_a_goal_is_reached_in_the_shortest_time_but_for_a_few_periods(
    distance: float, period: float
) -> None:
    limits = FIRST_MOTION | {"period": period}
    q = v = 0.0
    count = 0
    while abs(q - distance) > 1e-6:
        q, v = shape_joint(distance, q, v, **limits)
        count += 1
        assert count < 10_000
    assert count * period <= ideal_time(distance, 1.0, 5.0) + 4 * period


def follow(amplitude: float) -> list[float]:
    """The lag behind a goal that swings at 0.25 Hz, from rest; 10 s."""
    q = v = 0.0
    lags = []
    for i in range(1000):
        goal = amplitude * (1.0 - math.cos(0.5 * math.pi * i * 0.01))
        q, v = shape_joint(goal, q, v, **FIRST_MOTION)
        lags.append(abs(q - goal))
    return lags


def test_a_goal_slower_than_one_periods_acceleration_is_followed_without_lag() -> None:
    amplitude = 0.9 * 0.05 / (0.5 * math.pi)  # fastest at 90 % of a T = 0.05 rad/s
    assert max(follow(amplitude)) <= 1e-12


@pytest.mark.parametrize("speed", [0.3, 0.6, 0.9])
def test_a_goal_in_motion_is_followed_at_the_distance_of_a_stop(speed: float) -> None:
    """The price of never passing a goal that stops dead: v^2 / 2a, and a period or two."""
    lag = max(follow(speed / (0.5 * math.pi)))
    assert 0.5 * speed**2 / 10.0 <= lag <= speed**2 / 10.0 + 2 * speed * 0.01


@settings(max_examples=200, deadline=None)
@given(joint=joints(), data=st.data())
def test_braking_always_ends_at_rest_inside_the_range(
    joint: dict[str, float], data: st.DataObject
) -> None:
    q, v = min(joint.pop("q"), joint["upper"]), 0.0
    for wish in data.draw(st.lists(FINITE, max_size=30)):
        q, v = shape_joint(wish, q, v, **joint)
    steps = math.ceil(abs(v) / (joint["acceleration"] * joint["period"])) + 1
    for _ in range(min(steps, 20_000)):
        q, v = shape_joint(q, q, v, **joint)  # a hold: stay where you are
        assert joint["lower"] - TOLERANCE <= q <= joint["upper"] + TOLERANCE
    if steps < 20_000:
        assert v == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_scalar_and_vector_form_agree_to_the_last_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 3000
    limits = limits_of(rng, n)
    q = rng.uniform(limits["lower"], limits["upper"])
    v = np.zeros(n)
    for step in range(8):
        wanted = hostile(rng, q, limits, step)
        q_next, v_next = shape(wanted, q, v, period=0.01, **limits)
        for i in range(n):
            one = shape_joint(
                float(wanted[i]),
                float(q[i]),
                float(v[i]),
                period=0.01,
                **{name: float(value[i]) for name, value in limits.items()},
            )
            assert one == (q_next[i], v_next[i])
        q, v = q_next, v_next


def exact_stop(speed: Fraction, dv: Fraction, period: Fraction) -> Fraction:
    """Distance of a stop in steps: this step at `speed`, then one `dv` less at every step."""
    distance = Fraction(0)
    while speed > 0:
        distance += speed * period
        speed -= dv
    return distance


@given(
    st.fractions(min_value=Fraction(1, 10**6), max_value=3),
    st.fractions(min_value=Fraction(1, 10), max_value=50),
    st.sampled_from([Fraction(1, 1000), Fraction(1, 100), Fraction(1, 50)]),
)
def test_the_braking_speed_is_the_largest_from_which_a_stop_fits(
    distance: Fraction, acceleration: Fraction, period: Fraction
) -> None:
    speed = Fraction(braking_speed(float(distance), float(acceleration), float(period)))
    dv = acceleration * period
    if speed / dv > 5000:
        return  # exact, and slow
    assert exact_stop(speed * (1 - Fraction(1, 10**9)), dv, period) <= distance
    assert exact_stop(speed * (1 + Fraction(1, 10**9)), dv, period) >= distance


@given(st.floats(max_value=0.0), st.floats(1e-3, 1e3))
def test_without_room_there_is_no_speed(distance: float, acceleration: float) -> None:
    assert braking_speed(distance, acceleration, 0.01) == 0.0
    assert braking_speed(math.nan, acceleration, 0.01) == 0.0


@given(st.floats(1e-12, 1e300), st.floats(1e-3, 1e3), st.sampled_from(PERIODS))
def test_more_room_never_means_less_speed(
    distance: float, acceleration: float, period: float
) -> None:
    speed = braking_speed(distance, acceleration, period)
    assert math.isfinite(speed)
    assert braking_speed(distance * 1.001, acceleration, period) >= speed * (1 - 1e-12)
    # never above the speed of continuous braking
    assert speed <= math.sqrt(2.0 * acceleration * distance) * (1 + 1e-9)
