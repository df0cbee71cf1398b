"""The shaping rule: position, speed and acceleration limits hold together for any input.

Per joint, with period T, set-point q, its speed v and acceleration limit a, the largest speed from
which a stop in steps of T still fits into a distance d is

    s = d / (a T^2),  n = floor((sqrt(1 + 8 s) - 1) / 2)
    vb(d) = a T (s + n (n + 1) / 2) / (n + 1)

and the next speed is the wanted one, limited by full braking and full acceleration, by the speed
limit, and by vb towards either end. From any admissible state full braking is admissible, so the
three limits never contradict each other. T is constant: a state that is admissible for one period
need not be so for a shorter one, because braking in finer steps travels further.
"""

from __future__ import annotations

import math

import numpy as np

from ros2_sim2real.signals import Array


def braking_speed(distance: float, acceleration: float, period: float) -> float:
    """Returns vb(d) [rad/s]: the largest speed from which a stop fits into `distance` [rad]."""
    if not distance > 0.0:
        return 0.0
    # beyond 1e12 the float's digits no longer hold n; less than the truth is on the safe side
    s = min(distance / (acceleration * period * period), 1e12)
    n = math.floor((math.sqrt(1.0 + 8.0 * s) - 1.0) / 2.0)
    return acceleration * period * (s + n * (n + 1) / 2.0) / (n + 1)


def shape_joint(
    wanted: float,
    q: float,
    v: float,
    *,
    lower: float,
    upper: float,
    speed: float,
    acceleration: float,
    period: float,
) -> tuple[float, float]:
    """Returns the next set-point and its speed for one joint; all arguments finite.

    Args:
        wanted: position asked for [rad], anywhere.
        q, v: last set-point [rad] and its speed [rad/s], admissible.
        lower, upper: range [rad]; speed [rad/s]; acceleration [rad/s^2]; period [s].
    """
    dv = acceleration * period
    up = min(v + dv, speed, braking_speed(upper - q, acceleration, period))
    down = max(v - dv, -speed, -braking_speed(q - lower, acceleration, period))
    distance = abs(wanted - q)
    reach = min(distance / period, braking_speed(distance, acceleration, period))
    target_speed = reach if wanted >= q else -reach
    v_next = min(max(target_speed, down), up)
    return q + v_next * period, v_next


def shape(
    wanted: Array,
    q: Array,
    v: Array,
    *,
    lower: Array,
    upper: Array,
    speed: Array,
    acceleration: Array,
    period: float,
) -> tuple[Array, Array]:
    """Returns `shape_joint` for arrays of any common shape; all values finite."""
    dv = acceleration * period
    up = np.minimum(np.minimum(v + dv, speed), _braking_speeds(upper - q, acceleration, period))
    down = np.maximum(
        np.maximum(v - dv, -speed), -_braking_speeds(q - lower, acceleration, period)
    )
    error = wanted - q
    reach = np.minimum(
        np.abs(error) / period, _braking_speeds(np.abs(error), acceleration, period)
    )
    v_next = np.minimum(np.maximum(np.copysign(reach, error), down), up)
    return q + v_next * period, v_next


def _braking_speeds(distance: Array, acceleration: Array, period: float) -> Array:
    s = np.maximum(distance, 0.0) / (acceleration * period * period)
    s = np.minimum(s, 1e12)
    n = np.floor((np.sqrt(1.0 + 8.0 * s) - 1.0) / 2.0)
    out: Array = acceleration * period * (s + n * (n + 1) / 2.0) / (n + 1)
    return out
