"""What a user types wrong: one line that names the field, exit status 2, nothing half-written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import (
    GOAL,
    TEACH2,
    contract,
    contract_data,
    linear_graph,
    term,
    with_contract,
)

from ros2_sim2real import cli
from ros2_sim2real.paths import share


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A reach policy for the teaching arm that pulls towards its default pose."""
    promised = contract(
        observation=[term("joint_position", 2), term("goal_position", 3)],
        goal=GOAL,
    )
    graph = linear_graph(np.zeros((5, 2)), np.array([1.2, -1.0]))
    path = tmp_path / "reach.onnx"
    path.write_bytes(with_contract(graph, promised.to_json()))
    return path


def evaluate(policy: Path, robot: str = "teach2") -> list[str]:
    return [
        *("evaluate", "--robot", robot, "--policy", str(policy), "--through", "core"),
        *("--goals", "0.3,0,0.3", "--seconds", "1", "--json"),
    ]


def test_the_sound_policy_is_taken(capsys: pytest.CaptureFixture[str], policy: Path) -> None:
    status, out, _ = run(capsys, *evaluate(policy))
    figures = json.loads(out)
    assert status == 0
    assert len(figures["error_mm"]) == 1
    assert figures["error_mm_max"] == max(figures["error_mm"])
    assert figures["reached"] in (0, 1)


def damaged(policy: Path, how: str) -> Path:
    content = policy.read_bytes()
    if how == "missing":
        return policy.with_name("absent.onnx")
    changed = {
        "truncated": content[: len(content) // 2],
        "flipped bit": bytes([*content[:100], content[100] ^ 4, *content[101:]]),
        "empty": b"",
    }[how]
    policy.write_bytes(changed)
    return policy


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "absent.onnx"),
        ("truncated", "without a seal"),
        ("flipped bit", "sha256"),
        ("empty", "is empty"),
    ],
)
def test_a_damaged_policy_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], policy: Path, how: str, says: str
) -> None:
    status, out, err = run(capsys, *evaluate(damaged(policy, how)))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert says in err


def test_a_policy_of_another_robot_names_both(
    capsys: pytest.CaptureFixture[str], policy: Path
) -> None:
    status, _, err = run(capsys, *evaluate(policy, robot="ur5e"))
    assert status == 2
    assert err.count("\n") == 1
    assert "`robot`: trained for 'teach2', this is 'ur5e'" in err


def test_a_contract_of_another_width_names_the_input(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    promised = contract(
        observation=[term("joint_position", 2), term("goal_position", 3)], goal=GOAL
    )
    path = tmp_path / "wide.onnx"
    path.write_bytes(
        with_contract(linear_graph(np.zeros((7, 2)), np.zeros(2)), promised.to_json())
    )
    status, _, err = run(capsys, *evaluate(path))
    assert status == 2
    assert "`input`" in err
    assert "[1, 7]" in err
    assert "[1, 5]" in err


def robot_file(folder: Path, change: tuple[str, str]) -> Path:
    text = (share() / "config/robots/teach2.yaml").read_text()
    assert change[0] in text
    path = folder / "arm.yaml"
    path.write_text(text.replace(*change, 1))
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("name: teach2", "name: teach2\nname: teach3"), "`name` stands twice"),
        (("tool_site:", "tool_sight:"), "unknown `tool_sight`, did you mean `tool_site`?"),
        (("velocity: ", "velocity: .nan #"), "`joints.0.velocity` got nan"),
        (("velocity: ", "velocity: fast #"), "`joints.0.velocity` got 'fast'"),
        (("velocity: ", "velocity: '1e-3' #"), "`joints.0.velocity` got '1e-3'"),
    ],
)
def test_a_robot_file_with_a_mistake_names_line_and_field(
    capsys: pytest.CaptureFixture[str],
    policy: Path,
    tmp_path: Path,
    change: tuple[str, str],
    says: str,
) -> None:
    status, _, err = run(capsys, *evaluate(policy, robot=str(robot_file(tmp_path, change))))
    assert status == 2
    assert err.count("\n") == 1
    assert "arm.yaml: line " in err
    assert says in err


def test_exponent_notation_is_a_number(
    capsys: pytest.CaptureFixture[str], policy: Path, tmp_path: Path
) -> None:
    # YAML 1.1 readers take `1e0` for text
    path = robot_file(tmp_path, ("velocity: ", "velocity: 1e0 #"))
    assert run(capsys, *evaluate(policy, robot=str(path)))[0] == 0


def test_an_unknown_robot_lists_those_there_are(
    capsys: pytest.CaptureFixture[str], policy: Path
) -> None:
    status, _, err = run(capsys, *evaluate(policy, robot="ur55"))
    assert status == 2
    assert "ur55" in err
    assert "ur5e" in err


@pytest.mark.parametrize("goals", ["0.3,0", "0.3,0,nan", "a,b,c", "0.3,0,0.3,0,0,0,0", "no.json"])
def test_goals_that_are_none_are_refused(
    capsys: pytest.CaptureFixture[str], policy: Path, goals: str
) -> None:
    argv = evaluate(policy)
    argv[argv.index("0.3,0,0.3")] = goals
    status, _, err = run(capsys, *argv)
    assert status == 2
    assert err.count("\n") == 1


def test_an_unknown_verb_suggests_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "evaluat")
    assert status == 2
    assert "did you mean `evaluate`?" in err


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_explains_itself_with_an_example(
    capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    status, out, _ = run(capsys, *verb.split(), "--help")
    assert status == 0
    assert f"sim2real {verb}" in out


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert all(verb in out for verb in cli.VERBS)


def test_ros_style_arguments_are_taken(capsys: pytest.CaptureFixture[str], policy: Path) -> None:
    status, _, err = run(
        capsys, "up", "sim", "robot:=ur5e", f"policy:={policy}", "goal_period:=2.0"
    )
    assert status == 2
    assert "trained for 'teach2'" in err


def test_bringing_up_a_physical_arm_actively_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, _, err = run(capsys, "up", "real", "robot:=ur5e", "policy:=hold", "mode:=active")
    assert status == 2
    assert "`mode` got 'active'" in err


def test_show_prints_the_exact_contract(capsys: pytest.CaptureFixture[str], policy: Path) -> None:
    status, out, _ = run(capsys, "show", str(policy), "--json")
    shown = json.loads(out)
    assert status == 0
    assert shown["contract"]["joints"] == list(TEACH2)
    assert shown["contract"]["gains"] == {**contract_data()["gains"], "effort_limit": None}
    assert len(shown["sha256"]) == 64


def test_the_cli_starts_without_torch_and_ros() -> None:
    import subprocess

    code = (
        "import sys; from ros2_sim2real import cli\n"
        "import ros2_sim2real.verbs.evaluate, ros2_sim2real.verbs.demo\n"
        "print(sorted({'torch', 'rclpy'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
