"""The floor of the latency bench: hands a message on with nothing done to it. Drives no arm."""

from __future__ import annotations

from typing import Literal

from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ros2_sim2real.config import Schema
from ros2_sim2real.nodes import qos
from ros2_sim2real.nodes.parameters import declare
from ros2_sim2real.nodes.shell import StageNode, run


class RelayParameters(Schema):
    """Parameters of `relay`."""

    stage: Literal["pipeline", "safety"]


class RelayNode(StageNode):
    """Takes the place of `pipeline` or `safety`: same topics, same messages, no work."""

    def __init__(self) -> None:
        super().__init__("relay")
        if declare(self, RelayParameters).stage == "pipeline":
            self._out = self.create_publisher(JointTrajectory, "correction/command", qos.RELIABLE)
            self.create_subscription(JointState, "joint_states", self._on_state, qos.STATE_IN)
        else:
            self._out = self.create_publisher(JointTrajectory, "safety/command", qos.RELIABLE)
            self.create_subscription(
                JointTrajectory, "correction/command", self._out.publish, qos.RELIABLE
            )

    def _on_state(self, msg: JointState) -> None:
        point = JointTrajectoryPoint(positions=msg.position)
        self._out.publish(JointTrajectory(header=msg.header, joint_names=msg.name, points=[point]))


def main() -> None:
    """Entry point."""
    run(RelayNode)


if __name__ == "__main__":
    main()
