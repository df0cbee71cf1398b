"""The graph over real topics does what the same stages do in one process, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import GOAL, contract, term, write_policy

from ros2_sim2real.backends.mujoco_arm import MujocoBackend
from ros2_sim2real.backends.record import Run, read_run
from ros2_sim2real.bringup import Arguments, arguments, control_rate, plan
from ros2_sim2real.closed_loop import simulate
from ros2_sim2real.correction.base import PassThrough
from ros2_sim2real.dynamics.mjcf import gains_for
from ros2_sim2real.pipeline import Chain, decide, is_fresh, step
from ros2_sim2real.policy.goals import GoalSchedule, parse_goals
from ros2_sim2real.policy.load import load_policy
from ros2_sim2real.policy.scripted import HoldPolicy, SinePolicy
from ros2_sim2real.processes import run_quietly
from ros2_sim2real.robot import load_robot
from ros2_sim2real.safety.gate import Gate
from ros2_sim2real.signals import Array, Reason, RobotState

MS = 1_000_000
ROBOT = load_robot("teach2")


def graph(given: dict[str, Any], record: Path) -> Run:
    """What the arm did in three or four processes, over DDS."""
    run_quietly(plan(arguments("sim", {"record": str(record), "time": "lockstep", **given})))
    run = read_run(record)
    assert np.ptp(run.q, axis=0).min() > 0.02  # it moved, so there is something to compare
    assert sorted(set(run.command_stamp_ns)) == run.stamp_ns[:-1].tolist()
    return run


def answers(run: Run) -> Array:
    """The command that answered each state; an answer that was asked for twice came twice."""
    _, first = np.unique(run.command_stamp_ns, return_index=True)
    return run.command[first]


def loop(args: Arguments) -> tuple[Array, Array]:
    """The same, written out: positions measured and commands sent, one row a period."""
    spec = load_robot(args.robot)
    policy, promised = load_policy(args.policy, spec)
    rate = args.rate_hz or control_rate(promised)
    start = promised.start_pose(spec) if promised else None
    arm = MujocoBackend(spec, gains_for(spec, promised), rate_hz=rate, start=start)
    goal_input = promised.goal if promised else None
    goals = parse_goals(args.goals if goal_input else "", goal_input)
    schedule = GoalSchedule(goals, period=args.goal_period)
    gate = Gate(spec.limits, rate_hz=rate)
    q, sent = [], []
    for tick in range(round(args.stop_after * rate)):
        stamp_ns = round(tick * 1e9 / rate)
        state = arm.state(stamp_ns)
        q.append(state.q)
        gate.observe(state, now_ns=stamp_ns)
        assert gate.activate(now_ns=stamp_ns) is Reason.NONE
        command = decide(
            Chain(policy, PassThrough()), state, schedule.current(stamp_ns), now_ns=stamp_ns
        )
        verdict = gate.step(command, now_ns=stamp_ns)
        assert verdict.send
        sent.append(verdict.q)
        arm.command(verdict.q)
        arm.advance()
    q.append(arm.state(0).q)
    return np.array(q), np.array(sent)


@pytest.fixture(scope="module")
def reach(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that follows its goal a little, looks at everything, and changes its mind."""
    promised = contract(
        observation=[
            term("joint_position", 2),
            term("joint_velocity", 2, scale=0.1),
            term("goal_position_error", 3),
            term("previous_action", 2),
        ],
        goal=GOAL,
        action={"kind": "relative_measured", "scale": 0.2},
        default_pose=[1.0, -0.8],
    )
    weights = np.random.default_rng(0).normal(scale=0.5, size=(9, 2))
    path = tmp_path_factory.mktemp("policy") / "reach.onnx"
    return str(write_policy(path, promised, weights, np.zeros(2)))


@pytest.mark.ros
@pytest.mark.parametrize("composition", ["pipeline", "nodes"])
def test_lockstep_over_topics_is_the_chain_in_one_process(
    composition: str, tmp_path: Path
) -> None:
    given = {"robot": "teach2", "policy": "sine", "stop_after": 2.0, "composition": composition}
    run = graph(given, tmp_path / "run.npz")
    q, sent = loop(arguments("sim", given))
    np.testing.assert_array_equal(run.q, q)
    np.testing.assert_array_equal(answers(run), sent)


@pytest.mark.ros
@pytest.mark.parametrize("time", ["lockstep", "free"])
def test_a_network_with_goals_moves_the_same_over_topics(
    time: str, reach: str, tmp_path: Path
) -> None:
    given = {
        "robot": "teach2",
        "policy": reach,
        "goal_period": 0.5,
        "stop_after": 2.0,
        "rate_hz": 150.0,
        "time": time,
    }
    run = graph(given, tmp_path / "run.npz")
    q, sent = loop(arguments("sim", given))
    np.testing.assert_array_equal(run.q, q)
    np.testing.assert_array_equal(answers(run), sent)


@pytest.mark.ros
def test_two_graphs_with_one_seed_agree_bit_for_bit(reach: str, tmp_path: Path) -> None:
    given = {"robot": "teach2", "policy": reach, "stop_after": 1.0}
    one, other = (graph(given, tmp_path / f"{i}.npz") for i in range(2))
    assert one.q.tobytes() == other.q.tobytes()
    assert one.dq.tobytes() == other.dq.tobytes()


def test_a_run_in_one_process_is_the_loop_written_out(reach: str) -> None:
    for policy in ("sine", reach):
        given = {"robot": "teach2", "policy": policy, "goal_period": 0.3, "stop_after": 1.0}
        run = simulate(arguments("sim", given))
        q, sent = loop(arguments("sim", given))
        np.testing.assert_array_equal(run.q, q)
        np.testing.assert_array_equal(run.command[: len(sent)], sent)


# --- the chain in one process -------------------------------------------------------------------


class Spy(PassThrough):
    """A correction that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def observe(self, state: RobotState, verdict: Any) -> None:
        self.told.append((state, verdict))


def state(stamp_ms: int, q: Any = None) -> RobotState:
    q = ROBOT.home if q is None else np.array(q, dtype=np.float64)
    return RobotState(stamp_ms * MS, q, np.zeros(2))


def test_one_step_is_deciding_and_the_gate_one_after_the_other() -> None:
    together, apart = Gate(ROBOT.limits, rate_hz=100.0), Gate(ROBOT.limits, rate_hz=100.0)
    one, other = (Chain(SinePolicy(ROBOT), PassThrough()) for _ in range(2))
    for gate in (together, apart):
        gate.observe(state(0), now_ns=0)
        gate.activate(now_ns=0)
    for t in range(0, 2000, 10):
        now_ns = t * MS
        verdict = step(one, together, state(t), None, now_ns=now_ns)
        command = decide(other, state(t), None, now_ns=now_ns)
        apart.observe(state(t), now_ns=now_ns)
        expected = apart.step(command, now_ns=now_ns)
        np.testing.assert_array_equal(verdict.q, expected.q)
        assert (verdict.stamp_ns, verdict.reason, verdict.send) == (now_ns, expected.reason, True)


def test_the_chain_keeps_the_last_value_of_every_stage() -> None:
    chain = Chain(HoldPolicy(), PassThrough())
    decide(chain, state(0), None, now_ns=0)
    assert chain.target is not None
    assert chain.command is not None
    assert chain.target.q.tolist() == chain.command.q.tolist() == ROBOT.home.tolist()
    chain.reset()
    assert chain.target is None
    assert chain.command is None


def test_the_correction_learns_what_was_sent_not_what_was_asked() -> None:
    spy = Spy()
    chain, gate = Chain(SinePolicy(ROBOT), spy), Gate(ROBOT.limits, rate_hz=100.0)
    verdict = step(chain, gate, state(0), None, now_ns=0)
    assert spy.told[0][1] is verdict
    assert not verdict.send


@pytest.mark.parametrize(("age_ms", "fresh"), [(0, True), (50, True), (51, False), (-51, False)])
def test_a_state_that_is_old_or_from_the_future_is_not_acted_upon(
    age_ms: int, fresh: bool
) -> None:
    chain = Chain(HoldPolicy(), PassThrough())
    seen = state(1000)
    now_ns = seen.stamp_ns + age_ms * MS
    assert is_fresh(seen, now_ns=now_ns) is fresh
    assert (decide(chain, seen, None, now_ns=now_ns) is not None) is fresh
    assert (chain.command is not None) is fresh


def test_what_was_decided_before_is_not_left_in_the_chain() -> None:
    chain = Chain(HoldPolicy(), PassThrough())
    decide(chain, state(0), None, now_ns=0)
    decide(chain, state(10, [np.nan, 0.0]), None, now_ns=10 * MS)
    assert chain.target is None
    assert chain.command is None
