"""Which processes a situation starts, with which parameters; what cannot work is refused first."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from builders import GOAL, contract, refusal, term, write_policy
from hypothesis import given
from hypothesis import strategies as st

from ros2_sim2real.bringup import (
    DEFAULTS,
    TRANSPORT_VARIABLE,
    Arguments,
    NodePlan,
    Plan,
    argument_rows,
    arguments,
    arguments_from_text,
    command_line,
    control_rate,
    default_policy,
    plan,
)
from ros2_sim2real.errors import (
    BringupError,
    ConfigError,
    ContractError,
    JointMismatch,
    PolicyFileError,
    Sim2RealError,
)
from ros2_sim2real.processes import environment_of, run_plan, run_quietly


def planned(situation: Any = "sim", **given: Any) -> dict[str, dict[str, Any]]:
    nodes = plan(arguments(situation, {"robot": "teach2", "policy": "sine", **given})).nodes
    assert len({n.executable for n in nodes}) == len(nodes)
    return {n.executable: n.parameters for n in nodes}


def refused(situation: Any = "sim", **given: Any) -> str:
    message = refusal(lambda: planned(situation, **given), Sim2RealError)
    assert message is not None
    return message


# --- arguments ----------------------------------------------------------------------------------


def test_simulation_moves_and_reality_starts_in_shadow() -> None:
    assert arguments("sim", {}).mode == "active"
    assert arguments("sim", {}).backend == "mujoco"
    assert arguments("real", {}).mode == "shadow"
    assert arguments("real", {}).backend == "external"
    assert arguments("real", {}).goals == ""


def test_situations_differ_in_defaults_alone() -> None:
    for situation, defaults in DEFAULTS.items():
        assert set(defaults) <= set(Arguments.model_fields)
        given = {k: getattr(arguments("sim", {}), k) for k in defaults}
        assert arguments(situation, given) == arguments("sim", {})


def test_every_wrong_argument_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        arguments("sim", {"mod": "active", "backend": "gazebo", "rate_hz": -1.0, "seed": -1})
    message = str(caught.value)
    for part in ("unknown `mod`, did you mean `mode`?", "`backend`", "`rate_hz`", "`seed`"):
        assert part in message
    assert message.startswith("arguments of `sim`: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x", None, [1.0]])
def test_a_rate_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="`rate_hz`"):
        arguments("sim", {"rate_hz": value})


@pytest.mark.parametrize("name", ["arm", "/arm", "/cell_1/left", "arm/", ""])
def test_a_namespace_may_be_written_with_or_without_slashes(name: str) -> None:
    assert arguments("sim", {"namespace": name}).namespace == name


@pytest.mark.parametrize("name", ["a b", "1arm", "a//b", "~arm", "a-b", "//", "a;b", "é", "a\n"])
def test_a_namespace_that_ros_would_refuse_is_refused_here(name: str) -> None:
    with pytest.raises(ConfigError, match="`namespace`"):
        arguments("sim", {"namespace": name})


def test_every_argument_is_described_for_the_launch_file() -> None:
    rows = argument_rows("sim")
    assert [r.name for r in rows] == list(Arguments.model_fields)
    assert all(r.text for r in rows)
    assert next(r for r in rows if r.name == "mode").choices == ["shadow", "active"]
    assert next(r for r in rows if r.name == "robot").choices is None


def test_the_launch_files_own_defaults_are_the_arguments_defaults() -> None:
    for situation in ("sim", "real"):
        texts = {r.name: r.default for r in argument_rows(situation)}
        assert arguments_from_text(situation, texts) == arguments(situation, {})


def test_texts_become_numbers_where_numbers_are_meant() -> None:
    got = arguments_from_text("sim", {"rate_hz": "1e2", "seed": "3", "robot": "7"})
    assert (got.rate_hz, got.seed, got.robot) == (100.0, 3, "7")


@pytest.mark.parametrize("text", ["fast", "", "1,5", "nan", "inf"])
def test_a_text_that_is_no_number_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="`rate_hz`"):
        arguments_from_text("sim", {"rate_hz": text})


# --- the plan -----------------------------------------------------------------------------------


def test_simulation_is_three_processes() -> None:
    assert set(planned()) == {"pipeline", "safety", "mujoco"}
    assert set(planned(backend="loopback")) == {"pipeline", "safety", "loopback"}


def test_a_node_for_each_stage_on_request() -> None:
    assert set(planned(composition="nodes")) == {"policy", "correction", "safety", "mujoco"}


def test_one_argument_swaps_the_backend_and_nothing_else() -> None:
    mujoco, loopback = planned(), planned(backend="loopback")
    assert mujoco["pipeline"] == loopback["pipeline"]
    assert mujoco["safety"] == loopback["safety"]


def test_reality_has_no_backend_of_ours_and_the_gate_in_shadow() -> None:
    nodes = planned("real")
    assert set(nodes) == {"pipeline", "safety"}
    assert nodes["safety"]["mode"] == "shadow"
    assert nodes["safety"]["auto_enable"] is False
    assert nodes["safety"]["clock"] == "monotonic"
    assert nodes["pipeline"]["state_clock"] == "ros"


@pytest.mark.parametrize("time", ["real", "free", "lockstep"])
def test_only_simulated_time_is_measured_in_stamps(time: str) -> None:
    nodes = planned(time=time)
    assert nodes["safety"]["clock"] == ("monotonic" if time == "real" else "stamp")
    assert nodes["mujoco"]["time"] == time
    assert nodes["safety"]["auto_enable"] is True


def test_shadow_in_simulation_never_enables_itself() -> None:
    nodes = planned(mode="shadow")
    assert nodes["safety"]["auto_enable"] is False
    assert nodes["safety"]["mode"] == "shadow"


def test_gate_and_backend_share_one_rate() -> None:
    for rate in (0.0, 250.0):
        nodes = planned(rate_hz=rate)
        assert nodes["safety"]["rate_hz"] == nodes["mujoco"]["rate_hz"] == (rate or 100.0)


@pytest.mark.parametrize("policy_hz", [10.0, 20.0, 30.0, 50.0, 60.0, 100.0, 3.0])
def test_the_control_rate_is_a_multiple_of_the_policys(policy_hz: float) -> None:
    promised = contract(rate_hz=policy_hz, physics_hz=policy_hz * 4)
    rate = control_rate(promised)
    assert rate >= 25.0 * (1 - 1e-9)
    assert abs(rate / policy_hz - round(rate / policy_hz)) < 1e-9


def test_every_process_can_read_its_parameters(tmp_path: Path) -> None:
    """Each parameter is one that the node's schema knows, of the type that it wants."""
    from ros2_sim2real.config import validate
    from ros2_sim2real.nodes.correction import CorrectionParameters
    from ros2_sim2real.nodes.mujoco import MujocoParameters
    from ros2_sim2real.nodes.pipeline import PipelineParameters
    from ros2_sim2real.nodes.safety import SafetyParameters
    from ros2_sim2real.nodes.simulation import SimulationParameters

    schemas = {
        "pipeline": PipelineParameters,
        "policy": PipelineParameters,
        "correction": CorrectionParameters,
        "safety": SafetyParameters,
        "mujoco": MujocoParameters,
        "loopback": SimulationParameters,
    }
    for changes in ({}, {"composition": "nodes"}, {"backend": "loopback"}):
        for executable, parameters in planned(**changes).items():
            validate(parameters, schemas[executable], where=executable)


def test_goals_go_to_policies_that_take_them(tmp_path: Path) -> None:
    promised = contract(observation=[term("goal_position", 3)], goal=GOAL)
    path = str(write_policy(tmp_path / "p.onnx", promised))
    assert planned(policy=path)["pipeline"]["goals"] == "tour"
    assert planned(policy=path, goals="0.2,0,0.3")["pipeline"]["goals"] == "0.2,0,0.3"
    assert planned(policy="sine")["pipeline"]["goals"] == ""


# --- refusals -----------------------------------------------------------------------------------


def test_an_external_arm_is_not_driven_by_this_release() -> None:
    assert "Use mode:=shadow, or backend:=mujoco" in refused("real", mode="active")


def test_an_external_arm_runs_in_real_time() -> None:
    assert "an external arm runs in real time" in refused("real", time="lockstep")


@pytest.mark.parametrize("time", ["free", "lockstep"])
def test_shadow_would_wait_for_ever_in_simulated_time(time: str) -> None:
    assert "shadow sends none" in refused(mode="shadow", time=time)


def test_a_rate_at_which_every_state_is_stale_is_refused() -> None:
    assert "`rate_hz` got 10" in refused(rate_hz=10.0)
    assert planned(rate_hz=10.0, time="lockstep")["safety"]["rate_hz"] == 10.0


def test_unknown_robots_and_policies_are_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match=r"Known: .*'ur5e'"):
        planned(robot="ur7")
    with pytest.raises(PolicyFileError, match="neither a file nor in models/policies"):
        planned(policy="nothing.onnx")
    with pytest.raises(PolicyFileError, match="expected an npz"):
        planned(policy="replay:nothing.npz")


def test_a_policy_of_another_robot_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = str(write_policy(tmp_path / "p.onnx", contract()))
    with pytest.raises(ContractError, match="trained for 'teach2', this is 'ur5e'"):
        planned(robot="ur5e", policy=path)


def test_a_recording_of_another_robot_is_refused_before_anything_starts(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", t=np.zeros(1), q=np.zeros((1, 1)), joints=np.array(["a"]))
    with pytest.raises(JointMismatch):
        planned(policy=f"replay:{tmp_path / 'r.npz'}")


def test_wrong_goals_are_refused_before_anything_starts(tmp_path: Path) -> None:
    promised = contract(observation=[term("goal_position", 3)], goal=GOAL)
    path = str(write_policy(tmp_path / "p.onnx", promised))
    assert "goal 0 got [1.0, 2.0]" in refused(policy=path, goals="1,2")


def test_the_newest_policy_of_ours_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["reach-ur5e-20251231-ffff", "reach-ur5e-20260101-0000", "reach-ur10-20270101-0000"]
    folder = tmp_path / "models" / "policies"
    folder.mkdir(parents=True)
    for name in (*names, "reach-ur5e", "note"):
        (folder / f"{name}.onnx").touch()
    monkeypatch.setattr("ros2_sim2real.paths.share", lambda: tmp_path)
    assert default_policy("ur5e") == "reach-ur5e-20260101-0000"
    assert default_policy("ur10") == "reach-ur10-20270101-0000"
    assert default_policy("teach2") == "sine"


# --- command lines and environments -------------------------------------------------------------

VALUE = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])),
)


@given(VALUE)
def test_a_parameter_reads_back_as_the_value_it_was(value: Any) -> None:
    (flag, text) = command_line(NodePlan("safety", {"x": value}), "")[1:]
    assert flag == "-p"
    name, _, written = text.partition(":=")
    assert name == "x"
    if isinstance(value, float):
        assert float(written) == value
    else:
        assert yaml.safe_load(written) == value


@pytest.mark.parametrize("text", ["1", "1.0", "true", "no", "", "null", "a: b", "é 😀", '"'])
def test_a_text_that_looks_like_something_else_stays_text(text: str) -> None:
    line = command_line(NodePlan("safety", {"x": text}), "")[-1]
    assert yaml.safe_load(line.removeprefix("x:=")) == text


@pytest.mark.parametrize("given", ["arm", "/arm", "/arm/"])
def test_a_namespace_is_absolute_on_the_command_line(given: str) -> None:
    assert command_line(NodePlan("safety", {}), given) == ["--ros-args", "-r", "__ns:=/arm"]
    assert command_line(NodePlan("safety", {}), "") == ["--ros-args"]


def test_one_machine_uses_shared_memory_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = plan(arguments("sim", {"robot": "teach2", "policy": "sine"}))
    monkeypatch.delenv(TRANSPORT_VARIABLE)
    assert environment_of(ours)[TRANSPORT_VARIABLE] == "SHM"
    monkeypatch.setenv(TRANSPORT_VARIABLE, "UDPv4")
    assert environment_of(ours)[TRANSPORT_VARIABLE] == "UDPv4"
    default = plan(arguments("sim", {"robot": "teach2", "policy": "sine", "transport": "default"}))
    assert default.environment == {}


def test_a_domain_of_its_own_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "5")
    assert environment_of(Plan((), ""))["ROS_DOMAIN_ID"] == "5"
    assert environment_of(Plan((), ""), 7)["ROS_DOMAIN_ID"] == "7"


# --- processes that end at once -----------------------------------------------------------------


def nothing(*executables: str) -> Plan:
    """Nodes that refuse their parameters: each ends with one line and status 2."""
    return Plan(tuple(NodePlan(name, {"robott": "x"}) for name in executables), "")


def test_a_node_that_refuses_to_start_ends_the_run_with_its_line() -> None:
    with pytest.raises(BringupError, match=r"status 2: ConfigError .*did you mean `robot`"):
        run_quietly(nothing("safety"))


def test_signals_mean_what_they_meant_after_a_run() -> None:
    def mine(number: int, frame: object) -> None:
        raise AssertionError(number, frame)

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with Path(os.devnull).open("w") as silent:
            assert run_plan(nothing("safety"), output=silent) == 2
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
