"""The world of training: the gate's limits, honest randomisation, goals that can be reached."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import contract, term
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_sim2real.config import validate
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import (
    BackendFault,
    ConfigError,
    ContractError,
    RobotModelError,
    TrainingError,
)
from ros2_sim2real.offline.arms import NOMINAL, ArmBatch, Randomisation
from ros2_sim2real.offline.environment import Environment, EnvironmentConfig, Outcome, Step
from ros2_sim2real.offline.reach import Reach, ReachConfig
from ros2_sim2real.offline.score import summarise, wilson
from ros2_sim2real.robot import load_robot

SPEC = load_robot("teach2")
CONFIG = EnvironmentConfig(count=16, episode_s=1.0, threads=1)
TASK = Reach(SPEC, ReachConfig(samples=4000), CONFIG)
STRONG = Randomisation(payload=(0.0, 0.3))


def arms(randomisation: Randomisation = NOMINAL, *, count: int = 4, seed: int = 0) -> ArmBatch:
    return ArmBatch(
        SPEC,
        count=count,
        rate_hz=50.0,
        physics_hz=250.0,
        randomisation=randomisation,
        rng=np.random.default_rng(seed),
    )


def environment(
    randomisation: Randomisation = NOMINAL,
    *,
    seed: int = 0,
    stagger: bool = True,
    **changes: object,
) -> Environment:
    config = CONFIG.model_copy(update=changes)
    rng = np.random.default_rng(seed)
    return Environment(SPEC, TASK, config, randomisation, rng=rng, stagger=stagger)


def run(env: Environment, steps: int, seed: int = 5) -> list[Step]:
    rng = np.random.default_rng(seed)
    return [env.step(rng.uniform(-1, 1, (env.config.count, 2))) for _ in range(steps)]


def test_the_same_seed_gives_the_same_numbers_on_any_number_of_threads():
    one = run(environment(STRONG, threads=1), 80)
    two = run(environment(STRONG, threads=2), 80)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.observation, b.observation)
        np.testing.assert_array_equal(a.reward, b.reward)
    other = run(environment(STRONG, seed=1), 80)
    assert not np.array_equal(one[-1].observation, other[-1].observation)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 3.0, 1e9]))
def test_no_action_drives_a_setpoint_past_the_limits_of_the_gate(seed, size):
    env = environment(STRONG, keep_share=1.0)
    limits, period = SPEC.limits, env.arms.period
    rng = np.random.default_rng(seed)
    action = size * rng.standard_normal((16, 2))
    before_q, before_v = env.arms.setpoint, env.arms.setpoint_speed
    for _ in range(60):
        if rng.random() < 0.1:
            action = size * rng.standard_normal((16, 2))
        env.step(action)
        q, v = env.arms.setpoint, env.arms.setpoint_speed
        assert (q >= limits.lower - 1e-9).all()
        assert (q <= limits.upper + 1e-9).all()
        assert (np.abs(v) <= limits.velocity + 1e-9).all()
        assert (np.abs(v - before_v) <= limits.acceleration * period + 1e-9).all()
        np.testing.assert_allclose(q - before_q, v * period, atol=1e-12)
        before_q, before_v = q, v


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_target_waits_out_its_delay_before_it_reaches_the_gate(delay):
    batch = arms(NOMINAL.model_copy(update={"delay": (delay, delay)}))
    start = batch.setpoint.copy()
    for step in range(6):
        batch.step(start + 0.1)
        assert (not np.array_equal(batch.setpoint, start)) == (step >= delay), step


def test_a_target_from_before_a_reset_never_arrives():
    batch = arms(NOMINAL.model_copy(update={"delay": (3, 3)}))
    batch.step(batch.setpoint + 0.5)
    everyone, home = np.arange(4), np.tile(SPEC.home, (4, 1))
    batch.reset(everyone, home)
    for _ in range(5):
        batch.step(home)
        np.testing.assert_array_equal(batch.setpoint, home)


def test_a_payload_makes_the_servo_sag_because_nobody_compensates_it():
    def sag(payload: float) -> float:
        batch = arms(NOMINAL.model_copy(update={"payload": (payload, payload)}))
        for _ in range(100):
            batch.step(np.tile(SPEC.home, (4, 1)))
        return float(np.abs(batch.q - SPEC.home).max())

    assert sag(0.0) < 1e-6
    light, heavy = sag(0.1), sag(0.2)
    assert light > 1e-3
    assert heavy == pytest.approx(2.0 * light, rel=0.1)


@pytest.mark.parametrize("kind", ["coulomb", "viscous"])
def test_friction_makes_the_servo_lag_while_it_moves(kind):
    def lag(share: float) -> float:
        batch = arms(NOMINAL.model_copy(update={kind: (share, share)}))
        for _ in range(40):
            batch.step(np.tile(SPEC.home + 1.0, (4, 1)))
        return float((batch.setpoint - batch.q).mean())

    assert lag(0.1) > lag(0.05) + 1e-3 > lag(0.0) + 2e-3


def test_an_arm_within_the_clearance_is_near_and_feels_nothing():
    low = np.array([[-0.45, -0.2]])  # the tip stands about 25 mm above the floor

    def held(clearance: float) -> ArmBatch:
        rng = np.random.default_rng(0)
        batch = ArmBatch(
            SPEC, count=1, rate_hz=50.0, physics_hz=250.0, clearance=clearance, rng=rng
        )
        batch.reset(np.arange(1), low)
        for _ in range(50):
            batch.step(low)
        return batch

    wide, none = held(0.1), held(0.0)
    assert (bool(wide.near[0]), bool(none.near[0])) == (True, False)
    np.testing.assert_array_equal(wide.q, none.q)


def test_arms_differ_and_only_those_that_are_reset_are_drawn_again():
    batch = arms(Randomisation(), count=8)
    first = batch._batch.expand("actuator_gainprm").copy()
    stiffness = np.array([joint.stiffness for joint in SPEC.joints])
    factor = first[:, :, 0] / stiffness
    assert ((factor >= 0.8) & (factor <= 1.2)).all()
    assert len(np.unique(factor)) == factor.size
    batch.reset(np.array([2, 5]), batch.q[[2, 5]])
    changed = (batch._batch.expand("actuator_gainprm") != first).any(axis=(1, 2))
    np.testing.assert_array_equal(np.flatnonzero(changed), [2, 5])


def test_sensors_lie_by_what_was_asked_and_not_at_all_without_noise():
    exact = arms()
    q, dq, tool = exact.measure()
    np.testing.assert_array_equal(q, exact.q)
    np.testing.assert_array_equal(dq, exact.dq)
    np.testing.assert_array_equal(tool, exact.tool)
    noisy = arms(NOMINAL.model_copy(update={"position_noise": 0.01}), count=2000)
    assert np.std(noisy.measure()[0] - noisy.q) == pytest.approx(0.01, rel=0.1)


def test_physics_that_diverges_is_a_fault_and_not_an_observation():
    batch = arms()
    batch._qvel[1] = np.nan
    with pytest.raises(BackendFault, match="of 1 of 4 arms"):
        batch.step(batch.setpoint)


def test_goals_lie_in_the_workspace_where_the_arm_can_be():
    goals = TASK.goals(5000, np.random.default_rng(0))
    box = SPEC.workspace
    assert box is not None
    assert (goals >= np.array(box.lower) - 1e-9).all()
    assert (goals <= np.array(box.upper) + 1e-9).all()
    shoulder = np.array([0.0, 0.0, 0.25])
    assert (np.linalg.norm(goals - shoulder, axis=1) <= 0.45 + 1e-9).all()


def test_goals_are_even_over_the_workspace_where_poses_are_not():
    drawn = TASK.goals(20_000, np.random.default_rng(0))
    cell, count = np.unique(np.floor(drawn / 0.04), axis=0, return_counts=True)
    assert len(cell) > 20
    assert count.max() < 1.5 * count.min()


def test_starts_are_home_with_noise_or_poses_that_are_near_nothing():
    start = TASK.starts(4000, np.random.default_rng(0))
    near = (np.abs(start - SPEC.home) < 0.5).all(axis=1)
    assert 0.4 < near.mean() < 0.65
    rng = np.random.default_rng(0)
    batch = ArmBatch(SPEC, count=4000, rate_hz=50.0, physics_hz=250.0, clearance=0.03, rng=rng)
    batch.reset(np.arange(4000), start)
    assert not batch.near[~near].any()


def test_an_unreachable_workspace_is_refused_by_name():
    far = {"lower": [2.0, 0.0, 0.1], "upper": [2.1, 0.0, 0.2]}
    config = validate({"workspace": far, "samples": 1000}, ReachConfig, where="test")
    with pytest.raises(TrainingError, match=r"no pose .*'teach2'"):
        Reach(SPEC, config, CONFIG)


def test_an_episode_ends_by_time_and_hands_out_another_goal():
    env = environment(stagger=False)
    goal = env.goal
    for k in range(50):
        step = env.step(np.zeros((16, 2)))
        assert step.done.all() == (k == 49)
    assert (env.goal != goal).any(axis=1).all()


@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_an_arm_that_is_kept_goes_on_from_where_it_was(keep):
    env = environment(stagger=False, keep_share=keep)
    before = env.arms.q
    for _ in range(50):
        before, step = env.arms.q, env.step(np.full((16, 2), 0.2))
    assert step.done.all()
    moved = np.abs(env.arms.q - before).max(axis=1)
    if keep:
        assert moved.max() < 0.02  # one period
    else:
        assert (moved > 0.02).mean() > 0.9
        np.testing.assert_array_equal(env.target, env.arms.q)  # starts from where it is


def test_the_error_of_a_step_is_that_of_its_own_goal():
    env = environment(stagger=False)
    goal = env.goal
    for _ in range(50):
        step = env.step(np.zeros((16, 2)))
    arm = environment(stagger=False)  # the same arms, standing still
    np.testing.assert_allclose(step.error, np.linalg.norm(arm.arms.tool - goal, axis=1), atol=1e-6)


OUTCOME = Outcome(
    q=np.tile(SPEC.home, (1, 1)),
    dq=np.zeros((1, 2)),
    tool=np.array([[0.2, 0.0, 0.3]]),
    axis=TASK._axis[None],
    near=np.array([False]),
    goal=np.array([[0.2, 0.0, 0.3]]),
    action=np.zeros((1, 2)),
    action_before=np.zeros((1, 2)),
)


@pytest.mark.parametrize(
    "worse",
    [
        {"goal": np.array([[0.2, 0.0, 0.305]])},
        {"dq": np.full((1, 2), 0.1)},
        {"action": np.full((1, 2), 0.5)},
        {"action_before": np.full((1, 2), 0.5)},
        {"q": SPEC.home[None] + 0.5},
        {"near": np.array([True])},
        {"axis": -TASK._axis[None]},
        {"tool": np.array([[0.2, 0.0, 0.0]]), "goal": np.array([[0.2, 0.0, 0.0]])},
    ],
    ids="-".join,
)
def test_resting_at_the_goal_at_home_is_best_and_each_flaw_costs(worse):
    assert TASK.reward(replace(OUTCOME, **worse))[0] < TASK.reward(OUTCOME)[0]


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_nearer_is_never_worse(a, b):
    near, far = sorted((a, b))
    rewards = [
        TASK.reward(replace(OUTCOME, goal=OUTCOME.tool + np.array([[d, 0.0, 0.0]])))[0]
        for d in (near, far)
    ]
    assert rewards[0] >= rewards[1]


def test_a_contract_that_sees_what_the_arms_do_not_show_is_refused():
    blind = contract(observation=[term("tool_quaternion", 4)])

    class Task(Reach):
        contract: PolicyContract = blind

        def __init__(self) -> None: ...

    with pytest.raises(ContractError, match="tool_quaternion"):
        Environment(SPEC, Task(), CONFIG, NOMINAL, rng=np.random.default_rng(0))


def test_an_arm_that_is_mounted_elsewhere_is_refused(tmp_path):
    model = SPEC.mjcf_path().read_text()
    moved = tmp_path / "moved.xml"
    moved.write_text(model.replace('<body name="base_link"', '<body name="base_link" pos="1 0 0"'))
    assert "pos=" in moved.read_text()
    elsewhere = SPEC.model_copy(update={"mjcf": str(moved)})
    with pytest.raises(RobotModelError, match="world's origin"):
        Environment(elsewhere, TASK, CONFIG, NOMINAL, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"stiffness": [1.2, 0.8]}, "stiffness"),
        ({"stiffness": [0.0, 1.0]}, "stiffness"),
        ({"delay": [0, 11]}, "delay"),
        ({"payload": [-1.0, 0.0]}, "payload"),
        ({"frictoin": [0.0, 0.1]}, "frictoin"),
    ],
)
def test_a_randomisation_that_means_nothing_is_refused_by_name(data, word):
    with pytest.raises(ConfigError, match=word):
        validate(data, Randomisation, where="test")


def test_physics_that_does_not_divide_into_decisions_is_refused():
    with pytest.raises(ConfigError, match="physics_hz"):
        validate({"rate_hz": 50.0, "physics_hz": 220.0}, EnvironmentConfig, where="test")


@pytest.mark.parametrize(
    ("reached", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (950, 1000, 0.9347, 0.9619)],
)
def test_the_interval_is_wilsons(reached, n, low, high):
    assert wilson(reached, n) == pytest.approx((low, high), abs=1e-4)


def test_a_score_counts_goals_within_ten_millimetres():
    score = summarise(np.array([0.001, 0.0099, 0.0101, 0.05]))
    assert (score.goals, score.reached, score.success) == (4, 2, 0.5)
    assert score.error_mm_max == pytest.approx(50.0)
