"""The policy as a node of its own: `joint_states` in, `policy/target` out."""

from __future__ import annotations

from ros2_sim2real.nodes.pipeline import PolicyStage
from ros2_sim2real.nodes.shell import run


class PolicyNode(PolicyStage):
    """Answers every new state with the target in force."""

    def __init__(self) -> None:
        super().__init__("policy", topic="policy/target")


def main() -> None:
    """Entry point of the executable `policy`."""
    run(PolicyNode)


if __name__ == "__main__":
    main()
