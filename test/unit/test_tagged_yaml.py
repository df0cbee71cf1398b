"""env.yaml is read as data: tags are text, nothing is constructed, and no file can blow up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline.tagged_yaml import MAX_BYTES, parse_tagged, read_tagged

POLICIES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "policies"

TAGGED = b"""\
!!python/object:my.tasks.ReachCfg
size: !!python/tuple [1280, 720]
empty: !!python/tuple []
func: &id001 !!python/name:isaaclab.envs.mdp.joint_pos_rel ''
again: *id001
module: !!python/module:isaaclab.envs ''
ids: !!python/object/apply:builtins.slice [null, null, null]
mode: !!python/object/apply:isaaclab.Mode ["fast"]
made: !!python/object/new:isaaclab.Thing {state: {gain: 2.5}}
inner: !!python/object:my.Inner {stiffness: 800}
names: !!set {a, b}
text: !!python/str 'null'
number: !!python/long 7
quoted: '12'
tiny: 1.0e-05
1: one
"""

words = st.text("abcdefgxyz_", min_size=1, max_size=8).filter(
    lambda w: w not in ("y", "n") and not w.startswith("_")
)
scalars = (
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | words
)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(words, inner, max_size=4)
    ),
    max_leaves=20,
)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def refusal(raw: bytes) -> str:
    with pytest.raises(ConversionError) as caught:
        parse_tagged(raw, where="env.yaml")
    line = str(caught.value)
    assert line.startswith("env.yaml: ")
    assert "\n" not in line
    return line


def test_tags_become_plain_data_and_keep_their_content():
    assert parse_tagged(TAGGED, where="env.yaml") == {
        "size": [1280, 720],
        "empty": [],
        "func": "isaaclab.envs.mdp.joint_pos_rel",
        "again": "isaaclab.envs.mdp.joint_pos_rel",
        "module": "isaaclab.envs",
        "ids": {"slice": [None, None, None]},
        "mode": {"isaaclab.Mode": ["fast"]},
        "made": {"isaaclab.Thing": {"state": {"gain": 2.5}}},
        "inner": {"stiffness": 800},
        "names": ["a", "b"],
        "text": "null",
        "number": 7,
        "quoted": "12",
        "tiny": 1e-5,
        "1": "one",
    }


def test_nothing_in_a_file_is_called(tmp_path):
    victim = tmp_path / "called"
    raw = f'a: !!python/object/apply:os.system ["touch {victim}"]'.encode()
    assert parse_tagged(raw, where="env.yaml") == {"a": {"os.system": [f"touch {victim}"]}}
    assert not victim.exists()


@given(trees)
def test_what_a_trainer_dumps_is_read_back_with_tuples_as_lists(tree):
    shared = {"first": tree, "second": tree}  # dumped as an anchor and its alias
    dumped = yaml.dump(shared, sort_keys=False).encode()
    assert parse_tagged(dumped, where="env.yaml") == plain(shared)


@pytest.mark.parametrize(("text", "value"), [(".inf", math.inf), ("-.inf", -math.inf)])
def test_infinite_limits_are_numbers(text, value):
    assert parse_tagged(f"a: {text}".encode(), where="env.yaml") == {"a": value}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"a: [1, 2", ["line ", "not YAML"]),
        (b"\xff\xfe\x00", ["not UTF-8"]),
        (b"a: \x07", ["not YAML"]),
        (b"a: 1\n---\nb: 2\n", ["line 2", "second document"]),
        (b"a: &x [1, *x]", ["`*x`", "inside what it names"]),
        (b"a: *later\nb: &later 1", ["`*later`", "before its anchor"]),
        (b"[" * 2000, ["nests deeper"]),
        (b"{a: " * 2000, ["nests deeper"]),
        (b"a: 1\na: 2", ["line 2", "`a` stands twice"]),
        (b'"a\\nb": 1\n"a\\nb": 2', ["line 2", "`a b` stands twice"]),
        (b"a: !mine 1", ["line 1", "tag `!mine`"]),
        (b"a: !mine [1]", ["line 1", "tag `!mine`"]),
        (b"base: &b {x: 1}\na:\n  <<: *b\n", ["line 3", "merge keys"]),
    ],
)
def test_what_cannot_be_read_is_one_line_that_says_where(raw, words):
    line = refusal(raw)
    assert all(word in line for word in words), line


def test_an_alias_bomb_is_refused_before_it_is_walked():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    assert "aliases" in refusal("\n".join(rows).encode())


@given(st.binary(max_size=200) | st.text("ab:[]{}&*!-?|>'\"\n \t#%<", max_size=80).map(str.encode))
def test_any_bytes_are_data_or_one_error(raw):
    try:
        parse_tagged(raw, where="env.yaml")
    except ConversionError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_file_must_be_there_be_small_and_hold_a_mapping(tmp_path):
    path = tmp_path / "env.yaml"
    with pytest.raises(ConversionError, match=r"env\.yaml: cannot be read: No such file"):
        read_tagged(path)
    with pytest.raises(ConversionError, match="is no regular file"):
        read_tagged(tmp_path)
    path.write_bytes(b"- 1\n")
    with pytest.raises(ConversionError, match="holds a list, expected a mapping"):
        read_tagged(path)
    path.write_bytes(b"")
    with pytest.raises(ConversionError, match="holds nothing, expected a mapping"):
        read_tagged(path)
    path.write_bytes(b"a: " + b"x" * MAX_BYTES)
    with pytest.raises(ConversionError, match="bytes, at most"):
        read_tagged(path)


@pytest.mark.skipif(not POLICIES.is_dir(), reason="third-party env.yaml files are not here")
def test_files_of_other_trainers_are_read_whole():
    direct = read_tagged(POLICIES / "ur5e_reach" / "actuator_delay" / "env.yaml")
    wrist = direct["robot"]["actuators"]["wrist_action"]
    assert wrist["class_type"] == "isaaclab.actuators.actuator_pd.ImplicitActuator"  # an alias
    assert (wrist["stiffness"], wrist["damping"]) == (350, 35)
    assert direct["frame_transformer"]["source_frame_offset"]["pos"] == [-0.52, 0.32, -0.02]
    managed = read_tagged(POLICIES / "ur10_reach" / "env.yaml")
    assert managed["commands"]["ee_pose"]["ranges"]["pos_x"] == [0.35, 0.65]
    assert managed["rewards"]["joint_vel"]["params"]["asset_cfg"]["joint_ids"] == {
        "slice": [None, None, None]
    }
