"""`sim2real`: one verb per step from a policy file to a moving arm."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence

from ros2_sim2real import headless
from ros2_sim2real.errors import Sim2RealError

# verb -> (module with `main`, one line of help). Imported only when asked for: help is quick.
VERBS: dict[str, tuple[str, str]] = {
    "demo": (
        "demo",
        "the main job in a minute: a reach policy drives a simulated UR5e to five goals",
    ),
    "up": ("up", "bring up the graph without `ros2 launch`: sim2real up sim robot:=ur5e"),
    "check": ("check", "the pre-flight: contract, robot file, model and running graph fit"),
    "evaluate": ("evaluate", "run a policy to its goals and print how near it came"),
    "import isaaclab": (
        "import_isaaclab",
        "turn an Isaac Lab policy and its env.yaml into ONNX + contract",
    ),
    "parity": ("parity", "compare a policy with the golden vectors in its file, and live"),
    "golden": ("golden", "record golden vectors into a policy file that has none"),
    "import torchscript": (
        "import_policy",
        "turn TorchScript, hidden LSTM memory included, into ONNX + contract",
    ),
    "import onnx": (
        "import_policy",
        "turn ONNX with the metadata of mjlab or holosoma into ONNX + contract",
    ),
    "import rl_sar": (
        "import_policy",
        "turn a policy of rl_sar and its config.yaml into ONNX + contract",
    ),
    "import unitree": (
        "import_policy",
        "turn a policy of unitree_rl_lab and its deploy.yaml into ONNX + contract",
    ),
    "import sb3": ("import_policy", "turn a stable-baselines3 archive into ONNX + contract"),
    "import rsl_rl": ("import_policy", "turn a checkpoint of rsl_rl into ONNX + contract"),
    "train": ("train", "train a policy in the simulator and export it with its contract"),
    "robot init": ("robot_init", "draft a robot file from an MJCF, and say what is missing"),
    "show": ("show", "print the contract inside a policy file"),
    "bench arms": ("bench_arms", "what a second arm costs the first"),
    "bench latency": (
        "bench_latency",
        "latency of the graph beside bare rclpy relays, in one run",
    ),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `sim2real`. Exit status 2 with one line for what the user can mend."""
    given = sys.argv[1:] if argv is None else argv
    try:
        status = _run([part for argument in given for part in _ros_style(argument)])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # `sim2real … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)


def _run(args: Sequence[str]) -> int:
    verb = next((v for v in _spellings(args) if v in VERBS), None)
    if verb is None:
        return _usage(args)
    # Before any thread pool starts: idle OpenMP threads would spin beside the control loop.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.update(headless.environment())
    module = importlib.import_module(f"ros2_sim2real.verbs.{VERBS[verb][0]}")
    try:
        return int(module.main(args[len(verb.split()) :], prog=f"sim2real {verb}"))
    except Sim2RealError as error:
        sys.stderr.write(f"sim2real {verb}: {error}\n")
        return 2


def _ros_style(argument: str) -> list[str]:
    """Takes `name:=value` as `ros2 launch` does."""
    match = re.fullmatch(r"([a-z][a-z0-9_]*):=(.*)", argument, flags=re.DOTALL)
    return [f"--{match[1].replace('_', '-')}", match[2]] if match else [argument]


def _spellings(args: Sequence[str]) -> list[str]:
    return [" ".join(args[:2]), " ".join(args[:1])]


def _usage(args: Sequence[str]) -> int:
    import difflib

    from rich.console import Console
    from rich.table import Table

    asked = not args or args[0] in ("-h", "--help")
    console = Console(stderr=not asked)
    if not asked:
        near = difflib.get_close_matches(
            " ".join(args[:2]), VERBS, n=1
        ) or difflib.get_close_matches(args[0], VERBS, n=1)
        hint = f", did you mean `{near[0]}`?" if near else ""
        console.print(f"sim2real: unknown verb `{args[0]}`{hint}", highlight=False)
    table = Table(title="sim2real VERB …", box=None, title_justify="left", show_header=False)
    for verb, (_, text) in VERBS.items():
        table.add_row(f"  {verb}", text)
    console.print(table)
    console.print("`sim2real VERB --help` explains each, with an example.", highlight=False)
    return 0 if asked else 2


if __name__ == "__main__":
    main()
