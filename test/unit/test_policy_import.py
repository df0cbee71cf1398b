"""Imports beyond Isaac Lab: what each format says, what is asked for, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="TorchScript and checkpoints need the [train] extra")

from builders import TEACH2  # noqa: E402
from builders import refusal as said  # noqa: E402
from import_samples import (  # noqa: E402
    MOTORS,
    STATED,
    Accumulating,
    PolicyLstm,
    box,
    deploy_data,
    holosoma_onnx,
    mjlab_onnx,
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

from ros2_sim2real import cli  # noqa: E402
from ros2_sim2real.contract import PolicyContract, per_element  # noqa: E402
from ros2_sim2real.errors import ConversionError, Sim2RealError  # noqa: E402
from ros2_sim2real.offline._checkpoint import Stored  # noqa: E402
from ros2_sim2real.offline._checkpoint_facts import read_spaces  # noqa: E402
from ros2_sim2real.offline._checkpoint_layers import find_rsl_rl, find_sb3  # noqa: E402
from ros2_sim2real.offline._import_env import Findings  # noqa: E402
from ros2_sim2real.offline.import_checkpoint import import_rsl_rl, import_sb3  # noqa: E402
from ros2_sim2real.offline.import_draft import Facts, draft  # noqa: E402
from ros2_sim2real.offline.import_onnx import (  # noqa: E402
    import_onnx,
    read_holosoma,
    read_metadata,
    read_mjlab,
)
from ros2_sim2real.offline.import_overrides import ImportOverrides  # noqa: E402
from ros2_sim2real.offline.import_rl_sar import import_rl_sar, read_config  # noqa: E402
from ros2_sim2real.offline.import_torchscript import import_torchscript  # noqa: E402
from ros2_sim2real.offline.import_unitree import import_unitree, read_deploy  # noqa: E402
from ros2_sim2real.offline.tagged_yaml import parse_tagged  # noqa: E402
from ros2_sim2real.robot import load_robot  # noqa: E402

SPEC = load_robot("teach2")
TIMING = {"rate_hz": 50.0, "decimation": 4}


def overrides(**stated: Any) -> ImportOverrides:
    return ImportOverrides.model_validate_json(json.dumps(stated))


def without(*names: str, **changes: Any) -> ImportOverrides:
    kept = {name: value for name, value in STATED.items() if name not in names}
    return overrides(**{**kept, **changes})


def contract_of(read: Any, data: Any, **stated: Any) -> tuple[PolicyContract, Findings]:
    findings = Findings()
    facts = Facts(overrides(**stated), findings)
    read(data, facts)
    contract = draft(facts, SPEC, trainer="test", where="file", source="policy")
    contract.check_robot(SPEC)
    return contract, findings


def refusal(read: Any, data: Any, **stated: Any) -> str:
    with pytest.raises(ConversionError) as caught:
        contract_of(read, data, **stated)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def failed(call: Any, output: Path) -> str:
    """One line, and nothing is left behind."""
    with pytest.raises(Sim2RealError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert not list(output.parent.glob("*out*"))
    return str(caught.value)


# --- rl_sar ---


def rl_sar(**changes: Any) -> dict[str, Any]:
    return {**rl_sar_base(), **rl_sar_config(), **changes}


def test_rl_sar_indices_become_names_and_lists_follow_the_policy():
    contract, findings = contract_of(read_config, rl_sar())
    assert contract.joints == TEACH2  # joint_mapping [1, 0] of elbow, shoulder
    assert contract.default_pose == (1.2, -1.0)
    assert contract.gains.stiffness == (80.0, 40.0)
    assert contract.gains.effort_limit == (6.0, 3.0)
    assert contract.action.kind == "delta_default"
    assert contract.action.scale == (0.25, 0.5)
    assert contract.action.clip == (-10.0, 10.0)
    assert contract.action.previous == "clipped"
    assert (contract.rate_hz, contract.physics_hz, contract.decimation) == (50.0, 200.0, 4)
    assert any("joint_mapping" in line for line in findings.understood)


def test_rl_sar_clips_what_is_scaled_and_a_term_what_is_not():
    contract, _ = contract_of(read_config, rl_sar(clip_obs=2.0))
    position, velocity, action = contract.observation
    assert (position.source, position.offset, position.clip) == (
        "joint_position",
        (1.2, -1.0),
        (-2.0, 2.0),
    )
    assert (velocity.scale, velocity.clip) == (0.05, (-40.0, 40.0))
    x = np.array([100.0, -3.0])
    theirs = np.clip(x * 0.05, -2.0, 2.0)
    ours = np.clip(x, *velocity.clip) * per_element(velocity.scale, 2)
    assert np.allclose(ours, theirs)
    assert action.source == "previous_action"


@pytest.mark.parametrize(
    ("ages", "priority", "order", "layout"),
    [
        ([0, 1, 2], "time", "newest_first", "by_time"),
        ([2, 1, 0], "time", "oldest_first", "by_time"),
        ([2, 1, 0], "term", "oldest_first", "by_term"),
    ],
)
def test_rl_sar_history_keeps_its_layout(ages, priority, order, layout):
    data = rl_sar(observations_history=ages, observations_history_priority=priority)
    contract, findings = contract_of(read_config, data)
    assert contract.history is not None
    assert (contract.history.length, contract.history.order) == (3, order)
    assert contract.history.layout == layout
    assert contract.observation_width == 18
    assert any("zeros" in line for line in findings.assumed)


def test_rl_sar_history_with_gaps_is_refused():
    assert "observations_history" in refusal(read_config, rl_sar(observations_history=[0, 2]))


def test_rl_sar_terms_of_a_floating_base_are_listed_with_the_flag():
    data = rl_sar(observations=["ang_vel", "gravity_vec", "dof_pos"], num_observations=8)
    line = refusal(read_config, data)
    assert "ang_vel, gravity_vec" in line
    assert "--observation" in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"joint_names": None}, ["--robot-joints"]),
        ({"joint_mapping": [0, 0]}, ["joint_mapping"]),
        ({"joint_mapping": [0, 7]}, ["joint_mapping"]),
        ({"joint_mapping": "all"}, ["joint_mapping"]),
        ({"rl_kp": None}, ["--stiffness"]),
        ({"rl_kd": [1.0]}, ["rl_kd", "2 numbers"]),
        ({"dt": None}, ["--rate-hz"]),
        ({"action_scale": None}, ["--action-scale"]),
        ({"default_dof_pos": None}, ["--default-pose"]),
        ({"wheel_indices": [1]}, ["wheel_indices"]),
        ({"clip_actions_upper": [1.0, 2.0]}, ["--action-clip"]),
        ({"num_observations": 7}, ["num_observations", "add up to 6"]),
    ],
)
def test_rl_sar_names_what_is_missing_or_wrong(changes, words):
    line = refusal(read_config, rl_sar(**changes))
    for word in words:
        assert word in line


def test_rl_sar_names_can_come_from_the_user():
    contract, _ = contract_of(
        read_config, rl_sar(joint_names=None), robot_joints=["elbow_joint", "shoulder_joint"]
    )
    assert contract.joints == TEACH2


def test_rl_sar_is_written_from_its_folders(tmp_path):
    policy, config = write_rl_sar(
        tmp_path, plain_onnx(6).SerializeToString(), rl_sar_base(), rl_sar_config()
    )
    report = import_rl_sar(policy, config, robot="teach2", output=tmp_path / "out.onnx")
    assert report.difference <= 1e-5
    assert report.contract.provenance.trainer == "rl_sar"


# --- unitree_rl_lab ---


def test_unitree_gains_follow_the_motors_and_the_rest_the_joints():
    contract, findings = contract_of(read_deploy, deploy_data(), robot_joints=MOTORS, decimation=4)
    assert contract.joints == TEACH2  # motors 2 and 0
    assert contract.gains.stiffness == (80.0, 40.0)
    assert contract.gains.damping == (3.5, 1.2)
    assert contract.default_pose == (1.2, -1.0)
    assert contract.action.kind == "delta_default"
    assert contract.rate_hz == 50.0
    velocity = contract.observation[1]
    assert (velocity.clip, velocity.scale) == ((-10.0, 10.0), (0.05, 0.05))
    assert any("3 significant digits" in line for line in findings.assumed)


def test_unitree_joint_names_in_the_policys_order_do_as_well():
    contract, _ = contract_of(read_deploy, deploy_data(), joints=TEACH2, decimation=4)
    assert contract.gains.stiffness == (80.0, 40.0)


def test_unitree_indices_without_names_are_asked_for():
    line = refusal(read_deploy, deploy_data())
    for flag in ("--robot-joints", "--joints", "--decimation"):
        assert flag in line


def test_a_dumped_slice_is_read_and_never_made():
    text = yaml.dump(deploy_data(), sort_keys=False)
    tagged = "!!python/object/apply:builtins.slice [null, null, null]"
    text = text.replace("joint_ids: null", f"joint_ids: {tagged}")
    assert tagged in text
    data = parse_tagged(text.encode(), where="deploy.yaml")
    contract, _ = contract_of(read_deploy, data, joints=TEACH2, decimation=4)
    assert contract.joints == TEACH2
    partial = parse_tagged(text.replace("[null, null, null]", "[0, 1, null]").encode(), where="d")
    assert "joint_ids" in refusal(read_deploy, partial, joints=TEACH2, decimation=4)


def test_unitree_history_stands_in_the_terms_or_moment_by_moment():
    data = deploy_data()
    for value in data["observations"].values():
        value["history_length"] = 5
    by_term, _ = contract_of(read_deploy, data, joints=TEACH2, decimation=4)
    assert by_term.history is None
    assert [t.history.length for t in by_term.observation if t.history] == [5, 5, 5]
    data["observations"] = {"use_gym_history": True, **data["observations"]}
    by_time, _ = contract_of(read_deploy, data, joints=TEACH2, decimation=4)
    assert by_time.history is not None
    assert (by_time.history.layout, by_time.history.length) == ("by_time", 5)
    assert by_time.observation_width == by_term.observation_width == 30


def test_unitree_bounds_of_the_target_become_bounds_of_the_action():
    data = deploy_data()
    action = data["actions"]["JointPositionAction"]
    action["clip"] = [[1.2 - 0.25, 1.2 + 0.25], [-1.0 - 0.5, -1.0 + 0.5]]
    contract, _ = contract_of(read_deploy, data, joints=TEACH2, decimation=4)
    assert contract.action.clip == pytest.approx((-1.0, 1.0))
    action["clip"] = [[0.0, 2.0], [-1.0, 0.0]]
    assert "--action-clip" in refusal(read_deploy, data, joints=TEACH2, decimation=4)


def test_unitree_offsets_that_are_not_the_default_pose_stay():
    data = deploy_data()
    data["actions"]["JointPositionAction"]["offset"] = [1.0, -0.9]
    contract, _ = contract_of(read_deploy, data, joints=TEACH2, decimation=4)
    assert (contract.action.kind, contract.action.offset) == ("absolute", (1.0, -0.9))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"joint_ids_map": [0, 0]}, "joint_ids_map"),
        ({"joint_ids_map": None}, "joint_ids_map"),
        ({"joint_ids_map": [True, 0]}, "joint_ids_map"),
        ({"stiffness": [80.0]}, "stiffness"),
        ({"actions": {"JointVelocityAction": {}}}, "JointVelocityAction"),
        ({"observations": {"base_ang_vel": {}, "gait_phase": {}}}, "base_ang_vel, gait_phase"),
    ],
)
def test_unitree_names_what_is_wrong(changes, words):
    line = refusal(read_deploy, deploy_data(**changes), joints=TEACH2, decimation=4)
    assert words in line


def test_unitree_is_written(tmp_path):
    (tmp_path / "policy.onnx").write_bytes(plain_onnx(6).SerializeToString())
    (tmp_path / "deploy.yaml").write_text(yaml.dump(deploy_data()))
    report = import_unitree(
        tmp_path / "policy.onnx",
        tmp_path / "deploy.yaml",
        robot="teach2",
        output=tmp_path / "out.onnx",
        stated=overrides(robot_joints=MOTORS, decimation=4),
    )
    assert report.difference <= 1e-5


MJLAB_KEYS = (
    "joint_names",
    "joint_stiffness",
    "action_scale",
    "default_joint_pos",
    "observation_names",
    "observation_history_lengths",
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def survives(read: Any, data: Any, **stated: Any) -> None:
    """A contract, or one line that says why not."""
    refused = said(lambda: contract_of(read, data, **stated), Sim2RealError)
    assert refused is None or "\n" not in refused


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(sorted(rl_sar())), value=ANYTHING)
def test_whatever_stands_in_rl_sars_files_is_understood_or_refused(key, value):
    survives(read_config, rl_sar(**{key: value}))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), value=ANYTHING)
def test_whatever_stands_in_a_deploy_yaml_is_understood_or_refused(data, value):
    file = deploy_data()
    places = [file, file["actions"]["JointPositionAction"], file["observations"]]
    places += list(file["observations"].values())
    place = data.draw(st.sampled_from(places))
    place[data.draw(st.sampled_from(sorted(place)))] = value
    survives(read_deploy, file, joints=TEACH2, decimation=4)


@settings(max_examples=150, deadline=None)
@given(
    key=st.sampled_from([*MJLAB_KEYS]),
    text=st.text(max_size=30) | st.lists(st.floats(), max_size=3).map(str),
)
def test_whatever_stands_in_metadata_is_understood_or_refused(key, text):
    survives(read_mjlab, {**metadata(mjlab_onnx()), key: text}, **TIMING)
    survives(read_holosoma, {**metadata(holosoma_onnx()), "kp": text, "dof_names": text})


# --- ONNX with metadata ---


def metadata(content: bytes) -> dict[str, str]:
    return read_metadata(content, where="policy.onnx")


def test_mjlab_metadata_is_read_and_its_rounding_is_told(tmp_path):
    (tmp_path / "policy.onnx").write_bytes(mjlab_onnx())
    report = import_onnx(
        tmp_path / "policy.onnx",
        robot="teach2",
        output=tmp_path / "out.onnx",
        stated=overrides(**TIMING),
    )
    contract = report.contract
    assert contract.joints == TEACH2
    assert contract.gains.stiffness == (80.123, 40.0)  # not 80.12345
    assert contract.action.scale == (0.439, 0.3)
    assert contract.observation[0].offset == (1.2, -1.0)
    assert any("rounded to 3 decimals" in line for line in report.assumed)
    assert any("rounded to 3 decimals" in line for line in contract.provenance.notes)
    assert report.difference <= 1e-5


def test_exact_numbers_take_the_place_of_rounded_ones():
    contract, _ = contract_of(
        read_mjlab, metadata(mjlab_onnx()), **TIMING, action_scale=[0.43937, 0.3]
    )
    assert contract.action.scale == (0.43937, 0.3)


def test_mjlab_says_nothing_about_rates():
    line = refusal(read_mjlab, metadata(mjlab_onnx()))
    assert "--rate-hz" in line
    assert "--decimation" in line


def test_a_number_that_was_rounded_away_is_asked_for():
    content = mjlab_onnx(joint_damping="0.000,1.200")
    line = refusal(read_mjlab, metadata(content), **TIMING)
    assert "--damping" in line
    contract, _ = contract_of(read_mjlab, metadata(content), **TIMING, damping=[0.0004, 1.2])
    assert contract.gains.damping == (0.0004, 1.2)


def test_term_histories_in_the_metadata_are_read():
    content = mjlab_onnx(observation_history_lengths=csv_of(1.0, 5.0, 1.0))
    contract, _ = contract_of(read_mjlab, metadata(content), **TIMING)
    assert [t.length for t in contract.observation] == [1, 5, 1]


def csv_of(*values: float) -> str:
    return ",".join(f"{v:.3f}" for v in values)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observation_names": "base_lin_vel,joint_pos"}, "base_lin_vel"),
        ({"observation_names": None}, "--observation"),
        ({"joint_names": None}, "--joints"),
        ({"joint_stiffness": "80.0"}, ""),
        ({"joint_stiffness": "80.0,soft"}, "joint_stiffness"),
        ({"joint_stiffness": "80.0,nan"}, "joint_stiffness"),
        ({"action_scale": "1.0,2.0,3.0"}, "action_scale"),
        ({"joint_names": "elbow_joint,elbow_joint"}, "joint_names"),
        ({"observation_history_lengths": "1.0,2.5,1.0"}, "observation_history_lengths"),
        ({"observation_history_lengths": "1.0"}, "observation_history_lengths"),
    ],
)
def test_mjlab_metadata_that_is_wrong_names_its_key(changes, words):
    data = metadata(mjlab_onnx(**changes))
    if not words:  # one number stands for all joints
        contract, _ = contract_of(read_mjlab, data, **TIMING)
        assert contract.gains.stiffness == (80.0, 80.0)
        return
    assert words in refusal(read_mjlab, data, **TIMING)


def test_holosoma_metadata_is_exact_and_the_rest_is_asked_for(tmp_path):
    line = refusal(read_holosoma, metadata(holosoma_onnx()))
    for flag in ("rate-hz", "decimation", "default-pose", "observation", "action-kind"):
        assert f"--{flag}" in line
    (tmp_path / "policy.onnx").write_bytes(holosoma_onnx())
    report = import_onnx(
        tmp_path / "policy.onnx",
        robot="teach2",
        output=tmp_path / "out.onnx",
        stated=without("joints", "stiffness", "damping"),
    )
    assert report.contract.gains.stiffness == (80.12345, 40.0)
    assert report.contract.provenance.trainer == "holosoma"
    assert any("command_ranges" in line for line in report.understood)


@pytest.mark.parametrize("key", ["dof_names", "kp", "kd"])
def test_holosoma_metadata_that_is_no_json_is_one_line(key):
    data = {**metadata(holosoma_onnx()), key: "[" * 5000}
    kept = without("joints", "stiffness", "damping").model_dump(mode="json", exclude_none=True)
    assert key in refusal(read_holosoma, data, **kept)


# --- TorchScript that remembers ---


def test_a_reset_that_does_not_forget_is_refused(tmp_path):
    path, output = tmp_path / "policy.pt", tmp_path / "out.onnx"
    path.write_bytes(scripted(seeded(Accumulating)))
    line = failed(
        lambda: import_torchscript(
            path, robot="teach2", output=output, trust=True, stated=overrides(**STATED)
        ),
        output,
    )
    assert "does not forget ['sum']" in line


def test_torchscript_needs_trust_and_everything_stated(tmp_path):
    path, output = tmp_path / "policy.pt", tmp_path / "out.onnx"
    path.write_bytes(scripted(seeded(PolicyLstm)))

    def run(**options: Any) -> None:
        import_torchscript(path, robot="teach2", output=output, **options)

    assert "--trust" in failed(run, output)
    line = failed(lambda: run(trust=True), output)
    for flag in ("joints", "rate-hz", "decimation", "default-pose", "stiffness", "damping"):
        assert f"--{flag}" in line
    for flag in ("observation", "action-kind"):
        assert f"--{flag}" in line


# --- checkpoints ---


def sb3(path: Path, **options: Any) -> Any:
    given = {"stated": overrides(**STATED), "normaliser": "none", **options}
    return import_sb3(path, robot="teach2", output=path.parent / "out.onnx", **given)


def test_whether_there_was_a_normaliser_must_be_said(tmp_path):
    path = tmp_path / "model.zip"
    path.write_bytes(sb3_archive())
    line = failed(lambda: sb3(path, normaliser=None), tmp_path / "out.onnx")
    assert "--normaliser" in line


def test_a_pickled_normaliser_is_refused_with_the_way_to_write_it(tmp_path):
    path = tmp_path / "model.zip"
    path.write_bytes(sb3_archive())
    (tmp_path / "vec_normalize.pkl").write_bytes(b"\x80\x04cposix\nsystem\n.")
    given = str(tmp_path / "vec_normalize.pkl")
    line = failed(lambda: sb3(path, normaliser=given), tmp_path / "out.onnx")
    assert "--normaliser" in line
    assert "numpy.savez" in line


def described(**data: Any) -> Stored:
    """What the child process says about an archive of PPO."""
    layers = ((np.ones((2, 6), np.float32), np.zeros(2, np.float32)),)
    about = {
        "policy_class": {"name": "ActorCriticPolicy"},
        "policy_kwargs": {},
        "observation_space": box("[-inf]", "[inf]", 6),
        "action_space": box("[-0.5 -0.5]", "[2. 2.]", 2),
        **data,
    }
    squash = bool(about.pop("squash", False))
    return Stored("sb3", layers, "sac" if squash else "on_policy", squash, None, None, about)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"use_sde": True}, "use_sde"),
        ({"action_space": {":type:": "<class 'gymnasium.spaces.discrete.Discrete'>"}}, "Box"),
        ({"observation_space": {":type:": "<class 'gymnasium.spaces.dict.Dict'>"}}, "Box"),
        ({"action_space": box("[-1. -2.]", "[1. 2.]", 2)}, "--action-clip"),
        ({"squash": True, "action_space": box("[-1. ... 1.]", "[1.]", 2)}, "cannot be read"),
    ],
)
def test_what_an_sb3_archive_cannot_say_is_told(data, words):
    facts = Facts(ImportOverrides(), Findings())
    read_spaces(described(**data), facts)
    assert words in str(facts.findings.refusal())


@pytest.mark.parametrize(
    ("data", "activation"),
    [
        ({}, "tanh"),
        ({"policy_kwargs": {"activation_fn": "<class 'torch.nn.modules.activation.ELU'>"}}, "elu"),
        ({"policy_kwargs": {"activation_fn": "<class 'mine.Snake'>"}}, "snake"),
        ({"policy_class": {"name": "MyPolicy"}}, None),
    ],
)
def test_the_activation_is_the_archives_or_the_default_of_sb3s_own_policies(data, activation):
    facts = Facts(ImportOverrides(), Findings())
    assert read_spaces(described(**data), facts).activation == activation


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (self.path, "w")


def test_a_hostile_checkpoint_runs_nothing(tmp_path):
    trap = tmp_path / "trap"
    evil = torch_bytes({"model_state_dict": Evil(str(trap))})
    path, output = tmp_path / "model.pt", tmp_path / "out.onnx"
    path.write_bytes(evil)
    failed(lambda: import_rsl_rl(path, robot="teach2", output=output), output)
    path.write_bytes(sb3_archive(policy=evil))
    failed(lambda: sb3(path), output)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\x80\x02.", "pickle"), (b"PK\x03\x04rest", "damaged"), (b"text", "no zip")],
)
def test_what_is_no_archive_is_one_line_before_anything_opens_it(tmp_path, content, words):
    path, output = tmp_path / "model.pt", tmp_path / "out.onnx"
    path.write_bytes(content)
    assert words in failed(lambda: import_rsl_rl(path, robot="teach2", output=output), output)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ([1, 2], "named tensors"),
        ({"weights": torch.zeros(2)}, "actor_state_dict"),
        ({"actor_state_dict": {"rnn.weight": torch.zeros(2)}}, "recurrent"),
        ({"model_state_dict": {"memory_a.rnn.weight_ih_l0": torch.zeros(2)}}, "recurrent"),
        ({"actor_state_dict": {"mlp.0.weight": torch.zeros(2)}}, "linear"),
        ({"actor_state_dict": {"mlp.0.bias": torch.zeros(2)}}, "linear"),
        ({"actor_state_dict": {"cnn.0.weight": torch.zeros(2)}}, "cnn"),
        ({"actor_state_dict": {}}, "no layers"),
        (
            {
                "actor_state_dict": {
                    "mlp.0.weight": torch.full((2, 6), float("nan")),
                    "mlp.0.bias": torch.zeros(2),
                }
            },
            "not finite",
        ),
    ],
)
def test_tensors_that_are_no_mlp_actor_are_refused(stored, words):
    with pytest.raises(ValueError, match=words):
        find_rsl_rl(stored)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"features_extractor.cnn.0.weight": torch.zeros(2)}, "before the actor"),
        ({"lstm_actor.weight_ih_l0": torch.zeros(2)}, "recurrent"),
        ({"q_net.0.weight": torch.zeros(2)}, "no actor"),
    ],
)
def test_tensors_that_are_no_actor_of_sb3_are_refused(stored, words):
    with pytest.raises(ValueError, match=words):
        find_sb3(stored)


def test_a_checkpoint_of_another_width_says_so(tmp_path):
    path = tmp_path / "model.zip"
    path.write_bytes(sb3_archive())
    stated = without("observation", observation=STATED["observation"][:2])
    assert "takes 6 numbers" in failed(lambda: sb3(path, stated=stated), tmp_path / "out.onnx")


def test_a_checkpoint_of_more_joints_says_so(tmp_path):
    tensors = sb3_policy(squash=False)
    tensors["action_net.weight"] = torch.zeros(3, 32)
    tensors["action_net.bias"] = torch.zeros(3)
    path = tmp_path / "model.zip"
    data = {"action_space": box("[-1. -1. -1.]", "[1. 1. 1.]", 3)}
    path.write_bytes(sb3_archive(policy=torch_bytes(tensors), data=data))
    assert "joints" in failed(lambda: sb3(path), tmp_path / "out.onnx")


# --- the command line ---


def test_the_command_line_imports_and_prints_figures(tmp_path, capsys):
    (tmp_path / "policy.onnx").write_bytes(mjlab_onnx())
    command = ["import", "onnx", str(tmp_path / "policy.onnx"), "--robot", "teach2"]
    command += ["--rate-hz", "50", "--decimation", "4", "-o", str(tmp_path / "out.onnx"), "--json"]
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    assert end.value.code == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["max_difference"] <= 1e-5
    assert figures["contract"]["rate_hz"] == 50.0


@pytest.mark.parametrize("name", ["torchscript", "onnx", "rl_sar", "unitree", "sb3", "rsl_rl"])
def test_every_format_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["import", name, "--help"])
    assert end.value.code == 0
    assert f"sim2real import {name}" in " ".join(capsys.readouterr().out.split())
