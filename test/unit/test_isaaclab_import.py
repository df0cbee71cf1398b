"""The importer: what it reads from env.yaml, what it asks for, and what it refuses to open."""

from __future__ import annotations

import copy
import io
import json
import pickle
import subprocess
import sys
import textwrap
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tyro
import yaml
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ros2_sim2real.contract import PolicyContract, per_element
from ros2_sim2real.errors import ConfigError, ConversionError, Sim2RealError
from ros2_sim2real.offline._import_env import Findings
from ros2_sim2real.offline.import_overrides import ImportFlags, ImportOverrides
from ros2_sim2real.offline.isaaclab import draft_contract, import_isaaclab
from ros2_sim2real.offline.onnx_file import with_contract, write_policy
from ros2_sim2real.offline.sandbox import ChildLimits
from ros2_sim2real.offline.torchscript import convert_torchscript, onnx_answers
from ros2_sim2real.policy.artefact import load_artefact
from ros2_sim2real.policy.golden_file import golden_of, with_golden
from ros2_sim2real.policy.model_file import seal
from ros2_sim2real.robot import RobotSpec, load_robot
from ros2_sim2real.rotations import quaternion_multiply

JOINTS = ("shoulder_joint", "elbow_joint")
MDP = "isaaclab.envs.mdp"
ROWS = np.random.default_rng(0).normal(size=(20, 13)).astype(np.float32)


# --- what is imported: a reach task of two joints ---


def observed(func: str, **fields: Any) -> dict[str, Any]:
    return {"func": f"{MDP}.observations.{func}", "params": {}, "history_length": 0, **fields}


def env_data() -> dict[str, Any]:
    return {
        "sim": {"dt": 0.005},
        "decimation": 4,
        "scene": {
            "num_envs": 16,
            "robot": {
                "init_state": {
                    "pos": [0.0, 0.0, 0.0],
                    "rot": [1.0, 0.0, 0.0, 0.0],
                    "joint_pos": {"shoulder_joint": 1.2, "elbow_.*": -1.0},
                    "joint_vel": {".*": 0.0},
                },
                "soft_joint_pos_limit_factor": 1.0,
                "actuators": {
                    "arm": {
                        "class_type": "isaaclab.actuators.actuator_pd.ImplicitActuator",
                        "joint_names_expr": [".*"],
                        "effort_limit": None,
                        "effort_limit_sim": {"shoulder_joint": 6.0, "elbow_joint": 3},
                        "stiffness": {"shoulder_.*": 80, "elbow_.*": 40.0},
                        "damping": 3.5,
                    }
                },
            },
        },
        "observations": {
            "policy": {
                "concatenate_terms": True,
                "enable_corruption": True,
                "history_length": None,
                "velocity": observed("joint_vel_rel", scale=0.1, clip=[-2.0, 2.0]),
                "position": observed("joint_pos_rel"),
                "goal": observed("generated_commands", params={"command_name": "ee_pose"}),
                "action": observed("last_action"),
                "unused": None,
            }
        },
        "actions": {
            "arm_action": {
                "class_type": f"{MDP}.actions.joint_actions.JointPositionAction",
                "asset_name": "robot",
                "joint_names": [".*"],
                "scale": 0.5,
                "offset": 0.0,
                "preserve_order": False,
                "use_default_offset": True,
                "clip": None,
            },
            "gripper_action": None,
        },
        "commands": {
            "ee_pose": {
                "class_type": f"{MDP}.commands.pose_command.UniformPoseCommand",
                "body_name": "tip",
                "ranges": {
                    "pos_x": [0.1, 0.35],
                    "pos_y": [0.0, 0.0],
                    "pos_z": [0.1, 0.5],
                    "roll": [0.0, 0.0],
                    "pitch": [1.57, 1.57],
                    "yaw": [-3.14, 3.14],
                },
            }
        },
    }


def direct_data() -> dict[str, Any]:
    data = env_data()
    return {
        "sim": data["sim"],
        "decimation": 4,
        "observation_space": 6,
        "action_space": 2,
        "robot": data["scene"]["robot"],
    }


@pytest.fixture(scope="module")
def spec() -> RobotSpec:
    return load_robot("teach2")


def draft(data: dict[str, Any], spec: RobotSpec, **stated: Any) -> tuple[PolicyContract, Findings]:
    findings = Findings()
    return draft_contract(data, spec, ImportOverrides(**stated), findings=findings), findings


def refusal(data: dict[str, Any], spec: RobotSpec, **stated: Any) -> str:
    with pytest.raises(ConversionError) as caught:
        draft(data, spec, **stated)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def network(nobs: int = 13, nu: int = 2, **names: Any) -> onnx.ModelProto:
    """actions = tanh(obs W) V, as a foreign exporter would write it."""
    rng = np.random.default_rng(3)
    source, sink = names.get("source", "input.1"), names.get("sink", "42")
    rows = names.get("rows", 1)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", [source, "w"], ["hidden"], doc_string="/home/trainer/x.py"),
            helper.make_node("Tanh", ["hidden"], ["actions"]),  # bears the contract's name
            helper.make_node("MatMul", ["actions", "v"], [sink]),
        ],
        "main_graph",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, [rows, nobs])],
        [helper.make_tensor_value_info(sink, TensorProto.FLOAT, [rows, nu])],
        [
            numpy_helper.from_array(rng.normal(size=(nobs, 8)).astype(np.float32), "w"),
            numpy_helper.from_array(rng.normal(size=(8, nu)).astype(np.float32), "v"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"trainer.path": "/home/trainer"})
    return model


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """policy.onnx, env.yaml and the output that does not exist yet."""
    policy, env = tmp_path / "policy.onnx", tmp_path / "env.yaml"
    policy.write_bytes(network().SerializeToString())
    env.write_text(yaml.dump(env_data(), sort_keys=False))
    return policy, env, tmp_path / "out" / "reach.onnx"


def run_import(files: tuple[Path, Path, Path], **options: Any) -> Any:
    policy, env, output = files
    return import_isaaclab(policy, env, robot="teach2", output=output, **options)


def failed_import(files: tuple[Path, Path, Path], **options: Any) -> str:
    """One line, and nothing is left behind."""
    with pytest.raises(Sim2RealError) as caught:
        run_import(files, **options)
    assert "\n" not in str(caught.value)
    assert not files[2].exists()
    assert not list(files[2].parent.glob(".*.part"))
    return str(caught.value)


# --- env.yaml of a manager-based environment ---


def test_terms_keep_the_order_of_the_file_and_their_clip_and_scale(spec):
    contract, _ = draft(env_data(), spec)
    terms = [(t.name, t.source, t.width) for t in contract.observation]
    assert terms == [
        ("velocity", "joint_velocity", 2),
        ("position", "joint_position", 2),
        ("goal", "goal_pose", 7),
        ("action", "previous_action", 2),
    ]
    assert contract.observation[0].scale == 0.1
    assert contract.observation[0].clip == (-2.0, 2.0)
    assert contract.observation[1].offset == (1.2, -1.0)  # relative to the default pose


def test_pose_gains_rates_and_goal_come_from_the_file(spec):
    contract, findings = draft(env_data(), spec)
    assert contract.default_pose == (1.2, -1.0)
    assert contract.gains.stiffness == (80.0, 40.0)
    assert contract.gains.damping == (3.5, 3.5)
    assert contract.gains.effort_limit == (6.0, 3.0)
    assert (contract.rate_hz, contract.physics_hz, contract.decimation) == (50.0, 200.0, 4)
    assert contract.goal is not None
    assert contract.goal.x == (0.1, 0.35)
    assert contract.goal.pitch == (1.57, 1.57)
    assert contract.goal.quaternion == "wxyz"
    assert contract.action.kind == "delta_default"
    assert contract.action.scale == 0.5
    assert contract.action.clip is None
    assert any("joint order" in line and "--joints" in line for line in findings.assumed)
    assert any("`tip`" in line for line in findings.assumed)


def test_a_step_with_rounded_digits_gives_the_rate_that_was_meant(spec):
    data = env_data()
    data["sim"]["dt"], data["decimation"] = 0.008333333333333333, 2
    contract, _ = draft(data, spec)
    assert (contract.rate_hz, contract.physics_hz) == (60.0, 120.0)


def test_joints_that_a_file_leaves_out_are_at_zero_and_that_is_said(spec):
    data = env_data()
    data["scene"]["robot"]["init_state"]["joint_pos"] = {"elbow_joint": -1.0, "gripper": 0.02}
    contract, findings = draft(data, spec)
    assert contract.default_pose == (0.0, -1.0)
    assert any("shoulder_joint is 0 rad" in line for line in findings.assumed)
    assert any("gripper were there in training" in line for line in findings.understood)


def test_effort_limits_of_the_robot_stand_in_for_those_of_the_usd_file(spec):
    data = env_data()
    arm = data["scene"]["robot"]["actuators"]["arm"]
    arm["effort_limit_sim"] = {"elbow_joint": 2.0}
    contract, findings = draft(data, spec)
    assert contract.gains.effort_limit == (spec.joints[0].effort, 2.0)
    arm["effort_limit_sim"] = None
    contract, findings = draft(data, spec)
    assert contract.gains.effort_limit is None
    assert any("--effort-limit" in line for line in findings.missing)


def test_an_offset_in_place_of_the_default_pose_makes_the_action_absolute(spec):
    data = env_data()
    action = data["actions"]["arm_action"]
    action.update(use_default_offset=False, offset={"elbow_joint": 0.3}, scale={"elbow_.*": 2.0})
    contract, _ = draft(data, spec)
    assert contract.action.kind == "absolute"
    assert contract.action.offset == (0.0, 0.3)
    assert contract.action.scale == (1.0, 2.0)  # Isaac Lab's factor where none is named


def test_relative_actions_are_relative_to_the_measured_position(spec):
    data = env_data()
    data["actions"]["arm_action"].update(
        class_type="isaaclab.envs.mdp.actions.joint_actions:RelativeJointPositionAction",
        use_zero_offset=True,
    )
    contract, findings = draft(data, spec)
    assert contract.action.kind == "relative_measured"
    assert contract.action.offset == 0.0
    assert any("every physics step" in line for line in findings.assumed)


@given(
    scale=st.floats(-3.0, 3.0).filter(lambda s: abs(s) > 0.01),
    offset=st.floats(-2.0, 2.0),
    low=st.floats(-3.0, 0.0),
    width=st.floats(0.01, 5.0),
    raw=st.floats(-20.0, 20.0),
)
def test_a_clip_of_the_target_becomes_one_of_the_raw_action(scale, offset, low, width, raw):
    high = low + width
    data = env_data()
    data["actions"]["arm_action"].update(
        use_default_offset=False, offset=offset, scale=scale, clip={".*": [low, high]}
    )
    action = draft(data, load_robot("teach2"))[0].action
    assert action.clip is not None
    ours = offset + scale * np.clip(raw, *action.clip)
    assert ours == pytest.approx(np.clip(scale * raw + offset, low, high), abs=1e-9)


def test_a_clip_that_is_no_single_range_of_the_raw_action_must_be_stated(spec):
    data = env_data()
    data["actions"]["arm_action"]["clip"] = {".*": [-1.0, 1.0]}  # around two default angles
    assert "--action-clip" in refusal(data, spec)
    contract, _ = draft(data, spec, action_clip=(-4.0, 4.0))
    assert contract.action.clip == (-4.0, 4.0)


def test_a_clip_of_the_file_does_not_outlive_another_scale(spec):
    data = env_data()
    action = data["actions"]["arm_action"]
    action.update(use_default_offset=False, clip={".*": [-1.0, 1.0]})
    assert draft(data, spec)[0].action.clip == (-2.0, 2.0)
    assert "--action-clip" in refusal(data, spec, action_scale=(0.1,))


def test_actions_over_the_joint_range_end_at_its_ends(spec):
    data = env_data()
    data["actions"]["arm_action"] = {
        "class_type": f"{MDP}.actions.JointPositionToLimitsAction",
        "joint_names": [".*"],
        "scale": 1.0,
    }
    action = draft(data, spec)[0].action
    assert action.clip is not None
    for end, raw in (("lower", action.clip[0]), ("upper", action.clip[1])):
        reached = per_element(action.offset, 2) + per_element(action.scale, 2) * raw
        assert reached == pytest.approx([getattr(j, end) for j in spec.joints])


def test_positions_within_their_limits_are_seen_from_minus_one_to_one(spec):
    data = env_data()
    data["observations"]["policy"]["position"] = observed("joint_pos_limit_normalized")
    term = draft(data, spec)[0].observation[1]
    for end, expected in (("lower", -1.0), ("upper", 1.0)):
        q = np.array([getattr(j, end) for j in spec.joints])
        seen = per_element(term.scale, 2) * (q - per_element(term.offset, 2))
        assert seen == pytest.approx([expected] * 2)


@given(
    position=st.tuples(*[st.floats(-2.0, 2.0)] * 3),
    turn=st.tuples(*[st.floats(-1.0, 1.0)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
)
def test_the_world_in_the_base_undoes_the_base_in_the_world(position, turn):
    rotation = np.array(turn) / np.linalg.norm(turn)
    data = env_data()
    data["observations"]["policy"]["goal"] = None
    data["observations"]["policy"]["tip"] = observed(
        "body_pose_w", params={"asset_cfg": {"name": "robot", "body_names": ["tip"]}}
    )
    data["scene"]["robot"]["init_state"].update(pos=list(position), rot=rotation.tolist())
    contract, _ = draft(data, load_robot("teach2"))
    assert [t.source for t in contract.observation[-2:]] == ["tool_position", "tool_quaternion"]
    world = contract.frame
    back = quaternion_multiply(rotation, np.array(world.quaternion))
    assert back == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=1e-9)
    shifted = quaternion_multiply(
        quaternion_multiply(rotation, np.array([0.0, *world.position])),
        rotation * (1.0, -1.0, -1.0, -1.0),
    )
    assert shifted[1:] + position == pytest.approx([0.0] * 3, abs=1e-9)


def test_a_tool_in_the_world_and_a_goal_in_the_base_need_one_frame(spec):
    data = env_data()
    data["observations"]["policy"]["tip"] = observed("body_pose_w")
    data["scene"]["robot"]["init_state"]["pos"] = [0.0, 0.0, 0.8]
    assert "expected one frame" in refusal(data, spec)


def test_a_function_of_somebody_else_with_a_known_name_is_an_assumption(spec):
    data = env_data()
    data["observations"]["policy"]["position"]["func"] = "my_tasks.mdp:joint_pos_rel"
    _, findings = draft(data, spec)
    assert any("my_tasks.mdp:joint_pos_rel" in line for line in findings.assumed)


# --- what is missing or cannot be run ---


def test_everything_that_is_missing_is_named_at_once_with_its_flag(spec):
    line = refusal({}, spec)
    for flag in (
        "--default-pose",
        "--stiffness",
        "--damping",
        "--decimation",
        "--observation",
        "--action-kind",
        "--action-scale",
        "--action-clip",
    ):
        assert flag in line


def test_unknown_observations_are_named_together_with_the_flag(spec):
    data = env_data()
    data["observations"]["policy"]["gravity"] = observed("projected_gravity")
    data["observations"]["policy"]["scan"] = observed("height_scan")
    line = refusal(data, spec)
    assert "`gravity` (projected_gravity), `scan` (height_scan)" in line
    assert "--observation" in line


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("observations.policy.history_length", 5, "history_length` is 5"),
        ("observations.policy.position.history_length", 3, "history_length` is 3"),
        (
            "observations.policy.position.modifiers",
            [{"func": "x"}],
            "modifiers` change the values",
        ),
        (
            "observations.policy.position.scale",
            "big",
            "scale` got 'big', expected a finite number",
        ),
        ("observations.policy.position.scale", [1.0], "expected 2 numbers"),
        ("observations.policy.position.clip", [1.0, -1.0], "expected [low, high]"),
        ("observations.policy.concatenate_terms", False, "expected one row"),
        ("sim.dt", 0.0, "`sim.dt` got 0.0"),
        ("sim.dt", float("nan"), "`sim.dt` got nan, expected a finite number"),
        ("decimation", 2.5, "`decimation` got 2.5"),
        ("scene.robot.actuators.arm.stiffness", 0.0, "expected positive gains"),
        ("scene.robot.actuators.arm.stiffness", True, "got True, expected a finite number"),
        ("scene.robot.actuators.arm.stiffness", {".*": 1, "elbow.*": 2}, "expected one of them"),
        ("scene.robot.actuators.arm.joint_names_expr", ["(a+)+b"], "expected a simple one"),
        ("scene.robot.actuators.arm.joint_names_expr", ["("], "expected a simple one"),
        ("scene.robot.actuators.other", {"joint_names_expr": [".*"], "stiffness": 1}, "a second"),
        ("scene.robot.init_state.joint_pos", {"panda_joint1": 0.0}, "--robot"),
        ("actions.gripper_action", {"class_type": "x.BinaryAction"}, "expected one action"),
        ("actions.arm_action.class_type", "a.JointVelocityAction", "sets joint positions"),
        ("actions.arm_action.class_type", "a.MyAction", "--action-kind"),
        ("actions.arm_action.joint_names", ["elbow_joint"], "leaves out shoulder_joint"),
        ("commands.ee_pose.ranges.pos_x", [0.4, 0.1], "wrong order"),
        ("commands.ee_pose.ranges.pos_x", None, "--goal-x"),
    ],
)
def test_what_cannot_be_run_is_one_line_that_names_the_field(spec, path, value, words):
    data = env_data()
    *parents, last = path.split(".")
    part = data
    for name in parents:
        part = part[name]
    part[last] = value
    assert words in refusal(data, spec)


def test_a_kept_joint_order_that_differs_is_refused_and_one_that_agrees_is_understood(spec):
    data = env_data()
    data["actions"]["arm_action"].update(preserve_order=True, joint_names=list(JOINTS[::-1]))
    assert "--joints" in refusal(data, spec)
    contract, findings = draft(data, spec, joints=JOINTS[::-1])
    assert contract.joints == JOINTS[::-1]
    assert contract.default_pose == (-1.0, 1.2)
    assert any("joint order elbow_joint, shoulder_joint" in line for line in findings.understood)


VALUES = [None, True, -1, 0.5, 1e308, 10**400, float("nan"), float("inf"), "", "a\nb", "("]
TREES = [[], [1], {}, {"a": [2]}, [0, 0, 0, 1], [[1, 2]], {".*": 2.0}, {".*": [1, 2]}]
JUNK = st.sampled_from([*VALUES, *TREES])


def places(data: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = data.items() if isinstance(data, dict) else ()
    return [path, *(p for key, value in inner for p in places(value, (*path, key)))]


@given(st.lists(st.tuples(st.sampled_from(places(env_data())[1:]), JUNK), min_size=1, max_size=3))
def test_a_damaged_env_yaml_is_a_contract_or_one_line(damage):
    data = env_data()
    for path, junk in damage:
        part: Any = data
        for name in path[:-1]:
            part = part.get(name) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part[path[-1]] = copy.deepcopy(junk)
    try:
        draft(data, load_robot("teach2"))
    except ConversionError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_legged_robot_gets_one_line_and_no_traceback(spec):
    data = env_data()
    legs = {f"{leg}_{part}_joint": 0.1 for leg in ("FL", "FR") for part in ("hip", "thigh")}
    data["scene"]["robot"]["init_state"]["joint_pos"] = legs
    data["observations"]["policy"] = {
        name: observed(name) for name in ("base_lin_vel", "base_ang_vel", "projected_gravity")
    }
    line = refusal(data, spec)
    assert "none is a joint of 'teach2'" in line
    assert "`base_lin_vel` (base_lin_vel)" in line


# --- what the user states ---

STATED: dict[str, Any] = {
    "action_kind": "integrating",
    "action_scale": [0.3],
    "action_clip": [-1.0, 1.0],
    "goal_x": [-0.6, 0.2],
    "goal_y": [-0.3, 0.2],
    "goal_z": [0.05, 0.6],
    "frame_position": [-0.5, 0.3, 0.0],
    "frame_yaw": 3.141592653589793,
    "tool_offset": [0.0, 0.0, 0.14],
    "observation": [
        {"name": "to_goal", "source": "goal_position_error", "width": 3, "scale": 1.25},
        {"name": "v", "source": "tool_linear_velocity", "width": 3},
    ],
}


def stated(tmp_path: Path, *left_out: str) -> ImportOverrides:
    path = tmp_path / "stated.yaml"
    path.write_text(yaml.dump({k: v for k, v in STATED.items() if k not in left_out}))
    return ImportFlags(contract_overrides=path).overrides()


def test_a_direct_environment_is_completed_by_one_file(spec, tmp_path):
    contract = draft_contract(direct_data(), spec, stated(tmp_path), findings=Findings())
    assert contract.action.kind == "integrating"
    assert contract.action.clip == (-1.0, 1.0)
    assert contract.observation_width == 6
    assert contract.gains.stiffness == (80.0, 40.0)  # still from env.yaml
    assert contract.frame.position == (-0.5, 0.3, 0.0)
    assert contract.frame.quaternion == pytest.approx((0.0, 0.0, 0.0, 1.0), abs=1e-12)
    assert contract.tool.position == (0.0, 0.0, 0.14)


@pytest.mark.parametrize(
    ("left_out", "flag"),
    [
        ("action_kind", "--action-kind"),
        ("action_scale", "--action-scale"),
        ("action_clip", "--action-clip"),
        ("goal_y", "--goal-y"),
        ("tool_offset", "--tool-offset"),
        ("observation", "--observation"),
    ],
)
def test_whatever_a_direct_environment_lacks_names_its_flag(spec, tmp_path, left_out, flag):
    with pytest.raises(ConversionError, match=flag):
        draft_contract(direct_data(), spec, stated(tmp_path, left_out), findings=Findings())


def test_a_missing_frame_names_its_flag_and_what_the_file_hints_at(spec, tmp_path):
    data = direct_data()
    data["tcp"] = {
        "source_frame_offset": {"pos": [0.1, 0.2, 0.3], "rot": [1, 0, 0, 0]},
        "target_frames": [{"offset": {"pos": [0.0, 0.0, 0.14], "rot": [1, 0, 0, 0]}}],
    }
    overrides = stated(tmp_path, "frame_position", "frame_yaw")
    with pytest.raises(ConversionError, match=r"--frame-position; `tcp` .*\[0.1, 0.2, 0.3\]"):
        draft_contract(data, spec, overrides, findings=Findings())


def test_widths_that_a_direct_environment_states_are_checked(spec, tmp_path):
    data = {**direct_data(), "observation_space": 24}
    with pytest.raises(ConversionError, match=r"`observation_space` is 24, .* add up to 6"):
        draft_contract(data, spec, stated(tmp_path), findings=Findings())


def test_a_flag_wins_over_the_file_and_the_file_over_env_yaml(spec, tmp_path):
    path = tmp_path / "stated.yaml"
    path.write_text("action_scale: [0.2]\nrate_hz: 25.0\nframe_yaw: 1.0\n")
    flags = ImportFlags(
        contract_overrides=path, action_scale=(0.7, 0.9), frame_quaternion=(1.0, 0.0, 0.0, 0.0)
    )
    contract = draft_contract(env_data(), spec, flags.overrides(), findings=Findings())
    assert contract.action.scale == (0.7, 0.9)
    assert (contract.rate_hz, contract.physics_hz) == (25.0, 100.0)
    assert contract.frame.quaternion == (1.0, 0.0, 0.0, 0.0)


def test_observation_terms_may_come_from_a_file_of_their_own(tmp_path):
    path = tmp_path / "terms.yaml"
    path.write_text("- {name: q, source: joint_position, width: 2}\n")
    (term,) = ImportFlags(observation=path).overrides().observation or ()
    assert (term.name, term.width) == ("q", 2)
    path.write_text("- {name: q, source: joint_position, width: 2}\n- {name: q, widht: 2}\n")
    with pytest.raises(ConfigError, match=r"line 2: .*did you mean `width`"):
        ImportFlags(observation=path).overrides()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("action_scal: [1.0]", "did you mean `action_scale`"),
        ("frame_yaw: 1.0\nframe_quaternion: [1.0, 0.0, 0.0, 0.0]", "got both"),
        ("rate_hz: .nan", "rate_hz"),
        ("goal_x: [1.0]", "goal_x"),
    ],
)
def test_a_file_of_statements_is_strict(tmp_path, text, words):
    path = tmp_path / "stated.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        ImportFlags(contract_overrides=path).overrides()


def test_the_flags_of_a_command_line_reach_the_contract(spec):
    line = "--joints elbow_joint shoulder_joint --action-clip -1 1 --stiffness 70"
    flags = tyro.cli(ImportFlags, args=f"{line} --tool-offset 0 0 -.1".split())
    contract = draft_contract(env_data(), spec, flags.overrides(), findings=Findings())
    assert contract.joints == JOINTS[::-1]
    assert contract.action.clip == (-1.0, 1.0)
    assert contract.gains.stiffness == (70.0, 70.0)
    assert contract.tool.position == (0.0, 0.0, -0.1)


def test_terms_that_the_user_states_still_read_the_goals_of_the_file(spec):
    terms = [{"name": "goal", "source": "goal_position", "width": 3}]
    frames = {"frame_position": [0.0, 0.0, 0.0], "tool_offset": [0.0, 0.0, 0.0]}
    overrides = ImportOverrides.model_validate_json(json.dumps({"observation": terms, **frames}))
    contract = draft_contract(env_data(), spec, overrides, findings=Findings())
    assert contract.goal is not None
    assert contract.goal.kind == "position"
    assert contract.goal.z == (0.1, 0.5)


def test_a_number_for_some_joints_is_refused(spec):
    assert "--damping got 3 numbers" in refusal(env_data(), spec, damping=(1.0, 2.0, 3.0))


# --- the file ---


def test_an_onnx_policy_is_imported_without_torch(files, root):
    policy, env, output = files
    code = f"""
        import sys
        sys.modules["torch"] = None
        from pathlib import Path
        from ros2_sim2real.offline.isaaclab import import_isaaclab
        report = import_isaaclab(
            Path({str(policy)!r}), Path({str(env)!r}), robot="teach2", output=Path({str(output)!r})
        )
        assert report.difference == 0.0, report
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=root)
    assert load_artefact(output).contract.robot == "teach2"


def test_the_importer_itself_never_loads_torch(root):
    code = "import sys, ros2_sim2real.offline.isaaclab; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_the_file_bears_the_contract_and_its_names_and_nothing_of_the_exporter(files):
    report = run_import(files)
    written = load_artefact(files[2])
    assert written.contract == report.contract
    assert written.file.sha256 == report.sha256
    assert report.contract.provenance.source == "policy.onnx"
    model = onnx.load_from_string(written.file.content)
    assert [v.name for v in model.graph.input] == ["obs"]
    assert [v.name for v in model.graph.output] == ["actions"]
    for left_over in (b"/home/trainer", b"input.1", b"main_graph"):
        assert left_over not in written.file.content


@pytest.mark.parametrize("rows", ["batch", None, 1])
def test_an_open_batch_becomes_one_row(files, rows):
    files[0].write_bytes(network(rows=rows).SerializeToString())
    run_import(files)
    model = onnx.load_from_string(load_artefact(files[2]).file.content)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == [1, 13]


def test_names_that_cross_over_are_exchanged(files):
    files[0].write_bytes(network(source="actions_in", sink="obs").SerializeToString())
    assert run_import(files).difference == 0.0


def test_importing_twice_gives_the_same_bytes(files):
    run_import(files)
    first = files[2].read_bytes()
    run_import(files)
    assert files[2].read_bytes() == first
    report = run_import(files)
    again = with_contract(first, report.contract, where="x")
    golden = golden_of(load_artefact(files[2]))
    assert golden is not None
    assert (
        with_golden(seal(again), golden) == first
    )  # what was compared with the original is what was written


def test_writing_again_replaces_the_contract(files, tmp_path):
    report = run_import(files)
    other = report.contract.model_copy(update={"rate_hz": 25.0, "physics_hz": 100.0})
    copied = write_policy(load_artefact(files[2]).file.content, other, tmp_path / "copy.onnx")
    assert copied.contract.rate_hz == 25.0
    assert load_artefact(files[2]).contract.rate_hz == 50.0
    names = (other.input, other.output)
    before, after = (
        onnx_answers(a.file.content, ROWS, names=names, where="x")
        for a in (load_artefact(files[2]), copied)
    )
    assert np.array_equal(before, after)


def test_a_failed_import_leaves_the_old_file_alone(files):
    run_import(files)
    old = files[2].read_bytes()
    files[0].write_bytes(network(nobs=12).SerializeToString())
    with pytest.raises(ConversionError, match=r"shape \[1, 12\], expected \[1, 13\]"):
        run_import(files)
    assert files[2].read_bytes() == old
    assert list(files[2].parent.iterdir()) == [files[2]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nobs": 12}, "the terms are velocity 2, position 2, goal 7, action 2"),
        ({"nu": 3}, "expected [1, 2]"),
        ({"rows": 4096}, "Export with a batch of one"),
    ],
)
def test_a_network_that_does_not_fit_the_contract_is_not_written(files, change, words):
    files[0].write_bytes(network(**change).SerializeToString())
    assert words in failed_import(files)


def test_recurrent_and_looping_graphs_are_refused(files, spec):
    model = network()
    model.graph.input.append(helper.make_tensor_value_info("h_in", TensorProto.FLOAT, [1, 8]))
    files[0].write_bytes(model.SerializeToString())
    assert "['input.1', 'h_in']" in failed_import(files)

    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    model = network()
    loop = helper.make_node("Loop", ["times", "", "hidden"], ["actions"], body=body)
    model.graph.node[1].CopyFrom(loop)
    times = numpy_helper.from_array(np.array(2**62), "times")
    model.graph.initializer.append(times)
    files[0].write_bytes(model.SerializeToString())
    assert "['Loop']" in failed_import(files)

    model = network()
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    model.graph.node[1].domain = "com.acme"
    with pytest.raises(ConversionError, match=r"com\.acme\.Tanh"):
        with_contract(model.SerializeToString(), draft(env_data(), spec)[0], where="x")


def test_an_output_that_cannot_be_written_is_one_line(files, tmp_path):
    (tmp_path / "out").write_text("a file where a folder is meant")
    with pytest.raises(ConversionError, match=r"reach\.onnx: cannot be written"):
        run_import(files)


# --- hostile files ---


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"garbage that is no model" * 20, "not a valid ONNX model"),
        (pickle.dumps({"weights": [1.0] * 50}), "pickle"),
        (b"PK\x03\x04" + bytes(100), "archive"),
        (network().SerializeToString()[:300], "not a valid ONNX model"),
    ],
)
def test_files_that_are_no_policy_are_one_line(files, content, words):
    files[0].write_bytes(content)
    assert words in failed_import(files, trust=True)


@pytest.mark.parametrize("content", [b"a: [", b"\x00\x01", b"- 1\n", b"sim: {dt: 0.01}\n"])
def test_an_env_yaml_that_is_none_is_one_line(files, content):
    files[1].write_bytes(content)
    assert "env.yaml" in failed_import(files)


def test_a_missing_file_is_one_line(files):
    assert "No such file" in failed_import((files[0].with_name("x.onnx"), *files[1:]))
    assert "No such file" in failed_import((files[0], files[1].with_name("x.yaml"), files[2]))


# --- TorchScript ---

torch = pytest.importorskip("torch", reason="TorchScript needs the [train] extra")


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers = [torch.nn.Linear(13, 16), torch.nn.ELU(), torch.nn.Linear(16, 2)]
        self.net = torch.nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Talking(Network):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("ready\n{}\n")  # noqa: T201
        return self.net(x)


class Endless(Network):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = 1
        while n > 0:
            n = n % 7 + 1
        return self.net(x) * n


class Random(Network):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) + torch.rand(1)


class Greedy(Network):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) + torch.ones([40_000_000_000]).sum()


class Writer(Network):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = torch.from_file("left-behind", shared=True, size=1000)
        return self.net(x) + left.sum()


class Pair(Network):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.net(x), x


def scripted(module: type[Network]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own format deprecated
        torch.manual_seed(0)
        torch.jit.save(torch.jit.script(module()), buffer)
    return buffer.getvalue()


def test_torchscript_is_opened_only_when_it_is_trusted(files):
    files[0].write_bytes(scripted(Network))
    assert "--trust" in failed_import(files)
    assert run_import(files, trust=True).difference <= 1e-5


def test_a_file_that_prints_does_not_disturb_the_answer():
    quiet, talking = (
        convert_torchscript(scripted(module), ROWS, trust=True, where="policy.pt").answers
        for module in (Network, Talking)
    )
    assert np.array_equal(quiet, talking)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Endless, "no answer within 2 s"),
        (Random, "recurrent or random"),
        (Greedy, "memory"),
        (Writer, "does not run"),
        (Pair, "answers one row with"),
    ],
)
def test_hostile_torchscript_is_one_line_and_no_file(files, module, words):
    files[0].write_bytes(scripted(module))
    limits = ChildLimits(wall_s=2.0 if module is Endless else 60.0)
    assert words in failed_import(files, trust=True, limits=limits)


def test_a_truncated_or_altered_torchscript_and_a_checkpoint_are_one_line(files):
    whole = scripted(Network)
    files[0].write_bytes(whole[: len(whole) // 2])
    assert "cut off" in failed_import(files, trust=True)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        (weights,) = (e for e in archive.infolist() if e.filename.endswith("/data/0"))
    altered = bytearray(whole)
    altered[weights.header_offset + 200] ^= 1  # beyond the header: one bit of a weight
    files[0].write_bytes(altered)
    assert "/data/0': cut off or altered" in failed_import(files, trust=True)
    buffer = io.BytesIO()
    torch.save(Network().state_dict(), buffer)
    files[0].write_bytes(buffer.getvalue())
    assert "checkpoint" in failed_import(files, trust=True)


def test_a_torchscript_of_another_width_says_so():
    with pytest.raises(ConversionError, match="does not run on one row of 12 numbers"):
        convert_torchscript(scripted(Network), ROWS[:, :12], trust=True, where="policy.pt")


def test_without_torch_the_line_says_what_to_install(files, tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here', name='torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    files[0].write_bytes(scripted(Network))
    assert "ros2_sim2real[train]" in failed_import(files, trust=True)
