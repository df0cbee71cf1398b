"""What is checked without a graph: a policy file, a robot file, its model, the rate, the goals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.dynamics.mjcf import build_model, gains_for, joint_addresses
from ros2_sim2real.policy.artefact import Artefact
from ros2_sim2real.robot import Joint, JointMap, RobotSpec
from ros2_sim2real.signals import Array, Goal

POSES = 600  # over which reach is measured


@dataclass(frozen=True)
class Subject:
    """A policy on a robot. The joints of both are the same set: `names` came before."""

    artefact: Artefact
    spec: RobotSpec
    rate_hz: float  # control periods a second
    goals: tuple[Goal, ...]  # in the policy's frame

    @property
    def contract(self) -> PolicyContract:
        """Returns the contract inside the policy file."""
        return self.artefact.contract

    @property
    def joints(self) -> Iterator[tuple[int, Joint]]:
        """Yields the contract's joints in its order, with the robot's figures."""
        by_name = {joint.name: joint for joint in self.spec.joints}
        yield from ((i, by_name[name]) for i, name in enumerate(self.contract.joints))

    @cached_property
    def default_pose(self) -> Array:
        """Returns the contract's default pose as the robot counts, contract's order, (n,)."""
        signs: Array = np.array(self.contract.signs or 1, dtype=np.float64)
        return np.array(self.contract.default_pose) * signs

    @cached_property
    def model(self) -> mujoco.MjModel:
        """Returns the arm with the policy's servo."""
        return build_model(self.spec, gains_for(self.spec, self.contract), timestep=0.002)

    @cached_property
    def inertia(self) -> Array:
        """Returns the inertia that each joint moves at the default pose, contract's order."""
        model, data = self.model, mujoco.MjData(self.model)
        qpos, dof = joint_addresses(self.spec, model)
        data.qpos[qpos] = self.contract.start_pose(self.spec)
        mujoco.mj_forward(model, data)
        full = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, full)
        return self._to_contract(full[dof, dof])

    @cached_property
    def tool_points(self) -> Array:
        """Returns where the tool gets to, (n, 3) in the policy's frame [m]; first the start."""
        contract, limits = self.contract, self.spec.limits
        kinematics = Kinematics(
            self.spec, frame=contract.frame, tool=contract.tool, model=self.model
        )
        poses = np.random.default_rng(0).uniform(limits.lower, limits.upper, (POSES, self.spec.nq))
        poses[0] = contract.start_pose(self.spec)
        still = np.zeros(self.spec.nq)
        return np.array([kinematics.update(q, still).position for q in poses])

    def _to_contract(self, values: Array) -> Array:
        return JointMap(ours=self.contract.joints, theirs=self.spec.joint_names)(values)
