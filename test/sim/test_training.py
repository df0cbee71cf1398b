"""Training learns, repeats itself, survives a kill, and keeps what was good when it diverges."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ros2_sim2real.config import load, validate
from ros2_sim2real.errors import ConfigError, TrainingError
from ros2_sim2real.offline.arms import NOMINAL
from ros2_sim2real.offline.checkpoint import read_checkpoint, write_checkpoint
from ros2_sim2real.offline.reach import Reach
from ros2_sim2real.offline.score import evaluate_in_core
from ros2_sim2real.offline.train import CHECKPOINT, TrainConfig, evaluate, open_run, train
from ros2_sim2real.policy.artefact import Artefact, find_policy, load_artefact
from ros2_sim2real.policy.onnx_policy import Network
from ros2_sim2real.robot import load_robot

pytest.importorskip("rsl_rl", reason="needs the extra [train]")
pytestmark = [
    # proto3 code in tensorboard, tensordict's own use of torch: none of it is ours to mend
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning:(tensorboard|torch|tensordict|google).*"
    )
]

SMALL = {
    "robot": "teach2",
    "seed": 3,
    "task": {"samples": 8000, "reward": {"tilt": 0.0}},
    "environment": {"count": 64, "threads": 1, "episode_s": 3.0},
    "ppo": {"hidden": [64, 64]},
    "checkpoint_every": 2,
    "evaluate_every": 1000,
    "evaluation_goals": 200,
}


def config(**changes: object) -> TrainConfig:
    return validate({**SMALL, **changes}, TrainConfig, where="test")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def updates(count: int) -> int:
    return count * 64 * 32


@pytest.mark.slow
def test_a_few_seconds_of_training_bring_the_tool_to_the_goals(tmp_path):
    small = config(total_steps=updates(50))
    untrained = evaluate(open_run(small, tmp_path / "nowhere"), NOMINAL)
    seen: list[int] = []
    result = train(small, tmp_path, lambda p: seen.append(p.steps))
    assert untrained.success < 0.1
    assert result.nominal.success > 0.3
    assert result.nominal.error_mm_mean < 0.2 * untrained.error_mm_mean
    assert seen == [updates(k) for k in range(1, 51)]
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_the_same_configuration_gives_the_same_policy(tmp_path):
    small = config(total_steps=updates(3))
    for name in ("a", "b"):
        train(small, tmp_path / name)
    a, b = (read_checkpoint(tmp_path / name / CHECKPOINT).arrays for name in ("a", "b"))
    assert a.keys() == b.keys()
    for name, values in a.items():
        np.testing.assert_array_equal(values, b[name], err_msg=name)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_total(tmp_path):
    total = updates(16)
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\n"
            "from ros2_sim2real.offline.train import TrainConfig, train\n"
            "train(TrainConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]))",
            json.dumps({**SMALL, "total_steps": total}),
            str(tmp_path),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    checkpoint = tmp_path / CHECKPOINT
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it ended before it could be killed"
    killed_at = updates(read_checkpoint(checkpoint).iteration)
    assert 0 < killed_at < total
    seen: list[int] = []
    result = train(config(total_steps=total), tmp_path, lambda p: seen.append(p.steps))
    assert result.resumed_at == killed_at
    assert seen == list(range(killed_at + updates(1), total + 1, updates(1)))
    assert result.steps == total


def test_a_continued_run_knows_all_that_the_first_one_knew(tmp_path):
    train(config(total_steps=updates(2)), tmp_path)
    saved = read_checkpoint(tmp_path / CHECKPOINT)
    run = open_run(config(total_steps=updates(2)), tmp_path)
    again = run.learner.state()
    assert again.keys() == saved.arrays.keys()
    assert any(name.startswith("adam/") for name in again)
    for name, values in again.items():
        np.testing.assert_array_equal(values, saved.arrays[name], err_msg=name)


def test_a_finished_run_is_only_evaluated_again(tmp_path):
    first = train(config(total_steps=updates(2)), tmp_path)
    before = digest(tmp_path / CHECKPOINT)
    second = train(config(total_steps=updates(2)), tmp_path)
    assert digest(tmp_path / CHECKPOINT) == before
    assert (second.resumed_at, second.steps) == (updates(2), updates(2))
    assert second.nominal == first.nominal


def test_a_folder_of_another_run_is_refused_by_field(tmp_path):
    train(config(total_steps=updates(2)), tmp_path)
    with pytest.raises(TrainingError, match=r"other values of \['seed'\]"):
        train(config(total_steps=updates(2), seed=4), tmp_path)


def test_a_run_that_diverges_stops_with_one_line_and_keeps_the_last_good_checkpoint(tmp_path):
    small = config(total_steps=updates(6), ppo={"hidden": [64, 64], "schedule": "fixed"})
    train(small.model_copy(update={"total_steps": updates(2)}), tmp_path)
    path = tmp_path / CHECKPOINT
    saved = read_checkpoint(path)
    poisoned = {**saved.arrays, "learning_rate": np.array(1e30)}
    good = type(saved)(
        config=small.model_dump(mode="json"),
        iteration=saved.iteration,
        seconds=saved.seconds,
        seconds_to_95=None,
        arrays=poisoned,
    )
    write_checkpoint(good, path)
    before = digest(path)
    with pytest.raises(TrainingError, match=r"update 3 of 6.*update 2 is kept") as caught:
        train(small, tmp_path)
    assert "\n" not in str(caught.value)
    assert digest(path) == before


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "flipped"])
def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / CHECKPOINT
    train(config(total_steps=updates(2)), tmp_path)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "truncated": content[:middle],
            "empty": b"",
            "text": b"not a checkpoint",
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        }[damage]
    )
    with pytest.raises(TrainingError, match="is no checkpoint") as caught:
        train(config(total_steps=updates(2)), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"total_steps": 0}, "total_steps"),
        ({"ppo": {"gamma": 1.0}}, "ppo.gamma"),
        ({"ppo": {"hidden": []}}, "ppo.hidden"),
        ({"task": {"reward": {"fine": float("nan")}}}, "task.reward.fine"),
        ({"learning_rate": 1e-3}, "learning_rate"),
    ],
)
def test_a_configuration_that_cannot_train_is_refused_by_field(data, word):
    with pytest.raises(ConfigError, match=word):
        config(**data)


def act_of(artefact: Artefact):
    row = np.zeros((1, artefact.contract.observation_width), dtype=np.float32)
    network = Network(artefact, row)

    def act(observations):
        out = np.empty((len(observations), artefact.contract.action_width), dtype=np.float32)
        for i, observation in enumerate(observations):
            row[0] = observation
            out[i] = network()
        return out

    return act


@pytest.mark.slow
@pytest.mark.parametrize("robot", ["ur5e", "teach2"])
def test_the_policy_that_ships_reaches_what_its_figures_say(root, robot):
    trained = load(root / f"config/offline/train_reach_{robot}.yaml", TrainConfig)
    files = sorted((root / "models/policies").glob(f"reach-{robot}-*.onnx"))
    assert files, f"no reach policy for {robot} in models/policies"
    artefact = load_artefact(find_policy(str(files[-1])))
    spec = load_robot(trained.robot)
    task = Reach(spec, trained.task, trained.environment)
    assert (
        artefact.contract.model_copy(update={"provenance": task.contract.provenance})
        == task.contract
    ), "the file was trained with another configuration"
    for randomisation in (NOMINAL, trained.randomisation):
        score = evaluate_in_core(
            act_of(artefact),
            spec,
            task,
            trained.environment,
            randomisation=randomisation,
            goals=200,
            seeds=(7,),
        )
        assert score.success >= 0.97
