"""Every test process is alone: its own ROS domain, shared memory only, rendering in software."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from ros2_sim2real import headless

MARKED_FOLDERS = ("ros", "sim", "launch", "hardware")
DOMAINS = 100  # 1 to 100: higher ids overlap the ports that the kernel hands out
_HELD: list[int] = []  # file descriptors; the locks last as long as this process


def _reserve_domain() -> int:
    """Returns a domain id that no other test process on this machine uses while this one lives."""
    for attempt in range(DOMAINS):
        # Not always from 1: a domain that was just left still holds the ghosts of its last users.
        domain = 1 + (os.getpid() + attempt) % DOMAINS
        path = Path(tempfile.gettempdir(), f"ros2_sim2real-test-domain-{domain}.lock")
        try:
            held = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        _HELD.append(held)
        return domain
    raise RuntimeError(f"all {DOMAINS} ROS domains are in use by other test processes")


# Before any test module is imported: rclpy and mujoco read these when they start.
os.environ["ROS_DOMAIN_ID"] = str(_reserve_domain())
os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "SHM"
os.environ["ROS_LOG_DIR"] = tempfile.mkdtemp(prefix="ros2_sim2real-test-log-")
os.environ.update(headless.environment())
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by the folder they lie in; a physical arm moves only where somebody said so."""
    for item in items:
        for folder in MARKED_FOLDERS:
            if folder in item.path.parent.parts:
                item.add_marker(getattr(pytest.mark, folder))
        if "hardware" in item.keywords and os.environ.get("SIM2REAL_HARDWARE") != "1":
            item.add_marker(pytest.mark.skip(reason="moves a physical arm: SIM2REAL_HARDWARE=1"))


@pytest.fixture(scope="session")
def root() -> Path:
    """Returns the root of the repository."""
    return Path(__file__).resolve().parent.parent
