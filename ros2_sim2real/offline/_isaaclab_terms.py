"""The observation of a manager-based Isaac Lab env.yaml: functions by name into our terms.

The functions are those of Isaac Lab's `envs/mdp/observations.py` (BSD-3-Clause); a term is
`scale * clip(function)`, with noise in training only, concatenated in the order of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ros2_sim2real.contract import ObservationTerm, Range, Source
from ros2_sim2real.offline._import_env import (
    check_joints,
    compact,
    dig,
    frame_hint,
    is_isaac,
    join,
    last_name,
    shown,
)
from ros2_sim2real.offline._isaaclab_robot import Articulation

GROUP = "observations.policy"
_GROUP_SETTINGS = {
    "concatenate_terms",
    "concatenate_dim",
    "enable_corruption",
    "history_length",
    "flatten_history_dim",
}


@dataclass(frozen=True, slots=True)
class _Draft:
    """A term before its own clip and scale: `gain * (source - offset)`."""

    name: str
    source: Source
    width: int
    offset: tuple[float, ...] | None = None
    gain: tuple[float, ...] | None = None


class ObservationReader:
    """Reads the terms of the policy's group; what it also learns of frames is kept beside them."""

    def __init__(self, arm: Articulation, default_pose: tuple[float, ...] | None) -> None:
        self.env = arm.env
        self.arm = arm
        self.n = len(arm.joints)
        self.default_pose = default_pose
        self.commands: list[str] = []  # names of the commands that are observed
        self.in_world: list[str] = []  # names of terms in the world's frame
        self.tool: dict[str, Any] | None = None  # offset of the observed tool, as it is stated

    def read(self) -> tuple[ObservationTerm, ...]:
        """Returns the terms in the order of the file; what is unknown is needed from the user."""
        findings = self.env.findings
        group = self.env.get(GROUP)
        if not isinstance(group, dict):
            findings.need(
                f"the observation terms, env.yaml has none under `{GROUP}`",
                "observation",
                hint="; where they read goals or the tool also --goal-x, --goal-y, --goal-z, "
                f"--frame-position, --tool-offset{frame_hint(self.env)}",
            )
            return ()
        if group.get("concatenate_terms") is False:
            findings.problems.append(
                f"`{GROUP}.concatenate_terms` is false, expected one row of observations"
            )
        self._refuse_history(group, GROUP)
        terms: list[ObservationTerm] = []
        unknown: list[str] = []
        for name, term in group.items():
            if name in _GROUP_SETTINGS or term is None:
                continue
            if not isinstance(term, dict):
                findings.problems.append(f"`{GROUP}.{name}` got {shown(term)}, expected a term")
                continue
            drafts = self._drafts(name, term)
            if drafts is None:
                unknown.append(f"`{name}` ({last_name(term.get('func'))})")
            else:
                terms += self._finish(name, term, drafts)
        if unknown:
            findings.need(
                f"observation terms {join(unknown)} are not known here, state all terms",
                "observation",
            )
        if terms:
            findings.understood.append(
                f"observation: {join(f'{t.name} ({t.source}, {t.width})' for t in terms)}"
            )
        return tuple(terms)

    def _drafts(self, name: str, term: dict[str, Any]) -> list[_Draft] | None:
        """Returns the term as one or more parts, None when the function is not known."""
        func = term.get("func")
        bare = last_name(func)
        params = term.get("params") if isinstance(term.get("params"), dict) else {}
        drafts = self._joint_drafts(name, bare) or self._other_drafts(name, bare, params or {})
        if drafts is None:
            return None
        if not is_isaac(func):
            self.env.findings.assumed.append(
                f"`{shown(func)}` does what Isaac Lab's own {bare} does"
            )
        if drafts[0].source in ("joint_position", "joint_velocity"):
            self._all_joints(name, dig(params, "asset_cfg"))
        return drafts

    def _joint_drafts(self, name: str, bare: str) -> list[_Draft] | None:
        position = _Draft(name, "joint_position", self.n)
        if bare == "joint_pos":
            return [position]
        if bare == "joint_pos_rel":
            return [replace(position, offset=self.default_pose or (0.0,) * self.n)]
        if bare == "joint_pos_limit_normalized":
            limits = self.arm.limits()
            if limits is None:
                return None
            lower, upper = limits
            return [
                replace(
                    position,
                    offset=tuple((lower + upper) / 2),
                    gain=tuple(2.0 / (upper - lower)),
                )
            ]
        if bare in ("joint_vel", "joint_vel_rel"):
            return [_Draft(name, "joint_velocity", self.n, offset=self._default_velocity(bare))]
        return None

    def _other_drafts(self, name: str, bare: str, params: dict[str, Any]) -> list[_Draft] | None:
        if bare == "last_action":
            return [_Draft(name, "previous_action", self.n)]
        if bare == "generated_commands":
            return self._command(name, params)
        return self._tool(name, bare, params)

    def _tool(self, name: str, bare: str, params: dict[str, Any]) -> list[_Draft] | None:
        """Returns the tool's pose in the world of one environment."""
        position = _Draft(name, "tool_position", 3)
        quaternion = _Draft(name, "tool_quaternion", 4)
        if bare == "body_pose_w":
            bodies = dig(params, "asset_cfg.body_names")
            if isinstance(bodies, list) and len(bodies) != 1:
                return None
            parts = [replace(d, name=f"{name}_{d.source}") for d in (position, quaternion)]
        elif bare in ("ee_frame_pos", "ee_frame_quat"):
            sensor = dig(params, "ee_frame_cfg.name") or "ee_frame"
            frames = self.env.get(f"scene.{sensor}.target_frames")
            self.tool = dig(frames[0], "offset") if isinstance(frames, list) and frames else None
            parts = [position if bare == "ee_frame_pos" else quaternion]
        else:
            return None
        self.in_world.append(name)
        return parts

    def _command(self, name: str, params: dict[str, Any]) -> list[_Draft] | None:
        command = params.get("command_name")
        kind = last_name(self.env.get(f"commands.{command}.class_type"))
        if not isinstance(command, str) or kind != "UniformPoseCommand":
            return None
        self.commands.append(command)
        return [_Draft(name, "goal_pose", 7)]

    def _default_velocity(self, bare: str) -> tuple[float, ...] | None:
        table = dig(self.arm.config, "init_state.joint_vel")
        if bare == "joint_vel" or not isinstance(table, dict):
            return None
        where = f"{self.arm.where}.init_state.joint_vel"
        return tuple(v or 0.0 for v in self.env.per_joint(table, self.arm.joints, where))

    def _all_joints(self, name: str, asset: Any) -> None:
        """Our terms hold every joint that the policy commands, in one order."""
        names = dig(asset, "joint_names")
        if names is None:
            return
        where = f"{GROUP}.{name}.params.asset_cfg.joint_names"
        check_joints(self.env, names, dig(asset, "preserve_order") is True, self.arm.joints, where)

    def _finish(
        self, name: str, term: dict[str, Any], drafts: list[_Draft]
    ) -> list[ObservationTerm]:
        """Returns the parts with the term's own clip and scale."""
        where = f"{GROUP}.{name}"
        findings = self.env.findings
        if term.get("modifiers"):
            findings.problems.append(f"`{where}.modifiers` change the values, expected none")
        self._refuse_history(term, where)
        width = sum(d.width for d in drafts)
        scale = term.get("scale")
        scales = (
            self.env.numbers(scale, width, f"{where}.scale")
            if isinstance(scale, list)
            else (self.env.number(scale, f"{where}.scale"),) * width
        )
        clip = self.env.numbers(term.get("clip"), 2, f"{where}.clip")
        terms = []
        start = 0
        for draft in drafts:
            own = np.array(
                [1.0 if s is None else s for s in (scales or ())[start : start + draft.width]]
            )
            start += draft.width
            gain = np.ones(draft.width) if draft.gain is None else np.array(draft.gain)
            terms.append(
                ObservationTerm(
                    name=draft.name,
                    source=draft.source,
                    width=draft.width,
                    offset=compact(np.array(draft.offset)) if draft.offset is not None else 0.0,
                    clip=self._clip(clip, gain, where),
                    scale=compact(own * gain) if own.size == draft.width else 1.0,
                )
            )
        return terms

    def _clip(self, clip: tuple[float, ...] | None, gain: np.ndarray, where: str) -> Range | None:
        """Returns the clip of `gain * x` as one of `x`, which comes first in our terms."""
        if clip is None:
            return None
        if clip[0] > clip[1]:
            self.env.findings.problems.append(f"`{where}.clip` got {clip}, expected [low, high]")
            return None
        if np.ptp(gain) > 0.0:
            self.env.findings.problems.append(
                f"`{where}.clip` acts on values scaled joint by joint, expected none"
            )
            return None
        return clip[0] / float(gain[0]), clip[1] / float(gain[0])

    def _refuse_history(self, settings: dict[str, Any], where: str) -> None:
        length = self.env.number(settings.get("history_length"), f"{where}.history_length")
        if length is not None and length > 1:
            self.env.findings.problems.append(
                f"`{where}.history_length` is {length:g}, expected no history: train without"
            )
