"""Every term of the observation against a computation that shares nothing with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest
from builders import GOAL, contract, term
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.dynamics.mjcf import build_model
from ros2_sim2real.policy.observation import TOOL_SOURCES, ObservationBuilder
from ros2_sim2real.robot import load_robot
from ros2_sim2real.rotations import from_euler, quaternion_multiply, rotation_vector
from ros2_sim2real.signals import Array, Goal, RobotState

UR5E = load_robot("ur5e")
MODEL = build_model(UR5E, timestep=0.002)
FRAME = {"position": [0.3, -0.2, 0.1], "quaternion": [0.0, 0.0, 0.0, 1.0]}
TOOL = {"position": [0.01, 0.02, 0.15], "quaternion": [0.5**0.5, 0.5**0.5, 0.0, 0.0]}


def ur5e_contract(*terms: dict[str, Any], **changes: Any) -> PolicyContract:
    return contract(
        robot="ur5e",
        joints=list(UR5E.joint_names),
        observation=list(terms),
        default_pose=UR5E.home.tolist(),
        gains={"stiffness": [1.0] * 6, "damping": [1.0] * 6},
        goal=GOAL | {"kind": "pose"} | changes.pop("goal", {}),
        frame=FRAME,
        tool=TOOL,
        **changes,
    )


def matrix(quaternion: Any) -> Array:
    w, x, y, z = np.asarray(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def pose(frame: dict[str, Any]) -> Array:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = matrix(frame["quaternion"]), frame["position"]
    return out


def tool_pose(q: Array) -> Array:
    """T_policy_tool from MuJoCo's own site, by 4x4 matrices."""
    data = mujoco.MjData(MODEL)
    data.qpos[:6] = q
    mujoco.mj_forward(MODEL, data)
    T_world_site = np.eye(4)
    T_world_site[:3, :3] = data.site(UR5E.tool_site).xmat.reshape(3, 3)
    T_world_site[:3, 3] = data.site(UR5E.tool_site).xpos
    T_world_base = np.eye(4)
    T_world_base[:3, :3] = data.body(UR5E.base_frame).xmat.reshape(3, 3)
    T_world_base[:3, 3] = data.body(UR5E.base_frame).xpos
    return np.linalg.inv(T_world_base @ pose(FRAME)) @ T_world_site @ pose(TOOL)


def twist(q: Array, dq: Array, step: float = 1e-6) -> tuple[Array, Array]:
    """Linear and angular velocity of the tool by differences."""
    before, after = tool_pose(q - step * dq), tool_pose(q + step * dq)
    turn = (after[:3, :3] - before[:3, :3]) / (2 * step) @ tool_pose(q)[:3, :3].T
    angular = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return (after[:3, 3] - before[:3, 3]) / (2 * step), angular / 2


def log_rotation(R: Array) -> Array:
    """Axis times angle, from trace and antisymmetric part; not for half turns."""
    angle = np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))
    axis = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    return axis * (0.5 if angle < 1e-9 else angle / (2 * np.sin(angle)))


class Case:
    """One random moment; every source as computed here."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.q, self.dq = rng.uniform(-1.5, 1.5, 6), rng.uniform(-1, 1, 6)
        self.previous, self.target = rng.uniform(-1, 1, 6), rng.uniform(-1, 1, 6)
        quaternion = rng.normal(size=4)
        quaternion /= np.linalg.norm(quaternion)
        self.goal = Goal(0, rng.uniform(-0.5, 0.5, 3), quaternion)

    def build(self, promised: PolicyContract) -> Array:
        builder = ObservationBuilder(
            promised, Kinematics(UR5E, frame=promised.frame, tool=promised.tool)
        )
        assert builder.build(
            RobotState(0, self.q, self.dq),
            self.q,
            self.dq,
            previous=self.previous,
            target=self.target,
            goal=self.goal,
        )
        return builder.out[0].astype(np.float64)


EXPECTED: dict[str, Callable[[Case], Array]] = {
    "joint_position": lambda c: c.q,
    "joint_velocity": lambda c: c.dq,
    "previous_action": lambda c: c.previous,
    "target_error": lambda c: c.target - c.q,
    "goal_position": lambda c: c.goal.position,
    "goal_pose": lambda c: np.array([*c.goal.position, *c.goal.quaternion]),
    "goal_position_error": lambda c: c.goal.position - tool_pose(c.q)[:3, 3],
    "goal_rotation_error": lambda c: log_rotation(
        matrix(c.goal.quaternion) @ tool_pose(c.q)[:3, :3].T
    ),
    "tool_position": lambda c: tool_pose(c.q)[:3, 3],
    "tool_linear_velocity": lambda c: twist(c.q, c.dq)[0],
    "tool_angular_velocity": lambda c: twist(c.q, c.dq)[1],
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("source", sorted(EXPECTED))
def test_every_source_is_what_its_name_says(source: str, seed: int) -> None:
    case = Case(seed)
    expected = EXPECTED[source](case)
    got = case.build(ur5e_contract(term(source, len(expected))))
    np.testing.assert_allclose(got, expected, atol=3e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_tools_quaternion_turns_as_the_tool_does(seed: int) -> None:
    case = Case(seed)
    got = case.build(ur5e_contract(term("tool_quaternion", 4)))
    np.testing.assert_allclose(np.linalg.norm(got), 1.0, atol=1e-6)
    np.testing.assert_allclose(matrix(got), tool_pose(case.q)[:3, :3], atol=1e-6)


def test_every_source_that_needs_the_tool_is_known_to_need_it() -> None:
    for source in sorted({*EXPECTED, "tool_quaternion"}):
        width = 4 if source == "tool_quaternion" else len(EXPECTED[source](Case(0)))
        promised = ur5e_contract(term(source, width))
        assert ObservationBuilder(promised, None).needs_tool is (source in TOOL_SOURCES)


@pytest.mark.parametrize("source", ["goal_pose", "tool_quaternion"])
def test_xyzw_moves_w_to_the_end_and_nothing_else(source: str) -> None:
    width = 7 if source == "goal_pose" else 4
    case = Case(3)
    wxyz = case.build(ur5e_contract(term(source, width)))
    xyzw = case.build(ur5e_contract(term(source, width), goal={"quaternion": "xyzw"}))
    start = width - 4
    np.testing.assert_array_equal(xyzw[:start], wxyz[:start])
    np.testing.assert_array_equal(xyzw[start:], wxyz[start:][[1, 2, 3, 0]])


def test_terms_stand_in_the_order_of_the_contract() -> None:
    case = Case(0)
    names = ["previous_action", "goal_pose", "joint_position", "tool_position", "target_error"]
    widths = [6, 7, 6, 3, 6]
    got = case.build(ur5e_contract(*(term(n, w) for n, w in zip(names, widths, strict=True))))
    expected = np.concatenate([EXPECTED[n](case) for n in names])
    np.testing.assert_allclose(got, expected, atol=1e-6)


NUMBER = st.floats(-10, 10)


@settings(max_examples=50, deadline=None)
@given(
    q=st.tuples(NUMBER, NUMBER),
    offset=st.tuples(NUMBER, NUMBER) | NUMBER,
    scale=st.tuples(NUMBER, NUMBER) | NUMBER,
    clip=st.none() | st.tuples(NUMBER, NUMBER).map(sorted),
)
def test_first_the_offset_then_the_clip_then_the_scale(
    q: tuple[float, float], offset: Any, scale: Any, clip: Any
) -> None:
    promised = contract(
        observation=[term("joint_position", 2, offset=offset, scale=scale, clip=clip)]
    )
    builder = ObservationBuilder(promised, None)
    x = np.array(q)
    builder.build(RobotState(0, x, x), x, x, previous=x, target=x, goal=None)
    expected = []
    for i in range(2):
        value = q[i] - (offset if isinstance(offset, float) else offset[i])
        if clip is not None:
            value = min(max(value, clip[0]), clip[1])
        expected.append(value * (scale if isinstance(scale, float) else scale[i]))
    np.testing.assert_array_equal(builder.out[0], np.array(expected, dtype=np.float32))
    np.testing.assert_array_equal(x, q)  # the measured state is not written to


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "where", ["joint_position", "joint_velocity", "previous_action", "goal_position"]
)
def test_a_number_that_is_not_finite_is_told(where: str, bad: float) -> None:
    case = Case(0)
    spoilt = {
        "joint_position": case.q,
        "joint_velocity": case.dq,
        "previous_action": case.previous,
        "goal_position": case.goal.position,
    }[where]
    spoilt[1] = bad
    promised = ur5e_contract(term(where, len(spoilt)))
    builder = ObservationBuilder(promised, None)
    assert not builder.build(
        RobotState(0, case.q, case.dq),
        case.q,
        case.dq,
        previous=case.previous,
        target=case.target,
        goal=case.goal,
    )


def test_a_number_too_large_for_the_network_is_told() -> None:
    promised = contract(observation=[term("joint_position", 2)])
    builder = ObservationBuilder(promised, None)
    x = np.array([0.0, 1e300])
    assert not builder.build(RobotState(0, x, x), x, x, previous=x, target=x, goal=None)


def test_one_nan_is_forgotten_by_the_next_observation() -> None:
    promised = ur5e_contract(term("tool_position", 3), term("tool_linear_velocity", 3))
    builder = ObservationBuilder(promised, Kinematics(UR5E, frame=promised.frame))
    case = Case(0)

    def build(q: Array) -> bool:
        state = RobotState(0, q, case.dq)
        return builder.build(
            state, q, case.dq, previous=case.previous, target=case.target, goal=case.goal
        )

    assert build(case.q)
    before = builder.out.copy()
    assert not build(np.full(6, np.nan))
    assert build(case.q)
    np.testing.assert_array_equal(builder.out, before)


def test_without_a_goal_terms_that_read_it_are_not_finite() -> None:
    promised = ur5e_contract(term("goal_position", 3))
    builder = ObservationBuilder(promised, None)
    x = np.zeros(6)
    assert not builder.build(RobotState(0, x, x), x, x, previous=x, target=x, goal=None)


def test_the_row_is_written_in_place() -> None:
    builder = ObservationBuilder(contract(), None)
    row = builder.out
    x = np.array([1.0, 2.0])
    builder.build(RobotState(0, x, x), x, x, previous=x, target=x, goal=None)
    assert builder.out is row
    assert row.dtype == np.float32
    assert row.flags.c_contiguous
    assert row.tolist() == [[1.0, 2.0, 1.0, 2.0]]


# --- rotations ----------------------------------------------------------------------------------

UNIT = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda v: np.linalg.norm(v) > 0.1)


def unit(values: Any) -> Array:
    return np.array(values) / np.linalg.norm(values)


@given(a=UNIT, b=UNIT)
def test_the_product_of_quaternions_is_that_of_their_matrices(a: Any, b: Any) -> None:
    product = quaternion_multiply(unit(a), unit(b))
    np.testing.assert_allclose(matrix(product), matrix(a) @ matrix(b), atol=1e-12)


@given(UNIT)
def test_the_rotation_vector_leads_back_to_the_rotation(values: Any) -> None:
    vector = rotation_vector(unit(values))
    angle = float(np.linalg.norm(vector))
    assert angle <= np.pi + 1e-12
    half = np.sinc(angle / 2 / np.pi) / 2 * vector
    back = np.array([np.cos(angle / 2), *half])
    np.testing.assert_allclose(matrix(back), matrix(values), atol=1e-9)


@given(st.floats(-1e-7, 1e-7))
def test_tiny_rotations_keep_their_size(angle: float) -> None:
    quaternion = np.array([np.cos(angle / 2), np.sin(angle / 2), 0.0, 0.0])
    np.testing.assert_allclose(rotation_vector(quaternion), [angle, 0, 0], atol=1e-20, rtol=1e-9)
    np.testing.assert_allclose(rotation_vector(-quaternion), [angle, 0, 0], atol=1e-20, rtol=1e-9)


ANGLE = st.floats(-np.pi, np.pi)


@given(ANGLE, ANGLE, ANGLE)
def test_euler_angles_turn_about_fixed_x_then_y_then_z(r: float, p: float, y: float) -> None:
    about = [
        matrix([np.cos(a / 2), *(np.sin(a / 2) * np.eye(3)[i])]) for i, a in enumerate((r, p, y))
    ]
    np.testing.assert_allclose(
        matrix(from_euler(r, p, y)), about[2] @ about[1] @ about[0], atol=1e-12
    )
