"""The ONNX graph of a policy: buffers bound once, memory carried from call to call."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ros2_sim2real.errors import PolicyFileError
from ros2_sim2real.policy.artefact import Artefact
from ros2_sim2real.signals import Array

ObservationRow: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class Inference(Protocol):
    """What answers an observation: a graph, or in a comparison the network that was trained."""

    def reset(self) -> None:
        """Starts an episode: the memory is zeros."""

    def __call__(self) -> Array:
        """Returns the raw output for the bound observation."""


class Network:
    """An ONNX graph that answers one row, in one thread."""

    def __init__(self, artefact: Artefact, observation: ObservationRow) -> None:
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
            self.out: NDArray[np.float32] = np.zeros(contract.output_shape, dtype=np.float32)
            self._binding = self._session.io_binding()
            self._bind_input(contract.input, observation)
            self._bind_output(contract.output, self.out)
            self._memory: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
            for state in contract.recurrent:
                before = np.zeros(state.shape, dtype=np.float32)
                after = np.zeros(state.shape, dtype=np.float32)
                self._bind_input(state.input, before)
                self._bind_output(state.output, after)
                self._memory.append((before, after))
            self()  # the first run allocates; it must not happen while the arm moves
        except Exception as error:  # noqa: BLE001 - onnxruntime has a type per kind of damage
            detail = " ".join(str(error).split())[:160]
            raise PolicyFileError(
                f"{artefact.file.path}: onnxruntime does not run it: {detail}. Export the "
                "policy again"
            ) from None
        self.reset()

    def reset(self) -> None:
        """Starts an episode: the memory is zeros."""
        for before, _ in self._memory:
            before[...] = 0.0

    def __call__(self) -> Array:
        """Returns the raw output for the bound observation, (nu,) or (length, nu) for chunks."""
        self._session.run_with_iobinding(self._binding)
        for before, after in self._memory:  # not one buffer: the graph may read while it writes
            before[...] = after
        raw: Array = self.out[0].astype(np.float64)
        return raw

    def _bind_input(self, name: str, buffer: NDArray[np.float32]) -> None:
        self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(buffer))

    def _bind_output(self, name: str, buffer: NDArray[np.float32]) -> None:
        self._binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(buffer))
