"""The first rung of the ladder on topics: the state follows the command."""

from __future__ import annotations

from ros2_sim2real.backends.loopback import LoopbackBackend
from ros2_sim2real.nodes.parameters import declare
from ros2_sim2real.nodes.shell import run
from ros2_sim2real.nodes.simulation import SimulationNode, SimulationParameters
from ros2_sim2real.policy.load import contract_of
from ros2_sim2real.robot import RobotSpec, load_robot


class LoopbackNode(SimulationNode):
    """Shell of `backends.loopback.LoopbackBackend`."""

    def __init__(self) -> None:
        super().__init__("loopback")

    def build(self) -> tuple[SimulationParameters, RobotSpec, LoopbackBackend]:
        """Declares the parameters and makes the arm."""
        config = declare(self, SimulationParameters)
        spec = load_robot(config.robot)
        contract = contract_of(config.policy)
        start = contract.start_pose(spec) if contract else None
        return config, spec, LoopbackBackend(spec, rate_hz=config.rate_hz, start=start)


def main() -> None:
    """Entry point of the executable `loopback`."""
    run(LoopbackNode)


if __name__ == "__main__":
    main()
