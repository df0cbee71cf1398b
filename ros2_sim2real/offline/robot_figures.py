"""Servo and torque of a joint as its MJCF actuators state them, or as its inertia suggests."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from ros2_sim2real.signals import Array

POSES = 300  # drawn to find the largest weight that a joint carries
SPARE = 2.0  # torque beyond the weight, where the model has no torque limit
MIN_EFFORT = 1.0  # [Nm] for a joint that carries no weight
FULL_ERROR = 0.1  # [rad] at which a servo of ours asks for the whole torque
LAG = 0.02  # [s] at least, from set-point to position, of a servo of ours


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, and why it is not the model's: empty where it is."""

    value: float
    why: str


def known(value: float) -> Figure:
    """Returns a figure that the model states."""
    return Figure(value, "")


def missing(value: float, why: str) -> Figure:
    """Returns a figure that somebody has to replace or confirm."""
    return Figure(value, why)


@dataclass(frozen=True, slots=True)
class Servo:
    """Position servo of one joint, in joint coordinates: [Nm], [Nm/rad], [Nm s/rad]."""

    effort: Figure
    stiffness: Figure
    damping: Figure


def servos(model: mujoco.MjModel, joints: list[int]) -> list[Servo]:
    """Returns effort, stiffness and damping of each joint: the model's, or drafted by name."""
    weight, inertia = _loads(model)
    out = []
    for j in joints:
        dof = int(model.jnt_dofadr[j])
        actuator = _actuator(model, j)
        limit = _effort(model, j, actuator)
        if limit is None:
            guess = max(MIN_EFFORT, SPARE * float(weight[dof]))
            effort = missing(
                _round(guess), "no torque limit: twice the largest weight that it carries"
            )
        else:
            effort = known(limit)
        gains = _gains(model, actuator)
        if gains is None:
            why = "no position servo: ours, from effort and inertia"
            stiffness = effort.value / FULL_ERROR
            critical = 2.0 * float(np.sqrt(stiffness * inertia[dof]))
            damping = max(critical, stiffness * LAG)
            out.append(
                Servo(effort, missing(_round(stiffness), why), missing(_round(damping), why))
            )
        else:
            out.append(Servo(effort, known(gains[0]), known(gains[1])))
    return out


def _actuator(model: mujoco.MjModel, joint: int) -> int | None:
    """Returns the actuator that drives the joint directly, None without one."""
    for a in range(model.nu):
        direct = model.actuator_trntype[a] == mujoco.mjtTrn.mjTRN_JOINT
        if direct and int(model.actuator_trnid[a, 0]) == joint:
            return a
    return None


def _gains(model: mujoco.MjModel, actuator: int | None) -> tuple[float, float] | None:
    """Returns stiffness and damping where the actuator is a position servo, else None."""
    if actuator is None or model.actuator_biastype[actuator] != mujoco.mjtBias.mjBIAS_AFFINE:
        return None
    gain, bias = float(model.actuator_gainprm[actuator, 0]), model.actuator_biasprm[actuator]
    ratio = float(model.actuator_gear[actuator, 0])
    if not (gain > 0.0 and np.isclose(bias[1], -gain) and bias[2] <= 0.0):
        return None  # a speed servo, or one with an offset
    return gain * ratio**2, -float(bias[2]) * ratio**2


def _effort(model: mujoco.MjModel, joint: int, actuator: int | None) -> float | None:
    """Returns the tightest torque limit that the model states for the joint [Nm]."""
    limits = []
    if model.jnt_actfrclimited[joint]:
        limits.append(np.abs(model.jnt_actfrcrange[joint]).max())
    if actuator is not None:
        ratio = abs(float(model.actuator_gear[actuator, 0]))
        if model.actuator_forcelimited[actuator]:
            limits.append(ratio * np.abs(model.actuator_forcerange[actuator]).max())
        motor = model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_NONE
        if motor and model.actuator_ctrllimited[actuator]:
            gain = abs(float(model.actuator_gainprm[actuator, 0]))
            limits.append(ratio * gain * np.abs(model.actuator_ctrlrange[actuator]).max())
    return float(min(limits)) if limits and min(limits) > 0.0 else None


def _loads(model: mujoco.MjModel) -> tuple[Array, Array]:
    """Returns the largest weight torque and inertia of every degree of freedom over poses."""
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    ranges = np.where(model.jnt_limited[:, None].astype(bool), model.jnt_range, (-np.pi, np.pi))
    hinge = model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE
    at = model.jnt_qposadr[hinge]
    weight, inertia = np.zeros(model.nv), np.zeros(model.nv)
    full = np.zeros((model.nv, model.nv))
    for _ in range(POSES):
        data.qpos[:] = model.qpos0
        data.qpos[at] = rng.uniform(ranges[hinge, 0], ranges[hinge, 1])
        mujoco.mj_forward(model, data)
        mujoco.mj_fullM(model, data, full)
        weight = np.maximum(weight, np.abs(data.qfrc_bias))
        inertia = np.maximum(inertia, np.diag(full))
    return weight, inertia


def _round(value: float) -> float:
    """Returns two significant digits: a guess should look like one."""
    return float(f"{value:.2g}")
