"""A policy file opened and checked: sealed bytes, plain graph, contract that fits the graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from ros2_sim2real import paths
from ros2_sim2real.contract import METADATA_KEY, PolicyContract, parse_contract
from ros2_sim2real.errors import ContractError, PolicyFileError
from ros2_sim2real.policy.model_file import ModelFile, read_model

GOLDEN_KEY = "ros2_sim2real.golden"


@dataclass(frozen=True, slots=True)
class Artefact:
    """A verified policy file and the contract inside it."""

    file: ModelFile
    contract: PolicyContract
    golden: str | None = None  # as stored; policy.golden reads it

    @property
    def name(self) -> str:
        """Returns file name and first digits of the hash, for logs and statuses."""
        return f"{Path(self.file.path).stem}@{self.file.sha256[:8]}"


def find_policy(name: str) -> Path:
    """Returns the policy file that `name` means: a path, or a name within models/policies.

    Raises:
        PolicyFileError: there is none.
    """
    path = paths.find(name, folder="models/policies", suffixes=(".onnx",))
    if path is None:
        raise PolicyFileError(
            f"policy `{name}` is neither a file nor in models/policies. Known: "
            f"{paths.known('models/policies', '*.onnx')}"
        )
    return path


def load_artefact(path: Path | str) -> Artefact:
    """Returns the policy file at `path`, verified.

    Raises:
        PolicyFileError: damaged, or the graph refers to data outside the file.
        ContractError: no contract inside, or one that does not fit the graph.
    """
    file = read_model(path)
    graph = parse_graph(file.content, where=file.path)
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    if METADATA_KEY not in metadata:
        raise ContractError(
            f"{path}: holds no contract (metadata `{METADATA_KEY}`). Export it with `sim2real "
            "train`, or convert it "
            "with `sim2real import`"
        )
    contract = parse_contract(metadata[METADATA_KEY], where=str(path))
    _check_widths(graph, contract, where=str(path))
    return Artefact(file=file, contract=contract, golden=metadata.get(GOLDEN_KEY))


def parse_graph(content: bytes, *, where: str) -> onnx.ModelProto:
    """Returns the ONNX model in `content`; nothing outside those bytes is read."""
    try:
        model = onnx.load_from_string(content)
        # before the checker, which looks for the files that a graph refers to
        _refuse_external_data(model, where)
        onnx.checker.check_model(model, full_check=False)
    except (DecodeError, onnx.checker.ValidationError, ValueError, TypeError) as error:
        detail = " ".join(str(error).split())[:160] or type(error).__name__
        raise PolicyFileError(
            f"{where}: not a valid ONNX model: {detail}. Export it again"
        ) from None
    return model


def _refuse_external_data(model: onnx.ModelProto, where: str) -> None:
    functions = [t for function in model.functions for t in _constants(function.node)]
    for tensor in (*_tensors(model.graph), *functions):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise PolicyFileError(
                f"{where}: tensor `{tensor.name}` lies in another file, which is never read. "
                "Export one file with its weights inside"
            )


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    return [*graph.initializer, *_constants(graph.node)]


def _constants(nodes: Iterable[onnx.NodeProto]) -> list[onnx.TensorProto]:
    found: list[onnx.TensorProto] = []
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                found.append(attribute.t)
            found.extend(attribute.tensors)
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                found.extend(_tensors(inner))
    return found


def _check_widths(model: onnx.ModelProto, contract: PolicyContract, *, where: str) -> None:
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = {v.name: v for v in model.graph.input if v.name not in stored}
    outputs = {v.name: v for v in model.graph.output}
    states = contract.recurrent
    problems = [
        *_differences("input", inputs, contract.input, (1, contract.observation_width)),
        *_differences("output", outputs, contract.output, contract.output_shape),
    ]
    for i, state in enumerate(states):
        problems += _differences(f"recurrent.{i}.input", inputs, state.input, state.shape)
        problems += _differences(f"recurrent.{i}.output", outputs, state.output, state.shape)
    unexpected = sorted(set(inputs) - {contract.input, *(state.input for state in states)})
    if unexpected:
        problems.append(
            f"`input`: the graph also wants {unexpected}, which the contract does not name. "
            "Memory of the graph goes into `recurrent`"
        )
    if problems:
        raise ContractError(f"{where}: " + "; ".join(problems) + ". Export the policy again")


def _differences(
    what: str, values: dict[str, onnx.ValueInfoProto], name: str, expected: tuple[int, ...]
) -> list[str]:
    """Returns in what the graph's value `name` differs from float32 of the shape `expected`."""
    if name not in values:
        return [f"`{what}` is '{name}' in the contract, the graph has {sorted(values)}"]
    problems = []
    tensor = values[name].type.tensor_type
    shape = [d.dim_value or d.dim_param or "?" for d in tensor.shape.dim]
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        problems.append(f"`{what}` '{name}' is not float32")
    # the number of rows may be left open, every other size is part of the promise
    free = [i for i, size in enumerate(expected) if size == 1]
    fits = len(shape) == len(expected) and all(
        size == wanted or (i in free and isinstance(size, str))
        for i, (size, wanted) in enumerate(zip(shape, expected, strict=True))
    )
    if not fits:
        problems.append(
            f"`{what}` '{name}' has shape {shape} in the graph, {list(expected)} in the contract"
        )
    return problems
