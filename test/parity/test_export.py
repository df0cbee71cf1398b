"""The exported file answers as the network that was trained, or it is not written."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ros2_sim2real.config import validate
from ros2_sim2real.errors import TrainingError
from ros2_sim2real.offline.export import (
    RANDOM,
    RECORDED,
    TOLERANCE,
    actor_graph,
    check_parity,
    export_policy,
    observations,
)
from ros2_sim2real.offline.train import Run, TrainConfig, open_run
from ros2_sim2real.policy.load import load_policy
from ros2_sim2real.signals import Goal, RobotState, frozen

pytest.importorskip("rsl_rl", reason="needs the extra [train]")


def short_run(tmp_path, activation: str = "elu") -> Run:
    """A run of two updates: its normaliser has seen something."""
    data = {
        "robot": "teach2",
        "task": {"samples": 2000},
        "environment": {"count": 16, "threads": 1},
        "ppo": {"hidden": [32, 16], "activation": activation, "steps": 16},
    }
    run = open_run(validate(data, TrainConfig, where="test"), tmp_path / "nowhere")
    for _ in range(2):
        run.learner.iterate()
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return short_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("activation", ["elu", "relu", "tanh"])
def test_the_file_answers_as_torch_does(tmp_path, activation):
    run = short_run(tmp_path, activation)
    exported = export_policy(run, tmp_path, date="20261121")
    assert exported.difference <= TOLERANCE
    rows = observations(run)
    assert len(rows) == RANDOM + RECORDED == 1100
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert np.isfinite(rows).all()


def test_the_file_is_named_after_its_hash_and_drives_the_arm(tmp_path, run):
    exported = export_policy(run, tmp_path, date="20261121")
    digest = hashlib.sha256(exported.path.read_bytes()).hexdigest()
    assert exported.path.name == f"reach-teach2-20261121-{digest[:4]}.onnx"
    policy, contract = load_policy(str(exported.path), run.spec)
    assert contract is not None
    assert contract.normaliser == "inside"
    box = run.spec.workspace
    assert box is not None
    middle = frozen((np.array(box.lower) + np.array(box.upper)) / 2)
    state = RobotState(0, run.spec.home, frozen(np.zeros(2)))
    target = policy.step(state, Goal(0, middle, frozen([1.0, 0.0, 0.0, 0.0])))
    assert target is not None
    step = run.spec.limits.velocity / contract.rate_hz
    assert (np.abs(target.q - run.spec.home) <= step + 1e-9).all()


def test_two_exports_of_one_run_are_the_same_file(tmp_path):
    a = export_policy(short_run(tmp_path), tmp_path / "a", date="20261121")
    b = export_policy(short_run(tmp_path), tmp_path / "b", date="20261121")
    assert a.path.read_bytes() == b.path.read_bytes()


@pytest.mark.parametrize("name", ["mean", "std", "w0", "b2", "w4", "b4"])
def test_a_graph_that_lost_anything_is_refused(run, name):
    model = onnx.load_from_string(actor_graph(run.learner.actor))
    tensor = next(t for t in model.graph.initializer if t.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] += 1e-3 * max(1.0, abs(values.flat[0]))
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    with pytest.raises(TrainingError, match="away from the trained one"):
        check_parity(
            model.SerializeToString(), run.task.contract, run.learner.act, observations(run)
        )


def test_a_policy_that_answers_nan_is_refused_and_nothing_is_written(tmp_path):
    import torch

    run = short_run(tmp_path)
    with torch.no_grad():
        run.learner.actor.mlp[0].bias[3] = float("nan")
    with pytest.raises(TrainingError):
        export_policy(run, tmp_path / "policies", date="20261121")
    assert not (tmp_path / "policies").exists()


def test_a_layer_that_is_not_known_is_refused(run):
    import torch

    class Actor:
        obs_normalizer = run.learner.actor.obs_normalizer
        mlp = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Softsign())

    with pytest.raises(TrainingError, match=r"layer 1 .* Softsign"):
        actor_graph(Actor())
