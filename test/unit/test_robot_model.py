"""What of a foreign MJCF becomes the robot's model, and what is left out or refused."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from builders import refusal

from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.dynamics.mjcf import build_model, read_spec
from ros2_sim2real.errors import RobotModelError
from ros2_sim2real.robot import RobotSpec, load_robot

MODEL = """
<mujoco>
  {include}
  <worldbody><body name="base"><body name="arm">
    <joint name="a" axis="0 1 0" range="-1 1"/>
    <geom type="capsule" size="0.02" fromto="0 0 0 0.3 0 0"/>
    <body name="hand" pos="0.3 0 0" euler="0 0 30">
      <joint name="jaw" axis="0 1 0" ref="0.4" range="-1 1"/>
      <geom type="capsule" size="0.02" fromto="0 0 0 0.1 0 0"/>
    </body>
  </body></body></worldbody>
  <tendon><fixed name="t"><joint joint="jaw" coef="1"/></fixed></tendon>
  <equality><joint joint1="jaw" polycoef="0.2 0 0 0 0"/><tendon tendon1="t"/></equality>
  <actuator><position tendon="t"/><motor joint="a"/></actuator>
  <sensor><jointpos joint="jaw"/><tendonpos tendon="t"/></sensor>
  <keyframe><key name="home" qpos="0 0" ctrl="0 0"/></keyframe>
</mujoco>
"""


def robot(tmp_path: Path, include: str = "", **changes: object) -> RobotSpec:
    path = tmp_path / "model.xml"
    path.write_text(MODEL.format(include=include))
    base = load_robot("teach2")
    joint = base.joints[0].model_copy(
        update={"name": "a", "lower": -1.0, "upper": 1.0, "home": 0.1}
    )
    update = {"mjcf": str(path), "tool_site": "body:hand", "joints": (joint,), **changes}
    return base.model_copy(update=update)


def test_an_extra_joint_stays_at_its_reference_and_takes_its_servos_along(tmp_path: Path) -> None:
    spec = robot(tmp_path, extra_joints=("jaw",))
    model = build_model(spec, timestep=0.002)
    assert (model.nq, model.nu, model.neq, model.ntendon) == (1, 1, 0, 0)
    ours, theirs = (
        mujoco.MjData(model),
        mujoco.MjData(raw := read_spec(spec.mjcf_path()).compile()),
    )
    ours.qpos[0], theirs.qpos[:] = 0.3, (0.3, raw.qpos0[1])
    for m, d in ((model, ours), (raw, theirs)):
        mujoco.mj_kinematics(m, d)
    np.testing.assert_allclose(ours.body("hand").xmat, theirs.body("hand").xmat, atol=1e-12)
    np.testing.assert_allclose(ours.body("hand").xpos, theirs.body("hand").xpos, atol=1e-12)


def test_a_joint_that_nobody_named_is_refused(tmp_path: Path) -> None:
    message = refusal(lambda: build_model(robot(tmp_path), timestep=0.002), RobotModelError)
    assert message is not None
    assert "also has the joints ['jaw']. Name those" in message
    message = refusal(
        lambda: build_model(robot(tmp_path, extra_joints=("jaw", "x")), timestep=0.002),
        RobotModelError,
    )
    assert message is not None
    assert "`extra_joints` ['x'] are not joints of the model" in message


def test_the_origin_of_a_body_serves_as_the_tool(tmp_path: Path) -> None:
    spec = robot(tmp_path, extra_joints=("jaw",), base_frame="base")
    tool = Kinematics(spec).update(np.array([0.0]), np.array([1.0]))
    np.testing.assert_allclose(tool.position, [0.3, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(tool.linear_velocity, [0.0, 0.0, -0.3], atol=1e-12)
    wrong = spec.model_copy(update={"tool_site": "body:head"})
    message = refusal(lambda: build_model(wrong, timestep=0.002), RobotModelError)
    assert message is not None
    assert "'body:head' is not a body of the model, which has" in message


@pytest.mark.parametrize(
    "name", ["../outside.xml", "/etc/hostname", "sub/../../outside.xml", "part.xml"]
)
def test_an_include_that_leads_out_of_the_models_folder_is_refused(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.xml").write_text("<mujoco/>")
    (folder / "part.xml").write_text('<mujoco><include file="../outside.xml"/></mujoco>')
    spec = robot(folder, f"<include\n file='{name}'/>", extra_joints=("jaw",))
    message = refusal(lambda: build_model(spec, timestep=0.002), RobotModelError)
    assert message is not None
    assert "expected a file in" in message


def test_an_include_beside_the_model_and_meshes_of_another_folder_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "meshes").mkdir()
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"
    faces = "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    (tmp_path / "meshes" / "part.obj").write_text(corners + faces)
    (folder / "part.xml").write_text(
        '<mujoco><compiler meshdir="../meshes"/><asset><mesh name="m" file="part.obj"/></asset>'
        "</mujoco>"
    )
    spec = robot(folder, '<include file="part.xml"/>', extra_joints=("jaw",))
    assert build_model(spec, timestep=0.002).nmesh == 1
