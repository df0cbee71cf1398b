"""What the encoders say: an old position, off by a bias, noisy, rounded, now and then NaN."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from ros2_sim2real.signals import Array, frozen
from ros2_sim2real.worlds import MAX_DELAY, World, per_joint


class Encoders:
    """Keeps the past of the arm per physics step and reads from it once a control period.

    The first reading after a reset has no noise: an arm that is switched on rests.
    """

    def __init__(self, world: World, *, nq: int, dt: float) -> None:
        """`dt`: physics step [s]."""
        self._nq, self._dt = nq, dt
        self._past: deque[tuple[Array, Array]] = deque(maxlen=math.ceil(2.0 * MAX_DELAY / dt) + 2)
        self.set_world(world, burst=True)
        self.clear()

    def set_world(self, world: World, *, burst: bool) -> None:
        """Takes a world; `burst`: its NaN are still to come."""
        n = self._nq
        self.world = world
        self._noise = per_joint(world.position_noise, n), per_joint(world.velocity_noise, n)
        self._bias = per_joint(world.position_bias, n)
        self._jump = per_joint(world.encoder_jump, n)
        self._quantum = per_joint(world.position_quantum, n), per_joint(world.velocity_quantum, n)
        if burst:
            self._nan_left = world.nan_states

    def clear(self) -> None:
        """Forgets the past."""
        self._past.clear()
        self._steps = -1  # of the newest entry in the past
        self._read = 0  # the step that was read last: a driver never goes back
        self._nan_left = self.world.nan_states

    def record(self, q: Array, dq: Array) -> None:
        """Takes what the encoders see after a physics step, both (nq,)."""
        self._past.append((q, dq))
        self._steps += 1

    def read(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns position [rad] and speed [rad/s] as published now, both (nq,)."""
        jitter = float(rng.random())
        noise = rng.standard_normal((2, self._nq))
        w, t = self.world, self._steps * self._dt
        age = round((w.state_delay + jitter * w.state_jitter) / self._dt)
        oldest = self._steps - len(self._past) + 1
        self._read = max(self._read, self._steps - age, oldest)
        q, dq = self._past[self._read - oldest]
        q = q + self._bias
        if w.encoder_jump and t >= w.encoder_jump_at - 1e-9:
            q = q + self._jump
        if self._steps:
            q, dq = q + self._noise[0] * noise[0], dq + self._noise[1] * noise[1]
        q, dq = _rounded(q, self._quantum[0]), _rounded(dq, self._quantum[1])
        if self._steps and self._nan_left and t >= w.nan_at - 1e-9:
            self._nan_left -= 1
            q, dq = np.full_like(q, math.nan), np.full_like(dq, math.nan)
        return frozen(q), frozen(dq)


def _rounded(x: Array, quantum: Array) -> Array:
    if not quantum.any():
        return x
    step = np.where(quantum > 0.0, quantum, 1.0)
    return np.where(quantum > 0.0, np.floor(x / step + 0.5) * step, x)
