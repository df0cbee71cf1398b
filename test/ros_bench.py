"""Real processes over real DDS, watched and fed by a node in the test's own process."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ros2_sim2real.bringup import NodePlan, Value, command_line
from ros2_sim2real.nodes import qos
from ros2_sim2real.robot import load_robot

TEACH2 = load_robot("teach2")
JOINTS = list(TEACH2.joint_names)
HOME = TEACH2.home
START = 20.0  # [s] a process may take this long to start on a busy machine
_NUMBER = itertools.count()


class Process:
    """One node of ours; what it says is kept line by line."""

    def __init__(self, executable: str, parameters: Mapping[str, Value], namespace: str) -> None:
        line = command_line(NodePlan(executable, dict(parameters)), namespace)
        self.lines: list[str] = []
        self._child = subprocess.Popen(
            [sys.executable, "-m", f"ros2_sim2real.nodes.{executable}", *line],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.pid = self._child.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as out:
            for line in out:
                self.lines.append(re.sub(r"\x1b\[[0-9;]*m", "", line.rstrip("\n")))

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def send(self, number: int) -> None:
        self._child.send_signal(number)

    def ended(self, timeout: float) -> int:
        """The exit status; fails when there is none in time."""
        code = self._child.wait(timeout)
        self._reader.join(timeout=5.0)
        return code

    def close(self) -> None:
        """Ends in order where it can: a process that is killed leaves its shared memory behind."""
        try:
            self.ended(3.0)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self.ended(10.0)


class Bench:
    """A node that feeds and hears the processes of one test, in a namespace of its own."""

    def __init__(self) -> None:
        self.namespace = f"t{os.getpid()}_{next(_NUMBER)}"
        self.node = rclpy.create_node("bench", namespace=self.namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._processes: list[Process] = []

    def start(self, executable: str, **parameters: Value) -> Process:
        process = Process(executable, parameters, self.namespace)
        self._processes.append(process)
        return process

    def hear(self, kind: Any, topic: str, profile: QoSProfile = qos.RELIABLE) -> list[Any]:
        """The messages of a topic, as they come."""
        heard: list[Any] = []
        profile = QoSProfile(
            depth=1000, reliability=profile.reliability, durability=profile.durability
        )
        self.node.create_subscription(kind, topic, heard.append, profile)
        return heard

    def until(self, happened: Callable[[], object], timeout: float = 10.0) -> None:
        """Spins until something is true; fails with what the processes said when it is not."""
        end = time.monotonic() + timeout
        while not happened():
            if time.monotonic() > end:
                said = "\n".join(p.said for p in self._processes)
                raise AssertionError(f"did not happen within {timeout} s. The processes:\n{said}")
            self._executor.spin_once(timeout_sec=0.02)

    def spin(self, seconds: float) -> None:
        """Spins for a while: for what must not happen there is no event to wait for."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def publisher(self, kind: Any, topic: str, profile: QoSProfile = qos.RELIABLE) -> Any:
        """A publisher that somebody hears."""
        out = self.node.create_publisher(kind, topic, profile)
        self.until(lambda: out.get_subscription_count() > 0, START)
        return out

    def call(self, kind: Any, name: str, request: Any = None, timeout: float = 10.0) -> Any:
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, START)
        future = client.call_async(kind.Request() if request is None else request)
        self.until(future.done, timeout)
        self.node.destroy_client(client)
        return future.result()

    def every(self, seconds: float, callback: Callable[[], None]) -> Any:
        return self.node.create_timer(seconds, callback)

    def close(self) -> None:
        for process in self._processes:
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
        for process in self._processes:
            process.close()
        self._executor.remove_node(self.node)
        self._executor.shutdown()
        self.node.destroy_node()


def stamp(ns: int) -> Time:
    return Time(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)


def joint_state(
    ns: int,
    q: Sequence[float] | None = None,
    *,
    names: Sequence[str] | None = None,
    dq: Sequence[float] | None = None,
) -> JointState:
    q = list(HOME if q is None else q)
    msg = JointState(name=list(JOINTS if names is None else names), position=q)
    msg.velocity = [0.0] * len(q) if dq is None else list(dq)
    msg.header.stamp = stamp(ns)
    return msg


def trajectory(ns: int, q: Sequence[float], names: Sequence[str] | None = None) -> JointTrajectory:
    msg = JointTrajectory(joint_names=list(JOINTS if names is None else names))
    msg.points = [JointTrajectoryPoint(positions=np.array(q, dtype=np.float64).tolist())]
    msg.header.stamp = stamp(ns)
    return msg


def position(msg: JointTrajectory) -> list[float]:
    assert list(msg.joint_names) == JOINTS
    assert len(msg.points) == 1
    return list(msg.points[0].positions)


def stamp_ns(msg: Any) -> int:
    return int(msg.header.stamp.sec) * 1_000_000_000 + int(msg.header.stamp.nanosec)
