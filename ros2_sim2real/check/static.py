"""Everything that can be checked before a graph runs, in the order in which it must hold."""

from __future__ import annotations

from collections.abc import Iterator

from ros2_sim2real.check.gains import check_gains
from ros2_sim2real.check.goal import check_goal
from ros2_sim2real.check.golden import check_golden
from ros2_sim2real.check.items import Item, Report, failed, passed
from ros2_sim2real.check.names import check_names, check_robot_file
from ros2_sim2real.check.observation import check_observation
from ros2_sim2real.check.pose import check_pose
from ros2_sim2real.check.subject import Subject
from ros2_sim2real.check.timing import check_timing
from ros2_sim2real.dynamics.mjcf import build_model
from ros2_sim2real.errors import ContractError, Sim2RealError
from ros2_sim2real.policy.artefact import Artefact, find_policy, load_artefact
from ros2_sim2real.policy.goals import parse_goals
from ros2_sim2real.policy.golden_file import golden_of
from ros2_sim2real.policy.load import is_scripted, load_policy
from ros2_sim2real.robot import RobotSpec, load_robot

_POLICY = "Export or import the policy again"


def examine(
    policy: str, robot: str, *, goals: str = "", rate_hz: float = 0.0, strict: bool = False
) -> Report:
    """Returns what a policy file and a robot file say about each other.

    Args:
        policy: file or name, or one of the scripted ones.
        robot: file or name.
        goals: as `goals` of a bring-up.
        rate_hz: of the control loop, 0: the policy's.
        strict: an arm is to move: placeholders in the robot file are failures.
    """
    try:
        spec = load_robot(robot)
        model = build_model(spec, timestep=0.002)
    except Sim2RealError as error:
        fix = "Mend the robot file (docs/robots.md)"
        return Report((failed("robot", str(error), "a robot file that loads", fix),))
    items = list(check_robot_file(spec, model, strict=strict))
    if is_scripted(policy):
        return Report((*items, *_scripted(policy, spec)))
    try:
        artefact = load_artefact(find_policy(policy))
    except Sim2RealError as error:
        what = "contract" if isinstance(error, ContractError) else "policy"
        said = failed(what, str(error), "a sealed file whose contract fits its graph", _POLICY)
        return Report((*items, said))
    return Report((*items, *_policy(artefact, spec, goals, rate_hz)))


def _scripted(policy: str, spec: RobotSpec) -> Iterator[Item]:
    try:
        load_policy(policy, spec)
    except Sim2RealError as error:
        yield failed("policy", str(error), "a motion for this robot", "Name another one")
    else:
        yield passed("policy", f"'{policy}', which needs no contract")


def _policy(artefact: Artefact, spec: RobotSpec, goals: str, rate_hz: float) -> Iterator[Item]:
    contract = artefact.contract
    yield passed("policy", f"{artefact.name}, sealed, contract version {contract.version}")
    named = list(check_names(contract, spec))
    yield from named
    if any(item.status == "fail" for item in named):
        return  # what is per joint cannot be compared
    try:
        golden = golden_of(artefact)
    except ContractError as error:
        yield failed("golden", str(error), "vectors of this contract", _POLICY)
        golden = None
    try:
        parsed = tuple(parse_goals(goals, contract.goal))
    except Sim2RealError as error:
        yield failed("goals", str(error), "goals of this policy", "Mend the argument `goals`")
        parsed = ()
    subject = Subject(artefact, spec, rate_hz or contract.rate_hz, parsed)
    yield from check_pose(subject)
    yield from check_gains(subject)
    yield from check_timing(subject, golden)
    yield from check_observation(subject, golden)
    yield from check_goal(subject)
    if _rehearsable(subject):
        yield from check_golden(subject, golden)


def _rehearsable(subject: Subject) -> bool:
    """Returns whether the policy can be rehearsed on the robot at all."""
    try:
        subject.contract.check_robot(subject.spec)
    except ContractError:
        return False  # named above
    return True
