"""What a policy file promises, stored inside the file: exact JSON in the ONNX metadata."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from ros2_sim2real.config import validate
from ros2_sim2real.contract_terms import (
    FIXED_WIDTH,
    ActionSpec,
    Bounds,
    Chunk,
    Gains,
    GoalInput,
    History,
    Normaliser,
    ObservationTerm,
    PerElement,
    Provenance,
    Range,
    RecurrentState,
    Source,
    Spread,
    TermHistory,
    per_element,
)
from ros2_sim2real.errors import ConfigError, ContractError
from ros2_sim2real.policy_contract import PolicyContract

__all__ = [
    "FIXED_WIDTH",
    "METADATA_KEY",
    "VERSION",
    "ActionSpec",
    "Bounds",
    "Chunk",
    "Gains",
    "GoalInput",
    "History",
    "Normaliser",
    "ObservationTerm",
    "PerElement",
    "PolicyContract",
    "Provenance",
    "Range",
    "RecurrentState",
    "Source",
    "Spread",
    "TermHistory",
    "parse_contract",
    "per_element",
]

METADATA_KEY = "ros2_sim2real.contract"
VERSION = 2
# Fields that version 1 did not have. A file of version 1 that holds one was edited by hand.
SINCE_2 = frozenset({"chunk", "delay", "history", "recurrent", "reset_on_goal", "signs", "units"})


def parse_contract(text: str, *, where: str) -> PolicyContract:
    """Returns the contract in `text`, as of this release. Raises ContractError, all problems."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractError(
            f"{where}: the contract is not JSON: {error}. Export the policy again"
        ) from None
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ContractError(
            f"{where}: the contract has version {version}, this release reads up to {VERSION}. "
            "Update ros2_sim2real"
        )
    if version == 1 and not isinstance(version, bool):
        data = _from_version_1(data, where=where)
    try:
        return validate(data, PolicyContract, where=where)
    except (ConfigError, ValidationError) as error:
        raise ContractError(str(error)) from None


def _from_version_1(data: dict[str, Any], *, where: str) -> dict[str, Any]:
    """Returns a contract of version 1 as one of version 2, whose new fields default to its ways.

    Raises ContractError when it holds what version 1 did not know: its reader then never looked.
    """
    strange = [f"`{name}`" for name in data if name in SINCE_2]
    terms = data.get("observation")
    for term in terms if isinstance(terms, list) else []:
        if isinstance(term, dict):
            strange += [f"`observation.{k}`" for k in ("history", "training") if k in term]
    if strange:
        raise ContractError(
            f"{where}: a contract of version 1 does not know {', '.join(strange)}. Export the "
            "policy again"
        )
    return {**data, "version": VERSION}
