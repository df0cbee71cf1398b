"""numpy, ONNX, deployed object and live graph answer alike; what makes them differ is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import HIDDEN, KINDS, Floats, NumpyNetwork, Weights, promise

from ros2_sim2real.cli import main
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import ConfigError, ContractError
from ros2_sim2real.offline.parity import compare, read_reference
from ros2_sim2real.policy.artefact import Artefact, load_artefact
from ros2_sim2real.policy.golden import Decision, golden_of, play, record_golden, script_of
from ros2_sim2real.policy.golden_file import MAX_BYTES, Golden, with_golden
from ros2_sim2real.policy.network import Network
from ros2_sim2real.policy.parity import (
    TOLERANCE,
    Answers,
    compare_graph,
    compare_policy,
    first_fault,
)
from ros2_sim2real.robot import load_robot

TEACH2 = load_robot("teach2")


def write(path: Path, promised: PolicyContract, *, n: int = 48, seed: int = 0) -> Artefact:
    """The policy file with golden vectors of the numpy network."""
    weights = Weights(promised)
    path.write_bytes(weights.file(promised))
    golden = record_golden(load_artefact(path), TEACH2, n=n, seed=seed, act=weights.numpy().act)
    path.write_bytes(with_golden(path.read_bytes(), golden))
    return load_artefact(path)


class ByHand:
    """A policy as its contract reads, with lists: shares no line with the package."""

    def __init__(self, promised: PolicyContract, network: NumpyNetwork) -> None:
        self.c, self.network = promised, network
        self.reset()

    def reset(self) -> None:
        self.network.reset()
        self.frames: list[list[Floats]] = []
        self.previous = np.zeros(2)
        self.plans: list[tuple[int, Floats]] = []
        self.plan: Floats | None = None
        self.count = 0

    def past(self, term: int, lag: int, fill: str) -> Floats:
        if lag < len(self.frames):
            return self.frames[-1 - lag][term]
        first = self.frames[0][term]
        return first if fill == "repeat_first" else np.zeros_like(first)

    def lags(self, history: Any) -> list[int]:
        if history is None:
            return [0]
        lags = [history.skip + i for i in range(history.length)]
        return lags if history.order == "newest_first" else list(reversed(lags))

    def observe(self, q: Floats, dq: Floats, goal: Floats) -> Floats:
        self.frames.append([q - [1.2, -1.0], 0.1 * dq, self.previous, goal[:3]])
        whole, terms = self.c.history, self.c.observation
        fills = [(t.history or whole).fill if t.history or whole else "" for t in terms]
        parts = []
        if whole is not None and whole.layout == "by_term":
            for i, t in enumerate(terms):
                for lag in self.lags(whole):
                    parts += [self.past(i, lag + own, fills[i]) for own in self.lags(t.history)]
        else:
            for lag in self.lags(whole):
                for i, t in enumerate(terms):
                    parts += [self.past(i, lag + own, fills[i]) for own in self.lags(t.history)]
        x = np.concatenate(parts)
        if not isinstance(self.c.normaliser, str):
            x = (x - np.array(self.c.normaliser.mean)) / np.array(self.c.normaliser.std)
            x = np.clip(x, *self.c.normaliser.clip)
        return x

    def action(self, x: Floats) -> Floats:
        chunk = self.c.chunk
        if chunk is None:
            return self.network(x)
        if self.count % chunk.execute == 0:
            new = self.network(x)[chunk.skip :]
            if chunk.blend == "ensemble":
                self.plans.append((self.count, new))
            elif chunk.blend == "exponential" and self.plan is not None:
                old = self.plan[1:]
                for k in range(min(len(old), len(new))):
                    share = np.exp(-chunk.weight * (k + 1))
                    new[k] = share * old[k] + (1 - share) * new[k]
            self.plan = new
        else:
            self.plan = self.plan[1:]
        if chunk.blend == "ensemble":
            rows = [p[self.count - made] for made, p in self.plans if self.count - made < len(p)]
            w = np.exp(-chunk.weight * np.arange(len(rows)))
            return (w[:, None] * np.array(rows)).sum(axis=0) / w.sum()
        return self.plan[0]

    def step(self, q: Floats, dq: Floats, goal: Floats) -> tuple[Floats, Floats, Floats]:
        x = self.observe(q, dq, goal)
        raw = self.action(x)
        self.previous = raw
        self.count += 1
        return x, raw, np.array([1.2, -1.0]) + 0.2 * raw


def by_hand(promised: PolicyContract, golden: Golden) -> list[tuple[Floats, Floats, Floats]]:
    policy = ByHand(promised, Weights(promised).numpy())
    out, last = [], None
    for i in range(len(golden)):
        q, dq, goal = (np.array(rows[i]) for rows in (golden.q, golden.dq, golden.goal))
        if golden.start[i] or (promised.reset_on_goal and not np.array_equal(goal, last)):
            policy.reset()
        last = goal
        out.append(policy.step(q, dq, goal))
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_onnx_and_the_deployed_object_answer_alike(tmp_path: Path, kind: str) -> None:
    promised = promise(kind)
    artefact = write(tmp_path / "p.onnx", promised)
    golden = golden_of(artefact)
    assert golden is not None
    assert len(golden) == 48
    for differences in (
        compare_graph(artefact, Answers.of(golden)),
        compare_policy(artefact, TEACH2, golden),
    ):
        assert first_fault(differences) is None
        assert max(d.largest for d in differences) < TOLERANCE
    decisions: list[Decision] = list(play(artefact, TEACH2, script_of(golden)))
    for decision, (x, raw, target) in zip(decisions, by_hand(promised, golden), strict=True):
        np.testing.assert_allclose(decision.observation, x, atol=TOLERANCE)
        np.testing.assert_allclose(decision.action, raw, atol=TOLERANCE)
        np.testing.assert_allclose(decision.target, target, atol=TOLERANCE)


def test_the_lstm_by_hand_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    promised = promise("lstm")
    weights = Weights(promised)
    lstm = torch.nn.LSTM(promised.observation_width, HIDDEN)
    order = [0, 2, 3, 1]  # torch: input, forget, cell, output
    with torch.no_grad():
        for name, ours in (("weight_ih_l0", weights.W[0]), ("weight_hh_l0", weights.R[0])):
            blocks = ours.reshape(4, HIDDEN, -1)[order]
            getattr(lstm, name).copy_(torch.tensor(blocks.reshape(4 * HIDDEN, -1)))
        for name, ours in zip(
            ("bias_ih_l0", "bias_hh_l0"), np.split(weights.B[0], 2), strict=True
        ):
            getattr(lstm, name).copy_(torch.tensor(ours.reshape(4, HIDDEN)[order].ravel()))
        network, memory = weights.numpy(), None
        for row in np.random.default_rng(1).normal(size=(20, promised.observation_width)):
            y, memory = lstm(torch.tensor(row[None], dtype=torch.float32), memory)
            expected = np.tanh(y.numpy()[0] @ weights.A + weights.b)
            np.testing.assert_allclose(network(row), expected, atol=TOLERANCE)


class Forgetful(Network):
    """The classic mistake: the hidden state of the last episode stays."""

    def reset(self) -> None:
        pass


@pytest.mark.parametrize("kind", ["lstm", "lstm_history_chunk"])
def test_an_lstm_that_is_not_reset_is_caught(tmp_path: Path, kind: str) -> None:
    artefact = write(tmp_path / "p.onnx", promise(kind))
    golden = golden_of(artefact)
    assert golden is not None
    alone = first_fault(compare_graph(artefact, Answers.of(golden), network=Forgetful))
    assert alone is not None
    deployed = first_fault(compare_policy(artefact, TEACH2, golden, network=Forgetful))
    assert deployed is not None
    assert deployed.name.startswith("output.")
    # the first call of all, when the buffers are made, already leaves something behind
    assert deployed.row == 0


CHANGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "history reversed": (
        "history_by_time",
        {"history": {"length": 3, "order": "newest_first"}},
        "joint_position",
    ),
    "history by term": (
        "history_by_time",
        {"history": {"length": 3, "layout": "by_term"}},
        "joint_position",
    ),
    "history starts with zeros": (
        "history_by_time",
        {"history": {"length": 3, "fill": "zeros"}},
        "joint_position",
    ),
    "scaled previous action": (
        "feedforward",
        {"action": {"kind": "delta_default", "scale": 0.2, "previous": "scaled"}},
        "previous_action",
    ),
    "action scale doubled": (
        "feedforward",
        {"action": {"kind": "delta_default", "scale": 0.4}},
        "target.shoulder_joint",
    ),
    "joints permuted": (
        "feedforward",
        {"joints": ["elbow_joint", "shoulder_joint"], "default_pose": [-1.0, 1.2]},
        "joint_position",
    ),
    "a sign flipped": ("feedforward", {"signs": [1, -1], "default_pose": [1.2, 1.0]}, "joint_"),
    "other default pose": ("feedforward", {"default_pose": [1.1, -1.0]}, "target.shoulder_joint"),
    "not reset on a new goal": ("lstm", {"reset_on_goal": False}, "previous_action"),
    "plan asked for too often": (
        "chunk_replace",
        {"chunk": {"length": 6, "period": 0.02, "execute": 1, "skip": 1}},
        "output",
    ),
    "plans replaced, not blended": (
        "chunk_exponential",
        {"chunk": {"length": 6, "period": 0.02, "execute": 3}},
        "action.shoulder_joint",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_contract_that_differs_from_the_training_is_named(tmp_path: Path, change: str) -> None:
    kind, edit, named = CHANGES[change]
    golden = golden_of(write(tmp_path / "p.onnx", promise(kind)))
    assert golden is not None
    wrong = promise(kind, **edit)
    (tmp_path / "w.onnx").write_bytes(with_golden(Weights(wrong).file(wrong), golden))
    fault = compare(load_artefact(tmp_path / "w.onnx"), TEACH2, reference=None, live=None).fault
    assert fault is not None
    assert fault.name.startswith(named)


def test_a_graph_that_differs_from_the_trained_network_is_named(tmp_path: Path) -> None:
    promised = promise("feedforward")
    golden = golden_of(write(tmp_path / "p.onnx", promised))
    assert golden is not None
    (tmp_path / "w.onnx").write_bytes(
        with_golden(Weights(promised, seed=1).file(promised), golden)
    )
    fault = compare(load_artefact(tmp_path / "w.onnx"), TEACH2, reference=None, live=None).fault
    assert fault is not None
    assert (fault.where, fault.row) == ("graph", 0)


def test_the_same_seed_records_the_same_file(tmp_path: Path) -> None:
    write(tmp_path / "a.onnx", promise("lstm"), seed=3)
    write(tmp_path / "b.onnx", promise("lstm"), seed=3)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_recording_again_replaces(tmp_path: Path) -> None:
    artefact = write(tmp_path / "a.onnx", promise("lstm"))
    golden = golden_of(artefact)
    assert golden is not None
    again = with_golden(artefact.file.content, golden)
    assert again == artefact.file.content


def test_golden_vectors_of_a_wide_policy_still_fit(tmp_path: Path) -> None:
    promised = promise("feedforward", history={"length": 300})
    artefact = write(tmp_path / "p.onnx", promised, n=200)
    golden = golden_of(artefact)
    assert golden is not None
    assert 16 <= len(golden) < 200
    assert len(artefact.golden or "") <= MAX_BYTES
    assert first_fault(compare_policy(artefact, TEACH2, golden)) is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 2}', "x" * (MAX_BYTES + 1)])
def test_damaged_golden_vectors_are_one_refusal(tmp_path: Path, text: str) -> None:
    artefact = write(tmp_path / "p.onnx", promise("feedforward"))
    with pytest.raises(ContractError, match="golden"):
        golden_of(Artefact(artefact.file, artefact.contract, golden=text))


def test_golden_vectors_of_another_policy_are_refused(tmp_path: Path) -> None:
    other = write(tmp_path / "p.onnx", promise("history_by_time"))
    artefact = Artefact(other.file, promise("feedforward"), golden=other.golden)
    with pytest.raises(ContractError, match=r"`golden.observation` has rows of 27"):
        golden_of(artefact)


# --- the verb -----------------------------------------------------------------------------------


def verb(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["parity", *args])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_verb_agrees_and_says_so(tmp_path: Path, capsys) -> None:
    write(tmp_path / "p.onnx", promise("lstm"))
    code, out, _ = verb(capsys, "--policy", str(tmp_path / "p.onnx"), "--json")
    result = json.loads(out)
    assert code == 0
    assert result["passed"]
    assert {item["where"] for item in result["items"]} == {"graph", "policy"}
    assert all(item["difference"] <= TOLERANCE for item in result["items"])


def test_the_verb_names_what_differs(tmp_path: Path, capsys) -> None:
    golden = golden_of(write(tmp_path / "p.onnx", promise("feedforward")))
    assert golden is not None
    wrong = promise("feedforward", default_pose=[1.1, -1.0])
    (tmp_path / "w.onnx").write_bytes(with_golden(Weights(wrong).file(wrong), golden))
    code, out, err = verb(capsys, "--policy", str(tmp_path / "w.onnx"), "--json")
    assert code == 2
    assert json.loads(out)["first"] == "policy: target.shoulder_joint"
    assert "`target.shoulder_joint` is" in err
    assert len(err.splitlines()) == 1


def test_a_file_without_golden_vectors_says_what_to_do(tmp_path: Path, capsys) -> None:
    promised = promise("feedforward")
    (tmp_path / "p.onnx").write_bytes(Weights(promised).file(promised))
    code, _, err = verb(capsys, "--policy", str(tmp_path / "p.onnx"))
    assert code == 2
    assert "holds no golden vectors" in err


@pytest.mark.parametrize("kind", ["lstm", "chunk_ensemble"])
def test_recorded_answers_of_the_trainer_serve_as_reference(tmp_path: Path, kind: str) -> None:
    promised = promise(kind)
    weights = Weights(promised)
    (tmp_path / "p.onnx").write_bytes(weights.file(promised))
    rows = np.random.default_rng(0).normal(size=(30, promised.observation_width))
    zeroed = np.arange(30) % 10 == 0
    network = weights.numpy()
    output = np.array([network.act(row, z) for row, z in zip(rows, zeroed, strict=True)])
    path = tmp_path / "r.npz"
    np.savez(path, observation=rows, output=output, zeroed=zeroed)
    artefact = load_artefact(tmp_path / "p.onnx")
    assert compare(artefact, TEACH2, reference=path, live=None).fault is None
    np.savez(path, observation=rows, output=output + 1e-3, zeroed=zeroed)
    fault = compare(artefact, TEACH2, reference=path, live=None).fault
    assert fault is not None
    assert fault.where == "reference graph"


def test_golden_vectors_as_npz_serve_as_reference(tmp_path: Path) -> None:
    artefact = write(tmp_path / "p.onnx", promise("history_by_time"))
    golden = golden_of(artefact)
    assert golden is not None
    columns = golden.model_dump(exclude={"version"})
    np.savez(tmp_path / "r.npz", **{k: np.array(v) for k, v in columns.items()})
    result = compare(artefact, TEACH2, reference=tmp_path / "r.npz", live=None)
    assert result.fault is None
    assert "reference policy" in {d.where for d in result.differences}


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"observation": np.zeros((3, 9))},
        {"observation": np.zeros((3, 8)), "output": np.zeros((3, 2))},
        {"observation": np.zeros((3, 9)), "output": np.zeros((2, 2))},
        {"observation": np.zeros((0, 9)), "output": np.zeros((0, 2))},
        {"observation": np.array([{}], dtype=object), "output": np.zeros((1, 2))},
        {k: np.zeros(3) for k in Golden.model_fields},
    ],
)
def test_a_reference_that_does_not_fit_is_one_refusal(tmp_path: Path, arrays: Any) -> None:
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(ConfigError, match=r"r\.npz"):
        read_reference(tmp_path / "r.npz", promise("feedforward"))


def test_a_reference_that_is_no_npz_is_one_refusal(tmp_path: Path) -> None:
    for text in (b"", b"PK\x03\x04", b"\x80\x04N."):
        (tmp_path / "r.npz").write_bytes(text)
        with pytest.raises(ConfigError, match=r"r\.npz"):
            read_reference(tmp_path / "r.npz", promise("feedforward"))
