"""Golden vectors: recorded decisions of a policy, kept in its file, to compare any later run with.

Each decision has what was measured, what the network was shown, what it answered and the target
that came of it, so that a difference is found and has a name: observation term, output or target.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnx
from pydantic import Field, ValidationError, model_validator

from ros2_sim2real.config import Schema
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import ContractError
from ros2_sim2real.policy.artefact import GOLDEN_KEY, Artefact, parse_graph
from ros2_sim2real.policy.model_file import SEAL_KEY, seal, unseal
from ros2_sim2real.robot import JointMap

MAX_BYTES = 1 << 20  # of the JSON in a policy file

Rows = tuple[tuple[float, ...], ...]


class Golden(Schema):
    """Decisions one after the other, `1 / rate_hz` apart. Joints in the robot's signs.

    An episode starts with `start`: every second one by `reset`, the others by a gap in the stamps.
    """

    version: Literal[1] = 1
    joints: tuple[str, ...] = Field(
        (), description="names of the columns of q, dq and target; empty: the contract's"
    )
    start: tuple[bool, ...] = Field(description="an episode starts")
    zeroed: tuple[bool, ...] = Field(description="the graph's memory is zeros")
    asked: tuple[bool, ...] = Field(description="the network was asked; else a plan went on")
    q: Rows = Field(description="measured [rad]")
    dq: Rows = Field(description="measured [rad/s]")
    goal: Rows = Field(description="x y z [m], w x y z, policy's frame; empty: takes no goal")
    observation: Rows = Field(description="what the network was shown, float32")
    output: Rows = Field(description="what the network answered, float32, plans row by row")
    action: Rows = Field(description="raw action in force, blended where there are plans")
    target: Rows = Field(description="what came of it [rad]")

    @model_validator(mode="after")
    def _aligned(self) -> Golden:
        n = len(self.start)
        names = [name for name in type(self).model_fields if name not in ("version", "joints")]
        wrong = [
            name
            for name in names
            if len(getattr(self, name)) != n and not (name == "goal" and not self.goal)
        ]
        if wrong or not n or not self.start[0]:
            raise ValueError(f"{n} decisions in every column, from a start on, not so: {wrong}")
        return self

    def __len__(self) -> int:
        """Returns the number of decisions."""
        return len(self.start)


def in_order(golden: Golden, joints: Sequence[str]) -> Golden:
    """Returns golden vectors whose columns follow `joints`. Raises JointMismatch."""
    if not golden.joints or golden.joints == tuple(joints):
        return golden
    reorder = JointMap(ours=joints, theirs=golden.joints)
    columns = {
        name: tuple(tuple(reorder(row).tolist()) for row in getattr(golden, name))
        for name in ("q", "dq", "target")
    }
    return golden.model_copy(update={"joints": tuple(joints), **columns})


def golden_of(artefact: Artefact) -> Golden | None:
    """Returns the golden vectors in a policy file, None when it has none. Raises ContractError."""
    if artefact.golden is None:
        return None
    if len(artefact.golden) > MAX_BYTES:
        raise ContractError(
            f"{artefact.file.path}: {len(artefact.golden)} bytes of golden vectors, at most "
            f"{MAX_BYTES} are read. Record fewer"
        )
    try:
        golden = Golden.model_validate_json(artefact.golden)
    except ValidationError as error:
        first = error.errors()[0]
        raise ContractError(
            f"{artefact.file.path}: `golden.{'.'.join(map(str, first['loc']))}` "
            f"{first['msg']}. Export the policy again"
        ) from None
    check_widths(golden, artefact.contract, where=artefact.file.path)
    return golden


def check_widths(golden: Golden, contract: PolicyContract, *, where: str) -> None:
    """Raises ContractError when golden vectors are not those of such a contract."""
    n, nu = len(contract.joints), contract.action_width
    expected = {
        "q": n,
        "dq": n,
        "goal": 7,
        "observation": contract.observation_width,
        "output": int(np.prod(contract.output_shape)),
        "action": nu,
        "target": n,
    }
    wrong = [
        f"`golden.{name}` has rows of {len(row)}, the contract says {width}"
        for name, width in expected.items()
        for row in getattr(golden, name)[:1]
        if {len(r) for r in getattr(golden, name)} != {width}
    ]
    if golden.joints and len(golden.joints) != n:
        wrong.append(f"`golden.joints` has {len(golden.joints)} names, the contract {n}")
    if bool(golden.goal) != (contract.goal is not None):
        wrong.append("`golden.goal` and `goal` of the contract: one is there without the other")
    if wrong:
        raise ContractError(f"{where}: {'; '.join(wrong)}. Export the policy again")


def with_golden(content: bytes, golden: Golden) -> bytes:
    """Returns a policy file with these golden vectors inside, sealed.

    Args:
        content: ONNX with its contract, sealed or not; golden vectors in it are replaced.
        golden: as `record_golden` returns them.

    Raises:
        ContractError: they are larger than 1 MiB.
        PolicyFileError: `content` is no ONNX.
    """
    text = golden.model_dump_json()
    if len(text) > MAX_BYTES:
        raise ContractError(
            f"golden vectors of {len(text)} bytes, at most {MAX_BYTES} go into a policy file. "
            "Record fewer"
        )
    model = parse_graph(unseal(content) or content, where="golden vectors")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata.pop(SEAL_KEY.decode(), None)
    onnx.helper.set_model_props(model, {**metadata, GOLDEN_KEY: text})
    return seal(bytes(model.SerializeToString(deterministic=True)))
