"""The trained policy: observation terms -> ONNX -> joint targets, at the contract's rate."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from ros2_sim2real.dynamics.kinematics import Kinematics
from ros2_sim2real.errors import PolicyFileError
from ros2_sim2real.policy.action import ActionDecoder
from ros2_sim2real.policy.artefact import Artefact
from ros2_sim2real.policy.cadence import Cadence
from ros2_sim2real.policy.observation import ObservationBuilder
from ros2_sim2real.robot import JointMap, RobotSpec
from ros2_sim2real.signals import Array, Goal, Level, RobotState, Status, Target, frozen


class Network:
    """An ONNX graph with one input row and one output row, one thread, buffers bound once."""

    def __init__(
        self, artefact: Artefact, observation: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    ) -> None:
        """`observation` (1, nobs) is read in place at every call. Raises PolicyFileError."""
        options = ort.SessionOptions()
        # default threads gave 4 ms spikes on two cores
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(
                artefact.file.content, options, providers=["CPUExecutionProvider"]
            )
            contract = artefact.contract
            self.out = np.zeros((1, contract.action_width), dtype=np.float32)
            self._binding = self._session.io_binding()
            self._binding.bind_ortvalue_input(
                contract.input, ort.OrtValue.ortvalue_from_numpy(observation)
            )
            self._binding.bind_ortvalue_output(
                contract.output, ort.OrtValue.ortvalue_from_numpy(self.out)
            )
            self()  # the first run allocates; it must not happen while the arm moves
        except Exception as error:  # noqa: BLE001 - onnxruntime has a type per kind of damage
            detail = " ".join(str(error).split())[:160]
            raise PolicyFileError(
                f"{artefact.file.path}: onnxruntime does not run it: {detail}. Export the "
                "policy again"
            ) from None

    def __call__(self) -> Array:
        """Returns the raw output for the bound observation, shape (nu,)."""
        self._session.run_with_iobinding(self._binding)
        raw: Array = self.out[0].astype(np.float64)
        return raw


class OnnxPolicy:
    """Stage: `reset()`, `step(state, goal) -> Target | None`, `status()`."""

    def __init__(self, artefact: Artefact, spec: RobotSpec) -> None:
        """Raises ContractError when the policy was not trained for this robot."""
        contract = artefact.contract
        contract.check_robot(spec)
        self.contract = contract
        self._name = artefact.name
        self._to_policy = JointMap(ours=contract.joints, theirs=spec.joint_names)
        self._to_robot = JointMap(ours=spec.joint_names, theirs=contract.joints)
        kinematics = Kinematics(spec, frame=contract.frame, tool=contract.tool)
        self._observation = ObservationBuilder(contract, kinematics)
        self._network = Network(artefact, self._observation.out)
        limits = spec.limits
        self._action = ActionDecoder(
            contract, lower=self._to_policy(limits.lower), upper=self._to_policy(limits.upper)
        )
        self._cadence = Cadence(contract.rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forgets the episode: previous action, integrated target, phase of the rate."""
        self._cadence.reset()
        self._started = False
        self._last: Target | None = None
        self._status = Status(Level.WARN, "no state received yet", {})

    def step(self, state: RobotState, goal: Goal | None) -> Target | None:
        """Returns the target in force, None when there is nothing sound to say.

        Inference happens only when a decision is due, and never on numbers that are not finite.
        """
        if not np.isfinite(state.q).all():
            return self._refuse(Level.ERROR, "the measured position is not finite")
        if self.contract.goal is not None and goal is None:
            return self._refuse(Level.WARN, "waiting for a goal")
        q = self._to_policy(state.q)
        if not self._started:
            self._action.reset(q)
            self._started = True
        if not self._cadence.due(state.stamp_ns) and self._last is not None:
            return Target(state.stamp_ns, self._last.q, fresh=False)
        finite = self._observation.build(
            state,
            q,
            self._to_policy(state.dq),
            previous=self._action.previous,
            target=self._action.target,
            goal=goal,
        )
        if not finite:
            terms = self._observation.unsound()
            return self._refuse(Level.ERROR, f"the observation is not finite: {terms}")
        raw = self._network()
        if not np.isfinite(raw).all():
            return self._refuse(Level.ERROR, "the network's output is not finite")
        target = self._to_robot(self._action.decode(raw, q))
        self._status = _RUNNING
        self._last = Target(state.stamp_ns, frozen(target))
        return self._last

    def status(self) -> Status:
        """Returns what the policy is doing."""
        return self._status

    def _refuse(self, level: Level, why: str) -> Target | None:
        # a pause in the decisions ends the episode: what was integrated belongs to the past
        if self._last is not None:
            self.reset()
        self._status = Status(level, f"{self._name}: {why}", {})
        return None


_RUNNING = Status(Level.OK, "running", {})
