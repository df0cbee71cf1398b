"""What stands beside the weights: agent.yaml, spaces of stable-baselines3, VecNormalize."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ros2_sim2real.errors import ConversionError
from ros2_sim2real.offline._checkpoint import Stored
from ros2_sim2real.offline._import_env import Env, Findings, dig, shown
from ros2_sim2real.offline.import_draft import Facts
from ros2_sim2real.offline.mlp_graph import Standardiser, Weights
from ros2_sim2real.offline.tagged_yaml import read_tagged
from ros2_sim2real.policy.model_file import read_bytes

# stable-baselines3's own policies and the activation between their layers
_DEFAULTS = {
    "on_policy": ("tanh", "ActorCriticPolicy"),
    "sac": ("relu", "SACPolicy"),
    "td3": ("relu", "TD3Policy"),
}
_WRITE = (
    "in the trainer's Python: v = pickle.load(open('vec_normalize.pkl', 'rb')); numpy.savez("
    "'norm.npz', mean=v.obs_rms.mean, var=v.obs_rms.var, epsilon=v.epsilon, clip_obs=v.clip_obs)"
)
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|inf)"


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What rsl_rl's agent.yaml says about the actor."""

    activation: str | None = None
    normalised: str | None = None  # the key that says so


@dataclass(frozen=True, slots=True)
class Spaces:
    """What stable-baselines3's archive says about the actor."""

    activation: str | None
    bounds: tuple[Weights, Weights] | None  # into which a squashed action is stretched


def read_agent(path: Path, facts: Facts) -> AgentFacts:
    """Returns what agent.yaml says and states the bounds of the action. Raises ConversionError."""
    data = read_tagged(path)
    env = Env(data, facts.findings)
    clip = env.number(data.get("clip_actions"), "clip_actions")
    if clip is not None and clip > 0.0:
        facts.state("action_clip", [-clip, clip], "clip_actions")
    names = [dig(data, key) for key in ("actor.activation", "policy.activation")]
    keys = (
        "actor.obs_normalization",
        "policy.actor_obs_normalization",
        "empirical_normalization",
    )
    return AgentFacts(
        activation=next((name for name in names if isinstance(name, str)), None),
        normalised=next((key for key in keys if dig(data, key) is True), None),
    )


def read_spaces(stored: Stored, facts: Facts) -> Spaces:
    """Returns activation and range of the action; states the range where all joints share it."""
    data, findings = stored.data, facts.findings
    if data.get("use_sde") is True:
        findings.problems.append("`use_sde` is true: its exploration layers are not exported")
    space = data.get("action_space")
    kind = str(dig(space, ":type:"))
    if "Box" not in kind:
        findings.problems.append(f"`action_space` is {shown(kind)}, expected a Box")
        return Spaces(None, None)
    if "Box" not in str(dig(data, "observation_space.:type:")):
        findings.problems.append("`observation_space` is no Box, expected one row of numbers")
    low, high = (_bound(space, key, stored.count) for key in ("low", "high"))
    bounds = None
    if low is not None and high is not None and np.isfinite([low, high]).all():
        if len({*low}) == 1 and len({*high}) == 1:
            facts.state("action_clip", [float(low[0]), float(high[0])], "action_space")
        elif facts.stated.action_clip is None and not stored.squash:
            findings.need("one range of the raw action, the joints' differ", "action_clip")
        stretched = bool(np.any(low != -1.0) or np.any(high != 1.0))
        bounds = (low, high) if stored.squash and stretched else None
    elif stored.squash:
        findings.problems.append(
            f"`action_space` has the range {shown(dig(space, 'low'))} to "
            f"{shown(dig(space, 'high'))}, which cannot be read: {stored.algorithm} stretches its "
            "action into it"
        )
    facts.state("action_previous", "clipped", "what stable-baselines3 hands to the environment")
    return Spaces(_activation(stored), bounds)


def _activation(stored: Stored) -> str | None:
    """Returns what the archive names, else the default of its own policies, None: neither."""
    kwargs = stored.data.get("policy_kwargs")
    named = dig(kwargs, "activation_fn")
    if isinstance(named, str):
        match = re.search(r"(\w+)'?>?$", named)
        return match[1].lower() if match else None
    activation, policy = _DEFAULTS[stored.algorithm]
    described = str(stored.data.get("policy_class"))
    # a policy of someone else's may have another default
    return activation if policy in described or "MlpPolicy" in described else None


def _bound(space: Any, key: str, count: int) -> Weights | None:
    for text in (dig(space, key), dig(space, f"{key}_repr")):
        found = re.findall(_NUMBER, text) if isinstance(text, str) else []
        if len(found) in (1, count) and "..." not in str(text):
            return np.broadcast_to(np.array(found, dtype=np.float32), (count,))
    return None


def read_normaliser(given: str | None, width: int, findings: Findings) -> Standardiser | None:
    """Returns VecNormalize's statistics; whether there were any must be stated."""
    if given is None:
        findings.need(
            "whether VecNormalize stood before the policy, the archive does not say: `none` or "
            "an npz of its statistics",
            "--normaliser",
        )
        return None
    if given == "none":
        findings.understood.append("no normaliser before the policy (given)")
        return None
    content = read_bytes(Path(given))
    if content[:1] == b"\x80":
        raise ConversionError(
            f"{given}: is a pickle, which runs code when opened: never opened. Write --normaliser "
            f"as npz {_WRITE}"
        )
    try:
        with np.load(Path(given), allow_pickle=False) as data:
            mean, var = (np.asarray(data[key], dtype=np.float64) for key in ("mean", "var"))
            epsilon = float(data["epsilon"]) if "epsilon" in data else 1e-8
            clip = float(data["clip_obs"]) if "clip_obs" in data else 10.0
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ConversionError(
            f"{given}: is no npz with `mean` and `var`: {' '.join(str(error).split())[:120]}. "
            f"Write it {_WRITE}"
        ) from None
    fits = mean.shape == var.shape == (width,)
    std = np.sqrt(var + epsilon) if fits and (var >= 0.0).all() else np.zeros(1)
    if not (std > 0.0).all() or not np.isfinite([*mean.ravel(), *std, clip]).all() or clip <= 0.0:
        raise ConversionError(
            f"{given}: has `mean` {mean.shape} and `var` {var.shape}, expected {width} finite "
            "numbers each, as many as the policy observes"
        )
    findings.understood.append(
        f"VecNormalize: {width} means and deviations, clipped to +-{clip:g}"
    )
    return Standardiser(mean.astype(np.float32), std.astype(np.float32), clip)
