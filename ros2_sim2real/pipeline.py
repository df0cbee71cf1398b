"""The online chain: state -> target -> command -> verdict, one function one can read aloud."""

from __future__ import annotations

from dataclasses import dataclass

from ros2_sim2real.correction.base import Correction
from ros2_sim2real.policy.base import Policy
from ros2_sim2real.safety.gate import Gate
from ros2_sim2real.signals import Command, Goal, RobotState, Target, Verdict

MAX_STATE_AGE_NS = 50_000_000


@dataclass(slots=True)
class Chain:
    """The stages before the gate, and the last value of each for whoever looks."""

    policy: Policy
    correction: Correction
    target: Target | None = None
    command: Command | None = None

    def reset(self) -> None:
        """Forgets the episode in every stage."""
        self.policy.reset()
        self.correction.reset()
        self.target = self.command = None


def is_fresh(state: RobotState, *, now_ns: int) -> bool:
    """Returns whether `state` is recent; one from the future is as doubtful as an old one."""
    return abs(now_ns - state.stamp_ns) <= MAX_STATE_AGE_NS


def decide(chain: Chain, state: RobotState, goal: Goal | None, *, now_ns: int) -> Command | None:
    """Returns the command that answers `state`, None when there is nothing sound to say.

    Args:
        chain: stages; `target` and `command` are kept in it.
        state: as measured, joints in the robot's order.
        goal: in the policy's frame.
        now_ns: clock of the states' stamps. A state that is not fresh is not acted upon.
    """
    chain.target = chain.command = None
    if not is_fresh(state, now_ns=now_ns):
        return None
    chain.target = chain.policy.step(state, goal)
    if chain.target is not None:
        chain.command = chain.correction.step(state, chain.target)
    return chain.command


def step(
    chain: Chain, gate: Gate, state: RobotState, goal: Goal | None, *, now_ns: int
) -> Verdict:
    """Returns what may be sent for `state`: the whole chain in one process."""
    command = decide(chain, state, goal, now_ns=now_ns)
    gate.observe(state, now_ns=now_ns)
    verdict = gate.step(command, now_ns=now_ns)
    chain.correction.observe(state, verdict)  # learns from what was sent, not from what was asked
    return verdict
