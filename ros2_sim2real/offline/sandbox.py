"""Runs one piece of work on a file from outside in a child process, bounded in time and memory.

This bounds accidents and crude attacks. It is no jail: the child has the user's rights to read.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline._child import READY, pack, unpack


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What the child process may use."""

    start_s: float = 120.0  # until its libraries are imported
    wall_s: float = 60.0  # from then to the reply
    memory_bytes: int = 2 << 30  # address space beyond what the libraries hold
    reply_bytes: int = 512 << 20


def run_child(
    module: str, header: dict[str, Any], parts: Sequence[bytes], *, limits: ChildLimits, what: str
) -> tuple[dict[str, Any], list[bytes]]:
    """Returns the reply of `python -m module` to one request.

    Args:
        module: a module that calls `serve`.
        header, parts: the request.
        what: the work, for messages: "converting policy.pt".

    Raises:
        ConversionError: it took too long, died, or said something that is no reply.
    """
    bounds = {
        "memory_bytes": limits.memory_bytes,
        "cpu_s": int(limits.wall_s + limits.start_s) + 1,
    }
    with tempfile.TemporaryDirectory() as empty:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=empty,  # `-m` looks for modules in the working directory first
            env=_environment(),
            start_new_session=True,
        )
        try:
            reply = _exchange(process, pack({**header, **bounds}, parts), limits, what)
        finally:
            _end(process)
    if len(reply) > limits.reply_bytes:
        raise ConversionError(
            f"{what}: the answer exceeds {limits.reply_bytes} bytes. Check the file"
        )
    try:
        return unpack(reply)
    except ValueError:
        raise ConversionError(f"{what}: {_ending(process.returncode)}. Check the file") from None


def _exchange(
    process: subprocess.Popen[bytes], request: bytes, limits: ChildLimits, what: str
) -> bytes:
    to_child, from_child = process.stdin, process.stdout
    if to_child is None or from_child is None:
        raise TypeError("both ends of the child are pipes")
    with _Deadline(process, limits.start_s) as start:
        _send(to_child, request)
        ready = from_child.read(len(READY))
    if start.passed:
        raise ConversionError(
            f"{what}: the child process was not ready within {limits.start_s:g} s. Try again"
        )
    if ready != READY:
        return ready
    with _Deadline(process, limits.wall_s) as work:
        reply = from_child.read(limits.reply_bytes + 1)
    if work.passed:
        raise ConversionError(
            f"{what}: no answer within {limits.wall_s:g} s, it was ended. Check the file, "
            "a policy answers within milliseconds"
        )
    return reply


class _Deadline:
    """Ends the process when the block takes longer than `seconds`; then `passed` is True."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def _expire(self) -> None:
        self.passed = True
        _kill(self._process)

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _send(pipe: IO[bytes], request: bytes) -> None:
    try:
        pipe.write(request)
        pipe.close()
    except BrokenPipeError:
        pass  # it died early; its missing reply says so


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # its own session: children of its own end with it


def _end(process: subprocess.Popen[bytes]) -> None:
    _kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            pipe.close()


def _ending(code: int) -> str:
    if code < 0:
        return f"the process that opened it was ended by {signal.Signals(-code).name}"
    return f"the process that opened it ended with status {code} and no answer"


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    path = [root, *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
