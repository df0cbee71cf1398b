"""Which nodes run in which situation, with which parameters: read by launch/ and by the CLI."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args, get_origin

from pydantic import Field

from ros2_sim2real import headless, paths
from ros2_sim2real.check.static import examine
from ros2_sim2real.config import Schema, validate
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.errors import BringupError
from ros2_sim2real.policy.goals import parse_goals
from ros2_sim2real.policy.load import contract_of, load_policy
from ros2_sim2real.robot import load_robot
from ros2_sim2real.safety.gate import MAX_STATE_AGE
from ros2_sim2real.worlds import load_world

Situation = Literal["sim", "real"]
Value = str | float | int | bool
TRANSPORT_VARIABLE = "FASTDDS_BUILTIN_TRANSPORTS"
MIN_RATE = 25.0  # [Hz] slower states would be too old for the gate before the next one comes


class Arguments(Schema):
    """Arguments of a bring-up, the same for `ros2 launch` and for `sim2real up`."""

    robot: str = Field("ur5e", description="robot file: a path, or a name within config/robots")
    policy: str = Field(
        "",
        description="policy file or name, or hold, sine, replay:FILE.npz; empty: the robot's own",
    )
    backend: Literal["mujoco", "loopback", "external"] = Field(
        "mujoco", description="what stands for the arm; external: any publisher of joint_states"
    )
    mode: Literal["shadow", "active"] = Field(
        "active", description="shadow: the whole graph runs, nothing is sent"
    )
    composition: Literal["pipeline", "nodes"] = Field(
        "pipeline", description="policy and correction in one process, or a node each"
    )
    namespace: str = Field(
        "", pattern=r"^/?([A-Za-z_]\w*(/[A-Za-z_]\w*)*/?)?$", description="prefix of every topic"
    )
    clock: Literal["on", "off"] = Field(
        "on", description="publish /clock; of several simulated arms, one does"
    )
    time: Literal["real", "free", "lockstep"] = Field(
        "real",
        description="simulated time: wall clock, as fast as the graph answers, or in lockstep",
    )
    rate_hz: float = Field(0.0, ge=0.0, le=1000.0, description="control rate, 0: from the policy")
    goals: str = Field(
        "tour", description="goals at start: x,y,z;… [m], a JSON file, tour, or empty"
    )
    goal_period: float = Field(5.0, gt=0.0, description="time that each of `goals` holds [s]")
    camera: str = Field("", description="MJCF camera to publish, empty: none")
    transport: Literal["shm", "default"] = Field(
        "shm", description="shm: this machine only, no network sockets; default: what the DDS does"
    )
    world: str = Field(
        "",
        description="how the simulated arm differs from its model: a world file, or a name within "
        "config/worlds; empty: not at all",
    )
    seed: int = Field(0, ge=0, description="start of everything random in the simulation")
    check: Literal["refuse", "report"] = Field(
        "refuse",
        description="what a failed pre-flight check does; report: warn only, never for an arm",
    )
    record: str = Field("", description="npz file for every state and command of the simulation")
    stop_after: float = Field(0.0, ge=0.0, description="end after this much simulated time [s]")


# What differs between the situations is the default of a few arguments, nothing else.
DEFAULTS: dict[Situation, dict[str, Value]] = {
    "sim": {},
    "real": {"backend": "external", "mode": "shadow", "goals": ""},
}


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One process: an executable of this package, and its parameters."""

    executable: str
    parameters: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a situation starts."""

    nodes: tuple[NodePlan, ...]
    namespace: str
    environment: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()  # of the pre-flight check

    def missing_environment(self) -> dict[str, str]:
        """Returns the variables that the user has not set already: what the user set is kept."""
        return {k: v for k, v in self.environment.items() if k not in os.environ}


def arguments(situation: Situation, given: dict[str, Value]) -> Arguments:
    """Returns the arguments of a situation: its defaults, then what was given.

    Raises:
        ConfigError: unknown names and values outside their choice, all at once.
    """
    return validate(
        {**DEFAULTS[situation], **given}, Arguments, where=f"arguments of `{situation}`"
    )


@dataclass(frozen=True, slots=True)
class ArgumentRow:
    """One launch argument as text, for `ros2 launch … --show-args`."""

    name: str
    default: str
    text: str
    choices: list[str] | None


def argument_rows(situation: Situation) -> list[ArgumentRow]:
    """Returns every argument of a situation with its default."""
    defaults = arguments(situation, {})
    rows = []
    for name, info in Arguments.model_fields.items():
        closed = get_origin(info.annotation) is Literal
        choices = [str(c) for c in get_args(info.annotation)] if closed else None
        rows.append(
            ArgumentRow(name, str(getattr(defaults, name)), info.description or "", choices)
        )
    return rows


def arguments_from_text(situation: Situation, given: Mapping[str, str]) -> Arguments:
    """Returns the arguments of a situation from texts, as launch files have them."""
    values: dict[str, Value] = {}
    for name, text in given.items():
        kind = Arguments.model_fields[name].annotation
        try:
            values[name] = kind(text) if kind in (int, float) else text
        except ValueError:
            values[name] = text  # refused below, with the field's name
    return arguments(situation, values)


def plan(args: Arguments) -> Plan:
    """Returns the processes that `args` describe; every file they name is read and checked here.

    Raises:
        Sim2RealError: a missing or unfit robot or policy, arguments that exclude each other, or
            a pre-flight check that fails: all that failed is in one message.
    """
    _refuse_contradictions(args)
    spec = load_robot(args.robot)
    if args.world and args.backend != "mujoco":
        raise BringupError(
            f"`world` got '{args.world}' with `backend` '{args.backend}': only a MuJoCo arm can "
            "be disturbed. Leave it out, or use backend:=mujoco"
        )
    load_world(args.world, spec.nq)
    policy = args.policy or default_policy(spec.name)
    contract = contract_of(policy)
    if contract is not None:
        contract.check_robot(spec)
    elif policy.startswith("replay:"):
        load_policy(policy, spec)
    goal_input = contract.goal if contract is not None else None
    goals = args.goals if goal_input is not None else ""
    parse_goals(goals, goal_input)
    rate = args.rate_hz or control_rate(contract)
    if args.time == "real" and rate * MAX_STATE_AGE < 1.0:
        raise BringupError(
            f"`rate_hz` got {rate:g}: the gate takes states older than {MAX_STATE_AGE * 1e3:g} ms "
            f"for a silent arm. Use at least {1.0 / MAX_STATE_AGE:g}"
        )
    warnings = _preflight(args, policy, goals, rate)
    simulated = args.backend != "external"
    stage: dict[str, Value] = {
        "robot": args.robot,
        "policy": policy,
        "goals": goals,
        "goal_period": args.goal_period,
        "state_clock": "stamp" if simulated else "ros",
    }
    nodes = [NodePlan("pipeline", stage)]
    if args.composition == "nodes":
        nodes = [NodePlan("policy", stage), NodePlan("correction", {"robot": args.robot})]
    nodes.append(
        NodePlan(
            "safety",
            {
                "robot": args.robot,
                "rate_hz": rate,
                "mode": args.mode,
                "auto_enable": simulated and args.mode == "active",
                "clock": "monotonic" if args.time == "real" else "stamp",
                "state_clock": stage["state_clock"],
            },
        )
    )
    if simulated:
        nodes.append(NodePlan(args.backend, _simulation(args, policy, rate)))
    environment = {TRANSPORT_VARIABLE: "SHM"} if args.transport == "shm" else {}
    if args.camera:
        environment |= headless.environment()
    return Plan(tuple(nodes), args.namespace, environment, warnings)


def _preflight(args: Arguments, policy: str, goals: str, rate: float) -> tuple[str, ...]:
    """Returns what the check warns of. Raises BringupError with everything that fails."""
    leaves_shadow = args.backend == "external" and args.mode == "active"  # wants a pass first
    report = examine(policy, args.robot, goals=goals, rate_hz=rate, strict=leaves_shadow)
    failures = tuple(item.line for item in report.of("fail"))
    if failures and args.check == "refuse":
        raise BringupError(f"the pre-flight check fails: {'; '.join(failures)}")
    if leaves_shadow:
        raise BringupError(
            "`mode` got 'active' with `backend` 'external': no driver of a physical arm is part "
            "of this release. "
            "Use mode:=shadow, or backend:=mujoco"
        )
    return (*failures, *(item.line for item in report.of("warn")))


def _refuse_contradictions(args: Arguments) -> None:
    if args.backend == "external" and args.check != "refuse":
        raise BringupError(
            f"`check` got '{args.check}' with `backend` 'external': in front of an arm, a failed "
            "check refuses. Leave it out"
        )
    if args.backend == "external" and args.time != "real":
        raise BringupError(
            f"`time` got '{args.time}', an external arm runs in real time. Leave it out"
        )
    if args.mode == "shadow" and args.time != "real":
        raise BringupError(
            f"`time` got '{args.time}' with `mode` 'shadow': simulated time waits for commands, "
            "and shadow sends none. Leave `time` out"
        )


def _simulation(args: Arguments, policy: str, rate: float) -> dict[str, Value]:
    common: dict[str, Value] = {
        "robot": args.robot,
        "policy": policy,
        "rate_hz": rate,
        "time": args.time,
        "seed": args.seed,
        "record": args.record,
        "publish_clock": args.clock == "on",
        "stop_after": args.stop_after,
    }
    if args.backend == "mujoco":
        common["camera"] = args.camera
        common["world_file"] = args.world
    return common


def default_policy(robot: str) -> str:
    """Returns the newest policy of ours for the robot, `sine` when there is none."""
    names = [n for n in paths.known("models/policies", "*.onnx") if n.split("-")[1:2] == [robot]]
    return max(names, key=lambda n: n.split("-")[2:]) if names else "sine"


def control_rate(contract: PolicyContract | None) -> float:
    """Returns the smallest multiple of the policy's rate that is at least 25 Hz."""
    if contract is None:
        return 100.0
    return contract.rate_hz * math.ceil(MIN_RATE / contract.rate_hz - 1e-9)


def command_line(node: NodePlan, namespace: str) -> list[str]:
    """Returns the arguments after the executable, as `ros2 run` would pass them."""
    out = ["--ros-args"]
    if namespace.strip("/"):
        out += ["-r", f"__ns:=/{namespace.strip('/')}"]
    for name, value in node.parameters.items():
        # JSON is YAML: a text that looks like a number stays a text
        out += ["-p", f"{name}:={json.dumps(value, ensure_ascii=False)}"]
    return out
