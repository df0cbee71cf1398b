"""The contract: exact in JSON, refused with every problem when it does not add up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from builders import GOAL, contract, contract_data, refusal, term
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ros2_sim2real.contract import (
    FIXED_WIDTH,
    VERSION,
    ObservationTerm,
    PolicyContract,
    parse_contract,
    per_element,
)
from ros2_sim2real.errors import ContractError
from ros2_sim2real.robot import load_robot

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def refused(data: Any) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    message = refusal(lambda: parse_contract(text, where="file.onnx"), ContractError)
    assert message is not None
    assert message.startswith("file.onnx: ")
    return message


@given(
    pose=st.tuples(FINITE, FINITE),
    offset=st.tuples(FINITE, FINITE),
    scale=FINITE,
    rate=st.floats(1e-3, 1e4),
    decimation=st.integers(1, 100),
    position=st.tuples(FINITE, FINITE, FINITE),
)
def test_json_keeps_every_number_exactly(
    pose: tuple[float, float],
    offset: tuple[float, float],
    scale: float,
    rate: float,
    decimation: int,
    position: tuple[float, float, float],
) -> None:
    promised = contract(
        default_pose=pose,
        observation=[term("joint_position", 2, offset=offset, scale=scale)],
        rate_hz=rate,
        physics_hz=rate * decimation,
        decimation=decimation,
        frame={"position": position},
    )
    assert parse_contract(promised.to_json(), where="w") == promised


def test_a_contract_written_twice_is_the_same_text() -> None:
    promised = contract(goal=GOAL)
    assert parse_contract(promised.to_json(), where="w").to_json() == promised.to_json()


@pytest.mark.parametrize("version", [VERSION + 1, 2**70])
def test_a_later_version_says_update(version: int) -> None:
    message = refused(contract_data(version=version))
    assert f"version {version}, this release reads up to {VERSION}. Update" in message


@pytest.mark.parametrize("version", [0, -1, "1", None, 1.5, [1]])
def test_a_version_that_never_was_is_refused(version: object) -> None:
    assert "version" in refused(contract_data(version=version))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        '"x"',
        "NaN",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,
        "\ud800",
        '{"robot": "\\ud800"}',
    ],
)
def test_text_that_is_no_contract_is_one_refusal(text: str) -> None:
    refused(text)


@given(st.text(max_size=100))
def test_any_text_is_one_refusal(text: str) -> None:
    refused(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(field=st.sampled_from(sorted(contract_data(goal=GOAL))), value=JSON)
def test_any_value_in_any_field_is_a_contract_or_one_refusal(field: str, value: object) -> None:
    text = json.dumps(contract_data(goal=GOAL) | {field: value})
    refusal(lambda: parse_contract(text, where="w"), ContractError)


@pytest.mark.parametrize("field", sorted(set(contract_data())))
def test_every_field_without_a_default_is_required_by_name(field: str) -> None:
    data = contract_data()
    del data[field]
    assert f"missing `{field}`" in refused(data)


def test_an_unknown_field_suggests_the_near_one() -> None:
    message = refused(contract_data(rate_hzz=50.0))
    assert "unknown `rate_hzz`, did you mean `rate_hz`?" in message


def test_every_problem_is_listed_at_once() -> None:
    message = refused(
        contract_data(rate_hz=-1.0, robot=3, action={"kind": "torque", "scale": 1.0})
    )
    for part in ("`rate_hz`", "`robot`", "`action.kind`"):
        assert part in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("field", ["rate_hz", "default_pose", "physics_hz"])
def test_a_number_that_is_not_finite_is_refused(field: str, value: float) -> None:
    wrong: object = [value, 0.0] if field == "default_pose" else value
    assert f"`{field}" in refused(contract_data(**{field: wrong}))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"default_pose": [0.0]}, "`default_pose` has 1"),
        ({"gains": {"stiffness": [1.0], "damping": [1.0, 1.0]}}, "`gains.stiffness` has 1"),
        ({"gains": {"stiffness": [1.0, 1.0], "damping": []}}, "`gains.damping` has 0"),
        (
            {"gains": {"stiffness": [1.0, 1.0], "damping": [0.0, 0.0], "effort_limit": [1.0]}},
            "`gains.effort_limit` has 1",
        ),
        ({"action": {"kind": "absolute", "scale": [1.0] * 3}}, "`action.scale` has 3"),
        ({"action": {"kind": "absolute", "scale": 1.0, "offset": [1.0]}}, "`action.offset` has 1"),
        ({"observation": [term("joint_position", 3)]}, "`observation.joint_position` has 3"),
        ({"observation": [term("target_error", 1)]}, "`observation.target_error` has 1"),
        ({"joints": ["a", "a"]}, "every joint once"),
        ({"joints": []}, "`joints`"),
        ({"observation": []}, "`observation`"),
        ({"observation": [term("goal_position", 3)]}, "`goal` stated"),
        ({"rate_hz": 60.0}, "physics_hz / decimation = rate_hz"),
        ({"decimation": 0}, "`decimation`"),
        ({"frame": {"quaternion": [1.0, 1.0, 0.0, 0.0]}}, "norm 1.414"),
        ({"frame": {"quaternion": [0.0, 0.0, 0.0, 0.0]}}, "norm 0"),
        ({"goal": GOAL | {"x": [0.5, 0.1]}}, "`goal.x` got [0.5, 0.1], expected [low, high]"),
        ({"goal": GOAL | {"quaternion": "zyx"}}, "`goal.quaternion`"),
        ({"observation": [term("a", 4, "tool_position")]}, "`a` of width 3"),
        ({"observation": [term("a", 2, "joint_position", scale=[1.0])]}, "`scale` of term `a`"),
        ({"observation": [term("a", 2, "joint_torque")]}, "`observation.0.source`"),
    ],
)
def test_what_does_not_add_up_is_named(changes: dict[str, Any], part: str) -> None:
    assert part in refused(contract_data(**changes))


@pytest.mark.parametrize(("low", "high"), [(1.0, -1.0), (0.5, 0.4999)])
def test_bounds_of_a_clip_must_be_in_order(low: float, high: float) -> None:
    # np.clip with low > high returns high for every input
    terms = [term("joint_position", 2, clip=[low, high])]
    assert "clip" in refused(contract_data(observation=terms))
    action = {"kind": "absolute", "scale": 1.0, "clip": [low, high]}
    assert "clip" in refused(contract_data(action=action))


def test_every_source_of_fixed_width_is_a_source() -> None:
    for source, width in FIXED_WIDTH.items():
        assert ObservationTerm.model_validate(
            {"name": "t", "source": source, "width": width}, strict=False
        )
        with pytest.raises(ValidationError):
            ObservationTerm.model_validate(
                {"name": "t", "source": source, "width": width + 1}, strict=False
            )


def test_widths_add_up() -> None:
    promised = contract(
        observation=[term("joint_position", 2), term("goal_pose", 7), term("tool_position", 3)],
        goal=GOAL,
    )
    assert promised.observation_width == 12
    assert promised.action_width == 2


def test_a_contract_cannot_be_edited() -> None:
    promised = contract()
    with pytest.raises(ValidationError):
        promised.rate_hz = 3.0
    with pytest.raises(ValidationError):
        promised.action.scale = 3.0


def problems_with(promised: PolicyContract, robot: str = "teach2") -> str | None:
    return refusal(lambda: promised.check_robot(load_robot(robot)), ContractError)


def test_the_robot_of_the_training_fits() -> None:
    assert problems_with(contract()) is None


def test_another_order_of_the_joints_fits() -> None:
    swapped = ["elbow_joint", "shoulder_joint"]
    assert problems_with(contract(joints=swapped, default_pose=[-1.0, 1.2])) is None


def test_another_robot_is_refused_naming_both() -> None:
    message = problems_with(contract(), "ur5e")
    assert message is not None
    assert "trained for 'teach2', this is 'ur5e'" in message
    assert "does not command" in message


def test_unknown_joints_and_joints_left_over_are_both_named() -> None:
    message = problems_with(contract(joints=["shoulder_joint", "wrist"]))
    assert message is not None
    assert "['wrist'] are not joints of 'teach2'" in message
    assert "does not command ['elbow_joint']" in message


def test_a_default_pose_outside_the_mechanical_range_is_refused() -> None:
    message = problems_with(contract(default_pose=[1.2, 3.0]))
    assert message is not None
    assert "`default_pose` of elbow_joint is 3 rad, outside [-2.6, 2.6]" in message


def test_the_default_pose_is_compared_joint_by_joint_in_the_policys_order() -> None:
    swapped = ["elbow_joint", "shoulder_joint"]
    assert problems_with(contract(joints=swapped, default_pose=[-1.0, 3.5])) is None
    assert problems_with(contract(joints=swapped, default_pose=[3.5, -1.0])) is not None


def test_degrees_in_place_of_radians_are_refused() -> None:
    assert problems_with(contract(default_pose=[68.0, -57.0])) is not None


@given(st.floats(-1e6, 1e6), st.integers(1, 8))
def test_a_single_number_stands_for_every_element(value: float, width: int) -> None:
    out = per_element(value, width)
    assert out.shape == (width,)
    assert (out == value).all()
    assert not out.flags.writeable


def test_a_tuple_is_taken_element_by_element() -> None:
    np.testing.assert_array_equal(per_element((1.0, 2.0), 2), [1.0, 2.0])
    with pytest.raises(ValueError, match="broadcast"):
        per_element((1.0, 2.0), 3)
