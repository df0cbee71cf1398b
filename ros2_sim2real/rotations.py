"""Unit quaternions (w, x, y, z) and the few operations on them that the stack needs."""

from __future__ import annotations

import math

import numpy as np

from ros2_sim2real.signals import Array


def quaternion_multiply(a: Array, b: Array) -> Array:
    """Returns the Hamilton product a b, shape (4,): first b, then a."""
    aw, ax, ay, az = a.tolist()
    bw, bx, by, bz = b.tolist()
    return np.array(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ]
    )


def rotation_vector(quaternion: Array) -> Array:
    """Returns the shortest rotation as axis times angle [rad], shape (3,), angle in [0, pi]."""
    w, x, y, z = quaternion.tolist()
    if w < 0.0:
        w, x, y, z = -w, -x, -y, -z
    sine = math.sqrt(x * x + y * y + z * z)
    if sine < 1e-12:
        return np.array([2.0 * x, 2.0 * y, 2.0 * z])
    factor = 2.0 * math.atan2(sine, w) / sine
    return np.array([factor * x, factor * y, factor * z])


def from_euler(roll: float, pitch: float, yaw: float) -> Array:
    """Returns the quaternion of rotations about the fixed axes x, then y, then z [rad]."""
    cr, sr = math.cos(roll / 2), math.sin(roll / 2)
    cp, sp = math.cos(pitch / 2), math.sin(pitch / 2)
    cy, sy = math.cos(yaw / 2), math.sin(yaw / 2)
    return np.array(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ]
    )
