"""Reads YAML that Python objects were dumped into, as plain data and without making any object.

Trainers write their configuration with `yaml.dump`, which marks every class, function and tuple
with a `!!python/...` tag. The tags are read as text here and the content is kept:

| tag | becomes |
|---|---|
| `!!python/tuple`, `!!python/list`, `!!set` | list |
| `!!python/object:X` and `!!python/dict` mappings | dict |
| `!!python/name:X ''`, `!!python/module:X ''` | the dotted name, a string |
| `!!python/object/apply:X`, `!!python/object/new:X` | `{X: content}`, without `builtins.` |
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ros2_sim2real.config import scalar_value
from ros2_sim2real.errors import ConversionError

MAX_BYTES = 4_000_000
MAX_DEPTH = 60
MAX_VALUES = 200_000  # counted with every alias written out

_PREFIX = "tag:yaml.org,2002:"
_TEXT = {
    "str",
    "python/str",
    "python/unicode",
    "python/bytes",
    "python/complex",
    "binary",
    "timestamp",
}
_PLAIN = {"int", "float", "bool", "null"} | {
    f"python/{t}" for t in ("int", "long", "float", "bool", "none", "NoneType")
}
_LISTS = {"seq", "omap", "pairs", "python/tuple", "python/list"}
_LOADER = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # the same events, from C where it is built


def read_tagged(path: Path) -> dict[str, Any]:
    """Returns the mapping that the file holds.

    Raises:
        ConversionError: the file is missing, too large, not YAML, no mapping, or built to explode.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
            raise ConversionError(f"{path}: is no regular file, expected an env.yaml")
        if status.st_size > MAX_BYTES:
            raise ConversionError(
                f"{path}: is {status.st_size} bytes, at most {MAX_BYTES} are read"
            )
        raw = path.read_bytes()
    except OSError as error:
        raise ConversionError(
            f"{path}: cannot be read: {error.strerror}. Check the path"
        ) from None
    data = parse_tagged(raw, where=str(path))
    if not isinstance(data, dict):
        raise ConversionError(
            f"{path}: holds {_kind(data)}, expected a mapping of settings as in env.yaml"
        )
    return data


def parse_tagged(raw: bytes, *, where: str) -> Any:
    """Returns the plain data of one document, aliased parts shared. Raises ConversionError."""
    try:
        return _Builder(yaml.parse(raw.decode("utf-8"), Loader=_LOADER)).document()
    except UnicodeDecodeError as error:
        raise ConversionError(
            f"{where}: is not UTF-8 text (byte {error.start}), expected YAML"
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConversionError(
            one_line(f"{where}: line {line}: not YAML, {error.problem}")
        ) from None
    except yaml.YAMLError as error:
        raise ConversionError(one_line(f"{where}: not YAML, {error}")) from None
    except _Refused as refused:
        raise ConversionError(one_line(f"{where}: {refused}")) from None


def one_line(text: str) -> str:
    """Returns text that may hold words of a foreign file as one printable line."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _kind(data: Any) -> str:
    names = {list: "a list", str: "text", type(None): "nothing"}
    return names.get(type(data), f"a {type(data).__name__}")


class _Refused(Exception):
    """What is wrong with the document, with its line."""


class _Builder:
    """Builds values from the parser's events; every value comes with its size, aliases counted."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, tuple[Any, int] | None] = {}  # None: still open

    def document(self) -> Any:
        """Returns the value of the only document."""
        value: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _refused(event, "a second document starts, expected one")
            elif isinstance(event, yaml.NodeEvent):
                value, _ = self._value(event, depth=1)
        return value

    def _value(self, event: Any, depth: int) -> tuple[Any, int]:
        if depth > MAX_DEPTH:
            raise _refused(event, f"nests deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            value, size = _scalar(event), 1
        elif isinstance(event, yaml.SequenceStartEvent):
            value, size = self._sequence(event, depth)
        else:
            value, size = self._mapping(event, depth)
        if size > MAX_VALUES:
            raise _refused(
                event, f"holds more than {MAX_VALUES} values once its aliases are written out"
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, size)
        return value, size

    def _alias(self, event: Any) -> tuple[Any, int]:
        if event.anchor not in self._anchors:
            raise _refused(event, f"alias `*{event.anchor}` stands before its anchor")
        known = self._anchors[event.anchor]
        if known is None:
            raise _refused(event, f"alias `*{event.anchor}` stands inside what it names")
        return known

    def _sequence(self, event: Any, depth: int) -> tuple[Any, int]:
        tag = _suffix(event)
        items: list[Any] = []
        size = 1
        for inner in self._events:
            if isinstance(inner, yaml.SequenceEndEvent):
                break
            value, inner_size = self._value(inner, depth + 1)
            items.append(value)
            size += inner_size
        if tag is None or tag in _LISTS:
            return items, size
        return {_called(event, tag): items}, size

    def _mapping(self, event: Any, depth: int) -> tuple[Any, int]:
        tag = _suffix(event)
        items: dict[str, Any] = {}
        size = 1
        for inner in self._events:
            if isinstance(inner, yaml.MappingEndEvent):
                break
            key, key_size = self._key(inner, depth)
            if key in items:
                raise _refused(inner, f"`{key}` stands twice in one mapping")
            value, value_size = self._value(next(self._events), depth + 1)
            items[key] = value
            size += key_size + value_size
        if tag == "set":
            return list(items), size
        if tag in (None, "map", "python/dict") or str(tag).startswith("python/object:"):
            return items, size
        return {_called(event, str(tag)): items}, size

    def _key(self, event: Any, depth: int) -> tuple[str, int]:
        value, size = self._value(event, depth + 1)
        if isinstance(event, yaml.ScalarEvent):
            if event.value == "<<" and _is_plain(event):
                raise _refused(event, "merge keys `<<` are not read, write the values out")
            return event.value if not isinstance(value, str) else value, size
        return str(value), size


def _scalar(event: yaml.ScalarEvent) -> Any:
    tag = _suffix(event)
    if tag is None:
        return scalar_value(event.value) if _is_plain(event) else event.value
    if tag in _TEXT:
        return event.value
    if tag in _PLAIN:
        return scalar_value(event.value)
    if tag.startswith(("python/name:", "python/module:")):
        return tag.partition(":")[2]
    raise _refused(event, f"tag `{event.tag}` is not one that a trainer writes for a single value")


def _is_plain(event: yaml.ScalarEvent) -> bool:
    # neither quoted nor a block; the C parser says "" where the Python one says None
    return not event.style


def _suffix(event: Any) -> str | None:
    if event.tag in (None, "!"):
        return None
    return str(event.tag).removeprefix(_PREFIX)


def _called(event: Any, tag: str) -> str:
    for prefix in ("python/object/apply:", "python/object/new:"):
        if tag.startswith(prefix):
            return tag.removeprefix(prefix).removeprefix("builtins.")
    raise _refused(event, f"tag `{event.tag}` is not one that a trainer writes")


def _refused(event: Any, why: str) -> _Refused:
    return _Refused(f"line {event.start_mark.line + 1}: {why}")
