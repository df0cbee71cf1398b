"""MJCF plus gains into a MuJoCo model: torque-limited position servos, joints found by name."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from ros2_sim2real.contract import Gains, PolicyContract
from ros2_sim2real.errors import RobotModelError
from ros2_sim2real.robot import JointMap, RobotSpec


def build_model(spec: RobotSpec, gains: Gains | None = None, *, timestep: float) -> mujoco.MjModel:
    """Returns the robot's model with one position servo per joint, in the order of `spec.joints`.

    Actuators that the MJCF brings along are replaced: what the servo does is decided by the
    policy's gains, else by the robot file: `torque = stiffness (q_target - q) - damping dq`,
    within the effort limit.

    Args:
        spec: the robot.
        gains: servo in the order of `spec.joints`; None: the robot file's.
        timestep: physics step [s].

    Raises:
        RobotModelError: the file does not compile, or lacks a joint or the tool site.
    """
    model_spec = read_spec(spec.mjcf_path())
    _check_names(spec, model_spec)
    for actuator in list(model_spec.actuators):
        model_spec.delete(actuator)
    for i, joint in enumerate(spec.joints):
        stiffness = gains.stiffness[i] if gains else joint.stiffness
        damping = gains.damping[i] if gains else joint.damping
        limit = gains.effort_limit[i] if gains and gains.effort_limit else joint.effort
        actuator = model_spec.add_actuator(
            name=joint.name,
            target=joint.name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            forcelimited=True,
            forcerange=[-limit, limit],
        )
        actuator.gainprm[0] = stiffness
        actuator.biasprm[1] = -stiffness
        actuator.biasprm[2] = -damping
    if spec.gravity_compensation:
        for body in model_spec.bodies:
            body.gravcomp = 1.0
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
    """Returns the parsed MJCF. Raises RobotModelError with MuJoCo's reason."""
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


def _check_names(spec: RobotSpec, model_spec: mujoco.MjSpec) -> None:
    problems: list[str] = []
    hinged = {j.name for j in model_spec.joints}
    missing = [name for name in spec.joint_names if name not in hinged]
    if missing:
        problems.append(
            f"`joints` {missing} are not joints of the model, which has {sorted(hinged)}"
        )
    sites = {s.name for s in model_spec.sites}
    if spec.tool_site not in sites:
        problems.append(
            f"`tool_site` '{spec.tool_site}' is not a site of the model, which has {sorted(sites)}"
        )
    if problems:
        raise RobotModelError(
            f"robot `{spec.name}` and {spec.mjcf_path()}: " + "; ".join(problems)
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
