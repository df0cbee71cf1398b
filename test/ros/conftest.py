"""One context for the tests of a file, and a bench for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from rclpy.signals import SignalHandlerOptions
from ros_bench import Bench


@pytest.fixture(scope="module")  # other files have a context of their own kind
def ros() -> Iterator[None]:
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    yield
    rclpy.try_shutdown()


@pytest.fixture
def bench(ros: None) -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()
