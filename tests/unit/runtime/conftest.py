"""Compiled objects, once for each worker."""

from __future__ import annotations

import pytest
from bpf_objects import ARTEFACT, GENERIC, compile_c


@pytest.fixture(scope="session")
def generic_object(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An object with maps, data and functions of every kind."""
    return compile_c(GENERIC, tmp_path_factory.mktemp("generic"))


@pytest.fixture(scope="session")
def compiled_artefact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An artefact as a compiler emits it, still without its manifest."""
    return compile_c(ARTEFACT, tmp_path_factory.mktemp("artefact"))
