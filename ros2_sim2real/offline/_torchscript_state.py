"""TorchScript that remembers in buffers -> the same as a function of its memory, for ONNX.

Runs in the child process that opened the file, nowhere else. Exporters of recurrent policies
(legged_gym, rsl_rl, Isaac Lab) keep `hidden_state` and `cell_state` as buffers that `forward`
overwrites: a graph cannot. What is overwritten is found by running it; the module is then traced
through the interpreter with the buffers as arguments, so that how it is written does not matter.
"""

from __future__ import annotations

import io
from typing import Any

PROBES = 3  # rows after which every buffer that takes part has changed
_RESETS = ("reset_memory", "reset")  # what exporters call it


def prepare() -> None:
    """Imports what tracing needs: some of it looks for a folder to write to, at import."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    make_fx(torch.func.functionalize(torch.neg))(torch.zeros(1))


class Memory:
    """The buffers that `forward` overwrites, and how an episode begins."""

    def __init__(self, module: Any, rows: Any) -> None:
        """`rows` (n, 1, nobs). Raises ValueError when the start of an episode is not zeros."""
        import torch

        self.module = module
        # names with a dot belong to modules inside
        before = {name: value.clone() for name, value in module.named_buffers()}
        for row in rows[:PROBES]:
            module(row)
        self.names = [
            name for name, value in module.named_buffers() if not torch.equal(value, before[name])
        ]
        self._reset = next((name for name in _RESETS if hasattr(module, name)), None)
        if not self.names:
            return
        self.stale = [name for name in self.names if bool(before[name].any())]
        self.reset()
        kept = [name for name in self.names if bool(self.read(name).any())]
        if kept:
            raise ValueError(f"does not forget {kept} when `{self._reset}` is called")

    def read(self, name: str) -> Any:
        """Returns the buffer."""
        owner, leaf = self._owner(name)
        return getattr(owner, leaf)

    def put(self, name: str, value: Any) -> None:
        """Puts another tensor in the buffer's place."""
        owner, leaf = self._owner(name)
        setattr(owner, leaf, value)

    def reset(self) -> None:
        """Starts an episode, by the module's own method where it has one."""
        if self._reset is not None:
            getattr(self.module, self._reset)()
            return
        for name in self.names:
            self.read(name).zero_()

    def _owner(self, name: str) -> tuple[Any, str]:
        owner = self.module
        *path, leaf = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        return owner, leaf


def stateful_onnx(memory: Memory, row: Any) -> tuple[bytes, list[dict[str, Any]]]:
    """Returns ONNX with the memory as inputs and outputs, and their names and shapes.

    Args:
        memory: of the module, with at least one name.
        row: an observation, (1, nobs).
    """
    import torch
    from torch._decomp import get_decompositions
    from torch.fx.experimental.proxy_tensor import make_fx

    interpreted = torch.jit.optimized_execution  # type: ignore[attr-defined]  # not in __all__
    aten = torch.ops.aten
    plain: dict[Any, Any] = dict(get_decompositions([aten.slice_scatter, aten.select_scatter]))
    # ONNX has no `copy` into a tensor; made a function it is its source in the other's shape
    plain[aten.copy.default] = lambda to, source, _=False: source.to(to.dtype).expand(to.shape)

    def step(row: Any, *states: Any) -> tuple[Any, ...]:
        for name, state in zip(memory.names, states, strict=True):
            memory.put(name, state.clone())
        answer = memory.module(row)
        return (answer, *(memory.read(name).clone() for name in memory.names))

    states = [torch.zeros_like(memory.read(name)) for name in memory.names]
    # fused kernels are not in the interpreter's vocabulary
    with torch.backends.mkldnn.flags(enabled=False), interpreted(False):
        traced = make_fx(torch.func.functionalize(step), decomposition_table=plain)(row, *states)
    for name, state in zip(memory.names, states, strict=True):
        memory.put(name, state.clone())
    shapes = [
        {
            "input": f"{_plain(name)}_in",
            "output": f"{_plain(name)}_out",
            "shape": list(state.shape),
        }
        for name, state in zip(memory.names, states, strict=True)
    ]
    buffer = io.BytesIO()
    torch.onnx.export(
        traced,
        (row, *states),
        buffer,  # type: ignore[arg-type]  # this exporter also writes into memory
        dynamo=False,
        opset_version=17,
        input_names=["obs", *(str(s["input"]) for s in shapes)],
        output_names=["actions", *(str(s["output"]) for s in shapes)],
    )
    return buffer.getvalue(), shapes


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name)[:60]
