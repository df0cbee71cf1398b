"""Goals for the policy: those of the parameter first, then whatever comes on `goal`."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.nodes.convert import goal_from
from ros2_sim2real.policy.goals import GoalSchedule, centre_orientation, parse_goals
from ros2_sim2real.robot import RobotSpec
from ros2_sim2real.signals import Goal, frozen


class GoalInputPort:
    """Holds the goal in force. A goal that is not usable is refused and the old one stays."""

    def __init__(
        self,
        node: Node,
        contract: PolicyContract | None,
        spec: RobotSpec,
        goals: str,
        period: float,
    ) -> None:
        """Raises ConfigError when `goals` is not a list of goals."""
        self._node = node
        self._input = contract.goal if contract is not None else None
        # Only goals in the policy's own frame are taken; converting needs tf, and guessing harms.
        identity = contract is None or (
            contract.frame.position == (0.0, 0.0, 0.0)
            and contract.frame.quaternion == (1.0, 0.0, 0.0, 0.0)
        )
        self._frames = {"", "policy", *({spec.base_frame} if identity else ())}
        self._schedule = GoalSchedule(parse_goals(goals, self._input), period=period)
        self._goal: Goal | None = None

    def current(self, stamp_ns: int) -> Goal | None:
        """Returns the goal in force at the state of `stamp_ns`."""
        return self._goal if self._goal is not None else self._schedule.current(stamp_ns)

    def on_message(self, msg: PoseStamped) -> None:
        """Takes a goal, or refuses it with one line."""
        goal = goal_from(msg)
        problem = self._problem(goal)
        if problem:
            self._node.get_logger().warning(f"goal refused: {problem}", throttle_duration_sec=1.0)
            return
        quaternion = goal.quaternion
        if not quaternion.any() and self._input is not None:
            quaternion = frozen(centre_orientation(self._input))
        self._goal = Goal(goal.stamp_ns, goal.position, quaternion, goal.frame)

    def _problem(self, goal: Goal) -> str:
        if self._input is None:
            return "the policy takes no goal"
        if not (np.isfinite(goal.position).all() and np.isfinite(goal.quaternion).all()):
            return (
                f"got {goal.position.tolist()} {goal.quaternion.tolist()}, expected finite numbers"
            )
        if goal.frame not in self._frames:
            return f"frame `{goal.frame}`, expected one of {sorted(self._frames)}"
        if self._input.kind == "pose" and not goal.quaternion.any():
            return "orientation 0 0 0 0, expected a unit quaternion"
        return ""
