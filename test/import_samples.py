"""Small artefacts of other trainers, made here in the shape that their exporters give them."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import yaml
from builders import TEACH2, linear_graph, term
from onnx import helper

# what no file of another trainer says about teach2
STATED: dict[str, Any] = {
    "joints": TEACH2,
    "rate_hz": 50.0,
    "decimation": 4,
    "action_kind": "delta_default",
    "action_scale": (0.3,),
    "default_pose": (1.2, -1.0),
    "stiffness": (80.0, 40.0),
    "damping": (3.5, 1.2),
    "observation": [
        term("q", 2, "joint_position"),
        term("dq", 2, "joint_velocity"),
        term("a", 2, "previous_action"),
    ],
}


class PolicyLstm(torch.nn.Module):
    """As unitree_rl_gym exports a recurrent actor."""

    def __init__(self, kind: str = "lstm", layers: int = 1) -> None:
        super().__init__()
        self.memory = torch.nn.LSTM(6, 16, layers)
        self.actor = torch.nn.Sequential(
            torch.nn.Linear(16, 8), torch.nn.ELU(), torch.nn.Linear(8, 2)
        )
        self.register_buffer("hidden_state", torch.zeros(layers, 1, 16))
        self.register_buffer("cell_state", torch.zeros(layers, 1, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, (h, c) = self.memory(x.unsqueeze(0), (self.hidden_state, self.cell_state))
        self.hidden_state[:] = h
        self.cell_state[:] = c
        return self.actor(out.squeeze(0))

    @torch.jit.export
    def reset_memory(self) -> None:
        self.hidden_state[:] = 0.0
        self.cell_state[:] = 0.0


class PolicyGru(torch.nn.Module):
    """One buffer inside a module of its own, no method that resets it."""

    def __init__(self) -> None:
        super().__init__()
        self.core = GruCore()
        self.head = torch.nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.head(self.core(x)))


class GruCore(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.GRU(6, 16)
        self.register_buffer("h", torch.zeros(1, 1, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, h = self.rnn(x.unsqueeze(0), self.h)
        self.h.copy_(h)
        return out.squeeze(0)


class Accumulating(torch.nn.Module):
    """Its reset leaves something behind."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(6, 2)
        self.register_buffer("sum", torch.zeros(1, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sum += 0.1 * self.net(x)
        return self.sum.clone()

    @torch.jit.export
    def reset(self) -> None:
        self.sum[:] = 1.0


def scripted(module: torch.nn.Module, warm: int = 0) -> bytes:
    """TorchScript; `warm` rows were answered before it was saved."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own format deprecated
        script = torch.jit.script(module.eval())
        with torch.no_grad():
            for _ in range(warm):
                script(torch.ones(1, 6))
        torch.jit.save(script, buffer)
    return buffer.getvalue()


def seeded(kind: type[torch.nn.Module], **options: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    return kind(**options)


def plain_onnx(width: int, *, names: tuple[str, str] = ("obs", "actions")) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    return linear_graph(rng.normal(size=(width, 2)), rng.normal(size=2), names=names)


def csv(values: list[Any]) -> str:
    """Text as mjlab's exporter writes it: three decimals."""
    return ",".join(f"{v:.3f}" if isinstance(v, int | float) else str(v) for v in values)


def mjlab_onnx(**changes: str | None) -> bytes:
    metadata: dict[str, str | None] = {
        "run_path": "team/project/run",
        "joint_names": csv(list(TEACH2)),
        "joint_stiffness": csv([80.12345, 40.0]),
        "joint_damping": csv([3.5, 1.2]),
        "default_joint_pos": csv([1.2, -1.0]),
        "command_names": "",
        "observation_names": "joint_pos,joint_vel,actions",
        "action_scale": csv([0.43937, 0.3]),
        **changes,
    }
    model = plain_onnx(6)
    helper.set_model_props(model, {k: v for k, v in metadata.items() if v is not None})
    return bytes(model.SerializeToString())


def holosoma_onnx(**changes: Any) -> bytes:
    metadata = {
        "dof_names": list(TEACH2),
        "kp": [80.12345, 40.0],
        "kd": [3.5, 1.2],
        "command_ranges": {"lin_vel_x": [-1.0, 1.0]},
        "robot_urdf": "<robot/>",
        "robot_urdf_path": "robot.urdf",
        **changes,
    }
    model = plain_onnx(6, names=("actor_obs", "action"))
    helper.set_model_props(model, {k: json.dumps(v) for k, v in metadata.items()})
    return bytes(model.SerializeToString())


def rl_sar_base(**changes: Any) -> dict[str, Any]:
    return {
        "dt": 0.005,
        "decimation": 4,
        "num_of_dofs": 2,
        "wheel_indices": [],
        "joint_names": ["elbow_joint", "shoulder_joint"],
        "joint_mapping": [1, 0],
        "default_dof_pos": [0.0, 0.0],
        **changes,
    }


def rl_sar_config(**changes: Any) -> dict[str, Any]:
    return {
        "model_name": "policy.pt",
        "num_observations": 6,
        "observations": ["dof_pos", "dof_vel", "actions"],
        "observations_history": [],
        "observations_history_priority": "time",
        "clip_obs": 100.0,
        "clip_actions_lower": [-10.0, -10.0],
        "clip_actions_upper": [10.0, 10.0],
        "rl_kp": [80, 40],
        "rl_kd": [3.5, 1.2],
        "action_scale": [0.25, 0.5],
        "dof_pos_scale": 1.0,
        "dof_vel_scale": 0.05,
        "torque_limits": [6.0, 3.0],
        "default_dof_pos": [1.2, -1.0],
        **changes,
    }


def write_rl_sar(
    folder: Path, policy: bytes, base: dict[str, Any], config: dict[str, Any]
) -> tuple[Path, Path]:
    """The folders that rl_sar has: policy and config.yaml, base.yaml above them."""
    own = folder / "teach2" / "reach"
    own.mkdir(parents=True, exist_ok=True)
    (folder / "teach2" / "base.yaml").write_text(yaml.dump({"teach2": base}))
    (own / "config.yaml").write_text(yaml.dump({"teach2/reach": config}))
    (own / "policy.onnx").write_bytes(policy)
    return own / "policy.onnx", own / "config.yaml"


def deploy_data(**changes: Any) -> dict[str, Any]:
    """unitree_rl_lab's deploy.yaml: three motors, the policy has the last and the first."""

    def observed(**fields: Any) -> dict[str, Any]:
        return {"params": {}, "clip": None, "scale": [1.0, 1.0], "history_length": 1, **fields}

    return {
        "joint_ids_map": [2, 0],
        "step_dt": 0.02,
        "stiffness": [40.0, 0.0, 80.0],
        "damping": [1.2, 0.0, 3.5],
        "default_joint_pos": [1.2, -1.0],
        "commands": {},
        "actions": {
            "JointPositionAction": {
                "clip": None,
                "joint_names": [".*"],
                "scale": [0.25, 0.5],
                "offset": [1.2, -1.0],
                "joint_ids": None,
            }
        },
        "observations": {
            "joint_pos_rel": observed(),
            "joint_vel_rel": observed(scale=[0.05, 0.05], clip=[-10.0, 10.0]),
            "last_action": observed(),
        },
        **changes,
    }


MOTORS = ("elbow_joint", "not_used", "shoulder_joint")


def torch_bytes(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def sb3_policy(squash: bool) -> dict[str, torch.Tensor]:
    """Tensors by the names of stable-baselines3's modules."""
    torch.manual_seed(0)
    body, head = (
        ("actor.latent_pi", "actor.mu")
        if squash
        else (
            "mlp_extractor.policy_net",
            "action_net",
        )
    )
    layers = {f"{body}.0": (6, 32), f"{body}.2": (32, 32), head: (32, 2)}
    tensors = {
        f"{name}.{part}": value
        for name, (width, out) in layers.items()
        for part, value in torch.nn.Linear(width, out).state_dict().items()
    }
    return {**tensors, "log_std": torch.zeros(2)}


def box(low: str, high: str, count: int) -> dict[str, Any]:
    return {
        ":type:": "<class 'gymnasium.spaces.box.Box'>",
        ":serialized:": "gASVgwAAAAAAAACMHnN0b2xlbg==",
        "dtype": "float32",
        "low": low,
        "high": high,
        "_shape": [count],
    }


def sb3_archive(
    *, squash: bool = False, data: dict[str, Any] | None = None, policy: bytes | None = None
) -> bytes:
    kind = "stable_baselines3.sac.policies.SACPolicy" if squash else "ActorCriticPolicy"
    about = {
        "policy_class": {":type:": "<class 'abc.ABCMeta'>", ":serialized:": "gAR9", "name": kind},
        "policy_kwargs": {},
        "use_sde": False,
        "observation_space": box("[-inf -inf]", "[inf inf]", 6),
        "action_space": box("[-0.5 -0.5]", "[2. 2.]", 2),
        **(data or {}),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data", json.dumps(about))
        archive.writestr("policy.pth", policy or torch_bytes(sb3_policy(squash)))
        archive.writestr("_stable_baselines3_version", "2.7.0")
    return buffer.getvalue()
