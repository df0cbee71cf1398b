"""Which single change of a contract would make the golden vectors agree again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from ros2_sim2real.check.subject import Subject
from ros2_sim2real.contract import Normaliser, PolicyContract, per_element
from ros2_sim2real.errors import Sim2RealError
from ros2_sim2real.policy.golden import play, script_of
from ros2_sim2real.policy.golden_file import Golden
from ros2_sim2real.policy.history import layout
from ros2_sim2real.policy.parity import compare_policy, first_fault
from ros2_sim2real.robot import IDENTITY

MOST = 2  # cures that are told
FACTORS = (0.5, 2.0, 0.1, 10.0, 180.0 / math.pi, math.pi / 180.0)
DIGITS = 6
_HALF_TURN = (0.0, 0.0, 0.0, 1.0)

Cure = tuple[str, str, dict[str, Any]]  # field, value in words, what changes in the contract


def explain(subject: Subject, golden: Golden) -> list[tuple[str, str]]:
    """Returns fields and values: each alone lets a rehearsal agree with the recorded one."""
    found: list[tuple[str, str]] = []
    for field, value, change in _cures(subject, golden):
        if field in (name for name, _ in found):
            continue
        try:
            data = {**subject.contract.model_dump(), **change}
            contract = PolicyContract.model_validate(data)
            artefact = replace(subject.artefact, contract=contract)
            agrees = first_fault(compare_policy(artefact, subject.spec, golden)) is None
        except (ValidationError, Sim2RealError):
            continue
        if agrees:
            found.append((field, value))
            if len(found) == MOST:
                break
    return found


def _cures(subject: Subject, golden: Golden) -> Iterator[Cure]:
    contract = subject.contract
    yield from _choices(contract)
    yield from _orders(contract)
    yield from _fitted_action(contract, golden)
    yield from _fitted_terms(subject, golden)
    yield from _signs(contract)
    yield from _frames(contract)


def _choices(contract: PolicyContract) -> Iterator[Cure]:
    """Yields the other values of what has only a few."""
    action = contract.action.model_dump()
    for previous in ("raw", "clipped", "scaled"):
        yield "action.previous", previous, {"action": {**action, "previous": previous}}
    for kind in ("absolute", "delta_default", "relative_measured", "integrating"):
        yield "action.kind", kind, {"action": {**action, "kind": kind}}
    if contract.goal is not None:
        goal = contract.goal.model_dump()
        for order in ("wxyz", "xyzw"):
            yield "goal.quaternion", order, {"goal": {**goal, "quaternion": order}}
    for field, kept in _histories(contract):
        for name, values in _HISTORY.items():
            for value in values if name in kept else ():
                yield f"{field}.{name}", value, _with_history(contract, field, name, value)
    yield from _chunks(contract)
    if isinstance(contract.normaliser, Normaliser):
        yield "normaliser", "inside", {"normaliser": "inside"}
    flipped = not contract.reset_on_goal
    yield "reset_on_goal", str(flipped).lower(), {"reset_on_goal": flipped}


def _chunks(contract: PolicyContract) -> Iterator[Cure]:
    if contract.chunk is None:
        return
    chunk = contract.chunk.model_dump()
    for blend in ("replace", "exponential", "ensemble"):
        yield "chunk.blend", blend, {"chunk": {**chunk, "blend": blend}}
    for name in ("execute", "skip"):
        for count in range(contract.chunk.length):
            yield f"chunk.{name}", str(count), {"chunk": {**chunk, name: count}}


_HISTORY = {
    "order": ("oldest_first", "newest_first"),
    "layout": ("by_time", "by_term"),
    "fill": ("repeat_first", "zeros"),
}


def _histories(contract: PolicyContract) -> Iterator[tuple[str, dict[str, Any]]]:
    if contract.history is not None:
        yield "history", contract.history.model_dump()
    for term in contract.observation:
        if term.history is not None:
            yield f"observation.{term.name}.history", term.history.model_dump()


def _with_history(contract: PolicyContract, field: str, name: str, value: str) -> dict[str, Any]:
    data = contract.model_dump()
    if field == "history":
        return {"history": {**data["history"], name: value}}
    terms = [
        {**t, "history": {**t["history"], name: value}} if _named(field, t) else t
        for t in data["observation"]
    ]
    return {"observation": tuple(terms)}


def _named(field: str, term: dict[str, Any]) -> bool:
    return field == f"observation.{term['name']}.history"


def _orders(contract: PolicyContract) -> Iterator[Cure]:
    """Yields every exchange of two terms."""
    terms = contract.model_dump()["observation"]
    for i in range(len(terms)):
        for j in range(i + 1, len(terms)):
            order = list(terms)
            order[i], order[j] = order[j], order[i]
            names = ", ".join(t["name"] for t in order)
            yield "observation", f"in the order {names}", {"observation": tuple(order)}


def _fitted_action(contract: PolicyContract, golden: Golden) -> Iterator[Cure]:
    """Yields scale, offset and default pose as recorded actions and targets have them."""
    action, n = contract.action.model_dump(), len(contract.joints)
    scale = per_element(contract.action.scale, contract.action_width)
    for factor in FACTORS:
        value = tuple((scale * factor).tolist())
        yield "action.scale", f"times {factor:.4g}", {"action": {**action, "scale": value}}
    raw, target = np.array(golden.action)[:, :n], np.array(golden.target)
    if contract.action.clip is not None:
        raw = np.clip(raw, *contract.action.clip)
    if contract.action.kind not in ("absolute", "delta_default") or contract.signs is not None:
        return
    fits = [np.polyfit(raw[:, i], target[:, i], 1) for i in range(n) if np.ptp(raw[:, i]) > 1e-6]
    if len(fits) < n:
        return
    slope, level = np.array(fits).T
    change = {"action": {**action, "scale": _round(slope)}}
    yield "action.scale", _shown(slope), change
    offset = per_element(contract.action.offset, contract.action_width)[:n]
    if contract.action.kind == "delta_default":
        pose = level - offset
        yield "default_pose", _shown(pose), {"default_pose": _round(pose)}
        level = level - np.array(contract.default_pose)
    yield "action.offset", _shown(level), {"action": {**action, "offset": _round(level)}}
    yield "action.clip", "null", {"action": {**action, "clip": None}}


def _fitted_terms(subject: Subject, golden: Golden) -> Iterator[Cure]:
    """Yields scale and offset of every term as the recorded observations have them."""
    contract = subject.contract
    try:
        rows = [d.observation for d in play(subject.artefact, subject.spec, script_of(golden))]
    except Sim2RealError:
        return
    ours, theirs = np.array(rows, dtype=np.float64), np.array(golden.observation)
    places = layout(contract)
    terms = contract.model_dump()["observation"]
    for i, term in enumerate(contract.observation):
        columns = [next(c for c, (t, _, e) in enumerate(places) if t == i and e == element)
                   for element in range(term.width)]  # fmt: skip
        a, b = ours[:, columns], theirs[:, columns]
        scale, offset = per_element(term.scale, term.width), per_element(term.offset, term.width)
        power = (a * a).sum(axis=0)
        ratio = np.where(power > 0.0, (a * b).sum(axis=0) / np.maximum(power, 1e-12), 1.0)
        shift = offset - (b - a).mean(axis=0) / np.where(scale == 0.0, 1.0, scale)
        for name, value in (("scale", scale * ratio), ("offset", shift)):
            changed = [*terms[:i], {**terms[i], name: _round(value)}, *terms[i + 1 :]]
            field = f"observation.{term.name}.{name}"
            yield field, _shown(value), {"observation": tuple(changed)}


def _signs(contract: PolicyContract) -> Iterator[Cure]:
    n = len(contract.joints)
    given = contract.signs or (1,) * n
    for i, joint in enumerate(contract.joints):
        signs = tuple(-s if k == i else s for k, s in enumerate(given))
        yield "signs", f"{signs[i]} for {joint}", {"signs": signs}
    yield "signs", "1 for every joint", {"signs": None}


def _frames(contract: PolicyContract) -> Iterator[Cure]:
    for name, frame in (("frame", contract.frame), ("tool", contract.tool)):
        data = frame.model_dump()
        x, y, z, w = frame.quaternion
        for quaternion in (IDENTITY, _HALF_TURN, (w, x, y, z), (y, z, w, x)):
            yield (
                f"{name}.quaternion",
                _shown(np.array(quaternion)),
                {name: {**data, "quaternion": quaternion}},
            )
        zero = {**data, "position": (0.0, 0.0, 0.0)}
        yield f"{name}.position", "[0, 0, 0]", {name: zero}


def _round(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(round(v, DIGITS)) for v in values)


def _shown(values: np.ndarray) -> str:
    return "[" + ", ".join(f"{v:.4g}" for v in values) + "]"
