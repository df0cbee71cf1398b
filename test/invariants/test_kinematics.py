"""Forward kinematics against DH tables, closed forms, finite differences and composed poses."""

from __future__ import annotations

import math
from functools import cache

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ros2_sim2real.dynamics.kinematics import Kinematics, ToolState
from ros2_sim2real.dynamics.mjcf import build_model, read_spec
from ros2_sim2real.errors import RobotModelError
from ros2_sim2real.robot import Frame, RobotSpec, load_robot
from ros2_sim2real.rotations import quaternion_multiply, rotation_vector

Matrix = NDArray[np.float64]
ROBOTS = ("ur5e", "ur10", "teach2")
CONJUGATE = np.array([1.0, -1.0, -1.0, -1.0])

# Universal Robots, "DH parameters for calculations of kinematics and dynamics":
# rows of d [m], a [m], alpha [rad], centre of mass in the link's DH frame [m]
HALF = math.pi / 2
DH = {
    "ur5e": (
        (0.1625, 0.0, HALF, (0.0, -0.02561, 0.00193)),
        (0.0, -0.425, 0.0, (0.2125, 0.0, 0.11336)),
        (0.0, -0.3922, 0.0, (0.15, 0.0, 0.0265)),
        (0.1333, 0.0, HALF, (0.0, -0.0018, 0.01634)),
        (0.0997, 0.0, -HALF, (0.0, 0.0018, 0.01634)),
        (0.0996, 0.0, 0.0, (0.0, 0.0, -0.001159)),
    ),
    "ur10": (
        (0.1273, 0.0, HALF, (0.021, 0.0, 0.027)),
        (0.0, -0.612, 0.0, (0.38, 0.0, 0.158)),
        (0.0, -0.5723, 0.0, (0.24, 0.0, 0.068)),
        (0.163941, 0.0, HALF, (0.0, 0.007, 0.018)),
        (0.1157, 0.0, -HALF, (0.0, 0.007, 0.018)),
        (0.0922, 0.0, 0.0, (0.0, 0.0, -0.026)),
    ),
}


def dh_frames(name: str, q: Matrix) -> list[Matrix]:
    """Returns the pose of every DH frame in base_link, six times (4, 4)."""
    T = np.diag([-1.0, -1.0, 1.0, 1.0])  # base_link to DH base: pi about z
    frames = []
    for theta, (d, a, alpha, _) in zip(q, DH[name], strict=True):
        ct, st_, ca, sa = math.cos(theta), math.sin(theta), math.cos(alpha), math.sin(alpha)
        T = T @ np.array(
            [
                [ct, -st_ * ca, st_ * sa, a * ct],
                [st_, ct * ca, -ct * sa, a * st_],
                [0.0, sa, ca, d],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
        frames.append(T)
    return frames


def matrix(quaternion: Matrix) -> Matrix:
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    v = np.array([x, y, z])
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    out: Matrix = (w * w - v @ v) * np.eye(3) + 2.0 * np.outer(v, v) + 2.0 * w * cross
    return out


def pose(frame: Frame | ToolState) -> Matrix:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = matrix(np.array(frame.quaternion)), frame.position
    return T


@cache
def spec_of(name: str) -> RobotSpec:
    return load_robot(name)


@cache
def model_of(name: str) -> mujoco.MjModel:
    return build_model(spec_of(name), timestep=0.002)


@cache
def plain(name: str) -> Kinematics:
    return Kinematics(spec_of(name), model=model_of(name))


def draw(name: str, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    spec = spec_of(name)
    q = rng.uniform([j.lower for j in spec.joints], [j.upper for j in spec.joints])
    return q, rng.uniform(-2.0, 2.0, spec.nq)


numbers = st.floats(-2.0, 2.0, allow_nan=False)
frames = st.builds(
    lambda p, q: Frame(position=p, quaternion=tuple(np.array(q) / np.linalg.norm(q))),
    st.tuples(numbers, numbers, numbers),
    st.tuples(numbers, numbers, numbers, numbers).filter(lambda q: np.linalg.norm(q) > 0.1),
)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", sorted(DH))
def test_tool0_is_the_last_frame_of_the_published_dh_table(name: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(1000):
        q, dq = draw(name, rng)
        tool = plain(name).update(q, dq)
        expected = dh_frames(name, q)[-1]
        np.testing.assert_allclose(tool.position, expected[:3, 3], rtol=0.0, atol=1e-6)
        np.testing.assert_allclose(matrix(tool.quaternion), expected[:3, :3], rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(DH))
def test_every_centre_of_mass_is_where_the_published_table_puts_it(name: str) -> None:
    model = model_of(name)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(2)
    links = model.jnt_bodyid
    for _ in range(50):
        data.qpos[:], _ = draw(name, rng)
        mujoco.mj_kinematics(model, data)
        rows = zip(links, dh_frames(name, data.qpos), DH[name], strict=True)
        for link, T, (*_, centre) in rows:
            expected = T[:3, :3] @ centre + T[:3, 3]
            np.testing.assert_allclose(data.xipos[link], expected, rtol=0.0, atol=1e-6)


def test_the_teaching_arm_follows_its_closed_form() -> None:
    rng = np.random.default_rng(3)
    for _ in range(100):
        (q1, q2), dq = draw("teach2", rng)
        tool = plain("teach2").update(np.array([q1, q2]), dq)
        c1, s1, c, s = math.cos(q1), math.sin(q1), math.cos(q1 + q2), math.sin(q1 + q2)
        w1, w = dq[0], dq.sum()
        x, z = 0.25 * c1 + 0.2 * c, 0.25 + 0.25 * s1 + 0.2 * s
        vx, vz = -0.25 * s1 * w1 - 0.2 * s * w, 0.25 * c1 * w1 + 0.2 * c * w
        np.testing.assert_allclose(tool.position, [x, 0.0, z], atol=1e-12)
        np.testing.assert_allclose(tool.linear_velocity, [vx, 0.0, vz], atol=1e-12)
        np.testing.assert_allclose(tool.angular_velocity, [0.0, -w, 0.0], atol=1e-12)
        # columns: tool x, y, z; z points out of the arm
        np.testing.assert_allclose(
            matrix(tool.quaternion), [[s, 0.0, c], [0.0, 1.0, 0.0], [-c, 0.0, s]], atol=1e-12
        )


@pytest.mark.parametrize("name", ROBOTS)
@settings(deadline=None, max_examples=50)
@given(frame=frames, tool=frames, seed=seeds)
def test_the_twist_is_the_rate_of_change_of_the_pose(
    name: str, frame: Frame, tool: Frame, seed: int
) -> None:
    q, dq = draw(name, np.random.default_rng(seed))
    kinematics = Kinematics(spec_of(name), frame=frame, tool=tool, model=model_of(name))
    h = 1e-6
    before, after = kinematics.update(q - h * dq, dq), kinematics.update(q + h * dq, dq)
    now = kinematics.update(q, dq)
    linear = (after.position - before.position) / (2.0 * h)
    turned = quaternion_multiply(after.quaternion, before.quaternion * CONJUGATE)
    np.testing.assert_allclose(now.linear_velocity, linear, rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(
        now.angular_velocity, rotation_vector(turned) / (2.0 * h), rtol=0.0, atol=1e-6
    )
    np.testing.assert_allclose(
        kinematics.jacobian() @ dq,
        np.concatenate([now.linear_velocity, now.angular_velocity]),
        rtol=0.0,
        atol=1e-12,
    )


@pytest.mark.parametrize("name", ROBOTS)
@settings(deadline=None, max_examples=50)
@given(frame=frames, tool=frames, seed=seeds)
def test_frame_and_tool_compose_from_the_left_and_from_the_right(
    name: str, frame: Frame, tool: Frame, seed: int
) -> None:
    q, dq = draw(name, np.random.default_rng(seed))
    flange = plain(name).update(q, dq)
    seen = Kinematics(spec_of(name), frame=frame, tool=tool, model=model_of(name)).update(q, dq)
    T_base_frame, T_base_flange, T_flange_tool = pose(frame), pose(flange), pose(tool)
    expected = np.linalg.inv(T_base_frame) @ T_base_flange @ T_flange_tool
    np.testing.assert_allclose(pose(seen), expected, rtol=0.0, atol=1e-9)
    assert np.linalg.norm(seen.quaternion) == pytest.approx(1.0, abs=1e-12)
    lever = T_base_flange[:3, :3] @ T_flange_tool[:3, 3]
    linear = flange.linear_velocity + np.cross(flange.angular_velocity, lever)
    back = T_base_frame[:3, :3].T
    np.testing.assert_allclose(seen.linear_velocity, back @ linear, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(
        seen.angular_velocity, back @ flange.angular_velocity, rtol=0.0, atol=1e-9
    )


@pytest.mark.parametrize("name", ROBOTS)
@pytest.mark.parametrize("base_frame", ["base_link", "name_that_the_model_lacks"])
@settings(deadline=None, max_examples=20)
@given(mount=frames, seed=seeds)
def test_an_arm_that_is_mounted_elsewhere_reports_the_same(
    name: str, base_frame: str, mount: Frame, seed: int
) -> None:
    spec = spec_of(name).model_copy(update={"base_frame": base_frame})
    model_spec = read_spec(spec.mjcf_path())
    base = model_spec.body("base_link")
    base.pos, base.quat = mount.position, mount.quaternion
    moved = Kinematics(spec, model=model_spec.compile())
    q, dq = draw(name, np.random.default_rng(seed))
    here, there = plain(name).update(q, dq), moved.update(q, dq)
    np.testing.assert_allclose(pose(there), pose(here), rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(there.linear_velocity, here.linear_velocity, atol=1e-9)
    np.testing.assert_allclose(there.angular_velocity, here.angular_velocity, atol=1e-9)


def test_joints_are_found_by_name_whatever_their_order_and_company() -> None:
    spec = spec_of("ur5e")
    backwards = spec.model_copy(update={"joints": spec.joints[::-1]})
    model_spec = read_spec(spec.mjcf_path())
    # a gripper's finger, before the arm in no list but in the model
    finger = model_spec.body("wrist_3_link").add_body(name="finger", pos=[0.0, 0.0, 0.1])
    finger.add_joint(name="finger_joint")
    finger.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.01, 0.0, 0.0])
    kinematics = Kinematics(backwards, model=model_spec.compile())
    q, dq = draw("ur5e", np.random.default_rng(4))
    expected, jacobian = plain("ur5e").update(q, dq), plain("ur5e").jacobian()
    seen = kinematics.update(q[::-1], dq[::-1])
    np.testing.assert_allclose(pose(seen), pose(expected), atol=1e-12)
    np.testing.assert_allclose(seen.linear_velocity, expected.linear_velocity, atol=1e-12)
    np.testing.assert_allclose(kinematics.jacobian(), jacobian[:, ::-1], atol=1e-12)


def test_the_quaternion_follows_the_joints_without_jumps() -> None:
    q = spec_of("ur5e").home.copy()
    last = plain("ur5e").update(q, np.zeros(6)).quaternion
    for angle in np.linspace(0.0, 2.0 * np.pi, 400):
        q[0], q[5] = angle, -angle
        now = plain("ur5e").update(q, np.zeros(6)).quaternion
        assert now @ last > 0.99
        last = now


def test_an_earlier_tool_state_is_not_changed_by_a_later_update() -> None:
    home = spec_of("ur5e").home
    first = plain("ur5e").update(home, np.zeros(6))
    kept = first.position.copy()
    plain("ur5e").update(home + 1.0, np.ones(6))
    np.testing.assert_array_equal(first.position, kept)
    with pytest.raises(ValueError, match="read-only"):
        first.position[0] = 0.0


def test_nan_shows_and_does_not_stay() -> None:
    home, rest = spec_of("ur5e").home, np.zeros(6)
    expected = plain("ur5e").update(home, rest)
    for i in range(6):
        q = home.copy()
        q[i] = math.nan
        assert np.isnan(plain("ur5e").update(q, rest).quaternion).all()
        dq = rest.copy()
        dq[i] = math.nan
        assert np.isnan(plain("ur5e").update(home, dq).angular_velocity).any()
    np.testing.assert_array_equal(pose(plain("ur5e").update(home, rest)), pose(expected))


def test_a_base_that_moves_is_refused() -> None:
    spec = spec_of("ur5e").model_copy(update={"base_frame": "forearm_link"})
    with pytest.raises(RobotModelError, match="`base_frame` 'forearm_link' is a body that moves"):
        Kinematics(spec)


def test_a_model_of_another_arm_is_refused() -> None:
    with pytest.raises(RobotModelError, match="shoulder_pan_joint"):
        Kinematics(spec_of("ur5e"), model=model_of("teach2"))
