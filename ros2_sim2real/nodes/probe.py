"""Looks at a running graph for a moment: peers, clocks, joint states. It publishes nothing."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from ros2_sim2real.check.seen import Endpoint, NodeFacts, Sample, Seen
from ros2_sim2real.nodes.convert import to_ns
from ros2_sim2real.nodes.shell import monotonic
from ros2_sim2real.signals import Goal

NAME = "sim2real_check"
TOPICS = (
    "joint_states",
    "goal",
    "policy/target",
    "policy/contract",
    "correction/command",
    "safety/command",
    "safety/status",
)
OURS = ("pipeline", "policy", "correction", "safety")  # nodes whose clocks matter
DISCOVERY = 3.0  # [s] at most until the first state comes
ANSWER = 3.0  # [s] for parameters
KEPT = 20_000  # messages
# Best effort, so that whatever is offered is heard; deep, so that nothing is lost here.
_ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)


class Probe(Node):
    """Subscribes, and keeps what comes."""

    def __init__(self, namespace: str, context: Context) -> None:
        super().__init__(NAME, namespace=namespace, context=context, enable_rosout=False)
        self.states: list[Sample] = []
        self.goals: list[Goal] = []
        self.answers_ns: list[int] = []
        self._clock_ns = -1
        self._arrived: OrderedDict[int, int] = OrderedDict()
        self.create_subscription(JointState, "joint_states", self._on_state, _ALL)
        self.create_subscription(JointTrajectory, "correction/command", self._on_command, _ALL)
        self.create_subscription(PoseStamped, "goal", self._on_goal, _ALL)
        self.create_subscription(Clock, "/clock", self._on_clock, _ALL)

    def _on_state(self, msg: JointState) -> None:
        now = time.monotonic_ns()
        if len(self.states) >= KEPT:
            return
        stamp = to_ns(msg.header.stamp)
        self._arrived[stamp] = now
        while len(self._arrived) > 100:
            self._arrived.popitem(last=False)
        self.states.append(
            Sample(
                arrival_ns=now,
                ros_ns=int(self.get_clock().now().nanoseconds),
                clock_ns=self._clock_ns,
                stamp_ns=stamp,
                names=tuple(msg.name),
                q=np.array(msg.position, dtype=np.float64),
                dq=np.array(msg.velocity, dtype=np.float64),
            )
        )

    def _on_command(self, msg: JointTrajectory) -> None:
        then = self._arrived.get(to_ns(msg.header.stamp))
        if then is not None and len(self.answers_ns) < KEPT:
            self.answers_ns.append(time.monotonic_ns() - then)

    def _on_goal(self, msg: PoseStamped) -> None:
        p, o = msg.pose.position, msg.pose.orientation
        if len(self.goals) < 100:
            quaternion = np.array([o.w, o.x, o.y, o.z])
            goal = Goal(0, np.array([p.x, p.y, p.z]), quaternion, msg.header.frame_id)
            self.goals.append(goal)

    def _on_clock(self, msg: Clock) -> None:
        self._clock_ns = to_ns(msg.clock)

    def endpoints(self) -> list[Endpoint]:
        """Returns the publishers and subscribers of the bring-up's topics, this node apart."""
        found = []
        for topic in (*TOPICS, "/clock"):
            name = self.resolve_topic_name(topic)
            for publishes, infos in (
                (True, self.get_publishers_info_by_topic(name)),
                (False, self.get_subscriptions_info_by_topic(name)),
            ):
                found += [
                    Endpoint(
                        topic=topic,
                        node=f"{info.node_namespace.rstrip('/')}/{info.node_name}",
                        publishes=publishes,
                        reliable=info.qos_profile.reliability is ReliabilityPolicy.RELIABLE,
                        latched=info.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL,
                        kind=info.topic_type,
                        gid=bytes(info.endpoint_gid[:16]).hex(),
                    )
                    for info in infos
                    if info.node_name != NAME
                ]
        return found


def look(namespace: str, *, seconds: float) -> Seen:
    """Returns what the graph in `namespace` shows within `seconds` of its first state."""
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Probe(namespace.strip("/"), context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        end = monotonic() + DISCOVERY
        while not node.states and monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        _spin(executor, seconds)
        endpoints = node.endpoints()
        facts = _facts(node, executor, {e.node for e in endpoints})
        return Seen(
            seconds=seconds,
            states=tuple(node.states),
            endpoints=tuple(endpoints),
            nodes=facts,
            goals=tuple(node.goals),
            answers_ns=tuple(node.answers_ns),
        )
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def _spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    end = monotonic() + seconds
    while (left := end - monotonic()) > 0.0:
        executor.spin_once(timeout_sec=min(left, 0.05))


def _facts(node: Probe, executor: SingleThreadedExecutor, peers: set[str]) -> dict[str, NodeFacts]:
    """Returns the clocks of the nodes of ours; a node that does not answer is left out."""
    asked: dict[tuple[str, str], Any] = {}
    for name in sorted(p for p in peers if p.rsplit("/", 1)[-1] in OURS):
        client: Any = node.create_client(GetParameters, f"{name}/get_parameters")
        for parameter in ("use_sim_time", "state_clock"):
            request = GetParameters.Request(names=[parameter])
            asked[name, parameter] = client.call_async(request)
    end = monotonic() + ANSWER
    while not all(f.done() for f in asked.values()) and monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    found = {}
    for name in {name for name, _ in asked}:
        flag, clock = (
            [v for v in f.result().values if v.type] if f.done() else []
            for f in (asked[name, "use_sim_time"], asked[name, "state_clock"])
        )
        found[name] = NodeFacts(
            use_sim_time=flag[0].bool_value if flag else None,
            state_clock=clock[0].string_value if clock else None,
        )
    return found
