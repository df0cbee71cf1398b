"""Messages to signals and back; joints are matched by name here, once per name list."""

from __future__ import annotations

import array
import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ros2_sim2real.errors import JointMismatch
from ros2_sim2real.robot import JointMap
from ros2_sim2real.signals import Array, Command, Goal, RobotState, Target

_SECOND = 1_000_000_000


def to_ns(stamp: Time) -> int:
    """Returns a stamp in nanoseconds; whatever comes in, `to_stamp` can write it."""
    return int(stamp.sec) * _SECOND + min(int(stamp.nanosec), _SECOND - 1)


def to_stamp(ns: int) -> Time:
    """Returns nanoseconds as a stamp."""
    sec, nanosec = divmod(ns, _SECOND)
    return Time(sec=sec, nanosec=nanosec)


class Reorder:
    """A JointMap per list of names that comes in; drivers send the same list every time."""

    def __init__(self, ours: Sequence[str]) -> None:
        self._ours = tuple(ours)
        self._names: list[str] | None = None
        self._map: JointMap | None = None

    def __call__(self, names: Sequence[str], values: Sequence[float]) -> Array:
        """Returns the values of our joints. Raises JointMismatch."""
        if self._map is None or names != self._names:
            self._names = list(names)
            self._map = None
            self._map = JointMap(ours=self._ours, theirs=self._names)
        if len(values) != len(self._names or ()):
            raise JointMismatch(
                f"{len(values)} values for {len(names)} joint names; send one value per name"
            )
        return self._map(np.frombuffer(values) if isinstance(values, array.array) else values)


def state_from(msg: JointState, reorder: Reorder) -> RobotState:
    """Returns the measured state, joints in our order. Raises JointMismatch.

    Speeds that the driver does not tell are NaN: they are unknown, which is not zero.
    """
    q = reorder(msg.name, msg.position)
    dq = reorder(msg.name, msg.velocity) if len(msg.velocity) else np.full_like(q, np.nan)
    return RobotState(to_ns(msg.header.stamp), q, dq)


def command_from(msg: JointTrajectory, reorder: Reorder) -> Command:
    """Returns the first point of a trajectory. Raises JointMismatch."""
    if not msg.points:
        raise JointMismatch("a trajectory without points; send one point")
    q = reorder(msg.joint_names, msg.points[0].positions)
    if len(msg.joint_names) != len(q):
        raise JointMismatch(
            f"{len(msg.joint_names)} joints commanded: {list(msg.joint_names)[:32]}, the arm has "
            f"{len(q)}; send exactly its joints"
        )
    return Command(to_ns(msg.header.stamp), q)


def target_from(msg: JointTrajectory, reorder: Reorder) -> Target:
    """Returns the first point of a trajectory as a target. Raises JointMismatch."""
    command = command_from(msg, reorder)
    return Target(command.stamp_ns, command.q)


def goal_from(msg: PoseStamped) -> Goal:
    """Returns the goal of a PoseStamped, quaternion normalised; an all-zero one means none."""
    p, o = msg.pose.position, msg.pose.orientation
    quaternion = np.array([o.w, o.x, o.y, o.z])
    norm = math.hypot(o.w, o.x, o.y, o.z)
    if norm > 0.0:
        quaternion = quaternion / norm
    return Goal(
        to_ns(msg.header.stamp), np.array([p.x, p.y, p.z]), quaternion, msg.header.frame_id
    )


class TrajectoryWriter:
    """One-point trajectories; the message is reused, only stamp and positions change."""

    def __init__(self, joints: Sequence[str], *, period: float = 0.0) -> None:
        self._point = JointTrajectoryPoint()
        sec, nanosec = divmod(round(period * _SECOND), _SECOND)
        self._point.time_from_start = Duration(sec=sec, nanosec=nanosec)
        self.msg = JointTrajectory(joint_names=list(joints), points=[self._point])

    def __call__(self, stamp_ns: int, q: Array) -> JointTrajectory:
        """Returns the message for set-point `q` that answers the state of `stamp_ns`."""
        self.msg.header.stamp = to_stamp(stamp_ns)
        self._point.positions = array.array("d", q.tobytes())
        return self.msg

    def plan(self, target: Target) -> JointTrajectory:
        """Returns a message with every row of the target's chunk, the first one due at once."""
        rows = target.q[None] if target.chunk is None else target.chunk
        points = []
        for i, row in enumerate(rows):
            sec, nanosec = divmod(round(i * target.period * _SECOND), _SECOND)
            point = JointTrajectoryPoint(time_from_start=Duration(sec=sec, nanosec=nanosec))
            point.positions = array.array("d", row.tobytes())
            points.append(point)
        header = Header(stamp=to_stamp(target.stamp_ns))
        return JointTrajectory(header=header, joint_names=self.msg.joint_names, points=points)
