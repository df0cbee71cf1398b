"""Pictures beside the loop: they show what was asked for; a renderer that fails harms nobody."""

from __future__ import annotations

import time

import mujoco
import numpy as np
import pytest

from ros2_sim2real.backends.camera import CameraThread, pinhole
from ros2_sim2real.dynamics.mjcf import build_model
from ros2_sim2real.robot import load_robot

SPEC = load_robot("teach2")
MODEL = build_model(SPEC, timestep=0.002)


def wait_for_picture(camera: CameraThread, timeout: float = 30.0) -> tuple[int, np.ndarray]:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if camera.failure:
            pytest.skip(f"no GL here: {camera.failure}")
        if (done := camera.take()) is not None:
            return done
        time.sleep(0.005)  # a queue between threads, read as the node reads it
    raise AssertionError("no picture")


def test_pictures_show_the_pose_that_was_asked_for() -> None:
    camera = CameraThread(MODEL, "front", width=160, height=120)
    try:
        pictures = []
        for stamp, q in ((1, SPEC.home), (2, SPEC.home + 0.5), (3, SPEC.home)):
            camera.request(stamp, q)
            got, picture = wait_for_picture(camera)
            assert got == stamp
            assert picture.shape == (120, 160, 3)
            assert picture.dtype == np.uint8
            pictures.append(picture.astype(int))
        assert np.abs(pictures[0] - pictures[2]).max() <= 2
        assert np.abs(pictures[0] - pictures[1]).max() > 50
    finally:
        camera.close()


def test_a_renderer_that_fails_says_why_and_does_not_hang_anybody() -> None:
    camera = CameraThread(MODEL, "front", width=9999, height=9999)
    end = time.monotonic() + 20.0
    while not camera.failure and time.monotonic() < end:
        camera.request(0, SPEC.home)
        time.sleep(0.005)
    assert "framebuffer" in camera.failure
    camera.request(1, SPEC.home)
    assert camera.take() is None
    begin = time.monotonic()
    camera.close()
    assert time.monotonic() - begin < 4.0


@pytest.mark.parametrize("fovy", [38.0, 60.0, 90.0])
def test_the_camera_matrix_projects_as_the_picture_does(fovy: float) -> None:
    fx, _, cx, _, fy, cy, *_ = pinhole(fovy, 320, 240)
    assert (cx, cy) == (160.0, 120.0)
    assert fx == fy
    top = np.tan(np.radians(fovy) / 2)  # at distance 1, seen at the upper edge
    assert fy * top == pytest.approx(120.0)
    assert mujoco.mj_name2id(MODEL, mujoco.mjtObj.mjOBJ_CAMERA, "front") >= 0
