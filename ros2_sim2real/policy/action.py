"""Turns the network's raw output into joint targets as the contract says, in policy order."""

from __future__ import annotations

import numpy as np

from ros2_sim2real.contract import PolicyContract, per_element
from ros2_sim2real.contract_terms import UNSUPPORTED
from ros2_sim2real.errors import ContractError
from ros2_sim2real.signals import Array


class ActionDecoder:
    """Holds the last target and the previous action; both belong to one episode."""

    def __init__(self, contract: PolicyContract, *, lower: Array, upper: Array) -> None:
        """`lower`, `upper`: range within which an integrating target stays, (n,) [rad].

        Raises:
            ContractError: the action is no joint position.
        """
        action = contract.action
        if action.kind in UNSUPPORTED:
            raise ContractError(
                f"`action.kind` is '{action.kind}', which asks for {UNSUPPORTED[action.kind]}; "
                "this pipeline commands joint positions. Export a policy that does"
            )
        self._width = contract.action_width
        self._kind = action.kind
        self._scale = per_element(action.scale, self._width)
        self._offset = per_element(action.offset, self._width)
        self._default = np.array(contract.default_pose)
        self._clip = action.clip
        self._keep = action.previous
        self._period = 1.0 / contract.rate_hz
        self._lead = action.max_lead
        self._lower, self._upper = lower, upper
        self.previous: Array = np.zeros(self._width)
        self.target: Array = self._default.copy()

    def reset(self, q: Array) -> None:
        """Starts an episode at the measured position `q` (n,): no previous action, target = q."""
        self.previous = np.zeros((*q.shape[:-1], self._width))
        self.target = q.copy()

    def decode(self, raw: Array, q: Array) -> Array:
        """Returns the joint target (n,) [rad] for the raw action `raw` (nu,) at the measured `q`.

        Raw actions of many arms, (count, nu), give targets (count, n).
        """
        clipped = raw if self._clip is None else np.clip(raw, self._clip[0], self._clip[1])
        scaled = self._scale * clipped
        if self._kind == "absolute":
            target = self._offset + scaled
        elif self._kind == "delta_default":
            target = self._default + self._offset + scaled
        elif self._kind == "relative_measured":
            target = q + self._offset + scaled
        elif self._kind == "desired_next_state":
            target = (self._offset + scaled)[..., : q.shape[-1]]  # then come the velocities
        else:
            target = self._integrate(scaled, q)
        self.previous = {"raw": raw, "clipped": clipped, "scaled": scaled}[self._keep]
        self.target = target
        return target

    def ahead(self, plan: Array) -> Array | None:
        """Returns the targets of the actions `plan` (k, nu) to come, (k, n) [rad].

        None for kinds whose target depends on what is measured until then.
        """
        if self._kind not in ("absolute", "delta_default", "desired_next_state"):
            return None
        clipped = plan if self._clip is None else np.clip(plan, self._clip[0], self._clip[1])
        targets: Array = (self._offset + self._scale * clipped)[:, : len(self._default)]
        return targets + self._default if self._kind == "delta_default" else targets

    def _integrate(self, scaled: Array, q: Array) -> Array:
        target = np.clip(self.target + scaled * self._period, self._lower, self._upper)
        if self._lead is not None:  # an arm that cannot follow must not wind the target up
            target = np.clip(target, q - self._lead, q + self._lead)
        return target
