"""Walks through an ONNX graph and the graphs inside its nodes."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yields the graph and all graphs inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)
            for inner in attribute.graphs:
                yield from graphs(inner)


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yields the nodes of all of them."""
    for part in graphs(graph):
        yield from part.node


def names(graph: onnx.GraphProto) -> Iterator[str]:
    """Yields the names of all values, some more than once."""
    for part in graphs(graph):
        for node in part.node:
            yield from (*node.input, *node.output)
        yield from (value.name for value in (*part.input, *part.output, *part.initializer))
