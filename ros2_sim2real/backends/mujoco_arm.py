"""The simulated arm: MuJoCo, stepped a whole number of times per control period."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from ros2_sim2real.contract import Gains
from ros2_sim2real.dynamics.mjcf import build_model, joint_addresses
from ros2_sim2real.errors import BackendFault
from ros2_sim2real.robot import RobotSpec
from ros2_sim2real.signals import Array, RobotState, frozen

# MuJoCo would write MUJOCO_LOG.TXT into the working directory; `advance` reads the counters.
mujoco.set_mju_user_warning(lambda _: None)

MAX_TIMESTEP = 0.0025  # [s]; the stiffest servo in config/ rings above it


class MujocoBackend:
    """One arm, no randomness: the same commands give bit-identical states."""

    def __init__(
        self,
        spec: RobotSpec,
        gains: Gains | None,
        *,
        rate_hz: float,
        start: Array | None = None,
    ) -> None:
        """Builds the arm.

        Args:
            spec: the robot.
            gains: servo in the order of `spec.joints`; None: the robot file's.
            rate_hz: control periods a second.
            start: pose of every reset, (nq,) [rad]; None: home.

        Raises:
            RobotModelError: the model does not fit the robot.
        """
        self.substeps = max(1, math.ceil(1.0 / (rate_hz * MAX_TIMESTEP) - 1e-9))
        self.model = build_model(spec, gains, timestep=1.0 / (rate_hz * self.substeps))
        self.data = mujoco.MjData(self.model)
        self._qpos, self._dof = (np.array(a) for a in joint_addresses(spec, self.model))
        self._start = spec.home if start is None else start
        self._name = spec.name
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Goes back to the start pose at rest, holding it."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._qpos] = self._start
        self.data.ctrl[:] = self._start
        mujoco.mj_forward(self.model, self.data)

    def command(self, q: Array) -> None:
        """Takes the set-point that holds from now on, (nq,) [rad]."""
        self.data.ctrl[:] = q

    def advance(self) -> None:
        """Lets one control period pass.

        Raises:
            BackendFault: the state is no longer finite or MuJoCo reports instability; nothing is
                reset behind anybody's back.
        """
        mujoco.mj_step(self.model, self.data, self.substeps)
        bad = [w.name for w in _UNSTABLE if self.data.warning[w].number]
        if bad or not np.isfinite(self.data.qvel).all():
            raise BackendFault(
                f"the simulation of `{self._name}` became unstable at {self.data.time:.3f} s "
                f"({bad or 'NaN'}). "
                "Reset it; if it comes again, lower the servo gains or the time step"
            )

    def state(self, stamp_ns: int) -> RobotState:
        """Returns joint positions and speeds in the order of `spec.joints`."""
        return RobotState(
            stamp_ns, frozen(self.data.qpos[self._qpos]), frozen(self.data.qvel[self._dof])
        )


_UNSTABLE = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
    mujoco.mjtWarning.mjWARN_BADCTRL,
)
