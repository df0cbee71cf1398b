"""What was imported from another trainer answers as the original does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="TorchScript and checkpoints need the [train] extra")

from import_samples import (  # noqa: E402
    STATED,
    PolicyGru,
    PolicyLstm,
    plain_onnx,
    rl_sar_base,
    rl_sar_config,
    sb3_archive,
    sb3_policy,
    scripted,
    seeded,
    torch_bytes,
    write_rl_sar,
)

from ros2_sim2real.offline.import_checkpoint import import_rsl_rl, import_sb3  # noqa: E402
from ros2_sim2real.offline.import_overrides import ImportOverrides  # noqa: E402
from ros2_sim2real.offline.import_rl_sar import import_rl_sar  # noqa: E402
from ros2_sim2real.offline.import_torchscript import import_torchscript  # noqa: E402
from ros2_sim2real.policy.artefact import load_artefact  # noqa: E402
from ros2_sim2real.policy.network import Network  # noqa: E402

LIMIT = 1e-5


def stated(**changes: Any) -> ImportOverrides:
    return ImportOverrides.model_validate_json(json.dumps({**STATED, **changes}))


def rows(count: int, width: int = 6) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(count, width)).astype(np.float32)


class Deployed:
    """The written file as the pipeline runs it."""

    def __init__(self, path: Path) -> None:
        artefact = load_artefact(path)
        self.contract = artefact.contract
        self.row = np.zeros((1, artefact.contract.observation_width), dtype=np.float32)
        self.network = Network(artefact, self.row)

    def __call__(self, row: np.ndarray) -> np.ndarray:
        self.row[0] = row
        return self.network()


RECURRENT = [(PolicyLstm, {}), (PolicyLstm, {"layers": 2}), (PolicyGru, {})]


@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_hidden_memory_becomes_explicit_and_every_step_agrees(tmp_path, kind, options):
    module = seeded(kind, **options)
    (tmp_path / "policy.pt").write_bytes(scripted(module))
    report = import_torchscript(
        tmp_path / "policy.pt",
        robot="teach2",
        output=tmp_path / "out.onnx",
        trust=True,
        stated=stated(),
    )
    assert report.difference <= LIMIT
    deployed = Deployed(report.output)
    assert len(deployed.contract.recurrent) == len([n for n, _ in module.named_buffers()])
    fresh = seeded(kind, **options).eval()
    worst = 0.0
    with torch.no_grad():
        for step, row in enumerate(rows(300)):
            if step == 150:  # a new episode
                deployed.network.reset()
                fresh = seeded(kind, **options).eval()
            wanted = fresh(torch.from_numpy(row[None])).numpy()[0]
            worst = max(worst, float(np.abs(deployed(row) - wanted).max()))
    assert worst <= LIMIT


def test_memory_left_in_the_file_is_not_that_of_an_episode(tmp_path):
    for name, warm in (("fresh", 0), ("used", 20)):
        (tmp_path / f"{name}.pt").write_bytes(scripted(seeded(PolicyLstm), warm=warm))
    reports = [
        import_torchscript(
            tmp_path / f"{name}.pt",
            robot="teach2",
            output=tmp_path / f"{name}.onnx",
            trust=True,
            stated=stated(),
        )
        for name in ("fresh", "used")
    ]
    assert any("earlier run" in line for line in reports[1].understood)
    fresh, used = (Deployed(report.output) for report in reports)
    for row in rows(20):
        assert np.array_equal(fresh(row), used(row))


def test_a_recurrent_policy_that_is_not_reset_answers_otherwise(tmp_path):
    (tmp_path / "policy.pt").write_bytes(scripted(seeded(PolicyLstm)))
    report = import_torchscript(
        tmp_path / "policy.pt",
        robot="teach2",
        output=tmp_path / "out.onnx",
        trust=True,
        stated=stated(),
    )
    deployed = Deployed(report.output)
    first = deployed(rows(1)[0])
    assert not np.allclose(deployed(rows(1)[0]), first, atol=1e-4)
    deployed.network.reset()
    assert np.array_equal(deployed(rows(1)[0]), first)


def test_rl_sar_with_history_answers_as_its_graph_does(tmp_path):
    model = plain_onnx(18)
    config = rl_sar_config(observations_history=[2, 1, 0])
    policy, path = write_rl_sar(tmp_path, model.SerializeToString(), rl_sar_base(), config)
    report = import_rl_sar(policy, path, robot="teach2", output=tmp_path / "out.onnx")
    deployed = Deployed(report.output)
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString())
    for row in rows(100, 18):
        wanted = session.run(None, {"obs": row[None]})[0][0]
        assert deployed(row) == pytest.approx(wanted, rel=LIMIT, abs=LIMIT)


# --- checkpoints ---


def reference_sb3(tensors: dict[str, Any], x: np.ndarray, *, squash: bool) -> np.ndarray:
    """What stable-baselines3's predict computes, written out."""
    body, head = (
        ("actor.latent_pi", "actor.mu") if squash else ("mlp_extractor.policy_net", "action_net")
    )
    for i, name in enumerate((f"{body}.0", f"{body}.2", head)):
        if i:
            x = np.maximum(x, 0.0) if squash else np.tanh(x)
        x = x @ tensors[f"{name}.weight"].numpy().T.astype(float)
        x = x + tensors[f"{name}.bias"].numpy()
    if squash:
        low, high = -0.5, 2.0
        x = low + 0.5 * (np.tanh(x) + 1.0) * (high - low)
    return x


@pytest.mark.parametrize("squash", [False, True], ids=["ppo", "sac"])
def test_an_sb3_actor_and_its_import_answer_alike(tmp_path, squash):
    (tmp_path / "model.zip").write_bytes(sb3_archive(squash=squash))
    rng = np.random.default_rng(1)
    mean, var = rng.normal(size=6), rng.uniform(0.2, 4.0, size=6)
    np.savez(tmp_path / "norm.npz", mean=mean, var=var, epsilon=1e-8, clip_obs=2.0)
    report = import_sb3(
        tmp_path / "model.zip",
        robot="teach2",
        output=tmp_path / "out.onnx",
        normaliser=str(tmp_path / "norm.npz"),
        stated=stated(),
    )
    assert report.difference <= LIMIT
    contract = report.contract
    assert (contract.normaliser, contract.action.clip) == ("inside", (-0.5, 2.0))
    assert contract.action.previous == "clipped"
    deployed = Deployed(report.output)
    for row in 3.0 * rows(200):
        x = np.clip((row - mean) / np.sqrt(var + 1e-8), -2.0, 2.0)
        wanted = reference_sb3(sb3_policy(squash), x, squash=squash)
        assert np.abs(deployed(row) - wanted).max() <= LIMIT


def rsl_rl_actor() -> Any:
    """A real actor of the installed rsl_rl, its normaliser moved."""
    models = pytest.importorskip("rsl_rl.models", reason="needs rsl-rl-lib of the [train] extra")
    tensordict = pytest.importorskip("tensordict")
    torch.manual_seed(0)
    observed = tensordict.TensorDict({"policy": torch.zeros(4, 6)}, batch_size=4)
    actor = models.MLPModel(
        observed, {"actor": ["policy"]}, "actor", 2, (32, 16), "elu", obs_normalization=True
    )
    actor.train()
    for _ in range(20):
        actor.obs_normalizer.update(3.0 * torch.randn(64, 6) + 1.0)
    return actor.eval(), tensordict.TensorDict


def checkpoints(actor: Any) -> dict[str, dict[str, Any]]:
    """The same actor as rsl_rl 4 and later, 3, and earlier write it."""
    state = actor.state_dict()
    layers = {k.replace("mlp.", "actor."): v for k, v in state.items() if k.startswith("mlp.")}
    norm = {k.replace("obs_normalizer.", ""): v for k, v in state.items() if "normalizer" in k}
    inside = {f"actor_obs_normalizer.{k}": v for k, v in norm.items()}
    critic = {"critic.0.weight": torch.zeros(1, 6), "std": torch.ones(2)}
    return {
        "now": {"actor_state_dict": state, "iter": 7, "infos": None},
        "three": {"model_state_dict": {**layers, **inside, **critic}, "iter": 7},
        "two": {"model_state_dict": {**layers, **critic}, "obs_norm_state_dict": norm},
    }


@pytest.mark.parametrize("version", ["now", "three", "two"])
def test_an_rsl_rl_actor_and_its_import_answer_alike(tmp_path, version):
    actor, group = rsl_rl_actor()
    (tmp_path / "model.pt").write_bytes(torch_bytes(checkpoints(actor)[version]))
    agent = {"clip_actions": 5.0, "policy": {"activation": "elu"}}
    (tmp_path / "agent.yaml").write_text(yaml.dump(agent))
    report = import_rsl_rl(
        tmp_path / "model.pt",
        robot="teach2",
        output=tmp_path / "out.onnx",
        agent=tmp_path / "agent.yaml",
        stated=stated(),
    )
    assert report.contract.normaliser == "inside"
    assert report.contract.action.clip == (-5.0, 5.0)
    deployed = Deployed(report.output)
    given = 3.0 * rows(200)
    with torch.no_grad():
        observed = group({"policy": torch.from_numpy(given)}, batch_size=len(given))
        wanted = actor(observed).numpy()
    answers = np.array([deployed(row) for row in given])
    assert np.abs(answers - wanted).max() <= LIMIT


def test_importing_twice_gives_the_same_bytes(tmp_path):
    (tmp_path / "policy.pt").write_bytes(scripted(seeded(PolicyLstm)))
    contents = []
    for name in ("a", "b"):
        report = import_torchscript(
            tmp_path / "policy.pt",
            robot="teach2",
            output=tmp_path / f"{name}.onnx",
            trust=True,
            stated=stated(),
        )
        contents.append(report.output.read_bytes())
    assert contents[0] == contents[1]
