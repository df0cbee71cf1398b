"""The live graph moves the arm as one process does, bit for bit, for every kind of policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from networks import Weights, promise

from ros2_sim2real.cli import main
from ros2_sim2real.policy.artefact import load_artefact
from ros2_sim2real.policy.golden import record_golden
from ros2_sim2real.policy.golden_file import with_golden
from ros2_sim2real.robot import load_robot

pytest.importorskip("rclpy")


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "kind",
    [
        "feedforward",
        "normalised",
        "history_by_term",
        "lstm",
        "chunk_ensemble",
        "lstm_history_chunk",
    ],
)
def test_numpy_onnx_object_and_live_graph_are_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    promised = promise(kind)
    path = tmp_path / "p.onnx"
    path.write_bytes(Weights(promised).file(promised))
    act = Weights(promised).numpy().act
    golden = record_golden(load_artefact(path), load_robot("teach2"), act=act)
    path.write_bytes(with_golden(path.read_bytes(), golden))
    args = ["parity", "--policy", str(path), "--live", "--seconds", "1.5", "--json"]
    with pytest.raises(SystemExit) as ended:
        main(args)
    result = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert result["passed"]
    live = [item for item in result["items"] if item["where"] == "live"]
    assert {item["name"].split(".")[0] for item in live} == {"q", "dq", "command"}
    assert all(item["difference"] == 0.0 for item in live)
