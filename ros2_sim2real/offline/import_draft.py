"""A contract from what a trainer's file says and what the user states, for every format.

A format's reader turns its file into settings of `ImportOverrides`, the vocabulary of the flags;
the user's win. Whatever then is missing is asked for by its flag: nothing is guessed.
"""

from __future__ import annotations

from typing import Any

from ros2_sim2real.config import validate
from ros2_sim2real.contract import ObservationTerm, PolicyContract, Provenance
from ros2_sim2real.offline._import_env import Env, Findings, brief, join
from ros2_sim2real.offline._import_pipeline import assemble, refuse_if_lacking
from ros2_sim2real.offline._isaaclab_action import read_action
from ros2_sim2real.offline._isaaclab_frames import read_frame, read_tool
from ros2_sim2real.offline._isaaclab_gains import read_gains
from ros2_sim2real.offline._isaaclab_goal import read_goal
from ros2_sim2real.offline._isaaclab_rates import Rates, rates
from ros2_sim2real.offline._isaaclab_robot import Articulation
from ros2_sim2real.offline._isaaclab_terms import ObservationReader
from ros2_sim2real.offline.import_overrides import ImportOverrides
from ros2_sim2real.robot import RobotSpec


class Facts:
    """What a format's file says, in the vocabulary of the flags; what the user states stays."""

    def __init__(self, stated: ImportOverrides, findings: Findings) -> None:
        self.stated = stated
        self.findings = findings
        self._found: dict[str, Any] = {}

    def state(self, setting: str, value: Any, source: str) -> None:
        """Takes `value` for `setting` from the place `source` of the file, None: not there."""
        if value is None or getattr(self.stated, setting) is not None:
            return
        self._found[setting] = value
        if setting not in ("observation", "history"):
            self.findings.understood.append(
                f"{setting.replace('_', ' ')} {_shown(value)} (`{source}`)"
            )

    def merged(self, where: str) -> ImportOverrides:
        """Returns both. Raises ConfigError when the file holds what no setting takes."""
        found = validate(_plain(self._found), ImportOverrides, where=where)
        given = {n: getattr(self.stated, n) for n in self.stated.model_fields_set}
        return found.model_copy(update={n: v for n, v in given.items() if v is not None})


class _Stated(Articulation):
    """The arm of an import whose joint order stands in the settings."""

    def _joints(self) -> tuple[str, ...]:
        return self.overrides.joints or self.spec.joint_names


def draft(
    facts: Facts, spec: RobotSpec, *, trainer: str, where: str, source: str
) -> PolicyContract:
    """Returns the contract that file and user state together.

    Args:
        facts: what both say, and the findings to report in.
        spec: the arm.
        trainer: what the policy was trained with.
        where: the trainer's file, for messages.
        source: name of the policy's own file.

    Raises:
        ConversionError: one line with everything that is missing or cannot be run.
    """
    findings = facts.findings
    settings = facts.merged(where)
    if settings.joints is None:
        findings.need("the joint order of the policy", "joints")
    env = Env({}, findings)
    arm = _Stated(env, spec, settings)
    pose = None
    if settings.default_pose is None:
        findings.need("the pose that actions refer to", "default_pose")
    else:
        pose = arm.default_pose()
    gains = read_gains(arm)
    timing = _timing(env, settings)
    terms = settings.observation or ()
    # terms of the file that have no source here are a problem already, and name the same flag
    if not terms and not findings.problems:
        findings.need("the observation terms", "observation")
    action = read_action(arm, pose, terms)
    goal = read_goal(arm, terms, [])
    reader = ObservationReader(arm, pose)
    frame, tool = read_frame(reader, terms, settings), read_tool(reader, terms, settings)
    refuse_if_lacking(findings, where)
    _describe(findings, terms, settings)
    return assemble(
        {
            "robot": spec.name,
            "joints": arm.joints,
            "observation": terms,
            "history": settings.history,
            "goal": goal,
            "action": action,
            "default_pose": pose,
            "gains": gains,
            **(timing._asdict() if timing else {}),
            "frame": frame,
            "tool": tool,
            "provenance": Provenance(trainer=trainer, source=source),
        },
        where,
    )


def _timing(env: Env, settings: ImportOverrides) -> Rates | None:
    if settings.rate_hz is None:
        env.findings.need("decisions a second", "rate_hz")
    if settings.decimation is None:
        env.findings.need("physics steps per decision", "decimation")
    if settings.rate_hz is None or settings.decimation is None:
        return None
    return rates(env, settings)


def _describe(
    findings: Findings, terms: tuple[ObservationTerm, ...], settings: ImportOverrides
) -> None:
    listed = join(f"{t.name} ({t.source}, {t.width})" for t in terms)
    past = ""
    if settings.history is not None:
        past = f"; {settings.history.length} of them, {settings.history.layout}, "
        past += settings.history.order.replace("_", " ")
    findings.understood.append(f"observation: {listed}{past}")


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple) and value and all(isinstance(x, float) for x in value):
        return brief(value)
    return join(value) if isinstance(value, list | tuple) else str(value)


def _plain(value: Any) -> Any:
    """Returns settings as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
