"""A simulated arm that also takes commands as a ros2_control arm does; one source at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import Field
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from ros2_sim2real.config import Schema
from ros2_sim2real.errors import JointMismatch
from ros2_sim2real.nodes import qos
from ros2_sim2real.nodes.convert import Reorder
from ros2_sim2real.nodes.shell import monotonic
from ros2_sim2real.robot import JointMap
from ros2_sim2real.signals import Array

GATE = "safety/command"
SILENCE = 1.0  # [s] after which another source may take over

# Takes the source's topic and the set-point (nq,); neither message says which state it answers.
Accept = Callable[[str, Array], None]


class CommandInputParameters(Schema):
    """Parameters of every simulated backend: who may command it, and who keeps the time."""

    controller: str = Field(
        "",
        description="stand in for this ros2_control controller: std_msgs/Float64MultiArray on "
        "<controller>/commands; empty: off",
    )
    controller_joints: str = Field(
        "",
        description="joints of those arrays in their order, separated by commas; empty: the "
        "robot's",
    )
    joint_commands: str = Field(
        "", description="topic of sensor_msgs/JointState commands, matched by name; empty: off"
    )
    publish_clock: bool = Field(
        True, description="publish /clock: with several simulated arms, one does"
    )


class Ownership:
    """The first source that speaks owns the arm until it has been silent, or until a reset."""

    def __init__(self, *, silence: float = SILENCE) -> None:
        self._silence = silence
        self.reset()

    def reset(self) -> None:
        """Lets any source speak first again."""
        self._owner = ""
        self._heard = 0.0

    def refusal(self, source: str, *, now: float) -> str:
        """Returns why `source` is not taken at `now` [s], empty where it owns the arm."""
        if self._owner not in ("", source) and now - self._heard < self._silence:
            return (
                f"a command on `{source}` while `{self._owner}` commands this arm: refused. "
                f"Stop one of the two; it passes on after {self._silence:g} s of silence"
            )
        self._owner, self._heard = source, now
        return ""


class CommandInputs:
    """The subscriptions besides `safety/command`, and who owns the arm."""

    def __init__(
        self,
        node: Node,
        config: CommandInputParameters,
        joints: tuple[str, ...],
        *,
        accept: Accept,
        refuse: Callable[[str], None],
    ) -> None:
        """Subscribes what `config` switches on.

        Raises:
            JointMismatch: `controller_joints` lacks a joint of the robot, or names one twice.
        """
        self._accept, self._refuse = accept, refuse
        self._ownership = Ownership()
        self.reset = self._ownership.reset
        self._reorder = Reorder(joints)
        listed = [n.strip() for n in config.controller_joints.split(",") if n.strip()]
        self._names = listed or list(joints)
        self._map = JointMap(ours=joints, theirs=self._names)
        self._array_topic = f"{config.controller.rstrip('/')}/commands"
        self._state_topic = config.joint_commands
        if config.controller:
            node.create_subscription(
                Float64MultiArray, self._array_topic, self._on_array, qos.RELIABLE
            )
        if config.joint_commands:
            node.create_subscription(
                JointState, config.joint_commands, self._on_joint_state, qos.STATE_IN
            )

    def owns(self, source: str) -> bool:
        """Returns whether a command from `source` counts now; says so once a second if not."""
        why = self._ownership.refusal(source, now=monotonic())
        if why:
            self._refuse(why)
        return not why

    def _on_array(self, msg: Float64MultiArray) -> None:
        values = np.array(msg.data, dtype=np.float64)
        if len(values) != len(self._names):
            self._refuse(
                f"`{self._array_topic}` has {len(values)} values for the {len(self._names)} "
                f"joints {self._names}. Send one value per joint in this order, or set "
                "controller_joints"
            )
            return
        self._accept(self._array_topic, self._map(values))

    def _on_joint_state(self, msg: JointState) -> None:
        try:
            q = self._reorder(msg.name, msg.position)
        except JointMismatch as error:
            self._refuse(f"`{self._state_topic}`: {error}")
            return
        self._accept(self._state_topic, q)
