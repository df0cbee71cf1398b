"""`sim2real demo`: the main job in a minute, with figures, a plot and a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from ros2_sim2real import pictures
from ros2_sim2real.bringup import arguments, default_policy
from ros2_sim2real.offline.evaluate import Evaluation, evaluate
from ros2_sim2real.policy.load import contract_of
from ros2_sim2real.robot import load_robot
from ros2_sim2real.verbs._output import console, parse, print_json
from ros2_sim2real.verbs.evaluate import goal_table


@dataclass(frozen=True)
class DemoArguments:
    """Drives a simulated arm to five goals: policy, gate, simulator as processes over DDS."""

    robot: str = "ur5e"
    """robot file: a path, or a name within config/robots"""
    policy: str = ""
    """policy file or name; empty: the robot's own"""
    goals: str = "tour"
    """"x,y,z;…" [m] in the policy's frame, a JSON file, or tour: five points of its range"""
    seconds: float = 4.0
    """time for each goal [s]"""
    out: Path = Path("runs/demo")
    """folder for plot, video and figures"""
    video: bool = True
    """render the arm (takes about 10 s)"""
    json: bool = False
    """print the figures as JSON on standard output"""


def main(argv: Sequence[str], *, prog: str) -> int:
    """Runs, prints, draws. Returns 1 when a goal was missed."""
    given = parse(DemoArguments, argv, prog=prog, example=f"{prog} --robot ur5e --seconds 5")
    args = arguments(
        "sim",
        {
            "robot": given.robot,
            "policy": given.policy,
            "goals": given.goals,
            "goal_period": given.seconds,
        },
    )
    with console.status("the arm moves: policy, gate and simulator as three processes …"):
        result = evaluate(args, through="ros")
    figures = demo_figures(result)
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.json:
        console.print(goal_table(result))
        latency = figures["latency_ms"]
        console.print(
            f"loop {figures['loop_hz']:.1f} Hz; state published -> command received: "
            f"p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms"
        )
    written = _draw(result, given)
    (given.out / "figures.json").write_text(_json(figures))
    if given.json:
        print_json(figures)
    elif written:
        console.print("wrote " + ", ".join(str(p) for p in written))
    return 0 if result.reached == len(result.goals) else 1


def demo_figures(result: Evaluation) -> dict[str, Any]:
    """Returns the figures that `--json` prints."""
    run = result.run
    seen = run.latency[np.isfinite(run.latency)] * 1e3
    p50, p99 = np.percentile(seen, (50, 99))
    return {
        "goals": len(result.goals),
        "reached": result.reached,
        "error_mm_max": round(max(g.error_mm for g in result.goals), 3),
        "latency_ms": {"p50": round(float(p50), 3), "p99": round(float(p99), 3)},
        "loop_hz": round(float((len(run.wall) - 1) / (run.wall[-1] - run.wall[0])), 2),
    }


def _draw(result: Evaluation, given: DemoArguments) -> list[Path]:
    spec = load_robot(given.robot)
    contract = contract_of(given.policy or default_policy(spec.name))
    if contract is None:
        return []
    goals = [np.array(g.goal) for g in result.goals]
    plot, stills, video = (given.out / name for name in ("plot.png", "goals.png", "arm.mp4"))
    period, written = given.seconds, []
    try:
        pictures.write_plot(
            *(result.run, spec, contract, goals, plot),
            goal_period=period,
            tolerance_mm=result.tolerance_mm,
        )
        written.append(plot)
    except pictures.PictureError as error:
        console.print(f"no plot: {error}")
    if not given.video:
        return written
    try:
        painter = pictures.ArmPainter(spec, contract, (480, 360))
        pictures.write_stills(result.run, painter, goals, stills, goal_period=period)
        written.append(stills)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("rendering the video", total=1.0)
            pictures.write_video(
                *(result.run, painter, goals, video),
                goal_period=period,
                progress=lambda share: progress.update(task, completed=share),
            )
        written.append(video)
        painter.close()
    except pictures.PictureError as error:
        console.print(f"no pictures of the arm: {error}")
    return written


def _json(figures: dict[str, Any]) -> str:
    import json

    return json.dumps(figures, indent=2) + "\n"
