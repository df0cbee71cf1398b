"""Many simulated arms stepped together, each behind the gate's shaping, no two quite alike."""

from __future__ import annotations

from typing import Annotated

import mujoco
import mujoco.batch
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ros2_sim2real.config import Schema
from ros2_sim2real.dynamics.mjcf import build_model, joint_addresses
from ros2_sim2real.errors import BackendFault
from ros2_sim2real.robot import NonNegative, RobotSpec
from ros2_sim2real.safety.shaping import shape
from ros2_sim2real.signals import Array

Factor = tuple[Annotated[float, Field(gt=0.0)], Annotated[float, Field(gt=0.0)]]
Amount = tuple[NonNegative, NonNegative]
Ids = NDArray[np.intp]


class Randomisation(Schema):
    """What differs between arms: each range is drawn uniformly when an arm is reset.

    Friction: on a physical UR10 about 0.05 of the effort, Coulomb and at 1 rad/s alike (models/).
    """

    delay: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0, le=10)]] = Field(
        (0, 2), description="control periods between a decision and the gate, both ends included"
    )
    stiffness: Factor = Field((0.8, 1.2), description="factor on the servo's stiffness")
    servo_damping: Factor = Field((0.8, 1.2), description="factor on the servo's damping")
    armature: Factor = Field((0.8, 1.2), description="factor on the rotors' inertia")
    coulomb: Amount = Field((0.0, 0.05), description="added friction, share of the effort")
    viscous: Amount = Field((0.0, 0.05), description="added friction at 1 rad/s, likewise")
    payload: Amount = Field(
        (0.0, 0.5), description="mass in the hand that nobody compensates [kg]"
    )
    position_noise: NonNegative = Field(0.0002, description="std of measured positions [rad]")
    velocity_noise: NonNegative = Field(0.005, description="std of measured speeds [rad/s]")
    tool_noise: NonNegative = Field(0.0003, description="std of the computed tool position [m]")

    @model_validator(mode="after")
    def _ordered(self) -> Randomisation:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and not value[0] <= value[1]:
                raise ValueError(f"`{name}` as [low, high], got {list(value)}")
        return self


NOMINAL = Randomisation(
    delay=(0, 0),
    stiffness=(1.0, 1.0),
    servo_damping=(1.0, 1.0),
    armature=(1.0, 1.0),
    coulomb=(0.0, 0.0),
    viscous=(0.0, 0.0),
    payload=(0.0, 0.0),
    position_noise=0.0,
    velocity_noise=0.0,
    tool_noise=0.0,
)


class ArmBatch:
    """`count` arms. Arrays are (count, nq) in the order of `spec.joints`, [rad] and [rad/s].

    One step is one control period: the target waits out its delay, the gate's shaping makes a
    set-point of it, and the servos follow that for `decimation` steps of physics.
    """

    def __init__(
        self,
        spec: RobotSpec,
        *,
        count: int,
        rate_hz: float,
        physics_hz: float,
        randomisation: Randomisation = NOMINAL,
        threads: int = 1,
        clearance: float = 0.0,
        rng: np.random.Generator,
    ) -> None:
        """`rate_hz` divides `physics_hz`; `rng` draws everything that is random here.

        `clearance` [m]: what comes this near counts as near; it feels nothing yet.
        """
        self.spec = spec
        self.count = count
        self.period = 1.0 / rate_hz
        self.decimation = round(physics_hz / rate_hz)
        self._random = randomisation
        self._rng = rng
        model = build_model(spec, timestep=1.0 / physics_hz)
        model.geom_gap[:] += clearance / 2.0  # MuJoCo adds the gaps of the two geoms
        self._model = model
        # persistent: the stages computed for the tool's position are not computed twice
        self._batch = mujoco.batch.Batch(model, count, threads, persistent=True)
        self._bind()
        self._history = np.zeros((randomisation.delay[1] + 1, count, spec.nq))
        self._now = 0
        self._delay = np.zeros(count, dtype=np.intp)
        self._rows = np.arange(count)
        self.setpoint = np.tile(spec.home, (count, 1))
        self.setpoint_speed = np.zeros((count, spec.nq))
        self._draws = randomisation != NOMINAL
        self.reset(self._rows, self.setpoint)

    def _bind(self) -> None:
        """Takes views into the batch's memory, which follow every step."""
        batch, model, spec = self._batch, self._model, self.spec
        self._qpos, self._qvel = batch.bind("qpos"), batch.bind("qvel")
        self._ctrl, self._contacts = batch.bind("ctrl"), batch.bind("ncon")
        site = model.site(spec.tool_site).id
        self._site = batch.bind("site_xpos")[:, site]
        self._axis = batch.bind("site_xmat").reshape(self.count, -1, 3, 3)[:, site, :, 2]
        self._body = int(model.site_bodyid[site])
        qpos, dof = joint_addresses(spec, model)
        self._qpos_at, self._dof_at = np.array(qpos), np.array(dof)

    @property
    def q(self) -> Array:
        """Returns the true positions, a copy."""
        out: Array = self._qpos[:, self._qpos_at]
        return out

    @property
    def dq(self) -> Array:
        """Returns the true speeds, a copy."""
        out: Array = self._qvel[:, self._dof_at]
        return out

    @property
    def tool(self) -> Array:
        """Returns the true tool positions in the base frame, (count, 3) [m], a copy."""
        return np.array(self._site)

    @property
    def tool_axis(self) -> Array:
        """Returns the true directions of the tool's z axis, (count, 3) unit, a copy."""
        return np.array(self._axis)

    @property
    def near(self) -> NDArray[np.bool_]:
        """Returns whether an arm is within `clearance` of itself or of the floor, (count,)."""
        return np.asarray(self._contacts > 0)

    def reset(self, ids: Ids, q: Array) -> None:
        """Puts the arms `ids` (sorted) at `q` (len(ids), nq), at rest, and draws them anew."""
        if not len(ids):
            return
        if self._draws:
            self._draw(ids)
        self._batch.reset(ids, stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        self._qpos[ids[:, None], self._qpos_at] = q
        self._ctrl[ids] = q
        self._batch.forward(ids, stage=int(mujoco.mjtStage.mjSTAGE_POS))
        self.setpoint[ids] = q
        self.setpoint_speed[ids] = 0.0
        self._history[:, ids] = q

    def step(self, target: Array) -> None:
        """Advances every arm by one control period towards `target` (count, nq).

        Raises:
            BackendFault: the physics of an arm left the finite numbers.
        """
        depth = len(self._history)
        self._now = (self._now + 1) % depth
        self._history[self._now] = target
        wanted = self._history[(self._now - self._delay) % depth, self._rows]
        limits = self.spec.limits
        self.setpoint, self.setpoint_speed = shape(
            wanted,
            self.setpoint,
            self.setpoint_speed,
            lower=limits.lower,
            upper=limits.upper,
            speed=limits.velocity,
            acceleration=limits.acceleration,
            period=self.period,
        )
        self._ctrl[:] = self.setpoint
        self._batch.step(nstep=self.decimation, stage=int(mujoco.mjtStage.mjSTAGE_POS))
        if not np.isfinite(self._qvel).all():
            bad = np.flatnonzero(~np.isfinite(self._qvel).all(axis=1))
            raise BackendFault(
                f"the physics of {len(bad)} of {self.count} arms is no longer finite, the first "
                f"being {bad[0]}. Raise `physics_hz`, or narrow the randomisation"
            )

    def measure(self) -> tuple[Array, Array, Array]:
        """Returns positions, speeds (count, nq) and tools (count, 3) with the noise of sensors."""
        r = self._random
        noise = [
            (self.q, r.position_noise),
            (self.dq, r.velocity_noise),
            (self.tool, r.tool_noise),
        ]
        for values, std in noise:
            if std:
                values += std * self._rng.standard_normal(values.shape)
        return noise[0][0], noise[1][0], noise[2][0]

    def _draw(self, ids: Ids) -> None:
        """Draws the physics of the arms `ids`."""
        r, model, n = self._random, self._model, len(ids)
        size = (n, self.spec.nq)

        def draw(bounds: tuple[float, float], shape: tuple[int, ...] = size) -> Array:
            return self._rng.uniform(bounds[0], bounds[1], shape)

        expand = self._batch.expand
        stiffness = model.actuator_gainprm[:, 0] * draw(r.stiffness)
        expand("actuator_gainprm")[ids, :, 0] = stiffness
        expand("actuator_biasprm")[ids, :, 1] = -stiffness
        expand("actuator_biasprm")[ids, :, 2] = model.actuator_biasprm[:, 2] * draw(
            r.servo_damping
        )
        rows, dof = ids[:, None], self._dof_at
        effort = np.array([joint.effort for joint in self.spec.joints])
        expand("dof_damping")[rows, dof] = model.dof_damping[dof] + effort * draw(r.viscous)
        expand("dof_armature")[rows, dof] = model.dof_armature[dof] * draw(r.armature)
        coulomb = model.dof_frictionloss[dof] + effort * draw(r.coulomb)
        expand("dof_frictionloss")[rows, dof] = coulomb
        own = model.body_mass[self._body]
        payload = draw(r.payload, (n,))
        expand("body_mass")[ids, self._body] = own + payload
        # the controller carries the arm, not what it does not know of
        share = own / np.maximum(own + payload, 1e-9)
        expand("body_gravcomp")[ids, self._body] = model.body_gravcomp[self._body] * share
        self._batch.set_const(ids)
        self._delay[ids] = self._rng.integers(r.delay[0], r.delay[1] + 1, n)
