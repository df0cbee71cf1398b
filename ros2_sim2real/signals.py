"""The only values that cross a stage: frozen, SI units, stamped, joints in `RobotSpec` order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RobotState:
    """What the robot measured at `stamp_ns`. Arrays float64 (nq,), in `RobotSpec.joints` order."""

    stamp_ns: int
    q: Array  # [rad]
    dq: Array  # [rad/s]


@dataclass(frozen=True, slots=True)
class Goal:
    """A pose that the tool should take, in the frame that `frame` names."""

    stamp_ns: int
    position: Array  # (3,) [m]
    quaternion: Array  # (4,) unit, w x y z
    frame: str = ""  # empty: the frame of the policy's contract


@dataclass(frozen=True, slots=True)
class Target:
    """What the policy wants the joints to do, decided from the state measured at `stamp_ns`."""

    stamp_ns: int
    q: Array  # (nq,) [rad]
    fresh: bool = True  # False: the policy was not due, this repeats its last decision
    chunk: Array | None = None  # (k, nq) [rad] the plan that begins with `q`, if there is one
    period: float = 0.0  # from one row of `chunk` to the next [s]


@dataclass(frozen=True, slots=True)
class Command:
    """What is asked of the arm. `stamp_ns` is the stamp of the state that it answers."""

    stamp_ns: int
    q: Array  # (nq,) [rad]


class Reason(IntFlag):
    """Why a verdict differs from the command. Several may hold at once."""

    NONE = 0
    SPEED = 1  # shaped: slower than asked
    POSITION = 2  # shaped: the soft range ends here
    ACCELERATION = 4  # shaped: gentler than asked
    NOT_FINITE = 8  # refused: NaN or infinity
    LENGTH = 16  # refused: not one number per joint
    NAMES = 32  # refused: joint names differ
    GROSS_RANGE = 64  # refused: so far outside the range that the command is nonsense
    STALE_STATE = 128  # holding: the arm has not been heard
    STALE_COMMAND = 256  # holding: nobody asks for anything
    SKEW = 512  # refused: stamp from the future or too old
    INACTIVE = 1024  # nothing is sent: not enabled, or shadow
    START = 2048  # activation refused: the arm is not where it may start
    INTERNAL = 4096  # the independent check of the output failed
    RATE = 8192  # kept for the next period: faster than one a period


REFUSED = Reason.NOT_FINITE | Reason.LENGTH | Reason.NAMES | Reason.GROSS_RANGE | Reason.SKEW
HOLDING = Reason.STALE_STATE | Reason.STALE_COMMAND


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be sent to the arm, and why it differs from what was asked.

    `send` is False when nothing may be published (shadow, inactive): `q` then says what would
    have been sent.
    """

    stamp_ns: int  # of the command that it answers
    q: Array  # (nq,) [rad]
    dq: Array  # (nq,) [rad/s] speed of the set-point
    reason: Reason
    send: bool


class Level(IntEnum):
    """Severity as in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Status:
    """What a stage is doing, in words, and figures for whoever plots them."""

    level: Level
    message: str
    values: Mapping[str, float]


def all_finite(values: NDArray[np.floating]) -> bool:
    """Returns whether every number in `values` (n,) is finite.

    Arms have few joints: one Python float after the other takes a fifth of two numpy calls.
    """
    if values.size > _FEW:
        return bool(np.isfinite(values).all())
    return all(map(math.isfinite, values.tolist()))


_FEW = 40


def frozen(values: object) -> Array:
    """Returns `values` as a read-only float64 array, so that nobody edits a signal in passing."""
    out = np.array(values, dtype=np.float64)
    out.setflags(write=False)
    return out
