"""Strict YAML: every problem at once, by line and field; nothing means what it does not say."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Literal

import pytest
import yaml
from builders import refusal
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from ros2_sim2real.config import (
    MAX_BYTES,
    MAX_DEPTH,
    Schema,
    load,
    parse_yaml,
    scalar_value,
    validate,
)
from ros2_sim2real.errors import ConfigError


class Inner(Schema):
    gain: float = Field(gt=0.0)
    name: str = "x"


class Outer(Schema):
    rate_hz: float
    count: int = 1
    on: bool = True
    mode: Literal["slow", "fast"] = "slow"
    inner: Inner | None = None
    gains: tuple[float, ...] = ()
    scale: float | tuple[float, ...] = 1.0


def read(text: str | bytes) -> Outer:
    raw = text.encode() if isinstance(text, str) else text
    data, lines = parse_yaml(raw, where="file.yaml")
    return validate(data, Outer, where="file.yaml", lines=lines)


def refused(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("file.yaml: ")
    assert len(message) < 1000
    return message


def test_a_number_with_an_exponent_is_a_number() -> None:
    assert read("rate_hz: 1e-3").rate_hz == 1e-3
    assert read("rate_hz: 1E3").rate_hz == 1000.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("1:30", "1:30"),
        ("on", "on"),
        ("no", "no"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("~", None),
        ("", None),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("+3", 3),
        ("1e400", math.inf),
        ("-.inf", -math.inf),
        (".", "."),
        ("e3", "e3"),
        ("٣", "٣"),
    ],
)
def test_unquoted_text_means_what_the_core_types_of_yaml_say(text: str, value: object) -> None:
    got = scalar_value(text)
    assert got == value
    assert type(got) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_reads_back_as_itself(value: float) -> None:
    assert read(f"rate_hz: {value!r}").rate_hz == value


# YAML folds line breaks inside quotes, and it has more of them than JSON has
TEXT = st.text(
    alphabet=st.characters(
        codec="utf-8",
        exclude_categories=["Cc"],
        exclude_characters="\u2028\u2029\ufeff\ufffe\uffff",
    ),
    max_size=20,
)


@given(TEXT)
def test_quoted_text_stays_text(text: str) -> None:
    raw = f"key: {json.dumps(text, ensure_ascii=False)}".encode()
    data, _ = parse_yaml(raw, where="w")
    assert data == {"key": text}


def test_a_number_in_quotes_is_not_a_number() -> None:
    message = refused("rate_hz: '50'")
    assert "line 1: `rate_hz` got '50', expected a valid number" in message


def test_text_where_a_number_is_meant_names_field_and_line() -> None:
    assert "line 2: `rate_hz` got 'fast', expected" in refused("count: 1\nrate_hz: fast")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e999", "NaN", "nan"])
def test_a_number_that_is_not_finite_is_refused(value: str) -> None:
    assert "`rate_hz`" in refused(f"rate_hz: {value}")


@pytest.mark.parametrize("value", ["1.5", "true", "1e3"])
def test_an_integer_field_takes_nothing_else(value: str) -> None:
    assert "`count`" in refused(f"rate_hz: 1\ncount: {value}")


@pytest.mark.parametrize("value", ["1", "yes", "'true'"])
def test_a_switch_takes_true_or_false_only(value: str) -> None:
    assert "`on`" in refused(f"rate_hz: 1\non: {value}")


def test_an_unknown_key_suggests_the_near_one() -> None:
    message = refused("rate_hzz: 1\nrate_hz: 1")
    assert "line 1: unknown `rate_hzz`, did you mean `rate_hz`?" in message


def test_an_unknown_key_far_from_all_lists_what_is_known() -> None:
    message = refused("rate_hz: 1\nzebra: 1")
    assert "unknown `zebra`. Known: [" in message
    assert "rate_hz" in message


def test_a_nested_typo_is_named_with_its_path_and_line() -> None:
    message = refused("rate_hz: 1\ninner:\n  gain: 1.0\n  nmae: x\n")
    assert "line 4: unknown `inner.nmae`, did you mean `name`?" in message


def test_a_key_that_stands_twice_is_refused() -> None:
    assert "line 3: `rate_hz` stands twice" in refused("rate_hz: 1\ncount: 2\nrate_hz: 2")


def test_a_nested_key_that_stands_twice_is_refused_with_its_path() -> None:
    assert "line 4: `inner.gain` stands twice" in refused(
        "rate_hz: 1\ninner:\n  gain: 1\n  gain: 2\n"
    )


def test_every_problem_is_listed_at_once() -> None:
    message = refused("count: 1.5\nmode: medium\ninner: {gain: -1, nam: y}\n")
    for part in ("missing `rate_hz`", "`count`", "`mode`", "`inner.gain`", "unknown `inner.nam`"):
        assert part in message


def test_an_element_of_a_list_is_named_by_its_line() -> None:
    assert "line 4: `gains.1` got 'x'" in refused("rate_hz: 1\ngains:\n  - 1.0\n  - x\n")


def test_a_wrong_union_names_the_field_and_its_line() -> None:
    message = refused("rate_hz: 1\nscale: x\n")
    assert "line 2: `scale" in message


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "---\n---\n"])
def test_a_file_without_content_is_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: 1\n--- \nb: 2", "single document"),
        ("a:\n\t- 1", "line 2"),
        ("a: [1, 2", "line 1"),
        ("a: &x [1]\nb: *x", "line 2: alias `*x` is not allowed"),
        ("a: !!python/object/apply:os.system ['true']", "line 1: tag `tag:yaml.org,2002:python"),
        ("!!set {a, b}", "tag"),
        ("a: !thing 3", "line 1: tag `!thing` is not allowed"),
        ("? [a, b]\n: 1", "line 1: a key must be a word"),
        ('"": 1', "a key must be a word"),
        ("a: \x00", "not valid YAML"),
        ("- 1\n- 2", "`the file`"),
        ("just text", "`the file`"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_by_line(text: str, part: str) -> None:
    assert part in refused(text)


def test_a_tag_on_a_key_is_refused() -> None:
    assert "line 1: tag" in refused("!!python/name:os.system rate_hz: 1")


@pytest.mark.parametrize("text", ["rate_hz: !!str 10", "rate_hz: !!float 10", "rate_hz: ! 10"])
def test_a_type_that_is_stated_is_refused_rather_than_ignored(text: str) -> None:
    assert "line 1: tag" in refused(text)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    assert "not UTF-8 text (byte 9)" in refused(b"rate_hz: \xff\xfe")


def test_deep_nesting_is_refused_at_once() -> None:
    begin = time.monotonic()
    assert f"deeper than {MAX_DEPTH}" in refused("[" * 100_000)
    assert time.monotonic() - begin < 1.0


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    lines = ["a: &a [x, x]"] + [
        f"{c}: &{c} [*{p}, *{p}]" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert "alias" in refused("\n".join(lines))


def test_a_huge_number_is_refused_not_computed() -> None:
    for digits in (300, 390, 5000, 100_000):
        assert "`count`" in refused(f"rate_hz: 1\ncount: {'9' * digits}.5")
        refused(f"rate_hz: {'9' * digits}e9999")
    refused("rate_hz: " + "9" * 5000)


def test_a_key_with_a_line_break_still_gives_one_line() -> None:
    refused('rate_hz: 1\n"a\\nb": 2\n')


def test_a_lone_surrogate_is_refused() -> None:
    refused('rate_hz: 1\nmode: "\\ud800"\n')


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(8 * 1024**3)  # sparse: no disk is used
    begin = time.monotonic()
    with pytest.raises(ConfigError, match=f"at most {MAX_BYTES}"):
        load(path, Outer)
    assert time.monotonic() - begin < 1.0


def test_the_largest_file_that_is_read_is_read_in_time() -> None:
    text = "rate_hz: 1\ngains: [" + "1.0, " * ((MAX_BYTES - 40) // 5) + "1.0]\n"
    assert len(text) <= MAX_BYTES
    begin = time.process_time()
    read(text)
    assert time.process_time() - begin < 4.0


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: No such file .*Check the path"):
        load(tmp_path / "none.yaml", Outer)
    with pytest.raises(ConfigError, match="is no regular file"):
        load(tmp_path, Outer)


def test_a_named_pipe_in_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="is no regular file"):
        load(pipe, Outer)


@pytest.mark.parametrize(
    "data", [None, 3, [], "x", [[1]], {"rate_hz": None}, {"rate_hz": math.nan}]
)
def test_data_that_is_no_mapping_is_one_error(data: object) -> None:
    with pytest.raises(ConfigError):
        validate(data, Outer, where="w")


def test_a_value_that_json_cannot_hold_is_one_error() -> None:
    with pytest.raises(ConfigError, match=r"type bytes .*expected plain"):
        validate({"rate_hz": b"bytes"}, Outer, where="w")


@given(st.binary(max_size=200))
def test_any_bytes_are_data_or_one_config_error(raw: bytes) -> None:
    refusal(lambda: parse_yaml(raw, where="w"), ConfigError)


YAML_CHARS = st.text(alphabet=" \t\n:-?[]{},&*!|>'\"%@`#~ab01.eE+_<=\\", max_size=60)


@given(YAML_CHARS)
def test_any_yaml_like_text_is_data_or_one_config_error(text: str) -> None:
    refusal(lambda: read(text), ConfigError)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet="abcdefgh", min_size=1), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(alphabet="abcdefgh", min_size=1), PLAIN, min_size=1, max_size=4))
def test_what_yaml_writes_reads_back_equal(data: dict[str, object]) -> None:
    # double quotes: plain style would leave the types of texts to the reader
    raw = json.dumps(data, ensure_ascii=False).encode()
    got, lines = parse_yaml(raw, where="w")
    assert got == data
    assert lines[()] == 1
    assert yaml.safe_load(raw) is not None
