"""What every import does once it knows the contract: open the original, compare, write, report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import ContractError, ConversionError
from ros2_sim2real.offline._import_env import Findings, join
from ros2_sim2real.offline._import_parity import agree, open_onnx, random_rows
from ros2_sim2real.offline.golden import rehearse
from ros2_sim2real.offline.onnx_file import has_normaliser, with_contract, write_policy
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.offline.tagged_yaml import one_line
from ros2_sim2real.offline.torchscript import (
    Converted,
    Rows,
    convert_torchscript,
    is_torchscript,
    require_trust,
)
from ros2_sim2real.policy.artefact import parse_graph
from ros2_sim2real.policy.golden_file import Golden
from ros2_sim2real.policy.model_file import read_bytes
from ros2_sim2real.robot import RobotSpec


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    output: Path
    contract: PolicyContract
    sha256: str  # of the file written
    understood: tuple[str, ...]  # stands in the trainer's files or was stated
    assumed: tuple[str, ...]  # holds for the trainer's own tasks, not stated anywhere
    missing: tuple[str, ...]  # harmless: something stands in for it
    difference: float  # largest, to the original's answers, relative to those above 1


@dataclass(frozen=True, slots=True)
class Network:
    """A policy's network as the trainer exported it: TorchScript or ONNX."""

    content: bytes
    where: str
    scripted: bool

    def convert(
        self,
        contract: PolicyContract,
        rows: Rows,
        *,
        trust: bool,
        limits: ChildLimits | None,
    ) -> Converted:
        """Returns it as ONNX with its answers to `rows`. Raises ConversionError."""
        if self.scripted:
            return convert_torchscript(
                self.content, rows, trust=trust, where=self.where, limits=limits
            )
        return open_onnx(self.content, contract, rows, self.where, limits)


def read_network(path: Path, *, trust: bool) -> Network:
    """Returns the file's bytes, nothing in them opened.

    Raises:
        ConversionError: TorchScript that the user does not trust, or neither of the two.
        PolicyFileError: it cannot be read.
    """
    content = read_bytes(path)
    scripted = is_torchscript(content, where=str(path))
    if scripted:
        require_trust(trust, where=str(path))
    return Network(content, str(path), scripted)


def import_network(
    network: Network,
    contract: PolicyContract,
    findings: Findings,
    output: Path,
    *,
    spec: RobotSpec,
    trust: bool,
    limits: ChildLimits | None,
) -> ImportReport:
    """Converts an exported network and writes `output`. Raises ConversionError."""
    rows = random_rows(contract.observation_width)
    original = network.convert(contract, rows, trust=trust, limits=limits)
    return finish(
        original, network.content, contract, rows, findings, output, network.where, limits, spec
    )


def finish(
    original: Converted,
    content: bytes,
    contract: PolicyContract,
    rows: Rows,
    findings: Findings,
    output: Path,
    where: str,
    limits: ChildLimits | None,
    spec: RobotSpec,
) -> ImportReport:
    """Compares original and result on `rows`, then writes `output`; else it stays as it was.

    Args:
        original: the network as ONNX, and what the original answered to `rows`.
        content: the trainer's file.
        contract: what the new file promises, its origin left open.
        rows: observations, (n, nobs).
        findings: what the import learned.
        output: the policy file to write.
        where: the trainer's file, for messages.
        limits: of the process that runs the result.
        spec: robot of the policy, for the golden vectors.

    Raises:
        ConversionError: they differ, or the graph does not fit the contract.
    """
    contract = _with_origin(contract, content, original, findings, where)
    final = with_contract(original.model, contract, where=where)
    difference = agree(original, final, contract, rows, where, limits)
    golden = _rehearsed(final, contract, spec, findings, where)
    written = write_policy(final, contract, output, golden=golden)
    return ImportReport(
        output=output,
        contract=contract,
        sha256=written.file.sha256,
        understood=_lines(findings.understood),
        assumed=_lines(findings.assumed),
        missing=_lines(findings.missing),
        difference=difference,
    )


def refuse_if_lacking(findings: Findings, where: str) -> None:
    """Raises ConversionError with everything that is missing or cannot be run, if anything."""
    refusal = findings.refusal()
    if refusal is not None:
        raise ConversionError(f"{where}: {refusal}")


def assemble(fields: dict[str, Any], where: str) -> PolicyContract:
    """Returns the contract of these fields. Raises ConversionError when they do not agree."""
    try:
        return PolicyContract.model_validate(fields)
    except ValidationError as error:
        problems = dict.fromkeys(e["msg"].removeprefix("Value error, ") for e in error.errors())
        raise ConversionError(
            f"{where}: the contract does not hold together: expected {join(problems)}"
        ) from None


def _with_origin(
    contract: PolicyContract, content: bytes, original: Converted, findings: Findings, where: str
) -> PolicyContract:
    normalised = has_normaliser(parse_graph(original.model, where=where))
    if normalised:
        findings.understood.append("the observation's normaliser is inside the network")
    for state in original.states:
        findings.understood.append(
            f"memory `{state.input}` {list(state.shape)}, zeros at the start of an episode"
        )
    if original.stale:
        findings.understood.append(
            f"the file held memory of an earlier run ({', '.join(original.stale)}): left out"
        )
    origin = contract.provenance.model_copy(
        update={"sha256": hashlib.sha256(content).hexdigest(), "notes": _lines(findings.assumed)}
    )
    return contract.model_copy(
        update={
            "provenance": origin,
            "normaliser": "inside" if normalised else "none",
            "recurrent": original.states,
        }
    )


def _rehearsed(
    final: bytes, contract: PolicyContract, spec: RobotSpec, findings: Findings, where: str
) -> Golden | None:
    """Returns golden vectors of the graph, which was just compared with the original."""
    try:
        return rehearse(final, contract, spec, where=where)
    except ContractError as error:
        findings.missing.append(f"no golden vectors: {error}")
        return None


def _lines(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(one_line, found)))
