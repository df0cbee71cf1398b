"""A trained actor as a policy file: one ONNX graph, proven to answer as torch does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ros2_sim2real.contract import PolicyContract, Provenance
from ros2_sim2real.errors import TrainingError
from ros2_sim2real.offline.golden import rehearse
from ros2_sim2real.offline.onnx_file import with_contract, write_policy
from ros2_sim2real.offline.train import Run
from ros2_sim2real.policy.artefact import Artefact
from ros2_sim2real.policy.golden_file import with_golden
from ros2_sim2real.policy.model_file import ModelFile, seal
from ros2_sim2real.policy.onnx_policy import Network

TOLERANCE = 1e-5  # of the raw action
RANDOM, RECORDED = 1000, 100
_ACTIVATIONS = {"ELU": "Elu", "ReLU": "Relu", "Tanh": "Tanh"}
_OPSET, _IR = 17, 8  # read by every onnxruntime since 2022

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Exported:
    """A policy file, and how far it answers from the network that was trained."""

    artefact: Artefact
    difference: float  # largest over all compared observations, of the raw action

    @property
    def path(self) -> Path:
        """Returns where the file is."""
        return Path(self.artefact.file.path)


def export_policy(
    run: Run, folder: Path, *, date: str, source: str = "", notes: tuple[str, ...] = ()
) -> Exported:
    """Writes `reach-<robot>-<date>-<4 digits of its sha256>.onnx` into `folder`.

    Args:
        run: as `open_run` returns it.
        folder: where policies are kept.
        date: as YYYYMMDD.
        source, notes: where it comes from, kept in the contract.

    Raises:
        TrainingError: ONNX and torch differ by more than 1e-5 on 1,000 random observations or on
            100 that the policy meets; nothing is written.
        ContractError: they differ in a rehearsal, from which the golden vectors come.
    """
    config = run.config.model_dump_json()
    contract = run.task.contract.model_copy(
        update={
            "provenance": Provenance(
                trainer=f"sim2real train, {_versions()}",
                source=source,
                sha256=hashlib.sha256(config.encode()).hexdigest(),
                notes=(*notes, f"seed {run.config.seed}", f"updates {run.iteration}"),
            )
        }
    )
    graph = actor_graph(run.learner.actor)
    difference = check_parity(graph, contract, run.learner.act, observations(run))
    golden = rehearse(
        graph, contract, run.spec, act=lambda row, _: run.learner.act(row)[0], where="export"
    )
    digest = hashlib.sha256(with_golden(_sealed(graph, contract), golden)).hexdigest()
    path = folder / f"reach-{run.spec.name}-{date}-{digest[:4]}.onnx"
    return Exported(write_policy(graph, contract, path, golden=golden), difference)


def observations(run: Run) -> Rows:
    """Returns random observations spread as those of the training, then recorded ones."""
    normaliser = run.learner.actor.obs_normalizer
    mean, std = normaliser.mean.numpy(), normaliser.std.numpy()
    rng = np.random.default_rng(0)
    random = mean + std * rng.standard_normal((RANDOM, len(mean)))
    recorded = []
    environment = run.environment
    for _ in range(RECORDED):
        step = environment.step(run.learner.act(environment.observation))
        recorded.append(step.observation[rng.integers(len(step.observation))])
    return np.concatenate([random, np.array(recorded)]).astype(np.float32)


def check_parity(graph: bytes, contract: PolicyContract, act: Any, rows: Rows) -> float:
    """Returns the largest difference between `graph`, as it will run, and `act` on `rows`.

    Raises:
        TrainingError: it is more than 1e-5, or not a number.
    """
    sealed = _sealed(graph, contract)
    file = ModelFile("export", sealed, hashlib.sha256(sealed).hexdigest())
    row = np.zeros((1, rows.shape[1]), dtype=np.float32)
    network = Network(Artefact(file, contract), row)
    worst = 0.0
    expected = act(rows)
    for observation, wanted in zip(rows, expected, strict=True):
        row[0] = observation
        worst = float(np.fmax(worst, np.abs(network() - wanted).max()))
        if not worst <= TOLERANCE or not np.isfinite(wanted).all():
            raise TrainingError(
                f"the exported policy answers {worst:.3g} away from the trained one, at most "
                f"{TOLERANCE} is accepted. Nothing was written; report this with the checkpoint"
            )
    return worst


def actor_graph(actor: Any) -> bytes:
    """Returns rsl-rl's actor, normaliser included, as serialised ONNX: obs (1, n) to actions.

    Built from the layers themselves: torch's exporter would need one more package and takes
    longer than this, and whatever builds the graph, `check_parity` decides.

    Raises:
        TrainingError: the actor has a layer that this does not know.
    """
    normaliser = actor.obs_normalizer
    weights = {
        "mean": normaliser._mean.numpy(),
        "std": (normaliser._std + normaliser.eps).numpy(),
    }
    nodes = [
        helper.make_node("Sub", ["obs", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normalised"]),
    ]
    value = "normalised"
    for i, layer in enumerate(actor.mlp):
        kind = type(layer).__name__
        if kind == "Linear":
            weights[f"w{i}"] = layer.weight.detach().numpy()
            weights[f"b{i}"] = layer.bias.detach().numpy()
            node = helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"h{i}"], transB=1)
        elif kind in _ACTIVATIONS:
            node = helper.make_node(_ACTIVATIONS[kind], [value], [f"h{i}"])
        else:
            raise TrainingError(f"layer {i} of the actor is {kind}, which is not exported")
        nodes.append(node)
        value = f"h{i}"
    nodes[-1].output[0] = "actions"
    return _model(nodes, weights, width=normaliser._mean.shape[1])


def _model(nodes: list[onnx.NodeProto], weights: dict[str, Rows], *, width: int) -> bytes:
    count = len(next(reversed(weights.values())))  # the last layer's bias
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, [1, width])],
        [helper.make_tensor_value_info("actions", TensorProto.FLOAT, [1, count])],
        [numpy_helper.from_array(np.asarray(w, np.float32), name) for name, w in weights.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _sealed(graph: bytes, contract: PolicyContract) -> bytes:
    return seal(with_contract(graph, contract, where="export"))


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("rsl-rl-lib", "torch", "mujoco"))
