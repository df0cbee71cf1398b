"""Goals as data: read from text, spread over the trained range, handed out by stamp."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import GOAL, refusal
from hypothesis import given
from hypothesis import strategies as st

from ros2_sim2real.contract import GoalInput
from ros2_sim2real.errors import ConfigError
from ros2_sim2real.policy.goals import GoalSchedule, centre_orientation, parse_goals, tour
from ros2_sim2real.rotations import from_euler
from ros2_sim2real.signals import Goal

INPUT = GoalInput.model_validate_json(
    json.dumps(
        GOAL | {"kind": "pose", "roll": [3.0, 3.2], "pitch": [0.0, 0.2], "yaw": [-1.0, 1.0]}
    )
)
SECOND = 1_000_000_000
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(FINITE, FINITE, FINITE), min_size=1, max_size=6))
def test_positions_read_back_exactly(rows: list[tuple[float, float, float]]) -> None:
    text = ";".join(",".join(map(repr, row)) for row in rows)
    goals = parse_goals(text, INPUT)
    assert [tuple(g.position.tolist()) for g in goals] == rows


def test_a_position_alone_takes_the_middle_of_the_trained_orientations() -> None:
    (goal,) = parse_goals("0.1,0.2,0.3", INPUT)
    np.testing.assert_allclose(goal.quaternion, from_euler(3.1, 0.1, 0.0))


def test_a_pose_keeps_its_quaternion_w_first() -> None:
    (goal,) = parse_goals("0.1,0.2,0.3, 0.5,0.5,-0.5,0.5", INPUT)
    assert goal.quaternion.tolist() == [0.5, 0.5, -0.5, 0.5]


def test_a_quaternion_that_was_rounded_is_normalised() -> None:
    (goal,) = parse_goals("0,0,0,0.707,0.707,0,0", INPUT)
    assert math.isclose(float(np.linalg.norm(goal.quaternion)), 1.0, abs_tol=1e-15)


def test_spaces_and_a_last_semicolon_do_no_harm() -> None:
    assert len(parse_goals(" 0.1, 0.2 ,0.3 ; 1,2,3; ", INPUT)) == 2


def test_no_text_is_no_goal() -> None:
    assert parse_goals("", INPUT) == []
    assert parse_goals("", None) == []


def test_goals_are_read_only() -> None:
    (goal,) = parse_goals("0.1,0.2,0.3", INPUT)
    for array in (goal.position, goal.quaternion):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9.0


@pytest.mark.parametrize(
    "text",
    [
        "1,2",
        "1,2,3,4",
        "1,2,3,4,5,6,7,8",
        "1,2,nan",
        "inf,0,0",
        "1e999,0,0",
        "a,b,c",
        "1;2;3",
        "1,2,3;4,5",
        "tuor",
        "1,2,3,0,0,0,0",
        "1,2,3,2,0,0,0",
        "1,2,3,nan,0,0,0",
        ",",
        ";",
        "none.json",
        "/dev/null.json",
    ],
)
def test_what_is_no_list_of_goals_is_refused(text: str) -> None:
    assert refusal(lambda: parse_goals(text, INPUT), ConfigError) is not None


def test_every_wrong_row_is_named() -> None:
    message = refusal(lambda: parse_goals("1,2;0,0,0;3,4", INPUT), ConfigError)
    assert message is not None
    assert "goal 0 got [1.0, 2.0]" in message
    assert "goal 2 got [3.0, 4.0]" in message
    assert "goal 1" not in message


def test_goals_for_a_policy_without_a_goal_are_refused() -> None:
    for text in ("1,2,3", "tour"):
        message = refusal(lambda text=text: parse_goals(text, None), ConfigError)
        assert message is not None
        assert "the policy takes no goal" in message


@given(st.text(max_size=30))
def test_any_text_is_goals_or_one_refusal(text: str) -> None:
    refusal(lambda: parse_goals(text, INPUT), ConfigError)


def test_goals_come_from_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "goals.json"
    path.write_text("[[0.1, 0.2, 0.3], [0, 0, 0, 1, 0, 0, 0]]")
    goals = parse_goals(str(path), INPUT)
    assert [g.position.tolist() for g in goals] == [[0.1, 0.2, 0.3], [0, 0, 0]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"3",
        b"[1]",
        b'{"a": 1}',
        b"[[null]]",
        b"[[1,2]]",
        b"\xff",
        b"[" * 100_000,
        b"[]",
    ],
)
def test_a_json_file_that_is_no_list_of_goals_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "goals.json"
    path.write_bytes(content)
    assert refusal(lambda: parse_goals(str(path), INPUT), ConfigError) is not None


def test_the_tour_stays_inside_the_trained_range_and_moves_far() -> None:
    goals = tour(INPUT)
    assert len(goals) == 5
    assert parse_goals("tour", INPUT)[0].position.tolist() == goals[0].position.tolist()
    for goal in goals:
        for value, (low, high) in zip(goal.position, (INPUT.x, INPUT.y, INPUT.z), strict=True):
            assert low <= value <= high
    span = np.ptp([g.position for g in goals], axis=0)
    assert (span >= 0.5 * np.array([INPUT.x[1] - INPUT.x[0], 0, INPUT.z[1] - INPUT.z[0]])).all()


@given(*[st.tuples(st.floats(-3, 3), st.floats(-3, 3)).map(sorted)] * 3)
def test_the_centre_orientation_is_a_unit_quaternion(roll: Any, pitch: Any, yaw: Any) -> None:
    wide = INPUT.model_copy(update={"roll": roll, "pitch": pitch, "yaw": yaw})
    assert math.isclose(float(np.linalg.norm(centre_orientation(wide))), 1.0, abs_tol=1e-12)


GOALS = [Goal(0, np.full(3, float(i)), np.array([1.0, 0, 0, 0])) for i in range(3)]


@pytest.mark.parametrize("start", [0, 7, 1_800_000_000 * SECOND])
def test_each_goal_holds_for_one_period_from_the_first_state(start: int) -> None:
    schedule = GoalSchedule(GOALS, period=2.0)
    times = (0.0, 1.999, 2.0, 3.999, 4.0, 6.0, 8.0)
    assert [schedule.index(start + round(t * SECOND)) for t in times] == [0, 0, 1, 1, 2, 0, 1]


def test_without_repetition_the_last_goal_stays() -> None:
    schedule = GoalSchedule(GOALS, period=2.0, repeat=False)
    schedule.index(0)
    assert [schedule.index(t * SECOND) for t in (5, 6, 600)] == [2, 2, 2]


def test_a_clock_that_was_set_back_starts_over() -> None:
    schedule = GoalSchedule(GOALS, period=2.0)
    schedule.index(100 * SECOND)
    assert schedule.index(103 * SECOND) == 1
    assert schedule.index(50 * SECOND) == 0
    assert schedule.index(53 * SECOND) == 1


def test_after_a_reset_the_next_state_is_the_start() -> None:
    schedule = GoalSchedule(GOALS, period=2.0)
    schedule.index(0)
    schedule.reset()
    assert schedule.index(3 * SECOND) == 0


def test_no_goals_are_no_goal() -> None:
    assert GoalSchedule([], period=1.0).current(0) is None


@pytest.mark.parametrize("period", [1e-12, 1e-9, 1e12])
def test_a_period_of_any_length_is_answered(period: float) -> None:
    schedule = GoalSchedule(GOALS, period=period)
    for stamp in range(0, 10 * SECOND, SECOND):
        assert any(schedule.current(stamp) is goal for goal in GOALS)
