"""How often an Isaac Lab env.yaml decided and stepped its physics."""

from __future__ import annotations

from typing import NamedTuple

from ros2_sim2real.offline._import_env import Env
from ros2_sim2real.offline.import_overrides import ImportOverrides


class Rates(NamedTuple):
    """How often training decided and stepped its physics."""

    rate_hz: float
    physics_hz: float
    decimation: int


def rates(env: Env, overrides: ImportOverrides) -> Rates | None:
    """Returns the rates of training; None when one is missing or wrong."""
    dt = env.number(env.get("sim.dt"), "sim.dt")
    stated = env.number(env.get("decimation"), "decimation")
    decimation = overrides.decimation if overrides.decimation is not None else stated
    if decimation is None:
        env.findings.need("`decimation`, physics steps per decision", "decimation")
        return None
    if decimation < 1 or decimation != int(decimation):
        env.findings.problems.append(
            f"`decimation` got {decimation}, expected a whole number above 0"
        )
        return None
    decimation = int(decimation)
    if overrides.rate_hz is not None:
        return Rates(overrides.rate_hz, overrides.rate_hz * decimation, decimation)
    if dt is None:
        env.findings.need("`sim.dt`, the physics step", "rate_hz")
        return None
    if not 1e-6 <= dt <= 1.0:
        env.findings.problems.append(
            f"`sim.dt` got {dt}, expected a physics step between 1e-6 and 1 s"
        )
        return None
    physics = 1.0 / dt
    if abs(physics - round(physics)) < 1e-6 * physics:  # dt was written with finitely many digits
        physics = float(round(physics))
    rate = physics / decimation
    env.findings.understood.append(
        f"{rate:.6g} decisions a second, physics at {physics:.6g} Hz (`sim.dt`, `decimation`)"
    )
    return Rates(rate, physics, decimation)
