"""How a simulated arm differs from its model: the schema of config/worlds/*.yaml, in SI units.

The same fields are the parameters `world.*` of the `mujoco` node, changeable while it runs. Only
the simulator reads them: to the policy, the correction and the gate a world is unknown.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from ros2_sim2real import paths
from ros2_sim2real.config import Schema, load
from ros2_sim2real.errors import ConfigError
from ros2_sim2real.signals import Array

FOLDER = "config/worlds"
MAX_DELAY = 1.0  # [s] of delay, and as much again of jitter

_NonNegative = Annotated[float, Field(ge=0.0)]
_Scale = Annotated[float, Field(gt=0.0, le=100.0)]
_Angle = Annotated[float, Field(ge=-1.0, le=1.0)]
# One number for all joints, or one per joint in the order of the robot file.
PerJoint = float | tuple[float, ...]
PerJointNonNegative = _NonNegative | tuple[_NonNegative, ...]
PerJointScale = _Scale | tuple[_Scale, ...]
Seconds = Annotated[float, Field(ge=0.0, le=MAX_DELAY)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class World(Schema):
    """One world. The defaults are the model as it stands: nothing is disturbed."""

    description: str = Field("", description="what this world stands for")

    command_delay: Seconds = Field(
        0.0, description="from the command's arrival to the servo, to one physics step [s]"
    )
    command_jitter: Seconds = Field(
        0.0, description="further delay of each command, uniform from 0 to this [s]"
    )
    command_drop: Probability = Field(
        0.0, description="probability that the servo never sees a command"
    )
    command_duplicate: Probability = Field(
        0.0,
        description="probability that a command comes again one and a half control periods later, "
        "behind its successor",
    )
    state_delay: Seconds = Field(
        0.0, description="age of the reading in a state, to one physics step [s]"
    )
    state_jitter: Seconds = Field(
        0.0, description="further age of each reading, uniform from 0 to this [s]"
    )
    state_drop: Probability = Field(
        0.0, description="probability that a state is never published, at most 0.2 s in a row"
    )
    state_duplicate: Probability = Field(
        0.0, description="probability that a state is published twice"
    )

    position_noise: PerJointNonNegative = Field(
        0.0, description="standard deviation of the position reading [rad]"
    )
    velocity_noise: PerJointNonNegative = Field(
        0.0, description="standard deviation of the velocity reading [rad/s]"
    )
    position_bias: PerJoint = Field(0.0, description="the encoder reads this much more [rad]")
    position_quantum: PerJointNonNegative = Field(
        0.0, description="position readings are multiples of this, 0: not rounded [rad]"
    )
    velocity_quantum: PerJointNonNegative = Field(
        0.0, description="velocity readings are multiples of this, 0: not rounded [rad/s]"
    )
    encoder_jump: PerJoint = Field(
        0.0, description="from `encoder_jump_at` on the encoder reads this much more [rad]"
    )
    encoder_jump_at: _NonNegative = Field(
        0.0, description="time since the reset at which the encoder jumps [s]"
    )
    nan_states: int = Field(
        0, ge=0, le=1000, description="so many states in a row read NaN; set again: another burst"
    )
    nan_at: _NonNegative = Field(
        0.0, description="time since the reset before which no state reads NaN [s]"
    )

    friction_viscous: PerJointNonNegative = Field(
        0.0, description="additional viscous friction of the joint [Nm s/rad]"
    )
    friction_viscous_share: PerJointNonNegative = Field(
        0.0,
        description="the same as a share: that of the effort limit which it takes at the largest "
        "speed",
    )
    friction_coulomb: PerJointNonNegative = Field(
        0.0, description="additional Coulomb friction of the joint [Nm]"
    )
    friction_coulomb_share: PerJointNonNegative = Field(
        0.0, description="the same as a share of the joint's effort limit"
    )
    armature_scale: PerJointScale = Field(1.0, description="rotor inertia over that of the model")
    stiffness_scale: PerJointScale = Field(
        1.0, description="position gain of the servo over that of policy or robot file"
    )
    damping_scale: Annotated[float, Field(ge=0.0, le=100.0)] | tuple[_NonNegative, ...] = Field(
        1.0, description="velocity gain of the servo over that of policy or robot file"
    )
    torque_scale: PerJointScale = Field(
        1.0, description="largest torque of the servo over that of the robot file"
    )
    backlash: PerJointNonNegative = Field(
        0.0, description="play between motor and joint, from flank to flank [rad]"
    )
    payload_mass: _NonNegative = Field(
        0.0, description="unknown load at the tool, which nobody compensates [kg]"
    )
    payload_share: _NonNegative = Field(
        0.0, description="more of it, as a share of the mass of the arm's moving links"
    )
    payload_offset: tuple[float, float, float] = Field(
        (0.0, 0.0, 0.0), description="centre of the load in the frame of the tool [m]"
    )
    gravity_tilt_x: _Angle = Field(
        0.0, description="the base stands turned about its x axis, unknown to the controller [rad]"
    )
    gravity_tilt_y: _Angle = Field(0.0, description="and then about its y axis [rad]")

    def misfits(self, nq: int) -> list[str]:
        """Returns a problem for every list that has not one entry per joint."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return [
            f"`{name}` got {len(value)} values, expected 1 or {nq}, one per joint"
            for name, value in values.items()
            if isinstance(value, tuple) and name != "payload_offset" and len(value) != nq
        ]


# What a run-time change may touch: everything but the text.
DISTURBANCES = tuple(name for name in World.model_fields if name != "description")


def per_joint(value: PerJoint, nq: int) -> Array:
    """Returns one number per joint, (nq,)."""
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (nq,)).copy()


def load_world(name: str, nq: int | None = None) -> World:
    """Returns the world that `name` means: a file, or a name within config/worlds; empty: nominal.

    Args:
        name: path or name.
        nq: number of joints that lists must have, None: not checked.

    Raises:
        ConfigError: there is no such file, or it does not fit the schema or the arm.
    """
    if not name:
        return World()
    path = paths.find(name, folder=FOLDER, suffixes=(".yaml",))
    if path is None:
        raise ConfigError(
            f"world `{name}`",
            [f"is neither a file nor in {FOLDER}. Known: {paths.known(FOLDER, '*.yaml')}"],
        )
    world = load(path, World)
    problems = [] if nq is None else world.misfits(nq)
    if problems:
        raise ConfigError(str(path), problems)
    return world
