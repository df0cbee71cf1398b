"""Tiny policies of every kind, and the same written out in numpy with lists for their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from builders import GOAL, contract, term, with_contract
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ros2_sim2real.contract import PolicyContract

HIDDEN, LENGTH, EXECUTE = 5, 6, 3
NU = 2
Floats = NDArray[np.float64]
TERMS = [
    term("joint_position", 2, offset=[1.2, -1.0]),
    term("joint_velocity", 2, scale=0.1),
    term("previous_action", 2),
    term("goal", 3, "goal_position"),
]
HISTORIES: dict[str, dict[str, Any]] = {
    "by_time": {"history": {"length": 3}},
    "by_term": {"history": {"length": 3, "layout": "by_term", "order": "newest_first"}},
    "zeros": {"history": {"length": 4, "fill": "zeros", "skip": 1}},
    "of_terms": {
        "observation": [
            {**TERMS[0], "history": {"length": 3, "order": "newest_first"}},
            *TERMS[1:3],
            {**TERMS[3], "history": {"length": 2, "fill": "zeros", "skip": 1}},
        ]
    },
}
PLANS: dict[str, dict[str, Any]] = {
    blend: {"chunk": {"length": LENGTH, "period": 0.02, "execute": execute, "blend": blend} | more}
    for blend, execute, more in (
        ("replace", EXECUTE, {"skip": 1}),
        ("exponential", EXECUTE, {"weight": 0.5}),
        ("ensemble", 1, {"weight": 0.1}),
    )
}
MEMORY: dict[str, Any] = {
    "recurrent": [
        {"input": f"{x}_in", "output": f"{x}_out", "shape": [1, 1, HIDDEN]} for x in "hc"
    ],
    "reset_on_goal": True,
}
KINDS: dict[str, dict[str, Any]] = {
    "feedforward": {},
    "normalised": {
        "normaliser": {
            "mean": [0.1] * 9,
            "std": [0.5 + 0.1 * i for i in range(9)],
            "clip": [-2, 2],
        }
    },
    **{f"history_{k}": v for k, v in HISTORIES.items()},
    **{f"chunk_{k}": v for k, v in PLANS.items()},
    "lstm": MEMORY,
    "lstm_history_chunk": {**MEMORY, **HISTORIES["by_term"], **PLANS["exponential"]},
}


def promise(kind: str, **changes: Any) -> PolicyContract:
    """A contract for teach2 that uses what `kind` names; raw actions move it about its pose."""
    data = {
        "observation": TERMS,
        "goal": GOAL,
        "action": {"kind": "delta_default", "scale": 0.2},
        **KINDS[kind],
        **changes,
    }
    if isinstance(data.get("normaliser"), dict):
        data["normaliser"] = {k: list(map(float, v)) for k, v in data["normaliser"].items()}
    return contract(**data)


class Weights:
    """Float32 weights for a contract: an optional LSTM, then one tanh layer."""

    def __init__(self, promised: PolicyContract, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        n = promised.observation_width
        self.recurrent = bool(promised.recurrent)
        self.shape = promised.output_shape
        draw = lambda *shape: rng.normal(0.0, 0.4, shape).astype(np.float32)  # noqa: E731
        self.W, self.R = draw(1, 4 * HIDDEN, n), draw(1, 4 * HIDDEN, HIDDEN)
        self.B = draw(1, 8 * HIDDEN)
        width = HIDDEN if self.recurrent else n
        self.A, self.b = draw(width, int(np.prod(self.shape))), draw(int(np.prod(self.shape)))

    def numpy(self) -> NumpyNetwork:
        return NumpyNetwork(self)

    def model(self) -> onnx.ModelProto:
        """The same as ONNX: obs, h_in, c_in -> actions, h_out, c_out."""
        n = self.W.shape[2]
        inputs, outputs = {"obs": (1, n)}, {"actions": self.shape}
        constants: dict[str, NDArray[Any]] = {"A": self.A, "b": self.b}
        constants["shape"] = np.array(self.shape, dtype=np.int64)
        nodes, value = [], "obs"
        if self.recurrent:
            inputs |= {f"{x}_in": (1, 1, HIDDEN) for x in "hc"}
            outputs |= {f"{x}_out": (1, 1, HIDDEN) for x in "hc"}
            constants |= {"W": self.W, "R": self.R, "B": self.B}
            constants["sequence"] = np.array([1, 1, n], dtype=np.int64)
            constants["row"] = np.array([1, HIDDEN], dtype=np.int64)
            nodes = [
                helper.make_node("Reshape", ["obs", "sequence"], ["x"]),
                helper.make_node(
                    "LSTM",
                    ["x", "W", "R", "B", "", "h_in", "c_in"],
                    ["", "h_out", "c_out"],
                    hidden_size=HIDDEN,
                ),
                helper.make_node("Reshape", ["h_out", "row"], ["y"]),
            ]
            value = "y"
        nodes += [
            helper.make_node("Gemm", [value, "A", "b"], ["z"]),
            helper.make_node("Tanh", ["z"], ["t"]),
            helper.make_node("Reshape", ["t", "shape"], ["actions"]),
        ]
        info = lambda v: [  # noqa: E731
            helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in v.items()
        ]
        stored = [numpy_helper.from_array(v, k) for k, v in constants.items()]
        graph = helper.make_graph(nodes, "policy", info(inputs), info(outputs), stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    def file(self, promised: PolicyContract) -> bytes:
        return with_contract(self.model(), promised.to_json())


class NumpyNetwork:
    """The network by its equations (ONNX's gate order: input, output, forget, cell)."""

    def __init__(self, weights: Weights) -> None:
        self.w = weights
        self.reset()

    def reset(self) -> None:
        self.h = self.c = np.zeros(HIDDEN)

    def __call__(self, observation: Floats) -> Floats:
        x = np.asarray(observation, dtype=np.float64).ravel()
        w = self.w
        if w.recurrent:
            b = w.B[0].astype(np.float64)
            gates = w.W[0] @ x + w.R[0] @ self.h + b[: 4 * HIDDEN] + b[4 * HIDDEN :]
            i, o, f, c = np.split(gates, 4)
            sigmoid = lambda v: 1.0 / (1.0 + np.exp(-v))  # noqa: E731
            self.c = sigmoid(f) * self.c + sigmoid(i) * np.tanh(c)
            x = self.h = sigmoid(o) * np.tanh(self.c)
        return np.tanh(x @ w.A.astype(np.float64) + w.b).reshape(w.shape[1:])

    def act(self, observation: NDArray[np.float32], zeroed: bool) -> Floats:
        """As `record_golden` asks the network that was trained."""
        if zeroed:
            self.reset()
        return self(observation)
