"""Finds the actor among the named tensors of a checkpoint: its layers in order, its normaliser.

The names are those that rsl_rl and stable-baselines3 give their modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_RECURRENT = ("memory_a.", "rnn.", "lstm_actor.", "actor.rnn.")


@dataclass
class Layers:
    """An actor's layers `(weight, bias)` as torch tensors, first to last."""

    layers: list[tuple[Any, Any]]
    algorithm: str
    squash: bool = False
    mean: Any = None  # (nobs,) of the normaliser that the checkpoint holds
    std: Any = None

    @property
    def width(self) -> int:
        """Returns the length of the input."""
        return int(self.layers[0][0].shape[1])

    @property
    def count(self) -> int:
        """Returns the length of the output."""
        return int(self.layers[-1][0].shape[0])

    def described(self) -> dict[str, Any]:
        """Returns all but the numbers."""
        return {
            "shapes": [list(weight.shape) for weight, _ in self.layers],
            "algorithm": self.algorithm,
            "squash": self.squash,
            "normaliser": self.mean is not None,
        }

    def arrays(self) -> list[Any]:
        """Returns the numbers: weight and bias of each layer, then mean and deviation."""
        arrays = [tensor.detach().numpy() for layer in self.layers for tensor in layer]
        return arrays + [t.detach().numpy() for t in (self.mean, self.std) if t is not None]


def find_rsl_rl(stored: Any) -> Layers:
    """Returns the actor of rsl_rl's `model_*.pt`. Raises ValueError."""
    state = _mapping(stored)
    if "actor_state_dict" in state:  # since 4.0: one dictionary per model
        tensors, prefix, norm = _mapping(state["actor_state_dict"]), "mlp.", "obs_normalizer."
        others: dict[str, Any] = {}
    elif "model_state_dict" in state:
        tensors, prefix, norm = (
            _mapping(state["model_state_dict"]),
            "actor.",
            "actor_obs_normalizer.",
        )
        others = _mapping(state.get("obs_norm_state_dict") or {})  # before 3.0
    else:
        raise ValueError(f"holds {sorted(map(str, state))[:8]}, no `actor_state_dict` of rsl_rl")
    _refuse_recurrent(tensors)
    _refuse_others(tensors, (prefix, norm, "critic", "distribution.", "std", "log_std"))
    found = Layers(_sequence(tensors, prefix), "rsl_rl")
    mean, std = (tensors.get(norm + key, others.get(key)) for key in ("_mean", "_std"))
    if mean is not None and std is not None:
        found.mean, found.std = mean.flatten(), std.flatten()
        _refuse_width(found)
    return found


def find_sb3(stored: Any) -> Layers:
    """Returns the actor of stable-baselines3's `policy.pth`. Raises ValueError."""
    tensors = _mapping(stored)
    _refuse_recurrent(tensors)
    strange = [name for name in tensors if "features_extractor" in name or "shared_net" in name]
    if strange:
        raise ValueError(f"has layers before the actor ({strange[0]}), an MLP is expected")
    if "action_net.weight" in tensors:
        hidden = _sequence(tensors, "mlp_extractor.policy_net.", allow_none=True)
        return Layers([*hidden, _linear(tensors, "action_net")], "on_policy")
    if "actor.mu.weight" in tensors:
        hidden = _sequence(tensors, "actor.latent_pi.", allow_none=True)
        return Layers([*hidden, _linear(tensors, "actor.mu")], "sac", squash=True)
    if "actor.mu.0.weight" in tensors and not any("latent_pi" in name for name in tensors):
        return Layers(_sequence(tensors, "actor.mu."), "td3", squash=True)
    raise ValueError(f"has no actor known here among {sorted(tensors)[:6]}")


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"is {type(value).__name__}, named tensors are expected")
    return value


def _sequence(tensors: dict[str, Any], prefix: str, *, allow_none: bool = False) -> list[Any]:
    """Returns the linear layers of a Sequential: every other place, activations between."""
    own = {name.removeprefix(prefix) for name in tensors if name.startswith(prefix)}
    places = sorted(int(m[1]) for name in own if (m := re.fullmatch(r"(\d{1,4})\.weight", name)))
    wanted = {f"{i}.{part}" for i in places for part in ("weight", "bias")}
    if own - wanted or places != list(range(0, 2 * len(places), 2)):
        raise ValueError(
            f"has `{prefix}` with {sorted(own)[:8]}, expected linear layers with one activation "
            "between"
        )
    if not places and not allow_none:
        raise ValueError(f"has no layers under `{prefix}`")
    return [_linear(tensors, f"{prefix}{i}") for i in places]


def _linear(tensors: dict[str, Any], name: str) -> tuple[Any, Any]:
    import torch

    weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
    if not isinstance(weight, torch.Tensor) or not isinstance(bias, torch.Tensor):
        raise ValueError(f"`{name}` is no linear layer with weight and bias")
    if weight.dim() != 2 or bias.shape != weight.shape[:1] or 0 in weight.shape:
        raise ValueError(f"`{name}` has {tuple(weight.shape)} weights, {tuple(bias.shape)} biases")
    if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise ValueError(f"`{name}` holds numbers that are not finite")
    return weight.to(torch.float32), bias.to(torch.float32)


def _refuse_recurrent(tensors: dict[str, Any]) -> None:
    found = [name for name in tensors if name.startswith(_RECURRENT)]
    if found:
        raise ValueError(
            f"is recurrent (`{found[0]}`): export TorchScript with the trainer and import that"
        )


def _refuse_others(tensors: dict[str, Any], known: tuple[str, ...]) -> None:
    strange = sorted(name for name in tensors if not name.startswith(known))
    if strange:
        raise ValueError(f"has the tensors {strange[:4]}, an MLP actor is expected")


def _refuse_width(found: Layers) -> None:
    width = found.layers[0][0].shape[1]
    if found.mean.shape != (width,) or found.std.shape != (width,):
        raise ValueError(
            f"has a normaliser of {tuple(found.mean.shape)}, its first layer takes {width} numbers"
        )
