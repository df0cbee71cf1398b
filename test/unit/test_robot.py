"""Joints are matched by name, once; what the gate keeps lies inside what the hardware can."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from builders import refusal
from hypothesis import given
from hypothesis import strategies as st

from ros2_sim2real import paths
from ros2_sim2real.config import validate
from ros2_sim2real.errors import ConfigError, JointMismatch
from ros2_sim2real.robot import JointMap, RobotSpec, load_robot

NAMES = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=12, unique=True)


@given(names=NAMES, data=st.data())
def test_every_order_of_the_same_joints_gives_the_same_values(
    names: list[str], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(names))
    value_of = {name: float(i) for i, name in enumerate(names)}
    got = JointMap(ours=names, theirs=shuffled)([value_of[n] for n in shuffled])
    assert got.tolist() == [value_of[n] for n in names]


@given(names=NAMES, data=st.data())
def test_there_and_back_again_changes_nothing(names: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(names))
    there = JointMap(ours=shuffled, theirs=names)
    back = JointMap(ours=names, theirs=shuffled)
    values = np.arange(len(names), dtype=np.float64)
    np.testing.assert_array_equal(back(there(values)), values)


@given(names=NAMES, extra=NAMES, data=st.data())
def test_joints_that_are_not_ours_are_passed_over(
    names: list[str], extra: list[str], data: st.DataObject
) -> None:
    theirs = data.draw(st.permutations([*names, *(e for e in extra if e not in names)]))
    values = {name: float(i) for i, name in enumerate(theirs)}
    got = JointMap(ours=names, theirs=theirs)([values[n] for n in theirs])
    assert got.tolist() == [values[n] for n in names]


@given(names=NAMES, data=st.data())
def test_a_missing_joint_is_named(names: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(names))
    theirs = [n for n in names if n != gone]
    with pytest.raises(JointMismatch) as caught:
        JointMap(ours=names, theirs=theirs)
    assert str(caught.value).startswith(
        f"joints {[gone]} are not among the {len(theirs)} received"
    )
    assert "Check `joints` in config/robots/" in str(caught.value)


def test_a_joint_that_stands_twice_is_named() -> None:
    with pytest.raises(JointMismatch, match=r"'b'.* stand twice among the 3 received"):
        JointMap(ours=["a", "b"], theirs=["a", "b", "b"])


def test_a_stranger_that_stands_twice_is_refused_too() -> None:
    with pytest.raises(JointMismatch, match="twice"):
        JointMap(ours=["a"], theirs=["a", "x", "x"])


@pytest.mark.parametrize("twice", [False, True])
def test_a_message_of_100000_joints_is_judged_at_once(twice: bool) -> None:
    theirs = ["a", "b", *(f"joint_{i}" for i in range(100_000)), *(["a"] if twice else [])]
    begin = time.process_time()
    message = refusal(lambda: JointMap(ours=["a", "b"], theirs=theirs), JointMismatch)
    assert (message is not None) is twice
    absent = refusal(lambda: JointMap(ours=["a", "c"], theirs=theirs), JointMismatch)
    assert absent is not None
    assert time.process_time() - begin < 0.5
    assert len(absent) < 2000


def test_a_list_that_is_edited_afterwards_changes_nothing() -> None:
    ours, theirs = ["a", "b"], ["b", "a"]
    swap = JointMap(ours=ours, theirs=theirs)
    theirs.reverse()
    ours.clear()
    assert swap([1.0, 2.0]).tolist() == [2.0, 1.0]


def test_the_values_are_never_changed_in_place() -> None:
    values = np.array([1.0, 2.0, 3.0])
    values.setflags(write=False)
    assert JointMap(ours=["c", "a", "b"], theirs=["a", "b", "c"])(values).tolist() == [3, 1, 2]
    assert values.tolist() == [1.0, 2.0, 3.0]


def spec_data(**changes: Any) -> dict[str, Any]:
    joint = {
        "name": "a",
        "lower": -1.0,
        "upper": 1.0,
        "velocity": 3.0,
        "acceleration": 20.0,
        "effort": 5.0,
        "stiffness": 10.0,
        "damping": 1.0,
    }
    return {
        "name": "arm",
        "description": "one joint",
        "mjcf": "arm.xml",
        "tool_site": "tool",
        "joints": [joint | changes.pop("joint", {})],
        "sources": {},
        **changes,
    }


def spec(**changes: Any) -> RobotSpec:
    return validate(json.loads(json.dumps(spec_data(**changes))), RobotSpec, where="arm.yaml")


def refused(**changes: Any) -> str:
    message = refusal(lambda: spec(**changes), ConfigError)
    assert message is not None
    return message


def test_the_defaults_are_those_of_first_motion() -> None:
    limits = spec().limits
    assert limits.lower.tolist() == [-0.95]
    assert limits.upper.tolist() == [0.95]
    assert limits.velocity.tolist() == [1.0]  # capped: half of 3 is more
    assert limits.acceleration.tolist() == [5.0]
    assert limits.reject_margin == 0.2


def test_slow_hardware_is_used_at_half_of_what_it_can() -> None:
    limits = spec(joint={"velocity": 0.8, "acceleration": 2.0}).limits
    assert limits.velocity.tolist() == [0.4]
    assert limits.acceleration.tolist() == [1.0]


@pytest.mark.parametrize("name", paths.known("config/robots", "*.yaml"))
def test_every_robot_starts_where_the_gate_lets_it_start(name: str) -> None:
    robot = load_robot(name)
    assert (robot.limits.lower <= robot.home).all()
    assert (robot.home <= robot.limits.upper).all()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"joint": {"lower": 1.0}}, "lower < upper"),
        ({"joint": {"home": 1.5}}, "home within [-1.0, 1.0], got 1.5"),
        ({"joint": {"velocity": 0.0}}, "`joints.0.velocity`"),
        ({"joint": {"effort": -1.0}}, "`joints.0.effort`"),
        ({"joint": {"upper": float("inf")}}, "`joints.0.upper`"),
        ({"joint": {"veloctiy": 1.0}}, "did you mean `velocity`?"),
        ({"safety": {"velocity_share": 1.5}}, "`safety.velocity_share`"),
        ({"safety": {"position_margin": -0.1}}, "`safety.position_margin`"),
        ({"name": "Ärm 1"}, "`name`"),
        ({"joints": []}, "`joints`"),
        # a soft range of nothing, and a start at which the gate never lets go
        ({"safety": {"position_margin": 1.0}}, "soft range of a"),
        ({"joint": {"home": 0.99}}, "soft range of a"),
        ({"workspace": {"lower": [0.0, 0.0, 1.0], "upper": [1.0, 1.0, 0.0]}}, "lower <= upper"),
    ],
)
def test_a_robot_that_cannot_be_is_refused_by_name(changes: dict[str, Any], part: str) -> None:
    assert part in refused(**changes)


def test_a_joint_that_stands_twice_in_a_robot_file_is_refused() -> None:
    joint = spec_data()["joints"][0]
    assert "every joint once, twice: ['a']" in refused(joints=[joint, joint])


@pytest.mark.parametrize(
    "name", ["ur5", "", ".", "..", "/", "a\0b", "x" * 300, "~nobody-of-that-name/x", "../ur5e"]
)
def test_a_robot_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    message = refusal(lambda: load_robot(name), ConfigError)
    assert message is not None
    assert "'ur5e'" in message


def test_a_missing_model_names_the_field() -> None:
    message = refusal(lambda: spec(mjcf="nowhere").mjcf_path(), ConfigError)
    assert message == (
        "robot `arm`: `mjcf` got 'nowhere', which is neither a file nor in models/mjcf"
    )
