"""Forty mistakes on the way from the trainer to the arm, and what `sim2real check` calls each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from builders import term, with_contract
from networks import HISTORIES, Weights, promise
from onnx import numpy_helper

from ros2_sim2real import paths
from ros2_sim2real.contract import PolicyContract
from ros2_sim2real.policy.artefact import find_policy, load_artefact, parse_graph
from ros2_sim2real.policy.golden import golden_of, record_golden
from ros2_sim2real.policy.golden_file import Golden, with_golden
from ros2_sim2real.robot import load_robot

Data = dict[str, Any]
UR = tuple(joint.name for joint in load_robot("ur10").joints)
POSE = [0.0, -1.712, 1.712, 0.0, 0.0, 0.0]


@dataclass(frozen=True)
class Trained:
    """A policy as it left the trainer: graph, contract, and what it did there."""

    robot: str
    contract: PolicyContract
    graph: Any
    golden: Golden
    goals: str = "tour"

    def file(self, path: Path, change: Change | None = None, graph: Any = None) -> Path:
        """Writes it as deployed: the contract changed and sealed again, the vectors kept."""
        data = json.loads(self.contract.to_json())
        text = json.dumps(data if change is None else change(data))
        content = with_contract(self.graph if graph is None else graph, text)
        path.write_bytes(with_golden(content, self.golden))
        return path


Change = Callable[[Data], Data]


def shipped() -> Trained:
    """The reach policy of models/policies."""
    names = paths.known("models/policies", "reach-ur5e-*.onnx")
    artefact = load_artefact(find_policy(names[-1]))
    golden = golden_of(artefact)
    assert golden is not None, "the policy that ships has no golden vectors"
    graph = parse_graph(artefact.file.content, where="shipped")
    kept = [entry for entry in graph.metadata_props if not entry.key.startswith("ros2_sim2real")]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
    return Trained("ur5e", artefact.contract, graph, golden)


def made(robot: str, promised: PolicyContract, folder: Path, **fields: Any) -> Trained:
    """A network of the tests; the vectors are what its equations say."""
    weights = Weights(promised)
    path = folder / "made.onnx"
    path.write_bytes(weights.file(promised))
    golden = record_golden(load_artefact(path), load_robot(robot), act=weights.numpy().act)
    return Trained(robot, promised, weights.model(), golden, **fields)


def memory(folder: Path) -> Trained:
    """An LSTM over a history, on two joints."""
    return made("teach2", promise("lstm", **HISTORIES["by_term"]), folder)


def imported(folder: Path) -> Trained:
    """As Isaac Lab's reach task: positions about the default pose, a pose as the goal."""
    promised = promise(
        "feedforward",
        robot="ur10",
        joints=list(UR),
        observation=[
            term("joint_pos", 6, "joint_position", offset=POSE),
            term("joint_vel", 6, "joint_velocity"),
            term("pose_command", 7, "goal_pose"),
            term("actions", 6, "previous_action"),
        ],
        goal={
            "kind": "pose",
            "x": [0.35, 0.65],
            "y": [-0.2, 0.2],
            "z": [0.15, 0.5],
            "roll": [0.0, 0.0],
            "pitch": [1.57, 1.57],
            "yaw": [-0.8, 0.8],
        },
        action={"kind": "delta_default", "scale": 0.5},
        default_pose=POSE,
        gains={"stiffness": [800.0] * 6, "damping": [40.0] * 6, "effort_limit": [56.0] * 6},
        rate_hz=30.0,
        physics_hz=60.0,
        decimation=2,
    )
    return made("ur10", promised, folder)


def policies(folder: Path) -> dict[str, Trained]:
    return {"reach": shipped(), "memory": memory(folder), "imported": imported(folder)}


# --- ways to be wrong ---------------------------------------------------------------------------


def swapped(values: list[Any], i: int, j: int) -> list[Any]:
    out = list(values)
    out[i], out[j] = out[j], out[i]
    return out


def setting(path: str, value: Any) -> Change:
    """Sets a field; a function gets the old value."""

    def change(data: Data) -> Data:
        *above, last = path.split(".")
        place: Any = data
        for key in above:
            place = _at(place, key)
        key = int(last) if isinstance(place, list) else last
        place[key] = value(place[key]) if callable(value) else value
        return data

    return change


def _at(place: Any, key: str) -> Any:
    if isinstance(place, list):
        return next(t for t in place if t["name"] == key)
    return place[key]


def each(*changes: Change) -> Change:
    def change(data: Data) -> Data:
        for one in changes:
            data = one(data)
        return data

    return change


def degrees(values: Any) -> Any:
    return [math.degrees(v) for v in values] if isinstance(values, list) else math.degrees(values)


def doubled(values: Any) -> Any:
    return [2.0 * v for v in values] if isinstance(values, list) else 2.0 * values


def gains_of(robot: str) -> Change:
    joints = [*load_robot(robot).joints] * 3
    joints = joints[:6]
    return setting(
        "gains",
        {
            "stiffness": [j.stiffness for j in joints],
            "damping": [j.damping for j in joints],
            "effort_limit": [j.effort for j in joints],
        },
    )


def stale(graph: Any) -> Any:
    """The LSTM goes on with what a run before left in it, whatever memory it is handed."""
    other = type(graph).FromString(graph.SerializeToString())
    left = numpy_helper.from_array(np.full((1, 1, 5), 0.3, np.float32), "left_over")
    other.graph.initializer.append(left)
    node = next(n for n in other.graph.node if n.op_type == "LSTM")
    add = other.graph.node.add(op_type="Add", output=["h_used"])
    add.input.extend(["h_in", "left_over"])
    node.input[5] = "h_used"
    nodes = list(other.graph.node)
    del other.graph.node[:]
    other.graph.node.extend([nodes[-1], *nodes[:-1]])
    return other


def robot_file(name: str, change: Change) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        path = paths.share() / "config/robots" / f"{name}.yaml"
        data = change(yaml.safe_load(path.read_text()))
        (folder / "robot.yaml").write_text(yaml.safe_dump(data))
        return str(folder / "robot.yaml")

    return write


@dataclass(frozen=True)
class Mistake:
    """One mistake. `item` is what the failing item is called, empty: nobody notices."""

    what: str
    policy: str
    item: str
    change: Change | None = None
    graph: Callable[[Any], Any] | None = None
    robot: Callable[[Path], str] | None = None
    arguments: Data = field(default_factory=dict)
    damaged: bool = False
    says: str = ""  # part of what it says, where the name alone does not tell the field
    live: str = ""  # what the test of the live graph does


ALL = (
    # the contract is wrong
    Mistake(
        "two joints exchanged", "reach", "joints", setting("joints", lambda v: swapped(v, 0, 1))
    ),
    Mistake("one joint renamed", "reach", "joints", setting("joints.2", "forearm_joint")),
    Mistake("default pose in degrees", "reach", "default_pose", setting("default_pose", degrees)),
    Mistake(
        "observed positions relative to a pose in degrees",
        "reach",
        "observation.joint_position.offset",
        setting("observation.joint_position.offset", degrees),
    ),
    Mistake(
        "action scale in degrees a second",
        "reach",
        "action.scale",
        setting("action.scale", degrees),
    ),
    Mistake("action scale doubled", "reach", "action.scale", setting("action.scale", doubled)),
    Mistake(
        "raw instead of clipped previous action",
        "reach",
        "action.previous",
        setting("action.previous", "raw"),
    ),
    Mistake(
        "position changes taken for speeds",
        "reach",
        "action.kind",
        setting("action.kind", "delta_default"),
    ),
    Mistake(
        "two observation terms exchanged",
        "reach",
        "observation",
        setting("observation", lambda v: swapped(v, 1, 2)),
    ),
    Mistake(
        "scale of a term forgotten",
        "reach",
        "observation.error.scale",
        setting("observation.error.scale", 1.0),
    ),
    Mistake(
        "half the rate",
        "reach",
        "rate_hz",
        each(setting("rate_hz", 25.0), setting("decimation", 10)),
    ),
    Mistake(
        "decimation that does not fit the rates",
        "reach",
        "contract",
        setting("decimation", 4),
        says="decimation",
    ),
    Mistake("gains of a UR10", "reach", "gains.effort_limit", gains_of("ur10")),
    Mistake("gains of a hobby arm", "reach", "gains.stiffness", gains_of("teach2")),
    Mistake("gains halved", "reach", "", setting("gains.stiffness", lambda v: [x / 2 for x in v])),
    Mistake(
        "effort limit doubled",
        "reach",
        "gains.effort_limit",
        setting("gains.effort_limit", doubled),
    ),
    Mistake(
        "tool offset of another gripper",
        "reach",
        "tool.position",
        setting("tool.position", [0.0, 0.0, 0.12]),
    ),
    Mistake(
        "frame turned a quarter about z",
        "reach",
        "frame.quaternion",
        setting("frame.quaternion", [math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]),
    ),
    Mistake(
        "frame's identity as x y z w",
        "reach",
        "frame.quaternion",
        setting("frame.quaternion", [0.0, 0.0, 0.0, 1.0]),
    ),
    Mistake("wrong sign of the elbow", "reach", "signs", setting("signs", [1, 1, -1, 1, 1, 1])),
    Mistake(
        "normalised twice",
        "reach",
        "normaliser",
        setting("normaliser", {"mean": [0.1] * 33, "std": [2.0] * 33, "clip": None}),
    ),
    Mistake("file damaged on its way", "reach", "policy", damaged=True),
    Mistake(
        "history reversed", "memory", "history.order", setting("history.order", "oldest_first")
    ),
    Mistake(
        "history by time instead of by term",
        "memory",
        "history.layout",
        setting("history.layout", "by_time"),
    ),
    Mistake(
        "history one moment short",
        "memory",
        "contract",
        setting("history.length", 2),
        says="input",
    ),
    Mistake("stale hidden state", "memory", "golden.graph", graph=stale),
    Mistake(
        "memory kept over a new goal", "memory", "reset_on_goal", setting("reset_on_goal", False)
    ),
    Mistake(
        "memory not declared", "memory", "contract", setting("recurrent", []), says="recurrent"
    ),
    Mistake(
        "scaled instead of raw previous action",
        "memory",
        "action.previous",
        setting("action.previous", "scaled"),
    ),
    Mistake("wrong default pose", "memory", "default_pose", setting("default_pose", [0.9, -0.6])),
    Mistake(
        "goal quaternion x y z w in the observation",
        "imported",
        "goal.quaternion",
        setting("goal.quaternion", "xyzw"),
    ),
    Mistake(
        "goal range in millimetres",
        "imported",
        "goal",
        setting("goal", lambda g: {**g, **{k: [1e3 * v for v in g[k]] for k in "xyz"}}),
    ),
    # what stands around it is wrong
    Mistake(
        "goal written as x y z w",
        "imported",
        "goals.quaternion",
        arguments={"goals": "0.5,0.0,0.3,0.0,0.7071068,0.0,0.7071068"},
    ),
    Mistake(
        "goal outside the trained range",
        "imported",
        "goals.position",
        arguments={"goals": "0.9,0.0,0.3"},
    ),
    Mistake(
        "limits of the robot file in degrees",
        "imported",
        "robot.joints.elbow_joint.lower",
        robot=robot_file(
            "ur10",
            each(
                setting("joints.elbow_joint.lower", -180.0),
                setting("joints.elbow_joint.upper", 180.0),
            ),
        ),
    ),
    # the running graph is wrong
    Mistake(
        "commands published with best effort", "memory", "correction/command.qos", live="deaf"
    ),
    Mistake(
        "a second publisher of commands", "memory", "safety/command.publishers", live="second"
    ),
    Mistake("use_sim_time off under a simulator", "memory", "use_sim_time", live="clock"),
    Mistake("joint_states in degrees", "memory", "joint_states.position", live="degrees"),
    Mistake("joint_states every 200 ms", "memory", "joint_states.rate", live="slow"),
)


def table() -> str:
    """The table of docs/check.md."""
    rows = ["| # | policy | mistake | what `check` calls it |", "| --- | --- | --- | --- |"]
    for i, mistake in enumerate(ALL, 1):
        named = f"`{mistake.item}`" if mistake.item else "not noticed"
        named += f", naming `{mistake.says}`" if mistake.says else ""
        live = " (`--live`)" if mistake.live else ""
        rows.append(f"| {i} | {mistake.policy} | {mistake.what} | {named}{live} |")
    return "\n".join(rows)
