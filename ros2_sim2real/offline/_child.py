"""What a child process does before it touches a file from outside: it gives up what it can do.

A request and a reply are one frame each: a line of JSON, then raw bytes. No pickle either way.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

READY = b"ready\n"
Work = Callable[[dict[str, Any], list[bytes]], tuple[dict[str, Any], list[bytes]]]


def pack(header: dict[str, Any], parts: Sequence[bytes]) -> bytes:
    """Returns one frame."""
    line = json.dumps({**header, "sizes": [len(part) for part in parts]})
    return b"".join((line.encode(), b"\n", *parts))


def unpack(frame: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Returns header and parts of a frame. Raises ValueError when it is not one."""
    line, _, body = frame.partition(b"\n")
    header = json.loads(line)
    sizes = header.pop("sizes") if isinstance(header, dict) and "sizes" in header else None
    if not isinstance(sizes, list) or not all(isinstance(n, int) and n >= 0 for n in sizes):
        raise ValueError("no sizes in the header")
    if sum(sizes) != len(body):
        raise ValueError(f"{len(body)} bytes after the header, it announces {sum(sizes)}")
    parts = []
    for size in sizes:
        parts.append(body[:size])
        body = body[size:]
    return header, parts


def serve(libraries: Callable[[], None], work: Work) -> None:
    """Answers one request from stdin on stdout and ends the process.

    Args:
        libraries: imports what `work` needs, before limits are in force; its ImportError becomes
            the reply `{"missing": name}`.
        work: turns request into reply; its exceptions become the reply `{"error": line}`.
    """
    # A file from outside may print: its lines must not get into the reply.
    reply = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    header, parts = unpack(sys.stdin.buffer.read())
    answer: tuple[dict[str, Any], Sequence[bytes]]
    try:
        libraries()
        _limit(int(header["memory_bytes"]), int(header["cpu_s"]))
        reply.write(READY)
        reply.flush()
        answer = work(header, parts)
    except ImportError as error:
        reply.write(READY)
        answer = {"missing": error.name or str(error)}, []
    except MemoryError:
        answer = {"error": "needs more memory than it is given"}, []
    except Exception as error:  # noqa: BLE001  what a file raises is its own choice
        answer = {"error": last_line(error)}, []
    reply.write(pack(*answer))
    reply.flush()
    os._exit(0)  # no exit hooks: the file may have left some


def _limit(memory_bytes: int, cpu_s: int) -> None:
    """Bounds memory (beyond what the libraries hold), time and files of this process for good."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_AS, held + memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),  # ends it even when the parent is gone
        (resource.RLIMIT_FSIZE, 0),  # no byte goes into any file
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def last_line(error: object, length: int = 200) -> str:
    """Returns the last line of a message, printable: torch puts the cause there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= length else text[: length - 1] + "…"
