"""Pictures of the simulated arm, in a thread: a software renderer takes 50 ms a frame."""

from __future__ import annotations

import contextlib
import math
import queue
import threading

import mujoco
import numpy as np
from numpy.typing import NDArray

from ros2_sim2real.signals import Array

Picture = NDArray[np.uint8]


class CameraThread:
    """Renders the newest requested pose; requests that come meanwhile replace each other."""

    def __init__(self, model: mujoco.MjModel, camera: str, *, width: int, height: int) -> None:
        self._model, self._camera, self._size = model, camera, (width, height)
        self._requests: queue.Queue[tuple[int, Array] | None] = queue.Queue(maxsize=1)
        self._done: queue.Queue[tuple[int, Picture]] = queue.Queue(maxsize=1)
        self.failure = ""  # why there will be no more pictures
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def request(self, stamp_ns: int, qpos: Array) -> None:
        """Asks for a picture of `qpos`; does nothing while the last request waits."""
        with contextlib.suppress(queue.Full):  # the renderer is behind: it takes the next one
            self._requests.put_nowait((stamp_ns, qpos.copy()))

    def take(self) -> tuple[int, Picture] | None:
        """Returns stamp and picture (height, width, 3) RGB, None when none is ready."""
        try:
            return self._done.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Ends the thread; the GL context is freed where it was made."""
        with contextlib.suppress(queue.Empty):  # else a thread that failed would be waited for
            self._requests.get_nowait()
        self._requests.put(None)
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        try:
            self._render()
        except Exception as error:  # noqa: BLE001 every GL platform raises a type of its own
            self.failure = " ".join(str(error).split())

    def _render(self) -> None:
        width, height = self._size
        data = mujoco.MjData(self._model)
        with mujoco.Renderer(self._model, height, width) as renderer:
            while (request := self._requests.get()) is not None:
                stamp_ns, data.qpos[:] = request[0], request[1]
                mujoco.mj_forward(self._model, data)
                renderer.update_scene(data, camera=self._camera)
                picture = renderer.render().copy()
                with contextlib.suppress(queue.Empty):
                    self._done.get_nowait()
                self._done.put((stamp_ns, picture))


def pinhole(fovy_degrees: float, width: int, height: int) -> list[float]:
    """Returns the row-major 3x3 camera matrix of a MuJoCo camera."""
    focal = height / (2.0 * math.tan(math.radians(fovy_degrees) / 2.0))
    return [focal, 0.0, width / 2.0, 0.0, focal, height / 2.0, 0.0, 0.0, 1.0]
