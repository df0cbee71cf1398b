"""Who speaks on which topic, whether the other side hears it, and whose clock they go by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ros2_sim2real.check.items import Item, failed, passed, verdict, warned
from ros2_sim2real.check.seen import Endpoint, NodeFacts, Seen

# One publisher each: a second one and the arm does what neither of them wants.
ALONE = ("joint_states", "policy/target", "correction/command", "safety/command", "/clock")
MAX_AGE_NS = 50_000_000  # states older than this are not acted upon
NEAR_NS = 1_000_000_000  # from /clock: stamps of simulated time


def check_peers(seen: Seen) -> Iterator[Item]:
    """Yields topics with two publishers, and pairs of peers that never hear each other."""
    topics = sorted({e.topic for e in seen.endpoints})
    for topic in topics:
        publishers, subscribers = seen.publishers(topic), seen.subscribers(topic)
        who = f"{_who(publishers)} to {_who(subscribers)}"
        yield from verdict(f"{topic}.qos", _deaf(topic, publishers, subscribers), who)
        yield from _types(topic, [*publishers, *subscribers])
        if topic not in ALONE:
            continue
        if len(publishers) > 1:
            got = ", ".join(f"{e.node} ({e.gid})" for e in publishers)
            fix = "Stop all but one, also those that an earlier run left behind"
            yield failed(f"{topic}.publishers", got, "one publisher", fix)
        elif publishers:
            yield passed(f"{topic}.publishers", publishers[0].node)


def _deaf(topic: str, publishers: list[Endpoint], subscribers: list[Endpoint]) -> Iterator[Item]:
    for p in publishers:
        for s in subscribers:
            pair = f"{s.node} will never hear {p.node}"
            if s.reliable and not p.reliable:
                got = f"{pair}: it wants reliable, best effort is offered"
                fix = f"Publish reliably in {p.node}, or subscribe with best effort in {s.node}"
                yield failed(f"{topic}.qos", got, "what is offered meets what is wanted", fix)
            elif s.latched and not p.latched:
                got = f"{pair}: it wants transient local, volatile is offered"
                fix = f"Publish transient local in {p.node}, or subscribe volatile in {s.node}"
                yield failed(f"{topic}.qos", got, "what is offered meets what is wanted", fix)


def _types(topic: str, endpoints: list[Endpoint]) -> Iterator[Item]:
    kinds = sorted({e.kind for e in endpoints})
    if len(kinds) > 1:
        got = "; ".join(f"{k} in {_who([e for e in endpoints if e.kind == k])}" for k in kinds)
        yield failed(f"{topic}.type", got, "one type", "Give one of the two another name")


def _who(endpoints: list[Endpoint]) -> str:
    return ", ".join(sorted({e.node for e in endpoints})) or "nobody"


def check_clocks(seen: Seen) -> Iterator[Item]:
    """Yields whether stamps advance, and whether every node's clock is that of the stamps."""
    clock = bool(seen.publishers("/clock"))
    for name, facts in sorted(seen.nodes.items()):
        if facts.use_sim_time and not clock:
            fix = "Start the simulator, or set use_sim_time to false"
            got = f"use_sim_time in {name} and no publisher"
            yield failed("/clock", got, "a publisher of /clock", fix)
    stamps = np.array([s.stamp_ns for s in seen.states])
    if not stamps.any():
        fix = "States count from their arrival; better let the driver stamp them"
        yield warned("joint_states.stamp", "no stamps", "when it was measured", fix)
        return
    if len(stamps) > 2 and (np.diff(stamps) <= 0).mean() > 0.05:
        share = (np.diff(stamps) <= 0).mean()
        got = f"{share:.0%} of the states are not newer than the one before"
        fix = "Stamp each state with the time of its measurement"
        yield failed("joint_states.stamp", got, "stamps that advance", fix)
        return
    yield from _ages(seen)


def _ages(seen: Seen) -> Iterator[Item]:
    by_clock = np.array([s.clock_ns - s.stamp_ns for s in seen.states if s.clock_ns >= 0])
    by_system = np.array([s.ros_ns - s.stamp_ns for s in seen.states])
    simulated = len(by_clock) > 0 and abs(float(np.median(by_clock))) < NEAR_NS
    problems: list[Item] = []
    here = [] if simulated else [("this machine", NodeFacts(False, None))]
    for name, facts in sorted(seen.nodes.items()) or here:
        if facts.state_clock == "stamp" or facts.use_sim_time is None:
            continue  # the stamps are its time
        ages = by_clock if facts.use_sim_time else by_system
        if len(ages):
            problems += _age(name, facts, float(np.median(ages)), simulated=simulated)
    what = "simulated" if simulated else f"{np.median(by_system) * 1e-6:.1f} ms ago"
    yield from verdict("joint_states.stamp", problems, what)


def _age(name: str, facts: NodeFacts, age: float, *, simulated: bool) -> Iterator[Item]:
    if abs(age) <= MAX_AGE_NS:
        return
    got = f"{age * 1e-9:.3g} s off the clock of {name}"
    expected = f"at most {MAX_AGE_NS * 1e-6:g} ms"
    if simulated and not facts.use_sim_time:
        fix = "The stamps are simulated time: set use_sim_time to true, or state_clock to stamp"
        yield failed("use_sim_time", f"false in {name}: states are {got}", expected, fix)
    else:
        fix = "Synchronise the clocks of driver and pipeline (chrony), or mend the driver's stamps"
        yield failed("joint_states.stamp", got, expected, fix)
