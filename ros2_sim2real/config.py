"""Strict YAML into pydantic schemas: every problem of a file at once, each with line and field."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from ros2_sim2real.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

Loc = tuple[str | int, ...]


class Schema(BaseModel):
    """Base of every configuration: frozen, strict types, no unknown key, finite numbers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True
    )


SchemaT = TypeVar("SchemaT", bound=Schema)

# YAML 1.2 core types only: `1e-3` is a number, `on` and `no` are text, `010` is ten, `1:30` is text.
_CORE_TYPES: tuple[tuple[str, str], ...] = (
    ("null", r"~|null|Null|NULL|"),
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("int", r"[-+]?[0-9]+"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
)


def load(path: Path | str, schema: type[SchemaT]) -> SchemaT:
    """Returns the file's content as `schema`.

    Raises:
        ConfigError: the file is missing, too large, not plain YAML, or does not fit the schema;
            all problems are listed, each with its line.
    """
    path = Path(path)
    data, lines = read_yaml(path)
    return validate(data, schema, where=str(path), lines=lines)


def read_yaml(path: Path) -> tuple[Any, dict[Loc, int]]:
    """Returns plain data and the line of every entry. Raises ConfigError as `load` does."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}. Check the path"]) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(str(path), [f"is {len(raw)} bytes, at most {MAX_BYTES} are read"])
    return parse_yaml(raw, where=str(path))


def parse_yaml(raw: bytes, *, where: str) -> tuple[Any, dict[Loc, int]]:
    """Returns plain data and the line of every entry of one YAML document."""
    problems: list[str] = []
    lines: dict[Loc, int] = {}
    try:
        text = raw.decode("utf-8")
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ConfigError(where, [f"nests deeper than {MAX_DEPTH} levels"])
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1
                raise ConfigError(where, [f"line {line}: alias `*{event.anchor}` is not allowed, write the value out"])
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(where, [f"is not UTF-8 text (byte {error.start})"]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(where, [f"line {line}: not valid YAML, {error.problem}"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(where, [f"not valid YAML, {str(error).splitlines()[0]}"]) from None
    if node is None:
        raise ConfigError(where, ["is empty, expected a mapping"])
    data = _plain(node, (), lines, problems)
    if problems:
        raise ConfigError(where, problems)
    return data, lines


def _plain(node: yaml.Node, loc: Loc, lines: dict[Loc, int], problems: list[str]) -> Any:
    line = node.start_mark.line + 1
    lines[loc] = line
    if isinstance(node, yaml.MappingNode):
        if not node.tag.endswith(":map"):
            problems.append(f"line {line}: tag `{node.tag}` is not allowed")
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            key_line = key_node.start_mark.line + 1
            if not key:
                problems.append(f"line {key_line}: a key must be a word")
                continue
            if key in out:
                problems.append(f"line {key_line}: `{_dotted((*loc, key))}` stands twice, keep one")
            out[key] = _plain(value_node, (*loc, key), lines, problems)
            lines[(*loc, key)] = key_line
        return out
    if isinstance(node, yaml.SequenceNode):
        if not node.tag.endswith(":seq"):
            problems.append(f"line {line}: tag `{node.tag}` is not allowed")
        return [_plain(v, (*loc, i), lines, problems) for i, v in enumerate(node.value)]
    return _scalar(node, line, problems)


def _scalar(node: yaml.Node, line: int, problems: list[str]) -> Any:
    text = str(node.value)
    if node.tag not in _STANDARD_TAGS:
        problems.append(f"line {line}: tag `{node.tag}` is not allowed")
        return text
    if getattr(node, "style", None) is not None:  # quoted or block text is text
        return text
    return scalar_value(text)


def scalar_value(text: str) -> bool | int | float | str | None:
    """Returns what unquoted `text` means under the core types of YAML 1.2."""
    for kind, pattern in _CORE_TYPES:
        if re.fullmatch(pattern, text):
            if kind == "null":
                return None
            if kind == "bool":
                return text.lower() == "true"
            if kind == "int":
                return int(text) if len(text) <= 400 else text  # Python refuses to read longer ones
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


_STANDARD_TAGS = {
    f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null", "timestamp", "value")
}


def validate(
    data: Any, schema: type[SchemaT], *, where: str, lines: dict[Loc, int] | None = None
) -> SchemaT:
    """Returns `data` as `schema`; raises ConfigError that lists every problem, by line if known."""
    try:
        # Through JSON, so that strict types hold and a list still serves as a tuple.
        return schema.model_validate_json(json.dumps(data))
    except ValidationError as error:
        problems = [_problem(e, schema, lines or {}) for e in error.errors()]
        raise ConfigError(where, list(dict.fromkeys(problems))) from None


def _problem(error: ErrorDetails, schema: type[BaseModel], lines: dict[Loc, int]) -> str:
    # pydantic adds the name of a union's branch to the path; the file knows no such level
    loc = tuple(error["loc"])
    known = loc
    while known and known not in lines:
        known = known[:-1]
    prefix = f"line {lines[known]}: " if lines and known in lines else ""
    field = _dotted(loc) or "the file"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), sorted(_field_names(schema)), n=1)
        hint = f", did you mean `{near[0]}`?" if near else f". Known: {sorted(schema.model_fields)}"
        return f"{prefix}unknown `{field}`{hint}"
    if error["type"] == "missing":
        return f"{prefix}missing `{field}`"
    got = repr(error["input"])
    got = got if len(got) <= 60 else got[:57] + "..."
    expected = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{prefix}`{field}` got {got}, expected {expected}"


def _field_names(schema: type[BaseModel]) -> set[str]:
    names: set[str] = set()
    todo: list[Any] = [schema]
    seen: set[Any] = set()
    while todo:
        item = todo.pop()
        if item in seen:
            continue
        seen.add(item)
        if isinstance(item, type) and issubclass(item, BaseModel):
            names |= set(item.model_fields)
            todo += [f.annotation for f in item.model_fields.values()]
        else:
            todo += [a for a in getattr(item, "__args__", ()) if a is not Ellipsis]
    return names


def _dotted(loc: Loc) -> str:
    return ".".join(str(part) for part in loc)
