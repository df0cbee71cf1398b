"""Policies without a network: they start where the arm is, stay in range, and start over."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import refusal
from hypothesis import given
from hypothesis import strategies as st

from ros2_sim2real.errors import JointMismatch, PolicyFileError
from ros2_sim2real.policy.load import load_policy
from ros2_sim2real.policy.scripted import HoldPolicy, ReplayPolicy, SinePolicy
from ros2_sim2real.robot import load_robot
from ros2_sim2real.signals import Level, RobotState

ROBOT = load_robot("teach2")
HOME = ROBOT.home
MS = 1_000_000


def state(stamp_ms: int, q: Any = HOME) -> RobotState:
    return RobotState(stamp_ms * MS, np.array(q, dtype=np.float64), np.zeros(2))


def test_hold_keeps_the_first_position_whatever_comes_after() -> None:
    policy = HoldPolicy()
    first = policy.step(state(0, [0.5, -0.5]), None)
    later = policy.step(state(10, [0.7, -0.7]), None)
    assert first is not None
    assert later is not None
    assert first.q.tolist() == later.q.tolist() == [0.5, -0.5]
    assert (first.stamp_ns, later.stamp_ns) == (0, 10 * MS)


def test_hold_starts_over_after_a_reset() -> None:
    policy = HoldPolicy()
    policy.step(state(0, [0.5, -0.5]), None)
    policy.reset()
    target = policy.step(state(10, [0.7, -0.7]), None)
    assert target is not None
    assert target.q.tolist() == [0.7, -0.7]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("make", [HoldPolicy, lambda: SinePolicy(ROBOT)])
def test_a_state_that_is_not_finite_is_not_answered(make: Any, bad: float) -> None:
    policy = make()
    assert policy.step(state(0, [bad, 0.0]), None) is None
    after = policy.step(state(10), None)
    assert after is not None
    assert np.isfinite(after.q).all()


def test_a_target_cannot_be_edited() -> None:
    for policy in (HoldPolicy(), SinePolicy(ROBOT)):
        target = policy.step(state(0), None)
        assert target is not None
        with pytest.raises(ValueError, match="read-only"):
            target.q[0] = 9.0


def sine(seconds: float, start_ms: int = 0, q: Any = HOME) -> np.ndarray:
    policy = SinePolicy(ROBOT)
    targets = [
        policy.step(state(start_ms + t, q), None) for t in range(0, int(seconds * 1000), 10)
    ]
    return np.array([t.q for t in targets if t is not None])


def test_sine_starts_at_the_arm_without_speed() -> None:
    q = sine(0.1)
    np.testing.assert_array_equal(q[0], HOME)
    assert np.abs(np.diff(q, axis=0))[0].max() < 1e-4


def test_sine_swings_every_joint_at_a_frequency_of_its_own() -> None:
    q = sine(40.0) - HOME
    assert (np.ptp(q, axis=0) > 0.19).all()
    spectrum = np.abs(np.fft.rfft(q - q.mean(axis=0), axis=0))
    peaks = np.argmax(spectrum, axis=0) / 40.0
    np.testing.assert_allclose(peaks, [0.25, 0.275], atol=0.026)


def test_sine_depends_on_time_since_its_start_only() -> None:
    np.testing.assert_allclose(sine(2.0), sine(2.0, start_ms=1_800_000_000_000), atol=1e-12)


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_sine_never_leaves_the_soft_range(a: float, b: float) -> None:
    q = sine(4.0, q=[a, b])
    assert (q >= ROBOT.limits.lower).all()
    assert (q <= ROBOT.limits.upper).all()


def test_sine_starts_over_after_a_reset() -> None:
    policy = SinePolicy(ROBOT)
    for t in range(0, 1000, 10):
        policy.step(state(t), None)
    policy.reset()
    target = policy.step(state(2000, [0.3, 0.3]), None)
    assert target is not None
    assert target.q.tolist() == [0.3, 0.3]


def test_statuses_are_in_words() -> None:
    for policy in (HoldPolicy(), SinePolicy(ROBOT)):
        assert policy.status().level is Level.OK
        assert policy.status().message


# --- replay -------------------------------------------------------------------------------------

T = np.array([0.0, 0.1, 0.2])
Q = np.array([[1.0, -1.0], [1.1, -1.1], [1.2, -1.2]])


def recording(folder: Path, **changes: Any) -> Path:
    path = folder / "run.npz"
    data = {"t": T, "q": Q, "joints": np.array(ROBOT.joint_names), **changes}
    np.savez(path, **{name: value for name, value in data.items() if value is not None})
    return path


def test_replay_plays_the_row_in_force_and_keeps_the_last(tmp_path: Path) -> None:
    policy = ReplayPolicy(recording(tmp_path), ROBOT)
    played = [policy.step(state(1000 + t), None) for t in (0, 99, 100, 150, 200, 5000)]
    assert [p.q.tolist() for p in played if p] == [Q[i].tolist() for i in (0, 0, 1, 1, 2, 2)]


def test_replay_matches_joints_by_name(tmp_path: Path) -> None:
    names = np.array(ROBOT.joint_names)[::-1]
    policy = ReplayPolicy(recording(tmp_path, q=Q[:, ::-1], joints=names), ROBOT)
    target = policy.step(state(0), None)
    assert target is not None
    assert target.q.tolist() == Q[0].tolist()


def test_replay_starts_over_after_a_reset(tmp_path: Path) -> None:
    policy = ReplayPolicy(recording(tmp_path), ROBOT)
    policy.step(state(0), None)
    policy.reset()
    target = policy.step(state(5000), None)
    assert target is not None
    assert target.q.tolist() == Q[0].tolist()


def test_replay_counts_from_the_first_row_whatever_its_time(tmp_path: Path) -> None:
    policy = ReplayPolicy(recording(tmp_path, t=T + 1e6), ROBOT)
    policy.step(state(0), None)
    target = policy.step(state(100), None)
    assert target is not None
    assert target.q.tolist() == Q[1].tolist()


def test_replay_plays_what_sine_would_do(tmp_path: Path) -> None:
    q = sine(1.0)
    path = recording(tmp_path, t=np.arange(len(q)) * 0.01, q=q)
    policy = ReplayPolicy(path, ROBOT)
    for t, row in enumerate(q):
        target = policy.step(state(t * 10), None)
        assert target is not None
        np.testing.assert_array_equal(target.q, row)


@pytest.mark.parametrize(
    "changes",
    [
        {"t": None},
        {"q": None},
        {"joints": None},
        {"t": T[:2]},
        {"t": T[::-1]},
        {"t": np.zeros(3)},
        {"t": np.array([0.0, np.nan, 1.0])},
        {"t": np.array([0.0, 1.0, np.inf])},
        {"t": np.array([np.nan]), "q": Q[:1]},
        {"t": np.array([]), "q": Q[:0]},
        {"t": np.array("x")},
        {"q": Q[:, :1]},
        {"q": Q.ravel()},
        {"q": np.where(Q == 1.1, np.nan, Q)},
        {"q": np.array([["a", "b"]] * 3)},
        {"joints": np.array("shoulder_joint")},
        {"joints": np.array(3)},
        {"t": np.array([object()] * 3)},
    ],
)
def test_a_recording_that_is_none_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    path = recording(tmp_path, **changes)
    message = refusal(lambda: ReplayPolicy(path, ROBOT), PolicyFileError)
    assert message is not None
    assert str(path) in message


def test_a_recording_of_another_arm_names_the_joints(tmp_path: Path) -> None:
    path = recording(tmp_path, joints=np.array(["a", "b"]))
    message = refusal(lambda: ReplayPolicy(path, ROBOT), JointMismatch)
    assert message is not None
    assert "shoulder_joint" in message


def test_a_recording_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = recording(tmp_path).read_bytes()
    path = tmp_path / "cut.npz"
    for part in range(64):
        path.write_bytes(content[: len(content) * part // 64])
        assert refusal(lambda: ReplayPolicy(path, ROBOT), PolicyFileError) is not None


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_recording_is_refused_or_plays(compressed: bool, tmp_path: Path) -> None:
    path = recording(tmp_path)
    if compressed:
        np.savez_compressed(path, t=T, q=Q, joints=np.array(ROBOT.joint_names))
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), int(rng.integers(1, 5))):
            damaged[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(damaged)
        refusal(lambda: ReplayPolicy(path, ROBOT), PolicyFileError, JointMismatch)


class Canary:
    """Unpickling this leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def test_a_pickle_is_refused_and_its_code_does_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "run.npz"
    path.write_bytes(pickle.dumps(Canary(canary)))
    assert refusal(lambda: ReplayPolicy(path, ROBOT), PolicyFileError) is not None
    np.save(tmp_path / "run.npy", np.array([Canary(canary)], dtype=object), allow_pickle=True)
    (tmp_path / "run.npy").replace(path)
    assert refusal(lambda: ReplayPolicy(path, ROBOT), PolicyFileError) is not None
    assert not canary.exists()


@pytest.mark.parametrize("kind", ["missing", "folder", "array", "text", "empty"])
def test_another_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    if kind == "folder":
        path.mkdir()
    elif kind == "array":
        with path.open("wb") as file:
            np.save(file, Q)
    elif kind in ("text", "empty"):
        path.write_text("t,q\n0,1\n" if kind == "text" else "")
    message = refusal(lambda: load_policy(f"replay:{path}", ROBOT), PolicyFileError)
    assert message is not None


def test_targets_of_a_replay_come_in_the_order_of_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.uniform(0.001, 0.05, 200))
    q = np.stack([t, -t], axis=1)
    policy = ReplayPolicy(recording(tmp_path, t=t, q=q), ROBOT)
    played = [policy.step(state(ms), None) for ms in range(0, 6000, 7)]
    values = [p.q[0] for p in played if p is not None]
    assert all(a <= b for a, b in pairwise(values))
    assert values[-1] == t[-1]
