"""Version 2 of the contract: exact JSON, old files keep their meaning, wrong ones are named."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from builders import GOAL, contract, contract_data, refusal, term
from hypothesis import given
from hypothesis import strategies as st
from networks import KINDS, promise

from ros2_sim2real.contract import SINCE_2, VERSION, PolicyContract, parse_contract
from ros2_sim2real.errors import ContractError
from ros2_sim2real.policy.action import ActionDecoder
from ros2_sim2real.policy.history import layout
from ros2_sim2real.robot import load_robot

TEACH2 = load_robot("teach2")
FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(1e-6, 1e6)
COUNT = st.integers(1, 5)


def version_1(**changes: Any) -> dict[str, Any]:
    """As version 1 wrote it: without any of the fields that came later."""
    data = json.loads(contract(**changes).to_json())
    for name in SINCE_2:
        del data[name]
    for one in data["observation"]:
        del one["history"], one["training"]
    return data | {"version": 1}


def refused(data: dict[str, Any]) -> str:
    text = json.dumps(data)
    message = refusal(lambda: parse_contract(text, where="file.onnx"), ContractError)
    assert message is not None
    return message


def test_a_file_of_version_1_means_what_it_meant() -> None:
    old = parse_contract(json.dumps(version_1(goal=GOAL, normaliser="inside")), where="w")
    assert old == contract(goal=GOAL, normaliser="inside")
    assert old.version == VERSION == 2
    assert (old.history, old.chunk, old.recurrent, old.signs) == (None, None, (), None)
    assert old.output_shape == (1, 2)
    assert old.observation_width == old.frame_width == 4


@pytest.mark.parametrize("field", sorted(SINCE_2))
def test_version_1_with_a_later_field_is_refused(field: str) -> None:
    later = json.loads(contract().to_json())[field]
    assert f"does not know `{field}`" in refused(version_1() | {field: later})


def test_version_1_with_a_later_field_in_a_term_is_refused() -> None:
    data = version_1()
    data["observation"][0]["history"] = {"length": 3}
    assert "does not know `observation.history`" in refused(data)


HISTORY = st.none() | st.fixed_dictionaries(
    {
        "length": COUNT,
        "order": st.sampled_from(["oldest_first", "newest_first"]),
        "fill": st.sampled_from(["repeat_first", "zeros"]),
        "skip": st.integers(0, 3),
    }
)
PAIR = st.tuples(FINITE, FINITE).map(list)
TRAINING = st.none() | st.one_of(
    st.fixed_dictionaries({"kind": st.just("bounds"), "low": PAIR | FINITE, "high": PAIR}),
    st.fixed_dictionaries(
        {"kind": st.just("spread"), "mean": PAIR, "std": FINITE, "sigmas": POSITIVE}
    ),
)


@st.composite
def contracts(draw: st.DrawFn) -> PolicyContract:
    terms = [
        term(f"t{i}", 2, "joint_position", history=draw(HISTORY), training=draw(TRAINING))
        for i in range(draw(COUNT))
    ]
    whole = draw(HISTORY)
    if whole is not None:
        whole["layout"] = draw(st.sampled_from(["by_time", "by_term"]))
    width = (whole["length"] if whole else 1) * sum(
        2 * (t["history"]["length"] if t["history"] else 1) for t in terms
    )
    rate, length = draw(st.floats(1.0, 500.0)), draw(COUNT)
    kind = draw(
        st.sampled_from(["absolute", "desired_next_state", "velocity", "effort", "integrating"])
    )
    changes: dict[str, Any] = {
        "observation": terms,
        "history": whole,
        "rate_hz": rate,
        "physics_hz": rate,
        "decimation": 1,
        "delay": draw(st.floats(0.0, 10.0)),
        "signs": draw(st.none() | st.lists(st.sampled_from([-1, 1]), min_size=2, max_size=2)),
        "reset_on_goal": draw(st.booleans()),
        "action": {"kind": kind, "scale": draw(FINITE)},
        "recurrent": [
            {
                "input": f"i{i}",
                "output": f"o{i}",
                "shape": draw(st.lists(COUNT, min_size=1, max_size=4)),
            }
            for i in range(draw(st.integers(0, 3)))
        ],
    }
    if draw(st.booleans()):
        changes["chunk"] = {
            "length": length,
            "period": 1.0 / rate,
            "execute": draw(st.integers(1, length)),
            "blend": draw(st.sampled_from(["replace", "exponential", "ensemble"])),
            "weight": draw(st.floats(0.0, 1e3)),
        }
    if draw(st.booleans()):
        numbers = st.lists(FINITE, min_size=width, max_size=width)
        changes["normaliser"] = {
            "mean": draw(numbers),
            "std": draw(st.lists(POSITIVE, min_size=width, max_size=width)),
            "clip": draw(st.none() | PAIR.map(sorted)),
        }
    return contract(**changes)


@given(contracts())
def test_json_keeps_every_contract_exactly(promised: PolicyContract) -> None:
    text = promised.to_json()
    again = parse_contract(text, where="w")
    assert again == promised
    assert again.to_json() == text
    assert len(layout(again)) == again.observation_width


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_policy_has_a_contract(kind: str) -> None:
    promised = promise(kind)
    assert parse_contract(promised.to_json(), where="w") == promised


NEXT = {"kind": "desired_next_state", "scale": 1.0}
STATE = {"input": "h", "output": "h_out", "shape": [1, 4]}
CHUNK = {"length": 4, "period": 0.02, "execute": 2}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"units": "deg"}, "`units`"),
        ({"signs": [1]}, "`signs` has 1"),
        ({"signs": [1, 0]}, "`signs"),
        ({"delay": -0.1}, "`delay`"),
        ({"history": {"length": 0}}, "`history.length`"),
        ({"history": {"length": 10_000}}, "`history.length`"),
        ({"history": {"length": 2, "layout": "by_joint"}}, "`history.layout`"),
        ({"history": {"length": 2, "fill": "nothing"}}, "`history.fill`"),
        ({"history": {"length": 2, "skip": -1}}, "`history.skip`"),
        ({"chunk": CHUNK | {"period": 0.1}}, "`chunk.period` = 1 / rate_hz = 0.02, got 0.1"),
        ({"chunk": CHUNK | {"execute": 5}}, "`execute` of at most length - skip = 4, got 5"),
        ({"chunk": CHUNK | {"skip": 3}}, "`execute` of at most length - skip = 1, got 2"),
        ({"chunk": CHUNK, "action": {"kind": "relative_measured", "scale": 1.0}}, "no `chunk`"),
        ({"recurrent": [STATE, STATE]}, "every input and output of the graph once"),
        ({"recurrent": [STATE | {"input": "obs"}]}, "every input and output of the graph once"),
        ({"recurrent": [STATE | {"shape": [0]}]}, "`recurrent.0.shape"),
        ({"recurrent": [STATE | {"reset": "ones"}]}, "`recurrent.0.reset`"),
        ({"normaliser": {"mean": [0.0], "std": [1.0]}}, "`normaliser.mean` has 1, expected 4"),
        ({"normaliser": {"mean": [0.0] * 4, "std": [0.0] * 4}}, "normaliser"),
        ({"normaliser": "outside"}, "normaliser"),
        (
            {"action": NEXT, "observation": [term("previous_action", 2)]},
            "`observation.previous_action` has 2, expected 4",
        ),
        ({"action": NEXT | {"scale": [1.0, 1.0]}}, "`action.scale` has 2, expected 4"),
        (
            {
                "observation": [
                    term(
                        "joint_position", 2, training={"kind": "bounds", "low": [0.0], "high": 1.0}
                    )
                ]
            },
            "`training.low` of term `joint_position` with 2 numbers, got 1",
        ),
        (
            {"observation": [term("joint_position", 2, training={"low": 0.0, "high": 1.0})]},
            "`observation.0.training`",
        ),
    ],
)
def test_what_does_not_add_up_is_named(changes: dict[str, Any], part: str) -> None:
    assert part in refused(contract_data(**changes))


@pytest.mark.parametrize(("kind", "what"), [("velocity", "speeds"), ("effort", "torques")])
def test_an_action_that_no_arm_takes_is_described_and_refused(kind: str, what: str) -> None:
    promised = contract(action={"kind": kind, "scale": 1.0})
    message = refusal(lambda: promised.check_robot(TEACH2), ContractError)
    assert message is not None
    assert f"`action.kind`: '{kind}' asks for joint {what}" in message
    limits = TEACH2.limits
    with pytest.raises(ContractError, match=what):
        ActionDecoder(promised, lower=limits.lower, upper=limits.upper)


def test_the_position_of_a_desired_next_state_is_the_target() -> None:
    action = {"kind": "desired_next_state", "scale": [2.0, 2.0, 9.0, 9.0], "offset": 0.1}
    promised = contract(action=action, observation=[term("previous_action", 4)])
    decoder = ActionDecoder(promised, lower=TEACH2.limits.lower, upper=TEACH2.limits.upper)
    decoder.reset(np.zeros(2))
    assert decoder.previous.tolist() == [0.0] * 4
    raw = np.array([0.5, -0.5, 3.0, 4.0])
    np.testing.assert_allclose(decoder.decode(raw, np.zeros(2)), [1.1, -0.9])
    assert decoder.previous.tolist() == raw.tolist()
    plan = decoder.ahead(np.stack([raw, 2 * raw]))
    assert plan is not None
    np.testing.assert_allclose(plan, [[1.1, -0.9], [2.1, -1.9]])


def test_the_start_pose_of_a_flipped_joint_is_as_the_robot_counts() -> None:
    promised = contract(signs=[1, -1], default_pose=[1.2, 1.0])
    assert promised.start_pose(TEACH2).tolist() == [1.2, -1.0]
    promised.check_robot(TEACH2)
