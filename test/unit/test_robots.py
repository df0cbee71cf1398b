"""The arms that ship: files agree with each other and with the published figures; servos hold."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from pathlib import Path

import mujoco
import numpy as np
import pytest

from ros2_sim2real import paths
from ros2_sim2real.contract import Gains
from ros2_sim2real.dynamics.mjcf import build_model, read_spec
from ros2_sim2real.robot import RobotSpec, load_robot
from ros2_sim2real.signals import Array

ROBOTS = ("arm6", "bimanual_fr3", "fr3", "so101", "teach2", "ur10", "ur5e")
UR = {"ur5e", "ur10"}
UR10_LOG = (
    Path(__file__).parents[3]
    / "shared"
    / "data"
    / "logs"
    / "unisa_ur10_panda"
    / "ur10_exciting.csv"
)
# Universal Robots, "DH parameters for calculations of kinematics and dynamics" [kg]
PUBLISHED_MASS = {
    "ur5e": (3.761, 8.058, 2.846, 1.37, 1.3, 0.365),
    "ur10": (7.1, 12.7, 4.27, 2.0, 2.0, 0.365),
}
# Universal Robots, "Max. joint torques" [Nm]; speeds of the user manuals [deg/s]
PUBLISHED_EFFORT = {
    "ur5e": (150.0, 150.0, 150.0, 28.0, 28.0, 28.0),
    "ur10": (330.0, 330.0, 150.0, 56.0, 56.0, 56.0),
}
PUBLISHED_SPEED = {
    "ur5e": (180.0,) * 6,
    "ur10": (120.0, 120.0, 180.0, 180.0, 180.0, 180.0),
}


def moving_bodies(model: mujoco.MjModel) -> list[int]:
    return [i for i in range(model.nbody) if model.body_weldid[i] != 0]


def settle(
    spec: RobotSpec,
    target: Array,
    *,
    gains: Gains | None = None,
    timestep: float = 0.002,
    seconds: float = 2.0,
) -> mujoco.MjData:
    model = build_model(spec, gains, timestep=timestep)
    data = mujoco.MjData(model)
    data.qpos[:] = spec.home
    data.ctrl[:] = target
    for _ in range(round(seconds / timestep)):
        mujoco.mj_step(model, data)
    return data


def touching(model: mujoco.MjModel, q: Array) -> set[frozenset[str]]:
    data = mujoco.MjData(model)
    data.qpos[:] = q
    mujoco.mj_forward(model, data)
    return {
        frozenset(model.body(model.geom_bodyid[g]).name for g in pair)
        for pair in data.contact.geom
    }


def test_every_robot_file_is_covered_here() -> None:
    assert tuple(paths.known("config/robots", "*.yaml")) == ROBOTS
    assert tuple(paths.known("models/mjcf", "*.xml")) == ROBOTS


@pytest.mark.parametrize("name", ROBOTS)
def test_the_model_is_bare_primitives_and_brings_no_servo(name: str) -> None:
    model_spec = read_spec(load_robot(name).mjcf_path())
    assert len(model_spec.actuators) == (6 if name == "arm6" else 0)  # its torque motors
    assert not model_spec.meshes
    assert [c.name for c in model_spec.cameras] == ["front"]


@pytest.mark.parametrize("name", ROBOTS)
def test_robot_file_and_model_state_the_same_joints_and_ranges(name: str) -> None:
    spec = load_robot(name)
    model = build_model(spec, timestep=0.002)
    assert tuple(model.joint(i).name for i in range(model.njnt)) == spec.joint_names
    ranges = [(j.lower, j.upper) for j in spec.joints]
    np.testing.assert_allclose(model.jnt_range, ranges, atol=1e-12)
    assert model.jnt_limited.all()


@pytest.mark.parametrize("name", sorted(UR))
def test_masses_are_the_published_ones(name: str) -> None:
    model = build_model(load_robot(name), timestep=0.002)
    masses = model.body_mass[moving_bodies(model)]
    np.testing.assert_allclose(masses, PUBLISHED_MASS[name], atol=1e-12)
    total = {"ur5e": 17.7, "ur10": 28.435}[name]
    assert masses.sum() == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("name", sorted(UR))
def test_torques_and_speeds_are_the_published_ones(name: str) -> None:
    joints = load_robot(name).joints
    assert tuple(j.effort for j in joints) == PUBLISHED_EFFORT[name]
    speeds = [math.degrees(j.velocity) for j in joints]
    np.testing.assert_allclose(speeds, PUBLISHED_SPEED[name], atol=1e-9)


@pytest.mark.parametrize("name", ROBOTS)
def test_home_is_held_with_gravity_compensation_and_sags_without(name: str) -> None:
    spec = load_robot(name)
    held = settle(spec.model_copy(update={"gravity_compensation": True}), spec.home)
    assert np.abs(held.qpos - spec.home).max() < 1e-6
    if name == "arm6":
        return  # its model carries itself
    bare = spec.model_copy(update={"gravity_compensation": False})
    sagged = settle(bare, spec.home)
    sag = sagged.qpos - spec.home
    assert 1e-3 < np.abs(sag).max() < 0.05
    # where it stopped, the servo carries exactly the weight
    stiffness = np.array([j.stiffness for j in spec.joints])
    np.testing.assert_allclose(-stiffness * sag, sagged.qfrc_bias, atol=1e-3)


@pytest.mark.parametrize("name", ROBOTS)
def test_home_lies_within_the_soft_limits_with_the_tool_over_the_workspace(name: str) -> None:
    spec = load_robot(name)
    assert (spec.limits.lower < spec.home).all()
    assert (spec.home < spec.limits.upper).all()
    tool = settle(spec, spec.home, seconds=0.01).site(spec.tool_site).xpos
    assert spec.workspace is not None
    assert (np.array(spec.workspace.lower) <= tool + 1e-9).all()
    assert (tool - 1e-9 <= np.array(spec.workspace.upper)).all()


@pytest.mark.parametrize("name", sorted(UR))
def test_home_points_the_tool_down(name: str) -> None:
    spec = load_robot(name)
    out = settle(spec, spec.home, seconds=0.01).site(spec.tool_site).xmat.reshape(3, 3)[:, 2]
    np.testing.assert_allclose(out, [0.0, 0.0, -1.0], atol=5e-3)


@pytest.mark.parametrize("name", ROBOTS)
def test_nothing_touches_at_rest(name: str) -> None:
    spec = load_robot(name)
    model = build_model(spec, timestep=0.002)
    assert touching(model, spec.home) == set()
    upright = {"teach2": [1.57, 0.0], **{n: [0.0, -1.57, 0.0, -1.57, 0.0, 0.0] for n in UR}}
    assert touching(model, np.array(upright.get(name, spec.home))) == set()


@pytest.mark.parametrize("name", sorted(UR))
def test_neighbouring_links_never_touch_and_distant_ones_do(name: str) -> None:
    spec = load_robot(name)
    model = build_model(spec, timestep=0.002)
    chain = ["base_link", *(model.body(b).name for b in moving_bodies(model))]
    neighbours = {frozenset(pair) for pair in pairwise(chain)}
    rng = np.random.default_rng(0)
    seen: set[frozenset[str]] = set()
    for _ in range(2000):
        seen |= touching(model, rng.uniform(-np.pi, np.pi, spec.nq))
    assert not seen & neighbours
    assert frozenset({"upper_arm_link", "wrist_1_link"}) in seen
    assert frozenset({"world", "wrist_3_link"}) in seen
    assert seen <= {frozenset(pair) for pair in combinations(["world", *chain], 2)}


@pytest.mark.parametrize("timestep", [0.002, 1.0 / 120.0])
def test_ur10_settles_after_a_step_of_two_radians_with_the_servo_of_a_training(
    timestep: float,
) -> None:
    spec = load_robot("ur10")
    soft = Gains(stiffness=(800.0,) * 6, damping=(40.0,) * 6, effort_limit=(87.0,) * 6)
    target = spec.home + np.array([2.0, -0.5, -1.0, -2.0, 2.0, -2.0])
    # damping ratio 0.2 on the outstretched arm: it rings for seconds, at any time step
    data = settle(spec, target, gains=soft, timestep=timestep, seconds=12.0)
    assert np.abs(data.qpos - target).max() < 1e-3
    assert np.abs(data.qvel).max() < 1e-3


def test_gravity_torques_of_the_teaching_arm_are_those_of_its_drawing() -> None:
    model = build_model(load_robot("teach2"), timestep=0.002)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    g = 9.81
    for q1, q2 in rng.uniform(-2.5, 2.5, (20, 2)):
        data.qpos[:] = q1, q2
        mujoco.mj_forward(model, data)
        elbow = g * (0.2 * 0.0925 + 0.1 * 0.182) * math.cos(q1 + q2)
        upper = g * (0.3 * 0.125 + 0.25 * 0.25 + (0.2 + 0.1) * 0.25) * math.cos(q1)
        np.testing.assert_allclose(data.qfrc_bias, [upper + elbow, elbow], atol=1e-9)


@pytest.mark.skipif(not UR10_LOG.is_file(), reason="the log of a physical UR10 is not here")
def test_ur10_with_friction_explains_the_torque_of_a_physical_ur10() -> None:
    rows = np.genfromtxt(UR10_LOG, delimiter=",", skip_header=1)
    window = np.hanning(27)[1:-1] / np.hanning(27).sum()
    smooth = [np.convolve(c, window, "same") for c in rows.T]
    t, q, dq, tau = rows[:, 0], np.array(smooth[1:7]), np.array(smooth[7:13]), smooth[13:19]
    model = build_model(load_robot("ur10"), timestep=0.002)
    model.body_gravcomp[:] = 0.0
    model.dof_armature[:] = 0.0
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    data = mujoco.MjData(model)
    modelled = np.zeros_like(q)
    ddq = np.gradient(dq, t, axis=1)
    for i in range(len(t)):
        data.qpos[:], data.qvel[:], data.qacc[:] = q[:, i], dq[:, i], ddq[:, i]
        mujoco.mj_inverse(model, data)
        modelled[:, i] = data.qfrc_inverse
    inner = slice(60, -60)  # clear of the ends of the smoothing
    for joint in range(5):  # the last one carries friction only
        v, ours, measured = dq[joint, inner], modelled[joint, inner], tau[joint][inner]
        # acceleration: rotor, and the delay of the torque's filter
        extra = np.column_stack([ddq[joint, inner], v, np.tanh(v / 0.05), np.ones_like(v)])
        fit = np.linalg.lstsq(extra, measured - ours, rcond=None)[0]
        rest = measured - ours - extra @ fit
        assert 1.0 - rest.var() / measured.var() > 0.98
        if 1 <= joint <= 3:  # where weight dominates, a free scale comes out near one
            both = np.column_stack([ours, extra])
            scale = np.linalg.lstsq(both, measured, rcond=None)[0][0]
            assert scale == pytest.approx(1.0, abs=0.05)


def turn(rpy: tuple[float, float, float]) -> Array:
    """Rotation of fixed-axis roll, pitch, yaw, as URDF has it."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy), np.sin(rpy)
    roll = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    pitch = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    return np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ pitch @ roll


def urdf_chain(origins: list[tuple[tuple[float, ...], ...]], q: Array) -> tuple[Array, Array]:
    """Position and rotation after joints about z at `origins`; what follows them is the tool."""
    p, R = np.zeros(3), np.eye(3)
    for i, (xyz, rpy) in enumerate(origins):
        p, R = p + R @ np.array(xyz), R @ turn(rpy)
        R = R @ turn((0.0, 0.0, q[i])) if i < len(q) else R
    return p, R


PI_2 = math.pi / 2
# Franka Robotics, FCI documentation, Denavit-Hartenberg parameters (a, d, alpha), Craig's order
FR3_DH = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -PI_2),
    (0.0, 0.316, PI_2),
    (0.0825, 0.0, PI_2),
    (-0.0825, 0.384, -PI_2),
    (0.0, 0.0, PI_2),
    (0.088, 0.0, PI_2),
    (0.0, 0.107, 0.0),
)
# TheRobotStudio/SO-ARM100, so101_new_calib.urdf; its angles are rounded to 1e-6 rad
SO101_URDF = [
    ((0.0388353, -8.97657e-09, 0.0624), (math.pi, 0.0, -math.pi)),
    ((-0.0303992, -0.0182778, -0.0542), (-PI_2, -PI_2, 0.0)),
    ((-0.11257, -0.028, 0.0), (0.0, 0.0, PI_2)),
    ((-0.1349, 0.0052, 0.0), (0.0, 0.0, -PI_2)),
    ((0.0, -0.0611, 0.0181), (PI_2, 0.0486795, math.pi)),
    ((-0.0079, -0.000218121, -0.0981274), (0.0, math.pi, 0.0)),
]


def dh_chain(q: Array) -> tuple[Array, Array]:
    p, R = np.zeros(3), np.eye(3)
    for (a, d, alpha), theta in zip(FR3_DH, [*q, 0.0], strict=True):
        R_alpha = R @ turn((alpha, 0.0, 0.0))
        p = p + R @ np.array([a, 0.0, 0.0]) + R_alpha @ np.array([0.0, 0.0, d])
        R = R_alpha @ turn((0.0, 0.0, theta))
    return p, R


def tool_of(model: mujoco.MjModel, site: str, q: Array) -> tuple[Array, Array]:
    data = mujoco.MjData(model)
    data.qpos[:] = q
    mujoco.mj_kinematics(model, data)
    return data.site(site).xpos, data.site(site).xmat.reshape(3, 3)


def test_the_tool_of_the_fr3_is_where_the_published_dh_parameters_put_it() -> None:
    spec = load_robot("fr3")
    model = build_model(spec, timestep=0.002)
    rng = np.random.default_rng(0)
    for _ in range(100):
        q = rng.uniform(spec.limits.lower, spec.limits.upper)
        for ours, theirs in zip(tool_of(model, spec.tool_site, q), dh_chain(q), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_the_tool_of_the_so101_is_where_the_published_urdf_puts_it() -> None:
    spec = load_robot("so101")
    model = build_model(spec, timestep=0.002)
    rng = np.random.default_rng(0)
    for _ in range(100):
        q = rng.uniform(spec.limits.lower, spec.limits.upper)
        p, R = tool_of(model, spec.tool_site, q)
        p_urdf, R_urdf = urdf_chain(SO101_URDF, q)
        np.testing.assert_allclose(p, p_urdf, atol=1e-6)
        np.testing.assert_allclose(R, R_urdf, atol=2e-5)


def test_the_limits_of_the_fr3_are_those_of_the_fci_documentation() -> None:
    joints = load_robot("fr3").joints
    assert [j.upper for j in joints] == [2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159]
    assert [j.velocity for j in joints] == [2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26]
    assert {j.acceleration for j in joints} == {10.0}
    assert [j.effort for j in joints] == [87.0] * 4 + [12.0] * 3
    moving = moving_bodies(model := build_model(load_robot("fr3"), timestep=0.002))
    assert model.body_mass[moving].sum() == pytest.approx(15.4948, abs=1e-4)


def test_the_gripper_of_the_so101_stays_shut_and_is_nobodys_command() -> None:
    spec = load_robot("so101")
    assert spec.extra_joints == ("gripper",)
    assert "gripper" not in spec.joint_names
    model = build_model(spec, timestep=0.002)
    assert model.nu == model.nq == spec.nq == 5
    jaw = model.body("moving_jaw")
    assert model.body_jntnum[jaw.id] == 0  # at its reference, whatever pulls
    assert model.body_subtreemass[0] == pytest.approx(0.632006, abs=1e-6)


def test_the_servo_of_the_so101_lags_as_long_as_the_one_in_the_log() -> None:
    spec = load_robot("so101")
    model = build_model(spec, timestep=0.002)
    data = mujoco.MjData(model)
    data.qpos[:] = data.ctrl[:] = spec.home
    data.ctrl[0] += 0.2  # the pan: no weight in the way
    steps = 0
    while data.qpos[0] < 0.2 * 0.63 and steps < 500:
        mujoco.mj_step(model, data)
        steps += 1
    assert 0.06 < steps * 0.002 < 0.12


def test_both_arms_of_the_pair_are_the_single_one() -> None:
    one = load_robot("fr3")
    pair = load_robot("bimanual_fr3")
    assert pair.joint_names == tuple(
        f"{side}_{name}" for side in ("left", "right") for name in one.joint_names
    )
    for j, joint in enumerate(pair.joints):
        single = one.joints[j % 7]
        assert joint.model_copy(update={"name": single.name}) == single
    model, whole = build_model(one, timestep=0.002), build_model(pair, timestep=0.002)
    q = one.home + 0.1
    p, R = tool_of(model, "fr3_link8", q)
    for side, y in (("left", 0.3), ("right", -0.3)):
        at, turned = tool_of(whole, f"{side}_fr3_link8", np.tile(q, 2))
        np.testing.assert_allclose(at - p, [0.0, y, 0.04], atol=1e-12)
        np.testing.assert_allclose(turned, R, atol=1e-12)


def test_arm6_is_the_arm_of_the_bench_with_its_torque_motors() -> None:
    raw = mujoco.MjModel.from_xml_path(str(load_robot("arm6").mjcf_path()))
    axes = {(0, 0, 1): "z", (0, 1, 0): "y", (1, 0, 0): "x"}
    assert "".join(axes[tuple(a)] for a in raw.jnt_axis.astype(int)) == "zyyxyx"
    moving = moving_bodies(raw)
    np.testing.assert_allclose(raw.body_mass[moving], [4, 7, 4, 1.5, 1.2, 0.5])
    lengths = [*raw.body_pos[moving][1:, 2], raw.site("tool0").pos[2]]
    np.testing.assert_allclose(lengths, [0.15, 0.40, 0.35, 0.10, 0.10, 0.08])
    for figure, value in ((raw.dof_damping, 1.5), (raw.dof_armature, 0.15)):
        np.testing.assert_array_equal(figure, value)
    np.testing.assert_array_equal(raw.dof_frictionloss, 0.2)
    np.testing.assert_array_equal(raw.body_gravcomp[moving], 1.0)
    np.testing.assert_array_equal(raw.actuator_gear[:, 0], [80, 80, 60, 20, 20, 10])
    np.testing.assert_array_equal(raw.actuator_ctrlrange, [[-1.0, 1.0]] * 6)
    assert raw.opt.timestep == 0.005
    data = mujoco.MjData(raw)
    data.qpos[:], data.ctrl[2] = load_robot("arm6").home, 1.0
    mujoco.mj_forward(raw, data)
    assert data.qfrc_actuator[2] == 60.0


def test_a_default_of_the_models_own_actuators_does_not_bind_our_servo() -> None:
    spec = load_robot("arm6")  # its motors take -1 to 1, and home of the elbow is 1.2 rad
    model = build_model(spec, timestep=0.002)
    assert not model.actuator_ctrllimited.any()
    np.testing.assert_array_equal(model.actuator_gear[:, 0], 1.0)
    assert settle(spec, spec.home).qpos[2] == pytest.approx(1.2, abs=1e-9)
