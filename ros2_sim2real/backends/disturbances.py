"""A world's mechanics, written into a MuJoCo model that keeps what it was built with."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from ros2_sim2real.dynamics.mjcf import PAYLOAD, joint_addresses
from ros2_sim2real.robot import RobotSpec
from ros2_sim2real.signals import Array
from ros2_sim2real.worlds import World, per_joint

PAYLOAD_DENSITY = 2700.0  # [kg/m^3] aluminium: the load is a solid ball of it
# solimp. MuJoCo's friction is soft: with its defaults a joint creeps to where it is pushed.
STICTION = (0.9999, 0.9999, 0.001, 0.5, 2.0)


class Mechanics:
    """Friction, inertia, servo, load and gravity of one arm; each `apply` starts from nominal."""

    def __init__(self, spec: RobotSpec, model: mujoco.MjModel) -> None:
        """Takes the nominal model, built with `payload=True`."""
        self._model = model
        self._scratch = mujoco.MjData(model)  # mj_setConst moves its data to qpos0
        self._dof = np.array(joint_addresses(spec, model)[1])
        self._effort = np.array([j.effort for j in spec.joints])
        self._speed = np.array([j.velocity for j in spec.joints])
        self._body = int(model.body(PAYLOAD).id)
        model.body_sameframe[self._body] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE  # it will not be
        site = model.site(spec.tool_site)
        self._tool = np.array(site.pos), np.array(site.quat)
        self._armature = model.dof_armature[self._dof].copy()
        self._viscous = model.dof_damping[self._dof].copy()
        self._coulomb = model.dof_frictionloss[self._dof].copy()
        self._solver = model.dof_solimp[self._dof].copy(), model.dof_solref[self._dof].copy()
        self._gain = model.actuator_gainprm[:, 0].copy()
        self._stiffness = model.actuator_biasprm[:, 1].copy()
        self._damping = model.actuator_biasprm[:, 2].copy()
        self._torque = model.actuator_forcerange.copy()
        moving = model.body_weldid != 0
        self._mass = float(model.body_mass[moving].sum())
        self.damping = self._damping  # of the servo in force, (nq,), negative [Nm s/rad]

    def apply(self, world: World, data: mujoco.MjData) -> None:
        """Makes the model that of `world`; `data` goes on from its present state."""
        model, n = self._model, len(self._dof)
        self._rub(world)
        model.dof_armature[self._dof] = self._armature * per_joint(world.armature_scale, n)
        model.actuator_gainprm[:, 0] = self._gain * per_joint(world.stiffness_scale, n)
        model.actuator_biasprm[:, 1] = self._stiffness * per_joint(world.stiffness_scale, n)
        self.damping = self._damping * per_joint(world.damping_scale, n)
        model.actuator_biasprm[:, 2] = self.damping
        model.actuator_forcerange[:] = self._torque * per_joint(world.torque_scale, n)[:, None]
        self._load(world)
        mujoco.mj_setConst(model, self._scratch)
        self.push(world, data)

    def push(self, world: World, data: mujoco.MjData) -> None:
        """Lets gravity pull from another side on every body, also after a reset of `data`.

        Gravity in the model stays upright, because the arm's own compensation is computed from
        it; the difference acts at the bodies' centres of mass.
        """
        model = self._model
        difference = tilted(model.opt.gravity, world.gravity_tilt_x, world.gravity_tilt_y)
        difference -= model.opt.gravity
        data.xfrc_applied[:, :3] = model.body_mass[:, None] * difference

    def _rub(self, world: World) -> None:
        model, dof, n = self._model, self._dof, len(self._dof)
        viscous = per_joint(world.friction_viscous, n)
        viscous += per_joint(world.friction_viscous_share, n) * self._effort / self._speed
        model.dof_damping[dof] = self._viscous + viscous
        coulomb = per_joint(world.friction_coulomb, n)
        coulomb += per_joint(world.friction_coulomb_share, n) * self._effort
        model.dof_frictionloss[dof] = self._coulomb + coulomb
        sticks = (coulomb > 0.0)[:, None]
        solref = (2.0 * model.opt.timestep, 1.0)  # the shortest time constant that is allowed
        model.dof_solimp[dof] = np.where(sticks, STICTION, self._solver[0])
        model.dof_solref[dof] = np.where(sticks, solref, self._solver[1])

    def _load(self, world: World) -> None:
        mass = world.payload_mass + world.payload_share * self._mass
        radius = (3.0 * mass / (4.0 * math.pi * PAYLOAD_DENSITY)) ** (1.0 / 3.0)
        offset = np.zeros(3)
        mujoco.mju_rotVecQuat(offset, np.array(world.payload_offset), self._tool[1])
        self._model.body_mass[self._body] = mass
        self._model.body_inertia[self._body] = 0.4 * mass * radius**2
        self._model.body_ipos[self._body] = self._tool[0] + offset


def tilted(gravity: Array, x: float, y: float) -> Array:
    """Returns `gravity` (3,) as seen from a base turned by `x` about x, then `y` about its y."""
    cx, sx, cy, sy = math.cos(x), math.sin(x), math.cos(y), math.sin(y)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    seen: Array = (about_x @ about_y).T @ gravity
    return seen
