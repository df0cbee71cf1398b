"""Child process: answers of an ONNX graph to given rows; a graph from outside may loop or grow."""

from __future__ import annotations

from typing import Any

import numpy as np

from ros2_sim2real.offline._child import serve


def _libraries() -> None:
    import onnxruntime  # noqa: F401  before memory is bounded


def _answer(header: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Returns the answers (n, nu) to the rows of `parts[1]`, (n, width), all float32."""
    import onnxruntime as ort

    content, raw = parts
    rows = np.frombuffer(raw, dtype=np.float32).reshape(-1, 1, int(header["width"]))
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name, out, states = header["input"], header["output"], header.get("states", [])
    asked = [out, *(state["output"] for state in states)]
    given: list[Any] = []
    for i, row in enumerate(rows):
        if i % int(header.get("episode", len(rows))) == 0:
            memory = {s["input"]: np.zeros(s["shape"], dtype=np.float32) for s in states}
        answer, *after = session.run(asked, {name: row, **memory})
        memory = dict(zip(memory, after, strict=True))
        given.append(answer)
    answers = np.concatenate(given)
    return {"nu": answers.shape[1]}, [np.ascontiguousarray(answers, dtype=np.float32).tobytes()]


if __name__ == "__main__":
    serve(_libraries, _answer)
