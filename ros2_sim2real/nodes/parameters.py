"""A pydantic schema is the list of a node's parameters: declared, read and checked from there."""

from __future__ import annotations

import array
import difflib
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterUninitializedException
from rclpy.node import Node
from rclpy.parameter import Parameter

from ros2_sim2real.config import Schema, validate
from ros2_sim2real.errors import ConfigError

SchemaT = TypeVar("SchemaT", bound=Schema)
_ROS_OWN = ("use_sim_time", "start_type_description_service", "qos_overrides")


def declare(node: Node, schema: type[SchemaT], *, others: tuple[str, ...] = ()) -> SchemaT:
    """Declares every field of `schema` as a read-only parameter and returns the values.

    Args:
        node: whose parameters they are.
        schema: a field a parameter.
        others: prefixes of parameters that somebody else declares.

    Raises:
        ConfigError: unknown, missing, mistyped and out-of-range parameters, all at once.
    """
    given = [n for n in node._parameter_overrides if not n.startswith((*_ROS_OWN, *others))]
    problems = _unknown(given, list(schema.model_fields))
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


class LiveParameters(Generic[SchemaT]):
    """Fields of a schema as parameters that may change while the node runs, all or none."""

    def __init__(
        self,
        node: Node,
        initial: SchemaT,
        *,
        prefix: str,
        names: Sequence[str],
        misfits: Callable[[SchemaT], list[str]],
    ) -> None:
        """Declares `prefix` + name for each of `names`; what the user gave at the start holds.

        Args:
            node: whose parameters they are.
            initial: defaults.
            prefix: of every name, with its dot.
            names: fields that become parameters.
            misfits: problems beyond the schema's own.

        Raises:
            ConfigError: unknown or unfit values, all at once.
        """
        self._node, self._prefix, self._names = node, prefix, list(names)
        self._schema, self._misfits = type(initial), misfits
        self._where = f"parameters `{prefix}*` of `{node.get_name()}`"
        self.value = initial
        given = [n for n in node._parameter_overrides if n.startswith(prefix)]
        problems = _unknown(given, [prefix + name for name in names])
        if problems:
            raise ConfigError(self._where, problems)
        changes = {}
        for name in names:
            field = self._schema.model_fields[name]
            descriptor = ParameterDescriptor(
                description=field.description or "", dynamic_typing=True
            )
            parameter = node.declare_parameter(prefix + name, getattr(initial, name), descriptor)
            changes[name] = parameter.value
        self.value = self._changed(changes)

    def watch(self, apply: Callable[[SchemaT, set[str]], None]) -> None:
        """From now on `apply` gets every new value, and the names of the fields that were set."""

        def changed(parameters: list[Parameter]) -> None:
            changes = self._mine(parameters)
            if changes:
                self.value = self._changed(changes)
                apply(self.value, set(changes))

        self._node.add_on_set_parameters_callback(self._check)
        self._node.add_post_set_parameters_callback(changed)

    def _mine(self, parameters: Sequence[Parameter]) -> dict[str, Any]:
        return {
            p.name.removeprefix(self._prefix): p.value
            for p in parameters
            if p.name.startswith(self._prefix)
        }

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            self._changed(self._mine(parameters))
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _changed(self, changes: dict[str, Any]) -> SchemaT:
        data = {
            name: _plain(changes.get(name, getattr(self.value, name)))
            for name in self._schema.model_fields
        }
        value = validate(data, self._schema, where=self._where)
        problems = self._misfits(value)
        if problems:
            raise ConfigError(self._where, problems)
        return value


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float)) or value is None else list(value)


def _unknown(given: Sequence[str], known: Sequence[str]) -> list[str]:
    problems = []
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean `{near[0]}`?" if near else f". Known: {sorted(known)}"
            problems.append(f"unknown parameter `{name}`{hint}")
    return problems
