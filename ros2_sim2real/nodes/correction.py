"""The correction as a node of its own: `policy/target` in, `correction/command` out."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import Field
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from ros2_sim2real.config import Schema
from ros2_sim2real.correction.base import PassThrough
from ros2_sim2real.errors import JointMismatch
from ros2_sim2real.nodes import qos
from ros2_sim2real.nodes.convert import Reorder, TrajectoryWriter, state_from, target_from
from ros2_sim2real.nodes.health import Health
from ros2_sim2real.nodes.parameters import declare
from ros2_sim2real.nodes.shell import StageNode, run
from ros2_sim2real.robot import load_robot
from ros2_sim2real.signals import RobotState, Target


class CorrectionParameters(Schema):
    """Parameters of `correction`."""

    robot: str = Field(description="robot file: a path, or a name within config/robots")
    correction: Literal["none"] = Field("none", description="what stands between policy and gate")


class CorrectionNode(StageNode):
    """Answers every target with one command, once the state that the target answers is here."""

    def __init__(self) -> None:
        super().__init__("correction")
        self.config = declare(self, CorrectionParameters)
        spec = load_robot(self.config.robot)
        self._correction = PassThrough()
        self._reorder_state, self._reorder = Reorder(spec.joint_names), Reorder(spec.joint_names)
        self._writer = TrajectoryWriter(spec.joint_names)
        self._state: RobotState | None = None
        self._target: Target | None = None
        self._out = self.create_publisher(JointTrajectory, "correction/command", qos.RELIABLE)
        self.create_subscription(JointState, "joint_states", self._on_state, qos.STATE_IN)
        self.create_subscription(JointTrajectory, "policy/target", self._on_target, qos.RELIABLE)
        self._health = Health(self, "correction", self._correction.status, expects="policy/target")

    def _on_state(self, msg: JointState) -> None:
        try:
            self._state = state_from(msg, self._reorder_state)
        except JointMismatch as error:
            self._health.refuse(str(error))
            return
        self._answer()

    def _on_target(self, msg: JointTrajectory) -> None:
        try:
            self._target = target_from(msg, self._reorder)
        except JointMismatch as error:
            self._health.refuse(str(error))
            return
        self._health.heard()
        self._answer()

    def _answer(self) -> None:
        state, target = self._state, self._target
        if state is None or target is None or target.stamp_ns > state.stamp_ns:
            return  # the two topics may overtake each other
        begin = time.perf_counter_ns()
        self._target = None
        command = self._correction.step(state, target)
        self._out.publish(self._writer(command.stamp_ns, command.q))
        self._health.stepped(time.perf_counter_ns() - begin)

    def tick(self) -> bool:
        """Reports once a second."""
        self._health.report()
        return True


def main() -> None:
    """Entry point of the executable `correction`."""
    run(CorrectionNode)


if __name__ == "__main__":
    main()
