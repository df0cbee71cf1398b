"""Child process: opens TorchScript, answers with ONNX and with the original's own outputs.

The only place that opens TorchScript, which may do anything that the user may do.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

from ros2_sim2real.offline._child import last_line, serve
from ros2_sim2real.offline._torchscript_state import Memory, prepare, stateful_onnx


def _libraries() -> None:
    import torch

    torch.set_num_threads(1)
    import onnx  # noqa: F401  torch imports both only when it exports: by then memory is bounded
    import torch.onnx

    prepare()


def _convert(header: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Returns ONNX and answers (n, nu) to the rows of `parts[1]`, (n, width), all float32."""
    import torch

    warnings.simplefilter("ignore")
    content, raw = parts
    rows = torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(
        -1, 1, int(header["width"])
    )
    module = torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]  # noqa: TID251
    if hasattr(module, "training"):  # a frozen module has no such switch
        module.eval()
    with torch.no_grad():
        why = _refusal(module, rows)
        if why is not None:
            return {"error": why}, []
        memory = Memory(module, rows)
        if not memory.names and not torch.equal(module(rows[0]).clone(), module(rows[0])):
            why = "answers the same row differently the second time: it is recurrent or random"
            return {"error": why + ", and no buffer of it changes"}, []
        if memory.names:
            return _recurrent(memory, rows, int(header["episode"]))
        model = _to_onnx(module, rows[0])
        answers = torch.cat([module(row).clone() for row in rows]).to(torch.float32)
    return {"nu": answers.shape[1]}, [model, answers.contiguous().numpy().tobytes()]


def _refusal(module: Any, rows: Any) -> str | None:
    """Returns why the module is no policy of one row, None when it is one."""
    import torch

    try:
        first = module(rows[0])
    except Exception as error:  # noqa: BLE001  what a file raises is its own choice
        return f"does not run on one row of {rows.shape[2]} numbers: {last_line(error)}"
    if not isinstance(first, torch.Tensor) or first.dim() != 2 or first.shape[0] != 1:
        shape = tuple(first.shape) if isinstance(first, torch.Tensor) else type(first).__name__
        return f"answers one row with {shape}, expected shape (1, number of joints)"
    return None


def _recurrent(memory: Memory, rows: Any, episode: int) -> tuple[dict[str, Any], list[bytes]]:
    """As `_convert`, for a module that remembers: an episode starts every `episode` rows."""
    import torch

    model, states = stateful_onnx(memory, rows[0])
    given = []
    for i, row in enumerate(rows):
        if i % episode == 0:
            memory.reset()
        given.append(memory.module(row).clone())
    answers = torch.cat(given).to(torch.float32)
    header = {"nu": answers.shape[1], "states": states, "stale": memory.stale}
    return header, [model, answers.contiguous().numpy().tobytes()]


def _to_onnx(module: Any, row: Any) -> bytes:
    import torch

    buffer = io.BytesIO()
    # The exporter for TorchScript; the newer one takes Python modules only.
    torch.onnx.export(
        module,
        (row,),
        buffer,  # type: ignore[arg-type]  # this exporter also writes into memory
        dynamo=False,
        opset_version=17,
        input_names=["obs"],
        output_names=["actions"],
    )
    return buffer.getvalue()


if __name__ == "__main__":
    serve(_libraries, _convert)
