"""Builds the package: for pip (wheel, editable) and for colcon (ament_python) alike."""

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from setuptools import Distribution, find_packages, setup

HERE = Path(__file__).resolve().parent
NAME = "ros2_sim2real"
SHARE = f"share/{NAME}"

# A sourced ROS installation brings rclpy and the messages of its own build: wheels beside it would
# be a second copy that shadows it. ROS's own setup scripts set ROS_DISTRO; the wheels never do.
ROS_WHEELS = [
    "ros-rclpy[fastrtps]>=7.1.6,<10",
    "ros-builtin-interfaces>=2.0.3,<3",
    "ros-diagnostic-msgs>=5.3.6,<6",
    "ros-geometry-msgs>=5.3.6,<6",
    "ros-rcl-interfaces>=2.0.3,<3",
    "ros-rosgraph-msgs>=2.0.3,<3",
    "ros-sensor-msgs>=5.3.6,<6",
    "ros-std-msgs>=5.3.6,<6",
    "ros-std-srvs>=5.3.6,<6",
    "ros-trajectory-msgs>=5.3.6,<6",
]

# What a robot needs. Training, plots and tools are extras, so that deployment stays small.
DEPLOY = [
    "honcho>=2.0,<3",
    "mujoco>=3.17,!=4.0.0,<4.1",  # 4.0.0 has a wrong sparse Cholesky factor
    "numpy>=1.26,<3",
    "onnx>=1.21,<2",  # below 1.21: CVE-2026-27489, CVE-2026-28500, CVE-2026-34445
    "onnxruntime>=1.20,<2",
    "opencv-python-headless>=4.10,<6",
    "protobuf>=5.26,<8",
    "pydantic>=2.8,<3",
    "pyyaml>=6.0,<7",
    "rich>=13.7,<16",
    "tyro>=0.9,<2",
]

EXTRAS = {
    "train": [
        "onnxscript>=0.5.4,<1",
        "rsl-rl-lib>=5.5,<6",
        "tensorboard>=2.18,<3",
        "torch>=2.10,<3",  # below 2.10: torch.load can be made to run code (CVE-2026-24747)
    ],
    "view": ["matplotlib>=3.9,<4"],
    "dev": [
        "catkin-pkg>=1.0,<2",
        "codespell>=2.4,<3",
        "colcon-core>=0.18,<1",
        "colcon-ros>=0.5,<1",
        "hypothesis>=6.100,<7",
        "import-linter>=2.3,<3",
        "mypy>=1.15,<3",
        "pre-commit>=4.0,<5",
        "pytest>=8.3,<10",
        "pytest-rerunfailures>=14,<17",
        "pytest-timeout>=2.3,<3",
        "pytest-xdist>=3.6,<4",
        "ruff>=0.12,<1",
        "setuptools>=68,<80",  # colcon's --symlink-install needs `setup.py develop`, gone in 80
        "types-PyYAML>=6.0,<7",
    ],
}


def read_package_xml() -> dict[str, str]:
    """Returns the metadata that package.xml states, so that it is written once."""
    root = ElementTree.parse(HERE / "package.xml").getroot()
    fields = {
        tag: (root.findtext(tag) or "").strip() for tag in ("version", "description", "license")
    }
    maintainer = root.find("maintainer")
    return {
        **fields,
        "maintainer": (maintainer.text or "").strip(),
        "maintainer_email": maintainer.get("email", ""),
    }


def files(folder: str, into: str) -> list[tuple[str, list[str]]]:
    """Returns data_files entries for every file below `folder`; data_files does not recurse."""
    found: dict[str, list[str]] = {}
    for path in sorted((HERE / folder).rglob("*")):
        relative = path.relative_to(HERE)
        if path.is_file() and not any(p.startswith((".", "__pycache__")) for p in relative.parts):
            parent = relative.parent.relative_to(folder)
            found.setdefault(str(Path(into, parent)), []).append(str(relative))
    return list(found.items())


class WithDataFiles(Distribution):
    """Lets `pip install -e` install data_files too: `ros2 launch` then works from a checkout."""

    def has_data(self) -> bool:
        """Returns whether there are data_files; editable installs ask by this name."""
        return self.has_data_files()


setup(
    name=NAME,
    distclass=WithDataFiles,
    **read_package_xml(),
    long_description=(HERE / "README.md").read_text() if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    python_requires=">=3.11",
    install_requires=DEPLOY + ([] if os.environ.get("ROS_DISTRO") else ROS_WHEELS),
    extras_require=EXTRAS,
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml", "LICENSE"]),
        *files("launch", f"{SHARE}/launch"),
        *files("config", f"{SHARE}/config"),
        *files("models", f"{SHARE}/models"),
        # `ros2 run` and `ros2 launch` look for executables here and nowhere else.
        *files("scripts", f"lib/{NAME}"),
    ],
    entry_points={"console_scripts": [f"sim2real = {NAME}.cli:main"]},
    zip_safe=False,
)
