"""The gate: total for any input, nothing leaves the box or jumps, and silence is a stop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ros2_sim2real.robot import Limits, load_robot
from ros2_sim2real.safety import gate
from ros2_sim2real.safety.gate import (
    MAX_COMMAND_AGE,
    MAX_STATE_AGE,
    RAMP,
    RAMP_FLOOR,
    START_SPEED,
    TOLERANCE,
    Gate,
    Mode,
)
from ros2_sim2real.safety.pacer import Pacer
from ros2_sim2real.signals import HOLDING, REFUSED, Command, Reason, RobotState, Verdict, frozen

MS = 1_000_000
RATE = 100.0
PERIOD = 10 * MS
LIMITS = Limits(
    lower=frozen([-1.0, -2.0]),
    upper=frozen([1.0, 2.0]),
    velocity=frozen([1.0, 0.5]),
    acceleration=frozen([5.0, 2.0]),
    reject_margin=0.2,
)
ANY = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0, -0.0])


class Bench:
    """A gate, a clock, and an arm that follows perfectly."""

    def __init__(self, q: Any = (0.0, 0.0), *, shadow: bool = False) -> None:
        self.gate = Gate(LIMITS, rate_hz=RATE, shadow=shadow)
        self.q = np.array(q, dtype=np.float64)
        self.now = 0

    def see(self, q: Any = None, dq: Any = (0.0, 0.0)) -> bool:
        q = self.q if q is None else np.array(q, dtype=np.float64)
        return self.gate.observe(
            RobotState(self.now, q, np.array(dq, dtype=np.float64)), now_ns=self.now
        )

    def activate(self) -> Reason:
        return self.gate.activate(now_ns=self.now)

    def step(self, wanted: Any = None, *, stamp: int | None = None, state: bool = True) -> Verdict:
        """One period: the arm is measured, a command may come, the arm moves as told."""
        self.now += PERIOD
        if state:
            self.see()
        command = None
        if wanted is not None:
            stamp = self.now if stamp is None else stamp
            command = Command(stamp, np.array(wanted, dtype=np.float64))
        verdict = self.gate.step(command, now_ns=self.now)
        if verdict.send:
            self.q = verdict.q.copy()
        return verdict


def active(q: Any = (0.0, 0.0)) -> Bench:
    bench = Bench(q)
    bench.see()
    assert bench.activate() is Reason.NONE
    return bench


def within_limits(verdict: Verdict) -> bool:
    return bool(
        np.isfinite(verdict.q).all()
        and (verdict.q >= LIMITS.lower - TOLERANCE).all()
        and (verdict.q <= LIMITS.upper + TOLERANCE).all()
        and (np.abs(verdict.dq) <= LIMITS.velocity + TOLERANCE).all()
    )


class AnyLife(RuleBasedStateMachine):
    """Whatever happens to a gate: what it sends is finite, inside, continuous, and honest."""

    @initialize(shadow=st.booleans(), q=st.tuples(st.floats(-1, 1), st.floats(-2, 2)))
    def start(self, shadow: bool, q: tuple[float, float]) -> None:
        self.shadow = shadow
        self.bench = Bench(q, shadow=shadow)
        self.last: Verdict | None = None

    @rule(q=st.lists(ANY, max_size=4), dq=st.lists(ANY, max_size=4))
    def see_anything(self, q: list[float], dq: list[float]) -> None:
        self.bench.see(q, dq)

    @rule()
    def see_the_arm(self) -> None:
        assert self.bench.see()

    @rule(ns=st.integers(-(10**12), 10**12) | st.integers(0, 200 * MS))
    def let_time_pass(self, ns: int) -> None:
        self.bench.now += ns

    @rule()
    def activate(self) -> None:
        before = self.bench.gate.mode
        if self.bench.activate() is Reason.NONE and before is not Mode.ACTIVE:
            self.last = None

    @rule()
    def deactivate(self) -> None:
        self.bench.gate.deactivate()
        self.last = None

    @rule(reason=st.sampled_from([Reason.NAMES, Reason.LENGTH]))
    def refuse(self, reason: Reason) -> None:
        self.bench.gate.refuse(reason)

    @rule(q=st.none() | st.lists(ANY, min_size=2, max_size=2), stamp=st.integers())
    def step(self, q: list[float] | None, stamp: int) -> None:
        self._step(None if q is None else Command(stamp, np.array(q)))

    @rule(q=st.tuples(st.floats(-1.2, 1.2), st.floats(-2.2, 2.2)), count=st.integers(1, 30))
    def stream(self, q: tuple[float, float], count: int) -> None:
        for _ in range(count):
            self.bench.now += PERIOD
            self.bench.see()
            self._step(Command(self.bench.now, np.array(q)))

    @rule(q=st.lists(ANY, max_size=5).filter(lambda q: len(q) != 2))
    def step_with_another_length(self, q: list[float]) -> None:
        verdict = self._step(Command(self.bench.now, np.array(q, dtype=np.float64)))
        assert verdict.reason & Reason.LENGTH

    def _step(self, command: Command | None) -> Verdict:
        was = self.bench.gate.mode
        verdict = self.bench.gate.step(command, now_ns=self.bench.now)
        assert not verdict.reason & Reason.INTERNAL
        assert verdict.send is (was is Mode.ACTIVE)
        assert bool(verdict.reason & Reason.INACTIVE) is (was is not Mode.ACTIVE)
        if verdict.send:
            assert within_limits(verdict)
            if self.last is not None:
                dv = np.abs(verdict.dq - self.last.dq)
                step = np.abs(verdict.q - self.last.q)
                assert (dv <= LIMITS.acceleration / RATE + TOLERANCE).all()
                assert (step <= LIMITS.velocity / RATE + TOLERANCE).all()
            self.last = verdict
            self.bench.q = verdict.q.copy()
        return verdict

    @invariant()
    def shadow_is_for_ever(self) -> None:
        if hasattr(self, "shadow") and self.shadow:
            assert self.bench.gate.mode is Mode.SHADOW

    @precondition(lambda self: hasattr(self, "bench"))
    @invariant()
    def counts_stay_few(self) -> None:
        assert len(self.bench.gate.counts) < 200


AnyLife.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyLife = AnyLife.TestCase


def test_the_limits_of_time_and_speed_are_those_of_first_motion() -> None:
    assert (MAX_STATE_AGE, MAX_COMMAND_AGE) == (0.05, 0.1)
    assert (START_SPEED, RAMP, RAMP_FLOOR) == (0.05, 1.0, 0.1)


# --- activation ---------------------------------------------------------------------------------


def test_nothing_is_sent_before_activation() -> None:
    bench = Bench()
    for _ in range(10):
        verdict = bench.step([0.5, 0.5])
        assert not verdict.send
        assert verdict.reason & Reason.INACTIVE


def test_activation_without_a_state_is_refused() -> None:
    assert Bench().activate() is Reason.STALE_STATE


@pytest.mark.parametrize(("age_ms", "reason"), [(50, Reason.NONE), (51, Reason.STALE_STATE)])
def test_activation_needs_a_fresh_state(age_ms: int, reason: Reason) -> None:
    bench = Bench()
    bench.see()
    bench.now += age_ms * MS
    assert bench.activate() is reason


@pytest.mark.parametrize("dq", [(START_SPEED * 1.01, 0.0), (0.0, -0.1), (math.nan, 0.0)])
def test_an_arm_that_moves_is_not_taken_over(dq: Any) -> None:
    bench = Bench()
    bench.see(dq=dq)
    assert bench.activate() is Reason.START


@pytest.mark.parametrize("dq", [(START_SPEED, 0.0), (-START_SPEED, START_SPEED)])
def test_an_arm_that_hardly_moves_is_taken_over(dq: Any) -> None:
    bench = Bench()
    bench.see(dq=dq)
    assert bench.activate() is Reason.NONE


@pytest.mark.parametrize("q", [(1.0 + 1e-6, 0.0), (0.0, -2.1)])
def test_an_arm_outside_its_soft_range_is_not_taken_over(q: Any) -> None:
    bench = Bench(q)
    bench.see()
    assert bench.activate() is Reason.START


@pytest.mark.parametrize("q", [(1.0, 2.0), (-1.0, -2.0)])
def test_an_arm_at_the_very_end_of_its_soft_range_may_start(q: Any) -> None:
    bench = active(q)
    assert bench.step([0.0, 0.0]).send


@given(st.floats(-1, 1), st.floats(-2, 2))
def test_activation_moves_nothing(a: float, b: float) -> None:
    bench = active((a, b))
    for _ in range(20):
        verdict = bench.step()
        assert verdict.send
        assert verdict.q.tolist() == [a, b]
        assert verdict.dq.tolist() == [0.0, 0.0]


def test_a_command_from_before_the_activation_is_not_followed() -> None:
    bench = Bench()
    bench.step([0.5, 0.5])
    assert bench.activate() is Reason.NONE
    assert bench.step().q.tolist() == [0.0, 0.0]


def test_activating_twice_in_motion_does_not_jump() -> None:
    bench = active()
    for _ in range(50):
        last = bench.step([1.0, 2.0])
    bench.see([0.0, 0.0])  # the arm lags behind its set-point
    assert bench.activate() is Reason.NONE
    after = bench.step([1.0, 2.0])
    assert (np.abs(after.q - last.q) <= LIMITS.velocity / RATE + TOLERANCE).all()


def test_speed_ramps_from_a_tenth_to_all_of_it_in_a_second() -> None:
    bench = active((-1.0, -2.0))
    fastest = []
    for i in range(1, 151):
        verdict = bench.step([1.0, 2.0])
        fastest.append(abs(float(verdict.dq[1])) / 0.5)
        allowed = min(1.0, RAMP_FLOOR + (1.0 - RAMP_FLOOR) * i / (RAMP * RATE))
        assert fastest[-1] <= allowed + 1e-9
    assert math.isclose(fastest[9], RAMP_FLOOR + 0.9 * 10 / 100, rel_tol=1e-6)
    assert math.isclose(fastest[-1], 1.0)


def test_the_ramp_starts_over_with_every_activation() -> None:
    bench = active()
    for _ in range(150):
        bench.step([0.0, 0.0])
    bench.gate.deactivate()
    bench.see()
    bench.activate()
    for _ in range(10):
        verdict = bench.step([1.0, 2.0])
    assert abs(verdict.dq[1]) <= 0.5 * (RAMP_FLOOR + 0.09) + 1e-9


def test_after_deactivation_nothing_is_sent() -> None:
    bench = active()
    bench.step([0.5, 0.5])
    bench.gate.deactivate()
    assert not bench.step([0.5, 0.5]).send


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ([math.nan, 0.0], Reason.NOT_FINITE),
        ([0.0, math.inf], Reason.NOT_FINITE),
        ([-math.inf, math.nan], Reason.NOT_FINITE),
        ([1e300, 0.0], Reason.GROSS_RANGE),
        ([1.0 + 0.2 + 1e-6, 0.0], Reason.GROSS_RANGE),
        ([0.0, -2.0 - 0.2 - 1e-6], Reason.GROSS_RANGE),
        ([57.3, 28.6], Reason.GROSS_RANGE),  # degrees
        ([], Reason.LENGTH),
        ([0.0], Reason.LENGTH),
        ([0.0, 0.0, 0.0], Reason.LENGTH),
        ([0.0] * 100_000, Reason.LENGTH),
    ],
)
def test_a_refused_command_leaves_the_last_one_in_force(wanted: Any, reason: Reason) -> None:
    refused, plain = active(), active()
    for bench in (refused, plain):
        for _ in range(20):
            bench.step([0.8, 0.8])
    got, expected = refused.step(wanted), plain.step([0.8, 0.8])
    assert got.reason & REFUSED == reason
    assert got.send
    np.testing.assert_array_equal(got.q, expected.q)
    assert got.stamp_ns == expected.stamp_ns - PERIOD  # it answers the last good one
    assert sum(n for r, n in refused.gate.counts.items() if reason in r) == 1


@pytest.mark.parametrize("wanted", [[1.2, 0.0], [-1.2, 0.0], [0.0, 2.2], [-0.9, -1.9]])
def test_a_command_up_to_the_margin_beyond_the_range_is_taken(wanted: Any) -> None:
    verdict = active().step(wanted)
    assert not verdict.reason & REFUSED
    assert (np.sign(verdict.dq) == np.sign(wanted)).all()


def test_a_stream_of_refusals_ends_in_a_hold() -> None:
    bench = active()
    for _ in range(20):
        bench.step([0.8, 0.8])
    reasons = [bench.step([math.nan, 0.0]).reason for _ in range(60)]
    assert not any(r & HOLDING for r in reasons[:10])
    assert all(r & Reason.STALE_COMMAND for r in reasons[10:])
    assert bench.step([math.nan, 0.0]).dq.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("ahead_ms", [51, 3_600_000])
def test_a_stamp_from_the_future_is_refused_never_fresh_for_ever(ahead_ms: int) -> None:
    bench = active()
    verdict = bench.step([0.5, 0.5], stamp=bench.now + PERIOD + ahead_ms * MS)
    assert verdict.reason & REFUSED == Reason.SKEW
    assert verdict.q.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("old_ms", [101, 1000, 10_000])
def test_an_answer_to_an_old_state_is_refused(old_ms: int) -> None:
    bench = active()
    bench.now = 20_000 * MS
    verdict = bench.step([0.5, 0.5], stamp=bench.now + PERIOD - old_ms * MS)
    assert verdict.reason & REFUSED == Reason.SKEW


def test_without_stamps_on_the_states_there_is_nothing_to_compare_with() -> None:
    bench = active()  # seen at time 0, which is no stamp
    verdict = bench.step([0.5, 0.5], stamp=10**18, state=False)
    assert not verdict.reason & REFUSED
    unseen = Gate(LIMITS, rate_hz=RATE).step(Command(10**18, np.zeros(2)), now_ns=0)
    assert not unseen.reason & REFUSED


@pytest.mark.parametrize("skew_ms", [-100, -20, 20, 50])
def test_topics_may_overtake_each_other(skew_ms: int) -> None:
    bench = active()
    verdict = bench.step([0.5, 0.5], stamp=bench.now + PERIOD + skew_ms * MS)
    assert not verdict.reason & REFUSED


@pytest.mark.parametrize(
    "q", [[math.nan, 0.0], [0.0, math.inf], [0.0], [0.0] * 3, [], [0.0] * 1000]
)
def test_a_state_that_is_not_sound_does_not_count_as_one(q: Any) -> None:
    bench = Bench()
    assert not bench.see(q)
    assert bench.activate() is Reason.STALE_STATE


@pytest.mark.parametrize("dq", [[], [0.0], [0.0] * 3])
def test_a_state_without_a_speed_for_each_joint_does_not_count_as_one(dq: Any) -> None:
    assert not Bench().see(dq=dq)


# --- silence ------------------------------------------------------------------------------------


def test_when_commands_stop_the_arm_brakes_and_stays() -> None:
    bench = active()
    for _ in range(100):
        last = bench.step([0.9, 1.9])
    assert abs(last.dq[0]) > 0.5
    silent = [bench.step() for _ in range(60)]
    held = [bool(v.reason & Reason.STALE_COMMAND) for v in silent]
    assert held == [False] * 10 + [True] * 50  # 100 ms, then a hold
    assert round(MAX_COMMAND_AGE * RATE) == 10
    slowest = (LIMITS.velocity / (LIMITS.acceleration / RATE)).max()
    stopped = silent[10 + math.ceil(slowest) + 1]
    assert stopped.dq.tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(silent[-1].q, stopped.q)
    assert all(v.send for v in silent)  # the driver keeps hearing the set-point
    ran_on = silent[-1].q - last.q
    assert (
        ran_on <= LIMITS.velocity * 0.1 + LIMITS.velocity**2 / (2 * LIMITS.acceleration) + 0.02
    ).all()


def test_when_states_stop_the_arm_brakes_though_commands_go_on() -> None:
    bench = active()
    for _ in range(100):
        bench.step([0.9, 1.9])
    blind = [bench.step([0.9, 1.9], state=False) for _ in range(60)]
    held = [bool(v.reason & Reason.STALE_STATE) for v in blind]
    assert held == [False] * 5 + [True] * 55
    assert round(MAX_STATE_AGE * RATE) == 5
    assert blind[-1].dq.tolist() == [0.0, 0.0]


def test_motion_goes_on_when_commands_come_back() -> None:
    bench = active()
    for _ in range(50):
        bench.step([0.9, 0.9])
    for _ in range(60):
        bench.step()
    verdict = bench.step([0.9, 0.9])
    assert not verdict.reason & HOLDING
    assert verdict.dq[0] > 0.0


def test_a_clock_that_was_set_back_does_not_keep_an_old_command_fresh() -> None:
    bench = active()
    bench.now = 10**12
    bench.see()
    bench.step([0.9, 0.9])
    bench.now = 0
    bench.see()
    assert bench.step().reason & Reason.STALE_COMMAND


# --- what a verdict says ------------------------------------------------------------------------


def test_a_command_that_is_followed_to_the_letter_has_no_reason() -> None:
    bench = active()
    for _ in range(200):
        verdict = bench.step([0.3, 0.3])
    assert verdict.reason is Reason.NONE
    np.testing.assert_allclose(verdict.q, [0.3, 0.3], atol=1e-12)


def test_a_far_command_is_slowed_down() -> None:
    bench = active()
    for _ in range(5):
        verdict = bench.step([0.9, 0.9])
    assert verdict.reason & Reason.SPEED


@pytest.mark.parametrize(
    ("share", "reason"), [(0.9, Reason.ACCELERATION), (1.1, Reason.SPEED), (-1.1, Reason.SPEED)]
)
def test_what_could_not_be_followed_is_told_speed_or_acceleration(
    share: float, reason: Reason
) -> None:
    bench = active()
    for _ in range(150):  # past the ramp
        bench.step([0.0, 0.0])
    verdict = bench.step([share * 1.0 / RATE, 0.0])  # a share of what the speed limit allows
    assert verdict.reason == reason


def test_a_command_just_outside_the_soft_range_is_taken_to_its_end() -> None:
    bench = active((0.9, 0.0))
    for _ in range(300):
        verdict = bench.step([1.1, 0.0])
    assert verdict.reason & Reason.POSITION
    assert math.isclose(verdict.q[0], 1.0, abs_tol=1e-9)


def test_the_verdict_answers_the_stamp_of_its_command() -> None:
    bench = active()
    assert bench.step([0.1, 0.1], stamp=3 * MS).stamp_ns == 3 * MS


def test_a_verdict_cannot_be_edited() -> None:
    verdict = active().step([0.1, 0.1])
    with pytest.raises(ValueError, match="read-only"):
        verdict.q[0] = 9.0


# --- shadow -------------------------------------------------------------------------------------


@given(st.lists(st.lists(ANY, min_size=2, max_size=2), max_size=20))
def test_shadow_never_sends_and_cannot_be_activated(commands: list[list[float]]) -> None:
    bench = Bench(shadow=True)
    for q in commands:
        assert not bench.step(q).send
        assert bench.activate() is Reason.INACTIVE
        assert bench.gate.mode is Mode.SHADOW


def test_shadow_says_what_would_be_sent() -> None:
    bench = Bench(shadow=True)
    assert bench.step([0.4, 0.4]).q.tolist() == [0.4, 0.4]
    assert bench.step([1.1, 0.4]).q.tolist() == [1.0, 0.4]


def test_shadow_follows_the_arm_when_nobody_asks_for_anything() -> None:
    bench = Bench((0.7, 0.7), shadow=True)
    assert bench.step().q.tolist() == [0.7, 0.7]


def test_shadow_follows_the_arm_when_the_last_wish_is_old() -> None:
    bench = Bench((0.7, 0.7), shadow=True)
    bench.step([0.4, 0.4])
    for _ in range(12):
        verdict = bench.step()
    assert verdict.reason & Reason.STALE_COMMAND
    assert verdict.q.tolist() == [0.7, 0.7]


# --- the second path ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_q", "_v"])
@pytest.mark.parametrize("value", [math.nan, 1e9])
def test_a_spoilt_set_point_is_caught_by_the_independent_check(name: str, value: float) -> None:
    bench = active()
    bench.step([0.1, 0.1])
    setattr(bench.gate, name, [value, 0.0])  # a defect that is not there
    verdict = bench.step([0.1, 0.1])
    assert verdict.reason & Reason.INTERNAL
    assert not verdict.send
    assert bench.gate.mode is Mode.INACTIVE


LEAST = 2 * TOLERANCE  # beyond what rounding can do


@pytest.mark.parametrize(
    ("q", "v", "sound"),
    [
        (0.9, 0.0, True),  # stays
        (0.9 + 0.01, 0.05, True),  # as fast and as hard as may be
        (0.9 + 0.01 + LEAST, 0.05, False),
        (0.9 - 0.01 - LEAST, -0.05, False),
        (0.9, 0.05 + LEAST, False),
        (0.9, -0.05 - LEAST, False),
        (1.0 + LEAST, 0.0, False),
        (math.nan, 0.0, False),
        (0.9, math.nan, False),
        (math.inf, 0.0, False),
    ],
)
def test_the_second_check_knows_the_limits_by_their_plain_definition(
    q: float, v: float, sound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = active((0.9, 0.0))
    before = bench.step().q.copy()
    if q > 1.0:  # so that the step alone is no reason
        monkeypatch.setattr(bench.gate, "_q", [0.995, 0.0])
        before = np.array([0.995, 0.0])
    wrong = iter([(q, v), (0.0, 0.0)])
    monkeypatch.setattr(gate, "shape_joint", lambda *_, **__: next(wrong))
    verdict = bench.step([0.9, 0.0])
    assert verdict.send is sound
    assert bool(verdict.reason & Reason.INTERNAL) is not sound
    if not sound:
        assert verdict.q.tolist() == before.tolist()
        assert verdict.dq.tolist() == [0.0, 0.0]


def test_two_gates_with_the_same_inputs_agree_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    wishes = rng.uniform(-1.3, 1.3, (500, 2))
    runs = []
    for _ in range(2):
        bench = active()
        runs.append([bench.step(w).q.tobytes() for w in wishes])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("robot", ["teach2", "ur5e", "ur10"])
def test_the_robots_of_the_repository_pass_the_gate(robot: str) -> None:
    spec = load_robot(robot)
    gate = Gate(spec.limits, rate_hz=RATE)
    state = RobotState(0, spec.home, np.zeros(spec.nq))
    assert gate.observe(state, now_ns=0)
    assert gate.activate(now_ns=0) is Reason.NONE
    rng = np.random.default_rng(0)
    for i in range(1, 300):
        gate.observe(RobotState(i * PERIOD, spec.home, np.zeros(spec.nq)), now_ns=i * PERIOD)
        wish = rng.uniform(spec.limits.lower - 0.1, spec.limits.upper + 0.1)
        verdict = gate.step(Command(i * PERIOD, wish), now_ns=i * PERIOD)
        assert verdict.send
        assert (verdict.q >= spec.limits.lower - TOLERANCE).all()
        assert (verdict.q <= spec.limits.upper + TOLERANCE).all()


def test_a_step_takes_a_small_part_of_a_period() -> None:
    import time

    bench = active()
    spent = []
    for i in range(2000):
        wanted = [math.sin(i / 20), math.cos(i / 20)]
        begin = time.process_time_ns()
        bench.step(wanted)
        spent.append(time.process_time_ns() - begin)
    assert np.median(spent) < 0.2 * MS


# --- the pacer ----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3 * PERIOD), max_size=300))
def test_no_stream_buys_more_steps_than_time_allows(gaps: list[int]) -> None:
    pacer = Pacer(PERIOD)
    arrivals = np.cumsum([0, *gaps]).tolist()
    accepted = [t for t in arrivals if pacer.accept(t)]
    for i, start in enumerate(accepted):
        for j, end in enumerate(accepted[i:], start=i):
            assert j - i + 1 <= (end - start) / PERIOD + 2


@given(st.lists(st.floats(0.0, 0.999), min_size=10, max_size=300), st.floats(1.0, 1.5))
def test_a_stream_with_jitter_below_a_period_is_never_starved(
    jitter: list[float], spacing: float
) -> None:
    pacer = Pacer(PERIOD)
    arrivals = [round((i * spacing + j) * PERIOD) for i, j in enumerate(jitter)]
    assert all(pacer.accept(t) for t in sorted(arrivals))


@given(st.integers(2, 50))
def test_a_flood_is_answered_once_a_period(times: int) -> None:
    pacer = Pacer(PERIOD)
    accepted = sum(pacer.accept(i * PERIOD // times) for i in range(100 * times))
    assert 99 <= accepted <= 102


@given(st.integers(0, 10**15))
def test_a_pause_saves_up_one_period_at_most(pause: int) -> None:
    pacer = Pacer(PERIOD)
    pacer.accept(0)
    assert sum(pacer.accept(pause) for _ in range(10)) <= 2


def test_after_a_burst_of_two_the_next_is_due_one_period_later_to_the_nanosecond() -> None:
    pacer = Pacer(PERIOD)
    assert [pacer.accept(t) for t in (0, 0, 0, PERIOD - 1, PERIOD, PERIOD)] == [
        True,
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_clock_that_was_set_back_does_not_stop_the_stream() -> None:
    pacer = Pacer(PERIOD)
    for i in range(100):
        pacer.accept(10**15 + i * PERIOD)
    assert sum(pacer.accept(i * PERIOD) for i in range(100)) >= 99
