"""A feed-forward actor as plain numbers -> ONNX, with its normaliser inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = NDArray[np.float32]
_OPSET, _IR = 17, 8  # read by every onnxruntime since 2022
# what trainers call it, in small letters -> ONNX
ACTIVATIONS = {
    "elu": "Elu",
    "relu": "Relu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "selu": "Selu",
    "leakyrelu": "LeakyRelu",
    "lrelu": "LeakyRelu",
    "leaky_relu": "LeakyRelu",
    "softplus": "Softplus",
    "identity": "Identity",
}


@dataclass(frozen=True, slots=True)
class Standardiser:
    """What stands before the first layer: `clip((x - mean) / std)`, each (nobs,)."""

    mean: Weights
    std: Weights
    clip: float | None = None


@dataclass(frozen=True, slots=True)
class Mlp:
    """Layers `(weights (out, in), bias (out,))` with one activation between them.

    `squash`: tanh after the last layer, then the range [-1, 1] becomes `bounds` (low, high).
    """

    layers: tuple[tuple[Weights, Weights], ...]
    activation: str
    standardiser: Standardiser | None = None
    squash: bool = False
    bounds: tuple[Weights, Weights] | None = None

    @property
    def width(self) -> int:
        """Returns the length of its input."""
        return int(self.layers[0][0].shape[1])

    @property
    def count(self) -> int:
        """Returns the length of its output."""
        return int(self.layers[-1][0].shape[0])

    def to_onnx(self) -> bytes:
        """Returns it as serialised ONNX: obs (1, nobs) to actions (1, nu)."""
        graph = _Builder()
        if self.standardiser is not None:
            graph.add("Sub", mean=self.standardiser.mean)
            graph.add("Div", std=self.standardiser.std)
            if self.standardiser.clip is not None:
                limit = np.float32(self.standardiser.clip)
                graph.add("Clip", low=np.array(-limit), high=np.array(limit))
        for i, (weight, bias) in enumerate(self.layers):
            if i:
                graph.add(ACTIVATIONS[self.activation])
            graph.add("Gemm", transB=1, **{f"w{i}": weight, f"b{i}": bias})
        if self.squash:
            graph.add("Tanh")
        if self.bounds is not None:
            low, high = self.bounds
            graph.add("Mul", half=0.5 * (high - low))
            graph.add("Add", middle=0.5 * (high + low))
        return graph.finish(self.width, self.count)


class _Builder:
    """A chain of nodes, each fed by the one before."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._stored: list[onnx.TensorProto] = []
        self._value = "obs"

    def add(self, op: str, *, transB: int = 0, **weights: NDArray[np.floating]) -> None:
        out = f"h{len(self._nodes)}"
        node = helper.make_node(op, [self._value, *weights], [out])
        if transB:
            node.attribute.append(helper.make_attribute("transB", transB))
        self._nodes.append(node)
        for name, value in weights.items():
            self._stored.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        self._value = out

    def finish(self, width: int, count: int) -> bytes:
        self._nodes[-1].output[0] = "actions"
        graph = helper.make_graph(
            self._nodes,
            "policy",
            [helper.make_tensor_value_info("obs", TensorProto.FLOAT, [1, width])],
            [helper.make_tensor_value_info("actions", TensorProto.FLOAT, [1, count])],
            self._stored,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))
