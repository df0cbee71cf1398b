"""Policy and correction in one callback: `joint_states` in, `correction/command` out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from pydantic import Field
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from ros2_sim2real.config import Schema
from ros2_sim2real.correction.base import PassThrough
from ros2_sim2real.errors import JointMismatch
from ros2_sim2real.nodes import qos
from ros2_sim2real.nodes.convert import Reorder, TrajectoryWriter, state_from
from ros2_sim2real.nodes.goal_input import GoalInputPort
from ros2_sim2real.nodes.health import Health
from ros2_sim2real.nodes.parameters import declare
from ros2_sim2real.nodes.shell import StageNode, run
from ros2_sim2real.pipeline import MAX_STATE_AGE_NS, Chain, decide, is_fresh
from ros2_sim2real.policy.load import load_policy
from ros2_sim2real.robot import load_robot
from ros2_sim2real.signals import RobotState

EPISODE_GAP_NS = 250_000_000  # states further apart than this do not belong to one motion


class PipelineParameters(Schema):
    """Parameters of `pipeline` and `policy`."""

    robot: str = Field(description="robot file: a path, or a name within config/robots")
    policy: str = Field(description="policy file or name, or hold, sine, replay:FILE.npz")
    goals: str = Field("", description="goals at start: x,y,z;… [m], a JSON file, or tour")
    goal_period: float = Field(5.0, gt=0.0, description="time that each of `goals` holds [s]")
    state_clock: Literal["stamp", "ros"] = Field(
        "ros",
        description="clock of the states' stamps; stamp: they are the time (simulation); "
        "ros: ROS time, and a state without a stamp counts from its arrival",
    )
    correction: Literal["none"] = Field("none", description="what stands between policy and gate")


class PolicyStage(StageNode):
    """Answers every new state, in the callback that brings it; repeats an answer that got lost."""

    def __init__(self, name: str, *, topic: str) -> None:
        super().__init__(name)
        self.config = declare(self, PipelineParameters)
        spec = load_robot(self.config.robot)
        policy, contract = load_policy(self.config.policy, spec)
        self.chain = Chain(policy, PassThrough())
        self.joints = spec.joint_names
        self._goal = GoalInputPort(
            self, contract, spec, self.config.goals, self.config.goal_period
        )
        self._reorder = Reorder(spec.joint_names)
        self._writer = TrajectoryWriter(spec.joint_names)
        self._last_ns: int | None = None
        self._start_ns: int | None = None  # stamp with which the episode began
        self._answer: JointTrajectory | None = None
        self._out = self.create_publisher(JointTrajectory, topic, qos.RELIABLE)
        contract_out = self.create_publisher(String, "policy/contract", qos.LATCHED)
        if contract is not None:
            contract_out.publish(String(data=contract.to_json()))
        self.create_subscription(PoseStamped, "goal", self._goal.on_message, qos.RELIABLE)
        self.create_subscription(JointState, "joint_states", self._on_state, qos.STATE_IN)
        self._mode = ""
        self.create_subscription(DiagnosticStatus, "safety/status", self._on_gate, qos.LATCHED)
        self._health = Health(self, name, policy.status, expects="joint_states")

    def answered(self) -> None:
        """Runs after the answer has left: what others look at."""

    def _on_state(self, msg: JointState) -> None:
        begin = time.perf_counter_ns()
        try:
            state = state_from(msg, self._reorder)
        except JointMismatch as error:
            self._health.refuse(str(error))
            return
        self._health.heard()
        now_ns = self._now(state)
        if not state.stamp_ns:
            state = replace(state, stamp_ns=now_ns)
        if state.stamp_ns == self._last_ns:
            if self._answer is not None:  # asked again: the answer got lost
                self._out.publish(self._answer)
            return
        self._restart_after_gap(state)
        goal = self._goal.current(state.stamp_ns)
        command = decide(self.chain, state, goal, now_ns=now_ns)
        if not is_fresh(state, now_ns=now_ns):
            self._health.refuse(_off(now_ns - state.stamp_ns))
        self._answer = None
        if command is not None:
            self._answer = self._writer(command.stamp_ns, command.q)
            self._out.publish(self._answer)
        self._health.stepped(time.perf_counter_ns() - begin)
        self.answered()

    def _restart_after_gap(self, state: RobotState) -> None:
        last, self._last_ns = self._last_ns, state.stamp_ns
        if last is not None and not 0 < state.stamp_ns - last <= EPISODE_GAP_NS:
            self.chain.reset()
            self._start_ns = None
        if self._start_ns is None:
            self._start_ns = state.stamp_ns

    def _on_gate(self, msg: DiagnosticStatus) -> None:
        """Starts an episode when the gate takes the arm over or lets it go: activation, hold."""
        values = {v.key: v.value for v in msg.values}
        mode, since = values.get("mode", ""), values.get("since_ns", "")
        if mode == self._mode:
            return
        self._mode = mode
        # By stamp, so that in lockstep nothing hangs on when this message arrives. States that
        # the driver did not stamp say nothing: then at once.
        stamped = since.isdigit() and (int(since) > 0 or self.config.state_clock == "stamp")
        if self._start_ns is None or (stamped and int(since) <= self._start_ns):
            return
        self.chain.reset()
        self._start_ns = None

    def _now(self, state: RobotState) -> int:
        if self.config.state_clock == "stamp":
            return state.stamp_ns
        return int(self.get_clock().now().nanoseconds)

    def tick(self) -> bool:
        """Reports once a second."""
        self._health.report()
        return True


def _off(age_ns: int) -> str:
    return (
        f"joint_states are stamped {abs(age_ns) * 1e-9:.3f} s {'ago' if age_ns > 0 else 'ahead'}, "
        f"at most {MAX_STATE_AGE_NS * 1e-9:g} s is acted upon: the driver's clock and ROS time "
        "differ. "
        "Synchronise the clocks, or set use_sim_time when a simulator stamps them"
    )


class PipelineNode(PolicyStage):
    """Policy and correction as objects in one callback."""

    def __init__(self) -> None:
        super().__init__("pipeline", topic="correction/command")
        self._target = TrajectoryWriter(self.joints)
        self._target_out = self.create_publisher(JointTrajectory, "policy/target", qos.RELIABLE)

    def answered(self) -> None:
        """Publishes the policy's target after the command that the arm waits for."""
        target = self.chain.target
        if target is None or not target.fresh:
            return
        if target.chunk is None:
            self._target_out.publish(self._target(target.stamp_ns, target.q))
        else:
            self._target_out.publish(self._target.plan(target))


def main() -> None:
    """Entry point of the executable `pipeline`."""
    run(PipelineNode)


if __name__ == "__main__":
    main()
