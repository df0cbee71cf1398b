"""Where the files that ship with the package lie: source tree, wheel and colcon install alike."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path

from ros2_sim2real.errors import ConfigError

_PACKAGE = "ros2_sim2real"
DESCRIPTIONS = "robot_descriptions:"  # what stands before a name of that package


def share() -> Path:
    """Returns the folder that holds config/, models/ and launch/."""
    source = Path(__file__).resolve().parent.parent
    if (source / "package.xml").is_file() and (source / "config").is_dir():
        return source
    # data_files land under the install prefix: <prefix>/lib/pythonX.Y/site-packages/<package>
    for prefix in (*Path(__file__).resolve().parents, Path(sys.prefix)):
        candidate = prefix / "share" / _PACKAGE
        if (candidate / "config").is_dir():
            return candidate
    return source


def find(name: str, *, folder: str, suffixes: tuple[str, ...]) -> Path | None:
    """Returns the file that `name` means: a path as it stands, or a name within `folder`."""
    root = share() / folder
    try:
        given = Path(name).expanduser()
        candidates = (given, *(root / f"{name}{suffix}" for suffix in ("", *suffixes)))
        return next((path for path in candidates if path.is_file()), None)
    except (OSError, RuntimeError, ValueError):  # too long, not permitted, no such user
        return None


def known(folder: str, pattern: str) -> list[str]:
    """Returns the names that `find` would find in `folder`, for messages that list what exists."""
    return sorted(p.stem for p in (share() / folder).glob(pattern))


def described(name: str) -> Path:
    """Returns the MJCF that the package robot_descriptions has under `name`.

    The package fetches the model on first use and keeps it; `panda` is short for
    `panda_mj_description`.

    Raises:
        ConfigError: the package or the model is not there, or could not be fetched.
    """
    where = f"`{DESCRIPTIONS}{name}`"
    if not re.fullmatch(r"[a-zA-Z0-9_]+", name):
        raise ConfigError(where, ["expected a name like `panda`: letters, digits, underscores"])
    if importlib.util.find_spec("robot_descriptions") is None:
        raise ConfigError(
            where, ["needs the package of that name. pip install robot_descriptions"]
        )
    modules = [f"robot_descriptions.{n}" for n in (f"{name}_mj_description", name)]
    module = next((m for m in modules if importlib.util.find_spec(m) is not None), None)
    if module is None:
        raise ConfigError(where, ["is not in robot_descriptions. Check the list of its models"])
    try:
        path = getattr(importlib.import_module(module), "MJCF_PATH", None)
    except Exception as error:  # noqa: BLE001  its import clones; git's errors have no base in common
        raise ConfigError(where, [f"could not be fetched: {error}"]) from None
    if path is None or not Path(path).is_file():
        raise ConfigError(where, [f"has no MJCF file, got {path}. Take one that has"])
    return Path(path)
