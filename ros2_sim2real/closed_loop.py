"""The graph of a bring-up in one process: the same stages, the same order, no topics."""

from __future__ import annotations

from ros2_sim2real.backends.base import Backend
from ros2_sim2real.backends.loopback import LoopbackBackend
from ros2_sim2real.backends.mujoco_arm import MujocoBackend
from ros2_sim2real.backends.record import Record, Run
from ros2_sim2real.bringup import Arguments, control_rate, default_policy
from ros2_sim2real.correction.base import PassThrough
from ros2_sim2real.dynamics.mjcf import gains_for
from ros2_sim2real.errors import BringupError
from ros2_sim2real.pipeline import Chain, step
from ros2_sim2real.policy.goals import GoalSchedule, parse_goals
from ros2_sim2real.policy.load import load_policy
from ros2_sim2real.robot import load_robot
from ros2_sim2real.safety.gate import Gate, Mode
from ros2_sim2real.signals import Command


def simulate(args: Arguments) -> Run:
    """Returns what the simulated arm does for `args.stop_after` seconds, as lockstep topics would.

    Raises:
        Sim2RealError: as `bringup.plan`, or the simulation became unstable.
    """
    if args.backend == "external" or not args.stop_after:
        raise BringupError("a run in one process needs a simulated `backend` and `stop_after`")
    spec = load_robot(args.robot)
    policy, contract = load_policy(args.policy or default_policy(spec.name), spec)
    rate = args.rate_hz or control_rate(contract)
    start = contract.start_pose(spec) if contract else None
    backend: Backend = (
        MujocoBackend(spec, gains_for(spec, contract), rate_hz=rate, start=start)
        if args.backend == "mujoco"
        else LoopbackBackend(spec, rate_hz=rate, start=start)
    )
    takes_goal = contract is not None and contract.goal is not None
    goals = parse_goals(args.goals if takes_goal else "", contract.goal if contract else None)
    schedule = GoalSchedule(goals, period=args.goal_period)
    chain, gate = Chain(policy, PassThrough()), Gate(spec.limits, rate_hz=rate)
    record = Record(spec.joint_names, rate)
    backend.reset(args.seed)
    for tick in range(round(args.stop_after * rate) + 1):
        stamp_ns = round(tick * 1e9 / rate)
        state = backend.state(stamp_ns)
        record.state(state)
        gate.observe(state, now_ns=stamp_ns)
        if gate.mode is Mode.INACTIVE:
            gate.activate(now_ns=stamp_ns)
        verdict = step(chain, gate, state, schedule.current(stamp_ns), now_ns=stamp_ns)
        if verdict.send and chain.command is not None:
            record.command(Command(stamp_ns, verdict.q), None)
            backend.command(verdict.q)
        backend.advance()
    return record.run()
