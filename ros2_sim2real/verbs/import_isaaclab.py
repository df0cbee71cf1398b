"""`sim2real import isaaclab`: a trainer's artefacts become one ONNX file with its contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ros2_sim2real.offline._import_pipeline import ImportReport
from ros2_sim2real.offline.import_overrides import ImportFlags
from ros2_sim2real.offline.isaaclab import import_isaaclab
from ros2_sim2real.verbs._output import console, parse, print_json


@dataclass(frozen=True)
class ImportArguments:
    """Turns an Isaac Lab policy and its env.yaml into ONNX with a contract.

    Prints what it understood, what it assumed and what is missing.
    """

    policy: Annotated[Path, tyro.conf.Positional]
    """exported/policy.pt or policy.onnx"""
    env: Annotated[Path, tyro.conf.Positional]
    """params/env.yaml of the same run"""
    robot: str
    """robot file: a path, or a name within config/robots"""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """policy file to write"""
    stated: tyro.conf.OmitArgPrefixes[ImportFlags]
    trust: bool = False
    """open TorchScript, which can do whatever you can; it runs in a child process"""
    json: bool = False
    """print the report as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Writes the file and prints the report."""
    given = parse(
        ImportArguments,
        argv,
        prog=prog,
        example=f"{prog} policy.pt env.yaml --robot ur10 --trust -o reach-ur10.onnx",
    )
    report = import_isaaclab(
        given.policy,
        given.env,
        robot=given.robot,
        output=given.output,
        trust=given.trust,
        overrides=given.stated.overrides(),
    )
    print_report(report, given.output, as_json=given.json)
    return 0


def print_report(report: ImportReport, output: Path, *, as_json: bool) -> None:
    """Prints what an import understood, assumed and missed."""
    if as_json:
        print_json(_figures(report, output))
        return
    rows = (
        ("understood", report.understood),
        ("assumed", report.assumed),
        ("not stated anywhere", report.missing),
    )
    for title, lines in rows:
        console.print(f"[bold]{title}[/bold]" if lines else "", end="\n" if lines else "")
        for line in lines:
            console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(
        f"wrote {output}: answers as the original within {report.difference:.1e}",
        markup=False,
    )


def _figures(report: ImportReport, output: Path) -> dict[str, object]:
    return {
        "output": str(output),
        "understood": list(report.understood),
        "assumed": list(report.assumed),
        "missing": list(report.missing),
        "sha256": report.sha256,
        "max_difference": report.difference,
        "contract": report.contract.model_dump(mode="json"),
    }
