"""Whether an imported policy answers as the original does."""

from __future__ import annotations

import numpy as np

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline.onnx_file import endpoints, refuse_operators, with_contract
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.offline.torchscript import Converted, Rows, onnx_answers
from ros2_sim2real.policy.artefact import parse_graph

PARITY_ROWS = 1000
PARITY_LIMIT = 1e-5


def difference(a: Rows, b: Rows) -> float:
    """Returns the largest difference, relative to answers above 1; infinity if incomparable."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    # float32 itself resolves 1e-7 of a large answer, no conversion can do better
    return float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(a))))


def random_rows(width: int) -> Rows:
    """Returns the observations on which original and result are compared, (PARITY_ROWS, width)."""
    return np.random.default_rng(0).normal(size=(PARITY_ROWS, width)).astype(np.float32)


def open_onnx(
    content: bytes, contract: PolicyContract, rows: Rows, where: str, limits: ChildLimits | None
) -> Converted:
    """Returns a foreign ONNX file and its answers; its shape is checked before anything runs."""
    with_contract(content, contract, where=where)
    model = parse_graph(content, where=where)
    refuse_operators(model, where=where)
    source, sink = endpoints(model, where=where, output=contract.output)
    names = (source.name, sink.name)
    return Converted(content, onnx_answers(content, rows, names=names, where=where, limits=limits))


def agree(
    original: Converted,
    final: bytes,
    contract: PolicyContract,
    rows: Rows,
    where: str,
    limits: ChildLimits | None,
) -> float:
    """Returns the largest difference between original and result. Raises ConversionError."""
    names = (contract.input, contract.output)
    ours = onnx_answers(
        final, rows, names=names, where=where, limits=limits, states=contract.recurrent
    )
    largest = difference(original.answers, ours)
    if not largest <= PARITY_LIMIT:
        raise ConversionError(
            f"{where}: the converted policy differs from the original by {largest:.3g} on "
            f"{len(rows)} random inputs, expected at most {PARITY_LIMIT}. Export ONNX with the "
            "trainer and import that"
        )
    return largest
