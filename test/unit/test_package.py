"""What the package files promise: complete, consistent, and nothing undeclared."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ros2_sim2real

ROS_PACKAGES = {
    "builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "rcl_interfaces", "rclpy",
    "rosgraph_msgs", "sensor_msgs", "std_msgs", "std_srvs", "tf2_msgs", "trajectory_msgs",
}  # fmt: skip
WITHOUT_WHEEL = {"tf2_msgs"}  # used where it is there
DISTRIBUTION_OF = {"cv2": "opencv-python-headless", "google": "protobuf", "yaml": "pyyaml"}
NODES = ("correction", "loopback", "mujoco", "pipeline", "policy", "safety")
# Prints what setup.py hands to setuptools, without building anything.
ASK = """
import json, runpy, setuptools
setuptools.setup = lambda **given: print(json.dumps(given, default=str))
runpy.run_path("setup.py")
"""


def ask_setup(root: Path, **environment: str) -> dict:
    kept = {k: v for k, v in os.environ.items() if k != "ROS_DISTRO"}
    said = subprocess.run(
        [sys.executable, "-c", ASK], cwd=root, env={**kept, **environment},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(said.stdout)


@pytest.fixture(scope="module")
def setup(root: Path) -> dict:
    return ask_setup(root)


@pytest.fixture(scope="module")
def package(root: Path) -> ElementTree.Element:
    return ElementTree.parse(root / "package.xml").getroot()


def imported(root: Path, *, offline: bool) -> set[str]:
    """Returns the top-level names that the package imports anywhere, function bodies included."""
    names: set[str] = set()
    for path in (root / "ros2_sim2real").rglob("*.py"):
        if ("offline" in path.parts) is not offline:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"ros2_sim2real"}


def names_of(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(r).name) for r in requirements}


def test_xmllint_finds_package_xml_well_formed(root: Path) -> None:
    xmllint = shutil.which("xmllint")
    if xmllint is None:
        pytest.skip("xmllint is not installed (Debian: libxml2-utils)")
    said = subprocess.run(
        [xmllint, "--noout", "--nonet", "package.xml"], cwd=root, capture_output=True, text=True
    )
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_ros_tools_read_package_xml_without_a_complaint(root: Path) -> None:
    parse = pytest.importorskip("catkin_pkg.package").parse_package
    complaints: list[str] = []
    found = parse(str(root / "package.xml"), warnings=complaints)
    found.validate(warnings=complaints)
    assert complaints == []
    assert (found.package_format, found.get_build_type()) == (3, "ament_python")


def test_package_xml_names_no_key_that_blocks_a_release(package: ElementTree.Element) -> None:
    keys = {(e.tag, e.text) for e in package if e.tag.endswith("depend")}
    assert not [k for _, k in keys if k.endswith("-pip")]  # pip keys cannot be released
    assert not [t for t, _ in keys if t == "buildtool_depend"]  # ament_python is not a rosdep key


def test_every_ros_package_that_is_imported_is_declared(
    root: Path, package: ElementTree.Element, setup: dict
) -> None:
    used = imported(root, offline=False) & ROS_PACKAGES
    declared = {e.text for e in package.iter("exec_depend")}
    wheels = {
        n.removeprefix("ros-").replace("-", "_") for n in names_of(setup["install_requires"])
    }
    assert used <= declared
    assert used - WITHOUT_WHEEL <= wheels


def test_every_module_that_is_imported_comes_from_a_declared_dependency(
    root: Path, setup: dict
) -> None:
    deploy = names_of(setup["install_requires"])
    train = deploy | names_of(setup["extras_require"]["train"])
    view = names_of(setup["extras_require"]["view"])
    aliases = {"pydantic_core": "pydantic", "rsl_rl": "rsl-rl-lib", "tensordict": "rsl-rl-lib"}
    for offline, known in ((False, deploy | view), (True, train | view)):
        names = imported(root, offline=offline) - ROS_PACKAGES
        wanted = {canonicalize_name({**DISTRIBUTION_OF, **aliases}.get(n, n)) for n in names}
        assert wanted <= known


def test_versions_agree(root: Path, package: ElementTree.Element) -> None:
    version = package.findtext("version")
    released = re.search(r"^(\d+\.\d+\.\d+)", (root / "CHANGELOG.rst").read_text(), re.MULTILINE)
    assert version == ros2_sim2real.__version__
    assert released is not None
    assert released[1] == version


def test_every_launch_config_and_model_file_is_installed_where_it_lay(
    root: Path, setup: dict
) -> None:
    installed = {
        (Path(into, Path(name).name), name)
        for into, names in setup["data_files"]
        for name in names
    }
    share = Path("share/ros2_sim2real")
    for folder in ("launch", "config", "models"):
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(root)
                assert (share / name, str(name)) in installed


def test_ros_tools_find_the_marker_and_one_executable_a_node(root: Path, setup: dict) -> None:
    data = dict(setup["data_files"])
    assert data["share/ament_index/resource_index/packages"] == ["resource/ros2_sim2real"]
    assert "package.xml" in data["share/ros2_sim2real"]
    executables = {p.name for p in (root / "scripts").iterdir() if os.access(p, os.X_OK)}
    assert executables == set(NODES)
    assert {f"scripts/{n}" for n in (*NODES, "_run")} == set(data["lib/ros2_sim2real"])
    for name in NODES:
        assert (root / "ros2_sim2real/nodes" / f"{name}.py").is_file()


def test_deployment_has_no_torch_and_no_plots(setup: dict) -> None:
    heavy = {"torch", "rsl-rl-lib", "tensorboard", "onnxscript", "matplotlib", "pytest"}
    assert not names_of(setup["install_requires"]) & heavy


def test_a_sourced_ros_brings_its_own_rclpy(root: Path, setup: dict) -> None:
    beside_ros = names_of(ask_setup(root, ROS_DISTRO="jazzy")["install_requires"])
    alone = names_of(setup["install_requires"])
    assert "ros-rclpy" in alone
    assert beside_ros == {n for n in alone if not n.startswith("ros-")}


def requirements(setup: dict) -> list[Requirement]:
    listed = [
        *setup["install_requires"],
        *(r for e in setup["extras_require"].values() for r in e),
    ]
    return [Requirement(r) for r in listed]


def test_every_dependency_has_a_lower_and_an_upper_bound(setup: dict) -> None:
    for requirement in requirements(setup):
        kinds = {s.operator for s in requirement.specifier}
        assert ">=" in kinds, requirement
        assert "<" in kinds, requirement


def test_ci_pins_every_dependency_within_its_bounds(root: Path, setup: dict) -> None:
    text = (root / "constraints.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
    pins = dict(line.split("==") for line in lines)
    assert lines == sorted(lines)
    for requirement in requirements(setup):
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(pins[name]), f"{requirement} pinned to {pins[name]}"
