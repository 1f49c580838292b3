"""Parameters as tables: name, default, range, description; declared once and checked whenever one changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from shelfhelp_ros.errors import ShelfHelpError

Value = bool | int | float | str


@dataclass(frozen=True)
class Setting:
    """One parameter. ``low`` and ``high`` bound a number, ``choices`` a text; a ``fixed`` one cannot change later."""

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    fixed: bool = False

    def descriptor(self) -> ParameterDescriptor:
        described = ParameterDescriptor(description=self.description, read_only=self.fixed)
        if self.choices:
            described.additional_constraints = "one of " + ", ".join(self.choices)
        if self.low is not None and self.high is not None:
            if isinstance(self.default, float):
                described.floating_point_range = [FloatingPointRange(from_value=self.low, to_value=self.high)]
            else:
                described.integer_range = [IntegerRange(from_value=int(self.low), to_value=int(self.high))]
        return described

    def fault(self, value: Any) -> str:
        """What is wrong with a value of the right type, or an empty text."""
        if self.choices and value not in self.choices:
            return f"{self.name} has to be one of {', '.join(self.choices)}, not '{value}'"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{self.name} has to be a finite number"
        return ""


class Parameters:
    """The declared parameters of one node.

    ``changed`` is called with the new values by name after they passed every check; it may raise ShelfHelpError to
    refuse them. Raises ShelfHelpError when a value given at start is of the wrong type or out of range.
    """

    def __init__(self, node: Node, settings: Sequence[Setting], changed: Callable[[dict[str, Value]], None]) -> None:
        self._node = node
        self._settings = {setting.name: setting for setting in settings}
        self._changed = changed
        for setting in settings:
            self._declare(setting)
        node.add_on_set_parameters_callback(self._on_set)

    def __getitem__(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def _declare(self, setting: Setting) -> None:
        kind = {bool: "true or false", int: "a whole number", float: "a number with a decimal point", str: "a text"}
        where = f"parameter {setting.name} of node {self._node.get_name()}"
        try:
            value = self._node.declare_parameter(setting.name, setting.default, setting.descriptor()).value
        except InvalidParameterTypeException as error:
            raise ShelfHelpError(
                f"{where} has to be {kind[type(setting.default)]}; correct it in the configuration"
            ) from error
        except InvalidParameterValueException as error:
            raise ShelfHelpError(
                f"{where} has to lie between {setting.low:g} and {setting.high:g}; correct it in the configuration"
            ) from error
        if fault := setting.fault(value):
            raise ShelfHelpError(f"node {self._node.get_name()}: {fault}; correct it in the configuration")

    def _on_set(self, changes: list[Parameter[Any]]) -> SetParametersResult:
        known = {change.name: change.value for change in changes if change.name in self._settings}
        for name, value in known.items():
            if fault := self._settings[name].fault(value):
                return SetParametersResult(successful=False, reason=fault)
        try:
            if known:
                self._changed(known)
        except ShelfHelpError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)
