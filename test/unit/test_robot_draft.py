"""A drafted robot file states what the MJCF states, and marks what it does not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from builders import refusal

from ros2_sim2real.bringup import Arguments
from ros2_sim2real.cli import main
from ros2_sim2real.closed_loop import simulate
from ros2_sim2real.errors import ConfigError, RobotModelError, Sim2RealError
from ros2_sim2real.offline.robot_draft import draft
from ros2_sim2real.offline.robot_file import MARK, checked, to_yaml
from ros2_sim2real.robot import RobotSpec, load_robot

# In the manner of the public collections: classes, servos of two kinds, a keyframe with controls,
# and a gripper of two fingers on one tendon.
ARM = """
<mujoco model="My Arm-7">
  <compiler angle="radian" autolimits="true"/>
  <default><default class="arm">
    <joint axis="0 1 0" range="-2 2" armature="0.1"/>
    <position kp="200" kv="20" ctrlrange="-0.5 0.5"/>
  </default></default>
  <worldbody>
    <body name="stand"><geom size="0.1"/>
      <body name="link1" pos="0 0 0.2" childclass="arm">
        <joint name="yaw" axis="0 0 1" actuatorfrcrange="-30 30"/>
        <geom type="capsule" size="0.04" fromto="0 0 0 0 0 0.3" mass="3"/>
        <body name="link2" pos="0 0 0.3">
          <joint name="lift"/><geom type="capsule" size="0.04" fromto="0 0 0 0.3 0 0" mass="2"/>
          <body name="link3" pos="0.3 0 0">
            <joint name="bend" range="-3 -0.5"/>
            <geom type="capsule" size="0.03" fromto="0 0 0 0.2 0 0" mass="1"/>
            <site name="camera_mount"/>
            <body name="wrist" pos="0.2 0 0">
              <joint name="roll" axis="1 0 0" limited="false"/>
              <geom size="0.03" mass="0.3"/>
              <site name="attachment_site" pos="0.05 0 0" quat="1 0 1 0"/>
              <body name="left_finger" pos="0.1 0.03 0">
                <joint name="finger1" type="slide" axis="0 1 0" range="0 0.04"/>
                <geom size="0.01" mass="0.02"/>
              </body>
              <body name="right_finger" pos="0.1 -0.03 0">
                <joint name="finger2" type="slide" axis="0 -1 0" range="0 0.04"/>
                <geom size="0.01" mass="0.02"/>
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>
  </worldbody>
  <tendon><fixed name="split">
    <joint joint="finger1" coef="0.5"/><joint joint="finger2" coef="0.5"/>
  </fixed></tendon>
  <equality><joint joint1="finger1" joint2="finger2"/></equality>
  <actuator>
    <position class="arm" name="a1" joint="yaw"/>
    <general name="a2" joint="lift" gear="2" gaintype="fixed" gainprm="100" biastype="affine"
      biasprm="0 -100 -10" forcerange="-20 15"/>
    <motor name="a3" joint="bend" gear="50" ctrlrange="-1 1"/>
    <velocity name="a4" joint="roll" kv="3"/>
    <position name="hand" tendon="split" kp="100"/>
  </actuator>
  <sensor><jointpos joint="finger1"/></sensor>
  <keyframe><key name="home" qpos="0.1 -0.4 -1.5 0.2 0.02 0.02" ctrl="0 0 0 0 0"/></keyframe>
</mujoco>
"""
ROBOSUITE = ("panda", "ur5e", "kinova3", "xarm7")


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    path = tmp_path / "arm.xml"
    path.write_text(ARM)
    return path


def load(path: Path, text: str) -> RobotSpec:
    path.write_text(text)
    return load_robot(str(path))


def figures(path: Path) -> dict[str, dict[str, tuple[float, bool]]]:
    """Per joint and field: the value, and whether it is the model's."""
    return {
        j.name: {
            field: (figure.value, not figure.why)
            for field in ("lower", "upper", "effort", "home", "stiffness", "damping")
            for figure in [getattr(j, field)]
        }
        for j in draft(str(path)).joints
    }


def test_joints_limits_and_start_are_the_models(arm: Path) -> None:
    found = draft(str(arm))
    assert found.name == "my_arm_7"
    assert [j.name for j in found.joints] == ["yaw", "lift", "bend", "roll"]
    assert found.extra_joints == ("finger1", "finger2")
    assert found.tool_site == "attachment_site"
    assert found.base_frame == "stand"
    joints = figures(arm)
    assert joints["bend"]["lower"] == (-3.0, True)
    assert joints["bend"]["upper"] == (-0.5, True)
    assert [joints[n]["home"] for n in joints] == [(q, True) for q in (0.1, -0.4, -1.5, 0.2)]


def test_servos_and_torques_are_in_joint_coordinates(arm: Path) -> None:
    joints = figures(arm)
    assert joints["yaw"]["stiffness"] == (200.0, True)
    assert joints["yaw"]["damping"] == (20.0, True)
    assert joints["yaw"]["effort"] == (30.0, True)
    assert joints["lift"]["stiffness"] == (400.0, True)  # through a gear of 2, twice
    assert joints["lift"]["damping"] == (40.0, True)
    assert joints["lift"]["effort"] == (40.0, True)
    assert joints["bend"]["effort"] == (50.0, True)
    assert not joints["bend"]["stiffness"][1]  # a motor is no position servo
    assert not joints["roll"]["stiffness"][1]  # nor is a speed servo
    assert joints["roll"]["effort"] == (1.0, False)
    assert joints["roll"]["lower"] == (-6.2832, False)


def test_what_no_mjcf_states_is_marked_in_the_file_and_in_its_sources(
    arm: Path, tmp_path: Path
) -> None:
    text = to_yaml(draft(str(arm)))
    spec = load(tmp_path / "arm.yaml", text)
    assert {j.velocity for j in spec.joints} == {0.5}
    assert set(spec.unknown_sources) == {
        "velocity", "acceleration", "effort", "servo", "limits", "gravity_compensation"
    }  # fmt: skip
    assert spec.sources["effort"] == "not known, drafted, for roll"
    assert spec.sources["home"] == "the MJCF"
    marked = [line.split(":")[0].strip() for line in text.splitlines() if f"# {MARK}" in line]
    assert marked.count("velocity") == marked.count("acceleration") == 4
    assert marked.count("effort") == 1
    assert marked.count("stiffness") == 2


def test_a_shipped_robot_knows_all_its_figures() -> None:
    for name in ("ur5e", "fr3", "so101"):
        assert load_robot(name).unknown_sources == ()


def test_the_draft_holds_its_pose_with_the_gripper_held_still(arm: Path, tmp_path: Path) -> None:
    spec = load(tmp_path / "arm.yaml", to_yaml(draft(str(arm))))
    run = simulate(
        Arguments(robot=str(tmp_path / "arm.yaml"), policy="hold", goals="", stop_after=2.0)
    )
    assert run.joints == spec.joint_names
    assert np.abs(run.q - spec.home).max() < 1e-6


def test_the_tool_is_guessed_with_a_reason_and_can_be_named(arm: Path) -> None:
    assert "named like a tool" in draft(str(arm)).notes[0]
    assert draft(str(arm), tool="body:wrist").tool_site == "body:wrist"
    assert [j.name for j in draft(str(arm), tool="camera_mount").joints] == ["yaw", "lift", "bend"]
    message = refusal(lambda: draft(str(arm), tool="nose"), RobotModelError)
    assert message is not None
    assert "'nose', which is no site of the model; it has ['camera_mount'" in message


def test_of_two_arms_one_must_be_named_and_the_other_is_held_still() -> None:
    pair = str(load_robot("bimanual_fr3").mjcf_path())
    message = refusal(lambda: draft(pair), RobotModelError)
    assert message is not None
    assert "several chains of 7 joints end in ['left_fr3_link7', 'right_fr3_link7']" in message
    left = draft(pair, tool="left_fr3_link8")
    assert {j.name[:5] for j in left.joints} == {"left_"}
    assert left.base_frame == "left_fr3_link0"
    assert {name[:6] for name in left.extra_joints} == {"right_"}
    assert checked(to_yaml(left), where="draft").nq == 7


def test_an_arm_without_sites_gets_the_end_of_its_chain(arm: Path, tmp_path: Path) -> None:
    arm.write_text("\n".join(line for line in ARM.splitlines() if "<site" not in line))
    found = draft(str(arm))
    assert found.tool_site == "body:wrist"
    spec = load(tmp_path / "arm.yaml", to_yaml(found))
    assert checked(to_yaml(found), where="draft") == spec


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.replace('joint name="bend"', "joint"), "has no name"),
        (lambda t: t.replace("</mujoco>", ""), "not a model that MuJoCo reads"),
        (lambda t: '<mujoco><worldbody><body name="ball"/></worldbody></mujoco>', "no chain"),
        (lambda t: t.replace("</mujoco>", "<option timestep='x'/></mujoco>"), "timestep"),
    ],
)
def test_what_is_no_arm_is_refused_in_one_line(
    arm: Path, change: Callable[[str], str], said: str
) -> None:
    plain = [n for n in ARM.splitlines() if 'joint="bend"' not in n and "<key " not in n]
    arm.write_text(change("\n".join(plain)))
    message = refusal(lambda: draft(str(arm)), Sim2RealError)
    assert message is not None
    assert said in message


def run_verb(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["robot", "init", *args])
    return int(ended.value.code or 0)


def test_the_verb_writes_what_loads_and_never_over_a_file(
    arm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "robot.yaml"
    assert run_verb(str(arm), "-o", str(out)) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "not in the model: velocity (every joint" in said.err
    spec = load_robot(str(out))
    assert spec.extra_joints == ("finger1", "finger2")
    before = out.read_text()
    assert run_verb(str(arm), "-o", str(out), "--name", "other") == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == before
    assert run_verb(str(arm), "-o", str(out), "--name", "other", "--force") == 0
    assert load_robot(str(out)).name == "other"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["arm.xml", "robot.yaml"]


def test_without_a_file_the_draft_is_the_output_and_json_has_the_figures(
    arm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb(str(arm)) == 0
    assert load(tmp_path / "r.yaml", capsys.readouterr().out).name == "my_arm_7"
    assert run_verb(str(arm), "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["joints"] == ["yaw", "lift", "bend", "roll"]
    assert "velocity" in figures["unknown"]


@pytest.fixture
def descriptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: Path) -> None:
    """A package of that name with one model, one that cannot be fetched, and one URDF."""
    package = tmp_path / "site" / "robot_descriptions"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "some_mj_description.py").write_text(f"MJCF_PATH = {str(arm)!r}\n")
    (package / "offline_mj_description.py").write_text(
        "class GitCommandError(Exception): ...\nraise GitCommandError('no network')\n"
    )
    (package / "urdf_description.py").write_text("URDF_PATH = '/nowhere'\n")
    monkeypatch.syspath_prepend(str(package.parent))
    for name in ("robot_descriptions", "robot_descriptions.some_mj_description"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("descriptions")
def test_a_model_of_robot_descriptions_is_named_not_copied(tmp_path: Path) -> None:
    text = to_yaml(draft("robot_descriptions:some"))
    assert 'mjcf: "robot_descriptions:some"' in text
    assert load(tmp_path / "r.yaml", text).mjcf_path() == tmp_path / "arm.xml"


@pytest.mark.usefixtures("descriptions")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("offline", "could not be fetched: no network"),
        ("absent", "is not in robot_descriptions"),
        ("urdf_description", "has no MJCF file"),
        ("../some", "letters, digits, underscores"),
    ],
)
def test_a_description_that_cannot_be_had_is_refused(name: str, said: str) -> None:
    message = refusal(lambda: draft(f"robot_descriptions:{name}"), ConfigError)
    assert message is not None
    assert said in message


def robosuite_robots() -> Path | None:
    """The folder of robosuite's arms: the installed package, or SIM2REAL_ROBOSUITE."""
    given = os.environ.get("SIM2REAL_ROBOSUITE")
    found = find_spec("robosuite")
    base = Path(given) if given else Path(found.origin).parent if found and found.origin else None
    return base / "models" / "assets" / "robots" if base else None


@pytest.mark.parametrize("name", ROBOSUITE)
def test_an_arm_of_robosuite_loads_from_its_draft_and_holds_a_pose(
    name: str, tmp_path: Path
) -> None:
    robots = robosuite_robots()
    if robots is None:
        pytest.skip("robosuite is not installed (pip install --no-deps robosuite)")
    path = tmp_path / "robot.yaml"
    spec = load(path, to_yaml(draft(str(robots / name / "robot.xml"))))
    assert spec.nq == (6 if name == "ur5e" else 7)
    run = simulate(Arguments(robot=str(path), policy="hold", goals="", stop_after=1.0))
    assert np.abs(run.q - spec.home).max() < 1e-6
