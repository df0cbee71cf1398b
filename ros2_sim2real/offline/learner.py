"""rsl-rl's PPO on an `Environment`: one iteration, its state, and the policy it has so far.

The only module besides `export` that imports torch; import it late, after `quiet_threads`.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import math
import os
import sys
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ros2_sim2real.config import Schema
from ros2_sim2real.errors import BackendFault, TrainingError
from ros2_sim2real.offline.environment import Environment, Observations
from ros2_sim2real.robot import NonNegative, Positive

Count = Annotated[int, Field(ge=1)]


class PpoConfig(Schema):
    """Settings of rsl-rl's PPO and of its networks; names as there."""

    steps: Count = Field(32, description="steps of every arm between two updates")
    epochs: Count = Field(5, description="passes over these steps")
    mini_batches: Count = Field(4, description="parts of a pass")
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)] = (128, 128)
    activation: Literal["elu", "relu", "tanh"] = "elu"
    init_std: Positive = Field(0.6, description="exploration at the start, in units of the action")
    learning_rate: Positive = 1e-3
    schedule: Literal["adaptive", "fixed"] = "adaptive"
    desired_kl: Positive = Field(
        0.01, description="adaptive: the change per update that is aimed at"
    )
    clip: Positive = 0.2
    gamma: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.99
    lam: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    entropy: NonNegative = 0.001
    value_loss: Positive = 1.0
    max_grad_norm: Positive = 1.0


def quiet_threads() -> None:
    """Keeps torch to one thread that does not spin, and glibc from returning memory all the time.

    On two cores this is the difference between 2,000 and 25,000 steps a second. The variables
    count only when torch is not imported yet.
    """
    if "torch" not in sys.modules:
        os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", MKL_NUM_THREADS="1")
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(AttributeError, OSError):  # glibc only
        libc = ctypes.CDLL(None)
        libc.mallopt(-1, 512 << 20)  # M_TRIM_THRESHOLD
        libc.mallopt(-3, 512 << 20)  # M_MMAP_THRESHOLD


_NETS = ("actor", "critic")


class Learner:
    """PPO with its networks. Same seed, same environment: the same numbers."""

    def __init__(self, config: PpoConfig, environment: Environment, *, seed: int) -> None:
        quiet_threads()
        import torch
        from rsl_rl.algorithms import PPO

        torch.manual_seed(seed)
        self._torch = torch
        self._environment = environment
        self._config = config
        nu = environment.arms.spec.nq
        adapter = _Sizes(environment.config.count, nu)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its networks
            self._ppo = PPO.construct_algorithm(
                self._wrap(environment.observation), adapter, _settings(config), "cpu"
            )
        self._ppo.train_mode()

    def iterate(self) -> dict[str, float]:
        """Collects `steps` of every arm, learns from them, and returns figures by name.

        Raises:
            TrainingError: a loss or a parameter is no longer finite; the state is then useless.
            BackendFault: the physics diverged.
        """
        try:
            return self._iterate()
        except (RuntimeError, BackendFault):
            self._refuse_nan({})  # else torch would say "normal expects all elements of std >= 0"
            raise

    def _iterate(self) -> dict[str, float]:
        torch, ppo, environment = self._torch, self._ppo, self._environment
        reward, errors = 0.0, []
        with torch.inference_mode():
            observation = self._wrap(environment.observation)
            for _ in range(self._config.steps):
                step = environment.step(ppo.act(observation).numpy())
                observation = self._wrap(step.observation)
                done = torch.from_numpy(step.done)
                ppo.process_env_step(
                    observation,
                    torch.from_numpy(step.reward.astype(np.float32)),
                    done,
                    {"time_outs": done},
                )
                reward += float(step.reward.mean()) / self._config.steps
                errors.append(step.error[step.done])
            ppo.compute_returns(observation)
        losses: dict[str, float] = ppo.update()
        self._refuse_nan(losses)
        ended = np.concatenate(errors)
        return {
            "loss/value": losses["value"],
            "loss/surrogate": losses["surrogate"],
            "policy/entropy": losses["entropy"],
            "policy/learning_rate": float(ppo.learning_rate),
            "policy/std": float(ppo.get_policy().output_std.detach().mean()),
            "episode/reward": reward,
            "episode/error_mm": float(ended.mean() * 1e3) if len(ended) else math.nan,
        }

    def act(self, observation: Observations) -> NDArray[np.float32]:
        """Returns the policy's output without exploration, (count, nu)."""
        torch, actor = self._torch, self._ppo.get_policy()
        with torch.inference_mode():
            out: NDArray[np.float32] = actor(self._wrap(observation)).numpy()
        return out

    def reseed(self, seed: int) -> None:
        """Draws the exploration from `seed` on."""
        self._torch.manual_seed(seed)

    @property
    def actor(self) -> Any:
        """Returns rsl-rl's actor, normaliser included."""
        return self._ppo.get_policy()

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns everything that a continuation needs: networks, normalisers, optimiser."""
        state = self._ppo.save()
        out = {
            f"{net}/{k}": v.numpy() for net in _NETS for k, v in state[f"{net}_state_dict"].items()
        }
        adam = state["optimizer_state_dict"]
        for i, moments in adam["state"].items():
            out |= {f"adam/{i}/{name}": value.numpy() for name, value in moments.items()}
        out["learning_rate"] = np.array(self._ppo.learning_rate)
        return out

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Continues from what `state` returned. Raises TrainingError if it does not fit."""
        adam = self._ppo.optimizer.state_dict()
        for group in adam["param_groups"]:
            group["lr"] = float(arrays["learning_rate"])
        tensors = {k: self._torch.from_numpy(np.array(v)) for k, v in arrays.items()}
        state: dict[str, Any] = {
            f"{net}_state_dict": {
                k.removeprefix(f"{net}/"): v for k, v in tensors.items() if k.startswith(f"{net}/")
            }
            for net in _NETS
        }
        for key, value in tensors.items():
            if key.startswith("adam/"):
                _, i, name = key.split("/")
                adam["state"].setdefault(int(i), {})[name] = value
        try:
            self._ppo.load({**state, "optimizer_state_dict": adam}, None, True)
        except (RuntimeError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(f"the checkpoint does not fit the networks: {reason}") from None

    def _wrap(self, observation: Observations) -> Any:
        from tensordict import TensorDict

        tensor = self._torch.from_numpy(observation)
        return TensorDict({"policy": tensor}, batch_size=[len(observation)])

    def _refuse_nan(self, losses: dict[str, float]) -> None:
        bad = [
            f"{name} loss {value}" for name, value in losses.items() if not math.isfinite(value)
        ]
        actor = self._ppo.get_policy()
        if not all(bool(self._torch.isfinite(p).all()) for p in actor.parameters()):
            bad.append("parameters of the policy not finite")
        if bad:
            raise TrainingError(", ".join(bad))


class _Sizes:
    """What rsl-rl asks of an environment when it builds its networks."""

    def __init__(self, num_envs: int, num_actions: int) -> None:
        self.num_envs, self.num_actions = num_envs, num_actions


def _settings(config: PpoConfig) -> dict[str, Any]:
    network = {
        "class_name": "MLPModel",
        "hidden_dims": list(config.hidden),
        "activation": config.activation,
        "obs_normalization": True,
    }
    gaussian = {
        "class_name": "GaussianDistribution",
        "init_std": config.init_std,
        "std_type": "log",
    }
    return {
        "num_steps_per_env": config.steps,
        "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
        "multi_gpu": None,
        "actor": {**network, "distribution_cfg": gaussian},
        "critic": network,
        "algorithm": {
            "class_name": "PPO",
            "num_learning_epochs": config.epochs,
            "num_mini_batches": config.mini_batches,
            "clip_param": config.clip,
            "gamma": config.gamma,
            "lam": config.lam,
            "value_loss_coef": config.value_loss,
            "entropy_coef": config.entropy,
            "learning_rate": config.learning_rate,
            "max_grad_norm": config.max_grad_norm,
            "schedule": config.schedule,
            "desired_kl": config.desired_kl,
        },
    }
