"""Contracts and tiny policy files that several tests build on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ros2_sim2real.contract import METADATA_KEY, PolicyContract
from ros2_sim2real.errors import Sim2RealError
from ros2_sim2real.policy.model_file import seal

TEACH2 = ("shoulder_joint", "elbow_joint")
PROVENANCE = {"trainer": "test"}


def term(name: str, width: int, source: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"name": name, "source": source or name, "width": width, **fields}


def contract_data(**changes: Any) -> dict[str, Any]:
    """A policy for teach2 at 50 Hz that sees position and speed; `changes` replace fields."""
    data: dict[str, Any] = {
        "robot": "teach2",
        "joints": list(TEACH2),
        "observation": [term("joint_position", 2), term("joint_velocity", 2)],
        "action": {"kind": "absolute", "scale": 1.0},
        "default_pose": [1.2, -1.0],
        "gains": {"stiffness": [80.0, 40.0], "damping": [3.5, 1.2]},
        "rate_hz": 50.0,
        "physics_hz": 200.0,
        "decimation": 4,
        "provenance": PROVENANCE,
    }
    return {**data, **changes}


GOAL = {"kind": "position", "x": [0.1, 0.35], "y": [0.0, 0.0], "z": [0.1, 0.55]}


def contract(**changes: Any) -> PolicyContract:
    return PolicyContract.model_validate_json(json.dumps(contract_data(**changes)))


def linear_graph(
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    *,
    rows: int | str = 1,
    dtype: int = TensorProto.FLOAT,
    names: tuple[str, str] = ("obs", "actions"),
) -> onnx.ModelProto:
    """actions = obs @ weights + bias; weights (nobs, nu)."""
    kind = np.float32 if dtype == TensorProto.FLOAT else np.float64
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", [names[0], "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], [names[1]]),
        ],
        "policy",
        [helper.make_tensor_value_info(names[0], dtype, [rows, weights.shape[0]])],
        [helper.make_tensor_value_info(names[1], dtype, [rows, weights.shape[1]])],
        [
            numpy_helper.from_array(weights.astype(kind), "weights"),
            numpy_helper.from_array(bias.astype(kind), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def with_contract(model: onnx.ModelProto, contract_json: str) -> bytes:
    """The sealed file: the model with the contract in its metadata."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    helper.set_model_props(model, {METADATA_KEY: contract_json})
    return seal(model.SerializeToString())


def policy_bytes(
    promised: PolicyContract,
    weights: NDArray[np.float64] | None = None,
    bias: NDArray[np.float64] | None = None,
) -> bytes:
    """A linear policy that keeps its promise; zero weights: the raw action is `bias`."""
    nobs, nu = promised.observation_width, promised.action_width
    weights = np.zeros((nobs, nu)) if weights is None else weights
    bias = np.zeros(nu) if bias is None else bias
    graph = linear_graph(weights, bias, names=(promised.input, promised.output))
    return with_contract(graph, promised.to_json())


def write_policy(
    path: Path,
    promised: PolicyContract,
    weights: NDArray[np.float64] | None = None,
    bias: NDArray[np.float64] | None = None,
) -> Path:
    path.write_bytes(policy_bytes(promised, weights, bias))
    return path


def refusal(call: Callable[[], object], *kinds: type[Sim2RealError]) -> str | None:
    """None when `call` succeeds, else the one line with which it refused."""
    try:
        call()
    except kinds as error:
        message = str(error)
    else:
        return None
    assert message
    assert "\n" not in message
    assert len(message) < 5000
    return message
