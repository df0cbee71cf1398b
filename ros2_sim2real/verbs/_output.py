"""What the verbs share: a console, figures as JSON, arguments by tyro."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TypeVar

import tyro
from rich.console import Console

T = TypeVar("T")
console = Console(highlight=False, stderr=True)


def parse(
    schema: type[T], argv: Sequence[str], *, prog: str, example: str, default: T | None = None
) -> T:
    """Returns the arguments as `schema`; ends the process with status 2 if they do not fit."""
    description = f"{(schema.__doc__ or '').strip()}\n\nExample: {example}"
    config = (tyro.conf.OmitArgPrefixes,)
    if default is None:
        return tyro.cli(schema, args=list(argv), prog=prog, description=description, config=config)
    return tyro.cli(
        schema, args=list(argv), prog=prog, description=description, default=default, config=config
    )


def print_json(figures: object) -> None:
    """Prints figures on standard output, and nothing else goes there."""
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
