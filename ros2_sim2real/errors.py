"""One exception tree: every refusal says what, got, expected, and what to do, in one line."""

from __future__ import annotations

from collections.abc import Sequence

MAX_SHOWN = 20  # problems in one message; a file of another kind has thousands


class Sim2RealError(Exception):
    """Something the user can mend. The CLI and the nodes print it as one line and exit with 2."""

    def __str__(self) -> str:
        """Returns the message on one line, whatever the names and paths in it hold."""
        return " ".join(super().__str__().splitlines())


class ConfigError(Sim2RealError):
    """A YAML file or a parameter is not what its schema says; lists every problem at once."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where = where
        self.problems = list(problems)
        more = len(self.problems) - MAX_SHOWN
        shown = self.problems[:MAX_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        super().__init__(f"{where}: " + "; ".join(shown))


class ContractError(Sim2RealError):
    """What a policy file promises does not fit the robot, the rate or the model it came with."""


class JointMismatch(Sim2RealError):
    """Joints that are expected are not among the joints received."""


class PolicyFileError(Sim2RealError):
    """A policy file is missing, damaged, or holds what we refuse to run."""


class RobotModelError(Sim2RealError):
    """An MJCF file cannot be used as the model of the robot it is meant for."""


class BackendFault(Sim2RealError):
    """The simulated or real arm left the range in which its state means anything."""


class ConversionError(Sim2RealError):
    """A trainer's artefact could not be turned into ONNX with a contract."""


class BringupError(Sim2RealError):
    """A situation cannot be brought up: arguments that exclude each other, or a missing part."""


class TrainingError(Sim2RealError):
    """A training run cannot start, or stopped and kept its last good checkpoint."""
