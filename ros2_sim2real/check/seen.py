"""What a look at a running graph found, without any ROS type: `nodes/probe.py` fills it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ros2_sim2real.signals import Array, Goal


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One publisher or subscriber, with the quality of service that it asks for."""

    topic: str  # as the bring-up calls it, relative to the namespace
    node: str
    publishes: bool
    reliable: bool
    latched: bool
    kind: str  # message type
    gid: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One message on joint_states."""

    arrival_ns: int  # monotonic
    ros_ns: int  # system time on arrival
    clock_ns: int  # newest /clock on arrival, -1: none yet
    stamp_ns: int
    names: tuple[str, ...]
    q: Array
    dq: Array


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """Parameters of one node of ours; None: it did not say."""

    use_sim_time: bool | None = None
    state_clock: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that a look found."""

    seconds: float
    states: tuple[Sample, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    nodes: Mapping[str, NodeFacts] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()  # as sent, quaternions with the norm that they came with
    answers_ns: tuple[int, ...] = ()  # from a state's arrival to that of its command

    def publishers(self, topic: str) -> list[Endpoint]:
        """Returns who publishes a topic."""
        return [e for e in self.endpoints if e.topic == topic and e.publishes]

    def subscribers(self, topic: str) -> list[Endpoint]:
        """Returns who listens to a topic."""
        return [e for e in self.endpoints if e.topic == topic and not e.publishes]

    @property
    def rate_hz(self) -> float:
        """Returns the states a second, 0 when fewer than two came."""
        if len(self.states) < 2:
            return 0.0
        span = self.states[-1].arrival_ns - self.states[0].arrival_ns
        return (len(self.states) - 1) * 1e9 / span if span > 0 else 0.0

    @property
    def intervals(self) -> Array:
        """Returns the times between states [s]."""
        return np.diff([s.arrival_ns for s in self.states]) * 1e-9
