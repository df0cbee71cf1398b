"""The graph of a bring-up in one process: the same stages, the same order, no topics."""

from __future__ import annotations

from ros2_sim2real.backends.base import Backend
from ros2_sim2real.backends.loopback import LoopbackBackend
from ros2_sim2real.backends.mujoco_arm import MujocoBackend
from ros2_sim2real.backends.record import Record, Run
from ros2_sim2real.bringup import Arguments, control_rate, default_policy
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.correction.base import PassThrough
from ros2_sim2real.dynamics.mjcf import gains_for
from ros2_sim2real.errors import BringupError
from ros2_sim2real.pipeline import Chain, decide
from ros2_sim2real.policy.goals import GoalSchedule, parse_goals
from ros2_sim2real.policy.load import load_policy
from ros2_sim2real.robot import RobotSpec, load_robot
from ros2_sim2real.safety.gate import Gate, Mode
from ros2_sim2real.signals import Command, Goal, RobotState, Verdict
from ros2_sim2real.worlds import load_world


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
    backend = _backend(args, spec, contract, rate)
    takes_goal = contract is not None and contract.goal is not None
    goals = parse_goals(args.goals if takes_goal else "", contract.goal if contract else None)
    schedule = GoalSchedule(goals, period=args.goal_period)
    chain, gate = Chain(policy, PassThrough()), Gate(spec.limits, rate_hz=rate)
    record = Record(spec.joint_names, rate)
    backend.reset(args.seed)
    for tick in range(round(args.stop_after * rate) + 1):
        stamp_ns = round(tick * 1e9 / rate)
        if backend.copies:  # else nobody hears of it, and nobody answers
            state = backend.state(stamp_ns)
            record.state(state, truth=backend.truth(stamp_ns))
            goal = schedule.current(stamp_ns)
            verdict = _answer(chain, gate, state, goal, now_ns=stamp_ns)
            if verdict is not None and verdict.send:
                record.command(Command(stamp_ns, verdict.q), None)
                backend.command(verdict.q)
        backend.advance()
    return record.run()


def _answer(
    chain: Chain, gate: Gate, state: RobotState, goal: Goal | None, *, now_ns: int
) -> Verdict | None:
    """Returns what the graph would send; the gate steps when a command comes, not before."""
    gate.observe(state, now_ns=now_ns)
    if gate.mode is Mode.INACTIVE:
        gate.activate(now_ns=now_ns)
    command = decide(chain, state, goal, now_ns=now_ns)
    if command is None:
        return None
    verdict = gate.step(command, now_ns=now_ns)
    chain.correction.observe(state, verdict)
    return verdict


def _backend(
    args: Arguments, spec: RobotSpec, contract: PolicyContract | None, rate: float
) -> Backend:
    start = contract.start_pose(spec) if contract else None
    if args.backend == "loopback":
        return LoopbackBackend(spec, rate_hz=rate, start=start)
    world = load_world(args.world, spec.nq)
    gains = gains_for(spec, contract)
    return MujocoBackend(spec, gains, rate_hz=rate, start=start, world=world)
