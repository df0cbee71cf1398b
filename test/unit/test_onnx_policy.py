"""The trained policy: the network reads what was observed, now, and nothing that is not sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from builders import GOAL, contract, policy_bytes, term, write_policy
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.policy.artefact import load_artefact
from ros2_sim2real.policy.onnx_policy import Network, OnnxPolicy
from ros2_sim2real.robot import load_robot
from ros2_sim2real.signals import Goal, Level, RobotState

ROBOT = load_robot("teach2")
MS = 1_000_000
PERIOD = 20 * MS
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(4, 2))
BIAS = RNG.normal(size=2)


def policy(
    folder: Path, promised: PolicyContract, weights: Any = None, bias: Any = None
) -> OnnxPolicy:
    return OnnxPolicy(
        load_artefact(write_policy(folder / "p.onnx", promised, weights, bias)), ROBOT
    )


def state(stamp_ns: int, q: Any = (1.2, -1.0), dq: Any = (0.0, 0.0)) -> RobotState:
    return RobotState(stamp_ns, np.array(q, dtype=np.float64), np.array(dq, dtype=np.float64))


def goal(x: float = 0.2) -> Goal:
    return Goal(0, np.array([x, 0.0, 0.3]), np.array([1.0, 0.0, 0.0, 0.0]))


# --- the memory that network and observation share ----------------------------------------------


def test_editing_the_observation_in_place_reaches_the_network(tmp_path: Path) -> None:
    path = write_policy(tmp_path / "p.onnx", contract(), WEIGHTS, BIAS)
    observation = np.zeros((1, 4), dtype=np.float32)
    network = Network(load_artefact(path), observation)
    plain = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    for _ in range(100):
        observation[0] = RNG.normal(size=4)
        expected = plain.run(None, {"obs": observation.copy()})[0][0]
        np.testing.assert_array_equal(network().astype(np.float32), expected)


def test_an_answer_is_not_overwritten_by_the_next(tmp_path: Path) -> None:
    path = write_policy(tmp_path / "p.onnx", contract(), WEIGHTS, BIAS)
    observation = np.zeros((1, 4), dtype=np.float32)
    network = Network(load_artefact(path), observation)
    first = network()
    kept = first.copy()
    observation[0] = 1.0
    second = network()
    np.testing.assert_array_equal(first, kept)
    assert not np.array_equal(first, second)


def test_the_networks_memory_outlives_who_made_it(tmp_path: Path) -> None:
    import gc

    path = write_policy(tmp_path / "p.onnx", contract(), WEIGHTS, BIAS)
    networks = []
    for i in range(20):
        observation = np.full((1, 4), i, dtype=np.float32)
        networks.append((Network(load_artefact(path), observation), observation))
        gc.collect()
    for i, (network, _) in enumerate(networks):
        expected = np.full(4, i) @ WEIGHTS.astype(np.float32) + BIAS.astype(np.float32)
        np.testing.assert_allclose(network(), expected, rtol=1e-5, atol=1e-5)


# --- what a step answers ------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.booleans())
def test_a_step_is_observation_network_action_in_the_robots_order(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], swapped: bool
) -> None:
    joints = ["elbow_joint", "shoulder_joint"] if swapped else ["shoulder_joint", "elbow_joint"]
    order = [1, 0] if swapped else [0, 1]
    scale, default = np.array([0.5, 2.0]), np.array([0.3, -0.4])
    promised = contract(
        joints=joints,
        default_pose=default.tolist(),
        action={"kind": "delta_default", "scale": scale.tolist()},
    )
    content = policy_bytes(promised, WEIGHTS, BIAS)
    path = tmp_path_factory.mktemp("order") / "p.onnx"
    path.write_bytes(content)
    tested = OnnxPolicy(load_artefact(path), ROBOT)
    q, dq = np.array(numbers[:2]), np.array(numbers[2:])
    target = tested.step(RobotState(0, q, dq), None)
    assert target is not None
    observed = np.concatenate((q[order], dq[order])).astype(np.float32)
    raw = observed @ WEIGHTS.astype(np.float32) + BIAS.astype(np.float32)
    expected = default + scale * raw
    np.testing.assert_allclose(target.q[order], expected, rtol=1e-5, atol=1e-5)


def test_between_decisions_the_last_target_is_repeated_with_the_new_stamp(tmp_path: Path) -> None:
    tested = policy(tmp_path, contract(), WEIGHTS, BIAS)
    first = tested.step(state(0), None)
    second = tested.step(state(PERIOD // 2, q=(0.5, 0.5)), None)
    third = tested.step(state(PERIOD, q=(0.5, 0.5)), None)
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.fresh, second.fresh, third.fresh) == (True, False, True)
    assert second.stamp_ns == PERIOD // 2
    np.testing.assert_array_equal(first.q, second.q)
    assert not np.array_equal(second.q, third.q)


def test_the_network_runs_at_the_policys_rate_only(tmp_path: Path) -> None:
    tested = policy(tmp_path, contract(), WEIGHTS, BIAS)
    fresh = 0
    for i in range(1000):  # a second at 1 kHz
        target = tested.step(state(i * MS), None)
        assert target is not None
        fresh += target.fresh
    assert fresh in (50, 51)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["q", "dq"])
def test_a_state_that_is_not_finite_is_not_answered(
    tmp_path: Path, field: str, bad: float
) -> None:
    tested = policy(tmp_path, contract(), WEIGHTS, BIAS)
    assert tested.step(state(0, **{field: (bad, 0.0)}), None) is None
    assert tested.status().level is Level.ERROR
    assert "not finite" in tested.status().message
    assert tested.step(state(PERIOD), None) is not None
    assert tested.status().level is Level.OK


def test_an_answer_that_is_not_finite_is_not_given(tmp_path: Path) -> None:
    tested = policy(tmp_path, contract(), np.full((4, 2), 3e38), BIAS)
    assert tested.step(state(0, q=(3.0, 2.0)), None) is None
    assert "output is not finite" in tested.status().message


def test_an_observation_that_is_not_finite_is_not_shown_to_the_network(tmp_path: Path) -> None:
    terms = [term("joint_position", 2, scale=1e39), term("joint_velocity", 2)]
    tested = policy(tmp_path, contract(observation=terms), np.zeros((4, 2)), BIAS)
    assert tested.step(state(0), None) is None
    assert "observation is not finite" in tested.status().message


def test_a_policy_with_a_goal_waits_for_one(tmp_path: Path) -> None:
    promised = contract(observation=[term("goal_position", 3)], goal=GOAL)
    tested = policy(tmp_path, promised, np.eye(3, 2), np.zeros(2))
    for i in range(5):
        assert tested.step(state(i * PERIOD), None) is None
    assert tested.status().level is Level.WARN
    assert "waiting for a goal" in tested.status().message
    target = tested.step(state(5 * PERIOD), goal(0.25))
    assert target is not None
    np.testing.assert_allclose(target.q, [0.25, 0.0])


def test_a_new_goal_is_followed_at_the_next_decision_without_a_new_episode(tmp_path: Path) -> None:
    promised = contract(
        observation=[term("goal_position", 3), term("previous_action", 2)], goal=GOAL
    )
    weights = np.vstack([np.eye(3, 2), 0.5 * np.eye(2)])
    tested = policy(tmp_path, promised, weights, np.zeros(2))
    tested.step(state(0), goal(0.2))
    waiting = tested.step(state(PERIOD // 2), goal(0.3))
    after = tested.step(state(PERIOD), goal(0.3))
    assert waiting is not None
    assert after is not None
    np.testing.assert_allclose(waiting.q[0], 0.2, rtol=1e-6)
    np.testing.assert_allclose(after.q[0], 0.3 + 0.5 * 0.2, rtol=1e-6)


def test_the_previous_action_is_that_of_the_last_decision(tmp_path: Path) -> None:
    promised = contract(
        observation=[term("previous_action", 2)], action={"kind": "absolute", "scale": 0.1}
    )
    tested = policy(tmp_path, promised, 0.5 * np.eye(2), np.array([1.0, 2.0]))
    raw = np.zeros(2)
    for i in range(5):
        target = tested.step(state(i * PERIOD), None)
        raw = 0.5 * raw + [1.0, 2.0]
        assert target is not None
        np.testing.assert_allclose(target.q, 0.1 * raw, rtol=1e-6)


@pytest.mark.parametrize("how", ["reset", "pause for want of a goal", "state not finite"])
def test_after_an_interruption_the_episode_starts_anew(tmp_path: Path, how: str) -> None:
    promised = contract(
        observation=[term("goal_position", 3), term("previous_action", 2)],
        goal=GOAL,
        action={"kind": "integrating", "scale": 1.0},
    )
    weights = np.vstack([np.zeros((3, 2)), np.eye(2)])
    tested = policy(tmp_path, promised, weights, np.ones(2))
    fresh = policy(tmp_path, promised, weights, np.ones(2))
    for i in range(10):
        tested.step(state(i * PERIOD), goal())
    later = 10 * PERIOD
    if how == "reset":
        tested.reset()
    elif how == "pause for want of a goal":
        tested.step(state(later), None)
    else:
        tested.step(state(later, q=(np.nan, 0.0)), goal())
    after = tested.step(state(later + MS, q=(0.4, 0.5)), goal())
    expected = fresh.step(state(later + MS, q=(0.4, 0.5)), goal())
    assert after is not None
    assert expected is not None
    np.testing.assert_array_equal(after.q, expected.q)


def test_targets_cannot_be_edited(tmp_path: Path) -> None:
    tested = policy(tmp_path, contract(), WEIGHTS, BIAS)
    target = tested.step(state(0), None)
    assert target is not None
    with pytest.raises(ValueError, match="read-only"):
        target.q[0] = 9.0


def test_the_measured_state_is_not_written_to(tmp_path: Path) -> None:
    tested = policy(tmp_path, contract(), WEIGHTS, BIAS)
    seen = state(0)
    seen.q.setflags(write=False)
    seen.dq.setflags(write=False)
    tested.step(seen, None)
    assert seen.q.tolist() == [1.2, -1.0]


def test_the_same_states_give_the_same_targets_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    states = [state(i * 10 * MS, rng.normal(size=2), rng.normal(size=2)) for i in range(200)]
    runs = []
    for _ in range(2):
        tested = policy(tmp_path, contract(), WEIGHTS, BIAS)
        runs.append([t.q.tobytes() for s in states if (t := tested.step(s, None)) is not None])
    assert runs[0] == runs[1]
    assert len(runs[0]) == 200


def test_a_long_run_does_not_grow(tmp_path: Path) -> None:
    import tracemalloc

    tested = policy(tmp_path, contract(), WEIGHTS, BIAS)
    for i in range(500):
        tested.step(state(i * PERIOD), None)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for i in range(500, 3000):
        tested.step(state(i * PERIOD), None)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000
