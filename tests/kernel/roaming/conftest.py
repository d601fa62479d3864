"""The watch's program, compiled once."""

from __future__ import annotations

import pytest
from wardgate.gateway.compiling.programs import compile_program
from wardgate.gateway.roaming.sources import underlay_source


@pytest.fixture(scope="session")
def underlay_program() -> bytes:
    return compile_program(underlay_source())
