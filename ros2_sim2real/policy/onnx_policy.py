"""The trained policy: observation terms -> ONNX -> joint targets, at the contract's rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.policy.action import ActionDecoder
from ros2_sim2real.policy.artefact import Artefact
from ros2_sim2real.policy.cadence import Cadence
from ros2_sim2real.policy.chunks import ChunkPlan
from ros2_sim2real.policy.monitor import WORRYING, monitor_of
from ros2_sim2real.policy.network import Inference, Network, ObservationRow
from ros2_sim2real.policy.observation import ObservationBuilder
from ros2_sim2real.robot import JointMap, RobotSpec
from ros2_sim2real.signals import (
    Array,
    Goal,
    Level,
    RobotState,
    Status,
    Target,
    all_finite,
    frozen,
)

__all__ = ["Network", "OnnxPolicy"]

_Map = Callable[[Array], Array]
MIN_GAP_NS = 250_000_000  # states further apart than this do not belong to one motion


class OnnxPolicy:
    """Stage: `reset()`, `step(state, goal) -> Target | None`, `status()`.

    What belongs to an episode (memory of the graph, history, plan, previous action, integrated
    target, phase) is forgotten by `reset`, by a gap or a step back in the stamps, and, where the
    contract says so, by a new goal.
    """

    def __init__(
        self,
        artefact: Artefact,
        spec: RobotSpec,
        *,
        network: Callable[[Artefact, ObservationRow], Inference] = Network,
    ) -> None:
        """`network` answers in place of the file's graph, for comparisons.

        Raises:
            ContractError: the policy was not trained for this robot.
            PolicyFileError: the graph does not run.
        """
        contract = artefact.contract
        contract.check_robot(spec)
        self.contract = contract
        self._name = artefact.name
        self._to_policy, self._to_robot = _joint_maps(contract, spec)
        kinematics = Kinematics(spec, frame=contract.frame, tool=contract.tool)
        self._observation = ObservationBuilder(contract, kinematics)
        self._network = network(artefact, self._observation.out)
        # a flipped joint swaps the ends of its range
        ends = self._to_policy(spec.limits.lower), self._to_policy(spec.limits.upper)
        self._action = ActionDecoder(contract, lower=np.minimum(*ends), upper=np.maximum(*ends))
        self._plan = ChunkPlan(contract.chunk) if contract.chunk is not None else None
        self._monitor = monitor_of(contract)
        self._cadence = Cadence(contract.rate_hz)
        self._gap_ns = max(MIN_GAP_NS, round(2.5e9 / contract.rate_hz))
        self._decoded: Array | None = None  # raw action that became the last target
        self.reset()

    def reset(self) -> None:
        """Forgets the episode."""
        self._cadence.reset()
        self._network.reset()
        self._observation.reset()
        if self._plan is not None:
            self._plan.reset()
        self._started = False
        self._last: Target | None = None
        self._goal: Goal | None = None
        self._stamp_ns = 0
        self._status = Status(Level.WARN, "no state received yet", {})

    @property
    def observed(self) -> NDArray[np.float32]:
        """Returns what the network was shown last, (nobs,), a copy."""
        row: NDArray[np.float32] = self._observation.out[0].copy()
        return row

    @property
    def action(self) -> Array | None:
        """Returns the raw action (nu,) behind the last decision, blended where plans are."""
        return self._decoded

    def step(self, state: RobotState, goal: Goal | None) -> Target | None:
        """Returns the target in force, None when there is nothing sound to say.

        Inference happens only when a decision is due, and never on numbers that are not finite.
        """
        if not all_finite(state.q):
            return self._refuse(Level.ERROR, "the measured position is not finite")
        if self.contract.goal is not None and goal is None:
            return self._refuse(Level.WARN, "waiting for a goal")
        q = self._to_policy(state.q)
        if self._started and self._is_another_episode(state, goal):
            self.reset()
        if not self._started:
            self._action.reset(q)
            self._started = True
        self._stamp_ns, self._goal = state.stamp_ns, goal
        if not self._cadence.due(state.stamp_ns) and self._last is not None:
            return Target(state.stamp_ns, self._last.q, fresh=False)
        return self._decide(state, q, goal)

    def _decide(self, state: RobotState, q: Array, goal: Goal | None) -> Target | None:
        finite = self._observation.build(
            state,
            q,
            self._to_policy(state.dq),
            previous=self._action.previous,
            target=self._action.target,
            goal=goal,
        )
        if not finite:
            terms = self._observation.unsound()
            return self._refuse(Level.ERROR, f"the observation is not finite: {terms}")
        plan = None if self._plan is None else self._plan.step(self._network)
        raw = self._network() if plan is None else plan[0]
        if not all_finite(raw if plan is None else plan.ravel()):
            return self._refuse(Level.ERROR, "the network's output is not finite")
        self._decoded = raw
        target = frozen(self._to_robot(self._action.decode(raw, q)))
        self._status = _RUNNING
        if self._monitor is not None:
            self._monitor.observe(self._observation.frame)
        if plan is None:
            self._last = Target(state.stamp_ns, target)
        else:
            self._last = self._planned(state.stamp_ns, target, plan)
        return self._last

    def _planned(self, stamp_ns: int, target: Array, plan: Array) -> Target:
        ahead = self._action.ahead(plan[1:])
        if ahead is None:
            return Target(stamp_ns, target)
        rows = [target, *(self._to_robot(row) for row in ahead)]
        return Target(stamp_ns, target, chunk=frozen(rows), period=1.0 / self.contract.rate_hz)

    def _is_another_episode(self, state: RobotState, goal: Goal | None) -> bool:
        if not 0 <= state.stamp_ns - self._stamp_ns <= self._gap_ns:
            return True
        before = self._goal
        if not self.contract.reset_on_goal or goal is before or goal is None or before is None:
            return False
        return not (
            np.array_equal(goal.position, before.position)
            and np.array_equal(goal.quaternion, before.quaternion)
        )

    def status(self) -> Status:
        """Returns what the policy is doing, and how often it saw what training did not have."""
        monitor = self._monitor
        if monitor is None:
            return self._status
        status = Status(self._status.level, self._status.message, monitor.values())
        if status.level is Level.OK and monitor.share >= WORRYING:
            return Status(
                Level.WARN,
                f"running, but {monitor.share:.0%} of the last decisions saw `{monitor.worst}` or "
                "others outside their training range",
                status.values,
            )
        return status

    def _refuse(self, level: Level, why: str) -> Target | None:
        # a pause in the decisions ends the episode: what was integrated belongs to the past
        if self._started:
            self.reset()
        self._status = Status(level, f"{self._name}: {why}", {})
        return None


def _joint_maps(contract: PolicyContract, spec: RobotSpec) -> tuple[_Map, _Map]:
    """Returns what turns joint values (nq,) of the robot into the policy's (n,), and back."""
    to_policy = JointMap(ours=contract.joints, theirs=spec.joint_names)
    to_robot = JointMap(ours=spec.joint_names, theirs=contract.joints)
    signs = np.array(contract.signs or (), dtype=np.float64)
    if not (signs < 0.0).any():
        return to_policy, to_robot
    return (lambda theirs: to_policy(theirs) * signs), (lambda ours: to_robot(ours * signs))


_RUNNING = Status(Level.OK, "running", {})
