"""A trainer's file as plain data: values by path, joints by pattern, and what was found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ros2_sim2real.contract import PerElement
from ros2_sim2real.offline.import_overrides import flag
from ros2_sim2real.offline.tagged_yaml import one_line
from ros2_sim2real.signals import Array

MAX_PATTERN = 300
MAX_NUMBER = 1e12  # no quantity of an arm is larger


@dataclass
class Findings:
    """What the import learned; `needed` and `problems` forbid it, the others are reported."""

    understood: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # harmless: something stands in for it
    needed: list[str] = field(default_factory=list)  # each with the flag that supplies it
    problems: list[str] = field(default_factory=list)  # what cannot be run at all

    def need(self, what: str, *settings: str, hint: str = "") -> None:
        """Notes that `what` must be stated through the named settings, or flags as written."""
        flags = " and ".join(s if s.startswith("--") else flag(s) for s in settings)
        self.needed.append(f"{what} ({flags}{hint})")

    def refusal(self) -> str | None:
        """Returns everything that forbids the import as one line, None when nothing does."""
        parts = []
        if self.needed:
            parts.append("missing, state it with the flag: " + "; ".join(self.needed))
        if self.problems:
            parts.append("cannot be run: " + "; ".join(self.problems))
        return one_line(". ".join(parts)) or None


class Env:
    """The data of one file. Every question about a value that is there but wrong is a problem."""

    def __init__(self, data: dict[str, Any], findings: Findings) -> None:
        self.data = data
        self.findings = findings

    def get(self, path: str) -> Any:
        """Returns the value at a dotted path, None when there is none."""
        return dig(self.data, path)

    def number(self, value: Any, where: str) -> float | None:
        """Returns a finite number or None; anything else is a problem."""
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not abs(value) <= MAX_NUMBER:  # so written, NaN is refused too
            self.findings.problems.append(
                f"`{where}` got {shown(value)}, expected a finite number"
            )
            return None
        return float(value)

    def names(self, value: Any, where: str) -> tuple[str, ...] | None:
        """Returns a list of names, each of them once; None as `number`."""
        if value is None:
            return None
        plain = isinstance(value, list) and all(isinstance(x, str) and x for x in value)
        if not plain or not value or len(set(value)) != len(value):
            self.findings.problems.append(
                f"`{where}` got {shown(value)}, expected names, each of them once"
            )
            return None
        return tuple(value)

    def numbers(self, value: Any, count: int, where: str) -> tuple[float, ...] | None:
        """Returns `count` finite numbers; None as `number`."""
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count:
            self.findings.problems.append(
                f"`{where}` got {shown(value)}, expected {count} numbers"
            )
            return None
        read = [self.number(x, where) for x in value]
        return None if None in read else tuple(x for x in read if x is not None)

    def per_joint(self, value: Any, joints: Sequence[str], where: str) -> list[float | None]:
        """Returns one number per joint from a number for all or a mapping of name patterns."""
        if isinstance(value, dict):
            chosen = self.chosen(value, joints, where)
            return [self.number(chosen.get(name), f"{where}.{name}") for name in joints]
        return [self.number(value, where)] * len(joints)

    def chosen(self, table: dict[str, Any], joints: Sequence[str], where: str) -> dict[str, Any]:
        """Returns the entry of each joint that a pattern fits; two that fit are a problem."""
        out: dict[str, Any] = {}
        for name in joints:
            keys = [key for key in table if self.matches(key, name, where)]
            if len(keys) > 1:
                self.findings.problems.append(
                    f"`{where}`: joint {name} fits {keys}, expected one of them"
                )
            elif keys:
                out[name] = table[keys[0]]
        return out

    def matching(self, patterns: Any, joints: Sequence[str], where: str) -> list[str]:
        """Returns those of `joints`, in their order, that a pattern or a list of them means."""
        listed = [patterns] if isinstance(patterns, str) else patterns
        if not isinstance(listed, list) or not all(isinstance(p, str) for p in listed):
            self.findings.problems.append(
                f"`{where}` got {shown(patterns)}, expected names or patterns"
            )
            return []
        return [name for name in joints if any(self.matches(p, name, where) for p in listed)]

    def matches(self, pattern: str, name: str, where: str) -> bool:
        """Returns whether `pattern` fits the whole name; one that may take for ever does not."""
        if pattern == name:
            return True
        if not _is_tame(pattern):
            self._refuse_pattern(pattern, where)
            return False
        try:
            return re.fullmatch(pattern, name) is not None
        except (re.error, OverflowError, RecursionError):
            self._refuse_pattern(pattern, where)
            return False

    def _refuse_pattern(self, pattern: str, where: str) -> None:
        line = f"`{where}` has the pattern {shown(pattern)}, expected a simple one of joint names"
        if line not in self.findings.problems:
            self.findings.problems.append(line)


def spread(
    env: Env, values: Sequence[float] | None, joints: Sequence[str], name: str
) -> tuple[float, ...] | None:
    """Returns what the user states, one per joint; one value stands for all."""
    if values is None:
        return None
    if len(values) not in (1, len(joints)):
        env.findings.problems.append(
            f"{flag(name)} got {len(values)} numbers, expected one for all or {len(joints)}"
        )
        return None
    return tuple(values) if len(values) == len(joints) else tuple(values) * len(joints)


def check_joints(
    env: Env, patterns: Any, keep_order: bool, joints: tuple[str, ...], where: str
) -> None:
    """Notes a problem when `patterns` mean other joints, or another order, than `joints`."""
    meant = env.matching(patterns, joints, where)
    if len(meant) != len(joints):
        absent = [name for name in joints if name not in meant]
        env.findings.problems.append(
            f"`{where}` leaves out {join(absent)}, expected every joint of the policy"
        )
    elif keep_order and isinstance(patterns, list):
        ordered = [name for p in patterns for name in joints if env.matches(p, name, where)]
        if ordered != list(joints):
            env.findings.problems.append(
                f"`{where}` keeps the order {join(ordered)}, expected {join(joints)} as in the "
                f"policy's other parts: if all of them differ, state it with {flag('joints')}"
            )
        else:
            env.findings.understood.append(f"joint order {join(ordered)} (`{where}`)")


def dig(data: Any, path: str) -> Any:
    """Returns the value at a dotted path within nested mappings, None when there is none."""
    for part in path.split("."):
        if not isinstance(data, dict):
            return None
        data = data.get(part)
    return data


def last_name(value: Any) -> str:
    """Returns the bare name of a class or function: `a.b:C` and `a.b.C` -> `C`."""
    return re.split(r"[.:]", value)[-1] if isinstance(value, str) else shown(value)


def is_isaac(value: Any) -> bool:
    """Returns whether a dotted name belongs to Isaac Lab itself."""
    return isinstance(value, str) and value.startswith(
        ("isaaclab.", "isaaclab_tasks.", "omni.isaac.lab")
    )


def shown(value: Any) -> str:
    """Returns a short form of a value for messages; never walks all of it."""
    if isinstance(value, dict | list):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def compact(values: Sequence[float] | Array) -> PerElement:
    """Returns numbers as a contract writes them: one when all are the same."""
    floats = tuple(map(float, values))
    return floats[0] if len(set(floats)) == 1 else floats


def brief(values: Sequence[float]) -> str:
    """Returns numbers for a message, one when all are the same."""
    return f"{values[0]:g}" if len(set(values)) == 1 else join(f"{value:g}" for value in values)


def join(names: Iterable[object]) -> str:
    """Returns names for a message."""
    return ", ".join(map(str, names))


def _is_tame(pattern: str) -> bool:
    # A repeated group, or many repetitions in a row, can take exponential time on a short name.
    if (
        len(pattern) > MAX_PATTERN
        or re.search(r"\)\s*[*+?{]", pattern)
        or re.search(r"\\\d", pattern)
    ):
        return False
    return all(len(re.findall(r"[*+{]", branch)) <= 4 for branch in pattern.split("|"))


def frame_hint(env: Env) -> str:
    """Returns what a frame transformer of the file says, for the user to judge."""
    scene = env.get("scene")
    for key, value in {**env.data, **(scene if isinstance(scene, dict) else {})}.items():
        source = dig(value, "source_frame_offset")
        targets = dig(value, "target_frames")
        if isinstance(source, dict) and isinstance(targets, list) and targets:
            return (
                f"; `{key}` of the file has the offsets {_pose(source)} from its source and "
                f"{_pose(dig(targets[0], 'offset'))} to its target"
            )
    return ""


def _pose(offset: Any) -> str:
    return f"{str(dig(offset, 'pos'))[:60]} {str(dig(offset, 'rot'))[:60]}"
