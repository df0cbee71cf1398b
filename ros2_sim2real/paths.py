"""Where the files that ship with the package lie: source tree, wheel and colcon install alike."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = "ros2_sim2real"


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
