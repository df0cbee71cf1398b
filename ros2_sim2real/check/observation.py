"""Observation terms: widths, units, quaternions, and the range that training saw."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ros2_sim2real.check.items import Item, failed, numbers, passed, verdict, warned
from ros2_sim2real.check.subject import Subject
from ros2_sim2real.contract import Bounds, ObservationTerm, PolicyContract, per_element
from ros2_sim2real.policy.golden_file import Golden
from ros2_sim2real.policy.history import layout
from ros2_sim2real.robot import Frame

DEGREE = 180.0 / math.pi
OUTSIDE = 0.2  # share of golden decisions
_ANGLES = ("joint_position", "joint_velocity", "target_error", "tool_angular_velocity")


def check_observation(subject: Subject, golden: Golden | None) -> Iterator[Item]:
    """Yields what is wrong with the terms as they stand."""
    contract = subject.contract
    widths = ", ".join(f"{t.name} {t.width * t.length}" for t in contract.observation)
    yield passed("observation", f"{contract.observation_width} numbers: {widths}")
    units = (item for term in contract.observation for item in _degrees(term))
    yield from verdict("observation.scale", units, "SI")
    turned = [*_turned("frame", contract.frame), *_turned("tool", contract.tool)]
    yield from verdict("quaternion", turned, "unit, w x y z")
    if golden is not None:
        yield from verdict("observation.training", _outside(contract, golden), "as in training")


def _degrees(term: ObservationTerm) -> Iterator[Item]:
    if term.source not in _ANGLES:
        return
    scale = np.abs(per_element(term.scale, term.width))
    for factor, what in ((DEGREE, "degrees"), (1.0 / DEGREE, "radians out of degrees")):
        if (np.abs(scale / factor - 1.0) < 1e-3).any():
            got = f"{numbers(scale)}, which makes {what}"
            fix = "Contracts are SI: state the scale of the training without the unit's factor"
            yield failed(f"observation.{term.name}.scale", got, "no factor of 180 / pi", fix)
            return


def _turned(name: str, frame: Frame) -> Iterator[Item]:
    w, *rest = frame.quaternion
    if abs(w) < 1e-6 and abs(rest[2]) > 1.0 - 1e-6:
        got = f"{numbers(frame.quaternion)} in w x y z, half a turn about z"
        fix = "Ignore this where half a turn is meant; else write [1, 0, 0, 0]"
        yield warned(f"{name}.quaternion", got, "not the identity in x y z w", fix)


def _outside(contract: PolicyContract, golden: Golden) -> Iterator[Item]:
    """Yields the terms whose golden values are not those that the contract says training saw."""
    seen = np.array(golden.observation)
    places = layout(contract)
    for i, term in enumerate(contract.observation):
        if term.training is None:
            continue
        ends = _ends(term)
        columns = [(c, element) for c, (t, _, element) in enumerate(places) if t == i]
        low, high = (np.array([end[e] for _, e in columns]) for end in ends)
        values = seen[:, [c for c, _ in columns]]
        share = float(((values < low) | (values > high)).any(axis=1).mean())
        if share > OUTSIDE:
            got = f"{share:.0%} of the golden decisions outside {numbers(low)} to {numbers(high)}"
            fix = "Compare scale and offset with the training, or state its range anew"
            name = f"observation.{term.name}.training"
            yield warned(name, got, f"at most {OUTSIDE:.0%}", fix)


def _ends(term: ObservationTerm) -> tuple[np.ndarray, np.ndarray]:
    training = term.training
    if isinstance(training, Bounds):
        return per_element(training.low, term.width), per_element(training.high, term.width)
    if training is None:
        raise ValueError(f"term `{term.name}` has no training range")
    mean, std = per_element(training.mean, term.width), per_element(training.std, term.width)
    return mean - training.sigmas * std, mean + training.sigmas * std
