"""Latency of the graph beside bare relays, and of the core beside a bare inference call."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ros2_sim2real.backends.record import Run, read_run
from ros2_sim2real.bringup import Arguments, NodePlan, Plan, default_policy, plan
from ros2_sim2real.correction.base import PassThrough
from ros2_sim2real.errors import BringupError
from ros2_sim2real.pipeline import Chain, step
from ros2_sim2real.policy.artefact import find_policy, load_artefact
from ros2_sim2real.policy.goals import tour
from ros2_sim2real.policy.onnx_policy import Network, OnnxPolicy
from ros2_sim2real.processes import private_domain, run_quietly
from ros2_sim2real.robot import load_robot
from ros2_sim2real.safety.gate import Gate
from ros2_sim2real.signals import Array, RobotState

WARM_UP = 1.0  # [s] of every run that is not counted: discovery, first allocations


@dataclass(frozen=True, slots=True)
class Sample:
    """Latencies of one chain at one rate."""

    latency: Array  # [s]
    commands_per_s: float

    def percentiles(self) -> dict[str, float]:
        """Returns p50, p99 and p99.9 in microseconds."""
        p50, p99, p999 = np.percentile(self.latency, (50, 99, 99.9)) * 1e6
        return {"p50_us": round(p50, 1), "p99_us": round(p99, 1), "p999_us": round(p999, 1)}


def bench_graph(
    robot: str,
    policy: str,
    rates: Sequence[float],
    *,
    seconds: float,
    rounds: int,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Any]]:
    """Returns, per rate, the graph's latency and that of three bare relay processes.

    From publishing `joint_states` to receiving the `safety/command` that answers it, both in the
    backend's process: three hops. The two chains take turns, so that both see the same machine.
    """
    results: dict[str, dict[str, Any]] = {}
    for rate in rates:
        ours: list[Sample] = []
        relay: list[Sample] = []
        for i in range(rounds):
            args = Arguments(
                robot=robot,
                policy=policy,
                backend="loopback",
                rate_hz=rate,
                stop_after=seconds + WARM_UP,
                goal_period=1.0,
            )
            progress(f"{rate:g} Hz, round {i + 1} of {rounds}")
            ours.append(_measure(plan(args)))
            relay.append(_measure(_relays(plan(args))))
        mine, floor = pool(ours), pool(relay)
        a, b = mine.percentiles(), floor.percentiles()
        results[f"{rate:g}"] = {
            "ours": a,
            "relay": b,
            "ratio": {p: round(a[f"{p}_us"] / b[f"{p}_us"], 3) for p in ("p50", "p99")},
            "commands_per_s": round(mine.commands_per_s, 2),
            "relay_commands_per_s": round(floor.commands_per_s, 2),
        }
    return results


def _relays(graph: Plan) -> Plan:
    backend = graph.nodes[-1]
    relays = (NodePlan("relay", {"stage": "pipeline"}), NodePlan("relay", {"stage": "safety"}))
    return Plan((*relays, backend), graph.namespace, graph.environment)


def _measure(graph: Plan) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.npz")
        nodes = [
            NodePlan(
                n.executable,
                {**n.parameters, "record": str(path)}
                if "record" in n.parameters
                else n.parameters,
            )
            for n in graph.nodes
        ]
        run_quietly(
            Plan(tuple(nodes), graph.namespace, graph.environment), domain=private_domain()
        )
        return sample(read_run(path))


def sample(run: Run) -> Sample:
    """Returns the latencies of a record, its first second left out. Raises BringupError."""
    if not len(run.command_stamp_ns):
        raise BringupError(
            "no command ever came back; run `sim2real up sim` and read what it says"
        )
    begin = int(run.command_stamp_ns[0]) + round(WARM_UP * 1e9 / 2)
    states = run.stamp_ns >= begin
    commands = (run.command_stamp_ns >= begin) & np.isfinite(run.latency)
    wall = run.wall[states]
    return Sample(run.latency[commands], float(commands.sum() / (wall[-1] - wall[0])))


def pool(samples: Sequence[Sample]) -> Sample:
    """Returns all samples as one."""
    return Sample(
        np.concatenate([s.latency for s in samples]),
        float(np.mean([s.commands_per_s for s in samples])),
    )


def bench_core(robot: str, policy: str, *, steps: int = 20_000) -> dict[str, float]:
    """Returns the time of one whole step in one process, every step with an inference."""
    spec = load_robot(robot)
    artefact = load_artefact(find_policy(policy or default_policy(spec.name)))
    contract = artefact.contract
    rate = contract.rate_hz
    chain, gate = Chain(OnnxPolicy(artefact, spec), PassThrough()), Gate(spec.limits, rate_hz=rate)
    goal = tour(contract.goal)[0] if contract.goal else None
    spent = np.zeros(steps)
    q, dq = spec.home, np.zeros(spec.nq)
    for i in range(steps):
        now_ns = round(i * 1e9 / rate)
        state = RobotState(now_ns, q, dq)
        if i == 0:
            gate.observe(state, now_ns=now_ns)
            gate.activate(now_ns=now_ns)
        begin = time.perf_counter_ns()
        verdict = step(chain, gate, state, goal, now_ns=now_ns)
        spent[i] = time.perf_counter_ns() - begin
        q, dq = verdict.q, verdict.dq
    observation = np.zeros((1, contract.observation_width), dtype=np.float32)
    network = Network(artefact, observation)
    bare = np.zeros(steps)
    for i in range(steps):
        begin = time.perf_counter_ns()
        network()
        bare[i] = time.perf_counter_ns() - begin
    p50, p99 = np.percentile(spent[100:], (50, 99)) / 1e3
    return {
        "p50_us": round(float(p50), 1),
        "p99_us": round(float(p99), 1),
        "onnxruntime_p50_us": round(float(np.median(bare[100:])) / 1e3, 1),
    }
