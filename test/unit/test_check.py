"""The static checks say what is wrong, by name, and nothing about what is right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from builders import GOAL, contract, refusal, term, write_policy
from hypothesis import given
from hypothesis import strategies as st
from networks import KINDS, Weights, promise

from ros2_sim2real import paths
from ros2_sim2real.bringup import arguments, plan
from ros2_sim2real.check.items import Item, Report, failed, passed, warned
from ros2_sim2real.check.live import judge
from ros2_sim2real.check.seen import Endpoint, NodeFacts, Sample, Seen
from ros2_sim2real.check.static import examine
from ros2_sim2real.check.timing import motion_rate
from ros2_sim2real.cli import main
from ros2_sim2real.errors import BringupError, JointMismatch
from ros2_sim2real.policy.artefact import load_artefact
from ros2_sim2real.policy.golden import record_golden, with_golden
from ros2_sim2real.policy.golden_file import in_order
from ros2_sim2real.robot import load_robot

TEACH2 = load_robot("teach2")
HOME = np.array(TEACH2.home)


def report(folder: Path, *, robot: str = "teach2", **changes: Any) -> Report:
    return examine(str(write_policy(folder / "p.onnx", contract(**changes))), robot)


def named(found: Report, status: Any = "fail") -> set[str]:
    return {item.name for item in found.of(status)}


# --- items --------------------------------------------------------------------------------------


def test_json_has_counts_and_every_field() -> None:
    found = Report((passed("a", 1), warned("b", "x", "y", "z"), failed("c", "x", "y", "z")))
    said = found.to_dict()
    assert (said["passed"], said["warned"], said["failed"]) == (1, 1, 1)
    assert list(said) == ["passed", "failed", "warned", "items"]
    for item in json.loads(json.dumps(said))["items"]:
        assert set(item) == {"name", "status", "got", "expected", "fix"}
    assert Item("c", "fail", "x", "y", "Do z").line == "`c` got x, expected y. Do z"


@pytest.mark.parametrize("robot", paths.known("config/robots", "*.yaml"))
def test_every_robot_of_ours_passes(robot: str) -> None:
    assert named(examine("hold", robot)) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_policy_passes_with_its_golden_vectors(tmp_path: Path, kind: str) -> None:
    promised = promise(kind)
    path = tmp_path / "p.onnx"
    path.write_bytes(Weights(promised).file(promised))
    golden = record_golden(load_artefact(path), TEACH2, act=Weights(promised).numpy().act)
    path.write_bytes(with_golden(path.read_bytes(), golden))
    found = examine(str(path), "teach2", goals="tour")
    assert named(found) == named(found, "warn") == set()
    assert "golden" in named(found, "pass")


# --- one wrong thing at a time ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "item"),
    [
        ({"robot": "ur5e"}, "robot"),
        ({"joints": ["shoulder_joint", "elbow"]}, "joints"),
        ({"default_pose": [1.2, -3.0]}, "default_pose"),
        ({"default_pose": [68.8, -57.3]}, "default_pose"),
        ({"gains": {"stiffness": [1.0, 40.0], "damping": [3.5, 1.2]}}, "gains.stiffness"),
        ({"gains": {"stiffness": [800.0, 40.0], "damping": [3.5, 1.2]}}, "gains.stiffness"),
        ({"gains": {"stiffness": [80.0, 40.0], "damping": [0.0, 1.2]}}, "gains.damping"),
        (
            {
                "gains": {
                    "stiffness": [80.0, 40.0],
                    "damping": [3.5, 1.2],
                    "effort_limit": [60.0, 3.0],
                }
            },
            "gains.effort_limit",
        ),
        ({"action": {"kind": "integrating", "scale": 57.3, "clip": [-1.0, 1.0]}}, "action.scale"),
        ({"action": {"kind": "velocity", "scale": 1.0}}, "action.kind"),
        (
            {"observation": [term("joint_position", 2, scale=57.29578)]},
            "observation.joint_position.scale",
        ),
        (
            {"observation": [term("joint_position", 2, offset=[1.2, -57.3])]},
            "observation.joint_position.offset",
        ),
        (
            {"observation": [term("joint_position", 2, offset=[1.2, 1.0])]},
            "observation.joint_position.offset",
        ),
        ({"goal": {**GOAL, "x": [100.0, 350.0]}}, "goal"),
        ({"goal": GOAL, "frame": {"position": [0.0, 0.0, 3.0]}}, "goal"),
    ],
)
def test_what_is_wrong_has_its_name(tmp_path: Path, changes: Any, item: str) -> None:
    found = report(tmp_path, **changes)
    assert item in named(found)
    assert all(i.fix and i.expected for i in found.of("fail"))


@pytest.mark.parametrize(
    ("changes", "item"),
    [
        ({}, "golden"),
        ({"gains": {"stiffness": [20.0, 40.0], "damping": [3.5, 1.2]}}, "gains.stiffness"),
        ({"frame": {"quaternion": [0.0, 0.0, 0.0, 1.0]}}, "frame.quaternion"),
        ({"delay": 0.5}, "delay"),
        ({"action": {"kind": "integrating", "scale": 2.0}}, "action.scale"),
    ],
)
def test_what_may_be_meant_is_a_warning(tmp_path: Path, changes: Any, item: str) -> None:
    found = report(tmp_path, **changes)
    assert item in named(found, "warn")
    assert named(found) == set()


def test_a_soft_servo_behind_slow_shaping_is_told(tmp_path: Path) -> None:
    soft = {"stiffness": [20.0, 10.0], "damping": [3.5, 1.2]}
    assert "safety.acceleration_cap" in named(report(tmp_path, gains=soft), "warn")
    assert "safety.acceleration_cap" in named(report(tmp_path), "pass")


def test_a_loop_slower_than_the_policy_fails(tmp_path: Path) -> None:
    path = str(write_policy(tmp_path / "p.onnx", contract()))
    assert "control_rate" in named(examine(path, "teach2", rate_hz=40.0))
    assert "control_rate" in named(examine(path, "teach2", rate_hz=75.0), "warn")
    assert "control_rate" in named(examine(path, "teach2", rate_hz=100.0), "pass")


def test_a_drafted_figure_warns_and_stops_an_arm(tmp_path: Path) -> None:
    data = yaml.safe_load((paths.share() / "config/robots/teach2.yaml").read_text())
    data["sources"]["limits"] = "not known, drafted"
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(data))
    robot = str(tmp_path / "r.yaml")
    assert "robot.sources" in named(examine("hold", robot), "warn")
    assert "robot.sources" in named(examine("hold", robot, strict=True))


def test_files_that_do_not_load_are_items_not_tracebacks(tmp_path: Path) -> None:
    (tmp_path / "p.onnx").write_bytes(b"nonsense")
    assert named(examine(str(tmp_path / "p.onnx"), "teach2")) == {"policy"}
    assert named(examine("hold", "ur99")) == {"robot"}
    assert named(examine("replay:nowhere.npz", "teach2")) == {"policy"}


# --- golden vectors -----------------------------------------------------------------------------


@given(st.sampled_from([20.0, 30.0, 50.0, 100.0, 200.0]), st.integers(0, 20))
def test_the_rate_can_be_read_from_recorded_motion(rate: float, seed: int) -> None:
    steps = round(rate * 4)
    promised = contract(rate_hz=rate, physics_hz=steps * 1.0, decimation=4)
    artefact = replace(_artefact(), contract=promised)
    found = motion_rate(record_golden(artefact, TEACH2, seed=seed))
    assert found == pytest.approx(rate, rel=0.04)


def _artefact() -> Any:
    folder = Path(__import__("tempfile").mkdtemp())
    return load_artefact(write_policy(folder / "p.onnx", contract()))


def test_golden_columns_follow_their_names() -> None:
    golden = record_golden(_artefact(), TEACH2)
    names = TEACH2.joint_names
    other = in_order(golden, names[::-1])
    assert [row[::-1] for row in other.q] == list(golden.q)
    assert other.observation == golden.observation
    assert in_order(other, names) == golden
    assert in_order(golden.model_copy(update={"joints": ()}), names[::-1]).q == golden.q
    assert refusal(lambda: in_order(golden, ("a", "b")), JointMismatch)


# --- bring-up -----------------------------------------------------------------------------------


def test_a_bring_up_refuses_with_everything_that_fails_at_once(tmp_path: Path) -> None:
    gains = {"stiffness": [800.0, 40.0], "damping": [0.0, 1.2]}
    path = str(write_policy(tmp_path / "p.onnx", contract(gains=gains)))
    given_ = {"robot": "teach2", "policy": path}
    said = refusal(lambda: plan(arguments("sim", given_)), BringupError)
    assert said is not None
    assert "`gains.stiffness`" in said
    assert "`gains.damping`" in said
    told = plan(arguments("sim", {**given_, "check": "report"})).warnings
    assert any("gains.stiffness" in line for line in told)
    assert refusal(lambda: plan(arguments("real", given_)), BringupError)
    said = refusal(lambda: plan(arguments("real", {**given_, "check": "report"})), BringupError)
    assert said is not None
    assert said.startswith("`check` got 'report'")


def test_exit_status_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_policy(tmp_path / "p.onnx", contract(default_pose=[1.2, -3.0])))
    with pytest.raises(SystemExit) as ended:
        main(["check", "--policy", path, "--robot", "teach2", "--json"])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert json.loads(said.out)["failed"] >= 1
    assert said.err.count("\n") == 1
    assert "default_pose" in said.err


def test_golden_vectors_are_added_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_policy(tmp_path / "p.onnx", contract()))
    for code in (0, 2):
        with pytest.raises(SystemExit) as ended:
            main(["golden", "--policy", path, "--json"])
        assert ended.value.code == code
    assert json.loads(capsys.readouterr().out)["decisions"] == 64
    assert "golden" in named(examine(path, "teach2"), "pass")


# --- a look at a graph, as data -----------------------------------------------------------------


def sample(i: int, **changes: Any) -> Sample:
    stamp = 10**18 + i * 20_000_000
    values: dict[str, Any] = {
        "arrival_ns": i * 20_000_000,
        "ros_ns": stamp + 1_000_000,
        "clock_ns": -1,
        "stamp_ns": stamp,
        "names": TEACH2.joint_names,
        "q": HOME,
        "dq": np.zeros(2),
    }
    return Sample(**{**values, **changes})


def seen(**changes: Any) -> Seen:
    return Seen(seconds=1.0, **{"states": tuple(sample(i) for i in range(50)), **changes})


def states(**changes: Any) -> Seen:
    return seen(states=tuple(sample(i, **changes) for i in range(50)))


def failures(found: Seen, **promised: Any) -> dict[str, str]:
    items = judge(found, TEACH2, contract(**promised), rate_hz=50.0)
    return {item.name: item.got for item in items if item.status == "fail"}


def peer(topic: str, node: str = "/a", **changes: Any) -> Endpoint:
    values: dict[str, Any] = {"publishes": True, "reliable": True, "latched": False}
    return Endpoint(**{"topic": topic, "node": node, "kind": "t", "gid": "0", **values, **changes})


def test_a_sound_graph_has_no_failure() -> None:
    assert failures(seen()) == {}


@pytest.mark.parametrize(
    ("changes", "item"),
    [
        ({"names": ("a", "b")}, "joint_states.name"),
        ({"q": np.zeros(3)}, "joint_states.position"),
        ({"q": np.degrees(HOME)}, "joint_states.position"),
        ({"q": np.array([np.nan, 0.0])}, "joint_states.position"),
        ({"q": np.array([-0.58, 0.0])}, "joint_states.position"),
        ({"dq": np.array([])}, "joint_states.velocity"),
        ({"dq": np.array([1.0, 0.0])}, "joint_states.velocity"),
        ({"stamp_ns": 10**18}, "joint_states.stamp"),
    ],
)
def test_unsound_states_have_a_name(changes: Any, item: str) -> None:
    assert item in failures(states(**changes))


def test_states_too_seldom_or_never() -> None:
    assert "joint_states" in failures(Seen(seconds=1.0))
    slow = tuple(sample(i, arrival_ns=i * 100_000_000) for i in range(10))
    assert "joint_states.rate" in failures(seen(states=slow))


@pytest.mark.parametrize(("factor", "item"), [(1.0, ""), (57.3, "joint_states.velocity"),
                                              (-1.0, "joint_states.velocity")])  # fmt: skip
def test_speeds_are_those_of_the_positions(factor: float, item: str) -> None:
    speed = np.array([0.2, -0.1])
    moving = tuple(sample(i, q=HOME + speed * i * 0.02, dq=speed * factor) for i in range(50))
    assert set(failures(seen(states=moving))) == ({item} if item else set())


def test_stamps_follow_the_clock_of_every_node() -> None:
    old = tuple(sample(i, ros_ns=10**18 + i * 20_000_000 + 300_000_000) for i in range(50))
    nodes = {"/pipeline": NodeFacts(use_sim_time=False, state_clock="ros")}
    assert "joint_states.stamp" in failures(seen(states=old, nodes=nodes))
    nodes = {"/pipeline": NodeFacts(use_sim_time=False, state_clock="stamp")}
    assert failures(seen(states=old, nodes=nodes)) == {}
    sim = tuple(sample(i, stamp_ns=i * 20_000_000, clock_ns=i * 20_000_000) for i in range(1, 50))
    clock = (peer("/clock"),)
    nodes = {"/pipeline": NodeFacts(use_sim_time=False, state_clock="ros")}
    assert "use_sim_time" in failures(seen(states=sim, nodes=nodes, endpoints=clock))
    nodes = {"/pipeline": NodeFacts(use_sim_time=True, state_clock="ros")}
    assert failures(seen(states=sim, nodes=nodes, endpoints=clock)) == {}
    assert "/clock" in failures(seen(nodes=nodes))


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_peers_that_never_hear_each_other_are_named(
    offered: bool, wanted: bool, kept: bool, asked: bool
) -> None:
    pair = (
        peer("goal", "/user", reliable=offered, latched=kept),
        peer("goal", "/pipeline", publishes=False, reliable=wanted, latched=asked),
    )
    found = failures(seen(endpoints=pair))
    deaf = (wanted and not offered) or (asked and not kept)
    assert ("goal.qos" in found) == deaf
    if deaf:
        assert "/pipeline will never hear /user" in found["goal.qos"]


def test_a_second_publisher_and_a_second_type_are_named() -> None:
    two = (peer("safety/command", "/safety"), peer("safety/command", "/old_run", gid="f1"))
    assert "/old_run (f1)" in failures(seen(endpoints=two))["safety/command.publishers"]
    two = (peer("goal", "/user"), peer("goal", "/pipeline", publishes=False, kind="other"))
    assert "goal.type" in failures(seen(endpoints=two))
    assert failures(seen(endpoints=(peer("goal", "/a"), peer("goal", "/b")))) == {}


def test_an_arm_leaves_shadow_only_behind_a_pass(tmp_path: Path) -> None:
    data = yaml.safe_load((paths.share() / "config/robots/teach2.yaml").read_text())
    data["sources"]["limits"] = "not known, drafted"
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(data))
    given_ = {"robot": str(tmp_path / "r.yaml"), "policy": "hold"}
    assert any("robot.sources" in line for line in plan(arguments("real", given_)).warnings)
    said = refusal(lambda: plan(arguments("real", {**given_, "mode": "active"})), BringupError)
    assert said is not None
    assert said.startswith("the pre-flight check fails: `robot.sources`")
