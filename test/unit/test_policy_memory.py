"""When a policy forgets, what it says about what it never saw, and how plans become one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import contract, refusal, term, with_contract, write_policy
from hypothesis import given
from hypothesis import strategies as st
from networks import KINDS, Weights, promise

from ros2_sim2real.contract import Chunk, PolicyContract
from ros2_sim2real.errors import ContractError
from ros2_sim2real.policy.artefact import load_artefact
from ros2_sim2real.policy.chunks import ChunkPlan
from ros2_sim2real.policy.monitor import WINDOW, RangeMonitor
from ros2_sim2real.policy.onnx_policy import OnnxPolicy
from ros2_sim2real.robot import load_robot
from ros2_sim2real.signals import Array, Goal, Level, RobotState, all_finite, frozen

TEACH2 = load_robot("teach2")
HERE = Goal(0, frozen([0.2, 0.0, 0.3]), frozen([1.0, 0.0, 0.0, 0.0]))
SAME = Goal(7, frozen([0.2, 0.0, 0.3]), frozen([1.0, 0.0, 0.0, 0.0]))
THERE = Goal(0, frozen([0.3, 0.0, 0.4]), frozen([1.0, 0.0, 0.0, 0.0]))
PERIOD = 20_000_000
WITH_MEMORY = sorted(set(KINDS) - {"feedforward", "normalised"})


def policy(tmp_path: Path, promised: PolicyContract) -> OnnxPolicy:
    (tmp_path / "p.onnx").write_bytes(Weights(promised).file(promised))
    return OnnxPolicy(load_artefact(tmp_path / "p.onnx"), TEACH2)


def run(policy: OnnxPolicy, begin: int, n: int = 12, goal: Goal = HERE) -> list[list[float]]:
    out = []
    for i in range(n):
        q = frozen([1.2 + 0.1 * np.sin(i), -1.0 + 0.1 * np.cos(i)])
        target = policy.step(RobotState(begin + i * PERIOD, q, frozen([0.1, 0.0])), goal)
        assert target is not None
        out.append(target.q.tolist())
    return out


@pytest.mark.parametrize("kind", WITH_MEMORY)
def test_what_a_policy_remembers_matters(tmp_path: Path, kind: str) -> None:
    one = policy(tmp_path, promise(kind))
    first = run(one, 0)
    assert run(one, 12 * PERIOD) != first


@pytest.mark.parametrize("kind", WITH_MEMORY)
@pytest.mark.parametrize("event", ["reset", "gap", "clock set back", "refusal"])
def test_every_end_of_an_episode_is_forgotten(tmp_path: Path, kind: str, event: str) -> None:
    one = policy(tmp_path, promise(kind))
    first = run(one, 1000 * PERIOD)
    begin = 1012 * PERIOD
    if event == "reset":
        one.reset()
    elif event == "gap":
        begin += 10**9
    elif event == "clock set back":
        begin -= 500 * PERIOD
    else:
        assert one.step(RobotState(begin, frozen([np.nan, 0.0]), frozen([0.0, 0.0])), HERE) is None
    assert run(one, begin) == first


@pytest.mark.parametrize(("goal", "forgets"), [(HERE, False), (SAME, False), (THERE, True)])
def test_a_new_goal_is_a_new_episode_where_the_contract_says_so(
    tmp_path: Path, goal: Goal, forgets: bool
) -> None:
    one = policy(tmp_path, promise("lstm"))
    run(one, 0)
    after = run(one, 12 * PERIOD, goal=goal)
    one.reset()
    assert (after == run(one, 24 * PERIOD, goal=goal)) is forgets


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_reading_that_is_not_finite_leaves_no_trace(tmp_path: Path, broken: float) -> None:
    one = policy(tmp_path, promise("history_by_time"))
    first = run(one, 0)
    for _ in range(2):  # also as the very first reading of an episode
        state = RobotState(12 * PERIOD, frozen([0.0, 0.0]), frozen([broken, 0.0]))
        assert one.step(state, HERE) is None
    assert run(one, 13 * PERIOD) == first


def test_between_decisions_the_target_stays_and_memory_does_not_move(tmp_path: Path) -> None:
    one, two = (policy(tmp_path, promise("lstm")) for _ in range(2))
    expected = run(two, 0)
    for i, wanted in enumerate(expected):
        q = frozen([1.2 + 0.1 * np.sin(i), -1.0 + 0.1 * np.cos(i)])
        for k in range(4):
            stamp = i * PERIOD + k * PERIOD // 4
            target = one.step(RobotState(stamp, q, frozen([0.1, 0.0])), HERE)
            assert target is not None
            assert target.q.tolist() == wanted
            assert target.fresh is (k == 0)


def test_a_plan_travels_with_its_target(tmp_path: Path) -> None:
    one = policy(tmp_path, promise("chunk_replace"))
    target = one.step(RobotState(0, frozen([1.2, -1.0]), frozen([0.0, 0.0])), HERE)
    assert target is not None
    assert target.chunk is not None
    assert target.chunk.shape == (5, 2)
    assert target.chunk[0].tolist() == target.q.tolist()
    assert target.period == pytest.approx(0.02)
    following = one.step(RobotState(PERIOD, frozen([1.2, -1.0]), frozen([0.0, 0.0])), HERE)
    assert following is not None
    assert following.q.tolist() == target.chunk[1].tolist()


@pytest.mark.parametrize("signs", [[1, -1], [-1, -1], [1, 1]])
def test_a_flipped_joint_is_seen_and_moved_the_other_way(tmp_path: Path, signs: list[int]) -> None:
    pose = (np.array([1.2, -1.0]) * signs).tolist()
    action = {"kind": "delta_default", "scale": 1.0}
    promised = contract(signs=signs, default_pose=pose, action=action)
    path = write_policy(tmp_path / "p.onnx", promised, bias=np.array([0.1, 0.1]))
    one = OnnxPolicy(load_artefact(path), TEACH2)
    target = one.step(RobotState(0, frozen([1.0, -0.5]), frozen([0.3, 0.4])), None)
    assert target is not None
    seen = np.array([1.0, -0.5, 0.3, 0.4]) * [*signs, *signs]
    np.testing.assert_allclose(one.observed, seen, rtol=1e-6)
    np.testing.assert_allclose(target.q, np.array([1.2, -1.0]) + 0.1 * np.array(signs), rtol=1e-6)


# --- plans --------------------------------------------------------------------------------------


def plans(**fields: Any) -> ChunkPlan:
    return ChunkPlan(Chunk.model_validate({"length": 4, "period": 0.02, "execute": 2} | fields))


@given(
    blend=st.sampled_from(["replace", "exponential", "ensemble"]),
    length=st.integers(1, 6),
    data=st.data(),
)
def test_agreeing_plans_are_carried_out_as_they_are(
    blend: str, length: int, data: st.DataObject
) -> None:
    skip = data.draw(st.integers(0, length - 1))
    execute = data.draw(st.integers(1, length - skip))
    plan = plans(blend=blend, length=length, skip=skip, execute=execute, weight=0.3)
    for now in range(20):
        # every plan says: at time t, be at t
        says = np.arange(now - skip, now - skip + length, dtype=float)[:, None]
        rows = plan.step(lambda says=says: says)
        np.testing.assert_allclose(rows[:, 0], np.arange(now, now + len(rows)), atol=1e-9)


def test_the_network_is_asked_as_rarely_as_the_contract_says() -> None:
    plan = plans(execute=3)
    asked = []
    for now in range(10):
        plan.step(lambda now=now: asked.append(now) or np.zeros((4, 1)))
    assert asked == [0, 3, 6, 9]


@pytest.mark.parametrize(
    ("blend", "expected"),
    [
        ("replace", [0.0, 0.0, 1.0, 1.0]),
        ("exponential", [0.0, 0.0, 1 - np.exp(-0.5), 1 - np.exp(-1.0)]),
        ("ensemble", [0.0, 0.0] + [np.exp(-0.5) / (1 + np.exp(-0.5))] * 2),
    ],
)
def test_a_plan_that_disagrees_is_blended(blend: str, expected: list[float]) -> None:
    plan, answers = plans(blend=blend, weight=0.5), iter([np.zeros((4, 1)), np.ones((4, 1))])
    got: list[Array] = [plan.step(lambda: next(answers))[0, 0] for _ in range(4)]
    np.testing.assert_allclose(got, expected)


# --- outside the training range -----------------------------------------------------------------


def monitor(**training: Any) -> RangeMonitor:
    terms = [term("joint_position", 2, training=training), term("joint_velocity", 2)]
    return RangeMonitor(contract(observation=terms))


@pytest.mark.parametrize(
    "training",
    [
        {"kind": "bounds", "low": [-1.0, -2.0], "high": 1.0},
        {"kind": "spread", "mean": [0.0, -0.5], "std": [0.25, 0.375]},
    ],
)
def test_the_share_counts_decisions_outside_the_range(training: dict[str, Any]) -> None:
    seen = monitor(**training)
    assert seen.share == 0.0
    assert seen.worst == ""
    inside, outside = [0.9, -1.9, 99.0, 0.0], [0.0, -2.1, 0.0, 0.0]
    for i in range(WINDOW):
        seen.observe(np.array(outside if i % 4 == 0 else inside, dtype=np.float32))
    assert seen.share == 0.25
    assert seen.worst == "joint_position"
    for _ in range(WINDOW):
        seen.observe(np.array(inside, dtype=np.float32))
    assert seen.share == 0.0


def test_a_policy_that_sees_what_it_never_saw_warns(tmp_path: Path) -> None:
    training = {"kind": "bounds", "low": -1.3, "high": 1.3}
    promised = contract(observation=[term("joint_position", 2, training=training)])
    one = OnnxPolicy(load_artefact(write_policy(tmp_path / "p.onnx", promised)), TEACH2)
    for i, q in enumerate([1.0] * 5 + [1.5] * 5):
        one.step(RobotState(i * PERIOD, frozen([q, 0.0]), frozen([0.0, 0.0])), None)
        status = one.status()
        share = max(0, i - 4) / (i + 1)
        assert status.values["outside_training_share"] == pytest.approx(share)
        assert status.level is (Level.WARN if share >= 0.2 else Level.OK)
    assert "`joint_position`" in status.message


# --- the graph ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"recurrent": []}, "the graph also wants ['c_in', 'h_in']"),
        (
            {
                "recurrent": [
                    {"input": "h_in", "output": "h_out", "shape": [1, 1, 7]},
                    {"input": "c_in", "output": "c_out", "shape": [1, 1, 5]},
                ]
            },
            "`recurrent.0.input` 'h_in' has shape [1, 1, 5] in the graph, [1, 1, 7]",
        ),
        (
            {
                "recurrent": [
                    {"input": "h_in", "output": "h_new", "shape": [1, 1, 5]},
                    {"input": "c_in", "output": "c_out", "shape": [1, 1, 5]},
                ]
            },
            "`recurrent.0.output` is 'h_new' in the contract",
        ),
        ({"chunk": {"length": 6, "period": 0.02, "execute": 2}}, "[1, 6, 2] in the contract"),
        ({"history": {"length": 2}}, "[1, 18] in the contract"),
    ],
)
def test_memory_that_graph_and_contract_see_differently_is_named(
    tmp_path: Path, changes: dict[str, Any], part: str
) -> None:
    promised = promise("lstm")
    text = promise("lstm", **changes).to_json()
    (tmp_path / "p.onnx").write_bytes(with_contract(Weights(promised).model(), text))
    message = refusal(lambda: load_artefact(tmp_path / "p.onnx"), ContractError)
    assert message is not None
    assert part in message


@given(
    st.lists(
        st.floats(width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 3e38, 1e-45]), max_size=8
    )
)
def test_the_quick_look_for_what_is_not_finite_is_exact(values: list[float]) -> None:
    for dtype in (np.float32, np.float64):
        for repeat in (1, 20):
            array = np.array(values * repeat, dtype=dtype)
            assert all_finite(array) == bool(np.isfinite(array).all())
