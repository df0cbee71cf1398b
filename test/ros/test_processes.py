"""A bring-up without `ros2 launch`: its processes start together and end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = """
import sys
from ros2_sim2real.bringup import arguments, plan
from ros2_sim2real.processes import run_plan
given = {"robot": "teach2", "policy": "sine", "namespace": sys.argv[1]}
sys.exit(run_plan(plan(arguments("sim", given))))
"""


def processes(namespace: str) -> set[int]:
    """The nodes that run in a namespace, whoever their parent is."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"__ns:=/{namespace}".encode() in words:
            found.add(int(folder.name))
    return found


def until(happened: Callable[[], object], timeout: float) -> bool:
    end = time.monotonic() + timeout
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)  # processes of others: there is nothing to wait on
    return True


class Run:
    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, namespace],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ended(self, timeout: float) -> tuple[int, str]:
        said, _ = self.child.communicate(timeout=timeout)
        return self.child.returncode, said


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    made = Run(f"p{os.getpid()}_{abs(hash(request.node.name)) % 10**6}")
    yield made
    if made.child.poll() is None:
        os.killpg(made.child.pid, signal.SIGKILL)
    for pid in processes(made.namespace):
        os.kill(pid, signal.SIGKILL)
    made.child.wait(10.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_all_processes_without_a_traceback(run: Run, number: int) -> None:
    assert until(lambda: len(processes(run.namespace)) >= 3, 20.0)
    time.sleep(2.0)  # in the middle of the motion
    run.child.send_signal(number)
    code, said = run.ended(10.0)
    assert code == 128 + number
    assert "Traceback" not in said
    assert said.count("stopped (rc=0)") == 3
    assert not processes(run.namespace)


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_a_signal_while_the_processes_start_leaves_none_behind(run: Run, nodes: int) -> None:
    assert until(lambda: len(processes(run.namespace)) >= nodes, 20.0)
    run.child.send_signal(signal.SIGINT)
    code, said = run.ended(15.0)
    assert code == 130
    assert "KeyError" not in said
    assert not processes(run.namespace)


def test_when_one_process_dies_the_others_end(run: Run) -> None:
    assert until(lambda: len(processes(run.namespace)) >= 3, 20.0)
    time.sleep(1.0)
    os.kill(max(processes(run.namespace)), signal.SIGKILL)
    code, _ = run.ended(15.0)
    assert code != 0
    assert not processes(run.namespace)
