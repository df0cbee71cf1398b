"""A pydantic schema is the list of a node's parameters: declared, read and checked from there."""

from __future__ import annotations

import array
import difflib
from typing import TypeVar

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import ParameterUninitializedException
from rclpy.node import Node

from ros2_sim2real.config import Schema, validate
from ros2_sim2real.errors import ConfigError

SchemaT = TypeVar("SchemaT", bound=Schema)
_ROS_OWN = ("use_sim_time", "start_type_description_service", "qos_overrides")


def declare(node: Node, schema: type[SchemaT]) -> SchemaT:
    """Declares every field of `schema` as a read-only parameter and returns the values.

    Raises:
        ConfigError: unknown, missing, mistyped and out-of-range parameters, all at once.
    """
    given = {name: p.value for name, p in node._parameter_overrides.items()}
    unknown = [
        name for name in given if name not in schema.model_fields and not name.startswith(_ROS_OWN)
    ]
    problems = []
    for name in unknown:
        near = difflib.get_close_matches(name, schema.model_fields, n=1)
        hint = (
            f", did you mean `{near[0]}`?" if near else f". Known: {sorted(schema.model_fields)}"
        )
        problems.append(f"unknown parameter `{name}`{hint}")
    values = {}
    for name, field in schema.model_fields.items():
        descriptor = ParameterDescriptor(
            description=field.description or "", read_only=True, dynamic_typing=True
        )
        default = None if field.is_required() else field.default
        node.declare_parameter(name, default, descriptor)
        try:
            value = node.get_parameter(name).value
        except ParameterUninitializedException:
            value = None
        if value is not None:
            values[name] = value.tolist() if isinstance(value, array.array) else value
    where = f"parameters of `{node.get_name()}`"
    try:
        config = validate(values, schema, where=where)
    except ConfigError as error:
        raise ConfigError(where, problems + error.problems) from None
    if problems:
        raise ConfigError(where, problems)
    return config
