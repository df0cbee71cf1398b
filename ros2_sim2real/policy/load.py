"""One name, one policy: a file, `hold`, `sine`, or `replay:FILE.npz`."""

from __future__ import annotations

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.policy.artefact import find_policy, load_artefact
from ros2_sim2real.policy.base import Policy
from ros2_sim2real.policy.onnx_policy import OnnxPolicy
from ros2_sim2real.policy.scripted import HoldPolicy, ReplayPolicy, SinePolicy
from ros2_sim2real.robot import RobotSpec

SCRIPTED = ("hold", "sine")


def is_scripted(name: str) -> bool:
    """Returns whether `name` means a motion without a contract."""
    return name in SCRIPTED or name.startswith("replay:")


def load_policy(name: str, spec: RobotSpec) -> tuple[Policy, PolicyContract | None]:
    """Returns the policy that `name` means and its contract (scripted ones have none).

    Raises:
        PolicyFileError, ContractError, JointMismatch: what is wrong with the file or the pair.
    """
    if name == "hold":
        return HoldPolicy(), None
    if name == "sine":
        return SinePolicy(spec), None
    if name.startswith("replay:"):
        return ReplayPolicy(name.removeprefix("replay:"), spec), None
    policy = OnnxPolicy(load_artefact(find_policy(name)), spec)
    return policy, policy.contract


def contract_of(name: str) -> PolicyContract | None:
    """Returns the contract of the policy that `name` means, None for scripted ones."""
    return None if is_scripted(name) else load_artefact(find_policy(name)).contract
