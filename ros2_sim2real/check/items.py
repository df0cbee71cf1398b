"""What a check says: one line per claim, with what was found, what was expected and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Item:
    """One claim. `name` is the field, topic or parameter that it is about."""

    name: str
    status: Outcome
    got: str
    expected: str = ""
    fix: str = ""

    def to_dict(self) -> dict[str, str]:
        """Returns the item for `--json`."""
        return {
            "name": self.name,
            "status": self.status,
            "got": self.got,
            "expected": self.expected,
            "fix": self.fix,
        }

    @property
    def line(self) -> str:
        """Returns the item as one sentence."""
        said = f"`{self.name}` got {self.got}"
        said += f", expected {self.expected}" if self.expected else ""
        return f"{said}. {self.fix}" if self.fix else said


@dataclass(frozen=True, slots=True)
class Report:
    """All that was checked."""

    items: tuple[Item, ...]

    def of(self, status: Outcome) -> tuple[Item, ...]:
        """Returns the items with this outcome."""
        return tuple(item for item in self.items if item.status == status)

    def to_dict(self) -> dict[str, object]:
        """Returns the figures for `--json`."""
        return {
            "passed": len(self.of("pass")),
            "failed": len(self.of("fail")),
            "warned": len(self.of("warn")),
            "items": [item.to_dict() for item in self.items],
        }


def passed(name: str, got: object, expected: str = "") -> Item:
    """Returns a claim that holds."""
    return Item(name, "pass", str(got), expected)


def warned(name: str, got: object, expected: str, fix: str) -> Item:
    """Returns a claim that may hold; somebody should look."""
    return Item(name, "warn", str(got), expected, fix)


def failed(name: str, got: object, expected: str, fix: str) -> Item:
    """Returns a claim that does not hold."""
    return Item(name, "fail", str(got), expected, fix)


def verdict(name: str, problems: Iterable[Item], otherwise: str) -> Iterator[Item]:
    """Yields the problems, or that there are none."""
    found = list(problems)
    yield from found or [passed(name, otherwise)]


def numbers(values: Iterable[float]) -> str:
    """Returns numbers as a short text."""
    return "[" + ", ".join(f"{v:.4g}" for v in values) + "]"
