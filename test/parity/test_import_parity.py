"""An imported policy answers as the original does, and moves the arm as its author found it to."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import yaml
from numpy.typing import NDArray

from ros2_sim2real.config import load
from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.offline.import_overrides import ImportOverrides
from ros2_sim2real.offline.isaaclab import import_isaaclab
from ros2_sim2real.offline.onnx_file import write_policy
from ros2_sim2real.offline.torchscript import convert_torchscript, onnx_answers
from ros2_sim2real.paths import share
from ros2_sim2real.policy.action import ActionDecoder
from ros2_sim2real.policy.artefact import Artefact, load_artefact
from ros2_sim2real.policy.observation import ObservationBuilder
from ros2_sim2real.policy.onnx_policy import Network
from ros2_sim2real.robot import load_robot
from ros2_sim2real.rotations import from_euler, quaternion_multiply, rotation_vector
from ros2_sim2real.signals import Goal, RobotState, frozen

POLICIES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "policies"
third_party = pytest.mark.skipif(
    not POLICIES.is_dir(), reason="the third-party policies are not here"
)
LIMIT = 1e-5
AREA = 0.08  # [m], as the author of the UR5e policies counts


@dataclass
class Trace:
    """What a rollout saw: inputs of the network and errors of the tool, step by step."""

    rows: NDArray[np.float32]  # (steps, nobs)
    position: list[NDArray[np.float64]]  # per goal, (steps,) [m]
    rotation: list[float]  # per goal, at its end [rad]


def rollout(
    artefact: Artefact, goals: list[Goal], *, seconds: float, servo: float | None = None
) -> Trace:
    """Runs the policy against an arm without mass.

    `servo`: bandwidth of a critically damped servo [rad/s]; None: it is where it is told to be.
    """
    contract = artefact.contract
    spec = load_robot(contract.robot)
    kinematics = Kinematics(spec, frame=contract.frame, tool=contract.tool)
    builder = ObservationBuilder(contract, kinematics)
    network = Network(artefact, builder.out)
    decoder = ActionDecoder(contract, lower=spec.limits.lower, upper=spec.limits.upper)
    q, dq = np.array(contract.default_pose), np.zeros(spec.nq)
    decoder.reset(q)
    rows, position, rotation = [], [], []
    for goal in goals:
        errors = []
        for _ in range(round(seconds * contract.rate_hz)):
            tool = kinematics.update(q, dq)
            errors.append(float(np.linalg.norm(goal.position - tool.position)))
            turn = quaternion_multiply(goal.quaternion, tool.quaternion * (1.0, -1.0, -1.0, -1.0))
            state = RobotState(0, frozen(q), frozen(dq))
            builder.build(
                state, q, dq, previous=decoder.previous, target=decoder.target, goal=goal
            )
            rows.append(builder.out[0].copy())
            target = decoder.decode(network(), q)
            q, dq = follow(q, dq, target, 1.0 / contract.rate_hz, servo)
        position.append(np.array(errors))
        rotation.append(float(np.linalg.norm(rotation_vector(turn))))
    return Trace(np.array(rows), position, rotation)


def follow(q, dq, target, dt, servo):
    if servo is None:
        return target, (target - q) / dt
    for _ in range(20):
        dq = dq + (servo * servo * (target - q) - 2.0 * servo * dq) * dt / 20
        q = q + dq * dt / 20
    return q, dq


def pose(position, quaternion) -> Goal:
    q = np.array(quaternion, dtype=float)
    return Goal(0, frozen(position), frozen(q / np.linalg.norm(q)))


def answers(artefact: Artefact, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    names = (artefact.contract.input, artefact.contract.output)
    return onnx_answers(artefact.file.content, rows, names=names, where="imported")


def some(rows: NDArray[np.float32], count: int = 100) -> NDArray[np.float32]:
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def random_rows(width: int) -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(1000, width)).astype(np.float32)


# --- a policy of our own -----------------------------------------------------------------------


ENV = {
    "sim": {"dt": 0.005},
    "decimation": 4,
    "scene": {
        "robot": {
            "init_state": {"joint_pos": {"shoulder_joint": 1.2, "elbow_joint": -1.0}},
            "actuators": {"arm": {"joint_names_expr": [".*"], "stiffness": 80.0, "damping": 3.5}},
        }
    },
    "observations": {
        "policy": {
            name: {"func": f"isaaclab.envs.mdp.observations.{func}", "params": params}
            for name, func, params in (
                ("q", "joint_pos_rel", {}),
                ("dq", "joint_vel_rel", {}),
                ("goal", "generated_commands", {"command_name": "pose"}),
                ("a", "last_action", {}),
            )
        }
    },
    "actions": {
        "arm": {
            "class_type": "isaaclab.envs.mdp.actions.JointPositionAction",
            "joint_names": [".*"],
            "scale": 0.3,
        }
    },
    "commands": {
        "pose": {
            "class_type": "isaaclab.envs.mdp.commands.UniformPoseCommand",
            "ranges": {"pos_x": [0.1, 0.35], "pos_y": [0.0, 0.0], "pos_z": [0.1, 0.5]},
        }
    },
}


def own_torchscript() -> bytes:
    torch = pytest.importorskip("torch", reason="TorchScript needs the [train] extra")

    class Normalised(torch.nn.Module):
        """As the trainer exports it: the normaliser inside."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.linspace(-0.5, 0.5, 13))
            self.register_buffer("std", torch.linspace(0.5, 2.0, 13))
            layers = [torch.nn.Linear(13, 64), torch.nn.ELU(), torch.nn.Linear(64, 2)]
            self.net = torch.nn.Sequential(*layers)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net((x - self.mean) / (self.std + 1e-2))

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own format deprecated
        torch.manual_seed(0)
        torch.jit.save(torch.jit.script(Normalised()), buffer)
    return buffer.getvalue()


def test_a_torchscript_and_its_import_answer_alike_on_random_and_recorded_inputs(tmp_path):
    original = own_torchscript()
    (tmp_path / "policy.pt").write_bytes(original)
    (tmp_path / "env.yaml").write_text(yaml.dump(ENV, sort_keys=False))
    report = import_isaaclab(
        tmp_path / "policy.pt",
        tmp_path / "env.yaml",
        robot="teach2",
        output=tmp_path / "own.onnx",
        trust=True,
    )
    assert report.contract.normaliser == "inside"
    artefact = load_artefact(report.output)
    goal = pose([0.25, 0.0, 0.3], [1.0, 0.0, 0.0, 0.0])
    recorded = some(rollout(artefact, [goal], seconds=4.0, servo=8.0).rows)
    rows = np.concatenate([random_rows(13), recorded])
    truth = convert_torchscript(original, rows, trust=True, where="policy.pt").answers
    assert np.abs(answers(artefact, rows) - truth).max() <= LIMIT


# --- policies of others ------------------------------------------------------------------------


UR10_COMMANDS = [(0.5, 0.0, 0.2), (0.4, -0.15, 0.3), (0.4, 0.15, 0.4), (0.6, 0.1, 0.45)]


@pytest.fixture(scope="module")
def ur10(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    pytest.importorskip("torch", reason="TorchScript needs the [train] extra")
    report = import_isaaclab(
        POLICIES / "ur10_reach" / "policy.pt",
        POLICIES / "ur10_reach" / "env.yaml",
        robot="ur10",
        output=tmp_path_factory.mktemp("ur10") / "ur10.onnx",
        trust=True,
        overrides=load(
            share() / "config" / "offline" / "isaaclab_ur10_reach.yaml", ImportOverrides
        ),
    )
    return load_artefact(report.output)


def ur10_goal(command: tuple[float, float, float], yaw: float = 0.0) -> Goal:
    return pose(command, from_euler(0.0, np.pi / 2, yaw))


@third_party
def test_the_ur10_policy_and_its_import_answer_alike_on_random_and_recorded_inputs(ur10):
    goals = [ur10_goal(command) for command in UR10_COMMANDS]
    recorded = some(rollout(ur10, goals, seconds=4.0, servo=8.0).rows)
    rows = np.concatenate([random_rows(25), recorded])
    original = (POLICIES / "ur10_reach" / "policy.pt").read_bytes()
    truth = convert_torchscript(original, rows, trust=True, where="policy.pt").answers
    assert np.abs(answers(ur10, rows) - truth).max() <= LIMIT


@third_party
@pytest.mark.parametrize("command", UR10_COMMANDS)
def test_the_imported_ur10_policy_takes_the_tool_to_the_command(ur10, command):
    trace = rollout(ur10, [ur10_goal(command)], seconds=10.0, servo=8.0)
    assert trace.position[0][-1] <= 0.020  # measured: 10.3, 8.5, 8.4, 18.8 mm
    assert trace.rotation[0] <= 0.1  # the tool of isaaclab_ur10_reach.yaml is the trained one


def import_ur5e(name: str, folder: Path) -> Artefact:
    stated = load(share() / "config" / "offline" / "isaaclab_ur5e_reach.yaml", ImportOverrides)
    report = import_isaaclab(
        POLICIES / "ur5e_reach" / name / "policy.onnx",
        POLICIES / "ur5e_reach" / name / "env.yaml",
        robot="ur5e",
        output=folder / f"{name}.onnx",
        overrides=stated,
    )
    return load_artefact(report.output)


def ur5e_goals() -> list[Goal]:
    rows = json.loads((POLICIES / "ur5e_reach" / "goals.json").read_text())
    return [pose(row[:3], row[3:]) for row in rows]


def reached(trace: Trace) -> list[NDArray[np.float64]]:
    """Errors within the area, per goal that was reached, as the author counts them."""
    return [errors[errors < AREA] for errors in trace.position if errors.min() < AREA]


@third_party
@pytest.mark.parametrize("name", ["actuator_delay", "no_randomisation"])
def test_the_ur5e_policies_and_their_imports_answer_alike(name, tmp_path):
    artefact = import_ur5e(name, tmp_path)
    recorded = some(rollout(artefact, ur5e_goals(), seconds=10.0).rows)
    rows = np.concatenate([random_rows(24), recorded])
    session = ort.InferenceSession((POLICIES / "ur5e_reach" / name / "policy.onnx").read_bytes())
    truth = np.concatenate([session.run(None, {"obs": row[None]})[0] for row in rows])
    assert np.abs(answers(artefact, rows) - truth).max() <= LIMIT


@third_party
def test_the_imported_ur5e_policy_does_with_a_perfect_servo_what_its_author_found(tmp_path):
    trained = import_ur5e("actuator_delay", tmp_path)
    slow = reached(rollout(trained, ur5e_goals(), seconds=10.0))
    assert len(slow) == 7
    assert np.mean([errors.mean() for errors in slow]) == pytest.approx(0.0204, abs=0.0005)

    plain = reached(rollout(import_ur5e("no_randomisation", tmp_path), ur5e_goals(), seconds=10.0))
    assert len(plain) < len(slow)

    action = trained.contract.action.model_copy(update={"scale": 2.0})
    contract = trained.contract.model_copy(update={"action": action})
    fast = write_policy(trained.file.content, contract, tmp_path / "fast.onnx")
    swinging = rollout(fast, ur5e_goals(), seconds=10.0)
    assert len(reached(swinging)) <= 4
    assert all(np.ptp(errors[-120:]) > 0.03 for errors in swinging.position)  # it never settles
