"""What every node's process does: start, spin, stop on a signal, end with an honest exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from ros2_sim2real.errors import BringupError, Sim2RealError

RCLError = rclpy_implementation.RCLError
IDLE = 0.1  # [s] longest wait, so that a signal is answered


class StageNode(Node):
    """A node with deadlines of its own; subclasses wire topics in `__init__`, never wait there."""

    def wait(self) -> float:
        """Returns how long the executor may wait for an event now [s]."""
        return IDLE

    def tick(self) -> bool:
        """Runs after every event and every wait; returns False when the node's work is done."""
        return True

    def stop(self) -> None:
        """Runs last, on every way out: the context is still valid, messages can still be sent."""


def make_executor() -> Executor:
    """Returns the events executor where rclpy has it (half the CPU), else the ordinary one."""
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def run(make: Callable[[], StageNode]) -> None:
    """Runs one node until a signal or the end of its work, then exits the process.

    Exit status: 0, or 2 with one line for what the user can mend, or 1 with a traceback.
    """
    signals: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        signals.append(number)
        if len(signals) > 1:
            os._exit(128 + number)

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    code = 0
    node: StageNode | None = None
    try:
        _init()
        node = make()
        _spin(node, signals)
    except Sim2RealError as error:
        code = _tell(error)
    except ExternalShutdownException:
        pass
    finally:
        try:
            if node is not None:
                node.stop()
        except Sim2RealError as error:
            code = _tell(error)
        finally:
            if node is not None:
                node.destroy_node()
            rclpy.try_shutdown()
    sys.exit(code)


def _init() -> None:
    try:
        # rclpy's own handlers invalidate the context before a last message could leave
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except RCLError as error:
        raise BringupError(f"ROS does not start: {error}. Check what follows --ros-args") from None


def _tell(error: Sim2RealError) -> int:
    sys.stderr.write(f"{type(error).__name__} {error}\n")
    return 2


def _spin(node: StageNode, signals: list[int]) -> None:
    executor = make_executor()
    executor.add_node(node)
    # The model is loaded; a full collection would stop the loop for 100 ms.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        while not signals and node.tick():
            executor.spin_once(timeout_sec=node.wait())
    finally:
        gc.enable()
        executor.remove_node(node)


def monotonic() -> float:
    """Returns the clock of every deadline [s]."""
    return time.monotonic()
