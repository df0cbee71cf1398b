"""`sim2real import FORMAT`: what other trainers leave behind becomes ONNX with its contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ros2_sim2real.offline._import_pipeline import ImportReport
from ros2_sim2real.offline.import_overrides import ImportFlags, ImportOverrides
from ros2_sim2real.verbs._output import parse
from ros2_sim2real.verbs.import_isaaclab import print_report

Path_ = Annotated[Path, tyro.conf.Positional]
Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]


@dataclass(frozen=True)
class _Common:
    policy: Path_
    """the trainer's file of the policy"""
    robot: str
    """robot file: a path, or a name within config/robots"""
    output: Output
    """policy file to write"""
    stated: tyro.conf.OmitArgPrefixes[ImportFlags]
    json: bool = False
    """print the report as JSON on standard output"""

    def given(self) -> dict[str, Any]:
        """Returns what every import takes."""
        return {"robot": self.robot, "output": self.output, "stated": self.overrides()}

    def overrides(self) -> ImportOverrides:
        """Returns what the flags state together."""
        return self.stated.overrides()


@dataclass(frozen=True)
class TorchScript(_Common):
    """Turns TorchScript that says nothing about itself into ONNX with a contract.

    Hidden memory (LSTM buffers, as unitree_rl_gym exports them) becomes explicit. Everything
    that the contract holds is stated by flags or in --contract-overrides.
    """

    trust: bool = False
    """open TorchScript, which can do whatever you can; it runs in a child process"""

    def run(self) -> ImportReport:
        """Writes the file."""
        from ros2_sim2real.offline.import_torchscript import import_torchscript

        return import_torchscript(self.policy, trust=self.trust, **self.given())


@dataclass(frozen=True)
class Onnx(_Common):
    """Turns ONNX with metadata, as mjlab and holosoma write it, into ONNX with a contract."""

    def run(self) -> ImportReport:
        """Writes the file."""
        from ros2_sim2real.offline.import_onnx import import_onnx

        return import_onnx(self.policy, **self.given())


@dataclass(frozen=True)
class RlSar(_Common):
    """Turns a policy of rl_sar and its config.yaml into ONNX with a contract."""

    config: Path | None = None
    """config.yaml of the policy; by default beside it"""
    base: Path | None = None
    """base.yaml of the robot; by default where rl_sar looks for it"""
    trust: bool = False
    """open TorchScript, which can do whatever you can; it runs in a child process"""

    def run(self) -> ImportReport:
        """Writes the file."""
        from ros2_sim2real.offline.import_rl_sar import import_rl_sar

        config = self.config or self.policy.parent / "config.yaml"
        return import_rl_sar(self.policy, config, base=self.base, trust=self.trust, **self.given())


@dataclass(frozen=True)
class Unitree(_Common):
    """Turns a policy of unitree_rl_lab and its deploy.yaml into ONNX with a contract."""

    deploy: Path | None = None
    """params/deploy.yaml of the run; by default ../params/deploy.yaml"""
    trust: bool = False
    """open TorchScript, which can do whatever you can; it runs in a child process"""

    def run(self) -> ImportReport:
        """Writes the file."""
        from ros2_sim2real.offline.import_unitree import import_unitree

        deploy = self.deploy or self.policy.parent.parent / "params" / "deploy.yaml"
        return import_unitree(self.policy, deploy, trust=self.trust, **self.given())


@dataclass(frozen=True)
class Sb3(_Common):
    """Turns a stable-baselines3 archive into ONNX with a contract.

    Only weights and JSON are read. Needs the [train] extra, not stable-baselines3.
    """

    normaliser: str | None = None
    """npz with VecNormalize's statistics (mean, var, epsilon, clip_obs), or none"""
    activation: str | None = None
    """between the layers, where the archive does not say it"""
    env: Path | None = None
    """params/env.yaml, where Isaac Lab trained it"""

    def run(self) -> ImportReport:
        """Writes the file."""
        from ros2_sim2real.offline.import_checkpoint import import_sb3

        return import_sb3(
            self.policy,
            normaliser=self.normaliser,
            activation=self.activation,
            env=self.env,
            **self.given(),
        )


@dataclass(frozen=True)
class RslRl(_Common):
    """Turns rsl_rl's model_*.pt into ONNX with a contract.

    Only weights are read. Needs the [train] extra.
    """

    agent: Path | None = None
    """params/agent.yaml of the run: activation and bounds of the action"""
    env: Path | None = None
    """params/env.yaml of the run, where Isaac Lab trained it"""
    activation: str | None = None
    """between the layers, where no agent.yaml says it"""

    def run(self) -> ImportReport:
        """Writes the file."""
        from ros2_sim2real.offline.import_checkpoint import import_rsl_rl

        return import_rsl_rl(
            self.policy,
            agent=self.agent,
            env=self.env,
            activation=self.activation,
            **self.given(),
        )


FORMATS: dict[str, tuple[type[Any], str]] = {
    "torchscript": (
        TorchScript,
        "policy.pt --contract-overrides go2.yaml --robot go2.yaml --trust",
    ),
    "onnx": (Onnx, "policy.onnx --robot arm.yaml --rate-hz 50 --decimation 4"),
    "rl_sar": (RlSar, "policy.pt --config config.yaml --robot arm.yaml --trust"),
    "unitree": (Unitree, "policy.onnx --deploy deploy.yaml --robot arm.yaml --decimation 4"),
    "sb3": (
        Sb3,
        "best_model.zip --normaliser norm.npz --contract-overrides reach.yaml --robot ur5e",
    ),
    "rsl_rl": (RslRl, "model_1500.pt --agent agent.yaml --env env.yaml --robot ur10"),
}


def main(argv: Sequence[str], *, prog: str) -> int:
    """Writes the file and prints the report; the last word of `prog` is the format."""
    schema, example = FORMATS[prog.rpartition(" ")[2]]
    given = parse(schema, argv, prog=prog, example=f"{prog} {example} -o out.onnx")
    run: Callable[[], ImportReport] = given.run
    print_report(run(), given.output, as_json=given.json)
    return 0
