"""Rehearsals: a policy on made-up motions, decision by decision, outside any graph.

`record_golden` keeps one in the policy's file; whoever exports or converts a policy calls it:

    golden = record_golden(artefact, spec, act=the_trained_network)
    path.write_bytes(with_golden(artefact.file.content, golden))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import ContractError
from ros2_sim2real.policy.artefact import Artefact
from ros2_sim2real.policy.golden_file import MAX_BYTES, Golden, Rows, golden_of, with_golden
from ros2_sim2real.policy.network import Inference, Network, ObservationRow
from ros2_sim2real.policy.onnx_policy import OnnxPolicy
from ros2_sim2real.robot import JointMap, RobotSpec
from ros2_sim2real.rotations import from_euler
from ros2_sim2real.signals import Array, Goal, RobotState, frozen

__all__ = ["Decision", "Golden", "golden_of", "play", "record_golden", "with_golden"]

EPISODE = 16  # decisions
GOAL_EVERY = 8  # decisions
_GAP_NS = 3_600_000_000_000  # longer than any gap that a policy bears within an episode

# (observation (1, nobs), whether the memory is zeros) -> raw output, (nu,) or (length, nu)
Act = Callable[[ObservationRow, bool], NDArray[np.floating]]
NetworkFactory = Callable[[Artefact, ObservationRow], Inference]


@dataclass(frozen=True, slots=True)
class Script:
    """What happens to a policy, a decision a row; contract's joints, robot's signs."""

    start: NDArray[np.bool_]  # (n,) an episode starts
    q: Array  # (n, joints) [rad]
    dq: Array  # (n, joints) [rad/s]
    goal: Array  # (n, 7) x y z [m], w x y z, policy's frame; (0, 7): takes none


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy made of one row of a script."""

    observation: NDArray[np.float32]  # (nobs,)
    asked: bool
    zeroed: bool
    output: Array  # flat; zeros where the network was not asked
    action: Array  # (nu,)
    target: Array  # (joints,) [rad], contract's order, robot's signs


class Watched:
    """Hands on what a network answers, and remembers the last answer."""

    def __init__(self, inner: Inference) -> None:
        self._inner = inner
        self._answer: Array | None = None
        self.zeroed = self._zeroed = True

    def reset(self) -> None:
        """Starts an episode."""
        self._inner.reset()
        self._zeroed = True

    def __call__(self) -> Array:
        """Returns the raw output."""
        answer = self._answer = self._inner()
        self.zeroed, self._zeroed = self._zeroed, False
        return answer

    def take(self) -> Array | None:
        """Returns the answer since the last call, None when nobody asked."""
        answer, self._answer = self._answer, None
        return answer


class Trained:
    """Asks the network as it was trained, in place of the graph."""

    def __init__(self, act: Act, row: ObservationRow) -> None:
        self._act, self._row, self._zeroed = act, row, True

    def reset(self) -> None:
        """Starts an episode."""
        self._zeroed = True

    def __call__(self) -> Array:
        """Returns the raw output."""
        answer = np.array(self._act(self._row.copy(), self._zeroed), dtype=np.float64)
        self._zeroed = False
        return answer


def play(
    artefact: Artefact, spec: RobotSpec, script: Script, *, network: NetworkFactory = Network
) -> Iterator[Decision]:
    """Yields what the deployed policy makes of a script, decision by decision.

    Raises:
        ContractError: the policy was not trained for this robot, or has nothing to say to a row.
    """
    contract = artefact.contract
    watched: list[Watched] = []

    def watch(file: Artefact, row: ObservationRow) -> Watched:
        watched.append(Watched(network(file, row)))
        return watched[0]

    policy = OnnxPolicy(artefact, spec, network=watch)
    to_robot = JointMap(ours=spec.joint_names, theirs=contract.joints)
    to_contract = JointMap(ours=contract.joints, theirs=spec.joint_names)
    episode = -1
    for i, start in enumerate(script.start):
        if start:
            episode += 1
            if episode % 2:
                policy.reset()
        stamp_ns = episode * _GAP_NS + round(i * 1e9 / contract.rate_hz)
        goal = Goal(0, script.goal[i, :3], script.goal[i, 3:]) if len(script.goal) else None
        state = RobotState(stamp_ns, frozen(to_robot(script.q[i])), frozen(to_robot(script.dq[i])))
        target = policy.step(state, goal)
        if target is None or policy.action is None:
            raise ContractError(
                f"decision {i}: {policy.status().message}. Export the policy again"
            )
        answer = watched[0].take()
        yield Decision(
            observation=policy.observed,
            asked=answer is not None,
            zeroed=answer is not None and watched[0].zeroed,
            output=np.zeros(contract.output_shape).ravel() if answer is None else answer.ravel(),
            action=policy.action,
            target=to_contract(target.q),
        )


def record_golden(
    artefact: Artefact, spec: RobotSpec, *, n: int = 64, seed: int = 0, act: Act | None = None
) -> Golden:
    """Returns `n` decisions of the policy on made-up motions and goals of its training range.

    Args:
        artefact: graph and contract; golden vectors in it are not looked at.
        spec: robot of the policy.
        n: decisions; fewer where they would not fit into a policy file.
        seed: of motions and goals; the same seed gives the same vectors.
        act: the network as trained, asked in place of the graph: then the vectors say what the
            trainer's network answers, and a conversion that changed it is found.

    Raises:
        ContractError: the policy was not trained for this robot, or has nothing to say.
    """
    contract = artefact.contract
    width = contract.observation_width + int(np.prod(contract.output_shape))
    n = max(1, min(n, MAX_BYTES // (16 * width + 200 * len(contract.joints) + 400)))
    script = _made_up(contract, spec, n, np.random.default_rng(seed))
    network = Network if act is None else (lambda _, row: Trained(act, row))
    decisions = list(play(artefact, spec, script, network=network))
    return Golden(
        joints=contract.joints,
        start=tuple(script.start.tolist()),
        zeroed=tuple(d.zeroed for d in decisions),
        asked=tuple(d.asked for d in decisions),
        q=_rows(script.q),
        dq=_rows(script.dq),
        goal=_rows(script.goal),
        observation=_rows([_short(d.observation) for d in decisions]),
        output=_rows([_short(d.output.astype(np.float32)) for d in decisions]),
        action=_rows([d.action for d in decisions]),
        target=_rows([d.target for d in decisions]),
    )


def script_of(golden: Golden) -> Script:
    """Returns what happened in golden vectors."""
    return Script(
        np.array(golden.start),
        np.array(golden.q),
        np.array(golden.dq),
        np.array(golden.goal).reshape(-1, 7),
    )


def _made_up(
    contract: PolicyContract, spec: RobotSpec, n: int, rng: np.random.Generator
) -> Script:
    """Returns smooth motions about the default pose, within the arm's range and speed."""
    to_contract = JointMap(ours=contract.joints, theirs=spec.joint_names)
    limits = spec.limits
    low, high, speed = map(to_contract, (limits.lower, limits.upper, limits.velocity))
    centre = to_contract(contract.start_pose(spec))
    start = np.arange(n) % EPISODE == 0
    t = (np.arange(n) % EPISODE / contract.rate_hz)[:, None]
    episode = np.cumsum(start) - 1
    shape = (episode[-1] + 1, len(centre))
    middle = np.clip(centre + rng.uniform(-0.5, 0.5, shape), low, high)[episode]
    swing = np.minimum(0.3, np.minimum(middle - low, high - middle))
    omega = rng.uniform(1.0, 6.0, shape)[episode]
    swing = np.minimum(swing, speed / omega)
    phase = rng.uniform(0.0, 2.0 * np.pi, shape)[episode]
    q = middle + swing * np.sin(omega * t + phase)
    dq = swing * omega * np.cos(omega * t + phase)
    return Script(start, q, dq, _goals(contract, n, rng))


def _goals(contract: PolicyContract, n: int, rng: np.random.Generator) -> Array:
    given = contract.goal
    if given is None:
        return np.zeros((0, 7))
    rows = []
    for _ in range(0, n, GOAL_EVERY):
        position = [rng.uniform(*ends) for ends in (given.x, given.y, given.z)]
        angles = [rng.uniform(*ends) for ends in (given.roll, given.pitch, given.yaw)]
        rows.append([*position, *from_euler(*angles)])
    return np.array(rows)[np.arange(n) // GOAL_EVERY]


def _short(values: NDArray[np.float32]) -> list[float]:
    """Returns the shortest decimals that read back as the same float32."""
    return [float(str(value)) for value in values]


def _rows(values: object) -> Rows:
    return tuple(tuple(row) for row in np.asarray(values, dtype=np.float64).tolist())
