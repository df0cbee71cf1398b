"""A policy file is what was hashed, or one line that says what is wrong; nothing in it runs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from builders import contract, linear_graph, policy_bytes, refusal, with_contract, write_policy
from onnx import TensorProto, helper, numpy_helper

from ros2_sim2real.contract import VERSION
from ros2_sim2real.errors import ContractError, PolicyFileError
from ros2_sim2real.policy.artefact import find_policy, load_artefact
from ros2_sim2real.policy.load import contract_of, load_policy
from ros2_sim2real.policy.model_file import MAX_BYTES, seal, unseal
from ros2_sim2real.policy.onnx_policy import Network
from ros2_sim2real.robot import load_robot

PROMISED = contract()
GOOD = policy_bytes(PROMISED, np.eye(4, 2), np.zeros(2))


def refused(content: bytes | Path, folder: Path) -> str:
    """The line with which loading refuses; asserts that it is quick and names the file."""
    path = content if isinstance(content, Path) else folder / "policy.onnx"
    if isinstance(content, bytes):
        path.write_bytes(content)
    begin = time.process_time()
    message = refusal(lambda: load_artefact(path), PolicyFileError, ContractError)
    assert time.process_time() - begin < 1.0
    assert message is not None
    assert str(path) in message
    return message


def test_a_sound_file_is_what_was_written(tmp_path: Path) -> None:
    artefact = load_artefact(write_policy(tmp_path / "p.onnx", PROMISED))
    assert artefact.contract == PROMISED
    assert artefact.file.content == (tmp_path / "p.onnx").read_bytes()
    assert artefact.file.sha256 == hashlib.sha256(artefact.file.content).hexdigest()
    assert artefact.name == f"p@{artefact.file.sha256[:8]}"


def test_every_onnx_reader_still_takes_a_sealed_file(tmp_path: Path) -> None:
    path = write_policy(tmp_path / "p.onnx", PROMISED)
    onnx.checker.check_model(onnx.load(path))


def test_a_seal_can_be_taken_off_again() -> None:
    payload = unseal(GOOD)
    assert payload is not None
    assert seal(payload) == GOOD
    assert unseal(payload) is None
    assert unseal(b"") is None


@pytest.mark.parametrize("part", range(64))
def test_a_file_cut_anywhere_is_refused(part: int, tmp_path: Path) -> None:
    refused(GOOD[: len(GOOD) * part // 64], tmp_path)


@pytest.mark.parametrize("lost", [1, 2, 63, 64, 65, 80, 90, 91, 92, 93, 94, 95, 96])
def test_a_file_that_lost_its_last_bytes_is_refused(lost: int, tmp_path: Path) -> None:
    refused(GOOD[:-lost], tmp_path)


def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = {int(x) for x in rng.integers(0, len(GOOD), 300)}
    for place in places | set(range(len(GOOD) - 100, len(GOOD))):
        damaged = bytearray(GOOD)
        damaged[place] ^= 1 << int(rng.integers(0, 8))
        refused(bytes(damaged), tmp_path)


def test_bytes_after_the_seal_are_refused(tmp_path: Path) -> None:
    refused(GOOD + b"\0", tmp_path)
    refused(GOOD + GOOD, tmp_path)


def test_a_file_sealed_twice_is_refused(tmp_path: Path) -> None:
    refused(seal(GOOD), tmp_path)


def test_damage_that_was_sealed_again_is_refused_or_harmless(tmp_path: Path) -> None:
    """The seal is no signature: what a stranger seals must still not get further than a line."""
    payload = bytes(unseal(GOOD) or b"")
    rng = np.random.default_rng(1)
    path = tmp_path / "p.onnx"
    loaded = 0
    for _ in range(400):
        damaged = bytearray(payload)
        for place in rng.integers(0, len(payload), int(rng.integers(1, 4))):
            damaged[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(seal(bytes(damaged)))
        loaded += refusal(lambda: run(path), PolicyFileError, ContractError) is None
    assert loaded < 400


def run(path: Path) -> None:
    artefact = load_artefact(path)
    width = artefact.contract.observation_width
    Network(artefact, np.zeros((1, width), dtype=np.float32))


@pytest.mark.parametrize("seed", range(4))
def test_noise_that_was_sealed_is_refused(seed: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(seed).bytes(2000)
    refused(seal(noise), tmp_path)


def test_a_missing_file_says_check_the_path(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(tmp_path / "none.onnx", tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "is empty" in refused(b"", tmp_path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "policy.onnx"
    folder.mkdir()
    assert "is no regular file" in refused(folder, tmp_path)


def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    pipe = tmp_path / "policy.onnx"
    os.mkfifo(pipe)
    begin = time.monotonic()
    assert "is no regular file" in refused(pipe, tmp_path)
    assert time.monotonic() - begin < 5.0


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full"])
def test_a_device_is_refused(device: str, tmp_path: Path) -> None:
    assert "is no regular file" in refused(Path(device), tmp_path)


def test_a_file_larger_than_any_policy_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: no disk is used
    assert f"at most {MAX_BYTES}" in refused(path, tmp_path)


def test_plain_onnx_without_a_seal_names_the_way_to_convert_it(tmp_path: Path) -> None:
    plain = linear_graph(np.eye(4, 2), np.zeros(2)).SerializeToString()
    assert "convert it with `sim2real import`" in refused(plain, tmp_path)


def test_sealed_onnx_without_a_contract_says_so(tmp_path: Path) -> None:
    plain = linear_graph(np.eye(4, 2), np.zeros(2)).SerializeToString()
    assert "holds no contract" in refused(seal(plain), tmp_path)


class Canary:
    """Unpickling this leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_is_refused_and_its_code_does_not_run(protocol: int, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content = pickle.dumps(Canary(canary), protocol=protocol)
    assert "is a pickle" in refused(content, tmp_path)
    refused(seal(content), tmp_path)
    assert not canary.exists()


def test_a_zip_archive_is_refused_and_its_code_does_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Canary(canary)))
    message = refused(buffer.getvalue(), tmp_path)
    assert "zip archive (TorchScript" in message
    assert "sim2real import" in message
    refused(seal(buffer.getvalue()), tmp_path)
    assert not canary.exists()


def test_an_lfs_pointer_says_pull(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    assert "Run `git lfs pull`" in refused(pointer, tmp_path)


# --- the graph against the contract -------------------------------------------------------------


def graph_refused(model: onnx.ModelProto, folder: Path, promised: str | None = None) -> str:
    return refused(with_contract(model, promised or PROMISED.to_json()), folder)


@pytest.mark.parametrize(("nobs", "nu"), [(3, 2), (5, 2), (4, 1), (4, 3)])
def test_another_width_is_refused_with_both_numbers(nobs: int, nu: int, tmp_path: Path) -> None:
    message = graph_refused(linear_graph(np.zeros((nobs, nu)), np.zeros(nu)), tmp_path)
    what, got, expected = ("input", nobs, 4) if nobs != 4 else ("output", nu, 2)
    assert f"`{what}`" in message
    assert f"shape [1, {got}] in the graph, [1, {expected}] in the contract" in message


def test_double_precision_is_refused(tmp_path: Path) -> None:
    model = linear_graph(np.zeros((4, 2)), np.zeros(2), dtype=TensorProto.DOUBLE)
    message = graph_refused(model, tmp_path)
    assert "'obs' is not float32" in message
    assert "'actions' is not float32" in message


@pytest.mark.parametrize("rows", [2, 16])
def test_a_fixed_batch_of_several_is_refused(rows: int, tmp_path: Path) -> None:
    model = linear_graph(np.zeros((4, 2)), np.zeros(2), rows=rows)
    assert f"[{rows}, 4]" in graph_refused(model, tmp_path)


def test_a_free_batch_size_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "p.onnx"
    model = linear_graph(np.zeros((4, 2)), np.zeros(2), rows="batch")
    path.write_bytes(with_contract(model, PROMISED.to_json()))
    run(path)


@pytest.mark.parametrize("dims", [[4], [1, 1, 4], []])
def test_another_rank_is_refused(dims: list[int], tmp_path: Path) -> None:
    model = linear_graph(np.zeros((4, 2)), np.zeros(2))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("obs", TensorProto.FLOAT, dims))
    assert "`input`" in graph_refused(model, tmp_path)


def test_other_names_are_refused_with_those_of_the_graph(tmp_path: Path) -> None:
    model = linear_graph(np.zeros((4, 2)), np.zeros(2), names=("x", "y"))
    message = graph_refused(model, tmp_path)
    assert "`input` is 'obs' in the contract, the graph has ['x']" in message
    assert "`output` is 'actions' in the contract, the graph has ['y']" in message


def test_an_input_that_the_contract_does_not_name_is_refused(tmp_path: Path) -> None:
    model = linear_graph(np.zeros((4, 2)), np.zeros(2))
    model.graph.input.append(helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, 8]))
    assert "also wants ['hidden']" in graph_refused(model, tmp_path)


def test_every_misfit_is_listed_at_once(tmp_path: Path) -> None:
    model = linear_graph(np.zeros((3, 1)), np.zeros(1), dtype=TensorProto.DOUBLE)
    message = graph_refused(model, tmp_path)
    for part in ("'obs' is not float32", "[1, 3]", "'actions' is not float32", "[1, 1]"):
        assert part in message


def external_weights(location: str) -> onnx.ModelProto:
    model = linear_graph(np.eye(4, 2), np.zeros(2))
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    weights.external_data.add(key="length", value="32")
    return model


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    "location", ["weights.bin", "../weights.bin", "/etc/hostname", "/dev/zero"]
)
def test_weights_in_another_file_are_refused_whether_it_is_there_or_not(
    location: str, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    if there and not location.startswith("/"):
        Path(location).write_bytes(bytes(32))
    message = graph_refused(external_weights(location), inner)
    assert "tensor `weights` lies in another file, which is never read" in message


def constant_with_external_data() -> onnx.NodeProto:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "hidden")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return helper.make_node("Constant", [], ["hidden"], value=tensor)


def test_external_data_in_a_constant_is_refused(tmp_path: Path) -> None:
    model = linear_graph(np.eye(4, 2), np.zeros(2))
    model.graph.node.insert(0, constant_with_external_data())
    assert "another file" in graph_refused(model, tmp_path)


def test_external_data_inside_a_branch_is_refused(tmp_path: Path) -> None:
    model = linear_graph(np.eye(4, 2), np.zeros(2))
    out = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [2])
    branch = helper.make_graph([constant_with_external_data()], "branch", [], [out])
    yes = helper.make_node(
        "Constant", [], ["yes"], value=helper.make_tensor("b", TensorProto.BOOL, [], [True])
    )
    node = helper.make_node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch)
    model.graph.node.extend([yes, node])
    assert "another file" in graph_refused(model, tmp_path)


def test_external_data_inside_a_function_is_refused(tmp_path: Path) -> None:
    model = linear_graph(np.eye(4, 2), np.zeros(2))
    opset = [helper.make_opsetid("", 17)]
    function = helper.make_function(
        "own", "f", [], ["hidden"], [constant_with_external_data()], opset
    )
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.append(helper.make_node("f", [], ["hidden"], domain="own"))
    assert "another file" in graph_refused(model, tmp_path)


def test_an_operator_that_onnxruntime_does_not_know_is_refused(tmp_path: Path) -> None:
    model = linear_graph(np.eye(4, 2), np.zeros(2))
    model.opset_import.append(helper.make_opsetid("somewhere", 1))
    model.graph.node[1].op_type, model.graph.node[1].domain = "Magic", "somewhere"
    path = tmp_path / "p.onnx"
    path.write_bytes(with_contract(model, PROMISED.to_json()))
    message = refusal(lambda: run(path), PolicyFileError)
    assert message is not None
    assert "onnxruntime does not run it" in message


@pytest.mark.parametrize(
    "text", ["", "{}", "[" * 50_000, '{"version": 99}', json.dumps({"version": 1, "robot": 3})]
)
def test_a_contract_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    graph_refused(linear_graph(np.eye(4, 2), np.zeros(2)), tmp_path, text or " ")


def test_a_contract_of_a_later_version_says_update(tmp_path: Path) -> None:
    text = json.dumps(json.loads(PROMISED.to_json()) | {"version": VERSION + 1})
    message = graph_refused(linear_graph(np.eye(4, 2), np.zeros(2)), tmp_path, text)
    assert f"version {VERSION + 1}" in message
    assert "Update" in message


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nothing", "", "a/b.onnx", "\0", "x" * 300])
def test_a_policy_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    message = refusal(lambda: find_policy(name), PolicyFileError)
    assert message is not None
    assert "neither a file nor in models/policies. Known: [" in message


@pytest.mark.parametrize("name", ["hold", "sine", "replay:anything"])
def test_scripted_policies_have_no_contract(name: str) -> None:
    assert contract_of(name) is None


def test_a_policy_of_another_robot_is_refused(tmp_path: Path) -> None:
    path = write_policy(tmp_path / "p.onnx", PROMISED)
    message = refusal(lambda: load_policy(str(path), load_robot("ur5e")), ContractError)
    assert message is not None
    assert "trained for 'teach2', this is 'ur5e'" in message


def test_a_file_swapped_after_loading_changes_nothing(tmp_path: Path) -> None:
    path = write_policy(tmp_path / "p.onnx", PROMISED, bias=np.array([1.0, 2.0]))
    artefact = load_artefact(path)
    write_policy(path, PROMISED, bias=np.array([9.0, 9.0]))
    out = Network(artefact, np.zeros((1, 4), np.float32))()
    assert out.tolist() == [1.0, 2.0]
