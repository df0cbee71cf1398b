"""Builds the network's input from named terms, in the contract's order, joints in the policy's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.contract import Normaliser, ObservationTerm, PolicyContract, per_element
from ros2_sim2real.dynamics.kinematics import Kinematics, ToolState
from ros2_sim2real.policy.history import HistoryBuffer
from ros2_sim2real.rotations import quaternion_multiply, rotation_vector
from ros2_sim2real.signals import Array, Goal, RobotState, all_finite

TOOL_SOURCES = frozenset(
    {
        "goal_position_error",
        "goal_rotation_error",
        "tool_position",
        "tool_quaternion",
        "tool_linear_velocity",
        "tool_angular_velocity",
    }
)


@dataclass(slots=True)
class Moment:
    """Everything that a term may read, joints in the policy's order."""

    q: Array  # (n,) [rad]
    dq: Array  # (n,) [rad/s]
    previous: Array  # (n,) previous action, as the contract wants it
    target: Array  # (n,) last target [rad]
    goal_position: Array  # (3,) [m], policy's frame
    goal_quaternion: Array  # (4,) w x y z, policy's frame
    tool: ToolState | None


class ObservationBuilder:
    """Writes `scale * clip(source - offset)` of every term into one preallocated float32 row.

    `frame` (nframe,) is the present moment of every term, `out` (1, nobs) the network's input:
    the same memory, unless the contract has a history or a normaliser outside the graph.
    """

    def __init__(self, contract: PolicyContract, kinematics: Kinematics | None) -> None:
        """`kinematics` has the contract's frame and tool; None where no term needs the tool."""
        self.out = np.zeros((1, contract.observation_width), dtype=np.float32)
        self._kinematics = kinematics
        self._terms = observation_parts(contract)
        self._names = [term.name for term in contract.observation]
        self.needs_tool = any(t.source in TOOL_SOURCES for t in contract.observation)
        remembers = contract.history is not None or any(t.history for t in contract.observation)
        self._history = HistoryBuffer(contract) if remembers else None
        normaliser = contract.normaliser
        self._normalise = _Normalise(normaliser) if isinstance(normaliser, Normaliser) else None
        self._plain = self._history is None and self._normalise is None
        self.frame: NDArray[np.float32] = (
            self.out[0] if self._plain else np.zeros(contract.frame_width, dtype=np.float32)
        )

    def reset(self) -> None:
        """Forgets the episode: the next moment is the first one."""
        if self._history is not None:
            self._history.reset()

    def build(
        self,
        state: RobotState,
        moment_q: Array,
        moment_dq: Array,
        *,
        previous: Array,
        target: Array,
        goal: Goal | None,
    ) -> bool:
        """Fills `frame` and `out`; returns whether every number in it is finite.

        Args:
            state: as measured, robot's order (the kinematics' order).
            moment_q, moment_dq: the same in the policy's joint order.
            previous, target: previous action and last target, policy's order.
            goal: in the policy's frame; None only for policies without a goal.
        """
        tool = None
        if self.needs_tool and self._kinematics is not None:
            tool = self._kinematics.update(state.q, state.dq)
        moment = Moment(
            q=moment_q,
            dq=moment_dq,
            previous=previous,
            target=target,
            goal_position=goal.position if goal is not None else _NO_POSITION,
            goal_quaternion=goal.quaternion if goal is not None else _NO_ROTATION,
            tool=tool,
        )
        row = self.frame
        with np.errstate(over="ignore"):  # too large for float32 is infinite, and told below
            for read, part, affine in self._terms:
                row[part] = affine(read(moment))
        finite = all_finite(row)
        # what is not finite must not enter the history
        return finite if self._plain or not finite else self._finish()

    def _finish(self) -> bool:
        row = self.out[0]
        if self._history is not None:
            self._history.push(self.frame, row)
        else:
            row[:] = self.frame
        if self._normalise is not None:
            with np.errstate(over="ignore"):
                row[:] = self._normalise(row)
        return all_finite(row)

    def unsound(self) -> list[str]:
        """Returns the names of the terms in `out` that are not finite."""
        parts = zip(self._names, self._terms, strict=True)
        return [name for name, (_, part, _) in parts if not np.isfinite(self.out[0, part]).all()]


def observation_parts(
    contract: PolicyContract,
) -> list[tuple[Callable[[Moment], Array], slice, _Affine]]:
    """Returns for every term what it reads, where it goes, and what is done to it.

    For the sources that need no rotation, a `Moment` may as well hold one row per arm.
    """
    parts: list[tuple[Callable[[Moment], Array], slice, _Affine]] = []
    start = 0
    swap = contract.goal is not None and contract.goal.quaternion == "xyzw"
    for term in contract.observation:
        parts.append((_source(term, swap), slice(start, start + term.width), _Affine(term)))
        start += term.width
    return parts


_NO_POSITION: Array = np.full(3, np.nan)
_NO_ROTATION: Array = np.full(4, np.nan)


class _Normalise:
    """`clip((x - mean) / std)`, in float64."""

    def __init__(self, normaliser: Normaliser) -> None:
        self._mean, self._std = np.array(normaliser.mean), np.array(normaliser.std)
        self._clip = normaliser.clip

    def __call__(self, x: NDArray[np.float32]) -> Array:
        y: Array = (x - self._mean) / self._std
        return y if self._clip is None else np.clip(y, self._clip[0], self._clip[1])


class _Affine:
    """`scale * clip(x - offset)`; skips what does nothing."""

    def __init__(self, term: ObservationTerm) -> None:
        offset = per_element(term.offset, term.width)
        scale = per_element(term.scale, term.width)
        self._offset = offset if offset.any() else None
        self._scale = scale if (scale != 1.0).any() else None
        self._clip = term.clip

    def __call__(self, x: Array) -> Array:
        if self._offset is not None:
            x = x - self._offset
        if self._clip is not None:
            x = np.clip(x, self._clip[0], self._clip[1])
        if self._scale is not None:
            x = x * self._scale
        return x


def _tool(moment: Moment) -> ToolState:
    if moment.tool is None:
        raise ValueError("a term reads the tool, the builder was made without kinematics")
    return moment.tool


def _rotation_error(moment: Moment) -> Array:
    """Axis-angle of the rotation that takes the tool to the goal, in the policy's frame [rad]."""
    tool = _tool(moment).quaternion
    conjugate = tool * _CONJUGATE
    return rotation_vector(quaternion_multiply(moment.goal_quaternion, conjugate))


_CONJUGATE: Array = np.array([1.0, -1.0, -1.0, -1.0])


def _source(term: ObservationTerm, swap: bool) -> Callable[[Moment], Array]:
    def ordered(quaternion: Array) -> Array:
        return np.roll(quaternion, -1) if swap else quaternion

    sources: dict[str, Callable[[Moment], Array]] = {
        "joint_position": lambda m: m.q,
        "joint_velocity": lambda m: m.dq,
        "previous_action": lambda m: m.previous,
        "target_error": lambda m: m.target - m.q,
        "goal_position": lambda m: m.goal_position,
        "goal_pose": lambda m: np.concatenate((m.goal_position, ordered(m.goal_quaternion))),
        "goal_position_error": lambda m: m.goal_position - _tool(m).position,
        "goal_rotation_error": _rotation_error,
        "tool_position": lambda m: _tool(m).position,
        "tool_quaternion": lambda m: ordered(_tool(m).quaternion),
        "tool_linear_velocity": lambda m: _tool(m).linear_velocity,
        "tool_angular_velocity": lambda m: _tool(m).angular_velocity,
    }
    return sources[term.source]
