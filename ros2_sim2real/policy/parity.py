"""Compares a policy file with golden vectors: the graph alone, and the policy as deployed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.policy.artefact import Artefact
from ros2_sim2real.policy.golden import NetworkFactory, play, script_of
from ros2_sim2real.policy.golden_file import Golden, in_order
from ros2_sim2real.policy.history import layout
from ros2_sim2real.policy.network import Network
from ros2_sim2real.robot import RobotSpec

TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one named part is from the golden one.

    `largest` is absolute for numbers up to 1, relative to the golden number above.
    """

    where: str  # graph, or policy
    name: str  # observation term, or output, action, target of a joint
    largest: float
    row: int  # decision at which it first is more than the tolerance; -1: never

    @property
    def agrees(self) -> bool:
        """Returns whether it is within the tolerance; NaN is not."""
        return self.row < 0


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network answered to observations, one after the other."""

    observation: NDArray[np.float32]  # (n, nobs)
    output: NDArray[np.float64]  # (n, nout), plans row by row
    zeroed: NDArray[np.bool_]  # (n,) its memory was zeros

    @classmethod
    def of(cls, golden: Golden) -> Answers:
        """Returns the answers within golden vectors."""
        asked = np.array(golden.asked)
        return cls(
            np.array(golden.observation, dtype=np.float32)[asked],
            np.array(golden.output, dtype=np.float32)[asked].astype(np.float64),
            np.array(golden.zeroed)[asked],
        )


def compare_graph(
    artefact: Artefact, expected: Answers, *, network: NetworkFactory = Network
) -> list[Difference]:
    """Returns how far the graph alone answers from `expected`, on the same observations."""
    contract = artefact.contract
    row = np.zeros((1, contract.observation_width), dtype=np.float32)
    graph = network(artefact, row)
    got = np.zeros_like(expected.output)
    for i, observation in enumerate(expected.observation):
        if expected.zeroed[i]:
            graph.reset()
        row[0] = observation
        got[i] = graph().ravel()
    return _by_joint("graph", "output", got, expected.output, contract, range(len(got)))


def compare_policy(
    artefact: Artefact, spec: RobotSpec, golden: Golden, *, network: NetworkFactory = Network
) -> list[Difference]:
    """Returns how far the deployed policy is from golden vectors, from state to target.

    Raises:
        ContractError: the policy was not trained for this robot, or has nothing to say.
        JointMismatch: the golden vectors are about other joints.
    """
    contract = artefact.contract
    golden = in_order(golden, contract.joints)
    decisions = list(play(artefact, spec, script_of(golden), network=network))
    rows = range(len(golden))
    seen = np.array([d.observation for d in decisions], dtype=np.float64)
    shown = np.array(golden.observation, dtype=np.float32).astype(np.float64)
    out = []
    place = np.array([term for term, _, _ in layout(contract)])
    for i, term in enumerate(contract.observation):
        part = place == i
        out.append(_difference("policy", term.name, seen[:, part], shown[:, part], rows))
    for name in ("output", "action", "target"):
        got = np.array([getattr(d, name) for d in decisions])
        expected = np.array(getattr(golden, name))
        if name == "output":
            expected = expected.astype(np.float32).astype(np.float64)
        out += _by_joint("policy", name, got, expected, contract, rows)
    return out


def first_fault(differences: Sequence[Difference]) -> Difference | None:
    """Returns the difference that came first, and of several the one that stands first."""
    faults = [d for d in differences if not d.agrees]
    return min(faults, key=lambda d: d.row) if faults else None


def _by_joint(
    where: str,
    name: str,
    got: NDArray[np.float64],
    expected: NDArray[np.float64],
    contract: PolicyContract,
    rows: Sequence[int],
) -> list[Difference]:
    """Splits the last axis of outputs, actions or targets by joint; plans go row by row."""
    n = len(contract.joints)
    return [
        _difference(where, f"{name}.{joint}", got[:, i::n], expected[:, i::n], rows)
        for i, joint in enumerate(contract.joints)
    ]


def _difference(
    where: str,
    name: str,
    got: NDArray[np.float64],
    expected: NDArray[np.float64],
    rows: Sequence[int],
) -> Difference:
    distance = np.abs(got - expected) / np.maximum(1.0, np.abs(expected))
    distance = np.where(np.isnan(distance), np.inf, distance).max(axis=1)
    beyond = np.flatnonzero(distance > TOLERANCE)
    return Difference(
        where, name, float(distance.max()), rows[int(beyond[0])] if len(beyond) else -1
    )
