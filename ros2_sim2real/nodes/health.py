"""One diagnostics status per stage at 1 Hz: rate, step time, refusals, and silence in words."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from ros2_sim2real.nodes import qos
from ros2_sim2real.signals import Level, Status

PERIOD = 1.0  # [s]
SILENCE = 2.0  # [s]


class Health:
    """Counts what a stage does and publishes it on /diagnostics."""

    def __init__(
        self, node: Node, name: str, status: Callable[[], Status], *, expects: str
    ) -> None:
        self._node, self._name, self._status, self._expects = node, name, status, expects
        self._out = node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        self._steps_ns: list[int] = []
        self._refused = 0
        self._last_heard = self._last_report = time.monotonic()

    def heard(self) -> None:
        """Notes that the input is alive."""
        self._last_heard = time.monotonic()

    @property
    def silence(self) -> float:
        """Returns the time since the input was last heard [s]."""
        return time.monotonic() - self._last_heard

    def stepped(self, duration_ns: int) -> None:
        """Notes one step of the stage."""
        self._steps_ns.append(duration_ns)

    def refuse(self, why: str) -> None:
        """Notes a message that could not be used; logged at most once a second."""
        self._refused += 1
        self._node.get_logger().error(why, throttle_duration_sec=1.0)

    def report(self) -> None:
        """Publishes once a second; cheap in between."""
        now = time.monotonic()
        span = now - self._last_report
        if span < PERIOD:
            return
        status = self._status()
        if now - self._last_heard > SILENCE:
            status = Status(
                Level.ERROR,
                f"no `{self._expects}` for {now - self._last_heard:.0f} s: is its publisher "
                "running, in this "
                "namespace and ROS_DOMAIN_ID, and on the same transport "
                "(FASTDDS_BUILTIN_TRANSPORTS)?",
                {},
            )
            self._node.get_logger().warning(status.message, throttle_duration_sec=10.0)
        self._publish(status, span)
        self._steps_ns.clear()
        self._refused = 0
        self._last_report = now

    def _publish(self, status: Status, span: float) -> None:
        values = {
            **status.values,
            "rate_hz": len(self._steps_ns) / span,
            "refused": float(self._refused),
        }
        if self._steps_ns:
            p50, p99 = np.percentile(self._steps_ns, (50, 99)) / 1e3
            values |= {"step_us_p50": float(p50), "step_us_p99": float(p99)}
        self._out.publish(
            DiagnosticArray(
                header=_header(self._node),
                status=[
                    DiagnosticStatus(
                        level=bytes([status.level]),
                        name=f"{self._node.get_namespace().rstrip('/')}/{self._name}",
                        message=status.message,
                        values=[KeyValue(key=k, value=f"{v:.6g}") for k, v in values.items()],
                    )
                ],
            )
        )


def _header(node: Node) -> object:
    from std_msgs.msg import Header

    return Header(stamp=node.get_clock().now().to_msg())
