"""Golden vectors: does the file, with its contract, still do what was recorded?"""

from __future__ import annotations

from collections.abc import Iterator

from ros2_sim2real.check.diagnosis import explain
from ros2_sim2real.check.items import Item, failed, passed, warned
from ros2_sim2real.check.subject import Subject
from ros2_sim2real.errors import Sim2RealError
from ros2_sim2real.policy.golden_file import Golden
from ros2_sim2real.policy.parity import (
    TOLERANCE,
    Answers,
    Difference,
    compare_graph,
    compare_policy,
    first_fault,
)

_EXPORT = "Compare it with the training, and export or import the policy again"


def check_golden(subject: Subject, golden: Golden | None) -> Iterator[Item]:
    """Yields where a rehearsal first departs from the recorded one, and what would mend it."""
    if golden is None:
        fix = "Record them with `sim2real golden`, best where the policy was trained"
        yield warned("golden", "no golden vectors in the file", "recorded decisions", fix)
        return
    named, ours = golden.joints, subject.contract.joints
    if named and named != ours and set(named) == set(ours):
        yield failed("joints", f"the order {list(ours)}", f"{list(named)} as recorded", _EXPORT)
        return
    artefact = subject.artefact
    try:
        graph = first_fault(compare_graph(artefact, Answers.of(golden)))
        chain = first_fault(compare_policy(artefact, subject.spec, golden))
    except Sim2RealError as error:
        yield failed("golden", str(error), "a rehearsal of the recorded decisions", _EXPORT)
        return
    if graph is not None:
        yield failed("golden.graph", _far(graph), f"at most {TOLERANCE:g}", _EXPORT)
    if chain is None:
        if graph is None:
            yield passed("golden", f"{len(golden)} decisions within {TOLERANCE:g}")
        return
    cures = explain(subject, golden) if graph is None else []
    for field, value in cures:
        fix = f"With `{field}` {value} all recorded decisions agree: set it so"
        yield failed(field, f"{chain.name} {_far(chain)}", value, fix)
    if not cures:
        yield failed(_field(chain, subject), _far(chain), f"at most {TOLERANCE:g}", _EXPORT)


def _far(fault: Difference) -> str:
    return f"{fault.largest:.3g} away from decision {fault.row} on"


def _field(fault: Difference, subject: Subject) -> str:
    """Returns what the contract calls the part in which a rehearsal first departs."""
    term = next((t for t in subject.contract.observation if t.name == fault.name), None)
    if term is None:
        return {"output": "recurrent", "action": "chunk", "target": "action"}.get(
            fault.name.split(".")[0], fault.name
        )
    return f"observation.{term.name}"
