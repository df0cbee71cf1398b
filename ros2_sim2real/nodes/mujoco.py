"""The simulated arm on topics: MuJoCo with the policy's servo gains, tool pose, camera."""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped, TransformStamped
from pydantic import Field
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

import mujoco
from ros2_sim2real.backends.camera import CameraThread, pinhole
from ros2_sim2real.backends.mujoco_arm import MujocoBackend
from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.dynamics.mjcf import gains_for
from ros2_sim2real.errors import ConfigError
from ros2_sim2real.nodes import qos
from ros2_sim2real.nodes.convert import to_stamp
from ros2_sim2real.nodes.parameters import LiveParameters, declare
from ros2_sim2real.nodes.shell import run
from ros2_sim2real.nodes.simulation import SimulationNode, SimulationParameters
from ros2_sim2real.policy.load import contract_of
from ros2_sim2real.robot import RobotSpec, load_robot
from ros2_sim2real.worlds import DISTURBANCES, load_world

POSE_HZ = 30.0
WORLD = "world."  # prefix of the parameters that may change while the node runs


class MujocoParameters(SimulationParameters):
    """Parameters of `mujoco`."""

    world_file: str = Field(
        "",
        description="world in which the arm starts: a file, or a name within config/worlds; "
        "empty: nominal. Its fields are the parameters `world.*`",
    )
    camera: str = Field("", description="MJCF camera to publish on camera/image_raw, empty: none")
    camera_hz: float = Field(10.0, gt=0.0, le=60.0, description="pictures a second")
    camera_width: int = Field(320, ge=16, le=1920, description="[px]")
    camera_height: int = Field(240, ge=16, le=1080, description="[px]")


class MujocoNode(SimulationNode):
    """Shell of `backends.mujoco_arm.MujocoBackend`."""

    backend: MujocoBackend
    config: MujocoParameters

    def __init__(self) -> None:
        super().__init__("mujoco")
        self._every = max(1, round(self.config.rate_hz / POSE_HZ))
        self._count = 0
        self._pose_out = self.create_publisher(PoseStamped, "tool_pose", qos.RELIABLE)
        self._tf = TransformSender(self)
        self._camera = CameraOutput(self) if self.config.camera else None

    def build(self) -> tuple[MujocoParameters, RobotSpec, MujocoBackend]:
        """Declares the parameters and makes the arm."""
        config = declare(self, MujocoParameters, others=(WORLD,))
        self.spec = load_robot(config.robot)
        contract = contract_of(config.policy)
        start = contract.start_pose(self.spec) if contract else None
        self._kinematics = Kinematics(self.spec)
        nq = self.spec.nq
        world = LiveParameters(
            self,
            load_world(config.world_file, nq),
            prefix=WORLD,
            names=DISTURBANCES,
            misfits=lambda world: world.misfits(nq),
        )
        backend = MujocoBackend(
            self.spec,
            gains_for(self.spec, contract),
            rate_hz=config.rate_hz,
            start=start,
            world=world.value,
        )
        backend.reset(config.seed)
        world.watch(lambda world, names: backend.set_world(world, burst="nan_states" in names))
        return config, self.spec, backend

    def published(self, stamp_ns: int) -> None:
        """Publishes the tool's pose now and then, and hands the state to the camera."""
        self._count += 1
        if self._count % self._every:
            return
        state = self.backend.truth(stamp_ns)  # as a camera in the room sees it, not the encoders
        tool = self._kinematics.update(state.q, state.dq)
        msg = PoseStamped()
        msg.header.stamp, msg.header.frame_id = to_stamp(stamp_ns), self.spec.base_frame
        p, o = msg.pose.position, msg.pose.orientation
        p.x, p.y, p.z = tool.position.tolist()
        o.w, o.x, o.y, o.z = tool.quaternion.tolist()
        self._pose_out.publish(msg)
        self._tf.send(msg, self.spec.tool_frame)
        if self._camera is not None:
            self._camera.offer(stamp_ns)

    def tick(self) -> bool:
        """Publishes a finished picture, then does what every simulation does."""
        if self._camera is not None:
            self._camera.publish()
        return super().tick()

    def stop(self) -> None:
        """Ends the camera's thread and writes the record."""
        if self._camera is not None:
            self._camera.thread.close()
        super().stop()


class TransformSender:
    """Publishes base -> tool on the namespace's tf, where tf2_msgs is installed (no wheel)."""

    def __init__(self, node: Node) -> None:
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self._out = None
            return
        self._type = TFMessage
        self._out = node.create_publisher(TFMessage, "tf", qos.DIAGNOSTICS)

    def send(self, pose: PoseStamped, child: str) -> None:
        """Sends the transform that `pose` describes."""
        if self._out is None:
            return
        transform = TransformStamped(header=pose.header, child_frame_id=child)
        t, p = transform.transform.translation, pose.pose.position
        t.x, t.y, t.z = p.x, p.y, p.z
        transform.transform.rotation = pose.pose.orientation
        self._out.publish(self._type(transforms=[transform]))


class CameraOutput:
    """Pictures of an MJCF camera, rendered beside the loop."""

    def __init__(self, node: MujocoNode) -> None:
        config, model = node.config, node.backend.model
        names = [model.camera(i).name for i in range(model.ncam)]
        if config.camera not in names:
            raise ConfigError(
                "parameters of `mujoco`",
                [f"`camera` got '{config.camera}', the model has {names}"],
            )
        self._node = node
        self._period_ns = 1e9 / config.camera_hz
        self._next_ns = 0.0
        size = (config.camera_width, config.camera_height)
        self.thread = CameraThread(model, config.camera, width=size[0], height=size[1])
        fovy = float(
            model.cam_fovy[mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, config.camera)]
        )
        self._info = CameraInfo(
            width=size[0],
            height=size[1],
            distortion_model="plumb_bob",
            d=[0.0] * 5,
            k=pinhole(fovy, *size),
        )
        self._info.header.frame_id = config.camera
        self._image_out = node.create_publisher(Image, "camera/image_raw", qos.SENSOR)
        self._info_out = node.create_publisher(CameraInfo, "camera/camera_info", qos.SENSOR)

    def offer(self, stamp_ns: int) -> None:
        """Asks for a picture of the present state when one is due."""
        if stamp_ns >= self._next_ns:
            self._next_ns = stamp_ns + self._period_ns
            self.thread.request(stamp_ns, self._node.backend.data.qpos)

    def publish(self) -> None:
        """Publishes the newest finished picture, if there is one."""
        if self.thread.failure:
            self._node.get_logger().error(
                f"no pictures: {self.thread.failure}. Set MUJOCO_GL=egl, or leave `camera` empty",
                once=True,
            )
        done = self.thread.take()
        if done is None:
            return
        stamp_ns, picture = done
        self._info.header.stamp = to_stamp(stamp_ns)
        height, width, _ = picture.shape
        image = Image(
            header=self._info.header, height=height, width=width, encoding="rgb8", step=3 * width
        )
        image.data = picture.tobytes()
        self._image_out.publish(image)
        self._info_out.publish(self._info)


def main() -> None:
    """Entry point of the executable `mujoco`."""
    run(MujocoNode)


if __name__ == "__main__":
    main()
