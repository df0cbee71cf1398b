"""Turns the network's raw output into joint targets as the contract says, in policy order."""

from __future__ import annotations

import numpy as np

from ros2_sim2real.contract import PolicyContract, per_element
from ros2_sim2real.signals import Array


class ActionDecoder:
    """Holds the last target and the previous action; both belong to one episode."""

    def __init__(self, contract: PolicyContract, *, lower: Array, upper: Array) -> None:
        """`lower`, `upper`: range within which an integrating target stays, (n,) [rad]."""
        action = contract.action
        n = contract.action_width
        self._kind = action.kind
        self._scale = per_element(action.scale, n)
        self._offset = per_element(action.offset, n)
        self._default = np.array(contract.default_pose)
        self._clip = action.clip
        self._keep = action.previous
        self._period = 1.0 / contract.rate_hz
        self._lead = action.max_lead
        self._lower, self._upper = lower, upper
        self.previous: Array = np.zeros(n)
        self.target: Array = self._default.copy()

    def reset(self, q: Array) -> None:
        """Starts an episode at the measured position `q` (n,): no previous action, target = q."""
        self.previous = np.zeros_like(q)
        self.target = q.copy()

    def decode(self, raw: Array, q: Array) -> Array:
        """Returns the joint target (n,) [rad] for the raw action `raw` at the measured `q`."""
        clipped = raw if self._clip is None else np.clip(raw, self._clip[0], self._clip[1])
        scaled = self._scale * clipped
        if self._kind == "absolute":
            target = self._offset + scaled
        elif self._kind == "delta_default":
            target = self._default + self._offset + scaled
        elif self._kind == "relative_measured":
            target = q + self._offset + scaled
        else:
            target = self._integrate(scaled, q)
        self.previous = {"raw": raw, "clipped": clipped, "scaled": scaled}[self._keep]
        self.target = target
        return target

    def _integrate(self, scaled: Array, q: Array) -> Array:
        target = np.clip(self.target + scaled * self._period, self._lower, self._upper)
        if self._lead is not None:  # an arm that cannot follow must not wind the target up
            target = np.clip(target, q - self._lead, q + self._lead)
        return target
