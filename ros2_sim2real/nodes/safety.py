"""The gate in its own process: answers a command when it arrives, holds when none does."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from pydantic import Field
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from ros2_sim2real.config import Schema
from ros2_sim2real.errors import JointMismatch
from ros2_sim2real.nodes import qos
from ros2_sim2real.nodes.convert import Reorder, TrajectoryWriter, command_from, state_from
from ros2_sim2real.nodes.health import Health
from ros2_sim2real.nodes.parameters import declare
from ros2_sim2real.nodes.shell import IDLE, StageNode, run
from ros2_sim2real.robot import load_robot
from ros2_sim2real.safety.gate import Gate, Mode
from ros2_sim2real.safety.pacer import Pacer
from ros2_sim2real.signals import Command, Level, Reason, Status

EPISODE_GAP_NS = 250_000_000


class SafetyParameters(Schema):
    """Parameters of `safety`."""

    robot: str = Field(description="robot file: a path, or a name within config/robots")
    rate_hz: float = Field(
        gt=0.0, le=1000.0, description="periods a second; at most one step in each"
    )
    mode: Literal["shadow", "active"] = Field("shadow", description="shadow never sends anything")
    auto_enable: bool = Field(
        False, description="simulation only: enable as soon as it is allowed"
    )
    clock: Literal["monotonic", "stamp"] = Field(
        "monotonic", description="stamp: time is the states' stamps (lockstep and free running)"
    )
    state_clock: Literal["stamp", "ros"] = Field(
        "ros", description="clock of the states' stamps, as for the pipeline"
    )


class SafetyNode(StageNode):
    """Shell of `safety.gate.Gate`."""

    def __init__(self) -> None:
        super().__init__("safety")
        self.config = declare(self, SafetyParameters)
        spec = load_robot(self.config.robot)
        self.gate = Gate(
            spec.limits, rate_hz=self.config.rate_hz, shadow=self.config.mode == "shadow"
        )
        self._period_ns = round(1e9 / self.config.rate_hz)
        self._pacer = Pacer(int(1e9 / self.config.rate_hz))  # never longer than the stream's
        self._stamped = self.config.clock == "stamp"
        self._reorder_state, self._reorder = Reorder(spec.joint_names), Reorder(spec.joint_names)
        self._writer = TrajectoryWriter(spec.joint_names, period=self.gate.period)
        self._held = False  # by the service: stays so until enabled by the service
        self._pending: Command | None = None
        self._answer: JointTrajectory | None = None
        self._answered_ns: int | None = None
        self._state_ns: int | None = None
        self._reason = Reason.INACTIVE
        self._out = self.create_publisher(JointTrajectory, "safety/command", qos.RELIABLE)
        self._status_out = self.create_publisher(DiagnosticStatus, "safety/status", qos.LATCHED)
        self._health = Health(self, "safety", self._status, expects="joint_states")
        self._told: tuple[Mode, int, Reason] | None = None
        self._mode, self._since_ns = self.gate.mode, 0  # stamp of the state that it began with
        self.create_subscription(JointState, "joint_states", self._on_state, qos.STATE_IN)
        self.create_subscription(
            JointTrajectory, "correction/command", self._on_command, qos.RELIABLE
        )
        self.create_service(Trigger, "safety/enable", self._on_enable)
        self.create_service(Trigger, "safety/hold", self._on_hold)
        self._tell()

    def _now(self) -> int:
        return (self._state_ns or 0) if self._stamped else time.monotonic_ns()

    def _on_state(self, msg: JointState) -> None:
        try:
            state = state_from(msg, self._reorder_state)
        except JointMismatch as error:
            self._health.refuse(str(error))
            return
        self._health.heard()
        if not state.stamp_ns and self.config.state_clock == "ros":  # counts from its arrival
            state = replace(state, stamp_ns=int(self.get_clock().now().nanoseconds))
        last, self._state_ns = self._state_ns, state.stamp_ns
        if last is not None and not 0 <= state.stamp_ns - last <= EPISODE_GAP_NS:
            self._answered_ns = None
            if self.config.auto_enable:  # the world was reset: start from where the arm is now
                self.gate.deactivate()
        sound = self.gate.observe(state, now_ns=self._now())
        wanted = self.config.auto_enable and not self._held
        if sound and wanted and self.gate.mode is Mode.INACTIVE:
            self._enable()
        self._note_mode()
        if self._stamped and self._pending is not None:
            self._on_stamped(self._pending)

    def _on_command(self, msg: JointTrajectory) -> None:
        begin = time.perf_counter_ns()
        try:
            command = command_from(msg, self._reorder)
        except JointMismatch as error:
            self.gate.refuse(Reason.NAMES)
            self._health.refuse(str(error))
            return
        if self._stamped:
            self._on_stamped(command)
        elif self._pacer.accept(time.monotonic_ns()):
            self._step(command)
        else:
            self._pending = command  # too early; used if no other comes
        self._health.stepped(time.perf_counter_ns() - begin)

    def _on_stamped(self, command: Command) -> None:
        last = self._answered_ns
        if self._state_ns is None or command.stamp_ns > self._state_ns:
            self._pending = command  # its state is still under way on the other topic
        elif command.stamp_ns == last and self._answer is not None:
            self._out.publish(self._answer)  # asked again: the answer got lost
        elif last is not None and command.stamp_ns < last:
            self.gate.refuse(Reason.SKEW)  # an old one once more
        elif command.stamp_ns == last or self._pacer.accept(command.stamp_ns):
            self._step(command)
        else:
            self.gate.refuse(Reason.RATE)

    def _step(self, command: Command | None) -> None:
        self._pending = None
        if command is not None:
            self._answered_ns = command.stamp_ns
        verdict = self.gate.step(command, now_ns=self._now())
        self._note_mode()
        self._reason = verdict.reason
        self._held = self._held or bool(verdict.reason & Reason.INTERNAL)
        self._answer = None
        if verdict.send:
            self._answer = self._writer(verdict.stamp_ns, verdict.q)
            self._out.publish(self._answer)

    def wait(self) -> float:
        """Returns the time until the gate must step by itself [s]."""
        if self._stamped or self.gate.mode is not Mode.ACTIVE:
            return IDLE
        return max(0.0, min(IDLE, (self._pacer.deadline_ns - time.monotonic_ns()) * 1e-9))

    def tick(self) -> bool:
        """Steps without a new command when none came for two periods and a half."""
        now = time.monotonic_ns()
        if not self._stamped and self.gate.mode is Mode.ACTIVE and now >= self._pacer.deadline_ns:
            if self._pacer.accept(now, asked=False):
                self._step(self._pending)
            else:
                self._pacer.defer(now)
        self._tell()
        self._health.report()
        return True

    def _enable(self) -> Reason:
        reason = self.gate.activate(now_ns=self._now())
        if reason is Reason.NONE:
            self._held = False
            self._pacer.reset()
            if not self._stamped:
                self._pending = None  # asked before, perhaps long ago
            self.get_logger().info("active: set-point starts at the measured position")
        else:
            self._reason = reason | Reason.INACTIVE
            why = START_REFUSED.get(reason, describe(reason))
            self.get_logger().warning(f"not active: {why}", throttle_duration_sec=5.0)
        return reason

    def _note_mode(self) -> None:
        """Notes from which state on the mode holds: whoever listens may hear of it later."""
        if self.gate.mode is not self._mode:
            self._mode, self._since_ns = self.gate.mode, self._state_ns or 0

    def _on_enable(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self.gate.mode is Mode.SHADOW:
            response.message = "shadow mode never sends; launch with mode:=active"
            return response
        if self.gate.mode is Mode.ACTIVE:
            response.success, response.message = True, "already active"
            return response
        reason = self._enable()
        self._note_mode()
        response.success = reason is Reason.NONE
        response.message = START_REFUSED.get(reason, "active")
        return response

    def _on_hold(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.gate.deactivate()
        self._note_mode()
        self._held = True
        self._tell()
        response.success = True
        response.message = "nothing is sent any more; the driver holds its last set-point"
        return response

    def _status(self) -> Status:
        level = Level.OK if self.gate.mode is Mode.ACTIVE else Level.WARN
        message = f"{self.gate.mode.value}: {describe(self._reason)}"
        counts = {str(r.name).lower(): float(n) for r, n in self.gate.counts.items() if r}
        return Status(level, message, counts)

    def _tell(self) -> None:
        now = (self.gate.mode, self._since_ns, self._reason)
        if now == self._told:
            return
        self._told = now
        status = self._status()
        values = [
            KeyValue(key="mode", value=self.gate.mode.value),
            KeyValue(key="since_ns", value=str(self._since_ns)),
        ]
        self._status_out.publish(
            DiagnosticStatus(
                level=bytes([status.level]), name="safety", message=status.message, values=values
            )
        )


START_REFUSED = {
    Reason.STALE_STATE: "no joint_states within the last 50 ms; start the driver",
    Reason.START: "the arm moves, or a joint is outside its soft range; move it inside by hand",
}


def describe(reason: Reason) -> str:
    """Returns the reasons in words, `as commanded` when there is none."""
    if not reason:
        return "as commanded"
    return ", ".join(str(r.name).lower().replace("_", " ") for r in Reason if r and r in reason)


def main() -> None:
    """Entry point of the executable `safety`."""
    run(SafetyNode)


if __name__ == "__main__":
    main()
