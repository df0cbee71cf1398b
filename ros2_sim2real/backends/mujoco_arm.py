"""The simulated arm: MuJoCo, stepped a whole number of times per control period, in some world."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from ros2_sim2real.backends.backlash import Backlash
from ros2_sim2real.backends.disturbances import Mechanics
from ros2_sim2real.backends.sensors import Encoders
from ros2_sim2real.backends.transport import CommandLink, StateLink
from ros2_sim2real.contract import Gains
from ros2_sim2real.dynamics.mjcf import build_model, joint_addresses
from ros2_sim2real.errors import BackendFault
from ros2_sim2real.robot import RobotSpec
from ros2_sim2real.signals import Array, RobotState, frozen
from ros2_sim2real.worlds import World, per_joint

# MuJoCo would write MUJOCO_LOG.TXT into the working directory; `advance` reads the counters.
mujoco.set_mju_user_warning(lambda _: None)

MAX_TIMESTEP = 0.0025  # [s]; the stiffest servo in config/ rings above it


class MujocoBackend:
    """One arm. The same seed, commands and world give bit-identical states."""

    def __init__(
        self,
        spec: RobotSpec,
        gains: Gains | None,
        *,
        rate_hz: float,
        start: Array | None = None,
        world: World = World(),
    ) -> None:
        """Builds the arm.

        Args:
            spec: the robot.
            gains: servo in the order of `spec.joints`; None: the robot file's.
            rate_hz: control periods a second.
            start: pose of every reset, (nq,) [rad]; None: home.
            world: how it differs from its model; `World()`: not at all.

        Raises:
            RobotModelError: the model does not fit the robot.
        """
        self.substeps = max(1, math.ceil(1.0 / (rate_hz * MAX_TIMESTEP) - 1e-9))
        self.dt = 1.0 / (rate_hz * self.substeps)
        self.model = build_model(spec, gains, timestep=self.dt, payload=True)
        self.data = mujoco.MjData(self.model)
        self._qpos, self._dof = (np.array(a) for a in joint_addresses(spec, self.model))
        self._start = spec.home if start is None else start
        self._name = spec.name
        self._mechanics = Mechanics(spec, self.model)
        self._commands = CommandLink(world, dt=self.dt, substeps=self.substeps)
        self._states = StateLink(world, period=1.0 / rate_hz)
        self._encoders = Encoders(world, nq=spec.nq, dt=self.dt)
        self.set_world(world, burst=True)
        self.reset(0)

    def set_world(self, world: World, *, burst: bool = False) -> None:
        """Goes on in another world, from the next physics step.

        Args:
            world: with lists of one entry per joint, see `World.misfits`.
            burst: its `nan_states` are still to come.
        """
        self.world = self._commands.world = self._states.world = world
        self._encoders.set_world(world, burst=burst)
        self._backlash = Backlash(per_joint(world.backlash, len(self._qpos)))
        self._mechanics.apply(world, self.data)

    def reset(self, seed: int) -> None:
        """Goes back to the start pose at rest, holding it; everything random starts again."""
        mujoco.mj_resetData(self.model, self.data)
        self._mechanics.push(self.world, self.data)
        self.data.qpos[self._qpos] = self._start
        self.data.ctrl[:] = self._start
        mujoco.mj_forward(self.model, self.data)
        self._rng = np.random.default_rng(seed)
        self._step = 0
        self._setpoint = self._start
        self._commands.clear()
        self._states.clear()
        self._encoders.clear()
        self._sense()
        self._measure()

    def command(self, q: Array) -> None:
        """Takes the set-point that holds from its arrival on, (nq,) [rad]."""
        self._commands.send(q, step=self._step, rng=self._rng)

    def advance(self) -> None:
        """Lets one control period pass.

        Raises:
            BackendFault: the state is no longer finite or MuJoCo reports instability; nothing is
                reset behind anybody's back.
        """
        for _ in range(self.substeps):
            arrived = self._commands.arrived(self._step)
            if arrived is not None:
                self._setpoint = arrived
            self._drive()
            mujoco.mj_step(self.model, self.data)
            self._step += 1
            self._sense()
        bad = [w.name for w in _UNSTABLE if self.data.warning[w].number]
        if bad or not np.isfinite(self.data.qvel).all():
            raise BackendFault(
                f"the simulation of `{self._name}` became unstable at {self.data.time:.3f} s "
                f"({bad or 'NaN'}). "
                "Reset it; if it comes again, lower the servo gains or the time step"
            )
        self._measure()

    def state(self, stamp_ns: int) -> RobotState:
        """Returns what the encoders say, joints in the order of `spec.joints`."""
        return RobotState(stamp_ns, *self._reading)

    def truth(self, stamp_ns: int) -> RobotState:
        """Returns where the joints are, whatever the encoders say."""
        q, dq = self.data.qpos[self._qpos], self.data.qvel[self._dof]
        return RobotState(stamp_ns, frozen(q), frozen(dq))

    @property
    def copies(self) -> int:
        """Returns how often the present state reaches its readers: 0, 1 or 2 times."""
        return self._copies

    def _drive(self) -> None:
        if not self._backlash.active:
            self.data.ctrl[:] = self._setpoint
            return
        ctrl, engaged = self._backlash.servo(self._setpoint, self.data.qpos[self._qpos])
        self.data.ctrl[:] = ctrl
        self.model.actuator_biasprm[:, 2] = self._mechanics.damping * engaged

    def _sense(self) -> None:
        q, dq = self.data.qpos[self._qpos], self.data.qvel[self._dof]
        self._encoders.record(*self._backlash.motor(self._setpoint, q, dq))

    def _measure(self) -> None:
        self._reading = self._encoders.read(self._rng)
        copies = self._states.send(self._rng)
        self._copies = copies if self._step else 1  # the state that everybody waits for


_UNSTABLE = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
    mujoco.mjtWarning.mjWARN_BADCTRL,
)
