"""The simulated arm: repeatable to the bit, torque-limited, and honest when it breaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ros2_sim2real.backends.loopback import LoopbackBackend
from ros2_sim2real.backends.mujoco_arm import MAX_TIMESTEP, MujocoBackend
from ros2_sim2real.backends.record import Record, read_run, write_run
from ros2_sim2real.contract import Gains
from ros2_sim2real.errors import BackendFault, ConfigError
from ros2_sim2real.robot import RobotSpec, load_robot
from ros2_sim2real.signals import Array, Command

RATE = 100.0
ROBOTS = ("teach2", "ur5e", "ur10")


def backend(name: str = "teach2", rate_hz: float = RATE) -> tuple[RobotSpec, MujocoBackend]:
    spec = load_robot(name)
    return spec, MujocoBackend(spec, None, rate_hz=rate_hz)


def wander(spec: RobotSpec, seed: int, count: int = 200) -> Array:
    steps = np.random.default_rng(seed).normal(scale=0.03, size=(count, spec.nq))
    return np.clip(spec.home + np.cumsum(steps, axis=0), spec.limits.lower, spec.limits.upper)


def drive(arm: MujocoBackend, commands: Array) -> bytes:
    out = []
    for i, q in enumerate(commands):
        arm.command(q)
        arm.advance()
        state = arm.state(i)
        out += [state.q.tobytes(), state.dq.tobytes()]
    return b"".join(out)


@pytest.mark.parametrize("name", ROBOTS)
def test_the_same_commands_give_the_same_states_to_the_bit(name: str) -> None:
    spec, one = backend(name)
    _, other = backend(name)
    commands = wander(spec, 0)
    assert drive(one, commands) == drive(other, commands)


@pytest.mark.parametrize("name", ROBOTS)
def test_after_a_reset_everything_is_as_at_the_start(name: str) -> None:
    spec, arm = backend(name)
    commands = wander(spec, 1)
    first = drive(arm, commands)
    arm.reset(0)
    assert arm.state(0).q.tolist() == spec.home.tolist()
    assert not arm.state(0).dq.any()
    assert drive(arm, commands) == first


@pytest.mark.parametrize("rate_hz", [25.0, 60.0, 100.0, 125.0, 500.0, 1000.0])
def test_a_control_period_takes_exactly_its_time(rate_hz: float) -> None:
    _, arm = backend(rate_hz=rate_hz)
    assert arm.model.opt.timestep <= MAX_TIMESTEP
    for i in range(1, 51):
        arm.advance()
        assert arm.data.time == pytest.approx(i / rate_hz, rel=1e-9)


@pytest.mark.parametrize("name", ROBOTS)
def test_at_home_the_arm_stays_where_it_is(name: str) -> None:
    spec, arm = backend(name)
    for _ in range(200):
        arm.advance()
    np.testing.assert_allclose(arm.state(0).q, spec.home, atol=2e-3)


@pytest.mark.parametrize("name", ROBOTS)
def test_no_servo_is_stronger_than_its_limit(name: str) -> None:
    spec, arm = backend(name)
    limits = np.array([j.effort for j in spec.joints])
    most = np.zeros(spec.nq)
    rng = np.random.default_rng(2)
    for _ in range(200):
        arm.command(rng.uniform(spec.limits.lower, spec.limits.upper))
        arm.advance()
        torque = np.abs(arm.data.actuator_force)
        assert (torque <= limits * (1 + 1e-12)).all()
        most = np.maximum(most, torque / limits)
    assert most.max() == pytest.approx(1.0)  # the limit was met, so it was tested


def test_the_policys_gains_and_effort_limits_are_those_of_the_servo() -> None:
    spec = load_robot("teach2")
    gains = Gains(stiffness=(10.0, 5.0), damping=(0.5, 0.25), effort_limit=(0.8, 0.4))
    arm = MujocoBackend(spec, gains, rate_hz=RATE)
    arm.command(spec.limits.upper)
    arm.advance()
    assert np.abs(arm.data.actuator_force).tolist() == [0.8, 0.4]
    free = MujocoBackend(spec, gains.model_copy(update={"effort_limit": None}), rate_hz=RATE)
    free.command(spec.home + 1e-3)
    np.testing.assert_allclose(free.model.actuator_gainprm[:, 0], [10.0, 5.0])
    np.testing.assert_allclose(free.model.actuator_biasprm[:, 2], [-0.5, -0.25])
    np.testing.assert_allclose(free.model.actuator_forcerange[:, 1], [6.0, 3.0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_command_that_means_nothing_is_a_fault_not_zero_torque(value: float) -> None:
    _, arm = backend()
    arm.command(np.array([value, 0.0]))
    with pytest.raises(BackendFault, match="became unstable"):
        arm.advance()


@pytest.mark.parametrize("field", ["qvel", "qpos"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12])
def test_instability_is_a_fault_and_nothing_is_reset_behind_anybodys_back(
    field: str, value: float
) -> None:
    _, arm = backend()
    for _ in range(50):
        arm.advance()
    before = arm.data.time
    getattr(arm.data, field)[0] = value
    with pytest.raises(BackendFault, match=r"teach2.* became unstable at 0\.\d+ s"):
        arm.advance()
    assert arm.data.time >= before  # MuJoCo's own recovery would have gone back to 0


def test_a_fault_lasts_until_the_reset() -> None:
    spec, arm = backend()
    arm.data.qvel[0] = np.nan
    for _ in range(3):
        with pytest.raises(BackendFault):
            arm.advance()
    arm.reset(0)
    arm.advance()
    np.testing.assert_allclose(arm.state(0).q, spec.home, atol=1e-2)
    commands = wander(spec, 3)
    _, fresh = backend()
    fresh.advance()
    assert drive(arm, commands) == drive(fresh, commands)


def test_a_state_is_not_changed_by_what_happens_after_it() -> None:
    spec, arm = backend()
    state = arm.state(7)
    kept = state.q.copy()
    arm.command(spec.limits.upper)
    for _ in range(20):
        arm.advance()
    np.testing.assert_array_equal(state.q, kept)
    assert state.stamp_ns == 7
    with pytest.raises(ValueError, match="read-only"):
        state.q[0] = 9.0


def test_loopback_measures_what_was_commanded_one_period_ago() -> None:
    spec = load_robot("teach2")
    arm = LoopbackBackend(spec, rate_hz=RATE)
    target = spec.home + 0.01
    arm.command(target)
    assert arm.state(0).q.tolist() == spec.home.tolist()
    arm.advance()
    assert arm.state(1).q.tolist() == target.tolist()
    np.testing.assert_allclose(arm.state(1).dq, 0.01 * RATE)
    arm.advance()
    assert not arm.state(2).dq.any()
    arm.reset(0)
    assert arm.state(3).q.tolist() == spec.home.tolist()


def test_loopback_keeps_its_own_copy_of_the_command() -> None:
    spec = load_robot("teach2")
    arm = LoopbackBackend(spec, rate_hz=RATE)
    target = spec.home + 0.01
    arm.command(target)
    target[:] = 99.0
    arm.advance()
    assert arm.state(0).q.tolist() == (spec.home + 0.01).tolist()


# --- records ------------------------------------------------------------------------------------


def recorded() -> Record:
    spec, arm = backend()
    record = Record(spec.joint_names, RATE)
    for i in range(10):
        record.state(arm.state(i), wall=i * 0.01)
        record.command(Command(i, spec.home), None if i % 2 else 1000 * i)
        arm.advance()
    return record


def test_a_record_reads_back_as_it_was(tmp_path: Path) -> None:
    run = recorded().run()
    write_run(run, str(tmp_path / "run.npz"))
    back = read_run(tmp_path / "run.npz")
    for name in ("stamp_ns", "q", "dq", "command_stamp_ns", "command", "latency", "wall"):
        np.testing.assert_array_equal(getattr(back, name), getattr(run, name))
    assert back.joints == run.joints
    assert back.rate_hz == RATE
    assert back.latency[2] == pytest.approx(2e-6)
    assert np.isnan(back.latency[1])


def test_a_record_of_nothing_reads_back(tmp_path: Path) -> None:
    write_run(Record(("a", "b"), RATE).run(), str(tmp_path / "run.npz"))
    back = read_run(tmp_path / "run.npz")
    assert back.q.shape == back.command.shape == (0, 2)


@pytest.mark.parametrize("path", ["none/run.npz", "folder"])
def test_a_record_that_cannot_be_written_says_so_and_leaves_nothing(
    path: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot write"):
        write_run(recorded().run(), str(tmp_path / path))
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
