"""Golden vectors into policy files: what every export and import writes through."""

from __future__ import annotations

import hashlib

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import ContractError
from ros2_sim2real.offline.onnx_file import with_contract
from ros2_sim2real.policy.artefact import Artefact
from ros2_sim2real.policy.golden import Act, record_golden
from ros2_sim2real.policy.golden_file import Golden
from ros2_sim2real.policy.model_file import ModelFile, seal
from ros2_sim2real.policy.parity import Difference, compare_policy, first_fault
from ros2_sim2real.robot import RobotSpec


def rehearse(
    content: bytes,
    contract: PolicyContract,
    spec: RobotSpec,
    *,
    act: Act | None = None,
    where: str = "policy",
) -> Golden:
    """Returns golden vectors for a graph that is about to be written with this contract.

    Args:
        content: serialised ONNX.
        contract: what the file will promise.
        spec: robot of the policy.
        act: the network as trained, asked in place of the graph; None: the graph itself.
        where: the file, for messages.

    Raises:
        ContractError: the policy has nothing to say, or the graph answers otherwise than `act`.
        ConversionError: the graph does not fit the contract.
    """
    sealed = seal(with_contract(content, contract, where=where))
    file = ModelFile(where, sealed, hashlib.sha256(sealed).hexdigest())
    artefact = Artefact(file, contract)
    golden = record_golden(artefact, spec, act=act)
    fault = first_fault(compare_policy(artefact, spec, golden)) if act is not None else None
    if fault is not None:
        raise ContractError(f"{where}: {_apart(fault)}. Report this with the checkpoint")
    return golden


def _apart(fault: Difference) -> str:
    return (
        f"in a rehearsal, `{fault.name}` of the exported policy is {fault.largest:.3g} away from "
        f"that of the trained one, from decision {fault.row} on"
    )
