"""One policy, four ways: golden vectors, the graph alone, the deployed object, the live graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ros2_sim2real.backends.record import Run
from ros2_sim2real.bringup import Arguments
from ros2_sim2real.closed_loop import simulate
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import ConfigError, ContractError
from ros2_sim2real.offline.evaluate import run_through_ros
from ros2_sim2real.policy.artefact import Artefact
from ros2_sim2real.policy.golden_file import Golden, check_widths, golden_of
from ros2_sim2real.policy.parity import (
    TOLERANCE,
    Answers,
    Difference,
    compare_graph,
    compare_policy,
    first_fault,
)
from ros2_sim2real.robot import RobotSpec

MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Parity:
    """Every comparison that was made."""

    policy: str
    differences: tuple[Difference, ...]

    @property
    def fault(self) -> Difference | None:
        """Returns the first thing that differs, None when everything agrees."""
        return first_fault(self.differences)

    def to_dict(self) -> dict[str, object]:
        """Returns the figures for `--json`."""
        fault = self.fault
        return {
            "policy": self.policy,
            "passed": fault is None,
            "tolerance": TOLERANCE,
            "first": None if fault is None else f"{fault.where}: {fault.name}",
            "items": [
                {
                    "where": d.where,
                    "name": d.name,
                    "difference": d.largest if np.isfinite(d.largest) else None,
                    "decision": None if d.agrees else d.row,
                    "status": "pass" if d.agrees else "fail",
                }
                for d in self.differences
            ],
        }


def compare(
    artefact: Artefact, spec: RobotSpec, *, reference: Path | None, live: Arguments | None
) -> Parity:
    """Returns every difference between what a policy should do and what it does.

    Args:
        artefact: the policy file.
        spec: robot on which it runs.
        reference: npz with the answers of the trained network (`docs/contract.md`), None: the
            golden vectors in the file.
        live: run that goes through the live graph and through one process; None: neither.

    Raises:
        Sim2RealError: there is nothing to compare with, or a part does not run.
    """
    artefact.contract.check_robot(spec)
    golden = golden_of(artefact)
    if golden is None and reference is None and live is None:
        raise ContractError(
            f"{artefact.file.path}: holds no golden vectors (metadata `ros2_sim2real.golden`). "
            "Export it again, or name a --reference or --live"
        )
    out: list[Difference] = []
    if golden is not None:
        out += compare_graph(artefact, Answers.of(golden))
        out += compare_policy(artefact, spec, golden)
    if reference is not None:
        answers, full = read_reference(reference, artefact.contract)
        out += _named("reference graph", compare_graph(artefact, answers))
        if full is not None:
            out += _named("reference policy", compare_policy(artefact, spec, full))
    if live is not None:
        out += compare_runs(simulate(live), run_through_ros(live))
    return Parity(artefact.name, tuple(out))


def read_reference(path: Path, contract: PolicyContract) -> tuple[Answers, Golden | None]:
    """Returns recorded answers, and golden vectors where the file has all their columns.

    Raises:
        ConfigError: no such npz, or its arrays are not those of this policy.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(str(path), [f"is larger than {MAX_BYTES} bytes"])
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ConfigError(
            str(path), [f"expected an npz with observation and output: {error}"]
        ) from None
    columns = set(Golden.model_fields) - {"version", "joints"}
    if columns <= arrays.keys():
        golden = _golden(arrays, columns, contract, where=str(path))
        return Answers.of(golden), golden
    return _answers(arrays, contract, where=str(path)), None


def _golden(
    arrays: Mapping[str, NDArray[np.generic]],
    columns: set[str],
    contract: PolicyContract,
    *,
    where: str,
) -> Golden:
    lists = {
        name: tuple(tuple(r) if isinstance(r, list) else r for r in arrays[name].tolist())
        for name in columns
    }
    try:
        golden = Golden.model_validate(lists)
    except ValidationError as error:
        raise ConfigError(where, [str(e["msg"]) for e in error.errors()[:3]]) from None
    check_widths(golden, contract, where=where)
    return golden


def _answers(
    arrays: Mapping[str, NDArray[np.generic]], contract: PolicyContract, *, where: str
) -> Answers:
    missing = sorted({"observation", "output"} - arrays.keys())
    if missing:
        raise ConfigError(where, [f"has no array {missing}, it has {sorted(arrays)}"])
    observation, output = arrays["observation"], arrays["output"]
    n = len(observation)
    zeroed = arrays.get("zeroed", np.arange(n) == 0)
    expected = {
        "observation": (n, contract.observation_width),
        "output": (n, int(np.prod(contract.output_shape))),
    }
    got = {"observation": observation.shape, "output": (len(output), output[0].size if n else 0)}
    wrong = [f"`{k}` {got[k]}, expected {expected[k]}" for k in expected if got[k] != expected[k]]
    if wrong or not n or zeroed.shape != (n,):
        raise ConfigError(where, [*wrong, "one row for each observation, and at least one"])
    return Answers(
        observation.astype(np.float32),
        output.reshape(n, -1).astype(np.float64),
        zeroed.astype(np.bool_),
    )


def compare_runs(one_process: Run, live: Run) -> list[Difference]:
    """Returns how far the live graph is from one process, bit for bit: the tolerance is zero.

    The last state may lack its command: the simulation ends with the state.
    """
    out = []
    n = min(len(one_process.command), len(live.command))
    for name, expected, got in (
        ("q", one_process.q, live.q),
        ("dq", one_process.dq, live.dq),
        ("command", one_process.command[:n], live.command[:n]),
    ):
        same = expected.shape == got.shape and n > 0
        for i, joint in enumerate(one_process.joints):
            apart = np.abs(expected[:, i] - got[:, i]) if same else np.array([np.inf])
            beyond = np.flatnonzero(~(apart == 0.0))
            row = int(beyond[0]) if len(beyond) else -1
            out.append(Difference("live", f"{name}.{joint}", float(apart.max()), row))
    return out


def _named(where: str, differences: list[Difference]) -> list[Difference]:
    return [Difference(where, d.name, d.largest, d.row) for d in differences]
