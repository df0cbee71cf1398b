"""Worlds are strict files of SI numbers, documented by their schema, for the simulator only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from builders import refusal

from ros2_sim2real import paths
from ros2_sim2real.bringup import arguments, plan
from ros2_sim2real.errors import BringupError, ConfigError
from ros2_sim2real.robot import load_robot
from ros2_sim2real.worlds import DISTURBANCES, World, load_world

NAMES = paths.known("config/worlds", "*.yaml")


def test_there_are_enough_worlds_and_each_says_what_it_is() -> None:
    assert len(NAMES) >= 12
    assert sum(load_world(name).description.startswith("Mixture") for name in NAMES) >= 3
    for name in NAMES:
        world = load_world(name)
        assert world.description.endswith("."), name
        assert name == "nominal" or world.model_fields_set > {"description"}, name


def test_nominal_disturbs_nothing() -> None:
    assert load_world("").model_dump() == World().model_dump()
    assert load_world("nominal").model_dump(exclude={"description"}) == World().model_dump(
        exclude={"description"}
    )


@pytest.mark.parametrize("name", NAMES)
def test_one_file_fits_any_arm(name: str) -> None:
    for robot in paths.known("config/robots", "*.yaml"):
        load_world(name, load_robot(robot).nq)


def test_every_disturbance_is_in_some_world_or_has_a_share_there() -> None:
    used = set().union(*(load_world(name).model_fields_set for name in NAMES))
    twins = {"friction_viscous", "friction_coulomb", "payload_mass"}  # worlds here take the share
    assert set(DISTURBANCES) - used == twins


def test_a_world_may_lie_in_any_folder(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("payload_mass: 1\nposition_bias: [0.1, 0.2]\n")
    assert load_world(str(path), 2).position_bias == (0.1, 0.2)


def test_all_problems_of_a_world_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("comand_delay: 0.1\ncommand_drop: 2.0\nstate_delay: -1\nbacklash: .nan\n")
    said = refusal(lambda: load_world(str(path)), ConfigError)
    assert said is not None
    for part in ("did you mean `command_delay`", "`command_drop` got 2.0", "`state_delay` got -1"):
        assert part in said
    assert "line 4: `backlash" in said


def test_a_list_needs_one_entry_per_joint(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "backlash: [0.1, 0.1]\nposition_bias: [0.1]\npayload_offset: [0.0, 0.1, 0.0]\n"
    )
    said = refusal(lambda: load_world(str(path), 6), ConfigError)
    assert said is not None
    assert "`backlash` got 2 values, expected 1 or 6" in said
    assert "`position_bias` got 1 values" in said
    assert "payload_offset" not in said


def test_an_unknown_world_lists_the_known() -> None:
    said = refusal(lambda: load_world("moon"), ConfigError)
    assert said is not None
    assert "world `moon`" in said
    assert "'nominal'" in said


def test_a_bring_up_hands_the_world_to_the_simulator_alone() -> None:
    given = {"robot": "teach2", "policy": "sine", "world": "payload"}
    nodes = {node.executable: node.parameters for node in plan(arguments("sim", given)).nodes}
    assert nodes.pop("mujoco")["world_file"] == "payload"
    assert "payload" not in repr(nodes)
    for more in ({"backend": "loopback"}, {"backend": "external", "mode": "shadow"}):
        said = refusal(lambda more=more: plan(arguments("sim", {**given, **more})), BringupError)
        assert said is not None
        assert "`world` got 'payload'" in said
    assert refusal(lambda: plan(arguments("sim", {**given, "world": "moon"})), ConfigError)


def _rows(root: Path, heading: str) -> dict[str, str]:
    text = (root / "docs/worlds.md").read_text()
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {m[1]: m[2].strip() for m in re.finditer(r"^\| `(\w+)` \| (.*) \|$", section, re.M)}


def test_the_documented_parameters_are_the_schema(root: Path) -> None:
    expected = {n: str(World.model_fields[n].description) for n in World.model_fields}
    del expected["description"]
    rows = _rows(root, "Parameters")
    assert {n: text.split(" | ")[1] for n, text in rows.items()} == expected
    defaults = {n: text.split(" | ")[0] for n, text in rows.items()}
    assert defaults == {n: f"{World.model_fields[n].default}" for n in expected}


def test_the_documented_worlds_are_the_files(root: Path) -> None:
    assert _rows(root, "Worlds in the repository") == {
        name: load_world(name).description for name in NAMES
    }
