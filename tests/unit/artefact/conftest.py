"""The sample program's object, built once."""

from __future__ import annotations

import pytest
from sample_gate import MANIFEST, TABLES, UNIT
from wardgate.compiler.artefact import assemble
from wardgate.compiler.backend import build_object


@pytest.fixture(scope="session")
def built() -> bytes:
    """The object that the default backend makes of the sample."""
    return build_object(UNIT).data


@pytest.fixture(scope="session")
def artefact(built: bytes) -> bytes:
    """The artefact of the sample."""
    return assemble(built, TABLES, MANIFEST)
