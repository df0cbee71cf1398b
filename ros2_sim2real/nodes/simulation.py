"""Gives a simulated arm a clock and topics: real time, free running, or in lockstep."""

from __future__ import annotations

import array
import time
from collections import deque
from typing import Literal

import numpy as np
from pydantic import Field
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from ros2_sim2real.backends.base import Backend
from ros2_sim2real.backends.record import Record, check_writable, write_run
from ros2_sim2real.errors import BackendFault, JointMismatch
from ros2_sim2real.nodes import qos
from ros2_sim2real.nodes.command_inputs import GATE, CommandInputParameters, CommandInputs
from ros2_sim2real.nodes.convert import Reorder, command_from, to_stamp
from ros2_sim2real.nodes.health import Health
from ros2_sim2real.nodes.shell import IDLE, StageNode
from ros2_sim2real.robot import RobotSpec
from ros2_sim2real.signals import Array, Command, Level, Status

RESET_GAP_NS = 1_000_000_000  # a reset shows as a jump forward: time never runs back
RETRY = 0.1  # [s] of silence after which a state is sent again
UNSOUND_COPIES, UNSOUND_RETRY = 3, 0.01  # [s] of a NaN state: nobody may ever answer it
GIVE_UP = 30.0  # [s] of silence after which a run that waits for commands ends
CLOCK_HZ = 100.0


class SimulationParameters(CommandInputParameters):
    """Parameters of every simulated backend."""

    robot: str = Field(description="robot file: a path, or a name within config/robots")
    policy: str = Field("hold", description="policy whose servo gains and start pose the arm gets")
    rate_hz: float = Field(gt=0.0, le=1000.0, description="states a second")
    time: Literal["real", "free", "lockstep"] = Field(
        "real",
        description="real: wall clock; free: as fast as commands come; lockstep: waits for each",
    )
    seed: int = Field(0, ge=0, description="start of everything random")
    paused: bool = Field(False, description="start paused")
    record: str = Field("", description="npz file for every state and command, written at the end")
    stop_after: float = Field(
        0.0, ge=0.0, description="end after this much simulated time [s], 0: never"
    )


class SimulationNode(StageNode):
    """Publishes states, applies the commands that answer them, owns simulated time."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.config, spec, self.backend = self.build()
        self._joints = list(spec.joint_names)
        self._reorder = Reorder(spec.joint_names)
        self._period_ns = 1e9 / self.config.rate_hz
        self._tick = 0
        self._offset_ns = 0
        self._started = self._answered = False
        self._waiting = False  # for the answer to the last state
        self._go_on = False  # nobody will answer the last state
        self._unsound, self._retry = 0, RETRY  # copies left of a state that is not finite; [s]
        self._paused = self.config.paused
        self._due = time.monotonic()
        self._sent: deque[tuple[int, int]] = deque(maxlen=64)
        self._fault = ""
        if self.config.record:
            check_writable(self.config.record)
        self._record = (
            Record(spec.joint_names, self.config.rate_hz) if self.config.record else None
        )
        self._state_msg = JointState(name=self._joints)
        self._state_out = self.create_publisher(JointState, "joint_states", qos.RELIABLE)
        if self.config.publish_clock:
            self._clock_out = self.create_publisher(Clock, "/clock", qos.CLOCK)
        self._clock_every = max(1, round(self.config.rate_hz / CLOCK_HZ))
        self.create_subscription(JointTrajectory, GATE, self._on_command, qos.RELIABLE)
        self.create_service(Trigger, f"{name}/reset", self._on_reset)
        self.create_service(Trigger, f"{name}/step", self._on_step)
        self.create_service(SetBool, f"{name}/set_pause", self._on_pause)
        self._health = Health(self, name, self._status, expects=GATE)
        self._inputs = CommandInputs(
            self, self.config, spec.joint_names, accept=self._answer, refuse=self._health.refuse
        )

    def build(self) -> tuple[SimulationParameters, RobotSpec, Backend]:
        """Declares the parameters and makes the arm."""
        raise NotImplementedError

    def published(self, stamp_ns: int) -> None:
        """Runs after every state: what else a backend shows."""

    @property
    def now_ns(self) -> int:
        """Returns simulated time, strictly increasing over resets."""
        return self._offset_ns + round(self._tick * self._period_ns)

    def _on_command(self, msg: JointTrajectory) -> None:
        try:
            command = command_from(msg, self._reorder)
        except JointMismatch as error:
            self._health.refuse(str(error))
            return
        self._accept(GATE, command)

    def _answer(self, source: str, q: Array) -> None:
        self._accept(source, Command(self.now_ns, q))

    def _accept(self, source: str, command: Command) -> None:
        received = time.perf_counter_ns()
        if not np.isfinite(command.q).all():
            self._health.refuse("a command that is not finite: no gate stands before this node")
            return
        if not self._inputs.owns(source):
            return
        self._health.heard()
        answers = self._waiting and command.stamp_ns == self.now_ns
        if self.config.time == "lockstep" and not answers:
            return  # said before: a state went out twice
        self.backend.command(command.q)  # what the world then does to it is no matter of time
        self._measure(command, received)
        if self.config.time != "real" and answers:
            self._waiting, self._answered = False, True
            self._advance()

    def _measure(self, command: Command, received_ns: int) -> None:
        latency = next((received_ns - t for s, t in self._sent if s == command.stamp_ns), None)
        if latency is not None:
            self._health.stepped(latency)
        if self._record is not None:
            self._record.command(command, latency)

    def _advance(self) -> None:
        if not (self._paused or self._fault) and self._pass_period():
            self._publish()

    def _pass_period(self) -> bool:
        try:
            self.backend.advance()
        except BackendFault as error:  # its state is not shown to anybody: it means nothing
            self._fault = str(error)
            self.get_logger().error(self._fault)
            return False
        self._tick += 1
        return True

    def _publish(self) -> None:
        stamp_ns = self.now_ns
        copies = self.backend.copies
        self._waiting, self._go_on = copies > 0, copies == 0
        self._unsound, self._retry = 0, RETRY
        if copies:
            self._send(stamp_ns, copies)
        if self.config.time != "real":
            self._due = time.monotonic() + (self._retry if copies else 0.0)
        if self.config.publish_clock and self._tick % self._clock_every == 0:
            self._clock_out.publish(Clock(clock=to_stamp(stamp_ns)))
        self.published(stamp_ns)

    def _send(self, stamp_ns: int, copies: int) -> None:
        state = self.backend.state(stamp_ns)
        if self._record is not None:
            self._record.state(state, truth=self.backend.truth(stamp_ns), wall=time.monotonic())
        msg = self._state_msg
        msg.header.stamp = to_stamp(stamp_ns)
        msg.position = array.array("d", state.q.tobytes())
        msg.velocity = array.array("d", state.dq.tobytes())
        self._sent.append((stamp_ns, time.perf_counter_ns()))
        for _ in range(copies):
            self._state_out.publish(msg)
        if not np.isfinite(state.q).all():
            self._unsound, self._retry = UNSOUND_COPIES - 1, UNSOUND_RETRY

    def wait(self) -> float:
        """Returns the time until the next state is due [s]."""
        return max(0.0, min(IDLE, self._due - time.monotonic()))

    def tick(self) -> bool:
        """Publishes the state that is due; returns False after `stop_after`.

        Raises:
            BackendFault: the run can no longer come to its end.
        """
        now = time.monotonic()
        if now >= self._due:
            self._on_due(now)
        self._health.report()
        limit = self.config.stop_after
        if limit and self._fault:
            raise BackendFault(self._fault)
        waits = self.config.time != "real" and not self._paused
        if limit and waits and self._health.silence > GIVE_UP:
            raise BackendFault(
                f"no command for {GIVE_UP:.0f} s, the arm waits at {self.now_ns * 1e-9:.3f} s. "
                "Look at what the other nodes say"
            )
        return not (limit and self.now_ns >= limit * 1e9)

    def _on_due(self, now: float) -> None:
        clock = self.config.time
        if clock == "real":
            period = self._period_ns * 1e-9
            # after a stall the schedule restarts; a burst of old states would help nobody
            self._due = self._due + period if now - self._due < 5 * period else now + period
        else:
            self._due = now + self._retry
        if self._paused:
            return
        if not self._started:
            self._started = True
            self._publish()
        elif self._unsound and clock != "real":
            self._unsound -= 1
            self._go_on = not self._unsound
            self._state_out.publish(self._state_msg)
        elif self._go_on or clock == "real" or (clock == "free" and self._answered):
            self._advance()  # nobody answered in time, the last set-point holds
        elif self._waiting:
            self._state_out.publish(self._state_msg)  # the state or its answer got lost

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.backend.reset(self.config.seed)
        self._inputs.reset()
        self._fault = ""
        self._offset_ns += RESET_GAP_NS
        self._publish()
        response.success, response.message = True, "at the start pose; time went on by 1 s"
        return response

    def _on_step(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if not self._paused or self._fault:
            response.message = self._fault or "pause first (set_pause)"
            return response
        response.success = self._pass_period()
        if response.success:
            self._publish()
        response.message = self._fault or f"one period, now at {self.now_ns * 1e-9:.3f} s"
        return response

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        was, self._paused = self._paused, bool(request.data)
        if was and not self._paused:
            self._due = time.monotonic()
            if self._started and not self._waiting:
                self._go_on = True  # the answer came during the pause
        response.success, response.message = True, "paused" if self._paused else "running"
        return response

    def _status(self) -> Status:
        if self._fault:
            return Status(Level.ERROR, self._fault, {})
        word = "paused" if self._paused else self.config.time
        return Status(Level.OK, word, {"time_s": self.now_ns * 1e-9})

    def stop(self) -> None:
        """Writes the record."""
        if self._record is not None:
            write_run(self._record.run(), self.config.record)
