"""Policy files: a contract into an ONNX graph, and the whole into place at once or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from ros2_sim2real.contract import METADATA_KEY, PolicyContract, RecurrentState
from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline._onnx_walk import graphs, names, nodes
from ros2_sim2real.policy.artefact import Artefact, load_artefact, parse_graph
from ros2_sim2real.policy.golden_file import Golden, with_golden
from ros2_sim2real.policy.model_file import seal

# Control flow that can run for ever, and domains whose operators are native code of someone else.
_REFUSED_OPERATORS = {"Loop", "Scan", "SequenceMap"}
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}


def write_policy(
    content: bytes, contract: PolicyContract, path: Path, *, golden: Golden | None = None
) -> Artefact:
    """Writes the policy file and returns it as read back; until then an old file stays.

    Args:
        content: serialised ONNX, sealed or not, any names and metadata.
        contract: what the file promises.
        path: where it goes; its folder is made.
        golden: recorded decisions that travel with it (`offline.golden.rehearse`).

    Raises:
        ConversionError: the graph does not fit the contract, or the file cannot be written.
    """
    sealed = seal(with_contract(content, contract, where=str(path)))
    if golden is not None:
        sealed = with_golden(sealed, golden)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part"
        )
    except OSError as error:
        raise ConversionError(
            f"{path}: cannot be written: {error.strerror}. Choose another output"
        ) from None
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        written = load_artefact(temporary)
        if written.contract != contract:
            raise ConversionError(f"{path}: the contract does not read back as it was written")
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise ConversionError(
            f"{path}: cannot be written: {error.strerror}. Choose another output"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return load_artefact(path)


def with_contract(content: bytes, contract: PolicyContract, *, where: str) -> bytes:
    """Returns the graph with contract, the contract's names, one row per call, nothing foreign.

    Metadata, documentation and unused names of the exporter are dropped: they hold paths and
    stack traces of the machine that trained.

    Raises:
        ConversionError: lists everything in which graph and contract differ.
        PolicyFileError: `content` is no ONNX, or refers to other files.
    """
    model = parse_graph(content, where=where)
    graph = model.graph
    refuse_operators(model, where=where)
    states = contract.recurrent
    source, sink = endpoints(model, where=where, output=contract.output, states=states)
    joints = f"the contract has joints {list(contract.joints)}"
    problems = [
        *_fix_shape(source, (1, contract.observation_width), "input", _widths(contract)),
        *_fix_shape(sink, contract.output_shape, "output", joints),
    ]
    taken, given = [source], [sink]
    for state in states:
        before, after = _memory(graph, state, where)
        problems += _fix_shape(before, state.shape, "memory", "the contract has `recurrent`")
        problems += _fix_shape(after, state.shape, "memory", "the contract has `recurrent`")
        taken.append(before)
        given.append(after)
    if problems:
        raise ConversionError(f"{where}: " + "; ".join(problems))
    _rename(graph, {source.name: contract.input, sink.name: contract.output})
    _only(graph.input, taken)
    _only(graph.output, given)
    _strip(model)
    graph.name = "policy"
    model.producer_name, model.producer_version = "ros2_sim2real", ""
    onnx.helper.set_model_props(model, {METADATA_KEY: contract.to_json()})
    return bytes(model.SerializeToString(deterministic=True))


def endpoints(
    model: onnx.ModelProto,
    *,
    where: str,
    output: str = "actions",
    states: Sequence[RecurrentState] = (),
) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    """Returns the observation input and the action output of a graph, beside its memory.

    Raises:
        ConversionError: there is not exactly one of each.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    stored |= {state.input for state in states}
    inputs = [v for v in model.graph.input if v.name not in stored]
    if len(inputs) != 1:
        raise ConversionError(
            f"{where}: the graph has the inputs {[v.name for v in inputs]}, expected one row of "
            "observations. A recurrent policy is imported from its TorchScript"
        )
    memory = {state.output for state in states}
    outputs = [v for v in model.graph.output if v.name not in memory]
    named = [v for v in outputs if v.name in (output, "actions")]
    if len(outputs) != 1 and len(named) != 1:
        raise ConversionError(
            f"{where}: the graph has the outputs {[v.name for v in outputs]}, expected one of the "
            "name 'actions'. Export the deterministic action only"
        )
    return inputs[0], (outputs if len(outputs) == 1 else named)[0]


def _memory(
    graph: onnx.GraphProto, state: RecurrentState, where: str
) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    """Returns what the graph takes in and gives back of one state. Raises ConversionError."""
    before = [v for v in graph.input if v.name == state.input]
    after = [v for v in graph.output if v.name == state.output]
    if len(before) != 1 or len(after) != 1:
        raise ConversionError(
            f"{where}: the graph has the inputs {[v.name for v in graph.input]} and outputs "
            f"{[v.name for v in graph.output]}, expected the memory '{state.input}' and "
            f"'{state.output}' of the contract"
        )
    return before[0], after[0]


def width_of(value: onnx.ValueInfoProto) -> int | None:
    """Returns the length of a row, None when the graph leaves it open."""
    dims = value.type.tensor_type.shape.dim
    return (dims[-1].dim_value or None) if dims else None


def refuse_operators(model: onnx.ModelProto, *, where: str) -> None:
    """Raises ConversionError for loops and for operators that are not ONNX's own."""
    found = {(node.domain, node.op_type) for node in nodes(model.graph)}
    loops = sorted(op for domain, op in found if domain in _DOMAINS and op in _REFUSED_OPERATORS)
    foreign = sorted(f"{domain}.{op}" for domain, op in found if domain not in _DOMAINS)
    if model.functions:
        foreign.append(f"{len(model.functions)} functions of its own")
    if loops or foreign:
        raise ConversionError(
            f"{where}: the graph uses {[*loops, *foreign]}; loops and operators of other makers "
            "are not run. Export the network alone"
        )


def has_normaliser(model: onnx.ModelProto) -> bool:
    """Returns whether the graph begins by shifting or scaling its input."""
    stored = {tensor.name for tensor in model.graph.initializer}
    rows = {v.name for v in model.graph.input if v.name not in stored}
    first = {node.op_type for node in model.graph.node if rows & set(node.input)}
    return bool(first & {"Sub", "Add", "Div", "Mul", "BatchNormalization"})


def _fix_shape(
    value: onnx.ValueInfoProto, expected: tuple[int, ...], what: str, explanation: str
) -> list[str]:
    tensor = value.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        return [f"{what} '{value.name}' is not float32. Export the policy in single precision"]
    dims = list(tensor.shape.dim) if tensor.HasField("shape") else []
    shown = [d.dim_value or d.dim_param or "?" for d in dims]
    got = f"{what} '{value.name}' has shape {shown}, expected {list(expected)}"
    if dims and (len(dims) != len(expected) or (expected[0] == 1 and dims[0].dim_value > 1)):
        return [f"{got}. Export with a batch of one"]
    if any(d.dim_value not in (0, size) for d, size in zip(dims, expected, strict=False)):
        return [f"{got}: {explanation}"]
    shape = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, list(expected))
    value.type.CopyFrom(shape)
    return []


def _widths(contract: PolicyContract) -> str:
    return "the terms are " + ", ".join(f"{t.name} {t.width}" for t in contract.observation)


def _rename(graph: onnx.GraphProto, renamed: dict[str, str]) -> None:
    """Renames values everywhere; whatever else bears a new name steps aside."""
    taken = set(names(graph))
    mapping = {old: new for old, new in renamed.items() if old != new}
    for new in list(mapping.values()):
        if new in taken and new not in mapping:
            aside = f"{new}_inner"
            while aside in taken:
                aside += "_"
            mapping[new] = aside
            taken.add(aside)
    for part in graphs(graph):
        for node in part.node:
            node.input[:] = [mapping.get(name, name) for name in node.input]
            node.output[:] = [mapping.get(name, name) for name in node.output]
        for value in (*part.input, *part.output, *part.value_info, *part.initializer):
            value.name = mapping.get(value.name, value.name)
        for sparse in part.sparse_initializer:
            sparse.values.name = mapping.get(sparse.values.name, sparse.values.name)


def _only(values: Any, keep: Sequence[onnx.ValueInfoProto]) -> None:
    """Leaves `keep` in the protobuf list `values`."""
    kept = [onnx.ValueInfoProto() for _ in keep]
    for copy, value in zip(kept, keep, strict=True):
        copy.CopyFrom(value)
    del values[:]
    values.extend(kept)


def _strip(model: onnx.ModelProto) -> None:
    model.doc_string = ""
    for part in graphs(model.graph):
        del part.value_info[:]  # shapes of other batch sizes
        del part.metadata_props[:]
        part.doc_string = ""
        for item in (*part.node, *part.initializer, *part.input, *part.output):
            item.doc_string = ""
            del item.metadata_props[:]
