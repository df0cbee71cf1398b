"""Forward kinematics: where the tool is and how it moves, in the policy's frame."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from ros2_sim2real.dynamics.mjcf import build_model, joint_addresses
from ros2_sim2real.errors import RobotModelError
from ros2_sim2real.robot import Frame, RobotSpec
from ros2_sim2real.rotations import quaternion_multiply
from ros2_sim2real.signals import Array


@dataclass(frozen=True, slots=True)
class ToolState:
    """Pose and twist of the tool, expressed in the frame that `Kinematics` was made with.

    The quaternion follows the joint angles without jumps, so its sign is not that of w: q and -q
    are the same rotation, and a full turn of a joint leads from one to the other.
    """

    position: Array  # (3,) [m]
    quaternion: Array  # (4,) unit, w x y z
    linear_velocity: Array  # (3,) of the tool's point [m/s]
    angular_velocity: Array  # (3,) [rad/s]


class Kinematics:
    """The tool of one arm: `tool_site` followed by the `tool` offset, seen from `frame`.

    The base frame is the body named `base_frame` of the robot file; a model without one has it at
    the outermost fixed body that carries the arm, else at the world. Its pose in the MJCF world is
    divided out, so an arm that is mounted elsewhere reports the same. Joints of the model that are
    not the robot's stay at their reference position.
    """

    def __init__(
        self,
        spec: RobotSpec,
        *,
        frame: Frame = Frame(),
        tool: Frame = Frame(),
        model: mujoco.MjModel | None = None,
    ) -> None:
        """Prepares for one arm.

        Args:
            spec: the robot.
            frame: pose of the frame to report in, in the base frame.
            tool: pose of the tool, in the frame of `spec.tool_site`.
            model: kept by reference, never changed; None: built from the robot file.

        Raises:
            RobotModelError: the model lacks a joint or the tool site, or its base moves.
        """
        model = build_model(spec, timestep=0.002) if model is None else model
        self._model = model
        self._data = data = mujoco.MjData(model)
        try:
            qpos, dof = joint_addresses(spec, model)
            site = model.site(spec.tool_site).id
        except KeyError as error:
            raise RobotModelError(f"robot `{spec.name}`: {' '.join(str(error).split())}") from None
        self._qpos_at, self._dof_at = np.array(qpos, np.intp), np.array(dof, np.intp)
        self._body = int(model.site_bodyid[site])
        self._bind()

        base = _base_body(spec, model)
        mujoco.mj_kinematics(model, data)
        # of the tool in its body, then of the frame in the world
        local, self._offset = _compose(model.site_quat[site], model.site_pos[site], *_parts(tool))
        turn, origin = _compose(data.xquat[base], data.xpos[base], *_parts(frame))
        back = turn * (1.0, -1.0, -1.0, -1.0)
        self._rotation = _matrix(back)  # world into frame
        self._shift = -self._rotation @ origin
        self._twist_rotation = np.zeros((6, 6))
        self._twist_rotation[:3, :3] = self._twist_rotation[3:, 3:] = self._rotation
        self._quaternion_map = _left(back) @ _right(local)

    def _bind(self) -> None:
        """Takes views into MuJoCo's memory, which follow every update, and memory to work in."""
        data, nv = self._data, self._model.nv
        self._qpos: Array = data.qpos
        self._xpos: Array = data.xpos[self._body]
        self._xquat: Array = data.xquat[self._body]
        self._xmat: Array = data.xmat[self._body].reshape(3, 3)
        self._point, self._twist = np.zeros(3), np.zeros(6)
        self._qvel, self._jac = np.zeros(nv), np.zeros((6, nv))
        self._linear, self._angular = self._jac[:3], self._jac[3:]

    def update(self, q: Array, dq: Array) -> ToolState:
        """Returns the tool at positions `q` [rad] and speeds `dq` [rad/s], both (nq,).

        NaN going in is NaN coming out, and is forgotten by the next update.
        """
        model, data, point = self._model, self._data, self._point
        self._qpos[self._qpos_at] = q
        self._qvel[self._dof_at] = dq
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        np.dot(self._xmat, self._offset, out=point)
        point += self._xpos
        mujoco.mj_jac(model, data, self._linear, self._angular, point, self._body)
        out = np.empty(13)
        position = out[0:3]
        np.dot(self._rotation, point, out=position)
        position += self._shift
        np.dot(self._quaternion_map, self._xquat, out=out[3:7])
        np.dot(self._jac, self._qvel, out=self._twist)
        np.dot(self._twist_rotation, self._twist, out=out[7:13])
        out.flags.writeable = False
        return ToolState(out[0:3], out[3:7], out[7:10], out[10:13])

    def jacobian(self) -> Array:
        """Returns d(linear, angular velocity) / d(dq) at the last update, (6, nq), a new array."""
        return self._twist_rotation @ self._jac[:, self._dof_at]


def _base_body(spec: RobotSpec, model: mujoco.MjModel) -> int:
    body = int(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, spec.base_frame))
    if body >= 0:
        if model.body_weldid[body] != 0:
            raise RobotModelError(
                f"robot `{spec.name}`: `base_frame` '{spec.base_frame}' is a body that moves, "
                "expected one that is fixed to the world. Name the fixed base of the arm"
            )
        return body
    root = int(model.body_rootid[model.jnt_bodyid[model.joint(spec.joint_names[0]).id]])
    return root if model.body_weldid[root] == 0 else 0


def _parts(frame: Frame) -> tuple[Array, Array]:
    quaternion: Array = np.array(frame.quaternion)
    mujoco.mju_normalize4(quaternion)
    return quaternion, np.array(frame.position)


def _compose(qa: Array, pa: Array, qb: Array, pb: Array) -> tuple[Array, Array]:
    """Returns T_ac of T_ab and T_bc, each as quaternion and position."""
    return quaternion_multiply(qa, qb), pa + _matrix(qa) @ pb


def _matrix(quaternion: Array) -> Array:
    out = np.zeros(9)
    mujoco.mju_quat2Mat(out, quaternion)
    return out.reshape(3, 3)


def _left(q: Array) -> Array:
    """Returns the matrix of x -> q x."""
    w, x, y, z = q
    return np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])


def _right(q: Array) -> Array:
    """Returns the matrix of x -> x q."""
    w, x, y, z = q
    return np.array([[w, -x, -y, -z], [x, w, z, -y], [y, -z, w, x], [z, y, -x, w]])
