"""Every disturbance moves the arm the way physics says, from the moment it is switched on."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_sim2real.backends.mujoco_arm import MujocoBackend
from ros2_sim2real.dynamics.mjcf import PAYLOAD, build_model, joint_addresses
from ros2_sim2real.robot import load_robot
from ros2_sim2real.signals import Array
from ros2_sim2real.worlds import World, load_world

TEACH2, UR10 = load_robot("teach2"), load_robot("ur10")
GRAVITY = 9.81
EVERYTHING = load_world("everything")


def arm(
    world: World = World(), *, robot=TEACH2, rate_hz: float = 400.0, **kwargs
) -> MujocoBackend:
    return MujocoBackend(robot, None, rate_hz=rate_hz, world=world, **kwargs)


def play(
    backend: MujocoBackend, seconds: float, command: Callable[[float], Array] | None = None
) -> dict[str, Array]:
    """Commands and advances; rows: after each period."""
    rows: dict[str, list[Array]] = {"q": [], "dq": [], "read": [], "read_dq": [], "torque": []}
    period = backend.dt * backend.substeps
    for k in range(round(seconds / period)):
        if command is not None:
            backend.command(command(k * period))
        backend.advance()
        truth, reading = backend.truth(0), backend.state(0)
        rows["q"].append(truth.q)
        rows["dq"].append(truth.dq)
        rows["read"].append(reading.q)
        rows["read_dq"].append(reading.dq)
        rows["torque"].append(backend.data.actuator_force.copy())
    return {name: np.array(values) for name, values in rows.items()}


def step_of(size: float, home: Array = TEACH2.home) -> Callable[[float], Array]:
    return lambda t: home + size


def sine(t: float) -> Array:
    return TEACH2.home + 0.2 * np.sin(4.0 * t)


def test_the_nominal_world_is_the_plain_model_bit_by_bit() -> None:
    model = build_model(TEACH2, None, timestep=1 / 400)
    data = mujoco.MjData(model)
    qpos = joint_addresses(TEACH2, model)[0]
    data.qpos[qpos] = data.ctrl[:] = TEACH2.home
    expected = []
    for k in range(400):
        data.ctrl[:] = sine(k * (1 / 400))
        mujoco.mj_step(model, data)
        expected.append(data.qpos[qpos].copy())
    assert (play(arm(), 1.0, sine)["q"] == expected).all()


@settings(max_examples=15, deadline=None)
@given(steps=st.integers(0, 60))
def test_command_delay_is_exact_to_one_physics_step(steps: int) -> None:
    """An arm at 100 Hz and n steps of delay does what one at 400 Hz does with a later command."""
    late = arm(World(command_delay=steps * 0.0025), rate_hz=100.0)
    prompt = arm(rate_hz=400.0)
    assert late.dt == prompt.dt
    late.command(TEACH2.home + 0.3)
    for k in range(120):
        if k == steps:
            prompt.command(TEACH2.home + 0.3)
        prompt.advance()
        if k % 4 == 3:
            late.advance()
            assert (late.truth(0).q == prompt.truth(0).q).all(), k


def test_jitter_stays_within_its_bounds_and_varies() -> None:
    begun = set()
    backend = arm(World(command_delay=0.01, command_jitter=0.02))
    for seed in range(40):
        backend.reset(seed)
        rest = backend.truth(0).q
        backend.command(TEACH2.home + 0.3)
        for k in range(20):
            backend.advance()
            if np.abs(backend.truth(0).q - rest).max() > 1e-6:
                begun.add(k)
                break
    assert min(begun) >= 4
    assert max(begun) <= 12
    assert len(begun) > 4


def test_a_lost_command_leaves_the_last_set_point() -> None:
    assert np.ptp(play(arm(World(command_drop=1.0)), 0.5, step_of(0.3))["q"], axis=0).max() < 1e-9
    free, lossy = play(arm(), 2.0, sine), play(arm(World(command_drop=0.5)), 2.0, sine)
    assert 1e-4 < np.abs(free["q"] - lossy["q"]).max() < 0.05


def test_a_repeated_command_sets_the_arm_back_for_a_moment() -> None:
    ramp = lambda t: TEACH2.home + 0.5 * t  # noqa: E731
    once = play(arm(rate_hz=100.0), 1.0, ramp)
    twice = play(arm(World(command_duplicate=1.0), rate_hz=100.0), 1.0, ramp)
    assert (twice["q"][-1] < once["q"][-1] - 1e-3).all()


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_reading_is_exactly_so_many_physics_steps_old(steps: int) -> None:
    backend = arm(World(state_delay=steps * 0.0025))
    rows = play(backend, 1.0, sine)
    assert (rows["read"][steps:] == rows["q"][:-steps]).all()
    assert (rows["read_dq"][steps:] == rows["dq"][:-steps]).all()


def test_readings_that_jitter_never_go_back_in_time() -> None:
    rows = play(arm(World(state_delay=0.005, state_jitter=0.02)), 1.0, step_of(0.3))
    place = [int(np.argmin(np.abs(rows["q"][:, 0] - q))) for q in rows["read"][20:100, 0]]
    age = np.arange(20, 100) - place
    assert (np.diff(place) >= 0).all()
    assert 2 <= age.min() < age.max() <= 10


def test_lost_states_keep_their_share_and_are_never_silent_for_long() -> None:
    backend = arm(World(state_drop=0.3, state_duplicate=0.2), rate_hz=100.0)
    copies = []
    for _ in range(2000):
        backend.advance()
        copies.append(backend.copies)
    assert copies.count(0) / 2000 == pytest.approx(0.3, abs=0.04)
    assert copies.count(2) / 2000 == pytest.approx(0.7 * 0.2, abs=0.03)
    backend.set_world(World(state_drop=1.0))
    copies = []
    for _ in range(100):
        backend.advance()
        copies.append(backend.copies)
    assert sum(copies) == 100 // 21  # at most 0.2 s, that is 20 in a row


def test_noise_has_its_deviation_and_leaves_the_arm_alone() -> None:
    rows = play(arm(World(position_noise=(0.01, 0.02), velocity_noise=0.1)), 5.0)
    assert np.std(rows["read"] - rows["q"], axis=0) == pytest.approx([0.01, 0.02], rel=0.1)
    assert np.std(rows["read_dq"] - rows["dq"], axis=0) == pytest.approx([0.1, 0.1], rel=0.1)
    assert np.ptp(rows["q"], axis=0).max() < 1e-9


def test_bias_shifts_the_reading_and_not_the_arm() -> None:
    rows = play(arm(World(position_bias=(0.02, -0.01))), 0.5, sine)
    assert rows["read"] - rows["q"] == pytest.approx(np.tile([0.02, -0.01], (200, 1)))
    assert (rows["q"] == play(arm(), 0.5, sine)["q"]).all()


def test_quantised_readings_are_the_nearest_multiples() -> None:
    quantum = 2 * np.pi / 4096
    rows = play(arm(World(position_quantum=quantum, velocity_quantum=0.1)), 1.0, sine)
    for values, truth, step in (
        (rows["read"], rows["q"], quantum),
        (rows["read_dq"], rows["dq"], 0.1),
    ):
        assert values / step == pytest.approx(np.round(values / step), abs=1e-9)
        assert np.abs(values - truth).max() <= step / 2 + 1e-12
        assert len(np.unique(values[:, 0])) > 5


def test_an_encoder_jumps_once_at_its_time() -> None:
    rows = play(arm(World(encoder_jump=0.1, encoder_jump_at=0.25)), 0.5)
    shift = (rows["read"] - rows["q"])[:, 0]
    assert shift[:99] == pytest.approx(0.0)
    assert shift[99:] == pytest.approx(0.1)


def test_nan_comes_when_asked_for_and_ends() -> None:
    backend = arm(World(nan_states=3, nan_at=0.1), rate_hz=100.0)
    rows = play(backend, 0.3)
    assert np.flatnonzero(np.isnan(rows["read"][:, 0])).tolist() == [9, 10, 11]
    assert np.isfinite(rows["q"]).all()
    backend.set_world(backend.world, burst=True)
    assert np.isnan(play(backend, 0.2)["read"][:, 0]).sum() == 3


def test_viscous_friction_takes_speed() -> None:
    speeds = [
        play(arm(World(friction_viscous=b)), 0.3, step_of(0.3))["dq"].max(axis=0)
        for b in (0.0, 1.0, 5.0)
    ]
    assert (np.diff(speeds, axis=0) < 0.0).all()
    # 3 % of the effort at full speed, in either unit
    coefficient = 0.03 * TEACH2.joints[0].effort / TEACH2.joints[0].velocity
    share = play(arm(World(friction_viscous_share=(0.03, 0.0))), 0.3, step_of(0.3))
    same = play(arm(World(friction_viscous=(coefficient, 0.0))), 0.3, step_of(0.3))
    assert share["q"] == pytest.approx(same["q"], abs=1e-12)


def test_coulomb_friction_holds_what_is_pushed_less_and_lets_go_beyond() -> None:
    """Servo 80 Nm/rad against 0.6 Nm: no motion below 7.5 mrad, a rest within it above."""
    world = World(friction_coulomb_share=0.1)
    held = play(arm(world), 1.0, step_of(0.006))["q"][-1, 0] - TEACH2.home[0]
    assert abs(held) < 0.1 * 0.006
    moved = play(arm(world), 3.0, step_of(0.1))["q"][-1, 0] - TEACH2.home[0]
    assert 0.001 < 0.1 - moved < 0.0075


def test_heavier_rotors_accelerate_less_under_the_same_torque() -> None:
    """Torque is at its limit, so that acceleration goes with one over inertia."""
    quick, slow = (
        play(arm(World(armature_scale=s)), 0.01, step_of(0.3))["dq"][-1] for s in (1.0, 3.0)
    )
    assert (slow < quick).all()
    assert (
        arm(World(armature_scale=3.0)).model.dof_armature == 3 * arm().model.dof_armature
    ).all()


def test_a_payload_sags_by_its_weight_over_the_stiffness() -> None:
    mass = 0.3
    backend = arm(World(payload_mass=mass))
    play(backend, 4.0)
    lever = backend.data.site("tool0").xpos[0] - backend.data.xanchor[:, 0]  # teach2 moves in x-z
    sag = TEACH2.home - backend.truth(0).q
    stiffness = np.array([j.stiffness for j in TEACH2.joints])
    assert sag == pytest.approx(mass * GRAVITY * lever / stiffness, rel=1e-3)
    assert sag[0] > 0.0


def test_a_payload_has_inertia_of_its_own() -> None:
    world = World(payload_mass=0.5, payload_offset=(0.0, 0.0, 0.1))
    loaded, bare = arm(world), arm()
    assert (loaded.model.dof_M0 > bare.model.dof_M0).all()
    data = mujoco.MjData(loaded.model)
    data.qpos[:] = loaded.data.qpos
    mujoco.mj_forward(loaded.model, data)
    site = data.site("tool0")
    expected = site.xpos + site.xmat.reshape(3, 3) @ [0.0, 0.0, 0.1]
    assert data.body(PAYLOAD).xipos == pytest.approx(expected)


def test_a_share_of_payload_is_a_share_of_the_moving_mass() -> None:
    backend = arm(World(payload_share=0.1), robot=UR10)
    moving = sum((7.1, 12.7, 4.27, 2.0, 2.0, 0.365))
    assert backend.model.body(PAYLOAD).mass[0] == pytest.approx(0.1 * moving)


def test_a_weak_gain_lags_more_under_the_same_load() -> None:
    def sag(scale: float) -> Array:
        world = World(payload_mass=0.2, stiffness_scale=scale)
        return TEACH2.home - play(arm(world), 4.0)["q"][-1]

    assert sag(0.5) == pytest.approx(2.0 * sag(1.0), rel=0.05)


def test_less_damping_overshoots_more() -> None:
    peaks = [
        play(arm(World(damping_scale=s)), 1.0, step_of(0.05))["q"].max(axis=0)
        for s in (1.0, 0.5, 0.2)
    ]
    assert (np.diff(peaks, axis=0)[:, 0] > 0.0).all()


def test_torque_saturates_at_its_scale() -> None:
    effort = np.array([j.effort for j in TEACH2.joints])
    full, weak = (play(arm(World(torque_scale=s)), 0.5, step_of(0.4)) for s in (1.0, 0.25))
    assert np.abs(weak["torque"]).max(axis=0) == pytest.approx(0.25 * effort)
    assert (weak["dq"].max(axis=0) < full["dq"].max(axis=0)).all()


def test_a_tilted_base_falls_to_its_lower_side() -> None:
    """Turned about x by a, the base sees a weight m g sin(a) along -y: the tool goes there."""
    moved = {}
    for x in (0.0, 0.05, 0.1):
        backend = arm(World(gravity_tilt_x=x), robot=UR10)
        play(backend, 2.0)
        moved[x] = float(backend.data.site("tool0").xpos[1])
    assert moved[0.05] - moved[0.0] < -5e-5
    assert moved[0.1] - moved[0.0] == pytest.approx(2.0 * (moved[0.05] - moved[0.0]), rel=0.02)
    lower, upper = (play(arm(World(gravity_tilt_y=y)), 2.0)["q"][-1, 0] for y in (0.1, -0.1))
    assert lower != pytest.approx(upper, abs=1e-3)  # teach2 moves in x-z: y turns its plane


def test_backlash_loses_motion_on_reversal_and_the_encoder_does_not_see_it() -> None:
    width, slope = 0.02, 0.05  # [rad], [rad/s]
    world = World(backlash=width, friction_coulomb_share=0.02)
    rows = play(arm(world), 4.0, lambda t: TEACH2.home + 0.1 * (1 - abs(1 - t / 2)))
    q, read = rows["q"][:, 0], rows["read"][:, 0]
    command = TEACH2.home[0] + 0.1 * (1 - np.abs(1 - 0.0025 * np.arange(1600) / 2))
    joint = TEACH2.joints[0]
    lag = (0.02 * joint.effort + joint.damping * slope) / joint.stiffness
    up, down = 400, 1200  # both at 50 mrad
    assert command[up] == pytest.approx(command[down])
    assert q[down] - q[up] == pytest.approx(width + 2 * lag, rel=0.02)
    assert read[down] - read[up] == pytest.approx(2 * lag, rel=0.05)
    still = np.abs(np.diff(q[800:])) < 1e-6  # stands while the motor crosses the gap
    assert still[: int(0.3 / 0.0025)].sum() * 0.0025 * slope > 0.6 * width
    free = play(arm(World(friction_coulomb_share=0.02)), 0.1)
    assert (free["read"] == free["q"]).all()


def changed(world: World, **fields: object) -> World:
    return World.model_validate({**world.model_dump(), **fields})


RUNNING = {
    "command_delay": 0.05,
    "command_jitter": 0.05,
    "command_drop": 0.5,
    "command_duplicate": 0.5,
    "state_delay": 0.05,
    "state_jitter": 0.05,
    "position_noise": 0.01,
    "velocity_noise": 0.01,
    "position_bias": 0.01,
    "position_quantum": 0.01,
    "velocity_quantum": 0.1,
    "encoder_jump": 0.1,
    "nan_states": 2,
    "friction_viscous": 1.0,
    "friction_viscous_share": 0.1,
    "friction_coulomb": 0.1,
    "friction_coulomb_share": 0.05,
    "armature_scale": 2.0,
    "stiffness_scale": 0.5,
    "damping_scale": 0.5,
    "torque_scale": 0.05,
    "backlash": 0.02,
    "payload_mass": 0.3,
    "payload_share": 0.1,
    "gravity_tilt_x": 0.1,
    "gravity_tilt_y": 0.1,
}


@pytest.mark.parametrize("name", RUNNING)
def test_every_disturbance_acts_from_the_moment_it_is_switched_on(name: str) -> None:
    robot = UR10 if name == "gravity_tilt_x" else TEACH2
    command = lambda t: robot.home + 0.2 * np.sin(4.0 * t)  # noqa: E731
    nominal, other = arm(robot=robot, rate_hz=100.0), arm(robot=robot, rate_hz=100.0)
    before = [play(b, 0.5, command) for b in (nominal, other)]
    assert all((before[0][k] == before[1][k]).all() for k in before[0])
    other.set_world(World.model_validate({name: RUNNING[name]}), burst=True)
    after = [play(b, 0.5, command) for b in (nominal, other)]
    assert any(not np.array_equal(after[0][k], after[1][k]) for k in after[0])


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_same_seed_repeats_every_bit_with_all_of_it_on(seed: int) -> None:
    backend = arm(EVERYTHING, rate_hz=100.0)
    runs = []
    for _ in range(2):
        backend.reset(seed)
        runs.append(play(backend, 1.0, sine))
    assert all(np.array_equal(runs[0][k], runs[1][k], equal_nan=True) for k in runs[0])


def test_switching_one_disturbance_on_leaves_the_chances_of_the_others() -> None:
    noisy = World(position_noise=0.01)
    one = play(arm(noisy), 0.5, sine)
    two = play(arm(changed(noisy, command_drop=0.5, state_drop=0.5)), 0.5, sine)
    assert (two["read"] - two["q"]) == pytest.approx(one["read"] - one["q"], abs=1e-12)


def test_going_back_to_nominal_leaves_nothing_behind() -> None:
    backend, untouched = arm(), arm()
    backend.set_world(EVERYTHING)
    play(backend, 0.5, sine)
    backend.set_world(World())
    backend.reset(0)
    assert (play(backend, 1.0, sine)["q"] == play(untouched, 1.0, sine)["q"]).all()


@pytest.mark.parametrize("robot", ["teach2", "ur5e", "ur10"])
def test_every_world_of_the_repository_runs_on_every_arm(robot: str) -> None:
    from ros2_sim2real import paths

    spec = load_robot(robot)
    backend = arm(robot=spec, rate_hz=50.0)
    for name in paths.known("config/worlds", "*.yaml"):
        backend.set_world(load_world(name, spec.nq), burst=True)
        backend.reset(1)
        rows = play(backend, 1.0, lambda t: spec.home + 0.1 * np.sin(3.0 * t))
        assert np.abs(rows["q"] - spec.home).max() < 0.6, name
