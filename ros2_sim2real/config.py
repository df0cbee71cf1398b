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

MAX_BYTES = 200_000  # parsed in about two seconds
MAX_DEPTH = 20

Loc = tuple[str | int, ...]


class Schema(BaseModel):
    """Base of every configuration: frozen, strict types, no unknown key, finite numbers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True
    )


SchemaT = TypeVar("SchemaT", bound=Schema)

# YAML 1.2 core types only: `1e-3` is a number, `on`, `no` and `1:30` are text, `010` is ten.
_CORE_TYPES: tuple[tuple[str, str], ...] = (
    ("null", r"~|null|Null|NULL|"),
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("int", r"[-+]?[0-9]+"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    ),
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
        if path.exists() and not path.is_file():  # a named pipe would hang the start
            raise ConfigError(str(path), ["is no regular file, expected YAML. Check the path"])
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            str(path), [f"cannot be read: {error.strerror}. Check the path"]
        ) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(str(path), [f"is too large, at most {MAX_BYTES} bytes are read"])
    return parse_yaml(raw, where=str(path))


def parse_yaml(raw: bytes, *, where: str) -> tuple[Any, dict[Loc, int]]:
    """Returns plain data and the line of every entry of one YAML document."""
    problems: list[str] = []
    lines: dict[Loc, int] = {}
    try:
        text = raw.decode("utf-8")
        _refuse_unplain(text, where)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(where, [f"is not UTF-8 text (byte {error.start})"]) from None
    except yaml.MarkedYAMLError as error:
        line = _line_of(error.problem_mark or error.context_mark)
        why = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(where, [f"line {line}: not valid YAML, {why}"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(where, [f"not valid YAML, {str(error).splitlines()[0]}"]) from None
    if node is None:
        raise ConfigError(where, ["is empty, expected a mapping"])
    data = _plain(node, (), lines, problems)
    if problems:
        raise ConfigError(where, problems)
    return data, lines


def _refuse_unplain(text: str, where: str) -> None:
    """Raises ConfigError for what is more than nested text, before any of it is built."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        line = _line_of(event.start_mark)
        if depth > MAX_DEPTH:
            raise ConfigError(where, [f"line {line}: nests deeper than {MAX_DEPTH} levels"])
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(
                where,
                [f"line {line}: alias `*{event.anchor}` is not allowed, write the value out"],
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise ConfigError(where, [f"line {line}: tag `{tag}` is not allowed"])


def _line_of(mark: Any) -> int:
    return int(mark.line) + 1 if mark is not None else 1


def _plain(node: yaml.Node, loc: Loc, lines: dict[Loc, int], problems: list[str]) -> Any:
    line = node.start_mark.line + 1
    lines[loc] = line
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            key_line = key_node.start_mark.line + 1
            if not key:
                problems.append(f"line {key_line}: a key must be a word")
                continue
            if key in out:
                problems.append(
                    f"line {key_line}: `{_dotted((*loc, key))}` stands twice, keep one"
                )
            out[key] = _plain(value_node, (*loc, key), lines, problems)
            lines[(*loc, key)] = key_line
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_plain(v, (*loc, i), lines, problems) for i, v in enumerate(node.value)]
    text = str(node.value)
    quoted = getattr(node, "style", None) is not None  # quoted or block text is text
    return text if quoted else scalar_value(text)


def scalar_value(text: str) -> bool | int | float | str | None:
    """Returns what unquoted `text` means under the core types of YAML 1.2."""
    for kind, pattern in _CORE_TYPES:
        if re.fullmatch(pattern, text):
            if kind == "null":
                return None
            if kind == "bool":
                return text.lower() == "true"
            if kind == "int":
                # Python refuses to read longer ones
                return int(text) if len(text) <= 400 else text
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def validate(
    data: Any, schema: type[SchemaT], *, where: str, lines: dict[Loc, int] | None = None
) -> SchemaT:
    """Returns `data` as `schema`; raises ConfigError with every problem, by line if known."""
    try:
        # Through JSON, so that strict types hold and a list still serves as a tuple.
        return schema.model_validate_json(json.dumps(data))
    except TypeError as error:
        raise ConfigError(where, [f"{error}, expected plain text, numbers and lists"]) from None
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
        hint = (
            f", did you mean `{near[0]}`?" if near else f". Known: {sorted(schema.model_fields)}"
        )
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
