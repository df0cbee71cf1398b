"""Child process: the weights of a training checkpoint, and its own answers to given rows.

Nothing is unpickled but tensors (`weights_only`); the JSON beside them is read as text, the
pickles inside that JSON never.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from ros2_sim2real.offline._checkpoint_layers import find_rsl_rl, find_sb3
from ros2_sim2real.offline._child import serve

MAX_ENTRY = 256 << 20
_DATA, _POLICY = "data", "policy.pth"


def _libraries() -> None:
    import torch

    torch.set_num_threads(1)


def _answer(header: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """`inspect`: what is stored. Otherwise also the answers (n, nu) to the rows of `parts[1]`."""
    import numpy as np

    if header["kind"] == "sb3":
        facts, found = _sb3(parts[0])
    else:
        facts, found = {}, find_rsl_rl(_tensors(parts[0]))
    described = {**facts, **found.described(), "nu": found.count}
    blobs = [np.ascontiguousarray(a, dtype=np.float32).tobytes() for a in found.arrays()]
    if len(parts) > 1:
        blobs.append(_run(header, found, parts[1:]))
    return described, blobs


def _sb3(content: bytes) -> tuple[dict[str, Any], Any]:
    """Returns what the JSON says and the actor's layers."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        missing = [name for name in (_DATA, _POLICY) if name not in names]
        if missing:
            raise ValueError(f"holds {sorted(names)[:8]} and no {missing[0]}")
        for name in (_DATA, _POLICY):
            if archive.getinfo(name).file_size > MAX_ENTRY:
                raise ValueError(f"`{name}` unpacks to more than {MAX_ENTRY} bytes")
        data = json.loads(archive.read(_DATA))
        found = find_sb3(_tensors(archive.read(_POLICY)))
    if not isinstance(data, dict):
        raise ValueError("`data` is no JSON mapping")
    wanted = ("policy_class", "policy_kwargs", "observation_space", "action_space", "use_sde")
    return {"data": {key: _text(data.get(key)) for key in wanted}}, found


def _text(value: Any) -> Any:
    """Returns JSON without what is pickled inside it."""
    if isinstance(value, dict):
        return {str(k): _text(v) for k, v in value.items() if k != ":serialized:"}
    return value[:2000] if isinstance(value, str) else value


def _tensors(content: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _run(header: dict[str, Any], found: Any, parts: list[bytes]) -> bytes:
    """Answers with torch, from the weights as they are stored."""
    import torch

    rows, *rest = [torch.frombuffer(bytearray(raw), dtype=torch.float32) for raw in parts]
    x = rows.reshape(-1, found.width)
    if header["standardised"]:
        mean, std = rest[0], rest[1]
        x = (x - mean) / std
        if header["clip"] is not None:
            x = torch.clamp(x, -float(header["clip"]), float(header["clip"]))
    names = {"lrelu": "leaky_relu", "leakyrelu": "leaky_relu", "identity": "Identity"}
    kind = str(header["activation"])
    for i, (weight, bias) in enumerate(found.layers):
        if i and kind != "identity":
            functions = (torch.nn.functional, torch)
            name = names.get(kind, kind)
            x = next(getattr(f, name) for f in functions if hasattr(f, name))(x)
        x = torch.nn.functional.linear(x, weight, bias)
    if header["squash"]:
        x = torch.tanh(x)
    if header["bounded"]:
        low, high = rest[-2], rest[-1]
        x = low + 0.5 * (x + 1.0) * (high - low)
    return bytes(x.to(torch.float32).contiguous().numpy().tobytes())


if __name__ == "__main__":
    serve(_libraries, _answer)
