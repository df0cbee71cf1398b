"""MJCF plus gains into a MuJoCo model: torque-limited position servos, joints found by name."""

from __future__ import annotations

import re
from pathlib import Path

import mujoco
import numpy as np

from ros2_sim2real.contract import Gains, PolicyContract
from ros2_sim2real.errors import RobotModelError
from ros2_sim2real.robot import BODY, JointMap, RobotSpec

MAX_INCLUDES = 100

PAYLOAD = "sim2real_payload"  # body without mass at the tool, which a simulated world may load


def build_model(
    spec: RobotSpec, gains: Gains | None = None, *, timestep: float, payload: bool = False
) -> mujoco.MjModel:
    """Returns the robot's model with one position servo per joint, in the order of `spec.joints`.

    Actuators that the MJCF brings along are replaced: what the servo does is decided by the
    policy's gains, else by the robot file: `torque = stiffness (q_target - q) - damping dq`,
    within the effort limit. Extra joints are taken out, so that they stay at their reference.

    Args:
        spec: the robot.
        gains: servo in the order of `spec.joints`; None: the robot file's.
        timestep: physics step [s].
        payload: add the body `PAYLOAD` at the tool, without mass and not compensated.

    Raises:
        RobotModelError: the file does not compile, lacks a joint or the tool site, or has joints
            that the robot file does not name.
    """
    model_spec = read_spec(spec.mjcf_path())
    _check_names(spec, model_spec)
    _strip(model_spec, spec.extra_joints)
    if spec.tool_site.startswith(BODY):
        model_spec.body(spec.tool_site.removeprefix(BODY)).add_site(name=spec.tool_site)
    for i, joint in enumerate(spec.joints):
        stiffness = gains.stiffness[i] if gains else joint.stiffness
        damping = gains.damping[i] if gains else joint.damping
        limit = gains.effort_limit[i] if gains and gains.effort_limit else joint.effort
        # Everything is stated: what is not comes from the model's own <default> of actuators.
        model_spec.add_actuator(
            name=joint.name,
            target=joint.name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gear=[1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            dyntype=mujoco.mjtDyn.mjDYN_NONE,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            gainprm=[stiffness, *[0.0] * 9],
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            biasprm=[0.0, -stiffness, -damping, *[0.0] * 7],
            ctrllimited=False,
            inheritrange=0.0,
            forcelimited=True,
            forcerange=[-limit, limit],
        )
    if spec.gravity_compensation:
        for body in model_spec.bodies:
            body.gravcomp = 1.0
    if payload:
        holder = next(s for s in model_spec.sites if s.name == spec.tool_site).parent
        holder.add_body(name=PAYLOAD, explicitinertial=True)
        model_spec.compiler.fusestatic = False  # else it would vanish into its holder
    option = model_spec.option
    option.timestep = timestep
    # Implicit in the servo's damping: stable at the stiffness of industrial arms and 2 ms steps.
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # A NaN must be a fault, not a silent teleport to qpos0 and time 0.
    option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    try:
        return model_spec.compile()
    except ValueError as error:
        raise RobotModelError(f"{spec.mjcf_path()}: does not compile: {_line(error)}") from None


def read_spec(path: Path) -> mujoco.MjSpec:
    """Returns the parsed MJCF. Raises RobotModelError with MuJoCo's reason.

    Meshes may lie anywhere; a file that is included must lie in the model's folder or below.
    """
    _confine(path)
    try:
        return mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise RobotModelError(f"{path}: not a model that MuJoCo reads: {_line(error)}") from None


def joint_addresses(spec: RobotSpec, model: mujoco.MjModel) -> tuple[list[int], list[int]]:
    """Returns the addresses in qpos and in qvel of our joints, each of length nq."""
    joints = [model.joint(name) for name in spec.joint_names]
    return [int(j.qposadr[0]) for j in joints], [int(j.dofadr[0]) for j in joints]


def gains_for(spec: RobotSpec, contract: PolicyContract | None) -> Gains | None:
    """Returns the contract's gains in the robot's joint order, None without a contract."""
    if contract is None:
        return None
    reorder = JointMap(ours=spec.joint_names, theirs=contract.joints)
    limit = contract.gains.effort_limit
    return Gains(
        stiffness=tuple(map(float, reorder(np.array(contract.gains.stiffness)))),
        damping=tuple(map(float, reorder(np.array(contract.gains.damping)))),
        effort_limit=None if limit is None else tuple(map(float, reorder(np.array(limit)))),
    )


def _strip(model_spec: mujoco.MjSpec, held: tuple[str, ...]) -> None:
    """Takes out other controllers and the joints `held`.

    A body that lost its joint stays where the joint's reference has it.
    """
    gone: list[object] = [*model_spec.actuators, *model_spec.keys]
    if held:
        gone += [*model_spec.sensors, *model_spec.tendons]
        names = {*held, *(t.name for t in model_spec.tendons)}
        gone += [e for e in model_spec.equalities if {e.name1, e.name2} & names]
        gone += [j for j in model_spec.joints if j.name in held]
    for element in gone:
        model_spec.delete(element)


def _confine(path: Path) -> None:
    """Raises RobotModelError for an `include` that leads out of the model's folder."""
    try:
        root = path.resolve().parent
        pending, seen = [path.resolve()], set[Path]()
        while pending and len(seen) < MAX_INCLUDES:
            file = pending.pop()
            if file in seen or not file.is_file():
                continue
            seen.add(file)
            for name in _INCLUDE.findall(file.read_text(encoding="utf-8", errors="replace")):
                target = (root / name).resolve()
                if not target.is_relative_to(root):
                    raise RobotModelError(
                        f"{file}: includes '{name}', expected a file in {root} or below. "
                        "Copy it there"
                    )
                pending.append(target)
    except (OSError, ValueError) as error:
        raise RobotModelError(f"{path}: cannot be read: {_line(error)}") from None


_INCLUDE = re.compile(r"<include\b[^>]*?\bfile\s*=\s*[\"']([^\"']*)[\"']")


def _check_names(spec: RobotSpec, model_spec: mujoco.MjSpec) -> None:
    problems: list[str] = []
    present = {j.name for j in model_spec.joints}
    for field, names in (("joints", spec.joint_names), ("extra_joints", spec.extra_joints)):
        missing = [name for name in names if name not in present]
        if missing:
            problems.append(
                f"`{field}` {missing} are not joints of the model, which has {sorted(present)}"
            )
    undeclared = sorted(present - {*spec.joint_names, *spec.extra_joints})
    if undeclared:
        problems.append(
            f"the model also has the joints {undeclared}. "
            "Name those that are not the robot's in `extra_joints`"
        )
    body = spec.tool_site.startswith(BODY)
    kind = "body" if body else "site"
    known = {e.name for e in (model_spec.bodies if body else model_spec.sites)}
    if spec.tool_site.removeprefix(BODY if body else "") not in known:
        problems.append(
            f"`tool_site` '{spec.tool_site}' is not a {kind} of the model, which has "
            f"{sorted(known)}"
        )
    if problems:
        raise RobotModelError(
            f"robot `{spec.name}` and {spec.mjcf_path()}: " + "; ".join(problems)
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
