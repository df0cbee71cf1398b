"""Play between motor and joint: the servo's torque crosses the gap only on a flank.

The limit of two masses for a motor that is light beside the link: with play b the motor follows
its set-point u within the gap, where it carries nothing, and rests on a flank outside of it:

    motor position   theta  = clip(u, q - b/2, q + b/2)
    torque           tau    = stiffness (u - theta) - damping dq   on a flank, 0 in the gap

The encoder sits on the motor. After a reversal the joint stands until u has crossed the gap; in
the gap only friction holds it.
"""

from __future__ import annotations

import numpy as np

from ros2_sim2real.signals import Array


class Backlash:
    """Play per joint; no state of its own: where the joint hangs in the gap is its position."""

    def __init__(self, width: Array) -> None:
        """`width`: from flank to flank, (nq,) [rad]."""
        self._half = 0.5 * width
        self.active = bool(width.any())

    def servo(self, u: Array, q: Array) -> tuple[Array, Array]:
        """Returns the set-point that gives the joint its torque, and the share of the damping.

        Args:
            u: set-point of the motor, (nq,) [rad].
            q: position of the joint, (nq,) [rad].
        """
        error = u - q
        inside = np.maximum(np.minimum(error, self._half), -self._half)  # twice as fast as clip
        engaged = (np.abs(error) >= self._half).astype(np.float64)
        return u - inside, engaged

    def motor(self, u: Array, q: Array, dq: Array) -> tuple[Array, Array]:
        """Returns position and speed of the motor, both (nq,), as its encoder has them."""
        if not self.active:
            return q, dq
        error = u - q
        engaged = np.abs(error) >= self._half
        inside = np.maximum(np.minimum(error, self._half), -self._half)
        return q + inside, np.where(engaged, dq, 0.0)
