"""What a person looks at after a run: the error over time as a plot, the arm as a video."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.backends.record import Run
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.dynamics.mjcf import build_model, joint_addresses
from ros2_sim2real.errors import Sim2RealError
from ros2_sim2real.robot import Frame, RobotSpec
from ros2_sim2real.signals import Array

CAMERA = "front"
GOAL_COLOUR = np.array([0.95, 0.45, 0.10, 0.9])
GOAL_RADIUS = 0.02  # [m]

Picture = NDArray[np.uint8]


class PictureError(Sim2RealError):
    """A picture could not be made: no renderer or no plotting library on this machine."""


class ArmPainter:
    """Draws the arm at a pose with a goal marker, without a screen."""

    def __init__(self, spec: RobotSpec, contract: PolicyContract, size: tuple[int, int]) -> None:
        """`size` (width, height) [px]. Raises PictureError where there is no OpenGL."""
        self._model = build_model(spec, timestep=0.002)
        self._data = mujoco.MjData(self._model)
        self._qpos = joint_addresses(spec, self._model)[0]
        self._rotation, self._origin = _world_from_frame(spec, self._model, contract.frame)
        named = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA, CAMERA)
        self._camera = CAMERA if named >= 0 else -1
        try:
            self._renderer = mujoco.Renderer(self._model, size[1], size[0])
        except (ImportError, AttributeError, RuntimeError, mujoco.FatalError) as error:
            why = " ".join(str(error).split())[:80]
            raise PictureError(
                f"no headless OpenGL ({why}): install libegl1 and libgl1-mesa-dri"
            ) from None

    def close(self) -> None:
        """Frees the renderer."""
        self._renderer.close()

    def draw(self, q: Array, goal: Array) -> Picture:
        """Returns the arm at `q` (nq,) with a marker at `goal` (3,) of the policy's frame, BGR."""
        self._data.qpos[self._qpos] = q
        mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, camera=self._camera)
        scene = self._renderer.scene
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom],
            mujoco.mjtGeom.mjGEOM_SPHERE,
            np.full(3, GOAL_RADIUS),
            self._origin + self._rotation @ goal,
            np.eye(3).ravel(),
            GOAL_COLOUR.astype(np.float32),
        )
        scene.ngeom += 1
        out: Picture = cv2.cvtColor(self._renderer.render(), cv2.COLOR_RGB2BGR).astype(np.uint8)
        return out


def write_video(
    run: Run,
    painter: ArmPainter,
    goals: Sequence[Array],
    path: Path,
    *,
    goal_period: float,
    speed: float = 2.0,
    fps: float = 10.0,
    progress: Callable[[float], None] = lambda _: None,
) -> None:
    """Writes an mp4 of the recorded motion with the goal of each moment.

    Args:
        run: the record.
        painter: of the arm.
        goals: positions in the policy's frame, (3,) each [m], `goal_period` seconds each.
        path: of the file, complete or absent.
        speed: how much faster than it happened.
        fps: pictures a second of video.
        progress: called with the share that is done.

    Raises:
        PictureError: no codec.
    """
    times = np.arange(0.0, run.t[-1], speed / fps)
    rows = np.searchsorted(run.t, times)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        partial = Path(folder, path.name)
        first = painter.draw(run.q[0], goals[0])
        size = (first.shape[1], first.shape[0])
        writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
        if not writer.isOpened():
            raise PictureError(f"no mp4 codec in this OpenCV: {path} is not written")
        for t, row in zip(times, rows, strict=True):
            goal = goals[min(int(t / goal_period), len(goals) - 1)]
            writer.write(painter.draw(run.q[row], goal))
            progress(float(t / times[-1]))
        writer.release()
        partial.replace(path)


def write_stills(
    run: Run, painter: ArmPainter, goals: Sequence[Array], path: Path, *, goal_period: float
) -> None:
    """Writes a PNG: the arm at the end of each goal, side by side."""
    ends = np.searchsorted(run.t, [(i + 1) * goal_period - 1e-6 for i in range(len(goals))]) - 1
    stills = [painter.draw(run.q[row], goal) for row, goal in zip(ends, goals, strict=True)]
    height, width, _ = stills[0].shape
    cut = [still[height // 6 :, width // 5 : -width // 10] for still in stills]
    cv2.imwrite(str(path), np.hstack(cut))


def _world_from_frame(spec: RobotSpec, model: mujoco.MjModel, frame: Frame) -> tuple[Array, Array]:
    """Returns rotation (3, 3) and origin (3,) of the policy's frame in the MJCF world."""
    tool = Kinematics(spec, frame=frame, model=model).update(spec.home, np.zeros(spec.nq))
    data = mujoco.MjData(model)
    data.qpos[joint_addresses(spec, model)[0]] = spec.home
    mujoco.mj_kinematics(model, data)
    site = data.site(spec.tool_site)
    # the flange is known in both: T_world_frame = T_world_tool T_frame_tool^-1
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, tool.quaternion)
    rotation: Array = site.xmat.reshape(3, 3) @ turn.reshape(3, 3).T
    return rotation, site.xpos - rotation @ tool.position


def write_plot(
    run: Run,
    spec: RobotSpec,
    contract: PolicyContract,
    goals: Sequence[Array],
    path: Path,
    *,
    goal_period: float,
    tolerance_mm: float,
) -> None:
    """Writes a PNG: distance to the goal, joint positions, latency. Raises PictureError."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise PictureError("plots need matplotlib: pip install 'ros2_sim2real[view]'") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    kinematics = Kinematics(spec, frame=contract.frame, tool=contract.tool)
    which = np.minimum((run.t / goal_period + 1e-9).astype(int), len(goals) - 1)
    tool = np.array(
        [kinematics.update(q, dq).position for q, dq in zip(run.q, run.dq, strict=True)]
    )
    distance = np.linalg.norm(tool - np.array(goals)[which], axis=1) * 1e3
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, figsize=(9, 8), sharex=True, height_ratios=(3, 3, 1.4), layout="constrained"
    )
    top.semilogy(run.t, np.maximum(distance, 0.1), color="C1")
    top.axhline(tolerance_mm, color="0.5", lw=1, ls="--")
    top.annotate(
        f"{tolerance_mm:g} mm", (run.t[-1], tolerance_mm), va="bottom", ha="right", color="0.4"
    )
    top.set_ylabel("distance to goal [mm]")
    for name, q in zip(spec.joint_names, run.q.T, strict=True):
        middle.plot(run.t, q, label=name.removesuffix("_joint"), lw=1.3)
    middle.set_ylabel("joint position [rad]")
    middle.legend(ncols=3, fontsize=8, frameon=False, loc="upper center")
    middle.margins(y=0.25)
    seen = np.isfinite(run.latency)
    bottom.plot(
        (run.command_stamp_ns[seen] - run.stamp_ns[0]) * 1e-9, run.latency[seen] * 1e3, ".", ms=2
    )
    bottom.set_ylabel("latency [ms]")
    bottom.set_xlabel("time [s]")
    for axis in (top, middle, bottom):
        for i in range(1, len(goals)):
            axis.axvline(i * goal_period, color="0.85", lw=1, zorder=0)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{spec.name}: {len(goals)} goals, one after the other", x=0.02, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        partial = Path(folder, path.name)
        figure.savefig(partial, dpi=120)
        partial.replace(path)
    plt.close(figure)
